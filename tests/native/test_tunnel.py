"""Two Ports that reach each other through ICE and DTLS, over a network in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from offhook import _native as native
from offhook.carriers.identity import Identity, make_identity

MS = 1_000_000
OURS, THEIRS = ("192.0.2.1", 4000), ("198.51.100.9", 5000)
ONE, TWO = make_identity(), make_identity()


def terms(answers: bool, **changes: Any) -> dict[str, Any]:
    """What signalling agreed, for us (the answerer, lite) or for the browser."""
    mine: Identity = ONE if answers else TWO
    other: Identity = TWO if answers else ONE
    names = (("ours", "o" * 22), ("them", "t" * 22))
    host, port = THEIRS if answers else OURS
    return {
        "ours": names[0 if answers else 1],
        "theirs": names[1 if answers else 0],
        "candidates": (f"1 1 udp 2130706431 {host} {port} typ host",),
        "fingerprints": (("sha-256", other.fingerprint.digest),),
        "identity": (mine.certificate, mine.key),
        "lite": answers,
        "controlling": not answers,
        "active": not answers,
        "seed": 7,
        **changes,
    }


def live(ports: dict[tuple[str, int], native.Port], now: int, until: int) -> dict[tuple[str, int], list[native.Event]]:
    told: dict[tuple[str, int], list[native.Event]] = {address: [] for address in ports}
    while now <= until:
        busy = False
        for address, port in ports.items():
            for data, to, rtcp in port.packets():
                assert not rtcp
                busy = True
                if to in ports:
                    ports[to].datagram(now, data, address)
            told[address] += port.events()
        if busy:
            continue
        dues = [due for port in ports.values() if (due := port.deadline()) is not None]
        if not dues:
            break
        now = max(now, min(dues))
        for port in ports.values():
            port.tick(now)
    return told


def pair(**changes: Any) -> dict[tuple[str, int], native.Port]:
    ports: dict[tuple[str, int], native.Port] = {}
    for address, ours in ((OURS, True), (THEIRS, False)):
        port = ports[address] = native.Port(ssrc=1 + ours, sequence=1, timestamp=1)
        port.tunnel(0, **terms(ours, **(changes if ours else {})))
        port.configure(0, 1, remote=None, remote_rtcp=None, send=(0, "PCMU"), receive=((0, "PCMU"),), rtcp_mux=True)
    return ports


def test_both_are_told_once_that_media_is_safe():
    told = live(pair(), 0, 500 * MS)
    for address in (OURS, THEIRS):
        assert [event.profile for event in told[address] if isinstance(event, native.Secured)] == ["AEAD_AES_256_GCM"]
        assert not [event for event in told[address] if isinstance(event, native.Severed)]


def test_before_the_handshake_nothing_that_looks_like_media_is_taken_or_sent():
    ports = pair()
    ours = ports[OURS]
    ours.datagram(0, bytes((0x80, 0)) + bytes(170), THEIRS)
    assert ours.counters()["dropped_unkeyed"] == 1
    assert not ours.packets()
    ours.tick(40 * MS)
    assert not [data for data, _, _ in ours.packets() if data[0] >= 128]


def test_another_certificate_than_was_told_severs_it():
    told = live(pair(fingerprints=(("sha-256", bytes(32)),)), 0, 500 * MS)
    assert [event.reason for event in told[OURS] if isinstance(event, native.Severed)] == ["fingerprint"]
    assert not [event for event in told[OURS] if isinstance(event, native.Secured)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fingerprints": (("sha-1", bytes(20)),)}, "no fingerprint"),
        ({"ours": ("ab", "o" * 22)}, "4 to 256"),
        ({"theirs": ("them", "short")}, "22 to 256"),
        ({"identity": (ONE.certificate, b"no key")}, "can't be used"),
    ],
)
def test_what_can_not_be_agreed_is_an_error(changes, says):
    port = native.Port(ssrc=1, sequence=1, timestamp=1)
    with pytest.raises(ValueError, match=says):
        port.tunnel(0, **terms(True, **changes))


def test_the_engine_has_the_same_verb():
    engine = native.Engine(first_port=42_000, last_port=42_099)
    try:
        number, _ = engine.open(ssrc=1, sequence=1, timestamp=1)
        engine.tunnel(number, **terms(True))
        with pytest.raises(ValueError, match="can't be used"):
            engine.tunnel(number, **terms(True, identity=(b"", b"")))
    finally:
        engine.shutdown()
