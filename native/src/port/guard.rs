//! What stands at the port's door: where SRTP was agreed, nothing plain goes in or out.

use bytes::BytesMut;

use crate::counters::{Count, Counters};
use crate::event::Sink;
use crate::secure::{Protection, Refusal, Shield};

/// The port's side of what was agreed.
#[derive(Debug, Default)]
pub enum Guard {
    /// Plain RTP.
    #[default]
    Plain,
    /// SRTP.
    Sealed(Box<Shield>),
    /// SRTP, and its keys are none that can be used: nothing passes.
    Shut,
}

impl Guard {
    /// Take the keys of a plan, or that there are none.
    pub fn agree(&mut self, now: i64, agreed: Option<&Protection>) {
        let shield = |shield: Option<Box<Shield>>| shield.map_or(Self::Shut, Self::Sealed);
        *self = match (std::mem::take(self), agreed) {
            (_, None) => Self::Plain,
            (Self::Sealed(mut held), Some(agreed)) => shield(held.agree(now, agreed).then_some(held)),
            (Self::Plain | Self::Shut, Some(agreed)) => shield(Shield::new(agreed).map(Box::new)),
        };
    }

    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Open a datagram; None where it is plain, and is to be.
    pub fn open(&mut self, now: i64, data: &[u8], rtcp: bool) -> Result<Option<BytesMut>, Count> {
        let shield = match self {
            Self::Plain => return Ok(None),
            Self::Shut => return Err(Count::DroppedUnkeyed),
            Self::Sealed(shield) => shield,
        };
        shield.open(now, data, rtcp).map(Some).map_err(|refusal| match refusal {
            Refusal::Malformed if rtcp => Count::DroppedRtcpMalformed,
            Refusal::Malformed => Count::DroppedMalformed,
            Refusal::Unkeyed => Count::DroppedUnkeyed,
            Refusal::Forged => Count::DroppedForged,
            Refusal::Replayed => Count::DroppedReplayed,
        })
    }

    /// Seal what was just given to the sink, and count it as `sent`; where that can't be, it does not leave.
    pub fn seal(&mut self, rtcp: bool, sent: Count, counters: &Counters, sink: &mut Sink) {
        let sealed = match self {
            Self::Plain => true,
            Self::Shut => sink.replace_last(|_| None::<BytesMut>),
            Self::Sealed(shield) if rtcp => sink.replace_last(|plain| shield.seal_rtcp(plain)),
            Self::Sealed(shield) => sink.replace_last(|plain| shield.seal_rtp(plain)),
        };
        counters.add(if sealed { sent } else { Count::Unsealed });
    }
}
