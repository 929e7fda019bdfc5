"""Who calls and for whom: read from many headers, believed only from whom it may be."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.identity import (
    ENTRIES_LIMIT,
    Believed,
    called,
    identity,
    parse_diversion,
    parse_history,
    plain,
    user_of,
)
from offhook.sip.message import Request, parse_message

ALL = Believed(identity=True, diversion=True, verstat=True)
NONE = Believed()


def invite(*headers: tuple[str, str], uri: str = "sip:+15551234567@192.0.2.1", sender: str = "Bob <sip:bob@far>;tag=1"):
    names = "".join([f"{name}: {value}\r\n" for name, value in (("From", sender), ("To", f"<{uri}>"), *headers)])
    message = parse_message(f"INVITE {uri} SIP/2.0\r\n{names}\r\n".encode())
    assert isinstance(message, Request)
    return message


PAI = ("P-Asserted-Identity", '"Alice" <sip:+4930123456@carrier.example;user=phone>')


def test_a_trusted_carrier_says_who_calls():
    who = identity(invite(PAI), ALL)
    assert (who.caller, who.name, who.trusted) == ("sip:+4930123456@carrier.example;user=phone", "Alice", True)


@pytest.mark.survives(38)
def test_what_a_stranger_asserts_is_as_if_it_were_not_there():
    headers = (
        PAI,
        ("Remote-Party-ID", "<sip:+4930123456@x>;party=calling;screen=yes"),
        ("P-Preferred-Identity", "<sip:+4930123456@x>"),
        ("Diversion", "<sip:+4930123456@x>;reason=no-answer"),
        ("X-Twilio-VerStat", "TN-Validation-Passed-A"),
    )
    sender = "<sip:bob@far;verstat=TN-Validation-Passed>;tag=1"
    who = identity(invite(*headers, sender=sender), NONE, verstat_header="X-Twilio-Verstat")
    assert who == identity(invite(sender=sender), NONE)
    assert (who.trusted, who.diverted_from, who.verstat) == (False, "", "")
    assert called(invite(*headers), ("diversion",)) == ()


@pytest.mark.parametrize(
    "header",
    [
        ("P-Asserted-Identity", "<tel:+4930123456>"),
        ("P-Asserted-Identity", "<mailto:x@y>, <sip:+4930123456@carrier>"),
        ("P-Asserted-Identity", "<sip:+4930123456@carrier>, <tel:+4930999999>"),
        ("Remote-Party-ID", "<sip:x@y>;party=called, <sip:+4930123456@carrier>;party=calling;privacy=off"),
        ("P-Preferred-Identity", "sip:+4930123456@carrier"),
    ],
)
def test_it_may_say_so_in_several_headers(header):
    who = identity(invite(header), ALL)
    assert who.trusted
    assert user_of(who.caller) == "+4930123456"


@pytest.mark.parametrize("value", ["", "<", '"x', "<sip:>", ",,", "<sip:a@b>,", "x" * 9000, "<sip:a@b@c>"])
def test_what_can_not_be_read_says_nothing(value):
    headers = [(name, value) for name in ("P-Asserted-Identity", "Diversion", "History-Info", "Privacy")]
    who = identity(invite(*headers), ALL)
    assert who.caller in ("sip:bob@far", "sip:a@b")


@pytest.mark.parametrize(
    ("privacy", "private"),
    [("id", True), ("header;id;critical", True), ("user", True), ("none", False), ("session", False), ("", False)],
)
def test_who_asks_not_to_be_shown_is_private(privacy, private):
    assert identity(invite(PAI, ("Privacy", privacy)), ALL).private is private
    assert identity(invite(("Privacy", privacy)), NONE).private is private, "anybody may ask for that"


def test_remote_party_id_asks_for_privacy_in_its_own_way():
    assert identity(invite(("Remote-Party-ID", "<sip:a@b>;privacy=full")), ALL).private


@pytest.mark.parametrize(
    "headers",
    [
        [("Diversion", "<sip:+15550001111@x>;reason=user-busy;counter=1, <sip:+15559999999@x>;reason=unconditional")],
        [("Diversion", "<tel:+15550001111>")],
        [
            (
                "History-Info",
                "<sip:+15559999999@x>;index=1, <sip:+15550001111@x?Reason=SIP%3Bcause%3D302>;index=1.1,"
                "<sip:us@y>;index=1.2;mp=1.1",
            )
        ],
        [("History-Info", "<sip:+15550001111@x>;index=1"), ("History-Info", "<sip:us@y>;index=1.1")],
        [("History-Info", "<sip:nobody@x>, <sip:+15550001111@x>;index=1, <sip:us@y>;index=1.1;rc=1")],
    ],
)
def test_the_last_who_forwarded_the_call_is_named(headers):
    who = identity(invite(*headers), ALL)
    assert user_of(who.diverted_from) == "+15550001111"


def test_a_call_that_was_forwarded_a_thousand_times_is_read_as_far_as_the_bound():
    loop = ", ".join([f"<sip:{number}@x>;index=1.{number}" for number in range(100)])
    assert user_of(identity(invite(("History-Info", loop)), ALL).diverted_from) == str(ENTRIES_LIMIT - 2)


@pytest.mark.parametrize(
    ("headers", "sender", "verdict"),
    [
        (
            [("P-Asserted-Identity", "<tel:+1555;verstat=TN-Validation-Passed>")],
            "<sip:a@b>;tag=1",
            "TN-Validation-Passed",
        ),
        ([], "<sip:+1555;verstat=TN-Validation-Failed@b;user=phone>;tag=1", "TN-Validation-Failed"),
        ([("X-Carrier-Verstat", "TN-Validation-Passed-A")], "<sip:a@b>;tag=1", "TN-Validation-Passed-A"),
        ([], "<sip:a@b>;tag=1", ""),
    ],
)
def test_the_carriers_verdict_on_the_signature_is_read(headers, sender, verdict):
    assert identity(invite(*headers, sender=sender), ALL, verstat_header="X-Carrier-Verstat").verstat == verdict


def test_what_was_called_is_looked_for_in_the_order_asked_for():
    request = invite(
        ("P-Called-Party-ID", "<sip:+15550003333@x>"),
        ("Diversion", "<sip:+15550004444@x>"),
        uri="sip:offhook@192.0.2.1:5060",
    )
    order = ("diversion", "p-called-party-id", "request", "to")
    assert called(request, order, diversion=True) == ("+15550004444", "+15550003333", "offhook")
    assert called(request, order) == ("+15550003333", "offhook")


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:%2B15551234567;x=y@h", "+15551234567"),
        ("sip:+1555;npdi@h;user=phone", "+1555"),
        ("sip:bob:secret@h", "bob"),
        ("tel:+1-555;phone-context=x", "+1-555"),
        ("sip:h", ""),
        ("", ""),
        ("sip:%1b[2J%0d%0a@h", "\ufffd[2J\ufffd\ufffd"),
    ],
)
def test_the_user_of_a_uri_is_what_was_dialled(uri, user):
    assert user_of(uri) == user


@pytest.mark.survives(37)
def test_no_name_moves_a_cursor_or_ends_a_line():
    who = identity(invite(sender='"\x1b[2Jroot\x07 \x9b" <sip:a@b>;tag=1'), NONE)
    assert who.name.isprintable()
    assert plain("a\r\nb\0\x1b\u2028") == "a\ufffd\ufffdb\ufffd\ufffd\ufffd"


def test_elements_are_written_as_they_were_read():
    for text, read in (
        ("<sip:+1555@x>;reason=no-answer;counter=1", parse_diversion),
        ("<sip:us@y>;index=1.2;mp=1.1", parse_history),
    ):
        assert read(str(read(text))) == read(text)
    assert parse_diversion('<sip:a@b>;reason="deflection"').reason == "deflection"
    assert (parse_history("<sip:us@y>;index=1.2;rc=1.1").index, parse_history("<sip:a@b>;index=1").before) == (
        "1.2",
        "",
    )
    for text in ("<sip:a@b>", "<sip:a@b>;index=", "<sip:a@b>;index=1..2", "<sip:a@b>;index=x"):
        with pytest.raises(Malformed):
            parse_history(text)
