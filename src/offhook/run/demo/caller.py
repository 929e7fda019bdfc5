"""The simulated caller of `offhook demo`: a process of its own, with its own user agent, media plane and ears.

    stdin   the address to call, one line           stdout  what it does, one JSON object a line
            └─► INVITE ═══ SIP and RTP over UDP ═══► the agent
                           heard by loudness and its own speech recognition ─► script ─► the packaged voice

All that it knows of the agent comes over UDP. What it writes to stdout (`ready`, `says`, `hears`, `interrupts`,
`presses`, `ended`) is for the one who started it; nothing comes back that way. Not for users: `python -m
offhook.run.demo.caller`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from offhook import _native as native
from offhook.call.leg import CallInfo
from offhook.call.rates import SteadyRate
from offhook.carriers.sip import SipLeg
from offhook.core.errors import CallEnded, DialFailed, OffhookError, ProviderError
from offhook.core.ids import CallId
from offhook.core.signals import HungUp
from offhook.providers.flite import Flite
from offhook.providers.local import voice
from offhook.providers.piper import Piper
from offhook.providers.whisper import Whisper
from offhook.run.demo.script import Caller, Topic, wish
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.useragent import Settings

RATE_HZ = 8000
LOUD = 150.0
"""From this root mean square on (16 bit) a piece of audio is speech: a silent line brings zeros or nothing."""

SILENCE_S = 1.0
"""So long a silence after speech, and the agent is done."""

AGENT_S = 15.0
"""So long the caller waits for the agent to say anything."""

UTTERANCE_S = 30.0
"""No utterance of the agent is listened to longer than this."""

CALL_S = 100.0
"""After this the caller hangs up, whatever is said."""

TAKES = 3
"""So many times each line is spoken beforehand: who was not understood says it again, and not in the very same way."""

PITCH = 1.1
"""The caller's voice is the packaged one played this much faster and higher, so that a listener can tell who speaks."""


def tell(event: str, **facts: Any) -> None:
    """Write one line for the one who started us; `t` is CLOCK_MONOTONIC in seconds."""
    print(json.dumps({"t": asyncio.get_running_loop().time(), "event": event, **facts}), flush=True)


class Ear:
    """What comes over the line, by loudness: when the agent speaks, and what."""

    def __init__(self, leg: SipLeg) -> None:
        self._leg = leg
        self._loop = asyncio.get_running_loop()
        self._change = asyncio.Event()
        self._rate = SteadyRate(RATE_HZ)
        self._quiet = bytearray()  # the last 300 ms before speech
        self._heard = bytearray()
        self._first: float | None = None
        self._loudest_at = 0.0
        self.played: set[int] = set()
        self.room = False
        self.over: HungUp | None = None

    async def attend(self) -> None:
        """Read the leg until it has hung up."""
        async for event in self._leg.events():
            match event:
                case native.Heard():
                    self._piece(self._rate.push(event.pcm, event.rate_hz))
                case native.Played():
                    self.played.add(event.utterance)
                case native.Room():
                    self.room = True
                case HungUp():
                    self.over = event
                case _:
                    pass
            self._change.set()

    def _piece(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        loud = len(samples) > 0 and float(np.sqrt(np.mean(samples**2))) >= LOUD
        if loud:
            self._loudest_at = self._loop.time()
            if self._first is None:
                self._first = self._loudest_at
                self._heard[:] = self._quiet
        if self._first is None:
            self._quiet += pcm
            del self._quiet[: max(0, len(self._quiet) - RATE_HZ * 2 * 300 // 1000)]
        elif len(self._heard) < UTTERANCE_S * RATE_HZ * 2:
            self._heard += pcm

    def forget(self) -> None:
        """Let go of what was heard so far."""
        self._first = None
        self._heard.clear()
        self._quiet.clear()

    async def changed(self, within_s: float) -> None:
        """Wait for anything to happen, at most so long. CallEnded once the far end has hung up."""
        self._change.clear()
        try:
            async with asyncio.timeout(max(0.001, within_s)):
                await self._change.wait()
        except TimeoutError:
            pass
        if self.over is not None:
            raise CallEnded(self.over.reason)

    async def utterance(self, interrupt_ms: int | None) -> bytes | None:
        """Give what the agent says next, once it is done; None after `interrupt_ms` of it.

        TimeoutError if the agent says nothing, CallEnded if it hangs up.
        """
        begin = self._loop.time()
        while True:
            now = self._loop.time()
            if self._first is None:
                if now - begin >= AGENT_S:
                    raise TimeoutError(f"the agent said nothing for {AGENT_S:.0f} s")
            elif interrupt_ms is not None and now - self._first >= interrupt_ms / 1000:
                return None
            elif now - self._loudest_at >= SILENCE_S or now - self._first >= UTTERANCE_S:
                return bytes(self._heard)
            await self.changed(0.02 if self._first is not None else 0.2)


class Mouth:
    """Everything that the caller may say, rendered before the call, and the keys."""

    def __init__(self, leg: SipLeg, ear: Ear, clips: dict[Topic, list[bytes]]) -> None:
        self._leg, self._ear, self._clips = leg, ear, clips
        self._number = 0

    async def say(self, topic: Topic) -> None:
        """Speak a line to its end. CallEnded if the far end hangs up meanwhile."""
        takes = self._clips[topic]
        takes.append(pcm := takes.pop(0))
        self._number += 1
        while pcm:
            self._ear.room = False
            pcm = pcm[self._leg.play(self._number, pcm, RATE_HZ) :]
            while pcm and not self._ear.room:
                await self._ear.changed(0.5)
        self._leg.end(self._number)
        deadline = asyncio.get_running_loop().time() + 6.0  # the queue holds 2 s
        while self._number not in self._ear.played and asyncio.get_running_loop().time() < deadline:
            await self._ear.changed(0.5)

    def press(self, key: str) -> None:
        """Press a key."""
        self._leg.press(key)


async def render(tts: Piper | Flite, lines: dict[Topic, str]) -> dict[Topic, list[bytes]]:
    """Speak every line into memory, at 8 kHz and the caller's pitch."""
    return {topic: [await _rendered(tts, line) for _ in range(TAKES)] for topic, line in lines.items()}


async def _rendered(tts: Piper | Flite, line: str) -> bytes:
    async def sentences() -> AsyncIterator[str]:
        yield line

    pcm, rate_hz = b"", RATE_HZ
    async for piece in tts.speak(sentences()):
        pcm, rate_hz = pcm + piece.pcm, piece.rate_hz
    if not pcm:
        raise ProviderError(f"the voice made no sound of {line!r}")
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return resampled(samples, rate_hz * PITCH).astype("<i2").tobytes()


def resampled(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Bring a whole clip to 8 kHz: its spectrum, cut at 3.7 kHz, read back with as many samples as 8 kHz needs."""
    spectrum = np.fft.rfft(samples)
    count = round(len(samples) * RATE_HZ / rate_hz)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    usable = min(len(kept), len(spectrum), int(3700 * len(samples) / rate_hz))
    kept[:usable] = spectrum[:usable]
    clip = np.fft.irfft(kept, count) * (count / len(samples))
    return np.clip(clip, -32768, 32767)


async def talk(leg: SipLeg, caller: Caller, stt: Whisper, clips: dict[Topic, list[bytes]]) -> str:
    """Hold the conversation; give how it ended."""
    leg.listen("all")
    ear = Ear(leg)
    mouth = Mouth(leg, ear, clips)
    attending = asyncio.create_task(ear.attend())
    try:
        async with asyncio.timeout(CALL_S):
            await _converse(ear, mouth, caller, stt)
            reason = "said goodbye"
    except TimeoutError as late:
        reason = str(late) or f"the call took longer than {CALL_S:.0f} s"
    except CallEnded:
        reason = "the agent hung up" if "goodbye" in caller.told else "the agent hung up before it was done"
    await leg.hangup()
    await asyncio.wait({attending}, timeout=3.0)  # for the answer to our BYE
    attending.cancel()
    return reason


async def _converse(ear: Ear, mouth: Mouth, caller: Caller, stt: Whisper) -> None:
    while True:
        heard = await ear.utterance(caller.interrupts())
        if heard is None:
            topic = caller.speak_over()
            tell("interrupts")
        else:
            words = await stt.transcribe(heard, RATE_HZ)
            tell("hears", text=words)
            if caller.waits(words):
                ear.forget()
                continue
            answer = caller.answer(words)
            if answer is None:
                return
            topic = answer
        if topic == "goodbye":
            mouth.press(caller.wish.key)
            tell("presses", key=caller.wish.key)
        tell("says", text=caller.lines()[topic])
        await mouth.say(topic)
        ear.forget()


async def dial(line: SipLine, to: Uri, rng: random.Random) -> SipLeg:
    """Place the call. DialFailed if it is not answered within 20 s."""
    ways = await line.ways_to(to)
    sender = Uri("sip", "caller", ways[0].local[0])
    info = CallInfo(CallId(f"{rng.getrandbits(64):016x}"), "outbound", str(sender), str(to))
    leg = SipLeg.outgoing(line, info, ways, to, sender)
    line.dialled(ways, +1)
    line.add(leg)
    line.settle()
    try:
        async with asyncio.timeout(20.0):
            await leg.connected()
    except TimeoutError:
        raise DialFailed(408, "nobody answered for 20 s") from None
    return leg


async def call(seed: int) -> None:
    """Load, wait for the address, call."""
    caller = Caller(wish(seed))
    stt, tts = Whisper.from_files(), voice()
    rng = random.Random()
    try:
        await asyncio.gather(stt.check(), tts.check())
        clips = await render(tts, caller.lines())
        tell("ready")
        address = (await asyncio.to_thread(sys.stdin.readline)).strip()
        if not address:
            return  # who started us has gone
        media = EngineMedia(native.Engine(ip="127.0.0.1", first_port=20000, last_port=29999), rng)
        line = SipLine(media=media, rng=rng, incoming=lambda outcome: None, settings=Settings(user="caller"))
        media.start()
        try:
            await line.listen("udp", ("127.0.0.1", 0))
            leg = await dial(line, parse_uri(address), rng)
            tell("ended", reason=await talk(leg, caller, stt, clips))
        finally:
            await line.close()
            media.stop()
    except OffhookError as error:
        tell("ended", reason=str(error))
    finally:
        await asyncio.gather(stt.close(), tts.close())


def main() -> None:
    """Read the arguments and be a caller."""
    parser = argparse.ArgumentParser(description="The simulated caller of `offhook demo`.")
    parser.add_argument("--seed", type=int, default=1, help="what to wish for")
    asyncio.run(call(parser.parse_args().seed))


if __name__ == "__main__":
    main()
