"""Calls over ConversationRelay: the messages, the leg, and an agent on it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.agent.history import History
from offhook.call import Agent, Call, Models, events
from offhook.call.events import CallEvent, Ended
from offhook.call.leg import CallInfo
from offhook.carriers.relay import REFUSED_LIMIT, RelayLeg
from offhook.carriers.services.relay import FRAME_LIMIT, Interrupt, Prompt, Refused, Relay, Setup, Sounded
from offhook.carriers.services.stream import Odd, Pressed
from offhook.core.errors import CallEnded, DialFailed, TransferFailed
from offhook.core.ids import CallId
from offhook.examples.receptionist import agent as receptionist
from offhook.providers.brain import Minds
from offhook.providers.offline.model import offline_model
from offhook.testing.fake_relay import FakeRelay
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain

LUIGI = Agent("You answer the phone for Luigi's.", greeting="Luigi's, good evening!")
HOURS = "We are open from five to eleven every day but Sunday. Anything else?"
HOSTILE = [
    "<Say>&amp;",
    '"}\\',
    "\x00\x07\x1b[31m",
    "\ud800 alone",
    "🍕" * 10,
    "x" * 100_000,
    "\u2028",
    "'; DROP TABLE",
]


class Office:
    """What can be done with the call beside the words."""

    def __init__(self, code: int = 200) -> None:
        self.code = code
        self.transfers = True
        self.done: list[str] = []
        self.leg: RelayLeg | None = None

    async def hang_up(self) -> None:
        self.done.append("hang up")

    async def transfer(self, target: str) -> None:
        self.done.append(target)
        if self.leg is not None:
            self.leg.lost()  # the service has taken the call elsewhere
        await asyncio.sleep(1)
        if self.code != 200:
            raise TransferFailed(self.code, "nobody is there")


class Stand:
    """A call with its socket."""

    def __init__(self, agent: Any, brain: Any = None, *, tells: bool = True, code: int = 200, **settings: Any) -> None:
        self.office = Office(code)
        info = CallInfo(CallId("call-1"), "inbound", "+15551234567", "+15557654321")
        self.gone: list[Any] = []
        self.leg = RelayLeg(info, self.office, gone=self.gone.append)
        self.caller = FakeRelay(self.leg.hear, self.leg.lost, tells=tells)
        lines = ["Hm?"] if isinstance(brain, Minds | None) else brain
        scripted = lines if isinstance(lines, ScriptedBrain) else ScriptedBrain(lines)
        mind = Models(brain=brain if isinstance(brain, Minds) else lambda _: scripted)
        self.told: list[CallEvent] = []
        self.call = Call(self.leg, agent, models=mind, events=self.told.append, **settings)
        self.task = asyncio.create_task(self.call.run())

    async def begins(self) -> Stand:
        await self.leg.decided()
        self.leg.attach(self.caller)
        self.caller.connects()
        return self

    async def over(self) -> Ended:
        ended = await self.task
        assert self.gone == [self.leg]
        assert self.caller.closed
        return ended

    @property
    def transcript(self) -> list[str]:
        return self.call.history.transcript().splitlines()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await main
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], "something is left running"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


# The messages


def begun() -> Relay:
    relay = Relay()
    relay.hear('{"type":"setup","callSid":"CA1"}')
    return relay


def test_a_session_says_whose_call_it_is() -> None:
    message = {
        "type": "setup",
        "sessionId": "VX1",
        "callSid": "CA1",
        "from": "+15551234567",
        "to": "+15557654321",
        "direction": "outbound-api",
        "callerName": "Ada",
        "forwardedFrom": "+15550000000",
        "customParameters": {"session": "abc", "odd": 7},
    }
    told = Relay().hear(json.dumps(message))
    caller, called = "+15551234567", "+15557654321"
    assert told == Setup("VX1", "CA1", caller, called, "outbound", "Ada", "+15550000000", {"session": "abc"})
    telnyx = Relay().hear('{"type":"setup","callControlId":"v3:x"}')
    assert isinstance(telnyx, Setup)
    assert telnyx.call == "v3:x"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"type": "prompt", "voicePrompt": "hello", "lang": "en-US", "last": True}, Prompt("hello", "en-US", True)),
        ({"type": "prompt", "voicePrompt": "hel", "last": False}, Prompt("hel", "", False)),
        ({"type": "prompt", "voicePrompt": 7}, Odd("prompt")),
        ({"type": "dtmf", "digit": "5"}, Pressed("5")),
        ({"type": "dtmf", "digit": "55"}, Odd("dtmf")),
        ({"type": "dtmf"}, Odd("dtmf")),
        (
            {"type": "interrupt", "utteranceUntilInterrupt": "Life is", "durationUntilInterruptMs": 460},
            Interrupt("Life is", 460),
        ),
        ({"type": "interrupt", "durationUntilInterruptMs": "460"}, Interrupt(None, 460)),
        ({"type": "interrupt", "durationUntilInterruptMs": "1e9"}, Interrupt(None, None)),
        ({"type": "interrupt", "durationUntilInterruptMs": True}, Interrupt(None, None)),
        ({"type": "info", "name": "tokensPlayed", "value": "Hi"}, Sounded("Hi")),
        ({"type": "info", "name": "agentSpeaking", "value": "on"}, None),
        ({"type": "error", "description": "bad"}, Refused("bad")),
        ({"type": "a new kind"}, None),
        ({"type": ["setup"]}, Odd("no_type")),
        ({"type": "setup", "callSid": "CA2"}, Odd("setup_again")),
    ],
)
def test_messages_are_read(message: Any, told: Any) -> None:
    assert begun().hear(json.dumps(message)) == told


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"\x00\x01", "binary"),
        ("x" * (FRAME_LIMIT + 1), "too_long"),
        ("{", "no_json"),
        ("[" * 100_000, "no_json"),
        ("[1]", "no_object"),
        ('{"type":"prompt","voicePrompt":"too early"}', "before_setup"),
        ('{"type":"setup"}', "setup"),
    ],
)
def test_what_makes_no_sense_is_counted_and_never_raises(frame: Any, why: str) -> None:
    assert Relay().hear(frame) == Odd(why)


@given(st.text() | st.binary() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_nothing_that_comes_raises(frame: Any) -> None:
    begun().hear(frame if isinstance(frame, str | bytes) else json.dumps(frame))


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_is_said_the_message_is_one_that_the_service_takes(text: str) -> None:
    run(_takes(text))


async def _takes(text: str) -> None:
    service = FakeRelay(lambda _: None, lambda: None)
    frames = Relay().say(text, last=True)
    for frame in frames:
        frame.encode()  # UTF-8 can hold it
        service.send(frame)
    assert service.refused == []
    tokens = [json.loads(frame) for frame in frames]
    assert [token["last"] for token in tokens] == [False] * (len(tokens) - 1) + [True]
    kept = "".join(token["token"] for token in tokens)
    assert kept == "".join(one for one in text if one.isprintable() or one == "\u2028")


def test_keys_that_the_service_can_not_send_are_no_keys() -> None:
    assert json.loads(Relay().press("12#*w")) == {"type": "sendDigits", "digits": "12#*w"}
    for wrong in ("A", "", "1;2", "1\n"):
        with pytest.raises(ValueError, match="only"):
            Relay().press(wrong)


def test_the_end_brings_its_reason_as_a_string() -> None:
    message = json.loads(Relay().end("hangup"))
    assert message == {"type": "end", "handoffData": '{"reason": "hangup"}'}


# The leg, with an agent on it


@pytest.mark.parametrize("tells", [True, False], ids=["tokens are told", "tokens are not told"])
def test_an_agent_talks_is_interrupted_takes_a_key_and_says_goodbye(tells: bool) -> None:
    async def main() -> None:
        stand = await Stand(LUIGI, [HOURS, "On Monday, too.", "Five it is."], tells=tells).begins()
        await asyncio.sleep(3)
        stand.caller.says("when are you open")
        await asyncio.sleep(1.5)
        stand.caller.says("stop, are you open on monday?")
        await asyncio.sleep(5)
        stand.caller.presses("5#")
        await asyncio.sleep(4)
        await stand.call.hangup("Goodbye!")
        assert (await stand.over()).reason == "hangup"
        assert stand.transcript == [
            "agent: Luigi's, good evening!",
            "caller: when are you open",
            "agent: We are open from five —",
            "caller: stop, are you open on monday?",
            "agent: On Monday, too.",
            "caller: [5]",
            "agent: Five it is.",
            "agent: Goodbye!",
        ]
        assert stand.caller.heard_text.endswith("Goodbye!"), "it was heard before the end"
        assert stand.caller.ended == '{"reason": "hangup"}'
        assert stand.caller.refused == []
        assert stand.office.done == ["hang up"]

    run(main())


SLOW = ["We", " are", " op", "en", " from five", " to eleven", " every day", ". ", "Any", "thing else?"]


def texts(stand: Stand, since: float) -> list[tuple[float, str, bool]]:
    """Give what was sent to be spoken: when, in seconds after `since`."""
    return [
        (round(at - since, 3), message["token"], message["last"])
        for at, message in stand.caller.taken
        if message["type"] == "text" and at >= since
    ]


def test_words_are_sent_as_the_brain_makes_them() -> None:
    async def main() -> None:
        brain = ScriptedBrain([SLOW], delay_s=0.2, pace_s=0.25)
        stand = await Stand(LUIGI, brain).begins()
        await asyncio.sleep(3)
        asked = asyncio.get_running_loop().time()
        stand.caller.says("when are you open")
        await asyncio.sleep(8)
        tokens = [piece if at != 7 else "." for at, piece in enumerate(SLOW)]
        tokens[8] = " Any"
        assert texts(stand, asked) == [
            *((round(0.2 + 0.25 * at, 3), token, False) for at, token in enumerate(tokens)),
            (round(0.2 + 0.25 * len(tokens), 3), "", True),
        ]
        stand.caller.hangs_up()
        await stand.over()
        assert stand.transcript[-1] == "agent: We are open from five to eleven every day. Anything else?"

    run(main())


@pytest.mark.parametrize("tells", [True, False], ids=["tokens are told", "tokens are not told"])
def test_who_interrupts_a_slow_brain_is_sent_no_word_more(tells: bool) -> None:
    async def main() -> None:
        brain = ScriptedBrain([SLOW, "On Monday, too."], delay_s=0.2, pace_s=0.5)
        stand = await Stand(LUIGI, brain, tells=tells).begins()
        await asyncio.sleep(3)
        asked = asyncio.get_running_loop().time()
        stand.caller.says("when are you open")
        await asyncio.sleep(0.2 + 4 * 0.5 + 0.45)  # " from five" is being spoken
        sent = texts(stand, asked)
        stand.caller.says("stop, are you open on monday?")
        await asyncio.sleep(0.49)
        assert texts(stand, asked) == sent
        assert [token for _, token, _ in sent] == SLOW[:5]
        await asyncio.sleep(5)
        stand.caller.hangs_up()
        await stand.over()
        assert stand.transcript[-3:] == [
            "agent: We are open from —",
            "caller: stop, are you open on monday?",
            "agent: On Monday, too.",
        ]

    run(main())


def test_half_a_sentence_that_was_heard_whole_is_cut_all_the_same() -> None:
    async def main() -> None:
        brain = ScriptedBrain([SLOW, "On Monday, too."], pace_s=1)
        stand = await Stand(LUIGI, brain).begins()
        await asyncio.sleep(3)
        stand.caller.says("when are you open")
        await asyncio.sleep(3.9)  # what there is was spoken, and the service waits for more
        assert not stand.caller.speaking
        stand.caller.interrupts()
        stand.caller.says("are you open on monday?")
        await asyncio.sleep(5)
        stand.caller.hangs_up()
        await stand.over()
        assert stand.transcript[-3:] == [
            "agent: We are open —",
            "caller: are you open on monday?",
            "agent: On Monday, too.",
        ]

    run(main())


def test_no_word_of_a_reply_is_sent_before_the_turn_is_over() -> None:
    async def main() -> None:
        def script(history: History) -> list[str]:
            return ["For ", "two."] if history.last_heard().endswith("and") else ["And ", "a chair."]

        stand = await Stand(LUIGI, ScriptedBrain(script, delay_s=0.05, pace_s=0.05)).begins()
        await asyncio.sleep(3)
        asked = asyncio.get_running_loop().time()
        stand.caller.says("a table for two and")  # the reply is made on trial, and waits
        await asyncio.sleep(0.4)
        stand.caller.says("a high chair")
        await asyncio.sleep(3)
        assert "".join(token for _, token, _ in texts(stand, asked)) == "And a chair."
        stand.caller.hangs_up()
        await stand.over()

    run(main())


def test_a_brain_that_a_noise_stopped_in_mid_sentence_is_asked_how_it_goes_on() -> None:
    async def main() -> None:
        def script(history: History) -> list[str]:
            return ["to eleven."] if history.last_said().startswith("We are") else SLOW

        stand = await Stand(LUIGI, ScriptedBrain(script, pace_s=0.5)).begins()
        await asyncio.sleep(3)
        stand.caller.says("when are you open")
        await asyncio.sleep(2.6)
        stand.caller.interrupts()
        await asyncio.sleep(9)
        stand.caller.hangs_up()
        await stand.over()
        assert stand.transcript[-2:] == ["agent: We are open from —", "agent: to eleven."]

    run(main())


def test_texts_that_the_service_tells_of_together_are_heard_one_and_all() -> None:
    async def main() -> None:
        stand = await Stand(LUIGI, [SLOW], tells=False).begins()
        stand.caller.tells_us({"type": "info", "name": "tokensPlayed", "value": "Luigi's, good evening!"})
        stand.caller.says("when are you open")
        await asyncio.sleep(1)
        first = "We are open from five to eleven every day."
        stand.caller.tells_us({"type": "info", "name": "tokensPlayed", "value": first})
        await asyncio.sleep(0.1)
        assert len(stand.transcript) == 2, "its end was not told yet"
        stand.caller.tells_us({"type": "info", "name": "tokensPlayed", "value": "Anything else?"})
        await asyncio.sleep(0.1)
        assert stand.transcript[-1] == "agent: We are open from five to eleven every day. Anything else?"
        stand.caller.hangs_up()
        await stand.over()

    run(main())


def test_a_goodbye_is_heard_though_the_service_is_slow_and_tells_nothing() -> None:
    async def main() -> None:
        async def leaves(call: Call) -> None:
            await call.hangup("Thank you for your call, and have a very nice evening.")

        stand = Stand(leaves, tells=False)
        stand.caller.letter_s = 0.075
        await stand.begins()
        await stand.over()
        assert stand.caller.heard_text == "Thank you for your call, and have a very nice evening."

    run(main())


def test_the_receptionist_books_a_table() -> None:
    async def main() -> None:
        stand = await Stand(receptionist, Minds(offline_model(None))).begins()
        await asyncio.sleep(4)
        for words in ("i want to book a table", "for two people", "half past seven", "ada lovelace", "yes please"):
            stand.caller.says(words)
            await asyncio.sleep(7)
        stand.caller.hangs_up()
        assert (await stand.over()).reason == "remote_hangup"
        tools = [event for event in stand.told if isinstance(event, events.Tool)]
        assert [(tool.name, tool.failed) for tool in tools] == [("book_table", False)]

    run(main())


def test_keys_are_gathered_and_pressed() -> None:
    async def main() -> None:
        got: list[str] = []

        async def script(call: Call) -> None:
            got.append(await call.gather("Your PIN?", digits=4))
            await call.press("12#")
            await call.hangup("Thanks.")

        stand = await Stand(script).begins()
        await asyncio.sleep(2)
        stand.caller.presses("1234")
        await stand.over()
        assert got == ["1234"]
        assert stand.caller.pressed == "12#"

    run(main())


@pytest.mark.parametrize(("code", "reason"), [(200, "transferred"), (486, "remote_hangup")])
def test_a_transfer_goes_by_the_service_and_outlives_the_socket(code: int, reason: str) -> None:
    async def main() -> None:
        codes: list[int] = []

        async def script(call: Call) -> None:
            try:
                await call.transfer("+15550000001")
            except TransferFailed as failed:
                codes.append(failed.code)
                raise CallEnded("gone") from None

        stand = await Stand(script, code=code, allow=("+1",)).begins()
        stand.office.leg = stand.leg
        ended = await stand.over()
        assert (ended.reason, codes) == (reason, [] if code == 200 else [486])
        assert stand.office.done == ["+15550000001"]

    run(main())


def test_a_service_that_takes_nothing_any_more_ends_the_call_before_it_is_cut_off() -> None:
    async def main() -> None:
        stand = await Stand(LUIGI).begins()
        await asyncio.sleep(3)
        for _ in range(REFUSED_LIMIT):
            stand.caller.tells_us({"type": "error", "description": "\x1b[31mInvalid\nmessage"})
        assert (await stand.over()).reason == "failed"
        assert stand.leg.counters()["refused"] == REFUSED_LIMIT

    run(main())


def test_a_call_that_is_refused_says_so_before_any_document() -> None:
    async def main() -> None:
        leg = RelayLeg(CallInfo(CallId("c"), "inbound", "a", "b"), Office(), gone=lambda _: None)
        await leg.reject("busy")
        with pytest.raises(DialFailed) as refused:
            await leg.decided()
        assert refused.value.code == 486

    run(main())


def test_a_socket_that_never_comes_ends_the_call() -> None:
    async def main() -> None:
        stand = Stand(LUIGI)
        stand.caller.closed = True
        await stand.leg.decided()
        assert (await stand.over()).reason == "no_media"

    run(main())


def test_a_new_socket_takes_the_place_of_the_one_that_broke() -> None:
    async def main() -> None:
        stand = await Stand(LUIGI, ["For two.", "At eight."]).begins()
        await asyncio.sleep(3)
        again = FakeRelay(stand.leg.hear, stand.leg.lost)
        stand.leg.attach(again)
        again.connects()
        assert stand.caller.closed
        again.says("a table for two")
        await asyncio.sleep(3)
        again.hangs_up()
        await stand.over()
        assert stand.transcript[1:] == ["caller: a table for two", "agent: For two."]

    run(main())


@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_messages_breaks_a_call(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        stand = await Stand(LUIGI, [HOURS]).begins()
        texts = ["when are you open", "", " ", "uh", *HOSTILE]
        for _ in range(300):
            kind = rng.choice(("prompt", "dtmf", "interrupt", "info", "error", "setup", "what", None))
            message = {
                "type": kind,
                "voicePrompt": rng.choice([*texts, None, 7]),
                "last": rng.choice([True, False, None, "no"]),
                "digit": rng.choice(["1", "#", "A", "", None]),
                "utteranceUntilInterrupt": rng.choice([*texts, "We are open", None]),
                "durationUntilInterruptMs": rng.choice([0, 500, "700", -1, 10**30, None]),
                "name": "tokensPlayed",
                "value": rng.choice([*texts, "Luigi's, good evening!"]),
                "callSid": "CA9",
            }
            if kind == "error" and rng.random() < 0.8:
                continue
            stand.caller.tells_us(rng.choice([message, message, message, "{", b"\xff", []]))
            await asyncio.sleep(rng.choice([0, 0, 0.01, 0.3, 2]))
        await stand.call.hangup()
        await stand.over()
        assert stand.caller.refused == []

    run(main())
