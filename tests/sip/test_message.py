"""Messages on the wire, both ways (RFC 3261 section 7)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.header import parse_name_addr
from offhook.sip.message import (
    FIELDS_LIMIT,
    SHORT_LIMIT,
    SIZE_LIMIT,
    VALUE_LIMIT,
    Request,
    Response,
    canonical,
    parse_message,
    status_line,
)

GOLDEN = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/UDP b.example;branch=z9hG4bK2\r\n"
    b"From: <sip:a@example.com>;tag=1\r\n"
    b"X-Odd-Name: caf\xc3\xa9 \xff\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"a\r\n\x00b"
)
REQUEST = Request(
    (
        ("Via", "SIP/2.0/UDP a.example;branch=z9hG4bK1"),
        ("Via", "SIP/2.0/UDP b.example;branch=z9hG4bK2"),
        ("From", "<sip:a@example.com>;tag=1"),
        ("X-Odd-Name", "café \udcff"),
        ("Content-Type", "text/plain"),
    ),
    b"a\r\n\x00b",
    "INVITE",
    "sip:bob@example.com",
)


def test_a_request_is_read_and_written_to_the_byte():
    assert parse_message(GOLDEN) == REQUEST
    assert bytes(REQUEST) == GOLDEN


def test_a_response_is_read_and_written_to_the_byte():
    data = b"SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:b>;tag=2\r\nContent-Length: 0\r\n\r\n"
    response = Response((("Via", "SIP/2.0/UDP a"), ("To", "<sip:b>;tag=2")), b"", 486, "Busy Here")
    assert parse_message(data) == response
    assert bytes(response) == data


@pytest.mark.parametrize(
    "odd",
    [
        GOLDEN.replace(b"Via:", b"v:"),
        GOLDEN.replace(b"Via:", b"VIA :"),
        GOLDEN.replace(b"From: ", b"f:\t  "),
        GOLDEN.replace(b"Content-Length: 5", b"l:005"),
        GOLDEN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 5"),
        GOLDEN + b"trailing octets",
        GOLDEN.replace(b" <sip:a@example.com>;tag=1", b"\r\n <sip:a@example.com>;tag=1\r\n "),
        GOLDEN.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n") + b"\n\n" + b"a\r\n\x00b",
        GOLDEN.replace(b"INVITE sip:bob@example.com SIP/2.0", b"INVITE sip:bob@example.com sip/2.0"),
    ],
)
def test_odd_ways_to_say_the_same(odd):
    assert parse_message(odd) == REQUEST


def test_leading_line_ends_are_skipped():
    assert parse_message(b"\r\n" + GOLDEN) == REQUEST


def test_a_datagram_without_a_length_is_read_to_its_end():
    assert parse_message(GOLDEN.replace(b"Content-Length: 5\r\n", b"")) == REQUEST
    bare = parse_message(b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n")
    assert (bare.headers, bare.body) == ((("Call-ID", "1"),), b"")


def test_a_body_is_cut_to_its_length():
    assert parse_message(GOLDEN.replace(b"Length: 5", b"Length: 2")).body == b"a\r"


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", "start_line", 400),
        (b"x", "start_line", 400),
        (b"INVITE sip:a\r\n\r\n", "start_line", 400),
        (b"INV@ITE sip:a SIP/2.0\r\n\r\n", "start_line", 400),
        (b"INVITE sip:a HTTP/1.1\r\n\r\n", "start_line", 400),
        (b"INVITE sip:a SIP/3.0\r\nCall-ID: 1\r\n\r\n", "version", 505),
        (b"INVITE <sip:a> SIP/2.0\r\nCall-ID: 1\r\n\r\n", "request_uri", 400),
        (b"INVITE  sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n", "request_uri", 400),
        (b"INVITE  SIP/2.0\r\nCall-ID: 1\r\n\r\n", "request_uri", 400),
        (b"SIP/2.0 99 x\r\n\r\n", "status", 400),
        (b"SIP/2.0 700 x\r\n\r\n", "status", 400),
        (b"SIP/2.0 2000 x\r\n\r\n", "status", 400),
        (b"SIP/2.0\r\n\r\n", "status", 400),
        (b"SIP/3.0 200 OK\r\n\r\n", "version", 505),
        (GOLDEN.replace(b"Length: 5", b"Length: 6"), "content_length", 400),
        (GOLDEN.replace(b"Length: 5", b"Length: -1"), "content_length", 400),
        (GOLDEN.replace(b"Length: 5", b"Length: 5, 5"), "content_length", 400),
        (GOLDEN.replace(b"Length: 5", b"Length: 99999999999999999999999"), "content_length", 400),
        (GOLDEN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nl: 4"), "content_length", 400),
        (GOLDEN.replace(b"From:", b"From"), "header", 400),
        (GOLDEN.replace(b"From:", b":"), "header", 400),
        (GOLDEN.replace(b"From:", b"Fr om:"), "header", 400),
        (GOLDEN.replace(b"tag=1", b"tag=1\rX: y"), "control", 400),
        (GOLDEN.replace(b"tag=1", b"tag=\x001"), "control", 400),
        (b"INVITE sip:a SIP/2.0\r\n folded: 1\r\n\r\n", "header", 400),
        (b"OPTIONS sip:a SIP/2.0\r\n" + b"A: b\r\n" * (FIELDS_LIMIT + 1) + b"\r\n", "too_many", 400),
        (b"OPTIONS sip:a SIP/2.0\r\nA: " + b"b" * (VALUE_LIMIT + 1) + b"\r\n\r\n", "size", 513),
        (b"x" * (SIZE_LIMIT + 1), "size", 513),
    ],
)
def test_what_can_not_be_read(data, kind, code):
    with pytest.raises(Malformed) as broken:
        parse_message(data)
    assert (broken.value.kind, broken.value.code) == (kind, code)


def test_a_fault_keeps_the_headers_that_could_be_read():
    with pytest.raises(Malformed) as broken:
        parse_message(GOLDEN.replace(b"From:", b"From").replace(b"sip:bob", b"sip: bob"))
    assert [name for name, _ in broken.value.fields] == ["Via", "Via", "X-Odd-Name", "Content-Type"]


@pytest.mark.parametrize("where", ["name", "value", "method", "uri", "reason"])
@pytest.mark.parametrize("evil", ["\r\nEvil: 1", "\n", "\r"])
def test_a_line_break_can_not_be_written(where, evil):
    message: Request | Response
    match where:
        case "name":
            message = Request((("A" + evil, "b"),), b"", "OPTIONS", "sip:a")
        case "value":
            message = Request((("A", "b" + evil),), b"", "OPTIONS", "sip:a")
        case "method":
            message = Request((), b"", "OPTIONS" + evil, "sip:a")
        case "uri":
            message = Request((), b"", "OPTIONS", "sip:a" + evil)
        case _:
            message = Response((), b"", 200, "OK" + evil)
    with pytest.raises(ValueError, match="line break"):
        bytes(message)


def test_looking_up_headers():
    message = parse_message(
        b"OPTIONS sip:a SIP/2.0\r\nRoute: <sip:a,b>, <sip:c>\r\nSubject: one, two\r\nRoute: <sip:d>\r\n\r\n"
    )
    assert message.first("Route") == "<sip:a,b>, <sip:c>"
    assert message.all("Route") == ["<sip:a,b>, <sip:c>", "<sip:d>"]
    assert message.values("Route") == ["<sip:a,b>", "<sip:c>", "<sip:d>"]
    assert message.first("Via") is None
    assert message.all("Via") == message.values("Via") == []
    assert message.index == {"Route": "<sip:a,b>, <sip:c>", "Subject": "one, two"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v", "Via"),
        ("CALL-ID", "Call-ID"),
        ("cseq", "CSeq"),
        ("x-my-header", "X-My-Header"),
        ("www-authenticate", "WWW-Authenticate"),
    ],
)
def test_names(name, expected):
    assert canonical(name) == expected
    assert canonical(expected) == expected


def test_status_lines():
    assert status_line(486) == "SIP/2.0 486 Busy Here\r\n"
    assert status_line(486, "No") == "SIP/2.0 486 No\r\n"
    assert status_line(499) == "SIP/2.0 499 Request Failed\r\n"


SHORT = b"INVITE sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: %d\r\n\r\nv=0\r\ns=-\r\n"


@pytest.mark.parametrize("missing", [1, 17, SHORT_LIMIT])
def test_a_body_whose_lines_are_whole_may_be_a_little_short_in_a_request(missing):
    assert parse_message(SHORT % (10 + missing)).body == b"v=0\r\ns=-\r\n"


@pytest.mark.parametrize(
    "data",
    [SHORT % (11 + SHORT_LIMIT), SHORT.removesuffix(b"\r\n") % 20, SHORT.replace(SHORT[:20], b"SIP/2.0 200 OK") % 11],
)
def test_a_body_that_was_cut_off_and_one_short_in_a_response_are_malformed(data):
    with pytest.raises(Malformed):
        parse_message(data)


def test_a_quoted_pair_may_be_of_nul():
    data = b'OPTIONS sip:a SIP/2.0\r\nTo: "a\\\0b" <sip:a>\r\nContent-Length: 0\r\n\r\n'
    message = parse_message(data)
    assert bytes(message) == data
    assert str(parse_name_addr(message.index["To"])) == '"a\\\0b" <sip:a>'
    with pytest.raises(Malformed):
        parse_message(data.replace(b"\\", b""))
