"""SRTP at the port: spoken with libsrtp at the far end, and nothing else is believed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import pytest
from pylibsrtp import Error, Policy, Session

from offhook import _native as native

FAR: Final = ("192.0.2.1", 4000)
NAT: Final = ("198.51.100.7", 61234)
EVIL: Final = ("203.0.113.66", 7)
SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}
ONE: Final = "AES_CM_128_HMAC_SHA1_80"


@dataclass(slots=True)
class Keys:
    """One agreement: what the port is told, and the far end's two sessions of libsrtp."""

    suite: str
    near: bytes
    far: bytes

    @staticmethod
    def drawn(suite: str = ONE) -> Keys:
        length = SUITES[suite][1]
        return Keys(suite, os.urandom(length), os.urandom(length))

    @property
    def plan(self) -> tuple[str, bytes, bytes]:
        return self.suite, self.near, self.far

    def seals(self) -> Session:
        return self._session(self.far, Policy.SSRC_ANY_OUTBOUND)

    def opens(self) -> Session:
        return self._session(self.near, Policy.SSRC_ANY_INBOUND)

    def _session(self, key: bytes, kind: int) -> Session:
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=SUITES[self.suite][0])
        policy.window_size = 512
        return Session(policy)


def sent(rig, until_ms: float) -> list[tuple[bytes, tuple[str, int], bool]]:
    """Let time pass, and give what left, as it is on the wire."""
    left: list[tuple[bytes, tuple[str, int], bool]] = []
    until = rig.now + round(until_ms * 1_000_000)
    while (due := rig.port.deadline()) is not None and due <= until:
        rig.now = max(rig.now, due)
        rig.port.tick(rig.now)
        left += rig.port.packets()
    rig.now = until
    rig.told += rig.port.events()
    return left


@pytest.mark.parametrize("suite", SUITES)
def test_libsrtp_understands_us_and_we_understand_it(rig, suite):
    keys = Keys.drawn(suite)
    rig.configure(2, protection=keys.plan)
    seals, opens = keys.seals(), keys.opens()
    for _ in range(20):
        rig.give(seals.protect(bytes(rig.next(b"\x55" * 160))))
        for data, _, rtcp in sent(rig, 20):
            plain = opens.unprotect_rtcp(data) if rtcp else opens.unprotect(data)
            assert len(plain) == 172 or rtcp
    counters = rig.add_up()
    assert (counters["received_audio"], counters["sent"]) == (20, 21)
    assert rig.heard() == native.decode("PCMU", b"\x55" * 3200)


@pytest.mark.parametrize("suite", SUITES)
def test_reports_are_sealed_and_only_sealed_ones_are_read(rig, suite):
    keys = Keys.drawn(suite)
    rig.configure(2, protection=keys.plan)
    seals, opens = keys.seals(), keys.opens()
    report = b"\x80\xc9\x00\x01" + (0xFA2).to_bytes(4, "big")
    rig.give(seals.protect_rtcp(report), (FAR[0], FAR[1] + 1), rtcp=True)
    rig.give(report + bytes(40), (FAR[0], FAR[1] + 1), rtcp=True)
    rig.give(seals.protect_rtcp(report), EVIL, rtcp=True)
    reports = [data for data, _, rtcp in sent(rig, 20_000) if rtcp]
    assert all(opens.unprotect_rtcp(data)[1] == 200 for data in reports)
    assert len(reports) >= 2
    counters = rig.add_up()
    assert (counters["received_rtcp"], counters["dropped_forged"]) == (2, 1)


@pytest.mark.survives(27)
def test_where_srtp_was_agreed_plain_forged_and_replayed_packets_are_dropped_and_counted(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=keys.plan)
    seals = keys.seals()
    good = [seals.protect(bytes(rig.next(bytes(160)))) for _ in range(10)]
    for packet in good[:5]:
        rig.give(packet)
    rig.give(rig.next(bytes(160)))
    rig.give(good[5][:-1] + bytes([good[5][-1] ^ 1]))
    rig.give(good[5][:20])
    rig.give(good[3])
    rig.give(Keys.drawn().seals().protect(bytes(rig.next(bytes(160)))))
    rig.give(good[5])
    counters = rig.add_up()
    assert counters["received_audio"] == len(rig.events(native.Heard)) == 6
    assert [counters[f"dropped_{why}"] for why in ("forged", "replayed", "malformed")] == [3, 1, 1]


@pytest.mark.survives(27)
@pytest.mark.parametrize("suite", SUITES)
def test_the_rollover_counter_goes_on_in_both_directions(make_rig, suite):
    keys = Keys.drawn(suite)
    rig = make_rig()
    rig.configure(1, protection=keys.plan)
    rig.port.listen("all")
    seals, opens = keys.seals(), keys.opens()
    # libsrtp's first packet, then in strides: a stream that wraps twice within the test.
    for sequence in [*range(1, 65536, 5000), *range(65500, 65536), *range(40), *range(5000, 65536, 5000), 65535, 0, 1]:
        rig.sequence = sequence
        rig.give(seals.protect(bytes(rig.next(bytes(160)))))
    counters = rig.add_up()
    assert counters["dropped_forged"] == counters["dropped_replayed"] == 0
    # Ours: an hour on hold moves nothing, so packets have to leave. 65 537 of them pass the wrap.
    rig.configure(2, protection=keys.plan, ptime_ms=10)
    wrapped = 0
    for _ in range(66):
        for data, _, rtcp in sent(rig, 10_000):
            plain = opens.unprotect_rtcp(data) if rtcp else opens.unprotect(data)
            wrapped += not rtcp and plain[2:4] == b"\0\0"
    assert wrapped == 1


def test_a_new_key_is_taken_and_the_old_one_for_five_seconds(rig):
    before, after = Keys.drawn(), Keys.drawn("AEAD_AES_256_GCM")
    rig.configure(2, protection=before.plan)
    old = before.seals()
    rig.give(old.protect(bytes(rig.next(bytes(160)))))
    rig.configure(3, protection=after.plan)
    opens = after.opens()
    assert all(opens.unprotect(data) for data, _, rtcp in sent(rig, 100) if not rtcp)
    rig.give(old.protect(bytes(rig.next(bytes(160)))))
    rig.give(after.seals().protect(bytes(rig.next(bytes(160)))))
    sent(rig, 5000)
    rig.give(old.protect(bytes(rig.next(bytes(160)))))
    counters = rig.add_up()
    assert (counters["received_audio"], counters["dropped_forged"]) == (3, 1)


def test_a_plan_that_says_the_same_again_keeps_counter_and_window(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=keys.plan)
    seals, opens = keys.seals(), keys.opens()
    packets = [seals.protect(bytes(rig.next(bytes(160)))) for _ in range(4)]
    rig.give(packets[0])
    rig.configure(3, protection=keys.plan, sending=False, receiving=False)
    sent(rig, 40_000)
    rig.configure(4, protection=keys.plan)
    rig.give(packets[0])
    rig.give(packets[1])
    for data, _, rtcp in sent(rig, 200):
        opens.unprotect_rtcp(data) if rtcp else opens.unprotect(data)
    counters = rig.add_up()
    assert (counters["received_audio"], counters["dropped_replayed"]) == (2, 1)
    assert counters["sent_keepalive"] == 2


def test_what_keeps_the_way_open_is_sealed_too(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=keys.plan, sending=False, receiving=False)
    opens = keys.opens()
    kept = [opens.unprotect(data) for data, _, rtcp in sent(rig, 31_000) if not rtcp]
    assert [len(packet) for packet in kept] == [12, 12]


def test_until_the_far_ends_key_is_known_nothing_is_taken(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=(keys.suite, keys.near, None))
    seals = keys.seals()
    rig.give(rig.next(bytes(160)))
    rig.give(seals.protect(bytes(rig.next(bytes(160)))))
    rig.configure(3, protection=keys.plan)
    rig.give(seals.protect(bytes(rig.next(bytes(160)))))
    counters = rig.add_up()
    assert (counters["dropped_unkeyed"], counters["received_audio"]) == (2, 1)


def test_the_latch_moves_to_whatever_is_authentic(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=keys.plan)
    seals = keys.seals()
    rig.give(seals.protect(bytes(rig.next(bytes(160)))))
    rig.give(seals.protect(bytes(rig.next(bytes(160)))), NAT)
    assert {to for _, to, rtcp in sent(rig, 60) if not rtcp} == {NAT}
    for _ in range(5):
        rig.give(rig.next(bytes(160)), EVIL)
    assert {to for _, to, rtcp in sent(rig, 60) if not rtcp} == {NAT}
    assert rig.add_up()["dropped_forged"] == 5


def test_under_rtcp_mux_both_are_opened_on_one_port(rig):
    keys = Keys.drawn()
    rig.configure(2, protection=keys.plan, rtcp_mux=True, remote_rtcp=FAR)
    seals, opens = keys.seals(), keys.opens()
    rig.give(seals.protect(bytes(rig.next(bytes(160)))))
    rig.give(seals.protect_rtcp(b"\x80\xc9\x00\x01" + (0xFA2).to_bytes(4, "big")))
    left = sent(rig, 10_000)
    assert {to for _, to, _ in left} == {FAR}
    kinds = {data[1] & 0x7F: data for data, _, _ in left}
    assert opens.unprotect_rtcp(kinds[200 & 0x7F])[1] == 200
    counters = rig.add_up()
    assert (counters["received_audio"], counters["received_rtcp"]) == (1, 1)


@pytest.mark.parametrize(
    "protection",
    [
        ("AES_CM_256_HMAC_SHA1_80", bytes(46), bytes(46)),
        (ONE, bytes(28), bytes(30)),
        (ONE, bytes(30), bytes(44)),
        ("AEAD_AES_256_GCM", b"", None),
    ],
)
def test_keys_that_can_not_be_are_refused_at_the_door(rig, protection):
    with pytest.raises(ValueError, match=r"suite of SRTP|has \d+ bytes"):
        rig.configure(2, protection=protection)


def test_a_plain_packet_under_libsrtp_is_refused_there_too():
    with pytest.raises(Error):
        Keys.drawn().opens().unprotect(b"\x80\x00" + bytes(170))
