"""Descriptions inside bodies, and sipfrag (RFC 5621, RFC 3420)."""

from __future__ import annotations

import pytest

from offhook.sip.body import PARTS_LIMIT, description, fragment
from offhook.sip.grammar import Malformed
from offhook.sip.message import Request

SDP = b"v=0\r\ns=-"


def message(kind: str | None, body: bytes) -> Request:
    return Request((("Content-Type", kind),) if kind is not None else (), body, "INVITE", "sip:a")


@pytest.mark.parametrize("kind", ["application/sdp", "Application/SDP; charset=utf-8", None])
def test_a_description_alone(kind):
    assert description(message(kind, SDP)) == SDP


@pytest.mark.parametrize("body", [b"", b"\r\n"])
def test_no_body_is_no_description(body):
    assert description(message("application/sdp", body)) is None


def part(kind: bytes, content: bytes) -> bytes:
    return b"--b--x\r\nContent-Type: " + kind + b"\r\n\r\n" + content + b"\r\n"


def test_a_description_among_parts():
    body = b"preamble\r\n" + part(b"application/isup", b"\x01\x10") + part(b"application/sdp", SDP) + b"--b--x--\r\n"
    for kind in ('multipart/mixed; boundary="b--x"', "multipart/mixed;boundary=b--x"):
        assert description(message(kind, body)) == SDP


def test_parts_without_a_description():
    assert description(message("multipart/mixed;boundary=b--x", part(b"text/plain", b"x") + b"--b--x--")) is None
    assert description(message("multipart/mixed;boundary=b--x", b"--b--x--" + part(b"application/sdp", SDP))) is None
    assert description(message("text/plain", SDP)) is None


def test_a_part_without_an_end_of_its_headers():
    open_ended = b"--b--x\r\nContent-Type: application/sdp\r\n--b--x--"
    with pytest.raises(Malformed):
        description(message("multipart/mixed;boundary=b--x", open_ended))


def test_parts_are_bounded():
    many = part(b"text/plain", b"x") * PARTS_LIMIT + part(b"application/sdp", SDP) + b"--b--x--"
    assert description(message("multipart/mixed;boundary=b--x", many)) is None


@pytest.mark.parametrize("kind", ["multipart/mixed", "x", "multipart/mixed;boundary="])
def test_broken_types(kind):
    with pytest.raises(Malformed) as broken:
        description(message(kind, SDP))
    assert broken.value.kind == "content_type"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"SIP/2.0 200 OK\r\n", (200, "OK")),
        (b"SIP/2.0 486", (486, "")),
        (b"\r\nSIP/2.0 100 Trying\r\nVia: x\r\n", (100, "Trying")),
        (b"SIP/2.0 603 No \x1b[31mway", (603, "No [31mway")),
    ],
)
def test_fragments(body, expected):
    assert fragment(message("message/sipfrag", body)) == expected


@pytest.mark.parametrize("body", [b"", b"200 OK", b"SIP/2.0 2000 OK", b"SIP/2.0 OK", b"SIP/2.0 099 x", b"\xff\xfe"])
def test_broken_fragments(body):
    with pytest.raises(Malformed) as broken:
        fragment(message("message/sipfrag", body))
    assert broken.value.kind == "sipfrag"
