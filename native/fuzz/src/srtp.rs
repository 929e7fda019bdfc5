//! A whole Port that agreed on SRTP, between a far end that has the keys and somebody who has none. Whatever is touched,
//! cut, repeated, sent in clear or sealed with other keys is refused, counted, never heard, and leaves no trace: what
//! the far end sealed is let in after it as before. What leaves the Port, the far end can open (RFC 3711, 4568).

use std::collections::HashMap;
use std::net::SocketAddr;

use _native::codec::{Codec, Law};
use _native::event::{Kind, Sink};
use _native::listening::Mode;
use _native::plan::Plan;
use _native::port::Port;
use _native::rtcp::{Compound, Report};
use _native::rtp::Packet;
use _native::secure::{Master, Protection, Shield, Suite};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

use crate::plant;

const MS: i64 = 1_000_000;
const SSRC: u32 = 0x0FF0_0001;
const FAR: [u32; 2] = [0xA1, 0xB2];
/// Steps of a life, and the packets that may be under way.
const STEPS_MOST: usize = 96;
const UNDER_WAY_MOST: usize = 32;
/// How long the key before is taken, and the packets behind the newest that surely are.
const OVERLAP: i64 = 5_000 * MS;
const WINDOW: u64 = 500;
/// Further ahead than this the rollover counter can't be guessed (RFC 3711 section 3.3.1).
const AHEAD_MOST: u64 = 1 << 14;
/// What the far end says is silence, and what anybody else says is as loud as can be.
const QUIET: u8 = 0xFF;
const LOUD: u8 = 0x00;
const HEARD_MOST: u16 = 1000;
/// Where tags are, from the end: what is touched behind is mostly one.
const TAG_MOST: usize = 16;

/// One thing that happens. `old`: the far end still has the keys before.
#[derive(Arbitrary, Debug)]
pub enum Step {
    Send {
        stream: bool,
        old: bool,
    },
    Skip {
        stream: bool,
        many: u16,
    },
    /// It leaves, and comes when `Arrive` says.
    Delay {
        stream: bool,
        old: bool,
    },
    Arrive {
        which: u8,
    },
    Repeat {
        which: u8,
    },
    Report {
        old: bool,
    },
    Touch {
        report: bool,
        behind: bool,
        at: u8,
        flip: u8,
    },
    Cut {
        report: bool,
        length: u8,
    },
    Lengthen {
        report: bool,
        more: u8,
    },
    /// Of another's key, and of the far end's stream.
    Stranger {
        report: bool,
    },
    Plain {
        report: bool,
        bytes: u8,
    },
    Raw {
        rtcp: bool,
        data: Vec<u8>,
    },
    Turn {
        suite: u8,
    },
    Again,
    Pass {
        ms: u16,
    },
}

/// A call.
#[derive(Arbitrary, Debug)]
pub struct Life {
    suite: u8,
    steps: Vec<Step>,
}

/// Something that the far end sealed: under which keys, and where in its stream.
#[derive(Clone)]
struct Sealed {
    data: Vec<u8>,
    rtcp: bool,
    keys: usize,
    stream: usize,
    index: u64,
}

struct World {
    now: i64,
    port: Port,
    sink: Sink,
    generation: u64,
    plan: Plan,
    /// The far end's state for every pair of keys; the newest is last.
    far: Vec<Shield>,
    turned: i64,
    sequence: [u64; 2],
    under_way: Vec<Sealed>,
    arrived: Vec<Sealed>,
    /// Of each pair of keys and stream: the first that was sealed, and the newest that arrived.
    first: HashMap<(usize, usize), u64>,
    newest: HashMap<(usize, usize), u64>,
}

/// Live through `life`.
///
/// # Panics
/// Where something was let in that nobody sealed, or was refused that the far end did.
pub fn check(life: Life) {
    let (plan, far) = agreed(life.suite, 0);
    let mut world = World {
        now: 1_000_000 * MS,
        port: Port::new(7, SSRC, 1, 1, "fuzz"),
        sink: Sink::default(),
        generation: 0,
        plan,
        far: vec![far],
        turned: 0,
        sequence: [65_000; 2],
        under_way: Vec::new(),
        arrived: Vec::new(),
        first: HashMap::new(),
        newest: HashMap::new(),
    };
    world.configure();
    world.port.listen(Mode::All, false);
    for step in life.steps.into_iter().take(STEPS_MOST) {
        world.step(step);
        world.look();
    }
}

/// What we agree to with the keys of this number, and the far end's side of it.
fn agreed(suite: u8, number: usize) -> (Plan, Shield) {
    let suite = [Suite::AesCm80, Suite::AesCm32, Suite::Gcm128, Suite::Gcm256][usize::from(suite % 4)];
    let seed = u8::try_from(number % 120).unwrap_or(0) * 2;
    let master = |seed: u8| Master::new(suite, &vec![seed; suite.master_bytes()]).expect("a key of its length");
    let side = |send: u8, receive: u8| Protection { suite, send: master(send), receive: Some(master(receive)) };
    let law = Codec::G711(Law::Mu);
    let plan = Plan {
        remote: Some(address(4000)),
        remote_rtcp: Some(address(4001)),
        send: (0, law),
        receive: vec![(0, law)],
        dtmf_send: None,
        dtmf_receive: None,
        dtmf_hz: 8000,
        noise_send: None,
        noise_receive: None,
        ptime_ms: 20,
        sending: true,
        receiving: true,
        rtcp_mux: false,
        rtcp_extended: false,
        rtcp_reduced: false,
        protection: Some(side(seed, seed + 1)),
    };
    (plan, Shield::new(&side(seed + 1, seed)).expect("keys that can be used"))
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn packet(stream: usize, sequence: u64, code: u8) -> Vec<u8> {
    let sequence = u16::try_from(sequence & 0xFFFF).unwrap_or(0);
    let mut data = Vec::new();
    let timestamp = u32::from(sequence) * 160;
    let payload = [code; 160];
    Packet { sequence, timestamp, ssrc: FAR[stream], payload: &payload, ..Packet::default() }.build(&mut data);
    data
}

fn report() -> Vec<u8> {
    let report = Report { ssrc: FAR[0], sender: None, blocks: Vec::new() };
    let mut data = Vec::new();
    Compound { reports: vec![report], names: vec![(FAR[0], b"far".to_vec())], ..Compound::default() }.build(&mut data);
    data
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Send { stream, old } => {
                let sealed = self.seal(usize::from(stream), old, QUIET);
                self.arrive(sealed);
            }
            Step::Skip { stream, many } => self.sequence[usize::from(stream)] += u64::from(many % 1000),
            Step::Delay { stream, old } => {
                let sealed = self.seal(usize::from(stream), old, QUIET);
                if self.under_way.len() < UNDER_WAY_MOST {
                    self.under_way.push(sealed);
                }
            }
            Step::Arrive { which } => {
                if !self.under_way.is_empty() {
                    let sealed = self.under_way.swap_remove(usize::from(which) % self.under_way.len());
                    self.arrive(sealed);
                }
            }
            Step::Repeat { which } => {
                let one = self.arrived.iter().cycle().nth(usize::from(which)).cloned();
                if let Some(sealed) = one {
                    self.refused(&sealed.data, sealed.rtcp);
                }
            }
            Step::Report { old } => {
                let sealed = self.seal_report(old);
                self.arrive(sealed);
            }
            Step::Touch { report, behind, at, flip } => {
                let sealed = self.any(report);
                let mut data = sealed.data.clone();
                let at = usize::from(at);
                let at = if behind { data.len() - 1 - at % TAG_MOST } else { at % data.len() };
                data[at] ^= flip.max(1);
                self.refused(&plant::in_srtp(data, &sealed.data), sealed.rtcp);
            }
            Step::Cut { report, length } => {
                let sealed = self.any(report);
                self.refused(&sealed.data[..usize::from(length) % sealed.data.len()], sealed.rtcp);
            }
            Step::Lengthen { report, more } => {
                let mut sealed = self.any(report);
                sealed.data.resize(sealed.data.len() + 1 + usize::from(more), more);
                self.refused(&sealed.data, sealed.rtcp);
            }
            Step::Stranger { report: rtcp } => {
                let (_, mut stranger) = agreed(0, 119);
                let data = if rtcp {
                    stranger.seal_rtcp(&report())
                } else {
                    stranger.seal_rtp(&packet(0, self.sequence[0], LOUD))
                };
                self.refused(&data.expect("a packet"), rtcp);
            }
            Step::Plain { report: rtcp, bytes } => {
                let mut data = if rtcp { report() } else { packet(0, self.sequence[0], LOUD) };
                data.extend(vec![bytes; usize::from(bytes % 40)]);
                self.refused(&data, rtcp);
            }
            Step::Raw { rtcp, data } => self.refused(&data, rtcp),
            Step::Turn { suite } => {
                let (plan, far) = agreed(suite, self.far.len());
                (self.plan, self.turned) = (plan, self.now);
                self.far.push(far);
                self.configure();
            }
            Step::Again => self.configure(),
            Step::Pass { ms } => {
                let until = self.now + i64::from(ms % 3000) * MS;
                while let Some(due) = self.port.deadline().filter(|&due| due <= until) {
                    self.now = self.now.max(due);
                    self.port.tick(self.now, &mut self.sink);
                }
                self.now = until;
            }
        }
    }

    fn configure(&mut self) {
        self.generation += 1;
        self.port.configure(self.now, self.generation, self.plan.clone());
    }

    fn keys(&self, old: bool) -> usize {
        (self.far.len() - 1).saturating_sub(usize::from(old))
    }

    fn seal(&mut self, stream: usize, old: bool, code: u8) -> Sealed {
        self.now += 20 * MS;
        let (keys, index) = (self.keys(old), self.sequence[stream]);
        self.sequence[stream] += 1;
        self.first.entry((keys, stream)).or_insert(index);
        let data = self.far[keys].seal_rtp(&packet(stream, index, code)).expect("a packet").to_vec();
        Sealed { data, rtcp: false, keys, stream, index }
    }

    fn seal_report(&mut self, old: bool) -> Sealed {
        let keys = self.keys(old);
        let data = self.far[keys].seal_rtcp(&report()).expect("a report").to_vec();
        // What is sealed comes at once, so that it has no place.
        Sealed { data, rtcp: true, keys, stream: FAR.len(), index: 0 }
    }

    /// What the far end sealed, to be spoilt: loud, should it ever be heard.
    fn any(&mut self, report: bool) -> Sealed {
        if report {
            self.seal_report(false)
        } else {
            self.seal(0, false, LOUD)
        }
    }

    /// The datagram as it was sealed.
    fn arrive(&mut self, sealed: Sealed) {
        let count = self.give(&sealed.data, sealed.rtcp);
        let place = (sealed.keys, sealed.stream);
        let known = self.newest.get(&place).copied();
        let near = match known {
            _ if sealed.rtcp => true,
            Some(newest) => sealed.index + WINDOW > newest && sealed.index < newest + AHEAD_MOST,
            // The first that comes of a stream is taken for one from before any roll of its counter.
            None => {
                let first = self.first[&place];
                sealed.index < first + AHEAD_MOST && sealed.index >> 16 == first >> 16
            }
        };
        let newest = self.far.len() - 1;
        let before = sealed.keys + 1 == newest && self.now < self.turned + OVERLAP;
        if near && (sealed.keys == newest || before) {
            assert!(
                !is_refusal(count),
                "what the far end sealed was refused: {count}, {:?}",
                self.port.counters().named()
            );
        }
        if sealed.keys + 2 <= newest || (sealed.keys < newest && !before) {
            assert!(is_refusal(count), "a key that is over let something in: {count}");
        }
        if !is_refusal(count) {
            self.newest.insert(place, known.map_or(sealed.index, |newest| newest.max(sealed.index)));
            self.arrived.push(sealed);
        }
    }

    /// A datagram that nobody sealed as it is, or that came before.
    fn refused(&mut self, data: &[u8], rtcp: bool) {
        let count = self.give(data, rtcp);
        assert!(is_refusal(count), "what nobody sealed was let in: {count}");
    }

    /// Give it to the port; the one counter that it is in.
    fn give(&mut self, data: &[u8], rtcp: bool) -> &'static str {
        let ended = |name: &str| name.starts_with("received_") || name.starts_with("dropped_");
        let before = self.port.counters().named();
        self.port.datagram(self.now, data, address(4000 + u16::from(rtcp)), rtcp, &mut self.sink);
        let after = self.port.counters().named();
        let moved = before.iter().zip(&after).filter(|((name, was), (_, is))| ended(name) && was != is);
        let names: Vec<_> = moved.map(|((name, _), _)| *name).collect();
        assert!(self.port.counters().add_up() && names.len() == 1, "a datagram is in {names:?}");
        names[0]
    }

    /// What was heard is the far end's, and what leaves is for the far end alone.
    fn look(&mut self) {
        for event in std::mem::take(&mut self.sink.events) {
            if let Kind::Heard { pcm, .. } = event.kind {
                let loudest = pcm.iter().map(|sample| sample.unsigned_abs()).max();
                assert!(loudest.unwrap_or(0) < HEARD_MOST, "somebody else was heard");
            }
        }
        let far = self.far.last_mut().expect("keys");
        for (data, departure) in self.sink.packets() {
            assert!(far.open(self.now, data, departure.rtcp).is_ok(), "the far end can't open what left");
        }
        self.sink.clear_packets();
    }
}

fn is_refusal(count: &str) -> bool {
    matches!(
        count,
        "dropped_forged"
            | "dropped_replayed"
            | "dropped_unkeyed"
            | "dropped_malformed"
            | "dropped_rtcp_malformed"
            | "dropped_stun"
    )
}
