"""ConversationRelay: the words of a call over a websocket, where Twilio (and Telnyx) hear and speak. A pure machine.

    setup ─► prompt … interrupt … dtmf … info … error          text (token, last) · sendDigits · end ─►

It is total: `hear` raises nothing, whatever came; what makes no sense is `Odd`, and is counted. What we send is always
well-formed: the service checks each message, and ten bad ones in a row end the session.

https://www.twilio.com/docs/voice/conversationrelay/websocket-messages
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from offhook.carriers.services.reading import legible
from offhook.carriers.services.stream import Frame, Odd, Pressed

FRAME_LIMIT: Final = 256 * 1024
"""A longer message is not read: the longest prompt is minutes of speech, a few kB."""
TOKEN_LIMIT: Final = 2000
"""The longest text in one message; a longer one goes out in pieces."""
KEYS: Final = re.compile(r"[0-9w#*]+")
_KEY: Final = re.compile(r"[0-9*#A-D]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Setup:
    """A session begins: whose call it is, and what the control document sent along.

    `call` is the service's name of the call: a CallSid, or a call control id.
    """

    session: str
    call: str
    caller: str = ""
    called: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    caller_name: str = ""
    diverted_from: str = ""
    params: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the caller said. Not `last`: it goes on, and all comes again."""

    text: str
    language: str = ""
    last: bool = True


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The caller has stopped our words: what was heard of them, and how long that took, as far as it is said."""

    heard: str | None
    heard_ms: int | None


@dataclass(frozen=True, slots=True)
class Sounded:
    """A text of ours has been spoken (only where `tokens-played` is among the `events` that were asked for)."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The service did not take a message of ours, or can't go on; `why` is its own words."""

    why: str


RelayTold = Setup | Prompt | Interrupt | Pressed | Sounded | Refused | Odd
"""What a message says."""


class Relay:
    """One session's words."""

    def __init__(self) -> None:
        self.begun = False
        """Whether `Setup` came."""

    def hear(self, frame: Frame) -> RelayTold | None:
        """Read a message; None for one that is known and says nothing to us. Raises nothing."""
        if not isinstance(frame, str):
            return Odd("binary")
        if len(frame) > FRAME_LIMIT:
            return Odd("too_long")
        try:
            message = json.loads(frame)
        except (ValueError, RecursionError):
            return Odd("no_json")
        if not isinstance(message, dict):
            return Odd("no_object")
        return self._read(cast("dict[str, object]", message))

    def _read(self, message: Mapping[str, object]) -> RelayTold | None:
        kind = message.get("type")
        if kind == "setup":
            return self._setup(message)
        if not self.begun:
            return Odd("before_setup")
        match kind:
            case "prompt":
                text = message.get("voicePrompt")
                if not isinstance(text, str):
                    return Odd("prompt")
                return Prompt(legible(text), _text(message, "lang"), message.get("last") is not False)
            case "dtmf":
                key = message.get("digit")
                return Pressed(key) if isinstance(key, str) and _KEY.fullmatch(key) else Odd("dtmf")
            case "interrupt":
                heard = message.get("utteranceUntilInterrupt")
                ms = _number(message.get("durationUntilInterruptMs"))
                return Interrupt(legible(heard) if isinstance(heard, str) else None, ms)
            case "info" if message.get("name") == "tokensPlayed":
                return Sounded(_text(message, "value"))
            case "error":
                return Refused(_text(message, "description"))
            case str():
                return None  # new kinds come without notice
            case _:
                return Odd("no_type")

    def _setup(self, message: Mapping[str, object]) -> RelayTold:
        if self.begun:
            return Odd("setup_again")
        call = _text(message, "callSid") or _text(message, "callControlId")
        if not call:
            return Odd("setup")
        self.begun = True
        theirs = message.get("customParameters")
        params = cast("dict[str, object]", theirs) if isinstance(theirs, dict) else {}
        return Setup(
            _text(message, "sessionId"),
            call,
            _text(message, "from"),
            _text(message, "to"),
            "outbound" if _text(message, "direction").startswith("outbound") else "inbound",
            _text(message, "callerName"),
            _text(message, "forwardedFrom"),
            {name: value for name, value in params.items() if isinstance(value, str)},
        )

    def say(self, text: str, *, last: bool) -> Sequence[str]:
        """Have a piece of speech spoken, its blanks as given; `last` ends the talk, and may come without a text."""
        pieces = list(_pieces(_CONTROL.sub("", text)))
        if last and not pieces:
            pieces = [""]
        final = len(pieces) - 1
        return [
            _message({"type": "text", "token": piece, "last": last and at == final}) for at, piece in enumerate(pieces)
        ]

    def press(self, keys: str) -> str:
        """Send keys to the far end; `w` waits. ValueError for what the service sends not (A to D among it)."""
        if not KEYS.fullmatch(keys):
            raise ValueError(f"this service sends only 0-9, * and #: not {keys!r}")
        return _message({"type": "sendDigits", "digits": keys})

    def end(self, reason: str) -> str:
        """End the session: the service goes on with the document that follows, and brings it the `reason`."""
        return _message({"type": "end", "handoffData": json.dumps({"reason": reason})})


def _pieces(text: str) -> Iterator[str]:
    while len(text) > TOKEN_LIMIT:
        cut = text.rfind(" ", TOKEN_LIMIT // 2, TOKEN_LIMIT)
        cut = TOKEN_LIMIT if cut < 0 else cut
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text


def _message(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _text(message: Mapping[str, object], name: str) -> str:
    value = message.get(name)
    return legible(value) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """Read milliseconds; one client has seen them as a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None
