//! Keys as RTP events (RFC 4733): one payload each way, and the ear that tells each key once.
//!
//! ```text
//!  |     event     |E|R| volume    |          duration             |
//! ```
//!
//! A key is one event, and an event is one timestamp. Any of its packets tells the key, so lost starts and lost ends
//! cost nothing; its later packets and the retransmitted ends repeat the timestamp and are known by it.

use crate::rtp::timestamp_ahead;

/// Keys by event code, RFC 4733 section 3.2.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// One event payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub code: u8,
    pub end: bool,
    /// The R bit, ignored by receivers and kept for the round trip.
    pub reserved: bool,
    /// Minus dBm0, 0 to 63.
    pub volume: u8,
    /// In timestamp units.
    pub duration: u16,
}

impl Event {
    /// Read a payload; None where it is not four bytes or more. Bytes behind the first event are ignored.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let bytes = payload.first_chunk::<4>()?;
        Some(Self {
            code: bytes[0],
            end: bytes[1] & 0x80 != 0,
            reserved: bytes[1] & 0x40 != 0,
            volume: bytes[1] & 0x3F,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    /// The payload's bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 4] {
        let flags = u8::from(self.end) << 7 | u8::from(self.reserved) << 6 | (self.volume & 0x3F);
        let [high, low] = self.duration.to_be_bytes();
        [self.code, flags, high, low]
    }

    /// The key, None for an event that is no key (a flash, a fax tone).
    #[must_use]
    pub fn key(&self) -> Option<char> {
        key_of(self.code)
    }
}

/// The key of an event code, None for an event that is no key.
#[must_use]
pub fn key_of(code: u8) -> Option<char> {
    KEYS.get(usize::from(code)).map(|&key| char::from(key))
}

/// The event code of a key (`a` to `d` as `A` to `D`), None for any other character.
#[must_use]
pub fn code_of(key: char) -> Option<u8> {
    let key = u8::try_from(key.to_ascii_uppercase()).ok()?;
    KEYS.iter().position(|&known| known == key).and_then(|code| u8::try_from(code).ok())
}

/// The receiver's memory: the event that is sounding or was last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    last: Option<Sounding>,
}

#[derive(Clone, Copy, Debug)]
struct Sounding {
    timestamp: u32,
    event: Event,
}

/// A peer that moves the timestamp with every packet of one event does so by at most a packet.
const CREEP_MS: u32 = 50;

impl Keys {
    /// Take one event packet, on a clock of `clock_hz`; give the event if it is the first of its key.
    pub fn hear(&mut self, timestamp: u32, event: Event, clock_hz: u32) -> Option<Event> {
        let Some(last) = self.last else {
            self.last = Some(Sounding { timestamp, event });
            return Some(event);
        };
        let ahead = timestamp_ahead(timestamp, last.timestamp);
        let same_key = event.code == last.event.code;
        // A late packet of an event that is over, or one more packet of the event that is known.
        if ahead < 0 || (ahead == 0 && same_key) {
            if ahead == 0 {
                self.note(timestamp, event);
            }
            return None;
        }
        // RFC 4733 section 2.5.1.3: an event longer than the field goes on in a segment that begins where it ended.
        let segment = same_key && !last.event.end && ahead == i32::from(u16::MAX) && last.event.duration > u16::MAX / 2;
        let grows = !last.event.end && event.duration > last.event.duration;
        let repeats = event.end && event.duration == last.event.duration;
        let creep = i32::try_from(CREEP_MS * (clock_hz / 1000)).unwrap_or(0);
        let creeping = same_key && ahead <= creep && (grows || repeats);
        self.note(timestamp, event);
        (!segment && !creeping).then_some(event)
    }

    fn note(&mut self, timestamp: u32, event: Event) {
        let ended = self.last.is_some_and(|last| last.timestamp == timestamp && last.event.end);
        self.last = Some(Sounding { timestamp, event: Event { end: event.end || ended, ..event } });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key as a well-behaved sender sends it: growing packets, then the end three times.
    fn key(code: u8, timestamp: u32, packets: u16) -> Vec<(u32, Event)> {
        let of = |n: u16, end| (timestamp, Event { code, end, reserved: false, volume: 10, duration: n * 160 });
        let mut sent: Vec<_> = (1..packets).map(|n| of(n, false)).collect();
        sent.extend([of(packets, true); 3]);
        sent
    }

    fn heard(packets: impl IntoIterator<Item = (u32, Event)>) -> Vec<char> {
        let mut keys = Keys::default();
        packets.into_iter().filter_map(|(at, event)| keys.hear(at, event, 8000)?.key()).collect()
    }

    #[test]
    fn a_payload_comes_back() {
        for bytes in [[0u8, 0, 0, 0], [11, 0x8A, 3, 0x20], [255, 255, 255, 255]] {
            assert_eq!(Event::parse(&bytes).map(|event| event.bytes()), Some(bytes));
        }
        assert_eq!(Event::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn each_key_is_told_once() {
        let packets = "0123456789*#ABCD5555"
            .chars()
            .enumerate()
            .flat_map(|(n, wanted)| key(code_of(wanted).unwrap_or(99), 1600 * u32::try_from(n).unwrap_or(0), 5));
        assert_eq!(heard(packets).into_iter().collect::<String>(), "0123456789*#ABCD5555");
    }

    #[test]
    fn a_third_of_the_packets_may_be_lost() {
        let mut random = 12345u32;
        for _ in 0..500 {
            let mut packets = key(1, 1000, 5);
            packets.extend(key(1, 3000, 5));
            packets.extend(key(2, 5000, 5));
            let survivors: Vec<_> = packets
                .iter()
                .copied()
                .filter(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 16) % 10 >= 3
                })
                .collect();
            let reached: Vec<char> = [(1000u32, '1'), (3000, '1'), (5000, '2')]
                .into_iter()
                .filter(|(at, _)| survivors.iter().any(|(timestamp, _)| timestamp == at))
                .map(|(_, key)| key)
                .collect();
            assert_eq!(heard(survivors), reached);
        }
    }

    #[test]
    fn a_late_packet_of_an_old_key_is_not_a_new_one() {
        let first = key(3, 1000, 3);
        let mut packets = first.clone();
        packets.extend(key(4, 3000, 3));
        packets.push(first[1]);
        assert_eq!(heard(packets), ['3', '4']);
    }

    #[test]
    fn a_creeping_timestamp_is_still_one_key() {
        let packets = key(5, 0, 6).into_iter().enumerate();
        let creeping = packets.map(|(n, (_, event))| (160 * u32::try_from(n).unwrap_or(0), event));
        assert_eq!(heard(creeping), ['5']);
    }

    #[test]
    fn timestamps_wrap() {
        let mut packets = key(6, u32::MAX - 100, 3);
        packets.extend(key(6, 1500, 3));
        assert_eq!(heard(packets), ['6', '6']);
    }
}
