//! How one side of a hole goes on: its last periods as an excitation, sung through its own spectrum.
//!
//! ```text
//! past ─► pitch (normalised correlation) ─┐
//!     └─► 1/A(z) (Levinson-Durbin) ─► residual: 3 2 1 ─► 1 1 … 2 1 … 3 2 1 … ─► 1/A(z) ─► what comes next
//!                                          unvoiced: noise ──┘
//! ```
//!
//! The filter's memory is the past itself, so what is made joins it without a seam. Nothing here calls the platform's
//! mathematics but for the square root, which IEEE 754 defines to the bit: the same past sounds the same anywhere.

/// Order of the spectrum at 8 and at 16 kHz.
const ORDERS: [usize; 2] = [16, 24];
const ORDER_MOST: usize = 24;
/// What a spectrum is measured over, ms.
const SPECTRUM_MS: usize = 30;
/// How quickly the measuring window closes at the newest sample, ms.
const CLOSES_MS: usize = 2;
/// Periods that are looked for, 1/8 ms: 58 to 333 Hz.
const SHORTEST: usize = 24;
const LONGEST: usize = 136;
/// What is compared to find the period, 1/8 ms. Short, since it is the newest sound that goes on.
const TEMPLATE: usize = 30;
/// How much less alike the longest period is taken to be than it looks: two periods are as alike as one.
const SHORTER: f32 = 0.1;
/// How alike periods must be for their change to be known, and how much of it goes on with each that is sung.
const GLIDES: f32 = 0.7;
const GLIDE: f32 = 0.5;
/// The most that a period is longer or shorter than the one before it, as part of it; and how far that is looked for.
const GLIDE_MOST: f32 = 32.0;
const GLIDE_SOUGHT: usize = 8;
/// The most that a glide makes of a period in the end, as part of it.
const BENT_MOST: f32 = 0.25;
/// Where likeness begins to be a voice, and where it is nothing else.
const UNVOICED: f32 = 0.2;
const VOICED: f32 = 0.8;
/// The least that a voice that is dying away keeps from period to period.
const DECAY_LEAST: f32 = 0.5;
/// Periods that the excitation is taken from, at most.
const PERIODS: usize = 3;

/// One side of a hole, as it would go on.
#[derive(Debug, Default)]
pub struct Voice {
    spectrum: [f32; ORDER_MOST + 1],
    order: usize,
    /// The residual's last periods, the newest at the end.
    residual: Vec<f32>,
    /// The period in whole samples, as the excitation is taken from the past.
    lag: usize,
    /// The period that is being sung, and by how much the next one is longer.
    length: f32,
    glide: f32,
    /// How much of it is periodic, as an amplitude, and how much is noise.
    periodic: f32,
    noise: f32,
    decay: f32,
    level: f32,
    /// The same, the furthest back first, without its leading one.
    weights: [f32; ORDER_MOST],
    /// The last of what was sung, the newest last; what is being sung is appended.
    sung: Vec<f32>,
    /// Which period is being sung, counted back from the newest, and where in it.
    period: usize,
    at: usize,
    /// Where in it the next one begins: it has a length in between samples, what it is sung from has not.
    turn: f32,
    /// How far back the next round begins.
    round: usize,
    random: u32,
    /// Working space.
    scratch: Vec<f32>,
}

impl Voice {
    /// Learn from `past`, the newest sample last.
    pub fn learn(&mut self, past: &[f32], rate_hz: usize) {
        let wide = usize::from(rate_hz > 8000);
        let eighth = rate_hz / 8000;
        self.order = ORDERS[wide];
        let template = TEMPLATE * eighth;
        let (length, likeness) = period(past, SHORTEST * eighth, LONGEST * eighth, template);
        let lag = round(length);
        self.lag = lag;
        let glide = if likeness > GLIDES { glide(past, length, template) } else { 0.0 };
        let voiced = ((likeness - UNVOICED) / (VOICED - UNVOICED)).clamp(0.0, 1.0);
        self.periodic = voiced.sqrt();
        self.noise = (1.0 - voiced).sqrt();
        self.learn_spectrum(past, rate_hz / 1000);
        self.learn_residual(past);
        let energy = |from: usize, to: usize| dot(&past[from..to], &past[from..to]) + 1.0;
        let end = past.len();
        let ratio = if end >= 2 * lag { energy(end - lag, end) / energy(end - 2 * lag, end - lag) } else { 1.0 };
        self.decay = ratio.sqrt().clamp(DECAY_LEAST, 1.0);
        self.sung.clear();
        self.sung.resize(ORDER_MOST.saturating_sub(end), 0.0);
        self.sung.extend_from_slice(&past[end.saturating_sub(ORDER_MOST)..]);
        self.begin(length, glide);
    }

    /// Learn only the sound of `past`, for a noise that has no period.
    pub fn learn_noise(&mut self, past: &[f32], rate_hz: usize) {
        self.order = ORDERS[usize::from(rate_hz > 8000)];
        self.lag = past.len();
        self.learn_spectrum(past, rate_hz / 1000);
        self.learn_residual(past);
        (self.periodic, self.noise, self.decay) = (0.0, 1.0, 1.0);
        self.sung.clear();
        self.sung.resize(ORDER_MOST, 0.0);
        self.begin(count(self.lag), 0.0);
    }

    /// Begin to sing, by a period of `length` samples and `glide` more each.
    fn begin(&mut self, length: f32, glide: f32) {
        (self.length, self.glide) = (length + glide, glide);
        (self.period, self.at, self.turn, self.round) = (1, 0, self.length, 1);
        self.random = self.random.max(1);
    }

    /// The period that was found, samples, and whether there is a voice in it.
    #[must_use]
    pub fn lag(&self) -> (usize, bool) {
        (self.lag, self.periodic > 0.7)
    }

    /// From the next period on, take the excitation from up to `periods` of the past.
    pub fn widen(&mut self, periods: usize) {
        self.round = periods.min(self.residual.len() / self.lag.max(1)).max(1);
    }

    /// Sing on, into all of `out`.
    pub fn sing(&mut self, out: &mut [f32]) {
        let (end, skip) = (self.residual.len(), ORDER_MOST - self.order);
        for n in 0..out.len() {
            let from = end - self.period * self.lag + self.at;
            let pulse = self.residual[if from < end { from } else { from - self.lag }] * self.periodic;
            let noise = self.noise * self.level * self.random();
            let rings = dot(&self.sung[n + skip..n + ORDER_MOST], &self.weights[skip..]);
            self.sung.push(pulse + noise - rings);
            self.at += 1;
            if count(self.at) >= self.turn {
                self.next_period();
            }
        }
        out.copy_from_slice(&self.sung[ORDER_MOST..]);
        self.sung.drain(..out.len());
    }

    fn next_period(&mut self) {
        let lag = count(self.lag);
        self.length = (self.length + self.glide).clamp(lag * (1.0 - BENT_MOST), lag * (1.0 + BENT_MOST));
        self.turn += self.length - count(self.at);
        self.at = 0;
        self.periodic *= self.decay;
        self.noise *= self.decay;
        self.period = if self.period > 1 { self.period - 1 } else { self.round };
    }

    /// Noise of variance one.
    #[allow(clippy::cast_precision_loss)]
    fn random(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((self.random >> 8) as f32 / 8_388_608.0 - 1.0) * 1.732_050_8
    }

    #[allow(clippy::cast_precision_loss)]
    fn learn_spectrum(&mut self, past: &[f32], per_ms: usize) {
        let length = (SPECTRUM_MS * per_ms).min(past.len());
        let closes = CLOSES_MS * per_ms;
        let opens = length.saturating_sub(closes).max(1);
        self.scratch.clear();
        for (n, &sample) in past[past.len() - length..].iter().enumerate() {
            let x = if n < opens { n as f32 / opens as f32 } else { (length - n) as f32 / closes as f32 };
            // A quarter of a sine, near enough.
            self.scratch.push(sample * x * (1.5 - 0.5 * x * x));
        }
        let mut likeness = [0.0; ORDER_MOST + 1];
        let mut widen = 1.0;
        let mut step = 1.0;
        for (lag, value) in likeness[..=self.order].iter_mut().enumerate() {
            // A Gaussian of 40 Hz over the poles: exp(-(2π·40/8000·lag)²/2), by recurrence; then a floor at -40 dB.
            *value = dot(&self.scratch[lag.min(length)..], &self.scratch[..length - lag.min(length)]) * widen;
            widen *= 0.999_506_7 * step;
            step *= 0.999_013_6;
        }
        likeness[0] = likeness[0] * 1.0001 + 1.0;
        self.spectrum = levinson(&likeness, self.order);
        for (weight, &value) in self.weights.iter_mut().rev().zip(&self.spectrum[1..]) {
            *weight = value;
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn learn_residual(&mut self, past: &[f32]) {
        let end = past.len();
        let periods = (end.saturating_sub(self.order) / self.lag).clamp(1, PERIODS);
        let want = (periods * self.lag).min(end);
        self.residual.clear();
        for at in end - want..end {
            let known = at.min(self.order);
            self.residual.push(past[at] + dot(&past[at - known..at], &self.weights[ORDER_MOST - known..]));
        }
        let last = &self.residual[want - self.lag..];
        self.level = (dot(last, last) / self.lag as f32).sqrt();
    }
}

/// The period at which the end of `past` is most like what came before it, in parts of samples, and how like it is (up
/// to 1). Alike is what is as loud, too: a resonance that rings out repeats itself, but ever softer, and is no period.
fn period(past: &[f32], shortest: usize, longest: usize, template: usize) -> (f32, f32) {
    let end = past.len();
    let template = template.min(end / 2);
    let newest = &past[end - template..];
    let energy = dot(newest, newest) + 1.0;
    let likeness = |lag: usize| {
        let before = &past[end - template - lag..end - lag];
        2.0 * dot(newest, before) / (energy + dot(before, before) + 1.0)
    };
    let longest = longest.min(end - template);
    let shortest = shortest.min(longest).max(1);
    let mut best = (shortest, likeness(shortest));
    let mut most = f32::MIN;
    for lag in shortest..=longest {
        let alike = likeness(lag);
        let judged = alike - SHORTER * count(lag) / count(longest);
        if judged > most {
            (best, most) = ((lag, alike), judged);
        }
    }
    let (lag, alike) = best;
    if lag == shortest || lag == longest {
        return (count(lag), alike);
    }
    // The top of the parabola through the three around it.
    let (below, above) = (likeness(lag - 1), likeness(lag + 1));
    let bend = 2.0 * alike - below - above;
    let off = if bend > 0.0 { (0.5 * (above - below) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    (count(lag) + off, alike)
}

/// By how much the next period is likely to be longer than the newest, of `length` samples; 0 where nobody can tell.
fn glide(past: &[f32], length: f32, template: usize) -> f32 {
    let lag = round(length);
    let reach = (lag / GLIDE_SOUGHT).max(2);
    let end = past.len().saturating_sub(lag);
    if end < lag + reach + template {
        return 0.0;
    }
    let (before, likeness) = period(&past[..end], lag - reach, lag + reach, template);
    let is_edge = (before - length).abs() > count(reach) - 1.0;
    if is_edge || likeness < GLIDES {
        return 0.0;
    }
    let most = length / GLIDE_MOST;
    (length - before).clamp(-most, most) * GLIDE
}

#[allow(clippy::cast_precision_loss)] // Samples of a packet or two.
fn count(samples: usize) -> f32 {
    samples as f32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A period.
fn round(samples: f32) -> usize {
    samples.round() as usize
}

/// The prediction error filter, `1 + a1 z⁻¹ + …`, of this autocorrelation.
fn levinson(likeness: &[f32; ORDER_MOST + 1], order: usize) -> [f32; ORDER_MOST + 1] {
    let mut filter = [0.0; ORDER_MOST + 1];
    filter[0] = 1.0;
    let mut error = likeness[0];
    for stage in 1..=order {
        let mut sum = likeness[stage];
        for back in 1..stage {
            sum += filter[back] * likeness[stage - back];
        }
        let reflection = -sum / error;
        let before = filter;
        for back in 1..stage {
            filter[back] = before[back] + reflection * before[stage - back];
        }
        filter[stage] = reflection;
        error *= 1.0 - reflection * reflection;
        if error <= 0.0 {
            break;
        }
    }
    filter
}

/// Sum of products. Eight sums, always in the same order: the compiler may use the machine's lanes, and may not
/// change the result.
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (mut lefts, mut rights) = (left.chunks_exact(8), right.chunks_exact(8));
    for (a, b) in (&mut lefts).zip(&mut rights) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = lefts.remainder().iter().zip(rights.remainder()).map(|(a, b)| a * b).sum();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}
