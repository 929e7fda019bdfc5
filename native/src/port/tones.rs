//! What of the audio is a tone: keys are told, and what they sound like is kept from whoever listens or records.
//!
//! ```text
//! audio in order ─► keys in it? ─┬─ told, once: Digit ─► its beginning is taken off the tape and out of the pre-roll
//!                                └─ while it sounds: silence for models, bridge and tape
//! ```
//!
//! The models are given audio at once, so the first 20 to 40 ms of a key have reached them when it is known for one; no
//! word is so short. The tape lags, so there nothing of it is left.

use super::{tell, Port};
use crate::event::{Kind, Sink};
use crate::timeline::SAMPLE;
use crate::tone::ear::{leaked, LEAK_MOST};

impl Port {
    /// Look for keys in audio that ends the tape so far; give whether it is a key's, and no speech.
    pub(super) fn is_tone(&mut self, at: i64, pcm: &[i16], concealed: bool, sink: &mut Sink) -> bool {
        let mut began = 0;
        let (number, seq, mouth) = (self.number, &mut self.seq, &self.mouth);
        let end = at + i64::try_from(pcm.len()).unwrap_or(0) * SAMPLE;
        let is_tone = self.key_ear.hear(pcm, concealed, self.listening.is_speech(), &mut |press| {
            began = press.ago.max(began);
            if mouth.echoes(press.key) {
                return;
            }
            let at = end - i64::try_from(press.ago).unwrap_or(0) * SAMPLE;
            let duration_ms = u32::try_from(press.ago / 8).unwrap_or(0);
            tell(number, seq, at, Kind::Digit { key: press.key, duration_ms, in_band: true }, sink);
        });
        if is_tone {
            self.blank(pcm.len().max(began));
        }
        is_tone
    }

    /// A key came as an event: take what leaked of it out of what is not told yet.
    pub(super) fn take_leak(&mut self, key: char) {
        let mut pcm = Vec::new();
        self.listening.kept(LEAK_MOST, &mut pcm);
        self.listening.blank(leaked(&pcm, key));
        if let Some(tape) = &mut self.tape {
            let samples = leaked(tape.far(LEAK_MOST), key);
            tape.blank_far(samples);
        }
    }

    fn blank(&mut self, samples: usize) {
        self.listening.blank(samples);
        if let Some(tape) = &mut self.tape {
            tape.blank_far(samples);
        }
    }
}
