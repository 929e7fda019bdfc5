//! The isochronous buffer of one person's leg: packets as they come in, audio without a gap out, whenever it is asked.
//!
//! ```text
//! push: packets ─► transit ─► jitter::Delay ─► how late to play ┐
//!       └► in order of their timestamps ─► the cursor ──────────┴► pull: heard as it is
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
//! Bounded: the shelf, and no decision is taken further ahead than a packet.

use crate::conceal::Conceal;
use crate::jitter::Delay;
use crate::shelf::Shelf;
use crate::span::{Source, Span};
use crate::stretch::Stretch;

const MS: i64 = 1_000_000;
/// A timestamp this many seconds off begins a new stream, and so does one that is this far from its delay.
const JUMP: i64 = 2;
/// After so long without anything the stream has stopped; the next packet begins a spurt.
const STOPPED: i64 = 300 * MS;
/// What comes up to this late is heard from where it would be by then. What comes later is heard from its beginning.
const SKIPPED_MOST: i64 = 20 * MS;
/// The delay may be off by this much, ns, before anything is done about it: where it is quiet, and in speech.
const OFF_QUIET: i64 = 750_000;
const OFF_MOST: i64 = 3 * MS;
/// Where frames are pulled, a packet may begin this far behind the beginning of one; and a frame less of delay must be
/// enough by this much, ns.
const OFF_FRAME: i64 = 5 * MS;
const WARY: i64 = 4 * MS;
/// A pitch period that is put in may exceed what lacks by this much, ns, and one that is taken out by that much.
const OVER_MOST: i64 = 6 * MS;
const UNDER_MOST: i64 = 1_500_000;
/// Further behind than this is worked off in haste.
const FAR_BEHIND: i64 = 15 * MS;
/// Audio that is remembered for lengthening, as part of a second.
const PAST: usize = 50;
/// A frame is quiet at this mean square (−57 dBov), or at this share of what speech has (−20 dB).
const QUIET: f32 = 2000.0;
const QUIET_SHARE: f32 = 0.01;

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
    /// Mean square of speech.
    speech: f32,
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
            speech: 0.0,
            out: 0,
            spans: Vec::new(),
            tally: Tally::default(),
            grid: 0,
        }
    }

    /// Take a packet that came at `now`. `marker`: its sender says that a talk spurt begins.
    pub fn push(&mut self, now: i64, timestamp: u32, pcm: &[i16], marker: bool) {
        if pcm.is_empty() {
            return;
        }
        let position = self.place(now, timestamp);
        self.delay.arrive(now - self.time(position));
        self.frame = pcm.len();
        let quiet = self.is_quiet(pcm);
        let begins = marker || self.cursor.is_none() && self.shelf.front().is_none();
        let end = position + i64::try_from(pcm.len()).unwrap_or(0);
        if self.cursor.is_some_and(|cursor| end <= cursor) {
            if !quiet {
                self.late(1.0);
            }
        } else if !self.shelf.put(position, pcm, quiet, begins) {
            self.tally.refused += 1;
        }
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

    /// Another stream begins: its timestamps have nothing to do with those before.
    pub fn restart(&mut self) {
        self.cursor = None;
        self.waited = 0;
        self.delay.rebegin();
        self.shelf.clear();
    }

    /// Where a timestamp lies in the stream, in samples.
    fn place(&mut self, now: i64, timestamp: u32) -> i64 {
        let known = self.shelf.front().is_some() || self.cursor.is_some();
        let placed = self.shelf.place(timestamp, JUMP).filter(|&position| {
            let off = now - self.time(position) - self.delay.target();
            !known || off.abs() < JUMP * 1000 * MS
        });
        placed.unwrap_or_else(|| {
            self.restart();
            self.shelf.place(timestamp, JUMP).unwrap_or(0)
        })
    }

    /// Decide on at least one sample, and on no more than `want` where nothing is there; the first is heard at `at`.
    fn produce(&mut self, at: i64, want: usize) -> bool {
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
            #[allow(clippy::cast_precision_loss)]
            self.late(waited.div_ceil(self.frame.max(1)) as f32);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn late(&mut self, packets: f32) {
        self.tally.late += packets as u64;
        self.delay.played(0.0, packets);
    }

    /// The packet at the cursor is there.
    fn go_on(&mut self, at: i64, cursor: i64, want: usize) {
        if !self.made && self.change(at, cursor) {
            return;
        }
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

    /// Shorten or lengthen what comes next, if that is wanted and can be done here; whether it was.
    fn change(&mut self, at: i64, cursor: i64) -> bool {
        if self.rest > 0 {
            return false;
        }
        let excess = at - self.time(cursor) - self.wanted(at, cursor);
        let scarce = self.is_overdue(at);
        let (spare, lack) = if self.is_framed() { (OFF_FRAME, MS / 4) } else { (OFF_QUIET, OFF_QUIET) };
        if (-lack..=spare).contains(&excess) && !scarce {
            return false;
        }
        self.shelf.gather(cursor, self.stretch.reach(), &mut self.ahead);
        let quiet = self.is_soft();
        let changed = if scarce || excess < 0 {
            (scarce || quiet || self.is_framed() || -excess > OFF_MOST) && self.lengthen(cursor, -excess, quiet, scarce)
        } else {
            (quiet || excess > OFF_MOST) && self.shorten(cursor, excess, quiet)
        };
        if !changed {
            self.rest = if scarce { self.frame / 20 } else { self.frame / 8 };
        }
        changed
    }

    /// The delay that the sample at the cursor should have now.
    fn wanted(&self, at: i64, cursor: i64) -> i64 {
        let target = self.delay.target();
        if !self.is_framed() {
            return target + self.duration(self.grid);
        }
        // A whole frame is taken at once, so a packet is needed when the frame begins in which it begins: it had better
        // be at the beginning of one. Of the delays that put it there the least that is enough is wanted.
        let boundary = self.shelf.front().map_or(0, |packet| packet.end() - cursor);
        let grid = self.duration(self.grid);
        let off = (self.duration(self.ready.len()) + self.time(boundary)).rem_euclid(grid);
        let aligned = at - self.time(cursor) - off;
        let least = target + (aligned - target).rem_euclid(grid);
        if least < aligned {
            let wary = target + WARY;
            return wary + (aligned - wary).rem_euclid(grid);
        }
        least
    }

    /// Whether so much is pulled at once that it matters where in it a packet begins.
    fn is_framed(&self) -> bool {
        self.duration(self.grid) > 5 * MS
    }

    /// Whether the network should have brought more by now.
    fn is_overdue(&self, at: i64) -> bool {
        let now = at - self.duration(self.ready.len());
        self.shelf.back().is_some_and(|last| !last.silent && now - self.time(last.end()) > self.delay.expected())
    }

    fn shorten(&mut self, cursor: i64, excess: i64, quiet: bool) -> bool {
        let most = self.samples(excess + if quiet { 0 } else { UNDER_MOST });
        let start = self.ready.len();
        let Some(lag) = self.stretch.shorten(&self.ahead, most, quiet, &mut self.ready) else {
            return false;
        };
        self.rest = if excess > FAR_BEHIND || quiet { lag / 2 } else { 3 * lag };
        self.cursor = Some(cursor + i64::try_from(2 * lag).unwrap_or(0));
        self.tally.shortened += 1;
        self.conceal.hear(&mut self.ready[start..]);
        self.remember(start);
        self.note(Source::Shortened, start, cursor, 2 * lag);
        true
    }

    fn lengthen(&mut self, cursor: i64, lack: i64, quiet: bool, scarce: bool) -> bool {
        let most = match (scarce, quiet) {
            (true, _) => self.stretch.reach(),
            (_, true) if self.is_framed() => self.samples(lack + OFF_FRAME),
            (_, true) => self.samples(lack),
            _ => self.samples(lack + OVER_MOST),
        };
        let start = self.ready.len();
        let Some(lag) = self.stretch.lengthen(&self.past, &self.ahead, most, quiet, &mut self.ready) else {
            return false;
        };
        self.rest = match (quiet, scarce) {
            (true, _) => 0,
            (_, true) => lag * 3 / 5,
            _ => 3 * lag,
        };
        self.tally.lengthened += 1;
        self.conceal.hear(&mut self.ready[start..]);
        self.remember(start);
        self.note(Source::Lengthened, start, cursor, 0);
        true
    }

    /// Whether what is next is soft beside the speech around it.
    fn is_soft(&self) -> bool {
        let end = self.ahead.len().min(self.frame / 2);
        energy(&self.ahead[..end]) < (self.speech * QUIET_SHARE).max(QUIET)
    }

    fn is_quiet(&mut self, pcm: &[i16]) -> bool {
        let energy = energy(pcm);
        let quiet = energy < (self.speech * QUIET_SHARE).max(QUIET);
        if !quiet {
            self.speech += (energy - self.speech) * 0.05;
        }
        quiet
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

#[allow(clippy::cast_precision_loss)]
fn energy(pcm: &[i16]) -> f32 {
    let sum: i64 = pcm.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    sum as f32 / pcm.len().max(1) as f32
}
