//! What a call is asked to listen for: tones in their cadence (ITU-T E.180), or a beep.
//!
//! ```text
//! busy: 480+620 500 ms │ silence 500 ms │ again … ─► told once `runs` of its segments have gone by, one after another
//! ```

use super::bank::{HIGHEST_HZ, LOWEST_HZ};

/// Patterns at once, segments of one, frequencies of a segment: what any country's tones need, and some more.
pub const PATTERNS_MOST: usize = 24;
pub const SEGMENTS_MOST: usize = 8;
pub const TOGETHER_MOST: usize = 4;
/// The longest segment, ms.
pub const SEGMENT_MOST_MS: u32 = 10_000;

/// One segment: frequencies that sound together (none: silence), and how long; 0 ms: on and on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub hz: Vec<u16>,
    pub ms: u32,
}

/// One kind of tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub kind: String,
    /// In their order, and then again from the first on.
    pub segments: Vec<Segment>,
    /// How many segments must have gone by.
    pub runs: usize,
}

/// What to listen for. `beep`: one tone alone, after speech and before silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub patterns: Vec<Pattern>,
    pub beep: bool,
}

impl Wanted {
    /// What is out of bounds in it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if self.patterns.len() > PATTERNS_MOST {
            return Some("there are too many tones to listen for at once");
        }
        self.patterns.iter().find_map(Pattern::fault)
    }

    /// Whether there is anything to listen for.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.beep || !self.patterns.is_empty()
    }
}

impl Pattern {
    fn fault(&self) -> Option<&'static str> {
        let frequencies = |segment: &Segment| segment.hz.iter().all(|hz| (LOWEST_HZ..=HIGHEST_HZ).contains(hz));
        let short = |segment: &Segment| segment.ms <= SEGMENT_MOST_MS && segment.hz.len() <= TOGETHER_MOST;
        if !(1..=SEGMENTS_MOST).contains(&self.segments.len()) || !self.segments.iter().all(short) {
            return Some("a tone has 1 to 8 segments of at most 4 frequencies and 10 s");
        }
        if !self.segments.iter().all(frequencies) || self.segments[0].hz.is_empty() {
            return Some("a tone has frequencies between 200 and 3600 Hz, and begins with some");
        }
        (!(1..=SEGMENTS_MOST).contains(&self.runs)).then_some("a tone is known after 1 to 8 of its segments")
    }
}
