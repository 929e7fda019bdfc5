"""What is said beside a call: keys by INFO (RFC 6086, and the two bodies that came before it), text by MESSAGE.

    INFO, application/dtmf-relay or application/dtmf ─► Keyed          MESSAGE, text/plain ─► Texted (RFC 3428)
    press ─► INFO, one key after the other

Law: only within a dialog. Text out of the blue is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from offhook.core.instants import Instant
from offhook.sip.codes import GONE
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Malformed, number, param
from offhook.sip.header import media_type
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Keyed, Texted
from offhook.sip.requests import Purpose
from offhook.sip.transaction import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from offhook.sip.calls import Call, Calls
    from offhook.sip.server import Server

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"

KEYS: Final = frozenset("0123456789*#ABCD")
KEYS_LIMIT: Final = 64
"""Keys that may wait to be sent, as in the media plane."""

TEXT_LIMIT: Final = 4096
"""Bytes of one message: RFC 3428 section 8 asks for less than 1300 where it matters."""

_NAMED: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D", "STAR": "*", "POUND": "#"}
_SHORTEST_MS: Final = 40
_LONGEST_MS: Final = 8000
_USUAL_MS: Final = 160


@dataclass(frozen=True, slots=True)
class Key:
    """One key press as `application/dtmf-relay` has it."""

    key: str
    duration_ms: int = _USUAL_MS

    def __str__(self) -> str:
        """Write the body."""
        return f"Signal={self.key}\r\nDuration={self.duration_ms}\r\n"


def parse_relay(text: str) -> Key:
    """Read a body of application/dtmf-relay. Malformed where it names no key."""
    key, duration_ms = "", _USUAL_MS
    for line in text.splitlines()[:8]:
        name, equals, value = line.partition("=")
        if not equals:
            continue
        name, value = name.strip().lower(), value.strip()
        if name == "signal":
            key = _key(value)
        elif name == "duration" and value:
            duration_ms = min(_LONGEST_MS, max(_SHORTEST_MS, number(value, 1_000_000, "dtmf")))
    if not key:
        raise Malformed("dtmf", "a key press without its key")
    return Key(key, duration_ms)


def parse_plain(text: str) -> Key:
    """Read a body of application/dtmf: the key and nothing else."""
    return Key(_key(text.strip()))


def _key(text: str) -> str:
    key = text.upper()
    key = _NAMED.get(key, key)
    if key not in KEYS:
        raise Malformed("dtmf", "a key that is none")
    return key


class Presses(Purpose):
    """Keys of ours on their way, one INFO after the other."""

    __slots__ = ("_call", "_calls", "_duration_ms", "_keys")

    def __init__(self, calls: Calls, call: Call, keys: str, duration_ms: int) -> None:
        self._calls = calls
        self._call = call
        self._keys = keys
        self._duration_ms = duration_ms

    def add(self, keys: str) -> None:
        """Send more behind those that wait; of too many, the last are left out."""
        self._keys = (self._keys + keys)[:KEYS_LIMIT]

    def go_on(self, now: Instant) -> None:
        """Send the next key, if there is one and the call is up."""
        call = self._call
        if not self._keys or call.phase == "over":
            call.presses = None
            return
        key, self._keys = self._keys[0], self._keys[1:]
        body = str(Key(key, self._duration_ms)).encode()
        self._calls.within(now, call, "INFO", self, extra=(("Content-Type", RELAY),), body=body)

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Go on; who refuses one key is sent no more, and where there is no call any more it is over."""
        if response.code in GONE:
            self._calls.lost(now, self._call, response.code)
        if response.code >= 300:
            self._keys = ""
        if response.code >= 200:
            self.go_on(now)
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Give up: the session's own timers find out whether anybody is there."""
        self._call.presses = None


class Asides:
    """Takes INFO and MESSAGE, and sends keys."""

    def __init__(self, calls: Calls, server: Server) -> None:
        self._calls = calls
        self._server = server
        server.within |= {"INFO": self._info, "MESSAGE": self._message}

    def press(self, now: Instant, call: Call, keys: str, duration_ms: int) -> None:
        """Send keys. ValueError for what is none."""
        if not KEYS.issuperset(keys):
            raise ValueError("a key that is none")
        if call.phase != "up" or not keys:
            return
        if call.presses is None:
            call.presses = Presses(self._calls, call, keys[:KEYS_LIMIT], duration_ms)
            call.presses.go_on(now)
        else:
            call.presses.add(keys)

    def _info(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        request = transaction.request
        if "Info-Package" in request.index:
            raise Refusal(469, (("Recv-Info", ""),))  # RFC 6086 section 4.2.2: we have agreed to none
        kind = _kind(request)
        if kind and kind not in (RELAY, PLAIN):
            raise Refusal(415, (("Accept", f"{RELAY}, {PLAIN}"),))
        key = None
        if kind and request.body:
            text = request.body.decode("utf-8", "replace")
            key = parse_relay(text) if kind == RELAY else parse_plain(text)
        self._server.respond(now, transaction, 200)
        if key is not None:
            self._calls.out.append(Keyed(call.number, key.key, key.duration_ms))

    def _message(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        request = transaction.request
        if (_kind(request) or "text/plain") != "text/plain":
            raise Refusal(415, (("Accept", "text/plain"),))
        if len(request.body) > TEXT_LIMIT:
            raise Refusal(413)
        text = request.body.decode("utf-8", "replace")
        text = "".join([one for one in text if one == "\n" or one.isprintable()]).strip()
        self._server.respond(now, transaction, 200)
        if text:
            self._calls.out.append(Texted(call.number, text))


def _kind(request: Request) -> str:
    """Give the type of the body, "" where there is none."""
    declared = request.index.get("Content-Type")
    if not declared:
        return ""
    kind, params = media_type(declared)
    if (param(params, "charset") or "utf-8").strip('"').lower() not in ("utf-8", "us-ascii"):
        raise Refusal(415, (("Accept", "text/plain;charset=utf-8"),))
    return kind
