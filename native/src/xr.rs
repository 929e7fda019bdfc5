//! RTCP extended reports (RFC 3611): the blocks of one XR packet that we speak.
//!
//! ```text
//! receiver reference time (4.4) ─► DLRR (4.5): the round trip of who sends no RTP      VoIP metrics (4.7)
//! ```
//!
//! Blocks of other types, and blocks whose length is not their type's, are stepped over by their length.

use crate::rtp::Malformed;

const RECEIVER_TIME: u8 = 4;
const DLRR: u8 = 5;
const VOIP: u8 = 7;
const VOIP_BYTES: usize = 32;
/// In the signed and unsigned bytes of VoIP metrics: not known.
pub const UNKNOWN: u8 = 127;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// When the packet left, 32.32 fixed point seconds.
    ReceiverTime(u64),
    Delays(Vec<Delay>),
    Voip(Voip),
}

/// What a DLRR block says of one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    pub ssrc: u32,
    /// Middle 32 bits of its last reference time, and how long ago that came in 1/65536 s; 0 for none.
    pub last: u32,
    pub since: u32,
}

/// VoIP metrics of one source. Rates and densities are in 1/256, levels in dBm0, scores in tenths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voip {
    pub ssrc: u32,
    pub loss: u8,
    pub discard: u8,
    pub burst_density: u8,
    pub gap_density: u8,
    pub burst_ms: u16,
    pub gap_ms: u16,
    pub round_trip_ms: u16,
    pub end_system_ms: u16,
    pub signal_dbm0: i8,
    pub noise_dbm0: i8,
    pub echo_loss_db: u8,
    pub gmin: u8,
    pub rating: u8,
    pub external_rating: u8,
    pub mos_lq: u8,
    pub mos_cq: u8,
    pub config: u8,
    pub nominal_ms: u16,
    pub maximum_ms: u16,
    pub absolute_ms: u16,
}

/// Read the blocks of an XR packet, behind its SSRC.
///
/// # Errors
/// [`Malformed`] where a block's length leads outside the packet.
pub fn read(body: &[u8]) -> Result<Vec<Block>, Malformed> {
    let (mut blocks, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(4).ok_or(Malformed::Short)?;
        let bytes = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
        let (block, after) = after.split_at_checked(bytes).ok_or(Malformed::Short)?;
        blocks.extend(known(head[0], block));
        rest = after;
    }
    Ok(blocks)
}

fn known(kind: u8, block: &[u8]) -> Option<Block> {
    match kind {
        RECEIVER_TIME if block.len() == 8 => {
            Some(Block::ReceiverTime(u64::from(word(block)) << 32 | u64::from(word(&block[4..]))))
        }
        DLRR if block.len().is_multiple_of(12) => {
            let delay = |one: &[u8]| Delay { ssrc: word(one), last: word(&one[4..]), since: word(&one[8..]) };
            Some(Block::Delays(block.chunks_exact(12).map(delay).collect()))
        }
        VOIP if block.len() == VOIP_BYTES => Some(Block::Voip(read_voip(block))),
        _ => None,
    }
}

fn read_voip(block: &[u8]) -> Voip {
    let half = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    Voip {
        ssrc: word(block),
        loss: block[4],
        discard: block[5],
        burst_density: block[6],
        gap_density: block[7],
        burst_ms: half(8),
        gap_ms: half(10),
        round_trip_ms: half(12),
        end_system_ms: half(14),
        signal_dbm0: block[16].cast_signed(),
        noise_dbm0: block[17].cast_signed(),
        echo_loss_db: block[18],
        gmin: block[19],
        rating: block[20],
        external_rating: block[21],
        mos_lq: block[22],
        mos_cq: block[23],
        config: block[24],
        nominal_ms: half(26),
        maximum_ms: half(28),
        absolute_ms: half(30),
    }
}

/// Append the blocks to `out`.
pub fn build(blocks: &[Block], out: &mut Vec<u8>) {
    for block in blocks {
        let start = out.len();
        let kind = match block {
            Block::ReceiverTime(_) => RECEIVER_TIME,
            Block::Delays(_) => DLRR,
            Block::Voip(_) => VOIP,
        };
        out.extend_from_slice(&[kind, 0, 0, 0]);
        match block {
            Block::ReceiverTime(ntp) => out.extend_from_slice(&ntp.to_be_bytes()),
            Block::Delays(delays) => {
                let words = delays.iter().flat_map(|one| [one.ssrc, one.last, one.since]);
                out.extend(words.flat_map(u32::to_be_bytes));
            }
            Block::Voip(voip) => build_voip(voip, out),
        }
        let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX);
        out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    }
}

fn build_voip(voip: &Voip, out: &mut Vec<u8>) {
    out.extend_from_slice(&voip.ssrc.to_be_bytes());
    out.extend_from_slice(&[voip.loss, voip.discard, voip.burst_density, voip.gap_density]);
    for half in [voip.burst_ms, voip.gap_ms, voip.round_trip_ms, voip.end_system_ms] {
        out.extend_from_slice(&half.to_be_bytes());
    }
    let levels = [voip.signal_dbm0.cast_unsigned(), voip.noise_dbm0.cast_unsigned()];
    out.extend_from_slice(&levels);
    out.extend_from_slice(&[voip.echo_loss_db, voip.gmin, voip.rating, voip.external_rating]);
    out.extend_from_slice(&[voip.mos_lq, voip.mos_cq, voip.config, 0]);
    for half in [voip.nominal_ms, voip.maximum_ms, voip.absolute_ms] {
        out.extend_from_slice(&half.to_be_bytes());
    }
}

fn word(data: &[u8]) -> u32 {
    data.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voip() -> Voip {
        let (burst_ms, gap_ms, round_trip_ms, end_system_ms) = (0x0102, 0x0304, 0x0506, 0x0708);
        let (nominal_ms, maximum_ms, absolute_ms) = (0x1011, 0x1213, 0x1415);
        Voip {
            ssrc: 0xA1A2_A3A4,
            loss: 1,
            discard: 2,
            burst_density: 3,
            gap_density: 4,
            burst_ms,
            gap_ms,
            round_trip_ms,
            end_system_ms,
            signal_dbm0: -20,
            noise_dbm0: -60,
            echo_loss_db: 9,
            gmin: 16,
            rating: 92,
            external_rating: UNKNOWN,
            mos_lq: 44,
            mos_cq: 43,
            config: 0xE5,
            nominal_ms,
            maximum_ms,
            absolute_ms,
        }
    }

    #[test]
    fn blocks_come_back() {
        let delays = vec![Delay { ssrc: 1, last: 2, since: 3 }, Delay { ssrc: 4, last: 5, since: 6 }];
        let blocks = [Block::ReceiverTime(0x1122_3344_5566_7788), Block::Delays(delays), Block::Voip(voip())];
        let mut bytes = Vec::new();
        build(&blocks, &mut bytes);
        assert_eq!(bytes.len(), 12 + 28 + 36);
        assert_eq!(read(&bytes).as_deref(), Ok(&blocks[..]));
    }

    #[test]
    fn the_voip_metrics_lie_where_the_rfc_draws_them() {
        let mut bytes = Vec::new();
        build(&[Block::Voip(voip())], &mut bytes);
        let drawn = [
            [7, 0, 0, 8],
            [0xA1, 0xA2, 0xA3, 0xA4],
            [1, 2, 3, 4],
            [1, 2, 3, 4],
            [5, 6, 7, 8],
            [0xEC, 0xC4, 9, 16],
            [92, 127, 44, 43],
            [0xE5, 0, 0x10, 0x11],
            [0x12, 0x13, 0x14, 0x15],
        ];
        assert_eq!(bytes, drawn.concat());
    }

    #[test]
    fn what_is_not_known_is_stepped_over() {
        let mut bytes = vec![1, 0, 0, 1, 9, 9, 9, 9, 7, 0, 0, 1, 9, 9, 9, 9];
        build(&[Block::ReceiverTime(5)], &mut bytes);
        assert_eq!(read(&bytes), Ok(vec![Block::ReceiverTime(5)]));
        assert_eq!(read(&bytes[..14]), Err(Malformed::Short));
        assert_eq!(read(&bytes[..6]), Err(Malformed::Short));
    }
}
