"""One-way audio is told within three seconds, once, in words that say what to do; who is held is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from offhook import _native as native
from offhook.call import Call, events
from offhook.carriers.oneway import OneWay, hint
from offhook.core.instants import SECOND
from offhook.core.signals import Fault
from offhook.core.signals import OneWay as Told
from offhook.testing.loop import VirtualLoop
from offhook.testing.wire import is_rtp

US = "10.1.0.1"
FLOWING, STALLED = native.Flowing(1, 1, 0), native.Stalled(1, 1, 0)


class Watched:
    """A call that is answered now, and what was told of it."""

    def __init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.told: list[tuple[float, Fault, bool]] = []
        self.watch = OneWay(self._tell)

    def _tell(self, fault: Fault, on: bool) -> None:
        self.told.append((round(asyncio.get_running_loop().time() - self.began, 3), fault, on))

    def fault(self, fault: str, on: bool = True) -> None:
        self.watch.hear(native.OneWay(1, 1, 0, fault, on))


def play(story: Callable[[Watched], Coroutine[Any, Any, None]]) -> list[tuple[float, Fault, bool]]:
    loop = VirtualLoop()

    async def whole() -> list[tuple[float, Fault, bool]]:
        watched = Watched()
        await story(watched)
        watched.watch.stop()
        return watched.told

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def test_nothing_that_comes_is_told_within_three_seconds_and_once() -> None:
    async def story(call: Watched) -> None:
        call.watch.expect(True)
        await asyncio.sleep(20)
        call.watch.hear(FLOWING)
        await asyncio.sleep(20)

    assert play(story) == [(2.5, "nothing_comes", True), (20.0, "nothing_comes", False)]


def test_a_line_that_dies_later_is_told_three_seconds_into_the_silence() -> None:
    async def story(call: Watched) -> None:
        call.watch.hear(FLOWING)  # before the answer
        call.watch.expect(True)
        await asyncio.sleep(60)
        call.watch.hear(STALLED)  # a second into the silence
        await asyncio.sleep(20)

    assert play(story) == [(62.0, "nothing_comes", True)]


def test_a_gap_is_not_a_fault() -> None:
    async def story(call: Watched) -> None:
        call.watch.hear(FLOWING)
        call.watch.expect(True)
        for _ in range(10):
            await asyncio.sleep(5)
            call.watch.hear(STALLED)
            await asyncio.sleep(1.5)
            call.watch.hear(FLOWING)

    assert play(story) == []


@pytest.mark.parametrize(("after_s", "told_s"), [(0.5, 2.5), (2.9, 2.9), (40.0, 40.0)])
def test_what_they_report_is_told_at_once_after_the_first_look(after_s: float, told_s: float) -> None:
    async def story(call: Watched) -> None:
        call.watch.hear(FLOWING)
        call.watch.expect(True)
        await asyncio.sleep(after_s)
        call.fault("unheard")
        await asyncio.sleep(10)

    assert play(story) == [(told_s, "unheard", True)]


def test_digital_silence_is_told_at_the_beginning_and_borne_for_a_while_later() -> None:
    async def story(call: Watched) -> None:
        call.watch.hear(FLOWING)
        call.watch.expect(True)
        await asyncio.sleep(2.1)
        call.fault("silent")
        await asyncio.sleep(7.9)
        call.fault("silent", False)
        await asyncio.sleep(20)
        call.fault("silent")
        await asyncio.sleep(30)

    assert play(story) == [(2.5, "silent", True), (10.0, "silent", False), (43.0, "silent", True)]


def test_who_is_held_owes_nothing() -> None:
    async def story(call: Watched) -> None:
        call.watch.hear(FLOWING)
        call.watch.expect(True)
        await asyncio.sleep(10)
        call.watch.expect(False)
        call.watch.hear(STALLED)
        call.fault("unheard")
        await asyncio.sleep(60)
        call.watch.expect(True)
        await asyncio.sleep(1)
        call.watch.hear(FLOWING)
        await asyncio.sleep(60)

    assert play(story) == []


@pytest.mark.parametrize(
    ("fault", "ours", "theirs", "peer", "says"),
    [
        ("nothing_comes", "192.168.1.5", "203.0.113.9", "203.0.113.9", "set sip.external_address or sip.stun"),
        ("nothing_comes", "198.51.100.7", "203.0.113.9", "203.0.113.9", "see that this is our address"),
        ("nothing_comes", "192.168.1.5", "192.168.1.9", "192.168.1.9", "sip.rtp_ports are open"),
        ("unheard", "198.51.100.7", "10.0.0.4", "203.0.113.9", "a private address behind 203.0.113.9"),
        ("unheard", "198.51.100.7", "203.0.113.9", "203.0.113.9", "no firewall holds our UDP back"),
        ("unheard", "198.51.100.7", None, "203.0.113.9", "on its way to 203.0.113.9"),
        ("silent", "198.51.100.7", "203.0.113.9", "203.0.113.9", "muted"),
    ],
)
def test_the_hint_names_the_likely_cause(fault: Fault, ours: str, theirs: str | None, peer: str, says: str) -> None:
    assert says in hint(fault, ours, theirs, peer)


def test_a_leg_whose_far_end_sends_nothing_says_so(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            peer.confirm(await peer.response("INVITE"))
            peer.request("ACK")
            await answering
            answered_at = stage.world.loop.now
            await asyncio.sleep(4)
            (told,) = [event for event in desk.events if isinstance(event, Told)]
            assert (told.fault, told.on) == ("nothing_comes", True)
            assert told.at - answered_at <= 3 * SECOND
            assert "sip.rtp_ports" in told.hint
            peer.request("BYE")
            await peer.response("BYE")
            peer.close()

    stage.play(story())


def test_a_far_end_that_does_not_hear_us_says_so_itself(stage: Any) -> None:
    """Two whole machines; the network loses every packet of ours on its way there, and later no more."""

    async def story() -> None:
        def loses(now: int, source: Any, destination: Any, data: bytes) -> bytes | None:
            return None if source[0] == US and is_rtp(data) else data

        async with stage.desk() as desk, stage.phone() as phone:
            calling = asyncio.create_task(phone.calls("sip:desk@10.1.0.1"))
            stage.world.network.mangle = loses
            leg = await desk.rung()
            await leg.answer()
            caller = await calling
            answered_at = stage.world.loop.now
            await caller.waits(5.0)
            stage.world.network.mangle = None
            await caller.waits(8.0)
            told = [event for event in desk.events if isinstance(event, Told) and event.fault == "unheard"]
            assert [event.on for event in told] == [True, False]
            assert told[0].at - answered_at <= 3.1 * SECOND
            assert "no firewall holds our UDP back" in told[0].hint
            await caller.hangs_up()
            await asyncio.sleep(0.1)
            await stage.world.settle()

    stage.world.run(story())


def test_a_call_says_how_its_line_was_and_which_way_its_audio_took(stage: Any) -> None:
    async def story() -> None:
        told: list[events.CallEvent] = []

        async def waits(call: Call) -> None:
            await call.play(bytes(16000))
            await asyncio.sleep(12)
            assert str(call.pipeline) == answered().pipeline
            assert len(call.quality) >= 2

        def answered() -> events.Answered:
            return next(event for event in told if isinstance(event, events.Answered))

        async with stage.desk() as desk, stage.phone() as phone:
            calling = asyncio.create_task(phone.calls("sip:desk@10.1.0.1"))
            leg = await desk.rung()
            desk.stop_reading()
            running = asyncio.create_task(Call(leg, waits, events=told.append).run())
            await calling
            await running
            await stage.world.settle()
        way = answered().pipeline
        assert way.startswith("ear (adaptive holes ≤ 20 ms) → PCMU/8000 → conceal → listening (")
        assert way.endswith("conversation → script → feed (to 8 kHz) → queue → mouth (20 ms) → PCMU/8000")
        ended = told[-1]
        assert isinstance(ended, events.Ended)
        assert ended.mos is not None
        assert 4.3 < ended.mos <= 4.41
        assert (ended.loss, ended.one_way) == (0.0, ("silent",))
        assert ended.round_trip_ms is not None

    stage.play(story())
