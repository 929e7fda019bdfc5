"""jambonz' webhooks, by its own schema of what they hold."""

from __future__ import annotations

import contextlib
import json
from random import Random
from typing import Any

import pytest

from carriers.services.hostile import mangled
from carriers.services.jambonz.test_signature import SERVICE
from offhook.carriers.services.http import Request
from offhook.carriers.services.service import Detected, Handed, Left, News, Offered, Progressed, Said
from offhook.core.errors import ProtocolError

BASE = {
    "call_sid": "c-1",
    "account_sid": "acc-1",
    "direction": "inbound",
    "from": "15550100123",
    "to": "15550111123",
    "call_id": "abc@10.0.0.1",
    "call_status": "trying",
    "sip_status": 100,
    "caller_name": "Ann",
}


def read(kind: str, **more: Any) -> list[News]:
    body = json.dumps({**BASE, **more}).encode()
    return list(SERVICE.hook(kind, Request("POST", f"/services/jambonz/{kind}", {}, body)))


def test_a_call_is_offered_with_its_headers():
    headers = {"X-Override": "1", "From": "<sip:a@b>"}
    offered = Offered("c-1", "+15550100123", "+15550111123", caller_name="Ann", headers=headers)
    assert read("voice", sip={"headers": headers, "body": "v=0"}) == [offered]
    assert read("voice", direction="outbound") == [
        Offered("c-1", "+15550100123", "+15550111123", "outbound", caller_name="Ann")
    ]


@pytest.mark.parametrize(
    ("kind", "more", "news"),
    [
        ("status", {}, []),
        ("status", {"call_status": "ringing"}, [Progressed("c-1", "ringing")]),
        ("status", {"call_status": "in-progress"}, [Progressed("c-1", "answered")]),
        ("status", {"call_status": "completed", "sip_status": 200, "duration": 7}, [Left("c-1", 200, "completed")]),
        ("status", {"call_status": "busy", "sip_status": 486, "sip_reason": "Busy"}, [Left("c-1", 486, "Busy")]),
        ("status", {"call_status": "failed", "sip_status": 404}, [Left("c-1", 404, "failed")]),
        ("status", {"call_status": "failed", "sip_status": 100}, [Left("c-1", 480, "failed")]),
        ("status", {"call_status": "no-answer", "sip_status": None}, [Left("c-1", 480, "no-answer", "no_answer")]),
        ("status", {"call_status": "in-progress", "parent_call_sid": "c-0"}, [Handed("c-0", 200)]),
        ("status", {"call_status": "completed", "parent_call_sid": "c-0"}, []),
        ("transfer", {"dial_call_status": "completed", "dial_sip_status": 200}, [Handed("c-1", 200, over=True)]),
        ("transfer", {"dial_call_status": "busy", "dial_sip_status": 486}, [Handed("c-1", 486)]),
        ("transfer", {"dial_call_status": "no-answer", "dial_sip_status": 487}, [Handed("c-1", 487)]),
        ("transfer", {"dial_call_status": "failed"}, [Handed("c-1", 480)]),
        ("machine", {"type": "amd_human_detected"}, [Detected("c-1", "human")]),
        ("machine", {"type": "amd_machine_detected", "greeting": "hi"}, [Detected("c-1", "machine")]),
        ("machine", {"type": "amd_tone_detected", "frequency": 1000.0}, [Detected("c-1", "machine_beep")]),
        ("machine", {"type": "amd_machine_stopped_speaking"}, [Detected("c-1", "machine_beep")]),
        ("machine", {"type": "amd_decision_timeout"}, [Detected("c-1", "unknown")]),
        ("machine", {"type": "amd_stopped"}, []),
        ("input", {"speech": {"alternatives": [{"transcript": "a table"}]}}, [Said("c-1", "a table")]),
        ("input", {"digits": "42", "reason": "dtmfDetected"}, [Said("c-1", "", "42")]),
        ("input", {"reason": "timeout"}, [Said("c-1")]),
        ("after", {"dial_call_duration": 7}, []),
        ("nonsense", {}, []),
    ],
)
def test_each_webhook_is_news_or_none(kind, more, news):
    assert read(kind, **more) == news


def test_a_webhook_of_no_call_is_refused():
    with pytest.raises(ProtocolError):
        read("voice", call_sid=None)


@pytest.mark.parametrize("kind", ["voice", "status", "machine", "transfer", "input", "dial", "after"])
def test_whatever_a_webhook_holds_it_is_read_or_refused(kind):
    chance = Random(1)
    speech = {"alternatives": [{"transcript": "x"}]}
    full = {**BASE, "sip": {"headers": {"X": "1"}}, "type": "amd_human_detected", "speech": speech, "digits": "1"}
    for _ in range(500):
        body = json.dumps(mangled({**full, "call_status": "failed", "parent_call_sid": "c-0"}, chance)).encode()
        with contextlib.suppress(ProtocolError):
            SERVICE.hook(kind, Request("POST", "/?to=%FF&proof=1", {}, body))
