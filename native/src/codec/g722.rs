//! ITU-T G.722 at 64 kbit/s: two sub-bands of 4 kHz, the lower by ADPCM in 6 bits, the upper in 2.
//!
//! ```text
//! 16 kHz ─► QMF ─┬─ low  ─► quantise (6 bits) ─┐
//!                └─ high ─► quantise (2 bits) ─┴─► a byte for two samples, and back the same way
//! ```
//!
//! The arithmetic is the standard's own, on integers, since both ends must adapt alike: names of blocks (UPPOL2,
//! FILTEZ …) are those of its section 6. RTP gives it a clock of 8000, which is a byte a tick (RFC 3551 section 4.5.2).

// The standard's products and shifts read best as it writes them.
#![allow(clippy::precedence)]

/// The quadrature mirror filter's first half; the second is its mirror (table 4).
const QMF: [i32; 12] = [3, -11, -11, 53, 12, -156, 32, 362, -210, -805, 951, 3876];
/// Decision levels of the lower band's quantiser (table 14), and its output codes for negative and positive errors.
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const NEGATIVE: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
];
const POSITIVE: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34,
    33, 32,
];
/// What the codes of 6, 4 and 2 bits stand for (tables 17, 18 and 21).
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// How a code moves the step's logarithm in the lower band and in the upper (tables 16 and 20).
const LOG_LOW: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const LOG_HIGH: [i32; 4] = [798, -214, 798, -214];
/// Where that logarithm ends.
const LOG_LOW_MOST: i32 = 18_432;
const LOG_HIGH_MOST: i32 = 22_528;
/// Powers of two in steps of 1/32 (table 15).
const ANTILOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// The encoder of one stream.
#[derive(Clone, Debug)]
pub struct Encoder {
    low: Band,
    high: Band,
    past: [i32; 24],
}

/// The decoder of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    low: Band,
    high: Band,
    past: [i32; 24],
}

impl Default for Encoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), past: [0; 24] }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), past: [0; 24] }
    }
}

impl Encoder {
    /// Append 16 kHz `pcm`, a byte for two samples; one that is left over is not sent.
    pub fn encode_into(&mut self, pcm: &[i16], payload: &mut Vec<u8>) {
        payload.extend(pcm.chunks_exact(2).map(|two| self.encode(two[0], two[1])));
    }

    fn encode(&mut self, first: i16, second: i16) -> u8 {
        self.past.copy_within(2.., 0);
        (self.past[22], self.past[23]) = (first.into(), second.into());
        let (even, odd) = filtered(&self.past);
        let (low, high) = ((even + odd) >> 14, (even - odd) >> 14);
        let low = self.low.quantise_low(low);
        let high = self.high.quantise_high(high);
        self.low.adapt_low(low >> 2);
        self.high.adapt_high(high);
        high << 6 | low
    }
}

impl Decoder {
    /// Append `payload`, decoded to 16 kHz, to `pcm`.
    pub fn decode_into(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        pcm.extend(payload.iter().flat_map(|&code| self.decode(code)));
    }

    fn decode(&mut self, code: u8) -> [i16; 2] {
        let (low, high) = (code & 0x3F, code >> 6);
        let heard = limit(self.low.estimate + (self.low.step * QM6[usize::from(low)] >> 15));
        let above = limit(self.high.estimate + (self.high.step * QM2[usize::from(high)] >> 15));
        self.low.adapt_low(low >> 2);
        self.high.adapt_high(high);
        self.past.copy_within(2.., 0);
        (self.past[22], self.past[23]) = (heard + above, heard - above);
        let (even, odd) = filtered(&self.past);
        [sample(even >> 11), sample(odd >> 11)]
    }
}

/// Both halves of the mirror filter over 24 samples: the later of each pair, and the earlier.
fn filtered(past: &[i32; 24]) -> (i32, i32) {
    let (mut even, mut odd) = (0, 0);
    for tap in 0..12 {
        let weight = |at: usize| QMF[at.min(23 - at)];
        odd += past[2 * tap] * weight(2 * tap);
        even += past[2 * tap + 1] * weight(2 * tap + 1);
    }
    (even, odd)
}

/// One sub-band: its step, and the predictor of two poles and six zeros.
#[derive(Clone, Debug)]
struct Band {
    /// The prediction of the next value, all of it and the zeros' part.
    estimate: i32,
    zeros_part: i32,
    step: i32,
    log_step: i32,
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The last reconstructed values, and the last differences; newest first.
    values: [i32; 2],
    differences: [i32; 6],
    /// Signs of the last partial reconstructions.
    signs: [i32; 2],
}

impl Band {
    fn new(step: i32) -> Self {
        Self {
            estimate: 0,
            zeros_part: 0,
            step,
            log_step: 0,
            poles: [0; 2],
            zeros: [0; 6],
            values: [0; 2],
            differences: [0; 6],
            signs: [0; 2],
        }
    }

    /// QUANTL.
    fn quantise_low(&self, value: i32) -> u8 {
        let error = saturated(value - self.estimate);
        let size = if error < 0 { !error } else { error };
        let above = |level: &&i32| size >= **level * self.step >> 12;
        let index = 1 + Q6[1..].iter().take_while(above).count();
        if error < 0 {
            NEGATIVE[index]
        } else {
            POSITIVE[index]
        }
    }

    /// QUANTH.
    fn quantise_high(&self, value: i32) -> u8 {
        let error = saturated(value - self.estimate);
        let size = if error < 0 { !error } else { error };
        let large = size >= 564 * self.step >> 12;
        match (error < 0, large) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        }
    }

    /// INVQAL, LOGSCL and SCALEL for a code of 4 bits, then the predictor.
    fn adapt_low(&mut self, code: u8) {
        let code = usize::from(code);
        let difference = self.step * QM4[code] >> 15;
        self.log_step = ((self.log_step * 127 >> 7) + LOG_LOW[code]).clamp(0, LOG_LOW_MOST);
        self.step = antilog(self.log_step, 8);
        self.predict(difference);
    }

    /// INVQAH, LOGSCH and SCALEH for a code of 2 bits, then the predictor.
    fn adapt_high(&mut self, code: u8) {
        let code = usize::from(code);
        let difference = self.step * QM2[code] >> 15;
        self.log_step = ((self.log_step * 127 >> 7) + LOG_HIGH[code]).clamp(0, LOG_HIGH_MOST);
        self.step = antilog(self.log_step, 10);
        self.predict(difference);
    }

    /// The adaptive predictor (block 4): learn from the difference, and say what comes next.
    fn predict(&mut self, difference: i32) {
        // RECONS and PARREC.
        let value = saturated(self.estimate + difference);
        let sign = saturated(self.zeros_part + difference) >> 15;
        // UPPOL2.
        let [first, second] = self.poles;
        let turned = saturated(first << 2);
        let turned = if sign == self.signs[0] { -turned } else { turned }.min(32_767);
        let nudge = if sign == self.signs[1] { 128 } else { -128 };
        let second = ((turned >> 7) + nudge + (second * 32_512 >> 15)).clamp(-12_288, 12_288);
        // UPPOL1.
        let nudge = if sign == self.signs[0] { 192 } else { -192 };
        let room = saturated(15_360 - second);
        let first = saturated(nudge + (first * 32_640 >> 15)).clamp(-room, room);
        self.poles = [first, second];
        // UPZERO.
        let nudge = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let along = if before >> 15 == difference >> 15 { nudge } else { -nudge };
            *zero = saturated(along + (*zero * 32_640 >> 15));
        }
        // DELAYA.
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.values = [value, self.values[0]];
        self.signs = [sign, self.signs[0]];
        // FILTEP, FILTEZ and PREDIC.
        let weighed = |weight: i32, value: i32| weight * saturated(2 * value) >> 15;
        let by_poles = saturated(weighed(first, self.values[0]) + weighed(second, self.values[1]));
        let zeros = self.zeros.iter().zip(self.differences);
        self.zeros_part = saturated(zeros.map(|(&zero, difference)| weighed(zero, difference)).sum());
        self.estimate = saturated(by_poles + self.zeros_part);
    }
}

/// The step that a logarithm stands for.
fn antilog(log: i32, shift: i32) -> i32 {
    let mantissa = ANTILOG[usize::try_from(log >> 6 & 31).unwrap_or(0)];
    let exponent = shift - (log >> 11);
    (if exponent < 0 { mantissa << -exponent } else { mantissa >> exponent }) << 2
}

fn saturated(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// LIMIT: a sub-band's value has 15 bits.
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

fn sample(value: i32) -> i16 {
    i16::try_from(saturated(value)).unwrap_or(0)
}
