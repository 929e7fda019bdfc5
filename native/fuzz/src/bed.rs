//! What sounds under a call: each packet is full, what is said is lifted or lowered by no more than the sound has, the same
//! is heard whatever pieces it is asked for in, and once it has faded out it is over.

use std::sync::Arc;

use _native::bed::{Bed, Sound};
use _native::resample::RATES;

use crate::plant;

/// Packets of a life, and the longest of them, samples: those of 200 ms at 16 kHz.
const PACKETS_MOST: usize = 64;
const SAMPLES_MOST: usize = 3200;
/// A bed at full level fades out within so much, ms.
const FADE_MS: usize = 210;
/// Up to here a sum is given as it is.
const STRAIGHT: i16 = 12_000;

/// Lay a sound under what `data` says: its length, rate and levels, then two bytes a packet.
pub fn check(data: &[u8]) {
    let &[length, rate, level, under, seed, ref packets @ ..] = data else { return };
    let from_hz = RATES[usize::from(rate) % RATES.len()];
    let many = usize::from(length) * from_hz as usize / 100;
    let pcm: Vec<i16> = (0..many).map(|n| sample(n, seed)).collect();
    let Some(sound) = Sound::new(&pcm, from_hz).map(Arc::new) else {
        assert!(length < 10, "{length} hundredths of a second can be looped");
        return;
    };
    let factor = |level: u8| f32::from(level) / 255.0;
    let bed = || Bed::new(sound.clone(), factor(level), factor(under));
    let (mut whole, mut pieces, mut rate_hz) = (bed(), bed(), 8000);
    for packet in packets.chunks_exact(2).take(PACKETS_MOST) {
        let &[what, size] = packet else { continue };
        let want = usize::from(size) * 13 % SAMPLES_MOST;
        if what & 7 == 7 {
            rate_hz = 24_000 - rate_hz;
            whole.run_at(rate_hz);
            pieces.run_at(rate_hz);
        }
        if what & 24 == 24 {
            whole.skip(want);
            pieces.skip(want / 3);
            pieces.skip(want - want / 3);
            continue;
        }
        let said = vec![i16::from(what) * 16; if what & 32 == 0 { want } else { 0 }];
        let (speech, mut heard) = (what & 64 != 0, said.clone());
        whole.lay(want, speech, &mut heard);
        assert_eq!(heard.len(), want, "a packet is not full");
        let first = want * usize::from(what) / 256;
        let mut again = said[..first.min(said.len())].to_vec();
        pieces.lay(first, speech, &mut again);
        let mut rest = said[first.min(said.len())..].to_vec();
        pieces.lay(want - first, speech, &mut rest);
        again.extend(plant::in_bed(rest, many));
        assert!(heard == again, "another sound in other pieces");
        for (n, &heard) in heard.iter().enumerate() {
            let said = said.get(n).copied().unwrap_or(0);
            assert!(heard.abs_diff(said) <= STRAIGHT.unsigned_abs() / 2 + 1, "{said} became {heard}");
        }
    }
    whole.end();
    let mut fading = vec![0; FADE_MS * rate_hz as usize / 1000];
    whole.lay(fading.len(), false, &mut fading);
    assert!(whole.is_over(), "it never ends");
    let mut after = vec![STRAIGHT; 160];
    whole.lay(160, false, &mut after);
    assert!(after.iter().all(|&sample| sample == STRAIGHT), "it sounds on");
}

/// A wave that is never louder than a quarter of the straight part, so that no resampler lifts it over a half of it.
fn sample(n: usize, seed: u8) -> i16 {
    let period = 3 + usize::from(seed);
    let place = i16::try_from(n % period).unwrap_or(0) - i16::try_from(period / 2).unwrap_or(0);
    place * (STRAIGHT / 4 / 130)
}
