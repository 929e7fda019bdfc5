"""What is said beside a call: INFO and MESSAGE (RFC 6086, RFC 3428)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.info import Key, parse_plain, parse_relay
from offhook.sip.message import Request
from offhook.sip.outcomes import Keyed, SipCall, Texted

CALL = SipCall(1)
RELAY = "application/dtmf-relay"


def says(far, method, seq, body, kind, **more):
    headers = ((("Content-Type", kind),) if kind else ()) + tuple(more.items())
    return [message.code for message in far.asks(method, seq, body=body, headers=headers)]


def told(far, kind):
    return [outcome for outcome in far.told if isinstance(outcome, kind)]


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_a_key_is_written_and_read(key):
    assert parse_relay(str(Key(key, 200))) == Key(key, 200)
    assert parse_plain(f" {key.lower()}\r\n").key == key


@pytest.mark.parametrize(
    ("text", "key", "duration_ms"),
    [
        ("Signal=5\r\nDuration=160", "5", 160),
        ("signal = 5 \nDuration= 1", "5", 40),
        ("Duration=999999\r\nSignal=#\r\n", "#", 8000),
        ("Signal=10", "*", 160),
        ("Signal=11\r\nDuration=", "#", 160),
        ("x\r\nSignal=d", "D", 160),
    ],
)
def test_what_gateways_write_is_read(text, key, duration_ms):
    assert parse_relay(text) == Key(key, duration_ms)


@pytest.mark.parametrize("text", ["", "Signal=", "Signal=E", "Signal=55", "Duration=5", "Signal=5\r\nDuration=x"])
def test_what_names_no_key_is_refused(text):
    with pytest.raises(Malformed):
        parse_relay(text)


@pytest.mark.parametrize("kind", [RELAY, f"{RELAY};charset=utf-8", "Application/DTMF-Relay"])
def test_a_key_by_info_is_told(far, kind):
    far.up()
    assert says(far, "INFO", 2, b"Signal=7\r\nDuration=250\r\n", kind) == [200]
    assert says(far, "INFO", 3, b"8", "application/dtmf") == [200]
    assert told(far, Keyed) == [Keyed(CALL, "7", 250), Keyed(CALL, "8", 160)]


def test_other_info_is_refused_and_leaves_the_call_alone(far):
    far.up()
    assert says(far, "INFO", 2, b"<x/>", "application/media_control+xml") == [415]
    assert far.sent[-1].index["Accept"] == "application/dtmf-relay, application/dtmf"
    assert says(far, "INFO", 3, b"Signal=x", RELAY) == [400]
    assert says(far, "INFO", 4, b"x", RELAY, **{"Info-Package": "foo"}) == [469]
    assert far.sent[-1].index["Recv-Info"] == ""
    assert says(far, "INFO", 5, b"", "") == [200]
    assert told(far, Keyed) == far.ended() == []


def test_a_text_is_told_as_what_can_be_printed(far):
    far.up()
    assert says(far, "MESSAGE", 2, "Grüße\r\n\x1b[31mline two\0".encode(), "text/plain;charset=UTF-8") == [200]
    assert told(far, Texted) == [Texted(CALL, "Grüße\n[31mline two")]


def test_texts_of_other_kinds_and_too_long_ones_are_refused(far):
    far.up()
    assert says(far, "MESSAGE", 2, b"<b>x</b>", "text/html") == [415]
    assert says(far, "MESSAGE", 3, b"x", "text/plain;charset=utf-16") == [415]
    assert says(far, "MESSAGE", 4, b"x" * 5000, "text/plain") == [413]
    assert says(far, "MESSAGE", 5, b"  ", "text/plain") == [200]
    assert told(far, Texted) == far.ended() == []


def test_keys_of_ours_go_one_after_the_other(far):
    far.up(headers=(("Allow", "INVITE, ACK, BYE, INFO"),))
    assert far.agent.takes(CALL, "INFO")
    assert not far.agent.takes(CALL, "UPDATE")
    (first,) = far.order(far.agent.press, CALL, "1#")
    assert far.order(far.agent.press, CALL, "9") == []
    keys = []
    while True:
        keys.append(parse_relay(first.body.decode()).key)
        following = far.responds(first, 200)
        if not following:
            break
        (first,) = following
    assert keys == ["1", "#", "9"]
    assert len(far.order(far.agent.press, CALL, "5")) == 1


@pytest.mark.parametrize("code", [404, 408, 480, 481, 604])
def test_a_key_for_a_call_that_is_not_there_ends_it(far, code):
    far.up()
    (first,) = far.order(far.agent.press, CALL, "123")
    assert [message.method for message in far.responds(first, code)] == (["BYE"] if code in (408, 480) else [])
    assert [ended.code for ended in far.ended()] == [code]


def test_who_refuses_a_key_is_sent_no_more(far):
    far.up()
    (first,) = far.order(far.agent.press, CALL, "123")
    assert isinstance(first, Request)
    assert far.responds(first, 415) == []
    (again,) = far.order(far.agent.press, CALL, "4")
    far.wait(40_000)
    assert again.method == "INFO"
    assert len(far.order(far.agent.press, CALL, "5")) == 1
    with pytest.raises(ValueError, match="key"):
        far.agent.press(far.now, CALL, "x")
