//! `Port`: the pure machine, driven from Python in whatever time Python says.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::tunnels::{self, Named};
use super::{
    address, bed, carriage, depth, events, keys, mode, plan, rate, routes, samples, side, side_name, transaction,
    wanted, Address, Heard, Keyed, Numbered, PySound, Tone,
};
use crate::event::Sink;
use crate::feed::Feed;
use crate::port::Port;

/// One call's media, pure.
#[pyclass(name = "Port", module = "offhook._native")]
pub struct PyPort {
    port: Port,
    feed: Feed,
    sink: Sink,
}

/// What one pull gives at most.
const PULLED_MOST_MS: u32 = 1000;

#[pymethods]
impl PyPort {
    #[new]
    #[pyo3(signature = (*, ssrc, sequence, timestamp, number = 0, cname = ""))]
    fn new(ssrc: u32, sequence: u16, timestamp: u32, number: u32, cname: &str) -> Self {
        let port = Port::new(number, ssrc, sequence, timestamp, cname);
        Self { port, feed: Feed::default(), sink: Sink::default() }
    }

    #[pyo3(signature = (
        now, generation, *, remote, remote_rtcp, send, receive, dtmf_send = None, dtmf_receive = None,
        dtmf_hz = 8000, noise_send = None, noise_receive = None, ptime_ms = 20, sending = true, receiving = true,
        rtcp_mux = false, rtcp_extended = false, rtcp_reduced = false, protection = None
    ))]
    fn configure(
        &mut self,
        now: i64,
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
        self.port.configure(now, generation, plan);
        self.feed.run_at(self.port.rate_hz());
        Ok(())
    }

    #[pyo3(signature = (
        now, *, ours, theirs, candidates, fingerprints, identity, lite, controlling, active, seed
    ))]
    fn tunnel(
        &mut self,
        now: i64,
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
        if self.port.tunnel(now, &terms, &mut self.sink) {
            Ok(())
        } else {
            Err(tunnels::unusable())
        }
    }

    #[pyo3(signature = (*, lead_ms, least_ms, most_ms, fences, clears))]
    fn carry(&mut self, lead_ms: u32, least_ms: u32, most_ms: u32, fences: bool, clears: bool) -> PyResult<()> {
        self.port.carry(carriage(lead_ms, least_ms, most_ms, fences, clears)?);
        Ok(())
    }

    fn bring(&mut self, now: i64, sequence: u16, timestamp: u32, payload: &[u8]) {
        self.port.bring(now, sequence, timestamp, payload, &mut self.sink);
    }

    fn passed(&mut self, now: i64, fence: u64) {
        self.port.passed(now, fence, &mut self.sink);
    }

    #[pyo3(signature = (mode, gain_control = false))]
    fn listen(&mut self, mode: &str, gain_control: bool) -> PyResult<()> {
        self.port.listen(self::mode(mode)?, gain_control);
        Ok(())
    }

    fn tape(&mut self, on: bool) {
        self.port.tape(on, &mut self.sink);
    }

    #[pyo3(signature = (now, data, source, rtcp = false))]
    fn datagram(&mut self, now: i64, data: &[u8], source: Address, rtcp: bool) -> PyResult<()> {
        self.port.datagram(now, data, address(&source)?, rtcp, &mut self.sink);
        Ok(())
    }

    fn tick(&mut self, now: i64) {
        self.port.tick(now, &mut self.sink);
    }

    fn play(&mut self, now: i64, utterance: u64, pcm: &[u8], rate_hz: u32) -> PyResult<usize> {
        let rate_hz = rate(rate_hz)?;
        let pcm = samples(pcm)?;
        let taken = self.port.play_through(&mut self.feed, now, utterance, &pcm, rate_hz, &mut self.sink);
        Ok(taken.unwrap_or(0) * 2)
    }

    fn end(&mut self, now: i64, utterance: u64) {
        let tail = self.feed.finish(utterance);
        self.port.end(now, utterance, tail);
    }

    fn mark(&mut self, now: i64, utterance: u64, mark: u64) {
        self.port.mark(now, utterance, mark);
    }

    fn hush(&mut self, now: i64) {
        self.port.hush(now, &mut self.sink);
    }

    fn arm(&mut self, depth_db: Option<f32>) -> PyResult<()> {
        self.port.arm(depth(depth_db)?);
        Ok(())
    }

    fn restore(&mut self, now: i64) {
        self.port.restore(now, &mut self.sink);
    }

    #[pyo3(signature = (now, keys, duration_ms = 100, gap_ms = 100))]
    fn press(&mut self, now: i64, keys: &str, duration_ms: u32, gap_ms: u32) -> PyResult<()> {
        let codes = self::keys(keys, duration_ms, gap_ms)?;
        self.port.press(now, &codes, duration_ms, gap_ms);
        Ok(())
    }

    #[pyo3(signature = (tones, beep = false))]
    fn watch(&mut self, tones: Vec<Tone>, beep: bool) -> PyResult<()> {
        self.port.watch(&wanted(tones, beep)?);
        Ok(())
    }

    fn relay(&mut self, on: bool) {
        self.port.relay(on);
    }

    fn mix(&mut self, heard: Vec<Heard>) -> PyResult<()> {
        self.port.mix(&routes(heard)?);
        Ok(())
    }

    fn mixed(&self) -> Vec<(u32, &'static str)> {
        self.port.routes().map(|route| (route.port, side_name(route.side))).collect()
    }

    fn wants(&self, now: i64) -> Option<(i64, u32)> {
        self.port.wants(now)
    }

    #[pyo3(signature = (now, ms, side = "far"))]
    fn pull<'py>(&mut self, py: Python<'py>, now: i64, ms: u32, side: &str) -> PyResult<Bound<'py, PyBytes>> {
        let mut pcm = Vec::new();
        if !self.port.pull(self::side(side)?, now, ms.min(PULLED_MOST_MS), &mut pcm) {
            pcm.clear();
        }
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Ok(PyBytes::new(py, &bytes))
    }

    #[pyo3(signature = (now, port, pcm, rate_hz = 8000, side = "far"))]
    fn feed(&mut self, now: i64, port: u32, pcm: &[u8], rate_hz: u32, side: &str) -> PyResult<()> {
        self.port.feed(now, port, self::side(side)?, &samples(pcm)?, rate(rate_hz)?);
        Ok(())
    }

    #[pyo3(signature = (sound, level_db = 0.0, duck_db = 0.0))]
    fn bed(&mut self, sound: Option<&PySound>, level_db: f32, duck_db: f32) -> PyResult<()> {
        self.port.bed(bed(sound, level_db, duck_db)?);
        Ok(())
    }

    fn discover(&mut self, now: i64, server: Address, id: &[u8]) -> PyResult<()> {
        self.port.discover(now, address(&server)?, transaction(id)?, &mut self.sink);
        Ok(())
    }

    #[getter]
    fn rate_hz(&self) -> u32 {
        self.port.rate_hz()
    }

    fn deadline(&self) -> Option<i64> {
        self.port.deadline()
    }

    fn packets<'py>(&mut self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, (String, u16), bool)> {
        let packets = self.sink.packets().map(|(bytes, departure)| {
            let to = (departure.destination.ip().to_string(), departure.destination.port());
            (PyBytes::new(py, bytes), to, departure.rtcp)
        });
        let packets = packets.collect();
        self.sink.clear_packets();
        packets
    }

    fn events<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.sink.events.drain(..) {
            events::append(&list, &event)?;
        }
        Ok(list)
    }

    fn describe(&self) -> (String, String) {
        self.port.pipeline().map(|pipeline| pipeline.told()).unwrap_or_default()
    }

    fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.port.counters().named().into_iter().collect()
    }
}
