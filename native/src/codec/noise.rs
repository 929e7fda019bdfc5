//! Comfort noise (RFC 3389): what a far end that left silence out said of it, made again.
//!
//! ```text
//! level │ reflection coefficients ─► white noise ─► all-pole lattice ─► a room at that level
//! ```
//!
//! The same payload makes the same samples: nothing here is random.

use super::NARROW;

/// More coefficients than this tell nothing of a room.
const ORDER_MOST: usize = 12;
/// A coefficient is at most this: at 1 the filter would ring for ever.
const STEADIEST: f32 = 0.98;
/// The level that a far end can say is no sound at all, −dBov.
const NONE: u8 = 127;

/// The level of some audio, −dBov; of none, and of nothing but zeros, it is 127.
#[must_use]
pub fn level(pcm: &[i16]) -> u8 {
    let power: f64 = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    #[allow(clippy::cast_precision_loss)]
    let mean = power / (pcm.len().max(1) as f64 * 32768f64.powi(2));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // The cast saturates.
    {
        (-10.0 * mean.log10()).round().min(f64::from(NONE)) as u8
    }
}

/// The noise that one payload describes.
#[derive(Clone, Debug)]
pub struct Noise {
    gain: f32,
    coefficients: [f32; ORDER_MOST],
    memory: [f32; ORDER_MOST],
    order: usize,
    seed: u32,
    /// Samples of each of the noise's own, where that is at 8 kHz and we are not.
    width: usize,
}

impl Noise {
    /// The noise of a payload for a Port at `rate_hz`; None where it says nothing.
    #[must_use]
    pub fn parse(payload: &[u8], rate_hz: u32) -> Option<Self> {
        let (&level, told) = payload.split_first()?;
        let level = level & 0x7F;
        let mut coefficients = [0.0; ORDER_MOST];
        let order = told.len().min(ORDER_MOST);
        for (coefficient, &told) in coefficients.iter_mut().zip(told) {
            // Section 3.2: 127 is none.
            *coefficient = (f32::from(i16::from(told) - 127) * 258.0 / 32768.0).clamp(-STEADIEST, STEADIEST);
        }
        let lost: f32 = coefficients.iter().map(|k| 1.0 - k * k).product();
        let rms = if level == NONE { 0.0 } else { 32768.0 * 10f32.powf(-f32::from(level) / 20.0) };
        // Evenly spread over ±1 is 1/√3; the filter adds what the coefficients foretell.
        let gain = rms * 3f32.sqrt() * lost.sqrt();
        let width = if rate_hz > NARROW { 2 } else { 1 };
        Some(Self { gain, coefficients, memory: [0.0; ORDER_MOST], order, seed: 0x9E37_79B9, width })
    }

    /// Append `samples` of it.
    pub fn append(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        let mut last = 0;
        for n in 0..samples {
            if n % self.width == 0 {
                last = self.next();
            }
            pcm.push(last);
        }
    }

    fn next(&mut self) -> i16 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        #[allow(clippy::cast_precision_loss)] // 16 bits of it
        let mut forward = self.gain * ((self.seed >> 16) as f32 / 32768.0 - 1.0);
        for m in (0..self.order).rev() {
            forward -= self.coefficients[m] * self.memory[m];
            let back = self.coefficients[m] * forward + self.memory[m];
            if m + 1 < self.order {
                self.memory[m + 1] = back;
            }
        }
        if self.order > 0 {
            self.memory[0] = forward;
        }
        #[allow(clippy::cast_possible_truncation)] // The cast saturates.
        {
            forward as i16
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_what_comes_back_of_it() {
        assert_eq!(level(&[]), 127);
        assert_eq!(level(&[0; 160]), 127);
        assert_eq!(level(&[-32768; 160]), 0);
        assert_eq!(level(&made(&[50], 8000)), 50);
    }

    fn made(payload: &[u8], rate_hz: u32) -> Vec<i16> {
        let mut pcm = Vec::new();
        Noise::parse(payload, rate_hz).expect("a level").append(16_000, &mut pcm);
        pcm
    }

    fn dbov(pcm: &[i16]) -> f64 {
        let power = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / pcm.len() as f64;
        10.0 * (power / 32768f64.powi(2)).log10()
    }

    #[test]
    fn it_is_as_loud_as_was_said_whatever_its_spectrum() {
        for rate_hz in [8000, 16_000] {
            for level in [20u8, 40, 60] {
                for spectrum in [&[][..], &[60][..], &[200, 100, 127, 150][..]] {
                    let payload = [&[level][..], spectrum].concat();
                    let off = dbov(&made(&payload, rate_hz)) + f64::from(level);
                    assert!(off.abs() < 1.0, "{level} {spectrum:?}: {off}");
                }
            }
        }
        assert_eq!(made(&[NONE], 8000), vec![0; 16_000]);
    }

    #[test]
    fn its_spectrum_is_the_one_that_was_said() {
        let slope = |payload: &[u8]| {
            let pcm = made(payload, 8000);
            let lagged: f64 = pcm.windows(2).map(|two| f64::from(two[0]) * f64::from(two[1])).sum();
            lagged / pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>()
        };
        // One coefficient k is a first-order room: neighbours are alike by -k.
        assert!(slope(&[30]).abs() < 0.03);
        assert!((slope(&[30, 63]) - 0.504).abs() < 0.03);
        assert!((slope(&[30, 191]) + 0.504).abs() < 0.03);
    }

    #[test]
    fn nothing_that_can_be_said_rings_out_of_bounds() {
        for told in [0u8, 255] {
            for level in [0u8, 128, 255] {
                let payload = [&[level][..], &[told; 40][..]].concat();
                assert_eq!(made(&payload, 8000).len(), 16_000);
            }
        }
        assert!(Noise::parse(&[], 8000).is_none());
    }
}
