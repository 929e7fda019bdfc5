"""Calls at OpenAI's SIP address: the agent thinks, OpenAI hears and speaks, and the history is what was heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, cast

import pytest
from openai.types.realtime import CallAcceptParams, RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter

import offhook
from carriers.services.hostile import TEXTS, mangled
from offhook.call import Agent, Models, events
from offhook.carriers.services.realtime import (
    LATE_S,
    TEXT_LIMIT,
    Complete,
    Realtime,
    RealtimeTold,
    Spoke,
    Talking,
)
from offhook.carriers.services.relay import Interrupt, Prompt, Refused
from offhook.carriers.services.stream import Odd, Pressed, Reply
from offhook.core.errors import DialFailed, NotAllowed
from offhook.core.instants import MILLISECOND, SECOND
from offhook.run.host import HostRules
from offhook.run.services import Switchboard
from offhook.testing.carriers import FakeOpenAi
from offhook.testing.carriers.openai import LETTER_S
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain
from offhook.testing.spelled import fold

LONG = "We are open from five to eleven every day but Sunday, and on Sunday from noon to nine."
TO = "+15557770001"


def story(
    main: Callable[[FakeOpenAi], Coroutine[Any, Any, None]],
    answers: list[Any] | None = None,
    agent: Any = None,
    **options: Any,
) -> FakeOpenAi:
    """Tell a story; nothing may be left behind it."""
    scripted = ScriptedBrain(answers or [LONG, "Goodbye now."])
    models = Models(brain=lambda _: scripted)
    kept: list[FakeOpenAi] = []

    async def run() -> None:
        async with FakeOpenAi(agent or Agent("x", greeting="Good evening."), models=models, **options) as phone:
            kept.append(phone)
            await main(phone)
            for person in phone.people.values():
                phone.end(person)
            await asyncio.sleep(10)
            board = cast("Switchboard", phone.board)
            assert (board.host.live, board.host.counters()["failures"], board.waiting) == (0, 0, 0)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=900)) as runner:
        runner.run(run())
    return kept[0]


def said(phone: FakeOpenAi) -> list[tuple[str, bool]]:
    return [(one.text, one.whole) for one in phone.events if isinstance(one, events.Said)]


def reasons(phone: FakeOpenAi) -> list[str]:
    return [one.reason for one in phone.events if isinstance(one, events.Ended)]


def verbs(phone: FakeOpenAi) -> list[str]:
    return [order.url.rpartition("/")[2] for order in phone.asked]


async def talks(phone: FakeOpenAi) -> None:
    caller = await phone.call()
    await caller.hears("good evening")
    await caller.waits(0.5)
    await caller.says("When are you open?")
    await caller.hears("noon to nine", within_s=30)
    await caller.waits(2)


def test_every_message_is_one_that_openais_own_library_knows() -> None:
    async def main(phone: FakeOpenAi) -> None:
        await talks(phone)
        person = phone.people["rtc_1"]
        person.presses("5")
        await person.hears("goodbye")
        await person.says("wait")

    phone = story(main)
    for event in phone.shown:
        TypeAdapter(RealtimeServerEvent).validate_python(event)
    assert {one["type"] for one in phone.taken} == {"response.create"}
    for event in phone.taken:
        TypeAdapter(RealtimeClientEvent).validate_python(event)
    [session] = phone.sessions
    TypeAdapter(CallAcceptParams).validate_python(session)
    turns = session["audio"]["input"]["turn_detection"]
    assert (turns["create_response"], turns["interrupt_response"]) == (False, False)


def test_what_was_said_is_what_the_agent_wrote() -> None:
    phone = story(talks)
    assert said(phone) == [("Good evening.", True), (LONG, True)]
    assert [one.text for one in phone.events if isinstance(one, events.Heard)] == ["When are you open?"]


def test_where_the_model_says_other_words_the_history_has_those() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        await caller.waits(0.5)
        await caller.says("When are you open?")
        await caller.hears("i do not know")
        await caller.waits(2)

    phone = story(main, reads=lambda text: "I do not know." if "Sunday" in text else text)
    assert said(phone) == [("Good evening.", True), ("I do not know.", True)]


def test_of_several_sentences_those_that_were_said_in_other_words_are_replaced() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        await caller.waits(0.5)
        await caller.says("Hm?")
        await caller.hears("anything else")
        await caller.waits(2)

    phone = story(
        main, ["One is here. Two is there. Anything else?"], reads=lambda text: text.replace("Two is there", "Or two")
    )
    assert said(phone)[1] == ("One is here. Or two. Anything else?", True)


@pytest.mark.parametrize("word", ["five", "half past four or so"])
def test_who_speaks_over_it_stops_it_and_the_rest_was_not_heard(word: str) -> None:
    heard: list[str] = []

    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        await caller.waits(0.5)
        await caller.says("When are you open?")
        await caller.hears(f"{word} to eleven every day", within_s=30)
        await caller.waits(1.3)
        await caller.says("Stop it please now.")
        heard.append(caller.heard)
        await caller.hears("goodbye")
        await caller.waits(2)

    phone = story(main, reads=lambda text: text.replace("five", word))
    assert [one["type"] for one in phone.taken[2:4]] == ["response.cancel", "output_audio_buffer.clear"]
    text, whole = said(phone)[1]
    assert not whole
    truly = heard[0].removeprefix("good evening ")
    assert fold(text) in truly
    assert len(truly) - len(fold(text)) < 12, (truly, text)


def test_a_key_over_it_stops_it_too() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        await caller.waits(0.5)
        await caller.says("When are you open?")
        await caller.hears("five to eleven", within_s=30)
        caller.presses("4")
        await caller.hears("goodbye")
        await caller.waits(2)

    phone = story(main)
    assert [whole for _, whole in said(phone)] == [True, False, True]
    assert [one.digit for one in phone.events if isinstance(one, events.Digit)] == ["4"]


def test_who_interrupts_before_the_response_has_a_name_is_not_spoken_over() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.waits(0.1)  # the greeting is asked for, and is not begun
        caller.presses("4")
        await caller.hears("we are open", within_s=30)
        assert "good evening" not in caller.heard

    phone = story(main)
    assert "response.cancel" in [one["type"] for one in phone.taken]


def test_who_speaks_long_is_not_taken_for_silent() -> None:
    words = "I would like to know when you are open in the week " * 6
    heard: list[str] = []

    async def patient(call: offhook.Call) -> None:
        heard.append(await call.ask("whom do you want", timeout_s=4))

    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("whom do you want")
        await caller.waits(0.5)
        await caller.says(words)
        await caller.waits(3)

    story(main, agent=patient)
    assert len(words) * LETTER_S > 12
    assert heard == [words.strip()]


def test_a_response_that_is_not_made_was_not_said_and_the_next_one_is() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.waits(1)
        await caller.says("When are you open?")
        await caller.hears("noon to nine", within_s=30)
        await caller.waits(2)

    phone = story(main, refused=frozenset({1}))
    assert said(phone) == [(LONG, True)]


# The call


async def polite(call: offhook.Call) -> None:
    heard = await call.ask("whom do you want", timeout_s=20)
    if "nobody" in heard:
        return await call.hangup("goodbye then")
    await call.transfer(TO)
    return None


@pytest.mark.parametrize("answer", ["nobody", "somebody"])
def test_a_call_is_ended_or_handed_on(answer: str) -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("whom do you want")
        await caller.waits(0.5)
        await caller.says(answer)
        await caller.gone()
        await caller.waits(2)
        if answer == "nobody":
            assert "goodbye then" in caller.heard
            assert verbs(phone) == ["accept", "hangup"]
            assert reasons(phone) == ["hangup"]
        else:
            assert phone.referred == [f"tel:{TO}"]
            assert verbs(phone) == ["accept", "refer"]
            assert reasons(phone) == ["transferred"]

    story(main, agent=polite)


def test_where_the_trunk_takes_no_refer_the_call_goes_on() -> None:
    async def stubborn(call: offhook.Call) -> None:
        try:
            await call.transfer(TO)
        except offhook.TransferFailed:
            await call.say("that did not work")

    async def main(phone: FakeOpenAi) -> None:
        phone.dead_ends = True
        caller = await phone.call()
        await caller.hears("that did not work", within_s=120)

    story(main, agent=stubborn)


def test_who_hangs_up_is_gone() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        await caller.hangs_up()
        await caller.waits(1)
        assert reasons(phone) == ["remote_hangup"]

    story(main)


@offhook.answers
async def busy(call: offhook.Call) -> None:
    await call.reject("busy")


@pytest.mark.parametrize(
    ("options", "code"),
    [({"agent": busy}, 486), ({"rules": HostRules(listen=(), max_calls=1)}, 503)],
)
def test_who_is_not_taken_hears_why(options: dict[str, Any], code: int) -> None:
    async def main(phone: FakeOpenAi) -> None:
        if code == 503:
            await phone.call()
        with pytest.raises(DialFailed) as failed:
            await phone.call()
        assert failed.value.code == code

    story(main, **options)


def test_a_webhook_that_is_sent_twice_takes_one_call() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await phone.hook(phone.webhook("rtc_1", "+15550001111", "+15552223333"))
        await caller.hears("good evening")
        assert verbs(phone) == ["accept"]

    story(main)


def test_a_socket_that_does_not_open_is_tried_again() -> None:
    async def main(phone: FakeOpenAi) -> None:
        phone.deaf = 2
        caller = await phone.call()
        await caller.hears("good evening")

    story(main)


def test_a_call_without_a_socket_is_ended_at_the_service() -> None:
    async def main(phone: FakeOpenAi) -> None:
        phone.deaf = 99
        caller = await phone.call()
        await caller.gone()
        assert verbs(phone) == ["accept", "hangup"]
        assert reasons(phone) == ["no_media"]

    story(main)


def test_a_call_whose_socket_breaks_is_ended_at_the_service() -> None:
    async def main(phone: FakeOpenAi) -> None:
        caller = await phone.call()
        await caller.hears("good evening")
        phone.sockets["rtc_1"].end()
        await caller.gone()
        assert verbs(phone) == ["accept", "hangup"]
        assert reasons(phone) == ["remote_hangup"]

    story(main)


def test_it_places_no_calls() -> None:
    async def main(phone: FakeOpenAi) -> None:
        with pytest.raises(NotAllowed, match="places no calls"):
            await cast("Switchboard", phone.board).dial("openai", TO, polite, caller="+15552223333")

    story(main)


# Its messages


def told(realtime: Realtime, type: str, at_s: float = 0.0, **more: Any) -> list[RealtimeTold]:
    return list(realtime.hear(json.dumps({"type": type, **more}), round(at_s * SECOND)))


def sent(told: Any) -> list[dict[str, Any]]:
    return [json.loads(one.frame) for one in told if isinstance(one, Reply)]


def spoken(realtime: Realtime, number: int, text: str, at_s: float) -> list[RealtimeTold]:
    """Have a response made and sound from here to a second later."""
    name = f"r{number}"
    told(realtime, "response.created", response={"id": name, "metadata": {"say": str(number)}})
    told(realtime, "output_audio_buffer.started", at_s, response_id=name)
    made = told(realtime, "response.output_audio_transcript.done", at_s, response_id=name, transcript=text)
    told(realtime, "response.done", at_s, response={"id": name, "status": "completed"})
    return [*made, *told(realtime, "output_audio_buffer.stopped", at_s + 1, response_id=name)]


def test_one_text_is_spoken_at_a_time_and_what_waits_goes_together() -> None:
    realtime = Realtime()
    [first] = sent(realtime.say(1, "One.", 0, last=False))
    assert realtime.say(1, " Two.", 0, last=False) == []
    assert realtime.say(1, " Three.", 0, last=True) == []
    assert realtime.say(2, "Four.", 0, last=True) == []
    assert first["response"]["input"][0]["content"][0]["text"] == "One."
    [second] = sent(spoken(realtime, 1, "One.", 0))
    assert second["response"]["input"][0]["content"][0]["text"] == "Two. Three."
    done, third = spoken(realtime, 2, "two, three", 2)
    assert done == Complete(1)
    assert sent([third])[0]["response"]["input"][0]["content"][0]["text"] == "Four."
    assert spoken(realtime, 3, "Four.", 4) == [Complete(2)]


def test_words_that_come_one_by_one_are_read_out_by_the_sentence() -> None:
    realtime = Realtime()
    for piece in ("We", " are", " open"):
        assert realtime.say(1, piece, 0, last=False) == []
    [first] = sent(realtime.say(1, ".", 0, last=False))
    assert first["response"]["input"][0]["content"][0]["text"] == "We are open."
    realtime.say(1, " Until", 0, last=False)
    assert spoken(realtime, 1, "We are open.", 0) == []
    [second] = sent(realtime.say(1, " nine", 0, last=True))
    assert second["response"]["input"][0]["content"][0]["text"] == "Until nine"
    assert spoken(realtime, 2, "until nine", 2) == [Complete(1)]


def test_a_blank_at_an_end_is_waited_for_by_nobody() -> None:
    realtime = Realtime()
    realtime.say(1, "One.", 0, last=False)
    realtime.say(1, " ", 0, last=True)
    realtime.say(2, "Two.", 0, last=True)
    done, second = spoken(realtime, 1, "One.", 0)
    assert done == Complete(1)
    assert sent([second])[0]["response"]["input"][0]["content"][0]["text"] == "Two."


def test_an_utterance_without_words_is_complete_at_once() -> None:
    assert Realtime().say(1, "", 0, last=True) == [Complete(1)]


def test_a_text_that_is_too_long_goes_in_several() -> None:
    realtime = Realtime()
    words = "word " * 1000
    asked = sent(realtime.say(1, words, 0, last=True))
    for number in range(1, 5):
        text = asked[-1]["response"]["input"][0]["content"][0]["text"]
        assert len(text) <= TEXT_LIMIT
        asked += sent(spoken(realtime, number, text, number))
    whole = " ".join(one["response"]["input"][0]["content"][0]["text"] for one in asked)
    assert whole.split() == words.split()


def test_other_words_are_told_before_their_sound_is_over() -> None:
    realtime = Realtime()
    realtime.say(1, "One.", 0, last=True)
    told(realtime, "response.created", response={"id": "r1", "metadata": {"say": "1"}})
    told(realtime, "output_audio_buffer.started", response_id="r1")
    made = told(realtime, "response.output_audio_transcript.done", response_id="r1", transcript="Two.")
    assert made == [Spoke(1, "One.", "Two.")]
    assert told(realtime, "output_audio_buffer.stopped", 1, response_id="r1") == [Complete(1)]


def test_an_end_that_is_never_told_is_not_waited_for_for_ever() -> None:
    realtime = Realtime()
    realtime.say(1, "One.", 0, last=True)
    told(realtime, "response.created", response={"id": "r1", "metadata": {"say": "1"}})
    told(realtime, "output_audio_buffer.started", response_id="r1")
    told(realtime, "response.done", 0.1, response={"id": "r1"})
    assert realtime.say(2, "Two.", round(2 * SECOND), last=False) == []
    odd, *rest = realtime.say(2, " Three.", round((LATE_S + 2) * SECOND), last=False)
    assert odd == Odd("late")
    assert rest[0] == Complete(1)
    assert len(sent(rest)) == 1


def test_what_the_service_stops_by_itself_is_an_interruption_too() -> None:
    realtime = Realtime()
    realtime.say(1, "One and two.", 0, last=True)
    told(realtime, "response.created", response={"id": "r1", "metadata": {"say": "1"}})
    told(realtime, "output_audio_buffer.started", response_id="r1")
    assert told(realtime, "output_audio_buffer.cleared", 0.2, response_id="r1") == [Interrupt("One", None)]
    assert sent(realtime.say(2, "Three.", SECOND, last=True))


def test_of_other_words_those_were_heard_that_were_said() -> None:
    realtime = Realtime()
    realtime.say(1, "One two three.", 0, last=True)
    told(realtime, "response.created", response={"id": "r1", "metadata": {"say": "1"}})
    told(realtime, "output_audio_buffer.started", response_id="r1")
    told(realtime, "response.output_audio_transcript.done", response_id="r1", transcript="Alpha and beta.")
    assert realtime.hush(round(0.33 * SECOND))[1] == "Alpha"


def test_it_learns_how_fast_the_voice_is() -> None:
    slow = "a" * 200
    realtime = Realtime()
    realtime.say(1, slow, 0, last=True)
    told(realtime, "response.created", response={"id": "r1", "metadata": {"say": "1"}})
    told(realtime, "output_audio_buffer.started", response_id="r1")
    told(realtime, "output_audio_buffer.stopped", 40, response_id="r1")
    realtime.say(2, slow, 0, last=True)
    told(realtime, "response.created", response={"id": "r2", "metadata": {"say": "2"}})
    told(realtime, "output_audio_buffer.started", 50, response_id="r2")
    _, heard = realtime.hush(round(60 * SECOND))
    assert len(heard) == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "input_audio_buffer.speech_started"}, [Talking(True)]),
        ({"type": "input_audio_buffer.speech_stopped"}, [Talking(False)]),
        ({"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hi."}, [Prompt("Hi.")]),
        (
            {"type": "conversation.item.input_audio_transcription.failed", "error": {}},
            [Odd("not_understood"), Prompt("")],
        ),
        ({"type": "input_audio_buffer.dtmf_event_received", "event": "#"}, [Pressed("#")]),
        ({"type": "input_audio_buffer.dtmf_event_received", "event": "flash"}, [Odd("key")]),
        ({"type": "error", "error": {"message": "no"}}, [Refused("no")]),
        ({"type": "error", "error": {"code": "response_cancel_not_active"}}, [Odd("nothing_to_cancel")]),
        ({"type": "rate_limits.updated"}, []),
        ({"type": 7}, [Odd("no_type")]),
        ([], [Odd("no_json")]),
    ],
)
def test_each_message_is_read(event: Any, expected: list[RealtimeTold]) -> None:
    assert list(Realtime().hear(json.dumps(event), 0)) == expected


def test_whatever_comes_it_is_read_or_counted() -> None:
    chance = Random(1)
    phone = story(talks)
    for _ in range(20):
        realtime, at = Realtime(), 0
        for event in phone.shown:
            at += 100 * MILLISECOND
            realtime.hear(json.dumps(mangled(event, chance)), at)
            if chance.random() < 0.2:
                realtime.say(chance.randrange(5), chance.choice(TEXTS)[:5000], at, last=chance.random() < 0.5)
            if chance.random() < 0.05:
                realtime.hush(at)
    for frame in (
        b"\xff",
        "",
        "{",
        "[" * 100_000,
        '{"type":"response.created","response":{"metadata":{"say":"\ud800"}}}',
    ):
        Realtime().hear(frame, 0)
