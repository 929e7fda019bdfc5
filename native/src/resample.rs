//! Sample rate conversion between 8, 16, 22.05, 24 and 48 kHz, streaming.
//!
//! A windowed-sinc low-pass, kept as one short filter per output phase: rate `L/M` in lowest terms has `L` phases.
//! Up to 0.85 of the lower rate's Nyquist frequency (3.4 kHz where one side is a telephone) it passes within 0.3 dB; what
//! lies above that frequency, an image or an alias, comes out 65 dB quieter or more, for every pair of rates.
//! The filter's own delay is taken out: the first output sample belongs to the first input sample, and `finish`
//! gives the tail, so n input samples make n·L/M output samples and a stretch of speech keeps its length. Only between
//! packets it stays ([`Resampler::steady`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The rates that are converted from or to.
pub const RATES: [u32; 5] = [8000, 16000, 22050, 24000, 48000];

/// Half the filter's length, in samples of the lower of the two rates.
const HALF: usize = 24;
/// The middle of the filter's edge, as a share of the lower rate's Nyquist frequency: it is over at 1.
const EDGE: f64 = 0.91;

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
    /// Where the next output sample's window begins in `history`, and its phase.
    first: usize,
    phase: usize,
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
        Some(Self { history: vec![0.0; before], first: 0, phase: 0, taken: 0, given: 0, bank })
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

    /// The same, for packets: every push gives its n·L/M samples, and what goes in comes out 23 samples of the lower rate
    /// later (up to 26 where that makes the filter whole), 2.9 ms where one side is at 8 kHz.
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
        (self.first, self.phase, self.taken, self.given) = (0, 0, 0, 0);
    }

    fn run(&mut self, out: &mut Vec<i16>, limit: u64) {
        let Bank { up, down, taps, ref filters } = *self.bank;
        // What an output sample is further than the one before it.
        let (whole, part) = (down / up, down % up);
        out.reserve(self.history.len() * up / down);
        while self.given < limit {
            let Some(window) = self.history.get(self.first..self.first + taps) else {
                break;
            };
            let filter = &filters[self.phase * taps..(self.phase + 1) * taps];
            let sum: f32 = dot(window, filter);
            // To the nearest, without a call for it; the cast saturates.
            #[allow(clippy::cast_possible_truncation)]
            out.push((sum + 0.5f32.copysign(sum)) as i16);
            self.given += 1;
            self.first += whole;
            self.phase += part;
            if self.phase >= up {
                self.phase -= up;
                self.first += 1;
            }
        }
        let spent = self.first.min(self.history.len());
        self.history.drain(..spent);
        self.first -= spent;
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
    let cutoff = EDGE * lower / f64::from(from_hz);
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

/// Kaiser's window with some 68 dB of stop band, for x in -1 to 1.
fn kaiser(x: f64) -> f64 {
    const BETA: f64 = 6.5;
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

    /// What the filters of a pair do to a frequency, dB, worked out from their weights: all phases together are one
    /// filter at `up` times the input's rate.
    fn response_db(bank: &Bank, from: u32, hz: f64) -> f64 {
        let step = std::f64::consts::TAU * hz / (bank.up as f64 * f64::from(from));
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (at, &weight) in bank.filters.iter().enumerate() {
            let (phase, tap) = (at / bank.taps, at % bank.taps);
            let angle = step * (tap * bank.up) as f64 - step * phase as f64;
            real += f64::from(weight) * angle.cos();
            imaginary += f64::from(weight) * angle.sin();
        }
        20.0 * (real.hypot(imaginary) / bank.up as f64).max(1e-9).log10()
    }

    fn pairs() -> impl Iterator<Item = (u32, u32)> {
        RATES.into_iter().flat_map(|from| RATES.map(|to| (from, to))).filter(|(from, to)| from != to)
    }

    #[test]
    fn every_pair_passes_the_band_of_the_lower_rate_and_nothing_above_it() {
        for (from, to) in pairs() {
            let bank = design(from, to);
            let nyquist = f64::from(from.min(to)) / 2.0;
            for part in (0..=85).step_by(5) {
                let db = response_db(&bank, from, nyquist * f64::from(part) / 100.0);
                assert!(db.abs() <= 0.3, "{from} to {to}: {db:.2} dB at {part} % of Nyquist");
            }
            // Up to half of the rate that all phases run at: every image, every alias. Its side lobes are as wide as the
            // filter is long, so the first are looked at closely; they only fall from there.
            let last = bank.up as f64 * f64::from(from) / 2.0;
            let near = (0..60).map(|part| nyquist * (1.0 + f64::from(part) / 100.0));
            let far = (0..30).map(|part| nyquist * 1.6 + (last - nyquist * 1.6).max(0.0) * f64::from(part) / 30.0);
            for hz in near.chain(far).filter(|&hz| hz <= last) {
                let db = response_db(&bank, from, hz);
                assert!(db <= -65.0, "{from} to {to}: {db:.1} dB at {hz:.0} Hz");
            }
        }
    }

    #[test]
    fn a_steady_stream_is_late_by_half_a_filter_to_the_sample() {
        for (from, to) in pairs() {
            let late = design(from, to).taps / 2 - 1;
            let pcm = tone(700.0, from, 4410);
            let mut steady = Resampler::steady(from, to).expect("a known pair");
            let mut out = Vec::new();
            steady.push(&pcm, &mut out);
            let moved = convert(from, to, &[vec![0; late], pcm].concat(), 10_000);
            assert_eq!(out, moved[..out.len()], "{from} to {to}");
            let lower = late * from.min(to) as usize / from as usize;
            assert!((23..=25).contains(&lower), "{from} to {to}: {lower}");
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        for (from, to) in pairs() {
            let pcm = tone(440.0, from, 3000);
            let whole = convert(from, to, &pcm, 3000);
            for piece in [1, 7, 160, 441] {
                assert_eq!(convert(from, to, &pcm, piece), whole, "{from} to {to} by {piece}");
            }
        }
    }

    #[test]
    fn the_loudest_is_held_and_does_not_come_out_the_other_way_round() {
        for (from, to) in pairs() {
            let square: Vec<i16> = (0..from / 10).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
            let out = convert(from, to, &square, 160);
            let middle = |edge: usize| (edge * 40 + 20) * to as usize / from as usize;
            assert!((2..9).all(|edge| out[middle(edge)].abs_diff(square[edge * 40 + 20]) < 3000), "{from} to {to}");
        }
    }

    #[test]
    fn other_rates_are_refused() {
        assert!(Resampler::new(44100, 8000).is_none());
        assert!(Resampler::new(8000, 0).is_none());
    }
}
