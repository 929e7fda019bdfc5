"""jambonz' media socket."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from carriers.services.hostile import FRAMES, endure
from offhook.carriers.services.jambonz.media import CARRIAGE, JambonzDialect
from offhook.carriers.services.stream import Encoding, Odd, Passed, Pressed, Sound, Started, Told

FIRST = {
    "callSid": "c-1",
    "direction": "inbound",
    "from": "15550100123",
    "to": "15550111123",
    "callId": "abc",
    "sampleRate": 16000,
    "mixType": "mono",
}


def begun() -> JambonzDialect:
    dialect = JambonzDialect()
    dialect.hear(json.dumps(FIRST))
    return dialect


def hear(**told: Any) -> list[Told]:
    return list(begun().hear(json.dumps(told)))


def test_the_calls_attributes_begin_it():
    wide, narrow = Encoding("L16", 16000), Encoding("L16", 8000)
    started = Started("c-1", "c-1", "+15550100123", "+15550111123", wide, wide)
    assert JambonzDialect().hear(json.dumps(FIRST)) == (started,)
    setup = {**FIRST, "type": "setup", "sampleRate": 8000}
    [told] = JambonzDialect(16000).hear(json.dumps(setup))
    assert isinstance(told, Started)
    assert (told.heard, told.ours) == (narrow, wide)


def test_audio_is_turned_both_ways():
    network, little = struct.pack(">3h", 1, -2, 300), struct.pack("<3h", 1, -2, 300)
    assert begun().hear(little) == (Sound(network),)
    assert list(begun().sound(network)) == [little]
    assert list(begun().sound(b"")) == []


def test_keys_are_told():
    assert hear(event="dtmf", dtmf="2", duration="1600") == [Pressed("2", 1600)]
    assert hear(type="dtmf", digit="#", duration=160) == [Pressed("#", 160)]
    assert hear(event="dtmf", dtmf="22") == [Odd("key")]


@pytest.mark.parametrize(("event", "cleared"), [("playout", False), ("cleared", True), ("", None)])
def test_a_mark_says_whether_it_was_played(event, cleared):
    assert hear(type="mark", data={"name": "7", "event": event}) == [Passed("7", cleared)]
    assert hear(type="mark", name="7", event=event) == [Passed("7", cleared)]


def test_what_we_ask_for_is_said_as_jambonz_reads_it():
    dialect = begun()
    assert [json.loads(one) for one in dialect.mark("7")] == [{"type": "mark", "name": "7", "data": {"name": "7"}}]
    assert [json.loads(one) for one in dialect.clear()] == [{"type": "killAudio"}, {"type": "clearMarks"}]
    assert [json.loads(one) for one in dialect.close()] == [{"type": "disconnect"}]
    assert list(dialect.press("1")) == []
    assert (CARRIAGE.marks, CARRIAGE.clear) == ("told", "silent")


def test_out_of_turn_is_odd():
    assert JambonzDialect().hear(bytes(640)) == (Odd("early_sound"),)
    assert begun().hear(json.dumps(FIRST)) == (Odd("started_again"),)
    assert JambonzDialect().hear(json.dumps({**FIRST, "sampleRate": 44100})) == (Odd("format"),)
    assert hear(type="mark", data={"event": "playout"}) == [Odd("mark")]
    assert hear(type="playDone", data={"id": "1"}) == []


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_what_makes_no_sense_is_odd(frame):
    for dialect in (JambonzDialect(), begun()):
        assert all(isinstance(told, Odd | Sound) for told in dialect.hear(frame))


@pytest.mark.parametrize("seed", range(20))
def test_it_endures_whatever_is_sent(seed):
    mark = {"type": "mark", "data": {"name": "7", "event": "playout"}}
    good = [json.dumps(one) for one in (FIRST, mark, {"event": "dtmf", "dtmf": "2", "duration": "1600"})]
    assert endure(JambonzDialect, [*good, bytes(640)], seed) > 0
