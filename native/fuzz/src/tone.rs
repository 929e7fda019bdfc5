//! The ears for tones: any audio is heard without a panic and told of within bounds, whatever pieces it comes in, and a
//! key that sounds between silences is told once (ITU-T Q.24).

use _native::dtmf::key_of;
use _native::tone::keypad::{Keypad, Press};
use _native::tone::make::Sounding;
use _native::tone::pattern::{Pattern, Segment, Wanted};
use _native::tone::watch::Watch;

use crate::plant;

/// Things that sound in a life, and the longest of them, samples.
const SOUNDS_MOST: usize = 48;
const RATE_HZ: u32 = 8000;

struct Ears {
    keypad: Keypad,
    watch: Watch,
    keys: Vec<char>,
    told: usize,
    heard: usize,
}

/// Sound what `data` says, four bytes a sound.
pub fn check(data: &[u8]) {
    let wanted = wanted();
    assert_eq!(wanted.fault(), None);
    let mut ears =
        Ears { keypad: Keypad::default(), watch: Watch::new(&wanted, true), keys: Vec::new(), told: 0, heard: 0 };
    let piece = 1 + usize::from(data.first().copied().unwrap_or(0)) * 2;
    for sound in data.chunks_exact(4).take(SOUNDS_MOST) {
        let &[what, one, two, three] = sound else { continue };
        match what % 4 {
            0 => ears.hear(&noise(one, two, usize::from(three) * 16), piece, what & 4 != 0),
            1 => ears.hear(&sine(200 + u32::from(one) * 8, usize::from(two) * 32, three), piece, what & 4 != 0),
            2 => ears.press(one % 16, 50 + u32::from(two) % 100, piece),
            _ => ears.hear(&vec![0; usize::from(two) * 32], piece, what & 4 != 0),
        }
    }
    let (bound, seconds) = (ears.heard / 320 + 1, ears.heard / 8000 + 1);
    assert!(ears.keys.len() <= bound, "more keys than there is time for");
    assert!(ears.told <= seconds * 4 + wanted.patterns.len(), "more tones than there is time for");
}

impl Ears {
    fn hear(&mut self, pcm: &[i16], piece: usize, concealed: bool) {
        for pcm in pcm.chunks(piece) {
            self.heard += pcm.len();
            let (keys, heard) = (&mut self.keys, self.heard);
            self.keypad.push(pcm, concealed, &mut |press: Press| {
                assert!(press.ago <= heard + 160, "a key began before there was any audio");
                if !plant::in_tone(press.key) {
                    keys.push(press.key);
                }
            });
            let told = &mut self.told;
            self.watch.push(pcm, &mut |tone| {
                assert!(tone.ago <= heard, "a tone ended before there was any audio");
                *told += 1;
            });
        }
    }

    fn press(&mut self, code: u8, ms: u32, piece: usize) {
        let Some((key, mut tone)) = key_of(code).and_then(|key| Some((key, Sounding::new(key, ms * 8, RATE_HZ)?)))
        else {
            return;
        };
        self.hear(&[0; 800], piece, false);
        let before = self.keys.len();
        let mut pcm = Vec::new();
        tone.append(usize::MAX, &mut pcm);
        pcm.resize(pcm.len() + 800, 0);
        self.hear(&pcm, piece, false);
        assert_eq!(self.keys[before..], [key], "a key was not told once");
    }
}

fn wanted() -> Wanted {
    let segment = |hz: &[u16], ms| Segment { hz: hz.to_vec(), ms };
    let pattern = |kind: &str, segments, runs| Pattern { kind: kind.to_string(), segments, runs };
    let patterns = vec![
        pattern("busy", vec![segment(&[480, 620], 500), segment(&[], 500)], 5),
        pattern("reorder", vec![segment(&[425], 250), segment(&[], 250)], 7),
        pattern("dial", vec![segment(&[350, 440], 0)], 1),
        pattern("sit", vec![segment(&[950], 330), segment(&[1400], 330), segment(&[1800], 330)], 3),
    ];
    Wanted { patterns, beep: true }
}

fn noise(one: u8, two: u8, samples: usize) -> Vec<i16> {
    let mut random = u32::from(one) << 8 | u32::from(two) | 1;
    let next = |_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::from_be_bytes([random.to_be_bytes()[0], random.to_be_bytes()[1]]) >> (one & 7)
    };
    (0..samples).map(next).collect()
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn sine(hz: u32, samples: usize, level: u8) -> Vec<i16> {
    let turn = std::f32::consts::TAU * hz as f32 / RATE_HZ as f32;
    (0..samples).map(|n| ((turn * n as f32).sin() * f32::from(level) * 127.0) as i16).collect()
}
