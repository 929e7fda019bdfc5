//! `Engine`: commands go to its threads, events come from them; no thread of it ever waits for Python.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};

use super::tunnels::{self, Named};
use super::{
    address, bed, carriage, depth, even, events, keys, mode, plan, rate, routes, samples, transaction, wanted, wrong,
    Address, Heard, Keyed, Numbered, PySound, Tone,
};
use crate::codec::NARROW;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::lane::{Command, Shared};
use crate::listening::Mode;
use crate::pipeline::Pipeline;
use crate::port::fits;

/// Threads that own sockets and drive Ports.
#[pyclass(name = "Engine", frozen, module = "offhook._native")]
pub struct PyEngine(Mutex<Inside>);

/// Only Python's threads take the lock around this.
struct Inside {
    engine: Option<Engine>,
    ports: HashMap<u32, Entry>,
    /// Ports that were closed, until their thread has let go of them, and the sums of those that it has.
    retired: Vec<Arc<Shared>>,
    sums: Counters,
}

/// A port as its caller sees it.
struct Entry {
    lane: usize,
    shared: Arc<Shared>,
    feed: Feed,
    /// What was ordered: the port itself is on its thread.
    agreed: Option<Pipeline>,
    mode: Mode,
    gain_control: bool,
    taped: bool,
}

impl Entry {
    fn new(lane: usize, shared: Arc<Shared>) -> Self {
        let (agreed, mode) = (None, Mode::None);
        Self { lane, shared, feed: Feed::default(), agreed, mode, gain_control: false, taped: false }
    }
}

impl Inside {
    fn engine(&mut self) -> PyResult<&mut Engine> {
        self.engine.as_mut().ok_or_else(|| PyRuntimeError::new_err("the engine was shut down"))
    }

    fn send(&mut self, port: u32, command: Command) -> PyResult<()> {
        let Some(entry) = self.ports.get(&port) else { return Ok(()) };
        let lane = entry.lane;
        Ok(self.engine()?.send(lane, command)?)
    }

    fn fold(&mut self) {
        let sums = &self.sums;
        self.retired.retain(|shared| {
            let held = Arc::strong_count(shared) > 1;
            if !held {
                sums.add_all(&shared.counters);
            }
            held
        });
    }
}

/// Counters as Python has them.
fn figures<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    /// Made once: each call that ends tells all of them.
    static NAMES: PyOnceLock<Vec<Py<PyString>>> = PyOnceLock::new();
    let named = counters.named();
    let names = NAMES.get_or_init(py, || named.iter().map(|(name, _)| PyString::intern(py, name).unbind()).collect());
    let figures = PyDict::new(py);
    for (name, (_, value)) in names.iter().zip(named) {
        figures.set_item(name, value)?;
    }
    Ok(figures)
}

impl PyEngine {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, port: u32, command: Command) -> PyResult<()> {
        self.inside().send(port, command)
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (*, ip = "127.0.0.1", first_port = 10000, last_port = 19999, threads = 1))]
    fn new(ip: &str, first_port: u16, last_port: u16, threads: usize) -> PyResult<Self> {
        let address: IpAddr = ip.parse().map_err(|_| wrong(format!("{ip:?} is not a numeric IP address")))?;
        if first_port == 0 || first_port >= last_port || (first_port % 2 == 1 && last_port - first_port < 2) {
            return Err(wrong(format!("{first_port} to {last_port} holds no pair of ports")));
        }
        if !(1..=64).contains(&threads) {
            return Err(wrong(format!("{threads} threads are not between 1 and 64")));
        }
        let engine = Some(Engine::start(address, first_port, last_port, threads)?);
        let inside = Inside { engine, ports: HashMap::new(), retired: Vec::new(), sums: Counters::default() };
        Ok(Self(Mutex::new(inside)))
    }

    fn fileno(&self) -> PyResult<i32> {
        Ok(self.inside().engine()?.fd())
    }

    #[pyo3(signature = (*, ssrc, sequence, timestamp, cname = "", beside = None))]
    fn open(&self, ssrc: u32, sequence: u16, timestamp: u32, cname: &str, beside: Option<u32>) -> PyResult<(u32, u16)> {
        let mut inside = self.inside();
        let lane = beside.and_then(|port| inside.ports.get(&port)).map(|entry| entry.lane);
        let opened = inside.engine()?.open(ssrc, sequence, timestamp, cname, lane);
        let (number, bound, lane, shared) = opened.map_err(|error| match error.raw_os_error() {
            Some(_) => PyErr::from(error),
            None => PyOSError::new_err((libc::EADDRINUSE, error.to_string())),
        })?;
        inside.ports.insert(number, Entry::new(lane, shared));
        Ok((number, bound))
    }

    #[pyo3(signature = (*, lead_ms, least_ms, most_ms, fences, clears, beside = None))]
    fn carry(
        &self,
        lead_ms: u32,
        least_ms: u32,
        most_ms: u32,
        fences: bool,
        clears: bool,
        beside: Option<u32>,
    ) -> PyResult<u32> {
        let terms = carriage(lead_ms, least_ms, most_ms, fences, clears)?;
        let mut inside = self.inside();
        let lane = beside.and_then(|port| inside.ports.get(&port)).map(|entry| entry.lane);
        let (number, lane, shared) = inside.engine()?.carry(terms, lane)?;
        inside.ports.insert(number, Entry::new(lane, shared));
        Ok(number)
    }

    fn bring(&self, port: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> PyResult<()> {
        self.send(port, Command::Bring { port, sequence, timestamp, payload: payload.into() })
    }

    fn passed(&self, port: u32, fence: u64) -> PyResult<()> {
        self.send(port, Command::Passed { port, fence })
    }

    #[pyo3(signature = (
        port, generation, *, remote, remote_rtcp, send, receive, dtmf_send = None, dtmf_receive = None,
        dtmf_hz = 8000, noise_send = None, noise_receive = None, ptime_ms = 20, sending = true, receiving = true,
        rtcp_mux = false, rtcp_extended = false, rtcp_reduced = false, protection = None
    ))]
    fn configure(
        &self,
        port: u32,
        generation: u64,
        remote: Option<Address>,
        remote_rtcp: Option<Address>,
        send: Numbered,
        receive: Vec<Numbered>,
        dtmf_send: Option<u8>,
        dtmf_receive: Option<u8>,
        dtmf_hz: u32,
        noise_send: Option<u8>,
        noise_receive: Option<u8>,
        ptime_ms: u32,
        sending: bool,
        receiving: bool,
        rtcp_mux: bool,
        rtcp_extended: bool,
        rtcp_reduced: bool,
        protection: Option<Keyed>,
    ) -> PyResult<()> {
        let dtmf = (dtmf_send, dtmf_receive, dtmf_hz);
        let (directions, rtcp) = ((sending, receiving), (rtcp_mux, rtcp_extended, rtcp_reduced));
        let plan = plan(
            remote,
            remote_rtcp,
            send,
            receive,
            dtmf,
            (noise_send, noise_receive),
            ptime_ms,
            directions,
            rtcp,
            protection,
        )?;
        let mut inside = self.inside();
        if let Some(entry) = inside.ports.get_mut(&port) {
            entry.feed.run_at(plan.rate_hz());
            entry.agreed = Some(Pipeline::of(&plan));
        }
        inside.send(port, Command::Configure(port, generation, Box::new(plan)))
    }

    #[pyo3(signature = (
        port, *, ours, theirs, candidates, fingerprints, identity, lite, controlling, active, seed
    ))]
    fn tunnel(
        &self,
        port: u32,
        ours: Named,
        theirs: Named,
        candidates: Vec<String>,
        fingerprints: Vec<(String, Vec<u8>)>,
        identity: (Vec<u8>, Vec<u8>),
        lite: bool,
        controlling: bool,
        active: bool,
        seed: u64,
    ) -> PyResult<()> {
        let roles = (lite, controlling, active);
        let terms = tunnels::terms((ours, theirs), roles, candidates, fingerprints, identity, seed)?;
        if !terms.usable() {
            return Err(tunnels::unusable());
        }
        self.send(port, Command::Tunnel(port, Box::new(terms)))
    }

    #[pyo3(signature = (port, mode, gain_control = false))]
    fn listen(&self, port: u32, mode: &str, gain_control: bool) -> PyResult<()> {
        let (mode, mut inside) = (self::mode(mode)?, self.inside());
        if let Some(entry) = inside.ports.get_mut(&port) {
            (entry.mode, entry.gain_control) = (mode, gain_control);
        }
        inside.send(port, Command::Listen(port, mode, gain_control))
    }

    fn tape(&self, port: u32, on: bool) -> PyResult<()> {
        let mut inside = self.inside();
        if let Some(entry) = inside.ports.get_mut(&port) {
            entry.taped = on;
        }
        inside.send(port, Command::Tape(port, on))
    }

    fn play(&self, port: u32, utterance: u64, pcm: &[u8], rate_hz: u32) -> PyResult<usize> {
        let rate_hz = rate(rate_hz)?;
        even(pcm)?;
        let mut inside = self.inside();
        let Inside { engine, ports, .. } = &mut *inside;
        let (Some(engine), Some(entry)) = (engine, ports.get_mut(&port)) else { return Ok(pcm.len()) };
        let port_hz = entry.feed.rate_hz();
        let taken = (fits(entry.shared.room(port_hz), port_hz, rate_hz) * 2).min(pcm.len());
        let Some(converted) = entry.feed.push(utterance, samples(&pcm[..taken])?, rate_hz) else { return Ok(0) };
        engine.play(entry.lane, &entry.shared, port, utterance, converted, taken < pcm.len())?;
        Ok(taken)
    }

    fn end(&self, port: u32, utterance: u64) -> PyResult<()> {
        let mut inside = self.inside();
        let Inside { engine, ports, .. } = &mut *inside;
        let (Some(engine), Some(entry)) = (engine, ports.get_mut(&port)) else { return Ok(()) };
        let tail = entry.feed.finish(utterance);
        Ok(engine.end(entry.lane, &entry.shared, port, utterance, tail)?)
    }

    fn mark(&self, port: u32, utterance: u64, mark: u64) -> PyResult<()> {
        self.send(port, Command::Mark { port, utterance, mark })
    }

    fn hush(&self, port: u32) -> PyResult<()> {
        self.send(port, Command::Hush(port))
    }

    fn arm(&self, port: u32, depth_db: Option<f32>) -> PyResult<()> {
        self.send(port, Command::Arm(port, depth(depth_db)?))
    }

    fn restore(&self, port: u32) -> PyResult<()> {
        self.send(port, Command::Restore(port))
    }

    #[pyo3(signature = (port, keys, duration_ms = 100, gap_ms = 100))]
    fn press(&self, port: u32, keys: &str, duration_ms: u32, gap_ms: u32) -> PyResult<()> {
        let keys = self::keys(keys, duration_ms, gap_ms)?.into();
        self.send(port, Command::Press { port, keys, duration_ms, gap_ms })
    }

    #[pyo3(signature = (port, tones, beep = false))]
    fn watch(&self, port: u32, tones: Vec<Tone>, beep: bool) -> PyResult<()> {
        self.send(port, Command::Watch(port, Box::new(wanted(tones, beep)?)))
    }

    fn mix(&self, port: u32, heard: Vec<Heard>) -> PyResult<()> {
        let routes = routes(heard)?;
        let mut inside = self.inside();
        let Some(lane) = inside.ports.get(&port).map(|entry| entry.lane) else { return Ok(()) };
        let apart = |other: u32| inside.ports.get(&other).is_some_and(|entry| entry.lane != lane);
        if let Some(route) = routes.iter().find(|route| route.port == port || apart(route.port)) {
            return Err(wrong(format!("ports {port} and {} are not two of one thread", route.port)));
        }
        inside.send(port, Command::Mix(port, routes.into()))
    }

    fn part(&self, port: u32) -> PyResult<()> {
        self.send(port, Command::Part(port))
    }

    #[pyo3(signature = (port, sound, level_db = 0.0, duck_db = 0.0))]
    fn bed(&self, port: u32, sound: Option<&PySound>, level_db: f32, duck_db: f32) -> PyResult<()> {
        self.send(port, Command::Bed(port, bed(sound, level_db, duck_db)?))
    }

    fn discover(&self, port: u32, server: Address, id: &[u8]) -> PyResult<()> {
        self.send(port, Command::Discover { port, server: address(&server)?, id: transaction(id)? })
    }

    fn rate_hz(&self, port: u32) -> u32 {
        self.inside().ports.get(&port).map_or(NARROW, |entry| entry.feed.rate_hz())
    }

    fn close<'py>(&self, py: Python<'py>, port: u32) -> PyResult<Bound<'py, PyDict>> {
        let mut inside = self.inside();
        inside.send(port, Command::Close(port))?;
        let Some(entry) = inside.ports.remove(&port) else { return Ok(PyDict::new(py)) };
        inside.engine()?.left(entry.lane);
        let counters = figures(py, &entry.shared.counters);
        inside.retired.push(entry.shared);
        inside.fold();
        counters
    }

    fn describe(&self, port: u32) -> (String, String) {
        let inside = self.inside();
        let Some(entry) = inside.ports.get(&port) else { return Default::default() };
        let pipeline = entry.agreed.map(|agreed| Pipeline {
            mode: entry.mode,
            gain_control: entry.gain_control,
            taped: entry.taped,
            ..agreed
        });
        pipeline.map(|pipeline| pipeline.told()).unwrap_or_default()
    }

    fn counters<'py>(&self, py: Python<'py>, port: u32) -> PyResult<Bound<'py, PyDict>> {
        let inside = self.inside();
        inside.ports.get(&port).map_or_else(|| Ok(PyDict::new(py)), |entry| figures(py, &entry.shared.counters))
    }

    fn totals(&self) -> BTreeMap<&'static str, u64> {
        let mut inside = self.inside();
        inside.fold();
        let all = Counters::default();
        all.add_all(&inside.sums);
        let open = inside.ports.values().map(|entry| &entry.shared);
        for shared in open.chain(&inside.retired) {
            all.add_all(&shared.counters);
        }
        let mut totals: BTreeMap<_, _> = all.named().into_iter().collect();
        if let Some(engine) = &inside.engine {
            for (name, value) in engine.totals() {
                *totals.entry(name).or_default() += value;
            }
        }
        totals.insert("ports", inside.ports.len() as u64);
        totals
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let inside = self.inside();
        let Some(engine) = &inside.engine else { return Ok(list) };
        let mut failed = Ok(());
        engine.drain(|event| {
            if failed.is_ok() {
                failed = events::append(&list, &event);
            }
        });
        failed.map(|()| list)
    }

    fn shutdown(&self, py: Python<'_>) {
        let engine = self.inside().engine.take();
        // The threads never need the interpreter, but they may take a moment.
        py.detach(|| drop(engine));
    }
}
