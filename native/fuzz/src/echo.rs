//! What is heard while our own voice comes back: whatever sounds, and however its delay and its loss change, speech begins
//! and ends in turn, an echo is told of only where we sounded and is gone only after it was there, and what is told of it
//! is what an echo can be.

use _native::event::Kind;
use _native::listening::{Listening, Mode};

use crate::plant;

const MS: i64 = 1_000_000;
/// What happens in a life, and how long one of it lasts, packets of 20 ms.
const STEPS_MOST: usize = 16;
const PACKETS_MOST: u8 = 64;
const PACKET: usize = 160;
/// An echo is looked for up to here, and found in what was heard until so long after we sounded.
const DELAY_MOST_MS: u32 = 630;
const LINGER: i64 = 800 * MS;
const LOSS_MOST_DB: u32 = 100;

struct World {
    listening: Listening,
    now: i64,
    /// All that left so far, and when the last of it did that sounded.
    ours: Vec<i16>,
    sounded: Option<i64>,
    delay: usize,
    gain: f32,
    speaking: bool,
    echoing: bool,
    random: u32,
}

/// Live what `data` says, four bytes a step.
pub fn check(data: &[u8]) {
    let mut world = World {
        listening: Listening::default(),
        now: 1_000_000 * MS,
        ours: vec![0; 80 * usize::from(PACKETS_MOST)],
        sounded: None,
        delay: 800,
        gain: 0.1,
        speaking: false,
        echoing: false,
        random: 1,
    };
    world.listening.listen(Mode::Speech, false);
    for step in data.chunks_exact(4).take(STEPS_MOST) {
        let &[what, one, two, many] = step else { continue };
        match what % 4 {
            0 => world.delay = usize::from(one % 64) * 80,
            1 => world.gain = 10f32.powf(f32::from(one % 44) / -20.0) * 1.4,
            2 => world.now += i64::from(one) * i64::from(two) * MS,
            _ => {}
        }
        world.random = world.random.wrapping_mul(31).wrapping_add(u32::from(two)) | 1;
        for _ in 0..=many % PACKETS_MOST {
            world.packet(what & 4 == 0, what & 8 != 0, what & 16 == 0, what & 32 != 0);
        }
    }
}

impl World {
    /// One packet each way: whether we speak, whether they do, whether ours comes back, and whether theirs is lost.
    fn packet(&mut self, we: bool, they: bool, returned: bool, lost: bool) {
        let ours = self.voice(we);
        if we {
            self.sounded = Some(self.now);
        }
        self.listening.left(self.now, &ours);
        let from = self.ours.len() - self.delay.min(self.ours.len());
        self.ours.extend_from_slice(&ours);
        let mut heard = self.voice(they);
        if returned {
            for (sample, &own) in heard.iter_mut().zip(&self.ours[from..]) {
                #[allow(clippy::cast_possible_truncation)] // The cast saturates.
                let own = (f32::from(own) * self.gain) as i16;
                *sample = sample.saturating_add(own);
            }
        }
        let mut told = Vec::new();
        self.listening.hear(self.now, &heard, None, lost, &mut |_, kind| told.push(kind));
        for kind in told {
            self.hear(plant::in_echo(kind));
        }
        self.now += 20 * MS;
    }

    fn hear(&mut self, kind: Kind) {
        match kind {
            Kind::SpeechBegan => assert!(!std::mem::replace(&mut self.speaking, true), "speech began twice"),
            Kind::SpeechEnded { .. } => assert!(std::mem::take(&mut self.speaking), "speech ended twice"),
            Kind::Echo { present: true, delay_ms, loss_db } => {
                assert!(self.sounded.is_some_and(|at| self.now - at <= LINGER), "an echo of nothing");
                assert!(delay_ms <= DELAY_MOST_MS && loss_db <= LOSS_MOST_DB, "no echo: {delay_ms} ms, {loss_db} dB");
                self.echoing = true;
            }
            Kind::Echo { present: false, .. } => {
                assert!(std::mem::take(&mut self.echoing), "an echo is gone that was not there");
            }
            _ => {}
        }
    }

    /// A packet of noise in syllables, or of silence.
    fn voice(&mut self, sounds: bool) -> Vec<i16> {
        let mut next = || {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.random >> 16) as u16
        };
        let quieter = if sounds { u32::from(next() % 4) * 2 } else { 10 };
        (0..PACKET).map(|_| next().cast_signed() >> quieter).collect()
    }
}
