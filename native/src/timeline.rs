//! From RTP time to the engine's clock.
//!
//! A packet can be late but never early, so the fastest packets say where the stream lies: the last sample of the
//! fastest packet was spoken as it arrived. A faster one pulls the line back at once; a drift of the far end's clock
//! moves it on by the least lateness of two seconds.

use crate::rtp::timestamp_ahead;

/// One sample at 8 kHz, ns.
pub const SAMPLE: i64 = 125_000;
const WINDOW: i64 = 2_000_000_000;
/// Further off than this it is another line.
const FURTHEST: i64 = 2_000_000_000;

/// The line of one stream.
#[derive(Debug, Default)]
pub struct Timeline {
    anchor: Option<(u32, i64)>,
    least: i64,
    window_ends: i64,
}

impl Timeline {
    /// Take the arrival of a packet of `samples`.
    pub fn arrive(&mut self, now: i64, timestamp: u32, samples: usize) {
        let spoken = now - i64::try_from(samples).unwrap_or(0) * SAMPLE;
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
        Some(at + i64::from(timestamp_ahead(timestamp, anchor)) * SAMPLE)
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
        line.arrive(1000 * MS, 0, 160);
        assert_eq!(line.at(0), Some(980 * MS));
        line.arrive(1035 * MS, 160, 160);
        assert_eq!(line.at(160), Some(1000 * MS));
        line.arrive(1035 * MS, 320, 160);
        assert_eq!(line.at(320), Some(1015 * MS));
        assert_eq!(line.at(160), Some(995 * MS));
    }

    #[test]
    fn a_slow_clock_is_followed() {
        let mut line = Timeline::default();
        for n in 0..1000u32 {
            // 1 ms of drift a second.
            let now = i64::from(n) * 20 * MS + i64::from(n) * MS / 50;
            line.arrive(now, n * 160, 160);
            let off = now - 20 * MS - line.at(n * 160).unwrap_or(0);
            assert!((0..6 * MS).contains(&off), "{n}: {off}");
        }
    }

    #[test]
    fn a_jump_begins_a_new_line() {
        let mut line = Timeline::default();
        line.arrive(0, u32::MAX - 50, 160);
        line.arrive(20 * MS, 1_000_000_000, 160);
        assert_eq!(line.at(1_000_000_000), Some(0));
    }
}
