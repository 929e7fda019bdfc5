//! As much of RTP (RFC 3550 section 5.1) as the load speaks: a plain header, and a sender report.

/// The plain header.
pub const HEADER: usize = 12;

/// A packet without sources, extension or padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

/// Whether a datagram is RTCP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(data: &[u8]) -> bool {
    data.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Read a plain packet; None where it is anything else.
#[must_use]
pub fn parse(data: &[u8]) -> Option<Packet<'_>> {
    let (head, payload) = data.split_first_chunk::<HEADER>()?;
    (head[0] == 0x80).then_some(Packet {
        marker: head[1] & 0x80 != 0,
        payload_type: head[1] & 0x7F,
        sequence: u16::from_be_bytes([head[2], head[3]]),
        timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        payload,
    })
}

/// Write a plain header of the payload type `number` to the front of `out`.
pub fn write_header(out: &mut [u8], marker: bool, number: u8, sequence: u16, timestamp: u32, ssrc: u32) {
    out[0] = 0x80;
    out[1] = u8::from(marker) << 7 | number;
    out[2..4].copy_from_slice(&sequence.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    out[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

/// How far `sequence` is ahead of the low 16 bits of `reference`, across the wrap.
#[must_use]
pub fn sequence_ahead(sequence: u16, reference: i64) -> i64 {
    let low = u16::try_from(reference & 0xFFFF).unwrap_or(0);
    i64::from(i16::from_ne_bytes(sequence.wrapping_sub(low).to_ne_bytes()))
}

/// How far `timestamp` is ahead of the low 32 bits of `reference`, across the wrap.
#[must_use]
pub fn timestamp_ahead(timestamp: u32, reference: i64) -> i64 {
    let low = u32::try_from(reference & 0xFFFF_FFFF).unwrap_or(0);
    i64::from(i32::from_ne_bytes(timestamp.wrapping_sub(low).to_ne_bytes()))
}

/// A compound of a sender report without blocks and a CNAME (RFC 3550 sections 6.4.1 and 6.5.1).
#[must_use]
pub fn sender_report(ssrc: u32, at: i64, timestamp: u32, packets: u32, octets: u32) -> Vec<u8> {
    let seconds = u32::try_from(at / crate::SECOND).unwrap_or(0);
    let fraction = u32::try_from((at.rem_euclid(crate::SECOND) << 32) / crate::SECOND).unwrap_or(0);
    let mut out = vec![0x80, 200, 0, 6];
    for word in [ssrc, seconds, fraction, timestamp, packets, octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&[0x81, 202, 0, 3]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(b"\x01\x04load\x00\x00");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let mut data = [7u8; HEADER + 3];
        write_header(&mut data, true, 9, 0xFFFE, 0x0102_0304, 0xA0B0_C0D0);
        let ssrc = 0xA0B0_C0D0;
        let wanted =
            Packet { marker: true, payload_type: 9, sequence: 0xFFFE, timestamp: 0x0102_0304, ssrc, payload: &[7; 3] };
        assert_eq!(parse(&data), Some(wanted));
        assert_eq!(parse(&data[..11]), None);
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!((sequence_ahead(1, 0x2_FFFF), sequence_ahead(0xFFFF, 0x3_0001), sequence_ahead(3, -2)), (2, -2, 5));
        assert_eq!((timestamp_ahead(80, 0x1_FFFF_FFB0), timestamp_ahead(0xFFFF_FFFF, 0)), (160, -1));
    }

    #[test]
    fn a_report_says_its_own_length() {
        let report = sender_report(1, 1_500_000_000, 2, 3, 4);
        assert!(is_rtcp(&report));
        assert_eq!((report.len(), &report[8..16]), (44, &[0, 0, 0, 1, 0x80, 0, 0, 0][..]));
    }
}
