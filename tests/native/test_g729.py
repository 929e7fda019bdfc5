"""G.729 through the system's bcg729: the same bits as the library gives without us, holes, silence, and a port."""

from __future__ import annotations

import ctypes
import math
import os
import random
import subprocess
import sys
from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from offhook import _native as native

MS = 1_000_000
FRAME = 80


class Library:
    """bcg729 itself: one decoder and one encoder, which leaves silence out if it is asked to (annex B)."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        for name in ("initBcg729DecoderChannel", "initBcg729EncoderChannel"):
            getattr(library, name).restype = ctypes.c_void_p
        self.decoder = ctypes.c_void_p(library.initBcg729DecoderChannel())

    def encoder(self, *, vad: bool = False) -> Callable[[bytes], bytes]:
        channel = ctypes.c_void_p(self.library.initBcg729EncoderChannel(int(vad)))

        def encode(pcm: bytes) -> bytes:
            out, length = ctypes.create_string_buffer(10), ctypes.c_uint8(10)
            self.library.bcg729Encoder(channel, pcm, out, ctypes.byref(length))
            return out.raw[: length.value] if vad else out.raw

        return encode

    def decode(self, frame: bytes | None) -> bytes:
        out = (ctypes.c_int16 * FRAME)()
        lost, silence = int(frame is None), int(len(frame or b"") == 2)
        self.library.bcg729Decoder(self.decoder, frame, len(frame or b""), lost, silence, 0, out)
        return bytes(out)


@pytest.fixture
def library(peer_library: Callable[[str, str], ctypes.CDLL]) -> Library:
    return Library(peer_library("libbcg729.so.0", "libbcg729-0"))


def voice(seconds: float, seed: int = 0) -> list[bytes]:
    """Make what is like a voice: pulses of a gliding pitch through three resonances, in syllables. In frames of 10 ms."""
    rng, phase, pcm = random.Random(seed), 0.0, array("h")
    radius = math.exp(-math.tau * 60 / 8000)
    rings = [[2 * radius * math.cos(math.tau * hz / 8000), 0.0, 0.0] for hz in (600, 1300, 2500)]
    for n in range(int(seconds * 100) * FRAME):
        phase += (120 + 15 * math.sin(n / 3000 + seed)) / 8000
        pulse = float(phase >= 1) + 0.02 * (rng.random() - 0.5)
        phase %= 1
        for ring in rings:
            turn, last, before = ring
            ring[1:] = pulse + turn * last - radius * radius * before, last
        loud = 0.3 + 0.7 * math.sin(math.tau * n / 4000) ** 2
        pcm.append(int(4000 * loud * sum(last for _, last, _ in rings)))
    return [pcm[at : at + FRAME].tobytes() for at in range(0, len(pcm), FRAME)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ptime_ms", [10, 20, 60])
def test_what_we_encode_is_what_the_library_encodes_bit_by_bit(library, ptime_ms, seed):
    ours, theirs, frames = native.Encoder("G729"), library.encoder(), voice(1.2, seed)
    many = ptime_ms // 10
    for at in range(0, len(frames), many):
        packet = ours.push(b"".join(frames[at : at + many]))
        assert packet == b"".join(theirs(frame) for frame in frames[at : at + many])
        assert len(packet) == 10 * many


@pytest.mark.parametrize("seed", range(3))
def test_what_we_hear_of_packets_and_holes_is_what_the_library_hears_bit_by_bit(library, seed):
    encode, ours, rng = library.encoder(), native.Decoder("G729"), random.Random(seed)
    for frame in voice(2, seed):
        bits = encode(frame)
        if rng.random() < 0.1:
            assert ours.conceal(FRAME) == (library.decode(None), 0)
        else:
            assert ours.push(bits) == library.decode(bits)


def test_silence_that_annex_b_describes_is_heard_and_goes_on_until_there_is_sound(library):
    encode, ours, rng = library.encoder(vad=True), native.Decoder("G729"), random.Random(1)
    quiet = [array("h", [round(rng.gauss(0, 60)) for _ in range(FRAME)]).tobytes() for _ in range(100)]
    lengths: list[int] = []
    for frame in [*voice(1), *quiet, *voice(0.5)]:
        bits = encode(frame)
        lengths.append(len(bits))
        heard = ours.push(bits) if bits else ours.conceal(FRAME)[0]
        assert heard == library.decode(bits or None)
    assert {0, 2, 10} == set(lengths)
    assert lengths[100:200].count(0) > 10


def test_a_packet_may_end_in_a_description_of_silence(library):
    bits = [library.encoder()(frame) for frame in voice(0.02)] + [b"\x4a\x5c"]
    assert native.Decoder("G729").push(b"".join(bits)) == b"".join(library.decode(one) for one in bits)


def test_a_voice_comes_through(library):
    encoder, decoder, frames = native.Encoder("G729"), native.Decoder("G729"), voice(3)
    said = array("h", b"".join(frames))
    heard = array("h", b"".join(decoder.push(encoder.push(frame)) for frame in frames))

    def alike(lag: int) -> float:
        one, other = said[: len(said) - lag], heard[lag:]
        across = sum(a * b for a, b in zip(one, other, strict=True))
        return across / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))

    # The codec looks 5 ms ahead.
    best, lag = max((alike(lag), lag) for lag in range(30, 60))
    assert best > 0.85 and lag == 40


def test_any_bytes_are_heard_and_last_as_long_as_they_say(library):
    ours, rng = native.Decoder("G729"), random.Random(7)
    for _ in range(3000):
        packet = rng.randbytes(rng.choice((2, 10, 12, 20, 22, 30)))
        assert len(ours.push(packet)) == 2 * FRAME * -(-len(packet) // 10)
        if rng.random() < 0.2:
            assert len(ours.conceal(FRAME)[0]) == 2 * FRAME


AGREED = {"send": (18, "G729"), "receive": ((18, "G729"), (0, "PCMU"))}


def packets(library: Library, frames: list[bytes], many: int = 2) -> list[bytes]:
    """Make packets of so many frames."""
    encode = library.encoder()
    bits = [encode(frame) for frame in frames]
    return [b"".join(bits[at : at + many]) for at in range(0, len(bits), many)]


def hear(library: Library, packet: bytes | None, many: int = 2) -> bytes:
    """Decode a packet, or a hole."""
    if packet is None:
        return b"".join(library.decode(None) for _ in range(many))
    return b"".join(library.decode(packet[at : at + 10]) for at in range(0, len(packet), 10))


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 50, 60])
def test_a_call_hears_and_is_heard_whatever_the_packet_time(library, rig, ptime_ms):
    many = ptime_ms // 10
    rig.configure(**AGREED, ptime_ms=ptime_ms)
    rig.port.listen("all")
    made = packets(library, voice(1.2), many)
    for packet in made:
        rig.run(ptime_ms)
        rig.give(rig.next(packet, 18, step=80 * many))
    assert rig.heard() == b"".join(hear(library, packet, many) for packet in made)
    sent = [packet for _, packet in rig.sent]
    assert {(packet.payload_type, len(packet.payload)) for packet in sent} == {(18, 10 * many)}
    assert {(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(sent)} == {80 * many}


def test_a_hole_is_concealed_and_the_codec_hears_on_as_if_its_guess_had_been_heard(library, rig):
    rig.configure(**AGREED)
    rig.port.listen("all")
    made, concealment = packets(library, voice(1)), native.Loss()
    wanted = b""
    for at, packet in enumerate(made):
        rig.run(20)
        sent = rig.next(packet, 18, step=160)
        if at % 10 == 5:
            assert any(hear(library, None)), "which nobody hears"
            continue
        rig.give(sent)
        pcm = hear(library, packet)
        wanted += concealment.between(1, pcm) if at % 10 == 6 else b""
        wanted += concealment.push(pcm)
    rig.run(30)
    assert rig.heard() == wanted
    assert rig.port.counters()["lost"] == 5


def test_silence_that_is_described_is_no_loss_closes_the_gate_and_lasts_until_there_is_sound(library, rig, sounds):
    _, voice_of = sounds
    rig.configure(**AGREED)
    rig.port.listen("speech")
    pcm = voice_of(1000)
    made = packets(library, [pcm[at : at + 160] for at in range(0, len(pcm), 160)])
    for packet in made:
        rig.run(20)
        rig.give(rig.next(packet, 18, step=160))
    assert rig.events(native.SpeechBegan)
    # Annex B says it once, and then nothing comes for as long as nothing changes.
    rig.run(10)
    rig.give(rig.next(b"\x4a\x10", 18, step=80))
    rig.run(2000)
    assert rig.events(native.SpeechEnded)
    rig.port.listen("all")
    before = len(rig.heard())
    rig.timestamp += 8000 * 2 - 80
    rig.give(rig.next(made[0], 18, step=160))
    assert rig.port.counters()["lost"] == 0
    # Of what was left out half a second is heard, as noise, and then the packet.
    assert len(rig.heard()) - before == 2 * (4000 + 160)


def test_wide_calls_hear_it_too_and_a_number_that_was_not_agreed_is_nothing(library, rig):
    rig.configure(send=(9, "G722"), receive=((9, "G722"), (18, "G729")))
    rig.port.listen("all")
    for packet in packets(library, voice(0.2)):
        rig.run(20)
        rig.give(rig.next(packet, 18, step=160))
    assert {(piece.rate_hz, len(piece.pcm)) for piece in rig.events(native.Heard)} == {(16000, 640)}
    rig.configure(2)
    rig.give(rig.next(bytes(20), 18, step=160))
    assert rig.add_up()["dropped_payload"] == 1


def test_packets_of_other_lengths_are_none(library, rig):
    with pytest.raises(ValueError, match="15 ms"):
        rig.configure(**AGREED, ptime_ms=15)
    rig.configure(**AGREED)
    for length in (1, 9, 11, 13, 24):
        rig.give(rig.next(bytes(length), 18, step=160))
    assert rig.add_up()["dropped_payload"] == 5


def test_where_the_library_is_missing_it_is_said_what_to_install(tmp_path: Path):
    # A file of this name that is no library stands before the system's.
    (tmp_path / "libbcg729.so.0").write_text("")
    (tmp_path / "offhook.toml").write_text('sip = { codecs = ["G729", "PCMU"] }\n')
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    command = [str(Path(sys.executable).with_name("offhook")), "serve", "offhook.examples:echo"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        "sip.codecs.0: G729 needs the library bcg729, which is not installed: apt-get install libbcg729-0" in ran.stderr
    )
    program = "from offhook import _native as native; native.encode('PCMU', b'ab'); native.encode('G729', b'ab')"
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.stderr.endswith(
        "ValueError: G729 needs the library bcg729, which is not installed: apt-get install libbcg729-0\n"
    )
