"""Plivo as the host uses it: its webhooks, its documents against its own builder, its API."""

from __future__ import annotations

import inspect
import json
import re
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import plivo.xml as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.resources.calls import Calls

from carriers.services.oddities import HOSTILE
from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.plivo import Plivo, PlivoAccount
from offhook.carriers.services.service import (
    Asked,
    Detected,
    Handed,
    Left,
    Links,
    Offered,
    Placement,
    Progressed,
    Recorded,
)
from offhook.core.errors import DialFailed, ProtocolError

LINKS = Links("wss://a.example/services/plivo/media/tok", "https://a.example/services/plivo/key")
SERVICE = Plivo(PlivoAccount("MAXX", "tok"))
CALL = {
    "CallUUID": "97ceeb52",
    "From": "15550001111",
    "To": "15550002222",
    "CallStatus": "ringing",
    "Direction": "inbound",
}
KINDS = ("voice", "status", "machine", "transfer", "dial", "after", "recording", "stream")


def hook(kind: str, target: str = "/", **said: str) -> list[Any]:
    request = Request(
        "POST", target, {"content-type": "application/x-www-form-urlencoded"}, urlencode({**CALL, **said}).encode()
    )
    return [*SERVICE.hook(kind, request)]


def rebuild(document: bytes) -> ElementTree.Element:
    """Build a document again with Plivo's own library: it nests so, knows each attribute, and takes each value."""

    def build(element: ElementTree.Element) -> Any:
        made = getattr(theirs, f"{element.tag}Element")
        given = {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in element.attrib.items()}
        known = inspect.signature(made.__init__).parameters
        values: dict[str, Any] = {}
        for name, value in element.attrib.items():
            key = name if name in known else re.sub("([A-Z])", r"_\1", name).lower()
            assert key in known, (element.tag, name)
            values[key] = value == "true" if value in ("true", "false") else value
        assert len(values) == len(given)
        built = made(*([element.text] if "content" in known else []), **values)
        for child in element:
            built.add(build(child))
        return built

    root = ElementTree.fromstring(document)
    again = ElementTree.fromstring(build(root).to_string(pretty=False))
    assert [(one.tag, one.attrib, one.text) for one in again.iter()] == [
        (one.tag, one.attrib, one.text) for one in root.iter()
    ]
    return root


def test_a_call_comes():
    (offered,) = hook("voice", **{"X-PH-Account": "7", "SIP-H-To": "<sip:a@b>", "CallerName": "Jané", "SIP-H-": ""})
    assert offered == Offered(
        "97ceeb52",
        "+15550001111",
        "+15550002222",
        caller_name="Jané",
        headers={"X-PH-Account": "7", "To": "<sip:a@b>"},
    )


@pytest.mark.parametrize(
    "name", ["sip:a@b.example", "anonymous", "", "911", "+15550001111", "0155500011", "１５５５０００１１１１"]
)
def test_what_is_no_number_of_the_world_stays_as_it_is(name):
    assert hook("voice", From=name)[0].caller == name


@pytest.mark.parametrize(("machine", "what"), [("true", "machine"), ("false", "human"), ("", ""), ("x", "")])
def test_a_call_of_ours_is_offered_with_what_answered(machine, what):
    (offered,) = hook("voice", Direction="outbound", Machine=machine)
    assert (offered.direction, offered.machine) == ("outbound", what)
    assert hook("machine", Machine=machine) == [Detected("97ceeb52", what or "unknown")]


@pytest.mark.parametrize(
    ("status", "news"),
    [
        ("ringing", [Progressed("97ceeb52", "ringing")]),
        ("in-progress", [Progressed("97ceeb52", "answered")]),
        ("completed", [Left("97ceeb52", 200, "completed")]),
        ("busy", [Left("97ceeb52", 486, "busy")]),
        ("failed", [Left("97ceeb52", 404, "failed")]),
        ("timeout", [Left("97ceeb52", 480, "timeout")]),
        ("no-answer", [Left("97ceeb52", 480, "no-answer")]),
        ("cancel", [Left("97ceeb52", 487, "cancel")]),
        ("resting", []),
    ],
)
def test_how_a_call_goes_on(status, news):
    assert hook("status", CallStatus=status) == news


@pytest.mark.parametrize(
    ("said", "news"),
    [
        ({"DialStatus": "completed"}, [Handed("97ceeb52", 200, over=True)]),
        ({"DialStatus": "busy", "CallStatus": "in-progress"}, [Handed("97ceeb52", 486)]),
        ({"DialStatus": "cancel", "CallStatus": "completed"}, [Handed("97ceeb52", 487, over=True)]),
        ({"DialStatus": "dances"}, [Handed("97ceeb52", 480)]),
        ({"DialAction": "answer", "DialALegUUID": "97ceeb52", "CallUUID": "other"}, [Handed("97ceeb52", 200)]),
        ({"DialAction": "hangup"}, []),
    ],
)
def test_what_became_of_a_transfer(said, news):
    assert hook("transfer", **said) == news


def test_the_rest_of_its_webhooks():
    assert hook("after") == [Left("97ceeb52")]
    assert hook("stream") == []
    assert hook("recording", RecordUrl="https://x/1.mp3", RecordingDuration="12", RecordingID="r-1") == [
        Recorded("97ceeb52", "https://x/1.mp3", 12, "r-1")
    ]
    assert hook("recording", RecordUrl="https://x/1.mp3", RecordingDuration="-1")[0].seconds == 0
    for kind, said, code in (("news", {}, 404), ("dial", {}, 400), *((kind, {"CallUUID": ""}, 400) for kind in KINDS)):
        with pytest.raises(ProtocolError) as error:
            hook(kind, **said)
        assert error.value.code == code


@given(
    st.sampled_from(KINDS),
    st.dictionaries(
        st.sampled_from([*CALL, "Machine", "DialStatus", "RecordingDuration"]), st.text(st.characters(codec="utf-8"))
    ),
)
def test_whatever_the_fields_are_it_is_news_or_a_typed_error(kind, said):
    try:
        assert all(one.call for one in hook(kind, **said))
    except ProtocolError:
        return


def test_a_call_is_brought_to_our_socket():
    stream, redirect = rebuild(SERVICE.connect(Offered("1"), LINKS).response.body)
    assert (stream.text, redirect.text) == (LINKS.media, f"{LINKS.hook}/after")
    assert (stream.get("bidirectional"), stream.get("keepCallAlive")) == ("true", "true")
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000"
    wide = Plivo(PlivoAccount("MAXX", "tok", codec="L16/16000", records=True))
    record, stream, _ = rebuild(wide.connect(Offered("1"), LINKS).response.body)
    assert stream.get("contentType") == "audio/x-l16;rate=16000"
    assert (record.get("recordSession"), record.get("callbackUrl")) == ("true", f"{LINKS.hook}/recording")


def test_a_call_is_refused_or_ended():
    (busy,) = rebuild(SERVICE.refuse(Offered("1"), 486).response.body)
    (other,) = rebuild(SERVICE.refuse(Offered("1"), 603).response.body)
    (ours,) = rebuild(SERVICE.refuse(Offered("1", direction="outbound"), 486).response.body)
    assert [one.get("reason") for one in (busy, other, ours)] == ["busy", "rejected", None]
    assert [one.tag for one in rebuild(SERVICE.heed(Left("1")).body)] == ["Hangup"]
    assert [*rebuild(SERVICE.heed(None).body)] == []


@pytest.mark.parametrize(("target", "tag"), [("+15557654321", "Number"), ("sip:a@b.example", "User")])
def test_a_transfer_is_asked_for_and_told_then(target, tag):
    (order,) = SERVICE.transfer("97ceeb52", target, "+15550000000", LINKS)
    asked = json.loads(order.body)
    assert set(asked) <= set(inspect.signature(Calls.transfer).parameters)
    assert order.url == "https://api.plivo.com/v1/Account/MAXX/Call/97ceeb52/"
    (news,) = hook("dial", asked["aleg_url"].removeprefix("https://a.example"))
    assert news == Asked("97ceeb52", target, "+15550000000", LINKS.hook)
    (dial,) = rebuild(SERVICE.heed(news).body)
    assert (dial.get("action"), dial.get("callbackUrl")) == (f"{LINKS.hook}/transfer",) * 2
    assert (dial[0].tag, dial[0].text) == (tag, target)


@pytest.mark.parametrize("text", [*HOSTILE, "<cont>"], ids=lambda text: ascii(text[:12]))
def test_a_hostile_text_stays_a_text(text):
    root = ElementTree.fromstring(SERVICE.heed(Asked("1", text, text, text)).body)
    assert [one.tag for one in root.iter()] == ["Response", "Dial", "Number"]
    root = ElementTree.fromstring(SERVICE.connect(Offered("1"), Links(text, text)).response.body)
    assert [one.tag for one in root.iter()] == ["Response", "Stream", "Redirect"]
    (order,) = SERVICE.transfer(text, text, text, LINKS)
    assert order.url.count("/") == 8
    assert json.loads(order.body)["legs"] == "aleg"


def test_a_call_is_ended():
    (order,) = SERVICE.hang_up("97ceeb52")
    assert order == ApiCall(
        "DELETE",
        "https://api.plivo.com/v1/Account/MAXX/Call/97ceeb52/",
        {"authorization": "Basic " + b64encode(b"MAXX:tok").decode()},
    )


@pytest.mark.parametrize(
    ("detect", "more"),
    [
        ("", set()),
        ("sync", {"machine_detection"}),
        ("async", {"machine_detection", "machine_detection_url", "machine_detection_method"}),
    ],
)
def test_a_call_is_placed(detect, more):
    asked = json.loads(SERVICE.dial(Placement("+1", "+2", 30, detect), LINKS).body)
    known = {name.rstrip("_") for name in inspect.signature(Calls.create).parameters}
    assert set(asked) <= known
    assert {name for name in asked if name.startswith("machine")} == more
    assert (asked["answer_url"], asked["hangup_url"]) == (f"{LINKS.hook}/voice", f"{LINKS.hook}/status")
    assert (asked["to"], asked["from"], asked["ring_timeout"]) == ("+1", "+2", 30)


def test_a_call_that_was_placed_has_a_name_or_says_why_not():
    assert SERVICE.placed(ApiReply(201, b'{"message":"call fired","request_uuid":"97ce"}')) == "97ce"
    for status, code in ((400, 404), (401, 403), (429, 503), (500, 503), (201, 500)):
        with pytest.raises(DialFailed) as error:
            SERVICE.placed(ApiReply(status, b'{"error":"x"}'))
        assert error.value.code == code
