//! The laws of a Port, held against all that it sends and tells.
//!
//! - Every datagram given is in exactly one counter.
//! - Events are numbered without a gap. Each utterance ends in one `Played` or one `Cut` at most, each mark is told at
//!   most once, no more is heard than was sent, no more sent than was given. Speech begins and ends in turn.
//! - A port whose far end a carrier brings sends nothing, and its fences are numbered without a gap.
//! - RTP that is sent is well formed, numbered without a gap, of an agreed type and size; RTCP reads back.
//! - After a tick nothing is due.

use std::collections::{HashMap, HashSet};

use _native::counters::Count;
use _native::event::{Event, Kind, Sink};
use _native::plan::Plan;
use _native::port::Port;
use _native::queue::capacity;
use _native::rtcp::Compound;
use _native::rtp::Packet;
use _native::stun::{is_stun, Kind as Asked, Message};

use crate::plant;

/// What a resampler still holds may go over the top of the queue, samples.
const TAIL: usize = 256;

/// What an utterance was given.
#[derive(Clone, Copy, Default)]
struct Given {
    samples: u64,
    /// Some of it was not at 8 kHz, so only the bounds are known.
    converted: bool,
}

/// What was seen of one port so far.
pub struct Watch {
    number: u32,
    ssrc: u32,
    sequence: u16,
    seq: u64,
    given: HashMap<u64, Given>,
    over: HashSet<u64>,
    marks: HashSet<u64>,
    speaking: bool,
    stalled: bool,
    sent: u64,
    sent_rtcp: u64,
    kept: u64,
    asked: u64,
    /// A carrier brings the far end: nothing leaves but what it is told to take.
    pub carried: bool,
    fence: u64,
}

impl Watch {
    #[must_use]
    pub fn new(number: u32, ssrc: u32, sequence: u16) -> Self {
        Self {
            number,
            ssrc,
            sequence,
            seq: 0,
            given: HashMap::new(),
            over: HashSet::new(),
            marks: HashSet::new(),
            speaking: false,
            stalled: false,
            sent: 0,
            sent_rtcp: 0,
            kept: 0,
            asked: 0,
            carried: false,
            fence: 0,
        }
    }

    /// Audio was taken for an utterance.
    pub fn give(&mut self, utterance: u64, samples: usize, rate_hz: u32) {
        let given = self.given.entry(utterance).or_default();
        given.samples += samples as u64 * 8000 / u64::from(rate_hz);
        given.converted |= rate_hz != 8000;
    }

    /// Take what the port made.
    pub fn look(&mut self, port: &Port, plan: Option<&Plan>, sink: &mut Sink) {
        for event in std::mem::take(&mut sink.events) {
            if !plant::in_port(&event.kind) {
                self.hear(&event);
            }
        }
        for (data, departure) in sink.packets() {
            if is_stun(data) {
                let asked = Message::parse(data).expect("our own STUN can't be read");
                assert_eq!(asked.kind, Asked::Request);
                self.asked += 1;
                continue;
            }
            assert!(!self.carried, "a packet left a port without sockets");
            let plan = plan.expect("a packet left before the first plan");
            if departure.rtcp || data.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
                let compound = if plan.rtcp_reduced { Compound::parse_reduced(data) } else { Compound::parse(data) };
                let compound = compound.expect("our own RTCP can't be read");
                assert!(compound.reports.iter().all(|report| report.ssrc == self.ssrc));
                self.sent_rtcp += 1;
            } else {
                self.read(data, plan);
            }
        }
        sink.clear_packets();
        if port.rate_hz() != 8000 {
            // What it has taken is, or will be, converted.
            self.given.values_mut().for_each(|given| given.converted = true);
        }
        let counters = port.counters();
        assert!(counters.add_up(), "a datagram is in no counter, or in two: {:?}", counters.named());
        assert_eq!((counters.get(Count::Sent), counters.get(Count::SentRtcp)), (self.sent, self.sent_rtcp));
        assert_eq!((counters.get(Count::SentKeepalive), counters.get(Count::SentStun)), (self.kept, self.asked));
        assert!(port.queued() <= capacity(port.rate_hz()) + TAIL, "{} samples wait", port.queued());
    }

    fn read(&mut self, data: &[u8], plan: &Plan) {
        let packet = Packet::parse(data).expect("our own RTP can't be read");
        assert_eq!((packet.ssrc, packet.sequence), (self.ssrc, self.sequence));
        self.sequence = self.sequence.wrapping_add(1);
        if !plan.sending && packet.payload_type == plan.unknown() && packet.payload.is_empty() {
            self.kept += 1;
            return;
        }
        self.sent += 1;
        let whole = plan.send.1.ticks(packet.payload) == Some(plan.ticks());
        let audio = packet.payload_type == plan.send.0 && whole;
        let key = Some(packet.payload_type) == plan.dtmf_send && packet.payload.len() == 4;
        assert!(audio || key, "type {}, {} bytes", packet.payload_type, packet.payload.len());
    }

    fn hear(&mut self, event: &Event) {
        self.seq += 1;
        assert_eq!((event.port, event.seq), (self.number, self.seq), "an event is missing");
        match &event.kind {
            Kind::SpeechBegan => assert!(!std::mem::replace(&mut self.speaking, true), "speech began twice"),
            Kind::SpeechEnded { .. } => assert!(std::mem::take(&mut self.speaking), "speech ended twice"),
            Kind::Stalled => assert!(!std::mem::replace(&mut self.stalled, true), "stalled twice"),
            Kind::Flowing => self.stalled = false,
            Kind::Played { utterance, sent_ms } => {
                let given = self.end(*utterance);
                assert!(*sent_ms <= given.samples / 8 + TAIL as u64);
                assert!(
                    given.converted || *sent_ms == given.samples / 8,
                    "{given:?} of {sent_ms} ms",
                    given = given.samples
                );
            }
            Kind::Cut { utterance, sent_ms, heard_ms, .. } => {
                let given = self.end(*utterance);
                assert!(heard_ms <= sent_ms && *sent_ms <= given.samples / 8 + TAIL as u64);
            }
            Kind::Marked { mark, .. } => assert!(self.marks.insert(*mark), "mark {mark} was passed twice"),
            Kind::Room { queued_ms } => assert!(*queued_ms <= 2000),
            Kind::Quality(quality) => {
                assert!((0.0..=1.0).contains(&quality.far_lost_fraction));
                assert!(quality.jitter_ms >= 0.0 && quality.round_trip_ms.is_none_or(|trip| trip >= 0.0));
                let scores = [quality.mos, quality.far_mos];
                assert!(scores.into_iter().flatten().all(|score| (1.0..=5.0).contains(&score)), "{quality:?}");
            }
            Kind::Heard { pcm, .. } => assert!(!pcm.is_empty() && pcm.len() <= 8000),
            Kind::Taped { pcm, .. } => assert!(pcm.len().is_multiple_of(2)),
            Kind::Digit { .. } | Kind::Tone { .. } | Kind::Ducked => {}
            Kind::Mapped { .. }
            | Kind::OneWay { .. }
            | Kind::Echo { .. }
            | Kind::Secured { .. }
            | Kind::Severed { .. } => {}
            Kind::Leaving { codes } => assert!(self.carried && !codes.is_empty()),
            Kind::Fence { number } => {
                assert!(self.carried);
                assert_eq!(*number, self.fence + 1, "a fence out of its number");
                self.fence = *number;
            }
            Kind::Emptied { .. } => assert!(self.carried),
        }
    }

    fn end(&mut self, utterance: u64) -> Given {
        assert!(self.over.insert(utterance), "utterance {utterance} ended twice");
        self.given.get(&utterance).copied().unwrap_or_default()
    }
}
