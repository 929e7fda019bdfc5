//! What the load speaks besides µ-law: the media plane's own files, since only what a call costs is asked here, and
//! whether they are right is held against others elsewhere.

#[path = "../../../native/src/codec/bcg729.rs"]
mod bcg729;
#[path = "../../../native/src/codec/g722.rs"]
#[allow(dead_code)]
mod g722;
#[path = "../../../native/src/codec/g729.rs"]
#[allow(dead_code)]
mod g729;
#[path = "../../../native/src/codec/opus.rs"]
#[allow(dead_code)]
mod opus;

use crate::{g711, FRAME};

/// What a wideband codec takes, Hz.
const WIDE: u32 = 16_000;

/// A codec of the load's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Pcmu,
    G722,
    G729,
    Opus(opus::Terms),
}

enum Encoder {
    Pcmu,
    G722(Box<g722::Encoder>),
    G729(g729::Encoder),
    Opus(Box<opus::Encoder>),
}

impl Codec {
    /// Read a name as the media plane has it: `G722`, `opus;useinbandfec=1`.
    ///
    /// # Errors
    /// Where it is none of ours, or the system lacks it.
    pub fn parse(name: &str) -> Result<Self, String> {
        let (plain, parameters) = name.split_once(';').unwrap_or((name, ""));
        match plain {
            "PCMU" => Ok(Self::Pcmu),
            "G722" => Ok(Self::G722),
            "G729" if bcg729::is_there() => Ok(Self::G729),
            "opus" => Ok(Self::Opus(opus::Terms::parse(parameters))),
            _ => Err(format!("--codec {name}: PCMU, G722, opus, or G729 where the system has bcg729")),
        }
    }

    /// The payload number that both ends have for it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::G722 => 9,
            Self::G729 => 18,
            Self::Opus(_) => 111,
        }
    }

    /// Ticks of the RTP clock in a second.
    #[must_use]
    pub fn clock_hz(self) -> u32 {
        if matches!(self, Self::Opus(_)) {
            48_000
        } else {
            8000
        }
    }

    /// Ticks of the RTP clock in a packet.
    #[must_use]
    pub fn ticks(self) -> u32 {
        self.clock_hz() / 50
    }

    /// Make packets of µ-law codes.
    #[must_use]
    pub fn packets(self, codes: &[u8]) -> Vec<Vec<u8>> {
        let linear = g711::linear_of_code();
        let mut encoder = match self {
            Self::Pcmu => Some(Encoder::Pcmu),
            Self::G722 => Some(Encoder::G722(Box::default())),
            Self::G729 => g729::Encoder::new().map(Encoder::G729),
            Self::Opus(terms) => opus::Encoder::new(terms).map(|inner| Encoder::Opus(Box::new(inner))),
        };
        let packet = |codes: &[u8]| {
            let (mut payload, narrow) = (Vec::new(), codes.iter().map(|&code| linear[usize::from(code)]));
            match &mut encoder {
                None => {}
                Some(Encoder::Pcmu) => payload.extend_from_slice(codes),
                Some(Encoder::G722(inner)) => inner.encode_into(&widened(narrow), &mut payload),
                Some(Encoder::G729(inner)) => inner.encode_into(&narrow.collect::<Vec<_>>(), &mut payload),
                Some(Encoder::Opus(inner)) => inner.encode_into(&widened(narrow), &mut payload),
            }
            payload
        };
        codes.chunks_exact(FRAME).map(packet).collect()
    }
}

/// Twice the rate: every other sample is the mean of those beside it.
fn widened(narrow: impl Iterator<Item = i16>) -> Vec<i16> {
    let mut before = 0;
    narrow
        .flat_map(|sample| {
            let between = i16::midpoint(std::mem::replace(&mut before, sample), sample);
            [between, sample]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_a_packet_for_every_frame() {
        for (name, bytes) in [("PCMU", Some(160)), ("G722", Some(160)), ("G729", Some(20)), ("opus", None)] {
            let Ok(codec) = Codec::parse(name) else { continue };
            let packets = codec.packets(&[0x80; 5 * FRAME]);
            assert_eq!(packets.len(), 5, "{name}");
            assert!(packets.iter().all(|packet| bytes.map_or(!packet.is_empty(), |bytes| packet.len() == bytes)));
        }
        assert!(Codec::parse("AMR").is_err());
    }
}
