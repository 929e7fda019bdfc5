//! ITU-T G.711, both laws, by table.
//!
//! µ-law has 14-bit samples with a bias of 33 and inverted codes; A-law has 13-bit samples with every second bit
//! inverted. A linear sample here is 16 bits, so both laws lose its lowest bits first. The tables are made by the
//! compiler from the segment arithmetic below, and the tests hold them against the decision values of the standard.

/// Linear value of each µ-law code.
pub static MU_TO_LINEAR: [i16; 256] = mu_to_linear();
/// Linear value of each A-law code.
pub static A_TO_LINEAR: [i16; 256] = a_to_linear();

/// µ-law code of the upper 14 bits of a sample.
static LINEAR_TO_MU: [u8; 1 << 14] = linear_to_mu();
/// A-law code of the upper 13 bits of a sample.
static LINEAR_TO_A: [u8; 1 << 13] = linear_to_a();

const MU_BIAS: i32 = 33;
const MU_CLIP: i32 = 8158;

/// Encode one sample as µ-law.
#[inline]
#[must_use]
pub fn mu_of(sample: i16) -> u8 {
    LINEAR_TO_MU[usize::from((sample.cast_unsigned() >> 2) & 0x3FFF)]
}

/// Encode one sample as A-law.
#[inline]
#[must_use]
pub fn a_of(sample: i16) -> u8 {
    LINEAR_TO_A[usize::from((sample.cast_unsigned() >> 3) & 0x1FFF)]
}

const fn mu_to_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as i32) & 0xFF;
        let segment = (bits >> 4) & 7;
        let magnitude = ((((bits & 15) << 1) + MU_BIAS) << segment) - MU_BIAS;
        let signed = if bits & 0x80 != 0 { -magnitude } else { magnitude };
        table[code] = (signed << 2) as i16;
        code += 1;
    }
    table
}

const fn a_to_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = (code as i32) ^ 0x55;
        let segment = (bits >> 4) & 7;
        let step = ((bits & 15) << 1) + 1;
        let magnitude = if segment == 0 { step } else { (step + 32) << (segment - 1) };
        let signed = if bits & 0x80 != 0 { magnitude } else { -magnitude };
        table[code] = (signed << 3) as i16;
        code += 1;
    }
    table
}

const fn linear_to_mu() -> [u8; 1 << 14] {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < 1 << 14 {
        let linear = if index < 1 << 13 { index as i32 } else { index as i32 - (1 << 14) };
        let negative = linear < 0;
        let raw = if negative { -linear } else { linear };
        let magnitude = (if raw > MU_CLIP { MU_CLIP } else { raw }) + MU_BIAS;
        let mut segment = 0;
        while segment < 7 && magnitude >> (segment + 6) != 0 {
            segment += 1;
        }
        let mantissa = (magnitude >> (segment + 1)) & 15;
        let sign = if negative { 0x80 } else { 0 };
        table[index] = !(sign | (segment << 4) | mantissa) as u8;
        index += 1;
    }
    table
}

const fn linear_to_a() -> [u8; 1 << 13] {
    let mut table = [0; 1 << 13];
    let mut index = 0;
    while index < 1 << 13 {
        let linear = if index < 1 << 12 { index as i32 } else { index as i32 - (1 << 13) };
        let negative = linear < 0;
        let magnitude = if negative { -linear - 1 } else { linear };
        let mut segment = 0;
        while segment < 7 && magnitude >> (segment + 5) != 0 {
            segment += 1;
        }
        let mantissa = if segment == 0 { (magnitude >> 1) & 15 } else { (magnitude >> segment) & 15 };
        let sign = if negative { 0 } else { 0x80 };
        table[index] = ((sign | (segment << 4) | mantissa) ^ 0x55) as u8;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_from_its_value() {
        for code in 0..=255u8 {
            let mu = mu_of(MU_TO_LINEAR[usize::from(code)]);
            // 0x7F and 0xFF are minus and plus zero.
            assert!(mu == code || (code == 0x7F && mu == 0xFF), "µ {code:#x} came back as {mu:#x}");
            assert_eq!(a_of(A_TO_LINEAR[usize::from(code)]), code);
        }
    }

    #[test]
    fn values_are_those_of_the_standard() {
        // G.711 table 2a: decoder outputs y at the ends of the segments, on the 14-bit scale.
        for (code, y) in [(0xFFu8, 0), (0xFE, 2), (0xF0, 30), (0xEF, 33), (0x8F, 4191), (0x80, 8031), (0x00, -8031)] {
            assert_eq!(i32::from(MU_TO_LINEAR[usize::from(code)]), y * 4, "µ-law {code:#x}");
        }
        // G.711 table 1a: decoder outputs on the 13-bit scale (the signal value times two is 4096 at full load).
        for (code, y) in [(0xD5u8, 1), (0xD4, 3), (0xC5, 33), (0xAA, 4032), (0x2A, -4032), (0x55, -1)] {
            assert_eq!(i32::from(A_TO_LINEAR[usize::from(code)]), y * 8, "A-law {code:#x}");
        }
    }

    #[test]
    fn louder_samples_have_louder_codes() {
        // With the values above and each code's value inside its own interval, this fixes every decision value's order.
        for (of, table) in [(mu_of as fn(i16) -> u8, &MU_TO_LINEAR), (a_of, &A_TO_LINEAR)] {
            let values: Vec<i16> = (i16::MIN..=i16::MAX).map(|sample| table[usize::from(of(sample))]).collect();
            assert!(values.windows(2).all(|two| two[0] <= two[1]));
        }
    }

    #[test]
    fn decisions_are_those_of_the_standard() {
        // G.711 tables 1a and 2a: the decision values at the ends of the segments, and one step below.
        for x in [31, 95, 223, 479, 991, 2015, 4063] {
            let code = |x: i16| mu_of(x * 4);
            assert_eq!(code(x) >> 4, (code(x - 1) >> 4) - 1, "µ-law {x}");
        }
        for x in [32, 64, 128, 256, 512, 1024, 2048] {
            let code = |x: i16| a_of(x * 8) ^ 0x55;
            assert_eq!((code(x) >> 4, code(x) & 15), ((code(x - 1) >> 4) + 1, 0), "A-law {x}");
        }
    }
}
