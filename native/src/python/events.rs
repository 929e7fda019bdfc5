//! The events as Python values: frozen, with equality, a hash, a repr and positional patterns.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use pyo3::IntoPyObjectExt;

use super::pcm_bytes;
use crate::event::{Event, Kind};

macro_rules! event {
    ($(#[$doc:meta])* $name:ident ($($signature:tt)*) { $($field:ident: $type:ty),* }) => {
        $(#[$doc])*
        #[pyclass(frozen, get_all, module = "offhook._native")]
        pub struct $name { port: u32, seq: u64, at: i64, $($field: $type),* }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (port, seq, at, $($signature)*))]
            fn new(port: u32, seq: u64, at: i64, $($field: $type),*) -> Self {
                Self { port, seq, at, $($field),* }
            }

            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, ["port", "seq", "at", $(stringify!($field)),*])
            }

            fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                let Ok(other) = other.cast::<Self>() else { return Ok(false) };
                self.fields(py)?.eq(other.get().fields(py)?)
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                self.fields(py)?.hash()
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let names = ["port", "seq", "at", $(stringify!($field)),*];
                let mut text = Vec::new();
                for (name, value) in names.iter().zip(self.fields(py)?.iter()) {
                    text.push(format!("{name}={}", value.repr()?));
                }
                Ok(format!(concat!(stringify!($name), "({})"), text.join(", ")))
            }
        }

        impl $name {
            fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
                let port = (&self.port).into_py_any(py)?;
                let seq = (&self.seq).into_py_any(py)?;
                let at = (&self.at).into_py_any(py)?;
                PyTuple::new(py, [port, seq, at, $((&self.$field).into_py_any(py)?),*])
            }
        }
    };
}

event!(
    /// A piece of the caller's audio, in order.
    Heard(pcm, concealed = false, rate_hz = 8000) { pcm: Py<PyBytes>, concealed: bool, rate_hz: u32 }
);
event!(
    /// The gate opened.
    SpeechBegan() {}
);
event!(
    /// The gate closed.
    SpeechEnded(silence_ms = 0) { silence_ms: u32 }
);
event!(
    /// A key was pressed.
    Digit(key, duration_ms = 0, in_band = false) { key: String, duration_ms: u32, in_band: bool }
);
event!(
    /// A tone that was listened for.
    Tone(kind) { kind: String }
);
event!(
    /// An utterance has been heard in full.
    Played(utterance, sent_ms) { utterance: u64, sent_ms: u64 }
);
event!(
    /// The play-out clock passed a mark.
    Marked(utterance, mark) { utterance: u64, mark: u64 }
);
event!(
    /// An utterance was hushed.
    Cut(utterance, generation, sent_ms, heard_ms, exact = false) {
        utterance: u64, generation: u64, sent_ms: u64, heard_ms: u64, exact: bool
    }
);
event!(
    /// There is room in the play queue again.
    Room(queued_ms) { queued_ms: u64 }
);
event!(
    /// The first valid packet arrived.
    Flowing() {}
);
event!(
    /// No valid packet for a second.
    Stalled() {}
);
event!(
    /// The reflex lowered our voice.
    Ducked() {}
);
event!(
    /// A stretch of the stereo tape.
    Taped(pcm, rate_hz = 8000) { pcm: Py<PyBytes>, rate_hz: u32 }
);
event!(
    /// What an interval was like.
    Quality(
        lost, expected, jitter_ms, round_trip_ms, far_lost_fraction, far_jitter_ms, late = 0, concealed_ms = 0,
        burst_ratio = 1.0, mos = None, far_mos = None
    ) {
        lost: u32, expected: u32, jitter_ms: f64, round_trip_ms: Option<f64>, far_lost_fraction: f64,
        far_jitter_ms: f64, late: u32, concealed_ms: u32, burst_ratio: f64, mos: Option<f64>, far_mos: Option<f64>
    }
);
event!(
    /// One direction of the call seems to be dead.
    OneWay(fault, on) { fault: String, on: bool }
);

event!(
    /// What our RTP socket looks like from a STUN server.
    Mapped(address) { address: (String, u16) }
);

event!(
    /// Our own voice comes back, or no more.
    Echo(present, delay_ms = 0, loss_db = 0) { present: bool, delay_ms: u32, loss_db: u32 }
);
event!(
    /// Media to and from a browser is keyed.
    Secured(profile) { profile: String }
);
event!(
    /// The way to a browser is over.
    Severed(reason) { reason: String }
);
event!(
    /// Audio is to go to the carrier that brings the far end.
    Leaving(codes) { codes: Py<PyBytes> }
);
event!(
    /// The carrier is to tell when all before this was played.
    Fence(number) { number: u64 }
);
event!(
    /// What the carrier buffers is dropped.
    Emptied(hushed) { hushed: bool }
);

/// Add the classes to the module, and their union as `Event`.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    let classes = [
        py.get_type::<Heard>(),
        py.get_type::<SpeechBegan>(),
        py.get_type::<SpeechEnded>(),
        py.get_type::<Digit>(),
        py.get_type::<Tone>(),
        py.get_type::<Played>(),
        py.get_type::<Marked>(),
        py.get_type::<Cut>(),
        py.get_type::<Room>(),
        py.get_type::<Flowing>(),
        py.get_type::<Stalled>(),
        py.get_type::<Ducked>(),
        py.get_type::<Taped>(),
        py.get_type::<Quality>(),
        py.get_type::<OneWay>(),
        py.get_type::<Mapped>(),
        py.get_type::<Echo>(),
        py.get_type::<Secured>(),
        py.get_type::<Severed>(),
        py.get_type::<Leaving>(),
        py.get_type::<Fence>(),
        py.get_type::<Emptied>(),
    ];
    let mut union = classes[0].clone().into_any();
    for class in &classes {
        m.add(class.name()?, class)?;
        union = union.bitor(class)?;
    }
    m.add("Event", union)
}

/// Append an event to `list` as its Python value.
pub fn append(list: &Bound<'_, PyList>, event: &Event) -> PyResult<()> {
    let py = list.py();
    let &Event { port, seq, at, ref kind } = event;
    match kind {
        &Kind::Heard { ref pcm, rate_hz, concealed } => {
            let pcm = pcm_bytes(py, pcm)?.unbind();
            list.append(Bound::new(py, Heard { port, seq, at, pcm, concealed, rate_hz })?)
        }
        Kind::SpeechBegan => list.append(Bound::new(py, SpeechBegan { port, seq, at })?),
        &Kind::SpeechEnded { silence_ms } => list.append(Bound::new(py, SpeechEnded { port, seq, at, silence_ms })?),
        &Kind::Digit { key, duration_ms, in_band } => {
            list.append(Bound::new(py, Digit { port, seq, at, key: key.to_string(), duration_ms, in_band })?)
        }
        Kind::Tone { kind } => list.append(Bound::new(py, Tone { port, seq, at, kind: kind.clone() })?),
        &Kind::Played { utterance, sent_ms } => {
            list.append(Bound::new(py, Played { port, seq, at, utterance, sent_ms })?)
        }
        &Kind::Marked { utterance, mark } => list.append(Bound::new(py, Marked { port, seq, at, utterance, mark })?),
        &Kind::Cut { utterance, generation, sent_ms, heard_ms } => {
            let exact = false;
            list.append(Bound::new(py, Cut { port, seq, at, utterance, generation, sent_ms, heard_ms, exact })?)
        }
        &Kind::Room { queued_ms } => list.append(Bound::new(py, Room { port, seq, at, queued_ms })?),
        Kind::Flowing => list.append(Bound::new(py, Flowing { port, seq, at })?),
        Kind::Stalled => list.append(Bound::new(py, Stalled { port, seq, at })?),
        Kind::Ducked => list.append(Bound::new(py, Ducked { port, seq, at })?),
        &Kind::Taped { ref pcm, rate_hz } => {
            let pcm = pcm_bytes(py, pcm)?.unbind();
            list.append(Bound::new(py, Taped { port, seq, at, pcm, rate_hz })?)
        }
        Kind::Mapped { address } => {
            let address = (address.ip().to_string(), address.port());
            list.append(Bound::new(py, Mapped { port, seq, at, address })?)
        }
        &Kind::OneWay { fault, on } => {
            list.append(Bound::new(py, OneWay { port, seq, at, fault: fault.name().to_owned(), on })?)
        }
        &Kind::Echo { present, delay_ms, loss_db } => {
            list.append(Bound::new(py, Echo { port, seq, at, present, delay_ms, loss_db })?)
        }
        &Kind::Secured { profile } => {
            list.append(Bound::new(py, Secured { port, seq, at, profile: profile.to_owned() })?)
        }
        &Kind::Severed { reason } => list.append(Bound::new(py, Severed { port, seq, at, reason: reason.to_owned() })?),
        Kind::Leaving { codes } => {
            let codes = PyBytes::new(py, codes).unbind();
            list.append(Bound::new(py, Leaving { port, seq, at, codes })?)
        }
        &Kind::Fence { number } => list.append(Bound::new(py, Fence { port, seq, at, number })?),
        &Kind::Emptied { hushed } => list.append(Bound::new(py, Emptied { port, seq, at, hushed })?),
        Kind::Quality(quality) => list.append(Bound::new(
            py,
            Quality {
                port,
                seq,
                at,
                lost: quality.lost,
                expected: quality.expected,
                jitter_ms: quality.jitter_ms.into(),
                round_trip_ms: quality.round_trip_ms.map(f64::from),
                far_lost_fraction: quality.far_lost_fraction.into(),
                far_jitter_ms: quality.far_jitter_ms.into(),
                late: quality.late,
                concealed_ms: quality.concealed_ms,
                burst_ratio: quality.burst_ratio.into(),
                mos: quality.mos.map(f64::from),
                far_mos: quality.far_mos.map(f64::from),
            },
        )?),
    }
}
