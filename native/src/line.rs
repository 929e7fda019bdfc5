//! What one side of a port says, kept for a moment so that every listener can have it for the time that it asks about.
//!
//! ```text
//!  begun ───────────── kept, 600 ms at most ─────────────► end
//!        ▲ a listener whose packet leaves now     ▲ the one that asks first has the next samples made
//! ```
//!
//! Listeners' grids lie anywhere on the clock. Whoever is first makes the stream go on; who comes later reads what is
//! kept, so all hear the same samples at the same time, and each of them once.

use std::collections::VecDeque;

use crate::timeline::{lasting, within};

/// A thread that was away asks for 560 ms at once ([`crate::port`]); nobody asks for older audio.
const KEPT_MS: u32 = 600;

/// A stretch of audio on the clock.
#[derive(Debug)]
pub struct Line {
    rate_hz: u32,
    /// When the first sample that is kept is heard.
    begun: i64,
    kept: VecDeque<i16>,
    /// Until when there was something to hear.
    sounds_until: i64,
}

impl Line {
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz, begun: 0, kept: VecDeque::new(), sounds_until: i64::MIN }
    }

    /// When what is kept ends.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.begun + lasting(i64::try_from(self.kept.len()).unwrap_or(0), self.rate_hz)
    }

    /// Where a moment lies behind the first sample, to the nearest.
    fn offset(&self, at: i64) -> i64 {
        within(at - self.begun + lasting(1, self.rate_hz) / 2, self.rate_hz)
    }

    /// What lacks of `samples` from `at` on: since when, and how many. Over a gap the line begins anew.
    pub fn lacks(&mut self, at: i64, samples: usize) -> (i64, usize) {
        let length = i64::try_from(self.kept.len()).unwrap_or(0);
        let offset = self.offset(at);
        if length == 0 || offset > length {
            self.kept.clear();
            self.begun = at;
            return (at, samples);
        }
        let end = offset + i64::try_from(samples).unwrap_or(0);
        (self.end(), usize::try_from(end - length).unwrap_or(0))
    }

    /// Go on with `pcm`; `sounds`: there is a stream in it.
    pub fn push(&mut self, pcm: &[i16], sounds: bool) {
        self.kept.extend(pcm);
        if sounds {
            self.sounds_until = self.end();
        }
        let over = self.kept.len().saturating_sub((KEPT_MS * (self.rate_hz / 1000)) as usize);
        self.kept.drain(..over);
        self.begun += lasting(i64::try_from(over).unwrap_or(0), self.rate_hz);
    }

    /// Append what is kept of `samples` from `at` on, silence for the rest; whether there is a stream in it.
    pub fn read(&self, at: i64, samples: usize, pcm: &mut Vec<i16>) -> bool {
        let offset = self.offset(at);
        let before = usize::try_from(-offset).unwrap_or(0).min(samples);
        let from = usize::try_from(offset).unwrap_or(0).min(self.kept.len());
        let to = (from + samples - before).min(self.kept.len());
        let whole = pcm.len() + samples;
        pcm.resize(pcm.len() + before, 0);
        pcm.extend(self.kept.range(from..to));
        pcm.resize(whole, 0);
        to > from && at < self.sounds_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn every_listener_has_each_sample_once_whatever_its_grid() {
        let mut line = Line::new(8000);
        let mut next = 0;
        let mut grids = [(3 * MS, 160, Vec::new()), (11 * MS, 160, Vec::new()), (17 * MS, 80, Vec::new())];
        for now in (0..1000).map(|ms| ms * MS) {
            for (phase, samples, heard) in &mut grids {
                if now < *phase || (now - *phase) % (*samples * MS / 8) != 0 {
                    continue;
                }
                let samples = usize::try_from(*samples).unwrap_or(0);
                let (_, lacks) = line.lacks(now, samples);
                let made: Vec<i16> = (next..).take(lacks).collect();
                next += i16::try_from(lacks).unwrap_or(0);
                line.push(&made, true);
                assert!(line.read(now, samples, heard));
            }
        }
        for (phase, _, heard) in &grids {
            let first = i16::try_from((phase - 3 * MS) / (MS / 8)).unwrap_or(0);
            assert_eq!(heard[0], first, "all hear the same at the same time");
            assert!(heard.windows(2).all(|two| two[1] == two[0] + 1), "and nothing twice or not at all");
        }
    }

    #[test]
    fn a_gap_begins_it_anew_and_what_is_kept_is_bounded() {
        let mut line = Line::new(8000);
        assert_eq!(line.lacks(0, 160), (0, 160));
        line.push(&[1; 160], true);
        assert_eq!(line.lacks(500 * MS, 160), (500 * MS, 160));
        for _ in 0..100 {
            line.push(&[2; 160], false);
        }
        assert_eq!(line.end(), 500 * MS + 2000 * MS);
        let mut pcm = Vec::new();
        line.read(500 * MS, 160, &mut pcm);
        assert_eq!(pcm, [0; 160], "what is too old is silence");
    }
}
