"""The verbs of a call: each awaits its outcome, and says why it can't."""

from __future__ import annotations

import asyncio
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from offhook import CallEnded, NotAllowed, TransferFailed
from offhook.call import Call, Models, events
from offhook.call.leg import Capabilities
from offhook.core.errors import ConfigError
from offhook.testing import spelled
from offhook.testing.scripted import ScriptedTts
from offhook.testing.scripted_leg import ScriptedLeg


def test_echo_gives_the_caller_their_own_audio_at_once(play: Any, begin: Any) -> None:
    async def echo(call: Call) -> None:
        async for pcm in call.audio():
            await call.play(pcm)

    async def main() -> None:
        call = begin(echo, models=Models())
        await call.until(0.5)
        await call.leg.says("is anybody there")
        await call.until(4)
        call.leg.hangs_up()
        ended = await call.over()
        assert call.leg.heard_text == "is anybody there"
        assert call.leg.packets[0][0] - call.begun <= 0.56, "the first packet is back within two packets"
        assert (ended.reason, ended.code) == ("remote_hangup", 200)

    play(main())


def test_a_script_hears_what_came_before_it_listened(play: Any, begin: Any) -> None:
    heard = bytearray()

    async def script(call: Call) -> None:
        await asyncio.sleep(1)
        async for pcm in call.audio():
            heard.extend(pcm)

    async def main() -> None:
        leg = ScriptedLeg()
        leg.mode = "all"  # as a leg over SIP begins
        call = begin(script, models=Models(), leg=leg)
        await call.until(0.1)
        await call.leg.says("hello")
        await call.until(3)
        call.leg.hangs_up()
        await call.over()
        assert spelled.hear(bytes(heard)) == "hello"

    play(main())


def test_say_gives_the_words_that_were_heard(play: Any, begin: Any) -> None:
    said: list[str] = []

    async def script(call: Call) -> None:
        said.append(await call.say("Hello there. How are you?"))
        assert call.leg.heard_text == "hello there how are you"  # type: ignore[attr-defined]

    async def main() -> None:
        call = begin(script)
        ended = await call.over()
        assert said == ["Hello there. How are you?"]
        assert ended.reason == "hangup", "the end of the script is the end of the call"
        assert call.transcript == ["agent: Hello there. How are you?"]

    play(main())


def test_ask_gives_the_answer(play: Any, begin: Any) -> None:
    answers: list[str] = []

    async def script(call: Call) -> None:
        answers.append(await call.ask("Your name?"))
        answers.append(await call.ask("And your age?", timeout_s=2))

    async def main() -> None:
        call = begin(script)
        await call.until(3)
        await call.leg.says("ada")
        await call.over()
        assert answers == ["ada", ""]
        assert [event.text for event in call.of(events.Heard)] == ["ada"]

    play(main())


def test_asking_without_an_ear_says_what_to_configure(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(ConfigError, match="stt"):
            await call.ask("Your name?")

    async def main() -> None:
        await begin(script, models=Models(tts=ScriptedTts())).over()

    play(main())


def test_gather_gives_keys_and_the_first_one_stops_the_words(play: Any, begin: Any) -> None:
    async def survey(call: Call) -> None:
        score = await call.gather("One to five, how were we? Please press a key on your telephone.", timeout_s=8)
        await call.hangup(f"{score}, thank you. Goodbye!")

    async def main() -> None:
        call = begin(survey)
        await call.until(1.5)
        call.leg.presses("4")
        ended = await call.over()
        assert ended.reason == "hangup"
        assert call.leg.heard_text.endswith("4 thank you goodbye"), "the goodbye is heard before the line drops"
        assert call.call.digits == "4"
        assert [event.digit for event in call.of(events.Digit)] == ["4"]
        cut = call.of(events.Cut)[0]
        assert 500 < cut.heard_ms < 1500

    play(main())


def test_what_is_played_after_words_follows_them(play: Any, begin: Any, tmp_path: Path) -> None:
    path = tmp_path / "music.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(spelled.spell("la la"))

    async def script(call: Call) -> None:
        await call.say("listen")
        await call.play(path)
        assert call.leg.heard_text == "listen la la"  # type: ignore[attr-defined]
        await call.play(spelled.spell("more"))
        await call.say("done")

    async def main() -> None:
        call = begin(script)
        await call.over()
        assert call.leg.heard_text == "listen la la more done"
        assert call.transcript == ["agent: listen", "agent: done"], "sound leaves no words"

    play(main())


def test_sound_without_end_goes_on_after_the_leg_was_hushed(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.play(spelled.spell("la"))

    async def main() -> None:
        call = begin(script, models=Models())
        await call.until(3)
        call.leg.hush()
        hushed = call.leg.heard_text.count("la")
        await call.until(6)
        call.leg.hangs_up()
        assert (await call.over()).reason == "remote_hangup"
        assert call.leg.heard_text.count("la") >= 2 * hushed - 2

    play(main())


def test_more_than_the_queue_holds_is_played_to_its_end(play: Any, begin: Any) -> None:
    words = " ".join(["abcdefghij"] * 12)

    async def script(call: Call) -> None:
        await call.play(spelled.spell(words))

    async def main() -> None:
        call = begin(script, models=Models())
        await call.over()
        assert call.leg.heard_text == words
        departures = [at for at, _, _ in call.leg.packets]
        assert max(later - earlier for earlier, later in pairwise(departures)) < 0.021, "without a gap"

    play(main())


def test_a_transfer_waits_for_the_words_before_it_and_ends_the_call(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        speaking = asyncio.create_task(call.say("I will put you through."))
        await asyncio.sleep(0)
        await call.transfer("sip:front-desk@pbx.example")
        await speaking

    async def main() -> None:
        call = begin(script, allow=("sip:*@pbx.example",))
        ended = await call.over()
        assert call.leg.heard_text == "i will put you through"
        assert call.leg.transferred == ["sip:front-desk@pbx.example"]
        assert ended.reason == "transferred"
        assert [(event.to, event.code) for event in call.of(events.Transfer)] == [("sip:front-desk@pbx.example", 200)]

    play(main())


def test_a_transfer_that_fails_leaves_the_caller_here(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(TransferFailed) as failed:
            await call.transfer("+15551234567")
        await call.say(f"They are busy: {failed.value.code}.")

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(transfer_code=486), allow=("+1",))
        await call.over()
        assert call.leg.heard_text == "they are busy 486"
        assert call.of(events.Transfer)[0].code == 486

    play(main())


@pytest.mark.parametrize("target", ["+44201234567", "sip:a@evil.example", "sip:a@evil.example;x=@pbx.example", ""])
def test_a_transfer_that_policy_forbids_is_not_tried(play: Any, begin: Any, target: str) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(NotAllowed):
            await call.transfer(target)

    async def main() -> None:
        call = begin(script, allow=("+1", "sip:*@pbx.example"))
        await call.over()
        assert call.leg.transferred == []

    play(main())


def test_keys_are_pressed_once_all_is_heard(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.press("12#")

    async def unable(call: Call) -> None:
        with pytest.raises(NotAllowed):
            await call.press("1")

    async def main() -> None:
        call = begin(script)
        await call.over()
        assert call.leg.pressed == "12#"
        call = begin(unable, leg=ScriptedLeg(capabilities=Capabilities(press=False)))
        await call.over()
        assert call.leg.pressed == ""

    play(main())


def test_after_the_end_every_verb_says_so(play: Any, begin: Any) -> None:
    raised: list[str] = []

    async def script(call: Call) -> None:
        with pytest.raises(CallEnded):
            await call.say("a sentence that is long enough to be cut off by the end of the call")
        verbs = {
            "say": lambda: call.say("x"),
            "ask": lambda: call.ask("x"),
            "gather": lambda: call.gather("x"),
            "play": lambda: call.play(b"\0\0"),
            "press": lambda: call.press("1"),
            "transfer": lambda: call.transfer("+1555"),
            "hold": call.hold,
            "resume": call.resume,
            "heard": call.heard,
        }
        for name, verb in verbs.items():
            with pytest.raises(CallEnded):
                await verb()
            raised.append(name)
        await call.hangup("more")  # what is wanted is so
        assert [pcm async for pcm in call.audio()] == []

    async def main() -> None:
        call = begin(script)
        await call.until(1)
        call.leg.hangs_up()
        ended = await call.over()
        assert ended.reason == "remote_hangup"
        assert len(raised) == 9

    play(main())


@pytest.mark.survives(8)
def test_hold_tells_the_far_end_and_resume_takes_it_back(play: Any, begin: Any) -> None:
    leg: list[ScriptedLeg] = []
    held: list[bool] = []

    async def script(call: Call) -> None:
        for verb in (call.hold, call.hold, call.resume, call.resume):
            await verb()
            held.append(leg[0].held)
        await call.hangup()

    async def main() -> None:
        leg.append(ScriptedLeg())
        await begin(script, leg=leg[0]).over()
        assert held == [True, True, False, False]

    play(main())


def test_a_leg_that_can_not_hold_only_pauses(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.hold()
        await call.resume()
        await call.hangup()

    async def main() -> None:
        leg = ScriptedLeg(capabilities=Capabilities(hold=False))
        await begin(script, leg=leg).over()
        assert leg.turns == 0

    play(main())


def test_what_a_script_raises_is_told_to_the_caller_and_to_the_host(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        raise ZeroDivisionError("the author's bug")

    async def main() -> None:
        call = begin(script)
        with pytest.raises(ZeroDivisionError):
            await call.over()
        assert "something went wrong" in call.leg.heard_text
        assert call.of(events.Ended)[0].reason == "failed"

    play(main())


def test_a_caller_who_is_gone_before_the_answer_is_no_error(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        pytest.fail("there is nobody to talk to")

    async def main() -> None:
        leg = ScriptedLeg()
        leg.hangs_up("cancelled")
        call = begin(script, leg=leg)
        ended = await call.over()
        assert ended.reason == "cancelled"
        assert [event.event for event in call.told] == ["incoming", "ended"]

    play(main())


def test_a_call_that_is_cancelled_hangs_up(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.say("a sentence")
        await asyncio.sleep(100)

    async def main() -> None:
        call = begin(script)
        await call.until(2)
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.over()
        assert call.leg.over
        assert call.call.ended is not None

    play(main())


def test_a_call_knows_who_calls_whom(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None: ...

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(caller="+15551234567", called="+15557654321", direction="outbound"))
        known = call.call
        assert (known.caller, known.called, known.direction) == ("+15551234567", "+15557654321", "outbound")
        assert str(known.id) in repr(known)
        assert "live" in repr(known)
        # Nobody answers an outbound leg: it was answered when it was given to us.
        call.leg.hangs_up()
        await call.over()
        assert "over" in repr(known)

    play(main())
