//! Sample rate conversion between 8, 16, 22.05, 24 and 48 kHz, streaming.
//!
//! A windowed-sinc low-pass, kept as one short filter per output phase: rate `L/M` in lowest terms has `L` phases.
//! The filter's own delay is taken out: the first output sample belongs to the first input sample, and `finish`
//! gives the tail, so n input samples make n·L/M output samples and a stretch of speech keeps its length.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The rates that are converted from or to.
pub const RATES: [u32; 5] = [8000, 16000, 22050, 24000, 48000];

/// Half the filter's length, in samples of the lower of the two rates.
const HALF: usize = 14;
/// Where the pass band ends, as a share of the lower rate's Nyquist frequency.
const PASS: f64 = 0.94;

/// Convert a stretch of audio that stands alone; as it is where a rate is not one of [`RATES`].
#[must_use]
pub fn convert(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let mut out = Vec::new();
    match Resampler::new(from_hz, to_hz).filter(|_| from_hz != to_hz) {
        Some(mut resampler) => {
            resampler.push(pcm, &mut out);
            resampler.finish(&mut out);
        }
        None => out.extend_from_slice(pcm),
    }
    out
}

/// The filters of one pair of rates, shared by all streams between them.
#[derive(Debug)]
struct Bank {
    up: usize,
    down: usize,
    taps: usize,
    /// `up` filters of `taps`, reversed so that they meet the history in order.
    filters: Vec<f32>,
}

/// A stream from one rate to another.
#[derive(Debug)]
pub struct Resampler {
    bank: Arc<Bank>,
    /// The last `taps - 1` input samples, and what came since.
    history: Vec<f32>,
    /// Position of the next output sample, in 1/up of an input sample, from the start of `history`.
    position: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A stream from `from_hz` to `to_hz`; None where a rate is not one of [`RATES`].
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        if !RATES.contains(&from_hz) || !RATES.contains(&to_hz) {
            return None;
        }
        let bank = bank(from_hz, to_hz);
        // With half a filter of silence before the first sample, output 0 is centred on input 0.
        let before = bank.taps / 2;
        Some(Self { history: vec![0.0; before], position: 0, taken: 0, given: 0, bank })
    }

    /// The same, None where there is nothing to convert.
    #[must_use]
    pub fn between(from_hz: u32, to_hz: u32) -> Option<Self> {
        if from_hz == to_hz {
            None
        } else {
            Self::new(from_hz, to_hz)
        }
    }

    /// The same, for packets: every push gives its n·L/M samples, and what goes in comes out half a filter later.
    #[must_use]
    pub fn steady(from_hz: u32, to_hz: u32) -> Option<Self> {
        let mut resampler = Self::new(from_hz, to_hz)?;
        resampler.history = vec![0.0; resampler.bank.taps - 1];
        Some(resampler)
    }

    /// Take samples, append those that are ready to `out`.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.taken += pcm.len() as u64;
        self.history.extend(pcm.iter().map(|&sample| f32::from(sample)));
        self.run(out, u64::MAX);
    }

    /// Append the tail that the filter still holds. The stream is over; the next sample begins a new one.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        let wanted = (self.taken * self.bank.up as u64).div_ceil(self.bank.down as u64);
        let silence = self.bank.taps + 1;
        self.history.resize(self.history.len() + silence, 0.0);
        self.run(out, wanted);
        self.history.clear();
        self.history.resize(self.bank.taps / 2, 0.0);
        (self.position, self.taken, self.given) = (0, 0, 0);
    }

    fn run(&mut self, out: &mut Vec<i16>, limit: u64) {
        let Bank { up, down, taps, ref filters } = *self.bank;
        while self.given < limit {
            let (first, phase) = (self.position / up, self.position % up);
            let Some(window) = self.history.get(first..first + taps) else {
                break;
            };
            let filter = &filters[phase * taps..(phase + 1) * taps];
            let sum: f32 = dot(window, filter);
            #[allow(clippy::cast_possible_truncation)] // A float to integer cast saturates.
            out.push(sum.round() as i16);
            self.given += 1;
            self.position += down;
        }
        let spent = (self.position / up).min(self.history.len());
        self.history.drain(..spent);
        self.position -= spent * up;
    }
}

/// A dot product in eight lanes, which the compiler keeps in vector registers.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (left, right) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    lanes.iter().sum()
}

fn bank(from_hz: u32, to_hz: u32) -> Arc<Bank> {
    static BANKS: Mutex<BTreeMap<(u32, u32), Arc<Bank>>> = Mutex::new(BTreeMap::new());
    let mut banks = BANKS.lock().unwrap_or_else(PoisonError::into_inner);
    banks.entry((from_hz, to_hz)).or_insert_with(|| Arc::new(design(from_hz, to_hz))).clone()
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small numbers.
fn design(from_hz: u32, to_hz: u32) -> Bank {
    let shared = gcd(from_hz, to_hz);
    let (up, down) = ((to_hz / shared) as usize, (from_hz / shared) as usize);
    let lower = f64::from(from_hz.min(to_hz));
    // Cut-off and width on the scale of the input rate.
    let cutoff = PASS * lower / f64::from(from_hz);
    let half = (HALF as f64 * f64::from(from_hz) / lower).ceil() as usize;
    let taps = (2 * half).next_multiple_of(8);
    let middle = (taps / 2) as f64;
    let mut filters = Vec::with_capacity(up * taps);
    for phase in 0..up {
        let offset = phase as f64 / up as f64;
        let weights: Vec<f64> = (0..taps)
            .map(|tap| {
                let x = tap as f64 - middle - offset;
                sinc(cutoff * x) * kaiser(x / (middle + 1.0))
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        filters.extend(weights.iter().map(|weight| (weight / sum) as f32));
    }
    Bank { up, down, taps, filters }
}

fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if angle.abs() < 1e-9 {
        1.0
    } else {
        angle.sin() / angle
    }
}

/// Kaiser's window with some 60 dB of stop band, for x in -1 to 1.
fn kaiser(x: f64) -> f64 {
    const BETA: f64 = 6.0;
    if x.abs() >= 1.0 {
        return 0.0;
    }
    bessel(BETA * (1.0 - x * x).sqrt()) / bessel(BETA)
}

fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while term > 1e-10 * sum {
        term *= (x / (2.0 * n)) * (x / (2.0 * n));
        sum += term;
        n += 1.0;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..samples).map(|n| ((step * n as f64).sin() * 8000.0) as i16).collect()
    }

    fn convert(from: u32, to: u32, pcm: &[i16], piece: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to).expect("a known pair");
        let mut out = Vec::new();
        for piece in pcm.chunks(piece) {
            resampler.push(piece, &mut out);
        }
        resampler.finish(&mut out);
        out
    }

    #[test]
    fn a_tone_keeps_its_phase_level_and_length() {
        for from in RATES {
            for to in RATES {
                let pcm = tone(1000.0, from, from as usize / 2);
                let out = convert(from, to, &pcm, 441);
                let expected = tone(1000.0, to, to as usize / 2);
                assert_eq!(out.len(), expected.len(), "{from} to {to}");
                let inner = 200..expected.len() - 200;
                let worst = inner.map(|n| (i32::from(out[n]) - i32::from(expected[n])).abs()).max().unwrap_or(0);
                assert!(worst < 60, "{from} to {to}: {worst}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        for from in [16000, 22050, 24000] {
            let out = convert(from, 8000, &tone(5500.0, from, from as usize / 2), 480);
            let peak = out[200..3600].iter().map(|&sample| i32::from(sample).abs()).max().unwrap_or(0);
            assert!(peak < 30, "{from}: {peak}");
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let pcm = tone(440.0, 22050, 5000);
        let whole = convert(22050, 8000, &pcm, 5000);
        for piece in [1, 7, 160, 441] {
            assert_eq!(convert(22050, 8000, &pcm, piece), whole);
        }
    }

    #[test]
    fn other_rates_are_refused() {
        assert!(Resampler::new(44100, 8000).is_none());
        assert!(Resampler::new(8000, 0).is_none());
    }
}
