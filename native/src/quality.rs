//! What a listener would say of a call: the E-model (ITU-T G.107), in its simplified form.
//!
//! ```text
//! R = 93.2 − Id(delay) − Ie,eff(codec, loss, bursts)         MOS = a curve through R (G.107 annex B)
//! ```
//!
//! 93.2 is what the default values of all other parameters leave of 100 (G.107 section 7.7). `Id` is the two-piece line
//! that Cole and Rosenbluth laid through the delay impairment of G.107 section 7.4 with the default echo loss. Loss
//! counts by section 7.5; each codec's `Ie` and `Bpl` are those of G.113 appendix I. The scale is that of narrow band:
//! nothing is better on it than G.711, so a wide-band codec without loss is told as 93.2, too.

/// What is left of 100 where nothing more is known.
pub const BEST: f64 = 93.2;
/// From this one-way delay on, ms, people begin to talk at the same time.
const KNEE: f64 = 177.3;
/// The burst ratios that the model knows (G.107 table 2).
const BURSTIEST: f64 = 8.0;

/// How a codec bears loss: `ie` without any, `bpl` the robustness against it (G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    pub ie: f64,
    pub bpl: f64,
}

impl Impairment {
    /// G.711 with concealment, as G.113 has it of appendix I of G.711.
    pub const G711: Self = Self { ie: 0.0, bpl: 25.1 };
    /// G.711 without.
    pub const G711_BARE: Self = Self { ie: 0.0, bpl: 4.3 };
    /// G.729 annex A, which conceals.
    pub const G729: Self = Self { ie: 11.0, bpl: 19.0 };

    /// Of an encoding name. What G.113 has no narrow-band values for is told as G.711 with concealment.
    #[must_use]
    pub fn of(codec: &str) -> Self {
        if codec.eq_ignore_ascii_case("G729") {
            Self::G729
        } else {
            Self::G711
        }
    }
}

/// The rating factor R, 0 to 93.2. `loss` is a share of 1; `burst_ratio` is 1 where loss falls as dice do; `delay_ms`
/// is from mouth to ear.
#[must_use]
pub fn rating(impairment: Impairment, loss: f64, burst_ratio: f64, delay_ms: f64) -> f64 {
    let delay = 0.024 * delay_ms + 0.11 * (delay_ms - KNEE).max(0.0);
    let percent = 100.0 * loss.clamp(0.0, 1.0);
    let robust = percent / burst_ratio.clamp(1.0, BURSTIEST) + impairment.bpl;
    let equipment = impairment.ie + (95.0 - impairment.ie) * percent / robust;
    (BEST - delay - equipment).clamp(0.0, BEST)
}

/// The mean opinion score of a rating, 1 to 4.5 (G.107 annex B).
#[must_use]
pub fn mos(rating: f64) -> f64 {
    let rating = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64, slack: f64) {
        assert!((found - wanted).abs() <= slack, "{found} instead of {wanted}");
    }

    #[test]
    fn delay_and_loss_cost_what_the_model_says() {
        for (delay, loss, wanted) in [
            (50.0, 0.0, 92.0),
            (150.0, 0.0, 89.6),
            (150.0, 1.0, 86.0),
            (250.0, 1.0, 75.6),
            (300.0, 1.0, 68.9),
            (400.0, 1.0, 55.5),
        ] {
            near(rating(Impairment::G711, loss / 100.0, 1.0, delay), wanted, 0.05);
        }
        near(rating(Impairment::G711_BARE, 0.01, 1.0, 150.0), 71.7, 0.05);
        near(mos(rating(Impairment::G711, 0.01, 1.0, 300.0)), 3.54, 0.005);
    }

    #[test]
    fn scores_are_those_of_annex_b() {
        near(mos(BEST), 4.41, 0.005);
        for (r, wanted) in
            [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (0.0, 1.0), (100.0, 4.5)]
        {
            near(mos(r), wanted, 0.01);
        }
        // The cubic falls below 1 between 0 and 6.5; the scale does not.
        assert!((0..=65).all(|tenth| mos(f64::from(tenth) / 10.0) >= 1.0));
    }

    #[test]
    fn bursts_cost_more_and_another_codec_has_its_own_scale() {
        let even = rating(Impairment::G711, 0.05, 1.0, 0.0);
        near(even, BEST - 95.0 * 5.0 / 30.1, 1e-9);
        assert!(rating(Impairment::G711, 0.05, 2.0, 0.0) < even);
        near(rating(Impairment::of("g729"), 0.0, 1.0, 0.0), 82.2, 1e-9);
        near(rating(Impairment::G711, 1.0, 1.0, 9000.0), 0.0, 1e-9);
    }
}
