"""Fuzz the readers of URIs and of the headers that have types. The first byte says which. See `oracle`."""

from __future__ import annotations

import atheris
from oracle import fuzz, planted

with atheris.instrument_imports(include=["offhook.sip", "offhook.core"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.core.errors import ProtocolError
    from offhook.sip.grammar import parse_params, split_list, unquote, write_params
    from offhook.sip.header import media_type, parse_cseq, parse_max_forwards, parse_name_addr, parse_via
    from offhook.sip.uri import Uri, parse_uri, unescape


def read_uri(text: str) -> Uri:
    uri = parse_uri(text)
    if planted() and uri.port is not None and uri.params:
        # The fault: a reader that loses the port where parameters follow.
        return Uri(uri.scheme, uri.user, uri.host, None, uri.params, uri.headers, uri.opaque, uri.password)
    return uri


def uri(text: str) -> None:
    value = read_uri(text)
    assert read_uri(str(value)) == value
    assert (value.port is not None) == (parse_uri(str(value)).port is not None)
    if planted():
        assert str(parse_uri(text)) == str(value)
    unescape(text)


def name_addr(text: str) -> None:
    value = parse_name_addr(text)
    assert parse_name_addr(str(value)) == value


def via(text: str) -> None:
    value = parse_via(text)
    assert parse_via(str(value)) == value


def params(text: str) -> None:
    value = parse_params(text)
    assert parse_params(write_params(value)) == value
    for _, one in value:
        unquote(one or "")


def elements(text: str) -> None:
    value = split_list(text)
    assert split_list(", ".join(value)) == value


def small(text: str) -> None:
    for read in (parse_cseq, parse_max_forwards, media_type):
        try:
            read(text)
        except ProtocolError:
            continue


READERS = (uri, name_addr, via, params, elements, small)


def target(data: bytes) -> None:
    text = data[1:].decode("utf-8", "surrogateescape")
    if not data or "\r" in text or "\n" in text or "\0" in text:
        return  # no header value holds these: the reader of messages sees to it
    try:
        READERS[data[0] % len(READERS)](text)
    except ProtocolError:
        return


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
    b"\x05text/plain;charset=utf-8",
)

if __name__ == "__main__":
    fuzz(target, SEEDS)
