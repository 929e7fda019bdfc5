//! The gate: is somebody speaking? Cheap, on 8 kHz, in steps of 10 ms; of 16 kHz it hears the lower half.
//!
//! ```text
//! pcm ─► bands (0.1–0.5–1–2–4 kHz) ─► level over its own noise floor ─► score ─► opens ≥ 40 ms ─► closes ≥ 200 ms
//! ```
//!
//! Each band's floor is the minimum of its smoothed level over the last second, so a steady noise of any level and
//! colour scores nothing within a second. It counts received audio, never the clock.

/// Samples in a step, 10 ms.
pub const STEP: usize = 80;
/// Silence after which the gate closes, ms of received audio.
pub const HANGOVER_MS: u32 = 200;

/// Bands in which levels are told, from low to high.
pub const BANDS: usize = 4;
/// Sub-windows of the minimum search, and steps in each.
const WINDOWS: usize = 8;
const WINDOW_STEPS: u32 = 12;
/// Score at which a step is speech while the gate is shut, and while it is open.
const OPEN_SCORE: f32 = 10.0;
const HOLD_SCORE: f32 = 6.0;
/// The caller's own loudness raises both, so that others who talk in the background do not hold the gate.
const OPEN_SHARE: f32 = 0.38;
const HOLD_SHARE: f32 = 0.27;
/// How fast that loudness is learnt, and forgotten (a half in 8 s).
const LEARN: f32 = 0.1;
const FORGET: f32 = 0.999_13;
/// Steps of speech that open the gate, out of the last eight.
const OPEN_STEPS: u32 = 4;
/// The floor of the floor: 16-bit power per sample, about -62 dBov, so that the law's idle noise is silence.
const QUIETEST: f32 = 700.0;
/// What a call begins with is noise up to this, about -46 dBov, and speech above.
const LOUDEST_START: f32 = 27_000.0;
/// How much each band says, low to high, and how many decibels it may say.
const WEIGHTS: [f32; BANDS] = [0.6, 0.6, 0.5, 0.4];
const CAP_DB: f32 = 24.0;

/// What a step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The gate opened; speech began this many samples before the end of the step.
    Opened { ago: u32 },
    /// The gate closed; speech ended this many samples before the end of the step.
    Closed { ago: u32 },
}

/// The state of one stream.
#[derive(Clone, Debug)]
pub struct Gate {
    /// From 16 kHz to 8.
    wide: Split,
    filters: Filters,
    /// Levels of the last step, power.
    levels: [f32; BANDS],
    smoothed: [f32; BANDS],
    minima: [[f32; BANDS]; WINDOWS],
    floor: [f32; BANDS],
    /// The score of the caller's louder steps of late.
    loudness: f32,
    steps: u32,
    open: bool,
    /// The last steps, newest in the lowest bit: speech or not.
    recent: u32,
    /// Samples since the last step of speech while open.
    silence: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            wide: Split::default(),
            filters: Filters::default(),
            levels: [QUIETEST; BANDS],
            smoothed: [QUIETEST; BANDS],
            minima: [[f32::MAX; BANDS]; WINDOWS],
            floor: [QUIETEST; BANDS],
            loudness: 0.0,
            steps: 0,
            open: false,
            recent: 0,
            silence: 0,
        }
    }
}

impl Gate {
    /// Whether somebody is speaking.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Samples of silence that have been counted towards the close.
    #[must_use]
    pub fn silence(&self) -> u32 {
        self.silence
    }

    /// Take one step of audio at 8 kHz ([`STEP`] samples, fewer only at the end of a packet of odd length).
    /// `hidden`: what our own echo may hide, dB by band.
    pub fn push(&mut self, pcm: &[i16], hidden: Option<&[f32; BANDS]>) -> Option<Edge> {
        let mut step = [0.0; STEP];
        let length = pcm.len().min(STEP);
        for (slot, &sample) in step.iter_mut().zip(pcm) {
            *slot = f32::from(sample);
        }
        self.take(&step[..length], hidden)
    }

    /// Take one step at 16 kHz, of twice as many samples. Edges are told in samples at 8 kHz all the same.
    pub fn push_wide(&mut self, pcm: &[i16], hidden: Option<&[f32; BANDS]>) -> Option<Edge> {
        let (mut whole, mut low, mut high) = ([0.0; 2 * STEP], [0.0; STEP], [0.0; STEP]);
        let length = pcm.len().min(2 * STEP);
        for (slot, &sample) in whole.iter_mut().zip(pcm) {
            *slot = f32::from(sample);
        }
        let half = self.wide.run(&whole[..length], &mut low, &mut high);
        self.take(&low[..half], hidden)
    }

    fn take(&mut self, step: &[f32], hidden: Option<&[f32; BANDS]>) -> Option<Edge> {
        let score = self.score(step, hidden);
        self.decide(score, u32::try_from(step.len()).unwrap_or(0))
    }

    /// Take `samples` of known silence (comfort noise, a key being pressed) without moving the noise floor.
    pub fn hush(&mut self, samples: u32) -> Option<Edge> {
        self.decide(0.0, samples)
    }

    /// What opened the gate was no speech: shut it.
    pub fn shut(&mut self) -> Option<Edge> {
        (self.recent, self.loudness) = (0, 0.0);
        std::mem::take(&mut self.open).then_some(Edge::Closed { ago: self.silence })
    }

    /// The levels of the last step, and the noise below them, dB by band.
    #[must_use]
    pub fn levels(&self) -> ([f32; BANDS], [f32; BANDS]) {
        (self.levels.map(decibels), self.floor.map(decibels))
    }

    fn decide(&mut self, score: f32, length: u32) -> Option<Edge> {
        let needed = if self.open {
            HOLD_SCORE.max(HOLD_SHARE * self.loudness)
        } else {
            OPEN_SCORE.max(OPEN_SHARE * self.loudness)
        };
        let speech = score >= needed;
        self.loudness *= FORGET;
        if score > self.loudness {
            self.loudness += LEARN * (score - self.loudness);
        }
        self.recent = (self.recent << 1 | u32::from(speech)) & 0xFF;
        if !self.open {
            if speech && self.recent.count_ones() >= OPEN_STEPS {
                self.open = true;
                self.silence = 0;
                let first = 8 - (self.recent.leading_zeros() - 24);
                return Some(Edge::Opened { ago: first * length });
            }
            return None;
        }
        if speech {
            self.silence = 0;
            return None;
        }
        self.silence += length;
        if self.silence < HANGOVER_MS * 8 {
            return None;
        }
        self.open = false;
        self.recent = 0;
        Some(Edge::Closed { ago: self.silence })
    }

    /// How much the step is above the noise, in weighted decibels.
    fn score(&mut self, step: &[f32], hidden: Option<&[f32; BANDS]>) -> f32 {
        let levels = self.filters.levels(step);
        self.levels = levels;
        let mut score = 0.0;
        let window = (self.steps / WINDOW_STEPS) as usize % WINDOWS;
        let fresh = self.steps.is_multiple_of(WINDOW_STEPS);
        for band in 0..BANDS {
            let level = levels[band];
            let pace = if self.steps == 0 { 1.0 } else { 0.4 };
            self.smoothed[band] += pace * (level - self.smoothed[band]);
            let smoothed = self.smoothed[band];
            let least = &mut self.minima[window][band];
            *least = if fresh { smoothed } else { least.min(smoothed) };
            // The minimum lies below the mean of a noise: 1.6 is the share by which it does.
            let floor = self.minima.iter().map(|minima| minima[band]).fold(f32::MAX, f32::min) * 1.6;
            let most = if self.steps < WINDOW_STEPS * 8 { LOUDEST_START } else { f32::MAX };
            self.floor[band] = floor.clamp(QUIETEST, most);
            let mut over = decibels(level / self.floor[band]);
            if let Some(hidden) = hidden {
                over = over.min(decibels(level) - hidden[band]);
            }
            score += WEIGHTS[band] * over.clamp(0.0, CAP_DB);
        }
        self.steps = self.steps.wrapping_add(1);
        score
    }
}

/// What the four bands are split by.
#[derive(Clone, Debug, Default)]
struct Filters {
    splits: [Split; 3],
    high_pass: (f32, f32),
}

impl Filters {
    /// Mean power per band.
    fn levels(&mut self, step: &[f32]) -> [f32; BANDS] {
        let count = step.len() & !7;
        let (mut low, mut high) = ([0.0; STEP / 2], [0.0; STEP / 2]);
        let half = self.splits[0].run(&step[..count], &mut low, &mut high);
        let four = power(&high[..half]);
        let (mut lower, mut upper) = ([0.0; STEP / 4], [0.0; STEP / 4]);
        let quarter = self.splits[1].run(&low[..half], &mut lower, &mut upper);
        let three = power(&upper[..quarter]);
        let (mut lowest, mut second) = ([0.0; STEP / 8], [0.0; STEP / 8]);
        let eighth = self.splits[2].run(&lower[..quarter], &mut lowest, &mut second);
        for slot in &mut lowest[..eighth] {
            // The lowest band runs at 1 kHz by now; a pole at 0.66 takes out what hums below 100 Hz.
            let input = *slot;
            let output = input - self.high_pass.0 + 0.66 * self.high_pass.1;
            self.high_pass = (input, output);
            *slot = output;
        }
        [power(&lowest[..eighth]), power(&second[..eighth]), three, four]
    }
}

/// The levels of a stream that is not listened to.
#[derive(Clone, Debug, Default)]
pub struct Bands(Filters);

impl Bands {
    /// The levels of one step at 8 kHz, dB by band.
    pub fn of(&mut self, pcm: &[i16]) -> [f32; BANDS] {
        let mut step = [0.0; STEP];
        let length = pcm.len().min(STEP);
        for (slot, &sample) in step.iter_mut().zip(pcm) {
            *slot = f32::from(sample);
        }
        self.0.levels(&step[..length]).map(|level| decibels(level.max(QUIETEST)))
    }
}

fn power(samples: &[f32]) -> f32 {
    #[allow(clippy::cast_precision_loss)]
    let count = samples.len().max(1) as f32;
    samples.iter().map(|sample| sample * sample).sum::<f32>() / count
}

/// Ten times the decimal logarithm, by the bits of the float: within 0.1 dB and far cheaper than the exact one.
fn decibels(ratio: f32) -> f32 {
    let bits = ratio.max(1e-9).to_bits();
    #[allow(clippy::cast_precision_loss)]
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits((bits & 0x007F_FFFF) | 0x3F80_0000) - 1.0;
    3.0103 * (exponent + mantissa * (1.3465 - 0.3465 * mantissa))
}

/// From 16 kHz to 8: the low halves, for what listens at 8 kHz and is not delicate.
#[derive(Clone, Debug, Default)]
pub struct Halves {
    split: Split,
    low: Vec<i16>,
}

impl Halves {
    /// The lower half of `pcm`, at half its rate.
    pub fn of(&mut self, pcm: &[i16]) -> &[i16] {
        self.low.clear();
        let (mut whole, mut low, mut high) = ([0.0; 2 * STEP], [0.0; STEP], [0.0; STEP]);
        for step in pcm.chunks(2 * STEP) {
            for (slot, &sample) in whole.iter_mut().zip(step) {
                *slot = f32::from(sample);
            }
            let half = self.split.run(&whole[..step.len()], &mut low, &mut high);
            #[allow(clippy::cast_possible_truncation)] // A float to integer cast saturates.
            self.low.extend(low[..half].iter().map(|&sample| sample.round() as i16));
        }
        &self.low
    }
}

/// A half-band split: two all-pass branches whose sum is the low half and whose difference is the high half, each
/// at half the rate.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    even: f32,
    odd: f32,
}

impl Split {
    const EVEN: f32 = 0.16;
    const ODD: f32 = 0.64;

    fn run(&mut self, input: &[f32], low: &mut [f32], high: &mut [f32]) -> usize {
        let mut count = 0;
        for pair in input.chunks_exact(2) {
            let even = Self::all_pass(pair[1], Self::EVEN, &mut self.even);
            let odd = Self::all_pass(pair[0], Self::ODD, &mut self.odd);
            low[count] = 0.5 * (even + odd);
            high[count] = 0.5 * (even - odd);
            count += 1;
        }
        count
    }

    fn all_pass(input: f32, coefficient: f32, state: &mut f32) -> f32 {
        let output = *state + coefficient * input;
        *state = input - coefficient * output;
        output
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
mod tests {
    use super::*;

    /// Noise of a flat colour with a peak of `peak`, or a buzz with harmonics, like a vowel.
    fn noise(steps: usize, peak: i32, seed: &mut u32) -> Vec<i16> {
        (0..steps * STEP)
            .map(|_| {
                *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((*seed >> 16) as i32 * 2 * peak / 65536 - peak) as i16
            })
            .collect()
    }

    fn vowel(steps: usize) -> Vec<i16> {
        (0..steps * STEP)
            .map(|n| {
                let time = n as f64 / 8000.0;
                let sound: f64 = (1..12).map(|k| (std::f64::consts::TAU * 120.0 * f64::from(k) * time).sin()).sum();
                (sound * 600.0 * (1.0 + (std::f64::consts::TAU * 4.0 * time).sin()) / 2.0) as i16
            })
            .collect()
    }

    fn edges(gate: &mut Gate, pcm: &[i16]) -> Vec<(usize, Edge)> {
        pcm.chunks(STEP).enumerate().filter_map(|(n, step)| Some((n, gate.push(step, None)?))).collect()
    }

    #[test]
    fn silence_and_steady_noise_are_not_speech() {
        let mut seed = 1;
        for peak in [0, 8, 300, 3000] {
            let mut gate = Gate::default();
            edges(&mut gate, &noise(200, peak, &mut seed));
            let later = edges(&mut gate, &noise(1000, peak, &mut seed));
            assert!(later.is_empty() && !gate.is_open(), "peak {peak}: {later:?}");
        }
    }

    #[test]
    fn speech_opens_soon_and_closes_after_the_hangover() {
        let mut seed = 2;
        let mut gate = Gate::default();
        edges(&mut gate, &noise(150, 100, &mut seed));
        let opened = edges(&mut gate, &vowel(60));
        assert!(matches!(opened[..], [(0..=9, Edge::Opened { .. })]), "{opened:?}");
        let closed = edges(&mut gate, &noise(60, 100, &mut seed));
        let [(step, Edge::Closed { ago })] = closed[..] else { panic!("{closed:?}") };
        assert!((19..30).contains(&step), "closed after {step} steps");
        assert_eq!(ago, HANGOVER_MS * 8);
    }

    #[test]
    fn known_silence_closes_the_gate() {
        let mut seed = 3;
        let mut gate = Gate::default();
        edges(&mut gate, &noise(150, 100, &mut seed));
        edges(&mut gate, &vowel(60));
        assert!(gate.is_open());
        assert_eq!(gate.hush(800), None);
        assert_eq!(gate.hush(800), Some(Edge::Closed { ago: 1600 }));
    }
}
