//! From RTP time to the engine's clock.
//!
//! A packet can be late but never early, so the fastest packets say where the stream lies: the last sample of the
//! fastest packet was spoken as it arrived. A faster one pulls the line back at once; a drift of the far end's clock
//! moves it on by the least lateness of two seconds.

use crate::rtp::timestamp_ahead;

const SECOND: i64 = 1_000_000_000;
const WINDOW: i64 = 2_000_000_000;
/// Further off than this it is another line.
const FURTHEST: i64 = 2_000_000_000;

/// How long `many` samples, or ticks of a clock, last at `hz`, ns.
#[must_use]
pub fn lasting(many: i64, hz: u32) -> i64 {
    many * SECOND / i64::from(hz)
}

/// How many samples, or ticks, at `hz` begin within so many ns.
#[must_use]
pub fn within(ns: i64, hz: u32) -> i64 {
    let hz = i64::from(hz);
    ns.div_euclid(SECOND) * hz + (ns.rem_euclid(SECOND) * hz).div_euclid(SECOND)
}

/// `many` samples or ticks of one rate as those of another.
#[must_use]
pub fn scaled(many: usize, from_hz: u32, to_hz: u32) -> usize {
    usize::try_from(many as u64 * u64::from(to_hz) / u64::from(from_hz)).unwrap_or(0)
}

/// The line of one stream.
#[derive(Debug, Default)]
pub struct Timeline {
    anchor: Option<(u32, i64)>,
    /// Ticks of its timestamps in a second.
    clock_hz: u32,
    least: i64,
    window_ends: i64,
}

impl Timeline {
    /// Take the arrival of a packet of `ticks` on a clock of `clock_hz`; another clock is another line.
    pub fn arrive(&mut self, now: i64, timestamp: u32, ticks: u32, clock_hz: u32) {
        let spoken = now - lasting(i64::from(ticks), clock_hz);
        if self.clock_hz != clock_hz {
            self.clock_hz = clock_hz;
            return self.restart(now, timestamp, spoken);
        }
        let Some(line) = self.at(timestamp) else {
            return self.restart(now, timestamp, spoken);
        };
        let late = spoken - line;
        if late.abs() > FURTHEST {
            return self.restart(now, timestamp, spoken);
        }
        self.least = self.least.min(late);
        let mut moved = line + late.min(0);
        if now >= self.window_ends {
            moved += self.least.max(0);
            self.least = i64::MAX;
            self.window_ends = now + WINDOW;
        }
        // The anchor goes along, so that differences of timestamps stay small.
        self.anchor = Some((timestamp, moved));
    }

    /// Where on the clock the sample with this timestamp lies; None before the first packet.
    #[must_use]
    pub fn at(&self, timestamp: u32) -> Option<i64> {
        let (anchor, at) = self.anchor?;
        Some(at + lasting(i64::from(timestamp_ahead(timestamp, anchor)), self.clock_hz))
    }

    /// Another stream begins.
    pub fn forget(&mut self) {
        self.anchor = None;
    }

    fn restart(&mut self, now: i64, timestamp: u32, spoken: i64) {
        self.anchor = Some((timestamp, spoken));
        self.least = i64::MAX;
        self.window_ends = now + WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn the_fastest_packet_says_where_the_line_is() {
        let mut line = Timeline::default();
        line.arrive(1000 * MS, 0, 160, 8000);
        assert_eq!(line.at(0), Some(980 * MS));
        line.arrive(1035 * MS, 160, 160, 8000);
        assert_eq!(line.at(160), Some(1000 * MS));
        line.arrive(1035 * MS, 320, 160, 8000);
        assert_eq!(line.at(320), Some(1015 * MS));
        assert_eq!(line.at(160), Some(995 * MS));
    }

    #[test]
    fn a_slow_clock_is_followed() {
        let mut line = Timeline::default();
        for n in 0..1000u32 {
            // 1 ms of drift a second.
            let now = i64::from(n) * 20 * MS + i64::from(n) * MS / 50;
            line.arrive(now, n * 160, 160, 8000);
            let off = now - 20 * MS - line.at(n * 160).unwrap_or(0);
            assert!((0..6 * MS).contains(&off), "{n}: {off}");
        }
    }

    #[test]
    fn a_clock_of_another_rate_is_another_line() {
        let mut line = Timeline::default();
        line.arrive(1000 * MS, 0, 160, 8000);
        line.arrive(1020 * MS, 70_000, 960, 48_000);
        assert_eq!(line.at(70_000), Some(1000 * MS));
        assert_eq!(line.at(70_000 + 480), Some(1010 * MS));
    }

    #[test]
    fn time_and_samples_are_inverses() {
        for hz in [8000, 16_000, 48_000] {
            for many in [0, 1, 7, 8000, 1 << 40] {
                assert!((within(lasting(many.min(1 << 30), hz), hz) - many.min(1 << 30)).abs() <= 1);
            }
        }
        assert_eq!(within(-1, 8000), -1);
        assert_eq!(within(i64::MAX / 2, 48_000) / 48_000, i64::MAX / 2 / SECOND);
        assert_eq!((scaled(160, 8000, 16_000), scaled(960, 48_000, 16_000)), (320, 320));
    }

    #[test]
    fn a_jump_begins_a_new_line() {
        let mut line = Timeline::default();
        line.arrive(0, u32::MAX - 50, 160, 8000);
        line.arrive(20 * MS, 1_000_000_000, 160, 8000);
        assert_eq!(line.at(1_000_000_000), Some(0));
    }
}
