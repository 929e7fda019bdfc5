//! Whether the far end hears us, as its reports tell (RFC 3550 section 6.4.1), and whether there is anything to hear of it.
//!
//! ```text
//! its blocks ─► all lost · the highest sequence stands still · no block at all, and we send ─► it hears nothing
//! its audio ─► every sample a digital zero for two seconds ─► packets come, and nothing is in them
//! ```

use crate::energy::energy;
use crate::rtcp::ReportBlock;

/// Packets that must have left before a report that knows nothing of us means anything: 0.8 s of them, since the first
/// and the report itself were on their way. The earliest first report comes after a second.
const ENOUGH: u32 = 40;
/// Samples up to here are a codec's zero (A-law has none: ±8), or its dither.
const ZERO: u16 = 16;
/// So long nothing but zeros is silence, ns.
const SILENT: i64 = 2_000_000_000;

/// What the far end's reports say of its hearing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hearing {
    /// The highest sequence that it told, and what had left by then.
    highest: Option<u32>,
    sent: u32,
    unheard: bool,
}

impl Hearing {
    /// A report came, with its block about us if it has one; `sent` packets of ours have left so far. Gives what has
    /// changed: true where it hears us now, false where it does not.
    pub fn told(&mut self, block: Option<&ReportBlock>, sent: u32) -> Option<bool> {
        let left = sent.wrapping_sub(self.sent);
        let hears = match (block, self.highest) {
            // Nothing can be said of an interval in which nothing was sent.
            _ if left < ENOUGH => return None,
            (None, _) => false,
            (Some(block), before) => block.fraction_lost < 255 && before != Some(block.highest_sequence),
        };
        self.highest = block.map(|block| block.highest_sequence);
        self.sent = sent;
        (self.unheard == hears).then(|| {
            self.unheard = !hears;
            hears
        })
    }

    /// Forget: somebody else hears us from now on, or nothing was sent for a while.
    pub fn forget(&mut self, sent: u32) {
        *self = Self { sent, ..Self::default() };
    }
}

/// The sound of what comes: whether there is any, and how loud speech and the rest are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound {
    /// Since when there has been nothing but zeros.
    zeros_since: Option<i64>,
    silent: bool,
    speech: Power,
    rest: Power,
}

/// A mean power.
#[derive(Clone, Copy, Debug, Default)]
struct Power {
    sum: f64,
    samples: u64,
}

impl Sound {
    /// Take a packet's audio; give whether the line has fallen silent (true) or sounds again (false), if that is new.
    pub fn hear(&mut self, now: i64, pcm: &[i16], speech: bool) -> Option<bool> {
        let sum = energy(pcm);
        let power = if speech { &mut self.speech } else { &mut self.rest };
        power.sum += f64::from(sum);
        power.samples += pcm.len() as u64;
        // What has more energy than so many zeros has a sample that is none; only what is quieter must be searched.
        #[allow(clippy::cast_precision_loss)] // A packet's length.
        let sure = sum > f32::from(ZERO * ZERO) * pcm.len() as f32;
        if sure || pcm.iter().any(|sample| sample.unsigned_abs() > ZERO) {
            self.zeros_since = None;
            return std::mem::take(&mut self.silent).then_some(false);
        }
        let since = *self.zeros_since.get_or_insert(now);
        (!self.silent && now - since >= SILENT).then(|| {
            self.silent = true;
            true
        })
    }

    /// Nobody owes us sound: what comes next begins anew.
    pub fn forget(&mut self) {
        (self.zeros_since, self.silent) = (None, false);
    }

    /// The levels of speech and of the rest so far, dBm0.
    #[must_use]
    pub fn levels(&self) -> (Option<i8>, Option<i8>) {
        (self.speech.dbm0(), self.rest.dbm0())
    }
}

impl Power {
    /// A full-scale sine is 3.17 dBm0 (ITU-T G.711), and 3.01 dB below a full-scale square.
    fn dbm0(self) -> Option<i8> {
        if self.samples == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss)]
        let mean = self.sum / self.samples as f64;
        let level = 10.0 * (mean.max(1e-3) / (32768.0 * 32768.0)).log10() + 3.17 + 3.01;
        #[allow(clippy::cast_possible_truncation)]
        Some(level.round().clamp(-127.0, 10.0) as i8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn block(highest_sequence: u32, fraction_lost: u8) -> ReportBlock {
        ReportBlock { highest_sequence, fraction_lost, ..ReportBlock::default() }
    }

    #[test]
    fn who_hears_us_tells_of_new_packets() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.told(Some(&block(100, 0)), 100), None);
        assert_eq!(hearing.told(Some(&block(300, 200)), 300), None, "much is lost, and some is heard");
        assert_eq!(hearing.told(Some(&block(300, 0)), 500), Some(false), "the sequence stands still");
        assert_eq!(hearing.told(Some(&block(300, 0)), 700), None, "it was told");
        assert_eq!(hearing.told(Some(&block(900, 10)), 900), Some(true));
        assert_eq!(hearing.told(Some(&block(1000, 255)), 1000), Some(false), "all is lost");
    }

    #[test]
    fn a_report_without_us_means_something_once_enough_has_left() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.told(None, 39), None);
        assert_eq!(hearing.told(None, 80), Some(false));
        hearing.forget(80);
        assert_eq!(hearing.told(None, 100), None);
    }

    #[test]
    fn zeros_are_silence_and_the_breath_of_a_line_is_not() {
        let mut sound = Sound::default();
        let steps = |from: i64| (from..from + 4).map(|half| half * S / 2);
        assert!(steps(0).all(|now| sound.hear(now, &[-8; 160], false).is_none()));
        assert_eq!(sound.hear(2 * S, &[8; 160], false), Some(true));
        assert_eq!(sound.hear(3 * S, &[0; 160], false), None);
        assert_eq!(sound.hear(4 * S, &[0, 40, 0], false), Some(false));
        assert!(steps(10).all(|now| sound.hear(now, &[0, 40, 0], false).is_none()));
    }

    #[test]
    fn levels_are_in_dbm0() {
        let mut sound = Sound::default();
        assert_eq!(sound.levels(), (None, None));
        let sine: Vec<i16> =
            (0..800).map(|n| ((f64::from(n) * std::f64::consts::FRAC_PI_4).sin() * 32767.0) as i16).collect();
        sound.hear(0, &sine, true);
        sound.hear(0, &[0; 160], false);
        assert_eq!(sound.levels(), (Some(3), Some(-114)));
    }
}
