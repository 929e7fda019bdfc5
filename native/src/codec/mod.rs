//! The audio payloads that a Port speaks: what a codec is, and the streams that remember.
//!
//! ```text
//! payload ─► Decoder ─► PCM at the Port's rate (8 or 16 kHz) ─► … ─► Encoder ─► payload
//!              the wire's own rate is converted here, at the edge, and nowhere else
//! ```
//!
//! Two rates belong to a codec, and they are not the same: `clock_hz` runs the RTP timestamp (G.722 says 8000 by an
//! old mistake, RFC 3551 section 4.5.2; Opus always 48000, RFC 7587 section 4.1), `rate_hz` is what a Port that
//! speaks it runs at. A codec is one small file.

mod bcg729;
mod decoder;
mod encoder;
pub mod g711;
mod g722;
mod g729;
mod l16;
pub mod noise;
pub mod opus;
mod seam;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// The rate of a Port that speaks narrow-band codecs, and of one that speaks any other.
pub const NARROW: u32 = 8000;
pub const WIDE: u32 = 16_000;
/// The longest payload of audio, ms: what the RFCs allow of G.711, and more than any other sends.
pub const LONGEST_MS: u32 = 200;
/// Rates of L16 that we speak (RFC 3551 section 4.5.11 leaves the rate to the rtpmap).
const L16_RATES: [u32; 4] = [8000, 16_000, 24_000, 48_000];

/// The codec that not every system has, and what there is to say where it is missing.
pub const G729: &str = "G729";
pub const MISSING: &str = "G729 needs the library bcg729, which is not installed: apt-get install libbcg729-0";

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

/// A codec as it was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    G711(Law),
    /// 64 kbit/s, static payload 9, with a clock of 8000.
    G722,
    /// 8 kbit/s, static payload 18; only where the system has it.
    G729,
    /// 16-bit samples in network order, at this rate.
    L16(u32),
    /// Its clock is 48 kHz; we speak it at 16 kHz. How it is sent is what the far end asked for.
    Opus(opus::Terms),
}

impl Codec {
    /// The codec of an encoding name, with its clock behind a slash where the name alone is not enough ("L16/16000"),
    /// and with what was asked for behind a semicolon where it can be ("opus;useinbandfec=1").
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if let Some(law) = Law::named(name) {
            return Some(Self::G711(law));
        }
        if name.eq_ignore_ascii_case("G722") {
            return Some(Self::G722);
        }
        if name.eq_ignore_ascii_case(G729) {
            return bcg729::is_there().then_some(Self::G729);
        }
        let (plain, parameters) = name.split_once(';').unwrap_or((name, ""));
        if plain.eq_ignore_ascii_case("opus") {
            return Some(Self::Opus(opus::Terms::parse(parameters)));
        }
        let (name, hz) = name.split_once('/')?;
        let hz = hz.parse().ok().filter(|hz| L16_RATES.contains(hz))?;
        name.eq_ignore_ascii_case("L16").then_some(Self::L16(hz))
    }

    /// Ticks of the RTP timestamp in a second.
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::G711(_) | Self::G722 | Self::G729 => 8000,
            Self::L16(hz) => hz,
            Self::Opus(_) => 48_000,
        }
    }

    /// Samples in a second of the PCM that the codec itself takes and gives.
    #[must_use]
    pub const fn wire_hz(self) -> u32 {
        match self {
            Self::G711(_) | Self::G729 => 8000,
            Self::G722 | Self::Opus(_) => WIDE,
            Self::L16(hz) => hz,
        }
    }

    /// The rate of a Port that speaks it.
    #[must_use]
    pub const fn rate_hz(self) -> u32 {
        if self.wire_hz() <= NARROW {
            NARROW
        } else {
            WIDE
        }
    }

    /// How many ticks of the RTP clock a payload lasts; None where it is none of this codec.
    #[must_use]
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        let bytes = u32::try_from(payload.len()).ok()?;
        let ticks = match self {
            Self::G711(_) | Self::G722 => bytes,
            Self::L16(_) if bytes.is_multiple_of(2) => bytes / 2,
            Self::L16(_) => return None,
            Self::Opus(_) => return opus::ticks(payload),
            Self::G729 => g729::ticks(payload)?,
        };
        (1..=self.clock_hz() / 1000 * LONGEST_MS).contains(&ticks).then_some(ticks)
    }

    /// The encoding name (RFC 3551).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::G711(Law::Mu) => "PCMU",
            Self::G711(Law::A) => "PCMA",
            Self::L16(_) => "L16",
            Self::G722 => "G722",
            Self::G729 => G729,
            Self::Opus(_) => "opus",
        }
    }

    /// The law, where the codec is one.
    #[must_use]
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::G711(law) => Some(law),
            Self::G722 | Self::G729 | Self::L16(_) | Self::Opus(_) => None,
        }
    }

    /// Whether it can be sent in packets of so many ms.
    #[must_use]
    pub const fn lasts(self, ptime_ms: u32) -> bool {
        match self {
            Self::Opus(_) => matches!(ptime_ms, 10 | 20 | 40 | 60),
            Self::G729 => ptime_ms.is_multiple_of(10) && ptime_ms >= 10 && ptime_ms <= LONGEST_MS,
            Self::G711(_) | Self::G722 | Self::L16(_) => ptime_ms >= 10 && ptime_ms <= LONGEST_MS,
        }
    }

    /// So many ms of digital silence; nothing where a codec has no such thing.
    #[must_use]
    pub fn silence(self, ms: u32) -> Vec<u8> {
        let samples = (ms * (self.wire_hz() / 1000)) as usize;
        match self {
            Self::G711(law) => vec![law.silence(); samples],
            Self::L16(_) => vec![0; 2 * samples],
            Self::G722 | Self::G729 | Self::Opus(_) => Vec::new(),
        }
    }

    /// Whether a payload says that silence follows, for which nothing may come.
    #[must_use]
    pub const fn is_silence(self, payload: &[u8]) -> bool {
        match self {
            Self::Opus(_) => opus::is_silence(payload),
            Self::G729 => g729::is_silence(payload),
            Self::G711(_) | Self::G722 | Self::L16(_) => false,
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name(), self.clock_hz())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_codec_and_what_is_unknown_is_none() {
        assert_eq!(Codec::named("pcmu"), Some(Codec::G711(Law::Mu)));
        assert_eq!(Codec::named("G722"), Some(Codec::G722));
        assert_eq!(Codec::named("L16/16000"), Some(Codec::L16(16_000)));
        let terms = opus::Terms { fec: true, ..opus::Terms::default() };
        assert_eq!(Codec::named("OPUS;useinbandfec=1"), Some(Codec::Opus(terms)));
        for unknown in ["L16", "opus/48000", "L16/16000;x=1", "L16/44100", "L16/", "AMR", "PCMU/16000", ""] {
            assert_eq!(Codec::named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_payload_lasts_as_long_as_its_codec_says() {
        let pcmu = Codec::G711(Law::Mu);
        assert_eq!(pcmu.ticks(&[0; 160]), Some(160));
        assert_eq!(pcmu.ticks(&[]), None);
        assert_eq!(pcmu.ticks(&[0; 1601]), None);
        assert_eq!(Codec::G722.ticks(&[0; 160]), Some(160));
        assert_eq!(Codec::L16(48_000).ticks(&[0; 960]), Some(480));
        assert_eq!(Codec::L16(16_000).ticks(&[0; 641]), None);
    }
}
