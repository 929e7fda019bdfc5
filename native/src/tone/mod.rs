//! Tones in the audio itself: keys (ITU-T Q.23, Q.24), and what exchanges, fax machines and answering machines sound.
//!
//! ```text
//! pcm ─► halve, where it has 16 kHz ─► bank: a few frequencies, a window at a time ─┬─► keypad ─► a key
//!                                      lone: one frequency, whichever ──────────────┴─► watch ─► busy, fax, a beep …
//! ```
//!
//! All of it counts samples and knows no clock. Levels are in dBm0: 0 dBm0 is a sine 3.17 dB below the largest that
//! G.711 can carry (its tables 1 and 2).

pub mod bank;
pub mod beep;
pub mod ear;
pub mod keypad;
pub mod lone;
pub mod make;
pub mod pattern;
pub mod track;
pub mod watch;

/// The rate that the detectors work at; what comes at twice that is halved.
pub const RATE_HZ: u32 = 8000;

/// The amplitude of a sine of 0 dBm0, in 16-bit samples.
pub const DIGITAL_MILLIWATT: f32 = 22_656.0;

/// The amplitude of a sine at `dbm0`.
#[must_use]
pub fn amplitude(dbm0: f32) -> f32 {
    DIGITAL_MILLIWATT * 10f32.powf(dbm0 / 20.0)
}

/// The mean square of a sine at `dbm0`.
#[must_use]
pub fn power(dbm0: f32) -> f32 {
    amplitude(dbm0).powi(2) / 2.0
}
