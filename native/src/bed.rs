//! What sounds under everything else: an office, or music while one waits. A loop that all calls share.
//!
//! ```text
//! a recording ─► both rates, its ends laid over each other ─► one Sound
//!    Sound ─► where this call is in it ─► level, lower while anybody speaks ─► under the packet that leaves
//! ```
//!
//! It goes on through silence and counts as nothing that we said: no utterance, no voice of ours that may be interrupted.
//! A call has a place and a level of its own, 40 bytes, and no copy.

use std::sync::Arc;

use crate::codec::NARROW;
use crate::mix::{bent, scaled, towards};
use crate::resample::convert;

/// How long a recording may be, ms: at most what takes 6 MB at both rates.
pub const LENGTHS_MS: (usize, usize) = (100, 120_000);
const WIDE: u32 = 16_000;
/// Its ends are laid over each other for this long, so that the loop has no seam.
const SEAM_MS: usize = 20;
/// Its level moves by 1 in so many parts of a second.
const RAMPS: f32 = 5.0;

/// A recording that may be looped.
#[derive(Debug)]
pub struct Sound {
    narrow: Vec<i16>,
    wide: Vec<i16>,
}

impl Sound {
    /// Of a recording at one of [`crate::resample::RATES`]; None for another rate, or a length out of bounds.
    #[must_use]
    pub fn new(pcm: &[i16], rate_hz: u32) -> Option<Self> {
        let ms = pcm.len() * 1000 / rate_hz.max(1) as usize;
        if !crate::resample::RATES.contains(&rate_hz) || !(LENGTHS_MS.0..=LENGTHS_MS.1).contains(&ms) {
            return None;
        }
        let at = |to_hz: u32| seamless(convert(pcm, rate_hz, to_hz), SEAM_MS * (to_hz / 1000) as usize);
        Some(Self { narrow: at(NARROW), wide: at(WIDE) })
    }

    fn at(&self, rate_hz: u32) -> &[i16] {
        if rate_hz == NARROW {
            &self.narrow
        } else {
            &self.wide
        }
    }
}

/// Fade the end into the beginning.
fn seamless(mut pcm: Vec<i16>, seam: usize) -> Vec<i16> {
    let seam = seam.min(pcm.len() / 2);
    let end = pcm.split_off(pcm.len() - seam);
    let parts = i32::try_from(seam.max(1)).unwrap_or(1);
    for (n, (first, last)) in (0..).zip(pcm.iter_mut().zip(end)) {
        let mixed = (i32::from(*first) * n + i32::from(last) * (parts - n)) / parts;
        *first = i16::try_from(mixed).unwrap_or(0);
    }
    pcm
}

/// A sound under one call.
#[derive(Debug)]
pub struct Bed {
    sound: Arc<Sound>,
    rate_hz: u32,
    at: usize,
    /// As factors: while nobody speaks, while somebody does, and at the moment.
    level: f32,
    under: f32,
    gain: f32,
    ending: bool,
}

impl Bed {
    /// `level` and, while somebody speaks, `under`: as factors.
    #[must_use]
    pub fn new(sound: Arc<Sound>, level: f32, under: f32) -> Self {
        Self { sound, rate_hz: NARROW, at: 0, level, under, gain: 0.0, ending: false }
    }

    /// Run at another rate, from the same place on.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.at = crate::timeline::scaled(self.at, self.rate_hz, rate_hz);
        self.rate_hz = rate_hz;
    }

    /// Fade out.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Whether it has faded out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending && self.gain == 0.0
    }

    /// Time goes by unheard.
    pub fn skip(&mut self, samples: usize) {
        self.at = (self.at + samples) % self.sound.at(self.rate_hz).len().max(1);
    }

    /// Lay it under a packet of `want` samples; `speech`: somebody speaks.
    pub fn lay(&mut self, want: usize, speech: bool, pcm: &mut Vec<i16>) {
        let wanted = match (self.ending, speech) {
            (true, _) => 0.0,
            (false, true) => self.under,
            (false, false) => self.level,
        };
        #[allow(clippy::cast_precision_loss)]
        let step = RAMPS / self.rate_hz as f32;
        pcm.resize(want, 0);
        let sound = self.sound.at(self.rate_hz);
        for (sample, &bed) in pcm.iter_mut().zip(sound.iter().cycle().skip(self.at)) {
            self.gain = towards(self.gain, wanted, step);
            *sample = bent(i32::from(*sample) + scaled(i32::from(bed), self.gain));
        }
        self.skip(want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bed(level: f32, under: f32) -> Bed {
        let hum: Vec<i16> = (0..8000i16).map(|n| (n % 80 - 40) * 100).collect();
        Bed::new(Arc::new(Sound::new(&hum, 8000).expect("a sound")), level, under)
    }

    fn laid(bed: &mut Bed, packets: usize, speech: bool, under: i16) -> Vec<i16> {
        let mut all = Vec::new();
        for _ in 0..packets {
            let mut pcm = vec![under; 160];
            bed.lay(160, speech, &mut pcm);
            all.extend(pcm);
        }
        all
    }

    fn peak(pcm: &[i16]) -> i16 {
        pcm.iter().map(|sample| sample.abs()).max().unwrap_or(0)
    }

    #[test]
    fn it_goes_round_without_a_seam() {
        let mut bed = bed(1.0, 1.0);
        let heard = laid(&mut bed, 150, false, 0);
        assert!((3900..=4000).contains(&peak(&heard[1600..])));
        let steps = heard.windows(2).filter(|two| (two[1] - two[0]).abs() > 200).count();
        assert!(steps <= heard.len() / 80 + 10, "only the saw's own: {steps}");
    }

    #[test]
    fn it_is_lower_while_somebody_speaks_and_comes_and_goes_by_degrees() {
        let mut bed = bed(1.0, 0.25);
        assert!(peak(&laid(&mut bed, 1, false, 0)) < 500);
        laid(&mut bed, 20, false, 0);
        laid(&mut bed, 20, true, 0);
        assert!((950..=1000).contains(&peak(&laid(&mut bed, 2, true, 0))));
        bed.end();
        laid(&mut bed, 20, false, 0);
        assert!(bed.is_over());
        assert_eq!(laid(&mut bed, 1, false, 7), [7; 160]);
    }

    #[test]
    fn it_is_under_what_is_loud_and_wraps_nothing() {
        let mut bed = bed(1.0, 1.0);
        laid(&mut bed, 20, false, 0);
        assert!(laid(&mut bed, 5, false, i16::MAX).iter().all(|&sample| sample > 20_000));
    }

    #[test]
    fn it_goes_on_where_it_was_at_another_rate() {
        let mut bed = bed(1.0, 1.0);
        bed.skip(4000);
        bed.run_at(16_000);
        assert_eq!(bed.at, 8000);
        bed.lay(320, false, &mut Vec::new());
    }

    #[test]
    fn what_is_too_short_too_long_or_at_no_rate_is_no_sound() {
        assert!(Sound::new(&[0; 799], 8000).is_none());
        assert!(Sound::new(&vec![0; 8000 * 121], 8000).is_none());
        assert!(Sound::new(&[0; 8000], 11_025).is_none());
    }
}
