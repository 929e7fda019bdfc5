"""The spelled voice is read back from its audio, loses what the path loses, and is as loud as a voice."""

from __future__ import annotations

import numpy as np
import pytest

from offhook.testing.spelled import Reader, duration_ms, fold, hear, spell, word_times

TEXTS = (
    "a table for two at seven, please",
    "Hello! I'd like to cancel it.",
    "aaa lll 1122 0009 +15551234567",
    "the quick brown fox jumps over the lazy dog",
)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_spelled_is_heard(text: str) -> None:
    assert hear(spell(text)) == fold(text)


@pytest.mark.parametrize("offset", [1, 37, 79, 111])
def test_it_is_heard_wherever_the_frames_begin(offset: int) -> None:
    pcm = b"\0\0" * offset + spell(TEXTS[0]) + b"\0" * 400
    assert hear(pcm) == fold(TEXTS[0])


def test_it_is_heard_in_pieces_as_in_one() -> None:
    pcm = spell(TEXTS[1])
    reader = Reader()
    for start in range(0, len(pcm), 322):
        reader.push(pcm[start : start + 322])
    assert reader.finish() == fold(TEXTS[1])


def test_it_survives_quiet_and_single_losses_but_not_what_is_gone() -> None:
    text = "good evening"
    assert hear(spell(text, level=0.1)) == text
    pcm = bytearray(spell(text))
    for start in range(0, len(pcm), 3200):  # one packet of 20 ms in ten
        pcm[start : start + 320] = bytes(len(pcm[start : start + 320]))
    assert hear(bytes(pcm)) == text
    second_word = word_times(text)[1][1] * 16
    assert hear(bytes(pcm[:second_word]) + bytes(len(pcm) - second_word)) == "good"
    assert hear(bytes(8000)) == ""


def test_noise_is_not_heard_as_words() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    noise = (rng.standard_normal(80000) * 2000).astype(np.int16).tobytes()
    assert len(hear(noise).replace(" ", "")) < 5


def test_times_and_loudness_are_those_of_a_voice() -> None:
    pcm = spell("a table for two")
    assert len(pcm) == duration_ms("a table for two") * 16
    assert word_times("a table for two") == [("a", 0), ("table", 120), ("for", 480), ("two", 720)]
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    level_dbov = 20 * np.log10(np.sqrt((samples**2).mean()) / 32768)
    assert -26 < level_dbov < -18
    assert np.abs(samples).max() < 16000
