//! What the engine's two sides share: commands one way, events the other, counts, and the bell that wakes Python.
//!
//! Nothing here waits for a lock: the ways are lock-free rings of a fixed size, the counts atomics.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::bed::Bed;
use crate::counters::Counters;
use crate::event::Event;
use crate::listening::Mode;
use crate::mix::Route;
use crate::pair::Pair;
use crate::plan::Plan;
use crate::port::Port;
use crate::queue::capacity;
use crate::stun::Id;
use crate::sys::Wake;
use crate::tone::pattern::Wanted;
use crate::tunnel::Terms;

/// Commands that wait at most, a thread. Audio is bounded a port besides.
const COMMANDS: usize = 16_384;
/// Events that wait at most, a thread: a second and a half of 500 calls' audio.
const EVENTS: usize = 32_768;
/// Audio is turned away here, so that edges, keys and cuts still find room.
pub const AUDIO_EVENTS: usize = EVENTS - EVENTS / 8;
/// Pairs of sockets that wait for their next call at most: more than become free between two looks.
const SPARE: usize = 64;

/// What Python asks of a port's thread.
pub enum Command {
    Open(Box<Opening>),
    Configure(u32, u64, Box<Plan>),
    Tunnel(u32, Box<Terms>),
    Listen(u32, Mode, bool),
    Tape(u32, bool),
    Play { port: u32, utterance: u64, pcm: Vec<i16>, short: bool },
    End { port: u32, utterance: u64, tail: Vec<i16> },
    Mark { port: u32, utterance: u64, mark: u64 },
    Hush(u32),
    Arm(u32, Option<f32>),
    Restore(u32),
    Watch(u32, Box<Wanted>),
    Press { port: u32, keys: Box<[u8]>, duration_ms: u32, gap_ms: u32 },
    Mix(u32, Box<[Route]>),
    Part(u32),
    Bed(u32, Option<Box<Bed>>),
    Discover { port: u32, server: SocketAddr, id: Id },
    Bring { port: u32, sequence: u16, timestamp: u32, payload: Box<[u8]> },
    Passed { port: u32, fence: u64 },
    Close(u32),
}

impl Command {
    /// Whether its thread must wake for it even from a doze: to tell at once what was cut, and to ask a server or look for
    /// a way for which a call waits. All else is early enough when
    /// the thread wakes by itself, which it does before anything leaves or is heard.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Hush(_) | Self::Discover { .. } | Self::Tunnel(..))
    }
}

/// What a thread does between two looks.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It will see what was said.
    Awake,
    /// With ports open, or closed a moment ago: it wakes by itself within milliseconds.
    Dozing,
    /// It has nothing to do until somebody says so.
    Asleep,
}

/// A port on its way to its thread.
pub struct Opening {
    pub port: Port,
    /// None for a port whose far end is brought by a carrier.
    pub pair: Option<Pair>,
    pub shared: Arc<Shared>,
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
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { counters, coming: AtomicUsize::new(0), queued: AtomicUsize::new(0) }
    }

    /// Samples at the Port's rate that fit. It may say too little for a moment, and too much only while the rate changes.
    #[must_use]
    pub fn room(&self, rate_hz: u32) -> usize {
        let coming = self.coming.load(Ordering::Acquire);
        capacity(rate_hz).saturating_sub(coming + self.queued.load(Ordering::Acquire))
    }

    /// Samples set out.
    pub fn send(&self, samples: usize) {
        self.coming.fetch_add(samples, Ordering::AcqRel);
    }

    /// They did not get away.
    pub fn fail(&self, samples: usize) {
        self.coming.fetch_sub(samples, Ordering::AcqRel);
    }

    /// They are in the queue, which holds `queued` now.
    pub fn arrive(&self, samples: usize, queued: usize) {
        self.hold(queued);
        self.coming.fetch_sub(samples, Ordering::AcqRel);
    }

    /// The queue holds so many.
    pub fn hold(&self, queued: usize) {
        self.queued.store(queued, Ordering::Release);
    }
}

/// The end of the events' way: one eventfd for all threads.
#[derive(Debug)]
pub struct Bell {
    wake: Wake,
    rung: AtomicBool,
}

impl Bell {
    /// # Errors
    /// Where there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { wake: Wake::new()?, rung: AtomicBool::new(false) })
    }

    /// What is readable from a ring to the next rest.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }

    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.wake();
        }
    }

    /// Re-arm. What is pushed from here on rings again.
    pub fn rest(&self) {
        self.wake.rest();
        self.rung.store(false, Ordering::Release);
    }
}

/// One thread, seen from outside.
pub struct Lane {
    pub commands: ArrayQueue<Command>,
    pub events: ArrayQueue<Event>,
    /// Sockets whose call is long over.
    pub spare: ArrayQueue<Pair>,
    /// Events that found no room.
    pub lost: AtomicU64,
    pub wake: Wake,
    rest: AtomicU8,
    pub stop: AtomicBool,
    pub ports: AtomicUsize,
    /// How late the thread was for a deadline, at worst, ns.
    pub latest: AtomicI64,
}

impl Lane {
    /// # Errors
    /// Where there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            commands: ArrayQueue::new(COMMANDS),
            events: ArrayQueue::new(EVENTS),
            spare: ArrayQueue::new(SPARE),
            lost: AtomicU64::new(0),
            wake: Wake::new()?,
            rest: AtomicU8::new(Rest::Awake as u8),
            stop: AtomicBool::new(false),
            ports: AtomicUsize::new(0),
            latest: AtomicI64::new(0),
        })
    }

    /// The thread says what it does from here on; what is said before that, it has to look for itself.
    pub fn rest(&self, rest: Rest) {
        self.rest.store(rest as u8, Ordering::SeqCst);
    }

    /// Say something to the thread, and wake it where it would hear it too late.
    ///
    /// # Errors
    /// Where the thread is so far behind that nothing more fits.
    pub fn say(&self, command: Command) -> io::Result<()> {
        let least = if command.is_urgent() { Rest::Dozing } else { Rest::Asleep } as u8;
        if self.commands.push(command).is_err() {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the media thread does not keep up"));
        }
        // Who finds it at rest wakes it; a second one has nothing left to do.
        if self.rest.load(Ordering::SeqCst) >= least && self.rest.swap(Rest::Awake as u8, Ordering::SeqCst) >= least {
            self.wake.wake();
        }
        Ok(())
    }
}
