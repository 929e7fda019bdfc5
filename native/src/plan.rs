//! What signalling agreed for one stream, as the Port needs it.

use std::net::SocketAddr;

use crate::codec::Law;
use crate::secure::Protection;

/// The RTP clock and the sample rate of every codec here, samples per ms.
pub const SAMPLES_PER_MS: u32 = 8;

/// An agreed stream; `offhook.core.media.MediaPlan` says what the fields mean.
#[derive(Clone, Debug)]
pub struct Plan {
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    pub send: (u8, Law),
    pub receive: Vec<(u8, Law)>,
    pub dtmf_send: Option<u8>,
    pub dtmf_receive: Option<u8>,
    pub noise_receive: Option<u8>,
    pub ptime_ms: u32,
    pub sending: bool,
    pub receiving: bool,
    pub rtcp_mux: bool,
    /// The keys of SRTP. Where there are some, nothing plain is taken or sent.
    pub protection: Option<Protection>,
}

/// What a payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Audio(Law),
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
        if let Some(&(_, law)) = self.receive.iter().find(|(number, _)| *number == payload_type) {
            return Some(Content::Audio(law));
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
            0 => Some(Content::Audio(Law::Mu)),
            8 => Some(Content::Audio(Law::A)),
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

    /// Samples in a packet.
    #[must_use]
    pub fn frame(&self) -> usize {
        (self.ptime_ms * SAMPLES_PER_MS) as usize
    }

    /// Time between packets, ns.
    #[must_use]
    pub fn ptime(&self) -> i64 {
        i64::from(self.ptime_ms) * 1_000_000
    }
}
