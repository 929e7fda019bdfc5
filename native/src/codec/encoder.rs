//! What a Port speaks with: PCM at the Port's rate to payloads, a packet time at once.
//!
//! It is one stream's: another codec begins anew, and joins what was said without a step.

use super::seam::Seam;
use super::{g722, g729, l16, opus, Codec, Law};
use crate::resample::Resampler;

/// The state of what we send.
#[derive(Debug)]
pub struct Encoder {
    rate_hz: u32,
    codec: Codec,
    /// From the Port's rate to the codec's, where they differ.
    edge: Option<Resampler>,
    frame: Vec<i16>,
    wire: Vec<i16>,
    memory: Memory,
    /// What the far end loses, percent.
    loss: u8,
    seam: Seam,
}

/// What the codec itself remembers.
#[derive(Debug)]
enum Memory {
    Nothing,
    G722(Box<g722::Encoder>),
    G729(g729::Encoder),
    Opus(Box<opus::Encoder>),
}

impl Memory {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::G711(_) | Codec::L16(_) => Self::Nothing,
            Codec::G722 => Self::G722(Box::default()),
            Codec::G729 => g729::Encoder::new().map_or(Self::Nothing, Self::G729),
            Codec::Opus(terms) => {
                opus::Encoder::new(terms).map_or(Self::Nothing, |memory| Self::Opus(Box::new(memory)))
            }
        }
    }

    fn encode_into(&mut self, codec: Codec, pcm: &[i16], payload: &mut Vec<u8>) {
        match (codec, self) {
            (Codec::G711(law), _) => law.encode_into(pcm, payload),
            (Codec::L16(_), _) => l16::encode_into(pcm, payload),
            (_, Self::G722(memory)) => memory.encode_into(pcm, payload),
            (_, Self::G729(memory)) => memory.encode_into(pcm, payload),
            (_, Self::Opus(memory)) => memory.encode_into(pcm, payload),
            (_, Self::Nothing) => {}
        }
    }
}

impl Encoder {
    /// For a Port that runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let (frame, wire) = (Vec::new(), Vec::new());
        Self {
            rate_hz,
            codec: Codec::G711(Law::Mu),
            edge: edge(rate_hz, super::NARROW),
            frame,
            wire,
            memory: Memory::Nothing,
            loss: 0,
            seam: Seam::default(),
        }
    }

    /// The Port runs at another rate from here on.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
        self.edge = edge(rate_hz, self.codec.wire_hz());
        self.seam.turn();
    }

    /// The far end loses so many of our packets, percent.
    pub fn expect_loss(&mut self, percent: u8) {
        self.loss = percent;
        if let Memory::Opus(memory) = &mut self.memory {
            memory.expect_loss(percent);
        }
    }

    /// Append a packet of `samples` to `payload`: `pcm`, and silence for what it is short of that. Nothing is appended
    /// where a codec leaves silence out.
    pub fn encode_into(&mut self, codec: Codec, pcm: &[i16], samples: usize, payload: &mut Vec<u8>) {
        if self.codec != codec {
            self.codec = codec;
            self.memory = Memory::new(codec);
            self.expect_loss(self.loss);
            let before = self.edge.is_some();
            self.edge = edge(self.rate_hz, codec.wire_hz());
            if before || self.edge.is_some() {
                self.seam.turn();
            }
        }
        if let (Codec::G711(law), None, false) = (codec, &self.edge, self.seam.is_due()) {
            // By far the most calls: no copy.
            self.seam.remember(if pcm.len() < samples { &[0, 0] } else { pcm }, self.rate_hz);
            let end = payload.len() + samples;
            law.encode_into(pcm, payload);
            return payload.resize(end, law.silence());
        }
        self.frame.clear();
        self.frame.extend_from_slice(pcm);
        self.frame.resize(samples, 0);
        let frame = if let Some(edge) = &mut self.edge {
            self.wire.clear();
            edge.push(&self.frame, &mut self.wire);
            &mut self.wire
        } else {
            &mut self.frame
        };
        self.seam.pass(frame, codec.wire_hz(), self.edge.is_some());
        self.memory.encode_into(codec, frame, payload);
    }
}

fn edge(from_hz: u32, to_hz: u32) -> Option<Resampler> {
    (from_hz != to_hz).then(|| Resampler::steady(from_hz, to_hz)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_bytes_whatever_there_is_to_say() {
        for (codec, bytes) in [("PCMU", 160), ("G722", 160), ("L16/8000", 320), ("L16/16000", 640), ("L16/24000", 960)]
        {
            let codec = Codec::named(codec).expect("a codec");
            for rate_hz in [8000usize, 16_000] {
                let mut encoder = Encoder::new(u32::try_from(rate_hz).expect("small"));
                for said in [0, 7, rate_hz / 50] {
                    let mut payload = Vec::new();
                    encoder.encode_into(codec, &vec![100; said], rate_hz / 50, &mut payload);
                    assert_eq!(payload.len(), bytes, "{codec:?} at {rate_hz}");
                }
            }
        }
    }
}
