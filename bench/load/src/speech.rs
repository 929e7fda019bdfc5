//! Payload that a voice gate takes for speech 45 % of the time: spurts of a synthetic voice between pauses of faint noise.
//!
//! A voice is a pulse train of gliding pitch through three moving resonances, four syllables a second. It is no
//! language, but has the level, the spectrum and the rhythm that a gate goes by.

use std::f64::consts::TAU;

use crate::codec::Codec;
use crate::{g711, FRAME};

const RATE: f64 = 8000.0;
/// Every voice is this long and then begins again: 4 s.
const LOOP_FRAMES: usize = 200;
const VOICES: usize = 8;
/// Spurts of 0.8 to 2.2 s and pauses of 1.1 to 2.56 s: 45 % is speech.
const SPURT: (u64, u64) = (40, 110);
const PAUSE: (u64, u64) = (55, 128);

/// A small generator (xorshift64*); what it draws is the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// One of `seed` and of a `stream` within it.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self((seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1);
        for _ in 0..8 {
            random.draw();
        }
        random
    }

    /// The next 32 bits.
    pub fn draw(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        u32::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32).unwrap_or(0)
    }

    /// A number from `low` up to below `high`.
    pub fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        low + u64::from(self.draw()) % (high - low)
    }

    /// A number from 0 up to below 1.
    pub fn share(&mut self) -> f64 {
        f64::from(self.draw()) / 4_294_967_296.0
    }
}

/// The loops that all calls share, as packets. A decoder hears a jump where one is left for another, and a sender's
/// own codec would not make one: what is measured is what that costs, not how it sounds.
pub struct Voices {
    speech: Vec<Vec<Vec<u8>>>,
    pause: Vec<Vec<u8>>,
}

impl Voices {
    /// Make them from a seed.
    #[must_use]
    pub fn new(seed: u64, codec: Codec) -> Self {
        let law = g711::code_of_linear();
        let voice = |voice| codec.packets(&speak(&mut Random::new(seed, voice + 1), &law));
        let speech = (0..VOICES as u64).map(voice).collect();
        let mut random = Random::new(seed, 0);
        // Faint noise around zero; never minus zero, which no decoder gives back.
        let faint = [0xFC, 0xFD, 0xFE, 0xFF, 0x7E, 0x7D, 0x7C];
        let pause: Vec<u8> = (0..LOOP_FRAMES * FRAME).map(|_| faint[random.draw() as usize % faint.len()]).collect();
        Self { speech, pause: codec.packets(&pause) }
    }
}

/// Four seconds of one voice, some -20 dBov while it sounds.
fn speak(random: &mut Random, codes: &[u8]) -> Vec<u8> {
    let pitch = 90.0 + 130.0 * random.share();
    let mut resonances = [(0.0, 0.0); 3];
    let mut phase = 0.0;
    let mut formants = [500.0, 1500.0, 2500.0];
    (0..LOOP_FRAMES * FRAME)
        .map(|n| {
            #[allow(clippy::cast_precision_loss)]
            let time = n as f64 / RATE;
            if n % 2000 == 0 {
                formants = [300.0 + 500.0 * random.share(), 900.0 + 1300.0 * random.share(), 2500.0];
            }
            phase += pitch * (1.0 + 0.1 * (TAU * 0.7 * time).sin()) / RATE;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 } + 0.02 * (random.share() - 0.5);
            phase = phase.fract();
            let sound: f64 = resonances.iter_mut().zip(formants).map(|(state, hz)| ring(state, hz, pulse)).sum();
            let syllable = 0.3 + 0.7 * (TAU * 2.0 * time).sin().powi(2);
            #[allow(clippy::cast_possible_truncation)]
            let sample = (sound * syllable * 4500.0) as i16;
            let code = codes[g711::index(sample)];
            if code == 0x7F {
                0xFF
            } else {
                code
            }
        })
        .collect()
}

/// A resonance 120 Hz wide.
fn ring(state: &mut (f64, f64), hz: f64, input: f64) -> f64 {
    let radius = (-TAU * 60.0 / RATE).exp();
    let output = input + 2.0 * radius * (TAU * hz / RATE).cos() * state.0 - radius * radius * state.1;
    *state = (output, state.0);
    output
}

/// One call's part.
pub struct Script {
    random: Random,
    voice: usize,
    at: usize,
    speaking: bool,
    left: u64,
}

impl Script {
    /// The part of `call`.
    #[must_use]
    pub fn new(seed: u64, call: u64) -> Self {
        let mut random = Random::new(seed, call + 1000);
        let voice = random.draw() as usize % VOICES;
        let (at, left) = (random.draw() as usize % LOOP_FRAMES, random.between((1, PAUSE.1)));
        Self { random, voice, at, speaking: false, left }
    }

    /// The next packet.
    pub fn next<'a>(&mut self, voices: &'a Voices) -> &'a [u8] {
        if self.left == 0 {
            self.speaking = !self.speaking;
            self.left = self.random.between(if self.speaking { SPURT } else { PAUSE });
        }
        self.left -= 1;
        self.at = (self.at + 1) % LOOP_FRAMES;
        let source = if self.speaking { &voices.speech[self.voice] } else { &voices.pause };
        &source[self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_half_is_speech_and_no_code_is_minus_zero() {
        let voices = Voices::new(1, Codec::Pcmu);
        let linear = g711::linear_of_code();
        let (mut loud, frames) = (0u32, 20_000);
        let mut script = Script::new(1, 7);
        for _ in 0..frames {
            let frame = script.next(&voices);
            assert!(!frame.contains(&0x7F));
            let power: f64 = frame.iter().map(|&code| f64::from(linear[usize::from(code)]).powi(2)).sum();
            loud += u32::from(power / 160.0 > 200.0 * 200.0);
        }
        let share = f64::from(loud) / f64::from(frames);
        assert!((0.40..0.50).contains(&share), "{share}");
    }

    #[test]
    fn a_seed_says_everything() {
        let frame = |seed, call| {
            let (voices, mut script) = (Voices::new(seed, Codec::Pcmu), Script::new(seed, call));
            (0..300).map(|_| script.next(&voices).to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(frame(1, 1), frame(1, 1));
        assert_ne!(frame(1, 1), frame(1, 2));
        assert_ne!(frame(1, 1), frame(2, 1));
    }
}
