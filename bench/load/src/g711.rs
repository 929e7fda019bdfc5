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

/// Code of the upper 14 bits of a sample, with 0xFF for zero.
#[must_use]
pub fn code_of_linear() -> Box<[u8]> {
    (0..1u16 << 14)
        .map(|index| {
            let sample = i16::from_ne_bytes((index << 2).to_ne_bytes()) >> 2;
            let magnitude = sample.unsigned_abs().min(8158) + 33;
            // The segment is where the highest bit stands, from the sixth on; the step is the four bits below it.
            let segment = magnitude.ilog2() - 5;
            let step = u32::from(magnitude >> (segment + 1)) & 15;
            let sign = if sample < 0 { 0x80 } else { 0 };
            !(sign | u8::try_from(segment << 4 | step).unwrap_or(0x7F))
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
        // A staircase through every code is off by a step at most.
        let stairs: Vec<i16> = (i16::MIN..=i16::MAX).map(|sample| linear[usize::from(codes[index(sample)])]).collect();
        assert!(stairs.is_sorted());
        assert_eq!((linear[0], linear[0x80], linear[0xFE]), (-32124, 32124, 8));
    }
}
