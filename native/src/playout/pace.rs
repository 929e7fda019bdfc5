//! How a stream that is heard is brought to its delay: what comes next is shortened, lengthened or left as it is.
//!
//! ```text
//! the delay at the cursor − the delay that is wanted: too much ─► a pitch period less
//!                                                     too little, or nothing left soon ─► a pitch period more
//! ```

use super::{Playout, MS};
use crate::span::Source;

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
/// When packets are overdue, so much is put in at once, ns, and again if they still are: where it is soft, and in speech a
/// period of 95 Hz at most. What is put in and was not needed is delay.
const HASTY_SOFT: i64 = 2 * MS;
const HASTY_MOST: i64 = 10_500_000;
/// Further behind than this is worked off in haste.
const FAR_BEHIND: i64 = 15 * MS;

impl Playout {
    /// Shorten or lengthen what comes next, if that is wanted and can be done here; whether it was.
    pub(super) fn change(&mut self, at: i64, cursor: i64) -> bool {
        if self.rest > 0 {
            return false;
        }
        let excess = at - self.time(cursor) - self.wanted(at, cursor);
        let scarce = self.is_overdue(at);
        let (spare, lack) = if self.is_framed() { (OFF_FRAME, MS / 4) } else { (OFF_QUIET, OFF_QUIET) };
        if (-lack..=spare).contains(&excess) && !scarce {
            return false;
        }
        self.open(cursor, self.stretch.reach());
        self.shelf.gather(cursor, self.stretch.reach(), &mut self.ahead);
        let quiet = self.is_soft();
        let from = self.ready.len();
        let changed = if scarce || excess < 0 {
            (scarce || quiet || self.is_framed() || -excess > OFF_MOST) && self.lengthen(cursor, -excess, quiet, scarce)
        } else {
            (quiet || excess > OFF_MOST) && self.shorten(cursor, excess, quiet)
        };
        if !changed {
            self.rest = if scarce { self.frame / 20 } else { self.frame / 8 };
        }
        if scarce {
            self.overdue(if changed { self.ready.len() - from } else { 0 });
        }
        changed
    }

    /// Tell the estimator what lengthening is worth: so many samples were put in, and `rest` will be heard as they are.
    #[allow(clippy::cast_precision_loss)]
    fn overdue(&mut self, put_in: usize) {
        let ms = |samples: usize| self.duration(samples) as f32 / MS as f32;
        let (heard, put_in) = (ms(put_in + self.rest), ms(put_in));
        self.delay.lengthened(heard, put_in);
    }

    /// The delay that the sample at the cursor should have now.
    pub(super) fn wanted(&self, at: i64, cursor: i64) -> i64 {
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
    pub(super) fn is_framed(&self) -> bool {
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
            (true, true) => self.samples(HASTY_SOFT),
            (true, false) => self.samples(HASTY_MOST),
            (_, true) if self.is_framed() => self.samples(lack + OFF_FRAME),
            (_, true) => self.samples(lack),
            _ => self.samples(lack + OVER_MOST),
        };
        let start = self.ready.len();
        let Some(lag) = self.stretch.lengthen(&self.past, &self.ahead, most, quiet, scarce, &mut self.ready) else {
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
        self.pause.is_soft(&self.ahead[..end])
    }
}
