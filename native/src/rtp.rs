//! RTP packets (RFC 3550 section 5.1): a view that borrows, and a header that is written.
//!
//! ```text
//!  0                   1                   2                   3
//!  |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//!  |                           timestamp                           |
//!  |                             SSRC                              |
//!  |          CSRC × CC, then with X: profile, words, words × 4 B  |
//! ```
//!
//! `parse` and `build` are inverses: what is parsed comes out byte for byte, padding and extension included.

/// The fixed part of the header.
pub const HEADER_BYTES: usize = 12;

/// Why a datagram is not RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its own header says.
    Short,
    /// A version other than 2.
    Version,
    /// The padding count is 0 or longer than the payload.
    Padding,
}

/// One RTP packet, borrowed from the datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Contributing sources, four bytes each.
    pub csrc: &'a [u8],
    /// Header extension: the profile's 16 bits and its words.
    pub extension: Option<(u16, &'a [u8])>,
    pub payload: &'a [u8],
    /// The padding with its count, empty where the P bit is clear.
    pub padding: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Read a datagram as RTP.
    ///
    /// # Errors
    /// [`Malformed`] where it breaks a rule of RFC 3550 section 5.1.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = data.first_chunk::<HEADER_BYTES>().ok_or(Malformed::Short)?;
        if fixed[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let csrc_bytes = usize::from(fixed[0] & 0x0F) * 4;
        let (csrc, mut rest) = split(&data[HEADER_BYTES..], csrc_bytes)?;
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let (head, body) = split(rest, 4)?;
            let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (words, after) = split(body, words * 4)?;
            extension = Some((u16::from_be_bytes([head[0], head[1]]), words));
            rest = after;
        }
        let mut padding: &[u8] = &[];
        if fixed[0] & 0x20 != 0 {
            let count = usize::from(*rest.last().ok_or(Malformed::Padding)?);
            if count == 0 || count > rest.len() {
                return Err(Malformed::Padding);
            }
            (rest, padding) = rest.split_at(rest.len() - count);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            csrc,
            extension,
            payload: rest,
            padding,
        })
    }

    /// Append the packet to `out`.
    pub fn build(&self, out: &mut Vec<u8>) {
        let count = u8::try_from(self.csrc.len() / 4).unwrap_or(15) & 0x0F;
        let padding = u8::from(!self.padding.is_empty()) << 5;
        let extension = u8::from(self.extension.is_some()) << 4;
        out.push(0x80 | padding | extension | count);
        out.push(u8::from(self.marker) << 7 | (self.payload_type & 0x7F));
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(self.csrc);
        if let Some((profile, words)) = self.extension {
            out.extend_from_slice(&profile.to_be_bytes());
            let length = u16::try_from(words.len() / 4).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(words);
        }
        out.extend_from_slice(self.payload);
        out.extend_from_slice(self.padding);
    }
}

fn split(data: &[u8], at: usize) -> Result<(&[u8], &[u8]), Malformed> {
    data.split_at_checked(at).ok_or(Malformed::Short)
}

/// Bytes before the payload, where the payload may be encrypted: sources and extension, which are not.
///
/// # Errors
/// [`Malformed`] where the datagram is no RTP, or ends before that.
pub fn header_bytes(data: &[u8]) -> Result<usize, Malformed> {
    let fixed = data.first_chunk::<HEADER_BYTES>().ok_or(Malformed::Short)?;
    if fixed[0] >> 6 != 2 {
        return Err(Malformed::Version);
    }
    let mut length = HEADER_BYTES + usize::from(fixed[0] & 0x0F) * 4;
    if fixed[0] & 0x10 != 0 {
        let (_, rest) = split(data, length)?;
        let head = rest.first_chunk::<4>().ok_or(Malformed::Short)?;
        length += 4 + usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
    }
    split(data, length).map(|_| length)
}

/// How far `sequence` is ahead of `reference`, across the wrap (RFC 3550 appendix A.1).
#[must_use]
pub fn sequence_ahead(sequence: u16, reference: u16) -> i16 {
    sequence.wrapping_sub(reference).cast_signed()
}

/// How far `timestamp` is ahead of `reference`, across the wrap.
#[must_use]
pub fn timestamp_ahead(timestamp: u32, reference: u32) -> i32 {
    timestamp.wrapping_sub(reference).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<'a>() -> Packet<'a> {
        Packet {
            marker: true,
            payload_type: 8,
            sequence: 0xFFFE,
            timestamp: 0x0102_0304,
            ssrc: 0xAABB_CCDD,
            csrc: &[],
            extension: None,
            payload: &[1, 2, 3],
            padding: &[],
        }
    }

    fn round_trip(packet: &Packet<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.build(&mut bytes);
        assert_eq!(Packet::parse(&bytes).as_ref(), Ok(packet));
        bytes
    }

    #[test]
    fn a_plain_packet_is_twelve_bytes_and_its_payload() {
        let bytes = round_trip(&plain());
        assert_eq!(bytes, [0x80, 0x88, 0xFF, 0xFE, 1, 2, 3, 4, 0xAA, 0xBB, 0xCC, 0xDD, 1, 2, 3]);
    }

    #[test]
    fn sources_extension_and_padding_survive() {
        let words = [9u8; 8];
        let packet = Packet {
            csrc: &[0, 0, 0, 1, 0, 0, 0, 2],
            extension: Some((0xBEDE, &words)),
            padding: &[0, 0, 0, 4],
            ..plain()
        };
        round_trip(&packet);
    }

    #[test]
    fn every_truncation_is_refused_or_shorter_never_a_panic() {
        let words = [9u8; 4];
        let mut bytes = Vec::new();
        Packet { csrc: &[0; 4], extension: Some((1, &words)), padding: &[0, 2], ..plain() }.build(&mut bytes);
        for end in 0..24 {
            assert!(Packet::parse(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn bad_versions_and_paddings_are_named() {
        let mut bytes = Vec::new();
        plain().build(&mut bytes);
        bytes[0] = 0x40;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Version));
        bytes[0] = 0xA0;
        bytes[14] = 0;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Padding));
        bytes[14] = 4;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Padding));
        assert_eq!(Packet::parse(&bytes[..12]), Err(Malformed::Padding));
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!(sequence_ahead(1, 0xFFFF), 2);
        assert_eq!(sequence_ahead(0xFFFF, 1), -2);
        assert_eq!(timestamp_ahead(80, u32::MAX - 79), 160);
    }
}
