//! The eager ear: what is in order is delivered at once; only behind a hole is there a wait, and a short one.
//!
//! ```text
//! 5 6 7 ──► now        9 ──► held, 20 ms at most ──► 8 came: 8 9 now
//!                                               └──► 8 did not: a hole of one, then 9; an 8 after that is late
//! ```
//!
//! How long is worth waiting is learnt (`patience.rs`): where nothing is ever out of order, a hole is a loss at once.
//!
//! Sequence rules are those of RFC 3550 appendix A.1, with a shorter leash: a gap of more than half a second is a jump
//! that the ear follows without making anything up; a sequence or an SSRC from elsewhere must prove itself with a
//! second packet.

use crate::patience::{Patience, LONGEST};
use crate::pipeline::Stage;
use crate::rtp::sequence_ahead;

/// Holes up to this many packets are waited for; beyond it is a jump.
const WAITED_FOR: i16 = 25;
/// Jumps up to this are followed at once; further ones, and those back beyond the memory, need a second packet.
const MAX_DROPOUT: i16 = 3000;
const MEMORY: i16 = 64;
/// Packets that wait behind holes at most.
const HELD_MOST: usize = 32;

/// How long what comes waits in a buffer, ms (RFC 3611 section 4.7.7): on time, at most now, at most ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub nominal_ms: u16,
    pub maximum_ms: u16,
    pub absolute_ms: u16,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    Now,
    /// It is the first of a new order: deliver what is held, forget the old, then deliver it.
    Restart {
        new_stream: bool,
    },
    /// It is behind a hole: `hold` it.
    Hold,
    Late,
    Duplicate,
    /// It may begin a new order, if a second one agrees.
    Wait,
}

/// A packet behind a hole.
#[derive(Debug)]
pub struct Held<T> {
    pub sequence: u16,
    pub arrived: i64,
    pub what: T,
}

/// The order of one stream. `T` is what is kept of a packet that waits.
#[derive(Debug)]
pub struct Ear<T> {
    stream: Option<Stream>,
    trial: Option<(u32, u16)>,
    /// In order of sequence.
    held: Vec<Held<T>>,
    patience: Patience,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    next: u16,
    /// Which of the 64 before `next` came, the last in the lowest bit.
    came: u64,
}

impl<T> Default for Ear<T> {
    fn default() -> Self {
        Self { stream: None, trial: None, held: Vec::new(), patience: Patience::default() }
    }
}

impl<T> Ear<T> {
    /// How long a packet waits: not at all, or behind a hole.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let ms = |ns: i64| u16::try_from(ns / 1_000_000).unwrap_or(0);
        Depth { nominal_ms: 0, maximum_ms: ms(self.patience.wait()), absolute_ms: ms(LONGEST) }
    }

    /// The stream that is heard.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.stream.map(|stream| stream.ssrc)
    }

    /// Judge a packet that came `now`. `Now` and `Restart` move the order on.
    pub fn judge(&mut self, now: i64, ssrc: u32, sequence: u16) -> Verdict {
        let Some(mut stream) = self.stream else {
            return self.restart(ssrc, sequence, true);
        };
        if stream.ssrc != ssrc {
            return self.prove(ssrc, sequence, true);
        }
        let ahead = sequence_ahead(sequence, stream.next);
        match ahead {
            0 => {
                self.trial = None;
                self.patience.came(now, sequence);
                stream.step(1, true);
                self.stream = Some(stream);
                Verdict::Now
            }
            1..=WAITED_FOR => {
                self.trial = None;
                if self.held.iter().any(|held| held.sequence == sequence) {
                    Verdict::Duplicate
                } else {
                    self.patience.came(now, sequence);
                    Verdict::Hold
                }
            }
            _ if ahead > WAITED_FOR && ahead < MAX_DROPOUT => self.restart(ssrc, sequence, false),
            _ if (-MEMORY..0).contains(&ahead) => {
                if stream.came >> (-ahead - 1) & 1 == 1 {
                    Verdict::Duplicate
                } else {
                    self.patience.came(now, sequence);
                    Verdict::Late
                }
            }
            _ => self.prove(ssrc, sequence, false),
        }
    }

    /// A packet that has nothing to hear has come: the order goes on behind it, unless something waits for its turn.
    pub fn pass(&mut self, ssrc: u32, sequence: u16) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == ssrc && self.held.is_empty()) else {
            return;
        };
        let ahead = sequence_ahead(sequence, stream.next);
        if (0..MAX_DROPOUT).contains(&ahead) {
            stream.step(ahead.unsigned_abs() + 1, false);
        }
    }

    /// Keep a packet that was judged `Hold`.
    pub fn hold(&mut self, held: Held<T>) {
        let Some(stream) = self.stream else { return };
        let order = |sequence| sequence_ahead(sequence, stream.next);
        let before = self.held.last().map_or(stream.next, |last| last.sequence.wrapping_add(1));
        if sequence_ahead(held.sequence, before) > 0 {
            self.patience.open(held.arrived, before, held.sequence);
        }
        let at = self.held.partition_point(|other| order(other.sequence) < order(held.sequence));
        self.held.insert(at, held);
    }

    /// A packet that was held and is next now.
    pub fn pop(&mut self) -> Option<Held<T>> {
        let stream = self.stream.as_mut()?;
        if self.held.first()?.sequence != stream.next {
            return None;
        }
        stream.step(1, true);
        Some(self.held.remove(0))
    }

    /// When the hole in front must be given up.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let oldest = self.held.iter().map(|held| held.arrived).min()?;
        // One that is full can't wait.
        Some(if self.held.len() > HELD_MOST { i64::MIN } else { oldest + self.patience.wait() })
    }

    /// Give up the hole in front: how many packets are missing, 0 where there is no hole.
    pub fn skip(&mut self) -> u16 {
        let (Some(stream), Some(first)) = (self.stream.as_mut(), self.held.first()) else {
            return 0;
        };
        let missing = first.sequence.wrapping_sub(stream.next);
        stream.step(missing, false);
        missing
    }

    fn prove(&mut self, ssrc: u32, sequence: u16, new_stream: bool) -> Verdict {
        let proved = self
            .trial
            .is_some_and(|(stream, before)| stream == ssrc && (1..=4).contains(&sequence_ahead(sequence, before)));
        if proved {
            return self.restart(ssrc, sequence, new_stream);
        }
        self.trial = Some((ssrc, sequence));
        Verdict::Wait
    }

    fn restart(&mut self, ssrc: u32, sequence: u16, new_stream: bool) -> Verdict {
        self.trial = None;
        self.patience.follow(new_stream);
        self.stream = Some(Stream { ssrc, next: sequence.wrapping_add(1), came: 1 });
        Verdict::Restart { new_stream }
    }

    /// What is held, in order, to be delivered before a restart.
    pub fn take_held(&mut self) -> Vec<Held<T>> {
        std::mem::take(&mut self.held)
    }
}

impl Stream {
    fn step(&mut self, packets: u16, came: bool) {
        self.next = self.next.wrapping_add(packets);
        self.came = self.came.checked_shl(u32::from(packets)).unwrap_or(0) | u64::from(came);
    }
}

/// The ear before what hears it.
#[must_use]
pub fn stage(down: Stage) -> Stage {
    down.after(format!("ear (adaptive holes ≤ {} ms)", LONGEST / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Feed (arrival in ms, sequence) pairs; give (delivery in ms, sequence), a hole as (time, 0 missing…).
    fn listen(packets: &[(i64, u16)]) -> Vec<(i64, u16, bool)> {
        let mut ear = Ear::default();
        let mut told = Vec::new();
        let drain = |ear: &mut Ear<()>, now: i64, told: &mut Vec<_>| {
            while let Some(held) = ear.pop() {
                told.push((now / MS, held.sequence, false));
            }
        };
        for &(at, sequence) in packets {
            let now = at * MS;
            while let Some(due) = ear.due().filter(|&due| due <= now) {
                told.push((due / MS, ear.skip(), true));
                drain(&mut ear, due, &mut told);
            }
            match ear.judge(now, 1, sequence) {
                Verdict::Now | Verdict::Restart { .. } => {
                    told.push((at, sequence, false));
                    drain(&mut ear, now, &mut told);
                }
                Verdict::Hold => ear.hold(Held { sequence, arrived: now, what: () }),
                _ => {}
            }
        }
        told
    }

    #[test]
    fn in_order_is_at_once() {
        let packets: Vec<_> = (0..100).map(|n| (i64::from(n) * 17, 65500u16.wrapping_add(n))).collect();
        assert!(listen(&packets).iter().zip(&packets).all(|(told, sent)| told.0 == sent.0 && told.1 == sent.1));
    }

    #[test]
    fn two_that_are_swapped_come_out_in_order() {
        assert_eq!(
            listen(&[(0, 1), (21, 3), (22, 2), (60, 4)]),
            [(0, 1, false), (22, 2, false), (22, 3, false), (60, 4, false)]
        );
    }

    #[test]
    fn a_hole_is_given_up_after_twenty_milliseconds() {
        assert_eq!(
            listen(&[(0, 65535), (40, 1), (61, 0), (65, 2)]),
            [(0, 65535, false), (60, 1, true), (60, 1, false), (65, 2, false)]
        );
    }

    #[test]
    fn late_and_duplicate_are_told_apart() {
        let mut ear: Ear<()> = Ear::default();
        assert_eq!(ear.judge(0, 1, 10), Verdict::Restart { new_stream: true });
        assert_eq!(ear.judge(0, 1, 10), Verdict::Duplicate);
        assert_eq!(ear.judge(0, 1, 12), Verdict::Hold);
        ear.hold(Held { sequence: 12, arrived: 0, what: () });
        assert_eq!(ear.judge(0, 1, 12), Verdict::Duplicate);
        assert_eq!(ear.skip(), 1);
        assert!(ear.pop().is_some());
        assert_eq!(ear.judge(0, 1, 11), Verdict::Late);
        assert_eq!(ear.judge(0, 1, 12), Verdict::Duplicate);
        assert_eq!(ear.judge(0, 1, 13), Verdict::Now);
    }

    #[test]
    fn another_stream_or_a_far_jump_needs_two_packets() {
        let mut ear: Ear<()> = Ear::default();
        ear.judge(0, 1, 10);
        assert_eq!(ear.judge(0, 2, 500), Verdict::Wait);
        assert_eq!(ear.judge(0, 1, 11), Verdict::Now);
        assert_eq!(ear.judge(0, 2, 501), Verdict::Wait, "the old stream spoke in between");
        assert_eq!(ear.judge(0, 2, 502), Verdict::Restart { new_stream: true });
        assert_eq!(ear.judge(0, 2, 20_000), Verdict::Wait);
        assert_eq!(ear.judge(0, 2, 20_001), Verdict::Restart { new_stream: false });
        assert_eq!(ear.judge(0, 2, 20_500), Verdict::Restart { new_stream: false }, "a near jump is followed at once");
    }

    #[test]
    fn no_more_than_its_bound_is_held() {
        let mut ear: Ear<()> = Ear::default();
        ear.judge(0, 1, 0);
        for sequence in 2..=26 {
            assert_eq!(ear.judge(0, 1, sequence), Verdict::Hold);
            ear.hold(Held { sequence, arrived: 0, what: () });
        }
        assert!(ear.held.len() <= HELD_MOST);
    }
}
