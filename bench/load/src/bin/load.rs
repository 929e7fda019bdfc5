//! The load: RTP streams to many ports of this machine, and what came back of them.
//!
//! ```text
//! 0.5 ms steps of an absolute clock:  calls whose turn it is ─► script, tag, send
//!                                     every 2 ms ─► recvmsg with the kernel's time ─► stream, echo
//! ```
#![deny(unsafe_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use offhook_load::args::{targets, Args};
use offhook_load::codec::Codec;
use offhook_load::echo::{tag, Finder, Found, TAG};
use offhook_load::figures::{micro, milli, ns, over_calls, ready, spread, Json};
use offhook_load::rtp::{self, HEADER};
use offhook_load::secure::{Keying, Secure};
use offhook_load::sleeper::Sleeper;
use offhook_load::speech::{Script, Voices};
use offhook_load::stream::{Place, Stream, Tally};
use offhook_load::{os, sockets, FRAME, SECOND};

const USAGE: &str = "usage: load --seconds S (--to A:P,… | --ports-file F) [--calls N] [--first-port P] [--wait]
            [--echo-check] [--rtcp] [--rate-ppm R] [--grid-us G] [--srtp SUITE:KEY]
            [--codec NAME] [--seed N]
       load sleeper --seconds S";
/// Steps of a packet time; in each the same share of the calls sends.
const SLOTS: usize = 40;
/// Steps between two looks at what came.
const LOOK: usize = 4;
/// What is waited for after the last packet was sent.
const AFTER: i64 = SECOND;
const REPORT: i64 = 5 * SECOND;
/// How long `--wait` waits.
const PATIENCE: i64 = 120 * SECOND;

struct Plan {
    targets: Vec<SocketAddr>,
    duration: i64,
    period: i64,
    first_port: u16,
    wait: bool,
    echo: bool,
    rtcp: bool,
    /// The multiples of the clock at which what comes should have left, ns.
    grid: i64,
    srtp: Option<Keying>,
    codec: Codec,
    seed: u64,
}

fn main() -> ExitCode {
    let mut typed: Vec<String> = std::env::args().skip(1).collect();
    let result = if typed.first().is_some_and(|word| word == "sleeper") {
        sleeper_plan(typed.split_off(1)).map(|duration| Ok(only_sleep(duration)))
    } else {
        plan(typed).map(|plan| run(&plan))
    };
    match result {
        Ok(Ok(json)) => {
            println!("{}", json.line());
            ExitCode::SUCCESS
        }
        Ok(Err(why)) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("load: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn sleeper_plan(typed: Vec<String>) -> Result<i64, String> {
    Ok(ns(Args::parse(typed, &["seconds"], &[])?.seconds(1)?))
}

fn only_sleep(duration: i64) -> Json {
    let mut json = Json::default();
    json.real("seconds", milli(duration) / 1e3);
    json.object("sleeper_us", &Sleeper::start(duration).lateness());
    json
}

fn plan(typed: Vec<String>) -> Result<Plan, String> {
    let options =
        ["calls", "seconds", "to", "ports-file", "first-port", "rate-ppm", "grid-us", "srtp", "codec", "seed"];
    let args = Args::parse(typed, &options, &["wait", "echo-check", "rtcp"])?;
    let text = match (args.text("to"), args.text("ports-file")) {
        (Some(to), None) => to.to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|why| format!("--ports-file {file}: {why}"))?,
        _ => return Err("either --to or --ports-file is needed".to_owned()),
    };
    let targets = targets(&text)?;
    let calls = args.calls(Some(targets.len()))?;
    if calls != targets.len() {
        return Err(format!("--calls {calls}, but {} targets", targets.len()));
    }
    let ppm: f64 = args.value("rate-ppm")?.unwrap_or(0.0);
    if !(-1000.0..=1000.0).contains(&ppm) {
        return Err(format!("--rate-ppm {ppm}: -1000 to 1000"));
    }
    let codec = args.text("codec").map_or(Ok(Codec::Pcmu), Codec::parse)?;
    if codec != Codec::Pcmu && args.has("echo-check") {
        return Err("--echo-check knows frames by their codes, which only PCMU brings back".to_owned());
    }
    Ok(Plan {
        targets,
        duration: ns(args.seconds(calls)?),
        // A clock that runs fast by so many parts in a million has a shorter packet time.
        period: ns(0.02 / (1.0 + ppm / 1e6)),
        first_port: args.first_port()?,
        wait: args.has("wait"),
        echo: args.has("echo-check"),
        rtcp: args.has("rtcp"),
        grid: i64::from(args.value::<u32>("grid-us")?.unwrap_or(0)) * 1000,
        srtp: args.text("srtp").map(Keying::parse).transpose()?,
        codec,
        seed: args.value("seed")?.unwrap_or(1),
    })
}

fn run(plan: &Plan) -> io::Result<Json> {
    let sockets = sockets::bind(plan.targets.len(), plan.first_port)?;
    for (socket, target) in sockets.iter().zip(&plan.targets) {
        socket.connect(target)?;
        os::ask_arrival_times(socket)?;
    }
    let ports = sockets::ports(&sockets)?;
    let mut load = Load::new(plan, sockets)?;
    println!("{}", ready(&ports));
    io::stdout().flush()?;
    if plan.wait {
        load.wait()?;
    }
    load.drain();
    let sleeper = Sleeper::start(plan.duration);
    load.drive();
    Ok(load.report(&sleeper.lateness()))
}

struct Call {
    socket: UdpSocket,
    target: SocketAddr,
    script: Script,
    secure: Option<Secure>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// When each frame was due, by its number: the first, and the packet time.
    first_due: i64,
    first_sent: Option<i64>,
    frames: u32,
    next_report: i64,
    stream: Stream,
    finder: Finder,
    /// How often each frame came back.
    back: Vec<u8>,
}

#[derive(Default)]
struct Counts {
    sent: u64,
    send_errors: u64,
    rtcp_sent: u64,
    rtcp_received: u64,
    early: u64,
    other: u64,
    foreign: u64,
    damaged: u64,
    forged: u64,
}

struct Load<'a> {
    plan: &'a Plan,
    calls: Vec<Call>,
    epoll: os::Epoll,
    voices: Voices,
    counts: Counts,
    own_late: Vec<f64>,
    round_trips: Vec<f64>,
    /// How far the clock of the kernel's timestamps is ahead of ours.
    ahead: i64,
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan, sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let epoll = os::Epoll::new(sockets.len() + 1)?;
        for (socket, token) in sockets.iter().zip(0..) {
            epoll.watch(socket.as_raw_fd(), token)?;
        }
        let calls = sockets.into_iter().zip(&plan.targets).zip(0u32..);
        let calls = calls.map(|((socket, &target), number)| Call::new(socket, target, plan, number)).collect();
        let ahead =
            os::wall_ahead().ok_or_else(|| io::Error::other("the clocks can't be compared on so busy a machine"))?;
        Ok(Self {
            plan,
            calls,
            epoll,
            voices: Voices::new(plan.seed, plan.codec),
            counts: Counts::default(),
            own_late: Vec::new(),
            round_trips: Vec::new(),
            ahead,
        })
    }

    /// Throw away what comes until a line, or the end, comes on the standard input.
    fn wait(&mut self) -> io::Result<()> {
        const STDIN: u64 = u64::MAX;
        let stdin = io::stdin();
        match self.epoll.watch(stdin.as_raw_fd(), STDIN) {
            // A file or /dev/null: there is nothing to wait for.
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            watched => watched?,
        }
        let limit = os::now() + PATIENCE;
        while !self.epoll.ready(100).any(|token| token == STDIN) {
            if os::now() > limit {
                return Err(io::Error::other("nobody said go within 120 s"));
            }
            self.drain();
        }
        let mut line = [0; 256];
        let _ = stdin.lock().read(&mut line)?;
        self.epoll.forget(stdin.as_raw_fd())
    }

    fn drain(&mut self) {
        let mut datagram = [0; 2048];
        for call in &self.calls {
            while os::receive(&call.socket, &mut datagram).is_ok() {
                self.counts.early += 1;
            }
        }
    }

    fn drive(&mut self) {
        let slots = i64::try_from(SLOTS).unwrap_or(1);
        let began = os::now() + 5_000_000;
        let mut step = 0;
        loop {
            let (round, slot) = (step / SLOTS, step % SLOTS);
            let turn = |round: usize, slot: usize| {
                let whole = i64::try_from(round).unwrap_or(0) * self.plan.period;
                began + whole + i64::try_from(slot).unwrap_or(0) * self.plan.period / slots
            };
            let due = turn(round, slot);
            os::sleep_until(due);
            if due - began < self.plan.duration {
                let calls = self.calls.len();
                for number in slot * calls / SLOTS..(slot + 1) * calls / SLOTS {
                    self.send(number, due);
                }
            } else if due - began > self.plan.duration + AFTER {
                return self.look();
            }
            if step % LOOK == 0 {
                self.look();
            }
            if step % (SLOTS * 5) == 0 {
                self.ahead = os::wall_ahead().unwrap_or(self.ahead);
            }
            step += 1;
        }
    }

    fn send(&mut self, number: usize, due: i64) {
        let call = &mut self.calls[number];
        let codec = self.plan.codec;
        let mut packet = vec![0; HEADER];
        if call.first_sent.is_none() {
            call.first_due = due;
        }
        let marker = call.first_sent.is_none();
        rtp::write_header(&mut packet, marker, codec.number(), call.sequence, call.timestamp, call.ssrc);
        packet.extend_from_slice(call.script.next(&self.voices));
        if codec == Codec::Pcmu {
            packet[HEADER..HEADER + TAG].copy_from_slice(&tag(number, call.frames as usize));
        }
        let sealed = call.secure.as_mut().map(|secure| secure.seal(&packet));
        let now = os::now();
        match call.socket.send(sealed.as_deref().unwrap_or(&packet)) {
            Ok(_) => self.counts.sent += 1,
            // A refusal is told by the next send: nobody has the port.
            Err(_) => self.counts.send_errors += 1,
        }
        self.own_late.push(micro(now - due));
        call.first_sent.get_or_insert(now);
        call.frames += 1;
        call.back.push(0);
        if self.plan.rtcp && now >= call.next_report {
            let report = rtp::sender_report(call.ssrc, now, call.timestamp, call.frames, call.frames * 160);
            let sealed = call.secure.as_mut().map(|secure| secure.seal_report(&report));
            let report = sealed.unwrap_or(report);
            let mut beside = call.target;
            beside.set_port(beside.port().wrapping_add(1));
            self.counts.rtcp_sent += u64::from(call.socket.send_to(&report, beside).is_ok());
            call.next_report = now + REPORT;
        }
        call.sequence = call.sequence.wrapping_add(1);
        call.timestamp = call.timestamp.wrapping_add(codec.ticks());
    }

    fn look(&mut self) {
        let mut datagram = [0; 2048];
        for token in self.epoll.ready(0) {
            let number = usize::try_from(token).unwrap_or(0);
            let call = &mut self.calls[number];
            while let Ok((length, time)) = os::receive(&call.socket, &mut datagram) {
                let at = time.map_or_else(os::now, |wall| wall - self.ahead);
                let data = &datagram[..length];
                if rtp::is_rtcp(data) {
                    self.counts.rtcp_received += 1;
                    continue;
                }
                let opened = call.secure.as_mut().map(|secure| secure.open(data));
                let data = match &opened {
                    Some(None) => {
                        self.counts.forged += 1;
                        continue;
                    }
                    Some(Some(plain)) => plain,
                    None => data,
                };
                let codec = self.plan.codec;
                let audio = |packet: &rtp::Packet<'_>| match codec {
                    Codec::Pcmu => matches!(packet.payload_type, 0 | 8) && packet.payload.len() == FRAME,
                    _ => packet.payload_type == codec.number() && !packet.payload.is_empty(),
                };
                let Some(packet) = rtp::parse(data).filter(audio) else {
                    self.counts.other += 1;
                    continue;
                };
                let place = call.stream.take(at, &packet);
                if !self.plan.echo {
                    continue;
                }
                if place != Place::Next {
                    call.finder.forget();
                }
                let (back, first_due, period) = (&mut call.back, call.first_due, self.plan.period);
                let (counts, trips) = (&mut self.counts, &mut self.round_trips);
                call.finder.take(packet.payload, |found| match found {
                    Found::Frame { call, frame } if call == number && frame < back.len() => {
                        back[frame] = back[frame].saturating_add(1);
                        trips.push(milli(at - first_due - i64::try_from(frame).unwrap_or(0) * period));
                    }
                    Found::Frame { .. } => counts.foreign += 1,
                    Found::Damaged => counts.damaged += 1,
                });
                if place == Place::Behind {
                    call.finder.forget();
                }
            }
        }
    }

    fn report(self, sleeper: &Json) -> Json {
        let echo = self.plan.echo.then(|| self.echo());
        let (counts, calls) = (self.counts, self.calls.len() as u64);
        let (mut total, mut deaf) = (Tally::default(), 0);
        let (mut waits, mut jitters, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for call in self.calls {
            match (call.stream.first(), call.first_sent) {
                (Some(first), Some(sent)) => waits.push(milli((first - sent).max(0))),
                _ => deaf += 1,
            }
            let (tally, jitter, lateness) = call.stream.finish();
            jitters.push(jitter / 1e6);
            late.extend(lateness.into_iter().map(micro));
            total.add(&tally);
        }
        let mut json = Json::default();
        json.whole("calls", calls);
        json.real("seconds", milli(self.plan.duration) / 1e3);
        json.whole("sent", counts.sent);
        json.whole("send_errors", counts.send_errors);
        json.whole("rtcp_sent", counts.rtcp_sent);
        json.whole("early", counts.early);
        json.whole("received", total.received);
        json.whole("other", counts.other);
        json.whole("forged", counts.forged);
        json.whole("rtcp_received", counts.rtcp_received);
        json.whole("lost", total.lost);
        json.whole("duplicated", total.duplicated);
        json.whole("reordered", total.reordered);
        json.whole("restarts", total.restarts);
        json.whole("deaf_calls", deaf);
        json.object("first_packet_ms", &over_calls(waits));
        json.object("jitter_ms", &over_calls(jitters));
        json.object("lateness_us", &spread(late));
        let mut gaps = Json::default();
        gaps.whole("markers", total.markers);
        gaps.whole("timestamp_jumps", total.timestamp_jumps);
        gaps.whole("silent_frames", total.silent_frames);
        json.object("gaps", &gaps);
        json.object("own_lateness_us", &spread(self.own_late));
        json.object("sleeper_us", sleeper);
        match echo {
            Some((mut echo, round_trips)) => {
                echo.whole("foreign", counts.foreign);
                echo.whole("damaged", counts.damaged);
                echo.object("round_trip_ms", &round_trips);
                json.object("echo", &echo);
            }
            None => json.null("echo"),
        }
        json
    }

    /// What came back of the frames, and how long they took.
    fn echo(&self) -> (Json, Json) {
        let (mut returned, mut missing, mut at_start, mut at_end, mut duplicated) = (0, 0, 0, 0, 0);
        for call in &self.calls {
            let came = |&times: &u8| times > 0;
            let sent = call.back.len() as u64;
            let distinct: u64 = call.back.iter().map(|times| u64::from(came(times))).sum();
            let before = call.back.iter().position(came).map_or(sent, |frames| frames as u64);
            let after = call.back.iter().rev().position(came).map_or(0, |frames| frames as u64);
            returned += distinct;
            missing += sent - before - after - distinct;
            at_start += before;
            at_end += after;
            duplicated += call.back.iter().map(|&times| u64::from(times.saturating_sub(1))).sum::<u64>();
        }
        let mut json = Json::default();
        json.whole("frames", self.calls.iter().map(|call| u64::from(call.frames)).sum());
        json.whole("returned", returned);
        json.whole("lost", missing);
        json.whole("lost_at_start", at_start);
        json.whole("lost_at_end", at_end);
        json.whole("duplicated", duplicated);
        (json, over_calls(self.round_trips.clone()))
    }
}

impl Call {
    fn new(socket: UdpSocket, target: SocketAddr, plan: &Plan, number: u32) -> Self {
        Self {
            socket,
            target,
            script: Script::new(plan.seed, u64::from(number)),
            secure: plan.srtp.as_ref().map(Secure::new),
            ssrc: 0x0FF0_0000 | number,
            // From shortly before the wrap, so that every run has one.
            sequence: u16::MAX - 100,
            timestamp: u32::MAX - 20_000,
            first_due: 0,
            first_sent: None,
            frames: 0,
            next_report: 0,
            stream: Stream::new(plan.grid, plan.codec.ticks()),
            finder: Finder::default(),
            back: Vec::new(),
        }
    }
}
