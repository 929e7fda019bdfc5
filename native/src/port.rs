//! One call's media: the pure machine.
//!
//! ```text
//! datagram ─► rtp ─► latch ─► ear ─► conceal ─► listening ─► events
//!        └─► rtcp ─► reports            └─► tape ◄─┐
//! play ─► feed ─► mouth (queue, duck, keys) ───────┴─► packets, on the grid
//! ```
//!
//! It holds no clock, socket, thread or randomness. `now` comes in as monotonic ns and never goes back; what it makes
//! goes into a [`Sink`]; [`Port::deadline`] says when to `tick` next. The same inputs make the same bytes and events.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::codec::Law;
use crate::conceal::Conceal;
use crate::counters::{Count, Counters};
use crate::dtmf::{self, Keys};
use crate::ear::{Ear, Held, Verdict};
use crate::event::{Event, Kind, Sink};
use crate::feed::Feed;
use crate::latch::{Latch, Verdict as Source};
use crate::listening::{Listening, Mode};
use crate::mouth::{Mouth, Slot};
use crate::plan::{Content, Plan, SAMPLES_PER_MS};
use crate::queue::Key;
use crate::reports::Reports;
use crate::rtcp::Compound;
use crate::rtp::{timestamp_ahead, Packet};
use crate::tape::Tape;
use crate::timeline::Timeline;

const MS: i64 = 1_000_000;
/// No valid packet for this long is a stall.
const STALL: i64 = 1000 * MS;
/// What the far end's buffer and device take, besides half the round trip.
const FAR_BUFFER: i64 = 60 * MS;
/// The grid is caught up over this much; beyond it the lost time is skipped.
const CATCH_UP: i64 = 500 * MS;
/// Of a hole this much is filled at most, samples.
const FILL_MOST: usize = 4000;
/// The longest audio payload: 200 ms.
const LONGEST_PAYLOAD: usize = 1600;
/// Keys that one `press` may ask for, and the longest of each (the duration field has 16 bits).
pub const KEYS_MOST: usize = 64;
pub const KEY_MOST_MS: u32 = 8000;

/// What waits behind a hole.
#[derive(Debug)]
struct Waiting {
    timestamp: u32,
    content: Content,
    payload: Vec<u8>,
}

/// One call's media.
#[derive(Debug)]
pub struct Port {
    number: u32,
    seq: u64,
    clock: i64,
    generation: u64,
    plan: Option<Plan>,
    /// Where departures fall on the clock, modulo the packet time; None: from the moment of the plan.
    phase: Option<i64>,
    next_departure: Option<i64>,
    stopped_at: Option<i64>,
    latch: Latch,
    rtcp_source: Option<SocketAddr>,
    ear: Ear<Waiting>,
    /// The timestamp that the next packet in order should have.
    expected: Option<u32>,
    /// Samples in the last audio packet, and its law.
    frame: usize,
    law: Law,
    conceal: Conceal,
    timeline: Timeline,
    keys: Keys,
    listening: Listening,
    last_valid: Option<i64>,
    stalled: bool,
    mouth: Mouth,
    duck_depth: Option<f32>,
    ducked: bool,
    tape: Option<Tape>,
    reports: Reports,
    counters: Arc<Counters>,
    scratch: Vec<i16>,
}

impl Port {
    /// A port that sends from `sequence` and `timestamp` on, as `ssrc`.
    #[must_use]
    pub fn new(number: u32, ssrc: u32, sequence: u16, timestamp: u32, cname: &str) -> Self {
        Self {
            number,
            seq: 0,
            clock: 0,
            generation: 0,
            plan: None,
            phase: None,
            next_departure: None,
            stopped_at: None,
            latch: Latch::default(),
            rtcp_source: None,
            ear: Ear::default(),
            expected: None,
            frame: 160,
            law: Law::Mu,
            conceal: Conceal::default(),
            timeline: Timeline::default(),
            keys: Keys::default(),
            listening: Listening::default(),
            last_valid: None,
            stalled: false,
            mouth: Mouth::new(ssrc, sequence, timestamp),
            duck_depth: None,
            ducked: false,
            tape: None,
            reports: Reports::new(ssrc, cname),
            counters: Arc::default(),
            scratch: Vec::new(),
        }
    }

    /// Put departures at `phase` ns on the clock, modulo the packet time.
    pub fn set_phase(&mut self, phase: i64) {
        self.phase = Some(phase);
    }

    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Samples that wait to be played.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.mouth.queue.queued()
    }

    /// Samples that fit into the play queue.
    #[must_use]
    pub fn room(&self) -> usize {
        self.mouth.queue.room()
    }

    /// Whether audio of this utterance would be for nothing.
    #[must_use]
    pub fn is_stale(&self, utterance: u64) -> bool {
        self.mouth.queue.is_stale(utterance)
    }

    /// Take the time of an input that carries none.
    pub fn see(&mut self, now: i64) {
        self.clock = self.clock.max(now);
    }

    /// Apply an agreed plan. Stream numbers, tape and, unless the address is new, the latch survive.
    pub fn configure(&mut self, now: i64, generation: u64, plan: Plan) {
        self.see(now);
        self.generation = generation;
        self.latch.agree(plan.remote);
        if self.latch.source().is_none() {
            self.rtcp_source = None;
        }
        let sends = plan.sending && plan.remote.is_some();
        if !plan.receiving {
            // On hold nobody owes us packets.
            self.last_valid = None;
        }
        match (sends, self.next_departure) {
            (true, None) => {
                let first = self.first_departure(&plan);
                if let Some(stopped) = self.stopped_at.take() {
                    let went_by = (first - stopped).max(0) / plan.ptime();
                    let samples = i64::try_from(plan.frame()).unwrap_or(0) * went_by;
                    self.mouth.skip(u32::try_from(samples & 0xFFFF_FFFF).unwrap_or(0));
                }
                self.next_departure = Some(first);
            }
            (false, Some(next)) => {
                self.stopped_at = Some(next);
                self.next_departure = None;
            }
            _ => {}
        }
        if plan.remote.is_some() || plan.remote_rtcp.is_some() {
            self.reports.start(self.clock);
        }
        self.plan = Some(plan);
    }

    fn first_departure(&self, plan: &Plan) -> i64 {
        let Some(phase) = self.phase else {
            return self.clock;
        };
        self.clock + (phase - self.clock).rem_euclid(plan.ptime())
    }

    /// Say which audio becomes `Heard`.
    pub fn listen(&mut self, mode: Mode) {
        self.listening.listen(mode);
    }

    /// Begin or end the tape.
    pub fn tape(&mut self, on: bool, sink: &mut Sink) {
        if on {
            if self.tape.is_none() {
                self.tape = Some(Tape::new(self.clock));
            }
        } else if let Some((at, pcm)) = self.tape.take().and_then(|tape| tape.finish(self.clock)) {
            self.tell(at, Kind::Taped { pcm }, sink);
        }
    }

    /// Queue audio at 8 kHz.
    pub fn play(&mut self, now: i64, utterance: u64, pcm: Vec<i16>, sink: &mut Sink) {
        self.see(now);
        if !self.mouth.queue.play(utterance, pcm) {
            self.counters.add(Count::StaleAudio);
        }
        self.tell_room(sink);
    }

    /// Somebody's audio did not fit: tell when there is room.
    pub fn want_room(&mut self, sink: &mut Sink) {
        self.mouth.queue.want_room();
        self.tell_room(sink);
    }

    /// An utterance is complete; `tail` is what its resampler still held.
    pub fn end(&mut self, now: i64, utterance: u64, tail: Vec<i16>) {
        self.see(now);
        if !tail.is_empty() {
            self.mouth.queue.play(utterance, tail);
        }
        let lag = self.lag();
        self.mouth.queue.end(self.clock, lag, utterance);
    }

    /// Queue a mark.
    pub fn mark(&mut self, now: i64, utterance: u64, mark: u64) {
        self.see(now);
        let lag = self.lag();
        self.mouth.queue.mark(self.clock, lag, utterance, mark);
    }

    /// Drop what is queued and tell what was cut.
    pub fn hush(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.tell_heard(sink);
        let (lag, generation) = (self.lag(), self.generation);
        let (number, seq) = (self.number, &mut self.seq);
        self.mouth.queue.hush(self.clock, lag, generation, &mut |at, kind| tell(number, seq, at, kind, sink));
        self.ducked = false;
        self.mouth.duck(1.0);
        self.tell_room(sink);
    }

    /// Arm the reflex (None disarms).
    pub fn arm(&mut self, depth_db: Option<f32>) {
        self.duck_depth = depth_db;
    }

    /// Bring a ducked voice back.
    pub fn restore(&mut self, now: i64) {
        self.see(now);
        self.ducked = false;
        self.mouth.duck(1.0);
    }

    /// Queue keys. `keys` are event codes.
    pub fn press(&mut self, now: i64, keys: &[u8], duration_ms: u32, gap_ms: u32) {
        self.see(now);
        let duration = u16::try_from(duration_ms * SAMPLES_PER_MS).unwrap_or(u16::MAX);
        for &code in keys {
            self.mouth.queue.press(Key { code, duration, gap: gap_ms * SAMPLES_PER_MS });
        }
    }

    /// When `tick` must be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        let stall = self.last_valid.filter(|_| !self.stalled).map(|last| last + STALL);
        let tape = self.tape.as_ref().map(Tape::due);
        let queue = self.mouth.queue.due();
        [self.next_departure, self.ear.due(), queue, self.listening.due(), stall, tape, self.reports.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Do what is due.
    pub fn tick(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.close_holes(sink);
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.tick(self.clock, &mut |at, kind| tell(number, seq, at, kind, sink));
        self.tell_heard(sink);
        self.depart(sink);
        self.tell_heard(sink);
        self.tell_tape(sink);
        if let Some(last) = self.last_valid.filter(|&last| !self.stalled && self.clock - last >= STALL) {
            self.stalled = true;
            self.tell(last + STALL, Kind::Stalled, sink);
        }
        self.report(sink);
    }

    /// Say goodbye by RTCP, and end the tape.
    pub fn close(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.tape(false, sink);
        if let Some(to) = self.rtcp_destination() {
            let bye = self.reports.bye(self.clock, self.mouth.timestamp());
            sink.send(to.0, to.1, |out| bye.build(out));
            self.counters.add(Count::SentRtcp);
        }
    }

    // ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Half the round trip, and what the far end holds back.
    fn lag(&self) -> i64 {
        self.reports.round_trip().unwrap_or(0) / 2 + FAR_BUFFER
    }

    fn depart(&mut self, sink: &mut Sink) {
        let (Some(plan), Some(to)) = (self.plan.as_ref(), self.latch.destination()) else {
            return;
        };
        let slot = Slot { now: self.clock, lag: self.lag(), to };
        let ptime = plan.ptime();
        let Some(mut due) = self.next_departure else {
            return;
        };
        if self.clock - due > CATCH_UP {
            let skipped = (self.clock - due) / ptime;
            let samples = skipped * i64::try_from(plan.frame()).unwrap_or(0);
            self.mouth.skip(u32::try_from(samples & 0xFFFF_FFFF).unwrap_or(0));
            self.counters.add_many(Count::SkippedTicks, skipped.unsigned_abs());
            due += skipped * ptime;
        }
        while due <= self.clock {
            if self.clock - due >= ptime {
                self.counters.add(Count::LateTicks);
            }
            let left = self.mouth.depart(slot, plan, &self.counters, &mut self.scratch, sink);
            self.counters.add(Count::Sent);
            self.reports.sent(left);
            if let Some(tape) = self.tape.as_mut().filter(|_| !self.scratch.is_empty()) {
                tape.put_ours(due, &self.scratch);
            }
            due += ptime;
        }
        self.next_departure = Some(due);
        self.tell_room(sink);
    }

    fn rtcp_destination(&self) -> Option<(SocketAddr, bool)> {
        let plan = self.plan.as_ref()?;
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

    fn report(&mut self, sink: &mut Sink) {
        if self.reports.due().is_none_or(|due| due > self.clock) {
            return;
        }
        let (compound, quality) = self.reports.report(self.clock, self.mouth.timestamp());
        if let Some((to, rtcp)) = self.rtcp_destination() {
            sink.send(to, rtcp, |out| compound.build(out));
            self.counters.add(Count::SentRtcp);
        }
        if let Some(quality) = quality {
            self.tell(self.clock, Kind::Quality(quality), sink);
        }
    }

    fn tell_tape(&mut self, sink: &mut Sink) {
        while let Some(tape) = self.tape.as_mut().filter(|tape| tape.due() <= self.clock) {
            let (at, pcm) = tape.take();
            self.tell(at, Kind::Taped { pcm }, sink);
        }
    }

    fn tell_heard(&mut self, sink: &mut Sink) {
        let (number, seq) = (self.number, &mut self.seq);
        self.mouth.queue.heard(self.clock, &mut |at, kind| tell(number, seq, at, kind, sink));
    }

    fn tell_room(&mut self, sink: &mut Sink) {
        if let Some(queued_ms) = self.mouth.queue.take_room() {
            self.tell(self.clock, Kind::Room { queued_ms }, sink);
        }
    }

    fn tell(&mut self, at: i64, kind: Kind, sink: &mut Sink) {
        tell(self.number, &mut self.seq, at, kind, sink);
    }

    // ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Take one datagram. `rtcp`: from the RTCP socket.
    pub fn datagram(&mut self, now: i64, data: &[u8], from: SocketAddr, rtcp: bool, sink: &mut Sink) {
        self.see(now);
        self.counters.add(Count::Given);
        let Some(plan) = &self.plan else {
            return self.counters.add(Count::DroppedUnconfigured);
        };
        // RFC 5761 section 4: 192 to 223 in the second byte is RTCP, where one port carries both.
        let muxed = plan.rtcp_mux && data.get(1).is_some_and(|kind| (192..=223).contains(kind));
        if rtcp || muxed {
            self.take_rtcp(data, from);
        } else {
            self.close_holes(sink);
            let count = self.take_rtp(data, from, sink);
            self.counters.add(count);
        }
    }

    fn take_rtcp(&mut self, data: &[u8], from: SocketAddr) {
        let agreed = self.plan.as_ref().and_then(|plan| plan.remote_rtcp);
        let known = |rtp: Option<SocketAddr>| rtp.is_some_and(|rtp| rtp.ip() == from.ip());
        if agreed != Some(from) && !known(self.latch.destination()) {
            return self.counters.add(Count::DroppedRtcpSource);
        }
        let Ok(compound) = Compound::parse(data) else {
            return self.counters.add(Count::DroppedRtcpMalformed);
        };
        self.counters.add(Count::ReceivedRtcp);
        // Symmetric RTCP, once the stream itself vouches for it.
        if compound.reports.iter().any(|report| Some(report.ssrc) == self.ear.ssrc()) {
            self.rtcp_source = Some(from);
        }
        self.reports.hear(self.clock, &compound);
    }

    fn take_rtp(&mut self, data: &[u8], from: SocketAddr, sink: &mut Sink) -> Count {
        let Some(plan) = &self.plan else {
            return Count::DroppedUnconfigured;
        };
        let Ok(packet) = Packet::parse(data) else {
            return Count::DroppedMalformed;
        };
        let content = plan.content(packet.payload_type);
        let fits = (1..=LONGEST_PAYLOAD).contains(&packet.payload.len());
        let Some(content) = content.filter(|_| fits) else {
            // From the source itself it is a payload that was not agreed; from elsewhere it is somebody else.
            let known = self.latch.source().is_none_or(|source| source == from);
            return if known { Count::DroppedPayload } else { Count::DroppedSource };
        };
        if !plan.receiving {
            return Count::DroppedHeld;
        }
        match self.latch.judge(self.clock, from, packet.ssrc, packet.sequence) {
            Source::Take => {}
            Source::Latch => self.counters.add(Count::Latched),
            Source::Wait => return Count::DroppedProbation,
            Source::Refuse => return Count::DroppedSource,
        }
        let event = match content {
            Content::Key => match dtmf::Event::parse(packet.payload) {
                Some(event) => Some(event),
                None => return Count::DroppedPayload,
            },
            Content::Audio(_) | Content::Noise => None,
        };
        self.take_valid(&packet, content, event, sink)
    }

    /// A packet of the source: into the ear.
    fn take_valid(
        &mut self,
        packet: &Packet<'_>,
        content: Content,
        event: Option<dtmf::Event>,
        sink: &mut Sink,
    ) -> Count {
        let verdict = self.ear.judge(packet.ssrc, packet.sequence);
        match verdict {
            Verdict::Wait => return Count::DroppedProbation,
            Verdict::Duplicate => return Count::DroppedDuplicate,
            Verdict::Restart { new_stream } => self.restart(new_stream, sink),
            Verdict::Now | Verdict::Hold | Verdict::Late => {}
        }
        if self.last_valid.is_none() || self.stalled {
            self.stalled = false;
            self.tell(self.clock, Kind::Flowing, sink);
        }
        self.last_valid = Some(self.clock);
        let steady = event.is_none();
        self.reports.received(self.clock, packet.ssrc, packet.sequence, packet.timestamp, steady);
        if steady {
            let samples = if matches!(content, Content::Audio(_)) { packet.payload.len() } else { self.frame };
            self.timeline.arrive(self.clock, packet.timestamp, samples);
        }
        if let Some(event) = event {
            self.take_key(packet.timestamp, event, sink);
        }
        let waiting = |payload: &[u8]| Waiting { timestamp: packet.timestamp, content, payload: payload.to_vec() };
        match verdict {
            Verdict::Late if event.is_none() => return Count::DroppedLate,
            Verdict::Hold => {
                let what = waiting(packet.payload);
                self.ear.hold(Held { sequence: packet.sequence, arrived: self.clock, what });
                self.close_holes(sink);
            }
            Verdict::Now | Verdict::Restart { .. } => {
                self.deliver(packet.timestamp, content, packet.payload, sink);
                self.deliver_held(sink);
            }
            _ => {}
        }
        match content {
            Content::Audio(_) => Count::ReceivedAudio,
            Content::Key => Count::ReceivedDtmf,
            Content::Noise => Count::ReceivedNoise,
        }
    }

    fn take_key(&mut self, timestamp: u32, event: dtmf::Event, sink: &mut Sink) {
        let Some(first) = self.keys.hear(timestamp, event) else {
            return;
        };
        if let Some(key) = first.key() {
            let at = self.timeline.at(timestamp).unwrap_or(self.clock).min(self.clock);
            let duration_ms = u32::from(first.duration) / SAMPLES_PER_MS;
            self.tell(at, Kind::Digit { key, duration_ms }, sink);
        }
    }

    /// The order begins anew: what waits is delivered as it is, and nothing is made up for the jump.
    fn restart(&mut self, new_stream: bool, sink: &mut Sink) {
        let first = self.expected.is_none();
        for held in self.ear.take_held() {
            self.deliver(held.what.timestamp, held.what.content, &held.what.payload, sink);
        }
        if !first {
            self.counters.add(if new_stream { Count::SsrcChanges } else { Count::Jumps });
        }
        if new_stream {
            self.timeline.forget();
            self.keys = Keys::default();
        }
        self.expected = None;
    }

    fn close_holes(&mut self, sink: &mut Sink) {
        while self.ear.due().is_some_and(|due| due <= self.clock) {
            let missing = usize::from(self.ear.skip());
            self.counters.add_many(Count::Lost, missing as u64);
            self.deliver_held_behind(missing, sink);
        }
    }

    fn deliver_held(&mut self, sink: &mut Sink) {
        self.deliver_held_behind(0, sink);
    }

    fn deliver_held_behind(&mut self, mut missing: usize, sink: &mut Sink) {
        while let Some(held) = self.ear.pop() {
            self.fill(std::mem::take(&mut missing), held.what.timestamp, sink);
            self.deliver(held.what.timestamp, held.what.content, &held.what.payload, sink);
        }
    }

    /// Make up for lost packets, as much as the timestamps say and no more than that many packets.
    fn fill(&mut self, missing: usize, until: u32, sink: &mut Sink) {
        let Some(expected) = self.expected else {
            return;
        };
        let gap = usize::try_from(timestamp_ahead(until, expected)).unwrap_or(0);
        let mut left = gap.min(missing * self.frame).min(FILL_MOST);
        let mut timestamp = expected;
        while left > 0 {
            let samples = left.min(self.frame);
            let mut pcm = std::mem::take(&mut self.scratch);
            pcm.clear();
            self.conceal.fill(samples, &mut pcm);
            self.counters.add(Count::Concealed);
            self.hear(timestamp, &pcm, true, sink);
            self.scratch = pcm;
            timestamp = timestamp.wrapping_add(u32::try_from(samples).unwrap_or(0));
            left -= samples;
        }
    }

    /// A packet in its order.
    fn deliver(&mut self, timestamp: u32, content: Content, payload: &[u8], sink: &mut Sink) {
        let (from, samples) = match content {
            Content::Audio(law) => {
                let mut pcm = std::mem::take(&mut self.scratch);
                pcm.clear();
                law.decode_into(payload, &mut pcm);
                self.conceal.hear(&mut pcm);
                (self.frame, self.law) = (payload.len(), law);
                self.hear(timestamp, &pcm, false, sink);
                self.scratch = pcm;
                (timestamp, payload.len())
            }
            Content::Noise => {
                self.silence(timestamp, self.frame, sink);
                self.listening.quiet(self.clock);
                (timestamp, self.frame)
            }
            Content::Key => {
                // A key's packets repeat the timestamp of its start; the silence is what is new of its duration.
                let duration = dtmf::Event::parse(payload).map_or(0, |event| u32::from(event.duration));
                let end = timestamp.wrapping_add(duration);
                let from = self.expected.unwrap_or(timestamp);
                let new = usize::try_from(timestamp_ahead(end, from)).unwrap_or(0).min(LONGEST_PAYLOAD);
                self.silence(from, new, sink);
                (from, new)
            }
        };
        self.expected = Some(from.wrapping_add(u32::try_from(samples).unwrap_or(0)));
    }

    fn hear(&mut self, timestamp: u32, pcm: &[i16], concealed: bool, sink: &mut Sink) {
        let at = self.timeline.at(timestamp).unwrap_or(self.clock);
        if let Some(tape) = &mut self.tape {
            tape.put_far(at, pcm);
        }
        let before = self.listening.is_speech();
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.hear(at, pcm, self.law, concealed, &mut |at, kind| tell(number, seq, at, kind, sink));
        if !before && self.listening.is_speech() {
            self.duck(sink);
        }
    }

    fn silence(&mut self, timestamp: u32, samples: usize, sink: &mut Sink) {
        let at = self.timeline.at(timestamp).unwrap_or(self.clock);
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.hush(at, samples, &mut |at, kind| tell(number, seq, at, kind, sink));
    }

    /// The reflex: somebody began to speak over our voice.
    fn duck(&mut self, sink: &mut Sink) {
        let Some(depth) = self.duck_depth.filter(|_| self.mouth.is_sounding() && !self.ducked) else {
            return;
        };
        self.ducked = true;
        self.mouth.duck(10f32.powf(-depth.abs() / 20.0));
        self.tell(self.clock, Kind::Ducked, sink);
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
        let fits = fits(self.room(), rate_hz).min(pcm.len());
        let converted = feed.push(utterance, pcm[..fits].to_vec(), rate_hz)?;
        self.play(now, utterance, converted, sink);
        if fits < pcm.len() {
            self.want_room(sink);
        }
        Some(fits)
    }
}

/// How many samples at a rate fit into `room` samples at 8 kHz.
#[must_use]
pub fn fits(room: usize, rate_hz: u32) -> usize {
    usize::try_from(room as u64 * u64::from(rate_hz) / 8000).unwrap_or(0)
}

fn tell(port: u32, seq: &mut u64, at: i64, kind: Kind, sink: &mut Sink) {
    *seq += 1;
    sink.events.push(Event { port, seq: *seq, at, kind });
}
