//! The isochronous buffer of one person's leg: packets as they come in, audio without a gap out, whenever it is asked.
//!
//! ```text
//! push: packets ─► transit ─► jitter::Delay ─► how late to play ┐
//!       └► in order of their timestamps ─► the cursor ──────────┴► pull: decoded, heard as it is
//!                                            │ too far behind, or ahead      ─► shortened, lengthened
//!                                            │ the next is there, not this   ─► made up: it is lost
//!                                            └ nothing is there              ─► made up: it waits
//! ```
//!
//! Where nobody speaks, the delay is changed at once, to what it should be. In speech it is changed only at a pitch
//! period. What comes a little late is heard from where it would be by then; behind a longer stall all of it is heard,
//! and the delay that this has cost is worked off. When packets stop coming although the network should have brought
//! them, what is left is lengthened before it runs out. Comfort noise (RFC 3389) and a marker bit say where a spurt
//! begins; it begins at the right delay.
//!
//! Bounded: the shelf, of which the oldest go first; no decision is taken further ahead than a packet; and what is a
//! second late is not heard, whether nobody listened, the network stood still or timestamps are made up.

mod pace;
mod pause;

use crate::codec::{Codec, Decoder};
use crate::conceal::Conceal;
use crate::jitter::Delay;
use crate::shelf::{Load, Shelf};
use crate::span::{Source, Span};
use crate::stretch::Stretch;
use crate::timeline::scaled;
use pause::Pause;

const MS: i64 = 1_000_000;
/// A timestamp this many seconds off begins a new stream, and so does one that is this far from its delay.
const JUMP: i64 = 2;
/// What is this much further behind than it should be is not heard any more.
const TOO_LATE: i64 = 1000 * MS;
/// After so long without anything the stream has stopped; the next packet begins a spurt.
const STOPPED: i64 = 300 * MS;
/// What comes up to this late is heard from where it would be by then. What comes later is heard from its beginning.
const SKIPPED_MOST: i64 = 20 * MS;
/// Audio that is remembered for lengthening, as part of a second.
const PAST: usize = 50;

/// What became of packets since the last time that was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub lost: u64,
    /// Packets that were not there when their turn came, each 20 ms of waiting one.
    pub late: u64,
    pub shortened: u64,
    pub lengthened: u64,
    /// Packets for which there was no room, or that came twice.
    pub refused: u64,
}

/// The buffer.
#[derive(Debug)]
pub struct Playout {
    rate_hz: i64,
    clock_hz: u32,
    decoder: Decoder,
    delay: Delay,
    stretch: Stretch,
    conceal: Conceal,
    shelf: Shelf,
    /// The position of the next sample; None while the sender is silent.
    cursor: Option<i64>,
    /// Samples made up since something was there.
    waited: usize,
    made: bool,
    /// Output that is decided on but was not asked for yet.
    ready: Vec<i16>,
    past: Vec<i16>,
    ahead: Vec<i16>,
    /// Samples that must leave before the length is changed again.
    rest: usize,
    /// Samples in the last packet.
    frame: usize,
    pause: Pause,
    /// Whether what was decoded last lies in a pause.
    lull: bool,
    out: u64,
    spans: Vec<Span>,
    tally: Tally,
    grid: usize,
}

impl Playout {
    /// A buffer of audio at `rate_hz` whose timestamps run at `clock_hz`.
    #[must_use]
    pub fn new(rate_hz: u32, clock_hz: u32) -> Self {
        let rate = rate_hz as usize;
        Self {
            rate_hz: i64::from(rate_hz),
            clock_hz,
            decoder: Decoder::new(rate_hz),
            delay: Delay::default(),
            stretch: Stretch::new(rate),
            conceal: Conceal::new(rate_hz),
            shelf: Shelf::new(i64::from(rate_hz), i64::from(clock_hz)),
            cursor: None,
            waited: 0,
            made: false,
            ready: Vec::new(),
            past: Vec::new(),
            ahead: Vec::new(),
            rest: 0,
            frame: rate / 50,
            pause: Pause::new(rate),
            lull: false,
            out: 0,
            spans: Vec::new(),
            tally: Tally::default(),
            grid: 0,
        }
    }

    /// Take a packet that came at `now`. `marker`: its sender says that a talk spurt begins.
    pub fn push(&mut self, now: i64, timestamp: u32, pcm: &[i16], marker: bool) {
        self.lull = self.pause.hear(pcm);
        self.put(now, timestamp, Load::Pcm(pcm), marker);
    }

    /// The same of a payload, which is decoded when its turn comes.
    pub fn push_sealed(&mut self, now: i64, timestamp: u32, codec: Codec, payload: &[u8], marker: bool) {
        let ticks = codec.ticks(payload).unwrap_or(0) as usize;
        let samples = scaled(ticks, self.clock_hz, u32::try_from(self.rate_hz).unwrap_or(0));
        self.put(now, timestamp, Load::Sealed(codec, payload, samples), marker);
    }

    fn put(&mut self, now: i64, timestamp: u32, load: Load<'_>, marker: bool) {
        let samples = load.samples();
        if samples == 0 {
            return;
        }
        let position = self.place(now, timestamp);
        if self.shelf.came_before(position) {
            self.tally.refused += 1;
            return;
        }
        let overtaken = self.shelf.back().is_some_and(|last| last.position > position)
            || self.cursor.is_some_and(|cursor| cursor > position);
        self.delay.arrive(now - self.time(position), overtaken);
        self.frame = samples;
        let begins = marker || self.cursor.is_none() && self.shelf.front().is_none();
        let end = position + i64::try_from(samples).unwrap_or(0);
        let passed = self.cursor.map_or(0, |cursor| cursor.min(end) - position);
        if passed > 0 && !self.lull {
            // What of it was not passed will be heard, so it is late in part.
            self.tally.late += 1;
            #[allow(clippy::cast_precision_loss)]
            self.delay.played(0.0, passed as f32 / samples as f32);
        }
        if position + passed == end {
            return;
        }
        if self.shelf.is_full() {
            self.drop_oldest();
        }
        if !self.shelf.put(position, load, self.lull, begins) {
            self.tally.refused += 1;
        }
    }

    fn drop_oldest(&mut self) {
        self.shelf.retire();
        self.tally.refused += 1;
        let first = self.shelf.front().map(|packet| packet.position);
        self.cursor = self.cursor.map(|cursor| cursor.max(first.unwrap_or(cursor)));
    }

    /// The sender says that it is silent from here on (RFC 3389).
    pub fn hush(&mut self, now: i64, timestamp: u32) {
        self.place(now, timestamp);
        if !self.shelf.silence() {
            self.cursor = None;
            self.waited = 0;
        }
    }

    /// Append the next `want` samples, the first of which is heard at `now`; whether there was a stream to hear.
    pub fn pull(&mut self, now: i64, want: usize, pcm: &mut Vec<i16>) -> bool {
        self.spans.clear();
        self.grid = want;
        let mut sounding = !self.ready.is_empty();
        while self.ready.len() < want {
            let at = now + self.duration(self.ready.len());
            sounding |= self.produce(at, want - self.ready.len());
        }
        pcm.extend_from_slice(&self.ready[..want]);
        self.ready.drain(..want);
        sounding
    }

    /// What the last pull decided on.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What became of packets since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// How far behind the network the next sample is at `now`, ns: over the fastest packet of the last 2.6 s.
    #[must_use]
    pub fn behind(&self, now: i64) -> Option<i64> {
        let cursor = self.cursor?;
        Some(now + self.duration(self.ready.len()) - self.time(cursor) - self.delay.fastest(128))
    }

    /// Another stream begins.
    pub fn restart(&mut self) {
        self.decoder = Decoder::new(u32::try_from(self.rate_hz).unwrap_or(0));
        self.jump();
    }

    /// What comes has timestamps that have nothing to do with those before.
    fn jump(&mut self) {
        self.cursor = None;
        self.waited = 0;
        self.delay.rebegin();
        self.shelf.clear();
    }

    /// Where a timestamp lies in the stream, in samples.
    fn place(&mut self, now: i64, timestamp: u32) -> i64 {
        let known = self.shelf.front().is_some() || self.cursor.is_some();
        let placed = self.shelf.place(timestamp, JUMP).filter(|&position| {
            let off = now - self.time(position) - self.delay.fastest(128);
            !known || off.abs() < JUMP * 1000 * MS
        });
        placed.unwrap_or_else(|| {
            self.jump();
            self.shelf.place(timestamp, JUMP).unwrap_or(0)
        })
    }

    /// Decide on at least one sample, and on no more than `want` where nothing is there; the first is heard at `at`.
    fn produce(&mut self, at: i64, want: usize) -> bool {
        self.catch_up(at);
        let Some(cursor) = self.cursor else {
            return self.begin(at, want);
        };
        while let Some(silent) = self.shelf.front().filter(|packet| packet.end() <= cursor).map(|packet| packet.silent)
        {
            self.shelf.retire();
            if silent {
                self.cursor = None;
                return self.begin(at, want);
            }
        }
        match self.shelf.front().map(|packet| packet.position) {
            None => self.wait(want),
            Some(position) if position > cursor => self.bridge(cursor, position, want),
            Some(_) if self.waited > 0 => self.resume(at, cursor),
            Some(_) => self.go_on(at, cursor, want),
        }
        true
    }

    /// Pass over what is too late to be heard.
    fn catch_up(&mut self, at: i64) {
        let Some(next) = self.cursor.or(self.shelf.front().map(|packet| packet.position)) else {
            return;
        };
        let excess = at - self.time(next) - self.delay.target();
        if excess <= TOO_LATE {
            return;
        }
        let now = next + i64::try_from(self.samples(excess)).unwrap_or(0);
        self.cursor = self.cursor.map(|_| now);
        self.waited = 0;
        while self.shelf.front().is_some_and(|packet| packet.end() <= now) {
            self.tally.lost += 1;
            self.shelf.retire();
        }
    }

    /// Nothing is heard yet: the first packet waits until it is as late as it should be.
    fn begin(&mut self, at: i64, want: usize) -> bool {
        let first = self.shelf.front().map(|packet| packet.position);
        let missing = first.map(|position| {
            let left =
                (self.time(position) + self.delay.target() + self.duration(self.grid.min(self.frame / 4)) - at).max(0);
            (usize::try_from(left * self.rate_hz / 1_000_000_000).unwrap_or(0), position)
        });
        let soon = if self.is_framed() { self.grid / 2 } else { 0 };
        if let Some((_, position)) = missing.filter(|(samples, _)| *samples <= soon) {
            self.cursor = Some(position);
            self.waited = 0;
            return true;
        }
        let whole = |samples: usize| if self.is_framed() { want } else { samples };
        let silence = missing.map_or(want, |(samples, _)| whole(samples).min(want));
        let from = self.ready.len();
        self.ready.resize(from + silence, 0);
        self.note(Source::Silent, from, 0, 0);
        false
    }

    /// Nothing is there. It is made up for; whether it is lost or late will be seen.
    fn wait(&mut self, want: usize) {
        if self.duration(self.waited) > STOPPED {
            self.settle();
            self.cursor = None;
            return;
        }
        self.waited += want;
        self.make(want, Source::Late);
    }

    /// The next is there but not this: what was made up so far stands for it, and so does some more.
    fn bridge(&mut self, cursor: i64, position: i64, want: usize) {
        let gap = usize::try_from(position - cursor).unwrap_or(0);
        let silent = self.shelf.front().is_some_and(|packet| packet.begins);
        let paid = gap.min(self.waited);
        self.waited -= paid;
        let left = gap - paid;
        if silent && left > 0 {
            // A spurt behind a pause that was not announced.
            self.settle();
            self.cursor = None;
            return;
        }
        let more = left.min(want);
        self.cursor = Some(cursor + i64::try_from(paid + more).unwrap_or(0));
        if more > 0 {
            self.make(more, Source::Lost);
        }
        if left == more {
            self.tally.lost += u64::try_from(gap.div_ceil(self.frame.max(1))).unwrap_or(0);
        }
    }

    /// It is there now, and came too late.
    fn resume(&mut self, at: i64, cursor: i64) {
        let waited = self.waited;
        self.open(cursor, 1);
        self.settle();
        if self.duration(waited) <= SKIPPED_MOST {
            let excess = at - self.time(cursor) - self.wanted(at, cursor);
            self.cursor = Some(cursor + i64::try_from(self.samples(excess).min(waited)).unwrap_or(0));
        }
    }

    /// Count what was waited for.
    fn settle(&mut self) {
        let waited = std::mem::take(&mut self.waited);
        if waited > 0 && self.shelf.front().is_none_or(|packet| !packet.quiet) {
            let packets = waited.div_ceil(self.frame.max(1));
            self.tally.late += packets as u64;
            #[allow(clippy::cast_precision_loss)]
            self.delay.played(0.0, packets as f32);
        }
    }

    /// The packet at the cursor is there.
    fn go_on(&mut self, at: i64, cursor: i64, want: usize) {
        if !self.made && self.change(at, cursor) {
            return;
        }
        self.open(cursor, 1);
        let Some(packet) = self.shelf.front() else { return };
        let from = usize::try_from(cursor - packet.position).unwrap_or(0);
        let left = packet.pcm.len() - from;
        // What joins a made-up piece needs room for its crossfade.
        let count = if self.made { left } else { left.min(want).min(self.rest.max(self.frame / 8).max(1)) };
        let start = self.ready.len();
        self.ready.extend_from_slice(&packet.pcm[from..from + count]);
        if from == 0 && !packet.quiet {
            self.delay.played(1.0, 0.0);
        }
        self.conceal.hear(&mut self.ready[start..]);
        self.made = false;
        self.rest = self.rest.saturating_sub(count);
        self.cursor = Some(cursor + i64::try_from(count).unwrap_or(0));
        self.remember(start);
        self.note(Source::Heard, start, cursor, count);
    }

    /// Decode what is next.
    fn open(&mut self, cursor: i64, most: usize) {
        let (pause, lull) = (&mut self.pause, &mut self.lull);
        self.shelf.open(cursor, most, &mut self.decoder, |pcm| {
            *lull = pause.hear(pcm);
            *lull
        });
    }

    fn make(&mut self, samples: usize, source: Source) {
        let start = self.ready.len();
        self.conceal.fill(samples, &mut self.ready);
        self.made = true;
        self.remember(start);
        self.note(source, start, self.cursor.unwrap_or(0), if source == Source::Lost { samples } else { 0 });
    }

    fn remember(&mut self, start: usize) {
        let keep = usize::try_from(self.rate_hz).unwrap_or(0) / PAST;
        self.past.extend_from_slice(&self.ready[start..]);
        if self.past.len() > keep {
            self.past.drain(..self.past.len() - keep);
        }
    }

    fn note(&mut self, source: Source, start: usize, position: i64, consumed: usize) {
        let samples = self.ready.len() - start;
        self.spans.push(Span { source, at: self.out, samples, position, consumed });
        self.out += samples as u64;
    }

    fn time(&self, position: i64) -> i64 {
        position * 1_000_000 / self.rate_hz * 1_000
    }

    fn duration(&self, samples: usize) -> i64 {
        self.time(i64::try_from(samples).unwrap_or(0))
    }

    fn samples(&self, time: i64) -> usize {
        usize::try_from(time.max(0) * self.rate_hz / 1_000_000_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 20 * MS;

    /// Somebody speaks: packets of 20 ms at these times of the stream, in this order, each as loud as it is old.
    fn push(playout: &mut Playout, now: i64, n: i64) {
        let level = i16::try_from(1000 + n).unwrap_or(0);
        playout.push(now, u32::try_from(n * 160).unwrap_or(0), &[level; 160], false);
    }

    fn pull(playout: &mut Playout, now: i64) -> Vec<i16> {
        let mut pcm = Vec::new();
        playout.pull(now, 160, &mut pcm);
        pcm
    }

    #[test]
    fn who_listens_again_after_a_while_hears_what_is_said_now() {
        let mut playout = Playout::new(8000, 8000);
        for n in 0..250 {
            push(&mut playout, n * FRAME, n);
            if !(20..200).contains(&n) {
                let pcm = pull(&mut playout, n * FRAME);
                let old = n - i64::from(pcm[0] - 1000);
                assert!(n < 5 || old <= 4, "{old} packets ago");
            }
        }
        assert!(playout.behind(250 * FRAME).is_some_and(|behind| behind < 80 * MS));
    }

    #[test]
    fn timestamps_that_run_ahead_of_the_clock_make_nobody_wait() {
        let mut playout = Playout::new(8000, 8000);
        for n in 0..200 {
            push(&mut playout, n * FRAME, n * 90);
            pull(&mut playout, n * FRAME);
            assert!(playout.behind(n * FRAME).is_none_or(|behind| behind < 2 * TOO_LATE), "{n}");
        }
    }

    #[test]
    fn timestamps_that_fall_behind_the_clock_are_another_stream_when_they_are_too_far() {
        let mut playout = Playout::new(8000, 8000);
        for n in 0..1000 {
            if n % 5 == 0 {
                push(&mut playout, n * FRAME, n / 5);
            }
            pull(&mut playout, n * FRAME);
            let behind = playout.behind(n * FRAME);
            assert!(behind.is_none_or(|behind| behind < 3 * TOO_LATE), "{n} {behind:?}");
        }
    }

    #[test]
    fn what_comes_twice_is_not_late_and_what_comes_after_its_turn_is_once() {
        let mut playout = Playout::new(8000, 8000);
        for n in 0..60 {
            if n != 50 {
                push(&mut playout, n * FRAME, n);
            }
            if n > 10 && n % 10 == 5 {
                (0..2).for_each(|_| push(&mut playout, n * FRAME, n - 5));
            }
            pull(&mut playout, n * FRAME);
        }
        let tally = playout.take_tally();
        assert_eq!((tally.late, tally.lost, tally.refused), (1, 1, 9));
    }
}
