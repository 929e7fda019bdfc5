"""Bundling, ICE, DTLS, SDES and RTP extensions as values (RFC 5888, 8839, 8122, 8842, 4568, 4585, 8285, 5576)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offhook.sip.attributes import (
    LIMIT,
    Candidate,
    Crypto,
    Dtls,
    Extension,
    Feedback,
    Fingerprint,
    Group,
    Ice,
    Source,
    bundled,
    cryptos,
    extensions,
    feedbacks,
    groups,
    sources,
)
from offhook.sip.sdp import parse_sdp

SESSION = parse_sdp(
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=ice-lite\r\n"
    b"a=ice-options:trickle ice2\r\na=setup:actpass\r\na=fingerprint:SHA-1 00:ff\r\n"
    b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
    b"a=candidate:1 1 udp 2130706431 8f3b.local 9 typ host generation 0\r\na=candidate:junk\r\n"
    b"a=candidate:2 1 udp 1694498815 198.51.100.9 4000 typ srflx raddr 192.0.2.9 rport 9\r\na=end-of-candidates\r\n"
    b"a=fingerprint:sha-256 AB:CD\r\na=setup:PASSIVE\r\na=tls-id:abc3de65cddef001be82\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNf|2^20|1:4;inline:eXl5 UNENCRYPTED_SRTCP\r\na=crypto:x y z\r\n"
    b"a=rtcp-fb:* nack pli\r\na=rtcp-fb:0 transport-cc\r\na=extmap:4/recvonly urn:x y\r\na=extmap:2 urn:z\r\n"
    b"a=ssrc:7 cname:a b\r\na=ssrc:8 x\r\n"
    b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n"
)
AUDIO, VIDEO = SESSION.media

TEXTS: list[tuple[Any, str]] = [
    (Group, "BUNDLE 0 1"),
    (Group, "LS"),
    (Candidate, "1 1 udp 2130706431 192.0.2.9 4000 typ host"),
    (Candidate, "a+/ 256 TCP 0 host.local 9 typ host tcptype active"),
    (Candidate, "2 1 udp 1 198.51.100.9 4000 typ srflx raddr 192.0.2.9 rport 9 generation 0 ufrag x"),
    (Fingerprint, "sha-256 00:AB:FF"),
    (Crypto, "1 AES_CM_128_HMAC_SHA1_80 inline:WVNf|2^20|1:4;inline:eXl5 UNENCRYPTED_SRTCP FEC_ORDER=SRTP_FEC"),
    (Feedback, "* ccm fir"),
    (Feedback, "96 nack"),
    (Extension, "4096/sendonly urn:ietf:params:rtp-hdrext:toffset long"),
    (Extension, "1 urn:x"),
    (Source, "4294967295 cname:a:b c"),
    (Source, "1 flag"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_what_is_read_is_written_back(kind: Any, text: str) -> None:
    assert str(kind.parse(text)) == text
    assert kind.parse(f"  {text if kind is Source else text.replace(' ', '  ')} ") is not None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Group, " "),
        (Candidate, "1 1 udp 2130706431 192.0.2.9 4000 host"),
        (Candidate, "1 1 udp 2130706431 192.0.2.9 99999 typ host"),
        (Candidate, "1 1 udp 2130706431 192.0.2.9 1 typ host raddr a rport b"),
        (Candidate, "1 1 udp 2130706431 192.0.2.9 1 typ host odd"),
        (Fingerprint, "sha-256"),
        (Fingerprint, "sha-256 0:1"),
        (Fingerprint, "sha-256 xx:yy"),
        (Crypto, "1 AES_CM_128_HMAC_SHA1_80"),
        (Crypto, "1 AES_CM_128_HMAC_SHA1_80 WVNf"),
        (Crypto, "one AES_CM_128_HMAC_SHA1_80 inline:WVNf"),
        (Feedback, "128 nack"),
        (Feedback, "nack"),
        (Extension, "x urn:y"),
        (Extension, "1"),
        (Source, "x cname:y"),
        (Source, "4294967296 cname:y"),
        (Source, "7"),
    ],
)
def test_what_is_none_is_not_read(kind: Any, text: str) -> None:
    assert kind.parse(text) is None


def test_what_holds_for_a_section_is_gathered_from_it_and_the_session() -> None:
    ice = Ice.of(SESSION, AUDIO)
    assert (ice.ufrag, ice.pwd, ice.lite) == ("8hhY", "asd88fgpdd777uzjYhagZg", True)
    assert (ice.options, ice.complete) == (("trickle", "ice2"), True)
    assert [(one.address, one.kind) for one in ice.candidates] == [("8f3b.local", "host"), ("198.51.100.9", "srflx")]
    assert ice.candidates[1].related == ("192.0.2.9", 9)
    dtls = Dtls.of(SESSION, AUDIO)
    assert dtls == Dtls((Fingerprint("sha-256", b"\xab\xcd"),), "passive", "abc3de65cddef001be82")
    assert Dtls.of(SESSION, VIDEO) == Dtls((Fingerprint("sha-1", b"\x00\xff"),), "actpass", None)
    assert Ice.of(SESSION, VIDEO).ufrag is None


def test_what_was_gathered_is_written_as_lines() -> None:
    ice, dtls = Ice.of(SESSION, AUDIO), Dtls.of(SESSION, AUDIO)
    again = type(AUDIO)("audio", 9, "RTP/AVP", ("0",), ice.lines() + dtls.lines())
    assert Ice.of(SESSION, again) == ice
    assert Dtls.of(SESSION, again) == dtls


def test_lists_leave_out_what_can_not_be_read() -> None:
    assert [group.semantics for group in groups(SESSION)] == ["BUNDLE", "LS"]
    (crypto,) = cryptos(AUDIO)
    assert crypto.keys == (("inline", "WVNf|2^20|1:4"), ("inline", "eXl5"))
    assert feedbacks(AUDIO) == [Feedback(None, "nack", ("pli",)), Feedback(0, "transport-cc")]
    assert extensions(AUDIO) == [Extension(4, "recvonly", "urn:x", ("y",)), Extension(2, "", "urn:z")]
    assert sources(AUDIO) == [Source(7, "cname", "a b"), Source(8, "x")]


@pytest.mark.parametrize("read", [cryptos, feedbacks, extensions, sources])
def test_only_so_many_are_read(read: Callable[[Any], list[Any]]) -> None:
    lines = (("a", "crypto:1 x inline:y"), ("a", "rtcp-fb:* x"), ("a", "extmap:1 x"), ("a", "ssrc:1 x"))
    assert len(read(type(AUDIO)("audio", 9, "RTP/AVP", ("0",), lines * 1000))) == LIMIT


def test_a_group_of_an_answer_names_only_what_is_taken() -> None:
    assert bundled(SESSION, ("0",)) == (("a", "group:BUNDLE 0"),)
    assert bundled(SESSION, ("2",)) == ()
