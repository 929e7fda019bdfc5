# SPDX-License-Identifier: GPL-3.0-or-later
"""offhook-piper: a program that speaks, built on Piper, with frames on standard input and output.

    {"id": 1, "text": "One moment."}  ─►  {"id": 1, "rate_hz": 22050, "words": [["One", 0], …]} + PCM,
                                          {"id": 1, "end": true, "cpu_ms": …}

A frame is two lengths (32 bits each, network order), a JSON object of the first length and raw bytes of the second.
PCM is 16-bit little-endian mono, one frame a stretch that Piper synthesises at once. `words` are the words of the
text with the millisecond at which each begins within the utterance, where the voice's own durations tell. A request
{"id": 1, "cancel": true} skips what is not yet spoken. The program says {"ready": {"rate_hz": …}} when its voice is
loaded, and ends when its standard input does. It shares no code with offhook, and needs piper-tts alone.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import onnxruntime
from piper import PiperVoice
from piper.config import PiperConfig, SynthesisConfig

LENGTHS = struct.Struct("!II")
SPEECH = re.compile(r"\w")
CEIL = re.compile(rb"\x12(.)([\x20-\x7e]+)\x1a.[\x20-\x7e]*\x22\x04Ceil", re.DOTALL)
"""A node of an ONNX graph: its output (field 2), its name (3) and its operator (4), each with its length before it."""


def with_durations(model: bytes) -> bytes:
    """Give the model one output more: how long each phoneme lasts.

    The durations are the one tensor that a Ceil makes in a VITS graph. A serialised message may be merged with another
    by putting one behind the other (Protocol Buffers, "Last One Wins"), so a graph of nothing but an output is
    appended: no ONNX library is needed, and the file on disk stays as it was.
    """
    names = {match[2] for match in CEIL.finditer(model) if len(match[2]) == match[1][0]}
    if len(names) != 1:
        return model
    name = names.pop()
    value = b"\x0a" + bytes([len(name)]) + name  # ValueInfoProto.name = 1
    graph = b"\x62" + bytes([len(value)]) + value  # GraphProto.output = 12
    return model + b"\x3a" + bytes([len(graph)]) + graph  # ModelProto.graph = 7


class Voice:
    """A loaded Piper voice."""

    def __init__(self, path: Path, threads: int) -> None:
        runtime: Any = onnxruntime
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text("utf-8")))
        session = runtime.InferenceSession(
            with_durations(path.read_bytes()), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self.timed = len(session.get_outputs()) > 1
        self._voice = PiperVoice(session=session, config=config)
        self._style = SynthesisConfig(normalize_audio=False)

    @property
    def rate_hz(self) -> int:
        """The rate of its PCM."""
        return self._voice.config.sample_rate

    def speak(self, text: str) -> Iterator[tuple[bytes, list[tuple[str, int]]]]:
        """Give the speech of each stretch of `text`, with its words and when they begin (ms since the first)."""
        spoken = self._spoken_words(text) if self.timed else []
        said = 0
        before_ms = 0.0
        for chunk in self._voice.synthesize(text, self._style, include_alignments=self.timed):
            pcm: bytes = chunk.audio_int16_bytes
            starts = self._word_starts(chunk)
            begun = zip(spoken[said : said + len(starts)], starts, strict=False)
            yield pcm, [(word, round(before_ms + at)) for word, at in begun if word]
            said += len(starts)
            before_ms += len(pcm) / 2 / self.rate_hz * 1000

    def _word_starts(self, chunk: Any) -> list[float]:
        """When each spoken word of a chunk begins, in ms: a word is what espeak parts by spaces."""
        starts: list[float] = []
        at = 0
        inside = False
        for alignment in chunk.phoneme_alignments or ():
            spoken = bool(SPEECH.search(alignment.phoneme)) and alignment.phoneme not in "^$_"
            if spoken and not inside:
                starts.append(at / self.rate_hz * 1000)
                inside = True
            elif alignment.phoneme == " ":
                inside = False
            at += alignment.num_samples
        return starts

    def _spoken_words(self, text: str) -> list[str]:
        """For each word as espeak speaks it, the word of the text that begins there, or "": "7:30" is two spoken words.

        [] where the two can't be matched, so that no word is given a wrong time.
        """
        total = sum(len("".join(sentence).split()) for sentence in self._voice.phonemize(text))
        words = [word for word in text.split() if SPEECH.search(word)]
        if len(words) == total:
            return words
        sizes = [sum(len("".join(part).split()) for part in self._voice.phonemize(word)) for word in words]
        if sum(sizes) != total:
            return []
        return [spoken for word, size in zip(words, sizes, strict=True) for spoken in [word] + [""] * (size - 1)]


def read_frames(source: BinaryIO) -> Iterator[dict[str, Any]]:
    """Give the head of every frame until the pipe ends; requests have no body."""
    while len(prefix := source.read(LENGTHS.size)) == LENGTHS.size:
        head, body = LENGTHS.unpack(prefix)
        yield json.loads(source.read(head))
        source.read(body)


def main() -> None:
    """Load the voice and answer requests until standard input ends."""
    parser = argparse.ArgumentParser(description="Speak what comes as frames on standard input; see the file's header.")
    parser.add_argument("voice", type=Path, help="the .onnx file of a Piper voice; its .onnx.json lies beside it")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    source = sys.stdin.buffer
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not look like a frame

    def send(head: dict[str, Any], body: bytes = b"") -> None:
        text = json.dumps(head, separators=(",", ":")).encode()
        sink.write(LENGTHS.pack(len(text), len(body)) + text + body)
        sink.flush()

    voice = Voice(arguments.voice, arguments.threads)
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    cancelled: set[int] = set()

    def listen() -> None:
        for request in read_frames(source):
            if request.get("cancel"):
                cancelled.add(int(request["id"]))
            else:
                requests.put(request)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    send({"ready": {"model": arguments.voice.stem, "rate_hz": voice.rate_hz, "timed": voice.timed}})
    while True:
        request = requests.get()
        number = int(request["id"])
        before = time.process_time_ns()
        try:
            if number not in cancelled:
                for pcm, words in voice.speak(str(request["text"])):
                    send({"id": number, "rate_hz": voice.rate_hz, "words": words}, pcm)
                    if number in cancelled:
                        break
            send({"id": number, "end": True, "cpu_ms": (time.process_time_ns() - before) / 1e6})
        except (ValueError, RuntimeError, KeyError) as error:
            send({"id": number, "error": repr(error)})
        cancelled.discard(number)


if __name__ == "__main__":
    main()
