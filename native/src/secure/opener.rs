//! What opens the packets of one master key.
//!
//! ```text
//! a stream that proved itself ─► proven                       forged, replayed: refused
//! an unknown SSRC ─► trial ─► its tag is right? ─► proven     else the trial is thrown away
//! ```
//!
//! The crate keeps a rollover counter (RFC 3711 section 3.3.1) and a replay window (3.3.2) for every SSRC that it ever
//! saw, from before the tag is looked at, and lets the first packet place the window. So a stranger's SSRC is tried in a
//! context of its own, which does not outlive a failure: what is forged leaves no state and moves no window.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use rtc_shared::error::Error;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCrypto;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};

use super::{Master, Refusal, Suite};
use crate::rtp::{header_bytes, HEADER_BYTES};

/// Packets behind the newest that are told from replays: ten seconds of 20 ms, for what the tape still takes.
pub(super) const WINDOW: usize = 512;
/// Streams that one key may have: a new SSRC comes with a hold, a transfer or a far end that starts anew.
pub(super) const STREAMS: usize = 64;
/// What an RTCP packet has before what is encrypted (RFC 3711 section 3.4), and the word with its index.
const RTCP_HEAD: usize = 8;
const INDEX_BYTES: usize = 4;

/// A context of the crate. The lock only says that threads may share it by reference; nobody ever waits for it.
pub(super) struct Keyed(Mutex<Context>);

impl Keyed {
    /// A context for one direction. None where the crate refuses the key.
    pub fn new(suite: Suite, master: &Master, crypto: &dyn RTCCrypto) -> Option<Self> {
        let (key, salt) = master.0.split_at_checked(suite.profile().key_len())?;
        let replay = (Some(srtp_replay_protection(WINDOW)), Some(srtcp_replay_protection(WINDOW)));
        let context = Context::new(key, salt, suite.profile(), replay.0, replay.1, crypto);
        context.ok().map(|context| Self(Mutex::new(context)))
    }

    pub fn get(&mut self) -> &mut Context {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the crate goes by of an RTP header: its stream, its number and its length. Built from our own reading, since the
/// crate's loses count of padding between header extensions.
pub(super) fn header_of(data: &[u8]) -> Option<rtc_rtp::Header> {
    let length = header_bytes(data).ok()?;
    Some(rtc_rtp::Header {
        sequence_number: u16::from_be_bytes([data[2], data[3]]),
        ssrc: u32::from_be_bytes([data[8], data[9], data[10], data[11]]),
        csrc: vec![0; (length - HEADER_BYTES) / 4],
        ..rtc_rtp::Header::default()
    })
}

/// What opens the packets of one master key.
pub(super) struct Opener {
    suite: Suite,
    pub master: Master,
    proven: Keyed,
    trial: Option<Keyed>,
    rtp: Vec<u32>,
    rtcp: Vec<u32>,
}

impl Opener {
    pub fn new(suite: Suite, master: Master, crypto: &dyn RTCCrypto) -> Option<Self> {
        let proven = Keyed::new(suite, &master, crypto)?;
        Some(Self { suite, master, proven, trial: None, rtp: Vec::new(), rtcp: Vec::new() })
    }

    /// Open an SRTP packet.
    pub fn rtp(&mut self, data: &[u8], crypto: &dyn RTCCrypto) -> Result<BytesMut, Refusal> {
        let header = header_of(data).ok_or(Refusal::Malformed)?;
        let open = |context: &mut Context| context.decrypt_rtp_with_header(data, &header);
        if !self.rtp.contains(&header.ssrc) {
            self.prove(self.rtp.len(), crypto, open)?;
            self.rtp.push(header.ssrc);
        }
        open(self.proven.get()).map_err(|error| refusal(&error))
    }

    /// Open an SRTCP packet.
    pub fn rtcp(&mut self, data: &[u8], crypto: &dyn RTCCrypto) -> Result<BytesMut, Refusal> {
        let head = data.first_chunk::<RTCP_HEAD>().ok_or(Refusal::Malformed)?;
        let ssrc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if !self.is_encrypted(data) {
            return Err(Refusal::Forged);
        }
        let open = |context: &mut Context| context.decrypt_rtcp(data);
        if !self.rtcp.contains(&ssrc) {
            self.prove(self.rtcp.len(), crypto, open)?;
            self.rtcp.push(ssrc);
        }
        open(self.proven.get()).map_err(|error| refusal(&error))
    }

    /// The E bit (RFC 3711 section 3.4). Where it is clear the crate gives the packet out without a look at its tag; and
    /// nobody agreed on that (UNENCRYPTED_SRTCP).
    fn is_encrypted(&self, data: &[u8]) -> bool {
        let behind = self.suite.profile().rtcp_auth_tag_len() + INDEX_BYTES;
        data.len().checked_sub(behind).is_some_and(|at| data[at] & 0x80 != 0)
    }

    /// Try the packet of a stream that nobody knows yet.
    fn prove(
        &mut self,
        known: usize,
        crypto: &dyn RTCCrypto,
        open: impl Fn(&mut Context) -> Result<BytesMut, Error>,
    ) -> Result<(), Refusal> {
        if known >= STREAMS {
            return Err(Refusal::Unkeyed);
        }
        let mut trial = match self.trial.take() {
            Some(trial) => trial,
            None => Keyed::new(self.suite, &self.master, crypto).ok_or(Refusal::Unkeyed)?,
        };
        open(trial.get()).map_err(|error| refusal(&error))?;
        self.trial = Some(trial);
        Ok(())
    }
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => Refusal::Replayed,
        Error::RtpFailedToVerifyAuthTag | Error::RtcpFailedToVerifyAuthTag | Error::ErrFailedToVerifyAuthTag => {
            Refusal::Forged
        }
        _ => Refusal::Malformed,
    }
}
