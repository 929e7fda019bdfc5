//! One call's media: the pure machine.
//!
//! ```text
//! datagram ─► open ─► rtp ─► latch ─► ear ─► conceal ─► listening ─► events
//!        └─► rtcp ─► reports            └─► tape ◄─┐
//! play ─► feed ─► mouth (queue, duck, keys) ───────┴─► packets, on the grid
//! others listen: datagram ─► relay (isochronous) ─► pull ─► their feed ─► mix ─► their mouth
//! ```
//!
//! Here are its state, its verbs and its deadlines; `port/inbound.rs` is the way in, `port/outbound.rs` the way out,
//! `port/mixing.rs` the way between ports.
//! It holds no clock, socket, thread or randomness. `now` comes in as monotonic ns and never goes back; what it makes
//! goes into a [`Sink`]; [`Port::deadline`] says when to `tick` next. The same inputs make the same bytes and events.

mod carried;
mod guard;
mod inbound;
mod mixing;
mod outbound;
mod stages;
mod tones;
mod tunnelled;

use std::net::SocketAddr;
use std::sync::Arc;

use guard::Guard;

use crate::carried::Carried;
use crate::codec::noise::Noise;
use crate::codec::{Codec, Decoder, Law, NARROW};
use crate::conceal::Conceal;
use crate::counters::{Count, Counters};
use crate::dtmf::Keys;
use crate::ear::Ear;
use crate::event::{Event, Kind, Sink};
use crate::hearing::Sound;
use crate::latch::Latch;
use crate::listening::{Listening, Mode};
use crate::mix::Mix;
use crate::mouth::Mouth;
use crate::plan::{Content, Plan};
use crate::queue::Key;
use crate::relay::Relay;
use crate::reports::Reports;
use crate::secure::Protection;
use crate::stun::{Id, Question};
use crate::tape::Tape;
use crate::timeline::{scaled, Timeline};
use crate::tone::ear::KeyEar;
use crate::tone::watch::Watch;
use crate::tunnel::Tunnel;
use crate::vad::Halves;

const MS: i64 = 1_000_000;
/// No valid packet for this long is a stall.
const STALL: i64 = 1000 * MS;
/// How often the way is kept open while we are held (RFC 6263 section 7: 15 s).
const KEEPALIVE: i64 = 15_000 * MS;
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
    /// When the next keepalive leaves, while we do not send.
    keepalive: Option<i64>,
    question: Option<Question>,
    guard: Guard,
    /// To a browser: the way there, and whether media may go it.
    tunnel: Option<Box<Tunnel>>,
    way: Option<SocketAddr>,
    keyed: Option<Protection>,
    latch: Latch,
    rtcp_source: Option<SocketAddr>,
    ear: Ear<Waiting>,
    /// The timestamp that the next packet in order should have.
    expected: Option<u32>,
    /// What the audio inside runs at: 8 or 16 kHz.
    rate_hz: u32,
    /// The last audio packet's codec, and its length in ticks of that codec's clock.
    codec: Codec,
    frame: u32,
    decoder: Decoder,
    /// What the far end said of the silence that it leaves out.
    noise: Option<Noise>,
    conceal: Conceal,
    timeline: Timeline,
    keys: Keys,
    key_ear: KeyEar,
    /// From the Port's rate to what keys are looked for at.
    halves: Halves,
    /// The same for what left, whose echo is looked for.
    left_halves: Halves,
    watch: Option<Box<Watch>>,
    listening: Listening,
    sound: Sound,
    last_valid: Option<i64>,
    stalled: bool,
    mouth: Mouth,
    duck_depth: Option<f32>,
    ducked: bool,
    tape: Option<Tape>,
    /// What others hear of this port, and what it hears of them.
    relay: Option<Box<Relay>>,
    mix: Option<Box<Mix>>,
    reports: Reports,
    counters: Arc<Counters>,
    /// A carrier brings the far end: there are no sockets.
    carried: Option<Box<Carried>>,
    /// What it brought last, as a packet.
    brought: Vec<u8>,
    scratch: Vec<i16>,
    /// What is made up for a hole.
    made: Vec<i16>,
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
            keepalive: None,
            question: None,
            guard: Guard::default(),
            tunnel: None,
            way: None,
            keyed: None,
            latch: Latch::default(),
            rtcp_source: None,
            ear: Ear::default(),
            expected: None,
            rate_hz: NARROW,
            codec: Codec::G711(Law::Mu),
            frame: 160,
            decoder: Decoder::new(NARROW),
            noise: None,
            conceal: Conceal::default(),
            timeline: Timeline::default(),
            keys: Keys::default(),
            key_ear: KeyEar::default(),
            halves: Halves::default(),
            left_halves: Halves::default(),
            watch: None,
            listening: Listening::default(),
            sound: Sound::default(),
            last_valid: None,
            stalled: false,
            mouth: Mouth::new(ssrc, sequence, timestamp),
            duck_depth: None,
            ducked: false,
            tape: None,
            relay: None,
            mix: None,
            reports: Reports::new(ssrc, cname),
            counters: Arc::default(),
            carried: None,
            brought: Vec::new(),
            scratch: Vec::new(),
            made: Vec::new(),
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

    /// The rate of the audio inside: what is heard, taped, queued and relayed.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
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
    pub fn configure(&mut self, now: i64, generation: u64, mut plan: Plan) {
        self.see(now);
        self.generation = generation;
        self.run_at(plan.rate_hz());
        self.reports.send_at(plan.send.1.clock_hz());
        if self.tunnel.is_some() {
            // Signalling names candidates; which of them it is, ICE says, and DTLS the keys.
            plan.remote = self.open_way();
            plan.remote_rtcp = plan.remote;
            plan.protection = self.keyed.clone();
        }
        self.guard.agree(self.clock, plan.protection.as_ref());
        self.latch.agree(plan.remote);
        if self.latch.source().is_none() {
            self.rtcp_source = None;
        }
        let sends = plan.sending && plan.remote.is_some();
        self.key_ear.listen(plan.keys_in_band());
        if !plan.receiving {
            // On hold nobody owes us packets.
            self.last_valid = None;
            self.sound.forget();
        }
        if !self.plan.as_ref().is_some_and(|plan| plan.sending) || self.latch.source().is_none() {
            self.reports.begin_sending();
        }
        match (sends, self.next_departure) {
            (true, None) => {
                let first = self.first_departure(&plan);
                if let Some(stopped) = self.stopped_at.take() {
                    let went_by = (first - stopped).max(0) / plan.ptime();
                    self.mouth.skip(plan.ticks_of(went_by));
                }
                self.next_departure = Some(first);
            }
            (false, Some(next)) => {
                self.stopped_at = Some(next);
                self.next_departure = None;
            }
            _ => {}
        }
        // RFC 6263: RTCP on the same port keeps the way open (section 4.3), and to 0.0.0.0 there is none.
        let idle = !sends && plan.remote.is_some() && !plan.rtcp_mux && self.carried.is_none();
        self.keepalive = idle.then(|| self.keepalive.unwrap_or(self.clock + KEEPALIVE));
        if plan.remote.is_some() || plan.remote_rtcp.is_some() {
            self.reports.start(self.clock);
        }
        self.plan = Some(plan);
    }

    /// Run at another rate: what waits is converted, what is remembered of the sound is forgotten.
    fn run_at(&mut self, rate_hz: u32) {
        if self.rate_hz == rate_hz {
            return;
        }
        self.rate_hz = rate_hz;
        self.decoder.run_at(rate_hz);
        self.noise = None;
        self.conceal = Conceal::new(rate_hz);
        self.listening.run_at(rate_hz);
        self.mouth.run_at(rate_hz);
        if let Some(tape) = &mut self.tape {
            tape.run_at(rate_hz);
        }
        if let Some(relay) = &mut self.relay {
            **relay = Relay::new(rate_hz);
        }
        if let Some(mix) = &mut self.mix {
            mix.run_at(rate_hz);
        }
    }

    fn first_departure(&self, plan: &Plan) -> i64 {
        let Some(phase) = self.phase else {
            return self.clock;
        };
        self.clock + (phase - self.clock).rem_euclid(plan.ptime())
    }

    /// Say which audio becomes `Heard`, and whether quiet callers become louder there.
    pub fn listen(&mut self, mode: Mode, gain_control: bool) {
        self.listening.listen(mode, gain_control);
    }

    /// Begin or end the tape.
    pub fn tape(&mut self, on: bool, sink: &mut Sink) {
        if on {
            if self.tape.is_none() {
                self.tape = Some(Tape::new(self.clock, self.rate_hz));
            }
        } else if let Some(tape) = self.tape.take() {
            let rate_hz = tape.rate_hz();
            if let Some((at, pcm)) = tape.finish(self.clock) {
                self.tell(at, Kind::Taped { pcm, rate_hz }, sink);
            }
        }
    }

    /// Queue audio at the Port's rate.
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
        // What is dropped at a carrier is dropped as much later as it sounds later there.
        let lag = if self.carried.is_some() { 0 } else { self.lag() };
        let generation = self.generation;
        let (number, seq) = (self.number, &mut self.seq);
        self.mouth.queue.hush(self.clock, lag, generation, &mut |at, kind| tell(number, seq, at, kind, sink));
        self.ducked = false;
        self.mouth.duck(1.0);
        self.empty(true, sink);
        self.tell_room(sink);
    }

    /// Arm the reflex (None disarms).
    pub fn arm(&mut self, depth_db: Option<f32>) {
        self.duck_depth = depth_db;
    }

    /// Bring a ducked voice back.
    pub fn restore(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.mouth.duck(1.0);
        if std::mem::take(&mut self.ducked) {
            self.say_again(sink);
        }
    }

    /// Queue keys. `keys` are event codes.
    pub fn press(&mut self, now: i64, keys: &[u8], duration_ms: u32, gap_ms: u32) {
        self.see(now);
        for &code in keys {
            self.mouth.queue.press(Key { code, duration_ms, gap_ms });
        }
    }

    /// Ask a STUN server what our RTP socket looks like from there: `Mapped` follows, if it answers.
    pub fn discover(&mut self, now: i64, server: SocketAddr, id: Id, sink: &mut Sink) {
        self.see(now);
        self.question = Some(Question::new(self.clock, server, id));
        self.ask(sink);
    }

    /// When `tick` must be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        let stall = self.last_valid.filter(|_| !self.stalled).map(|last| last + STALL);
        let tape = self.tape.as_ref().map(Tape::due);
        let queue = self.mouth.queue.due();
        // Where packets leave, a report waits for the next of them: it is not worth a wake of its own.
        let report = self.reports.due().filter(|_| self.next_departure.is_none());
        let question = self.question.as_ref().and_then(Question::due);
        let tunnel = self.tunnel.as_ref().and_then(|tunnel| tunnel.due());
        let idle = [self.keepalive, question, tunnel];
        [self.next_departure, self.ear.due(), queue, self.listening.due(), stall, tape, report]
            .into_iter()
            .chain(idle)
            .flatten()
            .min()
    }

    /// Do what is due.
    pub fn tick(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.tick_tunnel(sink);
        self.close_holes(sink);
        let (number, seq) = (self.number, &mut self.seq);
        self.listening.tick(self.clock, &mut |at, kind| tell(number, seq, at, kind, sink));
        self.tell_heard(sink);
        self.depart(sink);
        self.forget_fed();
        self.keep_alive(sink);
        self.ask(sink);
        self.tell_heard(sink);
        self.tell_tape(sink);
        if let Some(last) = self.last_valid.filter(|&last| !self.stalled && self.clock - last >= STALL) {
            self.stalled = true;
            self.tell(last + STALL, Kind::Stalled, sink);
        }
        self.report(sink);
    }

    /// Say goodbye by RTCP, to who has heard of us, and end the tape.
    pub fn close(&mut self, now: i64, sink: &mut Sink) {
        self.see(now);
        self.tape(false, sink);
        self.say_goodbye(sink);
        self.close_tunnel(sink);
    }

    fn tell(&mut self, at: i64, kind: Kind, sink: &mut Sink) {
        tell(self.number, &mut self.seq, at, kind, sink);
    }
}

/// How many samples at a rate fit into `room` samples at the Port's.
#[must_use]
pub fn fits(room: usize, port_hz: u32, rate_hz: u32) -> usize {
    scaled(room, port_hz, rate_hz)
}

fn tell(port: u32, seq: &mut u64, at: i64, kind: Kind, sink: &mut Sink) {
    *seq += 1;
    sink.events.push(Event { port, seq: *seq, at, kind });
}
