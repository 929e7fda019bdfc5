//! ITU-T G.711 µ-law by table.

/// Linear value of each code.
#[must_use]
pub fn linear_of_code() -> [i16; 256] {
    let mut table = [0; 256];
    for (code, value) in (0..=255u8).zip(&mut table) {
        let bits = !code;
        let magnitude = ((i16::from(bits & 15) * 2 + 33) << ((bits >> 4) & 7)) - 33;
        *value = if bits & 0x80 == 0 { magnitude * 4 } else { magnitude * -4 };
    }
    table
}

/// Code of the upper 14 bits of a sample: the nearest, plus zero for zero.
#[must_use]
pub fn code_of_linear() -> Box<[u8]> {
    let linear = linear_of_code();
    (0..1u16 << 14)
        .map(|index| {
            let sample = i32::from(i16::from_ne_bytes((index << 2).to_ne_bytes()));
            (0..=255u8).rev().min_by_key(|&code| (i32::from(linear[usize::from(code)]) - sample).abs()).unwrap_or(0xFF)
        })
        .collect()
}

/// Where a sample's code is in the table of [`code_of_linear`].
#[must_use]
pub fn index(sample: i16) -> usize {
    usize::from(u16::from_ne_bytes(sample.to_ne_bytes()) >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_minus_zero_survives() {
        let (linear, codes) = (linear_of_code(), code_of_linear());
        for code in 0..=255u8 {
            let wanted = if code == 0x7F { 0xFF } else { code };
            assert_eq!(codes[index(linear[usize::from(code)])], wanted, "{code:#x}");
        }
        assert_eq!((linear[0], linear[0x80], linear[0xFE]), (-32124, 32124, 8));
    }
}
