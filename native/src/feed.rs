//! From an utterance's PCM at any rate to the play queue's 8 kHz, a resampler an utterance.

use crate::resample::Resampler;

/// The rate of the play queue and of the wire.
pub const RATE: u32 = 8000;

/// Converts what is played. It sits at the door (`Port`, or the caller's side of the `Engine`), so that the thread
/// that keeps time never resamples two seconds of speech at once.
#[derive(Debug, Default)]
pub struct Feed {
    current: Option<(u64, u32)>,
    resampler: Option<Resampler>,
}

impl Feed {
    /// Convert `pcm` of one utterance; None where the rate is not known.
    pub fn push(&mut self, utterance: u64, pcm: Vec<i16>, rate_hz: u32) -> Option<Vec<i16>> {
        if self.current != Some((utterance, rate_hz)) {
            self.resampler = if rate_hz == RATE { None } else { Some(Resampler::new(rate_hz, RATE)?) };
            self.current = Some((utterance, rate_hz));
        }
        let Some(resampler) = &mut self.resampler else {
            return Some(pcm);
        };
        let mut out = Vec::with_capacity(pcm.len() / 2 + 32);
        resampler.push(&pcm, &mut out);
        Some(out)
    }

    /// The last samples of an utterance that is complete.
    pub fn finish(&mut self, utterance: u64) -> Vec<i16> {
        let mut tail = Vec::new();
        if self.current.is_some_and(|(current, _)| current == utterance) {
            if let Some(resampler) = &mut self.resampler {
                resampler.finish(&mut tail);
            }
            self.current = None;
            self.resampler = None;
        }
        tail
    }
}
