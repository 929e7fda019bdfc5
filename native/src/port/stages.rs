//! What a port says of its stages.

use super::Port;
use crate::pipeline::Pipeline;

impl Port {
    /// The way of what comes, and of what leaves; None before the first plan.
    #[must_use]
    pub fn pipeline(&self) -> Option<Pipeline> {
        let plan = self.plan.as_ref()?;
        Some(Pipeline {
            mode: self.listening.mode(),
            gain_control: self.listening.controls_gain(),
            taped: self.tape.is_some(),
            ..Pipeline::of(plan)
        })
    }
}
