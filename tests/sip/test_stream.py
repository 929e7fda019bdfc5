"""Messages out of a stream (RFC 3261 section 18.3, RFC 5626 section 4.4.1)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.message import SIZE_LIMIT, parse_message
from offhook.sip.stream import StreamParser, alias_port

ONE = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 3\r\n\r\nabc"
TWO = b"BYE sip:a SIP/2.0\r\nCall-ID: 2\r\nl : 0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
def test_messages_come_out_whole_however_they_are_divided(step):
    stream = StreamParser()
    data = ONE + b"\r\n" + TWO + b"\r\n\r\n" + ONE
    out: list[bytes] = []
    for at in range(0, len(data), step):
        out += stream.push(data[at : at + step])
    assert out == [ONE, TWO, ONE]


def test_a_message_without_a_length_has_no_body():
    assert StreamParser().push(b"ACK sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n" + ONE)[1] == ONE


@pytest.mark.parametrize("fold", [b"l:\r\n 3", b"Content-Length\r\n\t:\r\n \r\n 3", b"l: 3\r\nX:\r\n l: 9"])
def test_a_length_may_be_folded(fold):
    folded = ONE.replace(b"Content-Length: 3", fold)
    assert StreamParser().push(folded + TWO) == [folded, TWO]
    assert parse_message(folded).body == b"abc"


@pytest.mark.parametrize(("data", "pings"), [(b"\r\n\r\n", 1), (b"\r\n", 0), (b"\r\n\r\n\r\n\r\n", 2), (b"\r\n\r", 0)])
def test_keep_alives_are_counted_and_swallowed(data, pings):
    stream = StreamParser()
    assert stream.push(data) == []
    assert stream.pings == pings


def test_a_pong_before_a_message_is_no_ping():
    stream = StreamParser()
    assert stream.push(b"\r\n" + TWO) == [TWO]
    assert stream.pings == 0


@pytest.mark.parametrize(
    "data",
    [
        TWO.replace(b"0\r\n\r\n", b"x\r\n\r\n"),
        TWO.replace(b"l : 0", b"l: 0\r\nContent-Length: 1"),
        TWO.replace(b"l : 0", b"l: -999"),
        TWO.replace(b"l : 0", b"l: 65536"),
        ONE.replace(b"Length: 3", b"Length: %d" % (SIZE_LIMIT - 5)),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_of_a_message_whose_end_can_not_be_found_the_head_is_given_to_be_answered(data, step):
    stream = StreamParser()
    out: list[bytes] = []
    for at in range(0, len(data), step):
        if not stream.broken:
            out += stream.push(data[at : at + step])
    assert out == [data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"]
    assert stream.broken
    with pytest.raises(Malformed):
        stream.push(ONE)
    with pytest.raises(Malformed):
        parse_message(out[0])


@pytest.mark.parametrize("data", [b"A" * (SIZE_LIMIT + 1), b"BYE sip:a SIP/2.0\r\nA: b" + b"b" * SIZE_LIMIT + TWO])
def test_a_head_that_does_not_end_breaks_the_stream(data):
    stream = StreamParser()
    with pytest.raises(Malformed):
        stream.push(data)
    assert stream.broken


def test_what_was_whole_before_a_fault_is_given_first():
    stream = StreamParser()
    broken = TWO.replace(b"0\r\n\r\n", b"x\r\n\r\n")
    assert stream.push(ONE + broken + ONE) == [ONE, broken]
    with pytest.raises(Malformed):
        stream.push(b"")


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_a_body_without_a_length_is_skipped_to_the_next_message(step):
    stream = StreamParser()
    unmeasured = b"INVITE sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Type: application/sdp\r\n\r\n"
    data = unmeasured + b"v=0\r\no=a 1 1 IN IP4 a\r\ns=-\r\n\r\nm=audio 1 RTP/AVP 0\r\n" + ONE
    out: list[bytes] = []
    for at in range(0, len(data), step):
        out += stream.push(data[at : at + step])
    assert out == [unmeasured, ONE]


def test_only_so_much_is_skipped():
    stream = StreamParser()
    with pytest.raises(Malformed):
        stream.push(b"v=0\r\n" * SIZE_LIMIT)
    assert stream.broken


def test_what_a_stream_leaves_unfinished_is_there_to_be_answered():
    stream = StreamParser()
    assert stream.push(ONE + ONE[:-1]) == [ONE]
    assert stream.unfinished() == ONE[:-1]
    assert stream.push(b"c") == [ONE]
    assert stream.unfinished() == b""
    assert stream.push(b"OPTIONS sip:a SIP/2.0\r\nCall") == []
    assert stream.unfinished() == b""


@pytest.mark.parametrize(
    ("data", "pending"),
    [(b"", False), (b"\r\n", False), (b"\r\n\r", False), (b"O", True), (ONE, False), (ONE[:-1], True)],
)
def test_whether_a_message_is_under_way(data, pending):
    stream = StreamParser()
    stream.push(data)
    assert stream.pending is pending


@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/TLS pbx.example:5071;alias;branch=z9hG4bK1", 5071),
        ("SIP/2.0/TLS pbx.example;branch=z9hG4bK1;alias", 5061),
        ("SIP/2.0/TLS pbx.example;branch=z9hG4bK1", None),
        ("SIP/2.0/TLS pbx.example;branch=z9hG4bK1, SIP/2.0/TLS a.example;alias", None),
        ("SIP/2.0/TLS pbx.example;x=;alias=;branch", 5061),
        ("SIP/2.0/TLS pbx.example:99999;alias", None),
        ("nonsense;alias", None),
    ],
)
def test_who_may_be_called_back_on_its_connection(via, port):
    message = f"OPTIONS sip:a SIP/2.0\r\nVia: {via}\r\n\r\n".encode()
    assert alias_port(message) == port
    assert alias_port(message.replace(b"OPTIONS sip:a SIP/2.0", b"SIP/2.0 200 OK")) is None
