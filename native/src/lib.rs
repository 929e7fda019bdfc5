//! The media plane of offhook.
#![deny(unsafe_code)]

pub mod bed;
pub mod carried;
pub mod codec;
pub mod conceal;
pub mod counters;
pub mod driver;
pub mod dtmf;
pub mod ear;
pub mod echo;
pub mod energy;
pub mod engine;
pub mod event;
pub mod feed;
pub mod gain;
pub mod hearing;
pub mod jitter;
pub mod lane;
pub mod latch;
pub mod ledger;
pub mod line;
pub mod listening;
pub mod mix;
pub mod mouth;
pub mod pair;
pub mod patience;
pub mod pipeline;
pub mod plan;
pub mod playout;
pub mod port;
pub mod quality;
pub mod queue;
pub mod relay;
pub mod reports;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod secure;
pub mod shelf;
pub mod span;
pub mod stretch;
pub mod stun;
pub mod sys;
pub mod tape;
pub mod timeline;
pub mod tone;
pub mod tunnel;
pub mod vad;
pub mod xr;

#[cfg(feature = "python")]
mod python;
