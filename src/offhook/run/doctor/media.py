"""A test call: SIP, RTP and the way back, with a tone for words.

    dial ─► answered ─► a tone of ours for two seconds, and what comes meanwhile ─► packets each way, loss, echo

To ourselves it shows that sockets, codecs and the media plane work; to a number that somebody named, that the carrier,
the NAT and the firewall let audio through.
"""

from __future__ import annotations

import asyncio
import math
import struct
from dataclasses import dataclass
from typing import Final

from offhook.call import Call
from offhook.call.quality import PLAIN
from offhook.core.errors import OffhookError
from offhook.run.doctor.finding import Finding
from offhook.run.host import Host

TONE_HZ: Final = 440
SECONDS: Final = 2
ANSWER_S: Final = 30.0
"""How long somebody may take to pick up."""

LITTLE: Final = 0.01
"""A share of packets lost that is heard."""


@dataclass(slots=True)
class Tone:
    """An agent that plays a tone and listens for it."""

    heard: bytes = b""
    needs_models = False

    async def __call__(self, call: Call) -> None:
        """Play, and listen for a second longer."""
        playing = asyncio.create_task(call.play(_tone(SECONDS)))
        try:
            async with asyncio.timeout(SECONDS + 1):
                async for pcm in call.audio():
                    self.heard += pcm
        except TimeoutError:
            pass
        finally:
            await playing
        await call.hangup()

    @property
    def level_db(self) -> float:
        """How much of our tone there is in what was heard, in dB over the rest; −99 where nothing was."""
        samples = struct.unpack(f"<{len(self.heard) // 2}h", self.heard[: len(self.heard) // 2 * 2])
        best = -99.0
        for at in range(0, len(samples) - 1600, 800):
            piece = samples[at : at + 1600]
            power = sum(sample * sample for sample in piece) / len(piece)
            if power < 1000:
                continue  # below −60 dB of full scale: silence
            real = sum(sample * math.cos(math.tau * TONE_HZ * n / 8000) for n, sample in enumerate(piece))
            imaginary = sum(sample * math.sin(math.tau * TONE_HZ * n / 8000) for n, sample in enumerate(piece))
            tone = 2 * (real * real + imaginary * imaginary) / len(piece) ** 2
            best = max(best, 10 * math.log10(max(tone, 1e-9) / max(power - tone, 1e-9)))
        return best


async def to_ourselves(host: Host, callee: Host) -> Finding:
    """Call another host of this process, which answers with an echo."""
    tone = Tone()
    _, (ip, port) = callee.listening[0]
    try:
        call = await host.dial(f"sip:echo@{ip}:{port}", tone)
        await host.finished(call)
    except (OffhookError, OSError) as error:
        return Finding("test call", "fault", f"to ourselves: {error}", "see the findings about ports above")
    if tone.level_db < 10:
        fix = "see that no firewall of this machine holds UDP on the RTP ports back"
        return Finding("test call", "fault", f"to ourselves: {_packets(call)}, and our tone did not come back", fix)
    return Finding("test call", "good", f"to ourselves: {_packets(call)}, and our tone came back")


async def to(host: Host, number: str) -> Finding:
    """Call somebody; whoever picks up hears a tone."""
    tone = Tone()
    try:
        call = await host.dial(number, tone, ring_s=ANSWER_S)
        await host.finished(call)
    except (OffhookError, OSError) as error:
        fix = "see what the carrier's log says of this call; dial.allow must list the number"
        return Finding("test call", "fault", f"to {number}: {error}", fix)
    counts = call.leg.counters()
    text = f"to {number}: answered; {_packets(call)}"
    came, lost = counts.get("received_audio", 0), counts.get("lost", 0)
    for told in call.one_way:
        if told.on and (told.fault != "silent" or not came):
            return Finding("test call", "fault", f"{text}; {PLAIN[told.fault]}", told.hint)
    if not came:
        fix = (
            "no audio comes in: set sip.external_address (or sip.stun) if there is a NAT, and open sip.rtp_ports "
            "(UDP) in the firewall"
        )
        return Finding("test call", "fault", text, fix)
    line = call.line
    if line.round_trip_ms is not None:
        text += f"; {line.round_trip_ms:.0f} ms there and back"
    if line.mos is not None:
        text += f"; it sounds like {line.mos:.1f} of 4.4 (MOS)"
    if lost > LITTLE * (came + lost):
        return Finding("test call", "warning", text, "the network loses packets: a cable, or another uplink, may help")
    return Finding("test call", "good", text)


def _packets(call: Call) -> str:
    counts = call.leg.counters()
    sent, came, lost = (counts.get(name, 0) for name in ("sent", "received_audio", "lost"))
    return f"{sent} packets sent, {came} came, {lost} lost"


def _tone(seconds: int) -> bytes:
    samples = [round(8000 * math.sin(math.tau * TONE_HZ * n / 8000)) for n in range(8000 * seconds)]
    return struct.pack(f"<{len(samples)}h", *samples)
