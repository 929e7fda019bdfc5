//! A tunnel, its browser and whoever else sends: nothing panics, who has not the password gets not a byte and is never
//! heard, and where both ends have keys they are the same.
//!
//! The browser is a tunnel of its own, so that the fuzzer comes as far as the handshake; its datagrams are lost, doubled
//! and changed on the way.

use std::net::SocketAddr;

use _native::counters::{Count, Counters};
use _native::event::Sink;
use _native::secure::Protection;
use _native::tunnel::dtls::{Hash, Identity};
use _native::tunnel::{dtls, ice, News, Terms, Tunnel};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

use crate::plant;

#[path = "../../src/tunnel/identities.rs"]
mod identities;
use identities::{bytes, ONE, ONE_KEY, TWO, TWO_KEY};

const MS: i64 = 1_000_000;
const STEPS_MOST: usize = 48;
/// The digests of the two certificates, SHA-256.
const DIGESTS: [&str; 2] = [ONE_DIGEST, TWO_DIGEST];
const ONE_DIGEST: &str = "ece233907a4921f2f8227ac56357ef57bf68fca5ac0387b4a1b6ee42d7b16ffe";
const TWO_DIGEST: &str = "b6d7d64af6b48b4643ef256989e4e2bf25caafdc87381dc89023c637a9cf9819";

#[derive(Arbitrary, Debug)]
enum Step {
    /// Somebody sends bytes of their own; `stun` makes them look like STUN, and `known` come from the browser's address.
    Raw {
        known: bool,
        stun: bool,
        data: Vec<u8>,
    },
    /// Let what is under way arrive; of it the one is lost, the other doubled, another changed.
    Arrive {
        lost: u8,
        doubled: u8,
        changed: Option<(u8, u16, u8)>,
    },
    Wait {
        ms: u16,
    },
    Renew {
        same: bool,
    },
    Close,
}

/// A leg from its beginning.
#[derive(Arbitrary, Debug)]
pub struct Leg {
    lite: bool,
    active: bool,
    seed: u64,
    steps: Vec<Step>,
}

struct End {
    tunnel: Tunnel,
    address: SocketAddr,
    counters: Counters,
    sink: Sink,
    keys: Option<Protection>,
    /// Another generation of the browser has other keys.
    over: bool,
}

/// Live through `leg`.
///
/// # Panics
/// Where a law is broken.
pub fn check(leg: Leg) {
    let mut ends = [true, false].map(|ours| {
        let terms = terms(ours, ours && leg.lite, leg.active == ours, leg.seed, "");
        End {
            tunnel: Tunnel::new(0, &terms).expect("the identity can be used"),
            address: address(ours),
            counters: Counters::default(),
            sink: Sink::default(),
            keys: None,
            over: false,
        }
    });
    let mut now = 0;
    for step in leg.steps.into_iter().take(STEPS_MOST) {
        match step {
            Step::Raw { known, stun, mut data } => {
                if stun && data.len() >= 20 {
                    (data[0], data[1]) = (data[0] & 1, 1);
                    let length = u16::try_from(data.len() - 20).unwrap_or(0);
                    data[2..4].copy_from_slice(&length.to_be_bytes());
                    data[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
                }
                let from = if known { address(false) } else { SocketAddr::from(([203, 0, 113, 66], 5004)) };
                raw(&mut ends[0], now, &data, from);
            }
            Step::Arrive { lost, doubled, changed } => {
                arrive(&mut ends, now, (lost, doubled), changed);
            }
            Step::Wait { ms } => now = wait(&mut ends, now, i64::from(ms) * MS),
            Step::Renew { same } => {
                let name = if same { "" } else { "x" };
                for (end, ours) in ends.iter_mut().zip([true, false]) {
                    let terms = terms(ours, ours && leg.lite, leg.active == ours, leg.seed ^ 1, name);
                    end.tunnel.renew(now, &terms);
                }
            }
            Step::Close => {
                let End { tunnel, counters, sink, .. } = &mut ends[0];
                tunnel.close(now, counters, sink);
                assert_eq!(tunnel.due(), None, "who is gone waits for nothing");
            }
        }
        if let (Some(one), Some(two)) = (&ends[0].keys, &ends[1].keys) {
            assert_eq!((one.suite, one.receive.as_ref()), (two.suite, Some(&two.send)), "two sets of keys");
            assert_eq!(Some(&one.send), two.receive.as_ref(), "two sets of keys");
        }
    }
}

/// What comes without the password changes nothing, and is not answered.
fn raw(end: &mut End, now: i64, data: &[u8], from: SocketAddr) {
    if !Tunnel::takes(data) {
        return;
    }
    let known = end.tunnel.knows(from);
    let before = end.sink.packets().count();
    let (count, news) = end.tunnel.take(now, data, from, &end.counters, &mut end.sink);
    let count = plant::in_tunnel(count, data);
    let refused = matches!(count, Count::DroppedStun | Count::DroppedStunForged | Count::DroppedDtlsSource);
    assert!(refused || known, "{count:?} of who has not the password");
    if data[0] < 4 {
        assert!(refused, "a message without the password was taken");
    }
    if refused {
        assert!(news.is_empty() && end.sink.packets().count() == before, "a stranger is answered");
        assert_eq!(end.tunnel.knows(from), known, "a stranger became known");
    }
    end.hear(news);
}

fn arrive(ends: &mut [End; 2], now: i64, (lost, doubled): (u8, u8), changed: Option<(u8, u16, u8)>) {
    for who in [0, 1] {
        let mut packets: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
        for (data, departure) in ends[who].sink.packets() {
            packets.push((data.to_vec(), departure.destination));
        }
        ends[who].sink.clear_packets();
        let source = ends[who].address;
        let other = &mut ends[1 - who];
        for (n, (mut data, to)) in packets.into_iter().enumerate() {
            let is = |wanted: u8| n == usize::from(wanted % 8);
            if to != other.address || (lost < 128 && is(lost)) {
                continue;
            }
            if let Some((_, at, bits)) = changed.filter(|(which, ..)| is(*which)) {
                let at = usize::from(at) % data.len();
                data[at] ^= bits;
            }
            for _ in 0..=usize::from(doubled < 128 && is(doubled)) {
                if Tunnel::takes(&data) {
                    let (_, news) = other.tunnel.take(now, &data, source, &other.counters, &mut other.sink);
                    other.hear(news);
                }
            }
        }
    }
}

/// Let time go by, with all that becomes due in it.
fn wait(ends: &mut [End; 2], now: i64, time: i64) -> i64 {
    for end in ends {
        // What is due in a minute are some dozens of things; more would be a machine that spins.
        for n in 0.. {
            assert!(n < 4000, "it spins");
            let Some(due) = end.tunnel.due().filter(|&due| due <= now + time) else { break };
            let at = due.max(now);
            let news = end.tunnel.tick(at, &end.counters, &mut end.sink);
            end.hear(news);
            assert!(end.tunnel.due().is_none_or(|next| next > at), "after a tick something is due");
        }
    }
    now + time
}

impl End {
    fn hear(&mut self, news: Vec<News>) {
        for one in news {
            assert!(!self.over, "after the end comes {one:?}");
            match one {
                News::Keyed(keys) => self.keys = Some(keys),
                News::Severed(_) => self.over = true,
                News::Way(_) => {}
            }
        }
    }
}

fn address(ours: bool) -> SocketAddr {
    SocketAddr::from((if ours { [192, 0, 2, 1] } else { [198, 51, 100, 9] }, 4000))
}

fn terms(ours: bool, lite: bool, active: bool, seed: u64, more: &str) -> Terms {
    let name =
        |who: &str| ice::Credentials { ufrag: format!("{who}{more}"), pwd: format!("the-password-of-{who}{more}") };
    let (mine, others) = if ours { ("ours", "their") } else { ("their", "ours") };
    let (certificate, key) = if ours { (ONE, ONE_KEY) } else { (TWO, TWO_KEY) };
    let there = address(!ours);
    Terms {
        ice: ice::Terms {
            ours: name(mine),
            theirs: name(others),
            lite,
            controlling: !ours,
            candidates: vec![format!("1 1 udp 2130706431 {} {} typ host", there.ip(), there.port())],
            seed: seed ^ u64::from(ours),
        },
        dtls: dtls::Terms {
            identity: Identity { certificate: bytes(certificate), key: bytes(key) },
            active,
            fingerprints: vec![(Hash::Sha256, bytes(DIGESTS[usize::from(ours)]))],
        },
    }
}
