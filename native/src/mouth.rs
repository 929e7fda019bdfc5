//! The sending side of one port: the queue, a bridge, the duck and the keys, made into packets on the grid.
//!
//! Packets leave all the time, silence where there is nothing to say (RFC 6263: a stream that stops closes NAT
//! bindings and looks dead). One packet time is one step of the grid; the RTP timestamp runs with it.

use std::net::SocketAddr;

use crate::bed::Bed;
use crate::codec::{noise, Encoder, NARROW};
use crate::counters::{Count, Counters};
use crate::dtmf::{self, key_of};
use crate::event::Sink;
use crate::mix::Mix;
use crate::pipeline::Stage;
use crate::plan::Plan;
use crate::queue::{Key, Queue};
use crate::relay::Relay;
use crate::rtp::Packet;
use crate::tone::make::Sounding;

/// How much gain moves in a second at most: from 1 to 0 in 10 ms down, 20 ms up.
const DOWN: f32 = 100.0;
const UP: f32 = 50.0;
/// RFC 4733 section 2.5.1.4: the end of an event is sent three times.
const ENDS: u8 = 3;
/// The longest way of a key's tones there and back.
const ECHO_MS: u32 = 600;
/// Level of our keys, minus dBm0.
const KEY_VOLUME: u8 = 10;

/// Where silence is left out: a packet that is no louder than this, −dBov, is silence; so long of it is still sent, and
/// so often noise in the place of what follows. The far end must not take us for gone.
const QUIET_LEVEL: u8 = 60;
const HANG_MS: u32 = 200;
const AGAIN_MS: u32 = 400;

/// A key that is being sent.
#[derive(Clone, Copy, Debug)]
struct Pressing {
    key: Key,
    timestamp: u32,
    elapsed_ms: u32,
    /// Ticks of the segments before this one.
    before: u32,
    ends: u8,
    gap_ms: u32,
}

/// The state of what we send.
#[derive(Debug)]
pub struct Mouth {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    pub queue: Queue,
    encoder: Encoder,
    rate_hz: u32,
    pressing: Option<Pressing>,
    /// A key that sounds in the audio, and the silence behind it, samples.
    tone: Option<(Sounding, usize)>,
    /// The key whose tones left last, the timestamp of their last packet, and for how many ticks they may come back.
    toned: Option<(char, u32, u32)>,
    /// What sounds under it all.
    bed: Option<Box<Bed>>,
    gain: f32,
    wanted_gain: f32,
    /// The last packet had something to hear.
    sounding: bool,
    /// How long it was silent by now.
    quiet_ms: u32,
    /// The next packet begins a talk spurt, or the stream.
    marker: bool,
}

/// A place on the grid: when it is taken and was due, or will be where the far end buffers it; how much later the far
/// end hears it, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub now: i64,
    pub due: i64,
    pub lag: i64,
    pub to: SocketAddr,
    /// The far end speaks.
    pub speech: bool,
}

impl Mouth {
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            sequence,
            timestamp,
            queue: Queue::default(),
            encoder: Encoder::new(NARROW),
            rate_hz: NARROW,
            pressing: None,
            tone: None,
            toned: None,
            bed: None,
            gain: 1.0,
            wanted_gain: 1.0,
            sounding: false,
            quiet_ms: 0,
            marker: true,
        }
    }

    /// The timestamp of the next packet.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Whether something sounds that no far end's buffer is to be ahead of: others, or what lies under it all.
    #[must_use]
    pub fn is_laid(&self) -> bool {
        self.bed.is_some()
    }

    /// Whether so many ms that are not due yet can be filled.
    #[must_use]
    pub fn is_ready(&self, ms: u32) -> bool {
        self.tone.is_some() || self.queue.is_ready((ms * (self.rate_hz / 1000)) as usize)
    }

    /// Whether our voice is on the wire.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.sounding
    }

    /// Whether a key that is heard may be our own, which comes back.
    #[must_use]
    pub fn echoes(&self, key: char) -> bool {
        self.toned.is_some_and(|(own, at, echo)| own == key && self.timestamp.wrapping_sub(at) < echo)
    }

    /// Run at another rate.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
        self.queue.run_at(rate_hz);
        self.encoder.run_at(rate_hz);
        self.tone = None;
        if let Some(bed) = &mut self.bed {
            bed.run_at(rate_hz);
        }
    }

    /// Let this sound under it all from here on; None fades it out.
    pub fn bed(&mut self, bed: Option<Box<Bed>>) {
        match (bed, &mut self.bed) {
            (Some(mut bed), _) => {
                bed.run_at(self.rate_hz);
                self.bed = Some(bed);
            }
            (None, Some(bed)) => bed.end(),
            (None, None) => {}
        }
    }

    /// The far end loses so many of our packets, percent.
    pub fn expect_loss(&mut self, percent: u8) {
        self.encoder.expect_loss(percent);
    }

    /// Time went by without packets.
    pub fn skip(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
        self.marker = true;
    }

    /// Lower the voice to `gain`, 0 to 1; 1 brings it back.
    pub fn duck(&mut self, gain: f32) {
        self.wanted_gain = gain;
    }

    /// Send the packet that is due; give its payload's size, None where silence is left out. `pcm` is scratch, and holds
    /// what was sent afterwards (nothing for silence).
    pub fn depart(
        &mut self,
        slot: Slot,
        plan: &Plan,
        (relay, mix): (Option<&mut Relay>, Option<&mut Mix>),
        counters: &Counters,
        pcm: &mut Vec<i16>,
        sink: &mut Sink,
    ) -> Option<usize> {
        let to = slot.to;
        pcm.clear();
        let frame = plan.samples();
        let mut sounding = false;
        if self.pressing.is_none() && self.tone.is_none() {
            let pulled = self.queue.pull(slot.now, slot.due.max(slot.now), slot.lag, frame, pcm);
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
                if let Some(mix) = mix {
                    mix.mix(frame, false, &mut Vec::new()); // it goes by unheard
                }
                if let Some(bed) = &mut self.bed {
                    bed.skip(frame);
                }
                return Some(self.send_key(pressing, number, plan, to, sink));
            }
        }
        if sounding || self.gain.to_bits() != self.wanted_gain.to_bits() {
            self.scale(pcm);
        }
        if let Some(relay) = relay {
            relay.play(slot.due, frame, pcm, sounding);
        }
        sounding |= self.sound_key(plan, pcm);
        if let Some(mix) = mix {
            sounding |= mix.mix(frame, sounding, pcm);
        }
        if let Some(bed) = &mut self.bed {
            bed.lay(frame, sounding || slot.speech, pcm);
        }
        self.bed.take_if(|bed| bed.is_over());
        self.send_audio(sounding, plan, to, pcm, sink)
    }

    /// Send a packet of nothing, so many ticks after the last one.
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
            let per_ms = self.rate_hz / 1000;
            self.tone = key_of(key.code)
                .and_then(|code| Sounding::new(code, key.duration_ms * per_ms, self.rate_hz))
                .map(|tone| (tone, (key.gap_ms * per_ms) as usize));
            return;
        }
        self.pressing = Some(Pressing { key, timestamp: self.timestamp, elapsed_ms: 0, before: 0, ends: 0, gap_ms: 0 });
    }

    /// Fill the frame with the key that sounds, or with the silence behind it; give whether there is something to hear.
    fn sound_key(&mut self, plan: &Plan, pcm: &mut Vec<i16>) -> bool {
        let Some((tone, gap)) = &mut self.tone else {
            return false;
        };
        let (before, frame) = (pcm.len(), plan.samples());
        tone.append(frame - before.min(frame), pcm);
        let sounding = pcm.len() > before;
        if sounding {
            self.toned = Some((tone.key(), self.timestamp, ECHO_MS * (plan.send.1.clock_hz() / 1000)));
        }
        let rest = (frame - pcm.len().min(frame)).min(*gap);
        pcm.resize(pcm.len() + rest, 0);
        *gap -= rest;
        if *gap == 0 && tone.is_over() {
            self.tone = None;
        }
        sounding
    }

    fn send_key(&mut self, pressing: Pressing, number: u8, plan: &Plan, to: SocketAddr, sink: &mut Sink) -> usize {
        let mut next = pressing;
        next.elapsed_ms += plan.ptime_ms;
        let end = next.elapsed_ms >= next.key.duration_ms;
        if pressing.ends > 0 {
            next.gap_ms += plan.ptime_ms;
        }
        next.ends += u8::from(end);
        let ticks = next.elapsed_ms.min(next.key.duration_ms) * (plan.dtmf_hz / 1000);
        // RFC 4733 section 2.5.1.3: what is longer than the field goes on in a segment that begins where it ended.
        while ticks.saturating_sub(next.before) > u32::from(u16::MAX) {
            next.before += u32::from(u16::MAX);
            next.timestamp = next.timestamp.wrapping_add(u32::from(u16::MAX));
        }
        let duration = u16::try_from(ticks.saturating_sub(next.before)).unwrap_or(u16::MAX);
        let event = dtmf::Event { code: next.key.code, end, reserved: false, volume: KEY_VOLUME, duration };
        let payload = event.bytes();
        let marker = pressing.elapsed_ms == 0;
        self.pressing = Some(next);
        self.rest();
        self.send(marker, number, next.timestamp, &payload, to, sink);
        self.timestamp = self.timestamp.wrapping_add(plan.ticks());
        self.sounding = false;
        payload.len()
    }

    /// The key is over when its ends are sent and its gap went by.
    fn rest(&mut self) {
        if self.pressing.is_some_and(|pressing| pressing.ends >= ENDS && pressing.gap_ms >= pressing.key.gap_ms) {
            self.pressing = None;
        }
    }

    fn send_audio(
        &mut self,
        sounding: bool,
        plan: &Plan,
        to: SocketAddr,
        pcm: &mut [i16],
        sink: &mut Sink,
    ) -> Option<usize> {
        if let Some(pressing) = &mut self.pressing {
            pressing.gap_ms += plan.ptime_ms;
        }
        self.rest();
        if let Some(number) = plan.noise_send {
            if let Some(left) = self.leave_out(number, plan, pcm, to, sink) {
                self.sounding = sounding;
                return left;
            }
        }
        let marker = std::mem::replace(&mut self.marker, false) || (sounding && !self.sounding);
        self.sounding = sounding;
        let ((number, codec), samples, mut bytes) = (plan.send, plan.samples(), 0);
        let (sequence, timestamp, ssrc, encoder) = (self.sequence, self.timestamp, self.ssrc, &mut self.encoder);
        sink.send(to, false, |out| {
            Packet { marker, payload_type: number, sequence, timestamp, ssrc, ..Packet::default() }.build(out);
            let begin = out.len();
            encoder.encode_into(codec, pcm, samples, out);
            bytes = out.len() - begin;
        });
        self.timestamp = self.timestamp.wrapping_add(plan.ticks());
        if bytes == 0 {
            // The codec leaves silence out: time goes on, the numbers do not.
            sink.replace_last(|_| None::<&[u8]>);
            self.marker = marker;
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        Some(bytes)
    }

    /// In silence send noise for it, now and then, or nothing (RFC 3389); None where this packet is to be heard.
    fn leave_out(
        &mut self,
        number: u8,
        plan: &Plan,
        pcm: &[i16],
        to: SocketAddr,
        sink: &mut Sink,
    ) -> Option<Option<usize>> {
        let level = noise::level(pcm);
        if level < QUIET_LEVEL {
            self.marker |= self.quiet_ms > HANG_MS;
            self.quiet_ms = 0;
            return None;
        }
        let before = self.quiet_ms;
        self.quiet_ms += plan.ptime_ms;
        if before < HANG_MS {
            return None;
        }
        let due = before - HANG_MS < plan.ptime_ms || (before - HANG_MS) % AGAIN_MS < plan.ptime_ms;
        let left = due.then(|| {
            self.send(false, number, self.timestamp, &[level], to, sink);
            1
        });
        self.timestamp = self.timestamp.wrapping_add(plan.ticks());
        Some(left)
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
        let share = if self.rate_hz > NARROW { 1.0 / 16_000.0 } else { 1.0 / 8000.0 };
        for sample in pcm.iter_mut() {
            if self.gain > self.wanted_gain {
                self.gain = (self.gain - DOWN * share).max(self.wanted_gain);
            } else if self.gain < self.wanted_gain {
                self.gain = (self.gain + UP * share).min(self.wanted_gain);
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

/// The mouth before the codec; it speaks once in so many ms.
#[must_use]
pub fn stage(ptime_ms: u32, down: Stage) -> Stage {
    down.after(format!("mouth ({ptime_ms} ms)"))
}
