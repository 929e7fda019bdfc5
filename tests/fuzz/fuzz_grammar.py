"""Fuzz the readers of URIs, headers and attributes of SDP that have types. The first byte says which. See `oracle`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import atheris
from oracle import fuzz, plant, planted

with atheris.instrument_imports(include=["offhook.sip", "offhook.core"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.core.errors import ProtocolError
    from offhook.sip.attributes import Candidate, Crypto, Extension, Feedback, Fingerprint, Group, Source
    from offhook.sip.digest import parse_auth
    from offhook.sip.grammar import parse_params, split_list, unquote, write_params
    from offhook.sip.header import (
        media_type,
        parse_cseq,
        parse_max_forwards,
        parse_name_addr,
        parse_session_expires,
        parse_via,
    )
    from offhook.sip.identity import parse_diversion, parse_history
    from offhook.sip.info import parse_relay
    from offhook.sip.meanings import parse_cause
    from offhook.sip.passport import Passport, Signed, parse_identity, signing_input
    from offhook.sip.replaces import parse_refer_to, parse_referred_by, parse_replaces, parse_target_dialog
    from offhook.sip.ringing import parse_rack
    from offhook.sip.uri import parse_uri, unescape


def attribute(kind: Any) -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    """A reader that says nothing but None of what it can't read, as one that raises."""

    def read(text: str) -> Any:
        value = kind.parse(text)
        if value is None:
            raise ProtocolError("none")
        return value

    return read, str


READERS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "uri": (parse_uri, str),
    "name_addr": (parse_name_addr, str),
    "via": (parse_via, str),
    "params": (parse_params, write_params),
    "list": (split_list, ", ".join),
    "cseq": (parse_cseq, lambda value: f"{value[0]} {value[1]}"),
    "max_forwards": (parse_max_forwards, str),
    "media_type": (media_type, lambda value: value[0] + write_params(value[1])),
    "identity": (parse_identity, lambda value: value.header()),
    "group": attribute(Group),
    "candidate": attribute(Candidate),
    "fingerprint": attribute(Fingerprint),
    "crypto": attribute(Crypto),
    "feedback": attribute(Feedback),
    "extension": attribute(Extension),
    "source": attribute(Source),
    "auth": (parse_auth, lambda value: ", ".join(map(str, value))),
    "session_expires": (parse_session_expires, str),
    "replaces": (parse_replaces, str),
    "target_dialog": (parse_target_dialog, str),
    "refer_to": (parse_refer_to, str),
    "referred_by": (parse_referred_by, str),
    "reason": (parse_cause, str),
    "rack": (parse_rack, lambda value: f"{value[0]} {value[1]} {value[2]}"),
    "dtmf_relay": (parse_relay, lambda value: str(value).strip()),
    "diversion": (parse_diversion, str),
    "history": (parse_history, str),
}
SHAKEN = Passport("shaken", "12155551212", ("12125551213",), 1, "https://a.example/c", "A", "x")
NAMES = tuple(READERS)


def target(data: bytes) -> None:
    text = data[1:].decode("utf-8", "surrogateescape")
    if not data or "\r" in text or "\n" in text or "\0" in text:
        return  # no header value holds these: the reader of messages sees to it
    name = plant() or NAMES[data[0] % len(NAMES)]  # a planted run has one reader to look at, not all of them
    read, write = READERS[name]
    unescape(text)
    unquote(text)
    try:
        value = read(text)
    except ProtocolError:
        return
    written = write(value)
    if planted(name) and "9" in text:
        written = written[:-1]  # the fault: a writer that loses the last character; no seed has a 9
    try:
        again = read(written)
    except ProtocolError as error:
        raise AssertionError("what was written can't be read") from error
    assert again == value


SEEDS = (
    b"\x00sip:user:secret@example.com:5060;lr;maddr=1.2.3.4?Subject=a%20b",
    b"\x00tel:+15551234567;phone-context=x",
    b'\x01"A \\" B" <sip:a@b;c=d?e=f>;tag=1;x="y;z"',
    b"\x01sip:a@b;tag=1",
    b"\x02SIP/2.0/UDP [::1]:5060;branch=z9hG4bK1;rport",
    b"\x02SIP / 2.0 / TCP  host ; a = b",
    b'\x03;a=b;c;d="e;f"',
    b'\x04<sip:a,b>, "x,y" <sip:c>,d',
    b"\x051 INVITE",
    b"\x0670",
    b'\x19"A" <sip:+1555@x>;reason=no-answer;counter=1',
    b"\x1a<sip:us@y?Reason=SIP%3Bcause%3D302>;index=1.2;mp=1.1",
    b"\x07text/plain;charset=utf-8",
    b"\x08" + Signed(SHAKEN, signing_input(SHAKEN), bytes(64)).header().encode(),
    b"\x09BUNDLE 0 1",
    b"\x0bsha-256 AB:CD",
    b"\x0a" + b"1 1 udp 2130706431 1.2.3.4 5060 typ srflx raddr 0.0.0.0 rport 0 generation 0",
    b"\x0c1 AES_CM_128_HMAC_SHA1_80 inline:WVNf|2^20|1:4;inline:eXl5 UNENCRYPTED_SRTCP",
    b"\x0d* nack pli",
    b"\x0e4/recvonly urn:x y",
    b"\x0f7 cname:a b",
    b'\x10Digest realm="a, b", nonce = "c\\"d" ,qop="auth",algorithm=MD5, Basic realm="x"',
    b'\x10Digest username="u",response="00",qop=auth,nc=00000001',
    b"\x111800;refresher=uac",
    b"\x12a@b;to-tag=1;from-tag=2;early-only",
    b"\x13a@b;local-tag=1;remote-tag=2",
    b"\x14<sip:a@b.c;method=INVITE?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
    b'\x15"A" <sip:a@b>;cid="1@2"',
    b'\x16Q.850;cause=16;text="a \\"b\\""',
    b"\x17776656 1 INVITE",
    b"\x18Signal=8",
)

if __name__ == "__main__":
    fuzz(target, SEEDS)
