//! What Python hears: the gate, its pre-roll, and the reflex that a voice sets off.

use std::collections::VecDeque;

use crate::codec::{Law, NARROW};
use crate::echo::{Change, Echo};
use crate::event::Kind;
use crate::gain::{self, Gain};
use crate::pipeline::Stage;
use crate::timeline::{lasting, scaled};
use crate::vad::{Edge, Gate, HANGOVER_MS, STEP};

/// What is kept for the moment that the gate opens.
const PRE_ROLL: i64 = 500_000_000;
/// What lies between two syllables belongs to the level of speech, in samples of the gate's: 60 ms.
const SYLLABLES: u32 = 480;
/// A sample of the gate's, which are at 8 kHz whatever it hears, ns.
const SAMPLE: i64 = 125_000;

/// Which audio becomes `Heard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    All,
    Speech,
    None,
}

impl Mode {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::All),
            "speech" => Some(Self::Speech),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// One packet's worth of the past.
#[derive(Debug)]
struct Piece {
    at: i64,
    concealed: bool,
    rate_hz: u32,
    kept: Kept,
}

/// Audio of G.711 is kept in the codes of the wire: half the bytes of PCM.
#[derive(Debug)]
enum Kept {
    Codes(Law, Vec<u8>),
    Pcm(Vec<i16>),
}

impl Piece {
    fn len(&self) -> usize {
        match &self.kept {
            Kept::Codes(_, codes) => codes.len(),
            Kept::Pcm(pcm) => pcm.len(),
        }
    }

    fn lasting(&self) -> i64 {
        span(self.len(), self.rate_hz)
    }
}

fn span(samples: usize, rate_hz: u32) -> i64 {
    lasting(i64::try_from(samples).unwrap_or(0), rate_hz)
}

/// The listening side of one port.
#[derive(Debug)]
pub struct Listening {
    mode: Mode,
    /// It was said what is to be heard. Before that a call is not answered, and what sounds to it may come back already.
    settled: bool,
    rate_hz: u32,
    gate: Gate,
    /// Our own voice that comes back, of a call whose speech is listened for and that we spoke in.
    echo: Option<Box<Echo>>,
    past: VecDeque<Piece>,
    /// How long the past is, ns.
    past_lasts: i64,
    /// Comfort noise began here: from now on silence is told by the clock, since the sender said that it is silent.
    quiet_since: Option<i64>,
    /// Somebody has spoken.
    spoken: bool,
    /// For quiet callers, where that was asked for.
    gain: Option<Gain>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            mode: Mode::None,
            settled: false,
            rate_hz: NARROW,
            gate: Gate::default(),
            echo: None,
            past: VecDeque::new(),
            past_lasts: 0,
            quiet_since: None,
            spoken: false,
            gain: None,
        }
    }
}

impl Listening {
    /// Say which audio is told; `gain_control`: quiet callers are told louder than they are.
    pub fn listen(&mut self, mode: Mode, gain_control: bool) {
        self.mode = mode;
        self.settled = true;
        self.gain = gain_control.then(|| self.gain.unwrap_or_default());
        if mode != Mode::Speech {
            self.past = VecDeque::new();
            self.past_lasts = 0;
        }
    }

    /// Audio comes at another rate from here on.
    pub fn run_at(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether quiet callers are told louder.
    #[must_use]
    pub fn controls_gain(&self) -> bool {
        self.gain.is_some()
    }

    /// Whether somebody is speaking.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.gate.is_open()
    }

    /// Whether somebody has spoken yet.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// Whether what we send matters to what we hear; `armed`: a voice that is heard lowers ours.
    #[must_use]
    pub fn minds_echo(&self, armed: bool) -> bool {
        match self.mode {
            Mode::Speech => true,
            Mode::All => armed,
            Mode::None => !self.settled,
        }
    }

    /// This left at `at`, at 8 kHz, and may come back.
    pub fn left(&mut self, at: i64, pcm: &[i16]) {
        self.echo.get_or_insert_default().left(at, pcm);
    }

    /// Take audio that begins at `at`; `law` is what it came in, where that says all of it.
    pub fn hear(&mut self, at: i64, pcm: &[i16], law: Option<Law>, concealed: bool, tell: &mut impl FnMut(i64, Kind)) {
        self.quiet_since = None;
        let rate_hz = self.rate_hz;
        let mut told = false;
        let mut end = at;
        let wide = rate_hz > NARROW;
        for step in pcm.chunks(if wide { 2 * STEP } else { STEP }) {
            let began = end;
            end += span(step.len(), rate_hz);
            match self.step(began, step, wide, tell) {
                Some(Edge::Opened { ago }) => {
                    self.spoken = true;
                    let began = end - i64::from(ago) * SAMPLE;
                    tell(began, Kind::SpeechBegan);
                    self.tell_past(began, tell);
                }
                Some(Edge::Closed { ago }) => {
                    if !told && self.mode == Mode::Speech {
                        told = true;
                        self.tell_heard(at, pcm.to_vec(), concealed, true, tell);
                    }
                    tell(end - i64::from(ago) * SAMPLE, Kind::SpeechEnded { silence_ms: ago / 8 });
                }
                None => {}
            }
            if let Some(gain) = self.gain.as_mut().filter(|_| !concealed && self.gate.is_open()) {
                if self.gate.silence() <= SYLLABLES {
                    gain.learn(step);
                }
            }
        }
        let open = self.gate.is_open();
        match self.mode {
            Mode::All => self.tell_heard(at, pcm.to_vec(), concealed, open, tell),
            Mode::Speech if told => {}
            Mode::Speech if open => self.tell_heard(at, pcm.to_vec(), concealed, true, tell),
            Mode::Speech => self.keep(at, pcm, law, concealed),
            Mode::None => {}
        }
    }

    /// The gate hears a step, and knows what of it may be our own.
    fn step(&mut self, at: i64, step: &[i16], wide: bool, tell: &mut impl FnMut(i64, Kind)) -> Option<Edge> {
        let hidden = self.echo.as_mut().and_then(|echo| echo.expected(at));
        let push = if wide { Gate::push_wide } else { Gate::push };
        let edge = push(&mut self.gate, step, hidden.as_ref());
        let Some(echo) = &mut self.echo else { return edge };
        let (levels, noise) = self.gate.levels();
        match echo.learn(at, &levels, &noise) {
            Some(Change::Found { delay_ms, loss_db }) => tell(at, Kind::Echo { present: true, delay_ms, loss_db }),
            Some(Change::Gone) => tell(at, Kind::Echo { present: false, delay_ms: 0, loss_db: 0 }),
            None => {}
        }
        if self.gate.is_open() && echo.explains(at) {
            // Opened and shut in one step, it was never open.
            let shut = self.gate.shut();
            return if matches!(edge, Some(Edge::Opened { .. })) { None } else { shut };
        }
        edge
    }

    /// Take what is known to be silence and begins at `at`: the audio of a key, or comfort noise.
    pub fn hush(&mut self, at: i64, pcm: &[i16], tell: &mut impl FnMut(i64, Kind)) {
        let samples = pcm.len();
        self.quiet_since = None;
        let open = self.gate.is_open();
        if samples > 0 && (self.mode == Mode::All || (self.mode == Mode::Speech && open)) {
            self.tell_heard(at, pcm.to_vec(), false, false, tell);
        }
        let end = at + span(samples, self.rate_hz);
        self.count_silence(end, u32::try_from(scaled(samples, self.rate_hz, NARROW)).unwrap_or(0), tell);
    }

    /// Silence the last samples of what is kept: they were no speech. What was told is told.
    pub fn blank(&mut self, mut samples: usize) {
        for piece in self.past.iter_mut().rev() {
            let length = piece.len();
            let from = length.saturating_sub(samples);
            match &mut piece.kept {
                Kept::Codes(law, codes) => codes[from..].fill(law.silence()),
                Kept::Pcm(pcm) => pcm[from..].fill(0),
            }
            samples = samples.saturating_sub(length);
        }
    }

    /// The last samples of what is kept, as many as there are.
    pub fn kept(&self, samples: usize, pcm: &mut Vec<i16>) {
        let mut before = self.past.iter().map(Piece::len).sum::<usize>().saturating_sub(samples);
        for piece in &self.past {
            let skip = before.min(piece.len());
            before -= skip;
            match &piece.kept {
                Kept::Codes(law, codes) => law.decode_into(&codes[skip..], pcm),
                Kept::Pcm(all) => pcm.extend_from_slice(&all[skip..]),
            }
        }
    }

    /// Comfort noise came: count silence by the clock from here.
    pub fn quiet(&mut self, now: i64) {
        self.quiet_since = Some(now);
    }

    /// When the silence that the sender announced is long enough to close the gate.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let since = self.quiet_since.filter(|_| self.gate.is_open())?;
        let left = (HANGOVER_MS * 8).saturating_sub(self.gate.silence());
        Some(since + i64::from(left) * SAMPLE)
    }

    /// Close the gate if that time has come.
    pub fn tick(&mut self, now: i64, tell: &mut impl FnMut(i64, Kind)) {
        let Some(due) = self.due().filter(|&due| due <= now) else {
            return;
        };
        let left = (HANGOVER_MS * 8).saturating_sub(self.gate.silence());
        self.quiet_since = Some(due);
        self.count_silence(due, left, tell);
    }

    fn count_silence(&mut self, end: i64, samples: u32, tell: &mut impl FnMut(i64, Kind)) {
        if let Some(Edge::Closed { ago }) = self.gate.hush(samples) {
            tell(end - i64::from(ago) * SAMPLE, Kind::SpeechEnded { silence_ms: ago / 8 });
        }
    }

    fn keep(&mut self, at: i64, pcm: &[i16], law: Option<Law>, concealed: bool) {
        let (mut codes, mut linear) = (Vec::new(), Vec::new());
        while self.past_lasts + span(pcm.len(), self.rate_hz) > PRE_ROLL {
            let Some(oldest) = self.past.pop_front() else {
                break;
            };
            self.past_lasts -= oldest.lasting();
            match oldest.kept {
                Kept::Codes(_, old) => codes = old,
                Kept::Pcm(old) => linear = old,
            }
        }
        let kept = if let Some(law) = law.filter(|_| self.rate_hz == NARROW) {
            codes.clear();
            codes.reserve_exact(pcm.len());
            law.encode_into(pcm, &mut codes);
            Kept::Codes(law, codes)
        } else {
            linear.clear();
            linear.extend_from_slice(pcm);
            Kept::Pcm(linear)
        };
        let piece = Piece { at, concealed, rate_hz: self.rate_hz, kept };
        self.past_lasts += piece.lasting();
        self.past.push_back(piece);
    }

    /// Tell audio that begins at `at`; `speech`: somebody speaks in it.
    fn tell_heard(
        &mut self,
        at: i64,
        mut pcm: Vec<i16>,
        concealed: bool,
        speech: bool,
        tell: &mut impl FnMut(i64, Kind),
    ) {
        if let Some(gain) = &mut self.gain {
            gain.apply(&mut pcm, self.rate_hz, speech);
        }
        tell(at, Kind::Heard { pcm, rate_hz: self.rate_hz, concealed });
    }

    /// Tell what was kept, now that speech began in it or behind it.
    fn tell_past(&mut self, began: i64, tell: &mut impl FnMut(i64, Kind)) {
        if let Some(gain) = self.gain.as_mut().filter(|_| !self.past.is_empty()) {
            gain.rest();
        }
        for piece in self.past.drain(..) {
            let speech = piece.at + piece.lasting() > began;
            let mut pcm = match piece.kept {
                Kept::Codes(law, codes) => {
                    let mut pcm = Vec::with_capacity(codes.len());
                    law.decode_into(&codes, &mut pcm);
                    pcm
                }
                Kept::Pcm(pcm) => pcm,
            };
            if let Some(gain) = &mut self.gain {
                gain.apply(&mut pcm, piece.rate_hz, speech);
            }
            tell(piece.at, Kind::Heard { pcm, rate_hz: piece.rate_hz, concealed: piece.concealed });
        }
        self.past_lasts = 0;
    }
}

/// The end of the way in: what Python hears, and at which rate.
#[must_use]
pub fn stage(mode: Mode, rate_hz: u32, gain_control: bool) -> Stage {
    let heard = match mode {
        Mode::All => "all",
        Mode::Speech => "speech",
        Mode::None => "edges",
    };
    let says = format!("listening ({heard}, {} kHz)", rate_hz / 1000);
    if gain_control {
        gain::stage().after(says)
    } else {
        Stage::last(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_before_the_answer_may_come_back_after_it() {
        let mut listening = Listening::default();
        assert!(listening.minds_echo(false));
        listening.listen(Mode::Speech, false);
        assert!(listening.minds_echo(false));
        listening.listen(Mode::None, false);
        assert!(!listening.minds_echo(true));
    }
}
