//! A few frequencies, measured a window at a time: how strong each is, and how far off.
//!
//! ```text
//! pcm ─► [ window, Hann ]            each frequency: |S|² ─► its power
//!            └ hop ─►[ window ]      arg S·S'* over a hop ─► its deviation, and the window's loss at that deviation
//! ```
//!
//! A Hann window has no side lobe that matters, so that a tone of one group leaves the other group alone; what it loses
//! off the middle is known, so it is put back. The deviation is told apart within ± half the hop's frequency.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

use super::RATE_HZ;

/// Frequencies that may be asked for, Hz: what a telephone carries. It bounds the tables, too.
pub const LOWEST_HZ: u16 = 200;
pub const HIGHEST_HZ: u16 = 3600;

/// One frequency in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Mean square of the sine at this frequency.
    pub power: f32,
    re: f32,
    im: f32,
}

/// The weights of one window length: the Hann window, and for each frequency its cosine and sine under it.
#[derive(Debug)]
struct Probe {
    cosine: Vec<f32>,
    sine: Vec<f32>,
    /// What a hop turns a tone of exactly this frequency by.
    turn: (f32, f32),
}

/// The measurement of one stream at [`RATE_HZ`].
#[derive(Debug)]
pub struct Bank {
    window: usize,
    hop: usize,
    hann: Arc<Vec<f32>>,
    probes: Vec<Arc<Probe>>,
    /// The last `window` samples and those of the hop that is coming, oldest first.
    past: Vec<f32>,
    lines: Vec<Line>,
    before: Vec<Line>,
}

/// What a window holds.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bank: &'a Bank,
    /// Mean square under the window.
    pub energy: f32,
}

impl Bank {
    /// A bank for `frequencies` (between [`LOWEST_HZ`] and [`HIGHEST_HZ`]), in windows and hops of so many samples.
    #[must_use]
    pub fn new(frequencies: &[u16], window: usize, hop: usize) -> Self {
        let probes: Vec<_> = frequencies.iter().map(|&hz| probe(hz, window, hop)).collect();
        let lines = vec![Line::default(); probes.len()];
        let mut past = Vec::with_capacity(window + hop);
        past.resize(window - hop, 0.0);
        Self { window, hop, hann: hann(window), probes, past, before: lines.clone(), lines }
    }

    /// Take samples until a window is complete; give how many were taken, and whether there is one to look at.
    pub fn push(&mut self, pcm: &[i16]) -> (usize, bool) {
        if self.past.len() == self.window {
            self.past.copy_within(self.hop.., 0);
            self.past.truncate(self.window - self.hop);
        }
        let taken = pcm.len().min(self.window - self.past.len());
        self.past.extend(pcm[..taken].iter().map(|&sample| f32::from(sample)));
        (taken, self.past.len() == self.window)
    }

    /// Measure the window that is complete. Below `floor` (mean square) nothing is: there is no tone then.
    pub fn look(&mut self, floor: f32) -> View<'_> {
        let energy = squares(&self.past, &self.hann) / self.half();
        std::mem::swap(&mut self.lines, &mut self.before);
        if energy < floor {
            self.lines.fill(Line::default());
        } else {
            let scale = 2.0 / self.half().powi(2);
            for (line, probe) in self.lines.iter_mut().zip(&self.probes) {
                let (re, im) = (dot(&self.past, &probe.cosine), dot(&self.past, &probe.sine));
                *line = Line { power: scale * (re * re + im * im), re, im };
            }
        }
        View { bank: self, energy }
    }

    /// The window that was looked at last.
    #[must_use]
    pub fn window(&self) -> &[f32] {
        &self.past
    }

    /// The sum of the Hann window: half its length.
    #[allow(clippy::cast_precision_loss)] // A few hundred.
    fn half(&self) -> f32 {
        self.window as f32 / 2.0
    }

    /// Forget what was heard.
    pub fn forget(&mut self) {
        self.past.clear();
        self.past.resize(self.window - self.hop, 0.0);
        self.lines.fill(Line::default());
        self.before.fill(Line::default());
    }
}

impl View<'_> {
    /// The power at a frequency of the bank, as it was asked for.
    #[must_use]
    pub fn power(&self, index: usize) -> f32 {
        self.bank.lines[index].power
    }

    /// The strongest of some frequencies.
    #[must_use]
    pub fn strongest(&self, among: std::ops::Range<usize>) -> usize {
        let first = among.start;
        among.max_by(|&a, &b| self.power(a).total_cmp(&self.power(b))).unwrap_or(first)
    }

    /// How far a tone is off its frequency, Hz, by what it turned over a hop; None where there was none a hop ago.
    #[must_use]
    pub fn deviation(&self, index: usize) -> Option<f32> {
        let (now, before) = (self.bank.lines[index], self.bank.before[index]);
        if before.power <= 0.0 {
            return None;
        }
        let (re, im) = turned((now.re, now.im), (before.re, -before.im));
        let (turn_re, turn_im) = self.bank.probes[index].turn;
        let (re, im) = turned((re, im), (turn_re, -turn_im));
        Some(im.atan2(re) / TAU * per_second(self.bank.hop))
    }

    /// The power of a tone that is `deviation` Hz off, with what the window takes of it put back.
    #[must_use]
    pub fn power_at(&self, index: usize, deviation: f32) -> f32 {
        let bins = deviation / per_second(self.bank.window);
        self.power(index) / hann_gain(bins).powi(2)
    }
}

#[allow(clippy::cast_precision_loss)] // A few hundred samples.
pub(super) fn per_second(samples: usize) -> f32 {
    RATE_HZ as f32 / samples as f32
}

fn turned((a, b): (f32, f32), (c, d): (f32, f32)) -> (f32, f32) {
    (a * c - b * d, a * d + b * c)
}

/// What a Hann window leaves of the amplitude of a tone so many bins off: sinc(x) / (1 - x²), to one bin.
pub(super) fn hann_gain(bins: f32) -> f32 {
    let x = bins.abs().min(0.99);
    if x < 0.01 {
        return 1.0;
    }
    let angle = std::f32::consts::PI * x;
    angle.sin() / angle / (1.0 - x * x)
}

/// A dot product in eight lanes, which the compiler keeps in vector registers.
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (left, right) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    lanes.iter().sum()
}

/// The sum of weighted squares, likewise.
fn squares(samples: &[f32], weights: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (samples, weights) in samples.chunks_exact(8).zip(weights.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += samples[lane] * samples[lane] * weights[lane];
        }
    }
    lanes.iter().sum()
}

#[allow(clippy::cast_precision_loss)] // A few hundred samples.
fn weight(n: usize, window: usize) -> f32 {
    0.5 - 0.5 * (TAU * (n as f32 + 0.5) / window as f32).cos()
}

pub(super) fn hann(window: usize) -> Arc<Vec<f32>> {
    static WINDOWS: Mutex<BTreeMap<usize, Arc<Vec<f32>>>> = Mutex::new(BTreeMap::new());
    let mut windows = WINDOWS.lock().unwrap_or_else(PoisonError::into_inner);
    windows.entry(window).or_insert_with(|| Arc::new((0..window).map(|n| weight(n, window)).collect())).clone()
}

/// The tables of a frequency, shared by all streams: some 3 kB each, and there are as many as there are frequencies.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Small numbers; the phase is reduced in f64.
fn probe(hz: u16, window: usize, hop: usize) -> Arc<Probe> {
    type Shared = Mutex<BTreeMap<(u16, usize, usize), Arc<Probe>>>;
    static PROBES: Shared = Mutex::new(BTreeMap::new());
    debug_assert!((LOWEST_HZ..=HIGHEST_HZ).contains(&hz) && window.is_multiple_of(8));
    let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let angle = |n: usize| (std::f64::consts::TAU * f64::from(hz) * n as f64 / f64::from(RATE_HZ)) as f32;
        let under = |of: fn(f32) -> f32| (0..window).map(|n| weight(n, window) * of(angle(n))).collect();
        let turn = (angle(hop).cos(), angle(hop).sin());
        Arc::new(Probe { cosine: under(f32::cos), sine: under(|angle| -angle.sin()), turn })
    };
    probes.entry((hz, window, hop)).or_insert_with(make).clone()
}
