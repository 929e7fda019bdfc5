//! Threads that own the sockets and drive the Ports, and never meet Python.
//!
//! ```text
//! Python ── commands, bounded ──► thread: commands ─► what is due ─► sockets ─► sleep to the next deadline
//!        ◄─ events, bounded, one eventfd ──┘   (sockets ◄─► network)
//! ```
//!
//! Nothing here waits for a lock: commands and events go through lock-free rings, counts through atomics. A thread
//! with few ports wakes for each packet; with many it looks at its sockets once a millisecond, as a network card
//! moderates its interrupts, since a wake a packet would cost more than the packet.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_queue::ArrayQueue;

use crate::counters::Counters;
use crate::event::{Event, Kind, Sink};
use crate::listening::Mode;
use crate::plan::Plan;
use crate::port::Port;
use crate::queue::CAPACITY;
use crate::sys::{ask_receive_buffer, be_punctual, mark_as_voice, now, sleep_until, Poll, Ready, Wake};

const MS: i64 = 1_000_000;
/// Commands that wait at most, a thread. Audio is bounded a port besides.
const COMMANDS: usize = 16_384;
/// Events that wait at most, a thread: a second and a half of 500 calls' audio.
const EVENTS: usize = 32_768;
/// Audio is turned away here, so that edges, keys and cuts still find room.
const AUDIO_EVENTS: usize = EVENTS - EVENTS / 8;
/// A socket keeps 250 ms and more of packets while the thread can't run.
const RECEIVE_BUFFER: i32 = 64 * 1024;
/// Sockets of a closed port are kept, and drained, for this long, so that a late packet reaches nobody else.
const LINGER: i64 = 2000 * MS;
/// From this many ports on, sockets are looked at once a millisecond.
const MANY: usize = 24;
const MODERATION: i64 = MS;
/// And from this many on, every other millisecond.
const VERY_MANY: usize = 192;
/// Audio alone wakes Python at most this often.
const AUDIO_WAKE: i64 = 2 * MS;
/// Commands that are obeyed between looks at the deadlines.
const COMMANDS_AT_ONCE: usize = 64;
/// The longest sleep while ports are open: commands of audio do not wake the thread.
const LONGEST_SLEEP: i64 = 20 * MS;
/// Departures are spread over the packet time in as many slots.
const SLOTS: i64 = 10;
const SLOT: i64 = 2 * MS;
const LARGEST_DATAGRAM: usize = 2048;
const WAKE_TOKEN: u64 = u64::MAX;
const RTCP_TOKEN: u64 = 1 << 32;

/// What Python asks of a port's thread.
pub enum Command {
    Open(Box<Opening>),
    Configure(u32, u64, Box<Plan>),
    Listen(u32, Mode),
    Tape(u32, bool),
    Play { port: u32, utterance: u64, pcm: Vec<i16>, short: bool },
    End { port: u32, utterance: u64, tail: Vec<i16> },
    Mark { port: u32, utterance: u64, mark: u64 },
    Hush(u32),
    Arm(u32, Option<f32>),
    Restore(u32),
    Press { port: u32, keys: Box<[u8]>, duration_ms: u32, gap_ms: u32 },
    Close(u32),
}

/// A port on its way to its thread.
pub struct Opening {
    port: Port,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    shared: Arc<Shared>,
}

/// What both sides of a port can see.
#[derive(Debug)]
pub struct Shared {
    pub counters: Arc<Counters>,
    /// Samples that are on their way to the play queue, and that are in it.
    coming: AtomicUsize,
    queued: AtomicUsize,
}

impl Shared {
    /// Samples that fit. It may say too little for a moment, never too much.
    #[must_use]
    pub fn room(&self) -> usize {
        let coming = self.coming.load(Ordering::Acquire);
        CAPACITY.saturating_sub(coming + self.queued.load(Ordering::Acquire))
    }

    fn send(&self, samples: usize) {
        self.coming.fetch_add(samples, Ordering::AcqRel);
    }

    fn arrived(&self, samples: usize, queued: usize) {
        self.queued.store(queued, Ordering::Release);
        self.coming.fetch_sub(samples, Ordering::AcqRel);
    }
}

/// The end of the events' way: one eventfd for all threads.
#[derive(Debug)]
pub struct Bell {
    wake: Wake,
    rung: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.wake();
        }
    }

    /// Re-arm. What is pushed from here on rings again.
    fn rest(&self) {
        self.wake.rest();
        self.rung.store(false, Ordering::Release);
    }
}

/// One thread, seen from outside.
struct Lane {
    commands: ArrayQueue<Command>,
    events: ArrayQueue<Event>,
    lost: AtomicU64,
    wake: Wake,
    asleep: AtomicBool,
    stop: AtomicBool,
    ports: AtomicUsize,
    /// How late the thread was for a deadline, at worst, ns.
    latest: AtomicI64,
}

/// The engine: its threads, and the ports that may be bound.
pub struct Engine {
    ip: IpAddr,
    pairs: Vec<u16>,
    next_pair: usize,
    next_number: u32,
    lanes: Vec<Arc<Lane>>,
    threads: Vec<JoinHandle<()>>,
    bell: Arc<Bell>,
}

impl Engine {
    /// Start `threads` threads; ports are bound on `ip`, in pairs of `first` to `last`.
    ///
    /// # Errors
    /// Where a thread or a descriptor can't be had.
    pub fn start(ip: IpAddr, first: u16, last: u16, threads: usize) -> io::Result<Self> {
        let bell = Arc::new(Bell { wake: Wake::new()?, rung: AtomicBool::new(false) });
        let pairs = (first..=last).filter(|port| port % 2 == 0 && *port < last).collect();
        let (lanes, handles) = (Vec::new(), Vec::new());
        let mut engine = Self { ip, pairs, next_pair: 0, next_number: 1, lanes, threads: handles, bell };
        for n in 0..threads {
            let lane = Arc::new(Lane {
                commands: ArrayQueue::new(COMMANDS),
                events: ArrayQueue::new(EVENTS),
                lost: AtomicU64::new(0),
                wake: Wake::new()?,
                asleep: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                ports: AtomicUsize::new(0),
                latest: AtomicI64::new(0),
            });
            let driver = Driver::new(lane.clone(), engine.bell.clone())?;
            let thread = std::thread::Builder::new().name(format!("offhook-media-{n}"));
            engine.lanes.push(lane);
            engine.threads.push(thread.spawn(move || driver.run())?);
        }
        Ok(engine)
    }

    /// The eventfd that is readable while events wait.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.bell.wake.fd()
    }

    /// Open a port: its number, its RTP port, its lane, and what is shared with it.
    ///
    /// # Errors
    /// Where no pair of ports is free.
    pub fn open(
        &mut self,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        cname: &str,
    ) -> io::Result<(u32, u16, usize, Arc<Shared>)> {
        let (rtp, rtcp, bound) = self.bind()?;
        let number = self.next_number;
        let mut port = Port::new(number, ssrc, sequence, timestamp, cname);
        let lane = (0..self.lanes.len()).min_by_key(|&lane| self.lanes[lane].ports.load(Ordering::Relaxed));
        let lane = lane.ok_or_else(|| io::Error::other("the engine was shut down"))?;
        // Nobody sends to it before somebody listens, and that wakes its thread.
        // Neighbours in number depart a slot apart, so that no slot fills before the others.
        port.set_phase(i64::from(number) * 7 % SLOTS * SLOT);
        let counters = port.counters().clone();
        let shared = Arc::new(Shared { counters, coming: AtomicUsize::new(0), queued: AtomicUsize::new(0) });
        self.send(lane, Command::Open(Box::new(Opening { port, rtp, rtcp, shared: shared.clone() })), false)?;
        self.lanes[lane].ports.fetch_add(1, Ordering::Relaxed);
        self.next_number += 1;
        Ok((number, bound, lane, shared))
    }

    fn bind(&mut self) -> io::Result<(UdpSocket, UdpSocket, u16)> {
        let mut refused = io::Error::new(io::ErrorKind::AddrInUse, "no pair of RTP ports is free");
        for _ in 0..self.pairs.len() {
            let port = self.pairs[self.next_pair];
            self.next_pair = (self.next_pair + 1) % self.pairs.len();
            let pair = UdpSocket::bind((self.ip, port))
                .and_then(|rtp| UdpSocket::bind((self.ip, port + 1)).map(|rtcp| (rtp, rtcp)));
            match pair {
                Ok((rtp, rtcp)) => {
                    for socket in [&rtp, &rtcp] {
                        socket.set_nonblocking(true)?;
                        ask_receive_buffer(socket, RECEIVE_BUFFER);
                        mark_as_voice(socket);
                        // What came before the pair was ours was meant for somebody else.
                        while socket.recv_from(&mut [0; 1]).is_ok() {}
                    }
                    return Ok((rtp, rtcp, port));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // An address that is not ours, or no more descriptors: the next pair would not do better.
                Err(error) => {
                    refused = error;
                    break;
                }
            }
        }
        Err(refused)
    }

    /// Send audio; `samples` of it were counted against the port's room.
    ///
    /// # Errors
    /// Where the thread is so far behind that its commands do not fit.
    pub fn play(
        &self,
        lane: usize,
        shared: &Shared,
        port: u32,
        utterance: u64,
        pcm: Vec<i16>,
        short: bool,
    ) -> io::Result<()> {
        let samples = pcm.len();
        shared.send(samples);
        let sent = self.send(lane, Command::Play { port, utterance, pcm, short }, false);
        if sent.is_err() {
            shared.coming.fetch_sub(samples, Ordering::AcqRel);
        }
        sent
    }

    /// Send the end of an utterance, with the tail of its resampler.
    ///
    /// # Errors
    /// As above.
    pub fn end(&self, lane: usize, shared: &Shared, port: u32, utterance: u64, tail: Vec<i16>) -> io::Result<()> {
        shared.send(tail.len());
        self.send(lane, Command::End { port, utterance, tail }, false)
    }

    /// Send a command. `now`: wake the thread for it; else it is seen within a packet time.
    ///
    /// # Errors
    /// As above.
    pub fn send(&self, lane: usize, command: Command, now: bool) -> io::Result<()> {
        let lane = &self.lanes[lane];
        if lane.commands.push(command).is_err() {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the media thread does not keep up"));
        }
        if now && lane.asleep.load(Ordering::SeqCst) {
            lane.wake.wake();
        }
        Ok(())
    }

    /// A port was closed.
    pub fn left(&self, lane: usize) {
        self.lanes[lane].ports.fetch_sub(1, Ordering::Relaxed);
    }

    /// Take all events that wait, and re-arm the eventfd.
    pub fn drain(&self, mut take: impl FnMut(Event)) {
        self.bell.rest();
        for lane in &self.lanes {
            // No more than were there, so that a busy thread can't keep us here.
            for _ in 0..lane.events.len() {
                let Some(event) = lane.events.pop() else { break };
                take(event);
            }
            if !lane.events.is_empty() {
                self.bell.ring();
            }
        }
    }

    /// Events that found no room, and how late a thread was for a deadline at worst, µs.
    #[must_use]
    pub fn totals(&self) -> [(&'static str, u64); 2] {
        let lost = self.lanes.iter().map(|lane| lane.lost.load(Ordering::Relaxed)).sum();
        let latest = self.lanes.iter().map(|lane| lane.latest.load(Ordering::Relaxed)).max().unwrap_or(0);
        [("events_lost", lost), ("latest_us", u64::try_from(latest / 1000).unwrap_or(0))]
    }

    /// Stop the threads and close every socket.
    pub fn shutdown(&mut self) {
        for lane in &self.lanes {
            lane.stop.store(true, Ordering::SeqCst);
            lane.wake.wake();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked is over, which is all that is asked.
            drop(thread.join());
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// A port on its thread.
struct Seat {
    port: Port,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    shared: Arc<Shared>,
    /// The earliest entry for it in the heap.
    scheduled: i64,
}

/// A thread's own state.
struct Driver {
    lane: Arc<Lane>,
    bell: Arc<Bell>,
    poll: Poll,
    /// By token; numbers are found by search in `numbers`, which is sorted since numbers only grow.
    seats: Vec<Option<Seat>>,
    numbers: Vec<(u32, usize)>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(i64, usize)>>,
    lingering: VecDeque<(i64, UdpSocket, UdpSocket)>,
    sink: Sink,
    ready: Ready,
    buffer: Box<[u8; LARGEST_DATAGRAM]>,
    last_ring: i64,
    /// Audio waits to be told of.
    unrung: bool,
    looked: i64,
}

impl Driver {
    fn new(lane: Arc<Lane>, bell: Arc<Bell>) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.add(lane.wake.fd(), WAKE_TOKEN)?;
        Ok(Self {
            lane,
            bell,
            poll,
            seats: Vec::new(),
            numbers: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            lingering: VecDeque::new(),
            sink: Sink::default(),
            ready: Ready::new(512),
            buffer: Box::new([0; LARGEST_DATAGRAM]),
            last_ring: 0,
            unrung: false,
            looked: 0,
        })
    }

    fn run(mut self) {
        be_punctual();
        while !self.lane.stop.load(Ordering::SeqCst) {
            self.commands();
            self.deadlines();
            self.sockets();
            self.deadlines();
            self.ring(now());
            self.sleep();
        }
        let numbers: Vec<u32> = self.numbers.iter().map(|&(number, _)| number).collect();
        for number in numbers {
            self.close(number);
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn sleep(&mut self) {
        let now = now();
        let mut until = if self.numbers.is_empty() { now + 1000 * MS } else { now + LONGEST_SLEEP };
        if let Some(Reverse((due, _))) = self.due.peek() {
            until = until.min(*due);
        }
        if let Some((due, ..)) = self.lingering.front() {
            until = until.min(*due);
        }
        if self.unrung {
            until = until.min(self.last_ring + AUDIO_WAKE);
        }
        if self.numbers.len() >= MANY {
            // Commands and packets are seen at the next look; nobody needs to wake us.
            let rest = if self.numbers.len() >= VERY_MANY { 2 * MODERATION } else { MODERATION };
            sleep_until(until.max(now).min(self.looked + rest));
            return;
        }
        self.lane.asleep.store(true, Ordering::SeqCst);
        if self.lane.commands.is_empty() {
            self.poll.wait(until - now);
        }
        self.lane.asleep.store(false, Ordering::SeqCst);
    }

    fn deadlines(&mut self) {
        let now = now();
        while let Some(&Reverse((due, index))) = self.due.peek() {
            if due > now {
                break;
            }
            self.due.pop();
            let Some(seat) = self.seats[index].as_mut().filter(|seat| seat.scheduled == due) else { continue };
            seat.scheduled = i64::MAX;
            if seat.port.deadline().is_some_and(|deadline| deadline <= now) {
                self.lane.latest.fetch_max(now - due, Ordering::Relaxed);
                seat.port.tick(now, &mut self.sink);
                self.flush(index);
            }
            self.schedule(index);
        }
        while self.lingering.front().is_some_and(|(until, ..)| *until <= now) {
            self.lingering.pop_front();
        }
    }

    /// Put a port's next deadline into the heap, unless an earlier one is there.
    fn schedule(&mut self, index: usize) {
        let Some(seat) = &mut self.seats[index] else { return };
        if let Some(deadline) = seat.port.deadline().filter(|&deadline| deadline < seat.scheduled) {
            seat.scheduled = deadline;
            self.due.push(Reverse((deadline, index)));
        }
    }

    // ── the network ──────────────────────────────────────────────────────────────────────────────────────────────

    fn sockets(&mut self) {
        self.looked = now();
        self.poll.look(&mut self.ready);
        // What was said before a packet was sent is obeyed before it is taken.
        self.commands();
        let mut ready = std::mem::replace(&mut self.ready, Ready::new(0));
        for token in ready.tokens() {
            if token == WAKE_TOKEN {
                self.lane.wake.rest();
            } else {
                self.receive(token);
            }
        }
        std::mem::swap(&mut self.ready, &mut ready);
    }

    /// Take one datagram; if there are more, the next look finds the socket readable still.
    fn receive(&mut self, token: u64) {
        let rtcp = token & RTCP_TOKEN != 0;
        let Ok(index) = usize::try_from(token & (RTCP_TOKEN - 1)) else { return };
        let Some(seat) = self.seats.get_mut(index).and_then(Option::as_mut) else { return };
        let socket = if rtcp { &seat.rtcp } else { &seat.rtp };
        // An error is an ICMP answer to what we sent, or nothing to read: neither is a datagram.
        let Ok((length, from)) = socket.recv_from(&mut self.buffer[..]) else { return };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        seat.port.datagram(self.looked, &self.buffer[..length], from, rtcp, &mut self.sink);
        self.flush(index);
        self.schedule(index);
    }

    /// Send what a port made, and pass on what it tells.
    fn flush(&mut self, index: usize) {
        let Some(seat) = &mut self.seats[index] else { return };
        for (bytes, departure) in self.sink.packets() {
            let socket = if departure.rtcp { &seat.rtcp } else { &seat.rtp };
            // A full buffer or an unreachable peer loses this packet as the network would.
            drop(socket.send_to(bytes, departure.destination));
        }
        self.sink.clear_packets();
        seat.shared.queued.store(seat.port.queued(), Ordering::Release);
        if !self.sink.events.is_empty() {
            self.pass_events();
        }
    }

    fn pass_events(&mut self) {
        let mut urgent = false;
        for event in self.sink.events.drain(..) {
            urgent |= event.kind.is_urgent();
            let audio = matches!(event.kind, Kind::Heard { .. } | Kind::Taped { .. });
            let full = audio && self.lane.events.len() >= AUDIO_EVENTS;
            if full || self.lane.events.push(event).is_err() {
                self.lane.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.unrung = true;
        if urgent {
            self.last_ring = i64::MIN / 2;
        }
    }

    fn ring(&mut self, now: i64) {
        if self.unrung && now - self.last_ring >= AUDIO_WAKE {
            self.bell.ring();
            self.last_ring = now;
            self.unrung = false;
        }
    }

    // ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn commands(&mut self) {
        // No more than were there, so that a busy caller can't keep us from the clock.
        let mut time = now();
        for n in 0..self.lane.commands.len() {
            let Some(command) = self.lane.commands.pop() else { return };
            self.obey(command, time);
            if n % COMMANDS_AT_ONCE == COMMANDS_AT_ONCE - 1 {
                self.deadlines();
                time = now();
            }
        }
    }

    fn obey(&mut self, command: Command, time: i64) {
        let number = match &command {
            Command::Open(_) => None,
            Command::Configure(port, ..)
            | Command::Listen(port, _)
            | Command::Tape(port, _)
            | Command::Play { port, .. }
            | Command::End { port, .. }
            | Command::Mark { port, .. }
            | Command::Hush(port)
            | Command::Arm(port, _)
            | Command::Restore(port)
            | Command::Press { port, .. }
            | Command::Close(port) => Some(*port),
        };
        match (command, number) {
            (Command::Open(opening), _) => self.open(*opening),
            (Command::Close(port), _) => self.close(port),
            (command, Some(number)) => {
                let Some(index) = self.find(number) else { return };
                // Audio only lies down; everything else may have something to tell, or something due.
                let quiet = matches!(command, Command::Play { .. });
                if let Some(seat) = &mut self.seats[index] {
                    seat.obey(command, time, &mut self.sink);
                }
                if !quiet || !self.sink.events.is_empty() {
                    self.flush(index);
                    self.schedule(index);
                }
            }
            (_, None) => {}
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        let at = self.numbers.binary_search_by_key(&number, |&(number, _)| number).ok()?;
        Some(self.numbers[at].1)
    }

    fn open(&mut self, opening: Opening) {
        let Opening { port, rtp, rtcp, shared } = opening;
        let index = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let token = index as u64;
        // Only the kernel's limit of watches can refuse; such a port is deaf, and the call says `Stalled` at once.
        drop(self.poll.add(rtp.as_raw_fd(), token));
        drop(self.poll.add(rtcp.as_raw_fd(), token | RTCP_TOKEN));
        let number = port.number();
        self.seats[index] = Some(Seat { port, rtp, rtcp, shared, scheduled: i64::MAX });
        self.numbers.push((number, index));
    }

    fn close(&mut self, number: u32) {
        let Ok(at) = self.numbers.binary_search_by_key(&number, |&(number, _)| number) else { return };
        let (_, index) = self.numbers.remove(at);
        if let Some(seat) = &mut self.seats[index] {
            seat.port.close(now(), &mut self.sink);
        }
        self.flush(index);
        if let Some(seat) = self.seats[index].take() {
            self.poll.remove(seat.rtp.as_raw_fd());
            self.poll.remove(seat.rtcp.as_raw_fd());
            self.lingering.push_back((now() + LINGER, seat.rtp, seat.rtcp));
        }
        self.free.push(index);
    }
}

impl Seat {
    fn obey(&mut self, command: Command, now: i64, sink: &mut Sink) {
        let port = &mut self.port;
        port.see(now);
        match command {
            Command::Configure(_, generation, plan) => port.configure(now, generation, *plan),
            Command::Listen(_, mode) => port.listen(mode),
            Command::Tape(_, on) => port.tape(on, sink),
            Command::Play { utterance, pcm, short, .. } => {
                let samples = pcm.len();
                port.play(now, utterance, pcm, sink);
                if short {
                    port.want_room(sink);
                }
                self.shared.arrived(samples, port.queued());
            }
            Command::End { utterance, tail, .. } => {
                let samples = tail.len();
                port.end(now, utterance, tail);
                self.shared.arrived(samples, port.queued());
            }
            Command::Mark { utterance, mark, .. } => port.mark(now, utterance, mark),
            Command::Hush(_) => port.hush(now, sink),
            Command::Arm(_, depth) => port.arm(depth),
            Command::Restore(_) => port.restore(now),
            Command::Press { keys, duration_ms, gap_ms, .. } => port.press(now, &keys, duration_ms, gap_ms),
            Command::Open(_) | Command::Close(_) => {}
        }
    }
}
