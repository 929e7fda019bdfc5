"""The media sockets of FreeSWITCH's two streaming modules."""

from __future__ import annotations

import json
import struct
from base64 import b64decode

import pytest

from carriers.services.hostile import FRAMES, endure
from offhook.carriers.services.freeswitch import FORK, STREAM, AudioForkDialect, AudioStreamDialect
from offhook.carriers.services.stream import Encoding, Odd, Pressed, Sound, Started

FIRST = json.dumps({"call": "u-1", "caller": "15550100123", "called": "15550111123", "ticket": "7"})
NETWORK, LITTLE = struct.pack(">3h", 1, -2, 300), struct.pack("<3h", 1, -2, 300)
WIDE = Encoding("L16", 16000)
DIALECTS = [AudioStreamDialect, AudioForkDialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_metadata_begins_it_whatever_it_is(dialect):
    started = Started("u-1", "u-1", "+15550100123", "+15550111123", WIDE, WIDE, {"ticket": "7"})
    assert dialect().hear(FIRST) == (started,)
    for metadata in ("", "no json", "[]", "u-1"):
        assert dialect().hear(metadata) == (Started("", heard=WIDE, ours=WIDE),)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_metadata_audio_begins_it(dialect):
    socket = dialect(8000)
    narrow = Encoding("L16", 8000)
    assert socket.hear(LITTLE) == (Started("", heard=narrow, ours=narrow), Sound(NETWORK))
    assert socket.hear(LITTLE) == (Sound(NETWORK),)


def test_audio_goes_back_in_binary_where_the_module_takes_it():
    assert list(AudioStreamDialect().sound(NETWORK)) == [LITTLE]
    assert [*AudioStreamDialect().clear(), *AudioStreamDialect().close()] == []
    assert (STREAM.paced_by, STREAM.clear, STREAM.marks) == ("us", "none", "none")


def test_audio_goes_back_in_json_where_it_becomes_an_event():
    [frame] = AudioForkDialect(8000).sound(NETWORK)
    told = json.loads(frame)
    assert told["type"] == "playAudio"
    assert b64decode(told["data"]["audioContent"]) == LITTLE
    assert (told["data"]["audioContentType"], told["data"]["sampleRate"]) == ("raw", 8000)
    assert [json.loads(one) for one in AudioForkDialect().clear()] == [{"type": "killAudio"}]
    assert [json.loads(one) for one in AudioForkDialect().close()] == [{"type": "disconnect"}]
    assert (FORK.clear, FORK.least_ms) == ("silent", 200)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_else_is_said_is_a_key_or_odd(dialect):
    socket = dialect()
    socket.hear(FIRST)
    assert socket.hear('{"event":"dtmf","digit":"5","duration":100}') == (Pressed("5", 100),)
    assert socket.hear('{"event":"dtmf","digit":"x"}') == (Odd("key"),)
    assert socket.hear(FIRST) == (Odd("event"),)
    assert [*socket.mark("1"), *socket.press("1"), *socket.sound(b"")] == []
    for frame in FRAMES:
        assert all(isinstance(told, Odd | Sound) for told in socket.hear(frame))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(10))
def test_it_endures_whatever_is_sent(dialect, seed):
    assert endure(dialect, [FIRST, LITTLE, '{"event":"dtmf","digit":"5"}'], seed) > 0
