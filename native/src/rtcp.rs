//! RTCP compound packets (RFC 3550 section 6): what reports say, and the report that we send.
//!
//! Only what a two-party call needs is kept: sender information, report blocks, CNAME, BYE, and what `xr` knows of
//! extended reports. Packets of other types inside a compound are stepped over by their length, as section 6.1 asks.

use crate::rtp::Malformed;
use crate::xr::{self, Block};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const EXTENDED: u8 = 207;
const CNAME: u8 = 1;
const BLOCK_BYTES: usize = 24;

/// What a sender says of itself (section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// 32.32 fixed point seconds.
    pub ntp: u64,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// What a receiver says of one source (section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning, 24 bits signed.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, 0 for none.
    pub last_report: u32,
    /// Since then, in 1/65536 s.
    pub delay_since_last_report: u32,
}

/// A report: of a sender where `sender` is there, of a receiver otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub ssrc: u32,
    pub sender: Option<SenderInfo>,
    pub blocks: Vec<ReportBlock>,
}

/// What was understood of a compound packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compound {
    pub reports: Vec<Report>,
    /// CNAME items: source and name.
    pub names: Vec<(u32, Vec<u8>)>,
    /// Extended reports: who makes them, and their blocks.
    pub extended: Vec<(u32, Vec<Block>)>,
    /// Sources that said goodbye.
    pub byes: Vec<u32>,
}

impl Compound {
    /// Read a compound packet by the validity rules of appendix A.2.
    ///
    /// # Errors
    /// [`Malformed`] where a length, a version, a padding or the type of the first packet is wrong.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        Self::parse_any(data, false)
    }

    /// Read what comes where reduced size was agreed (RFC 5506): it need not begin with a report.
    ///
    /// # Errors
    /// As those of [`Self::parse`].
    pub fn parse_reduced(data: &[u8]) -> Result<Self, Malformed> {
        Self::parse_any(data, true)
    }

    fn parse_any(data: &[u8], reduced: bool) -> Result<Self, Malformed> {
        let mut compound = Self::default();
        let mut rest = data;
        let mut first = true;
        while !rest.is_empty() {
            let head = rest.first_chunk::<4>().ok_or(Malformed::Short)?;
            if head[0] >> 6 != 2 {
                return Err(Malformed::Version);
            }
            if first && !reduced && !matches!(head[1], SENDER_REPORT | RECEIVER_REPORT) {
                return Err(Malformed::Version);
            }
            let bytes = (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1) * 4;
            let (packet, after) = rest.split_at_checked(bytes).ok_or(Malformed::Short)?;
            let mut body = &packet[4..];
            if head[0] & 0x20 != 0 {
                // Only the last packet of a compound may be padded.
                let count = usize::from(*body.last().ok_or(Malformed::Padding)?);
                if !after.is_empty() || count == 0 || count > body.len() {
                    return Err(Malformed::Padding);
                }
                body = &body[..body.len() - count];
            }
            compound.read(head[1], usize::from(head[0] & 0x1F), body)?;
            rest = after;
            first = false;
        }
        if first {
            return Err(Malformed::Short);
        }
        Ok(compound)
    }

    fn read(&mut self, kind: u8, count: usize, body: &[u8]) -> Result<(), Malformed> {
        match kind {
            SENDER_REPORT | RECEIVER_REPORT => self.reports.push(read_report(kind, count, body)?),
            SOURCE_DESCRIPTION => self.read_names(count, body)?,
            BYE => {
                let sources = body.get(..count * 4).ok_or(Malformed::Short)?;
                self.byes.extend(sources.chunks_exact(4).map(word));
            }
            EXTENDED => {
                let (ssrc, blocks) = body.split_at_checked(4).ok_or(Malformed::Short)?;
                self.extended.push((word(ssrc), xr::read(blocks)?));
            }
            _ => {}
        }
        Ok(())
    }

    fn read_names(&mut self, count: usize, body: &[u8]) -> Result<(), Malformed> {
        let mut rest = body;
        for _ in 0..count {
            let (source, items) = rest.split_at_checked(4).ok_or(Malformed::Short)?;
            let mut at = 0;
            loop {
                let kind = *items.get(at).ok_or(Malformed::Short)?;
                at += 1;
                if kind == 0 {
                    break;
                }
                let length = usize::from(*items.get(at).ok_or(Malformed::Short)?);
                let text = items.get(at + 1..at + 1 + length).ok_or(Malformed::Short)?;
                if kind == CNAME {
                    self.names.push((word(source), text.to_vec()));
                }
                at += 1 + length;
            }
            // A chunk ends on a word's edge, with at least one null.
            rest = items.get(at.next_multiple_of(4)..).ok_or(Malformed::Short)?;
        }
        Ok(())
    }

    /// Append the compound to `out`: reports, then one SDES, extended reports, one BYE.
    pub fn build(&self, out: &mut Vec<u8>) {
        for report in &self.reports {
            let start = begin(out, if report.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT });
            out.extend_from_slice(&report.ssrc.to_be_bytes());
            if let Some(sender) = report.sender {
                out.extend_from_slice(&sender.ntp.to_be_bytes());
                for value in [sender.rtp_timestamp, sender.packets, sender.octets] {
                    out.extend_from_slice(&value.to_be_bytes());
                }
            }
            for block in report.blocks.iter().take(31) {
                build_block(block, out);
            }
            finish(out, start, report.blocks.len().min(31));
        }
        if !self.names.is_empty() {
            let start = begin(out, SOURCE_DESCRIPTION);
            for (source, name) in &self.names {
                out.extend_from_slice(&source.to_be_bytes());
                let length = u8::try_from(name.len()).unwrap_or(255);
                out.extend_from_slice(&[CNAME, length]);
                out.extend_from_slice(&name[..usize::from(length)]);
                let nulls = 4 - (2 + usize::from(length)) % 4;
                out.extend(std::iter::repeat_n(0, nulls));
            }
            finish(out, start, self.names.len().min(31));
        }
        for (ssrc, blocks) in &self.extended {
            let start = begin(out, EXTENDED);
            out.extend_from_slice(&ssrc.to_be_bytes());
            xr::build(blocks, out);
            finish(out, start, 0);
        }
        if !self.byes.is_empty() {
            let start = begin(out, BYE);
            for source in &self.byes {
                out.extend_from_slice(&source.to_be_bytes());
            }
            finish(out, start, self.byes.len().min(31));
        }
    }
}

/// The middle 32 bits of a 32.32 time: what LSR carries.
#[must_use]
pub fn middle(ntp: u64) -> u32 {
    u32::try_from((ntp >> 16) & 0xFFFF_FFFF).unwrap_or(0)
}

/// A monotonic instant as 32.32 fixed point seconds.
///
/// RFC 3550 section 4 lets a host without a notion of the time of day count from any origin; only differences matter.
#[must_use]
pub fn ntp_of(now: i64) -> u64 {
    let now = u64::try_from(now).unwrap_or(0);
    let fraction = ((now % 1_000_000_000) << 32) / 1_000_000_000;
    ((now / 1_000_000_000) << 32) | fraction
}

fn read_report(kind: u8, count: usize, body: &[u8]) -> Result<Report, Malformed> {
    let (ssrc, mut rest) = body.split_at_checked(4).ok_or(Malformed::Short)?;
    let mut sender = None;
    if kind == SENDER_REPORT {
        let info;
        (info, rest) = rest.split_at_checked(20).ok_or(Malformed::Short)?;
        sender = Some(SenderInfo {
            ntp: u64::from(word(info)) << 32 | u64::from(word(&info[4..])),
            rtp_timestamp: word(&info[8..]),
            packets: word(&info[12..]),
            octets: word(&info[16..]),
        });
    }
    let blocks = rest.get(..count * BLOCK_BYTES).ok_or(Malformed::Short)?;
    let blocks = blocks.chunks_exact(BLOCK_BYTES).map(read_block).collect();
    Ok(Report { ssrc: word(ssrc), sender, blocks })
}

fn read_block(data: &[u8]) -> ReportBlock {
    let lost = word(&data[4..]);
    ReportBlock {
        ssrc: word(data),
        fraction_lost: data[4],
        // Sign-extend 24 bits.
        cumulative_lost: (lost << 8).cast_signed() >> 8,
        highest_sequence: word(&data[8..]),
        jitter: word(&data[12..]),
        last_report: word(&data[16..]),
        delay_since_last_report: word(&data[20..]),
    }
}

fn build_block(block: &ReportBlock, out: &mut Vec<u8>) {
    out.extend_from_slice(&block.ssrc.to_be_bytes());
    let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned() & 0xFF_FFFF;
    out.extend_from_slice(&(u32::from(block.fraction_lost) << 24 | lost).to_be_bytes());
    for value in [block.highest_sequence, block.jitter, block.last_report, block.delay_since_last_report] {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80, kind, 0, 0]);
    start
}

fn finish(out: &mut [u8], start: usize, count: usize) {
    out[start] |= u8::try_from(count).unwrap_or(31);
    let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX);
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn word(data: &[u8]) -> u32 {
    data.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Compound {
        let block = ReportBlock {
            ssrc: 7,
            fraction_lost: 25,
            cumulative_lost: -3,
            highest_sequence: 0x0001_0203,
            jitter: 40,
            last_report: 0xDEAD_BEEF,
            delay_since_last_report: 65536,
        };
        let sender = SenderInfo { ntp: 0x1122_3344_5566_7788, rtp_timestamp: 9, packets: 10, octets: 1600 };
        Compound {
            reports: vec![Report { ssrc: 5, sender: Some(sender), blocks: vec![block] }],
            names: vec![(5, b"somebody".to_vec())],
            extended: vec![(5, vec![Block::ReceiverTime(6)])],
            byes: vec![5],
        }
    }

    #[test]
    fn a_compound_comes_back() {
        for length in 0..9 {
            let mut compound = full();
            compound.names[0].1.truncate(length);
            let mut bytes = Vec::new();
            compound.build(&mut bytes);
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(Compound::parse(&bytes), Ok(compound));
        }
    }

    #[test]
    fn a_receiver_report_may_be_empty() {
        let compound =
            Compound { reports: vec![Report { ssrc: 1, sender: None, blocks: vec![] }], ..Compound::default() };
        let mut bytes = Vec::new();
        compound.build(&mut bytes);
        assert_eq!(bytes, [0x80, 201, 0, 1, 0, 0, 0, 1]);
        assert_eq!(Compound::parse(&bytes), Ok(compound));
    }

    #[test]
    fn every_truncation_is_refused_unless_it_ends_between_packets() {
        let mut bytes = Vec::new();
        full().build(&mut bytes);
        let ends = [52, 72, 92];
        for end in 0..bytes.len() {
            assert_eq!(Compound::parse(&bytes[..end]).is_ok(), ends.contains(&end), "{end} bytes");
        }
    }

    #[test]
    fn the_first_packet_must_be_a_report() {
        let mut bytes = Vec::new();
        Compound { byes: vec![1], ..Compound::default() }.build(&mut bytes);
        assert_eq!(Compound::parse(&bytes), Err(Malformed::Version));
        assert_eq!(Compound::parse(&[]), Err(Malformed::Short));
        assert_eq!(Compound::parse_reduced(&bytes).map(|compound| compound.byes), Ok(vec![1]));
        assert_eq!(Compound::parse_reduced(&[]), Err(Malformed::Short));
    }

    #[test]
    fn times_are_fixed_point_seconds() {
        assert_eq!(ntp_of(1_500_000_000), 0x0000_0001_8000_0000);
        assert_eq!(middle(0x0000_0001_8000_0000), 0x0001_8000);
    }
}
