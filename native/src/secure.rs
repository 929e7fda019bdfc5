//! SRTP and SRTCP (RFC 3711, 7714): what is agreed, and the state of one port.
//!
//! ```text
//! signalling or DTLS ─► Protection ─► Shield ─┬─ seal: a packet that leaves, on its way out of the sink
//!                                             └─ open: a datagram, before anything else reads it
//! ```
//!
//! The cryptography, the key derivation and the packets' transforms are those of `rtc-srtp`. What is here is what that
//! crate leaves to its caller: whose keys hold now, that what fails leaves no trace, and that nothing is believed that
//! has no tag. Keys come from signalling (RFC 4568) or from a handshake (RFC 5764); this does not know which.

#[cfg(test)]
mod laws;
mod opener;
mod shield;
#[cfg(test)]
mod vectors;

use std::fmt;

use crate::pipeline::Stage;
use rtc_srtp::protection_profile::ProtectionProfile;

pub use shield::Shield;

/// A protection suite, as RFC 4568 and 7714 name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    AesCm80,
    AesCm32,
    Gcm128,
    Gcm256,
}

impl Suite {
    /// The suite of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "AES_CM_128_HMAC_SHA1_80" => Some(Self::AesCm80),
            "AES_CM_128_HMAC_SHA1_32" => Some(Self::AesCm32),
            "AEAD_AES_128_GCM" => Some(Self::Gcm128),
            "AEAD_AES_256_GCM" => Some(Self::Gcm256),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Gcm128 => "AEAD_AES_128_GCM",
            Self::Gcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of a master key with its salt.
    #[must_use]
    pub fn master_bytes(self) -> usize {
        let profile = self.profile();
        profile.key_len() + profile.salt_len()
    }

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::AesCm80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::AesCm32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::Gcm128 => ProtectionProfile::AeadAes128Gcm,
            Self::Gcm256 => ProtectionProfile::AeadAes256Gcm,
        }
    }
}

/// A master key and its salt. It does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Master(Box<[u8]>);

impl Master {
    /// A key with its salt behind it; None where the suite's have another length.
    #[must_use]
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == suite.master_bytes()).then(|| Self(bytes.into()))
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(…)")
    }
}

/// What both ends agreed. Without `receive` the far end's key is not known yet, and nothing can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub suite: Suite,
    pub send: Master,
    pub receive: Option<Master>,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too short, or not RTP or RTCP.
    Malformed,
    /// No key for it: the far end's is not known yet, or one key has more streams than it may.
    Unkeyed,
    /// The tag is wrong, or there is none: plain RTP too.
    Forged,
    /// It came before, or is older than can be told.
    Replayed,
}

/// Protection, before what it opens for or behind what it seals.
#[must_use]
pub fn stage(suite: Suite, down: Option<Stage>) -> Stage {
    let says = format!("SRTP {}", suite.name());
    down.map_or_else(|| Stage::last(says.clone()), |down| down.after(says.clone()))
}
