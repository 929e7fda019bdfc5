"""How a Port is reached: what a STUN server sees of it, and the way that is kept open while we are held."""

from __future__ import annotations

import select
import socket

import pytest

from offhook import _native as native
from offhook.testing.stun import answer

MS = 1_000_000
SERVER = ("192.0.2.3", 3478)
ID = bytes(range(12))


def ask(rig) -> list[bytes]:
    rig.port.discover(rig.now, SERVER, ID)
    return [data for data, to, rtcp in rig.port.packets() if to == SERVER and not rtcp]


def test_a_server_is_asked_three_times_and_believed_once(rig):
    (request,) = ask(rig)
    assert request == b"\0\1\0\0\x21\x12\xa4\x42" + ID
    again = 0
    for _ in range(60):
        rig.now += 10 * MS
        rig.port.tick(rig.now)
        again += sum(to == SERVER for _, to, _ in rig.port.packets())
    assert again == 2
    told = answer(request, ("203.0.113.9", 61_000))
    assert told is not None
    rig.port.datagram(rig.now, told, SERVER)
    rig.port.datagram(rig.now, told, SERVER)
    mapped = [event for event in rig.port.events() if isinstance(event, native.Mapped)]
    assert [event.address for event in mapped] == [("203.0.113.9", 61_000)]
    counters = rig.port.counters()
    assert (counters["sent_stun"], counters["received_stun"], counters["dropped_stun"]) == (3, 1, 1)


@pytest.mark.parametrize("wrong", ["id", "source", "cut"])
def test_nobody_else_is_believed(rig, wrong):
    (request,) = ask(rig)
    told = answer(request, ("203.0.113.9", 61_000))
    assert told is not None
    if wrong == "id":
        told = told[:8] + bytes(12) + told[20:]
    source = ("192.0.2.4", 3478) if wrong == "source" else SERVER
    rig.port.datagram(rig.now, told[:-4] if wrong == "cut" else told, source)
    assert not [event for event in rig.port.events() if isinstance(event, native.Mapped)]
    assert rig.port.counters()["dropped_stun"] == 1


def test_a_transaction_has_twelve_bytes(rig):
    with pytest.raises(ValueError, match="12 bytes"):
        rig.port.discover(rig.now, SERVER, b"short")


def test_the_engine_asks_from_the_rtp_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10.0)
        engine = native.Engine(first_port=44_000, last_port=44_998)
        try:
            number, rtp = engine.open(ssrc=1, sequence=1, timestamp=1)
            engine.discover(number, server.getsockname(), ID)
            request, source = server.recvfrom(2048)
            assert source == ("127.0.0.1", rtp)
            told = answer(request, ("203.0.113.9", 61_000))
            assert told is not None
            server.sendto(told, source)
            found: list[native.Event] = []
            while not any(isinstance(event, native.Mapped) for event in found):
                assert select.select([engine.fileno()], [], [], 10.0)[0]
                found += engine.drain()
        finally:
            engine.shutdown()


def kept(rig, seconds: int) -> list[tuple[int, bytes]]:
    """Let time pass; give what leaves the RTP socket."""
    left: list[tuple[int, bytes]] = []
    end = rig.now + seconds * 1000 * MS
    while rig.now < end:
        rig.now = min(rig.port.deadline() or end, end)
        rig.port.tick(rig.now)
        left += [(rig.now, data) for data, _, rtcp in rig.port.packets() if not rtcp]
    return left


def test_while_held_an_empty_packet_of_an_unknown_type_keeps_the_way_open(rig):
    rig.run(100)
    rig.configure(2, sending=False)
    began = rig.now
    left = kept(rig, 60)
    assert [(at - began) // (1000 * MS) for at, _ in left] == [15, 30, 45, 60]
    headers = [data for _, data in left]
    assert {len(data) for data in headers} == {12}
    assert {data[1] for data in headers} == {127}
    sequences = [int.from_bytes(data[2:4], "big") for data in headers]
    assert [(b - a) & 0xFFFF for a, b in zip(sequences, sequences[1:], strict=False)] == [1, 1, 1]
    assert rig.port.counters()["sent_keepalive"] == 4
    # The clock of the stream ran on, and goes on where the packets would be.
    stamps = [int.from_bytes(data[4:8], "big") for data in headers]
    assert (stamps[1] - stamps[0]) & 0xFFFFFFFF == 15 * 8000
    rig.configure(3)
    (_, next_) = kept(rig, 1)[0]
    assert (int.from_bytes(next_[4:8], "big") - stamps[-1]) & 0xFFFFFFFF <= 320
    assert (int.from_bytes(next_[2:4], "big") - sequences[-1]) & 0xFFFF == 1


@pytest.mark.parametrize("more", [{"rtcp_mux": True}, {"remote": None, "remote_rtcp": None}])
def test_rtcp_on_the_same_port_keeps_it_open_by_itself_and_to_nowhere_there_is_no_way(rig, more):
    rig.configure(2, sending=False, **more)
    kept(rig, 60)
    assert rig.port.counters()["sent_keepalive"] == 0
    if "rtcp_mux" in more:
        assert rig.port.counters()["sent_rtcp"] >= 6


def test_while_it_sends_silence_a_port_needs_no_keepalive(rig):
    assert len(kept(rig, 20)) == 1001
    assert rig.port.counters()["sent_keepalive"] == 0


def test_the_keepalives_of_the_far_end_are_no_holes(rig):
    rig.give(rig.next(bytes(160)))
    for _ in range(3):
        rig.give(rig.next(b"", 126))
    rig.give(rig.next(bytes(160)))
    rig.run(100)
    counters = rig.port.counters()
    assert (counters["lost"], counters["concealed"], counters["dropped_payload"]) == (0, 0, 3)
    rig.configure(2, receiving=False)
    for _ in range(5):
        rig.give(rig.next(bytes(160)))
    rig.configure(3)
    rig.give(rig.next(bytes(160)))
    rig.run(100)
    counters = rig.port.counters()
    assert (counters["lost"], counters["jumps"], counters["received_audio"], counters["dropped_held"]) == (0, 0, 3, 5)
