//! ITU-T G.729 at 8 kbit/s over RTP (RFC 3551 section 4.5.6): the codec itself is the system's bcg729, where it is.
//!
//! ```text
//! a packet ─► frames of 10 bytes, 10 ms each, and at most one of 2 behind them, which describes silence ─► 8 kHz
//! a hole   ─► the codec's own guess, which leads it on and which nobody hears; behind a description of silence, more of that
//! ```
//!
//! Annex B is never agreed to (RFC 7261 section 3), so what we send always sounds; what it sends all the same is heard.

use super::bcg729::{self, Frame, FRAME, SILENCE, SOUND};

/// How many ticks of 8 kHz a packet lasts; None where it is none.
#[must_use]
pub fn ticks(packet: &[u8]) -> Option<u32> {
    let frames = match packet.len() % SOUND {
        0 => packet.len() / SOUND,
        SILENCE => packet.len() / SOUND + 1,
        _ => return None,
    };
    u32::try_from(frames * FRAME).ok().filter(|&ticks| ticks > 0)
}

/// Whether a packet says that silence follows.
#[must_use]
pub const fn is_silence(packet: &[u8]) -> bool {
    packet.len() % SOUND == SILENCE
}

/// The decoder of one stream.
pub struct Decoder(bcg729::Decoder);

impl Decoder {
    /// None where the library is not there.
    #[must_use]
    pub fn new() -> Option<Self> {
        bcg729::Decoder::new().map(Self)
    }

    /// Append a packet to `pcm`.
    pub fn decode_into(&mut self, packet: &[u8], pcm: &mut Vec<i16>) {
        let (frames, rest) = packet.as_chunks::<SOUND>();
        for frame in frames {
            self.run(Frame::Sound(frame), pcm);
        }
        if let Ok(silence) = rest.try_into() {
            self.run(Frame::Silence(silence), pcm);
        }
    }

    /// Append `samples` of a hole.
    pub fn conceal_into(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        let end = pcm.len() + samples;
        while pcm.len() < end {
            self.run(Frame::Missing, pcm);
        }
        pcm.truncate(end);
    }

    fn run(&mut self, frame: Frame<'_>, pcm: &mut Vec<i16>) {
        let mut samples = [0; FRAME];
        self.0.decode(frame, &mut samples);
        pcm.extend_from_slice(&samples);
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("g729::Decoder")
    }
}

/// The encoder of one stream.
pub struct Encoder(bcg729::Encoder);

impl Encoder {
    /// None where the library is not there.
    #[must_use]
    pub fn new() -> Option<Self> {
        bcg729::Encoder::new().map(Self)
    }

    /// Append `pcm`, frame by frame, to `payload`; what is left over is not sent.
    pub fn encode_into(&mut self, pcm: &[i16], payload: &mut Vec<u8>) {
        for frame in pcm.as_chunks::<FRAME>().0 {
            payload.extend_from_slice(&self.0.encode(frame));
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("g729::Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_frames_of_ten_bytes_and_one_of_two_at_most() {
        let ticks = [0, 2, 10, 12, 20, 60, 1, 9, 11, 13, 14].map(|length| ticks(&vec![0; length]));
        let sound = [None, Some(80), Some(80), Some(160), Some(160), Some(480)];
        assert_eq!(ticks[..6], sound);
        assert_eq!(ticks[6..], [None; 5]);
        assert!(is_silence(&[0; 2]) && is_silence(&[0; 12]) && !is_silence(&[0; 20]));
    }

    #[test]
    fn a_hole_is_as_long_as_it_is() {
        let Some(mut decoder) = Decoder::new() else { return };
        let mut pcm = Vec::new();
        for samples in [0, 1, 80, 81, 240] {
            pcm.clear();
            decoder.conceal_into(samples, &mut pcm);
            assert_eq!(pcm.len(), samples);
        }
        decoder.decode_into(&[0; 22], &mut pcm);
        assert_eq!(pcm.len(), 240 + 240);
    }
}
