"""The process under test of `media`, `pacing` and `memory`: an engine with many ports, and Python behind it.

echo      every piece that is heard is played back: ear, decoding, VAD, Python, queue, encoding, pacing
stream    Python keeps the play queue of every call filled with speech, piece by piece, and hears as well
hold      the ports are only there and configured, and hear

orders    {"open": N} → {"ports": […]}    {"connect": [remote ports]}    {"block": {"ms": 200, "every_ms": 1000}}
          {"churn": {"every_ms": 50, "up_ms": 1000}} → sets up, and ends, a call so often
          {"counters": true} → engine totals, and what Python did  all answered by one line
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import random
import struct
import sys
import time
from typing import Any

from offhook import _native as native
from offhook.run.serve import run_live
from offhook.testing.bench.machine import tell

NOBODY = 9
"""A port of this host that nobody has (discard): what is sent there is lost."""
NUMBERS = {"PCMU": 0, "G722": 9, "G729": 18, "opus": 111}
"""The payload number of each codec, here and in the load."""
PIECE_MS = 200
"""A voice hands its speech on in pieces of about this length."""


def speech(rng: random.Random, seconds: int) -> bytes:
    """Give something like speech without a silence in it: four moving tones, never below a tenth of full scale."""
    samples: list[int] = []
    phases = [rng.uniform(0, math.tau) for _ in range(4)]
    for number in range(seconds * 8000):
        t = number / 8000
        value = sum(
            math.sin(phase + math.tau * 140 * (k + 1) * t + 2 * math.sin(t * (k + 2))) for k, phase in enumerate(phases)
        )
        level = 2200 + 1200 * math.sin(math.tau * 2.7 * t)
        samples.append(max(-30000, min(30000, round(value * level) | 1)))
    return struct.pack(f"<{len(samples)}h", *samples)


class Plane:
    """The engine and what Python does with each call."""

    def __init__(self, mode: str, threads: int, seed: int, srtp: str, codec: str) -> None:
        self.mode = mode
        self.codec = NUMBERS[codec.partition(";")[0]], codec
        suite, _, key = srtp.partition(":")
        self.protection = (suite, bytes.fromhex(key), bytes.fromhex(key)) if srtp else None
        self.engine = native.Engine(ip="127.0.0.1", first_port=10000, last_port=19999, threads=threads)
        self.rng = random.Random(seed)
        self.numbers: list[int] = []
        self.taken = 0
        self.handed_on = 0
        self.blocks = 0
        self.set_ups = 0
        self.ended = False
        self.clip = speech(self.rng, 4) if mode == "stream" else b""
        self.places: dict[int, int] = {}
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.engine.fileno(), self.drain)

    def open(self, count: int) -> list[int]:
        """Open so many more ports; give their RTP ports."""
        rng = self.rng
        ports: list[int] = []
        for _ in range(count):
            number, port = self.engine.open(
                ssrc=rng.getrandbits(32), sequence=rng.getrandbits(16), timestamp=rng.getrandbits(32), cname="bench"
            )
            self.numbers.append(number)
            ports.append(port)
        return ports

    def churn(self, every_ms: int, up_ms: int) -> None:
        """Set a call up so often, towards a port that nobody has, and end it when it was up for `up_ms`."""
        if self.ended:
            return
        self.open(1)
        self.connect([NOBODY])
        self.set_ups += 1
        self.loop.call_later(up_ms / 1000, self.end, self.numbers.pop())
        self.loop.call_later(every_ms / 1000, self.churn, every_ms, up_ms)

    def end(self, number: int) -> None:
        """End a call."""
        if not self.ended:
            self.engine.close(number)
            self.places.pop(number, None)

    def shut_down(self) -> None:
        """End all calls; those that were to be set up or ended later are not."""
        self.ended = True
        self.loop.remove_reader(self.engine.fileno())
        self.engine.shutdown()

    def connect(self, remotes: list[int]) -> None:
        """Configure the newest ports towards `remotes` and let them hear and speak."""
        for number, remote in zip(self.numbers[-len(remotes) :], remotes, strict=True):
            self.engine.configure(
                number,
                1,
                remote=("127.0.0.1", remote),
                remote_rtcp=("127.0.0.1", remote + 1),
                send=self.codec,
                receive=(self.codec, (0, "PCMU"), (8, "PCMA")),
                dtmf_send=101,
                dtmf_receive=101,
                protection=self.protection,
            )
            self.engine.listen(number, "all")
            if self.mode == "stream":
                self.places[number] = self.rng.randrange(0, len(self.clip), 2)
                self.fill(number)

    def fill(self, number: int) -> None:
        """Play pieces until the queue takes no more."""
        size, clip, place = 16 * PIECE_MS, self.clip, self.places[number]
        for _ in range(2000 // PIECE_MS + 1):
            piece = clip[place : place + size]
            taken = self.engine.play(number, 1, piece, 8000)
            self.handed_on += taken // 2
            place = (place + taken) % len(clip)
            if taken < len(piece):
                break
        self.places[number] = place

    def drain(self) -> None:
        """Take what was heard, and answer it."""
        engine, echo, stream = self.engine, self.mode == "echo", self.mode == "stream"
        for event in engine.drain():
            if isinstance(event, native.Heard):
                self.taken += 1
                if echo:
                    engine.play(event.port, 1, event.pcm, event.rate_hz)
            elif stream and isinstance(event, native.Room) and event.port in self.places:
                self.fill(event.port)

    def block(self, ms: int, every_ms: int) -> None:
        """Hold the interpreter for `ms` with pure Python every so often; no other Python thread gets in."""
        sys.setswitchinterval(1)
        self.blocks += 1
        until = time.perf_counter() + ms / 1000
        while time.perf_counter() < until:
            pass
        self.loop.call_later(every_ms / 1000, self.block, ms, every_ms)


def obey(plane: Plane, order: dict[str, Any]) -> None:
    """Carry out one order and report."""
    match order:
        case {"open": int(count)}:
            tell(ports=plane.open(count))
        case {"connect": remotes}:
            plane.connect([int(remote) for remote in remotes])
            gc.collect()
            gc.freeze()
            tell(connected=len(plane.numbers))
        case {"block": {"ms": int(ms), "every_ms": int(every_ms)}}:
            tell(blocking=ms)
            plane.block(ms, every_ms)
        case {"churn": {"every_ms": int(every_ms), "up_ms": int(up_ms)}}:
            tell(churning=every_ms)
            plane.churn(every_ms, up_ms)
        case _:
            did = {"taken": plane.taken, "handed_on": plane.handed_on, "blocks": plane.blocks, "set_ups": plane.set_ups}
            tell(counters=plane.engine.totals(), **did)


async def serve(mode: str, threads: int, seed: int, srtp: str, codec: str) -> None:
    """Obey until stdin is closed."""
    plane = Plane(mode, threads, seed, srtp, codec)
    tell(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        obey(plane, json.loads(line))
    plane.shut_down()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("echo", "stream", "hold"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--srtp", default="", metavar="SUITE:KEY", help="one key both ways, in hexadecimal digits")
    parser.add_argument("--codec", default="PCMU", metavar="NAME", help="as the media plane has it")
    given = parser.parse_args()
    run_live(lambda: serve(given.mode, given.threads, given.seed, given.srtp, given.codec))
