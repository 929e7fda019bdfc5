//! How far behind the network a person's audio must be played: the least delay that leaves one packet in a hundred late.
//!
//! ```text
//! transit (arrival − media time) ─► base: the fastest of the last 0.1, 0.3, 0.8 and 2.6 s     four forecasts,
//!                                └► over that base: a histogram that forgets ─► its cheapest  the cheapest is used
//! late ─► the debt against the share that is allowed ─► the price of a late packet, in delay
//! ```
//!
//! Only differences of transit matter, so the two clocks need not agree, and a drift between them moves the base. A
//! short base follows a queue that swells and drains; a long one does not mistake a lull for the network's best. Each
//! forecast keeps the score of what lay above its base, and of its delays takes the one that is cheapest: delay, plus
//! the share that would be late times the price. So a network that stalls every few seconds is worth waiting for, and
//! one that does so twice a minute is not. What comes long after it was expected counts as less than it was, because
//! the player lengthens what it has meanwhile, as far as it can. After Moon, Kurose and Towsley, "Packet audio playout
//! delay adjustment" (Multimedia Systems 6, 1998), made causal. 8 KiB.

/// A width of the histogram, ns, and how many there are: 240 ms. What is above is in the last.
const BIN: i64 = 500_000;
const BIN_MS: f32 = 0.5;
const BINS: usize = 480;
/// Packets over which each forecast seeks its base.
const WINDOWS: [usize; 4] = [5, 15, 40, 128];
const MEMORY: usize = 128;
/// When even the fastest of the shortest window is this far above a base, ns, and above what most packets are, the
/// network has changed, and the base too.
const STEP: i64 = 20_000_000;
/// A packet's weight grows by so much from one to the next: the past fades to 1/e in 8000 packets, 160 s of the usual.
const GROWTH: f32 = 1.0 + 1.0 / 8000.0;
/// Weights are scaled back before they grow out of their precision.
const HEAVY: f32 = 1.0e6;
/// The share of packets that may be late; what is left of the hundredth that is promised is for a stall at the end.
const LATE: f32 = 0.0083;
/// The price of a late packet: what it is worth in mean delay, ms over all packets, at first and at its bounds.
const PRICE: f32 = 800.0;
const PRICES: (f32, f32) = (20.0, 20_000.0);
/// A debt of so many packets makes the price e times as high, and so many to the good make it as much lower: they are
/// kept for a bad minute rather than spent. What stays moves it further, so many to the good by e in so many packets.
const DEBT: f32 = 4.0;
const CREDIT: f32 = 12.0;
const PATIENCE: f32 = 700.0;
/// A stream begins with this debt: what is not known yet is feared.
const CAUTION: f32 = 6.0;
const DEBT_MOST: f32 = 60.0;
const RESENTMENT: (f32, f32) = (-2.5, 3.5);
/// The forecasts are made again every so many packets.
const EVERY: u32 = 8;
/// Nothing is known yet: so much above the first packets, ns, until there are enough of them.
const UNKNOWN: i64 = 20_000_000;
const ENOUGH: u32 = 25;
/// A packet is overdue when it is later than all but this share are over the shortest base, and this much, ns.
const UNUSUAL: f32 = 0.15;
const GRACE: i64 = 1_000_000;
/// More of the last packets than this are overtaken where that is usual.
const DISORDER: f32 = 0.1;
const DISORDER_OVER: f32 = 50.0;
/// From this long after a packet is overdue, ns, what is there is lengthened: in speech to nearly three times, where it
/// is soft without end, and not at all where it has no period. Where two thirds of what is heard are put in, so much of
/// the wait from then on is made good by it; where less are, less. What this is like now is what the last ms were like.
const STRETCHED: i64 = 2_000_000;
const MADE_GOOD: f32 = 0.75;
const PUT_IN: f32 = 2.0 / 3.0;
const LAST_MS: f32 = 15.0;

#[derive(Debug)]
struct Forecast {
    weights: [f32; BINS],
    total: f32,
    base: i64,
    /// How far the base lies above that of the longest window, on average, ms.
    above: f32,
    /// What is to be waited over the base, ns, and what lies above most packets.
    wait: i64,
    usual: i64,
}

/// The delay of one stream.
#[derive(Debug)]
pub struct Delay {
    transits: [i64; MEMORY],
    seen: u32,
    newest: usize,
    weight: f32,
    forecasts: [Forecast; WINDOWS.len()],
    used: usize,
    /// Late packets beyond the share that is allowed, and what became of them over time.
    debt: f32,
    resentment: f32,
    /// The share of what was heard while packets were overdue that was put in.
    elastic: f32,
    /// The share of the last packets that were overtaken.
    disorder: f32,
    until_next: u32,
}

impl Default for Delay {
    fn default() -> Self {
        let forecast =
            |_| Forecast { weights: [0.0; BINS], total: 0.0, base: 0, above: 0.0, wait: UNKNOWN, usual: UNKNOWN };
        Self {
            transits: [0; MEMORY],
            seen: 0,
            newest: 0,
            weight: 1.0,
            forecasts: std::array::from_fn(forecast),
            used: WINDOWS.len() - 1,
            debt: CAUTION,
            resentment: 0.0,
            elastic: PUT_IN,
            disorder: 0.0,
            until_next: EVERY,
        }
    }
}

impl Delay {
    /// A packet came `transit` ns after its media time (from whatever origin, but always the same). `overtaken`: one that
    /// was sent after it came before it, and nobody lengthens what is there for what may be lost.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn arrive(&mut self, transit: i64, overtaken: bool) {
        if self.seen == 0 {
            self.transits = [transit; MEMORY];
            for forecast in &mut self.forecasts {
                forecast.base = transit;
            }
        }
        self.disorder += (f32::from(u8::from(overtaken)) - self.disorder) / DISORDER_OVER;
        let beyond = if overtaken { 0 } else { (transit - self.expected() - STRETCHED).max(0) };
        let made_good = (MADE_GOOD * (self.elastic / PUT_IN).min(1.0) * beyond as f32) as i64;
        for forecast in &mut self.forecasts {
            let over = (transit - forecast.base).max(0);
            forecast.add((over - made_good).max(0), self.weight);
        }
        self.weight *= GROWTH;
        if self.weight > HEAVY {
            self.lighten();
        }
        self.newest = (self.newest + 1) % MEMORY;
        self.transits[self.newest] = transit;
        self.seen = self.seen.saturating_add(1);
        self.rebase();
        self.until_next = self.until_next.saturating_sub(1);
        if self.until_next == 0 || self.seen < ENOUGH {
            self.until_next = EVERY;
            self.choose();
        }
    }

    /// Of `packets` whose turn came, and that somebody would have heard, `late` were not there.
    pub fn played(&mut self, packets: f32, late: f32) {
        self.debt = (self.debt + late - LATE * packets).clamp(-DEBT_MOST, DEBT_MOST);
        let resentment = self.resentment + packets * self.debt / (CREDIT * PATIENCE);
        self.resentment = resentment.clamp(RESENTMENT.0, RESENTMENT.1);
    }

    /// Where packets were overdue, so many ms were heard, of which so many were put in.
    pub fn lengthened(&mut self, heard: f32, put_in: f32) {
        self.elastic = (LAST_MS * self.elastic + put_in) / (LAST_MS + heard);
    }

    /// How long after its media time a sample is best played, ns: what [`Delay::arrive`] calls transit.
    #[must_use]
    pub fn target(&self) -> i64 {
        let forecast = &self.forecasts[self.used];
        let wait = if self.seen < ENOUGH { forecast.wait.max(UNKNOWN) } else { forecast.wait };
        // What has only just become slow will stay slow, until a packet shows that it was one stall.
        (forecast.base + wait).max(self.fastest(3))
    }

    /// The transit that a packet should not need unless the network stalls, ns.
    #[must_use]
    pub fn expected(&self) -> i64 {
        let usual = self.forecasts[0].base + self.forecasts[0].usual + GRACE;
        // Where packets overtake each other each is late on its own, and none that is overdue tells of a stall.
        if self.is_queue() {
            usual
        } else {
            usual.max(self.target())
        }
    }

    /// Whether packets come in their order, as out of a queue.
    fn is_queue(&self) -> bool {
        self.disorder <= DISORDER
    }

    /// The least transit of the last `packets`, ns.
    #[must_use]
    pub fn fastest(&self, packets: usize) -> i64 {
        let last = (0..packets.clamp(1, MEMORY)).map(|n| self.transits[(self.newest + MEMORY - n) % MEMORY]);
        last.min().unwrap_or(0)
    }

    /// Another stream, or a jump: its transits have nothing to do with those before, but its network has.
    pub fn rebegin(&mut self) {
        self.seen = 0;
    }

    #[allow(clippy::cast_precision_loss)]
    fn rebase(&mut self) {
        let (mut least, mut window) = (i64::MAX, 0);
        for n in 0..MEMORY {
            least = least.min(self.transits[(self.newest + MEMORY - n) % MEMORY]);
            if n + 1 == WINDOWS[window] {
                self.forecasts[window].base = least;
                window += 1;
            }
        }
        let recent = self.forecasts[0].base;
        for forecast in &mut self.forecasts {
            if recent - forecast.base > STEP.max(forecast.usual) {
                forecast.base = recent;
            }
            let above = (forecast.base - least) as f32 / 1.0e6;
            forecast.above += (above - forecast.above) / 1000.0;
        }
    }

    fn choose(&mut self) {
        let debt = self.debt / if self.debt > 0.0 { DEBT } else { CREDIT };
        let price = (PRICE * (self.resentment + debt).exp()).clamp(PRICES.0, PRICES.1);
        let mut best = (f32::MAX, self.used);
        let queue = self.is_queue();
        for (index, forecast) in self.forecasts.iter_mut().enumerate() {
            // A change of mind must be worth it.
            let habit = if index == self.used { BIN_MS } else { 0.0 };
            forecast.usual = forecast.quantile(UNUSUAL);
            let cost = forecast.make(price) + forecast.above - habit;
            // A short base follows a queue, and in a queue nothing is overtaken.
            if cost < best.0 && (queue || index == WINDOWS.len() - 1) {
                best = (cost, index);
            }
        }
        self.used = best.1;
    }

    fn lighten(&mut self) {
        for forecast in &mut self.forecasts {
            for weight in &mut forecast.weights {
                *weight /= self.weight;
            }
            forecast.total /= self.weight;
        }
        self.weight = 1.0;
    }
}

impl Forecast {
    fn add(&mut self, over: i64, weight: f32) {
        let bin = usize::try_from(over / BIN).unwrap_or(0).min(BINS - 1);
        self.weights[bin] += weight;
        self.total += weight;
    }

    /// Wait so long that delay and late packets together cost least; give that cost, in ms.
    #[allow(clippy::cast_precision_loss)]
    fn make(&mut self, price: f32) -> f32 {
        let (mut late, mut best) = (0.0, (f32::MAX, BINS));
        for (bin, weight) in self.weights.iter().enumerate().rev() {
            let cost = (bin + 1) as f32 * BIN_MS + price * late / self.total;
            if cost < best.0 {
                best = (cost, bin + 1);
            }
            late += weight;
        }
        self.wait = i64::try_from(best.1).unwrap_or(0) * BIN;
        best.0
    }

    /// What only this share of the packets lay above, ns.
    fn quantile(&self, share: f32) -> i64 {
        let mut above = 0.0;
        for (bin, weight) in self.weights.iter().enumerate().rev() {
            above += weight;
            if above > self.total * share {
                return i64::try_from(bin + 1).unwrap_or(0) * BIN;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A seeded number from 0 to 1.
    fn chance(state: &mut u32) -> f64 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(*state >> 8) / f64::from(1 << 24)
    }

    /// Packets whose transit is `base` plus up to `spread` ms.
    #[allow(clippy::cast_possible_truncation)]
    fn feed(delay: &mut Delay, packets: usize, base: f64, spread: f64, state: &mut u32) {
        for _ in 0..packets {
            let transit = ((base + spread * chance(state)) * 1e6) as i64;
            let late = if transit > delay.target() { 1.0 } else { 0.0 };
            delay.arrive(transit, false);
            delay.played(1.0, late);
        }
    }

    #[test]
    fn a_steady_network_is_waited_for_just_as_long_as_it_needs() {
        let (mut delay, mut state) = (Delay::default(), 1);
        feed(&mut delay, 3000, 500.0, 10.0, &mut state);
        let over = delay.target() - 500 * MS;
        assert!((9 * MS..=11 * MS).contains(&over), "{over}");
    }

    #[test]
    fn a_path_that_became_shorter_is_followed_at_once_and_one_that_became_longer_within_three_packets() {
        let (mut delay, mut state) = (Delay::default(), 2);
        feed(&mut delay, 1000, 200.0, 5.0, &mut state);
        feed(&mut delay, 1, 100.0, 5.0, &mut state);
        assert!(delay.target() < 120 * MS, "{}", delay.target());
        feed(&mut delay, 3, 200.0, 5.0, &mut state);
        assert!(delay.target() >= 200 * MS, "{}", delay.target());
        feed(&mut delay, 200, 200.0, 5.0, &mut state);
        assert!((200 * MS..=215 * MS).contains(&delay.target()), "{}", delay.target());
    }

    #[test]
    fn one_stall_is_left_at_once_and_many_are_waited_for() {
        let (mut delay, mut state) = (Delay::default(), 3);
        let stall = |delay: &mut Delay, state: &mut u32| {
            for left in (0..5).rev() {
                feed(delay, 1, 20.0 * f64::from(left) + 10.0, 1.0, state);
            }
        };
        feed(&mut delay, 1000, 0.0, 2.0, &mut state);
        stall(&mut delay, &mut state);
        feed(&mut delay, 8, 0.0, 2.0, &mut state);
        assert!(delay.target() < 10 * MS, "{}", delay.target());
        for _ in 0..60 {
            feed(&mut delay, 100, 0.0, 2.0, &mut state);
            stall(&mut delay, &mut state);
        }
        feed(&mut delay, 100, 0.0, 2.0, &mut state);
        assert!(delay.target() > 20 * MS, "{}: a quarter of it, lengthening does the rest", delay.target());
    }

    #[test]
    fn what_cannot_be_lengthened_is_waited_for_longer() {
        let target = |put_in: f32| {
            let (mut delay, mut state) = (Delay::default(), 4);
            for _ in 0..60 {
                feed(&mut delay, 50, 0.0, 2.0, &mut state);
                delay.lengthened(40.0, put_in);
                feed(&mut delay, 1, 80.0, 1.0, &mut state);
            }
            feed(&mut delay, 20, 0.0, 2.0, &mut state);
            delay.target()
        };
        assert!(target(27.0) < 30 * MS, "{}", target(27.0));
        assert!(target(0.0) > 75 * MS, "{}", target(0.0));
    }

    #[test]
    fn where_each_packet_has_a_delay_of_its_own_the_slowest_of_few_are_no_longer_path() {
        let (mut delay, mut state, mut before) = (Delay::default(), 5, 0);
        for n in 0..3000i64 {
            #[allow(clippy::cast_possible_truncation)]
            let transit = (60e6 * chance(&mut state)) as i64;
            delay.arrive(transit, transit + 20 * MS < before);
            before = transit;
            delay.played(1.0, if transit > delay.target() { 1.0 } else { 0.0 });
            assert!(n < 500 || (40 * MS..=62 * MS).contains(&delay.target()), "{n} {}", delay.target());
            assert!(n < 500 || delay.expected() >= delay.target(), "{n}: nothing is lengthened");
        }
    }

    #[test]
    fn the_scale_of_weights_and_any_transit_are_borne() {
        let mut delay = Delay::default();
        for n in 0..300_000i64 {
            delay.arrive(if n % 1000 == 0 { i64::MAX / 4 } else { -n }, false);
        }
        assert!(delay.forecasts.iter().all(|one| one.total.is_finite() && one.total > 0.0));
    }
}
