"""The descriptions of one leg: what we offer, what we answer, and the plan that the media plane goes by.

    their offer ─► answer ─► our answer, plan          our offer ─► agreed(their answer) ─► plan ─► apply ─► port

Laws: each plan that is applied and says something new raises the generation of `configure`; a refused one changes
nothing. What we ask for is our own wish, whatever the far end asks for (RFC 6337 section 5.3): `holding` is sendonly,
so what is held by both is inactive, and whoever resumes alone still hears nothing. The user agent numbers the
descriptions (`sip.session`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from offhook.carriers.door import Door
from offhook.carriers.oneway import hint
from offhook.carriers.plane import Engine, configure
from offhook.core.codecs import AUDIO, Codec
from offhook.core.errors import ProtocolError
from offhook.core.media import MediaPlan
from offhook.core.signals import Fault
from offhook.sip.offer import Srtp, accept_answer, answer_offer, early_plan, make_offer
from offhook.sip.outcomes import Flow
from offhook.sip.sdes import Keyring
from offhook.sip.sdp import Session
from offhook.sip.tunnels import Here

PRIVATE: Final = ("tls", "wss")
"""Transports that nobody reads along: keys may go through them."""

BROWSED: Final = ("ws", "wss")
"""Transports that browsers call by."""


@dataclass(frozen=True, slots=True)
class AudioRules:
    """What a leg offers, takes and bears.

    `codecs` in order of preference. `send` overrides the codec that we send, where the far end offered it too: the
    two directions may differ (RFC 3264 section 6.1). With `dtx` silence is left out where the far end bears it. `srtp`
    "auto" takes SRTP where it is offered over a private transport, and offers none; said outright it holds over any.
    Who offers ICE and DTLS is answered in kind: `ice` says whether we look for a way too, or only answer (RFC 8445
    section 2.5). "dtls" offers nothing else, and so does "auto" over a websocket (RFC 7118), as browsers want it.
    `first_packet_s` and `silence_s` bound how long a connected call may bring no media.
    """

    codecs: tuple[Codec, ...] = AUDIO
    send: Codec | None = None
    dtx: bool = False
    srtp: Literal["auto", "dtls"] | Srtp = "auto"
    ice: Literal["lite", "full"] = "lite"
    first_packet_s: float = 30.0
    silence_s: float = 15.0


class Negotiation:
    """One leg's side of offer and answer. Its descriptions name `door`, for who sees our own address as `ip`.

    `flow` is the way that they go; None: they come by HTTP.
    """

    def __init__(
        self, rules: AudioRules, engine: Engine, door: Door, flow: Flow | None, rng: Random, *, ip: str | None = None
    ) -> None:
        self._rules = rules
        self._engine = engine
        self._door = door
        self._ip = ip
        self._rng = rng
        self._session_id = rng.getrandbits(62)
        self._private = flow is not None and flow.transport in PRIVATE
        self._webrtc = rules.srtp == "dtls" or (rules.srtp == "auto" and flow is not None and flow.transport in BROWSED)
        self._ring = Keyring(rng.randbytes)
        self._profile = "RTP/SAVP" if rules.srtp == "required" else "RTP/AVP"
        self._generation = 0
        self._offered: Session | None = None
        self._theirs: Session | None = None
        self.holding = False
        """Whether we hold the far end: it is to send nothing, and hears what we play to it."""
        self.plan: MediaPlan | None = None
        """What was agreed last."""

    def beside(self, flow: Flow) -> Negotiation:
        """Begin to negotiate with someone else for the same port."""
        return Negotiation(self._rules, self._engine, self._door, flow, self._rng, ip=flow.local[0])

    def succeed(self, other: Negotiation) -> None:
        """Take the port over from another: what it applied came before."""
        self._generation = max(self._generation, other._generation)
        self.plan = other.plan
        self.holding = other.holding

    def offer(self) -> Session:
        """Make an offer, and wait for its answer."""
        self._offered = self.wished()
        return self._offered

    def wished(self) -> Session:
        """Make an offer that says all that we take, and which way media is to go."""
        address, port = self._door.seen(self._ip)
        return make_offer(
            address=address,
            port=port,
            codecs=self._rules.codecs,
            session_id=self._session_id,
            version=1,
            direction=self._direction,
            profile=self._profile,
            ring=self._ring if self._offers_keys else None,
            here=self._wanted,
        )

    def _here(self, theirs: tuple[str, str] | None) -> Here:
        return self._door.here(theirs, ip=self._ip, lite=self._rules.ice == "lite")

    @property
    def _wanted(self) -> Here | None:
        """What we offer of ICE and DTLS: who is reached so already is asked for nothing else."""
        agreed = self.plan.tunnel if self.plan is not None else None
        if agreed is not None:
            return self._here(agreed.theirs)
        return self._here(None) if self._webrtc else None

    @property
    def _srtp(self) -> Srtp:
        """What is protected stays so, whatever the far end offers later."""
        if self.plan is not None and (self.plan.protection or self.plan.tunnel) is not None:
            return "required"
        if self._rules.srtp == "auto":
            return "optional" if self._private else "off"
        return "required" if self._rules.srtp == "dtls" else self._rules.srtp

    @property
    def _offers_keys(self) -> bool:
        return (self._srtp == "required" and not self._webrtc) or (self._rules.srtp == "optional" and self._private)

    @property
    def _direction(self) -> str:
        return "sendonly" if self.holding else "sendrecv"

    def early(self) -> MediaPlan:
        """Give the plan of an offer of ours that is out: all that it names may come, from wherever."""
        assert self._offered is not None
        return early_plan(self._offered)

    def foretaste(self, answer: Session) -> MediaPlan:
        """Give the plan of an answer that is announced: our offer stays open. ProtocolError where it can't be taken."""
        assert self._offered is not None
        return accept_answer(self._offered, answer)

    def agreed(self, answer: Session | None) -> MediaPlan:
        """Take the answer to our offer. ProtocolError where there is none or it can't be taken; the offer is closed."""
        assert self._offered is not None
        offered, self._offered = self._offered, None
        if answer is None:
            raise ProtocolError("no answer to our offer", 488)
        return accept_answer(offered, answer)

    def answer(self, offer: Session) -> tuple[Session, MediaPlan]:
        """Answer an offer. ProtocolError where nothing of it can be taken."""
        address, port = self._door.seen(self._ip)
        body, plan = answer_offer(
            offer,
            address=address,
            port=port,
            codecs=self._rules.codecs,
            session_id=self._session_id,
            version=1,
            direction=self._direction,
            srtp=self._srtp,
            ring=self._ring,
            here=self._here,
        )
        taken = next(media.protocol for media in body.media if media.port)
        self._profile = taken if plan.protection is not None else self._profile
        return body, self._outward(plan, offer)

    def describe(self, offer: Session | None) -> tuple[Session, MediaPlan]:
        """Give what an INVITE is answered with, and the plan that holds then: without an offer, an offer of ours."""
        self._theirs = offer
        return self.described()

    def described(self) -> tuple[Session, MediaPlan]:
        """Give it again, by the address that is known now."""
        return self.answer(self._theirs) if self._theirs is not None else (self.offer(), self.early())

    def suspect(self, fault: Fault, peer: str) -> str:
        """Say what in the two descriptions may cause one-way audio; `peer` is where their signalling is."""
        remote = self.plan.remote if self.plan is not None else None
        return hint(fault, self._door.seen(self._ip)[0], remote and remote[0], peer)

    def apply(self, plan: MediaPlan) -> MediaPlan | None:
        """Put a plan into the port; give the one that held before."""
        plan = plan if self._rules.dtx else _unbroken(plan)
        was, self.plan = self.plan, plan
        if plan.protection is None or plan.protection.receive is not None:
            self._ring.settle(plan.protection)
        if plan != was:
            self._generation += 1
            if plan.tunnel is not None and (was is None or was.tunnel != plan.tunnel):
                self._door.tunnel(plan.tunnel)
            configure(self._engine, self._door.number, self._generation, plan)
        return was

    def _outward(self, plan: MediaPlan, offer: Session) -> MediaPlan:
        """Send the codec that the rules ask for, under the number that the offer gives it, where it does."""
        wanted = self._rules.send
        if wanted is None or plan.send[1].partition(";")[0] == wanted.label:
            return plan
        try:
            address, port = self._door.seen(self._ip)
            _, other = answer_offer(
                offer, address=address, port=port, codecs=(wanted,), session_id=0, version=0, here=self._here
            )
        except ProtocolError:
            return plan
        return replace(plan, send=other.send)


def _unbroken(plan: MediaPlan) -> MediaPlan:
    """Leave no silence out of what we send."""
    number, label = plan.send
    if plan.noise_send is None and "usedtx" not in label:
        return plan
    return replace(plan, send=(number, label.replace(";usedtx=1", "")), noise_send=None)
