//! Concealment of lost audio, simple: the last pitch period, repeated and faded.
//!
//! ```text
//! heard ──────────┬─ period ─┐┌─ period ─┐┌─ period ─┐ ┌── heard again
//!                            └┘          └┘  fading  └─┘ crossfade, 5 ms
//! ```
//!
//! The first 10 ms stand, then 1/5 is taken off every 10 ms: after 60 ms there is silence. Nothing is delayed: the
//! good audio passes through unchanged but for the crossfade behind a hole.

/// All in samples at 8 kHz; at 16 kHz there are twice as many.
/// History to find a pitch in: the longest lag and a template before it.
const HISTORY: usize = 280;
/// Pitch lags, 66 to 200 Hz at 8 kHz, as in G.711 appendix I.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
const TEMPLATE: usize = 160;
/// Crossfade at the seam of two periods and after a hole, in samples.
const SEAM: usize = 40;
const FULL: usize = 80;
const SILENT: usize = 480;

/// The state of one stream.
#[derive(Debug)]
pub struct Conceal {
    /// Samples a sample at 8 kHz.
    width: usize,
    history: Vec<i16>,
    /// One period to repeat, with its seam already blended. Empty while nothing is lost.
    period: Vec<i16>,
    /// Samples made up since the last good one.
    made: usize,
}

impl Default for Conceal {
    fn default() -> Self {
        Self::new(crate::codec::NARROW)
    }
}

impl Conceal {
    /// For a stream at 8 or 16 kHz.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let width = if rate_hz > crate::codec::NARROW { 2 } else { 1 };
        Self { width, history: vec![0; HISTORY * width], period: Vec::new(), made: 0 }
    }

    /// Good audio: remember it, and blend its first samples with what was made up before it.
    pub fn hear(&mut self, pcm: &mut [i16]) {
        if self.made > 0 {
            let blend = (SEAM * self.width).min(pcm.len());
            for (n, sample) in pcm[..blend].iter_mut().enumerate() {
                let made = self.next();
                *sample = mix(made, *sample, n + 1, blend + 1);
            }
            self.made = 0;
            self.period.clear();
        }
        self.remember(pcm);
    }

    /// Append `samples` of made-up audio to `pcm`.
    pub fn fill(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        if self.made == 0 {
            self.find_period();
        }
        let from = pcm.len();
        for _ in 0..samples {
            let sample = self.next();
            pcm.push(sample);
        }
        self.remember_from(&pcm[from..]);
    }

    fn next(&mut self) -> i16 {
        let Some(&sample) = self.period.get(self.made % self.period.len().max(1)) else {
            return 0;
        };
        let gain = gain(self.made / self.width);
        self.made += 1;
        scale(sample, gain)
    }

    fn find_period(&mut self) {
        let lag = self.best_lag();
        let end = self.history.len();
        self.period.extend_from_slice(&self.history[end - lag..]);
        // The end of the period runs into its beginning: blend it with what came a period earlier.
        let blend = (lag / 4).min(SEAM * self.width);
        for n in 0..blend {
            let earlier = self.history[end - lag - blend + n];
            let at = lag - blend + n;
            self.period[at] = mix(self.period[at], earlier, n + 1, blend + 1);
        }
    }

    /// The lag at which the end of the history is most like what came before it.
    fn best_lag(&self) -> usize {
        let mut best = (f64::MIN, LONGEST * self.width);
        for lag in SHORTEST * self.width..=LONGEST * self.width {
            let found = if self.width == 1 { self.score::<2>(lag) } else { self.score::<4>(lag) };
            if found > best.0 {
                best = (found, lag);
            }
        }
        best.1
    }

    /// How alike, by every so manieth sample.
    #[allow(clippy::cast_precision_loss)]
    fn score<const STEP: usize>(&self, lag: usize) -> f64 {
        let (end, length) = (self.history.len(), TEMPLATE * STEP / 2);
        let template = &self.history[end - length..];
        let shifted = &self.history[end - length - lag..end - lag];
        let (mut like, mut energy) = (0i64, 1i64);
        for (&left, &right) in template.iter().zip(shifted).step_by(STEP) {
            like += i64::from(left) * i64::from(right);
            energy += i64::from(right) * i64::from(right);
        }
        like as f64 / (energy as f64).sqrt()
    }

    fn remember(&mut self, pcm: &[i16]) {
        self.remember_from(pcm);
    }

    fn remember_from(&mut self, pcm: &[i16]) {
        let all = self.history.len();
        let keep = pcm.len().min(all);
        self.history.copy_within(keep.., 0);
        self.history[all - keep..].copy_from_slice(&pcm[pcm.len() - keep..]);
    }
}

/// Gain after `made` samples, in 1/4096.
fn gain(made: usize) -> i32 {
    if made < FULL {
        return 4096;
    }
    if made >= SILENT {
        return 0;
    }
    i32::try_from((SILENT - made) * 4096 / (SILENT - FULL)).unwrap_or(0)
}

fn scale(sample: i16, gain: i32) -> i16 {
    i16::try_from((i32::from(sample) * gain) >> 12).unwrap_or(0)
}

/// `from` at weight `total - n`, `to` at weight `n`.
fn mix(from: i16, to: i16, n: usize, total: usize) -> i16 {
    let (n, total) = (i32::try_from(n).unwrap_or(1), i32::try_from(total).unwrap_or(1));
    i16::try_from((i32::from(from) * (total - n) + i32::from(to) * n) / total).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    fn tone(samples: std::ops::Range<usize>) -> Vec<i16> {
        samples.map(|n| ((std::f64::consts::TAU * 125.0 * n as f64 / 8000.0).sin() * 8000.0) as i16).collect()
    }

    #[test]
    fn without_loss_nothing_changes() {
        let mut conceal = Conceal::default();
        let mut frame = tone(0..160);
        conceal.hear(&mut frame);
        assert_eq!(frame, tone(0..160));
    }

    #[test]
    fn a_steady_tone_goes_on_through_the_hole() {
        let mut conceal = Conceal::default();
        conceal.hear(&mut tone(0..800));
        let mut made = Vec::new();
        conceal.fill(80, &mut made);
        let worst = made.iter().zip(tone(800..880)).map(|(&a, b)| (i32::from(a) - i32::from(b)).abs()).max();
        assert!(worst < Some(400), "{worst:?}");
        let mut after = tone(880..1040);
        conceal.hear(&mut after);
        assert_eq!(after[SEAM..], tone(880 + SEAM..1040)[..]);
    }

    #[test]
    fn a_long_hole_fades_to_silence() {
        let mut conceal = Conceal::default();
        conceal.hear(&mut tone(0..800));
        let mut made = Vec::new();
        for _ in 0..4 {
            conceal.fill(160, &mut made);
        }
        let peak = |pcm: &[i16]| pcm.iter().map(|&sample| i32::from(sample).abs()).max().unwrap_or(0);
        assert!(peak(&made[..160]) > 6000);
        assert!(peak(&made[400..480]) < 2000);
        assert_eq!(peak(&made[480..]), 0);
    }

    #[test]
    fn a_hole_before_any_audio_is_silence() {
        let mut made = Vec::new();
        Conceal::default().fill(160, &mut made);
        assert_eq!(made, [0; 160]);
    }
}
