//! What a Port sends: packets on their grid, reports, and what it tells of both.
//!
//! ```text
//! the clock ─► depart ─► mouth ─► a packet, every packet time ─► seal (SRTP) ─► tape
//!         └──► report ─► an SR or RR (RFC 3550 section 6.4) to where reports go
//! ```

use std::net::SocketAddr;

use super::{fits, tell, Port, KEEPALIVE, MS};
use crate::codec::NARROW;
use crate::counters::Count;
use crate::event::{Kind, Sink};
use crate::feed::Feed;
use crate::mouth::Slot;
use crate::quality::Impairment;
use crate::reports::Surroundings;

/// What the far end's buffer and device take, besides half the round trip.
const FAR_BUFFER: i64 = 60 * MS;
/// The grid is caught up over this much; beyond it the lost time is skipped.
const CATCH_UP: i64 = 500 * MS;

impl Port {
    /// Half the round trip, and what the far end holds back.
    pub(super) fn lag(&self) -> i64 {
        if let Some(carried) = &self.carried {
            return carried.lag();
        }
        self.reports.round_trip().unwrap_or(0) / 2 + FAR_BUFFER
    }

    pub(super) fn depart(&mut self, sink: &mut Sink) {
        if self.carried.is_some() {
            return self.depart_carried(sink);
        }
        let (Some(plan), Some(to)) = (self.plan.as_ref(), self.latch.destination()) else {
            return;
        };
        let (ptime, lag) = (plan.ptime(), self.lag());
        let Some(mut due) = self.next_departure else {
            return;
        };
        if self.clock - due > CATCH_UP {
            let skipped = (self.clock - due) / ptime;
            self.mouth.skip(plan.ticks_of(skipped));
            self.counters.add_many(Count::SkippedTicks, skipped.unsigned_abs());
            due += skipped * ptime;
        }
        while due <= self.clock {
            if self.clock - due >= ptime {
                self.counters.add(Count::LateTicks);
            }
            let slot = Slot { now: self.clock, due, lag, to, speech: self.listening.is_speech() };
            let others = (self.relay.as_deref_mut(), self.mix.as_deref_mut());
            if let Some(bytes) = self.mouth.depart(slot, plan, others, &self.counters, &mut self.scratch, sink) {
                self.guard.seal(false, Count::Sent, &self.counters, sink);
                self.reports.sent(bytes);
            }
            if let Some(tape) = self.tape.as_mut().filter(|_| !self.scratch.is_empty()) {
                tape.put_ours(due, &self.scratch);
            }
            if self.listening.minds_echo(self.duck_depth.is_some()) && !self.scratch.is_empty() {
                let wide = self.rate_hz > NARROW;
                let narrow = if wide { self.left_halves.of(&self.scratch) } else { &self.scratch };
                self.listening.left(due, narrow);
            }
            due += ptime;
        }
        self.next_departure = Some(due);
        self.tell_room(sink);
    }

    /// Keep the way open while we are held: an empty packet of a type that was not agreed (RFC 6263 section 4.6).
    pub(super) fn keep_alive(&mut self, sink: &mut Sink) {
        if self.keepalive.is_none_or(|due| due > self.clock) {
            return;
        }
        self.keepalive = Some(self.clock + KEEPALIVE);
        let (Some(plan), Some(to)) = (self.plan.as_ref(), self.latch.destination()) else {
            return;
        };
        let went_by = self.stopped_at.map_or(0, |stopped| (self.clock - stopped).max(0) / plan.ptime());
        self.mouth.keep_alive(plan.unknown(), plan.ticks_of(went_by), to, sink);
        self.guard.seal(false, Count::SentKeepalive, &self.counters, sink);
        self.reports.sent(0);
    }

    /// Ask the STUN server, where that is due.
    pub(super) fn ask(&mut self, sink: &mut Sink) {
        let Some(question) = &mut self.question else { return };
        if let Some(request) = question.request(self.clock) {
            sink.send(question.server, false, |out| request.build(out));
            self.counters.add(Count::SentStun);
        }
    }

    pub(super) fn rtcp_destination(&self) -> Option<(SocketAddr, bool)> {
        let plan = self.plan.as_ref().filter(|_| self.carried.is_none())?;
        if self.tunnel.is_some() {
            return self.open_way().map(|to| (to, false));
        }
        if plan.rtcp_mux {
            return self.latch.destination().map(|to| (to, false));
        }
        let beside = |mut rtp: SocketAddr| {
            rtp.set_port(rtp.port().checked_add(1)?);
            Some(rtp)
        };
        let agreed = self.rtcp_source.or(plan.remote_rtcp);
        agreed.or_else(|| self.latch.destination().and_then(beside)).map(|to| (to, true))
    }

    pub(super) fn report(&mut self, sink: &mut Sink) {
        if !self.reports.is_time(self.clock) {
            return;
        }
        let around = self.surroundings();
        let (compound, quality) = self.reports.report(self.clock, self.mouth.timestamp(), &around);
        if let Some((to, rtcp)) = self.rtcp_destination() {
            sink.send(to, rtcp, |out| compound.build(out));
            self.guard.seal(true, Count::SentRtcp, &self.counters, sink);
        }
        if let Some(quality) = quality {
            self.tell(self.clock, Kind::Quality(quality), sink);
        }
    }

    pub(super) fn say_goodbye(&mut self, sink: &mut Sink) {
        // RFC 3550 section 6.3.7: who has never sent anything must not say it.
        let silent =
            [Count::Sent, Count::SentKeepalive, Count::SentRtcp].iter().all(|&kind| self.counters.get(kind) == 0);
        if let Some(to) = self.rtcp_destination().filter(|_| !silent) {
            let reduced = self.plan.as_ref().is_some_and(|plan| plan.rtcp_reduced);
            let bye = self.reports.bye(self.clock, self.mouth.timestamp(), reduced);
            sink.send(to.0, to.1, |out| bye.build(out));
            self.guard.seal(true, Count::SentRtcp, &self.counters, sink);
        }
    }

    /// What the reports are to know of the rest of the port.
    fn surroundings(&self) -> Surroundings {
        let plan = self.plan.as_ref();
        let frame_ms = u64::from(self.frame) * 1000 / u64::from(self.codec.clock_hz());
        Surroundings {
            impairment: Impairment::of(self.codec.name()),
            ptime_ms: plan.map_or(20, |plan| plan.ptime_ms),
            depth: self.ear.depth(),
            levels: self.sound.levels(),
            concealed_ms: self.counters.get(Count::Concealed) * frame_ms,
            stalled: self.stalled && plan.is_some_and(|plan| plan.receiving),
            extended: plan.is_some_and(|plan| plan.rtcp_extended),
        }
    }

    pub(super) fn tell_tape(&mut self, sink: &mut Sink) {
        while let Some(tape) = self.tape.as_mut().filter(|tape| tape.due() <= self.clock) {
            let rate_hz = tape.rate_hz();
            let (at, pcm) = tape.take();
            self.tell(at, Kind::Taped { pcm, rate_hz }, sink);
        }
    }

    pub(super) fn tell_heard(&mut self, sink: &mut Sink) {
        let (number, seq) = (self.number, &mut self.seq);
        self.mouth.queue.heard(self.clock, &mut |at, kind| tell(number, seq, at, kind, sink));
    }

    pub(super) fn tell_room(&mut self, sink: &mut Sink) {
        if let Some(queued_ms) = self.mouth.queue.take_room() {
            self.tell(self.clock, Kind::Room { queued_ms }, sink);
        }
    }
}

/// The doors where the feed sits: a Port that is driven directly.
impl Port {
    /// Play PCM at any rate through `feed`; give how many samples of `pcm` were taken, None for an unknown rate.
    pub fn play_through(
        &mut self,
        feed: &mut Feed,
        now: i64,
        utterance: u64,
        pcm: &[i16],
        rate_hz: u32,
        sink: &mut Sink,
    ) -> Option<usize> {
        if !crate::resample::RATES.contains(&rate_hz) {
            return None;
        }
        if self.is_stale(utterance) {
            self.counters.add(Count::StaleAudio);
            return Some(pcm.len());
        }
        feed.run_at(self.rate_hz);
        let fits = fits(self.room(), self.rate_hz, rate_hz).min(pcm.len());
        let converted = feed.push(utterance, pcm[..fits].to_vec(), rate_hz)?;
        self.play(now, utterance, converted, sink);
        if fits < pcm.len() {
            self.want_room(sink);
        }
        Some(fits)
    }
}
