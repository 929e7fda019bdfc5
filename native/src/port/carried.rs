//! A Port without sockets: its far end is brought by a carrier's own, which buffers what we send.
//!
//! ```text
//! bring: the carrier's audio ─► a packet from nowhere ─► the way of all packets in
//! tick ─► mouth, up to `lead` ahead of the clock ─► Leaving, Fence        passed ◄─ the carrier tells of a fence
//! hush ─► Emptied: nothing that was told to leave before it may leave any more
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Port, MS};
use crate::carried::{Carried, Post, Terms};
use crate::codec::NARROW;
use crate::event::{Kind, Sink};
use crate::mouth::Slot;
use crate::plan::Plan;
use crate::rtp::Packet;

/// Where packets of a port without sockets come from and go to.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1);
/// The stream that such packets are of.
const STREAM: u32 = 1;
/// What comes before the payload of a packet of ours.
const HEADER: usize = 12;
/// With others in the mix nothing is ahead of the clock; what is further ahead is let go by.
const LIVE_AHEAD: i64 = 60 * MS;

impl Port {
    /// Have a carrier bring the far end, and take what leaves, from here on.
    pub fn carry(&mut self, terms: Terms) {
        if terms.clears && terms.lead_ms > 0 {
            self.mouth.queue.keep_flown();
        }
        self.carried = Some(Box::new(Carried::new(terms)));
    }

    /// Take audio of the far end, in an agreed codec and 60 ms at most.
    pub fn bring(&mut self, now: i64, sequence: u16, timestamp: u32, payload: &[u8], sink: &mut Sink) {
        let Some(plan) = self.plan.as_ref().filter(|_| self.carried.is_some()) else { return };
        let payload_type = plan.receive.first().map_or(plan.send.0, |&(number, _)| number);
        let mut data = std::mem::take(&mut self.brought);
        data.clear();
        Packet { payload_type, sequence, timestamp, ssrc: STREAM, payload, ..Packet::default() }.build(&mut data);
        self.datagram(now, &data, NOWHERE, false, sink);
        self.brought = data;
    }

    /// The carrier tells that a fence was passed.
    pub fn passed(&mut self, now: i64, fence: u64, sink: &mut Sink) {
        self.see(now);
        let Some(carried) = &mut self.carried else { return };
        let (posts, late) = carried.passed(self.clock, fence);
        self.mouth.queue.delay(late);
        for post in posts {
            match post {
                Post::Nothing => {}
                Post::End(utterance) => self.mouth.queue.was_heard(self.clock, utterance),
                Post::Mark(utterance, mark) => self.mouth.queue.was_passed(self.clock, utterance, mark),
            }
        }
        self.tell_heard(sink);
    }

    /// Whether our voice sounds at the far end.
    pub(super) fn sounds(&self) -> bool {
        match &self.carried {
            Some(carried) => !carried.is_dry(self.clock),
            None => self.mouth.is_sounding(),
        }
    }

    /// What is buffered beyond us is dropped, where that can be done; `hushed`: whoever hears of it knows already.
    pub(super) fn empty(&mut self, hushed: bool, sink: &mut Sink) {
        let now = self.clock;
        let Some(carried) = self.carried.as_mut().filter(|carried| carried.terms.clears) else { return };
        carried.empty(now);
        self.mouth.queue.break_off();
        if let Some(tape) = &mut self.tape {
            tape.break_off(now);
        }
        self.tell(now, Kind::Emptied { hushed }, sink);
    }

    /// What was sent ahead has the wrong loudness: let it leave again with the right one.
    pub(super) fn say_again(&mut self, sink: &mut Sink) {
        let ahead = self
            .carried
            .as_ref()
            .is_some_and(|carried| carried.terms.clears && carried.terms.lead_ms > 0 && !carried.is_dry(self.clock));
        if ahead {
            self.mouth.queue.call_back(self.clock);
            self.empty(false, sink);
            self.depart_carried(sink);
        }
    }

    /// Let leave what may be ahead of the clock.
    pub(super) fn depart_carried(&mut self, sink: &mut Sink) {
        let (Some(plan), Some(mut due)) = (self.plan.clone(), self.next_departure) else { return };
        let Some(mut carried) = self.carried.take() else { return };
        let ptime = plan.ptime();
        // Who is not ahead keeps to the packet clock: by a buffer that is just not empty yet, when a tick comes a hair
        // earlier than the one before, every other packet would come one too late.
        let live = self.mix.is_some() || self.mouth.is_laid() || carried.terms.lead_ms == 0;
        if carried.is_new() && carried.terms.fences {
            carried.cursor(self.clock);
            let number = carried.fence(Post::Nothing);
            self.tell(self.clock, Kind::Fence { number }, sink);
        }
        while due <= self.clock {
            if live && carried.cursor(self.clock) <= due + LIVE_AHEAD {
                self.leave(&mut carried, &plan, sink);
            }
            due += ptime;
        }
        while !live && carried.has_room(self.clock) {
            // What must be long begins only when all of it is there: what is gathered would have to wait.
            let first = if carried.is_gathering() { plan.ptime_ms } else { carried.terms.least_ms.max(plan.ptime_ms) };
            let waits = !carried.is_dry(self.clock) || first > plan.ptime_ms;
            if waits && !self.mouth.is_ready(first) || !self.leave(&mut carried, &plan, sink) {
                break;
            }
        }
        if carried.is_pressing(self.clock) {
            self.let_go(&mut carried, &plan, sink);
        }
        self.carried = Some(carried);
        self.next_departure = Some(due);
        self.tell_room(sink);
    }

    /// Let one packet leave, behind what is buffered; whether there was something to hear.
    fn leave(&mut self, carried: &mut Carried, plan: &Plan, sink: &mut Sink) -> bool {
        let due = carried.cursor(self.clock);
        let slot = Slot { now: self.clock, due, lag: carried.lag(), to: NOWHERE, speech: self.listening.is_speech() };
        let others = (self.relay.as_deref_mut(), self.mix.as_deref_mut());
        let sent = self.mouth.depart(slot, plan, others, &self.counters, &mut self.scratch, sink).is_some();
        let sounds = !self.scratch.is_empty();
        let mut message = None;
        if sent {
            sink.take_last(HEADER, |payload| {
                if sounds {
                    message = carried.gather(payload, plan.ptime_ms);
                }
            });
        }
        if let Some((at, codes)) = message {
            self.tell(at, Kind::Leaving { codes }, sink);
        }
        if sounds {
            if let Some(tape) = &mut self.tape {
                tape.put_ours(due, &self.scratch);
            }
            if self.listening.minds_echo(self.duck_depth.is_some()) {
                let wide = self.rate_hz > NARROW;
                let narrow = if wide { self.left_halves.of(&self.scratch) } else { &self.scratch };
                self.listening.left(due, narrow);
            }
        }
        self.post(carried, plan, sink);
        sounds
    }

    /// Set fences behind the utterances and marks before which all has left. A mark in the middle of an utterance waits
    /// for its message to be long enough; an utterance that ends does not.
    fn post(&mut self, carried: &mut Carried, plan: &Plan, sink: &mut Sink) {
        let mut ended = false;
        self.mouth.queue.take_posts(|utterance, mark| {
            ended |= mark.is_none();
            carried.posts.push(mark.map_or(Post::End(utterance), |mark| Post::Mark(utterance, mark)));
        });
        if carried.posts.is_empty() {
            return;
        }
        if ended || carried.lacks() == 0 {
            self.let_go(carried, plan, sink);
        }
        if carried.is_gathering() {
            return;
        }
        let fences = carried.terms.fences;
        for post in std::mem::take(&mut carried.posts).into_iter().filter(|_| fences) {
            let number = carried.fence(post);
            self.tell(self.clock, Kind::Fence { number }, sink);
        }
    }

    /// Let what is gathered leave, filled up with silence to what a message must be.
    fn let_go(&mut self, carried: &mut Carried, plan: &Plan, sink: &mut Sink) {
        let (codec, ptime_ms) = (plan.send.1, plan.ptime_ms);
        let mut message = None;
        while message.is_none() && carried.lacks() > 0 {
            message = carried.gather(&codec.silence(ptime_ms), ptime_ms);
        }
        if let Some((at, codes)) = message.or_else(|| carried.flush()) {
            self.tell(at, Kind::Leaving { codes }, sink);
        }
    }
}
