"""Vonage where it hears and speaks itself, turn by turn: `talk` and `input`, and what came of it is told to a hook.

    [talk, input(…/said)] ─► Said ─► Turn ─► … ─► [talk], behind which the call ends

It needs no websocket. What we are not done with in time is asked for by a `notify`: its answer is the next document.
"""

from __future__ import annotations

from typing import Final, assert_never

from offhook.agent.orders import Wait
from offhook.carriers.services.http import Response
from offhook.carriers.services.service import Answer, Links, Offered
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.services.vonage import documents
from offhook.carriers.services.vonage.account import VonageAccount
from offhook.carriers.services.vonage.service import Vonage, written

KEYS: Final = 20
"""Keys that may be pressed where words are wanted, too."""


class VonageWords(Vonage):
    """The same application, whose calls come as words."""

    way: Final = "turns"

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Have the call come for its first turn."""
        return Answer(self.speak(Turn((), Again()), links))

    def speak(self, turn: Turn, links: Links) -> Response:
        """Write one answer of ours."""
        waits = isinstance(turn.then, Wait)
        says = [
            one for text in turn.says for one in documents.talk(text, language=self.account.language, barge_in=waits)
        ]
        match turn.then:
            case Wait() as wanted:
                return written(*says, self._take_in(wanted, f"{links.hook}/said"))
            case Connect(target=target):
                return written(*says, documents.connect(documents.called(target), "", f"{links.hook}/transfer"))
            case Again():
                return written(*says, documents.notify({"again": "yes"}, f"{links.hook}/again"))
            case Leave():
                return written(*says)
            case _:
                assert_never(turn.then)

    def _take_in(self, wanted: Wait, url: str) -> documents.Action:
        keys = wanted.digits or KEYS
        speech = self.account.language if wanted.words else ""
        return documents.take_in(url, keys=keys, speech=speech, wait_s=round(wanted.timeout_ms / 1000))


def vonage(account: VonageAccount) -> Vonage:
    """Make the service of an account."""
    return Vonage(account) if account.way == "stream" else VonageWords(account)
