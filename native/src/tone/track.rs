//! The cadence of one kind of tone: which of its segments went by, one after another.
//!
//! ```text
//! a symbol every 12.5 ms ─► runs, short slips forgotten ─► the last of them fit the segments, from any of the first on?
//! ```

/// The symbol of silence, or of anything that is none of the pattern's tones.
pub const QUIET: u8 = 0;

/// Steps in 25 ms.
const STEPS_IN_25_MS: u32 = 2;
/// Steps that another symbol must last to be one: a slip, or the turn of a fax tone's phase, is shorter.
const SETTLED: u32 = 5;
/// How far a segment's length may be off: 15 %, and 45 ms at least, which is what steps leave unknown.
const OFF_PERCENT: u32 = 15;
const OFF_LEAST_MS: u32 = 45;
/// So much of a tone's length a window takes, ms, and gives to the silence beside it.
const EDGES_MS: u32 = 13;
/// What sounds on and on has done so for this long: longer than any tone that ends, shorter than a fax machine's.
const LASTS_MS: u32 = 2350;
/// So long without its tones, and a kind is told again.
const FORGOTTEN: u32 = 8000 / 25 * STEPS_IN_25_MS;
/// Runs that are remembered.
const KEPT: usize = 8;

/// A run of one symbol. `steps` is None for the first one of all, which may have begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    symbol: u8,
    steps: Option<u32>,
}

/// The track of one pattern.
#[derive(Debug)]
pub struct Track {
    kind: String,
    segments: Vec<(u8, u32)>,
    runs: usize,
    /// Complete runs, the newest last, and the one that goes on.
    past: Vec<Run>,
    now: Run,
    /// Another symbol that is not settled yet, and steps before it that were neither.
    coming: (u8, u32),
    between: u32,
    /// The run that goes on is new with this step.
    fresh: bool,
    told: bool,
    without: u32,
}

impl Track {
    #[must_use]
    pub fn new(kind: &str, segments: Vec<(u8, u32)>, runs: usize) -> Self {
        let now = Run { symbol: QUIET, steps: None };
        let past = Vec::with_capacity(KEPT);
        Self {
            kind: kind.to_string(),
            segments,
            runs,
            past,
            now,
            coming: (QUIET, 0),
            between: 0,
            fresh: false,
            told: false,
            without: 0,
        }
    }

    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Take a step, with the set of symbols that hold as bits; give whether the pattern is complete now.
    pub fn step(&mut self, held: u128) -> bool {
        let symbol = self.symbol(held);
        self.without = if symbol == QUIET { self.without.saturating_add(1) } else { 0 };
        if self.without >= FORGOTTEN {
            self.told = false;
        }
        self.follow(symbol);
        let complete = !self.told && self.fits();
        self.told |= complete;
        complete
    }

    /// Of the symbols that hold, the one that goes on, or else the first of the pattern.
    fn symbol(&self, held: u128) -> u8 {
        if self.now.symbol != QUIET && held >> self.now.symbol & 1 == 1 {
            return self.now.symbol;
        }
        let first =
            self.segments.iter().map(|segment| segment.0).find(|&symbol| symbol != QUIET && held >> symbol & 1 == 1);
        first.unwrap_or(QUIET)
    }

    fn follow(&mut self, symbol: u8) {
        self.fresh = false;
        let (other, steps) = self.coming;
        if symbol == self.now.symbol {
            let slip = 1 + steps + self.between;
            self.now.steps = self.now.steps.map(|steps| steps.saturating_add(slip));
            (self.coming, self.between) = ((symbol, 0), 0);
            return;
        }
        if symbol != other {
            self.between += steps;
        }
        self.coming = (symbol, if symbol == other { steps + 1 } else { 1 });
        if self.coming.1 < SETTLED {
            return;
        }
        // A window across two tones holds neither: each has half of those.
        let half = self.between / 2;
        self.now.steps = self.now.steps.map(|steps| steps.saturating_add(self.between - half));
        if self.past.len() == KEPT {
            self.past.remove(0);
        }
        self.past.push(self.now);
        self.now = Run { symbol, steps: Some(self.coming.1 + half) };
        (self.coming, self.between, self.fresh) = ((symbol, 0), 0, true);
    }

    /// Whether the last `runs` runs are segments in a row: the last of them may still go on if it is long enough.
    fn fits(&self) -> bool {
        let count = self.segments.len();
        // A pattern that repeats may be joined at any segment, one that is said once only at the first.
        let starts = if self.runs > count || self.segments.iter().any(|one| one.0 == QUIET) { count } else { 1 };
        let tones = |start: usize| self.segments[start].0 != QUIET;
        (0..starts).filter(|&start| tones(start)).any(|start| {
            let segment = |n: usize| self.segments[(start + n) % count];
            self.ends_with(&segment, true) || self.ends_with(&segment, false)
        })
    }

    fn ends_with(&self, segment: &dyn Fn(usize) -> (u8, u32), goes_on: bool) -> bool {
        let before = self.runs - usize::from(goes_on);
        if self.past.len() < before {
            return false;
        }
        if !goes_on && !self.fresh {
            return false; // told as it ends, or not at all
        }
        let past = &self.past[self.past.len() - before..];
        let whole = past.iter().enumerate().all(|(n, run)| fits(*run, segment(n), false));
        whole && (!goes_on || fits(self.now, segment(before), true))
    }
}

/// Whether a run is a segment. One that goes on has been long enough, and may be too long yet only if it lasts anyhow.
fn fits(run: Run, (symbol, ms): (u8, u32), goes_on: bool) -> bool {
    let Some(steps) = run.steps.filter(|_| run.symbol == symbol) else {
        return false;
    };
    let lasted = steps * 25 / STEPS_IN_25_MS;
    // The last and the first window of a tone must hold most of it.
    let lasted = if symbol == QUIET { lasted.saturating_sub(EDGES_MS) } else { lasted + EDGES_MS };
    if ms == 0 {
        return lasted >= LASTS_MS;
    }
    let off = (ms * OFF_PERCENT / 100).max(OFF_LEAST_MS);
    let enough = lasted + off >= ms;
    // A tone that goes on might become a longer one; silence is silence.
    let settled = !goes_on || symbol == QUIET;
    enough && settled && lasted <= ms + off
}
