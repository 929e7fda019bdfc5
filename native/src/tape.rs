//! The stereo tape: what was said on both sides, on the engine's clock.
//!
//! ```text
//! begun ──────────┬─────────────────┬─────────────────┬──── now
//!        told     │  complete soon  │   being filled  │
//!                                    ◄── 500 ms lag ──►
//! ```
//!
//! A stretch of 500 ms is told 500 ms after its end, so that what the far end said and came late is on it. The far
//! end's audio is laid down where RTP time says, a packet behind its predecessor unless the line moved by 20 ms or
//! more; a clock that drifts is followed a sample a packet, which nobody hears. What was made up for a lost packet is
//! replaced if that comes after all. Ours is laid down at departure. What nobody filled is silence.

use std::collections::VecDeque;

use crate::pipeline::Stage;
use crate::resample::convert;
use crate::timeline::{lasting, scaled, within};

/// What is told at once, and how long after its end.
const STRETCH_MS: u32 = 500;
const LAG: i64 = 500_000_000;
/// A stretch, the lag, and one more for what lies ahead of the clock.
const SPAN: usize = 3;
/// Where contiguous audio may stand off the line before it is laid down anew.
const SLIP_MS: u32 = 20;
/// From here on it is moved towards the line.
const DRIFT_MS: u32 = 1;
/// Pieces made up that may yet be replaced.
const MADE_MOST: usize = 25;

/// A running tape.
#[derive(Debug)]
pub struct Tape {
    rate_hz: u32,
    /// When the first sample of the buffers is.
    begun: i64,
    far: Vec<i16>,
    ours: Vec<i16>,
    /// Where the far end's last piece ended.
    far_ends: Option<i64>,
    /// What was made up: the timestamp, and where it lies.
    made: VecDeque<(u32, i64)>,
    scratch: Vec<i16>,
}

impl Tape {
    #[must_use]
    pub fn new(now: i64, rate_hz: u32) -> Self {
        Self {
            rate_hz,
            begun: now,
            far: Vec::new(),
            ours: Vec::new(),
            far_ends: None,
            made: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Run at another rate: what is not told yet is told at that.
    pub fn run_at(&mut self, rate_hz: u32) {
        let before = std::mem::replace(&mut self.rate_hz, rate_hz);
        if before == rate_hz {
            return;
        }
        for side in [&mut self.far, &mut self.ours] {
            *side = convert(side, before, rate_hz);
        }
        let end = |end: i64| i64::try_from(scaled(usize::try_from(end).unwrap_or(0), before, rate_hz)).unwrap_or(0);
        self.far_ends = self.far_ends.map(end);
        self.made.clear();
    }

    /// Samples in a second of each side.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn stretch(&self) -> usize {
        (STRETCH_MS * (self.rate_hz / 1000)) as usize
    }

    /// Lay down the far end's audio; `made` where it was made up for a packet with this timestamp.
    pub fn put_far(&mut self, at: i64, timestamp: u32, pcm: &[i16], made: bool) {
        let mut from = within(at - self.begun, self.rate_hz);
        let per_ms = i64::from(self.rate_hz / 1000);
        let mut length = pcm.len();
        if let Some(end) = self.far_ends {
            let off = from - end;
            if off.abs() < i64::from(SLIP_MS) * per_ms {
                from = end;
                if off.abs() > i64::from(DRIFT_MS) * per_ms {
                    length = if off > 0 { length + 1 } else { length.saturating_sub(1) };
                }
            }
        }
        if made {
            if self.made.len() == MADE_MOST {
                self.made.pop_front();
            }
            self.made.push_back((timestamp, from));
        }
        let span = SPAN * self.stretch();
        stretched(pcm, length, &mut self.scratch);
        lay(&mut self.far, from, &self.scratch, span);
        self.far_ends = Some(from + i64::try_from(self.scratch.len()).unwrap_or(0));
    }

    /// Put what came late in the place of what was made up for it; whether that is still to be told.
    pub fn mend(&mut self, timestamp: u32, pcm: &[i16]) -> bool {
        let Some(index) = self.made.iter().position(|&(made, _)| made == timestamp) else {
            return false;
        };
        let from = self.made.remove(index).map_or(-1, |(_, from)| from);
        let Some(place) = usize::try_from(from).ok().and_then(|from| self.far.get_mut(from..)) else {
            return false;
        };
        for (laid, &sample) in place.iter_mut().zip(pcm) {
            *laid = sample;
        }
        true
    }

    /// Lay down ours.
    pub fn put_ours(&mut self, at: i64, pcm: &[i16]) {
        let (span, half) = (SPAN * self.stretch(), lasting(1, self.rate_hz) / 2);
        lay(&mut self.ours, within(at - self.begun + half, self.rate_hz), pcm, span);
    }

    /// From `at` on ours was not heard.
    pub fn break_off(&mut self, at: i64) {
        let from = usize::try_from(within(at - self.begun, self.rate_hz)).unwrap_or(0).min(self.ours.len());
        self.ours[from..].fill(0);
    }

    /// Silence the last samples of the far end's: they were no speech.
    pub fn blank_far(&mut self, samples: usize) {
        let end = self.far_ends.and_then(|end| usize::try_from(end).ok()).unwrap_or(0).min(self.far.len());
        self.far[end.saturating_sub(samples)..end].fill(0);
    }

    /// The far end's last samples, as many as there are.
    #[must_use]
    pub fn far(&self, samples: usize) -> &[i16] {
        let end = self.far_ends.and_then(|end| usize::try_from(end).ok()).unwrap_or(0).min(self.far.len());
        &self.far[end.saturating_sub(samples)..end]
    }

    /// When the next stretch is complete.
    #[must_use]
    pub fn due(&self) -> i64 {
        self.begun + i64::from(STRETCH_MS) * 1_000_000 + LAG
    }

    /// Take the next stretch: when it began, and its interleaved samples.
    pub fn take(&mut self) -> (i64, Vec<i16>) {
        self.take_samples(self.stretch())
    }

    /// Take all that was before `now`, at the end of the tape.
    pub fn finish(mut self, now: i64) -> Option<(i64, Vec<i16>)> {
        let samples = usize::try_from(within(now - self.begun, self.rate_hz)).unwrap_or(0).min(SPAN * self.stretch());
        (samples > 0).then(|| self.take_samples(samples))
    }

    fn take_samples(&mut self, samples: usize) -> (i64, Vec<i16>) {
        let at = self.begun;
        let mut pcm = Vec::with_capacity(2 * samples);
        for n in 0..samples {
            pcm.push(self.far.get(n).copied().unwrap_or(0));
            pcm.push(self.ours.get(n).copied().unwrap_or(0));
        }
        for side in [&mut self.far, &mut self.ours] {
            side.drain(..samples.min(side.len()));
        }
        let samples = i64::try_from(samples).unwrap_or(0);
        self.begun += lasting(samples, self.rate_hz);
        self.far_ends = self.far_ends.map(|end| end - samples);
        for (_, from) in &mut self.made {
            *from -= samples;
        }
        (at, pcm)
    }
}

/// `pcm` as `length` samples, one more or less than it has: straight lines between its own, from its first to its last.
fn stretched(pcm: &[i16], length: usize, out: &mut Vec<i16>) {
    out.clear();
    if length == pcm.len() || length < 2 || pcm.is_empty() {
        out.extend_from_slice(pcm);
        return;
    }
    let (steps, last) = (length - 1, pcm.len() - 1);
    let between = |n: usize| {
        let (at, part) = (n * last / steps, n * last % steps);
        let [from, to] = [pcm[at], pcm[(at + 1).min(last)]].map(i64::from);
        let (part, steps) = (i64::try_from(part).unwrap_or(0), i64::try_from(steps).unwrap_or(1));
        i16::try_from((from * (steps - part) + to * part) / steps).unwrap_or(0)
    };
    out.extend((0..length).map(between));
}

fn lay(side: &mut Vec<i16>, from: i64, pcm: &[i16], span: usize) {
    // What is before the tape is told already; what is beyond the span is a clock gone wrong.
    let skip = usize::try_from(-from).unwrap_or(0).min(pcm.len());
    let Ok(from) = usize::try_from(from.max(0)) else {
        return;
    };
    let pcm = &pcm[skip..];
    let end = from + pcm.len();
    if end > span {
        return;
    }
    if side.len() < end {
        side.resize(end, 0);
    }
    side[from..end].copy_from_slice(pcm);
}

/// The tape before what hears on.
#[must_use]
pub fn stage(down: Stage) -> Stage {
    down.after("tape")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn both_sides_lie_where_they_were() {
        let mut tape = Tape::new(1000 * MS, 8000);
        tape.put_far(1100 * MS, 0, &[1; 160], false);
        tape.put_ours(1200 * MS, &[2; 160]);
        assert_eq!(tape.due(), 2000 * MS);
        let (at, pcm) = tape.take();
        assert_eq!((at, pcm.len()), (1000 * MS, 8000));
        let place = |side: usize, value| pcm.iter().skip(side).step_by(2).position(|&sample| sample == value);
        assert_eq!((place(0, 1), place(1, 2)), (Some(800), Some(1600)));
        assert_eq!(pcm.iter().filter(|&&sample| sample != 0).count(), 320);
    }

    #[test]
    fn at_another_rate_it_goes_on_where_it_was() {
        let mut tape = Tape::new(0, 8000);
        tape.put_far(0, 0, &[1000; 160], false);
        tape.run_at(16_000);
        tape.put_far(20 * MS, 0, &[1000; 320], false);
        tape.put_ours(40 * MS, &[5; 320]);
        let (_, pcm) = tape.take();
        assert_eq!(pcm.len(), 16_000);
        assert!(pcm.iter().step_by(2).take(640).all(|&sample| sample > 300));
        assert_eq!(pcm.iter().skip(1).step_by(2).position(|&sample| sample == 5), Some(640));
    }

    #[test]
    fn a_small_slip_leaves_no_gap() {
        let mut tape = Tape::new(0, 8000);
        tape.put_far(0, 0, &[1; 160], false);
        tape.put_far(25 * MS, 0, &[1; 160], false);
        let (_, pcm) = tape.take();
        assert!(pcm.iter().step_by(2).take(320).all(|&sample| sample == 1));
    }

    #[test]
    fn the_end_comes_at_once() {
        let mut tape = Tape::new(0, 8000);
        tape.put_ours(0, &[5; 160]);
        let (at, pcm) = tape.finish(20 * MS).expect("a stretch");
        assert_eq!((at, pcm.len()), (0, 320));
        assert_eq!(pcm[1], 5);
        assert!(Tape::new(0, 8000).finish(0).is_none());
    }

    #[test]
    fn what_lies_outside_is_not_kept() {
        let mut tape = Tape::new(1000 * MS, 8000);
        tape.put_far(0, 0, &[1; 160], false);
        tape.put_far(100_000 * MS, 0, &[1; 160], false);
        assert!(tape.take().1.iter().all(|&sample| sample == 0));
    }
}
