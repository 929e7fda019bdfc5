"""Bodies: the description inside a message, alone or in a multipart (RFC 5621, RFC 2046), and sipfrag (RFC 3420)."""

from __future__ import annotations

from typing import Final

from offhook.sip.grammar import Malformed, param, unquote
from offhook.sip.header import media_type
from offhook.sip.message import Request, Response

PARTS_LIMIT: Final = 16
"""Parts of one multipart body; SIP-I sends two."""


def description(message: Request | Response) -> bytes | None:
    """Give the application/sdp in a message, None where there is none. Malformed where its type can't be read."""
    if not message.body or message.body.isspace():
        return None
    # A body without a type is taken for what nearly every body is (section 20.15 forbids it; old gateways do it).
    declared = message.index.get("Content-Type", "application/sdp")
    if declared == "application/sdp":
        return message.body
    kind, params = media_type(declared)
    if kind == "application/sdp":
        return message.body
    if not kind.startswith("multipart/"):
        return None
    boundary = unquote(param(params, "boundary") or "")
    if not boundary:
        raise Malformed("content_type", "a multipart without a boundary")
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    pieces = (b"\r\n" + message.body).split(b"\r\n" + delimiter, PARTS_LIMIT + 1)
    for piece in pieces[1 : PARTS_LIMIT + 1]:
        if piece.startswith(b"--"):
            break
        head, blank, content = piece.partition(b"\r\n\r\n")
        for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() in ("content-type", "c") and media_type(value)[0] == "application/sdp":
                if not blank:  # RFC 2046 section 5.1: an empty line ends a part's headers
                    raise Malformed("multipart", "a part whose headers do not end")
                return content
    return None


def fragment(message: Request) -> tuple[int, str]:
    """Give the status in a message/sipfrag body, as NOTIFY carries it (RFC 3515 section 2.4.5). Malformed if none."""
    first = message.body.decode("utf-8", "replace").lstrip().partition("\n")[0].strip()
    version, _, rest = first.partition(" ")
    code, _, phrase = rest.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdigit()) or code < "100":
        raise Malformed("sipfrag", "a NOTIFY without a status line")
    return int(code), "".join([character for character in phrase if character.isprintable()])[:200]
