//! What runs beside the benches, on the loopback only: the floor, the load, and the bare sleeper that both carry.
//!
//! ```text
//!   load: script ─► tag (─► SRTP) ─► 20 ms clock ─► socket a call ──► floor or subject: receive, decode, encode, 20 ms clock
//!   report ◄─ stream (gaps, grid, jitter) ◄─ echo ◄─ kernel time ◄── socket a call ◄──┘
//! ```
//!
//! Instants are nanoseconds of `CLOCK_MONOTONIC`. `unsafe` lives in [`os`], and in
//! the media plane's door to bcg729.
#![deny(unsafe_code)]

pub mod args;
pub mod codec;
pub mod echo;
pub mod figures;
pub mod g711;
pub mod os;
pub mod rtp;
pub mod secure;
pub mod sleeper;
pub mod sockets;
pub mod speech;
pub mod stream;

/// The packet time of every stream here, ns.
pub const PACKET: i64 = 20_000_000;
/// Samples, and G.711 bytes, in a packet.
pub const FRAME: usize = 160;
/// One second, ns.
pub const SECOND: i64 = 1_000_000_000;
