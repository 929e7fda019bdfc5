"""Session descriptions, both ways (RFC 8866)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.sdp import LINES_LIMIT, MEDIA_LIMIT, Media, Session, parse_sdp

GOLDEN = (
    b"v=0\r\no=alice 2890844526 2890844526 IN IP4 host.example\r\ns=A talk\r\ni=About it\r\nu=http://x.example\r\n"
    b"e=a@x.example\r\np=+1 555\r\nc=IN IP4 224.2.17.12/127\r\nb=AS:64\r\nt=0 0\r\nr=604800 3600 0 90000\r\nz=0 0\r\n"
    b"k=clear:x\r\na=recvonly\r\na=x-unknown:caf\xc3\xa9 \xff\r\nm=audio 49170/2 RTP/AVP 0 96\r\ni=voice\r\n"
    b"c=IN IP6 ::1\r\na=rtpmap:96 opus/48000/2\r\na=sendonly\r\nm=application 0 UDP/TLS/RTP/SAVPF webrtc\r\nX=y\r\n"
)


def test_a_description_is_read_and_written_to_the_byte():
    session = parse_sdp(GOLDEN)
    assert bytes(session) == GOLDEN
    assert session.origin == "alice 2890844526 2890844526 IN IP4 host.example"
    assert session.connection == "224.2.17.12"
    assert session.attribute("x-unknown") == "café \udcff"
    audio, data = session.media
    assert audio == Media(
        "audio",
        49170,
        "RTP/AVP",
        ("0", "96"),
        (("i", "voice"), ("c", "IN IP6 ::1"), ("a", "rtpmap:96 opus/48000/2"), ("a", "sendonly")),
        2,
    )
    assert data.lines == (("X", "y"),)


def test_reading_out_of_a_section():
    session = parse_sdp(GOLDEN)
    audio, data = session.media
    assert (session.address(audio), session.address(data)) == ("::1", "224.2.17.12")
    assert (session.direction(audio), session.direction(data)) == ("sendonly", "recvonly")
    assert audio.attribute("rtpmap") == "96 opus/48000/2"
    assert audio.attributes("rtpmap") == ["96 opus/48000/2"]
    assert (audio.attribute("sendonly"), audio.attribute("nothing")) == ("", None)
    assert parse_sdp(b"v=0\nm=audio 1 RTP/AVP 0\n").direction(Media("audio", 1, "x", ("0",))) == "sendrecv"
    assert parse_sdp(b"v=0").origin is None


@pytest.mark.parametrize(
    "odd",
    [
        GOLDEN.replace(b"\r\n", b"\n"),
        GOLDEN.replace(b"\r\n", b"\r"),
        GOLDEN.rstrip(b"\r\n"),
        GOLDEN.replace(b"\r\nt=", b"\r\n\r\nt="),
        GOLDEN.replace(b"m=audio 49170", b"m=audio  49170"),
        GOLDEN + b"\r\n\r\n",
    ],
)
def test_odd_ways_to_say_the_same(odd):
    assert parse_sdp(odd) == parse_sdp(GOLDEN)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"s=-\r\n",
        b"v=1\r\n",
        b"m=audio 1 RTP/AVP 0\r\n",
        b"v=0\r\njunk\r\n",
        b"v=0\r\n =x\r\n",
        b"v=0\r\n1=x\r\n",
        b"v=0\r\n\0=x\r\n",
        b"v=0\r\nc=IN IP4\r\n",
        b"v=0\r\nm=audio\r\n",
        b"v=0\r\nm=audio 1 RTP/AVP\r\n",
        b"v=0\r\nm=audio x RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 65536 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 1/ RTP/AVP 0\r\n",
        b"v=0\r\nm=aud@io 1 RTP/AVP 0\r\n",
        b"v=0\r\n" + b"a=x\r\n" * LINES_LIMIT,
        b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * (MEDIA_LIMIT + 1),
        b"PK\x03\x04",
    ],
)
def test_what_can_not_be_read(data):
    with pytest.raises(Malformed) as broken:
        parse_sdp(data)
    assert broken.value.kind == "sdp"


@pytest.mark.parametrize(
    "session",
    [
        Session((("v", "0"), ("s", "a\r\nm=evil"))),
        Session((("v", "0"),), (Media("audio", 1, "RTP/AVP", ("0\n",)),)),
        Session((("v", "0"),), (Media("audio", 1, "RTP/AVP", ("0",), (("a", "x\ry"),)),)),
    ],
)
def test_a_line_break_can_not_be_written(session):
    with pytest.raises(ValueError, match="line break"):
        bytes(session)


def test_white_space_round_a_type_is_borne():
    session = parse_sdp(b"v =0\r\n c=IN IP4 192.0.2.1\r\nm\t=audio 4000 RTP/AVP 0\r\n")
    assert bytes(session) == b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"
