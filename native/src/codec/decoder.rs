//! What a Port hears with: payloads in their order to PCM at the Port's rate.
//!
//! It is one stream's: another stream begins anew. So does another codec, and joins what was heard without a step.

use super::seam::Seam;
use super::{g722, g729, l16, opus, Codec, Law};
use crate::resample::Resampler;
use crate::timeline::scaled;

/// The state of one received stream.
#[derive(Debug)]
pub struct Decoder {
    rate_hz: u32,
    codec: Codec,
    /// From the codec's rate to the Port's, where they differ.
    edge: Option<Resampler>,
    wire: Vec<i16>,
    memory: Memory,
    seam: Seam,
}

/// What the codec itself remembers.
#[derive(Debug)]
enum Memory {
    Nothing,
    G722(Box<g722::Decoder>),
    G729(g729::Decoder),
    Opus(Box<opus::Decoder>),
}

impl Memory {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::G711(_) | Codec::L16(_) => Self::Nothing,
            Codec::G722 => Self::G722(Box::default()),
            Codec::G729 => g729::Decoder::new().map_or(Self::Nothing, Self::G729),
            Codec::Opus(_) => opus::Decoder::new().map_or(Self::Nothing, |memory| Self::Opus(Box::new(memory))),
        }
    }

    fn decode_into(&mut self, codec: Codec, payload: &[u8], pcm: &mut Vec<i16>) {
        match (codec, self) {
            (Codec::G711(law), _) => law.decode_into(payload, pcm),
            (Codec::L16(_), _) => l16::decode_into(payload, pcm),
            (_, Self::G722(memory)) => memory.decode_into(payload, pcm),
            (_, Self::G729(memory)) => memory.decode_into(payload, pcm),
            (_, Self::Opus(memory)) => memory.decode_into(payload, pcm),
            (_, Self::Nothing) => {}
        }
    }

    fn conceal_into(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) -> usize {
        match self {
            Self::Opus(memory) => memory.conceal_into(samples, next, pcm),
            Self::G729(memory) => {
                memory.conceal_into(samples, pcm);
                0
            }
            Self::Nothing | Self::G722(_) => 0,
        }
    }
}

impl Decoder {
    /// For a Port that runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            codec: Codec::G711(Law::Mu),
            edge: edge(super::NARROW, rate_hz),
            wire: Vec::new(),
            memory: Memory::Nothing,
            seam: Seam::default(),
        }
    }

    /// The Port runs at another rate from here on. The stream goes on.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
        self.edge = edge(self.codec.wire_hz(), rate_hz);
        self.seam.turn();
    }

    /// Append a payload, decoded, to `pcm`.
    pub fn decode_into(&mut self, codec: Codec, payload: &[u8], pcm: &mut Vec<i16>) {
        if self.codec != codec {
            let was_cold = self.begins_cold();
            self.codec = codec;
            self.memory = Memory::new(codec);
            self.edge = edge(codec.wire_hz(), self.rate_hz);
            if was_cold || self.begins_cold() {
                self.seam.turn(); // from law to law there is no seam
            }
        }
        let from = pcm.len();
        if let Some(edge) = &mut self.edge {
            self.wire.clear();
            self.memory.decode_into(codec, payload, &mut self.wire);
            edge.push(&self.wire, pcm);
        } else {
            self.memory.decode_into(codec, payload, pcm);
        }
        let cold = self.begins_cold();
        self.seam.pass(&mut pcm[from..], self.rate_hz, cold);
    }

    /// Whether it gives silence first, and is behind from then on.
    fn begins_cold(&self) -> bool {
        self.edge.is_some() || !matches!(self.memory, Memory::Nothing)
    }

    /// Go through a hole of `samples` in a stream of `codec`, so as to be where `next`, the packet behind it, is decoded
    /// from. What the codec gives of the hole is appended to `pcm`, where it gives any: its guess, and what `next` says
    /// again of the end. How much the latter is.
    pub fn conceal_into(&mut self, codec: Codec, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) -> usize {
        if self.codec != codec {
            return 0;
        }
        let from = pcm.len();
        let said = if let Some(edge) = &mut self.edge {
            self.wire.clear();
            let wire_hz = codec.wire_hz();
            let said = self.memory.conceal_into(scaled(samples, self.rate_hz, wire_hz), next, &mut self.wire);
            edge.push(&self.wire, pcm);
            scaled(said, wire_hz, self.rate_hz)
        } else {
            self.memory.conceal_into(samples, next, pcm)
        };
        if pcm.len() > from {
            self.seam.pass(&mut pcm[from..], self.rate_hz, true);
        }
        said.min(pcm.len() - from)
    }
}

/// A packet in is a packet out, so the filter's delay (2.9 ms at 8 kHz) stays.
fn edge(from_hz: u32, to_hz: u32) -> Option<Resampler> {
    (from_hz != to_hz).then(|| Resampler::steady(from_hz, to_hz)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_it_was_at_any_rate() {
        for (codec, bytes) in
            [("PCMU", 160), ("G722", 160), ("L16/16000", 640), ("L16/24000", 960), ("L16/48000", 1920)]
        {
            let codec = Codec::named(codec).expect("a codec");
            for rate_hz in [8000, 16_000] {
                let mut decoder = Decoder::new(rate_hz);
                for _ in 0..3 {
                    let mut pcm = Vec::new();
                    decoder.decode_into(codec, &vec![0; bytes], &mut pcm);
                    assert_eq!(pcm.len(), rate_hz as usize / 50, "{codec:?} at {rate_hz}");
                }
            }
        }
    }
}
