"""A trunk: how it wants numbers and our name, what is tried after it, and what an agent may add."""

from __future__ import annotations

import pytest

from offhook.carriers.trunks import Trunk, added_headers, profiles
from offhook.run.config import Config, host_rules
from offhook.sip.uri import parse_uri

MAIN = Trunk(
    "main", uri=parse_uri("sip:gateway.example:5080"), country="DE", caller="+4930123456", caller_name="Luigi's"
)


def test_a_number_is_written_as_the_trunk_wants_it():
    assert str(MAIN.target("+4930999999")) == "sip:+4930999999@gateway.example:5080"
    national = Trunk("x", uri=MAIN.uri, country="DE", number_format="national", prefix="0")
    assert str(national.target("+4930999999")) == "sip:0030999999@gateway.example:5080"


@pytest.mark.parametrize(
    ("identity", "fields"),
    [
        ((), []),
        (("pai",), [("P-Asserted-Identity", '"Luigi\'s" <sip:+4930123456@gateway.example>')]),
        (("ppi",), [("P-Preferred-Identity", '"Luigi\'s" <sip:+4930123456@gateway.example>')]),
        (
            ("rpid",),
            [
                (
                    "Remote-Party-ID",
                    '"Luigi\'s" <sip:+4930123456@gateway.example>;party=calling;screen=yes;privacy=off',
                )
            ],
        ),
    ],
)
def test_it_is_told_who_calls_in_the_headers_that_it_reads(identity, fields):
    trunk = Trunk("x", uri=MAIN.uri, country="DE", caller="030 123456", caller_name="Luigi's", identity=identity)
    sender, headers = trunk.sender()
    assert sender.uri == "sip:+4930123456@gateway.example"
    assert list(headers) == fields


def test_another_number_of_ours_may_be_shown():
    sender, _ = MAIN.sender(caller="+4930777777")
    assert sender.uri == "sip:+4930777777@gateway.example"


@pytest.mark.parametrize("identity", [(), ("pai",), ("ppi",), ("rpid",)])
def test_a_withheld_number_is_told_the_carrier_and_nobody_else(identity):
    trunk = Trunk("x", uri=MAIN.uri, caller="+4930123456", identity=identity)
    sender, headers = trunk.sender(withhold=True)
    assert str(sender) == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert ("Privacy", "id") in headers
    assert any("+4930123456" in value for _, value in headers)


@pytest.mark.parametrize(
    ("code", "on"), [(408, True), (500, True), (503, True), (504, True), (480, False), (404, False)]
)
def test_the_next_trunk_is_for_what_this_one_could_not_do(code, on):
    assert MAIN.tries_on(code) is on


@pytest.mark.parametrize("code", [486, 600, 603])
def test_what_the_callee_decided_is_final_whatever_the_profile_says(code):
    assert not Trunk("x", retry=frozenset({code, 480})).tries_on(code)
    assert Trunk("x", retry=frozenset({480})).tries_on(480)


def test_an_agent_adds_headers_of_its_own():
    told = added_headers({"X-Order": "7; a, b", "user-to-user": "56a390f3;encoding=hex", "Alert-Info": "<urn:x>"})
    assert told == (("X-Order", "7; a, b"), ("User-To-User", "56a390f3;encoding=hex"), ("Alert-Info", "<urn:x>"))


@pytest.mark.survives(37)
@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "b\r\nX-C: d"},
        {"X-A": "b\nc"},
        {"X-A": "\0"},
        {"X-A": "\x1b[2J"},
        {"X-A": "b\u2028c"},
        {"X-A\r\nX-B": "c"},
        {"X-A: b": "c"},
        {"X A": "b"},
        {"": "b"},
        {"X-A": "b" * 70_000},
        {f"X-{number}": "b" for number in range(100)},
        {"From": "<sip:ceo@bank.example>"},
        {"Route": "<sip:elsewhere.example;lr>"},
        {"P-Asserted-Identity": "<sip:+15550000000@x>"},
        {"Authorization": "Digest x"},
        {"Content-Length": "0"},
    ],
)
def test_no_header_becomes_two_and_none_steers_the_call(headers):
    with pytest.raises(ValueError, match=r"."):
        added_headers(headers)


def test_profiles_name_what_is_documented_of_each():
    assert set(profiles()) == {
        *("generic", "twilio", "telnyx", "vonage", "bandwidth", "amazon-connect", "chime-voice-connector"),
        *("twilio-domain", "plivo", "signalwire", "jambonz", "exotel", "genesys"),
        *("asterisk", "freeswitch", "3cx", "fritzbox", "fxo-gateway"),
    }
    keys = {name: {"profile": name, "address": "sip:gateway.example"} for name in profiles()}
    trunks = {trunk.name: trunk for trunk in host_rules(Config(trunks=keys), max_calls=1).trunks}  # type: ignore[arg-type]
    assert not trunks["generic"].believed.identity, "nobody is believed by default"
    assert trunks["fxo-gateway"].caps.calls == 1
    assert not trunks["fritzbox"].refer
    assert {trunks[name].refuse for name in ("twilio", "asterisk", "generic")} == {480, 486, 503}
    assert str(trunks["twilio"].networks[0]) == "54.172.60.0/30"
