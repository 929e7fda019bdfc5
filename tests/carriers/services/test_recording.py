"""What each service's API is asked for its recordings, as its own kit asks it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import pytest
from twilio.rest import Client  # type: ignore[import-untyped]

from carriers.services.hostile import TEXTS
from offhook.carriers.services.http import ApiReply
from offhook.carriers.services.plivo import PlivoAccount, plivo
from offhook.carriers.services.recording import Recording, Step
from offhook.carriers.services.signalwire import SignalWireAccount, signalwire
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.twilio import TwilioAccount, twilio

PUBLIC = b64encode(bytes(32)).decode()
NEWS = "https://a.example/services/x/key/recording"
SERVICES: dict[str, Any] = {
    "twilio": twilio(TwilioAccount("AC1", "tok")),
    "signalwire": signalwire(SignalWireAccount("a.signalwire.com", "proj", "tok", "PSK_1")),
    "texml": telnyx(TelnyxAccount("KEY", PUBLIC, "conn", texml=True, account="acc")),
    "telnyx": telnyx(TelnyxAccount("KEY", PUBLIC, "conn")),
    "plivo": plivo(PlivoAccount("MAXX", "tok")),
}
ACCOUNTS = {
    "twilio": "https://api.twilio.com/2010-04-01/Accounts/AC1",
    "signalwire": "https://a.signalwire.com/api/laml/2010-04-01/Accounts/proj",
    "texml": "https://api.telnyx.com/v2/texml/Accounts/acc",
}
UPDATES: dict[Step, bytes] = {"pause": b"Status=paused", "resume": b"Status=in-progress", "stop": b"Status=stopped"}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_recordings_are_twilios_where_its_api_was_taken_over(name: str) -> None:
    service, place = SERVICES[name], ACCOUNTS[name]
    start = service.record("CA1", "start", "", NEWS)
    assert (start.method, start.url) == ("POST", f"{place}/Calls/CA1/Recordings.json")
    assert b"RecordingStatusCallback=https%3A%2F%2Fa.example%2Fservices%2Fx%2Fkey%2Frecording" in start.body
    for step, body in UPDATES.items():
        order = service.record("CA1", step, "RE1", NEWS)
        assert (order.method, order.url, order.body) == ("POST", f"{place}/Calls/CA1/Recordings/RE1.json", body)
    assert service.begun(ApiReply(201, b'{"sid":"RE1"}')) == "RE1"
    assert [(one.method, one.url) for one in (service.look_up("RE1"), service.erase("RE1"))] == [
        ("GET", f"{place}/Recordings/RE1.json"),
        ("DELETE", f"{place}/Recordings/RE1.json"),
    ]


def test_twilios_own_kit_asks_the_same() -> None:
    asked: list[tuple[str, str]] = []

    class Kit:
        def request(self, method: str, url: str, **more: Any) -> Any:
            asked.append((method, url))
            raise EOFError

    client = Client("AC1", "tok", http_client=Kit())  # type: ignore[arg-type]
    call: Any = client.calls("CA1").recordings
    for wish in (
        lambda: call.create(),
        lambda: call("Twilio.CURRENT").update(status="paused"),
        lambda: client.recordings("RE1").fetch(),
        lambda: client.recordings("RE1").delete(),
    ):
        with pytest.raises(EOFError):
            wish()
    service = SERVICES["twilio"]
    ours = [
        service.record("CA1", "start", "", NEWS),
        service.record("CA1", "pause", "", NEWS),
        service.look_up("RE1"),
        service.erase("RE1"),
    ]
    assert [(one.method, one.url) for one in ours] == asked
    assert SERVICES["signalwire"].record("CA1", "pause", "", NEWS) is None


def test_telnyx_records_by_commands_that_may_come_again() -> None:
    service = SERVICES["telnyx"]
    for step in ("start", "pause", "resume", "stop"):
        order = service.record("v3:x", step, "", NEWS)
        assert order.url == f"https://api.telnyx.com/v2/calls/v3%3Ax/actions/record_{step}"
        assert b"command_id" not in order.body
    assert service.record("v3:x", "start", "", NEWS).body == b'{"format":"wav","channels":"dual"}'
    for order, method in ((service.look_up("r-1"), "GET"), (service.erase("r-1"), "DELETE")):
        assert (order.method, order.url) == (method, "https://api.telnyx.com/v2/recordings/r-1")


def test_plivo_begins_and_ends_and_never_pauses() -> None:
    service, place = SERVICES["plivo"], "https://api.plivo.com/v1/Account/MAXX"
    start, stop = (service.record("u1", step, "", NEWS) for step in ("start", "stop"))
    assert (start.method, start.url) == ("POST", f"{place}/Call/u1/Record/")
    assert (stop.method, stop.url, stop.body) == ("DELETE", f"{place}/Call/u1/Record/", b"")
    assert b'"time_limit":14400' in start.body, "Plivo's own limit is a minute"
    assert service.record("u1", "pause", "r", NEWS) is None
    assert service.record("u1", "resume", "r", NEWS) is None
    assert service.begun(ApiReply(202, b'{"recording_id":"r-1"}')) == "r-1"
    for order, method in ((service.look_up("r-1"), "GET"), (service.erase("r-1"), "DELETE")):
        assert (order.method, order.url) == (method, f"{place}/Recording/r-1/")


@pytest.mark.parametrize("name", SERVICES)
def test_no_name_of_a_recording_leads_elsewhere(name: str) -> None:
    service: Recording = SERVICES[name]
    plain = urlsplit(service.look_up("r").url)
    for text in (*TEXTS, "../Calls/CA1", "https://evil.example/x", "a?b#c"):
        for order in (service.look_up(text), service.erase(text), service.record("c", "stop", text or "r", NEWS)):
            assert order is not None
            found = urlsplit(order.url)
            assert (found.scheme, found.netloc, found.query, found.fragment) == (plain.scheme, plain.netloc, "", "")
        assert urlsplit(service.erase(text).url).path.count("/") == plain.path.count("/")


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"sid":7}', b'{"sid":null,"recording_id":[]}', b"\xff"])
def test_an_answer_that_names_nothing_names_nothing(name: str, body: bytes) -> None:
    assert SERVICES[name].begun(ApiReply(201, body)) in ("", "7")
