//! The audio payloads that a Port speaks. A codec is one small file of the same shape: a table each way.

pub mod g711;

/// A G.711 law. The wire has one byte a sample at 8 kHz either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law, "PCMU", static payload 0 (RFC 3551 section 4.5.14).
    Mu,
    /// A-law, "PCMA", static payload 8.
    A,
}

impl Law {
    /// The law of an SDP encoding name, None for any other codec.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("PCMU") {
            Some(Self::Mu)
        } else if name.eq_ignore_ascii_case("PCMA") {
            Some(Self::A)
        } else {
            None
        }
    }

    /// The code of a sample of value zero, as it is sent for silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// Append `payload`, decoded, to `pcm`.
    pub fn decode_into(self, payload: &[u8], pcm: &mut Vec<i16>) {
        let table = match self {
            Self::Mu => &g711::MU_TO_LINEAR,
            Self::A => &g711::A_TO_LINEAR,
        };
        pcm.extend(payload.iter().map(|&code| table[usize::from(code)]));
    }

    /// Append `pcm`, encoded, to `payload`.
    pub fn encode_into(self, pcm: &[i16], payload: &mut Vec<u8>) {
        match self {
            Self::Mu => payload.extend(pcm.iter().map(|&sample| g711::mu_of(sample))),
            Self::A => payload.extend(pcm.iter().map(|&sample| g711::a_of(sample))),
        }
    }
}
