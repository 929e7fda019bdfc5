//! Single stages, for benches and for legs that carry no RTP.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{codec, pcm_bytes, samples, wanted, wrong, Tone};
use crate::codec::{Codec, Decoder, Encoder};
use crate::conceal::Conceal;
use crate::quality::{self, Impairment};
use crate::resample::{Resampler, RATES};
use crate::tone::keypad::Keypad;
use crate::tone::watch::Watch;

/// Encode one stretch of PCM at the codec's own rate.
#[pyfunction]
pub fn encode<'py>(py: Python<'py>, codec: &str, pcm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let codec = self::codec(codec)?;
    let (mut payload, pcm) = (Vec::with_capacity(pcm.len() / 2), samples(pcm)?);
    Encoder::new(codec.wire_hz()).encode_into(codec, &pcm, pcm.len(), &mut payload);
    Ok(PyBytes::new(py, &payload))
}

/// Decode one stretch to PCM at the codec's own rate.
#[pyfunction]
pub fn decode<'py>(py: Python<'py>, codec: &str, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let codec = self::codec(codec)?;
    let mut pcm = Vec::with_capacity(payload.len());
    Decoder::new(codec.wire_hz()).decode_into(codec, payload, &mut pcm);
    pcm_bytes(py, &pcm)
}

/// The rating factor of the E-model.
#[pyfunction]
#[pyo3(signature = (delay_ms, loss, burst_ratio = 1.0, codec = "PCMU"))]
pub fn rating(delay_ms: f64, loss: f64, burst_ratio: f64, codec: &str) -> f64 {
    quality::rating(Impairment::of(codec), loss, burst_ratio, delay_ms)
}

/// The mean opinion score of a rating.
#[pyfunction]
pub fn mos(rating: f64) -> f64 {
    quality::mos(rating)
}

/// What a Port speaks with: one stream of packets.
#[pyclass(name = "Encoder", module = "offhook._native")]
pub struct PyEncoder(Encoder, Codec);

#[pymethods]
impl PyEncoder {
    #[new]
    fn new(codec: &str) -> PyResult<Self> {
        let codec = self::codec(codec)?;
        Ok(Self(Encoder::new(codec.wire_hz()), codec))
    }

    fn push<'py>(&mut self, py: Python<'py>, pcm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let (mut payload, pcm) = (Vec::new(), samples(pcm)?);
        self.0.encode_into(self.1, &pcm, pcm.len(), &mut payload);
        Ok(PyBytes::new(py, &payload))
    }

    fn expect_loss(&mut self, percent: u8) {
        self.0.expect_loss(percent);
    }
}

/// What a Port hears with: one stream of packets, and its holes.
#[pyclass(name = "Decoder", module = "offhook._native")]
pub struct PyDecoder(Decoder, Codec);

#[pymethods]
impl PyDecoder {
    #[new]
    fn new(codec: &str) -> PyResult<Self> {
        let codec = self::codec(codec)?;
        Ok(Self(Decoder::new(codec.wire_hz()), codec))
    }

    fn push<'py>(&mut self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut pcm = Vec::new();
        self.0.decode_into(self.1, payload, &mut pcm);
        pcm_bytes(py, &pcm)
    }

    #[pyo3(signature = (samples, behind = None))]
    fn conceal<'py>(
        &mut self,
        py: Python<'py>,
        samples: u16,
        behind: Option<&[u8]>,
    ) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let mut pcm = Vec::new();
        let said = self.0.conceal_into(self.1, usize::from(samples), behind, &mut pcm);
        Ok((pcm_bytes(py, &pcm)?, said))
    }
}

/// Sample rate conversion, streaming.
#[pyclass(name = "Resampler", module = "offhook._native")]
pub struct PyResampler(Resampler);

#[pymethods]
impl PyResampler {
    #[new]
    #[pyo3(signature = (from_hz, to_hz, *, steady = false))]
    fn new(from_hz: u32, to_hz: u32, steady: bool) -> PyResult<Self> {
        let rates = || wrong(format!("{from_hz} to {to_hz} Hz: the rates are {RATES:?}"));
        let new = if steady { Resampler::steady } else { Resampler::new };
        new(from_hz, to_hz).map(Self).ok_or_else(rates)
    }

    fn push<'py>(&mut self, py: Python<'py>, pcm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.0.push(&samples(pcm)?, &mut out);
        pcm_bytes(py, &out)
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.0.finish(&mut out);
        pcm_bytes(py, &out)
    }
}

/// Frames in a hole that `between` is asked for, at most: 10 s.
const HOLES_MOST: usize = 500;

/// Concealment as a stage of its own.
#[pyclass(module = "offhook._native")]
pub struct Loss {
    conceal: Conceal,
    /// Samples that a hole has here: 20 ms.
    hole: usize,
}

#[pymethods]
impl Loss {
    #[new]
    #[pyo3(signature = (rate_hz = 8000))]
    fn new(rate_hz: u32) -> PyResult<Self> {
        if ![8000, 16000].contains(&rate_hz) {
            return Err(wrong(format!("{rate_hz} Hz: concealment is done at 8000 or 16000")));
        }
        Ok(Self { conceal: Conceal::new(rate_hz), hole: rate_hz as usize / 50 })
    }

    fn push<'py>(&mut self, py: Python<'py>, pcm: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        match pcm {
            Some(pcm) => {
                out = samples(pcm)?;
                self.conceal.hear(&mut out);
            }
            None => self.conceal.fill(self.hole, &mut out),
        }
        pcm_bytes(py, &out)
    }

    fn between<'py>(&mut self, py: Python<'py>, frames: usize, after: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        if frames > HOLES_MOST {
            return Err(wrong(format!("{frames} frames: a hole has at most {HOLES_MOST} here")));
        }
        let mut out = Vec::new();
        self.conceal.between(frames * self.hole, &samples(after)?, &mut out);
        pcm_bytes(py, &out)
    }
}

/// The ear for keys in the audio, as a stage of its own.
#[pyclass(name = "Keypad", module = "offhook._native")]
#[derive(Default)]
pub struct PyKeypad {
    keypad: Keypad,
    heard: usize,
}

#[pymethods]
impl PyKeypad {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[pyo3(signature = (pcm, concealed = false))]
    fn push(&mut self, pcm: &[u8], concealed: bool) -> PyResult<Vec<(char, usize)>> {
        let pcm = samples(pcm)?;
        self.heard += pcm.len();
        let mut told = Vec::new();
        self.keypad.push(&pcm, concealed, &mut |press| told.push((press.key, self.heard.saturating_sub(press.ago))));
        Ok(told)
    }

    #[getter]
    fn sounding(&self) -> bool {
        self.keypad.is_sounding()
    }
}

/// The ear for progress tones, fax and beeps, as a stage of its own.
#[pyclass(name = "Watch", module = "offhook._native")]
pub struct PyWatch {
    watch: Watch,
    heard: usize,
}

#[pymethods]
impl PyWatch {
    #[new]
    #[pyo3(signature = (tones, beep = false))]
    fn new(tones: Vec<Tone>, beep: bool) -> PyResult<Self> {
        Ok(Self { watch: Watch::new(&wanted(tones, beep)?, false), heard: 0 })
    }

    fn push(&mut self, pcm: &[u8]) -> PyResult<Vec<(String, usize)>> {
        let pcm = samples(pcm)?;
        self.heard += pcm.len();
        let mut all = Vec::new();
        self.watch.push(&pcm, &mut |told| all.push((told.kind, self.heard.saturating_sub(told.ago))));
        Ok(all)
    }
}
