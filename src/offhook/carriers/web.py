"""A leg to a web page: `AudioLeg` made of one offer over HTTP and an engine's port.

    offer ─► WebLeg ─► answer ─► the page's HTTP answer ─► ICE, DTLS ─► Secured ─► Connected
                   └─► reject, or nobody answers ─► Refused, with a code
    Severed, a DELETE, `hangup` ─► HungUp, told once

Its descriptions are those of SIP's legs (`carriers.negotiation`), and what the port hears goes the same way. There is
no dialog: nothing is negotiated again, nobody is handed on but by joining the page with whom we call ourselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast
from weakref import proxy

from offhook import _native as native
from offhook.call.leg import AudioLeg, CallInfo, Capabilities, LegEvent
from offhook.carriers.door import Door
from offhook.carriers.line import Line
from offhook.carriers.negotiation import Negotiation
from offhook.carriers.port import PortVerbs
from offhook.carriers.silence import Silence, Watched
from offhook.core.codecs import G722, OPUS, PCMA, PCMU
from offhook.core.errors import CallEnded, DialFailed, ProtocolError, TransferFailed
from offhook.core.media import MediaPlan
from offhook.core.signals import Connected, HungUp
from offhook.sip.sdp import Session
from offhook.sip.tunnels import is_tunnelled

CODECS: Final = (OPUS, G722, PCMU, PCMA)
"""What a page may send: browsers have Opus and G.711 (RFC 7874 section 3), most G.722; all offer Opus in front."""

SEVERED: Final = {
    "closed": ("remote_hangup", 200),
    "fingerprint": ("fingerprint", 488),
    "handshake": ("handshake", 488),
}
"""How a call ends whose tunnel did, by why; anything else is a far end that is not there (408)."""


class WebLeg(PortVerbs):
    """One page. ProtocolError where its offer can't be taken, OSError where no port is free.

    `ip` is the address that the page is told, `gone` hears that the leg is over.
    """

    def __init__(
        self, line: Line, info: CallInfo, offer: Session, *, ip: str, remote_ip: str, gone: Callable[[WebLeg], None]
    ) -> None:
        terms = self._terms = line.terms(info)
        self._line = line
        self._info = info
        self._gone = gone
        self.remote_ip = remote_ip
        """Where the page's requests come from."""
        if not any(is_tunnelled(media) for media in offer.media):
            raise ProtocolError("a page offers ICE and DTLS, or nothing", 488)
        self._door = Door(line.media, ip, line.reach.server(remote_ip), line.rng).give(self._heard)
        super().__init__(line.media.engine, self._door.number, terms.tones)
        self._negotiation = Negotiation(
            replace(terms.audio, codecs=CODECS, send=None), self._engine, self._door, None, line.rng
        )
        self._silence = Silence(terms.audio.first_packet_s, terms.audio.silence_s, cast("Watched", proxy(self)))
        self._plan: MediaPlan | None = None
        self._answer: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._decided = asyncio.Event()
        self._over = False
        self.answered = False
        """Whether media ever flowed both ways."""
        try:
            self._negotiation.describe(offer)
        except ProtocolError:
            self._door.close()
            raise

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What can be done: a page is handed to nobody, but joined with whom we call."""
        plan = self._plan
        return Capabilities(press=plan is not None and plan.dtmf_send is not None, transfer=False, hold=False)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._over

    async def answer_body(self) -> Session:
        """Wait for what the page is answered. DialFailed with the code where it is refused."""
        return await asyncio.shield(self._answer)

    # Verbs of signalling

    def ring(self) -> None:
        """Do nothing: a page knows by itself that it waits."""

    async def early(self) -> None:
        """Do nothing: before the answer there is no way to a page."""

    async def answer(self) -> None:
        """Take the call; returns when media is safe both ways. CallEnded if it never is."""
        if not self._over and self._plan is None:
            await self._door.known()
            if not self._over and self._plan is None:
                body, self._plan = self._negotiation.described()
                self._let_in(self._line.now())
                self._negotiation.apply(self._plan)
                self._answer.set_result(body)
        await self._decided.wait()
        if self._over:
            raise CallEnded("the call is over")

    async def reject(self, meaning: str) -> None:
        """Refuse the call: `busy`, `declined` … ValueError for what can't be said so."""
        code, _ = self._terms.meanings.refusal(meaning)
        self._finish(code, "rejected")

    async def hangup(self, code: int = 200) -> None:
        """End the call now; before an answer refuse it with `code` (below 300: 480). Idempotent."""
        self._finish(code if self._plan is not None or code >= 300 else 480, "hangup")

    def left(self) -> None:
        """Hear that the page has hung up."""
        self._finish(200, "remote_hangup")

    async def connected(self) -> None:
        """Raise: a page is called by nobody."""
        raise DialFailed(501, "a page can't be called")

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Raise: a page takes no REFER."""
        raise TransferFailed(501, "a page can't be handed on", refused=True)

    async def consult(self, target: str) -> AudioLeg:
        """Call `target` for the page; give the leg, which is not answered yet. NotAllowed, Unreachable, CallEnded."""
        if self._over:
            raise CallEnded("there is no call to consult for")
        return await self._line.place(target, self)

    async def hold(self, on: bool) -> bool:
        """Say that a page is not held."""
        return False

    # What the media plane tells

    def _heard(self, event: LegEvent) -> None:
        if isinstance(event, native.Secured):
            self._connect()
        elif isinstance(event, native.Severed):
            self.given_up(event.reason)
        self._silence.heard(event)
        if self._passes(event):
            self._inbox.put(event)

    def probe(self) -> None:
        """Do nothing: ICE asks for consent by itself, and its end is told."""

    def given_up(self, why: str = "stalled") -> None:
        """Hear that media will not come any more."""
        reason, code = SEVERED.get(why, (why, 408))
        self._finish(code, reason)

    def _connect(self) -> None:
        if self._over or self.answered:
            return
        self.answered = True
        self._silence.expect(True)
        self._inbox.put(Connected(self._line.now()))
        self._decided.set()

    def _finish(self, code: int, reason: str) -> None:
        """Be over, and tell it last."""
        if self._over:
            return
        self._over = True
        self._line.media.drain()  # what was heard before the end is told before it
        self._silence.stop()
        self._final_counters = self._door.close()
        if not self._answer.done():
            self._answer.set_exception(DialFailed(code, reason, self._terms.meanings.of(code)))
            self._answer.exception()  # whoever asked for it may have gone
        self._inbox.put(HungUp(self._line.now(), code, reason, self._terms.meanings.of(code)))
        self._decided.set()
        self._gone(self)
