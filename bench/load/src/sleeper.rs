//! The bare sleeper: a thread that sleeps to every millisecond and tells how late it woke. What it suffers is the
//! machine's doing, so a media plane is held against it, in the same time.

use std::thread;

use crate::figures::{micro, spread, Json};
use crate::os;

const STEP: i64 = 1_000_000;

/// A sleeper that runs.
pub struct Sleeper(thread::JoinHandle<Vec<f64>>);

impl Sleeper {
    /// Sleep from now for so many ns.
    #[must_use]
    pub fn start(duration: i64) -> Self {
        let began = os::now();
        let naps = duration / STEP;
        Self(thread::spawn(move || {
            let mut late = Vec::with_capacity(usize::try_from(naps).unwrap_or(0));
            for nap in 1..=naps {
                let deadline = began + nap * STEP;
                os::sleep_until(deadline);
                late.push(micro(os::now() - deadline));
            }
            late
        }))
    }

    /// Wait for its end; how late it woke, µs.
    #[must_use]
    pub fn lateness(self) -> Json {
        spread(self.0.join().unwrap_or_default())
    }
}
