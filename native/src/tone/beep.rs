//! The beep of an answering machine: after speech, one tone alone, as short as a beep is, and then silence.
//!
//! ```text
//! speech … │ a tone, 400 to 2000 Hz, steady, 100 to 1500 ms │ 200 ms of quiet ─► told
//! ```
//!
//! A note of music is followed by another one, and a vowel is neither steady nor alone.

use super::lone::Lone;
use super::power;

/// Where beeps lie, Hz, with what measuring leaves unknown.
const LOWEST_HZ: f32 = 390.0;
const HIGHEST_HZ: f32 = 2030.0;
/// How much of the energy it holds, how far it may wander, and how much its level may change within (3 dB).
const SHARE: f32 = 0.9;
const WANDERS: f32 = 0.01;
const STEADY: f32 = 2.0;
/// Below this it is no beep, dBm0.
const QUIETEST_DBM0: f32 = -42.0;
/// Windows (of 12.5 ms) of a tone of 100 ms, and of one of 1500 ms.
const SHORTEST: u32 = 5;
const LONGEST: u32 = 122;
/// Windows of quiet behind it: how many there must be, and how much below it quiet is (12 dB).
const QUIET: u32 = 16;
const BELOW: f32 = 16.0;
/// Windows with something else in them, before anything is a beep: 200 ms of speech.
const SPOKEN: u32 = 16;
/// What is no silence, dBm0.
const SOUND_DBM0: f32 = -45.0;

/// What a window holds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub energy: f32,
    pub lone: Option<Lone>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Sounding {
        hz: f32,
        level: f32,
        windows: u32,
    },
    /// It may have been one. The first four windows behind it still have some of it.
    After {
        level: f32,
        windows: u32,
    },
}

/// The ear for a beep.
#[derive(Debug)]
pub struct Beep {
    spoken: u32,
    state: State,
    /// Windows since the last one with another tone alone.
    since_tone: u32,
}

impl Beep {
    /// `spoken`: somebody has been heard before.
    #[must_use]
    pub fn new(spoken: bool) -> Self {
        Self { spoken: if spoken { SPOKEN } else { 0 }, state: State::Waiting, since_tone: u32::MAX }
    }

    /// Take a window; give how many windows ago a beep ended that is known for one now.
    pub fn step(&mut self, window: Window) -> Option<usize> {
        let tone = window.lone.filter(|lone| {
            lone.share >= SHARE && (LOWEST_HZ..=HIGHEST_HZ).contains(&lone.hz) && window.energy >= power(QUIETEST_DBM0)
        });
        if tone.is_none() && window.energy >= power(SOUND_DBM0) && matches!(self.state, State::Waiting) {
            self.spoken = self.spoken.saturating_add(1);
        }
        self.since_tone = if tone.is_some() { 0 } else { self.since_tone.saturating_add(1) };
        let (state, told) = match self.state {
            State::Waiting => (self.begin(tone, window), None),
            State::Sounding { hz, level, windows } => (self.go_on(window, tone, hz, level, windows), None),
            State::After { level, windows } => {
                if windows >= 4 && window.energy * BELOW > level {
                    (self.begin(tone, window), None)
                } else if windows < QUIET {
                    (State::After { level, windows: windows + 1 }, None)
                } else {
                    (State::Waiting, Some(QUIET as usize))
                }
            }
        };
        self.state = state;
        told
    }

    fn begin(&mut self, tone: Option<Lone>, window: Window) -> State {
        match tone {
            Some(tone) if self.spoken >= SPOKEN => State::Sounding { hz: tone.hz, level: window.energy, windows: 1 },
            _ => State::Waiting,
        }
    }

    fn go_on(&mut self, window: Window, tone: Option<Lone>, hz: f32, level: f32, windows: u32) -> State {
        let Some(tone) = tone else {
            // Its end, or something else begins.
            let beep = (SHORTEST..=LONGEST).contains(&windows) && window.energy <= STEADY * level;
            return if beep { State::After { level, windows: 0 } } else { State::Waiting };
        };
        let steady = (tone.hz - hz).abs() <= WANDERS * hz;
        // The first window may have held only its beginning, and the last only its end.
        let louder = if windows < 5 { level.max(window.energy) } else { level };
        if steady && window.energy <= STEADY * louder {
            return State::Sounding {
                hz: if windows == 1 { tone.hz } else { hz },
                level: louder,
                windows: windows + 1,
            };
        }
        State::Waiting
    }
}
