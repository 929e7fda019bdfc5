"""Dialogs (RFC 3261 section 12)."""

from __future__ import annotations

import pytest

from offhook.sip.dialog import Dialog, called_dialog, contact_of, served_dialog
from offhook.sip.grammar import Malformed
from offhook.sip.header import parse_name_addr
from offhook.sip.message import Request, Response

ROUTES = (("Record-Route", "<sip:p1;lr>, <sip:p2;lr>"), ("Record-Route", "<sip:p3;lr>"))
BASE = (("From", "<sip:far@x>;tag=far"), ("To", "<sip:us@y>"), ("Call-ID", "c"), ("CSeq", "7 INVITE"))


def served(*more: tuple[str, str]) -> Dialog:
    invite = Request((*BASE, *more), b"", "INVITE", "sip:us@y")
    return served_dialog(invite, parse_name_addr("<sip:far@x>;tag=far"), "<sip:us@y>;tag=us", "us", 7)


def test_the_dialog_of_a_call_that_came():
    dialog = served(("Contact", "<sip:far@192.0.2.9:5070>"), *ROUTES)
    assert dialog.key == ("c", "us", "far")
    assert dialog.routes == ("<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>")
    assert (dialog.target, dialog.remote_seq, dialog.local_seq) == ("sip:far@192.0.2.9:5070", 7, 0)
    assert (dialog.local, dialog.remote) == ("<sip:us@y>;tag=us", "<sip:far@x>;tag=far")
    assert dialog.next_hop() == "sip:p1;lr"


def test_the_dialog_of_a_call_that_went_out():
    invite = Request((("From", "<sip:us@y>;tag=us"), ("Call-ID", "c")), b"", "INVITE", "sip:far@x")
    answer = Response((("To", "<sip:far@x>;tag=far"), ("Contact", "<sip:far@192.0.2.9>"), *ROUTES), b"", 200, "OK")
    dialog = called_dialog(invite, answer, "us", 1)
    assert dialog.key == ("c", "us", "far")
    assert dialog.routes == ("<sip:p3;lr>", "<sip:p2;lr>", "<sip:p1;lr>")
    assert (dialog.target, dialog.local_seq, dialog.remote_seq) == ("sip:far@192.0.2.9", 1, None)


def test_requests_count_up_and_an_ack_does_not():
    dialog = served(("Contact", "<sip:far@192.0.2.9>"))
    first = dialog.request("BYE")
    ack = dialog.request("ACK", seq=9)
    second = dialog.request("BYE", extra=(("X", "y"),), body=b"z")
    assert [message.index["CSeq"] for message in (first, ack, second)] == ["1 BYE", "9 ACK", "2 BYE"]
    assert (second.index["X"], second.body, second.uri) == ("y", b"z", "sip:far@192.0.2.9")
    assert (second.index["From"], second.index["To"]) == ("<sip:us@y>;tag=us", "<sip:far@x>;tag=far")


def test_loose_and_strict_routes():
    loose = served(("Contact", "<sip:t>"), ("Record-Route", "<sip:p1;lr>, <sip:p2>")).request("BYE")
    assert (loose.uri, loose.all("Route")) == ("sip:t", ["<sip:p1;lr>", "<sip:p2>"])
    strict = served(("Contact", "<sip:t>"), ("Record-Route", "<sip:p1>, <sip:p2;lr>")).request("BYE")
    assert (strict.uri, strict.all("Route")) == ("sip:p1", ["<sip:p2;lr>", "<sip:t>"])


def test_without_a_contact_the_from_address_is_the_target():
    assert served().target == "sip:far@x"
    assert served(("Contact", "*")).target == "sip:far@x"


def test_the_target_moves():
    dialog = served(("Contact", "<sip:a>"))
    dialog.refresh(Request((("Contact", "<sip:b>, <sip:c>"),), b"", "INVITE", "sip:x"))
    assert dialog.target == "sip:b"
    dialog.refresh(Request((), b"", "INVITE", "sip:x"))
    assert dialog.target == "sip:b"


@pytest.mark.parametrize("header", [("Contact", "x"), ("Record-Route", "sip"), ("Record-Route", "<sip:a>,,<sip:b>")])
def test_what_no_bye_could_follow_makes_no_dialog(header):
    with pytest.raises(Malformed):
        served(header)


def test_no_contact():
    assert contact_of(Request((), b"", "INVITE", "sip:x")) is None
