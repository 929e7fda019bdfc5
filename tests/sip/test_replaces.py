"""Naming a dialog to others: Refer-To, Replaces, Target-Dialog, Referred-By."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.replaces import (
    ReferTo,
    Replaces,
    TargetDialog,
    escape,
    parse_refer_to,
    parse_referred_by,
    parse_replaces,
    parse_target_dialog,
)
from offhook.sip.uri import parse_uri


def test_a_dialog_is_named_as_its_receiver_sees_it():
    named = parse_replaces("98asjd8@test.com ; from-tag=7743;to-tag=12345")
    assert named == Replaces("98asjd8@test.com", "12345", "7743")
    assert str(named) == "98asjd8@test.com;to-tag=12345;from-tag=7743"
    assert parse_replaces("a;to-tag=1;from-tag=2;early-only").early_only


def test_a_place_in_a_dialog_travels_escaped():
    given = ReferTo(parse_uri("sip:desk@pbx.example:5070"), Replaces("4%2@192.0.2.1", "a=b".replace("=", "-"), "2"))
    text = str(given)
    assert text == "<sip:desk@pbx.example:5070?Replaces=4%252%40192.0.2.1%3Bto-tag%3Da-b%3Bfrom-tag%3D2>"
    assert parse_refer_to(text) == given


def test_only_the_target_and_the_place_come_out():
    given = parse_refer_to("<sip:desk@pbx.example;method=INVITE;user=phone?Evil=1&replaces=a%3Bto-tag=1%3Bfrom-tag=2>")
    assert given == ReferTo(parse_uri("sip:desk@pbx.example;user=phone"), Replaces("a", "1", "2"))
    assert parse_refer_to("<tel:+15551234567>") == ReferTo(parse_uri("tel:+15551234567"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";to-tag=1;from-tag=2",
        "a b;to-tag=1;from-tag=2",
        "a\x07;to-tag=1;from-tag=2",
        "a;to-tag=1",
        "a;to-tag=1;to-tag=2;from-tag=2",
        "a;to-tag=;from-tag=2",
        'a;to-tag="1";from-tag=2',
    ],
)
def test_what_names_no_dialog(text):
    with pytest.raises(Malformed):
        parse_replaces(text)


@pytest.mark.parametrize("uri", ["sip:x@y.example;method=BYE", "mailto:x@y.example", "https://10.0.0.1/"])
def test_what_is_no_call_is_declined(uri):
    with pytest.raises(Malformed) as fault:
        parse_refer_to(f"<{uri}>")
    assert fault.value.code == 603


def test_two_places_are_one_too_many():
    with pytest.raises(Malformed):
        parse_refer_to("<sip:x@y.example?Replaces=a%3Bto-tag=1%3Bfrom-tag=2&Replaces=a%3Bto-tag=1%3Bfrom-tag=2>")


def test_a_known_dialog():
    text = "fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544"
    assert parse_target_dialog(text) == TargetDialog("fa77as7dad8-sd98ajzz@host.example.com", "kkaz-", "6544")
    assert str(parse_target_dialog(text)) == text


def test_who_referred_us():
    assert str(parse_referred_by('"A" <sip:a@b.example>;cid="1@b"')) == '"A" <sip:a@b.example>;cid="1@b"'
    with pytest.raises(Malformed):
        parse_referred_by("<sip:>")


def test_escaping_leaves_only_what_may_stand_in_a_uri():
    assert escape("a@b;c=d&e,f g%\r\n") == "a%40b%3Bc%3Dd%26e%2Cf%20g%25%0D%0A"
    assert escape("[::1]/?:+$-_.!~*'()") == "[::1]/?:+$-_.!~*'()"
