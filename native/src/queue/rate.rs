//! The queue of a Port whose rate changes under it, because another codec was agreed.

use super::{Item, Queue, Utterance};
use crate::resample::{convert, Resampler};
use crate::timeline::scaled;

impl Queue {
    /// Run at another rate: what waits is converted, and what left is counted in the new samples.
    pub fn run_at(&mut self, rate_hz: u32) {
        let before = std::mem::replace(&mut self.rate_hz, rate_hz);
        if before == rate_hz {
            return;
        }
        self.fade = convert(&self.fade, before, rate_hz);
        for utterance in &mut self.utterances {
            utterance.scale(before, rate_hz);
        }
        self.queued = 0;
        let mut resampler: Option<(u64, Resampler)> = None;
        let mut at = 0;
        while at < self.items.len() {
            // One stream through all pieces of an utterance, so that their seams stay what they were.
            let last = !self.items.iter().skip(at + 1).any(|item| item.utterance() == self.items[at].utterance());
            let Item::Audio { utterance, pcm, sent } = &mut self.items[at] else {
                at += 1;
                continue;
            };
            let number = *utterance;
            if resampler.as_ref().is_none_or(|(of, _)| *of != number) {
                resampler = Resampler::between(before, rate_hz).map(|new| (number, new));
            }
            let mut converted = Vec::with_capacity(scaled(pcm.len(), before, rate_hz) + 1);
            if let Some((_, resampler)) = &mut resampler {
                resampler.push(&pcm[*sent..], &mut converted);
                if last {
                    resampler.finish(&mut converted);
                }
            }
            self.queued += converted.len();
            if let Some(utterance) = self.utterances.iter_mut().find(|one| one.number == number) {
                utterance.queued += converted.len();
            }
            (*pcm, *sent) = (converted, 0);
            at += 1;
        }
    }
}

impl Item {
    /// The utterance that this is audio of.
    fn utterance(&self) -> Option<u64> {
        match self {
            Self::Audio { utterance, .. } => Some(*utterance),
            Self::Mark { .. } | Self::Key(_) => None,
        }
    }
}

impl Utterance {
    /// Count in samples of another rate. What waits is counted by who converts it.
    fn scale(&mut self, from_hz: u32, to_hz: u32) {
        let scaled = |samples: u64| samples * u64::from(to_hz) / u64::from(from_hz);
        (self.queued, self.sent, self.heard) = (0, scaled(self.sent), scaled(self.heard));
        for (_, sent) in &mut self.departures {
            *sent = scaled(*sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_possible_truncation)]
    fn what_waits_goes_on_at_the_new_rate_without_a_seam() {
        let tone =
            |hz: u32, n: usize| ((n as f64 * 300.0 / f64::from(hz) * std::f64::consts::TAU).sin() * 9000.0) as i16;
        let mut queue = Queue::default();
        for piece in 0..10 {
            queue.play(1, (0..160).map(|n| tone(8000, piece * 160 + n)).collect());
        }
        queue.end(0, 0, 1);
        queue.pull(0, 0, 0, 100, &mut Vec::new());
        queue.run_at(16_000);
        assert_eq!(queue.queued(), 3000);
        let mut pcm = Vec::new();
        queue.pull(0, 0, 0, 3000, &mut pcm);
        let off = (40..2960).map(|n| (i32::from(pcm[n]) - i32::from(tone(16_000, 200 + n))).abs()).max();
        assert!(off < Some(100), "{off:?}");
        let mut told = Vec::new();
        queue.heard(1, &mut |_, kind| told.push(kind));
        assert_eq!(told, [crate::event::Kind::Played { utterance: 1, sent_ms: 200 }]);
    }
}
