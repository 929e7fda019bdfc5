"""What people say, play and sound is never taken for a key, and Spandsp and we take each other's keys."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import random
import struct
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offhook import _native as native

PROMPTS = "/usr/share/asterisk/sounds/en"
ROW = "123A456B789C*0#D"
NO_SPEECH = ("beep", "tone")


def read(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert file.getframerate() == 8000
        return file.readframes(file.getnframes())


def keys(sound: bytes) -> str:
    ear = native.Keypad()
    return "".join(key for at in range(0, len(sound), 320) for key, _ in ear.push(sound[at : at + 320]))


def louder(sound: bytes, times: float) -> bytes:
    samples = (max(-32768, min(32767, round(one * times))) for one in struct.unpack(f"<{len(sound) // 2}h", sound))
    return struct.pack(f"<{len(sound) // 2}h", *samples)


def prompts(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.wav")) if not any(word in path.name for word in NO_SPEECH))


def test_twenty_minutes_of_a_human_voice_press_no_key(peer_file: Callable[[str, str], Path]) -> None:
    minutes = 0.0
    for path in prompts(peer_file(PROMPTS, "asterisk-core-sounds-en-wav")):
        sound = read(path)
        minutes += len(sound) / 16000 / 60
        assert keys(sound) == "", path
        assert keys(native.decode("PCMU", native.encode("PCMU", sound))) == "", path
    assert minutes > 20


def test_chords_press_no_key() -> None:
    """Music of plain tones, two or three at a time, in a tuning where some come near to a key's."""
    rng = random.Random(5)
    ear, told = native.Keypad(), []
    step = [math.tau * 440 * 2 ** (n / 12) / 8000 for n in range(-12, 28)]
    for _ in range(600):
        notes = [rng.choice(step) for _ in range(rng.randint(1, 3))]
        partials = [(turn * k, 5000 / k) for turn in notes for k in (1, 2, 3) if turn * k < 2.8]
        samples = [round(sum(size * math.sin(turn * n) for turn, size in partials) / 2) for n in range(800)]
        told += ear.push(struct.pack("<800h", *samples))
    assert told == []


@pytest.fixture(scope="session")
def spandsp() -> ctypes.CDLL:
    """Give Debian's Spandsp: another hand's keys, and another's ear."""
    name = ctypes.util.find_library("spandsp")
    if name is None:
        pytest.skip("there is no Spandsp: apt-get install libspandsp2")
    library = ctypes.CDLL(name)
    for function in ("dtmf_tx_init", "dtmf_rx_init"):
        getattr(library, function).restype = ctypes.c_void_p
    for function in ("dtmf_tx_put", "dtmf_tx", "dtmf_rx", "dtmf_rx_get", "dtmf_tx_free", "dtmf_rx_free"):
        getattr(library, function).restype = ctypes.c_int
    return library


def test_spandsps_keys_are_heard(spandsp: ctypes.CDLL) -> None:
    sender = ctypes.c_void_p(spandsp.dtmf_tx_init(None, None, None))
    spandsp.dtmf_tx_put(sender, ROW.encode(), len(ROW))
    sound = b""
    buffer = (ctypes.c_int16 * 160)()
    while made := spandsp.dtmf_tx(sender, buffer, 160):
        sound += bytes(buffer)[: 2 * made]
    spandsp.dtmf_tx_free(sender)
    assert keys(native.decode("PCMA", native.encode("PCMA", sound + bytes(1600)))) == ROW


def test_spandsp_hears_our_keys(spandsp: ctypes.CDLL, rig) -> None:
    rig.configure(2, dtmf_send=None, dtmf_receive=None)
    rig.port.press(rig.now, ROW)
    rig.run(len(ROW) * 210)
    sound = b"".join(native.decode("PCMU", packet.payload) for _, packet in rig.sent)
    ear = ctypes.c_void_p(spandsp.dtmf_rx_init(None, None, None))
    spandsp.dtmf_rx(ear, (ctypes.c_int16 * (len(sound) // 2)).from_buffer_copy(sound), len(sound) // 2)
    heard = ctypes.create_string_buffer(64)
    spandsp.dtmf_rx_get(ear, heard, 64)
    spandsp.dtmf_rx_free(ear)
    assert heard.value.decode() == ROW


def test_a_made_up_voice_presses_no_key(tmp_path: Path, peer_file: Callable[[str, str], Path]) -> None:
    flite = peer_file("/usr/bin/flite", "flite")
    text = "Eight hundred and fifty nine people bought nineteen yellow bananas for one euro each. " * 2
    for voice in ("kal", "slt"):
        said = tmp_path / f"{voice}.wav"
        subprocess.run([flite, "-voice", voice, "-t", text, "-o", said], check=True, timeout=60)
        with wave.open(str(said)) as file:
            sound, rate = file.readframes(file.getnframes()), file.getframerate()
        if rate != 8000:
            resampler = native.Resampler(rate, 8000)
            sound = resampler.push(sound) + resampler.finish()
        for times in (0.3, 1, 2):
            assert keys(native.decode("PCMU", native.encode("PCMU", louder(sound, times)))) == "", voice
