//! RTCP of one port (RFC 3550 section 6): what we count, when we report, and what the far end's reports say.
//!
//! Intervals are 5 s times 0.5 to 1.5 (section 6.3.1), drawn from a sequence that the SSRC begins, so that ports are
//! spread and runs repeat.

use crate::event::Quality;
use crate::rtcp::{middle, ntp_of, Compound, Report, ReportBlock, SenderInfo};
use crate::rtp::{sequence_ahead, timestamp_ahead};
use crate::timeline::within;

const INTERVAL: i64 = 5_000_000_000;
/// A round trip beyond this is a broken report.
const LONGEST_TRIP: i64 = 10_000_000_000;

/// The statistics of one port.
#[derive(Debug)]
pub struct Reports {
    ssrc: u32,
    name: Vec<u8>,
    random: u64,
    due: Option<i64>,
    packets: u32,
    octets: u32,
    /// Packets sent at the time of the last report.
    reported: u32,
    far: Option<Far>,
    /// The far end's last sender report: its middle 32 bits, and when it came.
    last: Option<(u32, i64)>,
    round_trip: Option<i64>,
    told: Option<(f32, f32)>,
    /// The clock of what we send.
    clock_hz: u32,
}

/// What was received of one source (appendices A.1, A.3 and A.8).
#[derive(Debug)]
struct Far {
    ssrc: u32,
    base: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    transit: Option<i64>,
    /// In 1/16 of a timestamp unit.
    jitter: u32,
    /// The clock of both.
    clock_hz: u32,
}

impl Reports {
    #[must_use]
    pub fn new(ssrc: u32, name: &str) -> Self {
        let name = name.as_bytes()[..name.len().min(255)].to_vec();
        let random = u64::from(ssrc) | 1 << 32;
        Self {
            ssrc,
            name,
            random,
            due: None,
            packets: 0,
            octets: 0,
            reported: 0,
            far: None,
            last: None,
            round_trip: None,
            told: None,
            clock_hz: 8000,
        }
    }

    /// We send on this clock from here on.
    pub fn send_at(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
    }

    /// The session is on: the first report comes after half an interval.
    pub fn start(&mut self, now: i64) {
        if self.due.is_none() {
            self.due = Some(now + self.interval() / 2);
        }
    }

    /// When the next report is due.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        self.due
    }

    /// The round trip, as the far end's reports tell it, ns.
    #[must_use]
    pub fn round_trip(&self) -> Option<i64> {
        self.round_trip
    }

    /// One of our packets left.
    pub fn sent(&mut self, payload_bytes: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload_bytes).unwrap_or(0));
    }

    /// One of theirs came. `steady`: its timestamp moves with time on this clock, so it tells jitter (a key's does not).
    pub fn received(&mut self, now: i64, ssrc: u32, sequence: u16, timestamp: u32, steady: Option<u32>) {
        let Some(far) = self.far.as_mut().filter(|far| far.ssrc == ssrc) else {
            self.far = Some(Far::new(ssrc, sequence));
            return;
        };
        let highest = u16::try_from(far.highest & 0xFFFF).unwrap_or(0);
        let ahead = sequence_ahead(sequence, highest);
        if ahead > 0 {
            far.highest = far.highest.wrapping_add(u32::from(ahead.unsigned_abs()));
        }
        far.received = far.received.wrapping_add(1);
        if let Some(clock_hz) = steady {
            if far.clock_hz != clock_hz {
                (far.clock_hz, far.transit, far.jitter) = (clock_hz, None, 0);
            }
            // Differences of 32-bit clocks, so that the wrap of either does no harm.
            let arrival = within(now, clock_hz) & 0xFFFF_FFFF;
            let transit = i64::from(timestamp_ahead(u32::try_from(arrival).unwrap_or(0), timestamp));
            if let Some(before) = far.transit {
                let moved = u32::try_from((transit - before).abs()).unwrap_or(u32::MAX).min(1 << 20);
                far.jitter = far.jitter.wrapping_add(moved).wrapping_sub((far.jitter + 8) >> 4);
            }
            far.transit = Some(transit);
        }
    }

    /// Take the far end's reports.
    pub fn hear(&mut self, now: i64, compound: &Compound) {
        for report in &compound.reports {
            if let Some(sender) = report.sender {
                self.last = Some((middle(sender.ntp), now));
            }
            let ours = self.ssrc;
            for block in report.blocks.iter().filter(|block| block.ssrc == ours) {
                #[allow(clippy::cast_precision_loss)]
                let jitter_ms = block.jitter as f32 * 1000.0 / self.clock_hz as f32;
                self.told = Some((f32::from(block.fraction_lost) / 256.0, jitter_ms));
                if block.last_report != 0 {
                    self.measure(now, block);
                }
            }
        }
    }

    /// Section 6.4.1: the round trip is A - LSR - DLSR.
    fn measure(&mut self, now: i64, block: &ReportBlock) {
        let ticks = middle(ntp_of(now)).wrapping_sub(block.last_report).wrapping_sub(block.delay_since_last_report);
        // A little below zero is the far end's rounding.
        let ticks = i64::from(ticks.cast_signed()).max(0);
        let trip = (ticks * 1_000_000_000) >> 16;
        if trip <= LONGEST_TRIP {
            self.round_trip = Some(trip);
        }
    }

    /// Make the report that is due, with what it tells of the interval.
    pub fn report(&mut self, now: i64, timestamp: u32) -> (Compound, Option<Quality>) {
        let (compound, quality) = self.compound(now, timestamp);
        self.due = Some(now + self.interval());
        (compound, quality)
    }

    /// Say goodbye (section 6.6).
    pub fn bye(&mut self, now: i64, timestamp: u32) -> Compound {
        let (mut compound, _) = self.compound(now, timestamp);
        compound.byes.push(self.ssrc);
        compound
    }

    fn compound(&mut self, now: i64, timestamp: u32) -> (Compound, Option<Quality>) {
        let sender = (self.packets != self.reported).then(|| SenderInfo {
            ntp: ntp_of(now),
            rtp_timestamp: timestamp,
            packets: self.packets,
            octets: self.octets,
        });
        self.reported = self.packets;
        let last = self.last.map_or((0, 0), |(middle, at)| {
            let delay = ((now - at).max(0) << 16) / 1_000_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        let told = self.told.take();
        let mut blocks = Vec::new();
        let mut quality = None;
        if let Some(far) = &mut self.far {
            let (block, lost, expected) = far.block(last);
            #[allow(clippy::cast_precision_loss)]
            let jitter_ms = (far.jitter >> 4) as f32 * 1000.0 / far.clock_hz as f32;
            let (far_lost_fraction, far_jitter_ms) = told.unwrap_or_default();
            #[allow(clippy::cast_precision_loss)]
            let round_trip_ms = self.round_trip.map(|trip| trip as f32 / 1e6);
            quality = Some(Quality { lost, expected, jitter_ms, round_trip_ms, far_lost_fraction, far_jitter_ms });
            blocks.push(block);
        }
        let names = vec![(self.ssrc, self.name.clone())];
        (Compound { reports: vec![Report { ssrc: self.ssrc, sender, blocks }], names, byes: vec![] }, quality)
    }

    fn interval(&mut self) -> i64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = i64::try_from(self.random >> 44).unwrap_or(0);
        INTERVAL / 2 + ((INTERVAL * share) >> 20)
    }
}

impl Far {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let base = u32::from(sequence);
        let (expected_before, received_before) = (0, 0);
        Self {
            ssrc,
            base,
            highest: base,
            received: 1,
            expected_before,
            received_before,
            transit: None,
            jitter: 0,
            clock_hz: 8000,
        }
    }

    /// Appendix A.3: the block, and the interval's lost and expected.
    fn block(&mut self, (last_report, delay_since_last_report): (u32, u32)) -> (ReportBlock, u32, u32) {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let expected_now = expected.wrapping_sub(self.expected_before);
        let received_now = self.received.wrapping_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost = expected_now.saturating_sub(received_now);
        let fraction = if expected_now == 0 { 0 } else { u64::from(lost) * 256 / u64::from(expected_now) };
        let block = ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(255),
            cumulative_lost: expected.wrapping_sub(self.received).cast_signed(),
            highest_sequence: self.highest,
            jitter: self.jitter >> 4,
            last_report,
            delay_since_last_report,
        };
        (block, lost, expected_now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const S: i64 = 1000 * MS;

    #[test]
    fn loss_is_told_by_interval_and_in_all() {
        let mut reports = Reports::new(1, "us");
        for n in 0..100u16 {
            if n % 10 != 5 {
                let time = i64::from(n) * 20 * MS;
                reports.received(time, 9, n.wrapping_add(65500), u32::from(n) * 160, Some(8000));
            }
        }
        let (compound, quality) = reports.report(2 * S, 0);
        let block = compound.reports[0].blocks[0];
        assert_eq!((block.cumulative_lost, block.fraction_lost, block.jitter), (10, 25, 0));
        assert_eq!(block.highest_sequence, 65500 + 99);
        assert_eq!(quality.map(|quality| (quality.lost, quality.expected)), Some((10, 100)));
        assert!(compound.reports[0].sender.is_none());
    }

    #[test]
    fn jitter_is_the_mean_deviation() {
        let mut reports = Reports::new(1, "us");
        for n in 0..1000u16 {
            let time = i64::from(n) * 20 * MS + i64::from(n % 2) * 4 * MS;
            reports.received(time, 9, n, u32::from(n) * 160, Some(8000));
        }
        let (_, quality) = reports.report(20 * S, 0);
        assert!(quality.is_some_and(|quality| (quality.jitter_ms - 4.0).abs() < 0.3), "{quality:?}");
    }

    #[test]
    fn two_ports_measure_the_round_trip() {
        let (mut us, mut them) = (Reports::new(1, "us"), Reports::new(2, "them"));
        us.sent(160);
        let (first, _) = us.report(10 * S, 0);
        them.received(10 * S, 1, 1, 0, Some(8000));
        them.hear(10 * S + 30 * MS, &first);
        let (answer, _) = them.report(12 * S, 0);
        us.hear(12 * S + 50 * MS, &answer);
        let trip = us.round_trip().expect("a round trip");
        assert!((trip - 80 * MS).abs() < MS / 10, "{trip}");
    }

    #[test]
    fn intervals_are_spread_and_repeat() {
        let mut dues = Vec::new();
        for _ in 0..2 {
            let mut reports = Reports::new(77, "us");
            reports.start(0);
            let mut now = 0;
            for _ in 0..50 {
                let due = reports.due().expect("a report is due");
                assert!((1250 * MS..=7500 * MS).contains(&(due - now)));
                now = due;
                dues.push(due);
                reports.report(due, 0);
            }
        }
        assert_eq!(dues[..50], dues[50..]);
    }
}
