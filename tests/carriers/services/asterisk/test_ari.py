"""Asterisk's REST interface: what is asked of it, and what its events say."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from carriers.services.hostile import TEXTS, mangled, one_byte_changes
from offhook.carriers.services.asterisk import Asterisk, AsteriskAccount
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Unsigned
from offhook.carriers.services.service import Handed, Left, Links, News, Offered, Placement, Progressed
from offhook.core.errors import DialFailed, ProtocolError

ACCOUNT = AsteriskAccount("media", "media password", "ari", "ari password", context="agents")
SERVICE = Asterisk(ACCOUNT)
CALL = "pbx1-1700000000.42"
LINKS = Links("wss://offhook.example/services/asterisk/media/t0ken", "https://offhook.example/services/asterisk/k3y")
CHANNEL = {
    "id": CALL,
    "name": "PJSIP/trunk-0000002a",
    "state": "Ring",
    "caller": {"name": "Ann", "number": "14155550100"},
    "connected": {"name": "", "number": ""},
    "dialplan": {"context": "from-trunk", "exten": "14155550111", "priority": 1, "app_name": "Stasis"},
    "channelvars": {"X-Id": "7"},
}

UP = {**CHANNEL, "state": "Up"}
OURS = {**CHANNEL, "id": "offhook-k3y", "state": "Ringing"}


def read(type: str, **more: Any) -> list[News]:
    event = {"type": type, "application": "offhook", "channel": CHANNEL, **more}
    return list(SERVICE.hook("events", Request("POST", "/", {}, json.dumps(event).encode())))


def follow(type: str, channel: dict[str, Any]) -> list[tuple[str, str]]:
    event = {"type": type, "channel": channel}
    return [asked(call)[:2] for call in SERVICE.follow(Request("POST", "/", {}, json.dumps(event).encode()))]


def asked(call: ApiCall) -> tuple[str, str, dict[str, str]]:
    url = urlsplit(call.url)
    assert (url.scheme, url.netloc) == ("http", "127.0.0.1:8088")
    assert call.headers["authorization"] == "Basic " + b64encode(b"ari:ari password").decode()
    return call.method, url.path.removeprefix("/ari"), dict(parse_qsl(url.query))


def test_a_call_that_comes_to_the_application_is_offered():
    offered = Offered(CALL, "+14155550100", "+14155550111", caller_name="Ann", headers={"X-Id": "7"})
    assert read("StasisStart", args=[]) == [offered]
    assert read("StasisStart", args=["dialled"]) == [replace(offered, direction="outbound")]


def test_media_channels_of_ours_are_no_calls():
    channel = {**CHANNEL, "id": f"offhook-media-{CALL}"}
    for type in ("StasisStart", "StasisEnd", "ChannelDestroyed", "ChannelStateChange"):
        assert read(type, channel=channel) == []


@pytest.mark.parametrize(
    ("type", "more", "news"),
    [
        ("ChannelStateChange", {"channel": {**CHANNEL, "state": "Ringing"}}, [Progressed(CALL, "ringing")]),
        ("ChannelStateChange", {"channel": {**CHANNEL, "state": "Up"}}, [Progressed(CALL, "answered")]),
        ("ChannelStateChange", {"channel": {**CHANNEL, "state": "Down"}}, []),
        ("StasisEnd", {}, [Handed(CALL, 200, over=True), Left(CALL)]),
        (
            "ChannelDestroyed",
            {"cause": 16, "cause_txt": "Normal Clearing", "channel": UP},
            [Left(CALL, 200, "Normal Clearing")],
        ),
        ("ChannelDestroyed", {"cause": 16}, [Left(CALL, 487)]),
        ("ChannelDestroyed", {"cause": 16, "channel": OURS}, [Left("offhook-k3y", 480)]),
        ("ChannelDestroyed", {"cause": 17, "cause_txt": "User busy"}, [Left(CALL, 486, "User busy")]),
        ("ChannelDestroyed", {"cause": 999}, [Left(CALL, 480)]),
        ("ChannelDestroyed", {}, [Left(CALL, 480)]),
        ("ChannelVarset", {"variable": "X"}, []),
        ("PlaybackStarted", {"channel": None}, []),
    ],
)
def test_each_event_is_news_or_none(type, more, news):
    assert read(type, **more) == news


def test_a_call_is_answered_and_its_media_meets_it_in_a_bridge():
    answer = SERVICE.connect(Offered(CALL), LINKS)
    first, bridge, joined, media = [asked(call) for call in answer.calls]
    assert first == ("POST", f"/channels/{CALL}/answer", {})
    assert bridge[:2] == ("POST", f"/bridges/offhook-bridge-{CALL}")
    assert joined == ("POST", f"/bridges/offhook-bridge-{CALL}/addChannel", {"channel": CALL})
    assert media == (
        "POST",
        "/channels/externalMedia",
        {
            "channelId": f"offhook-media-{CALL}",
            "app": "offhook",
            "external_host": "offhook",
            "transport": "websocket",
            "encapsulation": "none",
            "format": "slin16",
            "transport_data": "f(json)v(token=t0ken)",
        },
    )
    media_channel = {**CHANNEL, "id": f"offhook-media-{CALL}"}
    assert follow("StasisStart", media_channel) == [("POST", f"/bridges/offhook-bridge-{CALL}/addChannel")]


def test_a_call_of_ours_is_not_answered_again_and_has_the_name_that_it_was_placed_under():
    bridge, joined, _ = [asked(call) for call in SERVICE.connect(Offered("", direction="outbound"), LINKS).calls]
    assert bridge[1] == "/bridges/offhook-bridge-offhook-k3y"
    assert joined[2] == {"channel": "offhook-k3y"}


def test_a_call_that_left_leaves_nothing_behind():
    gone = [("DELETE", f"/channels/offhook-media-{CALL}"), ("DELETE", f"/bridges/offhook-bridge-{CALL}")]
    assert follow("StasisEnd", CHANNEL) == gone
    assert [asked(call)[:2] for call in SERVICE.hang_up(CALL)] == [("DELETE", f"/channels/{CALL}"), *gone]
    assert all(404 in call.gone for call in SERVICE.hang_up(CALL))
    assert follow("StasisStart", CHANNEL) == []


@pytest.mark.parametrize(("code", "cause"), [(486, "17"), (603, "21"), (404, "1"), (480, "18")])
def test_a_refusal_has_its_cause(code, cause):
    [call] = SERVICE.refuse(Offered(CALL), code).calls
    assert asked(call) == ("DELETE", f"/channels/{CALL}", {"reason_code": cause})


@pytest.mark.parametrize(
    ("target", "extension"),
    [("+1 415 555 0122", "+14155550122"), ("sip:desk@pbx.example", "desk"), ("tel:+14155550122", "+14155550122")],
)
def test_a_transfer_goes_on_in_the_dialplan(target, extension):
    [call] = SERVICE.transfer(CALL, target, "", LINKS)
    where = {"context": "agents", "extension": extension, "priority": "1"}
    assert asked(call) == ("POST", f"/channels/{CALL}/continue", where)
    assert Asterisk(replace(ACCOUNT, context="")).transfer(CALL, target, "", LINKS) == ()


def test_a_sip_address_is_called_by_the_trunk_of_numbers():
    assert asked(SERVICE.dial(Placement("sip:desk@pbx.example", ""), LINKS))[2]["endpoint"] == (
        "PJSIP/trunk/sip:desk@pbx.example"
    )


def test_what_is_pasted_names_no_password():
    said = "\n".join(SERVICE.paste())
    assert "Stasis(offhook)" in said
    assert "[ari]" in said
    assert "ari password" not in said


def test_its_events_come_by_a_socket_whose_address_has_no_password():
    order = SERVICE.events()
    assert order.url == "ws://127.0.0.1:8088/ari/events?app=offhook"
    assert order.headers["authorization"] == "Basic " + b64encode(b"ari:ari password").decode()


def test_what_is_there_is_read_or_refused():
    assert SERVICE.there(ApiReply(200, json.dumps([CHANNEL, {}, 3]).encode())) == {CALL, ""}
    for reply in (ApiReply(500, b"[]"), ApiReply(200, b"{}"), ApiReply(200, b"[" * 100_000)):
        with pytest.raises(ProtocolError):
            SERVICE.there(reply)


def test_a_call_of_ours_is_known_by_the_key_in_its_name():
    assert SERVICE.key("offhook-k3y") == "k3y"
    assert SERVICE.key(CALL) == ""


def test_a_call_is_placed_under_a_name_of_ours():
    method, path, said = asked(SERVICE.dial(Placement("+14155550122", "+14155550111", 30), LINKS))
    assert (method, path) == ("POST", "/channels")
    assert said == {
        "channelId": "offhook-k3y",
        "endpoint": "PJSIP/+14155550122@trunk",
        "app": "offhook",
        "appArgs": "dialled",
        "callerId": "+14155550111",
        "timeout": "30",
    }
    assert SERVICE.placed(ApiReply(200, b'{"id":"offhook-k3y"}')) == "offhook-k3y"


@pytest.mark.parametrize(("status", "code"), [(400, 404), (401, 403), (500, 500), (200, 500)])
def test_a_call_that_was_not_placed_says_why(status, code):
    with pytest.raises(DialFailed) as failed:
        SERVICE.placed(ApiReply(status, b'{"message":"Allocation failed"}'))
    assert failed.value.code == code


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_whatever_a_name_holds_it_stays_in_its_place(text):
    text = text[:500] or "x"
    calls = [*SERVICE.connect(Offered(text), LINKS).calls, *SERVICE.transfer(text, text, text, LINKS)]
    for call in [*calls, *SERVICE.hang_up(text), SERVICE.dial(Placement(text, text), LINKS)]:
        _, path, _ = asked(call)
        assert path.split("/")[1] in ("channels", "bridges")
        assert path.count("/") <= 3
        assert call.url.isascii()
        assert call.url.isprintable()


def test_a_socket_proves_itself_by_its_password():
    given = "Basic " + b64encode(b"media:media password").decode()
    SERVICE.verify(Request("GET", "/", {"authorization": given}), "", 0)
    for changed in one_byte_changes(given.encode()):
        if changed != given.encode():
            with pytest.raises(Unsigned):
                SERVICE.verify(Request("GET", "/", {"authorization": changed.decode("latin-1")}), "", 0)
    with pytest.raises(Unsigned) as missing:
        SERVICE.verify(Request("GET", "/"), "", 0)
    assert missing.value.code == 401
    empty = Asterisk(replace(ACCOUNT, user="", password=""))
    with pytest.raises(Unsigned):
        empty.verify(Request("GET", "/", {"authorization": "Basic Og=="}), "", 0)
    assert "password" not in repr(ACCOUNT)


def test_whatever_an_event_holds_it_is_read_or_refused():
    chance = Random(1)
    for type in ("StasisStart", "StasisEnd", "ChannelDestroyed", "ChannelStateChange"):
        for _ in range(300):
            event = mangled({"type": type, "channel": CHANNEL, "cause": 16, "args": ["dialled"]}, chance)
            request = Request("POST", "/", {}, json.dumps(event).encode())
            with contextlib.suppress(ProtocolError):
                SERVICE.hook("events", request)
                SERVICE.follow(request)
