"""Genesys AudioHook, as the Audio Connector speaks it with a bot: binary audio both ways, JSON beside it.

    open ─► opened (Reply), Started      binary ─► Sound      dtmf ─► Pressed
    ping ─► pong (Reply)                 close ─► closed (Reply), Stopped
    disconnect ◄─ close                  barge_in ◄─ clear    binary ◄─ sound

Each side numbers its messages from 1 and says the last number that it has seen of the other. An `open` for a
conversation of zeros is a probe: it is answered, and no call begins. Audio of two channels is interleaved, the caller
first. There are no marks: that playback has completed says nothing of what is behind it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from offhook.carriers.services.reading import e164, inner, items, key, legible, message, params, text, whole
from offhook.carriers.services.stream import (
    Encoding,
    Frame,
    Odd,
    Pressed,
    Reply,
    Sound,
    Started,
    Stopped,
    Told,
    turned,
)
from offhook.core.carriage import Carriage

PROBE: Final = "00000000-0000-0000-0000-000000000000"

CARRIAGE: Final = Carriage(
    least_ms=200,
    most_ms=200,
    paced_by="carrier",
    buffer_ms=20_000,
    lead_ms=400,
    clear="silent",
    hang_up="socket",
    parts=True,
)
"""Messages of less than 200 ms are too many for Genesys, which then answers with error 429."""

LONGEST_MS: Final = 10_000
"""The longest piece of audio in one message that is taken: after a pause theirs are long."""

QUIET: Final = frozenset({"paused", "resumed", "discarded", "update", "playback_started", "playback_completed"})
"""Messages that are none of ours to heed: whoever is on hold is silent."""


class AudioHookDialect:
    """One session of Genesys'. `outputs` go back to the flow when it ends: put in what the agent has found out."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        """What the flow is told at the end."""
        self._encoding: Encoding | None = None
        self._channels = 1
        self._id = ""
        self._opened = False
        self._ours = 0
        self._theirs = 0

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        return CARRIAGE

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message."""
        if isinstance(frame, bytes):
            return (self._sound(frame),)
        told = message(frame)
        if told is None:
            return (Odd("json"),)
        self._theirs = whole(told.get("seq")) or self._theirs
        about = inner(told.get("parameters"))
        match text(told.get("type")):
            case "open":
                return self._open(text(told.get("id")), about)
            case "ping":
                return (Reply(self._message("pong", {})),)
            case "close":
                return (Reply(self._message("closed", self._outputs())), Stopped(text(about.get("reason"))))
            case "dtmf":
                pressed = key(about.get("digit"))
                return (Pressed(pressed) if pressed else Odd("key"),)
            case "error":
                return (Odd(f"error_{whole(about.get('code')) or 0}"),)
            case kind if kind in QUIET:
                return ()
            case _:
                return (Odd("type"),)

    def _open(self, session: str, about: Mapping[str, object]) -> Sequence[Told]:
        if self._opened:
            return (Odd("started_again"),)
        self._opened, self._id = True, session
        call = text(about.get("conversationId"))
        if call == PROBE:
            return (Reply(self._message("opened", {"startPaused": False, "media": items(about.get("media"))[:1]})),)
        chosen = _choice(items(about.get("media")))
        if chosen is None:
            why = {"reason": "error", "info": "no audio of the caller at 8 kHz was offered"}
            return (Reply(self._message("disconnect", why)), Odd("format"))
        self._channels = len(items(chosen.get("channels")))
        self._encoding = encoding = Encoding("PCMU" if chosen.get("format") == "PCMU" else "L16", 8000)
        opened = self._message("opened", {"startPaused": False, "media": [dict(chosen)]})
        party = inner(about.get("participant"))
        caller, called = e164(party.get("ani")).removeprefix("tel:"), e164(party.get("dnis")).removeprefix("tel:")
        sent = params(inner(about.get("inputVariables")))
        return (Reply(opened), Started(session, call, caller, called, encoding, encoding, sent))

    def _message(self, type: str, about: Mapping[str, Any]) -> str:
        self._ours += 1
        said = {
            "version": "2",
            "type": type,
            "seq": self._ours,
            "clientseq": self._theirs,
            "id": self._id,
            "parameters": about,
        }
        return legible(json.dumps(said, separators=(",", ":"), ensure_ascii=False))

    def _outputs(self) -> dict[str, Any]:
        return {"outputVariables": dict(self.outputs)} if self.outputs else {}

    def _sound(self, frame: bytes) -> Told:
        encoding = self._encoding
        if encoding is None:
            return Odd("early_sound")
        size = self._channels * encoding.bytes_per_ms
        if not 0 < len(frame) <= LONGEST_MS * size or len(frame) % (size // 8):
            return Odd("size")
        if encoding.codec == "PCMU":
            return Sound(frame[:: self._channels])
        samples = turned(frame)
        if self._channels == 1:
            return Sound(samples)
        step = 2 * self._channels
        return Sound(b"".join(samples[at : at + 2] for at in range(0, len(samples), step)))

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        if not payload:
            return ()
        return (payload if self._encoding is None or self._encoding.codec == "PCMU" else turned(payload),)

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask nothing: there are no marks."""
        return ()

    def clear(self) -> Sequence[Frame]:
        """Drop what is buffered there: the caller has barged in."""
        return (self._message("event", {"entities": [{"type": "barge_in", "data": {}}]}),)

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: no message carries keys."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Ask for the end: Genesys then closes, and the flow goes on with the outputs."""
        return (self._message("disconnect", {"reason": "completed", **self._outputs()}),)


def _choice(offered: Sequence[object]) -> Mapping[str, object] | None:
    """Choose from what is offered: the caller alone before both sides, PCMU before L16."""
    fit: list[tuple[int, str, Mapping[str, object]]] = []
    for one in offered[:16]:
        media = inner(one)
        channels, format = items(media.get("channels")), text(media.get("format"))
        if (
            channels[:1] == ["external"]
            and len(channels) <= 2
            and format in ("PCMU", "L16")
            and media.get("rate") == 8000
        ):
            fit.append((len(channels), {"PCMU": "0", "L16": "1"}[format], media))
    return min(fit, key=lambda one: one[:2])[2] if fit else None
