//! The native floor: the least that an endpoint of G.711 calls must do.
//!
//! ```text
//! sleep to the next millisecond ─► epoll ─► recv, decode (table) ─► a short queue a call
//!                                     └─► calls whose turn it is: encode (table) ─► send
//! ```
//!
//! One socket a call, one thread, 20 ms a call on an absolute clock, the calls spread over its 20 milliseconds. No
//! jitter buffer, no RTCP, no checks, no detector. Each call hears itself, so that `load --echo-check` can be run on it.
#![deny(unsafe_code)]

use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use offhook_load::args::Args;
use offhook_load::figures::{milli, ns, ready, Json};
use offhook_load::sleeper::Sleeper;
use offhook_load::{g711, os, rtp, sockets, FRAME, PACKET, SECOND};

const SLOTS: usize = 20;
/// How long all calls may take to begin.
const PATIENCE: i64 = 30 * SECOND;
/// Frames a call holds at most.
const DEPTH: usize = 8;

struct Call {
    socket: UdpSocket,
    connected: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    frames: [[i16; FRAME]; DEPTH],
    read: usize,
    held: usize,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    received: u64,
    sent: u64,
    calls: usize,
    cpu: i64,
}

fn main() -> ExitCode {
    let arguments = Args::parse(std::env::args().skip(1), &["calls", "seconds", "first-port"], &[]);
    let plan = arguments.and_then(|args| {
        let calls = args.calls(None)?;
        Ok((calls, args.seconds(calls)?, args.first_port()?))
    });
    let (calls, seconds, first_port) = match plan {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("floor: {why}\nusage: floor --calls N --seconds S [--first-port P]");
            return ExitCode::from(2);
        }
    };
    match run(calls, seconds, first_port) {
        Ok(json) => {
            println!("{}", json.line());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("floor: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(calls: usize, seconds: f64, first_port: u16) -> io::Result<Json> {
    let sockets = sockets::bind(calls, first_port)?;
    println!("{}", ready(&sockets::ports(&sockets)?));
    io::stdout().flush()?;
    let window = ns(seconds);
    let mut floor = Floor::new(sockets)?;
    let (mut tick, began) = (0, os::now());
    // All calls flow, and settle for half a second, before anything counts.
    let mut settled = None;
    while settled.is_none_or(|at| os::now() < at) {
        floor.tick(began, tick)?;
        tick += 1;
        if settled.is_none() && floor.totals.calls == calls {
            settled = Some(os::now() + SECOND / 2);
        }
        if settled.is_none() && os::now() - began > PATIENCE {
            return Err(io::Error::other(format!("{} of {calls} calls began within 30 s", floor.totals.calls)));
        }
    }
    let sleeper = Sleeper::start(window);
    let (start, before) = (os::now(), floor.totals());
    while os::now() - start < window {
        floor.tick(began, tick)?;
        tick += 1;
    }
    let (end, after) = (os::now(), floor.totals());
    let cpu_ms = milli(after.cpu - before.cpu);
    let mut json = Json::default();
    json.whole("calls", calls as u64);
    json.real("seconds", milli(end - start) / 1e3);
    json.whole("received", after.received - before.received);
    json.whole("sent", after.sent - before.sent);
    json.real("cpu_ms", cpu_ms);
    #[allow(clippy::cast_precision_loss)]
    json.real("cpu_ms_per_call_second", cpu_ms * 1e3 / calls as f64 / milli(end - start));
    json.object("sleeper_us", &sleeper.lateness());
    Ok(json)
}

struct Floor {
    calls: Vec<Call>,
    epoll: os::Epoll,
    linear: [i16; 256],
    codes: Box<[u8]>,
    packet: [u8; rtp::HEADER + FRAME],
    totals: Totals,
}

impl Floor {
    fn new(sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let epoll = os::Epoll::new(sockets.len())?;
        for (socket, token) in sockets.iter().zip(0..) {
            epoll.watch(socket.as_raw_fd(), token)?;
        }
        let calls = sockets.into_iter().zip(1..).map(|(socket, ssrc)| Call::new(socket, ssrc)).collect();
        Ok(Self {
            calls,
            epoll,
            linear: g711::linear_of_code(),
            codes: g711::code_of_linear(),
            packet: [0; rtp::HEADER + FRAME],
            totals: Totals::default(),
        })
    }

    fn totals(&self) -> Totals {
        Totals { cpu: os::thread_cpu(), ..self.totals }
    }

    /// One millisecond: take what came, send what is due.
    fn tick(&mut self, began: i64, tick: usize) -> io::Result<()> {
        os::sleep_until(began + i64::try_from(tick).unwrap_or(0) * (PACKET / 20));
        let mut datagram = [0; 2048];
        for token in self.epoll.ready(0) {
            let call = &mut self.calls[usize::try_from(token).unwrap_or(0)];
            let Some(length) = call.receive(&mut datagram, &mut self.totals.calls)? else {
                continue;
            };
            self.totals.received += 1;
            if length == rtp::HEADER + FRAME {
                call.hear(&datagram[rtp::HEADER..length], &self.linear);
            }
        }
        let (slot, calls) = (tick % SLOTS, self.calls.len());
        for call in &mut self.calls[slot * calls / SLOTS..(slot + 1) * calls / SLOTS] {
            if call.connected {
                call.speak(&self.codes, &mut self.packet);
                self.totals.sent += u64::from(call.socket.send(&self.packet).is_ok());
            }
        }
        Ok(())
    }
}

impl Call {
    fn new(socket: UdpSocket, ssrc: u32) -> Self {
        let frames = [[0; FRAME]; DEPTH];
        Self { socket, connected: false, sequence: 0, timestamp: 0, ssrc, frames, read: 0, held: 0 }
    }

    /// Take a datagram. The first of audio says where the far end is.
    fn receive(&mut self, into: &mut [u8], began: &mut usize) -> io::Result<Option<usize>> {
        let received = if self.connected {
            self.socket.recv(into)
        } else {
            self.socket.recv_from(into).and_then(|(length, from)| {
                if length == rtp::HEADER + FRAME {
                    self.socket.connect(from)?;
                    self.connected = true;
                    *began += 1;
                }
                Ok(length)
            })
        };
        match received {
            Ok(length) => Ok(Some(length)),
            // The far end may have ended before us.
            Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn hear(&mut self, payload: &[u8], linear: &[i16; 256]) {
        if self.held == DEPTH {
            return;
        }
        let frame = &mut self.frames[(self.read + self.held) % DEPTH];
        for (sample, &code) in frame.iter_mut().zip(payload) {
            *sample = linear[usize::from(code)];
        }
        self.held += 1;
    }

    fn speak(&mut self, codes: &[u8], packet: &mut [u8; rtp::HEADER + FRAME]) {
        const SILENCE: [i16; FRAME] = [0; FRAME];
        let frame = if self.held == 0 { &SILENCE } else { &self.frames[self.read] };
        rtp::write_header(packet, false, 0, self.sequence, self.timestamp, self.ssrc);
        for (code, &sample) in packet[rtp::HEADER..].iter_mut().zip(frame) {
            *code = codes[g711::index(sample)];
        }
        if self.held > 0 {
            self.read = (self.read + 1) % DEPTH;
            self.held -= 1;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }
}
