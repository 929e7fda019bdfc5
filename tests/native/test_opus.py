"""Opus against the reference, which hears the same of what either makes; holes; and the way through a port."""

from __future__ import annotations

import ctypes
import math
import random
from array import array
from collections.abc import Callable
from itertools import pairwise

import pytest

from offhook import _native as native

MS = 1_000_000
FRAME = 320
""" 20 ms at 16 kHz."""


class Reference:
    """Debian's libopus0, at 16 kHz and with one channel."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.library.opus_decoder_create.restype = ctypes.c_void_p
        self.library.opus_encoder_create.restype = ctypes.c_void_p
        wrong = ctypes.c_int()
        self.decoder = ctypes.c_void_p(self.library.opus_decoder_create(16000, 1, ctypes.byref(wrong)))
        self.encoder = ctypes.c_void_p(self.library.opus_encoder_create(16000, 1, 2048, ctypes.byref(wrong)))
        assert self.decoder and self.encoder

    def encode(self, pcm: bytes) -> bytes:
        out = ctypes.create_string_buffer(1500)
        length = self.library.opus_encode(self.encoder, pcm, len(pcm) // 2, out, 1500)
        return out.raw[:length]

    def decode(self, packet: bytes | None, samples: int = 5760 // 3, fec: int = 0) -> bytes:
        out = (ctypes.c_int16 * samples)()
        got = self.library.opus_decode(self.decoder, packet, len(packet or b""), out, samples, fec)
        assert got >= 0
        return bytes(out)[: 2 * got]


@pytest.fixture
def reference(peer_library: Callable[[str, str], ctypes.CDLL]) -> Reference:
    return Reference(peer_library("libopus.so.0", "libopus0"))


def off(ours: bytes, theirs: bytes) -> int:
    """How far samples stand apart at most: Debian's is built with floats, whose last bit is rounded another way."""
    return max(abs(one - other) for one, other in zip(array("h", ours), array("h", theirs), strict=True))


def voice(seconds: float, seed: int = 0) -> list[bytes]:
    """Make what is like a voice: a gliding pitch with its harmonics, syllables, breath. In frames of 20 ms."""
    rng, phase, pcm = random.Random(seed), 0.0, array("h")
    for n in range(int(seconds * 16000) // FRAME * FRAME):
        phase += math.tau * (130 + 40 * math.sin(n / 9000 + seed)) / 16000
        loud = max(0.0, math.sin(n / 1900)) ** 2
        sung = sum(math.sin(k * phase) / k for k in range(1, 20))
        pcm.append(int(loud * (5000 * sung + rng.gauss(0, 300)) + rng.gauss(0, 20)))
    return [pcm[at : at + FRAME].tobytes() for at in range(0, len(pcm), FRAME)]


@pytest.mark.parametrize("seed", range(3))
def test_what_the_reference_encodes_is_decoded_to_its_own_samples(reference, seed):
    ours = native.Decoder("opus")
    for frame in voice(2, seed):
        packet = reference.encode(frame)
        assert off(ours.push(packet), reference.decode(packet)) <= 1


@pytest.mark.parametrize("label", ["opus", "opus;useinbandfec=1", "opus;cbr=1", "opus;maxplaybackrate=8000"])
@pytest.mark.parametrize("ptime_ms", [10, 20, 40, 60])
def test_what_we_encode_the_reference_decodes_to_the_same_samples(reference, label, ptime_ms):
    encoder, ours = native.Encoder(label), native.Decoder("opus")
    whole = b"".join(voice(1.2))
    for at in range(0, len(whole), 32 * ptime_ms):
        packet = encoder.push(whole[at : at + 32 * ptime_ms])
        heard = reference.decode(packet)
        assert len(heard) == 32 * ptime_ms
        assert off(ours.push(packet), heard) <= 1


def test_a_hole_is_filled_by_the_packet_behind_it_as_the_reference_does_it(reference):
    encoder, ours = native.Encoder("opus;useinbandfec=1"), native.Decoder("opus")
    packets, rng = [encoder.push(frame) for frame in voice(3)], random.Random(4)
    lost, filled = False, 0
    for at, packet in enumerate(packets[:-1]):
        # The second bit of what SILK says: whether it says something again (RFC 6716 section 4.2.3). In pauses it does
        # not, and how such a hole is filled is up to the decoder.
        again = packets[at + 1][1] & 0x40
        lost = not lost and at > 5 and bool(again) and rng.random() < 0.4
        filled += lost
        if lost:
            behind = packets[at + 1]
            made, said = ours.conceal(FRAME, behind)
            assert said == FRAME
            assert off(made, reference.decode(behind, FRAME, fec=1)) <= 2
        else:
            assert off(ours.push(packet), reference.decode(packet)) <= 2
    assert filled > 10


def test_junk_is_as_long_as_it_says_and_never_more_than_a_packet():
    ours, rng = native.Decoder("opus"), random.Random(5)
    for _ in range(2000):
        assert len(ours.push(rng.randbytes(rng.randrange(1, 90)))) <= 2 * 16 * 120
        made, said = ours.conceal(FRAME, rng.randbytes(rng.randrange(90)))
        assert len(made) == 2 * FRAME
        assert said in (0, FRAME // 2, FRAME)


AGREED = {"send": (111, "opus;useinbandfec=1"), "receive": ((111, "opus"), (0, "PCMU")), "dtmf_hz": 48000}


def test_a_call_on_opus_hears_at_16_khz_on_a_clock_of_48(rig):
    rig.configure(**AGREED)
    rig.port.listen("all")
    encoder, ours = native.Encoder("opus"), native.Decoder("opus")
    packets = [encoder.push(frame) for frame in voice(1)]
    for packet in packets:
        rig.run(20)
        rig.give(rig.next(packet, 111, step=960))
    heard = rig.events(native.Heard)
    assert b"".join(piece.pcm for piece in heard) == b"".join(ours.push(packet) for packet in packets)
    assert [after.at - before.at for before, after in pairwise(heard)] == [20 * MS] * (len(packets) - 1)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("label", ["opus", "opus;useinbandfec=1"])
def test_what_is_said_again_fills_a_hole_of_a_call_and_what_is_not_is_concealed_towards_what_is_known(
    rig, label, missing
):
    rig.configure(**AGREED)
    rig.port.listen("all")
    encoder, ours, concealment = native.Encoder(label), native.Decoder("opus"), native.Loss(16000)
    packets, wanted, told = [encoder.push(frame) for frame in voice(2)], b"", 0
    made, said = b"", 0
    lost = [at % 10 in range(5, 5 + missing) for at in range(len(packets))]
    for at, packet in enumerate(packets):
        rig.run(20)
        sent = rig.next(packet, 111, step=960)
        if lost[at]:
            made, said = ours.conceal(FRAME, None if lost[at + 1] else packets[at + 1])
            continue
        rig.give(sent)
        pcm = ours.push(packet)
        if at and lost[at - 1]:
            again = made[len(made) - 2 * said :]
            told += bool(said)
            unknown = missing - bool(said)
            wanted += concealment.between(unknown, again + pcm) if unknown else b""
            wanted += concealment.push(again) if again else b""
        wanted += concealment.push(pcm)
    rig.run(30)
    heard = rig.events(native.Heard)
    assert b"".join(piece.pcm for piece in heard) == wanted
    assert [piece.concealed for piece in heard] == lost
    assert told >= 5 if "fec" in label else told == 0


def test_a_hole_that_nothing_fills_is_nearer_to_what_was_lost_than_the_codec_guesses(rig):
    rig.configure(**AGREED)
    rig.port.listen("all")
    encoder, whole, ours = native.Encoder("opus"), native.Decoder("opus"), native.Decoder("opus")
    packets = [encoder.push(frame) for frame in voice(4)]
    original = [array("h", whole.push(packet)) for packet in packets]
    guessed: dict[int, array[int]] = {}
    for at, packet in enumerate(packets):
        rig.run(20)
        sent = rig.next(packet, 111, step=960)
        if at % 5 == 3:
            guessed[at] = array("h", ours.conceal(FRAME)[0])
        else:
            rig.give(sent)
            ours.push(packet)
    rig.run(30)
    heard = [array("h", piece.pcm) for piece in rig.events(native.Heard)]

    def share_wrong(made: array[int], at: int) -> float:
        wrong = sum((one - other) ** 2 for one, other in zip(made, original[at], strict=True))
        return wrong / (1 + sum(one * one for one in original[at]))

    loud = [at for at in guessed if max(original[at]) > 1000]
    assert len(loud) > 15
    concealed, guess = (sorted(share_wrong(made[at], at) for at in loud)[len(loud) // 2] for made in (heard, guessed))
    assert concealed < 0.5 * guess, f"{concealed:.2f} against {guess:.2f}"


def test_what_is_played_leaves_on_a_clock_of_48_khz_and_is_heard_by_the_reference(reference, rig):
    rig.configure(**AGREED)
    rig.run(100)
    rig.port.play(rig.now, 1, b"".join(voice(1)), 16000)
    rig.port.end(rig.now, 1)
    rig.run(1200)
    sent = [packet for _, packet in rig.sent]
    assert {packet.payload_type for packet in sent} == {111}
    assert {(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(sent)} == {960}
    heard = array("h", b"".join(reference.decode(packet.payload) for packet in sent))
    assert len(heard) == FRAME * len(sent)
    assert max(map(abs, heard[: 5 * FRAME])) < 100 < 4000 < max(map(abs, heard))


def test_silence_is_left_out_where_that_was_agreed_and_the_numbers_have_no_hole(rig):
    rig.configure(**AGREED | {"send": (111, "opus;usedtx=1")})
    rig.run(2000)
    silent = len(rig.sent)
    assert silent < 40
    rig.port.play(rig.now, 1, b"".join(voice(0.4)), 16000)
    rig.run(400)
    sent = [packet for _, packet in rig.sent]
    assert len(sent) > silent + 15
    assert {(after.sequence - before.sequence) % 2**16 for before, after in pairwise(sent)} == {1}
    spurt = next(packet for packet in sent[silent:] if packet.marker)
    assert (spurt.timestamp - sent[0].timestamp) % 2**32 == 960 * 101


def test_opus_has_no_packets_of_30_ms(rig):
    with pytest.raises(ValueError, match="30 ms"):
        rig.configure(**AGREED, ptime_ms=30)
