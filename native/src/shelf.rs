//! The packets of one stream that wait to be played, in the order of their audio.
//!
//! ```text
//! put ─► place: a timestamp that wraps ─► a position that does not ─► in order, none twice ─► open: decode, in order
//! ```
//!
//! A codec that remembers (G.722, Opus) must hear its packets in their order, so they are kept as they came until their
//! turn comes. Bounded by [`PACKETS_MOST`]; the memory of those that were played is used again.

use std::collections::VecDeque;

use crate::codec::{Codec, Decoder};
use crate::rtp::timestamp_ahead;

/// Packets that wait at most: 1.2 s of the usual 20 ms.
pub const PACKETS_MOST: usize = 60;

/// What a packet brings.
#[derive(Clone, Copy, Debug)]
pub enum Load<'a> {
    Pcm(&'a [i16]),
    /// A payload, and how many samples it is.
    Sealed(Codec, &'a [u8], usize),
}

impl Load<'_> {
    #[must_use]
    pub fn samples(&self) -> usize {
        match *self {
            Self::Pcm(pcm) => pcm.len(),
            Self::Sealed(_, _, samples) => samples,
        }
    }
}

/// One packet's audio.
#[derive(Debug, Default)]
pub struct Packet {
    /// Of its first sample in the stream.
    pub position: i64,
    pub samples: usize,
    /// All its samples, or none yet where it is sealed.
    pub pcm: Vec<i16>,
    sealed: Option<Codec>,
    payload: Vec<u8>,
    /// Nothing to hear in it.
    pub quiet: bool,
    /// It begins a talk spurt.
    pub begins: bool,
    /// Behind it the sender is silent.
    pub silent: bool,
}

impl Packet {
    /// The position behind it.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.position + i64::try_from(self.samples).unwrap_or(0)
    }
}

/// The packets.
#[derive(Debug)]
pub struct Shelf {
    rate_hz: i64,
    clock_hz: i64,
    packets: VecDeque<Packet>,
    spare: Vec<Packet>,
    /// The newest timestamp, and where it lies in ticks that do not wrap.
    newest: Option<(u32, i64)>,
    /// Where the last packets lie that came, the newest at the back.
    came: VecDeque<i64>,
}

impl Shelf {
    /// For audio at `rate_hz` whose timestamps run at `clock_hz`.
    #[must_use]
    pub fn new(rate_hz: i64, clock_hz: i64) -> Self {
        Self { rate_hz, clock_hz, packets: VecDeque::new(), spare: Vec::new(), newest: None, came: VecDeque::new() }
    }

    /// Where a timestamp lies in the stream, in samples; the first is 0. None: `jump` seconds or more from the last.
    pub fn place(&mut self, timestamp: u32, jump: i64) -> Option<i64> {
        let ticks = match self.newest {
            None => 0,
            Some((newest, ticks)) => {
                let ahead = i64::from(timestamp_ahead(timestamp, newest));
                if ahead.abs() >= jump * self.clock_hz {
                    return None;
                }
                ticks + ahead
            }
        };
        if self.newest.is_none_or(|(_, newest)| ticks > newest) {
            self.newest = Some((timestamp, ticks));
        }
        Some(ticks * self.rate_hz / self.clock_hz)
    }

    /// Whether one came for this position before, of the last [`PACKETS_MOST`]; it has now.
    pub fn came_before(&mut self, position: i64) -> bool {
        if self.came.contains(&position) {
            return true;
        }
        if self.came.len() == PACKETS_MOST {
            self.came.pop_front();
        }
        self.came.push_back(position);
        false
    }

    /// Put a packet in its place. False: there is one already, or no room.
    pub fn put(&mut self, position: i64, load: Load<'_>, quiet: bool, begins: bool) -> bool {
        let index = self.packets.partition_point(|packet| packet.position < position);
        let double = self.packets.get(index).is_some_and(|packet| packet.position == position);
        if double || self.packets.len() >= PACKETS_MOST {
            return false;
        }
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.pcm.clear();
        packet.payload.clear();
        packet.sealed = None;
        match load {
            Load::Pcm(pcm) => packet.pcm.extend_from_slice(pcm),
            Load::Sealed(codec, payload, _) => {
                packet.sealed = Some(codec);
                packet.payload.extend_from_slice(payload);
            }
        }
        let packet = Packet { position, samples: load.samples(), quiet, begins, silent: false, ..packet };
        self.packets.insert(index, packet);
        true
    }

    /// Decode what is sealed from `cursor` on, in order, until `most` samples are there, and only as far as there is
    /// no hole. `is_quiet` is asked about each.
    pub fn open(&mut self, cursor: i64, most: usize, decoder: &mut Decoder, mut is_quiet: impl FnMut(&[i16]) -> bool) {
        let until = cursor + i64::try_from(most).unwrap_or(0);
        let mut next = cursor;
        for packet in &mut self.packets {
            if packet.position > next || next >= until {
                break;
            }
            if let Some(codec) = packet.sealed.take() {
                decoder.decode_into(codec, &packet.payload, &mut packet.pcm);
                packet.pcm.resize(packet.samples, 0);
                packet.quiet = is_quiet(&packet.pcm);
            }
            next = next.max(packet.end());
        }
    }

    /// Whether there is no room for another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS_MOST
    }

    #[must_use]
    pub fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    #[must_use]
    pub fn back(&self) -> Option<&Packet> {
        self.packets.back()
    }

    /// Behind all that is here the sender is silent. False: nothing is here.
    pub fn silence(&mut self) -> bool {
        let last = self.packets.back_mut();
        last.map(|last| last.silent = true).is_some()
    }

    /// Forget the first.
    pub fn retire(&mut self) {
        self.spare.extend(self.packets.pop_front());
    }

    /// Forget all, and where timestamps lie.
    pub fn clear(&mut self) {
        while !self.packets.is_empty() {
            self.retire();
        }
        self.came.clear();
        self.newest = None;
    }

    /// Gather the audio from `cursor` on into `ahead`, `most` samples at most, and only as far as there is no hole.
    pub fn gather(&self, cursor: i64, most: usize, ahead: &mut Vec<i16>) {
        ahead.clear();
        let mut next = cursor;
        for packet in &self.packets {
            if packet.position > next || ahead.len() >= most {
                break;
            }
            let from = usize::try_from(next - packet.position).unwrap_or(0).min(packet.pcm.len());
            let until = packet.pcm.len().min(from + most - ahead.len());
            ahead.extend_from_slice(&packet.pcm[from..until]);
            next = next.max(packet.position + i64::try_from(until).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_wraps_and_a_position_does_not() {
        let mut shelf = Shelf::new(16_000, 8000);
        assert_eq!(shelf.place(u32::MAX - 159, 2), Some(0));
        assert_eq!(shelf.place(0, 2), Some(320));
        assert_eq!(shelf.place(320, 2), Some(960));
        assert_eq!(shelf.place(160, 2), Some(640));
        assert_eq!(shelf.place(16_320, 2), None, "2 s on");
    }

    #[test]
    fn what_is_there_is_gathered_as_far_as_there_is_no_hole() {
        let mut shelf = Shelf::new(8000, 8000);
        for position in [320, 0, 160, 640] {
            assert!(shelf.put(position, Load::Pcm(&[1; 160]), false, false));
        }
        assert!(!shelf.put(160, Load::Pcm(&[1; 160]), false, false));
        let mut ahead = Vec::new();
        shelf.gather(100, 1000, &mut ahead);
        assert_eq!(ahead.len(), 380);
        shelf.gather(100, 200, &mut ahead);
        assert_eq!(ahead.len(), 200);
        shelf.gather(480, 200, &mut ahead);
        assert!(ahead.is_empty());
    }

    #[test]
    fn no_more_than_its_bound_is_kept() {
        let mut shelf = Shelf::new(8000, 8000);
        let put = (0..1000).filter(|&n| shelf.put(n * 80, Load::Pcm(&[0; 80]), false, false)).count();
        assert_eq!(put, PACKETS_MOST);
        shelf.clear();
        assert!(shelf.front().is_none() && shelf.spare.len() == PACKETS_MOST);
    }
}
