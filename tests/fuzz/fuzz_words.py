"""Fuzz what services say that hear and speak: ConversationRelay's sockets and OpenAI's. See `oracle`.

Whatever comes is read or counted: nothing is raised, every text can be written in every encoding, every key is one,
each utterance is complete once at most, and what we send is JSON.
"""

from __future__ import annotations

import json
from typing import Any

import atheris
from oracle import fuzz, planted
from services import frames, script, seeds

with atheris.instrument_imports(include=["offhook.carriers.services"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.carriers.services.realtime import Complete, Realtime, Spoke
    from offhook.carriers.services.relay import Prompt, Refused, Relay
    from offhook.carriers.services.stream import Odd, Pressed, Reply

NAMES = ("relay", "realtime")


def check(name: str, told: object) -> None:
    texts: tuple[str, ...] = ()
    match told:
        case Prompt():
            texts = (told.text,)
        case Spoke():
            texts = (told.asked, told.said)
        case Refused():
            texts = (told.why,)
        case Pressed():
            assert told.key in tuple("0123456789*#ABCD")
        case Reply():
            json.loads(told.frame)
        case Odd():
            assert told.why.isascii()
        case _:
            pass
    if planted(name) and any("1" in one for one in texts):
        # The fault: a reader that lets half a character through.
        texts = ("\ud800",)
    assert all(one.encode().decode() == one for one in texts)


def relay(data: bytes) -> None:
    session = Relay()
    for frame in frames(data):
        check("relay", session.hear(frame))


def realtime(data: bytes) -> None:
    session, complete, at = Realtime(), set[int](), 0
    for number, frame in enumerate(frames(data)):
        at += 10**9
        told = list(session.hear(frame, at))
        if number % 3 == 0:
            told += session.say(number, "One.", at, last=False)
            told += session.say(number, " Two.", at, last=True)
        if number % 11 == 10:
            stopped, heard = session.hush(at)
            told += stopped
            assert heard.encode().decode() == heard
        for one in told:
            check("realtime", one)
            if isinstance(one, Complete):
                assert one.utterance not in complete
                complete.add(one.utterance)


def target(data: bytes) -> None:
    if data:
        (relay, realtime)[data[0] % len(NAMES)](data[1:])


def of_response(number: int) -> list[dict[str, Any]]:
    name = f"r{number}"
    return [
        {"type": "response.created", "response": {"id": name, "metadata": {"say": str(number)}}},
        {"type": "output_audio_buffer.started", "response_id": name},
        {"type": "response.output_audio_transcript.delta", "response_id": name, "delta": "1"},
        {"type": "response.output_audio_transcript.done", "response_id": name, "transcript": "1"},
        {"type": "response.done", "response": {"id": name, "status_details": {"reason": "x"}}},
        {"type": "output_audio_buffer.stopped", "response_id": name},
    ]


SCRIPTS = {
    0: [
        script(
            {"type": "setup", "callSid": "1", "customParameters": {"a": "b"}},
            {"type": "prompt", "voicePrompt": "1", "last": True},
            {"type": "interrupt", "utteranceUntilInterrupt": "x", "durationUntilInterruptMs": 7},
            {"type": "dtmf", "digit": "1"},
            {"type": "error", "description": "x"},
        )
    ],
    1: [
        script({"type": "session.created"}, *of_response(1), *of_response(2)),
        script(
            {"type": "input_audio_buffer.speech_started"},
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": "1"},
            {"type": "input_audio_buffer.dtmf_event_received", "event": "1"},
            {"type": "error", "error": {"event_id": "say-1", "message": "x", "code": "y"}},
        ),
    ],
}

if __name__ == "__main__":
    fuzz(target, seeds(SCRIPTS))
