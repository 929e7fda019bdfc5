//! What of the audio is a tone: keys are told, and what they sound like is kept from whoever listens or records.
//!
//! ```text
//! audio in order ─► keys in it? ─┬─ told, once: Digit ─► its beginning is taken off the tape and out of the pre-roll
//!                                └─ while it sounds: silence for models, others and tape
//! ```
//!
//! The models are given audio at once, so the first 20 to 40 ms of a key have reached them when it is known for one; no
//! word is so short. What others hear is as late as the network needs, so of most keys they hear nothing either. The tape
//! lags, so there nothing of it is left.

use super::{tell, Port};
use crate::event::{Kind, Sink};
use crate::timeline::lasting;
use crate::tone::ear::{leaked, LEAK_MOST};
use crate::tone::pattern::Wanted;
use crate::tone::watch::Watch;
use crate::tone::RATE_HZ;
use crate::vad::Halves;

impl Port {
    /// Listen for tones, which have no [`Wanted::fault`]; for none from then on where none are wanted.
    pub fn watch(&mut self, wanted: &Wanted) {
        let spoken = self.listening.has_spoken();
        self.watch = wanted.is_any().then(|| Box::new(Watch::new(wanted, spoken)));
    }

    /// Look for the tones that a call asked for, and for keys, in audio that ends the tape so far; give whether it is a key's, and no speech.
    pub(super) fn is_tone(&mut self, at: i64, pcm: &[i16], concealed: bool, sink: &mut Sink) -> bool {
        let mut began = 0;
        let width = self.width();
        let narrow = if width == 1 { pcm } else { self.halves.of(pcm) };
        let (number, seq, mouth) = (self.number, &mut self.seq, &self.mouth);
        let ns = |samples: usize, hz: u32| lasting(i64::try_from(samples).unwrap_or(0), hz);
        let end = at + ns(pcm.len(), self.rate_hz);
        if let Some(watch) = &mut self.watch {
            watch.push(narrow, &mut |told| {
                tell(number, seq, end - ns(told.ago, RATE_HZ), Kind::Tone { kind: told.kind }, sink)
            });
        }
        let is_tone = self.key_ear.hear(narrow, concealed, self.listening.is_speech(), &mut |press| {
            began = press.ago.max(began);
            if mouth.echoes(press.key) {
                return;
            }
            let at = end - ns(press.ago, RATE_HZ);
            let duration_ms = u32::try_from(press.ago).unwrap_or(0) / (RATE_HZ / 1000);
            tell(number, seq, at, Kind::Digit { key: press.key, duration_ms, in_band: true }, sink);
        });
        if is_tone {
            let samples = pcm.len().max(began * width);
            self.blank(samples);
            if let Some(relay) = &mut self.relay {
                // A packet comes when the last of it was said.
                let came = end + ns(pcm.len(), self.rate_hz);
                relay.mute(came - ns(samples, self.rate_hz), came);
            }
        }
        is_tone
    }

    /// A key came as an event: take what leaked of it out of what is not told yet.
    pub(super) fn take_leak(&mut self, key: char) {
        let width = self.width();
        let mut pcm = Vec::new();
        self.listening.kept(LEAK_MOST * width, &mut pcm);
        self.listening.blank(leaked_in(&pcm, width, key));
        if let Some(tape) = &mut self.tape {
            let samples = leaked_in(tape.far(LEAK_MOST * width), width, key);
            tape.blank_far(samples);
        }
    }

    fn blank(&mut self, samples: usize) {
        self.listening.blank(samples);
        if let Some(tape) = &mut self.tape {
            tape.blank_far(samples);
        }
    }

    /// Our samples a sample at the rate that keys are looked for at.
    fn width(&self) -> usize {
        if self.rate_hz > RATE_HZ {
            2
        } else {
            1
        }
    }
}

fn leaked_in(pcm: &[i16], width: usize, key: char) -> usize {
    if width == 1 {
        leaked(pcm, key)
    } else {
        width * leaked(Halves::default().of(pcm), key)
    }
}
