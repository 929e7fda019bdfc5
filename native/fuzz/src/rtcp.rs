//! RTCP: what is accepted is a compound by appendix A.2 of RFC 3550, and reads the same when it is written again.

use _native::rtcp::Compound;

use crate::plant;

/// Most sources that one packet can count.
const COUNT_MOST: usize = 31;

/// Hold the parser against `data`.
pub fn check(data: &[u8]) {
    let Ok(compound) = Compound::parse(data).map(plant::in_rtcp) else {
        return;
    };
    let kinds = walk(data).expect("it was accepted, and its lengths or versions are wrong");
    let reports = kinds.iter().filter(|kind| matches!(kind, 200 | 201)).count();
    assert!(matches!(kinds[0], 200 | 201), "the first packet is no report");
    assert_eq!(reports, compound.reports.len(), "a report was lost");
    if kinds.iter().all(|&kind| kind != 202) {
        assert!(compound.names.is_empty());
    }
    if kinds.iter().all(|&kind| kind != 203) {
        assert!(compound.byes.is_empty());
    }
    // Several packets of sources are written as one, which can count so many and no more.
    if compound.names.len() > COUNT_MOST || compound.byes.len() > COUNT_MOST {
        return;
    }
    let mut bytes = Vec::new();
    compound.build(&mut bytes);
    assert!(bytes.len().is_multiple_of(4));
    assert_eq!(Compound::parse(&bytes).map(plant::in_rtcp), Ok(compound), "it reads otherwise when written again");
}

/// The types of the packets, None where they don't fill `data` exactly.
fn walk(data: &[u8]) -> Option<Vec<u8>> {
    let (mut kinds, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let head = data.get(at..at + 4)?;
        if head[0] & 0xC0 != 0x80 {
            return None;
        }
        kinds.push(head[1]);
        at += 4 + 4 * (usize::from(head[2]) * 256 + usize::from(head[3]));
    }
    (at == data.len() && !kinds.is_empty()).then_some(kinds)
}
