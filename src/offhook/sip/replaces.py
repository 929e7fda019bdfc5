"""Naming one dialog to another party: Refer-To, Replaces and Target-Dialog (RFC 3515, RFC 3891, RFC 4538).

    Refer-To: <sip:desk@pbx.example?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>
                   target               │ unescaped (RFC 3261 section 19.1.1)
    Replaces: a@b;to-tag=1;from-tag=2 ◄─┘

Laws: a target comes out without its headers, so that nothing a peer wrote there reaches a request of ours; a Call-ID
that could break out of its header is refused. `parse` and `str` are inverses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from offhook.sip.grammar import Malformed, Params, is_token, param, parse_params
from offhook.sip.header import NameAddr, parse_name_addr
from offhook.sip.uri import Uri, parse_uri, unescape

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()[]/?:+$")
"""What may stand in a URI's header as it is: hnv-unreserved and unreserved (RFC 3261 section 25.1)."""

_SEPARATES: Final = frozenset(" \t\r\n\0;,")


@dataclass(frozen=True, slots=True)
class Replaces:
    """The dialog that an INVITE takes over. The tags are as its receiver sees them: `to_tag` is the receiver's own."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        """Write the header's value."""
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


@dataclass(frozen=True, slots=True)
class TargetDialog:
    """A dialog that the sender of a request outside of it knows (RFC 4538 section 7)."""

    call_id: str
    local_tag: str
    remote_tag: str

    def __str__(self) -> str:
        """Write the header's value."""
        return f"{self.call_id};local-tag={self.local_tag};remote-tag={self.remote_tag}"


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Whom a REFER says to call, and the dialog there to take over, if one is named."""

    target: Uri
    replaces: Replaces | None = None

    def __str__(self) -> str:
        """Write the header's value."""
        if self.replaces is None:
            return str(NameAddr("", str(self.target)))
        return str(NameAddr("", str(replace(self.target, headers=f"Replaces={escape(str(self.replaces))}"))))


def escape(text: str) -> str:
    """Escape a header's value for the headers of a URI (RFC 3261 section 19.1.1)."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join([chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data])


def parse_replaces(text: str) -> Replaces:
    """Read a Replaces value (RFC 3891 section 6.1). Malformed where a tag is missing or the Call-ID is none."""
    call_id, params = _named(text, "replaces")
    early = param(params, "early-only") is not None
    return Replaces(call_id, _tag(params, "to-tag", "replaces"), _tag(params, "from-tag", "replaces"), early)


def parse_target_dialog(text: str) -> TargetDialog:
    """Read a Target-Dialog value (RFC 4538 section 7). Malformed likewise."""
    kind = "target_dialog"
    call_id, params = _named(text, kind)
    return TargetDialog(call_id, _tag(params, "local-tag", kind), _tag(params, "remote-tag", kind))


def parse_refer_to(text: str) -> ReferTo:
    """Read a Refer-To value. Malformed: 400 where it can't be read, 603 where it asks for anything but a call."""
    uri = parse_name_addr(text, "refer_to").parsed()
    if not uri.is_sip:
        if uri.scheme != "tel":
            raise Malformed("refer_to", "a referral to what is no call", 603)
        return ReferTo(uri)
    if (uri.param("method") or "INVITE") != "INVITE":
        raise Malformed("refer_to", "a referral to another method than INVITE", 603)
    replaced: Replaces | None = None
    for field in uri.headers.split("&") if uri.headers else ():
        name, _, value = field.partition("=")
        if unescape(name).lower() == "replaces":
            if replaced is not None:
                raise Malformed("replaces", "more than one dialog to replace")
            replaced = parse_replaces(unescape(value))
    params = tuple([(name, value) for name, value in uri.params if name != "method"])
    return ReferTo(replace(uri, headers="", params=params), replaced)


def parse_referred_by(text: str) -> NameAddr:
    """Read a Referred-By value (RFC 3892 section 3). Malformed where there is no URI in it."""
    given = parse_name_addr(text, "referred_by")
    parse_uri(given.uri)
    return given


def _named(text: str, kind: str) -> tuple[str, Params]:
    call_id, semicolon, rest = text.strip().partition(";")
    call_id = call_id.rstrip()
    if not call_id or not call_id.isascii() or not call_id.isprintable() or _SEPARATES & set(call_id):
        raise Malformed(kind, "a Call-ID that is none")
    return call_id, parse_params(semicolon + rest)


def _tag(params: Params, name: str, kind: str) -> str:
    found = [value or "" for key, value in params if key == name]
    if len(found) != 1 or not is_token(found[0]):
        raise Malformed(kind, f"a dialog without its {name}")
    return found[0]
