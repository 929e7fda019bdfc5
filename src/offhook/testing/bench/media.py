"""`media`: CPU-ms per call-second of the whole endpoint path, beside the native floor.

    load ══ RTP, RTCP ══► engine: ear, conceal, decode, VAD ─► Python: every piece played back ─► encode, pace ══► load

The load sends 20 ms packets of speech to every call and checks that each frame comes back (of other codecs than µ-law,
which bring other bytes back, that each was heard and that no packet is missing). The floor (one socket a
call, receive and send, G.711 both ways, a 20 ms clock) takes the same load, in turn with us, three times each.
What a call may have besides (`BESIDES`) is measured at the first size in the same rounds, and told as what it adds;
another codec at `CODED` calls, beside as many of µ-law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offhook import _native as native
from offhook.testing.bench.answered import pjsua2
from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.machine import BenchFailed, Subject, cores, median, wait
from offhook.testing.bench.relayed import rtpengine
from offhook.testing.bench.result import NOT_RUN, Result
from offhook.testing.bench.tools import floor, load, tool

SIZES = (200, 500)
GROWTH = (100, 1000)
RELAYED = 200
"""Calls that rtpengine relays: as many legs as the middle of our sizes."""
ROUNDS = 3
CODED = 40
"""Calls in each of the other codecs, and of plain ones to hold them against: one thread must bear them with ease."""
SETTLE_S = 1.0
"""The first and the last second of a run are not measured: latches close, threads start."""


BESIDES: Mapping[str, Sequence[str]] = {
    "srtp": ("--srtp", "AES_CM_128_HMAC_SHA1_80:" + bytes(range(30)).hex()),
    "srtp_gcm": ("--srtp", "AEAD_AES_128_GCM:" + bytes(range(28)).hex()),
    "g722": ("--codec", "G722"),
    "opus": ("--codec", "opus;useinbandfec=1"),
    "g729": ("--codec", "G729"),
}
"""What calls may have besides plain G.711: arguments that both the subject and the load take."""


def is_there(besides: Sequence[str]) -> bool:
    """Say whether this system has what they ask for: G.729 is a library of its own."""
    option, value = besides
    if option != "--codec":
        return True
    try:
        native.Decoder(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Run:
    """One run of ours: CPU-ms per call-second, the frames that were sent, and those that did not come back."""

    cms: float
    frames: int
    lost: int


def subject_run(load_program: str, calls: int, seconds: int, seed: int, besides: Sequence[str] = ()) -> Run:
    """Echo `calls` for `seconds`."""
    ours, theirs = cores()
    known_again = "--codec" not in besides
    with Subject.module("subject_media", "echo", "--seed", str(seed), *besides, core=ours) as subject:
        subject.report(30)
        ports = subject.ask(30, open=calls)["ports"]
        with load(load_program, ports, seconds, theirs, echo=known_again, seed=seed, besides=besides) as sender:
            remotes = sender.report(30)["ports"]
            subject.ask(30, connect=remotes)
            sender.order(start=True)
            wait(SETTLE_S)
            before = subject.cpu_ms()
            window = seconds - 2 * SETTLE_S
            wait(window)
            used = subject.cpu_ms() - before
            told = sender.report(30)
        did = subject.ask(10, counters=True)
    counters, echo = did["counters"], told["echo"]
    if known_again:
        lost = echo["frames"] - echo["returned"] + counters["events_lost"]
        return Run(used / calls / window, echo["frames"], lost)
    # What such a codec gives back are other bytes: frames are counted at Python, and packets on their way back.
    lost = told["sent"] - did["taken"] + told["lost"] + counters["events_lost"]
    return Run(used / calls / window, told["sent"], lost)


def floor_run(floor_program: str, load_program: str, calls: int, seconds: int, seed: int) -> float:
    """Give the floor's CPU-ms per call-second under the same load."""
    ours, theirs = cores()
    window = round(seconds - 2 * SETTLE_S)
    with floor(floor_program, calls, window, ours) as base:
        ports = base.report(30)["ports"]
        with load(load_program, ports, seconds, theirs, echo=False, seed=seed) as sender:
            sender.report(30)
            sender.order(start=True)
            return float(base.report(seconds + 60)["cpu_ms_per_call_second"])


def extras(load_program: str, calls: int, seconds: int, seed: int) -> dict[str, Figure]:
    """Give what all that a call may have besides adds to it, each beside as many plain calls in the same round."""
    many: dict[str, int] = {}
    for name, asked in BESIDES.items():
        if is_there(asked):
            many[name] = min(calls, CODED) if asked[0] == "--codec" else calls
    plain: dict[int, list[Run]] = {size: [] for size in sorted(set(many.values()))}
    besides: dict[str, list[Run]] = {name: [] for name in many}
    for _ in range(ROUNDS):
        for size, runs in plain.items():
            runs.append(subject_run(load_program, size, seconds, seed))
        for name, size in many.items():
            besides[name].append(subject_run(load_program, size, seconds, seed, BESIDES[name]))
    figures: dict[str, Figure] = {}
    for name, runs in besides.items():
        figures[f"{name}_extra_cms"] = median([one.cms for one in runs]) - median(
            [one.cms for one in plain[many[name]]]
        )
        figures[f"{name}_frames_lost"] = sum(one.lost for one in runs)
    return figures


def growth(load_program: str, seconds: int, seed: int) -> tuple[dict[str, Figure], float]:
    """Give what a call costs among 100 and among 1000, in turn, and the median of the rounds' ratios."""
    rounds = [[subject_run(load_program, size, seconds, seed) for size in GROWTH] for _ in range(ROUNDS)]
    figures: dict[str, Figure] = {}
    for place, size in enumerate(GROWTH):
        figures[f"cms_{size}"] = median([runs[place].cms for runs in rounds])
        figures[f"frames_lost_{size}"] = sum(runs[place].lost for runs in rounds)
    return figures, median([many.cms / few.cms for few, many in rounds])


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; `calls` replaces both sizes, `seconds` (10) is the length of each run."""
    sizes = (calls,) if calls else SIZES
    length = round(seconds or 10)
    if length < 4:
        raise BenchFailed("a run needs 4 seconds or more: its first and last are not measured")
    floor_program, load_program = tool("floor"), tool("load")
    figures: dict[str, Figure] = {}
    floors: dict[str, Figure | str] = {}
    ratios: dict[str, Figure] = {}
    for size in sizes:
        base: list[float] = []
        ours: list[Run] = []
        for _ in range(ROUNDS):
            base.append(floor_run(floor_program, load_program, size, length, seed))
            ours.append(subject_run(load_program, size, length, seed))
        figures[f"cms_{size}"] = median([one.cms for one in ours])
        figures[f"frames_lost_{size}"] = sum(one.lost for one in ours)
        floors[f"cms_{size}"] = median(base)
        ratios[f"ratio_{size}"] = median([one.cms for one in ours]) / median(base)
    figures |= extras(load_program, sizes[0], length, seed)
    peers: dict[str, Mapping[str, Figure] | str] = {"rtpengine": NOT_RUN, "pjsua2": NOT_RUN}
    if calls is None:
        grown, ratios["growth_100_to_1000"] = growth(load_program, length, seed)
        figures |= grown
        peers["rtpengine"] = rtpengine(load_program, RELAYED, length, seed)
        peers["pjsua2"] = pjsua2(load_program, length // 2, seed)
    return Result(
        bench="media",
        figures=figures,
        floor=floors,
        peers=peers,
        ratios=ratios,
        seed=seed,
        shape={"calls": list(sizes), "seconds": length, "rounds": ROUNDS, "codec": "PCMU", "ptime_ms": 20},
    )
