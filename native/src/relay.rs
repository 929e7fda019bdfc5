//! A port as others hear it: its far end, made isochronous for people, and what we play to that one.
//!
//! ```text
//! packets as they arrive ─► play-out buffer ─► decoder ─► far  ┐ pull: at any time, without a gap,
//! what the mouth sends of our own ───────────────────────► ours ┘ by any number of listeners (mix.rs)
//! ```
//!
//! It takes packets before the ear does: the ear waits behind a hole for its own reasons, and gives up for its own. A
//! packet here is early enough if it comes before its turn. Nothing waits on the way from a pull to the packet that
//! leaves: the listener's grid pulls. What we play is known when it leaves, so others hear it a packet later.

use crate::codec::noise::Noise;
use crate::codec::Codec;
use crate::counters::{Count, Counters};
use crate::line::Line;
use crate::playout::Playout;
use crate::timeline::within;

/// A delay that changes moves what is muted by so much.
const SLACK: i64 = 10_000_000;

/// Which side of a port is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its far end.
    Far,
    /// What we play to it.
    Ours,
}

/// One port, for its listeners.
#[derive(Debug)]
pub struct Relay {
    /// What both of its port's sides run at, and the clock of the packets that come.
    rate_hz: u32,
    clock_hz: u32,
    /// What the far end said of the silence that it leaves out.
    noise: Option<Noise>,
    playout: Playout,
    far: Line,
    ours: Line,
    /// From when to when the far end is played as silence.
    muted: Option<(i64, i64)>,
    pcm: Vec<i16>,
}

impl Relay {
    /// For a port that runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            clock_hz: 8000,
            noise: None,
            playout: Playout::new(rate_hz, 8000),
            far: Line::new(rate_hz),
            ours: Line::new(rate_hz),
            muted: None,
            pcm: Vec::new(),
        }
    }

    /// A packet of the far end came at `now`, in whatever order. `marker`: a talk spurt begins with it.
    pub fn hear(&mut self, now: i64, timestamp: u32, codec: Codec, payload: &[u8], marker: bool) {
        if codec.clock_hz() != self.clock_hz {
            self.clock_hz = codec.clock_hz();
            self.playout = Playout::new(self.rate_hz, self.clock_hz);
        }
        self.playout.push_sealed(now, timestamp, codec, payload, marker);
    }

    /// The far end says that it is silent: comfort noise with what it says of it, or a key in the place of audio.
    pub fn hush(&mut self, now: i64, timestamp: u32, noise: &[u8]) {
        self.noise = Noise::parse(noise, self.rate_hz);
        self.playout.hush(now, timestamp);
    }

    /// What came between these times, as the fastest packets come, is nothing for others: a key, which is passed on as
    /// one. What of it was played already can't be taken back.
    pub fn mute(&mut self, from: i64, until: i64) {
        let behind = self.playout.behind(self.far.end()).unwrap_or(0);
        let (from, until) = (from + behind - SLACK, until + behind + SLACK);
        self.muted = match self.muted {
            Some((since, end)) if from <= end => Some((since.min(from), end.max(until))),
            _ => Some((from, until)),
        };
    }

    /// Another stream begins.
    pub fn restart(&mut self) {
        self.playout.restart();
    }

    /// We play this in the packet that leaves at `at`: so many samples, nothing where `pcm` is shorter.
    pub fn play(&mut self, at: i64, samples: usize, pcm: &[i16], sounds: bool) {
        let (_, lacks) = self.ours.lacks(at, samples);
        self.pcm.clear();
        self.pcm.extend_from_slice(pcm);
        self.pcm.resize(samples, 0);
        self.ours.push(&self.pcm[samples - lacks.min(samples)..], sounds);
    }

    /// Append `samples` of a side, the first of which is heard at `at`; whether there was any stream.
    pub fn pull(&mut self, side: Side, at: i64, samples: usize, pcm: &mut Vec<i16>, counters: &Counters) -> bool {
        if side == Side::Ours {
            return self.ours.read(at, samples, pcm);
        }
        let (from, lacks) = self.far.lacks(at, samples);
        if lacks > 0 {
            self.pcm.clear();
            let mut sounds = self.playout.pull(from, lacks, &mut self.pcm);
            if sounds {
                self.noise = None;
            } else if let Some(noise) = &mut self.noise {
                self.pcm.clear();
                noise.append(lacks, &mut self.pcm);
                sounds = true;
            }
            if let Some((since, until)) = self.muted {
                let sample = |at: i64| usize::try_from(within(at - from, self.rate_hz)).unwrap_or(0).min(lacks);
                self.pcm.resize(self.pcm.len().max(lacks), 0);
                self.pcm[sample(since)..sample(until)].fill(0);
                self.muted = self.muted.filter(|_| until > from);
            }
            self.far.push(&self.pcm, sounds);
            let tally = self.playout.take_tally();
            for (count, many) in [
                (Count::RelayLate, tally.late),
                (Count::RelayLost, tally.lost),
                (Count::RelayShortened, tally.shortened),
                (Count::RelayLengthened, tally.lengthened),
                (Count::RelayRefused, tally.refused),
            ] {
                counters.add_many(count, many);
            }
        }
        self.far.read(at, samples, pcm)
    }

    /// How far behind the network the far end is played, ns.
    #[must_use]
    pub fn behind(&self, now: i64) -> Option<i64> {
        self.playout.behind(now)
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use crate::codec::Encoder;

    const MS: i64 = 1_000_000;

    #[test]
    fn what_comes_in_any_order_is_pulled_in_its_own() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        let mut out = Vec::new();
        for n in 0..100u32 {
            let now = i64::from(n) * 20 * MS;
            // Each pair is swapped.
            let code = |n: u32| [0x80 + u8::try_from(n % 100).unwrap_or(0); 160];
            if n % 2 == 1 {
                relay.hear(now, n * 160, Codec::named("PCMU").expect("a codec"), &code(n), false);
                relay.hear(now, (n - 1) * 160, Codec::named("PCMU").expect("a codec"), &code(n - 1), false);
            }
            relay.pull(Side::Far, now, 160, &mut out, &counters);
        }
        assert_eq!(out.len(), 100 * 160);
        let tail = &out[50 * 160..];
        assert!(tail.windows(2).all(|two| two[1] <= two[0]), "louder codes are lower numbers, and none comes back");
    }

    /// What is heard of a tone by G.722 when packets come in that order, 20 ms apart.
    fn toned(order: &[u32]) -> Vec<i16> {
        let g722 = Codec::named("G722").expect("a codec");
        let (mut relay, mut encoder, counters) = (Relay::new(16_000), Encoder::new(16_000), Counters::default());
        let packets: Vec<Vec<u8>> = (0u32..order.len().try_into().unwrap_or(0))
            .map(|n| {
                let sample = |at: u32| (8000.0 * (f64::from(n * 320 + at) * 0.13).sin()) as i16;
                let mut payload = Vec::new();
                encoder.encode_into(g722, &(0..320).map(sample).collect::<Vec<_>>(), 320, &mut payload);
                payload
            })
            .collect();
        let mut out = Vec::new();
        for (now, &n) in (0..).step_by(20).zip(order) {
            relay.hear(now * MS, n * 160, g722, &packets[n as usize], false);
            relay.pull(Side::Far, now * MS, 320, &mut out, &counters);
        }
        out
    }

    #[test]
    fn a_codec_that_remembers_hears_its_packets_in_their_order() {
        let straight: Vec<u32> = (0..300).collect();
        let mut swapped = straight.clone();
        // One pair at the beginning teaches the buffer to wait; then one packet in twenty is behind the next.
        for n in (1..3).chain((20..290).step_by(20)) {
            swapped.swap(n, n + 1);
        }
        let (clean, heard) = (toned(&straight), toned(&swapped));
        let power = |pcm: &[i16]| pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
        // The same tone at another delay: at its best shift nothing but the shift differs.
        let tail = &heard[250 * 320..280 * 320];
        let best = (0..600)
            .map(|shift| {
                let off =
                    tail.iter().zip(&clean[250 * 320 - shift..]).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
                off.sum::<f64>() / power(tail)
            })
            .fold(f64::MAX, f64::min);
        assert!(best < 0.005, "{best}");
    }

    #[test]
    fn what_we_play_is_heard_where_it_left() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        relay.play(0, 160, &[5; 160], true);
        relay.play(20 * MS, 160, &[], false);
        let mut out = Vec::new();
        assert!(relay.pull(Side::Ours, 10 * MS, 160, &mut out, &counters));
        assert_eq!((&out[..80], &out[80..]), (&[5; 80][..], &[0; 80][..]));
        assert!(!relay.pull(Side::Ours, 20 * MS, 160, &mut out, &counters), "and silence is none");
    }
}
