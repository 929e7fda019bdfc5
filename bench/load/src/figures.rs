//! Quantiles and JSON.

use std::fmt::Write as _;

/// The nearest-rank quantile of sorted values, 0 of none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or(0.0)
}

/// `{"count", "p50", "p99", "p999", "max"}` of many values.
#[must_use]
pub fn spread(mut values: Vec<f64>) -> Json {
    values.sort_unstable_by(f64::total_cmp);
    let mut json = Json::default();
    json.whole("count", values.len() as u64);
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
        json.real(name, quantile(&values, share));
    }
    json
}

/// `{"p50", "p99", "max"}` of one value a call.
#[must_use]
pub fn over_calls(mut values: Vec<f64>) -> Json {
    values.sort_unstable_by(f64::total_cmp);
    let mut json = Json::default();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        json.real(name, quantile(&values, share));
    }
    json
}

/// Nanoseconds as microseconds.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn micro(ns: i64) -> f64 {
    ns as f64 / 1e3
}

/// Nanoseconds as milliseconds.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn milli(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// Seconds as nanoseconds.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn ns(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

/// An object that is written field by field.
#[derive(Debug, Default)]
pub struct Json(String);

impl Json {
    fn name(&mut self, name: &str) -> &mut String {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{name}\":");
        &mut self.0
    }

    /// Add a count.
    pub fn whole(&mut self, name: &str, value: u64) {
        let _ = write!(self.name(name), "{value}");
    }

    /// Add a measure, with four decimals.
    pub fn real(&mut self, name: &str, value: f64) {
        let _ = write!(self.name(name), "{value:.4}");
    }

    /// Add an object.
    pub fn object(&mut self, name: &str, value: &Self) {
        let _ = write!(self.name(name), "{{{}}}", value.0);
    }

    /// Add an absence.
    pub fn null(&mut self, name: &str) {
        self.name(name).push_str("null");
    }

    /// The object on one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// The first line of a program that others wait for.
#[must_use]
pub fn ready(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    format!("{{\"ready\":true,\"ports\":[{}]}}", ports.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        let ranks: Vec<f64> = [0.0, 0.5, 0.99, 0.999, 1.0].iter().map(|&share| quantile(&values, share)).collect();
        assert_eq!(ranks, [1.0, 500.0, 990.0, 999.0, 1000.0]);
        assert_eq!(quantile(&[], 0.5).to_bits(), 0);
    }

    #[test]
    fn a_line_is_json() {
        let mut inner = Json::default();
        inner.real("x", 1.5);
        let mut outer = Json::default();
        outer.whole("n", 3);
        outer.object("in", &inner);
        outer.null("none");
        assert_eq!(outer.line(), r#"{"n":3,"in":{"x":1.5000},"none":null}"#);
    }
}
