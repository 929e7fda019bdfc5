"""The account of one call: three files in a folder, all on one clock.

    call.wav          stereo, 8 kHz, 16 bit: the caller left, the agent right; its first sample is second 0
    transcript.json   who said what, what of it was heard, and how long each had to wait for it
    timeline.json     every event of the call in the order in which it happened, and what RTCP said of the line

`save` and `load` are inverses. Times are seconds since the first sample of `call.wav`.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from offhook.run.report.words import word_errors

RATE_HZ = 8000


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said without the other taking over.

    `text` is what was heard of it (of the caller: by the agent's speech recognition; of the agent: up to the cut).
    `delay_ms` is the silence on the line since the other side stopped: None where it spoke first or over the other.
    """

    who: Literal["caller", "agent"]
    began_s: float
    ended_s: float
    text: str
    delay_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: `event` is one of the names that `offhook serve --events` writes, `facts` its rest."""

    t: float
    event: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Reading:
    """One interval between two reports: what came, and (`far_*`) what the far end reported of what it got.

    `mos` is the score of the interval (`offhook.call.quality`); None where there is none.
    """

    t: float
    lost: int
    expected: int
    jitter_ms: float
    round_trip_ms: float | None
    far_lost_fraction: float
    far_jitter_ms: float
    late: int = 0
    concealed_ms: int = 0
    mos: float | None = None
    far_mos: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One call, whole. `script` is what the caller said, saying by saying; `wanted` and `got` are the booking.

    `why` is empty if all went as it should, else one line that says what did not.
    """

    agent: str
    seed: int
    codec: str
    turns: tuple[Turn, ...]
    moments: tuple[Moment, ...]
    readings: tuple[Reading, ...]
    script: tuple[str, ...]
    wanted: Mapping[str, Any]
    got: Mapping[str, Any] | None
    key_pressed: str
    keys_heard: str
    why: str
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    pcm: bytes = b""

    @property
    def pipeline(self) -> str:
        """The way of the audio through the call, stage by stage; "" where it was never answered."""
        told = [str(moment.facts.get("pipeline", "")) for moment in self.moments if moment.event == "answered"]
        return told[0] if told else ""

    @property
    def mos(self) -> float | None:
        """The mean score of what the agent was given to hear."""
        scores = [reading.mos for reading in self.readings if reading.mos is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def duration_s(self) -> float:
        """How long the recording is."""
        return len(self.pcm) / 4 / RATE_HZ

    def words_of(self, who: str) -> str:
        """Give all that one side said, as it was heard."""
        return " ".join(turn.text for turn in self.turns if turn.who == who)

    @property
    def word_error_rate(self) -> float:
        """The share of the caller's words that the agent heard wrong, missed or made up."""
        return word_errors(" ".join(self.script), self.words_of("caller"))


def save(account: Account, folder: Path) -> None:
    """Write the three files. The folder is made if it is missing; files of an earlier call are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / "call.wav"), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(account.pcm)
    transcript = {
        "agent": account.agent,
        "seed": account.seed,
        "why": account.why,
        "turns": [asdict(turn) for turn in account.turns],
        "caller": account.words_of("caller"),
        "script": list(account.script),
        "word_error_rate": round(account.word_error_rate, 4),
        "booking": {"wanted": dict(account.wanted), "got": None if account.got is None else dict(account.got)},
        "key": {"pressed": account.key_pressed, "heard": account.keys_heard},
    }
    timeline = {
        "duration_s": round(account.duration_s, 3),
        "codec": account.codec,
        "events": [{"t": moment.t, "event": moment.event, **moment.facts} for moment in account.moments],
        "line": [asdict(reading) for reading in account.readings],
        "counters": dict(account.counters),
    }
    for name, value in (("transcript.json", transcript), ("timeline.json", timeline)):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(folder: Path) -> Account:
    """Read what `save` wrote. OSError if a file is missing, KeyError or ValueError if one is not ours."""
    transcript = json.loads((folder / "transcript.json").read_text(encoding="utf-8"))
    timeline = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
    with wave.open(str(folder / "call.wav"), "rb") as sound:
        if (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) != (2, 2, RATE_HZ):
            raise ValueError(f"{folder / 'call.wav'} is not stereo, 16 bit, {RATE_HZ} Hz")
        pcm = sound.readframes(sound.getnframes())
    return Account(
        agent=transcript["agent"],
        seed=transcript["seed"],
        codec=timeline["codec"],
        turns=tuple(Turn(**turn) for turn in transcript["turns"]),
        moments=tuple(_moment(event) for event in timeline["events"]),
        readings=tuple(Reading(**reading) for reading in timeline["line"]),
        script=tuple(transcript["script"]),
        wanted=transcript["booking"]["wanted"],
        got=transcript["booking"]["got"],
        key_pressed=transcript["key"]["pressed"],
        keys_heard=transcript["key"]["heard"],
        why=transcript["why"],
        counters=timeline["counters"],
        pcm=pcm,
    )


def _moment(event: dict[str, Any]) -> Moment:
    return Moment(event["t"], event["event"], {key: value for key, value in event.items() if key not in ("t", "event")})
