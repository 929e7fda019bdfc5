"""A model in a process of its own.

    ask() ─► bounded queue ─► slot ─► stdin ═► worker ═► stdout ─► frames of that request ─► whoever asked

The laws that it keeps:
* The worker is spawned, never forked, at a lower priority than ours, so that the media threads win every contest.
* Not more requests than the worker has slots are with it at a time; the rest wait here, where a caller who gives up
  costs nothing. More than `queue` of them waiting is ProviderError: late words are worth less than a filler.
* A worker that dies fails the requests it had and nothing else; it is started anew, and those who wait go on waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import count
from typing import Any

from offhook.core.errors import ModelError, ProviderError
from offhook.providers.frames import LENGTHS, Frame, lengths, parse_frame

NICENESS = 5
"""How much lower than ours a worker's priority is (nice values): a turn may take longer, a packet may not."""

RESTARTS = 3
"""How often a worker may die before it is ready, in a row, until we stop starting it."""

_REPORT_BYTES = 2000
"""How much of the worker's last words on standard error is kept for the message of an error."""


class Worker:
    """One model process. `slots` requests run at a time, `queue` more may wait.

    The command is run with `environment` added to ours. `start` it before a caller waits for it (else the first `ask`
    does), `close` it at the end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        slots: int = 1,
        queue: int = 32,
        start_timeout_s: float = 60.0,
        answer_timeout_s: float = 20.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.ready: dict[str, Any] = {}
        """What the worker told when its model was loaded."""
        self.deaths = 0
        """How often the process ended without being asked to."""
        self._command = tuple(command)
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._start_timeout_s = start_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._queue = queue
        self._waiting = 0
        self._slots = asyncio.Semaphore(slots)
        self._ids = count(1)
        self._open: dict[int, asyncio.Queue[Frame]] = {}  # bounded by `slots`: only who has a slot is here
        self._abandoned: set[int] = set()  # asked, given up by the asker, not yet answered by the worker
        self._up = asyncio.Event()
        self._failed: ModelError | None = None
        self._process: Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._tail: deque[bytes] = deque(maxlen=20)

    @property
    def pid(self) -> int | None:
        """The process that runs now, None while there is none."""
        return self._process.pid if self._process is not None and self._up.is_set() else None

    @property
    def in_flight(self) -> int:
        """How many requests the process has."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return self._waiting

    async def start(self) -> None:
        """Start the process and wait until its model is loaded. ModelError, with its last words, if it is not."""
        if self._life is None:
            self._life = asyncio.create_task(self._live(), name=f"worker {self.name}")
        await self._wait_until_up()

    async def close(self) -> None:
        """End the process. Idempotent; requests under way get ProviderError."""
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life
            self._life = None

    async def ask(self, head: Mapping[str, Any], body: bytes = b"") -> AsyncGenerator[Frame]:
        """Send one request and give every frame that answers it. Closing the generator cancels the request.

        ProviderError: too many wait, the worker refused, died or took too long. ModelError: it does not start.
        """
        if self._waiting >= self._queue:
            raise ProviderError(f"{self.name}: {self._waiting} requests wait already")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        number = next(self._ids)
        answers: asyncio.Queue[Frame] = asyncio.Queue()
        ended = False
        try:
            await self.start()
            self._open[number] = answers
            await self._send(Frame({**head, "id": number}, body))
            while not ended:
                frame = await self._next(answers)
                if "error" in frame.head:
                    ended = True
                    raise ProviderError(f"{self.name}: {frame.head['error']}")
                ended = bool(frame.head.get("end"))
                yield frame
        finally:
            if number in self._open:
                # It may be deep in a computation: the slot is free when it says so, not when we lose interest.
                self._abandoned.add(number)
                self._cancel(number)
            else:
                self._slots.release()

    async def _next(self, answers: asyncio.Queue[Frame]) -> Frame:
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                return await answers.get()
        except TimeoutError:
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()  # it hangs; a new one may not
            raise ProviderError(f"{self.name}: no answer within {self._answer_timeout_s:g} s") from None

    async def _wait_until_up(self) -> None:
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise ModelError(f"{self.name} was not ready within {self._start_timeout_s:g} s") from None
        if self._failed is not None:
            raise self._failed

    async def _send(self, frame: Frame) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(bytes(frame))
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise ProviderError(f"{self.name}: the process is gone") from None

    def _cancel(self, number: int) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(bytes(Frame({"id": number, "cancel": True})))

    async def _live(self) -> None:
        """Keep a process running until cancelled, or until it can't be started."""
        stillborn, allowed = 0, 1  # one that never worked has a broken set-up, which trying again would only hide
        try:
            while stillborn < allowed:
                was_up = await self._run_once()
                self.deaths += 1
                self._fail_open("the process died" + self._last_words())
                stillborn, allowed = (0, RESTARTS) if was_up else (stillborn + 1, allowed)
            self._failed = ModelError(f"{self.name} does not start{self._last_words()}")
            self._up.set()
        finally:
            self._fail_open("closed")

    async def _run_once(self) -> bool:
        """Run one process to its end; say whether it became ready."""
        self._tail.clear()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._environment, start_new_session=True
            )
        except OSError as error:
            self._tail.append(str(error).encode())
            return False
        self._process = process
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        assert process.stderr is not None
        listening = asyncio.create_task(self._keep_tail(process.stderr))
        try:
            return await self._read(process)
        finally:
            self._up.clear()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def _read(self, process: Process) -> bool:
        """Hand every frame to whom it answers until the pipe ends; say whether the worker became ready."""
        assert process.stdout is not None
        was_up = False
        try:
            while True:
                head, body = lengths(await process.stdout.readexactly(LENGTHS.size))
                frame = parse_frame(await process.stdout.readexactly(head), await process.stdout.readexactly(body))
                if "ready" in frame.head:
                    self.ready = frame.head["ready"]
                    was_up = True
                    self._up.set()
                else:
                    self._deliver(frame)
        except (asyncio.IncompleteReadError, ValueError, ConnectionError):
            return was_up

    def _deliver(self, frame: Frame) -> None:
        number = frame.head.get("id", 0)
        answers = self._open.get(number)
        if answers is None:
            return
        answers.put_nowait(frame)
        if "error" in frame.head or frame.head.get("end"):
            self._settle(number)

    def _settle(self, number: int) -> None:
        self._open.pop(number, None)
        if number in self._abandoned:
            self._abandoned.discard(number)
            self._slots.release()

    def _fail_open(self, reason: str) -> None:
        for number, answers in list(self._open.items()):
            answers.put_nowait(Frame({"id": number, "error": reason}))
            self._settle(number)

    async def _keep_tail(self, stderr: asyncio.StreamReader) -> None:
        with contextlib.suppress(ValueError):
            while line := await stderr.readline():
                self._tail.append(line)

    def _last_words(self) -> str:
        words = b"".join(self._tail).decode(errors="replace").strip()
        return f": {words[-_REPORT_BYTES:]}" if words else ""


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of ours as a worker under this very interpreter."""
    return (sys.executable, "-m", module, *arguments)
