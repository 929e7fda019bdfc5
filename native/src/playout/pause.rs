//! Where somebody speaks, and where nobody would miss what is late.

/// Audio is quiet at this mean square (−57 dBov), or at this share of what speech has (−20 dB).
const QUIET: f32 = 2000.0;
const QUIET_SHARE: f32 = 0.01;
/// It takes so much quiet, as part of a second, until a spurt is over: what is less lies within a word or between two.
const OVER: usize = 5;

/// Tells spurts of talk from the pauses between them.
#[derive(Debug)]
pub(super) struct Pause {
    /// Mean square of speech.
    speech: f32,
    /// Samples since there was any, and how many end it.
    calm: usize,
    over: usize,
}

impl Pause {
    /// For audio at `rate_hz`.
    pub(super) fn new(rate_hz: usize) -> Self {
        Self { speech: 0.0, calm: 0, over: rate_hz / OVER }
    }

    /// What is said next; whether it lies in a pause.
    pub(super) fn hear(&mut self, pcm: &[i16]) -> bool {
        if self.is_soft(pcm) {
            self.calm = self.calm.saturating_add(pcm.len());
        } else {
            self.speech += (energy(pcm) - self.speech) * 0.05;
            self.calm = 0;
        }
        self.calm > self.over
    }

    /// Whether there is next to nothing to hear in this, beside the speech around it.
    pub(super) fn is_soft(&self, pcm: &[i16]) -> bool {
        energy(pcm) < (self.speech * QUIET_SHARE).max(QUIET)
    }
}

#[allow(clippy::cast_precision_loss)]
fn energy(pcm: &[i16]) -> f32 {
    let sum: i64 = pcm.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    sum as f32 / pcm.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spurt_lasts_until_it_has_been_quiet_for_a_fifth_of_a_second() {
        for rate_hz in [8000, 16_000] {
            let (loud, soft) = (vec![3000; rate_hz / 50], vec![20; rate_hz / 50]);
            let mut pause = Pause::new(rate_hz);
            let begins = (0..15).position(|_| pause.hear(&soft));
            assert_eq!(begins, Some(10));
            assert!(!pause.hear(&loud));
            assert_eq!((0..15).filter(|_| pause.hear(&soft)).count(), 5);
        }
    }
}
