//! What signalling agreed for one stream, as the Port needs it.

use std::net::SocketAddr;

use crate::codec::{Codec, Law};
use crate::secure::Protection;

/// An agreed stream; `offhook.core.media.MediaPlan` says what the fields mean.
#[derive(Clone, Debug)]
pub struct Plan {
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    pub send: (u8, Codec),
    pub receive: Vec<(u8, Codec)>,
    pub dtmf_send: Option<u8>,
    pub dtmf_receive: Option<u8>,
    /// The clock of keys, both ways.
    pub dtmf_hz: u32,
    /// Silence is left out, and comfort noise sent in its place; None: silence is sent as audio.
    pub noise_send: Option<u8>,
    pub noise_receive: Option<u8>,
    pub ptime_ms: u32,
    pub sending: bool,
    pub receiving: bool,
    pub rtcp_mux: bool,
    /// The far end reads XR blocks (RFC 3611 section 5.1).
    pub rtcp_extended: bool,
    /// RTCP need not be compound (RFC 5506).
    pub rtcp_reduced: bool,
    /// The keys of SRTP. Where there are some, nothing plain is taken or sent.
    pub protection: Option<Protection>,
}

/// What a payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Audio(Codec),
    Key,
    Noise,
}

/// The static payload type of comfort noise (RFC 3389).
const NOISE: u8 = 13;

impl Plan {
    /// What a payload type is. The numbers agreed come first; then our own number for keys, which some answer with,
    /// and the static numbers, since a peer may send either law whatever we send it.
    #[must_use]
    pub fn content(&self, payload_type: u8) -> Option<Content> {
        if let Some(&(_, codec)) = self.receive.iter().find(|(number, _)| *number == payload_type) {
            return Some(Content::Audio(codec));
        }
        let number = Some(payload_type);
        if number == self.dtmf_receive {
            return Some(Content::Key);
        }
        if number == self.noise_receive {
            return Some(Content::Noise);
        }
        if number == self.dtmf_send {
            return Some(Content::Key);
        }
        match payload_type {
            0 => Some(Content::Audio(Codec::G711(Law::Mu))),
            8 => Some(Content::Audio(Codec::G711(Law::A))),
            NOISE => Some(Content::Noise),
            _ => None,
        }
    }

    /// A payload type that means nothing to the far end, for keepalives (RFC 6263 section 4.6).
    #[must_use]
    pub fn unknown(&self) -> u8 {
        let free = |&number: &u8| self.content(number).is_none() && number != self.send.0;
        (96..=127).rev().find(free).unwrap_or(127)
    }

    /// Whether keys may come in the audio: where nothing better was agreed for them.
    #[must_use]
    pub fn keys_in_band(&self) -> bool {
        self.dtmf_receive.is_none() && self.dtmf_send.is_none()
    }

    /// The rate at which the Port runs: that of what we send, which is what the far end chose. What else it may send
    /// is converted, so that a call on G.711 costs the same whatever was offered beside it.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.send.1.rate_hz()
    }

    /// Samples of the Port in a packet.
    #[must_use]
    pub fn samples(&self) -> usize {
        (self.ptime_ms * (self.rate_hz() / 1000)) as usize
    }

    /// Ticks of the RTP clock in a packet that we send.
    #[must_use]
    pub fn ticks(&self) -> u32 {
        self.ptime_ms * (self.send.1.clock_hz() / 1000)
    }

    /// The ticks of `packets` of ours, on a clock of 32 bits.
    #[must_use]
    pub fn ticks_of(&self, packets: i64) -> u32 {
        u32::try_from((packets * i64::from(self.ticks())) & 0xFFFF_FFFF).unwrap_or(0)
    }

    /// Time between packets, ns.
    #[must_use]
    pub fn ptime(&self) -> i64 {
        i64::from(self.ptime_ms) * 1_000_000
    }
}
