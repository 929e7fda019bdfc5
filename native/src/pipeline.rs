//! The stages that a call's audio goes through, told by the stages themselves.
//!
//! ```text
//! SRTP → ear (adaptive holes ≤ 20 ms) → PCMU/8000 → conceal → listening (speech, 8 kHz)          what comes
//! feed (to 8 kHz) → queue → mouth (20 ms) → PCMU/8000 → SRTP                            what leaves
//! ```
//!
//! A stage says its own part and is put before what is downstream of it, so that each, printed, shows the way from
//! there. What is said here depends on what was agreed and asked for alone; so both the Port and who commands it from
//! another thread can tell it.

use std::fmt;

use crate::codec::Codec;
use crate::listening::Mode;
use crate::plan::Plan;
use crate::secure::Suite;
use crate::{conceal, ear, feed, listening, mouth, queue, secure, tape};

/// A stage, with what is downstream of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    says: String,
    down: Option<Box<Stage>>,
}

impl Stage {
    /// The last of a line.
    #[must_use]
    pub fn last(says: impl Into<String>) -> Self {
        Self { says: says.into(), down: None }
    }

    /// One that comes before `self`.
    #[must_use]
    pub fn after(self, says: impl Into<String>) -> Self {
        Self { says: says.into(), down: Some(Box::new(self)) }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)?;
        self.down.as_ref().map_or(Ok(()), |down| write!(f, " → {down}"))
    }
}

/// What was agreed and asked for, as far as it changes the way.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    pub send: Codec,
    pub receive: Codec,
    pub rate_hz: u32,
    pub ptime_ms: u32,
    pub suite: Option<Suite>,
    pub mode: Mode,
    /// Quiet callers are told louder.
    pub gain_control: bool,
    pub taped: bool,
}

impl Pipeline {
    /// That of a plan, before anything else is asked for.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            send: plan.send.1,
            receive: plan.receive.first().map_or(plan.send.1, |&(_, codec)| codec),
            rate_hz: plan.rate_hz(),
            ptime_ms: plan.ptime_ms,
            suite: plan.protection.as_ref().map(|protection| protection.suite),
            mode: Mode::None,
            gain_control: false,
            taped: false,
        }
    }

    /// From the socket to what Python hears.
    #[must_use]
    pub fn inbound(&self) -> Stage {
        let mut stage = listening::stage(self.mode, self.rate_hz, self.gain_control);
        if self.taped {
            stage = tape::stage(stage);
        }
        let stage = ear::stage(conceal::stage(stage).after(self.receive.to_string()));
        match self.suite {
            Some(suite) => secure::stage(suite, Some(stage)),
            None => stage,
        }
    }

    /// From what Python plays to the socket.
    #[must_use]
    pub fn outbound(&self) -> Stage {
        let codec = self.send.to_string();
        let stage = match self.suite {
            Some(suite) => secure::stage(suite, None).after(codec),
            None => Stage::last(codec),
        };
        feed::stage(self.rate_hz, queue::stage(mouth::stage(self.ptime_ms, stage)))
    }

    /// Both, as Python has them.
    #[must_use]
    pub fn told(&self) -> (String, String) {
        (self.inbound().to_string(), self.outbound().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Law;

    #[test]
    fn each_stage_prints_what_is_downstream_of_it() {
        let line = Stage::last("conceal").after("ear").after("SRTP");
        assert_eq!(line.to_string(), "SRTP → ear → conceal");
        assert_eq!(line.down.map(|down| down.to_string()).as_deref(), Some("ear → conceal"));
    }

    #[test]
    fn the_way_changes_with_what_was_agreed_and_asked_for() {
        let mut line = Pipeline {
            send: Codec::G711(Law::A),
            receive: Codec::L16(16_000),
            rate_hz: 8000,
            ptime_ms: 30,
            suite: None,
            mode: Mode::Speech,
            gain_control: false,
            taped: false,
        };
        let (comes, leaves) = line.told();
        assert!(
            comes.starts_with("ear (") && comes.ends_with(" → L16/16000 → conceal → listening (speech, 8 kHz)"),
            "{comes}"
        );
        assert_eq!(leaves, "feed (to 8 kHz) → queue → mouth (30 ms) → PCMA/8000");
        (line.suite, line.taped) = (Some(Suite::AesCm80), true);
        let (comes, leaves) = line.told();
        assert!(comes.starts_with("SRTP AES_CM_128_HMAC_SHA1_80 → ear ("));
        assert!(comes.ends_with("conceal → tape → listening (speech, 8 kHz)"), "{comes}");
        assert!(leaves.ends_with("PCMA/8000 → SRTP AES_CM_128_HMAC_SHA1_80"));
        line.gain_control = true;
        assert!(line.told().0.ends_with("→ listening (speech, 8 kHz) → gain (speech to -23 dBov, at most +20 dB)"));
    }
}
