//! One tone alone, whichever it is: its frequency, and whether there is nothing beside it.
//!
//! ```text
//! x[n] + x[n-2k] = 2·cos(kω)·x[n-k] for a sine ─► ω by least squares ─► what the window holds there ─► its share
//! ```
//!
//! With k = 1 this turns nearly all speech away. Noise pulls ω off, the less so the nearer kω is to a quarter of a turn,
//! so k = 2 or 3 says where the window is measured.

use std::f32::consts::TAU;

use super::bank::{dot, hann, hann_gain, per_second};
use super::RATE_HZ;

/// What the equation may leave, as a share, before nobody looks further.
const ROUGH: f32 = 0.2;
/// Below these k is 3 and 2, Hz.
const BY_THREE_HZ: f32 = 900.0;
const BY_TWO_HZ: f32 = 1700.0;

/// What a window's pieces may leave more than the whole, since their ends are not counted.
const MARGIN: f32 = 1.25;

/// Whether there may be a tone alone in a window, by what each of its hops leaves of the equation when it has a
/// frequency of its own: the window, which has one for all of them, leaves no less. It costs a quarter of a look.
#[derive(Debug, Default)]
pub struct Hunch {
    /// What the last hops left, their likeness and their energies.
    hops: [(f32, f32, f32); HOPS],
    next: usize,
}

/// Hops in a window.
const HOPS: usize = 4;

impl Hunch {
    /// A window has moved on by a hop, a quarter of it; give the cosine a sample of what may be a tone there.
    pub fn step(&mut self, window: &[f32]) -> Option<f32> {
        let from = window.len() - (window.len() / HOPS + 2).min(window.len());
        let (like, energy, outer) = sums(&window[from..], 1);
        let left = if energy > 0.0 { (outer - like * like / energy).max(0.0) } else { 0.0 };
        self.hops[self.next] = (left, like, energy);
        self.next = (self.next + 1) % HOPS;
        let sum = |of: fn(&(f32, f32, f32)) -> f32| self.hops.iter().map(of).sum::<f32>();
        let (left, like, energy) = (sum(|hop| hop.0), sum(|hop| hop.1), sum(|hop| hop.2));
        (energy > 0.0 && left <= MARGIN * ROUGH * energy).then(|| like / energy / 2.0)
    }
}

/// A tone alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lone {
    pub hz: f32,
    /// Its share of the energy in the window.
    pub share: f32,
}

/// Look for one in a window (a multiple of 16 samples at [`RATE_HZ`]).
#[must_use]
pub fn lone(window: &[f32]) -> Option<Lone> {
    let (angle, left) = fit(window, 1)?;
    if left > ROUGH {
        return None;
    }
    let hz = angle / TAU * RATE_HZ as f32;
    let (angle, left) = match hz {
        _ if hz < BY_THREE_HZ => fit(window, 3)?,
        _ if hz < BY_TWO_HZ => fit(window, 2)?,
        _ => (angle, left),
    };
    (left <= ROUGH).then(|| measure(window, angle))
}

/// The angle of a sample by its neighbours `k` away, and what the equation leaves, as a share of the energy.
fn fit(window: &[f32], k: u8) -> Option<(f32, f32)> {
    let (like, energy, outer) = sums(window, k);
    if energy <= 0.0 {
        return None;
    }
    let factor = like / energy;
    (factor.abs() < 2.0).then(|| ((factor / 2.0).acos() / f32::from(k), (outer - factor * like) / energy))
}

/// The sums of that equation: of both sides times the middle, of the middle squared, of both sides squared.
fn sums(window: &[f32], k: u8) -> (f32, f32, f32) {
    let after = |apart: usize| window.get(apart * usize::from(k)..).unwrap_or_default();
    let (before, middle, behind) = (window, after(1), after(2));
    let (mut likes, mut energies, mut outers) = ([0.0f32; 8], [0.0f32; 8], [0.0f32; 8]);
    let eights = before.chunks_exact(8).zip(middle.chunks_exact(8)).zip(behind.chunks_exact(8));
    for ((before, middle), behind) in eights {
        for lane in 0..8 {
            let sides = before[lane] + behind[lane];
            likes[lane] += sides * middle[lane];
            energies[lane] += middle[lane] * middle[lane];
            outers[lane] += sides * sides;
        }
    }
    (likes.iter().sum(), energies.iter().sum(), outers.iter().sum())
}

/// What a window holds near an angle a sample: both its halves, which say by how much the angle is off.
fn measure(window: &[f32], angle: f32) -> Lone {
    let weights = hann(window.len());
    let weighted: Vec<f32> = window.iter().zip(weights.iter()).map(|(sample, weight)| sample * weight).collect();
    let energy = dot(window, &weighted);
    let half = window.len() / 2;
    let (first, second) = (at(&weighted[..half], angle), at(&weighted[half..], angle));
    // Both are measured from their own beginning; between these a tone turns by half a window.
    #[allow(clippy::cast_precision_loss)] // A few hundred samples.
    let turn = (second.1.atan2(second.0) - first.1.atan2(first.0) - angle * half as f32).rem_euclid(TAU);
    let off = if turn > TAU / 2.0 { turn - TAU } else { turn } / TAU * per_second(half);
    #[allow(clippy::cast_precision_loss)] // A few hundred samples.
    let (sine, cosine) = (angle * half as f32).sin_cos();
    // The second half, as seen from the beginning of the first: e^(-jωn) goes on.
    let sum = (first.0 + second.0 * cosine + second.1 * sine, first.1 + second.1 * cosine - second.0 * sine);
    let gain = hann_gain(off / per_second(window.len()));
    #[allow(clippy::cast_precision_loss)] // A few hundred samples.
    let power = 2.0 * (sum.0 * sum.0 + sum.1 * sum.1) / (half as f32 * energy) / (gain * gain);
    Lone { hz: angle / TAU * RATE_HZ as f32 + off, share: power }
}

/// Σ x[n]·e^(-jωn).
fn at(pcm: &[f32], angle: f32) -> (f32, f32) {
    let (turn_im, turn_re) = (-angle).sin_cos();
    let (mut re, mut im) = (1.0f32, 0.0f32);
    let mut sum = (0.0, 0.0);
    for &sample in pcm {
        sum = (sum.0 + sample * re, sum.1 + sample * im);
        (re, im) = (re * turn_re - im * turn_im, re * turn_im + im * turn_re);
    }
    sum
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use super::*;

    fn sine(hz: f32, beside: f32) -> Vec<f32> {
        let of = |hz: f32, n: usize| (TAU * hz * n as f32 / RATE_HZ as f32 + 0.7).sin() * 3000.0;
        (0..400).map(|n| of(hz, n) + beside * of(hz * 1.5, n)).collect()
    }

    #[test]
    fn a_tone_is_measured_wherever_it_lies() {
        for hz in [400.0, 437.3, 1000.0, 1411.0, 1999.0, 2000.0, 2100.0] {
            let found = lone(&sine(hz, 0.0)).expect("a tone");
            assert!((found.hz - hz).abs() < 1.0 && (found.share - 1.0).abs() < 0.02, "{hz}: {found:?}");
        }
    }

    #[test]
    fn a_hunch_lets_every_tone_by_and_holds_noise_up() {
        for hz in [400.0, 1100.0, 2100.0] {
            let mut hunch = Hunch::default();
            let tone = sine(hz, 0.0);
            let cosine = (TAU * hz / RATE_HZ as f32).cos();
            let near = |found: f32| (found - cosine).abs() < 0.01;
            assert!((0..6).all(|_| hunch.step(&tone).is_some_and(near)), "{hz}");
        }
        let (mut hunch, mut seed) = (Hunch::default(), 1u32);
        for _ in 0..20 {
            let noise: Vec<f32> = (0..400)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 16) as f32 - 32768.0
                })
                .collect();
            assert_eq!(hunch.step(&noise), None);
        }
    }

    #[test]
    fn two_are_not_one() {
        for hz in [440.0, 1000.0, 1300.0] {
            assert!(lone(&sine(hz, 0.5)).is_none_or(|found| found.share < 0.9));
        }
        assert_eq!(lone(&[0.0; 400]), None);
    }
}
