"""The message flows of RFC 3665, 3515 and 5626: each message is read, and written again with the same meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from offhook.sip.body import description, fragment
from offhook.sip.grammar import split_list
from offhook.sip.header import parse_cseq, parse_name_addr, parse_via
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.sdp import parse_sdp
from offhook.sip.stream import StreamParser
from offhook.sip.uri import parse_uri
from offhook.testing.golden import titled

FLOWS = titled(Path(__file__).parent.parent / "golden" / "sip" / "flows.txt")
ADDRESSES = ("From", "To", "Contact", "Route", "Record-Route", "Path", "Refer-To", "Referred-By")

each = pytest.mark.parametrize("data", [data for _, data in FLOWS], ids=[title for title, _ in FLOWS])


def fields(data: bytes) -> list[tuple[str, str]]:
    """The header fields of a message, read the plainest way: unfolded, white space made one."""
    head = data.partition(b"\r\n\r\n")[0].decode().replace("\r\n ", " ")
    pairs = [line.partition(":") for line in head.split("\r\n")[1:]]
    return [(name, " ".join(value.split())) for name, _, value in pairs if name != "Content-Length"]


def test_every_rfc_is_there() -> None:
    assert {title.partition(" ")[0] for title, _ in FLOWS} == {"3665", "3515", "5626"}
    assert len(FLOWS) > 50


@pytest.mark.survives(6)
@each
def test_it_is_written_with_the_same_meaning(data: bytes) -> None:
    message = parse_message(data)
    written = bytes(message)
    assert parse_message(written) == message
    assert written.partition(b"\r\n")[0] == data.partition(b"\r\n")[0]
    assert fields(written) == fields(data)
    assert written.partition(b"\r\n\r\n")[2] == data.partition(b"\r\n\r\n")[2]


@pytest.mark.survives(6)
@each
def test_what_its_parts_say_is_read_and_written(data: bytes) -> None:
    message = parse_message(data)
    for via in message.values("Via"):
        assert parse_via(str(parse_via(via))) == parse_via(via)
    for name in ADDRESSES:
        for value in message.values(name):
            if value == "*":
                continue
            address = parse_name_addr(value)
            assert parse_name_addr(str(address)) == address
            assert str(address.parsed()) == address.uri
    assert parse_cseq(message.index["CSeq"])[1]
    if isinstance(message, Request):
        assert str(parse_uri(message.uri)) == message.uri
    if message.index.get("Content-Type") == "application/sdp":
        session = parse_sdp(description(message) or b"")
        assert bytes(session) == message.body
    elif message.body:
        assert isinstance(message, Request)
        assert fragment(message)[0] in (100, 200, 503)


def test_one_behind_the_other_they_are_a_stream() -> None:
    stream = StreamParser()
    assert stream.push(b"".join([data for _, data in FLOWS])) == [data for _, data in FLOWS]


def test_challenges_keep_their_parts() -> None:
    (challenge,) = [data for title, data in FLOWS if title == "3665 3.2 F2"]
    message = parse_message(challenge)
    assert isinstance(message, Response)
    assert message.code == 407
    assert 'nonce="f84f1cec41e6cbe5aea9c8e88d359"' in split_list(message.index["Proxy-Authenticate"])
