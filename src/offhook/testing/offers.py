"""Offers by the hundred: families as the field writes them, bent as the field bends them.

    tests/golden/sip/offers.txt ─► FAMILY, what it deserves ─┬─► as it stands
                                                             └─► × every bend ─► Offer(name, data, deserves)

A bend either changes nothing of what is deserved (bare LF, 8-bit names, odd spaces …), or says what it makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from offhook.testing.golden import titled

Verdict = int
"""The m= line that is taken, counted from 0, or the code of the refusal (from 400 up)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer and what it deserves."""

    name: str
    data: bytes
    deserves: Verdict


def _without(letter: bytes) -> Callable[[bytes], bytes]:
    return lambda data: re.sub(rb"(?m)^%s=[^\r\n]*\r\n" % letter, b"", data)


def _head(line: bytes) -> Callable[[bytes], bytes]:
    """Put a line before the media."""
    return lambda data: re.sub(rb"\r\n(?=m=)", b"\r\n" + line + b"\r\n", data, count=1)


def _each(line: bytes) -> Callable[[bytes], bytes]:
    """Put a line into every section."""
    return lambda data: re.sub(rb"(?m)^(m=[^\r\n]*\r\n)", rb"\1" + line + b"\r\n", data)


def _doubled(data: bytes) -> bytes:
    """Name every payload number twice."""
    return re.sub(rb"(?m)^(m=\w+ \S+ \S+)((?: \S+)+)", rb"\1\2\2", data)


HARMLESS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "bare line feeds": lambda data: data.replace(b"\r\n", b"\n"),
    "bare carriage returns": lambda data: data.replace(b"\r\n", b"\r"),
    "no last line end": lambda data: data.removesuffix(b"\r\n"),
    "empty lines behind": lambda data: data + b"\r\n\r\n",
    "no s=": _without(b"s"),
    "no t=": _without(b"t"),
    "no o=": _without(b"o"),
    "no c=": _without(b"c"),
    "latin-1 name": lambda data: re.sub(rb"(?m)^s=[^\r\n]*", b"s=B\xfcro M\xfcller \xff", data),
    "utf-8 name": lambda data: re.sub(rb"(?m)^o=\S+", "o=Büro☎".encode(), data),
    "spaces behind every line": lambda data: data.replace(b"\r\n", b"  \r\n"),
    "two spaces in m=": lambda data: re.sub(rb"(?m)^m=(\w+) (\S+) ", rb"m=\1  \2  ", data),
    "space before =": lambda data: re.sub(rb"(?m)^m=", b"m =", data),
    "a huge line": _head(b"a=x-huge:" + b"y" * 9000),
    "a hundred unknown lines": _head(b"\r\n".join([b"a=x-%d:y" % number for number in range(100)])),
    "unknown types": _head(b"y=0\r\nf=v/////a/1/8/1"),
    "payload numbers twice": _doubled,
    "junk in fmtp": _each(b"a=fmtp:\r\na=fmtp:x\r\na=fmtp:999 ;;=;\r\na=fmtp:0 =;,\xff"),
    "junk in rtpmap": _each(b"a=rtpmap:\r\na=rtpmap:999 X/8000\r\na=rtpmap:x\r\na=rtpmap:77 /\r\na=rtpmap:78"),
    "junk in crypto": _each(b"a=crypto:\r\na=crypto:0 x\r\na=crypto:1 AES inline:=|||\r\na=crypto:-1 y z w"),
    "junk in candidates": _each(b"a=candidate:\r\na=candidate:1 1 UDP x y z\r\na=candidate:1 1 udp 1 a 9 typ host odd"),
    "junk in ptime": _each(b"a=ptime:\r\na=maxptime:x"),
    "ptime 0": _each(b"a=ptime:0"),
    "ptime 37": _each(b"a=ptime:37.5"),
    "ptime of a million": _each(b"a=ptime:1000000"),
    "maxptime 5": _each(b"a=maxptime:5"),
    "junk in rtcp": _each(b"a=rtcp:\r\na=rtcp:x IN IP4"),
    "rtcp elsewhere": _each(b"a=rtcp:53020 IN IP6 2001:db8::9"),
    "telephone-event at 16000": _each(b"a=rtpmap:126 telephone-event/16000\r\na=fmtp:126 0-15"),
    "groups of nobody": _head(b"a=group:BUNDLE\r\na=group:BUNDLE nobody\r\na=group:\r\na=group:FID 1 2"),
    "a fingerprint that is none": _head(b"a=fingerprint:sha-256 xx\r\na=setup:maybe\r\na=tls-id:"),
    "bandwidths": _each(b"b=AS:64\r\nb=TIAS:64000\r\nb=RS:0\r\nb=X-Y:z\r\nb="),
    "another time": lambda data: data.replace(b"\r\nt=0 0", b"\r\nt=3034423619 3042462419\r\nr=7d 1h 0 25h\r\nz=0 0"),
    "multicast scope": lambda data: re.sub(rb"(?m)^(c=IN IP4 [\d.]+)", rb"\1/127", data),
    "a name in every c=": lambda data: re.sub(rb"(?m)^c=[^\r\n]*", b"c=IN IP4 media.example.com", data),
    "IPv6 in every c=": lambda data: re.sub(rb"(?m)^c=[^\r\n]*", b"c=IN IP6 2001:db8::99", data),
    "held at 0.0.0.0": lambda data: re.sub(rb"(?m)^c=[^\r\n]*", b"c=IN IP4 0.0.0.0", data),
    "inactive first": _head(b"a=inactive"),
    "recvonly in every section": _each(b"a=recvonly"),
}
"""Bends that change nothing of what is deserved."""

RUINOUS: Final[dict[str, tuple[Callable[[bytes], bytes], Verdict]]] = {
    "all at port 0": (lambda data: re.sub(rb"(?m)^m=(\w+) [\d/]+", rb"m=\1 0", data), 488),
    "all secure": (lambda data: re.sub(rb" (?:UDP/TLS/)?RTP/S?AVPF? ", b" RTP/SAVP ", data), 488),
    "all video": (lambda data: data.replace(b"m=audio", b"m=video"), 488),
    "no number that we know": (lambda data: re.sub(rb"(?m)^(m=audio .*RTP/\S+)[^\r\n]*", rb"\1 77 78", data), 488),
    "a port beyond": (lambda data: re.sub(rb"(?m)^m=(\w+) [\d/]+", rb"m=\1 70000", data), 400),
    "a NUL": (lambda data: data.replace(b"=", b"=\0", 1), 400),
    "no v=": (_without(b"v"), 400),
    "c= cut short": (_each(b"c=IN IP4"), 400),
    "a line that is none": (_head(b"nonsense"), 400),
}
"""Bends after which only the refusal is left (where the family has media at all)."""


def offers(path: Path) -> list[Offer]:
    """Give every family as it stands, and under every bend; no description twice."""
    found: dict[bytes, Offer] = {}
    for title, data in titled(path):
        name, _, verdict = title.partition(": ")
        deserves = int(verdict)
        found.setdefault(data, Offer(name, data, deserves))
        for bend, change in HARMLESS.items():
            bent = change(data)
            found.setdefault(bent, Offer(f"{name}, {bend}", bent, deserves))
        for bend, (change, instead) in RUINOUS.items():
            bent = change(data)
            ruined = instead if bent != data else deserves
            found.setdefault(bent, Offer(f"{name}, {bend}", bent, ruined))
    return list(found.values())
