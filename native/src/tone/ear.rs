//! What of a leg's audio is a tone and no speech: keys where they come in the audio, and what leaks of those that don't.
//!
//! ```text
//! events (RFC 4733) agreed? ─ no ──► keypad ─► Press; from suspicion on the audio is not speech
//!                           └ yes ─► never told; what might begin an interruption is looked at, and an event's leak
//! ```
//!
//! One source a leg: where events were agreed, tones are never told. But a gateway that makes events of tones lets their
//! first milliseconds through, since it has to hear them first, and those are no speech either. So what is loud while
//! nobody speaks is looked at, which is little, and what lies around an event.

use super::keypad::{Keypad, Press};
use super::make::{place, HIGH_HZ, LOW_HZ};
use super::{power, RATE_HZ};
use crate::energy::energy;

/// Pieces in which a leak is looked for, samples at [`RATE_HZ`]: 10 ms, and how much of one the key must hold.
const PIECE: usize = 80;
const SHARE: f32 = 0.6;
/// How far back from an event its leak may have begun: 160 ms.
pub const LEAK_MOST: usize = 1280;
/// What is louder than this may set off the gate, and is looked at, dBm0.
const LOUD_DBM0: f32 = -36.0;
/// Audio behind an event's packet that may hold its key, samples: 100 ms.
const LEAK_AFTER: usize = 800;

/// The ear for keys in the audio of one leg.
#[derive(Debug, Default)]
pub struct KeyEar {
    /// Made when it is first needed.
    keypad: Option<Box<Keypad>>,
    tells: bool,
    /// The keypad has heard the last audio.
    follows: bool,
    leak: Option<Leak>,
}

#[derive(Clone, Copy, Debug)]
struct Leak {
    key: char,
    left: usize,
}

impl KeyEar {
    /// Say whether keys may come in the audio.
    pub fn listen(&mut self, on: bool) {
        self.tells = on;
    }

    /// An event's packet came: its key may leak into the audio beside it.
    pub fn event(&mut self, key: char) {
        self.leak = Some(Leak { key, left: LEAK_AFTER });
    }

    /// Take audio at [`RATE_HZ`]; give whether it is a key's and no speech. `speaking`: somebody speaks.
    pub fn hear(&mut self, pcm: &[i16], concealed: bool, speaking: bool, told: &mut impl FnMut(Press)) -> bool {
        if self.tells || (!speaking && is_loud(pcm)) {
            return self.follow(pcm, concealed, told) || self.leaks(pcm);
        }
        self.rest();
        self.leaks(pcm)
    }

    fn follow(&mut self, pcm: &[i16], concealed: bool, told: &mut impl FnMut(Press)) -> bool {
        let keypad = self.keypad.get_or_insert_default();
        self.follows = true;
        let (before, tells) = (keypad.is_sounding(), self.tells);
        keypad.push(pcm, concealed, &mut |press| {
            if tells {
                told(press);
            }
        });
        before || keypad.is_sounding()
    }

    fn rest(&mut self) {
        if let Some(keypad) = self.keypad.as_mut().filter(|_| std::mem::take(&mut self.follows)) {
            keypad.forget();
        }
    }

    fn leaks(&mut self, pcm: &[i16]) -> bool {
        let Some(leak) = &mut self.leak else {
            return false;
        };
        let key = leak.key;
        leak.left = leak.left.saturating_sub(pcm.len());
        if leak.left == 0 {
            self.leak = None;
        }
        pcm.chunks_exact(PIECE).any(|piece| holds(piece, key))
    }

    /// Forget what was heard: another stream begins.
    pub fn forget(&mut self) {
        self.rest();
        self.leak = None;
    }
}

#[allow(clippy::cast_precision_loss)] // A packet's length.
fn is_loud(pcm: &[i16]) -> bool {
    energy(pcm) > power(LOUD_DBM0) * pcm.len() as f32
}

/// How many of the last samples are a key's tones.
#[must_use]
pub fn leaked(pcm: &[i16], key: char) -> usize {
    let pieces = pcm.rchunks_exact(PIECE).take(LEAK_MOST / PIECE).take_while(|piece| holds(piece, key)).count();
    // The piece that the tone begins in is mostly something else.
    if pieces == 0 {
        0
    } else {
        (pieces * PIECE + PIECE).min(pcm.len())
    }
}

/// Whether a piece holds a key's two tones, and little else.
fn holds(pcm: &[i16], key: char) -> bool {
    let Some((row, column)) = place(key) else {
        return false;
    };
    let energy: f32 = pcm.iter().map(|&sample| f32::from(sample).powi(2)).sum();
    let tones = goertzel(pcm, LOW_HZ[row]) + goertzel(pcm, HIGH_HZ[column]);
    energy > 0.0 && tones >= SHARE * energy
}

/// The energy of a frequency in a piece.
#[allow(clippy::cast_precision_loss)] // Short pieces.
fn goertzel(pcm: &[i16], hz: u16) -> f32 {
    let angle = std::f32::consts::TAU * f32::from(hz) / RATE_HZ as f32;
    let factor = 2.0 * angle.cos();
    let (mut one, mut two) = (0.0f32, 0.0f32);
    for &sample in pcm {
        (one, two) = (f32::from(sample) + factor * one - two, one);
    }
    (one * one + two * two - factor * one * two) * 2.0 / pcm.len().max(1) as f32
}
