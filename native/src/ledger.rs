//! What became of each packet of a stream: it came, it came too late, it never came; and how the gone ones lie together.
//!
//! ```text
//! sequence numbers ─► 64 of them, open: the late may still come ─► settled, in order ─► runs, bursts and gaps
//! ```
//!
//! A burst begins and ends with a packet that is gone (lost or discarded), and has no 16 in a row between that came; a
//! gap is what lies between bursts, single losses in it included (RFC 3611 section 4.7.2, with its Gmin of 16).

/// So many that came in a row end a burst.
pub const GMIN: u32 = 16;
/// Packets that may still come.
const OPEN: u32 = 64;

/// The packets of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger {
    /// Of the highest and the 63 before, the highest in the lowest bit.
    came: u64,
    late: u64,
    open: u32,
    settled: Tally,
}

/// The sums of a stream, since its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub packets: u32,
    pub lost: u32,
    pub late: u32,
    /// Stretches of gone packets.
    pub runs: u32,
    pub bursts: u32,
    pub burst_packets: u32,
    pub burst_gone: u32,
    /// That came since the last that is gone.
    since: u32,
    /// Of what may be a burst: its packets up to the last gone one, and how many of them are gone.
    cluster: u32,
    cluster_gone: u32,
}

impl Default for Tally {
    fn default() -> Self {
        // A stream begins in a gap.
        let (since, none) = (GMIN, 0);
        Self {
            packets: none,
            lost: none,
            late: none,
            runs: none,
            bursts: none,
            burst_packets: none,
            burst_gone: none,
            since,
            cluster: none,
            cluster_gone: none,
        }
    }
}

impl Ledger {
    /// The sequence went on by `packets`, of which the last came; `late` for the ear.
    pub fn advance(&mut self, packets: u32, late: bool) {
        if packets >= OPEN {
            self.settle(self.open);
            self.settled.lose(packets - OPEN, 0);
            (self.came, self.late, self.open) = (0, 0, OPEN);
        } else {
            self.settle((self.open + packets).saturating_sub(OPEN));
            self.came <<= packets;
            self.late <<= packets;
            self.open += packets;
        }
        self.take(0, late);
    }

    /// One came, `behind` the highest.
    pub fn take(&mut self, behind: u32, late: bool) {
        if behind < self.open {
            let bit = 1 << behind;
            if self.came & bit == 0 {
                self.late |= if late { bit } else { 0 };
            }
            self.came |= bit;
        }
    }

    /// The sums, with what is open as it stands.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut copy = *self;
        copy.settle(copy.open);
        copy.settled.close();
        copy.settled
    }

    /// Settle the oldest.
    fn settle(&mut self, packets: u32) {
        for _ in 0..packets {
            self.open -= 1;
            let bit = 1 << self.open;
            match (self.came & bit != 0, self.late & bit != 0) {
                (true, false) => self.settled.come(),
                (true, true) => self.settled.lose(1, 1),
                (false, _) => self.settled.lose(1, 0),
            }
        }
    }
}

impl Tally {
    /// Packets that are gone: lost or discarded.
    #[must_use]
    pub fn gone(&self) -> u32 {
        self.lost.saturating_add(self.late)
    }

    /// What came about since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Interval {
        // What was lost then may have come since.
        Interval {
            packets: self.packets.saturating_sub(before.packets),
            gone: self.gone().saturating_sub(before.gone()),
            late: self.late.saturating_sub(before.late),
            runs: self.runs.saturating_sub(before.runs),
        }
    }

    fn come(&mut self) {
        self.packets = self.packets.saturating_add(1);
        self.since = self.since.saturating_add(1);
    }

    /// A row of packets is gone, `late` of them late.
    fn lose(&mut self, packets: u32, late: u32) {
        if packets == 0 {
            return;
        }
        // A far end that jumps all day reaches the end of 32 bits; it stays there.
        self.packets = self.packets.saturating_add(packets);
        self.lost = self.lost.saturating_add(packets - late);
        self.late = self.late.saturating_add(late);
        self.runs = self.runs.saturating_add(u32::from(self.since > 0));
        if self.since >= GMIN {
            self.close();
            self.since = 0;
        }
        self.cluster = self.cluster.saturating_add(self.since + packets);
        self.cluster_gone = self.cluster_gone.saturating_add(packets);
        self.since = 0;
    }

    /// What may have been a burst is over; one gone packet alone was none.
    fn close(&mut self) {
        if self.cluster_gone > 1 {
            self.bursts = self.bursts.saturating_add(1);
            self.burst_packets = self.burst_packets.saturating_add(self.cluster);
            self.burst_gone = self.burst_gone.saturating_add(self.cluster_gone);
        }
        (self.cluster, self.cluster_gone) = (0, 0);
    }
}

/// The sums of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub packets: u32,
    pub gone: u32,
    pub late: u32,
    pub runs: u32,
}

impl Interval {
    /// The share that is gone.
    #[must_use]
    pub fn loss(&self) -> f64 {
        share(self.gone, self.packets)
    }

    /// How much longer the rows of gone packets are than dice would make them (G.107 section 7.5).
    #[must_use]
    pub fn burst_ratio(&self) -> f64 {
        if self.runs == 0 {
            return 1.0;
        }
        (f64::from(self.gone) / f64::from(self.runs) * (1.0 - self.loss())).max(1.0)
    }
}

/// One number of another, 0 of none.
#[must_use]
pub fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        0.0
    } else {
        f64::from(part) / f64::from(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter a packet: `.` came, `x` never, `l` late.
    fn told(packets: &str) -> Tally {
        let mut ledger = Ledger::default();
        let mut missing = 1;
        for letter in packets.chars() {
            if letter == 'x' {
                missing += 1;
            } else {
                ledger.advance(missing, letter == 'l');
                missing = 1;
            }
        }
        ledger.tally()
    }

    #[test]
    fn bursts_are_told_from_single_losses() {
        let calm = ".".repeat(20);
        let tally = told(&format!("{calm}x{calm}x..x.l{calm}x{calm}"));
        assert_eq!((tally.packets, tally.lost, tally.late, tally.runs), (20 * 4 + 8, 4, 1, 5));
        assert_eq!((tally.bursts, tally.burst_packets, tally.burst_gone), (1, 6, 3));
    }

    #[test]
    fn sixteen_in_a_row_end_a_burst_and_fifteen_do_not() {
        for (between, bursts, packets) in [(15, 1, 17), (16, 0, 0)] {
            let tally = told(&format!(".x{}x.", ".".repeat(between)));
            assert_eq!((tally.bursts, tally.burst_packets), (bursts, packets), "{between} between");
        }
    }

    #[test]
    fn a_long_row_counts_in_full_and_once() {
        for missing in [1, 10, 63, 64, 65, 200, 3000] {
            let tally = told(&format!("{}{}{}", ".".repeat(100), "x".repeat(missing), ".".repeat(100)));
            let many = u32::try_from(missing).unwrap();
            assert_eq!((tally.packets, tally.lost, tally.runs), (200 + many, many, 1), "{missing} missing");
            assert_eq!(tally.burst_packets, if missing > 1 { many } else { 0 });
        }
    }

    #[test]
    fn one_that_comes_after_all_was_not_lost() {
        let mut ledger = Ledger::default();
        ledger.advance(1, false);
        ledger.advance(2, false);
        assert_eq!(ledger.tally().lost, 1);
        ledger.take(1, true);
        ledger.take(1, false); // a duplicate changes nothing
        let tally = ledger.tally();
        assert_eq!((tally.packets, tally.lost, tally.late), (3, 0, 1));
    }

    #[test]
    fn rows_longer_than_dice_make_them_are_a_ratio_above_one() {
        let single = told(&"x...........".repeat(50).replace("xx", "x"));
        let triple = told(&"xxx.................................".repeat(50));
        let none = Tally::default();
        assert!((single.since(&none).burst_ratio() - 1.0).abs() < 0.01);
        assert!((triple.since(&none).burst_ratio() - 3.0 * (1.0 - 1.0 / 12.0)).abs() < 0.05);
    }
}
