"""A call over ConversationRelay: `TextLeg` made of a socket's messages (Twilio; Telnyx has the same).

    webhook ─► RelayLeg ─► answer ─► `decided` ─► <Connect><ConversationRelay url="wss://…/TOKEN"> ─► attach ─► Setup
    prompt, dtmf, interrupt ─► Words, Digit, Interrupted          say ─► text;  hangup ─► end, then the API

    leg = RelayLeg(info, controls, gone=calls.remove)
    running = create_task(Call(leg, agent, models=models).run())
    await leg.decided()                       # then the document; DialFailed: refuse with its code
    leg.attach(wire)                          # the socket is there
    leg.hear(frame)                           # each of its messages
    leg.lost()                                # its end

Laws: words go out as they come, and of an utterance that the caller has interrupted none any more; a session that
can't be understood any more ends its call with a word to the operator; the end of the socket ends the call,
unless the service has it elsewhere meanwhile (a transfer).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, assert_never

from offhook import _native as native
from offhook.agent.orders import Wait
from offhook.call.leg import CallInfo
from offhook.call.text import Uttered, Words
from offhook.carriers.services.relay import Interrupt, Prompt, Refused, Relay, Setup, Sounded
from offhook.carriers.services.stream import Frame, Odd, Pressed
from offhook.carriers.stream import Controls, Wire
from offhook.carriers.words import WordLeg
from offhook.core.signals import Interrupted

REFUSED_LIMIT: Final = 5
"""Messages in a row that the service did not take: at ten it would close the session in the middle of a word."""
GOODBYE_S: Final = 1.0
"""Where the service does not say what it has spoken, the clock that does may be fast: so much later nothing is cut."""
TOKENS: Final = 2000
"""Texts that wait to be spoken, by the service's own count."""

_log = logging.getLogger("offhook.carriers")


class RelayLeg(WordLeg):
    """One call whose words come by a socket."""

    def __init__(self, info: CallInfo, controls: Controls, *, gone: Callable[[WordLeg], None]) -> None:
        super().__init__("conversation relay", info, controls, words="live", press=True, gone=gone)
        self.setup: Setup | None = None
        """What the service said of the call."""
        self._relay = Relay()
        self._wire: Wire | None = None
        self._away = False
        self._refused = 0
        self._tells = False
        self._unspoken: deque[tuple[str, int]] = deque(maxlen=TOKENS)  # text, utterance
        self._ended: dict[int, None] = {}  # utterances that are complete, and not spoken yet
        self._latest = self._interrupted = 0  # utterances

    # The socket

    def attach(self, wire: Wire) -> None:
        """Take the socket that brings the words; a new one takes the place of the one before."""
        if self._over:
            wire.close()
            return
        self._closed()
        self._wire, self._relay = wire, Relay()
        self._forget()

    def hear(self, frame: Frame) -> None:
        """Take a message of the socket. Raises nothing, whatever came."""
        told = self._relay.hear(frame)
        if not isinstance(told, Refused | Odd | None):
            self._refused = 0
        match told:
            case None:
                pass
            case Setup():
                self.setup = told
                self._begin()
            case Prompt():
                self._tell(Words(self.now, told.text, told.last, told.language))
            case Interrupt():
                self._forget()
                self._interrupted = self._latest
                self._tell(Interrupted(self.now, told.heard, told.heard_ms))
            case Pressed():
                self._tell(native.Digit(0, 0, self.now, told.key, told.duration_ms))
            case Sounded():
                self._sounded(told.text)
            case Refused():
                self._not_taken(told.why)
            case Odd():
                self._count(told.why)
            case _:
                assert_never(told)

    def lost(self) -> None:
        """Hear that the socket is gone."""
        self._closed()
        if not self._away:
            self._finish(200, "remote_hangup")

    def _not_taken(self, why: str) -> None:
        self._count("refused")
        self._refused += 1
        _log.warning("%s: conversation relay: %s", self.info.id, ascii(why[:200]))
        if self._refused >= REFUSED_LIMIT:
            self._last_words("failed")
            self._finish(500, "failed")

    def _sounded(self, text: str) -> None:
        """Tell an utterance as heard when its last text was spoken, alone or with others before it.

        What is told out of turn is believed, too.
        """
        wanted, so_far = _plain(text), ""
        for before, (one, _) in enumerate(self._unspoken):
            so_far = (so_far + _plain(one))[-len(wanted) :]
            if so_far == wanted:
                self._tells = True
                for _ in range(before + 1):
                    self._unspoken.popleft()
                self._heard_out()
                return

    def _heard_out(self) -> None:
        left = {utterance for _, utterance in self._unspoken}
        for utterance in [one for one in self._ended if one not in left]:
            del self._ended[utterance]
            self._tell(Uttered(self.now, utterance))

    def _forget(self) -> None:
        self._unspoken.clear()
        self._ended.clear()

    # Verbs

    def say(self, utterance: int, text: str, *, last: bool) -> None:
        """Have a piece of an utterance spoken, unless the caller has interrupted it."""
        if utterance <= self._interrupted:
            return
        self._latest = utterance
        for frame in self._relay.say(text, last=last):
            self._send(frame)
        if text:
            self._unspoken.append((text, utterance))
        if last and any(one == utterance for _, one in self._unspoken):
            self._ended[utterance] = None
        elif last and self._tells:  # all of it was spoken before its end was known
            self._tell(Uttered(self.now, utterance))

    def hush(self) -> bool:
        """Say that what was sent will be spoken: there is no message that takes it back."""
        return False

    def wait(self, wanted: Wait) -> None:
        """Do nothing: the caller may speak at any time."""

    def press(self, keys: str) -> None:
        """Send keys. ValueError for what is no key there."""
        self._send(self._relay.press(keys))

    async def hangup(self, code: int = 200) -> None:
        """End the call, behind what was said. Idempotent."""
        if self._unspoken and not self._tells and self._wire is not None:
            await asyncio.sleep(GOODBYE_S)
        await super().hangup(code)

    async def transfer(self, target: str) -> None:
        """Hand the far end to `target`: the session ends with it. TransferFailed, CallEnded."""
        self._away = True
        try:
            await super().transfer(target)
        finally:
            self._away = False
            if self._wire is None:
                self._finish(200, "remote_hangup")

    def _last_words(self, reason: str) -> None:
        if self._relay.begun:
            self._send(self._relay.end(reason))

    def _send(self, frame: Frame) -> None:
        if self._wire is not None:
            self._wire.send(frame)

    def _closed(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()


def _plain(text: str) -> str:
    return "".join(text.split())
