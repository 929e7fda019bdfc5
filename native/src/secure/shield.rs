//! The keys of one port, across what is agreed one after the other.
//!
//! A key that goes on keeps its rollover counter, its index and its windows, whatever else a new plan says: to begin
//! anew with it would use a keystream twice. A new key begins at zero (RFC 3711 section 3.3.1), and what the far end
//! sent under the one before is taken for a while: it is on its way, or the far end has not read our answer yet.

use std::fmt;

use bytes::BytesMut;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::crypto::RTCCrypto;

use super::opener::{header_of, Keyed, Opener};
use super::{Master, Protection, Refusal, Suite};

/// How long the far end's key before is taken, ns.
pub(super) const OVERLAP: i64 = 5_000_000_000;
/// RFC 3711 section 9.2: SRTCP packets under one key. (Of SRTP the crate counts 2^48.)
const REPORTS_MOST: u32 = 1 << 31;

/// What protects a port's packets, both ways.
pub struct Shield {
    crypto: &'static dyn RTCCrypto,
    suite: Suite,
    master: Master,
    sealer: Keyed,
    reports: u32,
    opener: Option<Opener>,
    /// What opened before, and until when it does.
    before: Option<(Opener, i64)>,
}

impl Shield {
    /// Keys to begin with. None where the crate refuses them.
    #[must_use]
    pub fn new(protection: &Protection) -> Option<Self> {
        Self::with(protection, &RingCrypto)
    }

    pub(super) fn with(protection: &Protection, crypto: &'static dyn RTCCrypto) -> Option<Self> {
        let Protection { suite, send, receive } = protection.clone();
        let sealer = Keyed::new(suite, &send, crypto)?;
        let opener = match receive {
            Some(master) => Some(Opener::new(suite, master, crypto)?),
            None => None,
        };
        Some(Self { crypto, suite, master: send, sealer, reports: 0, opener, before: None })
    }

    /// Take what is agreed from here on. False where the crate refuses a key: nothing changed then.
    pub fn agree(&mut self, now: i64, protection: &Protection) -> bool {
        let Some(fresh) = Self::with(protection, self.crypto) else { return false };
        let Self { suite, master, sealer, opener, .. } = fresh;
        let turned = self.suite != suite;
        if turned || self.master != master {
            (self.master, self.sealer, self.reports) = (master, sealer, 0);
        }
        let same = |one: &Opener| opener.as_ref().is_some_and(|fresh| !turned && one.master == fresh.master);
        if !self.opener.as_ref().is_some_and(same) {
            let known = self.before.take().map(|(before, _)| before).filter(|before| same(before));
            let was = std::mem::replace(&mut self.opener, known.or(opener));
            self.before = was.map(|was| (was, now.saturating_add(OVERLAP)));
        }
        self.suite = suite;
        true
    }

    /// Open what came.
    ///
    /// # Errors
    /// [`Refusal`], with no trace of it left here.
    pub fn open(&mut self, now: i64, data: &[u8], rtcp: bool) -> Result<BytesMut, Refusal> {
        let crypto = self.crypto;
        let open = |opener: &mut Opener| if rtcp { opener.rtcp(data, crypto) } else { opener.rtp(data, crypto) };
        let opened = self.opener.as_mut().map_or(Err(Refusal::Unkeyed), open);
        if self.before.as_ref().is_some_and(|(_, until)| now >= *until) {
            self.before = None;
        }
        match (&mut self.before, opened) {
            // Its place is looked at before its tag, so under another key it may seem to be anything, a replay too.
            (Some((before, _)), Err(now)) => open(before).map_err(|then| match now {
                Refusal::Forged | Refusal::Unkeyed => then,
                Refusal::Replayed | Refusal::Malformed => now,
            }),
            (_, opened) => opened,
        }
    }

    /// Seal an RTP packet of ours. None where its key is used up.
    pub fn seal_rtp(&mut self, plain: &[u8]) -> Option<BytesMut> {
        let header = header_of(plain)?;
        self.sealer.get().encrypt_rtp_with_header(plain, &header).ok()
    }

    /// Seal an RTCP packet of ours. None where its key is used up.
    pub fn seal_rtcp(&mut self, plain: &[u8]) -> Option<BytesMut> {
        self.reports = self.reports.checked_add(1).filter(|&count| count < REPORTS_MOST)?;
        self.sealer.get().encrypt_rtcp(plain).ok()
    }
}

impl fmt::Debug for Shield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("suite", &self.suite).finish_non_exhaustive()
    }
}
