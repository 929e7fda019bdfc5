//! Concealment: what is lost is sung on from what was heard, and, where it is known, towards what comes after.
//!
//! ```text
//! fill:     heard ──────┬─ sung on ─ 2 periods ─ 3 ─ fading ─┬─ heard again      (crossfade, 4 ms)
//! between:  heard ──────┬─ sung on ────╲╱──── sung back ─────┬─ known already    (phases aligned, no seam)
//! ```
//!
//! `fill` is for a loudspeaker, which can't wait; nothing is delayed, and only the first 4 ms behind a hole are
//! blended. `between` is for the ear: it gives up a hole when a packet is there behind it, so both sides are known.
//! The first 5 ms stand in full; at 100 ms the voice is gone, and the room that it spoke in is still there.

mod room;
mod voice;

use crate::pipeline::Stage;
use room::Room;
use voice::{dot, Voice};

/// What is remembered, ms: three of the longest periods and the filter's memory.
const HISTORY_MS: usize = 54;
/// Crossfade behind a hole, ms.
const SEAM_MS: usize = 4;
/// Up to here what is made up stands in full, and from here on there is only the room, ms.
const FULL_MS: usize = 5;
const GONE_MS: usize = 100;
/// From here on the excitation is taken from two periods, and from there on from three, ms.
const TWO_MS: usize = 20;
const THREE_MS: usize = 40;
/// What must be known behind a hole to sing back from it, ms.
const KNOWN_LEAST_MS: usize = 10;
/// How far the phases of both sides are moved to meet, at most, ms.
const REACH_MS: usize = 10;

/// The state of one stream.
#[derive(Debug)]
pub struct Conceal {
    rate_hz: usize,
    history: Vec<i16>,
    room: Room,
    /// Samples made up since the last good one.
    made: usize,
    /// Only where something was lost already.
    hole: Option<Box<Hole>>,
}

/// What it takes to fill a hole.
#[derive(Debug, Default)]
struct Hole {
    before: Voice,
    after: Voice,
    room: Voice,
    past: Vec<f32>,
    forth: Vec<f32>,
    back: Vec<f32>,
    quiet: Vec<f32>,
}

impl Default for Conceal {
    fn default() -> Self {
        Self::new(8000)
    }
}

impl Conceal {
    /// A stream at 8000 or 16000 Hz.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let rate_hz = if rate_hz > 8000 { 16000 } else { 8000 };
        let history = vec![0; HISTORY_MS * rate_hz / 1000];
        Self { rate_hz, history, room: Room::default(), made: 0, hole: None }
    }

    /// Good audio: remember it, and blend its first samples with what was made up before it.
    pub fn hear(&mut self, pcm: &mut [i16]) {
        self.room.hear(pcm, self.per_ms());
        if self.made > 0 {
            self.blend(pcm);
            self.made = 0;
        }
        self.remember(pcm);
    }

    /// Append `samples` of made-up audio to `pcm`, with nothing known of what comes after.
    pub fn fill(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        let from = pcm.len();
        let mut hole = self.enter();
        self.sing_on(&mut hole, samples);
        pcm.extend((0..samples).map(|n| whole(self.made_up(&hole, n))));
        self.made += samples;
        self.hole = Some(hole);
        self.remember(&pcm[from..]);
    }

    /// Append `samples` of made-up audio to `pcm` that lead to `after`, which is to be heard next.
    pub fn between(&mut self, samples: usize, after: &[i16], pcm: &mut Vec<i16>) {
        if after.len() < KNOWN_LEAST_MS * self.per_ms() || samples == 0 {
            return self.fill(samples, pcm);
        }
        let from = pcm.len();
        let reach = REACH_MS * self.per_ms();
        let mut hole = self.enter();
        self.sing_on(&mut hole, samples + reach);
        hole.past.clear();
        hole.past.extend(after.iter().rev().map(|&sample| f32::from(sample)));
        hole.after.learn(&hole.past, self.rate_hz);
        hole.back.clear();
        hole.back.resize(samples + reach, 0.0);
        sing(&mut hole.after, &mut hole.back, 0, self.per_ms());
        hole.back.reverse();
        hole.join(samples, reach, self.made, self.per_ms(), pcm);
        self.hole = Some(hole);
        self.made = 0;
        self.remember(&pcm[from..]);
    }

    fn per_ms(&self) -> usize {
        self.rate_hz / 1000
    }

    /// The hole that we are in, with what was before it learnt.
    fn enter(&mut self) -> Box<Hole> {
        let mut hole = self.hole.take().unwrap_or_default();
        if self.made == 0 {
            hole.past.clear();
            hole.past.extend(self.history.iter().map(|&sample| f32::from(sample)));
            hole.before.learn(&hole.past, self.rate_hz);
            hole.past.clear();
            hole.past.extend(self.room.quietest().iter().map(|&sample| f32::from(sample)));
            if hole.past.is_empty() {
                hole.past.push(0.0);
            }
            hole.room.learn_noise(&hole.past, self.rate_hz);
        }
        hole
    }

    /// Sing the next `samples` of the voice before the hole, and of the room.
    fn sing_on(&self, hole: &mut Hole, samples: usize) {
        hole.forth.clear();
        hole.forth.resize(samples, 0.0);
        sing(&mut hole.before, &mut hole.forth, self.made, self.per_ms());
        hole.quiet.clear();
        hole.quiet.resize(samples, 0.0);
        hole.room.sing(&mut hole.quiet);
    }

    /// The sample `n` of what was just sung: the voice, and of the room what the voice leaves.
    fn made_up(&self, hole: &Hole, n: usize) -> f32 {
        hole.forth[n] + hole.quiet[n] * rest(gain(self.made + n, self.per_ms()))
    }

    fn blend(&mut self, pcm: &mut [i16]) {
        let seam = (SEAM_MS * self.per_ms()).min(pcm.len());
        let mut hole = self.enter();
        self.sing_on(&mut hole, seam);
        for (n, sample) in pcm[..seam].iter_mut().enumerate() {
            let weight = share(n + 1, seam + 1);
            *sample = whole(self.made_up(&hole, n) * (1.0 - weight) + f32::from(*sample) * weight);
        }
        self.hole = Some(hole);
    }

    fn remember(&mut self, pcm: &[i16]) {
        let keep = pcm.len().min(self.history.len());
        let at = self.history.len() - keep;
        self.history.copy_within(keep.., 0);
        self.history[at..].copy_from_slice(&pcm[pcm.len() - keep..]);
    }
}

impl Hole {
    /// Lead from `forth` to `back` over `samples`. Both are longer by `reach`: `forth` at its end, `back` at its start.
    fn join(&self, samples: usize, reach: usize, made: usize, per_ms: usize, pcm: &mut Vec<i16>) {
        let (turn, alike) = self.meet(samples, reach);
        for n in 0..samples {
            let to = smooth(share(2 * n + 1, 2 * samples));
            let on = 1.0 - to;
            let done = share(n, samples);
            let voice = at(&self.forth, share(n, 1) + turn * done) * on
                + at(&self.back, share(n + reach, 1) - turn * (1.0 - done)) * to;
            // Two that are alike add up by amplitude, two that are not by power.
            let sum = on * on + to * to + 2.0 * alike * on * to;
            let left = gain(made + n, per_ms) * on + gain(samples - 1 - n, per_ms) * to;
            pcm.push(whole(voice / sum.sqrt() + self.quiet[n] * rest(left)));
        }
    }

    /// How far the sides must be turned towards each other, in samples, for their phases to meet in the middle of
    /// the hole, and how alike they are then (0 to 1).
    fn meet(&self, samples: usize, reach: usize) -> (f32, f32) {
        let (middle, width) = (samples / 2, samples / 4);
        let (lag, voice) = self.before.lag();
        let most = if voice && self.after.lag().1 { (lag / 2).min(samples / 6).min(reach) } else { 0 };
        let energy = |side: &[f32]| dot(side, side) + 1.0;
        let mut best = (0.0, f32::MIN);
        for step in 0..=2 * most {
            // `step - most` is the turn: one half of it reads forth from further on, the other back from before.
            let (further, earlier) = (step / 2, step - step / 2);
            let forth = &self.forth[middle - width + further - most / 2..][..2 * width];
            let back = &self.back[reach + middle - width + (most - most / 2) - earlier..][..2 * width];
            let alike = dot(forth, back) / (energy(forth) * energy(back)).sqrt();
            if alike > best.1 {
                best = (share(step, 1) - share(most, 1), alike);
            }
        }
        (best.0, best.1.clamp(0.0, 1.0))
    }
}

/// Sing all of `out`, of which `made` samples are made up already, wider and softer as it goes.
fn sing(voice: &mut Voice, out: &mut [f32], made: usize, per_ms: usize) {
    for (n, piece) in out.chunks_mut(per_ms).enumerate() {
        let from = made + n * per_ms;
        voice.widen(if from < TWO_MS * per_ms {
            1
        } else if from < THREE_MS * per_ms {
            2
        } else {
            3
        });
        voice.sing(piece);
        for (m, sample) in piece.iter_mut().enumerate() {
            *sample *= gain(from + m, per_ms);
        }
    }
}

/// How much of the voice is left after `made` samples.
fn gain(made: usize, per_ms: usize) -> f32 {
    let (full, gone) = (FULL_MS * per_ms, GONE_MS * per_ms);
    share(gone.saturating_sub(made.max(full)), gone - full)
}

/// What is left of a power of one where a voice of this amplitude is in it already.
fn rest(voice: f32) -> f32 {
    (1.0 - voice * voice).max(0.0).sqrt()
}

/// `of` between two samples, by the cubic through the four around it (Catmull and Rom).
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn at(of: &[f32], position: f32) -> f32 {
    let position = position.max(0.0);
    let whole = position as usize;
    let part = position - whole as f32;
    if part == 0.0 {
        return of[whole.min(of.len() - 1)];
    }
    let sample = |ahead: usize| of[(whole + ahead).saturating_sub(1).min(of.len() - 1)];
    let [a, b, c, d] = [sample(0), sample(1), sample(2), sample(3)];
    b + 0.5 * part * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)))
}

/// From 0 to 1 without a corner.
fn smooth(share: f32) -> f32 {
    share * share * (3.0 - 2.0 * share)
}

#[allow(clippy::cast_precision_loss)]
fn share(of: usize, all: usize) -> f32 {
    of as f32 / all as f32
}

#[allow(clippy::cast_possible_truncation)]
fn whole(sample: f32) -> i16 {
    sample.clamp(-32768.0, 32767.0).round() as i16
}

/// Concealment before what hears it.
#[must_use]
pub fn stage(down: Stage) -> Stage {
    down.after("conceal")
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    /// A voice of a period of `period` samples: a pulse train with a resonance, without the platform's sine.
    fn voice(samples: usize, period: usize) -> Vec<i16> {
        gliding(samples, period as f32, 0.0)
    }

    /// The same, each period by `glide` longer than the one before.
    fn gliding(samples: usize, mut period: f32, glide: f32) -> Vec<i16> {
        let (mut a, mut b, mut next) = (0.0f32, 0.0f32, 0.0);
        let mut sample = |n: usize| {
            let mut pulse = 0.0;
            if n as f32 >= next {
                (pulse, next, period) = (4000.0, next + period, period + glide);
            }
            (a, b) = (pulse + 1.6 * a - 0.8 * b, a);
            a as i16
        };
        (0..samples).map(&mut sample).collect()
    }

    fn level(pcm: &[i16]) -> f32 {
        (pcm.iter().map(|&sample| f32::from(sample).powi(2)).sum::<f32>() / pcm.len() as f32).sqrt()
    }

    /// How much of what was lost came back wrong, as a share of its level.
    fn wrong(made: &[i16], lost: &[i16]) -> f32 {
        let off: Vec<i16> = made.iter().zip(lost).map(|(&made, &lost)| made.saturating_sub(lost)).collect();
        level(&off) / level(lost)
    }

    fn steepest(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn without_loss_nothing_changes() {
        let mut conceal = Conceal::default();
        let mut frame = voice(160, 57);
        conceal.hear(&mut frame);
        assert_eq!(frame, voice(160, 57));
    }

    #[test]
    fn a_steady_voice_goes_on_through_the_hole_and_behind_it() {
        for (rate, period) in [(8000, 57), (8000, 120), (16000, 150)] {
            let frame = rate / 50;
            let whole = voice(10 * frame, period);
            let mut conceal = Conceal::new(u32::try_from(rate).unwrap());
            conceal.hear(&mut whole[..5 * frame].to_vec());
            let mut made = Vec::new();
            conceal.fill(frame / 2, &mut made);
            assert!(wrong(&made, &whole[5 * frame..][..frame / 2]) < 0.15, "{rate} {period}");
            let mut after = whole[5 * frame + frame / 2..].to_vec();
            conceal.hear(&mut after);
            let seam = SEAM_MS * rate / 1000;
            assert_eq!(after[seam..], whole[5 * frame + frame / 2 + seam..]);
            assert!(steepest(&after) <= steepest(&whole) * 11 / 10);
        }
    }

    #[test]
    fn a_voice_that_glides_goes_on_gliding() {
        for (rate, period, glide) in [(8000, 36.0, 0.8), (8000, 45.0, -0.6), (16000, 80.0, 1.2)] {
            let frame = rate / 50;
            let whole = gliding(10 * frame, period, glide);
            let off: f32 = (300..330)
                .map(|at| {
                    let at = at * rate / 8000;
                    let mut conceal = Conceal::new(u32::try_from(rate).unwrap());
                    conceal.hear(&mut whole[..at].to_vec());
                    let mut made = Vec::new();
                    conceal.fill(frame, &mut made);
                    wrong(&made, &whole[at..][..frame])
                })
                .sum();
            assert!(off / 30.0 < 0.65, "{rate} {period} {glide}: {}", off / 30.0);
        }
    }

    #[test]
    fn with_both_sides_known_a_long_hole_is_closed_and_what_follows_is_left_alone() {
        for frames in 1..=3 {
            let whole = voice(1600, 61);
            let mut conceal = Conceal::default();
            conceal.hear(&mut whole[..800].to_vec());
            let lost = &whole[800..800 + 160 * frames];
            let mut after = whole[800 + lost.len()..][..160].to_vec();
            let mut made = Vec::new();
            conceal.between(lost.len(), &after, &mut made);
            assert_eq!(made.len(), lost.len());
            assert!(wrong(&made, lost) < 0.5, "{frames}: {}", wrong(&made, lost));
            let same = after.clone();
            conceal.hear(&mut after);
            assert_eq!(after, same);
        }
    }

    #[test]
    fn two_sides_out_of_phase_are_turned_until_they_meet() {
        let (before, after) = (voice(800, 61), voice(800, 61));
        let mut conceal = Conceal::default();
        conceal.hear(&mut before[..800].to_vec());
        let mut made = Vec::new();
        conceal.between(160, &after[305 - 20..][..160], &mut made);
        assert!(level(&made) > 0.6 * level(&before), "{} {}", level(&made), level(&before));
    }

    #[test]
    fn a_long_hole_fades_into_the_room_and_never_into_more() {
        let mut random = 1u32;
        let mut noise = |peak: i32| -> Vec<i16> {
            let mut one = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((i64::from(random >> 8) - 0x80_0000) * i64::from(peak) / 0x80_0000) as i16
            };
            (0..160).map(|_| one()).collect()
        };
        for (peak, room) in [(0, 0.0..0.5), (100, 30.0..90.0), (8000, 0.0..0.5)] {
            let mut conceal = Conceal::default();
            for _ in 0..10 {
                conceal.hear(&mut noise(peak));
            }
            conceal.hear(&mut voice(800, 57));
            let mut made = Vec::new();
            for _ in 0..10 {
                conceal.fill(160, &mut made);
            }
            assert!(level(&made[..80]) > 800.0);
            assert!(room.contains(&level(&made[800..])), "{peak}: {}", level(&made[800..]));
        }
    }

    #[test]
    fn a_hole_before_any_audio_is_silence() {
        let mut made = Vec::new();
        Conceal::default().fill(160, &mut made);
        assert_eq!(made, [0; 160]);
    }

    #[test]
    fn the_loudest_and_the_strangest_stay_in_bounds() {
        let square: Vec<i16> = (0..160).map(|n| if n % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let mut conceal = Conceal::new(16000);
        let mut made = Vec::new();
        for round in 0..40usize {
            conceal.hear(&mut square[..round % 7 * 20].to_vec());
            conceal.between(round * 13, &square[..round * 4], &mut made);
            conceal.fill(round, &mut made);
        }
        assert_eq!(made.len(), (0..40).map(|round| round * 14).sum::<usize>());
    }

    #[test]
    fn the_same_past_sounds_the_same_to_the_bit() {
        let whole = voice(1600, 57);
        let mut conceal = Conceal::default();
        conceal.hear(&mut whole[..800].to_vec());
        let mut made = Vec::new();
        conceal.fill(480, &mut made);
        conceal.between(160, &whole[1440..], &mut made);
        let hash = made.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &sample| {
            (hash ^ u64::from(sample.cast_unsigned())).wrapping_mul(0x0100_0000_01B3)
        });
        assert_eq!(hash, 0x30E5_6907_4190_BFCE, "{hash:#x}");
    }
}
