"""What each codec makes of recorded speech, and Opus beside the reference that this system has.

    python bench/codecs.py [seconds of speech]

PESQ (narrow band) of µ-law, G.722, G.729 and Opus without loss; of Opus at 10 % as well, encoded and decoded by us and
by the system's libopus0 in all four ways, where a decoder guesses, and in a call, where holes are concealed; whether
both decode the same packets to the same samples; and CPU-ms a second of audio of our encoders and decoders. It needs
`make bench-tools`, the prompts and libopus0; G.729 is told where bcg729 is.
"""

from __future__ import annotations

import ctypes
import random
import struct
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import numpy as np

from offhook import _native as native
from offhook.testing.bench.prompts import prompts

FRAME = 640
FAR = ("192.0.2.1", 4000)
SETTINGS = {4002: 24_000, 4010: 5, 4024: 3001, 4006: 1, 4004: 1103, 4014: 10}
"""Of the reference's encoder as of ours, by its numbers: bitrate, complexity, voice, VBR, wideband, expected loss."""
IN_BAND_FEC = 4012


class Reference:
    """One stream through libopus0, at 16 kHz."""

    def __init__(self, *, fec: bool) -> None:
        self.library = ctypes.CDLL("libopus.so.0")
        self.library.opus_get_version_string.restype = ctypes.c_char_p
        self.library.opus_encoder_create.restype = self.library.opus_decoder_create.restype = ctypes.c_void_p
        wrong = ctypes.c_int()
        self.encoder = ctypes.c_void_p(self.library.opus_encoder_create(16_000, 1, 2048, ctypes.byref(wrong)))
        self.decoder = ctypes.c_void_p(self.library.opus_decoder_create(16_000, 1, ctypes.byref(wrong)))
        for request, value in {**SETTINGS, IN_BAND_FEC: int(fec)}.items():
            assert self.library.opus_encoder_ctl(self.encoder, request, ctypes.c_int(value)) == 0

    def push_pcm(self, pcm: bytes) -> bytes:
        out = ctypes.create_string_buffer(1500)
        length = self.library.opus_encode(self.encoder, pcm, len(pcm) // 2, out, 1500)
        return out.raw[:length]

    def push(self, packet: bytes | None, fec: int = 0) -> bytes:
        out = (ctypes.c_int16 * 320)()
        assert self.library.opus_decode(self.decoder, packet, len(packet or b""), out, 320, fec) == 320
        return bytes(out)

    def conceal(self, samples: int, behind: bytes | None) -> tuple[bytes, int]:
        return self.push(behind, fec=int(behind is not None)), 0


def converted(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    resampler = native.Resampler(from_hz, to_hz)
    return resampler.push(pcm) + resampler.finish()


def frames(pcm: bytes, size: int) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def heard(
    packets: list[bytes], decoder: native.Decoder | Reference, loss: float, *, fec: bool, samples: int = 320
) -> bytes:
    """Decode a stream of which some is lost; the packet behind a hole may say it again, else the decoder guesses."""
    rng = random.Random(3)
    lost = [rng.random() < loss for _ in packets]
    out = b""
    for at, packet in enumerate(packets):
        if not lost[at]:
            out += decoder.push(packet)
            continue
        told = fec and at + 1 < len(packets) and not lost[at + 1]
        out += decoder.conceal(samples, packets[at + 1] if told else None)[0]
    return out


def in_a_call(packets: list[bytes], number: int, label: str, ticks: int, loss: float) -> bytes:
    """Hear the same stream as a call does."""
    rng, port, out = random.Random(3), native.Port(ssrc=1, sequence=1, timestamp=1, cname="us"), b""
    port.configure(0, 1, remote=FAR, remote_rtcp=None, send=(number, label), receive=((number, label),))
    port.listen("all")
    for at, packet in enumerate(packets):
        now = at * 20_000_000
        while (due := port.deadline()) is not None and due <= now:
            port.tick(due)
            port.packets()
        if rng.random() >= loss:
            port.datagram(now, struct.pack("!BBHII", 0x80, number, at, at * ticks, 7) + packet, FAR, False)
        out += b"".join(event.pcm for event in port.events() if isinstance(event, native.Heard))
    return out


def spent(work: Callable[[bytes], object], pieces: Iterable[bytes]) -> float:
    """Give CPU-ms a second of audio."""
    whole, began = list(pieces), time.process_time()
    for piece in whole:
        work(piece)
    return (time.process_time() - began) * 1000 / (len(whole) / 50)


def main(seconds: float) -> None:
    rows: dict[str, list[float]] = {}
    costs: dict[str, tuple[float, float]] = {}
    apart = 0
    pesq: Any = import_module("pesq").pesq

    def judge(row: str, original: np.ndarray, pcm: bytes, rate_hz: int) -> None:
        pcm = pcm if rate_hz == 8000 else converted(pcm, rate_hz, 8000)
        length = min(len(original), len(pcm) // 2)
        rows.setdefault(row, []).append(pesq(8000, original[:length], np.frombuffer(pcm, "<i2")[:length], "nb"))

    for prompt in prompts("reporting", seconds=seconds, seed=1):
        narrow = prompt.pcm.astype("<i2").tobytes()
        wide = converted(narrow, 8000, 16_000)
        for label, pcm, rate in (
            ("PCMU", narrow, 8000),
            ("G722", wide, 16_000),
            ("G729", narrow, 8000),
            ("opus", wide, 16_000),
        ):
            try:
                encoder, decoder = native.Encoder(label), native.Decoder(label)
            except ValueError as missing:
                costs[str(missing)] = (0.0, 0.0)
                continue
            packets = [encoder.push(frame) for frame in frames(pcm, rate // 25)]
            judge(label, prompt.pcm, b"".join(map(decoder.push, packets)), rate)
            if label == "G729":
                for by, pcm in (
                    ("decoded by it", heard(packets, native.Decoder(label), 0.1, fec=False, samples=160)),
                    ("in a call", in_a_call(packets, 18, label, 160, 0.1)),
                ):
                    judge(f"{label}: 10% lost, {by}", prompt.pcm, pcm, rate)
            again = native.Encoder(label), native.Decoder(label)
            costs[label] = spent(again[0].push, frames(pcm, rate // 25)), spent(again[1].push, packets)
        for fec in (False, True):
            reference = Reference(fec=fec)
            ours = native.Encoder("opus;useinbandfec=1" if fec else "opus")
            made = {
                "ours": [ours.push(frame) for frame in frames(wide, FRAME)],
                "libopus": [reference.push_pcm(frame) for frame in frames(wide, FRAME)],
            }
            for who, packets in made.items():
                both = [
                    heard(packets, native.Decoder("opus"), 0, fec=fec),
                    heard(packets, Reference(fec=fec), 0, fec=fec),
                ]
                one, other = (np.frombuffer(pcm, "<i2").astype(int) for pcm in both)
                apart = max(apart, int(np.abs(one - other).max()))
                judge(
                    f"opus{', FEC' if fec else ''}: encoded by {who}, 10% lost, in a call",
                    prompt.pcm, in_a_call(packets, 111, "opus", 960, 0.1), 16_000,
                )  # fmt: skip
                for loss in (0.0, 0.1):
                    for by, decoder in (("ours", native.Decoder("opus")), ("libopus", Reference(fec=fec))):
                        row = f"opus{', FEC' if fec else ''}: encoded by {who}, {loss:.0%} lost, decoded by {by}"
                        judge(row, prompt.pcm, heard(packets, decoder, loss, fec=fec), 16_000)
    print(f"{Reference(fec=False).library.opus_get_version_string().decode()}; PESQ of {seconds:g} s of prompts")
    for row, scores in rows.items():
        print(f"  {row:62} {np.mean(scores):.2f}")
    print(f"without loss, the same packets decoded by both are {apart} of 32768 apart at most")
    for label, (encoding, decoding) in costs.items():
        print(f"  {label:8} encoding {encoding:5.2f}, decoding {decoding:5.2f} CPU-ms a second of audio")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
