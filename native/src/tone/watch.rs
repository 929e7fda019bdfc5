//! The ear for what is no speech and no key: call progress, special information, fax, and a machine's beep.
//!
//! ```text
//! pcm ─► 50 ms every 12.5 ms ─┬─ bank: sets of tones that fill the window ─┬─► a track a pattern: runs ─► told
//!                             └─ lone: one tone that does ─────────────────┴─► the beep
//! ```
//!
//! It is there only while a call asks for it. Each kind is told once until it has been silent for eight seconds.

use std::f32::consts::TAU;

use super::bank::{Bank, View};
use super::beep::{Beep, Window};
use super::lone::{lone, Hunch};
use super::pattern::{Pattern, Wanted};
use super::track::{Track, QUIET};
use super::{power, RATE_HZ};

/// Window and hop, samples: 50 ms and 12.5 ms.
const WINDOW: usize = 400;
pub const HOP: usize = 100;
/// Below this there is no tone, dBm0.
const QUIETEST_DBM0: f32 = -45.0;
/// How much of the energy a set of tones must hold, and each of them at least.
const SHARE: f32 = 0.8;
const EACH: f32 = 0.04;
/// What the ends of a window, which weigh less there, may add to the rest.
const LEEWAY: f32 = 0.05;
/// How far a tone may be off: 2.5 %, and 12 Hz at least; of those that sound together at most what a window tells apart.
const OFF: f32 = 0.025;
const OFF_LEAST: f32 = 12.0;
const OFF_MOST: f32 = 19.0;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub kind: String,
    /// How many samples before the end of what was pushed it was complete.
    pub ago: usize,
}

/// What sounds at a time: one frequency, or some together, as places in the bank.
#[derive(Debug, PartialEq, Eq)]
enum Set {
    One(u16),
    Some(Vec<usize>),
}

impl Set {
    /// Whether a window whose samples have this cosine may be one of these tones alone: what else is in it, of any
    /// colour, moves the tone's own by no more than its share.
    fn may_be(&self, cosine: f32) -> bool {
        let Self::One(hz) = *self else { return false };
        let own = (TAU * f32::from(hz) / RATE_HZ as f32).cos();
        (cosine - SHARE * own).abs() <= 1.0 - SHARE + LEEWAY
    }
}

/// The watch of one stream at 8 kHz.
#[derive(Debug)]
pub struct Watch {
    bank: Bank,
    hunch: Hunch,
    hz: Vec<u16>,
    sets: Vec<Set>,
    tracks: Vec<Track>,
    beep: Option<Beep>,
}

impl Watch {
    /// Listen for `wanted`, which has no fault. `spoken`: somebody has been heard before.
    #[must_use]
    pub fn new(wanted: &Wanted, spoken: bool) -> Self {
        let segments = || wanted.patterns.iter().flat_map(|pattern| &pattern.segments);
        let together = segments().filter(|segment| segment.hz.len() > 1);
        let mut hz: Vec<u16> = together.flat_map(|segment| segment.hz.iter().copied()).collect();
        hz.sort_unstable();
        hz.dedup();
        let mut sets: Vec<Set> = Vec::new();
        let mut set_of = |wanted: &[u16]| {
            let places = || hz.iter().enumerate().filter(|(_, hz)| wanted.contains(hz)).map(|(at, _)| at);
            let set = if let [one] = wanted { Set::One(*one) } else { Set::Some(places().collect()) };
            let known = sets.iter().position(|known| *known == set).unwrap_or(sets.len());
            if known == sets.len() {
                sets.push(set);
            }
            known
        };
        let mut track = |pattern: &Pattern| {
            let symbol = |hz: &[u16], set_of: &mut dyn FnMut(&[u16]) -> usize| match hz {
                [] => QUIET,
                hz => u8::try_from(set_of(hz)).map_or(QUIET, |set| set + 1),
            };
            let segments = pattern.segments.iter().map(|segment| (symbol(&segment.hz, &mut set_of), segment.ms));
            Track::new(&pattern.kind, segments.collect(), pattern.runs)
        };
        let tracks = wanted.patterns.iter().map(&mut track).collect();
        let beep = wanted.beep.then(|| Beep::new(spoken));
        Self { bank: Bank::new(&hz, WINDOW, HOP), hunch: Hunch::default(), hz, sets, tracks, beep }
    }

    /// Take audio.
    pub fn push(&mut self, pcm: &[i16], told: &mut impl FnMut(Told)) {
        let mut rest = pcm;
        while !rest.is_empty() {
            let (taken, complete) = self.bank.push(rest);
            rest = &rest[taken..];
            if complete {
                self.look(&mut |kind: &str, ago| told(Told { kind: kind.to_string(), ago: ago + rest.len() }));
            }
        }
    }

    fn look(&mut self, told: &mut impl FnMut(&str, usize)) {
        let view = self.bank.look(power(QUIETEST_DBM0));
        let energy = view.energy;
        let mut held = 0u128;
        for (number, set) in self.sets.iter().enumerate() {
            if matches!(set, Set::Some(places) if holds(&view, places, &self.hz)) {
                held |= 1 << (number + 1);
            }
        }
        let hunch = self.hunch.step(self.bank.window());
        let worth = hunch.is_some_and(|cosine| self.beep.is_some() || self.sets.iter().any(|set| set.may_be(cosine)));
        let lone = if worth && energy >= power(QUIETEST_DBM0) { lone(self.bank.window()) } else { None };
        if let Some(lone) = lone.filter(|lone| lone.share >= SHARE) {
            // Special tones lie so close that one may be either: their lengths tell them apart.
            let near = |set: &Set| matches!(*set, Set::One(hz) if (lone.hz - f32::from(hz)).abs() <= most(hz));
            for (number, _) in self.sets.iter().enumerate().filter(|(_, set)| near(set)) {
                held |= 1 << (number + 1);
            }
        }
        for track in &mut self.tracks {
            if track.step(held) {
                told(track.kind(), 0);
            }
        }
        if let Some(hops) = self.beep.as_mut().and_then(|beep| beep.step(Window { energy, lone })) {
            told("beep", hops * HOP);
        }
    }
}

fn most(hz: u16) -> f32 {
    (OFF * f32::from(hz)).max(OFF_LEAST)
}

/// Whether a set of tones, and nothing else, fills a window.
fn holds(view: &View<'_>, set: &[usize], hz: &[u16]) -> bool {
    let rough: f32 = set.iter().map(|&at| view.power(at)).sum();
    if view.energy <= 0.0 || rough < SHARE / 3.0 * view.energy {
        return false;
    }
    let mut sum = 0.0;
    for &at in set {
        let Some(off) = view.deviation(at).filter(|off| off.abs() <= most(hz[at]).min(OFF_MOST)) else {
            return false;
        };
        let power = view.power_at(at, off);
        if power < EACH * view.energy {
            return false;
        }
        sum += power;
    }
    sum >= SHARE * view.energy
}
