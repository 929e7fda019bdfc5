//! SRTP (RFC 3711, 7714) of one call, by the crate that the media plane has too: what is measured is the same work at
//! both ends. One key serves both ways; the streams' SSRCs keep their keystreams apart.

use rtc_srtp::context::Context;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::protection_profile::ProtectionProfile;

/// What `--srtp SUITE:KEY` says.
#[derive(Clone)]
pub struct Keying {
    profile: ProtectionProfile,
    master: Vec<u8>,
}

impl Keying {
    /// Read a suite by its name in RFC 4568 or 7714, and the master key with its salt in hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (suite, digits) = text.split_once(':').ok_or("--srtp: not SUITE:KEY")?;
        let profile = match suite {
            "AES_CM_128_HMAC_SHA1_80" => ProtectionProfile::Aes128CmHmacSha1_80,
            "AEAD_AES_128_GCM" => ProtectionProfile::AeadAes128Gcm,
            _ => return Err(format!("--srtp {suite}: AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM")),
        };
        let bytes = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let master: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(bytes).collect();
        let length = profile.key_len() + profile.salt_len();
        let master = master.filter(|master| master.len() == length);
        master.map(|master| Self { profile, master }).ok_or(format!("--srtp {suite}: {length} bytes of key and salt"))
    }
}

/// One call's state, both ways.
pub struct Secure {
    send: Context,
    receive: Context,
}

impl Secure {
    /// Begin with this key.
    ///
    /// # Panics
    /// Never: a `Keying` has a key of the suite's length.
    #[must_use]
    pub fn new(keying: &Keying) -> Self {
        let (key, salt) = keying.master.split_at(keying.profile.key_len());
        // What comes twice is the stream's to tell, so nothing is refused for it.
        let context = || Context::new(key, salt, keying.profile, None, None, &RingCrypto).expect("a key of its length");
        Self { send: context(), receive: context() }
    }

    /// What leaves for an RTP packet.
    ///
    /// # Panics
    /// Where the packet is none, or the key is used up: neither happens to the load's own.
    pub fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        self.send.encrypt_rtp(packet).expect("our own packet").to_vec()
    }

    /// What leaves for a compound of RTCP.
    ///
    /// # Panics
    /// As [`Self::seal`].
    pub fn seal_report(&mut self, report: &[u8]) -> Vec<u8> {
        self.send.encrypt_rtcp(report).expect("our own report").to_vec()
    }

    /// The RTP packet that came; None where its tag is wrong.
    pub fn open(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        self.receive.decrypt_rtp(data).ok().map(|plain| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp;

    #[test]
    fn what_is_sealed_is_opened_and_what_was_touched_is_not() {
        for (suite, bytes) in [("AES_CM_128_HMAC_SHA1_80", 30), ("AEAD_AES_128_GCM", 28)] {
            let keying = Keying::parse(&format!("{suite}:{}", "5a".repeat(bytes))).expect("a suite and a key");
            let (mut near, mut far) = (Secure::new(&keying), Secure::new(&keying));
            let mut packet = [0x2A; rtp::HEADER + 160];
            rtp::write_header(&mut packet, false, 0, 7, 160, 9);
            let mut sealed = near.seal(&packet);
            assert_ne!(sealed[rtp::HEADER..packet.len()], packet[rtp::HEADER..]);
            assert_eq!(far.open(&sealed).as_deref(), Some(&packet[..]), "{suite}");
            *sealed.last_mut().expect("a tag") ^= 1;
            assert_eq!(far.open(&sealed), None, "{suite}");
        }
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for bad in ["", "AEAD_AES_128_GCM", "AEAD_AES_128_GCM:5a", "AEAD_AES_128_GCM:zz", "NULL:00"] {
            assert!(Keying::parse(bad).is_err(), "{bad}");
        }
    }
}
