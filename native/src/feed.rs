//! From an utterance's PCM at any rate to the play queue's, a resampler an utterance.

use crate::codec::NARROW;
use crate::pipeline::Stage;
use crate::resample::{convert, Resampler, RATES};
use crate::timeline::scaled;

/// Converts what is played. It sits at the door (`Port`, or the caller's side of the `Engine`), so that the thread
/// that keeps time never resamples two seconds of speech at once.
#[derive(Debug)]
pub struct Feed {
    /// What the play queue runs at.
    rate_hz: u32,
    current: Option<(u64, u32)>,
    resampler: Option<Resampler>,
    /// What the filter held when the rate of the queue changed, at the new one.
    left: Vec<i16>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { rate_hz: NARROW, current: None, resampler: None, left: Vec::new() }
    }
}

impl Feed {
    /// The rate of what it gives.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Give audio at another rate from here on.
    pub fn run_at(&mut self, rate_hz: u32) {
        if self.rate_hz == rate_hz {
            return;
        }
        let mut held = std::mem::take(&mut self.left);
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut held);
        }
        self.left = convert(&held, self.rate_hz, rate_hz);
        self.rate_hz = rate_hz;
        self.resampler = self.current.and_then(|(_, from_hz)| Resampler::between(from_hz, rate_hz));
    }

    /// Convert `pcm` of one utterance; None where the rate is not known.
    pub fn push(&mut self, utterance: u64, pcm: Vec<i16>, rate_hz: u32) -> Option<Vec<i16>> {
        if self.current != Some((utterance, rate_hz)) {
            if !RATES.contains(&rate_hz) {
                return None;
            }
            self.resampler = Resampler::between(rate_hz, self.rate_hz);
            self.current = Some((utterance, rate_hz));
            self.left.clear();
        }
        let Some(resampler) = &mut self.resampler else {
            return Some(if self.left.is_empty() { pcm } else { [std::mem::take(&mut self.left), pcm].concat() });
        };
        let mut out = std::mem::take(&mut self.left);
        out.reserve(scaled(pcm.len(), rate_hz, self.rate_hz) + 32);
        resampler.push(&pcm, &mut out);
        Some(out)
    }

    /// The last samples of an utterance that is complete; of one that is not being fed there are none.
    pub fn finish(&mut self, utterance: u64) -> Vec<i16> {
        if self.current.is_none_or(|(current, _)| current != utterance) {
            return Vec::new();
        }
        let mut tail = std::mem::take(&mut self.left);
        if let Some(mut resampler) = self.resampler.take() {
            resampler.finish(&mut tail);
        }
        self.current = None;
        tail
    }
}

/// The feed before the queue that runs at this rate.
#[must_use]
pub fn stage(rate_hz: u32, down: Stage) -> Stage {
    down.after(format!("feed (to {} kHz)", rate_hz / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feed whose filter held 7's last samples as the queue's rate changed.
    fn switched(rate_hz: u32) -> Feed {
        let mut feed = Feed::default();
        feed.push(7, vec![1000; 2400], 24_000).unwrap();
        feed.run_at(rate_hz);
        feed
    }

    #[test]
    fn what_the_filter_held_is_of_its_utterance_alone() {
        let mut feed = switched(16_000);
        assert!(feed.finish(6).is_empty());
        assert!(!feed.finish(7).is_empty());
        assert!(feed.finish(7).is_empty());
    }

    #[test]
    fn what_the_filter_held_outlives_two_changes_of_the_rate() {
        let mut feed = switched(16_000);
        let held = feed.left.len();
        assert!(held > 0);
        feed.run_at(8000);
        assert!(feed.left.len().abs_diff(held / 2) <= 1, "{} of {held} samples", feed.left.len());
    }
}
