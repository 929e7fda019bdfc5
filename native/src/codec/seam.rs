//! Where one codec, or rate, takes over from another in mid-sound: no step that the sound itself would not have.
//!
//! ```text
//! last sample ─► where it would have gone on ─┬─ the distance to what comes ─► faded out over 10 ms ─► added
//!                                             └─ that itself ─► faded over to what comes, if it is cold
//! ```
//!
//! Cold is what begins from nothing: a decoder that adapts, a filter between rates. For 1 to 3 ms they give silence, and
//! then the whole sound at once.

/// How long the distance takes to go, as part of a second: the shortest packet.
const FADE: u32 = 100;

/// The last of what was heard or said, and whether something else takes over from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seam {
    /// The last sample but one, the last, and their rate.
    last: (i16, i16),
    rate_hz: u32,
    turned: bool,
}

impl Seam {
    /// What comes next is of another codec, or at another rate.
    pub fn turn(&mut self) {
        self.turned = self.rate_hz > 0;
    }

    /// Whether what comes next must be joined.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.turned
    }

    /// Join `pcm`, where it takes over, and remember how it ends. `cold`: what takes over begins from nothing.
    pub fn pass(&mut self, pcm: &mut [i16], rate_hz: u32, cold: bool) {
        if std::mem::take(&mut self.turned) {
            self.join(pcm, rate_hz, cold);
        }
        self.remember(pcm, rate_hz);
    }

    /// Remember how `pcm` ends.
    pub fn remember(&mut self, pcm: &[i16], rate_hz: u32) {
        if let [.., before, last] = *pcm {
            (self.last, self.rate_hz) = ((before, last), rate_hz);
        }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // A float to integer cast saturates.
    fn join(self, pcm: &mut [i16], rate_hz: u32, cold: bool) {
        let Some(&first) = pcm.first() else { return };
        let (before, last) = (f32::from(self.last.0), f32::from(self.last.1));
        let expected = last + (last - before) * (self.rate_hz as f32 / rate_hz as f32);
        let first = f32::from(first);
        let length = ((rate_hz / FADE) as usize).min(pcm.len());
        for (n, sample) in pcm[..length].iter_mut().enumerate() {
            let share = 0.5 + 0.5 * (std::f32::consts::PI * n as f32 / length as f32).cos();
            let leaves = if cold { f32::from(*sample) } else { first };
            *sample = (f32::from(*sample) + (expected - leaves) * share).round() as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steepest(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn what_takes_over_anywhere_in_a_sound_begins_where_that_left_off() {
        #[allow(clippy::cast_possible_truncation)]
        let tone = |n: i32| ((f64::from(n) * 0.3).sin() * 8000.0) as i16;
        let heard: Vec<i16> = (0..400).map(tone).collect();
        for end in 300..330 {
            let mut seam = Seam::default();
            seam.pass(&mut heard[..end].to_vec(), 8000, false);
            seam.turn();
            let mut silent = vec![0; 160];
            seam.pass(&mut silent, 8000, true);
            let whole = [&heard[..end], &silent].concat();
            assert!(steepest(&whole) <= steepest(&heard), "{end}: {}", steepest(&whole));
            assert_eq!(silent[80..], [0; 80]);
        }
    }

    #[test]
    fn nothing_is_joined_to_a_beginning_or_within_a_stream() {
        let mut seam = Seam::default();
        seam.turn();
        for _ in 0..2 {
            let mut pcm = vec![9000; 160];
            seam.pass(&mut pcm, 8000, false);
            assert_eq!(pcm, [9000; 160]);
        }
    }
}
