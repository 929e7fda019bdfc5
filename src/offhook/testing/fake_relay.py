"""A fake ConversationRelay: the service's end of its websocket, with a caller whom it hears and speaks to.

    caller.says("a table for two") ─► prompt ─► RelayLeg ─► Call
    text ─► spoken at `letter_s` a letter ─► caller.heard_text;  says over it: interrupt, with what was heard

It checks each message as strictly as the service does: a malformed one is refused with an `error`, and ten in a row
close the socket. `taken` and `refused` are for the test to look at.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, cast

from offhook.carriers.services.stream import Frame

FIELDS: Final = {
    "text": {"type", "token", "last", "lang", "interruptible", "preemptible"},
    "play": {"type", "source", "loop", "interruptible", "preemptible"},
    "sendDigits": {"type", "digits"},
    "language": {"type", "ttsLanguage", "transcriptionLanguage"},
    "end": {"type", "handoffData"},
}
"""What each message may hold."""


class FakeRelay:
    """One session. `hear` takes the service's messages, as `RelayLeg.hear` does; it is itself the leg's `Wire`.

    `tells`: it says what was played, as it does where `tokens-played` was asked for. `letter_s` is how fast it speaks.
    """

    def __init__(self, hear: Callable[[Frame], None], lost: Callable[[], None], *, tells: bool = True) -> None:
        self.pressed = ""
        self.ended: str | None = None
        """The hand-off data that we ended with."""
        self.closed = False
        self.taken: list[tuple[float, dict[str, Any]]] = []
        """Every message that was taken from us, and when on the loop's clock."""
        self.refused: list[str] = []
        self.on_close: Callable[[], None] = lambda: None
        """Hears that we have closed the socket."""
        self._hear = hear
        self._lost = lost
        self._tells = tells
        self._loop = asyncio.get_running_loop()
        self.letter_s = 0.06
        self._pieces: list[tuple[float, str]] = []  # when it begins, text
        self._heard = ""
        self._until = 0.0
        self._bad = 0

    # The caller

    def connects(self, call: str = "CA" + "0" * 32, **more: object) -> None:
        """Begin the session."""
        setup = {"sessionId": "VX1", "callSid": call, "from": "+15551234567", "to": "+15557654321", **more}
        self.tells_us({"type": "setup", "direction": "inbound", "customParameters": {}, **setup})

    def says(self, text: str, *, last: bool = True) -> None:
        """Speak: over our words it interrupts them first, and is understood half a second later."""
        prompt = {"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": last}
        if self.speaking:
            self.interrupts()
            self._loop.call_later(0.5, self.tells_us, prompt)
        else:
            self.tells_us(prompt)

    def interrupts(self) -> None:
        """Make a sound over our words."""
        heard = self._part()
        self._heard += heard
        self._pieces.clear()
        self._until = self._loop.time()
        told = {"utteranceUntilInterrupt": heard.strip(), "durationUntilInterruptMs": round(len(heard) * 60)}
        self.tells_us({"type": "interrupt", **told})

    def presses(self, keys: str) -> None:
        """Press keys, which interrupt, too."""
        if self.speaking:
            self.interrupts()
        for key in keys:
            self.tells_us({"type": "dtmf", "digit": key})

    def hangs_up(self) -> None:
        """Go: the service closes the socket."""
        if not self.closed:
            self.closed = True
            self._lost()

    @property
    def speaking(self) -> bool:
        """Whether the caller hears us."""
        return self._loop.time() < self._until

    @property
    def heard_text(self) -> str:
        """What the caller has heard by now."""
        return self._heard + self._part()

    def _part(self) -> str:
        now = self._loop.time()
        return "".join(text[: max(0, int((now - at) / self.letter_s + 1e-6))] for at, text in self._pieces)

    def tells_us(self, message: object) -> None:
        """Send one message, whatever it is."""
        if not self.closed:
            self._hear(message if isinstance(message, str | bytes) else json.dumps(message))

    # The wire

    def send(self, frame: Frame) -> None:
        """Take a message of ours."""
        if self.closed:
            return
        wrong = self._wrong(frame)
        if wrong:
            self.refused.append(wrong)
            self._bad += 1
            self.tells_us({"type": "error", "description": wrong})
            if self._bad == 10:
                self.hangs_up()
            return
        self._bad = 0
        message = json.loads(frame)
        self.taken.append((self._loop.time(), message))
        match message["type"]:
            case "text":
                self._speak(message["token"])
            case "sendDigits":
                self.pressed += message["digits"]
            case "end":
                self.ended = message.get("handoffData", "")
                self._loop.call_soon(self.hangs_up)
            case _:
                pass

    def _wrong(self, frame: Frame) -> str:
        """Say what is wrong with a message; "" where nothing is."""
        try:
            read: object = json.loads(frame)
        except ValueError:
            return "Invalid JSON"
        message = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        kind = message.get("type")
        if kind not in FIELDS or set(message) - FIELDS[kind]:
            return f"Invalid message: {kind}"
        if kind == "text" and not (isinstance(message.get("token"), str) and isinstance(message.get("last"), bool)):
            return "Invalid text"
        if kind == "sendDigits" and set(message.get("digits", "?")) - set("0123456789w#*"):
            return "Invalid digits"
        if not isinstance(message.get("handoffData", ""), str):
            return "Invalid handoffData"
        return ""

    def _speak(self, token: str) -> None:
        if self._loop.time() > self._until:  # another talk begins: what was heard is told of it alone
            self._heard += self._part()
            self._pieces.clear()
        begins = max(self._loop.time(), self._until)
        self._until = begins + len(token) * self.letter_s
        self._pieces.append((begins, token))
        if token:
            self._loop.call_at(self._until, self._spoken, begins, token)

    def _spoken(self, begins: float, token: str) -> None:
        if (begins, token) in self._pieces and self._tells:
            self.tells_us({"type": "info", "name": "tokensPlayed", "value": token})

    def close(self) -> None:
        """Take note that we closed the socket."""
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self.on_close)
