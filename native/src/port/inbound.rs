//! What a Port receives: a datagram's way to the ear, and from there to what Python hears.
//!
//! ```text
//! datagram ─► SRTP: open it ─► RTP? ─► agreed payload? ─► latch ─► ear ─► in order ─► conceal ─► listening ─► the reflex
//!         └─► RTCP ─► reports              each way out is counted by its reason
//! ```

use std::net::SocketAddr;

use super::{tell, Port, Waiting};
use crate::codec::noise::{self, Noise};
use crate::codec::{Decoder, NARROW};
use crate::counters::Count;
use crate::dtmf::{self, Keys};
use crate::ear::{Held, Verdict};
use crate::event::{Fault, Kind, Sink};
use crate::latch::Verdict as Source;
use crate::plan::Content;
use crate::rtcp::Compound;
use crate::rtp::{timestamp_ahead, Packet};
use crate::stun::is_stun;
use crate::timeline::scaled;
use crate::tunnel::Tunnel;

/// Of a hole this much is filled at most.
const FILL_MOST_MS: u32 = 500;
/// The silence that one packet of a key is worth at most.
const KEY_MOST_MS: u32 = 200;
/// A timestamp that goes back further than this, in order, is another clock's.
const SET_BACK_MS: u32 = 100;
/// The largest payload that is no codec's own: noise, keys.
const LARGEST_PAYLOAD: usize = 1600;

impl Port {
    /// Not to hear what the call before on these sockets heard.
    pub fn shun(&mut self, heard: Option<(SocketAddr, u32)>) {
        self.latch.shun(heard);
    }

    /// The source and the stream that are heard.
    #[must_use]
    pub fn heard_from(&self) -> Option<(SocketAddr, u32)> {
        self.latch.heard()
    }

    /// Take one datagram. `rtcp`: from the RTCP socket.
    pub fn datagram(&mut self, now: i64, data: &[u8], from: SocketAddr, rtcp: bool, sink: &mut Sink) {
        self.see(now);
        self.counters.add(Count::Given);
        if !rtcp && is_stun(data) {
            let count = self.take_stun(data, from, sink);
            return self.counters.add(count);
        }
        if !rtcp && self.tunnel.is_some() && Tunnel::takes(data) {
            let count = self.take_tunnelled(data, from, sink);
            return self.counters.add(count);
        }
        if let Some(count) = self.barred(from) {
            return self.counters.add(count);
        }
        let Some(plan) = &self.plan else {
            return self.counters.add(Count::DroppedUnconfigured);
        };
        // RFC 5761 section 4: 192 to 223 in the second byte is RTCP, where one port carries both.
        let muxed = plan.rtcp_mux && data.get(1).is_some_and(|kind| (192..=223).contains(kind));
        let opened = match self.guard.open(self.clock, data, rtcp || muxed) {
            Ok(opened) => opened,
            Err(count) => return self.counters.add(count),
        };
        let data = opened.as_deref().unwrap_or(data);
        if rtcp || muxed {
            self.take_rtcp(data, from, sink);
        } else {
            self.close_holes(sink);
            let count = self.take_rtp(data, from, sink);
            self.counters.add(count);
        }
    }

    fn take_stun(&mut self, data: &[u8], from: SocketAddr, sink: &mut Sink) -> Count {
        let Some(address) = self.question.and_then(|question| question.answer(data, from)) else {
            return self.take_tunnelled(data, from, sink);
        };
        self.question = None;
        self.tell(self.clock, Kind::Mapped { address }, sink);
        Count::ReceivedStun
    }

    fn take_rtcp(&mut self, data: &[u8], from: SocketAddr, sink: &mut Sink) {
        let reduced = self.plan.as_ref().is_some_and(|plan| plan.rtcp_reduced);
        let agreed = self.plan.as_ref().and_then(|plan| plan.remote_rtcp);
        let known = |rtp: Option<SocketAddr>| rtp.is_some_and(|rtp| rtp.ip() == from.ip());
        if self.guard.is_plain() && agreed != Some(from) && !known(self.latch.destination()) {
            return self.counters.add(Count::DroppedRtcpSource);
        }
        let Ok(compound) = (if reduced { Compound::parse_reduced(data) } else { Compound::parse(data) }) else {
            return self.counters.add(Count::DroppedRtcpMalformed);
        };
        self.counters.add(Count::ReceivedRtcp);
        // Symmetric RTCP, once the stream itself vouches for it.
        if compound.reports.iter().any(|report| Some(report.ssrc) == self.ear.ssrc()) {
            self.rtcp_source = Some(from);
        }
        let hears = self.reports.hear(self.clock, &compound);
        if let Some(percent) = self.reports.far_lost_percent() {
            self.mouth.expect_loss(percent);
        }
        if let Some(hears) = hears {
            self.tell(self.clock, Kind::OneWay { fault: Fault::Unheard, on: !hears }, sink);
        }
    }

    fn take_rtp(&mut self, data: &[u8], from: SocketAddr, sink: &mut Sink) -> Count {
        let Some(plan) = &self.plan else {
            return Count::DroppedUnconfigured;
        };
        let Ok(packet) = Packet::parse(data) else {
            return Count::DroppedMalformed;
        };
        let fits = |content: &Content| match content {
            Content::Audio(codec) => codec.ticks(packet.payload).is_some(),
            Content::Key | Content::Noise => (1..=LARGEST_PAYLOAD).contains(&packet.payload.len()),
        };
        let Some(content) = plan.content(packet.payload_type).filter(fits) else {
            // From the source itself it is a payload that was not agreed; from elsewhere it is somebody else.
            let known = self.latch.source().is_none_or(|source| source == from);
            if known && packet.payload.is_empty() {
                self.ear.pass(packet.ssrc, packet.sequence); // a keepalive (RFC 6263 section 4.6): no hole
            }
            return if known { Count::DroppedPayload } else { Count::DroppedSource };
        };
        if !plan.receiving {
            if self.latch.source() == Some(from) {
                self.ear.pass(packet.ssrc, packet.sequence);
            }
            return Count::DroppedHeld;
        }
        let authentic = !self.guard.is_plain();
        match self.latch.judge(self.clock, from, packet.ssrc, packet.sequence, authentic) {
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
        let steady = match content {
            Content::Audio(codec) => Some((codec.clock_hz(), codec.ticks(packet.payload).unwrap_or(0))),
            Content::Noise => Some((self.codec.clock_hz(), self.frame)),
            Content::Key => None,
        };
        let verdict = self.ear.judge(self.clock, packet.ssrc, packet.sequence);
        if verdict != Verdict::Wait {
            // RFC 3550 section 6.4.1: what is late or a duplicate was received too.
            let late = verdict == Verdict::Late;
            let clock_hz = steady.map(|(hz, _)| hz);
            self.reports.received(self.clock, packet.ssrc, packet.sequence, packet.timestamp, clock_hz, late);
        }
        let anew = self.is_set_back(verdict, packet.timestamp, steady.map(|(hz, _)| hz));
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
        if let Some((clock_hz, ticks)) = steady {
            if anew {
                self.timeline.forget();
            }
            self.timeline.arrive(self.clock, packet.timestamp, ticks, clock_hz);
        }
        if let Some(event) = event {
            self.take_key(packet.timestamp, event, sink);
        }
        self.pass_on(packet, content, verdict);
        let waiting = |payload: &[u8]| Waiting { timestamp: packet.timestamp, content, payload: payload.to_vec() };
        match verdict {
            Verdict::Late if event.is_none() => {
                self.mend(packet.timestamp, content, packet.payload);
                return Count::DroppedLate;
            }
            Verdict::Hold => {
                let what = waiting(packet.payload);
                self.ear.hold(Held { sequence: packet.sequence, arrived: self.clock, what });
                self.close_holes(sink);
            }
            Verdict::Now | Verdict::Restart { .. } => {
                self.deliver(0, packet.timestamp, content, packet.payload, sink);
                self.deliver_held(0, sink);
            }
            _ => {}
        }
        match content {
            Content::Audio(_) => Count::ReceivedAudio,
            Content::Key => Count::ReceivedDtmf,
            Content::Noise => Count::ReceivedNoise,
        }
    }

    /// What people hear who are bridged to this far end: every packet, when it comes.
    fn pass_on(&mut self, packet: &Packet<'_>, content: Content, verdict: Verdict) {
        let Some(relay) = &mut self.relay else { return };
        if matches!(verdict, Verdict::Restart { new_stream: true }) {
            relay.restart();
        }
        match content {
            Content::Audio(codec) => {
                relay.hear(self.clock, packet.timestamp, codec, packet.payload, packet.marker);
                if codec.is_silence(packet.payload) {
                    relay.hush(self.clock, packet.timestamp, &[]);
                }
            }
            Content::Key => relay.hush(self.clock, packet.timestamp, &[]),
            Content::Noise => relay.hush(self.clock, packet.timestamp, packet.payload),
        }
    }

    /// Whether a packet that is next in order is of an earlier time than it can be: the far end's clock was set anew,
    /// and where the stream lies must be learnt again.
    fn is_set_back(&self, verdict: Verdict, timestamp: u32, clock_hz: Option<u32>) -> bool {
        let next = matches!(verdict, Verdict::Now | Verdict::Restart { .. });
        let (Some(hz), Some(expected)) = (clock_hz.filter(|_| next), self.expected) else {
            return false;
        };
        let back = i32::try_from(hz / 1000 * SET_BACK_MS).unwrap_or(i32::MAX);
        timestamp_ahead(timestamp, expected) < -back
    }

    fn take_key(&mut self, timestamp: u32, event: dtmf::Event, sink: &mut Sink) {
        let clock_hz = self.plan.as_ref().map_or(NARROW, |plan| plan.dtmf_hz);
        let first = self.keys.hear(timestamp, event, clock_hz);
        if let Some(key) = event.key() {
            self.key_ear.event(key);
        }
        let Some(first) = first else {
            return;
        };
        if let Some(key) = first.key() {
            self.take_leak(key);
            let at = self.timeline.at(timestamp).unwrap_or(self.clock).min(self.clock);
            let duration_ms = u32::from(first.duration) / (clock_hz / 1000);
            self.tell(at, Kind::Digit { key, duration_ms, in_band: false }, sink);
        }
    }

    /// The order begins anew: what waits is delivered as it is, and nothing is made up for the jump.
    fn restart(&mut self, new_stream: bool, sink: &mut Sink) {
        let first = self.expected.is_none();
        for held in self.ear.take_held() {
            self.deliver(0, held.what.timestamp, held.what.content, &held.what.payload, sink);
        }
        if !first {
            self.counters.add(if new_stream { Count::SsrcChanges } else { Count::Jumps });
        }
        if new_stream {
            self.timeline.forget();
            self.noise = None;
            self.keys = Keys::default();
            self.key_ear.forget();
            self.decoder = Decoder::new(self.rate_hz);
        }
        self.expected = None;
    }

    pub(super) fn close_holes(&mut self, sink: &mut Sink) {
        while self.ear.due().is_some_and(|due| due <= self.clock) {
            let missing = usize::from(self.ear.skip());
            self.counters.add_many(Count::Lost, missing as u64);
            self.deliver_held(missing, sink);
        }
    }

    /// Deliver what is next in order; before the first of it so many packets are missing.
    fn deliver_held(&mut self, mut missing: usize, sink: &mut Sink) {
        while let Some(held) = self.ear.pop() {
            let what = held.what;
            self.deliver(std::mem::take(&mut missing), what.timestamp, what.content, &what.payload, sink);
        }
    }

    /// Make up for lost packets that lead to `after` (empty where nothing is known of what comes), of which so many
    /// samples still belong to the hole.
    fn fill(&mut self, missing: usize, until: u32, after: &mut [i16], said: usize, sink: &mut Sink) {
        let ticks = self.hole(missing, until);
        let open = self.samples(ticks).saturating_sub(said);
        let mut made = std::mem::take(&mut self.made);
        made.clear();
        if open > 0 {
            self.conceal.between(open, after, &mut made);
        }
        if said > 0 {
            self.conceal.hear(&mut after[..said]);
            made.extend_from_slice(&after[..said]);
        }
        self.hear_made(ticks, &made, sink);
        self.made = made;
    }

    /// Lead the decoder through lost packets to the one `behind` them, and append to `pcm` what that one says again of
    /// their end; how many samples it is. What the codec guesses is not heard: it knows only what was before.
    fn lead(&mut self, missing: usize, until: u32, behind: &[u8], pcm: &mut Vec<i16>) -> usize {
        let (mut left, mut said) = (self.hole(missing, until), 0);
        while left > 0 {
            let piece = left.min(self.frame);
            left -= piece;
            pcm.clear();
            said = self.decoder.conceal_into(self.codec, self.samples(piece), (left == 0).then_some(behind), pcm);
        }
        pcm.drain(..pcm.len() - said);
        said
    }

    /// How many ticks to make up: as much as the timestamps say, and no more than that many packets.
    fn hole(&self, missing: usize, until: u32) -> u32 {
        let gap = self.expected.map_or(0, |expected| u32::try_from(timestamp_ahead(until, expected)).unwrap_or(0));
        let lost = self.frame.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        gap.min(lost).min(FILL_MOST_MS * (self.codec.clock_hz() / 1000))
    }

    /// Hear what was made up for so many ticks, a packet at a time.
    fn hear_made(&mut self, ticks: u32, mut made: &[i16], sink: &mut Sink) {
        let Some(mut timestamp) = self.expected else {
            return;
        };
        let mut left = ticks;
        while left > 0 {
            let ticks = left.min(self.frame);
            // The last piece has what the rates' rounding left.
            let samples = if ticks == left { made.len() } else { self.samples(ticks).min(made.len()) };
            let (piece, others) = made.split_at(samples);
            self.counters.add(Count::Concealed);
            self.hear(timestamp, piece, true, sink);
            made = others;
            timestamp = timestamp.wrapping_add(ticks);
            left -= ticks;
        }
    }

    /// What came after its hole was given up is heard by nobody any more, but it belongs on the tape.
    fn mend(&mut self, timestamp: u32, content: Content, payload: &[u8]) {
        let (Content::Audio(codec), Some(tape)) = (content, self.tape.as_mut()) else {
            return;
        };
        // The stream's own decoder is further on already.
        let mut pcm = Vec::new();
        Decoder::new(self.rate_hz).decode_into(codec, payload, &mut pcm);
        if tape.mend(timestamp, &pcm) {
            self.counters.add(Count::Mended);
        }
    }

    /// Our samples in so many ticks of the clock of what comes.
    fn samples(&self, ticks: u32) -> usize {
        scaled(ticks as usize, self.codec.clock_hz(), self.rate_hz)
    }

    /// A packet in its order, before which so many are missing.
    fn deliver(&mut self, mut missing: usize, timestamp: u32, content: Content, payload: &[u8], sink: &mut Sink) {
        if let (true, Some(expected)) = (self.noise.is_some(), self.expected) {
            // What was left out in between, or is lost of it.
            let most = FILL_MOST_MS * (self.codec.clock_hz() / 1000);
            let gap = u32::try_from(timestamp_ahead(timestamp, expected)).unwrap_or(0).min(most);
            self.hear_noise(expected, gap, sink);
            self.noise = None;
            missing = 0;
        } else if missing > 0 && !matches!(content, Content::Audio(_)) {
            self.fill(missing, timestamp, &mut [], 0, sink);
        }
        let (from, ticks) = match content {
            Content::Audio(codec) => {
                let mut pcm = std::mem::take(&mut self.scratch);
                pcm.clear();
                let is_led = missing > 0 && codec == self.codec;
                let said = if is_led { self.lead(missing, timestamp, payload, &mut pcm) } else { 0 };
                self.decoder.decode_into(codec, payload, &mut pcm);
                if missing > 0 {
                    self.fill(missing, timestamp, &mut pcm, said, sink);
                }
                pcm.drain(..said);
                self.conceal.hear(&mut pcm);
                (self.frame, self.codec) = (codec.ticks(payload).unwrap_or(0), codec);
                self.hear(timestamp, &pcm, false, sink);
                if codec.is_silence(payload) {
                    // What follows it and does not come is noise as loud as this.
                    self.noise = Noise::parse(&[noise::level(&pcm)], self.rate_hz);
                    self.listening.quiet(self.clock);
                }
                self.scratch = pcm;
                (timestamp, self.frame)
            }
            Content::Noise => {
                self.noise = Noise::parse(payload, self.rate_hz);
                self.hear_noise(timestamp, self.frame, sink);
                self.listening.quiet(self.clock);
                (timestamp, self.frame)
            }
            Content::Key => {
                // A key's packets repeat the timestamp of its start; the silence is what is new of its duration.
                let (dtmf_hz, clock_hz) =
                    (self.plan.as_ref().map_or(NARROW, |plan| plan.dtmf_hz), self.codec.clock_hz());
                let duration = dtmf::Event::parse(payload).map_or(0, |event| usize::from(event.duration));
                let duration = u32::try_from(scaled(duration, dtmf_hz, clock_hz)).unwrap_or(0);
                let end = timestamp.wrapping_add(duration);
                let from = self.expected.unwrap_or(timestamp);
                let most = KEY_MOST_MS * (clock_hz / 1000);
                let new = u32::try_from(timestamp_ahead(end, from)).unwrap_or(0).min(most);
                self.silence(from, new, sink);
                (from, new)
            }
        };
        self.expected = Some(from.wrapping_add(ticks));
    }

    fn hear(&mut self, timestamp: u32, pcm: &[i16], concealed: bool, sink: &mut Sink) {
        let at = self.timeline.at(timestamp).unwrap_or(self.clock);
        if let Some(tape) = &mut self.tape {
            tape.put_far(at, timestamp, pcm, concealed);
        }
        if !concealed {
            let news = self.sound.hear(self.clock, pcm, self.listening.is_speech());
            if let Some(on) = news {
                self.tell(self.clock, Kind::OneWay { fault: Fault::Silent, on }, sink);
            }
        }
        if self.is_tone(at, pcm, concealed, sink) {
            return self.silence_of(at, pcm.len(), sink);
        }
        let before = self.listening.is_speech();
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.hear(at, pcm, self.codec.law(), concealed, &mut |at, kind| tell(number, seq, at, kind, sink));
        if !before && self.listening.is_speech() {
            self.duck(sink);
        }
    }

    fn silence(&mut self, timestamp: u32, ticks: u32, sink: &mut Sink) {
        let at = self.timeline.at(timestamp).unwrap_or(self.clock);
        self.silence_of(at, self.samples(ticks), sink);
    }

    fn silence_of(&mut self, at: i64, samples: usize, sink: &mut Sink) {
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.hush(at, &vec![0; samples], &mut |at, kind| tell(number, seq, at, kind, sink));
    }

    /// Hear the noise that the far end described in place of so many ticks.
    fn hear_noise(&mut self, timestamp: u32, ticks: u32, sink: &mut Sink) {
        let (at, samples) = (self.timeline.at(timestamp).unwrap_or(self.clock), self.samples(ticks));
        let mut pcm = std::mem::take(&mut self.made);
        pcm.clear();
        match &mut self.noise {
            Some(noise) => noise.append(samples, &mut pcm),
            None => pcm.resize(samples, 0),
        }
        if let Some(tape) = &mut self.tape {
            tape.put_far(at, timestamp, &pcm, false);
        }
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.hush(at, &pcm, &mut |at, kind| tell(number, seq, at, kind, sink));
        self.made = pcm;
    }

    /// The reflex: somebody began to speak over our voice.
    fn duck(&mut self, sink: &mut Sink) {
        let Some(depth) = self.duck_depth.filter(|_| self.sounds() && !self.ducked) else {
            return;
        };
        self.ducked = true;
        self.mouth.duck(10f32.powf(-depth.abs() / 20.0));
        self.tell(self.clock, Kind::Ducked, sink);
        self.say_again(sink);
    }
}
