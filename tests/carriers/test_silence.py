"""A far end that sends no media: it is asked whether it lives, borne once more if it does, and hung up on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from offhook.carriers.silence import PROBE_S, Silence
from offhook.testing.loop import VirtualLoop


class Call:
    """A call whose media is watched, and what was done about it."""

    def __init__(self, answer: int | None = None, after_s: float = 0.1) -> None:
        self.silence = Silence(30.0, 15.0, self)
        self.answer = answer
        self.after_s = after_s
        self.heard = 0
        self.probed: list[float] = []
        self.over: list[float] = []

    def reports(self) -> int:
        return self.heard

    def probe(self) -> None:
        loop = asyncio.get_running_loop()
        self.probed.append(loop.time())
        if self.answer is not None:
            loop.call_later(self.after_s, self.silence.answered, self.answer)

    def given_up(self, why: str = "stalled") -> None:
        self.over.append(asyncio.get_running_loop().time())


def play(story: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(story)
    finally:
        loop.close()


async def stops(call: Call) -> float:
    """Media comes, and stops; give the time of the last packet, after which a minute passes."""
    began = asyncio.get_running_loop().time()
    call.silence.expect(True)
    call.silence.flowing()
    await asyncio.sleep(1.0)
    call.silence.stalled()
    await asyncio.sleep(60.0)
    return began


@pytest.mark.survives(13)
@pytest.mark.parametrize(("answer", "at_s"), [(None, 15.0 + PROBE_S), (408, 15.1), (481, 15.1), (503, 15.1)])
def test_where_nobody_is_or_knows_of_the_call_it_is_over(answer: int | None, at_s: float) -> None:
    async def story() -> None:
        call = Call(answer)
        began = await stops(call)
        assert call.probed == [pytest.approx(began + 15.0)]
        assert call.over == [pytest.approx(began + at_s)]

    play(story())


@pytest.mark.survives(13)
@pytest.mark.parametrize("answer", [200, 405, 500, 501])
def test_who_lives_is_borne_once_more(answer: int) -> None:
    async def story() -> None:
        call = Call(answer)
        began = await stops(call)
        assert call.probed == [pytest.approx(began + 15.0)]
        assert call.over == [pytest.approx(began + 29.0)]

    play(story())


@pytest.mark.survives(13)
def test_who_still_sends_rtcp_is_not_asked_and_borne_once_more() -> None:
    async def story() -> None:
        call = Call(481)
        asyncio.get_running_loop().call_later(8.0, setattr, call, "heard", 1)
        began = await stops(call)
        assert call.probed == []
        assert call.over == [pytest.approx(began + 29.0)]

    play(story())


def test_rtcp_from_before_the_silence_proves_nothing() -> None:
    async def story() -> None:
        call = Call(481)
        call.heard = 3
        began = await stops(call)
        assert call.over == [pytest.approx(began + 15.1)]

    play(story())


@pytest.mark.survives(13)
def test_who_is_held_owes_nothing() -> None:
    async def story() -> None:
        call = Call()
        call.silence.expect(True)
        call.silence.flowing()
        call.silence.expect(False)
        call.silence.stalled()
        await asyncio.sleep(3600.0)
        assert (call.probed, call.over) == ([], [])

    play(story())


def test_media_that_comes_back_ends_the_silence_and_the_next_one_is_asked_about_anew() -> None:
    async def story() -> None:
        call = Call(200, after_s=2.0)
        call.silence.expect(True)
        call.silence.flowing()
        call.silence.stalled()
        await asyncio.sleep(15.0)
        assert len(call.probed) == 1
        call.silence.flowing()
        await asyncio.sleep(60.0)
        assert call.over == []
        call.silence.stalled()
        await asyncio.sleep(60.0)
        assert len(call.probed) == 2
        assert len(call.over) == 1

    play(story())


def test_an_answer_that_comes_after_the_hold_changes_nothing() -> None:
    async def story() -> None:
        call = Call(481, after_s=3.0)
        call.silence.expect(True)
        call.silence.flowing()
        call.silence.stalled()
        await asyncio.sleep(15.0)
        call.silence.expect(False)
        await asyncio.sleep(60.0)
        assert call.over == []

    play(story())


def test_who_never_sends_a_packet_is_asked_before_the_patience_ends() -> None:
    async def story() -> None:
        call = Call()
        began = asyncio.get_running_loop().time()
        call.silence.expect(True)
        await asyncio.sleep(60.0)
        assert call.probed == [pytest.approx(began + 30.0 - PROBE_S)]
        assert call.over == [pytest.approx(began + 30.0)]

    play(story())
