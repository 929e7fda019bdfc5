//! A whole Port, fed with the life of a call: what the network sends, what Python asks for, and the clock.
//!
//! A life is a list of steps. Packets are mostly well formed and in sequence, or the fuzzer would stay at the latch
//! for ever; raw bytes come too. The clock moves as an engine would move it, with lateness.

use std::net::SocketAddr;

use _native::carried::{Terms, LEAD_MOST_MS};
use _native::codec::{Codec, Law};
use _native::dtmf;
use _native::event::Sink;
use _native::feed::Feed;
use _native::listening::Mode;
use _native::mix::Route;
use _native::plan::Plan;
use _native::port::{Port, KEYS_MOST, KEY_MOST_MS};
use _native::relay::Side;
use _native::resample::RATES;
use _native::rtcp::{Compound, Report, ReportBlock, SenderInfo};
use _native::rtp::Packet;
use _native::stun::{Kind, Message};
use _native::xr::{Block, Voip};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

use crate::watch::Watch;

const MS: i64 = 1_000_000;
/// Ours.
const SSRC: u32 = 0x0FF0_0001;
/// Steps of a life, and what one may do: a short life lets the fuzzer try many.
const STEPS_MOST: usize = 64;
const TICKS_MOST: u8 = 20;
const PACKETS_MOST: u8 = 8;
const WAIT_MOST_MS: u16 = 4000;
/// What all waits and latenesses of a life may add up to.
const IDLE_MOST: i64 = 12_000 * MS;
/// A bridged far end is never further behind the network than what may wait of it.
const BEHIND_MOST: i64 = 4_000 * MS;
const SAMPLES_MOST: u16 = 6000;
/// Payload types that the plans agree to, and one that they don't.
const AUDIO: [u8; 5] = [0, 8, 96, 97, 98];
/// What is sent, and by which number.
const SENDS: [(u8, Codec); 4] =
    [(0, Codec::G711(Law::Mu)), (8, Codec::G711(Law::A)), (97, Codec::L16(16_000)), (97, Codec::L16(48_000))];
const KEY: u8 = 101;
const NOISE: u8 = 13;

/// Where a datagram comes from.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum From {
    Agreed,
    Nat,
    Stranger,
    Six,
}

/// What a packet carries.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Load {
    Audio { law: u8, level: u8, ms: u8 },
    Key { code: u8, end: bool, duration: u16, same: bool },
    Noise { level: u8 },
    Other { payload_type: u8, length: u8 },
}

/// Where a packet stands in its sequence.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Order {
    Next,
    Skip(u8),
    Back(u8),
    Anywhere(u16, u32),
}

/// One thing that happens.
#[derive(Arbitrary, Debug)]
pub enum Step {
    Packets {
        from: From,
        stream: u8,
        order: Order,
        load: Load,
        many: u8,
    },
    Raw {
        from: From,
        rtcp: bool,
        data: Vec<u8>,
    },
    Report {
        from: From,
        rtcp: bool,
        stream: u8,
        sender: bool,
        about: u8,
        lost: (u8, i32),
        times: (u32, u32),
        bye: bool,
    },
    Tick {
        many: u8,
        late_ms: u16,
    },
    Wait {
        ms: u16,
    },
    Play {
        utterance: u8,
        rate: u8,
        samples: u16,
        level: u8,
    },
    End {
        utterance: u8,
    },
    Mark {
        utterance: u8,
    },
    /// What a carrier brings, where it does.
    Bring {
        sequence: u16,
        timestamp: u32,
        payload: Vec<u8>,
    },
    /// A carrier tells of a fence, one of ours or any.
    Passed {
        fence: u8,
    },
    Hush,
    Arm {
        depth: Option<u8>,
    },
    Restore,
    Press {
        code: u8,
        many: u8,
        duration_ms: u16,
        gap_ms: u16,
    },
    Configure {
        remote: Option<From>,
        rtcp: bool,
        law: u8,
        keys: bool,
        ptime: u8,
        flags: u8,
    },
    Listen {
        mode: u8,
    },
    Tape {
        on: bool,
    },
    Relay {
        on: bool,
    },
    /// Whom to hear: a bit a side of four ports; a level in its steps.
    Mix {
        heard: u8,
        level: u8,
    },
    Feed {
        samples: u16,
        level: u8,
        port: u8,
    },
    Discover {
        server: From,
        /// The answer comes, of this transaction.
        answered: Option<u8>,
    },
}

/// A call from its first step to its last.
#[derive(Arbitrary, Debug)]
pub struct Life {
    /// The first plan is there from the beginning.
    agreed: bool,
    /// A carrier brings the far end: its lead, the length of a message, and what it can.
    carried: Option<(u16, u8, u8)>,
    sequence: u16,
    timestamp: u32,
    steps: Vec<Step>,
}

/// A stream of the far end.
#[derive(Clone, Copy, Default)]
struct Far {
    sequence: u16,
    timestamp: u32,
}

struct World {
    now: i64,
    idled: i64,
    port: Port,
    feed: Feed,
    sink: Sink,
    watch: Watch,
    plan: Option<Plan>,
    generation: u64,
    mark: u64,
    far: [Far; 3],
}

/// Live through `life`, and hold the port against its laws at every step.
///
/// # Panics
/// Where one is broken.
pub fn check(life: Life) {
    let mut world = World {
        now: 1_000_000 * MS,
        idled: 0,
        port: Port::new(7, SSRC, life.sequence, life.timestamp, "fuzz"),
        feed: Feed::default(),
        sink: Sink::default(),
        watch: Watch::new(7, SSRC, life.sequence),
        plan: None,
        generation: 0,
        mark: 0,
        far: [Far { sequence: 65_530, timestamp: u32::MAX - 1000 }; 3],
    };
    if let Some((lead_ms, message, flags)) = life.carried {
        let most_ms = u32::from(message).clamp(10, 200);
        let least_ms = if flags & 4 == 0 { 20.min(most_ms) } else { most_ms };
        let lead_ms = u32::from(lead_ms).min(LEAD_MOST_MS);
        world.port.carry(Terms { lead_ms, least_ms, most_ms, fences: flags & 1 > 0, clears: flags & 2 > 0 });
        world.watch.carried = true;
    }
    if life.agreed {
        world.step(Step::Configure { remote: Some(From::Agreed), rtcp: true, law: 0, keys: true, ptime: 0, flags: 0 });
        world.step(Step::Listen { mode: 0 });
    }
    for step in life.steps.into_iter().take(STEPS_MOST) {
        world.step(step);
        world.watch.look(&world.port, world.plan.as_ref(), &mut world.sink);
    }
    world.port.close(world.now, &mut world.sink);
    world.watch.look(&world.port, world.plan.as_ref(), &mut world.sink);
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Packets { from, stream, order, load, many } => {
                for n in 0..=many % PACKETS_MOST {
                    let order = if n == 0 { order } else { Order::Next };
                    self.packet(from, usize::from(stream % 3), order, load);
                }
            }
            Step::Raw { from, rtcp, data } => self.datagram(&data, from, rtcp),
            Step::Report { from, rtcp, stream, sender, about, lost, times, bye } => {
                let data = report(stream % 3, sender, about, lost, times, bye);
                self.datagram(&data, from, rtcp);
            }
            Step::Tick { many, late_ms } => {
                for _ in 0..=many % TICKS_MOST {
                    self.tick(late_ms);
                }
            }
            Step::Wait { ms } => self.now += self.idle(ms),
            Step::Play { utterance, rate, samples, level } => self.play(utterance, rate, samples, level),
            Step::End { utterance } => {
                let tail = self.feed.finish(u64::from(utterance));
                self.port.end(self.now, u64::from(utterance), tail);
            }
            Step::Mark { utterance } => {
                self.mark += 1;
                self.port.mark(self.now, u64::from(utterance), self.mark);
            }
            Step::Bring { sequence, timestamp, payload } => {
                self.port.bring(self.now, sequence, timestamp, &payload, &mut self.sink);
            }
            Step::Passed { fence } => self.port.passed(self.now, u64::from(fence), &mut self.sink),
            Step::Hush => self.port.hush(self.now, &mut self.sink),
            Step::Arm { depth } => self.port.arm(depth.map(|depth| f32::from(depth % 101))),
            Step::Restore => self.port.restore(self.now, &mut self.sink),
            Step::Press { code, many, duration_ms, gap_ms } => {
                let keys = vec![code % 16; 1 + usize::from(many) % KEYS_MOST.min(4)];
                let duration = u32::from(duration_ms).clamp(20, KEY_MOST_MS);
                self.port.press(self.now, &keys, duration, u32::from(gap_ms).min(KEY_MOST_MS));
            }
            Step::Configure { remote, rtcp, law, keys, ptime, flags } => {
                self.generation += 1;
                let plan = plan(remote, rtcp, law, keys, ptime, flags);
                self.feed.run_at(plan.rate_hz());
                self.port.configure(self.now, self.generation, plan.clone());
                self.plan = Some(plan);
            }
            Step::Listen { mode } => {
                self.port.listen([Mode::All, Mode::Speech, Mode::None][usize::from(mode % 3)], mode & 64 > 0);
            }
            Step::Discover { server, answered } => self.discover(server, answered),
            Step::Tape { on } => self.port.tape(on, &mut self.sink),
            Step::Relay { on } => self.port.relay(on),
            Step::Mix { heard, level } => {
                let side = |bit| if bit & 1 == 0 { Side::Far } else { Side::Ours };
                let gain = f32::from(level) / 64.0;
                let bits = (0..8u32).filter(|bit| heard >> bit & 1 == 1);
                let routes: Vec<_> = bits.map(|bit| Route { port: bit / 2, side: side(bit), gain }).collect();
                self.port.mix(&routes);
            }
            Step::Feed { samples, level, port } => {
                let mut heard = Vec::new();
                let (due, ms) = self.port.wants(self.now).unwrap_or((self.now, 20));
                assert!(due <= self.now && ms <= 700, "what is asked for is bounded: {ms} ms since {due}");
                let side = if port & 1 == 0 { Side::Far } else { Side::Ours };
                if self.port.pull(side, due, ms, &mut heard) {
                    assert_eq!(heard.len(), (self.port.rate_hz() / 1000 * ms) as usize, "a person's audio has no gap");
                }
                // Who was not listened to for a while is caught up with when somebody listens again.
                let behind = self.port.behind(self.now).filter(|_| side == Side::Far);
                assert!(behind.is_none_or(|behind| behind < BEHIND_MOST), "heard late, ns: {behind:?}");
                let pcm = vec![i16::from_be_bytes([level, 0]); usize::from(samples % SAMPLES_MOST)];
                let from = u32::from(port / 2 % 4);
                self.port.feed(self.now, from, side, &pcm, if level & 1 == 0 { 8000 } else { 16_000 });
            }
        }
    }

    /// Some of the time that a life may spend idle.
    fn idle(&mut self, ms: u16) -> i64 {
        let wanted = i64::from(ms % WAIT_MOST_MS) * MS;
        let granted = wanted.min(IDLE_MOST - self.idled);
        self.idled += granted;
        granted
    }

    /// Do what is due, late by that much.
    fn tick(&mut self, late_ms: u16) {
        let Some(due) = self.port.deadline() else {
            return;
        };
        self.now = self.now.max(due) + self.idle(late_ms);
        self.port.tick(self.now, &mut self.sink);
        let next = self.port.deadline();
        assert!(next.is_none_or(|next| next > self.now), "after a tick at {} {next:?} is due", self.now);
        self.watch.look(&self.port, self.plan.as_ref(), &mut self.sink);
    }

    fn play(&mut self, utterance: u8, rate: u8, samples: u16, level: u8) {
        let utterance = u64::from(utterance);
        let rate_hz = RATES[usize::from(rate) % RATES.len()];
        let stale = self.port.is_stale(utterance);
        let pcm = vec![i16::from(level) * 100; usize::from(samples % SAMPLES_MOST)];
        let taken = self.port.play_through(&mut self.feed, self.now, utterance, &pcm, rate_hz, &mut self.sink);
        let taken = taken.expect("the rate is one of ours");
        assert!(taken <= pcm.len());
        if !stale {
            self.watch.give(utterance, taken, rate_hz);
        }
    }

    fn discover(&mut self, server: From, answered: Option<u8>) {
        self.port.discover(self.now, address(server), [7; 12], &mut self.sink);
        if let Some(id) = answered {
            let kind = Kind::Success { mapped: address(From::Nat) };
            let mut data = Vec::new();
            Message { id: [id % 9; 12], kind }.build(&mut data);
            self.datagram(&data, server, false);
        }
    }

    fn packet(&mut self, from: From, stream: usize, order: Order, load: Load) {
        let far = &mut self.far[stream];
        let (payload_type, payload, samples) = payload(load);
        match order {
            Order::Next => {}
            Order::Skip(many) => {
                far.sequence = far.sequence.wrapping_add(u16::from(many));
                far.timestamp = far.timestamp.wrapping_add(160 * u32::from(many));
            }
            Order::Back(many) => far.sequence = far.sequence.wrapping_sub(u16::from(many)),
            Order::Anywhere(sequence, timestamp) => *far = Far { sequence, timestamp },
        }
        let (sequence, timestamp) = (far.sequence, far.timestamp);
        far.sequence = sequence.wrapping_add(1);
        far.timestamp = timestamp.wrapping_add(samples);
        let ssrc = ssrc_of(stream);
        let mut data = Vec::new();
        let packet = Packet { payload_type, sequence, timestamp, ssrc, payload: &payload, ..Packet::default() };
        packet.build(&mut data);
        self.datagram(&data, from, false);
        self.now += i64::from(samples) * MS / 8;
    }

    fn datagram(&mut self, data: &[u8], from: From, rtcp: bool) {
        let mut source = address(from);
        source.set_port(source.port() + u16::from(rtcp));
        self.port.datagram(self.now, data, source, rtcp, &mut self.sink);
    }
}

fn ssrc_of(stream: usize) -> u32 {
    [0xA1, 0xB2, SSRC][stream % 3]
}

fn address(from: From) -> SocketAddr {
    match from {
        From::Agreed => SocketAddr::from(([192, 0, 2, 1], 4000)),
        From::Nat => SocketAddr::from(([198, 51, 100, 9], 61_000)),
        From::Stranger => SocketAddr::from(([203, 0, 113, 66], 5004)),
        From::Six => SocketAddr::from(([0x2001, 0xDB8, 0, 0, 0, 0, 0, 1], 4000)),
    }
}

/// The type, the bytes, and how far the timestamp goes on.
fn payload(load: Load) -> (u8, Vec<u8>, u32) {
    match load {
        Load::Audio { law, level, ms } => {
            let samples = 8 * (1 + usize::from(ms) % 40);
            // A buzz that a gate may take for a voice.
            let payload: Vec<u8> = (0..samples).map(|n| if n / 20 % 2 == 0 { level } else { level ^ 0x80 }).collect();
            let samples = u32::try_from(samples).unwrap_or(0);
            (AUDIO[usize::from(law) % AUDIO.len()], payload, samples)
        }
        Load::Key { code, end, duration, same } => {
            let event = dtmf::Event { code: code % 20, end, reserved: false, volume: 10, duration };
            (KEY, event.bytes().to_vec(), if same { 0 } else { 160 })
        }
        Load::Noise { level } => (NOISE, vec![level], 160),
        Load::Other { payload_type, length } => (payload_type & 0x7F, vec![0x55; usize::from(length)], 160),
    }
}

fn report(stream: u8, sender: bool, about: u8, lost: (u8, i32), times: (u32, u32), bye: bool) -> Vec<u8> {
    let ssrc = ssrc_of(usize::from(stream));
    let info = SenderInfo { ntp: u64::from(times.0) << 16, rtp_timestamp: times.1, packets: 5, octets: 800 };
    let block = ReportBlock {
        ssrc: if about == 0 { SSRC } else { u32::from(about) },
        fraction_lost: lost.0,
        cumulative_lost: lost.1,
        highest_sequence: times.0,
        jitter: times.1,
        last_report: times.0,
        delay_since_last_report: times.1,
    };
    let blocks = vec![block; usize::from(about % 3)];
    let report = Report { ssrc, sender: sender.then_some(info), blocks };
    let voip = Voip { ssrc: SSRC, mos_cq: lost.0, ..Voip::default() };
    let compound = Compound {
        reports: vec![report],
        names: vec![(ssrc, b"far".to_vec())],
        extended: vec![(ssrc, vec![Block::ReceiverTime(info.ntp), Block::Voip(voip)])],
        byes: if bye { vec![ssrc] } else { Vec::new() },
        ..Compound::default()
    };
    let mut data = Vec::new();
    compound.build(&mut data);
    data
}

fn plan(remote: Option<From>, rtcp: bool, law: u8, keys: bool, ptime: u8, flags: u8) -> Plan {
    let (number, send) = SENDS[usize::from(law) % SENDS.len()];
    let beside = |mut address: SocketAddr| {
        address.set_port(address.port() + 1);
        address
    };
    let remote = remote.map(address);
    Plan {
        remote,
        remote_rtcp: remote.filter(|_| rtcp).map(beside),
        send: (number, send),
        receive: vec![(number, send), (96, Codec::G711(Law::Mu)), (98, Codec::L16(24_000))],
        dtmf_send: keys.then_some(KEY),
        dtmf_receive: keys.then_some(KEY),
        dtmf_hz: if law & 16 == 0 { 8000 } else { 48_000 },
        noise_send: None,
        noise_receive: Some(NOISE),
        ptime_ms: [20, 10, 30, 60, 200][usize::from(ptime % 5)],
        sending: flags & 1 == 0,
        receiving: flags & 2 == 0,
        rtcp_mux: flags & 4 != 0,
        rtcp_extended: flags & 16 != 0,
        rtcp_reduced: flags & 32 != 0,
        protection: None,
    }
}
