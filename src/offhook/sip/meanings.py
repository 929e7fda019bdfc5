"""What the end of a call means: one table of SIP code, Q.850 cause and meaning (RFC 3261 21, RFC 3326, RFC 3398).

    code, Reason ─► meaning ─► DialFailed.meaning, ended          reject(meaning) ─► code, Reason

A trunk may mean something of its own by a code: its `Meanings` override single rows. Where a Reason header says more
than the code (a gateway's 503 with cause 17 is a busy line), the Reason is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from offhook.core.errors import ConfigError
from offhook.sip.codes import cause
from offhook.sip.grammar import Fields, Malformed, is_token, number, param, parse_params, quote, unquote
from offhook.sip.message import Request, Response

REFUSALS: Final[dict[str, int]] = {
    "busy": 486,
    "declined": 603,
    "unavailable": 480,
    "no_answer": 480,
    "not_found": 404,
    "gone": 410,
    "number_incomplete": 484,
    "incompatible": 488,
    "forbidden": 403,
    "congestion": 503,
    "loop": 482,
    "blocked": 607,
    "failed": 500,
}
"""What may be refused with, and how it is said."""

_CODES: Final[dict[int, str]] = {
    401: "forbidden",
    402: "forbidden",
    403: "forbidden",
    404: "not_found",
    405: "incompatible",
    406: "incompatible",
    407: "forbidden",
    408: "timeout",
    410: "gone",
    415: "incompatible",
    416: "incompatible",
    420: "incompatible",
    421: "incompatible",
    433: "blocked",
    480: "unavailable",
    482: "loop",
    483: "loop",
    484: "number_incomplete",
    485: "not_found",
    486: "busy",
    487: "cancelled",
    488: "incompatible",
    502: "congestion",
    503: "congestion",
    504: "timeout",
    600: "busy",
    603: "declined",
    604: "not_found",
    606: "incompatible",
    607: "blocked",
    608: "blocked",
}

_CAUSES: Final[dict[int, str]] = {
    # ITU-T Q.850 table 1. What is not here says no more than the status does.
    1: "not_found",
    2: "not_found",
    3: "not_found",
    16: "ended",
    17: "busy",
    18: "no_answer",
    19: "no_answer",
    20: "unavailable",
    21: "declined",
    22: "gone",
    23: "moved",
    25: "loop",
    26: "answered_elsewhere",
    27: "unavailable",
    28: "number_incomplete",
    34: "congestion",
    38: "congestion",
    41: "congestion",
    42: "congestion",
    44: "congestion",
    47: "congestion",
    50: "forbidden",
    55: "forbidden",
    57: "forbidden",
    58: "incompatible",
    65: "incompatible",
    70: "incompatible",
    79: "incompatible",
    87: "forbidden",
    88: "incompatible",
    102: "timeout",
}

MEANINGS: Final = frozenset({*REFUSALS, *_CODES.values(), *_CAUSES.values(), "failed", "ended", "voicemail"})
"""Every meaning there is. `voicemail` is never told by signalling: it is for whoever listens to what answered."""

CAUSES_LIMIT: Final = 8
"""Reason elements of one message that are read."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One Reason element (RFC 3326): `protocol` in capitals ("SIP", "Q.850"), its number and its words."""

    protocol: str
    number: int
    text: str = ""

    def __str__(self) -> str:
        """Write the element."""
        words = f";text={quote(self.text)}" if self.text else ""
        return f"{self.protocol};cause={self.number}{words}"


def parse_cause(text: str) -> Cause:
    """Read a Reason element. Malformed where it has no protocol or no number."""
    protocol, semicolon, params = text.partition(";")
    protocol = protocol.strip()
    if not is_token(protocol):
        raise Malformed("reason", "a Reason without a protocol")
    given = parse_params(semicolon + params)
    words = unquote(param(given, "text") or "")
    value = number((param(given, "cause") or "").strip(), 999, "reason")
    return Cause(protocol.upper(), value, "".join([one for one in words if one.isprintable()])[:200])


def because(code: int, text: str) -> Fields:
    """Make the Reason of a BYE or CANCEL of ours: the SIP status that fits, and a few words."""
    return (("Reason", str(Cause("SIP", code, text))),)


def causes_of(message: Request | Response) -> tuple[Cause, ...]:
    """Give the Reason elements of a message; one that can't be read says nothing."""
    if "Reason" not in message.index:
        return ()
    found: list[Cause] = []
    try:
        elements = message.values("Reason")[:CAUSES_LIMIT]
    except Malformed:
        return ()
    for element in elements:
        try:
            found.append(parse_cause(element))
        except Malformed:
            continue
    return tuple(found)


def _none() -> dict[int, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Meanings:
    """The table, with what one trunk means otherwise: by status and by Q.850 cause."""

    codes: Mapping[int, str] = field(default_factory=_none)
    causes: Mapping[int, str] = field(default_factory=_none)

    def of(self, code: int, causes: Iterable[Cause] = ()) -> str:
        """Give the meaning of a final status; a Reason says it better where it names more than the class of failure."""
        if code < 300:
            return "ended"
        for one in causes:
            if one.protocol == "Q.850":
                known = self.causes.get(one.number) or _CAUSES.get(one.number)
                if known is not None and known != "ended":
                    return known
            elif one.protocol == "SIP" and one.number != code:
                # RFC 3326 section 2: a CANCEL that says 200 was sent since another phone took the call.
                return "answered_elsewhere" if one.number == 200 else self._code(one.number)
        return self._code(code)

    def _code(self, code: int) -> str:
        own = self.codes.get(code)
        if own is not None:
            return own
        return _CODES.get(code, "moved" if 300 <= code < 400 else "failed")

    def refusal(self, meaning: str) -> tuple[int, Fields]:
        """Give the status and headers that refuse a call with a meaning. ValueError where there is none that does."""
        code = next((code for code, own in self.codes.items() if own == meaning), None) or REFUSALS.get(meaning)
        if code is None:
            raise ValueError(f"{meaning!r} is none of {', '.join(sorted(REFUSALS))}")
        return code, (("Reason", str(Cause("Q.850", cause(code)))),)


COMMON: Final = Meanings()
"""What codes mean where no trunk says otherwise."""


def read_meanings(table: Mapping[str, str]) -> Meanings:
    """Read a trunk's table: `"503": "busy"`, `"Q.850;17": "no_answer"`. ConfigError for what is neither."""
    codes: dict[int, str] = {}
    causes: dict[int, str] = {}
    for key, meaning in table.items():
        if meaning not in MEANINGS:
            raise ConfigError(f"{meaning!r} is no meaning: take one of {', '.join(sorted(MEANINGS))}")
        protocol, semicolon, digits = key.partition(";")
        own = causes if semicolon and protocol.strip().upper() == "Q.850" else codes
        digits = (digits if own is causes else key).strip()
        if not (digits.isascii() and digits.isdigit()) or not (1 <= int(digits) <= 699):
            raise ConfigError(f"{key!r} is neither a status code nor a cause such as Q.850;17")
        own[int(digits)] = meaning
    return Meanings(codes, causes)
