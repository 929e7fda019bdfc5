//! Gain for callers who are hardly heard, for who listens to them. The gate, the echo's ear and the tape hear what came.
//!
//! ```text
//! the gate's speech ─► level of the last second of it ─► what it lacks to −23 dBov: 0 to 20 dB, 15 dB a second up
//! what is told ─► that much louder while somebody speaks, as it is between ─► never beyond full scale
//! ```
//!
//! It is learnt from speech alone, so that no pause and no noise is ever turned up to a voice.

use crate::energy::energy;
use crate::pipeline::Stage;

/// How loud speech shall be, as mean power of 16-bit samples: −23 dBov.
const WANTED: f32 = 32_768.0 * 32_768.0 * 0.005_011_872;
/// The most that is added, dB: noise 40 dB below such a voice is still out of the way.
const MOST_DB: f32 = 20.0;
/// Steps of 10 ms: so many of speech must be known before anything is done, and so many are remembered.
const KNOWN_LEAST: f32 = 10.0;
const WINDOW: f32 = 100.0;
/// What a step of speech changes at most, dB. A shout must not wait.
const STEP_UP_DB: f32 = 0.15;
const STEP_DOWN_DB: f32 = 0.4;
/// How the gain moves where speech begins and ends, dB a second: within 20 ms, and 100 ms.
const OPEN_DB: f32 = 1000.0;
const CLOSE_DB: f32 = 200.0;

/// The gain of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Gain {
    /// Mean power of the speech of late, and of how many steps, up to [`WINDOW`].
    level: f32,
    steps: f32,
    wanted_db: f32,
    /// What is applied at the moment.
    now: f32,
}

impl Default for Gain {
    fn default() -> Self {
        Self { level: 0.0, steps: 0.0, wanted_db: 0.0, now: 1.0 }
    }
}

impl Gain {
    /// Learn from 10 ms in which somebody speaks, as they came.
    #[allow(clippy::cast_precision_loss)]
    pub fn learn(&mut self, step: &[i16]) {
        if step.is_empty() {
            return;
        }
        self.steps = (self.steps + 1.0).min(WINDOW);
        self.level += (energy(step) / step.len() as f32 - self.level) / self.steps;
        if self.steps >= KNOWN_LEAST {
            let lacks = (10.0 * (WANTED / self.level.max(1.0)).log10()).clamp(0.0, MOST_DB);
            self.wanted_db += (lacks - self.wanted_db).clamp(-STEP_DOWN_DB, STEP_UP_DB);
        }
    }

    /// What is told next does not follow what was told last.
    pub fn rest(&mut self) {
        self.now = 1.0;
    }

    /// Make what is told louder; `speech`: somebody speaks in it.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // A float to integer cast saturates.
    pub fn apply(&mut self, pcm: &mut [i16], rate_hz: u32, speech: bool) {
        if self.wanted_db <= 0.0 && self.now <= 1.0 {
            return;
        }
        let (open, close) = (factor(OPEN_DB / rate_hz as f32), factor(-CLOSE_DB / rate_hz as f32));
        for step in pcm.chunks_mut((rate_hz / 100) as usize) {
            let peak = step.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
            let most = (f32::from(i16::MAX) / f32::from(peak.max(1))).max(1.0);
            let mut wanted = if speech { factor(self.wanted_db) } else { 1.0 };
            if wanted > most {
                // It comes back as slowly as it came.
                wanted = most;
                self.wanted_db = 20.0 * most.log10();
            }
            let mut now = self.now.min(most);
            for sample in step {
                now = if now < wanted { (now * open).min(wanted) } else { (now * close).max(wanted) };
                *sample = (f32::from(*sample) * now).round() as i16;
            }
            self.now = now;
        }
    }
}

fn factor(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// The gain behind the gate.
#[must_use]
pub fn stage() -> Stage {
    Stage::last("gain (speech to -23 dBov, at most +20 dB)")
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    fn tone(level_db: f32, rate_hz: u32, ms: u32) -> Vec<i16> {
        let peak = 32_768.0 * factor(level_db) * std::f32::consts::SQRT_2;
        (0..rate_hz / 1000 * ms)
            .map(|n| ((n as f32 * 350.0 / rate_hz as f32 * std::f32::consts::TAU).sin() * peak) as i16)
            .collect()
    }

    fn level_db(pcm: &[i16]) -> f32 {
        10.0 * (energy(pcm) / pcm.len() as f32 / 32_768.0f32.powi(2)).log10()
    }

    fn heard(gain: &mut Gain, pcm: &[i16], rate_hz: u32, speech: bool) -> Vec<i16> {
        let mut all = Vec::new();
        for packet in pcm.chunks((rate_hz / 50) as usize) {
            if speech {
                packet.chunks((rate_hz / 100) as usize).for_each(|step| gain.learn(step));
            }
            let mut told = packet.to_vec();
            gain.apply(&mut told, rate_hz, speech);
            all.extend(told);
        }
        all
    }

    #[test]
    fn quiet_speech_comes_to_its_level_within_two_seconds_and_no_further_than_20_db() {
        for rate_hz in [8000, 16_000] {
            for (level, reached) in [(-40.0, -23.0), (-30.0, -23.0), (-50.0, -30.0), (-60.0, -40.0)] {
                let mut gain = Gain::default();
                let told = heard(&mut gain, &tone(level, rate_hz, 3000), rate_hz, true);
                let after = &told[2 * rate_hz as usize..];
                assert!((level_db(after) - reached).abs() < 0.5, "{level} at {rate_hz}: {}", level_db(after));
            }
        }
    }

    #[test]
    fn loud_speech_is_told_bit_by_bit() {
        for level in [-23.0, -12.0, -3.1] {
            let pcm = tone(level + 0.1, 8000, 2000);
            assert_eq!(heard(&mut Gain::default(), &pcm, 8000, true), pcm, "{level}");
        }
    }

    #[test]
    fn what_is_no_speech_is_told_as_it_is_once_the_last_word_is_over() {
        let mut gain = Gain::default();
        heard(&mut gain, &tone(-40.0, 8000, 3000), 8000, true);
        let noise = tone(-60.0, 8000, 1000);
        let told = heard(&mut gain, &noise, 8000, false);
        assert_eq!(told[800..], noise[800..]);
        assert!(gain.wanted_db > 16.0, "the next word is as loud as the last one");
        let word = heard(&mut gain, &tone(-40.0, 8000, 60), 8000, true);
        assert!((level_db(&word[160..]) + 23.0).abs() < 0.5);
    }

    #[test]
    fn a_shout_behind_quiet_speech_is_not_cut_off() {
        let mut gain = Gain::default();
        heard(&mut gain, &tone(-43.0, 8000, 4000), 8000, true);
        let shout = tone(-6.0, 8000, 500);
        let told = heard(&mut gain, &shout, 8000, true);
        // A wave that is cut off stands at its top for several samples.
        let top = told.windows(4).filter(|four| four.iter().all(|sample| sample.unsigned_abs() >= 32_767)).count();
        assert_eq!(top, 0);
        assert!(gain.wanted_db < 7.0, "{}", gain.wanted_db);
    }
}
