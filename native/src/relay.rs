//! One end of a bridge: what its far end says, made isochronous for people, and what the others say, for its mouth.
//!
//! ```text
//! packets as they arrive ─► decoder ─► play-out buffer ─► pull: a leg's playable stream, at any time, without a gap
//! what other legs' pulls gave ─► feed ─► mixed into the packet at hand
//! ```
//!
//! It takes packets before the ear does: the ear waits behind a hole for its own reasons, and gives up for its own. A
//! packet here is early enough if it comes before its turn. Nothing waits on the way from a pull to the packet that
//! leaves: the listener's grid pulls.

use crate::codec::{Codec, Decoder};
use crate::counters::{Count, Counters};
use crate::playout::Playout;
use crate::resample::Resampler;

/// What is fed waits for the packets at hand, and no more of it than may be asked for at once, ms.
const FED_MOST_MS: u32 = 800;

/// One end of a bridge.
#[derive(Debug)]
pub struct Relay {
    /// What both of its port's sides run at, and the clock of the packets that come.
    rate_hz: u32,
    clock_hz: u32,
    decoder: Decoder,
    playout: Playout,
    /// From another port's rate to this one's, where they differ.
    edge: Option<(u32, Resampler)>,
    pcm: Vec<i16>,
    /// What is to be mixed into the packet at hand.
    fed: Vec<i16>,
    /// There was something to hear in it.
    sounding: bool,
}

impl Relay {
    /// For a port that runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            clock_hz: 8000,
            decoder: Decoder::new(rate_hz),
            playout: Playout::new(rate_hz, 8000),
            edge: None,
            pcm: Vec::new(),
            fed: Vec::new(),
            sounding: false,
        }
    }

    /// A packet of the far end came at `now`, in whatever order. `marker`: a talk spurt begins with it.
    pub fn hear(&mut self, now: i64, timestamp: u32, codec: Codec, payload: &[u8], marker: bool) {
        if codec.clock_hz() != self.clock_hz {
            self.clock_hz = codec.clock_hz();
            self.playout = Playout::new(self.rate_hz, self.clock_hz);
        }
        self.pcm.clear();
        self.decoder.decode_into(codec, payload, &mut self.pcm);
        self.playout.push(now, timestamp, &self.pcm, marker);
    }

    /// The far end says that it is silent: comfort noise, or a key in the place of audio.
    pub fn hush(&mut self, now: i64, timestamp: u32) {
        self.playout.hush(now, timestamp);
    }

    /// Another stream begins.
    pub fn restart(&mut self) {
        self.playout.restart();
    }

    /// Append the next `samples` of the far end, the first of which is heard at `now`; whether there was any stream.
    pub fn pull(&mut self, now: i64, samples: usize, pcm: &mut Vec<i16>, counters: &Counters) -> bool {
        let sounding = self.playout.pull(now, samples, pcm);
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
        sounding
    }

    /// How far behind the network the far end is played, ns.
    #[must_use]
    pub fn behind(&self, now: i64) -> Option<i64> {
        self.playout.behind(now)
    }

    /// Others say this in the packets that are due, at `rate_hz`.
    pub fn feed(&mut self, pcm: &[i16], rate_hz: u32) {
        if pcm.is_empty() {
            return;
        }
        if rate_hz == self.rate_hz {
            self.fed.extend_from_slice(pcm);
        } else {
            if self.edge.as_ref().is_none_or(|(from_hz, _)| *from_hz != rate_hz) {
                self.edge = Resampler::steady(rate_hz, self.rate_hz).map(|new| (rate_hz, new));
            }
            if let Some((_, edge)) = &mut self.edge {
                edge.push(pcm, &mut self.fed);
            }
        }
        self.fed.truncate((FED_MOST_MS * (self.rate_hz / 1000)) as usize);
        self.sounding = true;
    }

    /// What was fed and not taken is over.
    pub fn forget_fed(&mut self) {
        self.fed.clear();
        self.sounding = false;
    }

    /// Mix what was fed into a packet of `want` samples; whether there is anything to hear.
    pub fn mix(&mut self, want: usize, pcm: &mut Vec<i16>) -> bool {
        let count = want.min(self.fed.len());
        if pcm.len() < count {
            pcm.resize(count, 0);
        }
        for (ours, theirs) in pcm.iter_mut().zip(self.fed.drain(..count)) {
            *ours = ours.saturating_add(theirs);
        }
        std::mem::replace(&mut self.sounding, !self.fed.is_empty()) && count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            relay.pull(now, 160, &mut out, &counters);
        }
        assert_eq!(out.len(), 100 * 160);
        let tail = &out[50 * 160..];
        assert!(tail.windows(2).all(|two| two[1] <= two[0]), "louder codes are lower numbers, and none comes back");
    }

    #[test]
    fn what_is_fed_is_mixed_once_bounded_and_without_overflow() {
        let mut relay = Relay::new(8000);
        for _ in 0..100 {
            relay.feed(&[i16::MAX; 160], 8000);
        }
        let mut ours = vec![i16::MAX; 2];
        assert!(relay.mix(160, &mut ours));
        assert_eq!(ours, [i16::MAX; 160]);
        let rest = (0..100).filter(|_| relay.mix(160, &mut Vec::new())).count();
        assert_eq!(rest, 800 / 20 - 1);
        assert!(!relay.mix(160, &mut Vec::new()));
    }
}
