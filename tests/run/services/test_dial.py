"""Calls that a service places for us: what becomes of them, that nothing is left of one that came to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, cast

import pytest

import offhook
from carriers.clerk import live
from offhook.call import events
from offhook.core.errors import CallEnded, ConfigError, DialFailed, NotAllowed, OffhookError, Unreachable
from offhook.policy.toll import Caps
from offhook.run.host import HostRules
from offhook.run.services import Switchboard
from offhook.testing.callers import Caller
from offhook.testing.carriers.twilio import FakeTwilio

TO, OURS = "+15557770001", "+15552223333"


async def reminder(call: offhook.Call) -> None:
    heard = await call.ask("your table is booked will you come", timeout_s=10)
    await call.hangup(f"you said {heard} goodbye")


async def silent(call: offhook.Call) -> None:
    await call.heard()
    await asyncio.Event().wait()


class Office:
    """A host with an account at a fake Twilio, from which it calls."""

    def __init__(self, phone: FakeTwilio) -> None:
        self.phone = phone
        self.board = cast("Switchboard", phone.board)
        self._callees: dict[str, Caller] = {}

    async def dial(
        self, agent: Any = reminder, to: str = TO, *, ring_s: int = 30, detect: Literal["", "sync", "async"] = ""
    ) -> offhook.Call:
        return await self.board.dial("twilio", to, agent, caller=OURS, ring_s=ring_s, detect=detect)

    def callee(self) -> Caller:
        """Give the person who was called last."""
        name, end = list(self.phone.ends.items())[-1]
        if name not in self._callees:
            self._callees[name] = self.phone.caller(end)
        return self._callees[name]

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.phone.events if isinstance(event, kind)]

    async def settles(self) -> None:
        """Let all that is under way arrive, and see that nothing is left."""
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(60.0)
        assert asyncio.get_running_loop().time() > before
        host = self.board.host
        assert host.live == 0
        assert host.conversations.calls == {}
        assert self.board.waiting == 0
        assert host.counters()["failures"] == 0
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert [task for task in tasks if "run/" in str(task.get_coro())] == []

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What the API was asked, as its path behind the account and its body."""
        return [(order.url.partition("/Calls")[2], order.body.decode()) for order in self.phone.asked]


def story(main: Callable[[Office], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        async with FakeTwilio(reminder, **options) as phone:
            await main(Office(phone))

    live(run)


def test_who_is_called_hears_the_agent_and_is_heard() -> None:
    async def main(office: Office) -> None:
        call = await office.dial()
        assert call.direction == "outbound"
        assert (call.caller, call.called) == (OURS, TO)
        callee = office.callee()
        await callee.hears("will you come")
        await callee.says("four")
        await callee.hears("you said four goodbye")
        await callee.gone()
        await office.settles()
        assert [event.code for event in office.told(events.Progress)] == [180]
        assert [event.direction for event in office.told(events.Incoming)] == ["outbound"]
        assert office.told(events.Ended)[0].meaning == "ended"

    story(main)


@pytest.mark.parametrize(
    ("line", "code", "meaning"),
    [
        ("busy", 486, "busy"),
        ("no-answer", 480, "no_answer"),
        ("failed", 404, "not_found"),
        ("invalid", 404, "not_found"),
    ],
)
def test_who_does_not_take_it_says_why_and_nothing_is_left(line: str, code: int, meaning: str) -> None:
    async def main(office: Office) -> None:
        office.phone.lines[TO] = line
        with pytest.raises(DialFailed) as failed:
            await office.dial()
        assert (failed.value.code, failed.value.meaning) == (code, meaning)
        await office.settles()
        assert [event.code for event in office.told(events.Ended)] == [code]
        assert len(office.asked) == 1  # a call that is over is not ended again

    story(main)


def test_a_phone_that_rings_on_is_given_up_on_by_the_service() -> None:
    async def main(office: Office) -> None:
        office.phone.lines[TO] = "rings"
        with pytest.raises(DialFailed) as failed:
            await office.dial(ring_s=15)
        assert failed.value.meaning == "no_answer"
        await office.settles()

    story(main)


def test_an_api_that_does_not_answer_is_said_and_nothing_is_left() -> None:
    async def main(office: Office) -> None:
        office.phone.lines[TO] = "silent"
        with pytest.raises(Unreachable):
            await office.dial()
        await office.settles()

    story(main)


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.05, 0.1, 1.0, 2.5])
def test_a_call_that_is_cancelled_is_ended_at_the_service_whenever_that_is(after_s: float) -> None:
    async def main(office: Office) -> None:
        office.phone.lines[TO] = "rings"
        dialling = asyncio.create_task(office.dial())
        await asyncio.sleep(after_s)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await office.settles()
        placed = [body for path, body in office.asked if path == ".json"]
        ended = [path for path, body in office.asked if body == "Status=completed"]
        assert len(ended) == len(placed) == 1

    story(main)


def test_a_host_that_closes_ends_the_calls_that_ring() -> None:
    async def main(office: Office) -> None:
        office.phone.lines[TO] = "rings"
        dialling = asyncio.create_task(office.dial())
        await asyncio.sleep(1.0)
        await office.board.close()
        with pytest.raises(DialFailed):
            await dialling
        assert [body for _, body in office.asked][1:] == ["Status=completed"]

    story(main)


def test_an_answer_that_comes_for_a_call_that_was_given_up_is_hung_up_on() -> None:
    async def main(office: Office) -> None:
        dialling = asyncio.create_task(office.dial())
        await asyncio.sleep(2.15)  # it was answered, and its webhook is under way
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await office.settles()
        assert office.phone.ends == {}

    story(main)


@pytest.mark.parametrize("to", ["+49301234567", "911", "+112", "5551234", "sip:desk@pbx.example"])
def test_nobody_is_called_whom_the_rules_do_not_list(to: str) -> None:
    async def main(office: Office) -> None:
        with pytest.raises(NotAllowed):
            await office.dial(to=to)
        await office.settles()
        assert office.phone.asked == []

    story(main, dial=("+1", "+112", "911"))


def test_a_call_without_a_number_to_show_is_an_error_of_the_configuration() -> None:
    async def main(office: Office) -> None:
        with pytest.raises(ConfigError, match=r"services\.twilio\.caller"):
            await office.board.dial("twilio", TO, reminder)
        await office.settles()

    story(main)


def test_calls_by_a_service_count_as_what_is_dialled() -> None:
    async def main(office: Office) -> None:
        await office.dial(silent)
        with pytest.raises(NotAllowed, match="1 calls at a time"):
            await office.dial(silent)
        await office.callee().hangs_up()
        await asyncio.sleep(1.0)
        await office.dial(silent)
        with pytest.raises(TimeoutError):  # its minute is not used up yet
            await office.callee().gone(within_s=50.0)
        assert (await office.callee().gone(within_s=20.0)).code == 200
        await office.settles()

    story(main, rules=HostRules(listen=(), dial=("+",), toll=Caps(calls=1, minutes_a_day=1.0)))


def test_an_agent_without_a_model_is_an_error_and_leaves_nothing() -> None:
    async def main(office: Office) -> None:
        with pytest.raises(OffhookError):
            await office.dial(offhook.Agent("You think."))
        await office.settles()

    story(main)


# What has answered


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("human", "human"),
        ("machine_start", "machine"),
        ("machine_end_beep", "machine"),
        ("fax", "fax"),
        ("unknown", "unknown"),
    ],
)
@pytest.mark.parametrize("detect", ["sync", "async"])
def test_an_agent_may_wait_for_what_has_answered(said: str, known: str, detect: Literal["sync", "async"]) -> None:
    found: list[object] = []

    async def curious(call: offhook.Call) -> None:
        found.append(call.answered_by)
        found.append(await call.who_answered(timeout_s=10))
        found.append(call.answered_by)
        await call.hangup("goodbye")

    async def main(office: Office) -> None:
        office.phone.answerers[TO] = said
        await office.dial(curious, detect=detect)
        await office.callee().gone()
        await office.settles()
        (event,) = office.told(events.AnsweredBy)
        assert event.what == {"machine_start": "machine", "machine_end_beep": "machine_beep"}.get(said, said)

    story(main)
    assert found == [known if detect == "sync" else "", known, known]


def test_who_waits_for_what_nobody_looks_for_is_told_nothing() -> None:
    found: list[object] = []

    async def curious(call: offhook.Call) -> None:
        found.append(await call.who_answered(timeout_s=5))
        await call.hangup()

    async def main(office: Office) -> None:
        await office.dial(curious)
        await office.callee().gone()
        assert office.told(events.AnsweredBy) == []

    story(main)
    assert found == [""]


@pytest.mark.parametrize("waits_s", [0.0, 6.0])
def test_a_machine_whose_greeting_is_over_is_spoken_to_as_after_a_beep(waits_s: float) -> None:
    """The verdict may come while the agent waits for the beep, or before it does."""

    async def leaves_a_message(call: offhook.Call) -> None:
        await asyncio.sleep(waits_s)
        assert await call.beep(timeout_s=10)
        await call.hangup("your table is booked")

    async def main(office: Office) -> None:
        office.phone.answerers[TO] = "machine_end_silence"
        await office.dial(leaves_a_message, detect="async")
        await office.callee().hears("your table is booked")
        await office.callee().gone()

    story(main)


def test_a_verdict_in_mid_greeting_interrupts_nothing() -> None:
    async def main(office: Office) -> None:
        office.phone.answerers[TO] = "human"
        await office.dial(detect="async")
        callee = office.callee()
        await callee.hears("will you come")
        await callee.says("four")
        await callee.hears("you said four goodbye")
        await callee.gone()
        assert [event.whole for event in office.told(events.Said)] == [True, True]

    async def slow(call: offhook.Call) -> None:
        await call.say("one two three four five six seven eight nine ten eleven twelve")
        await reminder(call)

    async def greeted(office: Office) -> None:
        office.phone.answerers[TO] = "unknown"
        await office.dial(slow, detect="async")
        callee = office.callee()
        await callee.hears("twelve")
        verdict = office.told(events.AnsweredBy)
        assert [event.what for event in verdict] == ["unknown"]
        await callee.hears("will you come")
        assert office.told(events.Cut) == []
        await callee.hangs_up()

    story(main)
    story(greeted)


def test_a_fax_is_hung_up_on_as_one_that_was_heard() -> None:
    async def main(office: Office) -> None:
        office.phone.answerers[TO] = "fax"
        await office.dial(offhook.Agent("You remind.", greeting="good evening"), detect="async")
        await office.callee().gone()
        await office.settles()
        assert [event.reason for event in office.told(events.Ended)] == ["fax"]

    story(main, brain="test")


# News, out of order and more than once


def test_news_that_comes_late_or_twice_does_nothing_twice() -> None:
    async def main(office: Office) -> None:
        phone = office.phone
        await office.dial(silent, detect="async")
        callee = office.callee()
        (name,) = phone.ends
        hook = next(body for path, body in office.asked if path == ".json")
        key = hook.partition("StatusCallback=")[2].partition("%2Fstatus")[0].rpartition("%2F")[2]

        async def news(kind: str, **fields: str) -> None:
            reply = await phone.hook(phone.form(f"/services/twilio/{key}/{kind}", {"CallSid": name, **fields}))
            assert reply.status == 200

        for status, number in (("ringing", "1"), ("in-progress", "2"), ("ringing", "1"), ("ringing", "7")):
            await news("status", CallStatus=status, SequenceNumber=number)
        for word in ("human", "human", "machine_start"):
            await news("machine", AnsweredBy=word)
        for _ in range(2):
            await news(
                "recording", RecordingStatus="completed", RecordingUrl="https://x.example/r", RecordingDuration="7"
            )
        assert office.board.host.live == 1
        for _ in range(2):
            await news("status", CallStatus="completed", SequenceNumber="3")
        await news("status", CallStatus="in-progress", SequenceNumber="2")
        await news("machine", AnsweredBy="fax")
        await news("recording", RecordingUrl="https://x.example/later")
        assert office.board.host.live == 0
        assert [event.code for event in office.told(events.Progress)] == [180]
        assert [event.what for event in office.told(events.AnsweredBy)] == ["human", "machine"]
        assert [(event.url, event.seconds) for event in office.told(events.Recorded)] == [
            ("https://x.example/r", 7),
            ("https://x.example/later", 0),
        ]
        assert len(office.told(events.Ended)) == 1
        await callee.hangs_up()
        await office.settles()

    story(main)


def test_a_beep_that_is_waited_for_when_the_call_ends_is_an_end() -> None:
    ended: list[str] = []

    async def waits(call: offhook.Call) -> None:
        try:
            await call.beep(timeout_s=30)
        except CallEnded:
            ended.append(await call.who_answered(timeout_s=30))

    async def main(office: Office) -> None:
        await office.dial(waits)
        await office.callee().hangs_up()
        await office.settles()

    story(main)
    assert ended == [""]
