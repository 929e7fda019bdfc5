//! What must hold of a shield, whatever comes.

use super::opener::{header_of, STREAMS, WINDOW};
use super::shield::OVERLAP;
use super::{Master, Protection, Refusal, Shield, Suite};
use crate::rtp::Packet;

const SUITES: [Suite; 4] = [Suite::AesCm80, Suite::AesCm32, Suite::Gcm128, Suite::Gcm256];

fn master(suite: Suite, seed: u8) -> Master {
    Master::new(suite, &vec![seed; suite.master_bytes()]).expect("a key of the right length")
}

/// What one end has: its own key, and the other's.
fn ours(suite: Suite, send: u8, receive: u8) -> Protection {
    Protection { suite, send: master(suite, send), receive: Some(master(suite, receive)) }
}

fn shield(suite: Suite, send: u8, receive: u8) -> Shield {
    Shield::new(&ours(suite, send, receive)).expect("keys that can be used")
}

fn plain(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut data = Vec::new();
    let payload = [sequence.to_be_bytes()[1]; 160];
    Packet { sequence, ssrc, timestamp: 7, payload: &payload, ..Packet::default() }.build(&mut data);
    data
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut data = vec![0x80, 201, 0, 1];
    data.extend_from_slice(&ssrc.to_be_bytes());
    data
}

#[test]
fn two_ends_understand_each_other_in_every_suite() {
    for suite in SUITES {
        let (mut near, mut far) = (shield(suite, 1, 2), shield(suite, 2, 1));
        for n in 0..5 {
            let sealed = near.seal_rtp(&plain(9, n)).expect("a packet");
            assert_ne!(sealed[12..172], plain(9, n)[12..]);
            assert_eq!(far.open(0, &sealed, false).as_deref(), Ok(&plain(9, n)[..]), "{suite:?}");
            let sealed = far.seal_rtcp(&report(8)).expect("a report");
            assert_eq!(near.open(0, &sealed, true).as_deref(), Ok(&report(8)[..]), "{suite:?}");
        }
    }
}

#[test]
fn what_was_touched_anywhere_is_refused_and_leaves_nothing_behind() {
    for suite in SUITES {
        let (mut near, mut far) = (shield(suite, 1, 2), shield(suite, 2, 1));
        for n in 0..3 {
            let sealed = near.seal_rtp(&plain(9, n)).expect("a packet");
            for at in 0..sealed.len() {
                let mut touched = sealed.to_vec();
                touched[at] ^= 0x10;
                assert!(far.open(0, &touched, false).is_err(), "{suite:?} byte {at}");
            }
            for length in 0..sealed.len() {
                assert!(far.open(0, &sealed[..length], false).is_err(), "{suite:?} {length} bytes");
            }
            assert!(far.open(0, &sealed, false).is_ok(), "{suite:?}");
        }
    }
}

#[test]
fn nothing_plain_is_taken() {
    for suite in SUITES {
        let mut far = shield(suite, 2, 1);
        assert_eq!(far.open(0, &plain(9, 1), false), Err(Refusal::Forged));
        let mut long = report(9);
        long.resize(60, 0);
        assert_eq!(far.open(0, &long, true), Err(Refusal::Forged), "the E bit is clear");
        long.resize(60, 0xFF);
        assert!(far.open(0, &long, true).is_err());
        assert!(far.open(0, &report(9), true).is_err());
    }
}

#[test]
fn what_came_before_is_refused_in_its_window_and_behind_it() {
    for suite in SUITES {
        let (mut near, mut far) = (shield(suite, 1, 2), shield(suite, 2, 1));
        let packets: Vec<_> = (0..2000).map(|n| near.seal_rtp(&plain(9, n)).expect("a packet")).collect();
        // Every other one, so that what is missing can still come.
        for packet in packets.iter().step_by(2) {
            assert!(far.open(0, packet, false).is_ok());
        }
        assert_eq!(far.open(0, &packets[1998], false), Err(Refusal::Replayed));
        assert_eq!(far.open(0, &packets[1500], false), Err(Refusal::Replayed));
        assert_eq!(far.open(0, &packets[1001], false), Err(Refusal::Replayed), "too old to be told");
        assert!(far.open(0, &packets[1999 - WINDOW + 2], false).is_ok(), "{suite:?}: late, and within the window");
        let sealed = near.seal_rtcp(&report(9)).expect("a report");
        assert!(far.open(0, &sealed, true).is_ok());
        assert_eq!(far.open(0, &sealed, true), Err(Refusal::Replayed));
    }
}

#[test]
fn the_counter_rolls_over_with_losses_and_disorder_about_the_wrap() {
    for suite in SUITES {
        let (mut near, mut far) = (shield(suite, 1, 2), shield(suite, 2, 1));
        let mut taken = Vec::new();
        let mut held = None;
        // Three rounds and a little: every number about the wraps, and strides between them.
        let about_a_wrap = |n: &u32| !(200..65_300).contains(&(n & 0xFFFF)) || n.is_multiple_of(500);
        for n in (30_000..250_000u32).filter(about_a_wrap) {
            let sequence = u16::try_from(n & 0xFFFF).expect("16 bits");
            let sealed = near.seal_rtp(&plain(9, sequence)).expect("a packet");
            if [40_000, 105_500, 171_000].contains(&n) {
                taken.push(sealed.clone());
            }
            match sequence % 7 {
                0 if !(4..65_530).contains(&sequence) => {} // lost
                3 if !(8..65_400).contains(&sequence) => held = Some(sealed),
                _ => {
                    assert!(far.open(0, &sealed, false).is_ok(), "{suite:?} packet {n}");
                    if let Some(late) = held.take() {
                        assert!(far.open(0, &late, false).is_ok(), "{suite:?} late before {n}");
                    }
                }
            }
        }
        assert_eq!(taken.len(), 3);
        assert!(taken[0] != taken[1] && taken[1] != taken[2], "the counter is in the packet's key stream");
        for old in taken {
            assert!(far.open(0, &old, false).is_err(), "a round ago, it is not believed");
        }
    }
}

#[test]
fn a_stranger_can_not_place_the_window_of_a_stream_that_is_to_come() {
    let (mut near, mut far) = (shield(Suite::AesCm80, 1, 2), shield(Suite::AesCm80, 2, 1));
    let mut stranger = shield(Suite::AesCm80, 66, 66);
    let forged = stranger.seal_rtp(&plain(9, 30_000)).expect("a packet");
    assert_eq!(far.open(0, &forged, false), Err(Refusal::Forged));
    assert!(far.open(0, &near.seal_rtp(&plain(9, 5)).expect("a packet"), false).is_ok());
    assert_eq!(far.open(0, &forged, false), Err(Refusal::Forged));
    assert!(far.open(0, &near.seal_rtp(&plain(9, 6)).expect("a packet"), false).is_ok());
}

#[test]
fn one_key_has_many_streams_and_not_any_number() {
    let (mut near, mut far) = (shield(Suite::Gcm128, 1, 2), shield(Suite::Gcm128, 2, 1));
    let most = u32::try_from(STREAMS).expect("a small number");
    for ssrc in 0..most {
        assert!(far.open(0, &near.seal_rtp(&plain(ssrc, 1)).expect("a packet"), false).is_ok());
    }
    assert!(far.open(0, &near.seal_rtp(&plain(3, 2)).expect("a packet"), false).is_ok());
    let more = near.seal_rtp(&plain(most, 1)).expect("a packet");
    assert_eq!(far.open(0, &more, false), Err(Refusal::Unkeyed));
}

#[test]
fn a_new_key_is_taken_at_once_and_the_old_one_for_a_while() {
    let (mut near, mut far) = (shield(Suite::AesCm80, 1, 2), shield(Suite::AesCm80, 2, 1));
    let before: Vec<_> = (0..4).map(|n| near.seal_rtp(&plain(9, n)).expect("a packet")).collect();
    assert!(far.open(0, &before[0], false).is_ok());
    assert!(far.agree(100, &ours(Suite::Gcm256, 4, 3)));
    assert!(near.agree(100, &ours(Suite::Gcm256, 3, 4)));
    assert!(far.open(200, &before[1], false).is_ok(), "it was on its way");
    assert!(far.open(200, &near.seal_rtp(&plain(9, 4)).expect("a packet"), false).is_ok());
    assert_eq!(far.open(200, &before[1], false), Err(Refusal::Replayed));
    assert_eq!(far.open(100 + OVERLAP, &before[2], false), Err(Refusal::Forged));
    assert!(far.open(100 + OVERLAP, &near.seal_rtp(&plain(77, 9)).expect("a packet"), false).is_ok());
}

#[test]
fn what_seems_to_be_a_replay_under_the_new_key_is_opened_with_the_old_one() {
    for (before, after) in SUITES.into_iter().flat_map(|one| SUITES.map(|other| (one, other))) {
        let (mut near, mut far) = (shield(before, 1, 2), shield(before, 2, 1));
        let late: Vec<_> = (0..20).map(|_| near.seal_rtcp(&report(9)).expect("a report")).collect();
        assert!(near.agree(0, &ours(after, 3, 2)) && far.agree(0, &ours(after, 2, 3)));
        for _ in 0..10 {
            // Reports are numbered anew under each key, and under another suite the number lies in the old one's tag.
            let sealed = near.seal_rtcp(&report(9)).expect("a report");
            assert!(far.open(1, &sealed, true).is_ok());
            assert_eq!(far.open(1, &sealed, true), Err(Refusal::Replayed));
        }
        for (n, sealed) in late.iter().enumerate() {
            assert!(far.open(1, sealed, true).is_ok(), "{n}: {before:?} before {after:?}");
            assert!(far.open(1, sealed, true).is_err());
        }
    }
}

#[test]
fn a_key_that_goes_on_keeps_its_counter_and_its_window() {
    let (mut near, mut far) = (shield(Suite::AesCm80, 1, 2), shield(Suite::AesCm80, 2, 1));
    let first = near.seal_rtp(&plain(9, 65_535)).expect("a packet");
    assert!(far.open(0, &first, false).is_ok());
    let second = near.seal_rtp(&plain(9, 0)).expect("a packet");
    assert!(far.open(0, &second, false).is_ok());
    assert!(near.agree(5, &ours(Suite::AesCm80, 1, 2)) && far.agree(5, &ours(Suite::AesCm80, 2, 1)));
    assert_eq!(far.open(6, &second, false), Err(Refusal::Replayed));
    assert!(far.open(6, &near.seal_rtp(&plain(9, 1)).expect("a packet"), false).is_ok());
    // And where it comes back within the while that the one before is kept.
    assert!(far.agree(7, &ours(Suite::AesCm80, 2, 5)) && far.agree(8, &ours(Suite::AesCm80, 2, 1)));
    assert_eq!(far.open(9, &second, false), Err(Refusal::Replayed));
    assert!(far.open(9, &near.seal_rtp(&plain(9, 2)).expect("a packet"), false).is_ok());
}

#[test]
fn without_the_far_ends_key_nothing_is_taken_and_ours_is_used() {
    let mut early = Shield::new(&Protection { receive: None, ..ours(Suite::AesCm80, 1, 2) }).expect("a key");
    let mut far = shield(Suite::AesCm80, 2, 1);
    assert_eq!(early.open(0, &plain(9, 1), false), Err(Refusal::Unkeyed));
    assert!(far.open(0, &early.seal_rtp(&plain(9, 1)).expect("a packet"), false).is_ok());
    assert!(early.agree(1, &ours(Suite::AesCm80, 1, 2)));
    assert!(early.open(2, &far.seal_rtp(&plain(8, 1)).expect("a packet"), false).is_ok());
}

#[test]
fn the_payload_begins_behind_sources_and_extension_whatever_is_in_them() {
    // One-byte elements with padding between and behind them (RFC 8285 section 4.2).
    let words = [0x10, 0xAA, 0, 0, 0x21, 0xBB, 0xCC, 0];
    let mut data = Vec::new();
    let payload = [0x55; 80];
    let packet = Packet { csrc: &[1; 8], extension: Some((0xBEDE, &words)), payload: &payload, ..Packet::default() };
    packet.build(&mut data);
    assert_eq!(header_of(&data).map(|header| header.csrc.len()), Some(5));
    for suite in SUITES {
        let (mut near, mut far) = (shield(suite, 1, 2), shield(suite, 2, 1));
        let sealed = near.seal_rtp(&data).expect("a packet");
        assert_eq!(sealed[..32], data[..32]);
        assert_eq!(far.open(0, &sealed, false).as_deref(), Ok(&data[..]));
    }
}

#[test]
fn keys_do_not_show_themselves() {
    let protection = ours(Suite::AesCm80, 0xAB, 0xCD);
    let shown = format!("{protection:?} {:?}", Shield::new(&protection));
    assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab, "), "{shown}");
    assert!(shown.contains("Master(…)"));
}
