//! The door to Python: bindings only. `src/offhook/_native.pyi` is its contract.
#![allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // Python's calling convention, and the plan's fields.

mod engine;
mod events;
mod isochronous;
mod port;
mod stages;
mod tunnels;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::bed::{Bed, Sound, LENGTHS_MS};
use crate::carried::{Terms as Carriage, LEAD_MOST_MS};
use crate::codec::{Codec, G729, MISSING};
use crate::dtmf::code_of;
use crate::listening::Mode;
use crate::mix::{Route, LEVELS_DB, SOURCES_MOST};
use crate::plan::Plan;
use crate::port::{KEYS_MOST, KEY_MOST_MS};
use crate::relay::Side;
use crate::resample::RATES;
use crate::secure::{Master, Protection, Suite};
use crate::stun::Id;
use crate::tone::pattern::{Pattern, Segment, Wanted};

#[pymodule(name = "_native", gil_used = true)]
fn native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    events::register(m)?;
    m.add_class::<port::PyPort>()?;
    m.add_class::<engine::PyEngine>()?;
    m.add_class::<stages::PyEncoder>()?;
    m.add_class::<stages::PyDecoder>()?;
    m.add_class::<PySound>()?;
    m.add_class::<stages::PyResampler>()?;
    m.add_class::<isochronous::Isochronous>()?;
    m.add_class::<stages::Loss>()?;
    m.add_class::<stages::PyKeypad>()?;
    m.add_class::<stages::PyWatch>()?;
    m.add_function(wrap_pyfunction!(stages::encode, m)?)?;
    m.add_function(wrap_pyfunction!(stages::decode, m)?)?;
    m.add_function(wrap_pyfunction!(stages::rating, m)?)?;
    m.add_function(wrap_pyfunction!(stages::mos, m)?)
}

/// An address as Python has it.
type Address = (String, u16);
/// A payload number and an encoding name.
type Numbered = (u8, String);
/// A suite, our key and theirs, each with its salt; theirs may come later.
type Keyed = (String, Vec<u8>, Option<Vec<u8>>);

fn wrong(what: impl Into<String>) -> PyErr {
    PyValueError::new_err(what.into())
}

fn address((ip, port): &Address) -> PyResult<SocketAddr> {
    let ip: IpAddr = ip.parse().map_err(|_| wrong(format!("{ip:?} is not a numeric IP address")))?;
    Ok(SocketAddr::new(ip.to_canonical(), *port))
}

fn payload_type(number: u8) -> PyResult<u8> {
    if number < 128 {
        Ok(number)
    } else {
        Err(wrong(format!("{number} is not a payload type (0 to 127)")))
    }
}

fn codec(name: &str) -> PyResult<Codec> {
    Codec::named(name).ok_or_else(|| {
        if name.eq_ignore_ascii_case(G729) {
            wrong(MISSING)
        } else {
            wrong(format!("{name:?} is not a codec that we speak"))
        }
    })
}

fn coded((number, name): &Numbered) -> PyResult<(u8, Codec)> {
    Ok((payload_type(*number)?, codec(name)?))
}

fn plan(
    remote: Option<Address>,
    remote_rtcp: Option<Address>,
    send: Numbered,
    receive: Vec<Numbered>,
    dtmf: (Option<u8>, Option<u8>, u32),
    noise: (Option<u8>, Option<u8>),
    ptime_ms: u32,
    (sending, receiving): (bool, bool),
    (rtcp_mux, rtcp_extended, rtcp_reduced): (bool, bool, bool),
    keyed: Option<Keyed>,
) -> PyResult<Plan> {
    if !(10..=200).contains(&ptime_ms) {
        return Err(wrong(format!("a ptime of {ptime_ms} ms is not between 10 and 200")));
    }
    let send = coded(&send)?;
    if !send.1.lasts(ptime_ms) {
        return Err(wrong(format!("a packet of {:?} does not last {ptime_ms} ms", send.1)));
    }
    if ![8000, 16_000, 24_000, 48_000].contains(&dtmf.2) {
        return Err(wrong(format!("{} Hz is not a clock of keys", dtmf.2)));
    }
    Ok(Plan {
        remote: remote.as_ref().map(address).transpose()?,
        remote_rtcp: remote_rtcp.as_ref().map(address).transpose()?,
        send,
        receive: receive.iter().map(coded).collect::<PyResult<_>>()?,
        dtmf_send: dtmf.0.map(payload_type).transpose()?,
        dtmf_receive: dtmf.1.map(payload_type).transpose()?,
        dtmf_hz: dtmf.2,
        noise_send: noise.0.map(payload_type).transpose()?,
        noise_receive: noise.1.map(payload_type).transpose()?,
        ptime_ms,
        sending,
        receiving,
        rtcp_mux,
        rtcp_extended,
        rtcp_reduced,
        protection: keyed.map(protection).transpose()?,
    })
}

fn protection((name, send, receive): Keyed) -> PyResult<Protection> {
    let suite = Suite::named(&name).ok_or_else(|| wrong(format!("{name:?} is not a suite of SRTP that we have")))?;
    let master = |bytes: &[u8]| {
        let length = suite.master_bytes();
        Master::new(suite, bytes).ok_or_else(|| wrong(format!("a key of {name} with its salt has {length} bytes")))
    };
    let receive = receive.as_deref().map(master).transpose()?;
    Ok(Protection { suite, send: master(&send)?, receive })
}

fn mode(name: &str) -> PyResult<Mode> {
    Mode::named(name).ok_or_else(|| wrong(format!("{name:?} is not a way to listen (all, speech, none)")))
}

fn depth(depth_db: Option<f32>) -> PyResult<Option<f32>> {
    match depth_db {
        Some(depth) if !(0.0..=100.0).contains(&depth) => Err(wrong("a duck is 0 to 100 dB deep")),
        depth => Ok(depth),
    }
}

fn rate(rate_hz: u32) -> PyResult<u32> {
    if RATES.contains(&rate_hz) {
        Ok(rate_hz)
    } else {
        Err(wrong(format!("{rate_hz} Hz is not a rate that we convert ({RATES:?})")))
    }
}

fn keys(keys: &str, duration_ms: u32, gap_ms: u32) -> PyResult<Vec<u8>> {
    if keys.chars().count() > KEYS_MOST {
        return Err(wrong(format!("more than {KEYS_MOST} keys at once")));
    }
    if !(20..=KEY_MOST_MS).contains(&duration_ms) || gap_ms > KEY_MOST_MS {
        return Err(wrong(format!("a key sounds for 20 to {KEY_MOST_MS} ms, and rests for at most that")));
    }
    keys.chars().map(|key| code_of(key).ok_or_else(|| wrong(format!("{key:?} is not a key (0-9*#A-D)")))).collect()
}

/// A tone as Python has it: its kind, its segments (frequencies, ms), and how many of those make it known.
type Tone = (String, Vec<(Vec<u16>, u32)>, usize);

fn wanted(tones: Vec<Tone>, beep: bool) -> PyResult<Wanted> {
    let pattern = |(kind, segments, runs): Tone| {
        let segments = segments.into_iter().map(|(hz, ms)| Segment { hz, ms }).collect();
        Pattern { kind, segments, runs }
    };
    let wanted = Wanted { patterns: tones.into_iter().map(pattern).collect(), beep };
    match wanted.fault() {
        Some(fault) => Err(wrong(fault)),
        None => Ok(wanted),
    }
}

/// Whom to hear, as Python has it: a port, which side of it, and a change of level, dB.
type Heard = (u32, String, f32);

fn side(name: &str) -> PyResult<Side> {
    match name {
        "far" => Ok(Side::Far),
        "ours" => Ok(Side::Ours),
        _ => Err(wrong(format!("{name:?} is not a side (far, ours)"))),
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Far => "far",
        Side::Ours => "ours",
    }
}

fn routes(heard: Vec<Heard>) -> PyResult<Vec<Route>> {
    if heard.len() > SOURCES_MOST {
        return Err(wrong(format!("nobody can hear more than {SOURCES_MOST} sides at once")));
    }
    let (least, most) = LEVELS_DB;
    let route = |(port, name, level_db): Heard| {
        if !(least..=most).contains(&level_db) {
            return Err(wrong(format!("a level changes by {least} to {most} dB")));
        }
        Ok(Route { port, side: side(&name)?, gain: 10f32.powf(level_db / 20.0) })
    };
    heard.into_iter().map(route).collect()
}

/// A recording that may sound under calls, shared by all of them.
#[pyclass(name = "Sound", frozen, module = "offhook._native")]
struct PySound(Arc<Sound>);

#[pymethods]
impl PySound {
    #[new]
    fn new(pcm: &[u8], rate_hz: u32) -> PyResult<Self> {
        let (least, most) = LENGTHS_MS;
        let sound = Sound::new(&samples(pcm)?, rate(rate_hz)?);
        let sound = sound.ok_or_else(|| wrong(format!("a sound to loop lasts {least} to {most} ms")))?;
        Ok(Self(Arc::new(sound)))
    }
}

/// A sound under a call, at its level and so much lower while somebody speaks, dB.
fn bed(sound: Option<&PySound>, level_db: f32, duck_db: f32) -> PyResult<Option<Box<Bed>>> {
    if !(-60.0..=0.0).contains(&level_db) || !(0.0..=60.0).contains(&duck_db) {
        return Err(wrong("a bed is at -60 to 0 dB, and ducked by 0 to 60 dB"));
    }
    let factor = |db: f32| 10f32.powf(db / 20.0);
    Ok(sound.map(|sound| Box::new(Bed::new(sound.0.clone(), factor(level_db), factor(level_db - duck_db)))))
}

/// How a carrier takes audio, ms.
fn carriage(lead_ms: u32, least_ms: u32, most_ms: u32, fences: bool, clears: bool) -> PyResult<Carriage> {
    if lead_ms > LEAD_MOST_MS || !(10..=1000).contains(&most_ms) || least_ms > most_ms {
        return Err(wrong(format!(
            "a lead is up to {LEAD_MOST_MS} ms, a message up to 1000 and no shorter than its least"
        )));
    }
    Ok(Carriage { lead_ms, least_ms, most_ms, fences, clears })
}

fn transaction(id: &[u8]) -> PyResult<Id> {
    id.try_into().map_err(|_| wrong("a STUN transaction has 12 bytes"))
}

fn even(pcm: &[u8]) -> PyResult<()> {
    if pcm.len().is_multiple_of(2) {
        Ok(())
    } else {
        Err(wrong("PCM has two bytes a sample"))
    }
}

/// 16-bit little-endian samples.
fn samples(pcm: &[u8]) -> PyResult<Vec<i16>> {
    even(pcm)?;
    Ok(pcm.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect())
}

fn pcm_bytes<'py>(py: Python<'py>, samples: &[i16]) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    pyo3::types::PyBytes::new_with(py, samples.len() * 2, |bytes| {
        for (two, sample) in bytes.chunks_exact_mut(2).zip(samples) {
            two.copy_from_slice(&sample.to_le_bytes());
        }
        Ok(())
    })
}
