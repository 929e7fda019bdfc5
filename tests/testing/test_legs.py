"""Every leg keeps the contract, and the check of it finds legs that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from offhook import _native as native
from offhook.call.leg import AudioLeg
from offhook.carriers.services.service import Carried, Direct
from offhook.carriers.services.twilio.media import MediaStream
from offhook.core.signals import Connected, HungUp
from offhook.testing import LegBroken, Pair, check_leg
from offhook.testing.callers import CallerPhone
from offhook.testing.carriers import FAKES
from offhook.testing.carriers.pairs import stream_pair
from offhook.testing.carriers.twilio import TwilioTongue
from offhook.testing.world import World


def test_a_leg_over_sip_keeps_the_contract() -> None:
    world = World("legs")
    places = iter(range(1, 200))

    @asynccontextmanager
    async def make() -> AsyncGenerator[Pair]:
        place = next(places)
        async with CallerPhone(world, f"10.1.0.{place}") as desk, CallerPhone(world, f"10.2.0.{place}") as phone:
            far = await phone.dials(f"sip:desk@10.1.0.{place}")
            phone.line.settle()
            yield Pair(await desk.rung(), far)

    world.run(check_leg(make))


@pytest.mark.parametrize("name", sorted(FAKES))
def test_a_leg_of_a_service_keeps_the_contract(name: str) -> None:
    world = World("legs")
    places = iter(range(1, 200))
    fake = FAKES[name](None)

    @asynccontextmanager
    async def make() -> AsyncGenerator[Pair]:
        place = next(places)
        service = fake.service()
        assert isinstance(service, Carried | Direct)
        dialect, tongue = service.dialect(), fake.tongue(f"call-{place}")
        async with stream_pair(world, dialect, tongue, ip=f"10.1.0.{place}", rtt_s=0.15) as pair:
            yield pair

    world.run(check_leg(make))


# Legs that are broken on purpose: each fault is found, by the law that it breaks.


class BrokenLeg:
    """A leg that does one thing wrong."""

    def __init__(self, leg: Any, fault: str) -> None:
        self._leg = leg
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leg, name)

    async def events(self) -> AsyncIterator[Any]:
        held: list[Any] = []
        async for event in self._leg.events():
            for told in EVENTS.get(self._fault, lambda event, held: [event])(event, held):
                yield told

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        match self._fault:
            case "swaps its audio":
                half = len(pcm) // 4 * 2
                return self._leg.play(utterance, pcm[half:] + pcm[:half], rate_hz)
            case "loses the end of what is played":
                self._leg.play(utterance, pcm[: len(pcm) // 4 * 2], rate_hz)
                return len(pcm)
            case "knows one rate":
                return self._leg.play(utterance, pcm, 8000)
            case "takes what is no PCM":
                return self._leg.play(utterance, pcm[: len(pcm) & ~1], rate_hz)
            case _:
                return self._leg.play(utterance, pcm, rate_hz)

    def hush(self) -> None:
        if self._fault != "does not hush":
            self._leg.hush()

    def press(self, keys: str) -> None:
        match self._fault:
            case "presses every key twice":
                self._leg.press("".join(key + key for key in keys))
            case "takes what is no key":
                self._leg.press("".join(key for key in keys if key in "0123456789*#ABCD"))
            case _:
                self._leg.press(keys)

    def listen(self, mode: Any, gain_control: bool = False) -> None:
        self._leg.listen("all" if self._fault == "does not stop listening" else mode, gain_control)

    def tape(self, on: bool) -> None:
        if self._fault != "begins no tape":
            self._leg.tape(on)

    async def hangup(self, code: int = 200) -> None:
        if self._fault != "does not hang up":
            await self._leg.hangup(code)
        if self._fault == "hangs up for ever":
            await asyncio.Event().wait()


def _instead(kind: type[Any], make: Callable[[Any], list[Any]]) -> Callable[[Any, list[Any]], list[Any]]:
    return lambda event, held: make(event) if isinstance(event, kind) else [event]


def _last(event: Any, held: list[Any]) -> list[Any]:
    """Hold marks back until the second, and tell them in the wrong order."""
    if not isinstance(event, native.Marked):
        return [event]
    held.append(event)
    return held[::-1] if len(held) == 2 else []


def _began_last(event: Any, held: list[Any]) -> list[Any]:
    if isinstance(event, native.SpeechBegan):
        held.append(event)
        return []
    return [event, held.pop()] if isinstance(event, native.SpeechEnded) and held else [event]


def _taped(event: native.Taped, pcm: bytes) -> native.Taped:
    return native.Taped(event.port, event.seq, event.at, pcm, event.rate_hz)


def _swapped(pcm: bytes) -> bytes:
    return b"".join([pcm[at + 2 : at + 4] + pcm[at : at + 2] for at in range(0, len(pcm), 4)])


EVENTS: dict[str, Callable[[Any, list[Any]], list[Any]]] = {
    "tells Played twice": _instead(native.Played, lambda event: [event, event]),
    "never tells Played": _instead(native.Played, lambda event: []),
    "tells marks in the wrong order": _last,
    "tells no mark": _instead(native.Marked, lambda event: []),
    "tells no Cut": _instead(native.Cut, lambda event: []),
    "says that all was heard": _instead(
        native.Cut,
        lambda one: [native.Cut(one.port, one.seq, one.at, one.utterance, one.generation, 99_000, 99_000)],
    ),
    "says that nothing was heard": _instead(
        native.Cut, lambda one: [native.Cut(one.port, one.seq, one.at, one.utterance, one.generation, one.sent_ms, 0)]
    ),
    "tells the end of speech before its beginning": _began_last,
    "tells each beginning of speech twice": _instead(native.SpeechBegan, lambda event: [event, event]),
    "hears all twice": _instead(native.Heard, lambda event: [event, event]),
    "hears silence": _instead(
        native.Heard,
        lambda one: [native.Heard(one.port, one.seq, one.at, bytes(len(one.pcm)), one.concealed, one.rate_hz)],
    ),
    "tells a key that nobody pressed": _instead(
        native.SpeechBegan, lambda event: [native.Digit(event.port, event.seq, event.at, "7", 100), event]
    ),
    "tells marks of another utterance": _instead(
        native.Marked, lambda one: [native.Marked(one.port, one.seq, one.at, one.utterance + 4, one.mark)]
    ),
    "tells no instant": _instead(
        native.Played, lambda one: [native.Played(one.port, one.seq, 0, one.utterance, one.sent_ms)]
    ),
    "tapes the sides the wrong way round": _instead(native.Taped, lambda event: [_taped(event, _swapped(event.pcm))]),
    "tapes silence": _instead(native.Taped, lambda event: [_taped(event, bytes(len(event.pcm)))]),
    "is connected twice": _instead(Connected, lambda event: [event, event]),
    "says that the end was a failure": _instead(
        HungUp, lambda event: [HungUp(event.at, 500, event.reason, event.meaning)]
    ),
    "tells no end of speech": _instead(native.SpeechEnded, lambda event: []),
    "tells keys twice": _instead(native.Digit, lambda event: [event, event]),
    "tells no Room": _instead(native.Room, lambda event: []),
    "tells the end twice": _instead(HungUp, lambda event: [event, event]),
    "tells something after the end": _instead(HungUp, lambda event: [event, Connected(event.at)]),
    "says that we hung up": _instead(HungUp, lambda event: [HungUp(event.at, event.code, "hangup", event.meaning)]),
    "loses half of the tape": _instead(native.Taped, lambda event: [] if event.seq % 2 else [event]),
    "never says that it is connected": _instead(Connected, lambda event: []),
}
VERBS = (
    "swaps its audio",
    "loses the end of what is played",
    "knows one rate",
    "takes what is no PCM",
    "does not hush",
    "takes what is no key",
    "does not stop listening",
    "begins no tape",
    "does not hang up",
    "hangs up for ever",
)


@pytest.mark.parametrize("fault", [*EVENTS, *VERBS])
def test_a_broken_leg_is_found(fault: str) -> None:
    world = World("broken", limit_s=100_000)
    places = iter(range(1, 200))

    @asynccontextmanager
    async def make() -> AsyncGenerator[Pair]:
        place = next(places)
        tongue = TwilioTongue("CA1", f"MZ{place}")
        async with stream_pair(world, MediaStream(), tongue, ip=f"10.1.0.{place}") as pair:
            yield Pair(cast("AudioLeg", BrokenLeg(pair.leg, fault)), pair.far, pair.rtt_s)

    with pytest.raises(LegBroken):
        world.run(check_leg(make))
