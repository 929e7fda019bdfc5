//! What a Port tells, and where it puts what it makes.

use std::net::SocketAddr;

/// A thing that happened on one port.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub port: u32,
    /// Orders all events of one port.
    pub seq: u64,
    /// The media time at which it was true, ns.
    pub at: i64,
    pub kind: Kind,
}

/// The kinds of event; `_native.pyi` says what each means.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Heard { pcm: Vec<i16>, rate_hz: u32, concealed: bool },
    SpeechBegan,
    SpeechEnded { silence_ms: u32 },
    Digit { key: char, duration_ms: u32, in_band: bool },
    Tone { kind: String },
    Played { utterance: u64, sent_ms: u64 },
    Marked { utterance: u64, mark: u64 },
    Cut { utterance: u64, generation: u64, sent_ms: u64, heard_ms: u64 },
    Room { queued_ms: u64 },
    Flowing,
    Stalled,
    Ducked,
    Taped { pcm: Vec<i16>, rate_hz: u32 },
    Quality(Quality),
    OneWay { fault: Fault, on: bool },
    Mapped { address: SocketAddr },
    Echo { present: bool, delay_ms: u32, loss_db: u32 },
    Secured { profile: &'static str },
    Severed { reason: &'static str },
    Leaving { codes: Vec<u8> },
    Fence { number: u64 },
    Emptied { hushed: bool },
}

/// One interval between reports: what we received, and what the far end told of us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    pub lost: u32,
    pub expected: u32,
    pub late: u32,
    pub concealed_ms: u32,
    pub burst_ratio: f32,
    pub jitter_ms: f32,
    pub round_trip_ms: Option<f32>,
    /// None where nothing came and nothing had to.
    pub mos: Option<f32>,
    pub far_lost_fraction: f32,
    pub far_jitter_ms: f32,
    /// None where it reported nothing.
    pub far_mos: Option<f32>,
}

/// What can be wrong with one direction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The far end's reports say that it hears nothing of us.
    Unheard,
    /// What the far end sends is digital silence.
    Silent,
}

impl Fault {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Silent => "silent",
        }
    }
}

impl Kind {
    /// Audio may wait a few milliseconds for company; everything else wakes the reader at once.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Self::Heard { .. } | Self::Taped { .. } | Self::Quality(_))
    }
}

/// A datagram to send: where its bytes lie in the sink, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    from: u32,
    to: u32,
    pub destination: SocketAddr,
    /// From the RTCP socket.
    pub rtcp: bool,
}

/// Collects what Ports make. One sink serves many Ports, so its buffers are paid for once.
#[derive(Debug, Default)]
pub struct Sink {
    bytes: Vec<u8>,
    departures: Vec<Departure>,
    pub events: Vec<Event>,
}

impl Sink {
    /// Add a datagram that `write` appends.
    pub fn send(&mut self, destination: SocketAddr, rtcp: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let from = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        write(&mut self.bytes);
        let to = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.departures.push(Departure { from, to, destination, rtcp });
    }

    /// Put what `write` makes of the last datagram in its place, or nothing, where it makes nothing; whether it did.
    pub fn replace_last<B: AsRef<[u8]>>(&mut self, write: impl FnOnce(&[u8]) -> Option<B>) -> bool {
        let Some(last) = self.departures.last_mut() else { return false };
        let from = last.from as usize;
        let Some(instead) = write(&self.bytes[from..last.to as usize]) else {
            self.departures.pop();
            self.bytes.truncate(from);
            return false;
        };
        self.bytes.truncate(from);
        self.bytes.extend_from_slice(instead.as_ref());
        last.to = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        true
    }

    /// Take the last datagram out, from its byte `from` on.
    pub fn take_last(&mut self, from: usize, take: impl FnOnce(&[u8])) {
        let Some(last) = self.departures.pop() else { return };
        let (begin, end) = (last.from as usize, last.to as usize);
        take(self.bytes.get(begin + from..end).unwrap_or_default());
        self.bytes.truncate(begin);
    }

    /// The datagrams, in order.
    pub fn packets(&self) -> impl Iterator<Item = (&[u8], &Departure)> {
        self.departures.iter().map(|one| (&self.bytes[one.from as usize..one.to as usize], one))
    }

    /// Forget the datagrams.
    pub fn clear_packets(&mut self) {
        self.bytes.clear();
        self.departures.clear();
    }
}
