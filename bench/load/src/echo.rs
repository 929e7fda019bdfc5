//! Frames that are known again when they come back.
//!
//! The first 16 codes of a frame are a tag: sync, call, frame and check, four bits a code, in the 16 quietest positive
//! codes (0xF0 to 0xFF), which no gate takes for speech and which every µ-law path brings back as they were. Tags
//! are looked for at every byte, so the peer may cut its packets elsewhere.

/// The length of a tag.
pub const TAG: usize = 16;
const SYNC: [u8; 6] = [0xF5, 0xFA, 0xF3, 0xFC, 0xF6, 0xF9];

/// The tag of a call's frame. Calls count to 4096, frames to 2²⁰.
#[must_use]
pub fn tag(call: usize, frame: usize) -> [u8; TAG] {
    let mut out = [0; TAG];
    out[..6].copy_from_slice(&SYNC);
    let value = (call & 0xFFF) << 20 | (frame & 0xF_FFFF);
    for (n, code) in out[6..14].iter_mut().enumerate() {
        *code = nibble(value >> (28 - 4 * n));
    }
    let check = sum(&out[6..14]);
    out[14] = nibble(check >> 4);
    out[15] = nibble(check);
    out
}

fn nibble(value: usize) -> u8 {
    0xF0 | u8::try_from(value & 0xF).unwrap_or(0)
}

/// Eight bits over the value, each place weighted by its own odd number.
fn sum(value: &[u8]) -> usize {
    value.iter().enumerate().fold(0x5A, |sum, (n, &code)| sum + usize::from(code & 0xF) * (2 * n + 3)) & 0xFF
}

/// What was found at a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Frame {
        call: usize,
        frame: usize,
    },
    /// A sync whose rest is no tag.
    Damaged,
}

/// Looks for tags in one returned stream.
#[derive(Debug, Default)]
pub struct Finder {
    window: Vec<u8>,
}

impl Finder {
    /// What came before is no longer next to what comes.
    pub fn forget(&mut self) {
        self.window.clear();
    }

    /// Take the next codes of the stream.
    pub fn take(&mut self, codes: &[u8], mut found: impl FnMut(Found)) {
        self.window.extend_from_slice(codes);
        let mut at = 0;
        while at + TAG <= self.window.len() {
            let candidate = &self.window[at..at + TAG];
            if candidate[..6] != SYNC {
                at += 1;
                continue;
            }
            let value = candidate[6..14].iter().fold(0, |value, &code| value << 4 | usize::from(code & 0xF));
            let (call, frame) = (value >> 20, value & 0xF_FFFF);
            if candidate == tag(call, frame) {
                found(Found::Frame { call, frame });
                at += TAG;
            } else {
                found(Found::Damaged);
                at += 1;
            }
        }
        self.window.drain(..at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(stream: &[u8], cut: usize) -> Vec<Found> {
        let (mut finder, mut found) = (Finder::default(), Vec::new());
        stream.chunks(cut).for_each(|codes| finder.take(codes, |one| found.push(one)));
        found
    }

    #[test]
    fn tags_are_found_wherever_packets_are_cut() {
        let mut stream = Vec::new();
        for frame in [0, 1, 77, 0xF_FFFF] {
            stream.extend([0xFF; 9]);
            stream.extend(tag(4095, frame));
            stream.extend([0x12; 160 - TAG]);
        }
        let wanted = [0, 1, 77, 0xF_FFFF].map(|frame| Found::Frame { call: 4095, frame });
        for cut in [1, 15, 16, 17, 160, 1000] {
            assert_eq!(frames(&stream, cut), wanted, "cut every {cut}");
        }
    }

    #[test]
    fn a_changed_code_is_damage_and_not_another_frame() {
        for at in 6..TAG {
            for flip in 1..16 {
                let mut bytes = tag(5, 1234);
                bytes[at] ^= flip;
                assert_eq!(frames(&bytes, 160), [Found::Damaged], "place {at}, {flip:#x}");
            }
        }
    }
}
