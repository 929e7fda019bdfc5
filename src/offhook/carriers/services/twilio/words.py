"""A TwiML service that hears and speaks itself: words by ConversationRelay, or turn by turn by <Gather> and <Say>.

    relay ─► <Connect><ConversationRelay url="wss://…"/></Connect>
    turns ─► <Gather action="…/said"><Say>…</Say></Gather> ─► Said ─► … ─► <Say>…</Say><Hangup/>

Turn by turn needs no websocket: it is for accounts without streams, and for keypads. What we are not done with in time
is fetched by a <Redirect>.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, assert_never

from offhook.agent.orders import Wait
from offhook.carriers.services.http import Response
from offhook.carriers.services.service import Answer, Links, Offered
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.services.twilio import documents
from offhook.carriers.services.twilio.service import TwimlService
from offhook.carriers.services.xml import Tag, answer

LONGEST_S = 60
"""How long a caller may be waited for in one turn."""


@dataclass(frozen=True, slots=True)
class TwimlWords(TwimlService):
    """The same account, whose calls come as words. `voice` and `language` are the service's names for them.

    `relaying`: attributes of <ConversationRelay> that only this service has.
    """

    way: Literal["relay", "turns"] = "relay"
    language: str = ""
    voice: str = ""
    relaying: Mapping[str, str] = field(default_factory=dict[str, str])

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call: have it relayed as words to `links.media`."""
        relay = documents.relay(links.media, language=self.language, voice=self.voice, more=self.relaying)
        return self.joined(relay, links)

    def speak(self, turn: Turn, links: Links) -> Response:
        """Write one answer of ours, turn by turn."""
        says = [documents.say(text, voice=self.voice, language=self.language) for text in turn.says]
        match turn.then:
            case Wait() as wanted:
                return answer(self._gather(wanted, says, links), documents.redirect(f"{links.hook}/said"))
            case Connect(target=target):
                news = f"{links.hook}/transfer"
                return answer(*says, documents.dial(documents.target(target, news=news), news))
            case Leave():
                return answer(*says, documents.hangup())
            case Again():
                return answer(*says, documents.redirect(f"{links.hook}/again"))
            case _:
                assert_never(turn.then)

    def _gather(self, wanted: Wait, says: list[Tag], links: Links) -> Tag:
        """Hear what is waited for. A key ends speech, and `finish` ends keys."""
        return documents.gather(
            f"{links.hook}/said",
            *says,
            hears="dtmf speech" if wanted.words else "dtmf",
            timeout_s=max(1, min(LONGEST_S, round(wanted.timeout_ms / 1000))),
            keys=wanted.digits or None,
            finish_on=wanted.finish,
            speech_timeout="auto" if wanted.words else "",
            language=self.language,
        )


def in_words(
    service: TwimlService,
    way: Literal["relay", "turns"],
    *,
    language: str,
    voice: str,
    relaying: Mapping[str, str] | None = None,
) -> TwimlWords:
    """Give a service that is the same but for this: its calls come as words."""
    same = {field.name: getattr(service, field.name) for field in fields(service)}
    return TwimlWords(**same, way=way, language=language, voice=voice, relaying=relaying or {})
