//! Faults put round the parsers, to show that the targets find faults. Each is one that a parser could really have.

use std::sync::OnceLock;

use _native::codec::Codec;
use _native::counters::Count;
use _native::dtmf::Event;
use _native::event::Kind;
use _native::rtcp::Compound;
use _native::rtp::Packet;
use _native::stun::{Kind as Asked, Message};
use _native::xr::Block;

/// Whether this run was asked to fail.
fn planted() -> bool {
    static PLANTED: OnceLock<bool> = OnceLock::new();
    *PLANTED.get_or_init(|| std::env::var_os("OFFHOOK_PLANT").is_some_and(|value| value == "1"))
}

/// Padding behind a header extension is counted one too many.
#[must_use]
pub fn in_rtp(mut packet: Packet<'_>) -> Packet<'_> {
    let padded = packet.extension.is_some_and(|(_, words)| !words.is_empty()) && !packet.padding.is_empty();
    if planted() && padded && !packet.payload.is_empty() {
        packet.payload = &packet.payload[..packet.payload.len() - 1];
    }
    packet
}

/// The 24 bits of cumulative loss are read without their sign, and so is the level of speech.
#[must_use]
pub fn in_rtcp(mut compound: Compound) -> Compound {
    if planted() {
        for block in compound.extended.iter_mut().flat_map(|(_, blocks)| blocks) {
            if let Block::Voip(voip) = block {
                voip.signal_dbm0 = voip.signal_dbm0.saturating_abs();
            }
        }
        for block in compound.reports.iter_mut().flat_map(|report| &mut report.blocks) {
            block.cumulative_lost &= 0xFF_FFFF;
        }
    }
    compound
}

/// The R bit of a star's last packet is taken for volume.
#[must_use]
pub fn in_event(mut event: Event) -> Event {
    if planted() && event.code == 10 && event.end && event.reserved {
        event.reserved = false;
        event.volume |= 0x40;
    }
    event
}

/// An old server's error class is read without its limit.
#[must_use]
pub fn in_stun(mut message: Message) -> Message {
    if let Asked::Failure { code } = &mut message.kind {
        if planted() && *code > 599 {
            *code += 100;
        }
    }
    message
}

/// A pressed `#` is lost on its way out.
#[must_use]
pub fn in_port(kind: &Kind) -> bool {
    planted() && matches!(kind, Kind::Digit { key: '#', .. })
}

/// A `#` that sounds is taken for nothing.
#[must_use]
pub fn in_tone(key: char) -> bool {
    planted() && key == '#'
}

/// The last byte of a tag is not looked at: what differs in it alone is as good as what was `sealed`.
#[must_use]
pub fn in_srtp(touched: Vec<u8>, sealed: &[u8]) -> Vec<u8> {
    let body = sealed.len().saturating_sub(1);
    if planted() && touched.get(..body) == sealed.get(..body) {
        sealed.to_vec()
    } else {
        touched
    }
}

/// Of an Opus packet of many frames one is not counted.
#[must_use]
pub fn in_codec(codec: Codec, packet: &[u8], ticks: u32) -> u32 {
    let many = matches!(codec, Codec::Opus(_)) && packet.len() > 2 && packet[0] & 3 == 3;
    if planted() && many {
        ticks - ticks / u32::from((packet[1] & 63).max(1))
    } else {
        ticks
    }
}

/// A request without MESSAGE-INTEGRITY passes for one whose password was right.
#[must_use]
pub fn in_tunnel(count: Count, data: &[u8]) -> Count {
    let request = data.len() >= 20 && data[..2] == [0, 1];
    if planted() && request && count == Count::DroppedStun {
        return Count::ReceivedStun;
    }
    count
}

/// The loss of an echo that is as loud as we are wraps.
#[must_use]
pub fn in_echo(kind: Kind) -> Kind {
    match kind {
        Kind::Echo { present: true, delay_ms, loss_db: 0 } if planted() => {
            Kind::Echo { present: true, delay_ms, loss_db: u32::MAX }
        }
        kind => kind,
    }
}

/// Of a packet that goes round a loop of `many` samples its last sample is left out.
#[must_use]
pub fn in_bed(mut packet: Vec<i16>, many: usize) -> Vec<i16> {
    if planted() && packet.len() > many {
        packet.pop();
    }
    packet
}
