"""Typed headers (RFC 3261 section 20)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.header import (
    NameAddr,
    Via,
    media_type,
    parse_cseq,
    parse_max_forwards,
    parse_name_addr,
    parse_via,
)


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP h;branch=z9hG4bK1", Via("UDP", "h", None, (("branch", "z9hG4bK1"),))),
        ("SIP/2.0/tcp [::1]:5060;rport", Via("TCP", "::1", 5060, (("rport", None),))),
        ("SIP / 2.0 / UDP   h : 1 ; branch = x", Via("UDP", "h", 1, (("branch", "x"),))),
        ("sip/7.0/UDP h", Via("UDP", "h", None, (), "7.0")),
    ],
)
def test_via(text, via):
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


def test_the_branch_of_a_via():
    assert parse_via("SIP/2.0/UDP h;branch=z9hG4bK1").branch == "z9hG4bK1"
    assert parse_via("SIP/2.0/UDP h").branch == ""
    assert parse_via("SIP/2.0/UDP h;rport=5").param("rport") == "5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "HTTP/1.1/TCP h",
        "SIP/x/UDP h",
        "SIP/2.0/U@P h",
        "SIP/2.0/UDP h;;",
    ],
)
def test_broken_vias(text):
    with pytest.raises(Malformed) as broken:
        parse_via(text)
    assert broken.value.kind == "via"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<sip:a@b>;tag=1", NameAddr("", "sip:a@b", (("tag", "1"),))),
        ("sip:a@b;tag=1", NameAddr("", "sip:a@b", (("tag", "1"),))),
        ("Bob B <sip:a@b;lr>", NameAddr("Bob B", "sip:a@b;lr")),
        ("Bob<sip:a@b>", NameAddr("Bob", "sip:a@b")),
        ('"B, \\"B\\"" <sip:a@b?x=y>;q=1', NameAddr('B, "B"', "sip:a@b?x=y", (("q", "1"),))),
        ('"<x>" <tel:+1> ; a = b', NameAddr("<x>", "tel:+1", (("a", "b"),))),
    ],
)
def test_name_addr(text, address):
    assert parse_name_addr(text) == address
    assert parse_name_addr(str(address)) == address


def test_the_parts_of_a_name_addr():
    address = parse_name_addr("<sip:a@b:1>;tag=7")
    assert (address.tag, address.parsed().port) == ("7", 1)
    assert parse_name_addr("<sip:a@b>").tag == ""


@pytest.mark.parametrize(
    "text",
    ["", "x", '"Bob <sip:a@b>', "Bell, A <sip:a@b>", "<sip:a@b", "< sip:a@b>", "sip:a@b?x=y", "<sip:a@b>tag=1",
     '"Bob" sip:a@b', "<>", "<sip:>", "sip:a b", "<sip:a@b>;;", "<:a>", "sip:a@b>", "sip:a>@b;tag=1"],
)  # fmt: skip
def test_broken_name_addrs(text):
    with pytest.raises(Malformed) as broken:
        parse_name_addr(text, "contact")
    assert broken.value.kind == "contact"


def test_cseq():
    assert parse_cseq("0009  INVITE") == (9, "INVITE")
    assert parse_cseq("4294967295 X") == (2**32 - 1, "X")
    for text in ("", "1", "INVITE 1", "-1 INVITE", "4294967296 INVITE", "1 IN VITE", "1 IN@VITE"):
        with pytest.raises(Malformed):
            parse_cseq(text)


def test_max_forwards():
    assert parse_max_forwards("0070") == 70
    for text in ("", "256", "-1", "x"):
        with pytest.raises(Malformed):
            parse_max_forwards(text)


def test_media_type():
    assert media_type("Application/SDP ; charset=utf-8") == ("application/sdp", (("charset", "utf-8"),))
    for text in ("", "text", "text/", "/sdp", "a b/c"):
        with pytest.raises(Malformed):
            media_type(text)
