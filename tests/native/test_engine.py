"""The Engine over real sockets on loopback. Every wait has a deadline; nothing here asserts how fast."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from typing import Any

import pytest

from offhook import _native as native


class Far:
    """A far end: a socket and the numbers of a stream."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.sequence = 0
        self.got: list[bytes] = []

    @property
    def address(self) -> tuple[str, int]:
        return self.socket.getsockname()

    def send(self, port: int, payload: bytes) -> None:
        header = struct.pack("!BBHII", 0x80, 0, self.sequence & 0xFFFF, self.sequence * 160, 9)
        self.socket.sendto(header + payload, ("127.0.0.1", port))
        self.sequence += 1

    def receive(self) -> None:
        while select.select([self.socket], [], [], 0)[0]:
            self.got.append(self.socket.recv(2048))

    def plan(self) -> dict[str, object]:
        return {
            "remote": self.address,
            "remote_rtcp": None,
            "send": (0, "PCMU"),
            "receive": ((0, "PCMU"),),
            "dtmf_send": 101,
            "dtmf_receive": 101,
        }


@pytest.fixture
def far():
    far = Far()
    yield far
    far.socket.close()


def wait(engine, until, seconds=5.0):
    """Drain events, as an event loop would, until `until(events)` holds."""
    told: list[native.Event] = []
    deadline = time.monotonic() + seconds
    while not until(told):
        left = deadline - time.monotonic()
        assert left > 0, told
        if select.select([engine.fileno()], [], [], min(left, 0.05))[0]:
            told += engine.drain()
    return told


def count(told, kind):
    return sum(isinstance(event, kind) for event in told)


def test_what_the_caller_says_comes_back_whole(engine, far):
    number, port = engine.open(ssrc=1, sequence=0, timestamp=0)
    assert port % 2 == 0
    engine.configure(number, 1, **far.plan())
    engine.listen(number, "all")
    payloads = [bytes((n + k) % 127 for k in range(160)) for n in range(50)]

    started = time.monotonic()
    echoed = 0

    def echo(told):
        nonlocal echoed
        for event in told[echoed:]:
            if isinstance(event, native.Heard):
                engine.play(number, 1, event.pcm, 8000)
        echoed = len(told)
        if far.sequence < len(payloads) and time.monotonic() >= started + far.sequence * 0.02:
            far.send(port, payloads[far.sequence])
        far.receive()
        return sum(packet[12:] != b"\xff" * 160 for packet in far.got) == len(payloads)

    wait(engine, echo)
    assert [packet[12:] for packet in far.got if packet[12:] != b"\xff" * 160] == payloads
    counters = engine.close(number)
    assert counters["received_audio"] == counters["given"] == 50


def test_only_who_was_heard_of_says_goodbye(engine, far):
    """RFC 3550 section 6.3.7: who has never sent RTP or RTCP must not send BYE."""
    reports = Far()
    plan = far.plan() | {"remote_rtcp": reports.address}
    silent, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(silent, 1, **plan | {"sending": False})
    engine.close(silent)
    speaking, _ = engine.open(ssrc=2, sequence=0, timestamp=0)
    engine.configure(speaking, 1, **plan)
    assert select.select([far.socket], [], [], 5)[0], "a packet is out"
    engine.close(speaking)
    assert select.select([reports.socket], [], [], 5)[0]
    reports.receive()
    reports.socket.close()
    assert [(packet[4:8], packet[-8:]) for packet in reports.got] == [
        (struct.pack("!I", 2), struct.pack("!BBHI", 0x81, 203, 1, 2))
    ]


def test_a_hush_is_answered_with_a_cut(engine, far):
    number, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 3, **far.plan())
    assert engine.play(number, 1, b"\x10\x20" * 40_000, 8000) == 32_000
    engine.mark(number, 1, 8)
    engine.hush(number)
    told = wait(engine, lambda told: count(told, native.Cut))
    (cut,) = (event for event in told if isinstance(event, native.Cut))
    assert (cut.port, cut.utterance, cut.generation) == (number, 1, 3)
    assert cut.heard_ms <= cut.sent_ms <= 2000


def test_room_is_told_to_one_who_was_turned_away(engine, far):
    number, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 1, **far.plan())
    taken = engine.play(number, 1, bytes(96_000), 24_000)
    assert taken == 96_000
    assert engine.play(number, 1, bytes(32_000), 8000) < 32_000
    wait(engine, lambda told: count(told, native.Room))
    assert engine.play(number, 1, bytes(320), 8000) == 320


def test_played_comes_after_it_was_heard(engine, far):
    number, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 1, **far.plan())
    started = time.monotonic_ns()
    engine.play(number, 1, bytes(1600), 8000)
    engine.end(number, 1)
    told = wait(engine, lambda told: count(told, native.Played))
    (played,) = (event for event in told if isinstance(event, native.Played))
    assert played.sent_ms == 100
    assert played.at - started >= 140_000_000


def test_keys_and_the_tape_cross_the_engine(engine, far):
    near, port = engine.open(ssrc=1, sequence=0, timestamp=0)
    other, other_port = engine.open(ssrc=2, sequence=0, timestamp=0)
    plan = far.plan()
    engine.configure(near, 1, **(plan | {"remote": ("127.0.0.1", other_port)}))
    engine.configure(other, 1, **(plan | {"remote": ("127.0.0.1", port)}))
    engine.tape(other, True)
    engine.press(near, "42#")
    told = wait(engine, lambda told: count(told, native.Digit) == 3 and count(told, native.Taped))
    assert [event.key for event in told if isinstance(event, native.Digit)] == ["4", "2", "#"]
    assert {event.port for event in told if isinstance(event, native.Digit | native.Taped)} == {other}


def test_a_closed_number_is_ignored_and_its_sums_stay(engine, far):
    number, port = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 1, **far.plan())
    far.send(port, bytes(160))
    wait(engine, lambda told: count(told, native.Flowing))
    engine.close(number)
    assert engine.close(number) == {}
    assert engine.counters(number) == {}
    engine.configure(number, 2, **far.plan())
    for verb in (engine.hush, engine.restore):
        verb(number)
    assert engine.play(number, 1, bytes(320), 8000) == 320
    engine.end(number, 1)
    engine.mark(number, 1, 1)
    engine.press(number, "1")
    totals = engine.totals()
    assert totals["received_audio"] == totals["given"] == 1
    assert totals["ports"] == 0


def test_ports_that_are_taken_are_skipped_and_none_left_is_an_error():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 9302))
        engine = native.Engine(first_port=9300, last_port=9305)
        try:
            ports = [engine.open(ssrc=1, sequence=0, timestamp=0)[1] for _ in range(2)]
            assert ports == [9300, 9304]
            with pytest.raises(OSError, match="free"):
                engine.open(ssrc=1, sequence=0, timestamp=0)
        finally:
            engine.shutdown()


def test_a_pair_rests_before_it_is_given_out_again(far):
    """A late packet of the last call must not reach the next one."""
    engine = native.Engine(first_port=9400, last_port=9401)
    try:
        number, port = engine.open(ssrc=1, sequence=0, timestamp=0)
        engine.close(number)
        closed = time.monotonic()
        while True:
            try:
                number, again = engine.open(ssrc=2, sequence=0, timestamp=0)
                break
            except OSError:
                far.send(port, bytes(160))
                assert time.monotonic() - closed < 10
                select.select([], [], [], 0.05)
        assert again == port
        assert time.monotonic() - closed >= 1.9
        engine.configure(number, 1, **far.plan())
        far.send(port, bytes(160))
        wait(engine, lambda told: count(told, native.Flowing))
        assert engine.counters(number)["given"] == 1
    finally:
        engine.shutdown()


def test_many_ports_share_two_threads(far):
    engine = native.Engine(first_port=22000, last_port=23999, threads=2)
    try:
        opened = dict(engine.open(ssrc=n, sequence=0, timestamp=0) for n in range(60))
        for number in opened:
            engine.configure(number, 1, **far.plan())
            engine.listen(number, "all")
        for port in opened.values():
            far.send(port, bytes(160))
        told = wait(engine, lambda told: count(told, native.Heard) == 60)
        assert {event.port for event in told} == set(opened)
        totals = engine.totals()
        assert (totals["ports"], totals["events_lost"]) == (60, 0)
    finally:
        engine.shutdown()


def test_a_python_that_never_lets_go_does_not_stop_the_packets(engine, far):
    number, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 1, **far.plan())
    engine.play(number, 1, b"\x11\x11" * 16_000, 8000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1)
    try:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            pass
    finally:
        sys.setswitchinterval(before)
    far.receive()
    assert len(far.got) >= 20


def test_shutdown_is_final_and_idempotent(far):
    engine = native.Engine(first_port=28200, last_port=28299)
    number, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    engine.configure(number, 1, **far.plan())
    alive = threading.active_count()
    engine.shutdown()
    engine.shutdown()
    assert threading.active_count() == alive
    assert engine.drain() == []
    with pytest.raises(RuntimeError, match="shut down"):
        engine.open(ssrc=1, sequence=0, timestamp=0)
    # What it held is free again.
    again = native.Engine(first_port=28200, last_port=28201)
    again.open(ssrc=1, sequence=0, timestamp=0)
    again.shutdown()


def test_what_an_engine_is_made_from_is_checked():
    for wrong in (
        lambda: native.Engine(ip="localhost"),
        lambda: native.Engine(first_port=5, last_port=4),
        lambda: native.Engine(threads=0),
    ):
        with pytest.raises(ValueError, match=r"address|ports|threads"):
            wrong()
    with pytest.raises(OSError, match=r"."):
        native.Engine(ip="192.0.2.77").open(ssrc=1, sequence=0, timestamp=0)


@pytest.mark.survives(26)
def test_what_was_meant_for_the_call_before_is_not_heard_on_a_port_that_is_used_again(far):
    engine = native.Engine(first_port=28000, last_port=28001)
    try:
        port, bound = engine.open(ssrc=1, sequence=1, timestamp=1)
        engine.configure(port, 1, **far.plan())
        for _ in range(5):
            far.send(bound, bytes(160))
        wait(engine, lambda told: any(isinstance(event, native.Flowing) for event in told))
        engine.close(port)
        after = None
        until = time.monotonic() + 5
        while after is None and time.monotonic() < until:
            far.send(bound, bytes(160))  # it has not heard that the call is over
            select.select([engine.fileno()], [], [], 0.02)
            try:
                after, again = engine.open(ssrc=2, sequence=1, timestamp=1)
                assert again == bound
            except OSError:
                continue
        assert after is not None
        fresh: Any = Far()
        engine.configure(after, 1, **fresh.plan())
        for _ in range(20):
            far.send(bound, bytes(160))
        wait(engine, lambda told: engine.counters(after)["given"] >= 20)
        counters = engine.counters(after)
        assert counters["received"] == 0
        assert counters["dropped_source"] >= 20
        fresh.socket.close()
    finally:
        engine.shutdown()
