//! RTCP of one port (RFC 3550 section 6): what we count, when we report, and what the far end's reports say.
//!
//! ```text
//! packets ─► Far (A.1, A.3, A.8), ledger ─┬─► SR or RR, SDES, XR (`metrics`) ─► out, when it is due
//! their reports ─► round trip, hearing ───┴─► Quality: the interval, as a listener would rate it
//! ```
//!
//! Intervals are 5 s times 0.5 to 1.5, over 1.21828 since each is drawn again when it is over (sections 6.3.1, 6.3.6);
//! what is drawn comes from a sequence that the SSRC begins, so that ports are spread and runs repeat.

mod metrics;

use crate::event::Quality;
use crate::hearing::Hearing;
use crate::ledger::{Ledger, Tally};
use crate::rtcp::{middle, ntp_of, Compound, Report, ReportBlock, SenderInfo};
use crate::rtp::{sequence_ahead, timestamp_ahead};
use crate::timeline::within;
use crate::xr::{Block, Delay, UNKNOWN};

pub use metrics::Surroundings;

const INTERVAL: i64 = 5_000_000_000;
/// What drawing again makes of intervals is made up for (section 6.3.1): e − 3/2, in 1/100000.
const COMPENSATION: i64 = 121_828;
/// A round trip beyond this is a broken report.
const LONGEST_TRIP: i64 = 10_000_000_000;

/// The statistics of one port.
#[derive(Debug)]
pub struct Reports {
    ssrc: u32,
    name: Vec<u8>,
    random: u64,
    due: Option<i64>,
    /// When the last report left, or the session began.
    left_at: i64,
    made: u32,
    packets: u32,
    octets: u32,
    /// Packets sent at the times of the last two reports, the last first.
    reported: [u32; 2],
    far: Option<Far>,
    /// The far end's last sender report: its middle 32 bits, and when it came.
    last: Option<(u32, i64)>,
    /// The far end's last receiver reference time (RFC 3611 section 4.4), and when it came.
    asked: Option<(Delay, i64)>,
    round_trip: Option<i64>,
    told: Option<Told>,
    /// The clock of what we send.
    clock_hz: u32,
    hearing: Hearing,
    /// What was made up for, all in all, at the time of the last report, ms.
    concealed_ms: u64,
}

/// What the far end told of us since our last report.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    lost: f32,
    jitter_ms: f32,
    /// By its own metrics.
    mos: Option<f32>,
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
    ledger: Ledger,
    tally_before: Tally,
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
            left_at: 0,
            made: 0,
            packets: 0,
            octets: 0,
            reported: [0; 2],
            far: None,
            last: None,
            asked: None,
            round_trip: None,
            told: None,
            clock_hz: 8000,
            hearing: Hearing::default(),
            concealed_ms: 0,
        }
    }

    /// We send on this clock from here on.
    pub fn send_at(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
    }

    /// The session is on: the first report comes after half an interval.
    pub fn start(&mut self, now: i64) {
        if self.due.is_none() {
            self.left_at = now;
            self.due = Some(now + self.interval());
        }
    }

    /// What was due is drawn again (section 6.3.6): whether a report is to be made now.
    pub fn is_time(&mut self, now: i64) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        let due = self.left_at + self.interval();
        self.due = Some(due);
        due <= now
    }

    /// From here on somebody else hears us, or nobody did for a while.
    pub fn begin_sending(&mut self) {
        self.hearing.forget(self.packets);
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
    /// `late`: too late for the ear.
    pub fn received(&mut self, now: i64, ssrc: u32, sequence: u16, timestamp: u32, steady: Option<u32>, late: bool) {
        let Some(far) = self.far.as_mut().filter(|far| far.ssrc == ssrc) else {
            self.far = Some(Far::new(ssrc, sequence));
            return;
        };
        let highest = u16::try_from(far.highest & 0xFFFF).unwrap_or(0);
        let ahead = sequence_ahead(sequence, highest);
        if ahead > 0 {
            far.highest = far.highest.wrapping_add(u32::from(ahead.unsigned_abs()));
            far.ledger.advance(u32::from(ahead.unsigned_abs()), late);
        } else {
            far.ledger.take(u32::from(ahead.unsigned_abs()), late);
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

    /// Take the far end's reports; give whether it hears us (true) or not (false), where that is new.
    pub fn hear(&mut self, now: i64, compound: &Compound) -> Option<bool> {
        let ours = self.ssrc;
        let mut news = None;
        for report in &compound.reports {
            if let Some(sender) = report.sender {
                self.last = Some((middle(sender.ntp), now));
            }
            let block = report.blocks.iter().find(|block| block.ssrc == ours);
            // Blocks about others alone: something between us rewrites RTP and not RTCP. Nothing can be said then.
            if block.is_some() || report.blocks.is_empty() {
                news = self.hearing.told(block, self.packets).or(news);
            }
            let Some(block) = block else { continue };
            #[allow(clippy::cast_precision_loss)]
            let jitter_ms = block.jitter as f32 * 1000.0 / self.clock_hz as f32;
            let told = self.told.get_or_insert_default();
            (told.lost, told.jitter_ms) = (f32::from(block.fraction_lost) / 256.0, jitter_ms);
            if block.last_report != 0 {
                self.measure(now, block.last_report, block.delay_since_last_report);
            }
        }
        for (ssrc, blocks) in &compound.extended {
            blocks.iter().for_each(|block| self.hear_block(now, *ssrc, block));
        }
        news
    }

    fn hear_block(&mut self, now: i64, ssrc: u32, block: &Block) {
        let ours = self.ssrc;
        match block {
            &Block::ReceiverTime(ntp) => self.asked = Some((Delay { ssrc, last: middle(ntp), since: 0 }, now)),
            Block::Delays(delays) => {
                for delay in delays.iter().filter(|delay| delay.ssrc == ours && delay.last != 0) {
                    self.measure(now, delay.last, delay.since);
                }
            }
            Block::Voip(voip) if voip.ssrc == ours => {
                let score = [voip.mos_cq, voip.mos_lq].into_iter().find(|score| (10..=50).contains(score));
                self.told.get_or_insert_default().mos = score.map(|score| f32::from(score) / 10.0);
            }
            Block::Voip(_) => {}
        }
    }

    /// What the far end lost of ours, percent, by the last report that has come.
    #[must_use]
    pub fn far_lost_percent(&self) -> Option<u8> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is 0 to 1, and the cast saturates.
        self.told.map(|told| (told.lost * 100.0).round() as u8)
    }

    /// Section 6.4.1: the round trip is A - LSR - DLSR; RFC 3611 section 4.5 has the same of its own times.
    fn measure(&mut self, now: i64, last: u32, since: u32) {
        let ticks = middle(ntp_of(now)).wrapping_sub(last).wrapping_sub(since);
        // A little below zero is the far end's rounding.
        let ticks = i64::from(ticks.cast_signed()).max(0);
        let trip = (ticks * 1_000_000_000) >> 16;
        if trip <= LONGEST_TRIP {
            self.round_trip = Some(trip);
        }
    }

    /// Make a report, with what it tells of the interval.
    pub fn report(&mut self, now: i64, timestamp: u32, around: &Surroundings) -> (Compound, Option<Quality>) {
        let told = self.told.take();
        let quality = self.quality(told, around);
        let mut compound = self.compound(now, timestamp);
        if around.extended {
            let blocks = self.blocks(now, compound.reports[0].sender.is_none(), around);
            if !blocks.is_empty() {
                compound.extended.push((self.ssrc, blocks));
            }
        }
        self.made += 1;
        self.left_at = now;
        self.due = Some(now + self.interval());
        (compound, quality)
    }

    /// Say goodbye (section 6.6), alone where reduced size was agreed (RFC 5506).
    pub fn bye(&mut self, now: i64, timestamp: u32, reduced: bool) -> Compound {
        let mut compound = if reduced { Compound::default() } else { self.compound(now, timestamp) };
        compound.byes.push(self.ssrc);
        compound
    }

    fn compound(&mut self, now: i64, timestamp: u32) -> Compound {
        // Section 6.4: who has sent since the report before the last one is a sender.
        let sender = (self.packets != self.reported[1]).then(|| SenderInfo {
            ntp: ntp_of(now),
            rtp_timestamp: timestamp,
            packets: self.packets,
            octets: self.octets,
        });
        self.reported = [self.packets, self.reported[0]];
        let last = self.last.map_or((0, 0), |(middle, at)| (middle, since(now, at)));
        let blocks = self.far.as_mut().and_then(|far| far.block(last)).into_iter().collect();
        let names = vec![(self.ssrc, self.name.clone())];
        Compound { reports: vec![Report { ssrc: self.ssrc, sender, blocks }], names, ..Compound::default() }
    }

    /// The next interval; the first is half as long (section 6.2).
    fn interval(&mut self) -> i64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = i64::try_from(self.random >> 44).unwrap_or(0);
        let drawn = (INTERVAL / 2 + ((INTERVAL * share) >> 20)) / COMPENSATION * 100_000;
        if self.made == 0 {
            drawn / 2
        } else {
            drawn
        }
    }
}

/// From `at` to `now`, in 1/65536 s.
fn since(now: i64, at: i64) -> u32 {
    u32::try_from((((now - at).max(0) / 1000) << 16) / 1_000_000).unwrap_or(u32::MAX)
}

impl Far {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let base = u32::from(sequence);
        let (expected_before, received_before) = (0, 0);
        let mut ledger = Ledger::default();
        ledger.advance(1, false);
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
            ledger,
            tally_before: Tally::default(),
        }
    }

    fn jitter_ms(&self) -> f32 {
        #[allow(clippy::cast_precision_loss)]
        let (ticks, clock_hz) = ((self.jitter >> 4) as f32, self.clock_hz as f32);
        ticks * 1000.0 / clock_hz
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// Appendix A.3: what was lost and expected in the interval.
    fn interval(&self) -> (u32, u32) {
        let expected = self.expected().wrapping_sub(self.expected_before);
        (expected.saturating_sub(self.received.wrapping_sub(self.received_before)), expected)
    }

    /// The block of the interval; none where nothing came in it (section 6.4).
    fn block(&mut self, (last_report, delay_since_last_report): (u32, u32)) -> Option<ReportBlock> {
        if self.received == self.received_before {
            return None;
        }
        let (lost, expected_now) = self.interval();
        let expected = self.expected();
        (self.expected_before, self.received_before) = (expected, self.received);
        let fraction = if expected_now == 0 { 0 } else { u64::from(lost) * 256 / u64::from(expected_now) };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(255),
            cumulative_lost: expected.wrapping_sub(self.received).cast_signed(),
            highest_sequence: self.highest,
            jitter: self.jitter >> 4,
            last_report,
            delay_since_last_report,
        })
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
                reports.received(time, 9, n.wrapping_add(65500), u32::from(n) * 160, Some(8000), false);
            }
        }
        let (compound, quality) = reports.report(2 * S, 0, &Surroundings::default());
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
            reports.received(time, 9, n, u32::from(n) * 160, Some(8000), false);
        }
        let (_, quality) = reports.report(20 * S, 0, &Surroundings::default());
        assert!(quality.is_some_and(|quality| (quality.jitter_ms - 4.0).abs() < 0.3), "{quality:?}");
    }

    #[test]
    fn two_ports_measure_the_round_trip() {
        let (mut us, mut them) = (Reports::new(1, "us"), Reports::new(2, "them"));
        us.sent(160);
        let (first, _) = us.report(10 * S, 0, &Surroundings::default());
        them.received(10 * S, 1, 1, 0, Some(8000), false);
        them.hear(10 * S + 30 * MS, &first);
        let (answer, _) = them.report(12 * S, 0, &Surroundings::default());
        us.hear(12 * S + 50 * MS, &answer);
        let trip = us.round_trip().expect("a round trip");
        assert!((trip - 80 * MS).abs() < MS / 10, "{trip}");
    }

    #[test]
    fn intervals_are_spread_and_repeat() {
        let mut times = Vec::new();
        for _ in 0..2 {
            let mut reports = Reports::new(77, "us");
            reports.start(0);
            let (mut now, mut before) = (0, 0);
            while times.len() % 500 < 499 {
                now = reports.due().expect("a report is due").max(now);
                if !reports.is_time(now) {
                    continue;
                }
                let least = if before == 0 { 1026 * MS } else { 2052 * MS };
                assert!((least..=6157 * MS).contains(&(now - before)), "{} ms", (now - before) / MS);
                times.push(now - before);
                before = now;
                reports.report(now, 0, &Surroundings::default());
            }
            times.push(0);
        }
        assert_eq!(times[..500], times[500..]);
        let mean = times[1..499].iter().sum::<i64>() / 498;
        assert!((4800 * MS..5200 * MS).contains(&mean), "{} ms on average", mean / MS);
    }

    #[test]
    fn who_sends_no_rtp_learns_the_round_trip_too() {
        let around = Surroundings { extended: true, ..Surroundings::default() };
        let (mut us, mut them) = (Reports::new(1, "us"), Reports::new(2, "them"));
        let (asked, _) = us.report(10 * S, 0, &around);
        them.hear(10 * S + 30 * MS, &asked);
        let (answer, _) = them.report(12 * S, 0, &around);
        us.hear(12 * S + 50 * MS, &answer);
        let trip = us.round_trip().expect("a round trip");
        assert!((trip - 80 * MS).abs() < MS / 10, "{trip}");
    }

    #[test]
    fn a_source_that_fell_silent_has_no_block_and_a_sender_is_one_for_two_reports() {
        let mut reports = Reports::new(1, "us");
        reports.sent(160);
        reports.received(0, 9, 1, 0, Some(8000), false);
        let mut made = |second| reports.report(second * S, 0, &Surroundings::default()).0.reports.remove(0);
        let told: Vec<_> =
            (1..4).map(|second| made(second * 5)).map(|one| (one.sender.is_some(), one.blocks.len())).collect();
        assert_eq!(told, [(true, 1), (true, 0), (false, 0)]);
    }
}
