"""Plivo where it hears and speaks itself, turn by turn: <Speak> and <GetInput>, and what came of it is told to a hook.

    <GetInput action="…/said"><Speak>…</Speak></GetInput> ─► Said ─► … ─► <Speak>…</Speak><Hangup/>

It needs no websocket. Silence goes on to what stands behind the <GetInput>: a <Redirect>, which tells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from offhook.agent.orders import Wait
from offhook.carriers.services.http import Request, Response
from offhook.carriers.services.plivo import Plivo, documents
from offhook.carriers.services.plivo.hooks import read_said
from offhook.carriers.services.service import Answer, Links, News, Offered
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.services.xml import Tag, answer


@dataclass(frozen=True, slots=True)
class PlivoWords(Plivo):
    """The same account, whose calls come as words."""

    @property
    def way(self) -> Literal["turns"]:
        """Words come in requests."""
        return "turns"

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook. ProtocolError where it makes no sense."""
        return read_said(request) if kind == "said" else () if kind == "again" else Plivo.hook(self, kind, request)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Have the call come for its first turn."""
        return Answer(self.speak(Turn((), Again()), links))

    def speak(self, turn: Turn, links: Links) -> Response:
        """Write one answer of ours."""
        ours = self.account
        says = [documents.speak(text, voice=ours.voice, language=ours.language) for text in turn.says]
        match turn.then:
            case Wait() as wanted:
                return answer(self._get_input(wanted, says, links), documents.redirect(f"{links.hook}/said"))
            case Connect(target=target):
                return answer(*says, documents.dial(target, f"{links.hook}/transfer"))
            case Leave():
                return answer(*says, documents.hangup())
            case Again():
                return answer(*says, documents.redirect(f"{links.hook}/again"))
            case _:
                assert_never(turn.then)

    def _get_input(self, wanted: Wait, says: Sequence[Tag], links: Links) -> Tag:
        return documents.get_input(
            f"{links.hook}/said",
            *says,
            hears="dtmf speech" if wanted.words else "dtmf",
            timeout_s=round(wanted.timeout_ms / 1000),
            keys=wanted.digits or None,
            finish_on=wanted.finish,
            language=self.account.language,
        )
