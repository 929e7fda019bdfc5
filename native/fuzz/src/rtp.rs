//! RTP: exactly what RFC 3550 section 5.1 allows is accepted, and comes back byte for byte.

use _native::rtp::{Malformed, Packet, HEADER_BYTES};

use crate::plant;

/// Hold the parser against `data`.
pub fn check(data: &[u8]) {
    let parsed = Packet::parse(data).map(plant::in_rtp);
    match (parsed, allowed(data)) {
        (Ok(packet), Ok((payload, padding))) => {
            let mut bytes = Vec::new();
            packet.build(&mut bytes);
            assert_eq!(bytes, data, "what was accepted is not what is written");
            assert_eq!((packet.payload, packet.padding), (&data[payload..padding], &data[padding..]));
            assert!(packet.payload_type < 128 && packet.csrc.len().is_multiple_of(4));
            assert!(packet.extension.is_none_or(|(_, words)| words.len().is_multiple_of(4)));
        }
        (parsed, wanted) => assert_eq!(parsed.map(|_| ()), wanted.map(|_| ())),
    }
}

/// The same rules, as plain arithmetic: where the payload begins and ends.
fn allowed(data: &[u8]) -> Result<(usize, usize), Malformed> {
    if data.len() < HEADER_BYTES {
        return Err(Malformed::Short);
    }
    if data[0] & 0xC0 != 0x80 {
        return Err(Malformed::Version);
    }
    let mut payload = HEADER_BYTES + 4 * usize::from(data[0] % 16);
    if data[0] & 0x10 != 0 {
        let length = data.get(payload + 2..payload + 4).ok_or(Malformed::Short)?;
        payload += 4 + 4 * (usize::from(length[0]) * 256 + usize::from(length[1]));
    }
    if payload > data.len() {
        return Err(Malformed::Short);
    }
    if data[0] & 0x20 == 0 {
        return Ok((payload, data.len()));
    }
    let count = usize::from(data[data.len() - 1]);
    if count == 0 || payload + count > data.len() {
        return Err(Malformed::Padding);
    }
    Ok((payload, data.len() - count))
}
