"""How well a recogniser hears people on a telephone: word error rate over Debian's recorded prompts.

    python tools/wer.py [--prompts 30] [--seed 1] [--loss 0.05] [--burst 1.5] [--stt local] [--all]

The prompts are those of asterisk-core-sounds-en-wav whose transcripts have 5 to 16 words, shuffled by the seed, none
left out; they go through µ-law at 8 kHz, and with --loss through lost packets of 20 ms (Gilbert), concealed as the
ear does, with the packet behind the hole at hand.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import random
import re
import time
import wave
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offhook import _native as native
from offhook.providers import Pause, Stt, registry
from offhook.testing.bench.concealers import ahead
from offhook.testing.bench.traces import losses

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TRANSCRIPTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
FRAME = 320
"""Bytes of 20 ms of 8 kHz PCM."""

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recorded prompt and its words as printed."""

    name: str
    text: str

    def pcm(self) -> bytes:
        """Its audio, 8 kHz, after µ-law."""
        with wave.open(str(SOUNDS / f"{self.name}.wav")) as file:
            assert file.getframerate() == 8000
            raw = file.readframes(file.getnframes())
        return native.decode("PCMU", native.encode("PCMU", raw))


def prompts(seed: int) -> list[Prompt]:
    """All prompts of 5 to 16 words, shuffled."""
    found: list[Prompt] = []
    with gzip.open(TRANSCRIPTS, "rt") as lines:
        for line in lines:
            match = re.fullmatch(r"([\w\-/]+): ([^\[\]]*)\n?", line)
            if match and 5 <= len(match[2].split()) <= 16 and (SOUNDS / f"{match[1]}.wav").is_file():
                found.append(Prompt(match[1], match[2]))
    random.Random(seed).shuffle(found)
    return found


def lossy(pcm: bytes, loss: float, rng: random.Random, burst: float = 1.5) -> bytes:
    """Lose packets of 20 ms in bursts; the ear's concealment fills the holes."""
    whole = np.frombuffer(pcm[: len(pcm) // FRAME * FRAME], "<i2")
    return ahead(whole, losses(rng, len(whole) * 2 // FRAME, loss, burst)).tobytes()


def words(text: str) -> list[str]:
    """Lower case, no punctuation, lone digits as words."""
    plain = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("’", "'"))
    return [DIGITS[int(word)] if re.fullmatch(r"\d", word) else word for word in plain.split()]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to insert, drop or change to make one of the other."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(said, 1):
        corner, row[0] = row[0], index
        for column, other in enumerate(heard, 1):
            corner, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, corner + (word != other))
    return row[-1]


async def hear(stt: Stt, pcm: bytes) -> str:
    """Hear one turn."""

    async def turn() -> AsyncIterator[bytes | Pause]:
        yield pcm
        yield Pause(1)

    return [transcript.text async for transcript in stt.listen(turn())][-1]


async def measure(
    stt: Stt, chosen: Sequence[Prompt], loss: float, seed: int, *, burst: float = 1.5, verbose: bool = False
) -> float:
    """Word error rate over the prompts, 0 to 1."""
    rng = random.Random(seed)
    wrong = total = 0
    for prompt in chosen:
        pcm = lossy(prompt.pcm(), loss, rng, burst) if loss else prompt.pcm()
        heard = await hear(stt, pcm)
        said = words(prompt.text)
        missed = errors(said, words(heard))
        wrong, total = wrong + missed, total + len(said)
        if verbose and missed:
            print(f"  {missed} of {len(said)}  {prompt.name}: {prompt.text!r} heard as {heard!r}")
    return wrong / total


async def run(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    chosen = prompts(arguments.seed)
    chosen = chosen if arguments.all else chosen[: arguments.prompts]
    stt = registry.stt(arguments.stt)
    await stt.check()
    began = time.perf_counter()
    rate = await measure(stt, chosen, arguments.loss, arguments.seed, burst=arguments.burst, verbose=arguments.verbose)
    each_ms = (time.perf_counter() - began) / len(chosen) * 1000
    loss = f"loss {arguments.loss:.0%}" + (f" in bursts of {arguments.burst:g}" if arguments.loss else "")
    print(f"{arguments.stt}: WER {rate:.1%} over {len(chosen)} prompts, {loss}, {each_ms:.0f} ms a prompt")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--all", action="store_true", help="all prompts instead of some")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--burst", type=float, default=1.5)
    parser.add_argument("--stt", default="local")
    parser.add_argument("--verbose", action="store_true")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
