//! Single stages, for benches and for legs that carry no RTP.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{codec, pcm_bytes, samples, wanted, wrong, Tone};
use crate::codec::{Decoder, Encoder};
use crate::conceal::Conceal;
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

/// Sample rate conversion, streaming.
#[pyclass(name = "Resampler", module = "offhook._native")]
pub struct PyResampler(Resampler);

#[pymethods]
impl PyResampler {
    #[new]
    fn new(from_hz: u32, to_hz: u32) -> PyResult<Self> {
        let rates = || wrong(format!("{from_hz} to {to_hz} Hz: the rates are {RATES:?}"));
        Resampler::new(from_hz, to_hz).map(Self).ok_or_else(rates)
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

/// The simple concealment as a stage of its own.
#[pyclass(module = "offhook._native")]
pub struct Loss(Conceal);

/// Samples that a hole has here.
const HOLE: usize = 160;

#[pymethods]
impl Loss {
    #[new]
    fn new() -> Self {
        Self(Conceal::default())
    }

    fn push<'py>(&mut self, py: Python<'py>, pcm: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        match pcm {
            Some(pcm) => {
                out = samples(pcm)?;
                self.0.hear(&mut out);
            }
            None => self.0.fill(HOLE, &mut out),
        }
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
