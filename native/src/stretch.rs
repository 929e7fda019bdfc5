//! Time-scale modification: a little audio taken out or put in, at a pitch period, so that the pitch stays.
//!
//! ```text
//! shorten   a b c d …  ─► (a fading into b) c d …          two periods become one
//! lengthen  … z a b …  ─► … z (a fading into z) a b …      one period is heard twice
//! ```
//!
//! Overlap-add of two neighbouring pieces that are alike (WSOLA with one overlap): each piece goes over into the other
//! across its whole length, or as far as there is any of it, and begins and ends where the audio around it does, so
//! there is no step. It is done only where it is not heard: where the two pieces correlate, or where there is next to
//! nothing to hear; and where audio is running out, two that correlate less will do, because what would be heard
//! instead is made up. A rate in Hz is what all lengths follow from.

/// Lags, of pitches from 400 Hz down to 66 Hz, as parts of a second.
const SHORTEST: usize = 400;
const LONGEST: usize = 66;
/// Two pieces are alike from this correlation on, squared.
const ALIKE: f64 = 0.72;
/// The same where audio is running out. And there a longer lag must be so many times as much alike: one period is put in
/// rather than two, as what is put in without need is delay that must be worked off.
const ALIKE_ENOUGH: f64 = 0.4;
const LONGER: f64 = 1.15;
/// What must be ahead for that, and to lengthen at all, as parts of a second: 1.5 and 0.5 ms, over which one piece goes
/// into the other.
const OVERLAP: usize = 666;
const OVERLAP_LEAST: usize = 2000;
/// Correlated over this part of a second at most: 10 ms.
const WINDOW: usize = 100;

/// Where and how one stream may be changed.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    shortest: usize,
    longest: usize,
    window: usize,
    overlap: usize,
    overlap_least: usize,
    /// The search looks at every so manieth sample.
    step: usize,
}

impl Stretch {
    /// For audio at `rate_hz`: 8000 or 16000.
    #[must_use]
    pub fn new(rate_hz: usize) -> Self {
        let step = (rate_hz / 4000).max(1);
        let (shortest, longest) = (rate_hz / SHORTEST, rate_hz / LONGEST);
        let (overlap, overlap_least) = (rate_hz / OVERLAP, rate_hz / OVERLAP_LEAST);
        Self { shortest, longest, window: rate_hz / WINDOW, overlap, overlap_least, step }
    }

    /// The most samples that one change looks at ahead.
    #[must_use]
    pub fn reach(&self) -> usize {
        2 * self.longest
    }

    /// Take at most `most` samples out of the beginning of `ahead`: append what is to be heard, give how many were
    /// taken out. Twice as many of `ahead` are used up. `quiet`: there is nothing to hear, any number will do.
    pub fn shorten(&self, ahead: &[i16], most: usize, quiet: bool, out: &mut Vec<i16>) -> Option<usize> {
        let most = most.min(ahead.len() / 2).min(self.longest);
        let lag = if quiet { Some(most).filter(|&lag| lag > 0) } else { self.lag(ahead, most) }?;
        blend(&ahead[..lag], &ahead[lag..2 * lag], out);
        Some(lag)
    }

    /// Put at most `most` samples in between `past`, which was heard, and `ahead`: append them, give how many. Nothing
    /// of `ahead` is used up, and there may be less of it than is put in. `scarce`: it is all there is.
    pub fn lengthen(
        &self,
        past: &[i16],
        ahead: &[i16],
        most: usize,
        quiet: bool,
        scarce: bool,
        out: &mut Vec<i16>,
    ) -> Option<usize> {
        if ahead.len() < self.overlap_least {
            return None;
        }
        let most = most.min(past.len()).min(self.longest);
        let least = if scarce && ahead.len() >= self.overlap { ALIKE_ENOUGH } else { ALIKE };
        let bar = (least, if scarce { LONGER } else { 1.0 });
        let lag = if quiet { Some(most).filter(|&lag| lag > 0) } else { self.lag_back(past, ahead, most, bar) }?;
        let again = &past[past.len() - lag..];
        let overlap = lag.min(ahead.len());
        blend(&ahead[..overlap], again, out);
        out.extend_from_slice(&again[overlap..]);
        Some(lag)
    }

    /// The lag at which `ahead` is most like itself, if it is like itself at all.
    fn lag(&self, ahead: &[i16], most: usize) -> Option<usize> {
        self.best(most, (ALIKE, 1.0), |lag, step| {
            Likeness::default().and(&ahead[..self.window.min(ahead.len() - lag)], &ahead[lag..], step).squared()
        })
    }

    /// The lag at which the end of `past` is most like `ahead`, and, where a window has more room than `ahead` fills,
    /// what is before it like what is before `ahead`.
    fn lag_back(&self, past: &[i16], ahead: &[i16], most: usize, bar: (f64, f64)) -> Option<usize> {
        let end = past.len();
        self.best(most, bar, |lag, step| {
            let behind = self.window.min(ahead.len()).min(lag);
            let before = (self.window - behind).min(end - lag);
            Likeness::default()
                .and(&past[end - lag..], &ahead[..behind], step)
                .and(&past[end - lag - before..end - lag], &past[end - before..], step)
                .squared()
        })
    }

    fn best(&self, most: usize, (least, longer): (f64, f64), score: impl Fn(usize, usize) -> f64) -> Option<usize> {
        let mut found = (0.0, 0);
        let mut lag = self.shortest;
        while lag <= most {
            let score = score(lag, self.step);
            if score > found.0 * longer {
                found = (score, lag);
            }
            lag += self.step;
        }
        if found.0 < least * 0.8 {
            return None;
        }
        let around = found.1.saturating_sub(self.step - 1).max(self.shortest)..=(found.1 + self.step - 1).min(most);
        let best = around.map(|lag| (score(lag, 1), lag)).max_by(|one, other| one.0.total_cmp(&other.0))?;
        (best.0 >= least).then_some(best.1)
    }
}

/// The correlation of pieces with others.
#[derive(Default)]
struct Likeness {
    both: i64,
    first: i64,
    second: i64,
}

impl Likeness {
    /// Count every `step`th sample of these two in.
    fn and(mut self, one: &[i16], other: &[i16], step: usize) -> Self {
        for (&left, &right) in one.iter().zip(other).step_by(step) {
            let (left, right) = (i64::from(left), i64::from(right));
            self.both += left * right;
            self.first += left * left;
            self.second += right * right;
        }
        self
    }

    /// Give it squared; 0 where it is negative.
    #[allow(clippy::cast_precision_loss)]
    fn squared(&self) -> f64 {
        let both = self.both.max(0) as f64;
        both * both / ((self.first + 1) as f64 * (self.second + 1) as f64)
    }
}

/// Append `from` as it goes over into `to`.
fn blend(from: &[i16], to: &[i16], out: &mut Vec<i16>) {
    let total = i32::try_from(from.len()).unwrap_or(i32::MAX - 1) + 1;
    let weighed = from.iter().zip(to).zip(1..);
    out.extend(weighed.map(|((&from, &to), n)| {
        i16::try_from((i32::from(from) * (total - n) + i32::from(to) * n) / total).unwrap_or(0)
    }));
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod tests {
    use super::*;

    /// A voice of four harmonics whose pitch wanders a little.
    fn voice(rate_hz: usize, pitch_hz: f64, samples: usize) -> Vec<i16> {
        let mut phase = 0.0f64;
        let sample = |n: usize| {
            let wander = (std::f64::consts::TAU * 3.0 * n as f64 / rate_hz as f64).sin();
            phase += std::f64::consts::TAU * pitch_hz * (1.0 + 0.002 * wander) / rate_hz as f64;
            let parts = [(1.0, 0.9), (2.0, 0.6), (3.0, 0.4), (5.0, 0.2)];
            (parts.iter().map(|(harmonic, level)| level * (phase * harmonic).sin()).sum::<f64>() * 5000.0) as i16
        };
        (0..samples).map(sample).collect()
    }

    /// Change the length of `pcm` by `percent`, a piece at a time, as a buffer would; give what is heard, and how much
    /// of `pcm` it is made of: a change looks ahead, so the end of it is left.
    fn change(rate_hz: usize, pcm: &[i16], percent: i32) -> (Vec<i16>, usize) {
        let stretch = Stretch::new(rate_hz);
        let (mut out, mut at) = (Vec::new(), 0);
        let piece = rate_hz / 100;
        while at + stretch.reach() + piece < pcm.len() {
            let wanted = (at as f64 * (1.0 + f64::from(percent) / 100.0)) as usize;
            let ahead = &pcm[at..at + stretch.reach()];
            if percent < 0 && out.len() > wanted {
                if let Some(lag) = stretch.shorten(ahead, stretch.reach(), false, &mut out) {
                    at += 2 * lag;
                }
            } else if percent > 0 && out.len() < wanted {
                let past = out[out.len().saturating_sub(stretch.reach())..].to_vec();
                stretch.lengthen(&past, ahead, stretch.reach(), false, false, &mut out);
            }
            out.extend_from_slice(&pcm[at..at + piece]);
            at += piece;
        }
        (out, at)
    }

    /// The period of the last 300 ms, by autocorrelation, in samples and parts of them.
    fn period(rate_hz: usize, pcm: &[i16]) -> f64 {
        let pcm = &pcm[pcm.len() - rate_hz * 3 / 10..];
        let like = |lag: usize| {
            let (one, other) = (&pcm[..pcm.len() - lag], &pcm[lag..]);
            one.iter().zip(other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() / one.len() as f64
        };
        let lags = rate_hz / 400..rate_hz / 66;
        let best = lags.clone().max_by(|&one, &other| like(one).total_cmp(&like(other))).unwrap();
        let (before, at, after) = (like(best - 1), like(best), like(best + 1));
        best as f64 + 0.5 * (before - after) / (before - 2.0 * at + after)
    }

    fn steepest(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn fifteen_percent_either_way_keeps_the_pitch_and_makes_no_click() {
        for rate_hz in [8000, 16_000] {
            for pitch_hz in [92.0, 131.0, 210.0, 317.0] {
                let said = voice(rate_hz, pitch_hz, rate_hz * 3 / 4);
                for percent in [-15, -5, 5, 15] {
                    let (heard, used) = change(rate_hz, &said, percent);
                    let length = heard.len() as f64 / used as f64 - 1.0;
                    let asked = f64::from(percent) / 100.0;
                    assert!((length - asked).abs() < 0.03, "{rate_hz} {pitch_hz} {percent}: {length}");
                    let off = period(rate_hz, &heard) / period(rate_hz, &said) - 1.0;
                    assert!(off.abs() < 0.01, "{rate_hz} {pitch_hz} {percent}: pitch off by {off}");
                    let (before, after) = (steepest(&said), steepest(&heard));
                    assert!(after <= before + before / 4, "{rate_hz} {pitch_hz} {percent}: {before} {after}");
                }
            }
        }
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let said = voice(8000, 120.0, 4000);
        let (heard, used) = change(8000, &said, 0);
        assert_eq!(heard, said[..used]);
        let stretch = Stretch::new(8000);
        let mut out = Vec::new();
        assert_eq!(stretch.shorten(&said, 0, true, &mut out), None);
        assert_eq!(stretch.lengthen(&said, &said, 0, true, false, &mut out), None);
        assert!(out.is_empty());
    }

    #[test]
    fn a_period_is_put_in_before_what_is_shorter_than_it_without_a_click() {
        for rate_hz in [8000, 16_000] {
            let said = voice(rate_hz, 120.0, rate_hz / 5);
            let (past, rest) = said.split_at(rate_hz / 8);
            let past = &past[past.len() - rate_hz / 50..];
            let mut out = past.to_vec();
            let stretch = Stretch::new(rate_hz);
            let lag = stretch.lengthen(past, &rest[..rate_hz / 500], stretch.reach(), false, true, &mut out).unwrap();
            assert!(lag.abs_diff(rate_hz / 120) <= rate_hz / 4000, "{lag}");
            out.extend_from_slice(rest);
            assert!(steepest(&out) <= steepest(&said) * 5 / 4, "{} {}", steepest(&out), steepest(&said));
            assert_eq!(stretch.lengthen(past, &rest[..rate_hz / 4000], lag, false, true, &mut out), None);
        }
    }

    #[test]
    fn what_is_like_nothing_is_left_alone() {
        let mut state = 1u32;
        let noise: Vec<i16> = (0..4000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16
            })
            .collect();
        let stretch = Stretch::new(8000);
        let tried = (0..3700).step_by(100).filter(|&at| {
            let mut out = Vec::new();
            stretch.shorten(&noise[at..at + 240], 120, false, &mut out).is_some()
        });
        assert_eq!(tried.count(), 0);
    }

    #[test]
    fn where_it_is_quiet_any_number_will_do() {
        let quiet: Vec<i16> = (0..400).map(|n| (n % 7) - 3).collect();
        let stretch = Stretch::new(8000);
        let mut out = Vec::new();
        assert_eq!(stretch.shorten(&quiet, 13, true, &mut out), Some(13));
        assert_eq!(stretch.lengthen(&quiet, &quiet, 29, true, false, &mut out), Some(29));
        assert_eq!(out.len(), 42);
    }

    #[test]
    fn any_audio_and_any_lengths_are_taken() {
        let loud = [i16::MIN; 500];
        let stretch = Stretch::new(16_000);
        for length in [0, 1, 2, 39, 40, 79, 80, 81, 242, 500] {
            let mut out = Vec::new();
            let taken = stretch.shorten(&loud[..length], 500, false, &mut out).unwrap_or(0);
            assert!(2 * taken <= length && out.len() == taken);
            let put = stretch.lengthen(&loud, &loud[..length], 500, false, true, &mut out).unwrap_or(0);
            assert!(out.len() == taken + put && out.iter().all(|&sample| sample == i16::MIN));
        }
    }
}
