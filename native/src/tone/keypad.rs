//! Keys that are heard (ITU-T Q.23, Q.24): two tones, one of each group, and nothing else beside them.
//!
//! ```text
//! bank, 20 ms every 5 ms ─► one key, or none ─┬─ twice: suspected, what sounds is not speech
//!                                             ├─ long enough: told, once
//!                                             └─ gone for 30 ms: over
//! ```
//!
//! Speech has pairs of tones, too, but not so that they are within 2.4 % of a key's, hold almost all of the energy, and
//! keep so for 40 ms. Where a packet was lost, what was made up for it neither ends a key nor begins one.

use super::bank::{Bank, View};
use super::make::{HIGH_HZ, LOW_HZ, PAD};
use super::power;

/// Window and hop, samples: 20 ms and 5 ms.
const WINDOW: usize = 160;
pub const HOP: usize = 40;
/// Quietest tone of a pair, dBm0. Q.24 asks for no less than what Q.23 sends over a bad line; here are 5 dB more.
const QUIETEST_DBM0: f32 = -45.0;
/// How much louder the high tone may be than the low one and the low than the high, as powers: 6 and 10 dB where
/// +4 and -8 dB must do (Q.24, table A.1).
const HIGH_OVER_LOW: f32 = 4.0;
const LOW_OVER_HIGH: f32 = 10.0;
/// How far a tone may be off, as a share of its frequency: 1.5 % must do and 3.5 % must not.
const OFF: f32 = 0.024;
/// How much of the energy the two must hold.
const SHARE: f32 = 0.88;
/// Windows with a key in a row that make it suspect.
const SUSPECT: u32 = 2;
/// Windows with a key that tell it: a tone of 23 ms fills fewer, one of 40 ms as many.
const TOLD: u32 = 5;
/// Windows without it that end it, 30 ms: an interruption of 10 ms spoils fewer, a pause of 40 ms more.
const OVER: u32 = 6;
/// Windows over made-up audio that a key may last through, 60 ms.
const BLIND: u32 = 12;

/// A key that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    pub key: char,
    /// How many samples before the end of what was pushed it began.
    pub ago: usize,
}

/// A key on its way.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: (usize, usize),
    /// Samples since it began.
    age: usize,
    /// Windows that had it, the last of them in a row, those without it since, and those that can't be believed.
    with: u32,
    row: u32,
    without: u32,
    blind: u32,
    told: bool,
}

/// The ear for keys of one stream at 8 kHz.
#[derive(Debug)]
pub struct Keypad {
    bank: Bank,
    candidate: Option<Candidate>,
    /// Samples of the coming windows that were made up.
    made_up: usize,
}

impl Default for Keypad {
    fn default() -> Self {
        let frequencies: Vec<u16> = LOW_HZ.into_iter().chain(HIGH_HZ).collect();
        Self { bank: Bank::new(&frequencies, WINDOW, HOP), candidate: None, made_up: 0 }
    }
}

impl Keypad {
    /// Take audio; give the key that is heard in it for the first time. `concealed`: it was made up for a lost packet.
    ///
    /// A key of 100 ms takes longer than a packet of 20 ms; of a longer packet the last key is told, which is the only
    /// one up to 160 ms.
    pub fn push(&mut self, pcm: &[i16], concealed: bool, told: &mut impl FnMut(Press)) {
        let mut rest = pcm;
        while !rest.is_empty() {
            let (taken, complete) = self.bank.push(rest);
            rest = &rest[taken..];
            if let Some(candidate) = &mut self.candidate {
                candidate.age += taken;
            }
            self.made_up = if concealed { WINDOW } else { self.made_up.saturating_sub(taken) };
            if complete {
                let found = find(self.bank.look(power(QUIETEST_DBM0)));
                if let Some((key, age)) = self.step(found, self.made_up > 0) {
                    told(Press { key, ago: age + rest.len() });
                }
            }
        }
    }

    /// Whether what sounds is a key, as far as can be said.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.candidate.is_some_and(|candidate| candidate.told || candidate.row >= SUSPECT)
    }

    /// Forget what was heard: another stream begins.
    pub fn forget(&mut self) {
        self.bank.forget();
        self.candidate = None;
        self.made_up = 0;
    }

    /// One window, and what was found in it. Gives a key that is told now and its age in samples.
    fn step(&mut self, found: Option<(usize, usize)>, made_up: bool) -> Option<(char, usize)> {
        let Some(candidate) = self.candidate.as_mut() else {
            self.candidate = found.filter(|_| !made_up).map(Candidate::new);
            return None;
        };
        if found == Some(candidate.place) {
            candidate.with += 1;
            candidate.row += 1;
            candidate.without = 0;
        } else if made_up && candidate.blind < BLIND {
            candidate.blind += 1;
        } else if let Some(other) = found.filter(|_| candidate.without >= SUSPECT && !made_up) {
            // Another key without a pause: slowly enough not to take a slip for one.
            self.candidate = Some(Candidate::new(other));
            return None;
        } else {
            candidate.row = 0;
            candidate.without += 1;
            if candidate.without >= OVER || (!candidate.told && candidate.with < SUSPECT) {
                self.candidate = None;
            }
            return None;
        }
        if candidate.told || candidate.with < TOLD {
            return None;
        }
        candidate.told = true;
        let (row, column) = candidate.place;
        Some((PAD[row][column], candidate.age))
    }
}

impl Candidate {
    fn new(place: (usize, usize)) -> Self {
        // The first window that has it is filled by it to three quarters and more.
        Self { place, age: WINDOW, with: 1, row: 1, without: 0, blind: 0, told: false }
    }
}

/// The key that a window holds.
fn find(view: View<'_>) -> Option<(usize, usize)> {
    let (row, column) = (view.strongest(0..4), view.strongest(4..8));
    let rough = view.power(row) + view.power(column);
    if rough < SHARE / 2.0 * view.energy || view.energy <= 0.0 {
        return None;
    }
    let tone = |index: usize, hz: u16| {
        let off = view.deviation(index)?;
        (off.abs() <= OFF * f32::from(hz)).then(|| view.power_at(index, off))
    };
    let (low, high) = (tone(row, LOW_HZ[row])?, tone(column, HIGH_HZ[column - 4])?);
    let loud = low.min(high) >= power(QUIETEST_DBM0);
    let level = high <= HIGH_OVER_LOW * low && low <= LOW_OVER_HIGH * high;
    (loud && level && low + high >= SHARE * view.energy).then_some((row, column - 4))
}
