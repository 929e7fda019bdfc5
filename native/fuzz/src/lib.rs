//! What must hold of every parser here, whatever bytes come: it accepts exactly what the RFC allows, what it accepts is
//! written back and read again to the same value, what it refuses it refuses by name, and nothing panics. Of a whole
//! Port, besides: every datagram is in exactly one counter, and what it sends and tells keeps the laws of [`watch`].
//!
//! A target is also shown to find something: with `OFFHOOK_PLANT=1` in its environment, [`plant`] puts a fault round
//! the parser, and the run must fail.

pub mod bed;
pub mod codec;
pub mod echo;
pub mod event;
pub mod plant;
pub mod port;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stun;
pub mod tone;
pub mod tunnel;
pub mod watch;
