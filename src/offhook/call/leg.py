"""A leg: one far end of a call, whatever carries it.

        native events (Heard, SpeechBegan, Played, Cut, Digit …) + Connected, Held, HungUp
    leg ─────────────────────────────────────────────────────────────────────────► call
        ◄───────────────────────────────────────────────────────────────────────── play, press, bridge, transfer, hangup

A leg over SIP and a leg over a carrier's websocket are the same to a `Call`; what a carrier lacks is told by
`Capabilities`, never by a special case. All methods belong to the loop's thread. Every wait is bounded by the leg.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from offhook import _native as native
from offhook.core.carriage import RTP, Carriage
from offhook.core.ids import CallId
from offhook.core.signals import (
    AnsweredBy,
    Connected,
    Held,
    HungUp,
    Identified,
    Interrupted,
    OneWay,
    Redirected,
    Reworded,
    Ringing,
    Silent,
    Texted,
)
from offhook.core.verdict import UNSIGNED, Verdict

LegEvent = (
    native.Heard
    | native.SpeechBegan
    | native.SpeechEnded
    | native.Digit
    | native.Tone
    | native.Played
    | native.Marked
    | native.Cut
    | native.Room
    | native.Flowing
    | native.Stalled
    | native.Ducked
    | native.Echo
    | native.Taped
    | native.Quality
    | native.OneWay
    | native.Secured
    | native.Severed
    | Connected
    | AnsweredBy
    | Interrupted
    | Reworded
    | Silent
    | Ringing
    | Redirected
    | Identified
    | Texted
    | Held
    | OneWay
    | HungUp
)
"""What a leg tells: the events of the media plane and the signals."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this leg can do.

    `transfer`: its carrier hands the far end on when we ask. `bridge`: we may call someone ourselves, and let people
    hear each other. `carriage`: how it takes our audio. `words`: it takes none, a service hears and speaks there
    (`call.text`): "live", as in talk, or in "turns", with one answer of ours to each.
    """

    press: bool = True
    transfer: bool = True
    hold: bool = True
    bridge: bool = True
    tape: bool = True
    carriage: Carriage = RTP
    words: Literal["", "live", "turns"] = ""


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who calls whom. `caller` and `called` are as the carrier gave them (a SIP URI or a number).

    `trunk` is the way that it came or goes by, "" for none. `trusted` says that a trunk that is trusted about it told
    who calls; else `caller`, `caller_name` and `diverted_from` are what anybody may write. `verdict` is what is known
    of the caller's signature; it may come a moment into the call. `private`: who calls asked that its number be shown
    to nobody. `headers` are those that are not SIP's own machinery. `language` is what the route says (`de`), ""
    where it says nothing.
    """

    id: CallId
    direction: Literal["inbound", "outbound"]
    caller: str
    called: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    trunk: str = ""
    caller_name: str = ""
    diverted_from: str = ""
    trusted: bool = False
    verdict: Verdict = UNSIGNED
    private: bool = False
    language: str = ""


Heard = tuple["AudioLeg", Literal["far", "ours"]]
"""What one may hear: who is at the far end of a leg, or what we play to that one."""


class AudioLeg(Protocol):
    """A leg that carries PCM. Numbers of utterances are the caller's own, increasing."""

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this leg can do."""
        ...

    @property
    def rate_hz(self) -> int:
        """What its audio runs at: 8000, or 16000 with a wideband codec. It may change with what is agreed."""
        ...

    def events(self) -> AsyncIterator[LegEvent]:
        """Give every event once, in order; ends after `HungUp`. One reader only."""
        ...

    def ring(self) -> None:
        """Say that an inbound call rings, once."""
        ...

    async def early(self) -> None:
        """Let our sound out before an inbound call is answered."""
        ...

    async def reject(self, meaning: str) -> None:
        """Refuse an inbound call: `busy`, `declined` … ValueError for what can't be said so."""
        ...

    async def answer(self) -> None:
        """Take an inbound call; returns when it is confirmed. CallEnded if it went away meanwhile."""
        ...

    async def hangup(self, code: int = 200) -> None:
        """End the call now (before an answer: refuse it with `code`); returns when the far end was told. Idempotent."""
        ...

    async def connected(self) -> None:
        """Wait until an outbound call is answered. DialFailed with the code if it is not; cancelled, it hangs up."""
        ...

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Hand the far end to `target`, or into the place that we have in `consultation`.

        TransferFailed if the target does not take it (`refused`: the far end does not transfer), CallEnded if over.
        """
        ...

    async def consult(self, target: str) -> AudioLeg:
        """Call `target` for the far end; the leg rings yet. NotAllowed, DialFailed, Unreachable, CallEnded if over."""
        ...

    def mix(self, heard: Sequence[Heard]) -> None:
        """Say whom the far end hears besides what we play to it: nobody where there are none.

        NotAllowed where the two can't hear each other.
        """
        ...

    def part(self) -> None:
        """Take it out of all mixes: it hears nobody, and nobody hears it."""
        ...

    def bed(self, sound: native.Sound | None, level_db: float, duck_db: float) -> None:
        """Let a sound go round under all that the far end hears, ducked while somebody speaks; None ends it."""
        ...

    async def hold(self, on: bool) -> bool:
        """Have the far end send nothing, or take it back; give whether it went along. CallEnded if the call is over.

        What is played still sounds there.
        """
        ...

    def listen(self, mode: Literal["all", "speech", "none"], gain_control: bool = False) -> None:
        """Say which audio comes as `Heard`; with `gain_control` a quiet far end comes louder than it is."""
        ...

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue 16-bit mono PCM; give how many bytes were taken. `Room` comes when there is space again."""
        ...

    def end(self, utterance: int) -> None:
        """Say that an utterance is complete: `Played` follows once it was heard."""
        ...

    def mark(self, utterance: int, mark: int) -> None:
        """Put a mark behind what is queued; `Marked` comes when the play-out clock passes it."""
        ...

    def hush(self) -> None:
        """Stop sounding now; a `Cut` comes for every utterance not yet heard in full."""
        ...

    def arm(self, depth_db: float | None) -> None:
        """Arm or disarm the native reflex that ducks our voice when the caller speaks over it."""
        ...

    def restore(self) -> None:
        """Bring a ducked voice back."""
        ...

    def press(self, keys: str) -> None:
        """Send keys (0-9*#A-D)."""
        ...

    def watch(self, kinds: Collection[str]) -> None:
        """Say which tones come as `Tone` from here on: kinds of `call.tones`, in the cadence of the leg's country."""
        ...

    def tape(self, on: bool) -> None:
        """Begin or end `Taped` events."""
        ...

    def pipeline(self) -> tuple[str, str]:
        """Give the stages between the far end and `Heard`, and between `play` and the far end, each in a line."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Media counters by reason, for the record and the report."""
        ...
