"""The inside of a worker process: frames in, one function a request, frames out.

The module of a model calls `serve` once its model is loaded. Requests run on `slots` threads (the runtimes that they
call release the interpreter's lock); one more thread reads, so that a cancelled request is known before its turn comes.
The process ends when its standard input does, so it can't outlive whoever started it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from offhook.providers.frames import LENGTHS, Frame, lengths, parse_frame

Answer = Callable[[dict[str, Any], bytes], Iterator[Frame]]
"""Answers one request, given its head and body, frame by frame. ValueError says what is wrong with the request."""


def serve(answer: Answer, *, ready: dict[str, Any], slots: int = 1) -> None:
    """Say that the model is ready, then answer requests until standard input ends."""
    source, sink = _claim_pipes()
    writing = threading.Lock()
    cancelled: set[int] = set()

    def send(frame: Frame) -> None:
        with writing:
            sink.write(bytes(frame))
            sink.flush()

    def run(frame: Frame) -> None:
        number = int(frame.head["id"])
        before = time.process_time_ns()
        try:
            if number not in cancelled:
                for piece in answer(frame.head, frame.body):
                    send(Frame({**piece.head, "id": number}, piece.body))
                    if number in cancelled:
                        break
            cpu_ms = (time.process_time_ns() - before) / 1e6  # of the whole process: exact while one request runs
            send(Frame({"id": number, "end": True, "cpu_ms": cpu_ms}))
        except (ValueError, RuntimeError) as error:  # what the runtimes raise for a bad input
            send(Frame({"id": number, "error": str(error)}))
        finally:
            cancelled.discard(number)

    send(Frame({"ready": ready}))
    with ThreadPoolExecutor(slots) as pool:
        for frame in _frames(source):
            if frame.head.get("cancel"):
                cancelled.add(int(frame.head["id"]))
            else:
                pool.submit(run, frame)
        os._exit(0)  # nobody is left to answer, so nothing that still runs is worth waiting for


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for frames, and send whatever a library prints to standard error."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, sink


def _frames(source: BinaryIO) -> Iterator[Frame]:
    while len(prefix := source.read(LENGTHS.size)) == LENGTHS.size:
        head, body = lengths(prefix)
        yield parse_frame(source.read(head), source.read(body))
