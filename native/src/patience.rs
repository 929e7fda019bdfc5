//! How long the ear waits behind a hole: as long as experience says that waiting pays, and never longer than 20 ms.
//!
//! ```text
//! the last 64 holes, and when the first of what was missing came:  ·  ·  3 ms  ·  ·  7 ms  ·  …   ─► wait 2 × 7 + 2
//!                                                                  ·  ·  ·  ·  ·  ·  ·  · (16+)   ─► don't wait
//! ```
//!
//! Until 16 holes are known it waits 20 ms. What comes later than that is not worth waiting for and teaches nothing.
//! A packet that comes after its hole was given up teaches as well as one that was waited for, so a network that
//! begins to reorder is believed at its first packet.

/// The longest wait, ns: law of the ear.
pub const LONGEST: i64 = 20_000_000;
const MS: i64 = 1_000_000;
/// Holes that are remembered, and as many as must be known before a wait is shortened.
const REMEMBERED: usize = 64;
const KNOWN_LEAST: usize = 16;
/// A wait is this much over twice the longest that paid, ns.
const MARGIN: i64 = 2 * MS;
/// Holes whose missing packets are still looked for.
const OPEN: usize = 8;

/// What was learnt of a path.
#[derive(Debug)]
pub struct Patience {
    /// After how many ms what was missing came; None where it did not.
    learnt: [Option<u8>; REMEMBERED],
    /// Holes ever opened; the next one's place in `learnt` is this, modulo its length.
    opened: usize,
    open: [Hole; OPEN],
    wait: i64,
}

/// The sequence numbers from `first` up to `end`, missed since `at`.
#[derive(Clone, Copy, Debug, Default)]
struct Hole {
    first: u16,
    end: u16,
    at: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { learnt: [None; REMEMBERED], opened: 0, open: [Hole::default(); OPEN], wait: LONGEST }
    }
}

impl Patience {
    /// How long a packet behind a hole waits, ns.
    #[must_use]
    pub fn wait(&self) -> i64 {
        self.wait
    }

    /// A hole opened: what is missing goes from `first` up to, not including, `end`.
    pub fn open(&mut self, now: i64, first: u16, end: u16) {
        self.learnt[self.opened % REMEMBERED] = None;
        self.open[self.opened % OPEN] = Hole { first, end, at: now };
        self.opened += 1;
        self.think();
    }

    /// A packet came that is not a duplicate: was it missed?
    pub fn came(&mut self, now: i64, sequence: u16) {
        for number in self.opened.saturating_sub(OPEN)..self.opened {
            let hole = &self.open[number % OPEN];
            let missed = sequence.wrapping_sub(hole.first) < hole.end.wrapping_sub(hole.first);
            let after = now - hole.at;
            if !missed || after > LONGEST {
                continue;
            }
            let ms = u8::try_from((after + MS - 1) / MS).unwrap_or(0);
            let known = &mut self.learnt[number % REMEMBERED];
            *known = Some(known.map_or(ms, |known| known.max(ms)));
            return self.think();
        }
    }

    /// The order begins anew: the numbers of old holes mean nothing any more, and another stream is another path.
    pub fn follow(&mut self, new_stream: bool) {
        if new_stream {
            *self = Self::default();
        }
        self.open = [Hole::default(); OPEN];
    }

    fn think(&mut self) {
        let known = &self.learnt[..self.opened.min(REMEMBERED)];
        self.wait = match known.iter().flatten().max() {
            _ if known.len() < KNOWN_LEAST => LONGEST,
            Some(&ms) => (2 * i64::from(ms) * MS + MARGIN).min(LONGEST),
            None => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holes of one packet each, whose missing packet comes after so many ms, or never.
    fn after(holes: &[Option<i64>]) -> Patience {
        let mut patience = Patience::default();
        for (n, came) in (0u16..).zip(holes) {
            let (first, at) = (65500u16.wrapping_add(4 * n), i64::from(n) * 100 * MS);
            patience.open(at, first, first.wrapping_add(1));
            if let Some(ms) = came {
                patience.came(at + ms * MS, first);
            }
        }
        patience
    }

    #[test]
    fn it_begins_with_all_of_it_and_needs_experience_to_give_up_sooner() {
        assert_eq!(after(&[]).wait(), LONGEST);
        assert_eq!(after(&[None; 15]).wait(), LONGEST);
        assert_eq!(after(&[None; 16]).wait(), 0);
    }

    #[test]
    fn it_waits_twice_as_long_as_ever_paid_and_never_longer_than_the_law() {
        let mut holes = vec![None; 40];
        holes[20] = Some(3);
        assert_eq!(after(&holes).wait(), 8 * MS);
        holes[30] = Some(15);
        assert_eq!(after(&holes).wait(), LONGEST);
        holes[30] = Some(25);
        assert_eq!(after(&holes).wait(), 8 * MS, "what comes later than the law allows pays nothing");
    }

    #[test]
    fn one_late_packet_is_believed_and_forgotten_in_time() {
        let mut holes = vec![None; 20];
        holes.push(Some(6));
        assert_eq!(after(&holes).wait(), 14 * MS);
        holes.extend([None; REMEMBERED - 1]);
        assert_eq!(after(&holes).wait(), 14 * MS);
        holes.push(None);
        assert_eq!(after(&holes).wait(), 0);
    }

    #[test]
    fn another_stream_is_another_path_and_a_jump_is_not() {
        let mut patience = after(&[None; 20]);
        patience.follow(false);
        assert_eq!(patience.wait(), 0);
        patience.came(0, 0);
        assert_eq!(patience.wait(), 0, "an empty hole misses nothing");
        patience.follow(true);
        assert_eq!(patience.wait(), LONGEST);
    }
}
