"""What waits between a leg and its reader."""

from __future__ import annotations

import asyncio

import pytest

from offhook import _native as native
from offhook.carriers.inbox import AUDIO_LIMIT, Inbox
from offhook.core.signals import Connected, HungUp


def heard(seq: int) -> native.Heard:
    return native.Heard(1, seq, seq, b"\0\0")


def test_events_come_in_order_and_end_with_the_call() -> None:
    async def story() -> None:
        inbox = Inbox()
        events = [Connected(1), heard(1), native.Digit(1, 2, 2, "5"), HungUp(3, 200, "hangup")]
        for event in events:
            inbox.put(event)
        inbox.put(heard(9))  # nothing follows the end
        assert [event async for event in inbox] == events

    asyncio.run(story())


def test_a_reader_that_waits_is_woken() -> None:
    async def story() -> None:
        inbox = Inbox()
        reading = asyncio.create_task(anext(inbox))
        await asyncio.sleep(0)
        inbox.put(Connected(1))
        assert await reading == Connected(1)

    asyncio.run(story())


def test_a_reader_that_gave_up_may_come_again() -> None:
    async def story() -> None:
        inbox = Inbox()
        reading = asyncio.create_task(anext(inbox))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        inbox.put(Connected(1))
        assert await anext(inbox) == Connected(1)

    asyncio.run(story())


def test_only_audio_is_dropped_when_nobody_reads() -> None:
    async def story() -> None:
        inbox = Inbox()
        for seq in range(AUDIO_LIMIT + 10):
            inbox.put(heard(seq))
        inbox.put(native.Digit(1, 0, 0, "5"))
        inbox.put(HungUp(3, 200, "hangup"))
        told = [event async for event in inbox]
        assert len(told) == AUDIO_LIMIT + 2
        assert inbox.dropped == 10
        assert isinstance(told[-2], native.Digit)

    asyncio.run(story())
