//! What Python hears: the gate, its pre-roll, and the reflex that a voice sets off.

use std::collections::VecDeque;

use crate::codec::Law;
use crate::event::Kind;
use crate::timeline::SAMPLE;
use crate::vad::{Edge, Gate, HANGOVER_MS, STEP};

/// What is kept for the moment that the gate opens: 500 ms.
const PRE_ROLL: usize = 4000;

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

/// One packet's worth of the past, in the codes of the wire: half the bytes of PCM.
#[derive(Debug)]
struct Piece {
    at: i64,
    concealed: bool,
    law: Law,
    codes: Vec<u8>,
}

/// The listening side of one port.
#[derive(Debug)]
pub struct Listening {
    mode: Mode,
    gate: Gate,
    past: VecDeque<Piece>,
    past_samples: usize,
    /// Comfort noise began here: from now on silence is told by the clock, since the sender said that it is silent.
    quiet_since: Option<i64>,
}

impl Default for Listening {
    fn default() -> Self {
        Self { mode: Mode::None, gate: Gate::default(), past: VecDeque::new(), past_samples: 0, quiet_since: None }
    }
}

impl Listening {
    pub fn listen(&mut self, mode: Mode) {
        self.mode = mode;
        if mode != Mode::Speech {
            self.past = VecDeque::new();
            self.past_samples = 0;
        }
    }

    /// Whether somebody is speaking.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.gate.is_open()
    }

    /// Take audio that begins at `at`; `law` is what it came in.
    pub fn hear(&mut self, at: i64, pcm: &[i16], law: Law, concealed: bool, tell: &mut impl FnMut(i64, Kind)) {
        self.quiet_since = None;
        let mut told = false;
        let mut end = at;
        for step in pcm.chunks(STEP) {
            end += i64::try_from(step.len()).unwrap_or(0) * SAMPLE;
            match self.gate.push(step) {
                Some(Edge::Opened { ago }) => {
                    tell(end - i64::from(ago) * SAMPLE, Kind::SpeechBegan);
                    self.tell_past(tell);
                }
                Some(Edge::Closed { ago }) => {
                    if !told && self.mode == Mode::Speech {
                        told = true;
                        tell(at, Kind::Heard { pcm: pcm.to_vec(), concealed });
                    }
                    tell(end - i64::from(ago) * SAMPLE, Kind::SpeechEnded { silence_ms: ago / 8 });
                }
                None => {}
            }
        }
        match self.mode {
            Mode::All => tell(at, Kind::Heard { pcm: pcm.to_vec(), concealed }),
            Mode::Speech if told => {}
            Mode::Speech if self.gate.is_open() => tell(at, Kind::Heard { pcm: pcm.to_vec(), concealed }),
            Mode::Speech => self.keep(at, pcm, law, concealed),
            Mode::None => {}
        }
    }

    /// Take known silence that begins at `at`: the audio of a key, or comfort noise.
    pub fn hush(&mut self, at: i64, samples: usize, tell: &mut impl FnMut(i64, Kind)) {
        self.quiet_since = None;
        let open = self.gate.is_open();
        if samples > 0 && (self.mode == Mode::All || (self.mode == Mode::Speech && open)) {
            tell(at, Kind::Heard { pcm: vec![0; samples], concealed: false });
        }
        let end = at + i64::try_from(samples).unwrap_or(0) * SAMPLE;
        self.count_silence(end, u32::try_from(samples).unwrap_or(0), tell);
    }

    /// Silence the last samples of what is kept: they were no speech. What was told is told.
    pub fn blank(&mut self, mut samples: usize) {
        for piece in self.past.iter_mut().rev() {
            let from = piece.codes.len().saturating_sub(samples);
            piece.codes[from..].fill(piece.law.silence());
            samples = samples.saturating_sub(piece.codes.len());
        }
    }

    /// The last samples of what is kept, as many as there are.
    pub fn kept(&self, samples: usize, pcm: &mut Vec<i16>) {
        let before = self.past_samples.saturating_sub(samples);
        let mut end = 0;
        for piece in &self.past {
            end += piece.codes.len();
            if end <= before {
                continue;
            }
            piece.law.decode_into(&piece.codes, pcm);
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

    fn keep(&mut self, at: i64, pcm: &[i16], law: Law, concealed: bool) {
        let mut codes = Vec::new();
        while self.past_samples + pcm.len() > PRE_ROLL {
            let Some(oldest) = self.past.pop_front() else {
                break;
            };
            self.past_samples -= oldest.codes.len();
            codes = oldest.codes;
        }
        codes.clear();
        codes.reserve_exact(pcm.len());
        law.encode_into(pcm, &mut codes);
        self.past_samples += codes.len();
        self.past.push_back(Piece { at, concealed, law, codes });
    }

    fn tell_past(&mut self, tell: &mut impl FnMut(i64, Kind)) {
        for piece in self.past.drain(..) {
            let mut pcm = Vec::with_capacity(piece.codes.len());
            piece.law.decode_into(&piece.codes, &mut pcm);
            tell(piece.at, Kind::Heard { pcm, concealed: piece.concealed });
        }
        self.past_samples = 0;
    }
}
