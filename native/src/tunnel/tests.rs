//! Two tunnels over a network that can lose, in virtual time.

use std::net::SocketAddr;

use super::dtls::{Hash, Identity};
use super::identities::{bytes, ONE, ONE_KEY, TWO, TWO_KEY};
use super::{dtls, ice, News, Severed, Terms, Tunnel};
use crate::counters::{Count, Counters};
use crate::event::Sink;
use crate::secure::Protection;
use sha2::Digest;

const MS: i64 = 1_000_000;
const S: i64 = 1000 * MS;

fn credentials(name: &str) -> ice::Credentials {
    ice::Credentials { ufrag: name.to_owned(), pwd: format!("the-password-of-{name}") }
}

fn terms(one: bool, lite: bool, active: bool) -> Terms {
    let (certificate, key, theirs) = if one { (ONE, ONE_KEY, TWO) } else { (TWO, TWO_KEY, ONE) };
    let (ours, others) = if one { ("one1", "two2") } else { ("two2", "one1") };
    let there = if one { "10.0.0.2 4000" } else { "10.0.0.1 4000" };
    Terms {
        ice: ice::Terms {
            ours: credentials(ours),
            theirs: credentials(others),
            lite,
            controlling: !one,
            candidates: vec![format!("1 1 udp 2130706431 {there} typ host")],
            seed: 7 + u64::from(one),
        },
        dtls: dtls::Terms {
            identity: Identity { certificate: bytes(certificate), key: bytes(key) },
            active,
            fingerprints: vec![(Hash::Sha256, sha2::Sha256::digest(bytes(theirs)).to_vec())],
        },
    }
}

struct End {
    tunnel: Tunnel,
    address: SocketAddr,
    counters: Counters,
    sink: Sink,
    news: Vec<(i64, News)>,
    /// What left, in order.
    wire: Vec<Vec<u8>>,
}

impl End {
    fn new(terms: &Terms, address: &str) -> Self {
        Self {
            tunnel: Tunnel::new(0, terms).expect("the identity can be used"),
            address: address.parse().expect("an address"),
            counters: Counters::default(),
            sink: Sink::default(),
            news: Vec::new(),
            wire: Vec::new(),
        }
    }

    fn take(&mut self, now: i64, data: &[u8], from: SocketAddr) -> Count {
        let (count, news) = self.tunnel.take(now, data, from, &self.counters, &mut self.sink);
        self.news.extend(news.into_iter().map(|one| (now, one)));
        self.counters.add(count);
        count
    }

    fn tick(&mut self, now: i64) {
        let news = self.tunnel.tick(now, &self.counters, &mut self.sink);
        self.news.extend(news.into_iter().map(|one| (now, one)));
        assert!(self.tunnel.due().is_none_or(|due| due > now), "after a tick nothing is due");
    }

    fn keys(&self) -> Option<&Protection> {
        self.news.iter().find_map(|(_, news)| if let News::Keyed(keys) = news { Some(keys) } else { None })
    }

    fn severed(&self) -> Option<(i64, Severed)> {
        self.news.iter().find_map(|(at, news)| if let News::Severed(why) = news { Some((*at, *why)) } else { None })
    }
}

/// Let both live until `until`; `lose` says of the nth datagram whether it is lost.
fn live(ends: &mut [End; 2], from: i64, until: i64, mut lose: impl FnMut(usize, usize) -> bool) {
    let mut now = from;
    let mut sent = [0, 0];
    loop {
        for who in [0, 1] {
            let mut packets = Vec::new();
            let end = &mut ends[who];
            for (data, departure) in end.sink.packets() {
                packets.push((data.to_vec(), departure.destination));
            }
            end.sink.clear_packets();
            let source = end.address;
            for (data, to) in packets {
                ends[who].wire.push(data.clone());
                sent[who] += 1;
                let other = &mut ends[1 - who];
                if to == other.address && !lose(who, sent[who]) {
                    other.take(now, &data, source);
                }
            }
        }
        if ends.iter().any(|end| end.sink.packets().next().is_some()) {
            continue;
        }
        let due = ends.iter().filter_map(|end| end.tunnel.due()).min();
        let Some(due) = due.filter(|&due| due <= until) else { return };
        now = now.max(due);
        for end in ends.iter_mut().filter(|end| end.tunnel.due().is_some_and(|due| due <= now)) {
            end.tick(now);
        }
    }
}

fn pair(lite: bool, active: bool) -> [End; 2] {
    [End::new(&terms(true, lite, active), "10.0.0.1:4000"), End::new(&terms(false, false, !active), "10.0.0.2:4000")]
}

#[test]
fn a_browser_reaches_a_lite_agent_and_both_have_the_same_keys() {
    for (lite, active) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut ends = pair(lite, active);
        live(&mut ends, 0, 5 * S, |_, _| false);
        let (one, two) = (ends[0].keys().expect("keys"), ends[1].keys().expect("keys"));
        assert_eq!((one.suite, Some(&one.send)), (two.suite, two.receive.as_ref()), "{lite} {active}");
        assert_eq!(one.receive.as_ref(), Some(&two.send));
        assert!(ends[0].news.contains(&(ends[0].news[0].0, News::Way(ends[1].address))));
        assert_eq!((ends[0].severed(), ends[1].severed()), (None, None));
    }
}

#[test]
fn a_third_of_all_datagrams_lost_only_delays_it() {
    for seed in 0..20usize {
        let mut ends = pair(true, seed % 2 == 0);
        live(&mut ends, 0, 14 * S, |who, n| (n * 7919 + who * 104_729 + seed * 1_299_709) % 101 < 33);
        assert!(ends[0].keys().is_some() && ends[1].keys().is_some(), "seed {seed}: {:?}", ends[0].news);
    }
}

#[test]
fn another_certificate_than_signalling_told_of_is_no_media() {
    let mut ends = pair(true, false);
    let mut wrong = terms(true, true, false);
    wrong.dtls.fingerprints[0].1[0] ^= 1;
    ends[0] = End::new(&wrong, "10.0.0.1:4000");
    live(&mut ends, 0, 5 * S, |_, _| false);
    assert_eq!(ends[0].severed().map(|(_, why)| why), Some(Severed::Fingerprint));
    assert!(ends[0].keys().is_none());
    assert!(!ends[0].tunnel.knows(ends[1].address), "nothing of it is taken any more");
    let told = ends[0].news.len();
    let asked = ends[1].wire.iter().find(|data| data[0] < 4).expect("a check").clone();
    let from = ends[1].address;
    assert_eq!(ends[0].take(6 * S, &asked, from), Count::DroppedStun, "nor answered");
    assert_eq!(ends[0].news.len(), told, "the end is the last that is told");
}

#[test]
fn who_has_not_the_password_is_counted_and_not_answered() {
    let mut ends = pair(true, false);
    let mut forger = terms(false, false, true);
    forger.ice.theirs.pwd.push('x');
    ends[1] = End::new(&forger, "10.0.0.2:4000");
    live(&mut ends, 0, 5 * S, |_, _| false);
    assert!(ends[0].counters.get(Count::DroppedStunForged) > 3);
    assert!(ends[0].wire.is_empty(), "not a byte is answered");
    // Nor is a handshake begun with it.
    let hello = {
        let mut honest = pair(true, false);
        live(&mut honest, 0, S, |_, _| false);
        honest[1].wire.iter().find(|data| data[0] == 22).expect("a hello").clone()
    };
    let from = ends[1].address;
    assert_eq!(ends[0].take(5 * S, &hello, from), Count::DroppedDtlsSource);
}

#[test]
fn consent_that_is_not_renewed_for_thirty_seconds_ends_it() {
    for lite in [true, false] {
        let mut ends = pair(lite, false);
        live(&mut ends, 0, 60 * S, |_, _| false);
        assert_eq!(ends[0].severed(), None, "consent is renewed as long as the far end lives");
        live(&mut ends, 60 * S, 120 * S, |who, _| who == 1);
        let (at, why) = ends[0].severed().expect("it is over");
        assert_eq!(why, Severed::Consent);
        assert!((80 * S..=90 * S).contains(&at), "at {at}");
    }
}

#[test]
fn who_is_never_reached_is_given_up() {
    let mut ends = pair(true, false);
    live(&mut ends, 0, 60 * S, |who, _| who == 1);
    assert_eq!(ends[0].severed(), Some((ice::REACH, Severed::Unreachable)));
}

#[test]
fn a_goodbye_is_told() {
    let mut ends = pair(true, false);
    live(&mut ends, 0, S, |_, _| false);
    let End { tunnel, counters, sink, .. } = &mut ends[1];
    tunnel.close(S, counters, sink);
    live(&mut ends, S, 2 * S, |_, _| false);
    assert_eq!(ends[0].severed().map(|(_, why)| why), Some(Severed::Closed));
}

#[test]
fn both_controlling_is_settled_by_the_tie_breaker() {
    let mut one = terms(true, false, false);
    one.ice.controlling = true;
    let mut ends = [End::new(&one, "10.0.0.1:4000"), End::new(&terms(false, false, true), "10.0.0.2:4000")];
    live(&mut ends, 0, 5 * S, |_, _| false);
    assert!(ends[0].keys().is_some() && ends[1].keys().is_some());
}

#[test]
fn ice_begins_anew_underneath_the_same_keys() {
    let mut ends = pair(true, false);
    live(&mut ends, 0, S, |_, _| false);
    let (mut one, mut two) = (terms(true, true, false), terms(false, false, true));
    one.ice.ours = credentials("neu1");
    two.ice.theirs = credentials("neu1");
    ends[1].address = "10.0.0.2:5000".parse().expect("an address");
    assert!(ends[0].tunnel.renew(S, &one) && ends[1].tunnel.renew(S, &two));
    assert!(ends[0].tunnel.knows("10.0.0.2:4000".parse().expect("an address")), "media goes on meanwhile");
    ends[0].news.clear();
    live(&mut ends, S, 5 * S, |_, _| false);
    assert!(ends[0].news.iter().any(|(_, news)| *news == News::Way(ends[1].address)));
    assert!(ends[0].keys().is_none() && ends[0].severed().is_none(), "no second handshake");
    let mut other = one.clone();
    other.dtls.fingerprints[0].1[3] ^= 1;
    assert!(!ends[0].tunnel.renew(5 * S, &other), "another far end is another tunnel");
}

#[test]
fn a_call_replays_from_its_seed() {
    let run = || {
        let mut ends = pair(false, false);
        live(&mut ends, 0, 5 * S, |_, _| false);
        ends.map(|end| end.wire.into_iter().filter(|data| data[0] < 4).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}
