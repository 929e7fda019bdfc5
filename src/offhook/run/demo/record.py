"""From what happened to an `Account`: the tape, the call's events and the caller's own word, put on one clock.

    engine ─► Recorder ─► host          Taped and Quality are kept here, everything else goes on as it came
    host ──► CallEvent ─► Recording     ─► turns: words from the events, times from the sound itself
    caller ─► its lines ─►

Who spoke when is measured on the tape and not taken from the events, so that a delay in the report can be heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from offhook import _native as native
from offhook.call import events
from offhook.call.rates import SteadyRate
from offhook.core.instants import SECOND
from offhook.run.demo.script import Wish
from offhook.run.report.account import RATE_HZ, Account, Moment, Reading, Turn

FRAME = RATE_HZ // 50
LOUD = 150.0
"""Root mean square (16 bit) from which 20 ms of the tape are speech; G.711's silence is below 10."""

GAP_S = 0.35
"""A shorter silence belongs to the speech around it."""

LONGEST_TAPE_S = 600
"""No more is kept: a demo takes one or two minutes."""


class Recorder:
    """The engine as the host sees it, with the tape running on every port. Verbs that it does not name pass through."""

    def __init__(self, engine: native.Engine) -> None:
        self._engine = engine
        self.tape: list[native.Taped] = []
        self.quality: list[native.Quality] = []
        self.counters_at_end: dict[str, int] = {}

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    def open(self, **how: Any) -> tuple[int, int]:
        """Open a port, as the engine takes it, and begin its tape."""
        opened = self._engine.open(**how)
        self._engine.tape(opened[0], True)
        return opened

    def close(self, port: int) -> dict[str, int]:
        """Close a port and keep its counters."""
        self.counters_at_end = self._engine.close(port)
        return self.counters_at_end

    def drain(self) -> list[native.Event]:
        """Take the waiting events; keep the tape and what RTCP said."""
        rest: list[native.Event] = []
        for event in self._engine.drain():
            if isinstance(event, native.Taped):
                if len(self.tape) < LONGEST_TAPE_S * 2:
                    self.tape.append(event)
            else:
                if isinstance(event, native.Quality):
                    self.quality.append(event)
                rest.append(event)
        return rest


@dataclass(slots=True)
class Recording:
    """Everything about one call that the report needs, as it comes in."""

    heard: list[events.Heard] = field(default_factory=list[events.Heard])
    said: list[events.Said] = field(default_factory=list[events.Said])
    moments: list[events.CallEvent] = field(default_factory=list[events.CallEvent])
    script: list[str] = field(default_factory=list[str])
    keys_pressed: str = ""

    def take(self, event: events.CallEvent) -> None:
        """Keep an event of the agent's side."""
        self.moments.append(event)
        match event:
            case events.Heard():
                self.heard.append(event)
            case events.Said():
                self.said.append(event)
            case _:
                pass

    @property
    def booked(self) -> Mapping[str, Any] | None:
        """What the booking tool got when it booked; None if it never did."""
        done = [event for event in self.moments if isinstance(event, events.Tool) and event.name == "book_table"]
        kept = [event for event in done if not event.failed and event.result.startswith("Booked")]
        return kept[-1].arguments if kept else None

    @property
    def keys_heard(self) -> str:
        """The keys that the agent took, in order."""
        return "".join(event.digit for event in self.moments if isinstance(event, events.Digit))

    def account(self, recorder: Recorder, wish: Wish, agent: str, why: str) -> Account:
        """Put it all on the clock of the tape."""
        start, pcm = joined(recorder.tape)
        return Account(
            agent=agent,
            seed=wish.seed,
            codec="PCMU",
            turns=turns(pcm, start, self.heard, self.said),
            moments=tuple(_moment(event, start) for event in self.moments),
            readings=tuple(_reading(event, start) for event in recorder.quality),
            script=tuple(self.script),
            wanted=wish.arguments(),
            got=self.booked,
            key_pressed=self.keys_pressed,
            keys_heard=self.keys_heard,
            why=why,
            counters=recorder.counters_at_end,
            pcm=pcm,
        )


def joined(tape: Sequence[native.Taped]) -> tuple[float, bytes]:
    """Join the stretches of a tape; give the instant of its first sample in seconds, and the stereo PCM."""
    if not tape:
        return 0.0, b""
    start = tape[0].at
    pcm = bytearray()
    sides = (SteadyRate(RATE_HZ), SteadyRate(RATE_HZ))
    for stretch in tape:
        place = round((stretch.at - start) * RATE_HZ / SECOND) * 4
        # A stretch belongs where its clock says; a jitter of some samples between stretches is not a gap.
        if place > len(pcm) + FRAME * 4:
            pcm += bytes(place - len(pcm))
        pcm += _steady(sides, stretch)
    return start / SECOND, bytes(pcm)


def _steady(sides: tuple[SteadyRate, SteadyRate], stretch: native.Taped) -> bytes:
    """Give a stretch at the rate of the account."""
    if stretch.rate_hz == RATE_HZ:
        return stretch.pcm
    both = np.frombuffer(stretch.pcm, dtype="<i2").reshape(-1, 2)
    pushed = [rate.push(both[:, side].tobytes(), stretch.rate_hz) for side, rate in enumerate(sides)]
    return np.stack([np.frombuffer(pcm, dtype="<i2") for pcm in pushed], axis=1).tobytes()


def spans(pcm: bytes, side: int) -> list[tuple[float, float]]:
    """Find when one side (0 left, 1 right) of a stereo tape speaks: (began, ended) in seconds."""
    samples = np.frombuffer(pcm, dtype="<i2").reshape(-1, 2)[:, side].astype(np.float32)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) >= LOUD) if len(frames) else np.empty(0, dtype=int)
    found: list[tuple[float, float]] = []
    for frame in loud:
        began, ended = float(frame) * FRAME / RATE_HZ, float(frame + 1) * FRAME / RATE_HZ
        if found and began - found[-1][1] < GAP_S:
            found[-1] = (found[-1][0], ended)
        else:
            found.append((began, ended))
    return [span for span in found if span[1] - span[0] >= 0.06]


def turns(pcm: bytes, start: float, heard: Sequence[events.Heard], said: Sequence[events.Said]) -> tuple[Turn, ...]:
    """Give the turns of both sides in the order in which they began, each with its words and its wait."""
    told = sorted(
        [
            *((event.t - start, "caller", event.text) for event in heard),
            *((event.t - start, "agent", event.text) for event in said),
        ]
    )
    sound = {"caller": spans(pcm, 0), "agent": spans(pcm, 1)}
    raw: list[Turn] = []
    for t, who, text in told:
        began, ended = _when(sound[who], t)
        last = raw[-1] if raw else None
        if last is not None and last.who == who and began <= last.ended_s + 0.01:
            raw[-1] = replace(last, ended_s=max(last.ended_s, ended), text=_join(last.text, text))
        else:
            raw.append(Turn("caller" if who == "caller" else "agent", began, ended, text))
    merged: list[Turn] = []
    for turn in sorted(raw, key=lambda turn: turn.began_s):
        last = merged[-1] if merged else None
        if last is not None and last.who == turn.who:
            merged[-1] = replace(last, ended_s=max(last.ended_s, turn.ended_s), text=_join(last.text, turn.text))
        else:
            wait_s = -1.0 if last is None else turn.began_s - last.ended_s
            merged.append(replace(turn, delay_ms=None if wait_s < 0 else round(wait_s * 1000, 1)))
    return tuple(merged)


def _join(one: str, other: str) -> str:
    return f"{one} {other}".strip()


def _when(sound: list[tuple[float, float]], t: float) -> tuple[float, float]:
    """Take the speech that an event at `t` tells of: all that began before it and was not told of yet."""
    own = [span for span in sound if span[0] < t]
    if not own:
        return round(t, 3), round(t, 3)
    for span in own:
        sound.remove(span)
    return round(own[0][0], 3), round(own[-1][1], 3)


def _moment(event: events.CallEvent, start: float) -> Moment:
    facts = events.as_json(event)
    facts.pop("call", None)
    name = str(facts.pop("event"))
    return Moment(round(float(facts.pop("t")) - start, 3), name, facts)


def _reading(event: native.Quality, start: float) -> Reading:
    return Reading(
        t=round(event.at / SECOND - start, 3),
        lost=event.lost,
        expected=event.expected,
        jitter_ms=round(event.jitter_ms, 3),
        round_trip_ms=event.round_trip_ms,
        far_lost_fraction=event.far_lost_fraction,
        far_jitter_ms=round(event.far_jitter_ms, 3),
        late=event.late,
        concealed_ms=event.concealed_ms,
        mos=None if event.mos is None else round(event.mos, 2),
        far_mos=None if event.far_mos is None else round(event.far_mos, 2),
    )
