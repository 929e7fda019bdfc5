//! A thread of the engine: it owns the sockets of its Ports, keeps their time, and never meets Python.
//!
//! ```text
//! commands ─► what is due, sent ─► what came, taken ─► the bell ─► sleep
//!                few ports: to the next deadline, packet or command
//!                a crowd: to the next slot, which has all of them
//! ```
//!
//! In a crowd a wake a packet would cost more than the packet. Departures fall on slots, 2 ms apart; what came and what
//! was said since the last slot is taken in the next one, and Python wakes once for all of it.

mod mixing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use crate::counters::Count;
use crate::event::{Kind, Sink};
use crate::lane::{Bell, Command, Lane, Opening, Rest, Shared, AUDIO_EVENTS};
use crate::pair::Pair;
use crate::port::Port;
use crate::sys::{be_punctual, now, sleep_until, Poll, Ready};

const MS: i64 = 1_000_000;
/// Departures are spread over the packet time in as many slots.
pub const SLOTS: i64 = 10;
pub const SLOT: i64 = 2 * MS;
/// From this many ports on they are a crowd.
const CROWD: usize = 24;
/// Sockets of a closed port are kept at least for this long, so that a late packet reaches nobody else.
const LINGER: i64 = 2000 * MS;
/// Datagrams of one socket that are taken at one look at most: the others wait, and the clock does not.
const BURST: usize = 32;
/// A crowd that has not looked for so long has more than one packet waiting a socket.
const LATE: i64 = 20 * MS;
/// Commands that are obeyed between looks at the deadlines.
const COMMANDS_AT_ONCE: usize = 64;
/// The longest doze with ports open or lingering, which few commands end, and the longest sleep without, which all do.
const DOZE: i64 = 10 * MS;
const SLEEP: i64 = 1000 * MS;
const LARGEST_DATAGRAM: usize = 2048;
const WAKE_TOKEN: u64 = u64::MAX;
const RTCP_TOKEN: u64 = 1 << 32;

/// A port on its thread.
struct Seat {
    port: Port,
    /// None where a carrier brings the far end.
    pair: Option<Pair>,
    shared: Arc<Shared>,
    /// The earliest entry for it in the heap.
    scheduled: i64,
}

/// A thread's own state.
pub struct Driver {
    lane: Arc<Lane>,
    bell: Arc<Bell>,
    poll: Poll,
    /// By token; numbers are found by search in `numbers`, which is sorted since numbers only grow.
    seats: Vec<Option<Seat>>,
    numbers: Vec<(u32, usize)>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(i64, usize)>>,
    lingering: VecDeque<(i64, Pair)>,
    sink: Sink,
    ready: Ready,
    buffer: Box<[u8; LARGEST_DATAGRAM]>,
    /// What one port heard, on its way to another.
    heard: Vec<i16>,
    /// The slot in which the bell last rang.
    last_ring: i64,
    /// Audio waits to be told of.
    unrung: bool,
    looked: i64,
}

impl Driver {
    pub fn new(lane: Arc<Lane>, bell: Arc<Bell>) -> io::Result<Self> {
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
            heard: Vec::new(),
            last_ring: 0,
            unrung: false,
            looked: 0,
        })
    }

    pub fn run(mut self) {
        be_punctual();
        while !self.lane.stop.load(Ordering::SeqCst) {
            self.commands();
            self.deadlines();
            // What is due between two slots is not a reason to look.
            if !self.is_crowd() || now() >= self.next_look() {
                self.sockets();
                self.deadlines();
            }
            self.ring(now());
            self.sleep();
        }
        let numbers: Vec<u32> = self.numbers.iter().map(|&(number, _)| number).collect();
        for number in numbers {
            self.close(number);
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn is_crowd(&self) -> bool {
        self.numbers.len() >= CROWD
    }

    /// The slot after the last look.
    fn next_look(&self) -> i64 {
        (self.looked / SLOT + 1) * SLOT
    }

    fn sleep(&mut self) {
        let now = now();
        // Where a call has just ended the next is near: to be woken for each would cost more than to look for it.
        let idle = self.numbers.is_empty() && self.lingering.is_empty();
        let (rest, longest) = if idle { (Rest::Asleep, SLEEP) } else { (Rest::Dozing, DOZE) };
        let mut until = now + longest;
        if let Some(due) = self.next_due() {
            until = until.min(due);
        }
        if self.is_crowd() {
            return sleep_until(until.min(self.next_look()));
        }
        if self.unrung {
            until = until.min(self.last_ring + SLOT);
        }
        self.lane.rest(rest);
        if self.lane.commands.is_empty() {
            self.poll.wait(until - now);
        }
        self.lane.rest(Rest::Awake);
    }

    /// The first deadline that still stands; what a port left behind that closed, or was due earlier since, is no reason
    /// to wake.
    fn next_due(&mut self) -> Option<i64> {
        while let Some(&Reverse((due, index))) = self.due.peek() {
            if self.seats[index].as_ref().is_some_and(|seat| seat.scheduled == due) {
                return Some(due);
            }
            self.due.pop();
        }
        None
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
                self.pass_audio(index, now);
                if let Some(seat) = &mut self.seats[index] {
                    seat.port.tick(now, &mut self.sink);
                }
                self.flush(index);
            }
            self.schedule(index);
        }
        while self.lingering.front().is_some_and(|(until, _)| *until <= now) {
            // Where enough are spare, the rest is closed.
            drop(self.lingering.pop_front().map(|(_, pair)| self.lane.spare.push(pair)));
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
        let before = std::mem::replace(&mut self.looked, now());
        // A crowd's sockets hold a packet each, and asking twice would cost more than the packet. Who has few ports, or
        // could not look for a while, takes all that waits.
        let late = self.looked - before > LATE;
        let most = if self.is_crowd() && !late { 1 } else { BURST };
        self.poll.look(&mut self.ready);
        // What was said before a packet was sent is obeyed before it is taken.
        self.commands();
        let mut ready = std::mem::replace(&mut self.ready, Ready::new(0));
        for token in ready.tokens() {
            if token == WAKE_TOKEN {
                self.lane.wake.rest();
            } else {
                (0..most).take_while(|_| self.receive(token)).for_each(drop);
            }
        }
        std::mem::swap(&mut self.ready, &mut ready);
    }

    /// Take one datagram, if there is one; if there are more, the next look finds the socket readable still.
    fn receive(&mut self, token: u64) -> bool {
        let rtcp = token & RTCP_TOKEN != 0;
        let Ok(index) = usize::try_from(token & (RTCP_TOKEN - 1)) else { return false };
        let Some(seat) = self.seats.get_mut(index).and_then(Option::as_mut) else { return false };
        let Some(pair) = &seat.pair else { return false };
        let socket = if rtcp { &pair.rtcp } else { &pair.rtp };
        // An error is an ICMP answer to what we sent, or nothing to read: neither is a datagram.
        let Ok((length, from)) = socket.recv_from(&mut self.buffer[..]) else { return false };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        seat.port.datagram(self.looked, &self.buffer[..length], from, rtcp, &mut self.sink);
        self.flush(index);
        self.schedule(index);
        true
    }

    /// Send what a port made, and pass on what it tells.
    fn flush(&mut self, index: usize) {
        let Some(seat) = &mut self.seats[index] else { return };
        for (bytes, departure) in self.sink.packets() {
            let Some(pair) = &seat.pair else { break };
            let socket = if departure.rtcp { &pair.rtcp } else { &pair.rtp };
            // A full buffer or an unreachable peer loses this packet as the network would.
            drop(socket.send_to(bytes, departure.destination));
        }
        self.sink.clear_packets();
        seat.shared.hold(seat.port.queued());
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

    /// Wake Python, for audio alone once a slot at most.
    fn ring(&mut self, now: i64) {
        if self.unrung && now - self.last_ring >= SLOT {
            self.bell.ring();
            self.last_ring = now - now % SLOT;
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
            | Command::Tunnel(port, _)
            | Command::Listen(port, ..)
            | Command::Tape(port, _)
            | Command::Play { port, .. }
            | Command::End { port, .. }
            | Command::Mark { port, .. }
            | Command::Hush(port)
            | Command::Arm(port, _)
            | Command::Restore(port)
            | Command::Watch(port, _)
            | Command::Press { port, .. }
            | Command::Mix(port, _)
            | Command::Part(port)
            | Command::Bed(port, _)
            | Command::Discover { port, .. }
            | Command::Bring { port, .. }
            | Command::Passed { port, .. }
            | Command::Close(port) => Some(*port),
        };
        match (command, number) {
            (Command::Open(opening), _) => self.open(*opening),
            (Command::Close(port), _) => self.close(port),
            (Command::Mix(port, routes), _) => self.mix(port, &routes),
            (Command::Part(port), _) => self.part(port),
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
        let Opening { port, pair, shared } = opening;
        let index = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let token = index as u64;
        // Only the kernel's limit of watches can refuse; such a port is deaf, and the call says `Stalled` at once.
        if let Some(pair) = &pair {
            drop(self.poll.add(pair.rtp.as_raw_fd(), token));
            drop(self.poll.add(pair.rtcp.as_raw_fd(), token | RTCP_TOKEN));
        }
        let number = port.number();
        self.seats[index] = Some(Seat { port, pair, shared, scheduled: i64::MAX });
        self.numbers.push((number, index));
    }

    fn close(&mut self, number: u32) {
        self.part(number);
        let Ok(at) = self.numbers.binary_search_by_key(&number, |&(number, _)| number) else { return };
        let (_, index) = self.numbers.remove(at);
        if let Some(seat) = &mut self.seats[index] {
            seat.port.close(now(), &mut self.sink);
        }
        self.flush(index);
        if let Some(Seat { port, pair: Some(mut pair), shared, .. }) = self.seats[index].take() {
            pair.before = port.heard_from();
            self.poll.remove(pair.rtp.as_raw_fd());
            self.poll.remove(pair.rtcp.as_raw_fd());
            shared.counters.add_many(Count::Overflowed, pair.overflowed());
            self.lingering.push_back((now() + LINGER, pair));
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
            Command::Tunnel(_, terms) => {
                // Its identity was tried when it was said.
                port.tunnel(now, &terms, sink);
            }
            Command::Listen(_, mode, gain_control) => port.listen(mode, gain_control),
            Command::Tape(_, on) => port.tape(on, sink),
            Command::Play { utterance, pcm, short, .. } => {
                let samples = pcm.len();
                port.play(now, utterance, pcm, sink);
                if short {
                    port.want_room(sink);
                }
                self.shared.arrive(samples, port.queued());
            }
            Command::End { utterance, tail, .. } => {
                let samples = tail.len();
                port.end(now, utterance, tail);
                self.shared.arrive(samples, port.queued());
            }
            Command::Mark { utterance, mark, .. } => port.mark(now, utterance, mark),
            Command::Hush(_) => port.hush(now, sink),
            Command::Arm(_, depth) => port.arm(depth),
            Command::Restore(_) => port.restore(now, sink),
            Command::Bed(_, bed) => port.bed(bed),
            Command::Watch(_, wanted) => port.watch(&wanted),
            Command::Press { keys, duration_ms, gap_ms, .. } => port.press(now, &keys, duration_ms, gap_ms),
            Command::Discover { server, id, .. } => port.discover(now, server, id, sink),
            Command::Bring { sequence, timestamp, payload, .. } => port.bring(now, sequence, timestamp, &payload, sink),
            Command::Passed { fence, .. } => port.passed(now, fence, sink),
            Command::Open(_) | Command::Close(_) | Command::Mix(..) | Command::Part(_) => {}
        }
    }
}
