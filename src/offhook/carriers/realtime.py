"""A call at OpenAI's SIP address: `TextLeg` made of the messages of its control socket, which we have opened.

    webhook ─► RealtimeLeg ─► answer ─► `decided` ─► accept ─► the socket ─► attach: words can pass
    Prompt, Pressed, Talking ─► Words, Digit          say, hush ─► response.create, response.cancel …

Laws: that the caller begins to speak is told at once, and the conversation decides whether that stops us; what was
heard is what sounded by then; the end of the socket ends the call, at the service too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from offhook import _native as native
from offhook.agent.orders import Wait
from offhook.call.leg import CallInfo
from offhook.call.text import Uttered, Words
from offhook.carriers.services.realtime import Complete, Realtime, RealtimeTold, Spoke, Talking
from offhook.carriers.services.relay import Interrupt, Prompt, Refused
from offhook.carriers.services.stream import Frame, Odd, Pressed, Reply
from offhook.carriers.stream import Controls, Wire
from offhook.carriers.words import WordLeg
from offhook.core.signals import Interrupted, Reworded

TALKING_S: Final = 4.0
"""How often it is told again that the caller speaks: who is not understood for longer has said nothing."""

TALKED_S: Final = 120.0
"""How long somebody may speak before that is no speech any more."""

_log = logging.getLogger("offhook.carriers")


class RealtimeLeg(WordLeg):
    """One such call."""

    def __init__(self, info: CallInfo, controls: Controls, *, gone: Callable[[WordLeg], None]) -> None:
        super().__init__("openai realtime", info, controls, words="live", press=False, gone=gone)
        self._talk = Realtime()
        self._wire: Wire | None = None
        self._away = False
        self._talking: asyncio.TimerHandle | None = None
        self._until = 0.0

    # The socket

    def attach(self, wire: Wire) -> None:
        """Take the socket: words can pass."""
        if self._over:
            wire.close()
            return
        self._closed()
        self._wire, self._talk = wire, Realtime()
        self._begin()

    def hear(self, frame: Frame) -> None:
        """Take a message of the socket. Raises nothing, whatever came."""
        self._take(self._talk.hear(frame, self.now))

    def lost(self) -> None:
        """Hear that the socket is gone."""
        self._closed()
        if not self._away:
            self._finish(200, "remote_hangup")

    def _take(self, told: Sequence[RealtimeTold]) -> None:
        for one in told:
            match one:
                case Talking():
                    self._until = self._loop.time() + TALKED_S
                    self._talks(one.on)
                case Prompt():
                    self._talks(False)
                    self._tell(Words(self.now, one.text))
                case Interrupt():
                    self._tell(Interrupted(self.now, one.heard))
                case Pressed():
                    self._tell(native.Digit(0, 0, self.now, one.key, one.duration_ms))
                case Spoke():
                    self._count("other_words")
                    self._tell(Reworded(self.now, one.utterance, one.asked, one.said))
                case Complete():
                    self._tell(Uttered(self.now, one.utterance))
                case Reply():
                    if self._wire is not None:
                        self._wire.send(one.frame)
                case Refused():
                    self._count("refused")
                    _log.warning("%s: openai: %s", self.info.id, ascii(one.why[:200]))
                case Odd():
                    self._count(one.why)
                case _:
                    assert_never(one)

    def _talks(self, on: bool) -> None:
        if self._talking is not None:
            self._talking.cancel()
            self._talking = None
        if on and self._loop.time() < self._until:
            self._tell(Words(self.now, "", final=False))
            self._talking = self._loop.call_later(TALKING_S, self._talks, True)

    # Verbs

    def say(self, utterance: int, text: str, *, last: bool) -> None:
        """Have a piece of an utterance spoken."""
        self._take(self._talk.say(utterance, text, self.now, last=last))

    def hush(self) -> Interrupted:
        """Have what was said dropped, now; give what was heard of it."""
        told, heard = self._talk.hush(self.now)
        self._take(told)
        return Interrupted(self.now, heard)

    def wait(self, wanted: Wait) -> None:
        """Do nothing: the caller may speak at any time."""

    def press(self, keys: str) -> None:
        """Refuse. ValueError: this service sends no keys."""
        raise ValueError("this service sends no keys")

    async def transfer(self, target: str) -> None:
        """Have the far end referred to `target`: the socket ends with it. TransferFailed, CallEnded."""
        self._away = True
        try:
            await super().transfer(target)
        finally:
            self._away = False
            if self._wire is None:
                self._finish(200, "remote_hangup")

    def _closed(self) -> None:
        self._talks(False)
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
