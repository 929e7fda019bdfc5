//! The room that the far end speaks in: the quietest 20 ms of the last seconds, kept to be sung from when a voice fades.
//!
//! A hole that ends in dead silence is heard as a line that broke. What was never quiet has no room: a level above
//! -40 dBov is not kept.

use crate::energy::energy;

/// What is kept, ms, and what is heard of a packet at least.
const KEPT_MS: usize = 20;
/// Packets after which the quietest one is a new one; the one before it still counts. 2 s at 20 ms.
const WINDOW: u32 = 100;
/// The loudest room, mean square.
const LOUDEST: f32 = 327.0 * 327.0;

/// The quietest packet of this window, and of the last.
#[derive(Debug)]
pub struct Room {
    kept: [Quiet; 2],
    heard: u32,
}

#[derive(Debug)]
struct Quiet {
    level: f32,
    pcm: Vec<i16>,
}

impl Default for Room {
    fn default() -> Self {
        let none = || Quiet { level: LOUDEST, pcm: Vec::new() };
        Self { kept: [none(), none()], heard: 0 }
    }
}

impl Room {
    /// Hear a packet; `per_ms` samples are a ms.
    pub fn hear(&mut self, pcm: &[i16], per_ms: usize) {
        if pcm.len() < KEPT_MS * per_ms / 2 {
            return;
        }
        self.heard += 1;
        if self.heard >= WINDOW {
            self.heard = 0;
            self.kept.swap(0, 1);
            self.kept[0].level = LOUDEST;
            self.kept[0].pcm.clear();
        }
        #[allow(clippy::cast_precision_loss)] // A packet's length.
        let level = energy(pcm) / pcm.len() as f32;
        let quiet = &mut self.kept[0];
        if level < quiet.level {
            quiet.level = level;
            quiet.pcm.clear();
            quiet.pcm.extend_from_slice(&pcm[..pcm.len().min(KEPT_MS * per_ms)]);
        }
    }

    /// The quietest that is known; nothing where it was never quiet.
    #[must_use]
    pub fn quietest(&self) -> &[i16] {
        let [this, last] = &self.kept;
        if last.level < this.level {
            &last.pcm
        } else {
            &this.pcm
        }
    }
}
