"""A model process: what it answers, and what its death costs. The worker here is a few lines of Python."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest

from offhook.core.errors import ModelError, ProviderError
from offhook.providers.frames import Frame, lengths, parse_frame
from offhook.providers.workers import NICENESS, Worker

ECHO = """
import threading
from offhook.providers.frames import Frame
from offhook.providers.worker import serve
def answer(head, body):
    print("a library prints this")
    if head.get("fail"):
        raise ValueError("no such thing")
    if head.get("hang"):
        threading.Event().wait()
    for piece in range(head.get("pieces", 1)):
        yield Frame({"piece": piece}, body)
serve(answer, ready={"model": "echo"})
"""

DEADLINE_S = 30


def with_worker(test: Callable[[Worker], Awaitable[None]], *, code: str = ECHO, **settings: float) -> None:
    async def main() -> None:
        worker = Worker("echo", [sys.executable, "-c", code], **settings)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(DEADLINE_S):
                await test(worker)
        finally:
            await worker.close()

    asyncio.run(main())


async def answers(worker: Worker, body: bytes = b"", **head: object) -> list[Frame]:
    return [frame async for frame in worker.ask(head, body)]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (turns of the loop, not time)
        await asyncio.sleep(0)


def test_a_frame_and_its_bytes_are_inverses() -> None:
    frame = Frame({"id": 1, "text": "é"}, b"\x00\xff")
    wire = bytes(frame)
    head, body = lengths(wire[:8])
    assert parse_frame(wire[8 : 8 + head], wire[8 + head :]) == frame
    assert body == 2


@pytest.mark.parametrize("head", [b"[]", b"{", b"\xff\xff"])
def test_a_head_that_is_no_object_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_frame(head, b"")


def test_lengths_that_can_not_be_are_refused() -> None:
    with pytest.raises(ValueError, match="a frame of"):
        lengths(b"\xff" * 8)


def test_a_worker_answers_in_pieces_and_says_when_it_is_done() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        assert worker.ready == {"model": "echo"}
        frames = await answers(worker, b"abc", pieces=3)
        assert [frame.head.get("piece") for frame in frames] == [0, 1, 2, None]
        assert [frame.body for frame in frames] == [b"abc"] * 3 + [b""]
        assert frames[-1].head["end"]

    with_worker(test)


def test_a_worker_runs_at_a_lower_priority() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        assert worker.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, worker.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)

    with_worker(test)


def test_requests_are_answered_each_with_its_own() -> None:
    async def test(worker: Worker) -> None:
        bodies = [bytes([number]) * 1000 for number in range(20)]
        results = await asyncio.gather(*(answers(worker, body) for body in bodies))
        assert [frames[0].body for frames in results] == bodies

    with_worker(test)


def test_a_refused_request_is_a_provider_error_and_the_next_one_works() -> None:
    async def test(worker: Worker) -> None:
        with pytest.raises(ProviderError, match="no such thing"):
            await answers(worker, fail=True)
        assert len(await answers(worker)) == 2

    with_worker(test)


def test_a_death_fails_only_the_request_it_met() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        first = worker.pid
        assert first is not None
        doomed = asyncio.create_task(answers(worker, hang=True))
        waiting = asyncio.create_task(answers(worker, b"later"))
        await until(lambda: worker.in_flight == 1)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ProviderError, match="died"):
            await doomed
        assert (await waiting)[0].body == b"later"
        assert worker.deaths == 1
        assert worker.pid not in (None, first)

    with_worker(test)


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        with pytest.raises(ProviderError, match="no answer within"):
            await answers(worker, hang=True)
        assert (await answers(worker, b"again"))[0].body == b"again"
        assert worker.deaths == 1

    with_worker(test, answer_timeout_s=0.3)


def test_whoever_gives_up_while_waiting_costs_nothing() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        async with contextlib.aclosing(worker.ask({"pieces": 1000}, bytes(1000))) as busy:
            await anext(busy)
            given_up = asyncio.create_task(answers(worker, fail=True))
            await asyncio.sleep(0)
            given_up.cancel()
        assert (await answers(worker, b"next"))[0].body == b"next"

    with_worker(test)


def test_a_request_closed_in_the_middle_is_not_answered_to_its_end() -> None:
    async def test(worker: Worker) -> None:
        async with contextlib.aclosing(worker.ask({"pieces": 10**9}, b"")) as endless:
            await anext(endless)
        # The only slot is free again only because the worker stopped.
        assert (await answers(worker, b"next"))[0].body == b"next"

    with_worker(test)


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        tasks = [asyncio.create_task(answers(worker, hang=True)) for _ in range(3)]
        await until(lambda: worker.in_flight == 1 and worker.waiting == 2)
        with pytest.raises(ProviderError, match="2 requests wait already"):
            await answers(worker)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with_worker(test, queue=2)


@pytest.mark.parametrize(
    "code", ["raise SystemExit('the weights are missing')", "import sys; sys.stdout.write('nonsense!')"]
)
def test_a_worker_that_does_not_start_says_its_last_words(code: str) -> None:
    async def test(worker: Worker) -> None:
        with pytest.raises(ModelError, match="does not start") as caught:
            await worker.start()
        if "weights" in code:
            assert "the weights are missing" in str(caught.value)
        with pytest.raises(ModelError):
            await answers(worker)

    with_worker(test, code=code)


def test_a_program_that_is_not_there_is_a_model_error() -> None:
    async def main() -> None:
        worker = Worker("ghost", ["/nowhere/at/all"])
        with pytest.raises(ModelError, match="No such file"):
            await worker.start()
        await worker.close()

    asyncio.run(main())


def test_a_worker_ends_when_whoever_started_it_does() -> None:
    async def test(worker: Worker) -> None:
        await worker.start()
        pid = worker.pid
        assert pid is not None
        await worker.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    with_worker(test)
