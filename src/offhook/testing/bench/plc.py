"""`plc`: how lost packets of real speech sound once they are made up for, ours and others' side by side.

Prompts of the half that nothing was tuned on lose packets of 20 ms in bursts of 1.5 (Gilbert). The same packets are
lost to every method: ours with nothing known of what comes, ours with the packet behind the hole (what the ear has), a
control in the manner of G.711 Appendix I, spandsp where it is installed, repetition, and zeros.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, fields
from itertools import pairwise
from statistics import fmean

from offhook.testing.bench import concealers
from offhook.testing.bench.budgets import PLC_LOSSES, Figure
from offhook.testing.bench.concealers import Concealer
from offhook.testing.bench.prompts import Pcm, Prompt, prompts
from offhook.testing.bench.result import NOT_RUN, Result, digest
from offhook.testing.bench.scores import Score, require, score
from offhook.testing.bench.traces import losses

BURST = 1.5
ROUNDS = 5
DRAWS = 300

Lost = Mapping[int, Sequence[Sequence[bool]]]


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench over `seconds` of speech (150). BenchFailed where the prompts or the metrics are not installed."""
    del calls
    require()
    spoken = prompts("reporting", seconds=seconds or 150, seed=seed)
    lost = {percent: _lose(spoken, percent, seed) for percent in PLC_LOSSES}
    methods: dict[str, Concealer | None] = {"": concealers.ours, "ahead": concealers.ahead, **concealers.controls()}
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        judged = {
            name: None if method is None else _judge(pool, method, spoken, lost) for name, method in methods.items()
        }
        clean = _mean(list(pool.map(_score, [(prompt.pcm, prompt.pcm) for prompt in spoken])))
    mine, ahead, control = (judged.pop(name) or {} for name in ("", "ahead", "appendix_i"))
    figures: dict[str, Figure] = {**mine, **{f"ahead_{name}": value for name, value in ahead.items()}}
    figures |= {f"over_appendix_i_{name}": mine[name] - control[name] for name in control}
    figures["cpu_ms_per_audio_s"] = _cpu(concealers.ours, spoken, lost[10])
    figures["ahead_cpu_ms_per_audio_s"] = _cpu(concealers.ahead, spoken, lost[10])
    return Result(
        bench="plc",
        figures=figures,
        floor={f"no_loss_{name}": value for name, value in clean.items()},
        peers={"appendix_i": control, **{name: NOT_RUN if made is None else made for name, made in judged.items()}},
        seed=seed,
        corpus=digest(*(prompt.pcm.tobytes() for prompt in spoken)),
        shape={
            "half": "reporting",
            "prompts": len(spoken),
            "seconds": round(sum(prompt.seconds for prompt in spoken), 1),
            "loss_percent": list(PLC_LOSSES),
            "burst": BURST,
            "frame_ms": 20,
            "codec": "PCMU",
        },
    )


def _lose(spoken: Sequence[Prompt], percent: int, seed: int) -> list[list[bool]]:
    """Draw what is lost of each prompt, until share and bursts over all are within 2 and 5 % of what was asked for.

    A minute of speech loses some hundreds of packets, whose number would otherwise move the figures more than the
    method does.
    """
    rng = random.Random(f"plc {seed} {percent}")
    share = percent / 100

    def off(drawn: list[list[bool]]) -> float:
        gone = [False, *(one for prompt in drawn for one in [*prompt, False])]
        bursts = sum(one and not before for before, one in pairwise(gone))
        found = sum(gone) / sum(map(len, drawn))
        return max(abs(found / share - 1) / 0.02, abs(sum(gone) / max(1, bursts) / BURST - 1) / 0.05)

    draws = ([losses(rng, prompt.frames, share, BURST) for prompt in spoken] for _ in range(DRAWS))
    best = next(draws)
    for drawn in draws:
        if off(best) <= 1:
            break
        best = min(best, drawn, key=off)
    return best


def _judge(pool: ProcessPoolExecutor, method: Concealer, spoken: Sequence[Prompt], lost: Lost) -> dict[str, float]:
    found: dict[str, float] = {}
    for percent, each in lost.items():
        pairs = [(prompt.pcm, method(prompt.pcm, gone)) for prompt, gone in zip(spoken, each, strict=True)]
        found |= {f"{name}_{percent}": value for name, value in _mean(list(pool.map(_score, pairs))).items()}
    return found


def _score(pair: tuple[Pcm, Pcm]) -> Score:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the metrics' own making
        return score(*pair)


def _mean(scores: Sequence[Score]) -> dict[str, float]:
    columns = zip(*(astuple(one) for one in scores), strict=True)
    return {field.name: fmean(column) for field, column in zip(fields(Score), columns, strict=True)}


def _cpu(method: Concealer, spoken: Sequence[Prompt], lost: Sequence[Sequence[bool]]) -> float:
    """CPU of one method, in ms per second of audio, the way to it from Python included; the median of some rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        before = time.thread_time_ns()
        for prompt, gone in zip(spoken, lost, strict=True):
            method(prompt.pcm, gone)
        rounds.append((time.thread_time_ns() - before) / 1e6)
    return sorted(rounds)[ROUNDS // 2] / sum(prompt.seconds for prompt in spoken)
