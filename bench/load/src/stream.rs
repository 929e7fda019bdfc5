//! One stream that came back: what is missing of it, its jitter, and how late each packet left.
//!
//! A packet with timestamp `t` should leave at `g + t`, and none leaves before. So the stream's own grid `g` is where
//! its most punctual packet puts it, and every other packet's distance from it is its lateness. Where the sender is
//! known to depart at multiples of some step on the clock, `g` is moved back to the multiple before that packet, so that
//! what makes all packets late alike is told too. Both programs run on one machine, and so on one clock: the grid has
//! no drift.

use crate::rtp::{sequence_ahead, timestamp_ahead, Packet};
use crate::PACKET;

/// So many identical codes of silence inside a packet are a hole in somebody's voice: 5 ms.
const HOLE: usize = 40;
/// The kernel's clock is compared with ours to this, ns: a packet may seem to have left so much too early.
const UNSURE: i64 = 20_000;
/// A jump of the sequence further than this begins the stream anew.
const FURTHEST: i64 = 5_000;

/// What a stream amounted to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub received: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub restarts: u64,
    pub markers: u64,
    pub timestamp_jumps: u64,
    pub silent_frames: u64,
}

impl Tally {
    /// Add another stream's.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.restarts += other.restarts;
        self.markers += other.markers;
        self.timestamp_jumps += other.timestamp_jumps;
        self.silent_frames += other.silent_frames;
    }
}

/// The state of one stream.
#[derive(Debug)]
pub struct Stream {
    /// Departures are due at multiples of it, ns; 0 where nothing is known of them.
    step: i64,
    /// Of the RTP clock, in a packet.
    ticks: i64,
    tally: Tally,
    first: Option<i64>,
    segment: Option<Segment>,
    /// Departures beyond the grid, ns, of the segments that are over.
    late: Vec<i64>,
    jitter: f64,
    jitter_sum: f64,
    jitter_count: u32,
}

/// A stretch with one SSRC and one sequence.
#[derive(Debug)]
struct Segment {
    ssrc: u32,
    base: i64,
    highest: i64,
    timestamp: i64,
    seen: Vec<bool>,
    /// Kernel time minus media time of each packet.
    offsets: Vec<i64>,
    /// The least of them, and the kernel time of that packet.
    punctual: (i64, i64),
    last_transit: i64,
}

/// What the stream makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next in order.
    Next,
    /// Behind a hole, or a stream that begins.
    Apart,
    /// Late or again.
    Behind,
}

impl Stream {
    /// One of packets of so many ticks, whose departures are due at multiples of `step` ns on the clock; 0: that is not
    /// known.
    #[must_use]
    pub fn new(step: i64, ticks: u32) -> Self {
        Self {
            step,
            ticks: i64::from(ticks.max(1)),
            tally: Tally::default(),
            first: None,
            segment: None,
            late: Vec::new(),
            jitter: 0.0,
            jitter_sum: 0.0,
            jitter_count: 0,
        }
    }

    /// When the first packet came.
    #[must_use]
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// Take a packet of audio that the kernel saw at `at`.
    pub fn take(&mut self, at: i64, packet: &Packet<'_>) -> Place {
        self.tally.received += 1;
        if self.first.is_none() {
            self.first = Some(at);
        } else {
            self.tally.markers += u64::from(packet.marker);
        }
        self.tally.silent_frames += u64::from(has_hole(packet.payload));
        let place = match &mut self.segment {
            Some(segment) if segment.ssrc == packet.ssrc => segment.place(packet, self.ticks, &mut self.tally),
            _ => None,
        };
        let Some(place) = place else {
            self.close();
            self.tally.restarts += u64::from(self.tally.received > 1);
            self.segment = Some(Segment::new(at, packet, self.ticks));
            return Place::Apart;
        };
        if let Some(segment) = self.segment.as_mut().filter(|_| place != Place::Behind) {
            let transit = at - segment.timestamp * PACKET / self.ticks;
            #[allow(clippy::cast_precision_loss)]
            let moved = (transit - segment.last_transit).abs() as f64;
            segment.last_transit = transit;
            segment.offsets.push(transit);
            segment.punctual = segment.punctual.min((transit, at));
            // RFC 3550 section 6.4.1.
            self.jitter += (moved - self.jitter) / 16.0;
            self.jitter_sum += self.jitter;
            self.jitter_count += 1;
        }
        place
    }

    fn close(&mut self) {
        let Some(segment) = self.segment.take() else {
            return;
        };
        self.tally.lost += segment.seen.iter().filter(|&&seen| !seen).count() as u64;
        let (least, at) = segment.punctual;
        let late = if self.step > 0 { (at + UNSURE).rem_euclid(self.step) - UNSURE } else { 0 };
        let grid = least - late;
        self.late.extend(segment.offsets.iter().map(|offset| offset - grid));
    }

    /// The end: what it amounted to, its mean jitter (ns), and the lateness of each departure (ns).
    #[must_use]
    pub fn finish(mut self) -> (Tally, f64, Vec<i64>) {
        self.close();
        (self.tally, self.jitter_sum / f64::from(self.jitter_count.max(1)), self.late)
    }
}

impl Segment {
    fn new(at: i64, packet: &Packet<'_>, ticks: i64) -> Self {
        let sequence = i64::from(packet.sequence);
        let transit = at - i64::from(packet.timestamp) * PACKET / ticks;
        Self {
            ssrc: packet.ssrc,
            base: sequence,
            highest: sequence,
            timestamp: i64::from(packet.timestamp),
            seen: vec![true],
            offsets: vec![transit],
            punctual: (transit, at),
            last_transit: transit,
        }
    }

    /// Where a packet belongs; None where it can't belong to this stretch.
    fn place(&mut self, packet: &Packet<'_>, ticks: i64, tally: &mut Tally) -> Option<Place> {
        let sequence = self.highest + sequence_ahead(packet.sequence, self.highest);
        let index = usize::try_from(sequence - self.base).ok()?;
        if (sequence - self.highest).abs() > FURTHEST {
            return None;
        }
        if sequence <= self.highest {
            let seen = &mut self.seen[index];
            if *seen {
                tally.duplicated += 1;
            } else {
                tally.reordered += 1;
            }
            *seen = true;
            return Some(Place::Behind);
        }
        let step = sequence - self.highest;
        self.seen.resize(index, false);
        self.seen.push(true);
        self.highest = sequence;
        let advanced = timestamp_ahead(packet.timestamp, self.timestamp);
        self.timestamp += advanced;
        tally.timestamp_jumps += u64::from(advanced != step * ticks);
        Some(if step == 1 { Place::Next } else { Place::Apart })
    }
}

/// Whether 5 ms of a payload are the law's own silence.
fn has_hole(payload: &[u8]) -> bool {
    let mut run = 0;
    payload.iter().any(|&code| {
        run = if code == 0xFF || code == 0xD5 { run + 1 } else { 0 };
        run >= HOLE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 9, payload: &[1; 160] }
    }

    #[test]
    fn lateness_is_the_distance_from_the_most_punctual_packet() {
        let mut stream = Stream::new(0, 160);
        for (n, late) in [3, 0, 7, 0, 1].into_iter().enumerate() {
            let n = u16::try_from(n).unwrap_or(0);
            let at = i64::from(n) * 20 * MS + late * MS;
            stream.take(at, &packet(n.wrapping_sub(2), u32::from(n).wrapping_mul(160).wrapping_sub(160)));
        }
        let (tally, jitter, late) = stream.finish();
        assert_eq!(late, [3, 0, 7, 0, 1].map(|ms| ms * MS));
        assert_eq!((tally.received, tally.lost, tally.timestamp_jumps), (5, 0, 0));
        assert!(jitter > 0.0);
    }

    #[test]
    fn on_a_known_grid_even_the_most_punctual_packet_may_be_late() {
        let mut stream = Stream::new(2 * MS, 160);
        for (n, late) in [3, 1, 7].into_iter().enumerate() {
            let n = u16::try_from(n).unwrap_or(0);
            stream.take((i64::from(n) * 200 + 40 + late) * MS / 10, &packet(n, u32::from(n).wrapping_mul(160)));
        }
        assert_eq!(stream.finish().2, [3, 1, 7].map(|tenths| tenths * MS / 10));
        let mut stream = Stream::new(2 * MS, 160);
        stream.take(4 * MS - UNSURE, &packet(0, 0));
        assert_eq!(stream.finish().2, [-UNSURE], "the clocks differ, and nobody is two milliseconds late");
    }

    #[test]
    fn holes_repeats_and_jumps_are_told_apart() {
        let mut stream = Stream::new(0, 160);
        let places: Vec<Place> = [(10, 0), (11, 160), (14, 640), (12, 320), (14, 640), (15, 1600)]
            .into_iter()
            .map(|(sequence, timestamp)| stream.take(0, &packet(sequence, timestamp)))
            .collect();
        assert_eq!(places, [Place::Apart, Place::Next, Place::Apart, Place::Behind, Place::Behind, Place::Next]);
        let (tally, _, _) = stream.finish();
        assert_eq!((tally.lost, tally.reordered, tally.duplicated, tally.timestamp_jumps), (1, 1, 1, 1));
    }

    #[test]
    fn another_stream_has_a_grid_of_its_own() {
        let mut stream = Stream::new(0, 160);
        stream.take(0, &packet(1, 0));
        stream.take(5 * MS, &Packet { ssrc: 8, ..packet(500, 77) });
        stream.take(27 * MS, &Packet { ssrc: 8, ..packet(501, 237) });
        let (tally, _, late) = stream.finish();
        assert_eq!((tally.restarts, tally.lost, late), (1, 0, vec![0, 0, 2 * MS]));
    }

    #[test]
    fn five_milliseconds_of_silence_are_a_hole() {
        let mut payload = [1; 160];
        payload[100..139].fill(0xFF);
        assert!(!has_hole(&payload));
        payload[139] = 0xFF;
        assert!(has_hole(&payload));
    }
}
