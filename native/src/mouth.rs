//! The sending side of one port: the queue, a bridge, the duck and the keys, made into packets on the grid.
//!
//! Packets leave all the time, silence where there is nothing to say (RFC 6263: a stream that stops closes NAT
//! bindings and looks dead). One packet time is one step of the grid; the RTP timestamp runs with it.

use std::net::SocketAddr;

use crate::codec::Law;
use crate::counters::{Count, Counters};
use crate::dtmf::{self, key_of};
use crate::event::Sink;
use crate::plan::Plan;
use crate::queue::{Key, Queue};
use crate::relay::Relay;
use crate::rtp::Packet;
use crate::tone::make::Sounding;

/// Gain moves from 1 to 0 in 10 ms down, 20 ms up, at most.
const DOWN: f32 = 1.0 / 80.0;
const UP: f32 = 1.0 / 160.0;
/// RFC 4733 section 2.5.1.4: the end of an event is sent three times.
const ENDS: u8 = 3;
/// The longest way of a key's tones there and back, samples: 600 ms.
const ECHO: u32 = 4800;
/// Level of our keys, minus dBm0.
const KEY_VOLUME: u8 = 10;

/// A key that is being sent.
#[derive(Clone, Copy, Debug)]
struct Pressing {
    key: Key,
    timestamp: u32,
    elapsed: u32,
    ends: u8,
    gap: u32,
}

/// The state of what we send.
#[derive(Debug)]
pub struct Mouth {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    pub queue: Queue,
    pressing: Option<Pressing>,
    /// A key that sounds in the audio, and the silence behind it, samples.
    tone: Option<(Sounding, usize)>,
    /// The key whose tones left last, and the timestamp of their last packet.
    toned: Option<(char, u32)>,
    gain: f32,
    wanted_gain: f32,
    /// The last packet had something to hear.
    sounding: bool,
    /// The next packet begins a talk spurt, or the stream.
    marker: bool,
}

/// A place on the grid: when it is taken, how much later the far end hears it, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub now: i64,
    pub lag: i64,
    pub to: SocketAddr,
}

impl Mouth {
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            sequence,
            timestamp,
            queue: Queue::default(),
            pressing: None,
            tone: None,
            toned: None,
            gain: 1.0,
            wanted_gain: 1.0,
            sounding: false,
            marker: true,
        }
    }

    /// The timestamp of the next packet.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Whether our voice is on the wire.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.sounding
    }

    /// Whether a key that is heard may be our own, which comes back.
    #[must_use]
    pub fn echoes(&self, key: char) -> bool {
        self.toned.is_some_and(|(own, at)| own == key && self.timestamp.wrapping_sub(at) < ECHO)
    }

    /// Time went by without packets.
    pub fn skip(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.marker = true;
    }

    /// Lower the voice to `gain`, 0 to 1; 1 brings it back.
    pub fn duck(&mut self, gain: f32) {
        self.wanted_gain = gain;
    }

    /// Send the packet that is due; give its payload's size. `pcm` is scratch, and holds what was sent afterwards
    /// (nothing for silence).
    pub fn depart(
        &mut self,
        slot: Slot,
        plan: &Plan,
        mut relay: Option<&mut Relay>,
        counters: &Counters,
        pcm: &mut Vec<i16>,
        sink: &mut Sink,
    ) -> usize {
        let to = slot.to;
        pcm.clear();
        let frame = plan.frame();
        let mut sounding = false;
        if let Some(relay) = &mut relay {
            relay.pull(frame, counters);
        }
        if self.pressing.is_none() && self.tone.is_none() {
            let pulled = self.queue.pull(slot.now, slot.lag, frame, pcm);
            if pulled.underrun {
                counters.add(Count::Underruns);
            }
            sounding = pulled.sounding;
            if let Some(key) = pulled.key {
                self.begin(key, plan, counters);
            }
        }
        if let (Some(pressing), Some(number)) = (self.pressing, plan.dtmf_send) {
            if pressing.ends < ENDS {
                return self.send_key(pressing, number, frame, to, sink);
            }
        }
        sounding |= self.sound_key(frame, pcm);
        if let Some(relay) = relay {
            sounding |= relay.mix(pcm);
        }
        self.send_audio(sounding, plan.send, frame, to, pcm, sink)
    }

    /// Send a packet of nothing, so many samples after the last one.
    pub fn keep_alive(&mut self, number: u8, ahead: u32, to: SocketAddr, sink: &mut Sink) {
        let (sequence, timestamp, ssrc) = (self.sequence, self.timestamp.wrapping_add(ahead), self.ssrc);
        sink.send(to, false, |out| {
            Packet { payload_type: number, sequence, timestamp, ssrc, ..Packet::default() }.build(out);
        });
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Where the far end takes no events, a key is heard: its tones, behind what was queued before it.
    fn begin(&mut self, key: Key, plan: &Plan, counters: &Counters) {
        counters.add(Count::KeysSent);
        if plan.dtmf_send.is_none() {
            self.tone = key_of(key.code)
                .and_then(|code| Sounding::new(code, u32::from(key.duration), 8000))
                .map(|tone| (tone, usize::try_from(key.gap).unwrap_or(0)));
            return;
        }
        self.pressing = Some(Pressing { key, timestamp: self.timestamp, elapsed: 0, ends: 0, gap: 0 });
    }

    /// Fill the frame with the key that sounds, or with the silence behind it; give whether there is something to hear.
    fn sound_key(&mut self, frame: usize, pcm: &mut Vec<i16>) -> bool {
        let Some((tone, gap)) = &mut self.tone else {
            return false;
        };
        let before = pcm.len();
        tone.append(frame - before.min(frame), pcm);
        let sounding = pcm.len() > before;
        if sounding {
            self.toned = Some((tone.key(), self.timestamp));
        }
        let rest = (frame - pcm.len().min(frame)).min(*gap);
        pcm.resize(pcm.len() + rest, 0);
        *gap -= rest;
        if *gap == 0 && tone.is_over() {
            self.tone = None;
        }
        sounding
    }

    fn send_key(&mut self, pressing: Pressing, number: u8, frame: usize, to: SocketAddr, sink: &mut Sink) -> usize {
        let mut next = pressing;
        let samples = u32::try_from(frame).unwrap_or(0);
        next.elapsed += samples;
        let end = next.elapsed >= u32::from(next.key.duration);
        if pressing.ends > 0 {
            next.gap += samples;
        }
        next.ends += u8::from(end);
        let duration = u16::try_from(next.elapsed).unwrap_or(u16::MAX).min(next.key.duration);
        let event = dtmf::Event { code: next.key.code, end, reserved: false, volume: KEY_VOLUME, duration };
        let payload = event.bytes();
        let marker = pressing.elapsed == 0;
        self.pressing = Some(next);
        self.rest();
        self.send(marker, number, pressing.timestamp, &payload, to, sink);
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.sounding = false;
        payload.len()
    }

    /// The key is over when its ends are sent and its gap went by.
    fn rest(&mut self) {
        if self.pressing.is_some_and(|pressing| pressing.ends >= ENDS && pressing.gap >= pressing.key.gap) {
            self.pressing = None;
        }
    }

    fn send_audio(
        &mut self,
        sounding: bool,
        (number, law): (u8, Law),
        frame: usize,
        to: SocketAddr,
        pcm: &mut [i16],
        sink: &mut Sink,
    ) -> usize {
        let samples = u32::try_from(frame).unwrap_or(0);
        if let Some(pressing) = &mut self.pressing {
            pressing.gap += samples;
        }
        self.rest();
        if sounding || self.gain.to_bits() != self.wanted_gain.to_bits() {
            self.scale(pcm);
        }
        let marker = std::mem::replace(&mut self.marker, false) || (sounding && !self.sounding);
        self.sounding = sounding;
        let (sequence, timestamp, ssrc) = (self.sequence, self.timestamp, self.ssrc);
        sink.send(to, false, |out| {
            Packet { marker, payload_type: number, sequence, timestamp, ssrc, ..Packet::default() }.build(out);
            let end = out.len() + frame;
            law.encode_into(pcm, out);
            out.resize(end, law.silence());
        });
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(samples);
        frame
    }

    fn send(&mut self, marker: bool, number: u8, timestamp: u32, payload: &[u8], to: SocketAddr, sink: &mut Sink) {
        let (sequence, ssrc) = (self.sequence, self.ssrc);
        sink.send(to, false, |out| {
            Packet { marker, payload_type: number, sequence, timestamp, ssrc, payload, ..Packet::default() }.build(out);
        });
        self.sequence = self.sequence.wrapping_add(1);
        self.marker = false;
    }

    /// Apply the gain, which moves towards what is wanted.
    fn scale(&mut self, pcm: &mut [i16]) {
        if self.gain >= 1.0 && self.wanted_gain >= 1.0 {
            return;
        }
        for sample in pcm.iter_mut() {
            if self.gain > self.wanted_gain {
                self.gain = (self.gain - DOWN).max(self.wanted_gain);
            } else if self.gain < self.wanted_gain {
                self.gain = (self.gain + UP).min(self.wanted_gain);
            }
            #[allow(clippy::cast_possible_truncation)]
            // The gain is at most 1, and the cast saturates.
            {
                *sample = (f32::from(*sample) * self.gain) as i16;
            }
        }
        if pcm.is_empty() {
            self.gain = self.wanted_gain;
        }
    }
}
