//! Tones that we make: a sum of sines that fades in and out, so that it does not click.

use super::amplitude;

/// The two frequencies of each key by event code (ITU-T Q.23), Hz.
pub const LOW_HZ: [u16; 4] = [697, 770, 852, 941];
pub const HIGH_HZ: [u16; 4] = [1209, 1336, 1477, 1633];
/// The keys in rows of the low group and columns of the high one.
pub const PAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Levels of our keys: the high one 2 dB above the low one, for what a line takes of it (ETSI ES 201 235-2).
const LOW_DBM0: f32 = -9.0;
const HIGH_DBM0: f32 = -7.0;
/// Rise and fall, ms.
const EDGE_MS: u32 = 3;

/// The place of a key on the pad: its row and column.
#[must_use]
pub fn place(key: char) -> Option<(usize, usize)> {
    PAD.iter().enumerate().find_map(|(row, keys)| Some((row, keys.iter().position(|&one| one == key)?)))
}

/// A key that sounds: made a frame at a time.
#[derive(Clone, Copy, Debug)]
pub struct Sounding {
    key: char,
    low: Sine,
    high: Sine,
    at: u32,
    samples: u32,
    edge: u32,
}

impl Sounding {
    /// A key of `samples` at a rate; None for what is no key.
    #[must_use]
    pub fn new(key: char, samples: u32, rate_hz: u32) -> Option<Self> {
        let (row, column) = place(key)?;
        let edge = EDGE_MS * rate_hz / 1000;
        let low = Sine::new(LOW_HZ[row], LOW_DBM0, rate_hz);
        let high = Sine::new(HIGH_HZ[column], HIGH_DBM0, rate_hz);
        Some(Self { key, low, high, at: 0, samples, edge: edge.min(samples / 2) })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> char {
        self.key
    }

    /// Whether all of it was made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at >= self.samples
    }

    /// Append up to `most` samples; nothing once it is over.
    pub fn append(&mut self, most: usize, pcm: &mut Vec<i16>) {
        for _ in 0..most {
            if self.at >= self.samples {
                return;
            }
            let from_edge = (self.at + 1).min(self.samples - self.at);
            #[allow(clippy::cast_precision_loss)] // Edges are short.
            let gain = if from_edge >= self.edge { 1.0 } else { from_edge as f32 / self.edge as f32 };
            let value = gain * (self.low.next() + self.high.next());
            #[allow(clippy::cast_possible_truncation)] // A float to integer cast saturates.
            pcm.push(value.round() as i16);
            self.at += 1;
        }
    }
}

/// A sine by its recurrence: x[n] = 2·cos(ω)·x[n-1] - x[n-2].
#[derive(Clone, Copy, Debug)]
struct Sine {
    factor: f64,
    now: f64,
    before: f64,
}

impl Sine {
    fn new(hz: u16, dbm0: f32, rate_hz: u32) -> Self {
        let angle = std::f64::consts::TAU * f64::from(hz) / f64::from(rate_hz);
        Self { factor: 2.0 * angle.cos(), now: 0.0, before: -f64::from(amplitude(dbm0)) * angle.sin() }
    }

    fn next(&mut self) -> f32 {
        let now = self.now;
        (self.now, self.before) = (self.factor * now - self.before, now);
        #[allow(clippy::cast_possible_truncation)] // A sample.
        {
            now as f32
        }
    }
}
