"""Genesys AudioHook: its signed handshake, by the example of its documentation, and its session.

| of a handshake                                  | signed | what covers it otherwise      |
|-------------------------------------------------|--------|-------------------------------|
| target, authority, organization, session,       | yes    |                               |
| correlation, API key, and the parameters        |        |                               |
| method, other headers, what the session says    | no     | the window of 300 s           |
"""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import replace
from typing import Any

import pytest

import offhook
from carriers.services.hostile import FRAMES, endure, one_byte_changes
from offhook.carriers.services.genesys import AudioHookDialect, Genesys, GenesysAccount
from offhook.carriers.services.genesys.signature import COMPONENTS, sign
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.stream import Encoding, Odd, Pressed, Reply, Sound, Started, Stopped, Told
from offhook.carriers.stream import PARTING_S
from offhook.core.errors import ConfigError
from offhook.testing.carriers.direct import FakeGenesys
from offhook.testing.loop import VirtualLoop

BASE = "https://audiohook.example.com"
KEY = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
SECRET = "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU="
CREATED_S = 1_641_013_200
VALUES = {
    "@request-target": "/api/v1/voicebiometrics/ws",
    "@authority": "audiohook.example.com",
    "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
    "audiohook-session-id": "30b0e395-84d3-4570-ac13-9a62d8f514c0",
    "audiohook-correlation-id": "e160e428-53e2-487c-977d-96989bf5c99d",
    "x-api-key": KEY,
}
SIGNED = sign(VALUES, KEY, SECRET, "VGhpc0lzQVVuaXF1ZU5vbmNl", CREATED_S, 3_282_026_430)
ACCOUNT = GenesysAccount(KEY, SECRET)
SERVICE = Genesys(ACCOUNT)


def handshake(said: str = SIGNED[0], given: str = SIGNED[1], **values: str) -> Request:
    carried = {**VALUES, **values}
    headers = {name: one for name, one in carried.items() if not name.startswith("@")}
    return Request("GET", carried["@request-target"], {**headers, "signature-input": said, "signature": given})


def refused(request: Request, base: str = BASE, now_s: float = CREATED_S, service: Genesys | None = None) -> Unsigned:
    with pytest.raises(Unsigned) as error:
        (service or Genesys(ACCOUNT)).verify(request, base, now_s)
    assert error.value.code in (401, 403)
    return error.value


def test_the_example_of_the_documentation_is_signed_as_it_says():
    assert SIGNED[1] == "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:"
    Genesys(ACCOUNT).verify(handshake(), BASE, CREATED_S + 5)


def test_a_handshake_is_good_once():
    service = Genesys(ACCOUNT)
    service.verify(handshake(), BASE, CREATED_S)
    assert "before" in str(refused(handshake(), now_s=CREATED_S + 300, service=service))
    service.verify(handshake(*sign(VALUES, KEY, SECRET, "another", CREATED_S, CREATED_S + 30)), BASE, CREATED_S)
    refused(handshake(*sign(VALUES, KEY, SECRET, "", CREATED_S, CREATED_S + 30)))


@pytest.mark.parametrize("name", ["@request-target", *(name for name in COMPONENTS if name[0] != "@")])
def test_every_change_to_what_is_signed_is_refused(name):
    for changed in one_byte_changes(VALUES[name].encode()):
        if changed != VALUES[name].encode():
            refused(handshake(**{name: changed.decode("latin-1")}))


def test_every_change_to_the_signature_is_refused():
    for at in (0, 1):
        for changed in one_byte_changes(SIGNED[at].encode()):
            if changed != SIGNED[at].encode():
                both = [*SIGNED]
                both[at] = changed.decode("latin-1")
                refused(handshake(*both))


def test_the_authority_is_our_public_address_whatever_the_request_says():
    refused(handshake(), base="https://other.example.com")
    request = handshake()
    Genesys(ACCOUNT).verify(replace(request, headers={**request.headers, "host": "other.example.com"}), BASE, CREATED_S)


def test_a_path_of_our_public_address_that_a_proxy_takes_off_is_signed_too():
    whole = sign({**VALUES, "@request-target": "/bots/voice/ws"}, KEY, SECRET, "n", CREATED_S, CREATED_S + 30)
    SERVICE.verify(handshake(*whole, **{"@request-target": "/voice/ws"}), f"{BASE}/bots", CREATED_S)
    refused(handshake(*whole, **{"@request-target": "/bots/voice/ws"}), f"{BASE}/bots")


def test_a_signature_of_less_is_refused():
    for left_out in COMPONENTS:
        less = {name: one for name, one in VALUES.items() if name != left_out}
        refused(handshake(*sign(less, KEY, SECRET, "n", CREATED_S, CREATED_S + 30)))


def test_a_signature_is_of_now_and_of_this_key():
    refused(handshake(), now_s=CREATED_S + 301)
    refused(handshake(*sign(VALUES, KEY, SECRET, "n", CREATED_S - 100, CREATED_S - 1)))
    refused(handshake(*sign({**VALUES, "x-api-key": "other"}, KEY, SECRET, "n", CREATED_S, CREATED_S)))
    refused(handshake(*sign(VALUES, "other", SECRET, "n", CREATED_S, CREATED_S + 30)))
    other_kind = tuple(one.replace("hmac-sha256", "none") for one in SIGNED)
    refused(handshake(*other_kind))


def test_no_signature_and_no_secret_check_nothing():
    assert refused(handshake("", "")).code == 401
    empty = Genesys(GenesysAccount(KEY, ""))
    refused(handshake(*sign(VALUES, KEY, "", "n", CREATED_S, CREATED_S + 30)), service=empty)
    with pytest.raises(ConfigError):
        GenesysAccount(KEY, "no base64!")
    assert SECRET not in repr(SERVICE)


MEDIA = [
    {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000},
    {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000},
    {"type": "audio", "format": "PCMU", "channels": ["internal"], "rate": 8000},
]
SESSION = "e160e428-53e2-487c-977d-96989bf5c99d"


def opening(media: Any = MEDIA, call: str = "conv-1") -> dict[str, Any]:
    about = {
        "organizationId": "org-1",
        "conversationId": call,
        "participant": {"id": "p-1", "ani": "tel:+15550100", "aniName": "Ann", "dnis": "15550111123"},
        "media": media,
        "inputVariables": {"ticket": "7"},
    }
    said = {"version": "2", "id": SESSION, "type": "open", "seq": 1, "serverseq": 0, "position": "PT0S"}
    return {**said, "parameters": about}


def begun(media: Any = MEDIA) -> AudioHookDialect:
    dialect = AudioHookDialect()
    dialect.hear(json.dumps(opening(media)))
    return dialect


def hear(dialect: AudioHookDialect, type: str, seq: int = 2, **about: Any) -> list[Told]:
    said = {"version": "2", "id": SESSION, "type": type, "seq": seq, "serverseq": 1, "position": "PT1S"}
    return list(dialect.hear(json.dumps({**said, "parameters": about})))


def read(told: Told) -> dict[str, Any]:
    assert isinstance(told, Reply)
    return json.loads(told.frame)


def test_a_session_is_opened_with_the_caller_alone():
    opened, started = AudioHookDialect().hear(json.dumps(opening()))
    narrow = Encoding("PCMU")
    assert read(opened) == {
        "version": "2",
        "type": "opened",
        "seq": 1,
        "clientseq": 1,
        "id": SESSION,
        "parameters": {"startPaused": False, "media": [MEDIA[1]]},
    }
    assert started == Started(SESSION, "conv-1", "+15550100", "+15550111123", narrow, narrow, {"ticket": "7"})


def test_a_probe_is_answered_and_is_no_call():
    dialect = AudioHookDialect()
    [opened] = dialect.hear(json.dumps(opening(call="00000000-0000-0000-0000-000000000000")))
    assert read(opened)["type"] == "opened"
    closed, stopped = hear(dialect, "close", reason="end")
    assert (read(closed)["type"], stopped) == ("closed", Stopped("end"))


def test_messages_are_numbered_and_say_what_was_seen():
    dialect = begun()
    pong = read(hear(dialect, "ping", seq=2)[0])
    assert (pong["type"], pong["seq"], pong["clientseq"]) == ("pong", 2, 2)
    assert [read(one)["seq"] for one in hear(dialect, "ping", seq=3)] == [3]
    assert [json.loads(one)["seq"] for one in dialect.clear() if isinstance(one, str)] == [4]


def test_the_caller_is_the_first_of_two_channels():
    dialect = begun(MEDIA[:1])
    assert dialect.hear(b"\x01\xff" * 800) == (Sound(b"\x01" * 800),)
    linear = begun([{"type": "audio", "format": "L16", "channels": ["external", "internal"], "rate": 8000}])
    stereo = struct.pack("<6h", 1, 9, -2, 9, 300, 9) * 4
    assert linear.hear(stereo) == (Sound(struct.pack(">3h", 1, -2, 300) * 4),)
    assert linear.sound(struct.pack(">h", 5)) == (struct.pack("<h", 5),)


@pytest.mark.parametrize("media", [[], None, "x", [{"format": "OPUS"}], [MEDIA[2]], [{**MEDIA[1], "rate": 16000}]])
def test_audio_that_we_can_not_take_is_refused(media):
    refusal, odd = AudioHookDialect().hear(json.dumps(opening(media)))
    assert (read(refusal)["type"], read(refusal)["parameters"]["reason"], odd) == ("disconnect", "error", Odd("format"))


def test_keys_are_told_and_barging_in_is_said():
    dialect = begun()
    assert hear(dialect, "dtmf", digit="5") == [Pressed("5")]
    [event] = [json.loads(one) for one in dialect.clear() if isinstance(one, str)]
    assert event["parameters"] == {"entities": [{"type": "barge_in", "data": {}}]}
    assert list(dialect.sound(b"\xff" * 1600)) == [b"\xff" * 1600]


def test_the_flow_is_told_what_was_found_out():
    dialect = begun()
    dialect.outputs["intent"] = "a table \ud83d"
    [goodbye] = [json.loads(one) for one in dialect.close() if isinstance(one, str)]
    assert goodbye["type"] == "disconnect"
    assert goodbye["parameters"] == {"reason": "completed", "outputVariables": {"intent": "a table �"}}
    closed = read(hear(dialect, "close", reason="disconnect")[0])
    assert closed["parameters"] == {"outputVariables": {"intent": "a table �"}}


def test_what_is_none_of_ours_is_passed_over_and_errors_are_counted():
    dialect = begun()
    for type in ("paused", "resumed", "discarded", "update", "playback_started", "playback_completed"):
        assert hear(dialect, type) == []
    assert hear(dialect, "error", code=429, message="Too many") == [Odd("error_429")]
    assert hear(dialect, "open") == [Odd("started_again")]
    assert AudioHookDialect().hear(bytes(1600)) == (Odd("early_sound"),)
    assert [*dialect.mark("1"), *dialect.press("1")] == []


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_what_makes_no_sense_is_odd(frame):
    for dialect in (AudioHookDialect(), begun()):
        assert all(isinstance(told, Odd | Sound) for told in dialect.hear(frame))


@pytest.mark.parametrize("seed", range(20))
def test_it_endures_whatever_is_sent(seed):
    said = [{**opening(), "type": type, "seq": 2} for type in ("ping", "dtmf", "error", "close", "update", "paused")]
    good = [json.dumps(opening()), *(json.dumps(one) for one in said), bytes(1600)]
    assert endure(AudioHookDialect, good, seed) > 0


def test_we_part_as_genesys_does_and_it_closes_the_socket() -> None:
    """disconnect, its close, our closed: who closes the socket before that loses what the flow is to be told."""

    async def brief(call: offhook.Call) -> None:
        await call.hangup("good evening and goodbye")

    async def main() -> None:
        async with FakeGenesys(brief) as phone:
            caller = await phone.call()
            await caller.hears("goodbye")
            began = asyncio.get_running_loop().time()
            await caller.gone()
            (end,) = phone.ends.values()
            assert [order.kind for _, order in end.orders[-2:]] == ["part", "close"]
            assert asyncio.get_running_loop().time() - began < PARTING_S
            await asyncio.sleep(PARTING_S + 1)
            assert not phone.visits

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=60)) as runner:
        runner.run(main())
