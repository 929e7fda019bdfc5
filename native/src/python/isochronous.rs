//! The isochronous buffer as a stage of its own, for benches and tests.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{pcm_bytes, samples, wrong};
use crate::playout::Playout;
use crate::span::{Source, Span};

/// What a stretch of output is made of, where it stands in the output, how long it is, where in the stream it begins
/// and how much of it it stands for; in samples.
type PySpan = (&'static str, u64, usize, i64, usize);

/// The isochronous buffer of people's legs, pulled a few samples at a time by a clock of its own.
#[pyclass(module = "offhook._native")]
pub struct Isochronous {
    playout: Playout,
    rate_hz: u32,
    step: usize,
    /// When the next pull is due.
    due: i64,
    pcm: Vec<i16>,
    spans: Vec<Span>,
}

#[pymethods]
impl Isochronous {
    #[new]
    #[pyo3(signature = (*, rate_hz, clock_hz, start, step))]
    fn new(rate_hz: u32, clock_hz: u32, start: i64, step: usize) -> PyResult<Self> {
        if !(8000..=48_000).contains(&rate_hz) || !(8000..=48_000).contains(&clock_hz) || !(1..=9600).contains(&step) {
            return Err(wrong(format!("{rate_hz} Hz, a clock of {clock_hz} Hz and {step} samples a pull")));
        }
        let playout = Playout::new(rate_hz, clock_hz);
        Ok(Self { playout, rate_hz, step, due: start, pcm: Vec::new(), spans: Vec::new() })
    }

    #[pyo3(signature = (now, timestamp, pcm, *, marker = false))]
    fn push(&mut self, now: i64, timestamp: u32, pcm: &[u8], marker: bool) -> PyResult<()> {
        self.run(now);
        self.playout.push(now, timestamp, &samples(pcm)?, marker);
        Ok(())
    }

    fn hush(&mut self, now: i64, timestamp: u32) {
        self.run(now);
        self.playout.hush(now, timestamp);
    }

    fn run(&mut self, now: i64) {
        let step = i64::try_from(self.step).unwrap_or(0) * 1_000_000_000 / i64::from(self.rate_hz);
        while self.due <= now {
            self.playout.pull(self.due, self.step, &mut self.pcm);
            self.due += step;
            for &span in self.playout.spans() {
                match self.spans.last_mut() {
                    Some(last) if last.goes_on(span) => {
                        last.samples += span.samples;
                        last.consumed += span.consumed;
                    }
                    _ => self.spans.push(span),
                }
            }
        }
    }

    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Vec<PySpan>)> {
        let spans = std::mem::take(&mut self.spans);
        let pcm = std::mem::take(&mut self.pcm);
        let told = |span: Span| {
            let source = match span.source {
                Source::Heard => "heard",
                Source::Shortened => "shortened",
                Source::Lengthened => "lengthened",
                Source::Lost => "lost",
                Source::Late => "late",
                Source::Silent => "silent",
            };
            (source, span.at, span.samples, span.position, span.consumed)
        };
        Ok((pcm_bytes(py, &pcm)?, spans.into_iter().map(told).collect()))
    }
}
