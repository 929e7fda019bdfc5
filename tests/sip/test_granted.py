"""What a registrar's 2xx grants, and what of it can't be read."""

from __future__ import annotations

import pytest

from offhook.sip.granted import EXPIRES_LIMIT, Granted, read_granted, seconds
from offhook.sip.message import Response

URI = "sip:bob@192.0.2.1:5060"


def granted(*fields, instance=""):
    return read_granted(Response(fields, b"", 200, "OK"), URI, instance, 600)


def test_nothing_said_is_what_was_asked():
    assert granted() == Granted(600)


@pytest.mark.parametrize(
    ("contact", "expires_s"),
    [
        ("<sip:bob@192.0.2.1>;expires=60", 60),
        ("<sip:x@192.0.2.9>;expires=5, <sip:bob@192.0.2.1;transport=udp>;expires=61", 61),
        ("<sip:bob@192.0.2.1>;expires=99999999999", EXPIRES_LIMIT),
        ("<sip:bob@192.0.2.1>;expires=soon", 77),
        ("<sip:bob@192.0.2.1>", 77),
        ('"broken <sip:bob@192.0.2.1>', 77),
        ("*", 77),
    ],
)
def test_our_own_binding_says_for_how_long_else_the_header(contact, expires_s):
    assert granted(("Contact", contact), ("Expires", "77")).expires_s == expires_s


def test_our_instance_is_known_by_its_name_whatever_the_address():
    contact = '<sip:bob@198.51.100.7:40000;ob>;+sip.instance="<urn:uuid:1>";reg-id=1;expires=50'
    assert granted(("Contact", contact), instance="urn:uuid:1").expires_s == 50
    assert granted(("Contact", contact), instance="urn:uuid:2").expires_s == 600


@pytest.mark.parametrize("value", ["<sip:a;lr>, broken", "<<", "", ","])
def test_half_a_route_is_none(value):
    assert granted(("Service-Route", value)).routes == ()


@pytest.mark.parametrize("gruu", ['"nonsense"', '"tel:+1"', '""', "sip:<x"])
def test_a_gruu_that_is_no_sip_uri_is_none(gruu):
    assert granted(("Contact", f"<{URI}>;pub-gruu={gruu};expires=9")).gruu == ""


@pytest.mark.parametrize(
    ("via", "seen"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5060;rport=40000;received=198.51.100.7;branch=z", ("198.51.100.7", 40000)),
        ("SIP/2.0/UDP 192.0.2.1:5060;rport=5060;branch=z", ("192.0.2.1", 5060)),
        ("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z", None),
        ("SIP/2.0/UDP 192.0.2.1:5060;rport=99999;branch=z", None),
        ("SIP/2.0/UDP 192.0.2.1:5060;rport=1;received=evil.example;branch=z", None),
        ("nonsense", None),
    ],
)
def test_where_we_were_seen(via, seen):
    assert granted(("Via", via)).seen == seen


@pytest.mark.parametrize(
    ("text", "gives"), [("5", 5), (" 120 (maintenance);duration=9", 120), ("", 7), (None, 7), ("-1", 7), ("1" * 15, 60)]
)
def test_seconds_are_read_whatever_stands_behind_them(text, gives):
    assert seconds(text, 60 if text and len(text) > 10 and text[0] == "1" and text[1] == "1" else 3600, 7) == gives
