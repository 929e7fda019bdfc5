"""Calls that go turn by turn: what a service is answered, whatever it asks and in which order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from offhook.agent.manners import Manners
from offhook.agent.orders import Wait
from offhook.call import Agent, Call, Models, events
from offhook.call.events import CallEvent
from offhook.call.leg import CallInfo
from offhook.carriers.services.service import Handed, Said
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.turns import SAYS_LIMIT, TurnLeg
from offhook.core.errors import TransferFailed
from offhook.core.ids import CallId
from offhook.examples.receptionist import agent as receptionist
from offhook.providers.brain import Minds
from offhook.providers.offline.model import offline_model
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain

LUIGI = Agent("You answer the phone for Luigi's.", greeting="Luigi's, good evening!")
LISTENS = Wait(True, 0, "", Manners().prompt_after_ms)


class Stand:
    """A call, and the service's requests about it."""

    def __init__(self, agent: Any, brain: Any = None, *, tells: bool = True, **settings: Any) -> None:
        info = CallInfo(CallId("call-1"), "inbound", "+15551234567", "+15557654321")
        self.gone: list[Any] = []
        self.leg = TurnLeg("gather", info, gone=self.gone.append, tells=tells)
        self.told: list[CallEvent] = []
        self.call = Call(self.leg, agent, models=brain or Models(), events=self.told.append, **settings)
        self.task = asyncio.create_task(self.call.run())

    async def first(self) -> Turn:
        await self.leg.decided()
        return await self.leg.take(None, within_s=10)

    async def says(self, text: str = "", keys: str = "", **more: Any) -> Turn:
        return await self.leg.take(Said("call-1", text, keys), within_s=10, **more)


def brain(*lines: str, delay_s: float = 0.1) -> Models:
    scripted = ScriptedBrain(lines, delay_s=delay_s)
    return Models(brain=lambda _: scripted)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await main
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], "something is left running"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


def test_each_request_is_answered_with_what_is_said_and_what_then() -> None:
    async def main() -> None:
        stand = Stand(LUIGI, brain("For two. At what time?", "See you."))
        assert await stand.first() == Turn(("Luigi's, good evening!",), LISTENS)
        assert await stand.says("a table for two") == Turn(("For two. At what time?",), LISTENS)
        assert await stand.says("at eight") == Turn(("See you.",), LISTENS)
        stand.leg.left()
        assert (await stand.task).reason == "remote_hangup"
        assert stand.call.history.transcript().splitlines()[-2:] == ["caller: at eight", "agent: See you."]
        assert stand.gone == [stand.leg]
        assert (await stand.says("hello?")).then == Leave()

    run(main())


def test_a_request_that_comes_twice_is_answered_twice_and_heard_once() -> None:
    async def main() -> None:
        stand = Stand(LUIGI, brain("For two.", "Twice!", delay_s=1.0))
        await stand.first()
        both = await asyncio.gather(stand.says("for two", key="1"), stand.says("for two", key="1"))
        assert both[0] == both[1] == Turn(("For two.",), LISTENS)
        assert await stand.says("for two", key="1") == both[0]
        assert (await stand.says("again", key="2")).text == "Twice!"
        stand.leg.left()
        await stand.task
        assert stand.call.history.transcript().count("caller:") == 2

    run(main())


def test_an_answer_that_is_late_comes_in_pieces() -> None:
    async def main() -> None:
        async def slow(call: Call) -> None:
            await call.say("Let me look.")
            await asyncio.sleep(25)
            await call.say("Found it.")
            await call.ask("What else?", timeout_s=4)

        stand = Stand(slow)
        assert await stand.first() == Turn(("Let me look.",), Again())
        assert await stand.leg.take(None, within_s=10) == Turn((), Again())
        assert await stand.leg.take(None, within_s=10) == Turn(("Found it.", "What else?"), Wait(True, 0, "", 4000))
        assert (await stand.says("nothing")).then == Leave()
        await stand.task

    run(main())


def test_a_slow_mind_brings_no_fillers_but_an_apology_in_the_end() -> None:
    async def main() -> None:
        stand = Stand(LUIGI, brain("never", delay_s=100))
        await stand.first()
        turns = [await stand.says("hello")]
        while isinstance(turns[-1].then, Again):
            turns.append(await stand.leg.take(None, within_s=10))
        assert [turn.text for turn in turns] == ["", "", "", Manners().apology]
        assert turns[-1].then == Leave()
        assert (await stand.task).reason == "failed"

    run(main())


def test_keys_and_digits_among_words_are_gathered() -> None:
    async def main() -> None:
        got: list[str] = []

        async def pin(call: Call) -> None:
            got.append(await call.gather("PIN?", digits=4))
            got.append(await call.gather("Again?", digits=4))
            got.append(await call.gather("Once more?", digits=4))
            await call.hangup("Bye.")

        stand = Stand(pin)
        assert (await stand.first()).then == Wait(False, 4, "#", 8000)
        await stand.says(keys="12ab;34<9")
        assert (await stand.says("it is 5 6 7 8")).text == "Once more?"
        assert await stand.says("no idea") == Turn(("Bye.",), Leave())
        await stand.task
        assert got == ["1234", "5678", ""]

    run(main())


@pytest.mark.parametrize("tells", [True, False])
def test_a_transfer_is_the_answer(tells: bool) -> None:
    async def main() -> None:
        async def hands_on(call: Call) -> None:
            await call.say("I put you through.")
            await call.transfer("+15550000001")

        stand = Stand(hands_on, tells=tells, allow=("+1",))
        assert await stand.first() == Turn(("I put you through.",), Connect("+15550000001"))
        if tells:
            assert (await stand.leg.take(Handed("call-1", 200), within_s=10)).then == Leave()
        assert (await stand.task).reason == "transferred"

    run(main())


def test_a_transfer_that_fails_goes_on_in_words() -> None:
    async def main() -> None:
        async def hands_on(call: Call) -> None:
            try:
                await call.transfer("+15550000001")
            except TransferFailed as failed:
                await call.hangup(f"That was {failed.code}.")

        stand = Stand(hands_on, allow=("+1",))
        await stand.first()
        assert await stand.leg.take(Handed("call-1", 486), within_s=10) == Turn(("That was 486.",), Leave())
        await stand.task

    run(main())


def test_whoever_hangs_up_in_a_transfer_is_gone() -> None:
    async def main() -> None:
        async def hands_on(call: Call) -> None:
            await call.transfer("+15550000001")

        stand = Stand(hands_on, allow=("+1",))
        await stand.first()
        stand.leg.left()
        assert (await stand.task).reason == "remote_hangup"

    run(main())


def test_a_service_that_asks_no_more_has_lost_its_caller() -> None:
    async def main() -> None:
        stand = Stand(LUIGI, brain("Hm?"))
        await stand.first()
        assert (await stand.task).reason == "stalled"

    run(main())


def test_an_author_who_says_too_much_for_one_answer_is_cut_short() -> None:
    async def main() -> None:
        async def talks(call: Call) -> None:
            for number in range(2 * SAYS_LIMIT):
                await call.say(f"{number}.")

        stand = Stand(talks)
        turn = await stand.first()
        assert (len(turn.says), turn.then) == (SAYS_LIMIT, Leave())
        await stand.task
        assert stand.leg.counters() == {"unsaid": SAYS_LIMIT}

    run(main())


def test_the_receptionist_books_a_table() -> None:
    async def main() -> None:
        stand = Stand(receptionist, Models(brain=Minds(offline_model(None))))
        await stand.first()
        for words in ("i want to book a table", "for two people", "half past seven", "ada lovelace", "yes please"):
            turn = await stand.says(words)
        assert "Booked: 2" in turn.text
        stand.leg.left()
        await stand.task
        assert [event.name for event in stand.told if isinstance(event, events.Tool)] == ["book_table"]

    run(main())


@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_requests_breaks_a_call(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        stand = Stand(receptionist, Models(brain=Minds(offline_model(None))), allow=("sip:*",))
        await stand.leg.decided()
        asked: list[asyncio.Task[Turn]] = []
        for number in range(60):
            given = rng.choice(
                [
                    None,
                    Said("call-1"),
                    Said("call-1", rng.choice(["a table", "yes", "\x00\ud800", "🍕" * 1000, "a person please"])),
                    Said("call-1", keys=rng.choice(["1", "#", "1" * 5000, "<>"])),
                    Handed("call-1", rng.choice([200, 486])),
                ]
            )
            key = str(rng.choice([number, number - 1, ""]))
            asked.append(asyncio.create_task(stand.leg.take(given, key=key, within_s=rng.choice([0, 0.01, 2]))))
            await asyncio.sleep(rng.choice([0, 0.001, 1]))
        turns = await asyncio.gather(*asked)
        assert all(isinstance(turn, Turn) for turn in turns)
        stand.leg.left()
        await stand.task

    run(main())
