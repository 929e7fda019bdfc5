//! Opus (RFC 6716) over RTP (RFC 7587), mono, run at 16 kHz: the codec itself is the crate `ropus`.
//!
//! ```text
//! a packet ─► TOC: how long it is ─► SILK, CELT or both ─► 16 kHz
//! a hole   ─► what the next packet says again of it (in-band FEC); before that the codec's own guess
//! ```
//!
//! Nobody hears the guess, which is worse than concealment; but who decodes on behind a hole without it is further off.
//!
//! The RTP clock is 48 kHz whatever the codec runs at (section 4.1). What the far end's format parameters ask of us are
//! [`Terms`]; what it sends says by itself what it is.

use ropus::opus::decoder::opus_packet_has_lbrr;
use ropus::{Application, Bandwidth, Bitrate, Channels, DecodeMode, InbandFec, Signal};

use super::WIDE;

/// Bits a second where the far end says nothing: where wideband speech of 20 ms is good (RFC 7587 section 3.1.1).
const BITRATE: u32 = 24_000;
/// What may be asked for (section 6.1).
const LEAST_BITRATE: u32 = 6000;
const MOST_BITRATE: u32 = 64_000;
/// Of 0 to 10. Beyond it a call costs half as much again, for 0.03 of PESQ.
const COMPLEXITY: u8 = 5;
/// The least loss that is reckoned with, percent: below it nothing is said twice at our bitrate.
const LOSS: u8 = 10;
/// The largest packet that we make: what 64 kbit/s are in 60 ms, thrice.
const LARGEST: usize = 1500;
/// A packet of at most this says that the rest is silence (DTX).
const SILENT: usize = 2;
/// A packet holds at most 120 ms (RFC 6716 section 3.2.5), in ticks of 48 kHz.
const MOST_TICKS: u32 = 5760;

/// What the far end's format parameters ask of what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// It makes use of in-band FEC.
    pub fec: bool,
    /// We may leave out packets of silence.
    pub dtx: bool,
    pub cbr: bool,
    /// Bits a second at most, on average.
    pub bitrate: u32,
    /// What it plays out at most, Hz.
    pub playback_hz: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { fec: false, dtx: false, cbr: false, bitrate: BITRATE, playback_hz: 48_000 }
    }
}

impl Terms {
    /// Read format parameters as SDP has them: `useinbandfec=1;maxaveragebitrate=20000`. What is unknown is not for us.
    #[must_use]
    pub fn parse(parameters: &str) -> Self {
        let mut terms = Self::default();
        for (name, value) in parameters.split(';').filter_map(|one| one.trim().split_once('=')) {
            let value: Option<u32> = value.trim().parse().ok();
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                ("useinbandfec", Some(on)) => terms.fec = on == 1,
                ("usedtx", Some(on)) => terms.dtx = on == 1,
                ("cbr", Some(on)) => terms.cbr = on == 1,
                ("maxaveragebitrate", Some(most)) => terms.bitrate = most.clamp(LEAST_BITRATE, MOST_BITRATE),
                ("maxplaybackrate", Some(most)) => terms.playback_hz = most,
                _ => {}
            }
        }
        terms
    }
}

/// How many ticks of 48 kHz a packet lasts; None where it is none (RFC 6716 section 3).
#[must_use]
pub fn ticks(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = frame(toc);
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 63),
    };
    Some(frame * frames).filter(|ticks| (1..=MOST_TICKS).contains(ticks))
}

/// How many ticks of 48 kHz a frame of a packet that begins so lasts.
fn frame(toc: u8) -> u32 {
    match toc >> 3 {
        silk @ 0..=11 => [480, 960, 1920, 2880][usize::from(silk & 3)],
        hybrid @ 12..=15 => [480, 960][usize::from(hybrid & 1)],
        celt => [120, 240, 480, 960][usize::from(celt & 3)],
    }
}

/// How many ticks right before it a packet says again: a frame (RFC 6716 section 4.2.3), or 0.
fn again(packet: &[u8]) -> u32 {
    let (Some(_), Ok(length)) = (ticks(packet), i32::try_from(packet.len())) else { return 0 };
    if opus_packet_has_lbrr(packet, length) == Ok(true) {
        frame(packet[0])
    } else {
        0
    }
}

/// Whether a packet says that silence follows, and is nothing that must be sent.
#[must_use]
pub const fn is_silence(packet: &[u8]) -> bool {
    packet.len() <= SILENT
}

/// The decoder of one stream.
pub struct Decoder(ropus::Decoder);

impl Decoder {
    /// None where there is no memory for it.
    #[must_use]
    pub fn new() -> Option<Self> {
        ropus::Decoder::new(WIDE, Channels::Mono).ok().map(Self)
    }

    /// Append a packet to `pcm`; silence where it is broken.
    pub fn decode_into(&mut self, packet: &[u8], pcm: &mut Vec<i16>) {
        let samples = ticks(packet).map_or(0, |ticks| ticks as usize / 3);
        self.run(packet, samples, DecodeMode::Normal, pcm);
    }

    /// Append `samples` of a hole: a guess, and what `next`, the packet behind it, says again of its end; how much that
    /// is.
    pub fn conceal_into(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) -> usize {
        let next = next.map(|next| (next, again(next) as usize / 3)).filter(|(_, said)| (1..=samples).contains(said));
        let said = next.map_or(0, |(_, said)| said);
        // The codec guesses in steps of 2.5 ms, which packets are made of.
        if samples > said {
            self.run(&[], samples - said, DecodeMode::Normal, pcm);
        }
        if let Some((next, said)) = next {
            self.run(next, said, DecodeMode::Fec, pcm);
        }
        said
    }

    fn run(&mut self, packet: &[u8], samples: usize, mode: DecodeMode, pcm: &mut Vec<i16>) {
        let begin = pcm.len();
        pcm.resize(begin + samples, 0);
        if self.0.decode(packet, &mut pcm[begin..], mode).is_err() {
            pcm[begin..].fill(0);
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
    }
}

/// The encoder of one stream.
pub struct Encoder {
    inner: ropus::Encoder,
    dtx: bool,
    loss: u8,
    packet: Box<[u8; LARGEST]>,
}

impl Encoder {
    /// None where there is no memory for it.
    #[must_use]
    pub fn new(terms: Terms) -> Option<Self> {
        let mut inner = ropus::Encoder::builder(WIDE, Channels::Mono, Application::Voip)
            .signal(Signal::Voice)
            .complexity(COMPLEXITY)
            .bitrate(Bitrate::Bits(BITRATE.min(terms.bitrate)))
            .vbr(!terms.cbr)
            .dtx(terms.dtx)
            .inband_fec(if terms.fec { InbandFec::Enabled } else { InbandFec::Disabled })
            .packet_loss_perc(LOSS)
            .build()
            .ok()?;
        let narrow = terms.playback_hz < WIDE;
        inner.set_max_bandwidth(if narrow { Bandwidth::Narrowband } else { Bandwidth::Wideband }).ok()?;
        Some(Self { inner, dtx: terms.dtx, loss: LOSS, packet: Box::new([0; LARGEST]) })
    }

    /// The far end loses so many of our packets, percent.
    pub fn expect_loss(&mut self, percent: u8) {
        let percent = percent.clamp(LOSS, 100);
        if self.loss != percent && self.inner.set_packet_loss_perc(percent).is_ok() {
            self.loss = percent;
        }
    }

    /// Append `pcm`, a packet time of it, to `payload`. Nothing is appended where all of it is silence and may be left
    /// out.
    pub fn encode_into(&mut self, pcm: &[i16], payload: &mut Vec<u8>) {
        let length = self.inner.encode(pcm, &mut self.packet[..]).unwrap_or(0);
        let packet = &self.packet[..length];
        if !(self.dtx && is_silence(packet)) {
            payload.extend_from_slice(packet);
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speechlike(packets: usize) -> Vec<i16> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let sample = |n: usize| {
            let t = n as f64 / f64::from(WIDE);
            let pitch =
                (1..12).map(|k| (std::f64::consts::TAU * 140.0 * f64::from(k) * t).sin() / f64::from(k)).sum::<f64>();
            (pitch * 5000.0 * (1.0 + (std::f64::consts::TAU * 3.0 * t).sin())) as i16
        };
        (0..packets * 320).map(sample).collect()
    }

    #[test]
    fn parameters_are_read_and_what_is_strange_is_bounded() {
        let terms =
            Terms::parse("minptime=10; useinbandfec=1;maxaveragebitrate=999999;maxplaybackrate=8000;x;usedtx=x");
        let wanted = Terms { fec: true, bitrate: MOST_BITRATE, playback_hz: 8000, ..Terms::default() };
        assert_eq!(terms, wanted);
        assert_eq!(Terms::parse(""), Terms::default());
    }

    #[test]
    fn a_packet_says_how_long_it_is() {
        assert_eq!(ticks(&[]), None);
        assert_eq!(ticks(&[1 << 3]), Some(960));
        assert_eq!(ticks(&[3 << 3 | 1]), Some(5760));
        assert_eq!(ticks(&[31 << 3 | 3, 6]), Some(5760));
        assert_eq!(ticks(&[31 << 3 | 3, 7]), None);
        assert_eq!(ticks(&[31 << 3 | 3]), None);
    }

    #[test]
    fn the_packet_behind_a_hole_says_what_was_in_it() {
        let pcm = speechlike(50);
        let mut encoder = Encoder::new(Terms { fec: true, ..Terms::default() }).expect("memory");
        encoder.expect_loss(20);
        let packets: Vec<Vec<u8>> = pcm
            .chunks(320)
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode_into(frame, &mut packet);
                packet
            })
            .collect();
        let heard = |lost: usize, behind: bool| {
            let (mut decoder, mut heard) = (Decoder::new().expect("memory"), Vec::new());
            for (n, packet) in packets.iter().enumerate() {
                if n == lost {
                    decoder.conceal_into(320, behind.then(|| packets[n + 1].as_slice()), &mut heard);
                } else {
                    decoder.decode_into(packet, &mut heard);
                }
            }
            heard
        };
        let whole = heard(usize::MAX, false);
        assert_eq!(whole.len(), pcm.len());
        let apart = |lost, behind| {
            let heard = heard(lost, behind);
            let off = |n: usize| i64::from(whole[n]) - i64::from(heard[n]);
            (lost * 320..(lost + 1) * 320).map(|n| off(n).pow(2)).sum::<i64>()
        };
        let (said_again, guessed): (i64, i64) =
            (20..40).fold((0, 0), |(said, guessed), lost| (said + apart(lost, true), guessed + apart(lost, false)));
        assert!(said_again * 2 < guessed, "{said_again} against {guessed}");
    }

    #[test]
    fn silence_may_be_left_out_where_that_was_asked_for() {
        for dtx in [false, true] {
            let mut encoder = Encoder::new(Terms { dtx, ..Terms::default() }).expect("memory");
            let sent = (0..100).filter(|_| {
                let mut packet = Vec::new();
                encoder.encode_into(&[0; 320], &mut packet);
                !packet.is_empty()
            });
            let sent = sent.count();
            assert!(if dtx { sent < 30 } else { sent == 100 }, "{dtx}: {sent}");
        }
    }

    #[test]
    fn what_is_broken_is_as_long_as_it_says() {
        let (mut decoder, mut pcm) = (Decoder::new().expect("memory"), Vec::new());
        decoder.decode_into(&[1 << 3 | 1, 0xFF, 0xFF], &mut pcm);
        assert_eq!(pcm.len(), 640);
        decoder.conceal_into(7, None, &mut pcm);
        assert_eq!(pcm.len(), 647);
    }
}
