//! Our own voice that comes back: is what is heard only that?
//!
//! ```text
//! what left ─► band levels, 10 ms ─► taps ─┬─ correlation over 0–630 ms ─► delay ─► return of each band
//! what is heard ─► the gate's levels ──────┘                                 └─► the level to expect ─► the gate
//! ```
//!
//! No waveform is cancelled: the far end's buffers move, and a filter that follows them never settles. Envelopes bear
//! it (the shape of speech in four bands, in decibels). Until a call has shown whether it has an echo, a loud one is
//! expected at any delay. Nothing is computed unless we sounded within the last 700 ms.

use crate::vad::{Bands, BANDS, STEP};

/// One step of the envelopes, ns.
const STEP_NS: i64 = 10_000_000;
/// Delays that are looked at, in steps; a packet is heard at its end, 20 ms after its beginning.
const LAGS: usize = 64;
const LAST: i64 = LAGS as i64 - 1;
const AHEAD: i64 = 2;
/// Steps that are remembered.
const RING: usize = 128;
/// So long after our last sound nothing of it can come back.
const LINGER: i64 = 70;
/// Nothing is quieter than this: the gate's own floor, dB of 16-bit power.
const QUIET_DB: f32 = 28.5;
/// What lies so far below our loudest never comes back above the noise, dB.
const RANGE_DB: f32 = 30.0;
/// How fast it is forgotten what was loudest, of ours and of what is heard, dB a step.
const FADE_DB: f32 = 0.02;
const FADE_HEARD_DB: f32 = 0.05;
/// The window of the correlation, steps.
const WINDOW: f32 = 40.0;
/// A correlation that is an echo's, and for how many steps the same delay must show it.
const ALIKE: f32 = 0.72;
const SURE_STEPS: u32 = 8;
/// Our envelope and what is heard must have moved so much, dB² over all bands.
const MOVED_OURS: f32 = 12.0;
const MOVED_HEARD: f32 = 12.0;
/// The far end's buffer moves the delay by so many steps at once without being noticed.
const SLACK: i64 = 6;
/// What is expected lies so far above the mean return, dB: the spread of a return from step to step.
const MARGIN_DB: f32 = 5.0;
/// The return that is expected while nothing is known, dB.
const PRIOR_DB: f32 = -14.0;
/// How far above the most that can come back is expected while its delay is not known, dB.
const BOUND_MARGIN_DB: f32 = 4.0;
/// How fast that most is forgotten, dB a step of our voice.
const FORGET_DB: f32 = 0.01;
/// Nothing comes back louder than it left, but for handsets that amplify, dB.
const LOUDEST_DB: f32 = 3.0;
/// Over how many steps the return is measured.
const RETURN_STEPS: i64 = 48;
/// So much of our voice whose echo is missing, and it is gone, steps.
const GONE_STEPS: u32 = 150;
const GONE_DB: f32 = 12.0;
/// How far back it is asked whether the echo explains what opened the gate, steps.
const BACK: i64 = 12;

/// What became of the echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, so late, and so much quieter than what we sent.
    Found { delay_ms: u32, loss_db: u32 },
    /// It is there no more.
    Gone,
}

/// A ring of band levels whose last [`RING`] entries are one slice, whatever step they end at.
#[derive(Clone, Debug)]
struct Levels([[f32; 2 * RING]; BANDS]);

impl Levels {
    fn new() -> Self {
        Self([[QUIET_DB; 2 * RING]; BANDS])
    }

    fn place(step: i64) -> usize {
        usize::try_from(step.rem_euclid(RING as i64)).unwrap_or(0)
    }

    fn put(&mut self, step: i64, levels: &[f32; BANDS]) {
        let place = Self::place(step);
        for (ring, &level) in self.0.iter_mut().zip(levels) {
            ring[place] = level;
            ring[place + RING] = level;
        }
    }

    fn get(&self, band: usize, step: i64) -> f32 {
        self.0[band][Self::place(step)]
    }

    /// The loudest of a band in the steps `from` to `to`, both included.
    fn most(&self, band: usize, from: i64, to: i64) -> f32 {
        let place = Self::place(from);
        let many = usize::try_from(to - from + 1).unwrap_or(0).min(RING);
        self.0[band][place..place + many].iter().copied().fold(QUIET_DB, f32::max)
    }
}

/// Running sums of one delay's correlation, for every delay.
#[derive(Clone, Debug)]
struct Sums {
    weight: f32,
    heard: [f32; BANDS],
    heard_squares: [f32; BANDS],
    ours: [[f32; LAGS]; BANDS],
    ours_squares: [[f32; LAGS]; BANDS],
    products: [[f32; LAGS]; BANDS],
}

impl Sums {
    fn new() -> Self {
        Self {
            weight: 0.0,
            heard: [0.0; BANDS],
            heard_squares: [0.0; BANDS],
            ours: [[0.0; LAGS]; BANDS],
            ours_squares: [[0.0; LAGS]; BANDS],
            products: [[0.0; LAGS]; BANDS],
        }
    }

    /// Add a step: what is heard, and what left up to it (the delay of [`LAGS`] - 1 first).
    fn add(&mut self, taps: &Levels, step: i64, heard: &[f32; BANDS], least: &[f32; BANDS]) {
        let keep = 1.0 - 1.0 / WINDOW;
        self.weight = self.weight * keep + 1.0;
        let from = Levels::place(step - LAST);
        for band in 0..BANDS {
            let (heard, least) = (heard[band], least[band]);
            self.heard[band] = self.heard[band] * keep + heard;
            self.heard_squares[band] = self.heard_squares[band] * keep + heard * heard;
            let ours = &taps.0[band][from..from + LAGS];
            let sums = self.ours[band].iter_mut().zip(&mut self.ours_squares[band]).zip(&mut self.products[band]);
            for (&level, ((sum, squares), products)) in ours.iter().zip(sums) {
                let level = level.max(least);
                *sum = *sum * keep + level;
                *squares = *squares * keep + level * level;
                *products = *products * keep + level * heard;
            }
        }
    }

    /// The best delay in steps, and its correlation; None while too little has moved.
    fn best(&self) -> Option<(i64, f32)> {
        let (mut ours, mut both) = ([0.0; LAGS], [0.0; LAGS]);
        let mut heard = 0.0;
        let share = 1.0 / self.weight.max(1.0);
        for band in 0..BANDS {
            let mean = self.heard[band] * share;
            heard += self.heard_squares[band] * share - mean * mean;
            let sums = self.ours[band].iter().zip(&self.ours_squares[band]).zip(&self.products[band]);
            for (((sum, squares), products), (ours, both)) in sums.zip(ours.iter_mut().zip(&mut both)) {
                let own = sum * share;
                *ours += squares * share - own * own;
                *both += products * share - own * mean;
            }
        }
        if heard < MOVED_HEARD {
            return None;
        }
        let mut best = (0, 0.0);
        for (place, (&ours, &both)) in ours.iter().zip(&both).enumerate() {
            if ours >= MOVED_OURS && both > 0.0 {
                let alike = both * both / (ours * heard);
                if alike > best.1 {
                    best = (LAGS - 1 - place, alike);
                }
            }
        }
        Some((i64::try_from(best.0).unwrap_or(0), best.1.sqrt()))
    }
}

/// The echo that was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    lag: i64,
    returns: [f32; BANDS],
    missing: u32,
}

/// The echo of one call.
#[derive(Clone, Debug)]
pub struct Echo {
    bands: Bands,
    taps: Levels,
    /// The step up to which taps are written, and the last that sounded.
    newest: i64,
    sounded: Option<i64>,
    /// Our loudest of late, by band, and the loudest that was heard.
    loudest: [f32; BANDS],
    loudest_heard: [f32; BANDS],
    heard: Levels,
    sums: Sums,
    found: Option<Found>,
    /// The delay that looks like one, and for how many steps.
    candidate: (i64, u32),
    /// The most that can come back: whatever the delay, it would have shown.
    bound: [f32; BANDS],
    alike: f32,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            bands: Bands::default(),
            taps: Levels::new(),
            newest: i64::MIN,
            sounded: None,
            loudest: [QUIET_DB; BANDS],
            loudest_heard: [QUIET_DB; BANDS],
            heard: Levels::new(),
            sums: Sums::new(),
            found: None,
            candidate: (0, 0),
            bound: [LOUDEST_DB; BANDS],
            alike: 0.0,
        }
    }
}

impl Echo {
    /// This left at `at`, at 8 kHz; nothing where it was silence.
    pub fn left(&mut self, at: i64, pcm: &[i16]) {
        for (step, piece) in (at.div_euclid(STEP_NS)..).zip(pcm.chunks_exact(STEP)) {
            if step > self.newest.saturating_add(2) {
                // More lies between than a clock's unrest: what still rings in the filters rang out in it.
                self.bands = Bands::default();
            }
            self.advance(step - 1);
            let levels = self.bands.of(piece);
            self.put(step, &levels);
        }
    }

    fn put(&mut self, step: i64, levels: &[f32; BANDS]) {
        for (loudest, &level) in self.loudest.iter_mut().zip(levels) {
            *loudest = (*loudest - FADE_DB).max(level);
        }
        self.taps.put(step, levels);
        self.newest = self.newest.max(step);
        if levels.iter().any(|&level| level > QUIET_DB + 6.0) {
            self.sounded = Some(step);
        }
    }

    /// Silence up to a step.
    fn advance(&mut self, until: i64) {
        let from = self.newest.saturating_add(1).max(until - RING as i64);
        for step in from..=until {
            self.taps.put(step, &[QUIET_DB; BANDS]);
        }
        self.newest = self.newest.max(until);
    }

    /// Whether anything of ours can come back in a step.
    fn lingers(&self, step: i64) -> bool {
        self.sounded.is_some_and(|sounded| step - sounded <= LINGER)
    }

    /// What may come back in the step that begins at `at`, dB by band; None where nothing can.
    pub fn expected(&mut self, at: i64) -> Option<[f32; BANDS]> {
        let step = at.div_euclid(STEP_NS) + AHEAD;
        self.lingers(step).then_some(())?;
        self.advance(step);
        Some(self.mask(step))
    }

    fn mask(&self, step: i64) -> [f32; BANDS] {
        let mut mask = [0.0; BANDS];
        if let Some(found) = self.found {
            let (from, to) = (step - found.lag - SLACK, (step - found.lag + SLACK).min(step));
            for (band, slot) in mask.iter_mut().enumerate() {
                *slot = self.taps.most(band, from, to) + found.returns[band] + MARGIN_DB;
            }
        } else {
            for (band, slot) in mask.iter_mut().enumerate() {
                let most = (self.bound[band] + BOUND_MARGIN_DB).min(PRIOR_DB);
                *slot = self.taps.most(band, step - LAST, step) + most;
            }
        }
        mask
    }

    /// A loud step of ours is so old that its echo must have come: no more than the loudest since can be it.
    fn limit(&mut self, step: i64) {
        for band in 0..BANDS {
            let ours = self.taps.get(band, step - LAST);
            if ours > self.loudest[band] - 8.0 && ours > QUIET_DB + 20.0 {
                let most = self.heard.most(band, step - LAST, step) - ours;
                self.bound[band] = (self.bound[band] + FORGET_DB).min(most).min(LOUDEST_DB);
            }
        }
    }

    /// Learn from a step that was heard: its levels, and the noise below which nothing shows, dB.
    pub fn learn(&mut self, at: i64, levels: &[f32; BANDS], noise: &[f32; BANDS]) -> Option<Change> {
        let step = at.div_euclid(STEP_NS) + AHEAD;
        self.lingers(step).then_some(())?;
        let mut heard = [0.0; BANDS];
        let mut least = [0.0; BANDS];
        for band in 0..BANDS {
            heard[band] = levels[band].max(noise[band] + 3.0);
            // As far as what is heard stands out of the noise, so far does what we compare it with.
            let loudest = (self.loudest_heard[band] - FADE_HEARD_DB).max(heard[band]);
            self.loudest_heard[band] = loudest;
            let range = (loudest - noise[band] - 3.0).clamp(0.0, RANGE_DB);
            least[band] = (self.loudest[band] - range).max(QUIET_DB);
        }
        self.heard.put(step, &heard);
        self.limit(step);
        self.sums.add(&self.taps, step, &heard, &least);
        let (lag, alike) = self.sums.best().unwrap_or((0, 0.0));
        self.alike = alike;
        if alike < ALIKE {
            self.candidate.1 = 0;
            return self.miss(step, &heard, noise);
        }
        let near = (lag - self.candidate.0).abs() <= 1;
        self.candidate = (lag, if near { self.candidate.1 + 1 } else { 1 });
        if self.candidate.1 < SURE_STEPS {
            return None;
        }
        let known = self.found;
        let returns = self.returns(step, lag)?;
        self.found = Some(Found { lag, returns, missing: 0 });
        let moved = known.is_none_or(|known| (known.lag - lag).abs() > SLACK);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A float to integer cast saturates.
        moved.then(|| Change::Found {
            delay_ms: u32::try_from(lag * 10).unwrap_or(0),
            loss_db: (-returns.iter().sum::<f32>() / BANDS as f32).max(0.0) as u32,
        })
    }

    /// The mean return of each band at a delay, where we were loud; None where it was too little, or no echo's.
    fn returns(&self, step: i64, lag: i64) -> Option<[f32; BANDS]> {
        let mut returns = [0.0; BANDS];
        let (mut known, mut total) = ([false; BANDS], (0.0, 0.0));
        for band in 0..BANDS {
            let (mut sum, mut count) = (0.0, 0.0);
            for back in 0..RETURN_STEPS {
                let ours = self.taps.get(band, step - back - lag);
                if ours > self.loudest[band] - 15.0 {
                    sum += self.heard.get(band, step - back) - ours;
                    count += 1.0;
                }
            }
            if count >= 4.0 {
                returns[band] = (sum / count).min(self.bound[band]);
                known[band] = true;
                total = (total.0 + returns[band], total.1 + 1.0);
            }
        }
        if total.1 < 2.0 {
            return None;
        }
        let mean = total.0 / total.1;
        for band in 0..BANDS {
            if !known[band] {
                returns[band] = self.found.map_or(mean, |found| found.returns[band]);
            }
        }
        (mean < 3.0).then_some(returns)
    }

    /// What is heard is not like an echo now: is what should have come back missing?
    fn miss(&mut self, step: i64, heard: &[f32; BANDS], noise: &[f32; BANDS]) -> Option<Change> {
        let found = self.found.as_mut()?;
        let (mut due, mut missing) = (0, 0);
        for band in 0..BANDS {
            let expected = self.taps.get(band, step - found.lag) + found.returns[band];
            if expected > noise[band] + GONE_DB + 3.0 {
                due += 1;
                missing += u32::from(heard[band] < expected - GONE_DB);
            }
        }
        if due >= 2 {
            found.missing = if missing == due { found.missing + 1 } else { found.missing.saturating_sub(2) };
        }
        if found.missing < GONE_STEPS {
            return None;
        }
        self.found = None;
        self.candidate.1 = 0;
        Some(Change::Gone)
    }

    /// Whether the echo alone explains what was heard of late.
    #[must_use]
    pub fn explains(&self, at: i64) -> bool {
        let step = at.div_euclid(STEP_NS) + AHEAD;
        if self.found.is_none() || self.alike < ALIKE || !self.lingers(step) {
            return false;
        }
        let above = (0..BACK).filter(|back| {
            let mask = self.mask(step - back);
            let over: f32 = (0..BANDS).map(|band| (self.heard.get(band, step - back) - mask[band]).max(0.0)).sum();
            over > 16.0
        });
        above.count() <= 3
    }
}

#[cfg(test)]
mod tests;
