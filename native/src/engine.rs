//! The engine: threads that own sockets and drive Ports, as their caller sees them.
//!
//! ```text
//! Python ── commands, bounded ──► lane.rs ──► driver.rs: what is due ─► sockets ─► sleep
//!        ◄─ events, bounded, one eventfd ──┘               (sockets ◄─► network)
//! ```
//!
//! What is called here only opens sockets and hands over: no call waits for a thread, and no thread for a call.

use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::carried::Terms;
use crate::driver::{Driver, SLOT, SLOTS};
use crate::event::Event;
use crate::lane::{Bell, Command, Lane, Opening, Shared};
use crate::pair::Pair;
use crate::port::Port;
use crate::sys::make_room_for;

/// What the process has open beside media: files, connections, models.
const OTHER_DESCRIPTORS: usize = 512;

/// The engine: its threads, and the ports that may be bound.
pub struct Engine {
    ip: IpAddr,
    /// The even ports that may be bound.
    ports: Vec<u16>,
    next_port: usize,
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
        let bell = Arc::new(Bell::new()?);
        make_room_for(usize::from(last.saturating_sub(first)) + OTHER_DESCRIPTORS, bell.fd());
        let ports = (first..=last).filter(|port| port % 2 == 0 && *port < last).collect();
        let (lanes, handles) = (Vec::new(), Vec::new());
        let mut engine = Self { ip, ports, next_port: 0, next_number: 1, lanes, threads: handles, bell };
        for n in 0..threads {
            let lane = Arc::new(Lane::new()?);
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
        self.bell.fd()
    }

    /// Open a port: its number, its RTP port, its lane, and what is shared with it. `lane`: where ports are that may hear
    /// it; else it is the one with the fewest.
    ///
    /// # Errors
    /// Where no pair of ports is free.
    pub fn open(
        &mut self,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        cname: &str,
        lane: Option<usize>,
    ) -> io::Result<(u32, u16, usize, Arc<Shared>)> {
        let lane = self.lane(lane)?;
        let pair = self.pair(lane)?;
        let bound = pair.port;
        let mut port = Port::new(self.next_number, ssrc, sequence, timestamp, cname);
        port.shun(pair.before);
        let (number, shared) = self.seat(lane, port, Some(pair))?;
        Ok((number, bound, lane, shared))
    }

    /// Open a port without sockets, whose far end is brought by a carrier: its number, its lane, and what is shared.
    ///
    /// # Errors
    /// Where the thread is so far behind that its commands do not fit.
    pub fn carry(&mut self, terms: Terms, lane: Option<usize>) -> io::Result<(u32, usize, Arc<Shared>)> {
        let lane = self.lane(lane)?;
        let mut port = Port::new(self.next_number, 0, 0, 0, "");
        port.carry(terms);
        let (number, shared) = self.seat(lane, port, None)?;
        Ok((number, lane, shared))
    }

    /// The lane that was asked for, else the one with the fewest ports.
    fn lane(&self, lane: Option<usize>) -> io::Result<usize> {
        let emptiest = || (0..self.lanes.len()).min_by_key(|&lane| self.lanes[lane].ports.load(Ordering::Relaxed));
        let lane = lane.filter(|&lane| lane < self.lanes.len()).or_else(emptiest);
        lane.ok_or_else(|| io::Error::other("the engine was shut down"))
    }

    fn seat(&mut self, lane: usize, mut port: Port, pair: Option<Pair>) -> io::Result<(u32, Arc<Shared>)> {
        let number = self.next_number;
        // Neighbours in number depart a slot apart, so that no slot fills before the others.
        port.set_phase(i64::from(number) * 7 % SLOTS * SLOT);
        let shared = Arc::new(Shared::new(port.counters().clone()));
        self.send(lane, Command::Open(Box::new(Opening { port, pair, shared: shared.clone() })))?;
        self.lanes[lane].ports.fetch_add(1, Ordering::Relaxed);
        self.next_number += 1;
        Ok((number, shared))
    }

    /// A pair that has lingered, else the next one that is free.
    fn pair(&mut self, lane: usize) -> io::Result<Pair> {
        if let Some(spare) = self.lanes[lane].spare.pop() {
            return Ok(spare.renew());
        }
        for _ in 0..self.ports.len() {
            let port = self.ports[self.next_port];
            self.next_port = (self.next_port + 1) % self.ports.len();
            match Pair::bind(self.ip, port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // An address that is not ours, or no more descriptors: the next pair would not do better.
                bound => return bound,
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no pair of RTP ports is free"))
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
        let sent = self.send(lane, Command::Play { port, utterance, pcm, short });
        if sent.is_err() {
            shared.fail(samples);
        }
        sent
    }

    /// Send the end of an utterance, with the tail of its resampler.
    ///
    /// # Errors
    /// As above.
    pub fn end(&self, lane: usize, shared: &Shared, port: u32, utterance: u64, tail: Vec<i16>) -> io::Result<()> {
        shared.send(tail.len());
        self.send(lane, Command::End { port, utterance, tail })
    }

    /// Send a command.
    ///
    /// # Errors
    /// As above.
    pub fn send(&self, lane: usize, command: Command) -> io::Result<()> {
        self.lanes[lane].say(command)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes_of(engine: &mut Engine, calls: usize) -> Vec<(usize, u32)> {
        (0..calls)
            .map(|_| {
                let (number, _, lane, _) = engine.open(1, 1, 1, "x", None).expect("a pair is free");
                (lane, number)
            })
            .collect()
    }

    #[test]
    fn calls_are_spread_over_the_threads_and_go_where_others_have_left() {
        let mut engine = Engine::start([127, 0, 0, 1].into(), 28_000, 28_199, 3).expect("an engine");
        let calls = lanes_of(&mut engine, 9);
        assert!((0..3).all(|lane| calls.iter().filter(|(at, _)| *at == lane).count() == 3), "{calls:?}");
        for &(lane, number) in calls.iter().filter(|(lane, _)| *lane == 1) {
            engine.send(lane, Command::Close(number)).expect("room for a command");
            engine.left(lane);
        }
        let later = lanes_of(&mut engine, 3);
        assert!(later.iter().all(|&(lane, _)| lane == 1), "{later:?}");
    }
}
