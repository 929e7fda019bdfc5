//! RTCP: what is accepted is a compound by appendix A.2 of RFC 3550, or anything but its first rule where reduced size
//! was agreed (RFC 5506), and reads the same when it is written again, extended reports (RFC 3611) too.

use _native::rtcp::Compound;

use crate::plant;

/// Most sources that one packet can count.
const COUNT_MOST: usize = 31;

/// Hold the parser against `data`.
pub fn check(data: &[u8]) {
    let Ok(compound) = Compound::parse_reduced(data).map(plant::in_rtcp) else {
        assert!(Compound::parse(data).is_err(), "a compound is taken, and not where less is asked");
        return;
    };
    let kinds = walk(data).expect("it was accepted, and its lengths or versions are wrong");
    let count = |wanted: &[u8]| kinds.iter().filter(|kind| wanted.contains(kind)).count();
    assert_eq!(Compound::parse(data).is_ok(), matches!(kinds[0], 200 | 201), "whether the first packet is a report");
    assert_eq!(count(&[200, 201]), compound.reports.len(), "a report was lost");
    assert_eq!(count(&[207]), compound.extended.len(), "an extended report was lost");
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
    if bytes.is_empty() {
        return; // nothing that we know was in it
    }
    let again = Compound::parse_reduced(&bytes).map(plant::in_rtcp);
    assert_eq!(again, Ok(compound), "it reads otherwise when written again");
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
