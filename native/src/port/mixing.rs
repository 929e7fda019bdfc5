//! A Port among others: what they hear of it, and what it hears of them.
//!
//! ```text
//! relay: our far end, and what we play to it ─► pull ─► the engine ─► feed ─► mix: what others say ─► our mouth
//! ```
//!
//! The engine asks before each tick: `wants`, then `pull` of each that is heard, and `feed`.

use super::{Port, MS};
use crate::bed::Bed;
use crate::mix::{Mix, Route};
use crate::relay::{Relay, Side};

/// No more than this is asked for at once; a thread that was away longer skips.
const WANTS_MOST_MS: u32 = 500;
/// What we play is known when it leaves: others hear it so much later, or a packet where theirs are longer.
const OURS_LATER: i64 = 60 * MS;

impl Port {
    /// Begin or end to keep what others may hear of this port.
    pub fn relay(&mut self, on: bool) {
        if on != self.relay.is_some() {
            self.relay = on.then(|| Box::new(Relay::new(self.rate_hz)));
        }
    }

    /// Hear these sides of other ports from here on, and nobody else. Who hears people is not interrupted by the reflex.
    pub fn mix(&mut self, routes: &[Route]) {
        if self.mix.is_none() {
            if routes.is_empty() {
                return;
            }
            self.duck_depth = None;
            self.ducked = false;
            self.mouth.duck(1.0);
        }
        self.mix.get_or_insert_with(|| Box::new(Mix::new(self.rate_hz))).route(routes);
    }

    /// Let this sound under all that is sent; None fades it out.
    pub fn bed(&mut self, bed: Option<Box<Bed>>) {
        self.mouth.bed(bed);
    }

    /// Whom it hears.
    pub fn routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.mix.iter().flat_map(|mix| mix.routes())
    }

    /// What others say must be fed before the tick at `now`: since when it is due, and how much of it, ms.
    #[must_use]
    pub fn wants(&self, now: i64) -> Option<(i64, u32)> {
        let plan = self.plan.as_ref().filter(|_| self.mix.is_some() && self.latch.destination().is_some())?;
        let due = self.next_departure.filter(|&due| due <= now)?;
        let late = u32::try_from((now - due) / plan.ptime()).unwrap_or(u32::MAX);
        // What is skipped of the grid is not asked for.
        let asked = late.min(WANTS_MOST_MS / plan.ptime_ms);
        Some((due + i64::from(late - asked) * plan.ptime(), (asked + 1) * plan.ptime_ms))
    }

    /// Give `ms` of a side of this port, the first of it heard at `now`; whether there is a stream. `pcm` is at the port's
    /// rate.
    pub fn pull(&mut self, side: Side, now: i64, ms: u32, pcm: &mut Vec<i16>) -> bool {
        pcm.clear();
        let samples = (ms * (self.rate_hz / 1000)) as usize;
        let now = if side == Side::Ours { now - OURS_LATER.max(i64::from(ms) * MS) } else { now };
        self.relay.as_mut().is_some_and(|relay| relay.pull(side, now, samples, pcm, &self.counters))
    }

    /// How far behind the network people hear this far end, ns.
    #[must_use]
    pub fn behind(&self, now: i64) -> Option<i64> {
        self.relay.as_ref()?.behind(now)
    }

    /// A side of another port says this, at `rate_hz`, in the packets that are due: what [`Port::wants`] asked for.
    pub fn feed(&mut self, now: i64, port: u32, side: Side, pcm: &[i16], rate_hz: u32) {
        self.see(now);
        if let Some(mix) = &mut self.mix {
            mix.feed(port, side, pcm, rate_hz);
        }
    }

    /// What was fed and did not leave is over, and so is a mix of nobody.
    pub(super) fn forget_fed(&mut self) {
        if let Some(mix) = &mut self.mix {
            mix.forget_fed();
        }
        self.mix.take_if(|mix| mix.is_over());
    }
}
