//! What one far end hears besides what we play to it: the sides of other ports, each at its level, in one sum.
//!
//! ```text
//! another port's far end ─► rate ─► level ┐
//! a third's              ─► rate ─► level ┼─► people ─► ducked under voices ┐
//! what we play to another ─► rate ─► level ┴─► voices ──────────────────────┼─► bent where it is too loud ─► the packet
//! what we play here ────────────────────────────────────────────────────────┘
//! ```
//!
//! Who hears whom is a list a listener; a bridge of two is two lists of one, and nobody is in its own. Nothing jumps: a
//! level moves over 20 ms, and what breaks off fades from its last sample. The sum has 32 bits; above −2.7 dBov it is
//! bent by a curve without a memory, so that it never wraps and one who joins does not change another's loudness.

use crate::relay::Side;
use crate::resample::Resampler;

/// Sides that one may hear at most.
pub const SOURCES_MOST: usize = 16;
/// Levels that may be asked for, dB.
pub const LEVELS_DB: (f32, f32) = (-60.0, 12.0);
/// What is fed waits for the packets at hand, and no more of it than may be asked for at once, ms.
const FED_MOST_MS: u32 = 800;
/// A level moves by 1 in so many parts of a second.
const RAMPS: f32 = 50.0;
/// How loud people are under a voice of ours: −12 dB.
const UNDER: f32 = 0.25;
/// What breaks off keeps this much of itself from sample to sample: 1/e in 20 samples.
const FADE: f32 = 0.95;
/// From here on the sum is bent, towards full scale.
const KNEE: i32 = 24_000;
const ABOVE: i32 = i16::MAX as i32 - KNEE;

/// Whom to hear: a side of a port, and how loud, as a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    pub port: u32,
    pub side: Side,
    pub gain: f32,
}

#[derive(Debug)]
struct Source {
    route: Route,
    /// How loud it is at the moment.
    gain: f32,
    edge: Option<(u32, Resampler)>,
    /// Samples of it in the sum.
    fed: usize,
    /// Its last sample in the sum, from which it fades.
    last: f32,
    /// It is not heard any more, but for the rest of its fade.
    gone: bool,
}

/// What one listener hears.
#[derive(Debug)]
pub struct Mix {
    rate_hz: u32,
    sources: Vec<Source>,
    people: Vec<i32>,
    voices: Vec<i32>,
    /// A voice of ours is among what was fed.
    voiced: bool,
    /// How loud people are at the moment, under what is played.
    under: f32,
    scratch: Vec<i16>,
}

impl Mix {
    /// For a listener whose port runs at `rate_hz`.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            sources: Vec::new(),
            people: Vec::new(),
            voices: Vec::new(),
            voiced: false,
            under: 1.0,
            scratch: Vec::new(),
        }
    }

    /// Run at another rate.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
        self.sources.retain(|source| !source.gone);
        for source in &mut self.sources {
            source.edge = None;
        }
        self.forget_fed();
    }

    /// Hear these from here on, and nobody else.
    pub fn route(&mut self, routes: &[Route]) {
        for source in &mut self.sources {
            source.gone |= !routes.iter().any(|route| source.is(route.port, route.side));
        }
        for &route in routes.iter().take(SOURCES_MOST) {
            match self.sources.iter_mut().find(|source| source.is(route.port, route.side)) {
                Some(source) => source.route = route,
                None => {
                    self.sources.push(Source { route, gain: 0.0, edge: None, fed: 0, last: 0.0, gone: false });
                }
            }
        }
        let over = self.sources.len().saturating_sub(2 * SOURCES_MOST);
        self.sources.drain(..over);
    }

    /// Who is heard.
    pub fn routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.sources.iter().filter(|source| !source.gone).map(|source| source.route)
    }

    /// Whether there is nobody to hear, and nothing left to fade.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.gone && source.last == 0.0)
    }

    /// A side of a port says this, at `rate_hz`, in the packets that are due.
    pub fn feed(&mut self, port: u32, side: Side, pcm: &[i16], rate_hz: u32) {
        let Some(source) = self.sources.iter_mut().find(|source| source.is(port, side)) else { return };
        let pcm = source.at_rate(pcm, rate_hz, self.rate_hz, &mut self.scratch);
        let sum = if side == Side::Far { &mut self.people } else { &mut self.voices };
        let room = ((FED_MOST_MS * (self.rate_hz / 1000)) as usize).saturating_sub(source.fed);
        let pcm = &pcm[..pcm.len().min(room)];
        let end = source.fed + pcm.len();
        if sum.len() < end {
            sum.resize(end, 0);
        }
        source.add(pcm, &mut sum[source.fed..end], RAMPS / of(self.rate_hz));
        source.fed = end;
        self.voiced |= side == Side::Ours && !pcm.is_empty();
    }

    /// Mix what was fed into a packet of `want` samples; `ours`: our voice is in it already. Whether there is anything to
    /// hear of others.
    pub fn mix(&mut self, want: usize, ours: bool, pcm: &mut Vec<i16>) -> bool {
        let sounds = self.sources.iter().any(|source| source.fed > 0 || source.last != 0.0);
        let step = RAMPS / of(self.rate_hz);
        let wanted = if ours || self.voiced { UNDER } else { 1.0 };
        if !sounds {
            self.under = towards(self.under, wanted, step * of(u32::try_from(want).unwrap_or(u32::MAX)));
            return false;
        }
        for sum in [&mut self.people, &mut self.voices] {
            sum.resize(sum.len().max(want), 0);
        }
        for source in &mut self.sources {
            let sum = if source.route.side == Side::Far { &mut self.people } else { &mut self.voices };
            source.fade(&mut sum[source.fed.min(want)..want]);
            source.fed = source.fed.saturating_sub(want);
        }
        self.sources.retain(|source| !source.gone || source.last != 0.0);
        pcm.resize(want, 0);
        for (sample, (people, voices)) in pcm.iter_mut().zip(self.people.drain(..want).zip(self.voices.drain(..want))) {
            self.under = towards(self.under, wanted, step);
            *sample = bent(i32::from(*sample) + scaled(people, self.under) + voices);
        }
        true
    }

    /// What was fed and not taken is over.
    pub fn forget_fed(&mut self) {
        self.people.clear();
        self.voices.clear();
        self.voiced = false;
        for source in &mut self.sources {
            source.fed = 0;
        }
    }
}

impl Source {
    fn is(&self, port: u32, side: Side) -> bool {
        !self.gone && self.route.port == port && self.route.side == side
    }

    fn at_rate<'a>(&mut self, pcm: &'a [i16], from_hz: u32, to_hz: u32, scratch: &'a mut Vec<i16>) -> &'a [i16] {
        if from_hz == to_hz {
            self.edge = None;
            return pcm;
        }
        if self.edge.as_ref().is_none_or(|(hz, _)| *hz != from_hz) {
            self.edge = Resampler::steady(from_hz, to_hz).map(|new| (from_hz, new));
        }
        scratch.clear();
        if let Some((_, edge)) = &mut self.edge {
            edge.push(pcm, scratch);
        }
        scratch
    }

    fn add(&mut self, pcm: &[i16], sum: &mut [i32], step: f32) {
        let Some(&last) = pcm.last() else { return };
        for (sum, &sample) in sum.iter_mut().zip(pcm) {
            self.gain = towards(self.gain, self.route.gain, step);
            *sum += scaled(i32::from(sample), self.gain);
        }
        self.last = f32::from(last) * self.gain;
    }

    /// It is not there: what it was dies away.
    fn fade(&mut self, sum: &mut [i32]) {
        for sum in sum {
            if self.last == 0.0 {
                return;
            }
            self.last *= FADE;
            if self.last.abs() < 1.0 {
                self.last = 0.0;
            }
            *sum += scaled(1, self.last);
        }
    }
}

#[allow(clippy::cast_precision_loss)]
// Rates and lengths of packets: far below 2²⁴.
fn of(many: u32) -> f32 {
    many as f32
}

/// A gain that moves by `step` at most.
pub(crate) fn towards(gain: f32, wanted: f32, step: f32) -> f32 {
    if gain < wanted {
        (gain + step).min(wanted)
    } else {
        (gain - step).max(wanted)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
// Sums of 16 samples at four times their level have 22 bits; the cast saturates.
pub(crate) fn scaled(sample: i32, gain: f32) -> i32 {
    (sample as f32 * gain) as i32
}

/// A sum as a sample: as it is up to the knee, and from there on ever flatter.
pub(crate) fn bent(sum: i32) -> i16 {
    let over = sum.abs() - KNEE;
    let level = if over <= 0 {
        sum.abs()
    } else {
        let bent = i64::from(ABOVE) * i64::from(over) / (i64::from(ABOVE) + i64::from(over));
        KNEE + i32::try_from(bent).unwrap_or(ABOVE)
    };
    i16::try_from(level * sum.signum()).unwrap_or(if sum < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u32) -> Route {
        Route { port, side: Side::Far, gain: 1.0 }
    }

    /// A listener that has heard all of them for a while.
    fn settled(ports: &[u32]) -> Mix {
        let mut mix = Mix::new(8000);
        mix.route(&ports.iter().map(|&port| route(port)).collect::<Vec<_>>());
        hear(&mut mix, ports, 0);
        hear(&mut mix, ports, 0);
        mix
    }

    /// A packet in which each of them says `level`.
    fn hear(mix: &mut Mix, ports: &[u32], level: i16) -> Vec<i16> {
        let mut pcm = Vec::new();
        for &port in ports {
            mix.feed(port, Side::Far, &[level; 160], 8000);
        }
        mix.mix(160, false, &mut pcm);
        mix.forget_fed();
        pcm
    }

    #[test]
    fn the_sum_of_all_is_heard_and_never_wraps() {
        let mut mix = settled(&[1, 2, 3]);
        assert_eq!(hear(&mut mix, &[1, 2, 3], 5000), [15_000; 160]);
        let mut mix = settled(&(1..=16).collect::<Vec<_>>());
        let (loud, most) = (hear(&mut mix, &[1, 2], i16::MAX), hear(&mut mix, &(1..=16).collect::<Vec<_>>(), i16::MAX));
        assert!(loud[159] > KNEE as i16 && most[159] > loud[159], "louder stays louder");
        let least = hear(&mut mix, &(1..=16).collect::<Vec<_>>(), i16::MIN);
        assert!(least[159] < -32_000);
    }

    #[test]
    fn the_curve_has_no_step_and_no_kink_at_its_knee() {
        let steps: Vec<i16> = (-600_000..600_000).map(|sum| bent(sum + 1) - bent(sum)).collect();
        assert!(steps.iter().all(|step| (0..=1).contains(step)));
    }

    #[test]
    fn who_joins_and_who_leaves_does_so_without_a_step() {
        let mut mix = settled(&[1]);
        let mut heard = hear(&mut mix, &[1], 10_000);
        mix.route(&[route(1), route(2)]);
        heard.extend(hear(&mut mix, &[1, 2], 10_000));
        heard.extend(hear(&mut mix, &[1, 2], 10_000));
        assert_eq!(heard.last(), Some(&20_000));
        mix.route(&[route(1)]);
        for _ in 0..3 {
            heard.extend(hear(&mut mix, &[1, 2], 10_000));
        }
        assert_eq!(heard.last(), Some(&10_000));
        assert!(heard[160..].windows(2).all(|two| (two[1] - two[0]).abs() <= 500), "5 % of what it was at most");
    }

    #[test]
    fn what_stops_in_the_middle_dies_away() {
        let mut mix = settled(&[1]);
        let mut heard = hear(&mut mix, &[1], 20_000);
        mix.feed(1, Side::Far, &[20_000; 100], 8000);
        mix.mix(160, false, &mut heard);
        assert!(heard.windows(2).all(|two| (two[1] - two[0]).abs() <= 1000));
        assert!(mix.mix(160, false, &mut Vec::new()), "it is fading yet");
        mix.mix(160, false, &mut Vec::new());
        assert!(!mix.mix(160, false, &mut Vec::new()), "and over");
        mix.route(&[]);
        assert!(mix.is_over());
    }

    #[test]
    fn people_are_ducked_under_our_voice() {
        let mut mix = settled(&[1]);
        for _ in 0..3 {
            mix.feed(1, Side::Far, &[8000; 160], 8000);
            let mut pcm = vec![1000; 160];
            assert!(mix.mix(160, true, &mut pcm));
            mix.forget_fed();
            assert!(pcm[159] >= 3000);
        }
        mix.feed(1, Side::Far, &[8000; 160], 8000);
        let mut pcm = vec![1000; 160];
        mix.mix(160, true, &mut pcm);
        assert_eq!(pcm, [3000; 160]);
    }

    #[test]
    fn nobody_is_heard_who_was_not_asked_for() {
        let mut mix = settled(&[1]);
        mix.feed(2, Side::Far, &[8000; 160], 8000);
        mix.feed(1, Side::Ours, &[8000; 160], 8000);
        assert!(!mix.mix(160, false, &mut Vec::new()));
    }

    #[test]
    fn what_is_fed_is_bounded() {
        let mut mix = settled(&[1]);
        for _ in 0..100 {
            mix.feed(1, Side::Far, &[i16::MAX; 160], 8000);
        }
        assert_eq!(mix.people.len(), 6400);
    }
}
