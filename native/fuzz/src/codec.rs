//! Codecs: a stream of any packets and holes is as long as its packets say, and what was heard can be said again.
//!
//! The first byte names the codec; then each byte is a packet's length and its bytes follow. A length of zero is a hole.

use _native::codec::{Codec, Decoder, Encoder};

use crate::plant;

/// G.729 is where the system has it.
const NAMES: [&str; 8] =
    ["PCMU", "PCMA", "G722", "L16/16000", "L16/48000", "opus;useinbandfec=1", "opus;usedtx=1", "G729"];
const RATES: [u32; 2] = [8000, 16_000];
/// What one packet holds at most, ms.
const MOST_MS: u32 = 200;

/// Hold decoder and encoder against `data`.
///
/// # Panics
/// Where they break a law.
pub fn check(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let Some(codec) = Codec::named(NAMES[usize::from(first) % NAMES.len()]) else { return };
    let rate_hz = RATES[usize::from(first >> 7)];
    let (mut decoder, mut encoder) = (Decoder::new(rate_hz), Encoder::new(rate_hz));
    let (mut pcm, mut payload) = (Vec::new(), Vec::new());
    let frame = rate_hz as usize / 50;
    while let Some((&length, others)) = rest.split_first() {
        let (packet, others) = others.split_at(usize::from(length).min(others.len()));
        rest = others;
        pcm.clear();
        if let Some(ticks) = codec.ticks(packet).map(|ticks| plant::in_codec(codec, packet, ticks)) {
            assert!(ticks <= codec.clock_hz() / 1000 * MOST_MS, "a packet is longer than any");
            decoder.decode_into(codec, packet, &mut pcm);
            let heard = u64::from(ticks) * u64::from(rate_hz) / u64::from(codec.clock_hz());
            assert!((pcm.len() as u64).abs_diff(heard) <= 1, "a packet is not as long as it says");
        } else {
            let said = decoder.conceal_into(codec, frame, (!rest.is_empty()).then_some(rest), &mut pcm);
            assert!(pcm.is_empty() || pcm.len() == frame, "a hole is not as long as it is");
            assert!(said <= pcm.len(), "more is said again than was lost");
        }
        pcm.resize(frame, 0);
        payload.clear();
        encoder.encode_into(codec, &pcm, frame, &mut payload);
        if !payload.is_empty() {
            assert_eq!(codec.ticks(&payload), Some(codec.clock_hz() / 50), "what is said is not a packet");
        }
    }
}
