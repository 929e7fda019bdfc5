//! Symmetric RTP with a latch that closes.
//!
//! ```text
//!            valid RTP from the SDP's address
//! open ────────────────────────────────────────► closed on it
//!   │  two packets in sequence from one source        ▲  the SDP's address speaks after all
//!   └──────────────────────► closed on that source ───┘
//!                                │ silent for 2 s, and the same SSRC goes on from another address of its family
//!                                └─► closed on that address
//! ```
//!
//! What SRTP has authenticated is the far end's from wherever it comes, and moves the latch at once.
//!
//! What the call before on these sockets heard may still be sent, by a far end that missed the BYE: that stream from that
//! address proves nothing, unless the SDP says that very address.
//!
//! So media that anybody else sprays at the port is refused (no "RTP bleed"), a peer behind a NAT is found, and one
//! whose NAT forgets it is found again. Where a plan says `remote`, only a new address there opens the latch again.

use std::net::SocketAddr;

/// How long the latched source must be silent before its stream is taken from elsewhere, ns.
const SILENT: i64 = 2_000_000_000;
/// How far a stream may have moved on in a second of silence: 100 packets of 10 ms, and some to begin with.
const AHEAD_PER_SECOND: i64 = 100;
const AHEAD_AT_LEAST: i64 = 50;

/// What to do with an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the source.
    Take,
    /// From the source, which is new.
    Latch,
    /// The first of a source that may become the one.
    Wait,
    /// From somebody else.
    Refuse,
}

/// The latch of one port.
#[derive(Debug, Default)]
pub struct Latch {
    agreed: Option<SocketAddr>,
    /// The source and the stream of the call before.
    shunned: Option<(SocketAddr, u32)>,
    source: Option<SocketAddr>,
    /// When the source was last heard, and with which stream.
    last: Option<(i64, u32, u16)>,
    candidate: Option<(SocketAddr, u32, u16)>,
}

impl Latch {
    /// Take this stream from nowhere but the SDP's address: the call before heard it.
    pub fn shun(&mut self, heard: Option<(SocketAddr, u32)>) {
        self.shunned = heard;
    }

    /// What is heard: for the next call to shun.
    #[must_use]
    pub fn heard(&self) -> Option<(SocketAddr, u32)> {
        self.source.zip(self.last.map(|(_, ssrc, _)| ssrc))
    }

    /// Take the address that the SDP says. Only a new one opens the latch.
    pub fn agree(&mut self, remote: Option<SocketAddr>) {
        // An offer on hold names no address; all stays what it was.
        if remote.is_none() || remote == self.agreed {
            return;
        }
        self.agreed = remote;
        if remote != self.source {
            self.source = None;
            self.last = None;
            self.candidate = None;
        }
    }

    /// The source that was latched.
    #[must_use]
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// Where to send: to where it comes from, else to where the SDP says.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.source.or(self.agreed)
    }

    /// Judge a well-formed RTP packet of an agreed payload type. `authentic`: it had the tag of the far end's key, so
    /// whatever address it comes from is the far end's.
    pub fn judge(&mut self, now: i64, from: SocketAddr, ssrc: u32, sequence: u16, authentic: bool) -> Verdict {
        if self.source == Some(from) {
            self.last = Some((now, ssrc, sequence));
            return Verdict::Take;
        }
        if authentic || self.agreed == Some(from) {
            return self.take(now, from, ssrc, sequence);
        }
        let stray = self.shunned == Some((from, ssrc));
        if stray || self.source.is_some() && !self.moved_on(now, from, ssrc, sequence) {
            return Verdict::Refuse;
        }
        match self.candidate {
            Some((address, stream, before)) if address == from && stream == ssrc => {
                let ahead = sequence.wrapping_sub(before);
                if (1..=4).contains(&ahead) {
                    return self.take(now, from, ssrc, sequence);
                }
                self.candidate = Some((from, ssrc, sequence));
            }
            _ => self.candidate = Some((from, ssrc, sequence)),
        }
        Verdict::Wait
    }

    fn take(&mut self, now: i64, from: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        self.source = Some(from);
        self.last = Some((now, ssrc, sequence));
        self.candidate = None;
        Verdict::Latch
    }

    fn moved_on(&self, now: i64, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let (Some(source), Some((heard, stream, before))) = (self.source, self.last) else {
            return false;
        };
        let silent = now - heard;
        let furthest = AHEAD_AT_LEAST + silent / 1_000_000_000 * AHEAD_PER_SECOND;
        let ahead = i64::from(sequence.wrapping_sub(before));
        silent >= SILENT && source.is_ipv4() == from.is_ipv4() && ssrc == stream && (1..=furthest).contains(&ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 4000))
    }

    fn latched(agreed: u8) -> Latch {
        let mut latch = Latch::default();
        latch.agree(Some(address(agreed)));
        latch
    }

    #[test]
    fn the_agreed_address_is_taken_at_once() {
        let mut latch = latched(1);
        assert_eq!(latch.judge(0, address(1), 7, 100, false), Verdict::Latch);
        assert_eq!(latch.judge(MS, address(1), 7, 101, false), Verdict::Take);
        assert_eq!(latch.judge(MS, address(2), 7, 102, false), Verdict::Refuse);
    }

    #[test]
    fn a_peer_behind_a_nat_proves_itself_with_two_packets() {
        let mut latch = latched(1);
        assert_eq!(latch.judge(0, address(9), 7, u16::MAX, false), Verdict::Wait);
        assert_eq!(latch.destination(), Some(address(1)));
        assert_eq!(latch.judge(0, address(9), 7, 0, false), Verdict::Latch);
        assert_eq!(latch.destination(), Some(address(9)));
    }

    #[test]
    fn a_spray_of_unrelated_packets_never_latches() {
        let mut latch = latched(1);
        for n in 0..1000u16 {
            assert_eq!(latch.judge(0, address(9), u32::from(n % 3), n.wrapping_mul(77), false), Verdict::Wait);
        }
        assert_eq!(latch.source(), None);
    }

    #[test]
    fn the_agreed_address_takes_the_latch_from_one_who_was_faster() {
        let mut latch = latched(1);
        latch.judge(0, address(66), 9, 1, false);
        assert_eq!(latch.judge(0, address(66), 9, 2, false), Verdict::Latch);
        assert_eq!(latch.judge(MS, address(1), 7, 5, false), Verdict::Latch);
        assert_eq!(latch.judge(MS, address(66), 9, 3, false), Verdict::Refuse);
    }

    #[test]
    fn a_stream_moves_only_after_two_seconds_of_silence_and_in_sequence() {
        let mut latch = latched(1);
        latch.judge(0, address(1), 7, 100, false);
        assert_eq!(latch.judge(1999 * MS, address(5), 7, 200, false), Verdict::Refuse);
        assert_eq!(latch.judge(2000 * MS, address(5), 8, 200, false), Verdict::Refuse, "another stream");
        assert_eq!(latch.judge(2000 * MS, address(5), 7, 99, false), Verdict::Refuse, "behind");
        assert_eq!(latch.judge(2000 * MS, address(5), 7, 9000, false), Verdict::Refuse, "far ahead");
        let six: SocketAddr = "[2001:db8::1]:4000".parse().expect("an address");
        assert_eq!(latch.judge(2000 * MS, six, 7, 200, false), Verdict::Refuse, "another family");
        assert_eq!(latch.judge(2000 * MS, address(5), 7, 200, false), Verdict::Wait);
        assert_eq!(latch.judge(2020 * MS, address(5), 7, 201, false), Verdict::Latch);
        assert_eq!(latch.judge(2040 * MS, address(6), 7, 202, false), Verdict::Refuse);
    }

    #[test]
    fn what_the_call_before_heard_is_taken_only_from_where_the_sdp_says() {
        let mut latch = latched(1);
        latch.judge(0, address(9), 7, 1, false);
        latch.judge(0, address(9), 7, 2, false);
        let before = latch.heard();
        assert_eq!(before, Some((address(9), 7)));
        let mut next = latched(2);
        next.shun(before);
        for n in 3..20 {
            assert_eq!(next.judge(0, address(9), 7, n, false), Verdict::Refuse);
        }
        // Senders that begin each call with the same SSRC, and those behind one NAT.
        next.judge(0, address(9), 8, 1, false);
        assert_eq!(next.judge(0, address(9), 8, 2, false), Verdict::Latch, "another stream");
        let mut elsewhere = latched(2);
        elsewhere.shun(before);
        assert_eq!(elsewhere.judge(0, address(2), 7, 1, false), Verdict::Latch, "another address");
        let mut again = latched(9);
        again.shun(before);
        assert_eq!(again.judge(0, address(9), 7, 1, false), Verdict::Latch, "the described address");
    }

    #[test]
    fn only_a_new_address_opens_it_again() {
        let mut latch = latched(1);
        latch.judge(0, address(9), 7, 1, false);
        latch.judge(0, address(9), 7, 2, false);
        latch.agree(Some(address(1)));
        assert_eq!(latch.source(), Some(address(9)));
        latch.agree(None);
        assert_eq!(latch.source(), Some(address(9)), "a hold closes nothing");
        latch.agree(Some(address(2)));
        assert_eq!(latch.source(), None);
        assert_eq!(latch.judge(0, address(2), 8, 1, false), Verdict::Latch);
    }
}
