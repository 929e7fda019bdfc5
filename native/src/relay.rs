//! From the ear of one bridged port to the mouth of another: a small buffer that gives audio back on the grid.
//!
//! ```text
//! in order, as it comes ─► [ 60 ms ] ─► a packet at a time ─► mixed into what we send
//!                              └─ empty: concealed, then silence, and filled again
//! ```
//!
//! It is as deep as the jitter that it hides. What comes faster than it leaves is cut back, so that no delay stays.

use std::collections::VecDeque;

use crate::conceal::Conceal;
use crate::counters::{Count, Counters};
use crate::resample::Resampler;

/// Audio that waits before the first of it leaves: three packets of the usual 20 ms.
const DEPTH_MS: u32 = 60;
/// Audio that waits at most: behind a burst or a faster clock it is cut back to the depth.
const MOST_MS: u32 = 200;
/// So much is made up at most; then there is silence.
const MADE_MOST_MS: u32 = 60;

/// One end of a bridge: what its port heard, for the other, and what the other heard, for its port.
#[derive(Debug)]
pub struct Relay {
    /// What both of its port's sides run at.
    rate_hz: u32,
    /// From the other port's rate to that, where they differ.
    edge: Option<(u32, Resampler)>,
    heard: Vec<i16>,
    waiting: VecDeque<i16>,
    running: bool,
    conceal: Conceal,
    /// Samples made up since the last that came.
    made: usize,
    /// What is to be mixed into the packet at hand.
    frame: Vec<i16>,
}

impl Relay {
    /// For a port that runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            edge: None,
            heard: Vec::new(),
            waiting: VecDeque::new(),
            running: false,
            conceal: Conceal::new(rate_hz),
            made: 0,
            frame: Vec::new(),
        }
    }

    fn samples(&self, ms: u32) -> usize {
        (ms * (self.rate_hz / 1000)) as usize
    }

    /// The port heard this.
    pub fn hear(&mut self, pcm: &[i16]) {
        let room = self.samples(MOST_MS).saturating_sub(self.heard.len());
        self.heard.extend_from_slice(&pcm[..room.min(pcm.len())]);
    }

    /// The port heard silence.
    pub fn hush(&mut self, samples: usize) {
        let all = (self.heard.len() + samples).min(self.samples(MOST_MS).max(self.heard.len()));
        self.heard.resize(all, 0);
    }

    /// Take what the port heard into `pcm`; whether there is any.
    pub fn take(&mut self, pcm: &mut Vec<i16>) -> bool {
        pcm.clear();
        std::mem::swap(pcm, &mut self.heard);
        !pcm.is_empty()
    }

    /// The other port heard this, at its own rate.
    pub fn feed(&mut self, pcm: &[i16], rate_hz: u32, counters: &Counters) {
        if rate_hz == self.rate_hz {
            self.waiting.extend(pcm);
        } else {
            if self.edge.as_ref().is_none_or(|(from_hz, _)| *from_hz != rate_hz) {
                self.edge = Resampler::steady(rate_hz, self.rate_hz).map(|new| (rate_hz, new));
            }
            if let Some((_, edge)) = &mut self.edge {
                let mut converted = Vec::new();
                edge.push(pcm, &mut converted);
                self.waiting.extend(converted);
            }
        }
        if self.waiting.len() > self.samples(MOST_MS) {
            let much = self.waiting.len() - self.samples(DEPTH_MS);
            self.waiting.drain(..much);
            counters.add(Count::RelayCut);
        }
    }

    /// Ready the next `want` samples.
    pub fn pull(&mut self, want: usize, counters: &Counters) {
        self.frame.clear();
        self.running |= self.waiting.len() >= self.samples(DEPTH_MS);
        let take = if self.running { want.min(self.waiting.len()) } else { 0 };
        if take > 0 {
            self.frame.extend(self.waiting.drain(..take));
            self.conceal.hear(&mut self.frame);
            self.made = 0;
        }
        let missing = want - take;
        if missing == 0 {
            return;
        }
        if self.running {
            self.running = false;
            counters.add(Count::RelayDry);
        } else if self.made == 0 {
            return; // nothing has come yet
        }
        if self.made < self.samples(MADE_MOST_MS) {
            self.made += missing;
            self.conceal.fill(missing, &mut self.frame);
        }
    }

    /// Mix what is ready into `pcm`; whether there is anything to hear.
    pub fn mix(&self, pcm: &mut Vec<i16>) -> bool {
        if pcm.len() < self.frame.len() {
            pcm.resize(self.frame.len(), 0);
        }
        for (ours, theirs) in pcm.iter_mut().zip(&self.frame) {
            *ours = ours.saturating_add(*theirs);
        }
        !self.frame.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulled(relay: &mut Relay, counters: &Counters) -> Vec<i16> {
        let mut pcm = Vec::new();
        relay.pull(160, counters);
        relay.mix(&mut pcm);
        pcm
    }

    #[test]
    fn nothing_leaves_before_it_is_filled_and_then_all_of_it_in_order() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        let audio: Vec<i16> = (1..=640).collect();
        for piece in audio[..320].chunks(160) {
            relay.feed(piece, 8000, &counters);
            assert!(pulled(&mut relay, &counters).is_empty());
        }
        relay.feed(&audio[320..], 8000, &counters);
        let out: Vec<i16> = (0..4).flat_map(|_| pulled(&mut relay, &counters)).collect();
        assert_eq!(out, audio);
    }

    #[test]
    fn a_late_packet_is_concealed_and_the_buffer_filled_again() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        relay.feed(&[1000; 480], 8000, &counters);
        for _ in 0..3 {
            assert_eq!(pulled(&mut relay, &counters).len(), 160);
        }
        let made = pulled(&mut relay, &counters);
        assert!(made.len() == 160 && made[0] > 500, "what is missing is made up");
        relay.feed(&[1000; 160], 8000, &counters);
        assert_eq!(pulled(&mut relay, &counters).len(), 160, "and fades while it fills");
        relay.feed(&[1000; 320], 8000, &counters);
        assert_eq!(pulled(&mut relay, &counters)[60..], [1000; 100]);
        assert_eq!(counters.get(Count::RelayDry), 1);
    }

    #[test]
    fn a_port_of_another_rate_is_heard_as_long_as_it_spoke() {
        let (mut relay, counters) = (Relay::new(16_000), Counters::default());
        for _ in 0..3 {
            relay.feed(&[1000; 160], 8000, &counters);
        }
        assert_eq!(relay.waiting.len(), 960);
        let mut pcm = Vec::new();
        relay.pull(320, &counters);
        relay.mix(&mut pcm);
        assert!(pcm.len() == 320 && (990..1010).contains(&pcm[200]));
    }

    #[test]
    fn a_silent_source_is_silence_after_a_moment() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        relay.feed(&[1000; 480], 8000, &counters);
        for _ in 0..3 + 3 {
            assert!(!pulled(&mut relay, &counters).is_empty());
        }
        assert!(pulled(&mut relay, &counters).is_empty());
    }

    #[test]
    fn what_comes_too_fast_is_cut_back_to_the_depth() {
        let (mut relay, counters) = (Relay::new(8000), Counters::default());
        relay.feed(&[1; 1600], 8000, &counters);
        relay.feed(&[2; 160], 8000, &counters);
        assert_eq!(counters.get(Count::RelayCut), 1);
        assert_eq!(relay.waiting.len(), 480);
    }

    #[test]
    fn what_nobody_takes_is_bounded_and_mixing_does_not_overflow() {
        let mut relay = Relay::new(8000);
        for _ in 0..100 {
            relay.hear(&[i16::MAX; 160]);
            relay.hush(160);
        }
        let mut pcm = Vec::new();
        assert!(relay.take(&mut pcm));
        assert_eq!(pcm.len(), 1600);
        assert!(!relay.take(&mut pcm));
        relay.frame = vec![i16::MAX; 4];
        let mut ours = vec![i16::MAX; 2];
        assert!(relay.mix(&mut ours));
        assert_eq!(ours, [i16::MAX; 4]);
    }
}
