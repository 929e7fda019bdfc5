//! Counts by reason. Every datagram that is given to a Port ends in exactly one `received_*` or `dropped_*`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count { $($(#[$doc])* $name,)* }
        /// The names, in the order of [`Count`].
        pub const NAMES: &[&str] = &[$($text,)*];
    };
}

counters! {
    /// Datagrams given.
    Given => "given",
    ReceivedAudio => "received_audio",
    ReceivedDtmf => "received_dtmf",
    ReceivedNoise => "received_noise",
    ReceivedRtcp => "received_rtcp",
    /// The answer of a STUN server, or ICE's.
    ReceivedStun => "received_stun",
    ReceivedDtls => "received_dtls",
    /// Not RTP.
    DroppedMalformed => "dropped_malformed",
    /// Not RTCP.
    DroppedRtcpMalformed => "dropped_rtcp_malformed",
    /// From an address that the latch does not know.
    DroppedSource => "dropped_source",
    /// RTCP from such an address.
    DroppedRtcpSource => "dropped_rtcp_source",
    /// The first of a source or of a sequence that has yet to prove itself.
    DroppedProbation => "dropped_probation",
    /// A payload type that was not agreed, or an empty payload.
    DroppedPayload => "dropped_payload",
    /// Behind what the ear has already delivered.
    DroppedLate => "dropped_late",
    DroppedDuplicate => "dropped_duplicate",
    /// STUN that nobody asked for.
    DroppedStun => "dropped_stun",
    /// Where SRTP was agreed: a wrong tag or none, plain RTP too.
    DroppedForged => "dropped_forged",
    /// Where SRTP was agreed: it came before, or is older than can be told.
    DroppedReplayed => "dropped_replayed",
    /// Where SRTP was agreed: the far end's key is not known yet, or has more streams than one may.
    DroppedUnkeyed => "dropped_unkeyed",
    /// ICE's, with another name or password than was agreed.
    DroppedStunForged => "dropped_stun_forged",
    /// DTLS of who has not shown ICE's password.
    DroppedDtlsSource => "dropped_dtls_source",
    /// While we do not receive (hold).
    DroppedHeld => "dropped_held",
    /// Before the first `configure`.
    DroppedUnconfigured => "dropped_unconfigured",
    /// Never given: the socket was full, since its thread could not run. Told when the port closes.
    Overflowed => "overflowed",
    /// RTP and RTCP sent.
    Sent => "sent",
    SentRtcp => "sent_rtcp",
    SentStun => "sent_stun",
    SentDtls => "sent_dtls",
    /// RTP that only keeps the way open while we are held.
    SentKeepalive => "sent_keepalive",
    /// Packets that did not leave, since the key that was to protect them is used up (RFC 3711 section 9.2).
    Unsealed => "unsealed",
    /// Holes in the sequence that were closed, in packets.
    Lost => "lost",
    /// Packets that were made up for lost ones.
    Concealed => "concealed",
    /// Packets that came too late to be heard, and are on the tape in the place of what was made up for them.
    Mended => "mended",
    /// Times that an utterance which had not ended ran dry.
    Underruns => "underruns",
    /// Times that the latch took a source.
    Latched => "latched",
    SsrcChanges => "ssrc_changes",
    /// Jumps of the sequence that the ear followed.
    Jumps => "jumps",
    KeysSent => "keys_sent",
    /// Pieces of audio for an utterance that was cut or over.
    StaleAudio => "stale_audio",
    /// Departures that came a packet time late or more, and were caught up.
    LateTicks => "late_ticks",
    /// Departures given up because the clock had stood still too long.
    SkippedTicks => "skipped_ticks",
    /// In a bridge, of what this far end said: packets that were not there in time or not at all, changes of length, and
    /// packets for which there was no room.
    RelayLate => "relay_late",
    RelayLost => "relay_lost",
    RelayShortened => "relay_shortened",
    RelayLengthened => "relay_lengthened",
    RelayRefused => "relay_refused",
    /// Events that found no room.
    EventsLost => "events_lost",
}

const COUNT: usize = NAMES.len();

/// The counters of one Port: one writer, any readers.
#[derive(Debug)]
pub struct Counters([AtomicU64; COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; COUNT])
    }
}

impl Counters {
    /// Count one.
    pub fn add(&self, what: Count) {
        self.add_many(what, 1);
    }

    /// Count several. There is one writer, so a load and a store are enough.
    pub fn add_many(&self, what: Count, many: u64) {
        let cell = &self.0[what as usize];
        cell.store(cell.load(Relaxed).wrapping_add(many), Relaxed);
    }

    /// One counter's value.
    #[must_use]
    pub fn get(&self, what: Count) -> u64 {
        self.0[what as usize].load(Relaxed)
    }

    /// Add what another has counted.
    pub fn add_all(&self, other: &Self) {
        for (cell, more) in self.0.iter().zip(&other.0) {
            cell.store(cell.load(Relaxed).wrapping_add(more.load(Relaxed)), Relaxed);
        }
    }

    /// All, by name, with `received`, the sum of all that was accepted.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let mut named: Vec<_> = NAMES.iter().zip(&self.0).map(|(&name, cell)| (name, cell.load(Relaxed))).collect();
        let accepted = named.iter().filter(|(name, _)| name.starts_with("received_")).map(|(_, value)| value).sum();
        named.push(("received", accepted));
        named
    }

    /// Whether every datagram given is in exactly one counter.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let ended = |name: &str| name.starts_with("received_") || name.starts_with("dropped_");
        let sum: u64 = self.named().iter().filter(|(name, _)| ended(name)).map(|(_, value)| value).sum();
        sum == self.get(Count::Given)
    }
}
