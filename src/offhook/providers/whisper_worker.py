"""The process that hears: Whisper's tiny.en through CTranslate2, on telephone audio.

    8 kHz PCM ─► every sample twice ─► Silero: is it speech? ─► features ─► Whisper, beam of 5 ─► loop guard ─► text

What was measured on 8 kHz µ-law prompts (`tools/wer.py`), and so is done:
* Whisper encodes 30 s whatever it is given. Encoding only as much as 15 s costs 0.4 of the time for the same words;
  less than that makes it repeat itself. What comes out looped is decoded again over the full 30 s.
* Doubling each sample, which leaves a mirror image above 4 kHz, is heard as well as or better than a clean filter.
* Whisper makes words up out of silence ("Thank you."): audio without speech never reaches it.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offhook.providers.frames import Frame
from offhook.providers.worker import serve

Samples = npt.NDArray[np.float32]

RATE_HZ = 16000
FULL_FRAMES = 3000
"""What the encoder was trained on: 30 s of 10 ms frames."""
SHORT_FRAMES = 1500
"""The shortest context that does not make the model repeat itself, measured."""
WINDOW_S = 28.0
"""The longest stretch that is decoded at once; longer audio is cut at its quietest point before that."""
BEAM = 5
PATIENCE = 2
"""The search ends with BEAM × PATIENCE finished guesses. With half as many it ended before the better guess was
finished where a caller says the same twice, and one in three such turns was heard as if it was said once, measured."""
SPOKEN = 0.5
"""Silero's probability from which a 32 ms frame counts as speech."""
LEAST_SPEECH_FRAMES = 3
"""Fewer frames of speech than this (96 ms) are a click, not a word."""
INVENTIONS = frozenset(
    {"thank you", "thanks for watching", "thank you for watching", "you", "bye", "the end", "so", "oh", "okay"}
)
"""What the model says when it heard nothing; believed only where it is sure."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One decoding: its words, how sure the model is of them, and whether it went round in circles."""

    text: str
    mean_log_probability: float
    no_speech: float
    looped: bool


class Ear:
    """The loaded models."""

    def __init__(self, folder: Path, slots: int) -> None:
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.vad import get_vad_model

        whisper: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=slots, local_files_only=True
        )
        tokens: Any = Tokenizer(whisper.hf_tokenizer, False)
        self._whisper = whisper
        self._model = whisper.model
        self._tokens = tokens
        self._prompt = [tokens.sot, tokens.no_timestamps]
        marks = (tokens.transcribe, tokens.translate, tokens.sot, tokens.sot_lm)
        self._silent = sorted({*tokens.non_speech_tokens, *marks})
        self._silero: Any = get_vad_model()

    def hear(self, pcm: bytes, rate_hz: int) -> str:
        """Transcribe 16-bit PCM at 8 or 16 kHz; "" where nobody spoke."""
        words = [self._hear_window(window) for window in windows(to_16_khz(pcm, rate_hz))]
        return " ".join(word for word in words if word)

    def _hear_window(self, audio: Samples) -> str:
        if not self._has_speech(audio):
            return ""
        guess = self._decode(audio, SHORT_FRAMES)
        if guess.looped:
            guess = self._decode(audio, FULL_FRAMES)
        return "" if invented(guess) else without_loop(guess.text)

    def _has_speech(self, audio: Samples) -> bool:
        padded = np.pad(audio, (0, -len(audio) % 512))
        return int((self._silero(padded) >= SPOKEN).sum()) >= LEAST_SPEECH_FRAMES

    def _decode(self, audio: Samples, frames: int) -> Guess:
        if len(audio) > (frames - 100) * 160:
            frames = FULL_FRAMES
        features: Any = self._whisper.feature_extractor(audio, padding=frames * 160)[:, :frames]
        most = int(12 + 8 * len(audio) / RATE_HZ)  # nobody says more tokens a second than this
        encoded = self._whisper.encode(features)
        result = self._model.generate(
            encoded,
            [self._prompt],
            beam_size=BEAM,
            patience=PATIENCE,
            max_length=most,
            suppress_blank=True,
            suppress_tokens=self._silent,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        ids: list[int] = result.sequences_ids[0]
        text = str(self._tokens.decode(ids)).strip()
        looped = len(ids) >= most - len(self._prompt) or compression(text) > 2.4 or without_loop(text) != text
        return Guess(text, result.scores[0], result.no_speech_prob, looped)


def to_16_khz(pcm: bytes, rate_hz: int) -> Samples:
    """Make floats at 16 kHz of PCM at 8 or 16 kHz. ValueError for another rate."""
    samples: Samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    if rate_hz == RATE_HZ:
        return samples
    if rate_hz * 2 == RATE_HZ:
        return np.repeat(samples, 2)
    raise ValueError(f"audio at {rate_hz} Hz: it must be 8000 or 16000")


def windows(audio: Samples) -> Iterator[Samples]:
    """Cut audio into stretches that the model can take, each at the quietest tenth of a second of its last third."""
    longest, step = int(WINDOW_S * RATE_HZ), RATE_HZ // 10
    while len(audio) > longest:
        tail = audio[longest * 2 // 3 : longest]
        loudness = np.square(tail[: len(tail) // step * step]).reshape(-1, step).mean(axis=1)
        cut = longest * 2 // 3 + int(loudness.argmin()) * step + step // 2
        yield audio[:cut]
        audio = audio[cut:]
    yield audio


def compression(text: str) -> float:
    """How far `text` can be compressed: repetition, which speech has little of."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def without_loop(text: str) -> str:
    """Keep the first of four or more repetitions in a row of one to eight words, and drop what follows them.

    Digits may well be said four times over ("one one one one"), so single digits are no loop.
    """
    words = text.split()
    for size in range(1, 9):
        for start in range(len(words) - 4 * size + 1):
            unit = words[start : start + size]
            if unit * 4 == words[start : start + 4 * size] and not all(_is_digit(word) for word in unit):
                return " ".join(words[: start + size])
    return text


_DIGITS = frozenset(["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def _is_digit(word: str) -> bool:
    word = word.strip(".,!?").lower()
    return word.isdigit() or word in _DIGITS


def invented(guess: Guess) -> bool:
    """Say whether the model most likely made these words up."""
    if guess.no_speech > 0.6 and guess.mean_log_probability < -1.0:
        return True
    plain = guess.text.lower().strip(" .,!?")
    return plain in INVENTIONS and (guess.no_speech > 0.4 or guess.mean_log_probability < -1.0)


def main() -> None:
    """Load the model named on the command line and answer `{"rate_hz": …}` + PCM with `{"text": …}`."""
    parser = argparse.ArgumentParser(description="The speech recognition worker of offhook; started by offhook.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slots", type=int, default=1)
    arguments = parser.parse_args()
    ear = Ear(arguments.folder, arguments.slots)

    def answer(head: dict[str, Any], body: bytes) -> Iterator[Frame]:
        yield Frame({"text": ear.hear(body, int(head["rate_hz"]))})

    serve(answer, ready={"model": "whisper tiny.en int8"}, slots=arguments.slots)


if __name__ == "__main__":
    main()
