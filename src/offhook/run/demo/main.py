"""`offhook demo`: a whole telephone call on this machine, heard, transcribed and told.

    this process                                       a process of its own
    receptionist ◄─ Call ◄─ Host ◄══ SIP, RTP, UDP ══► caller: user agent, media plane, ears, voice
         │                   └─ Recorder (the tape)          │
         └── events ─► screen, Recording ◄── its own word ───┘
                              └─► call.wav  transcript.json  timeline.json  report.html

Exit 0 only if both sides were heard, the booking tool got what the caller wished, and the key came through. Every wait
has an end: a caller who can't be heard makes a short call and a clear line, not a hanging terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from offhook import _native as native
from offhook.call.events import CallEvent
from offhook.carriers.plane import Engine
from offhook.core.errors import OffhookError, Ours
from offhook.run import config as configuration
from offhook.run.agents import RECEPTIONIST, load_agent
from offhook.run.demo.record import Recorder, Recording
from offhook.run.demo.screen import Screen
from offhook.run.demo.script import Wish, wish
from offhook.run.host import Host, HostRules
from offhook.run.models import load_models
from offhook.run.report.account import Account, save
from offhook.run.report.page import write_report
from offhook.run.serve import run_live

LOAD_S = 120.0
"""The caller's models have so long to load."""

CALL_S = 130.0
"""The whole call, from the dialling on; the caller itself gives up after 100 s."""

DEAF_S = 25.0
"""If the agent has understood nothing so long after the caller began to speak, the call is given up."""

LAST_S = 5.0
"""What the caller's process may take to end after the call."""


class CallerFailed(Ours):
    """The simulated caller's process could not do its part."""


def main(out: Path, seed: int) -> int:
    """Run the demo, leave its files in `out`; give the exit code."""
    with Screen() as screen:
        try:
            writable(out)
            account = run_live(lambda: demo(out, seed, screen))
        except OffhookError as error:
            screen.failed(str(error))
            return 1
        except OSError as error:
            screen.failed(f"{error.filename or 'a file or a port'}: {error.strerror or error}")
            return 1
        except KeyboardInterrupt:
            screen.failed("stopped")
            return 130
    screen.verdict(account, out)
    return 1 if account.why else 0


def writable(folder: Path) -> None:
    """Make the folder, and a file in it: a call that can't be kept is not begun. OSError says why not."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


async def demo(out: Path, seed: int, screen: Screen) -> Account:
    """Load, call, record and write; give the account. OffhookError if there could be no call."""
    wanted = wish(seed)
    agent = load_agent(RECEPTIONIST)
    recorder, recording = Recorder(native.Engine(ip="127.0.0.1")), Recording()
    screen.busy("loading speech recognition, the voice and the offline brain, for both sides")
    async with AsyncExitStack() as stack:
        caller = await stack.enter_async_context(caller_process(seed))
        models, _ = await stack.enter_async_context(load_models(configuration.Models(), [agent], screen.busy))
        screen.busy("the caller gets ready")
        await caller.ready()

        def take(event: CallEvent) -> None:
            recording.take(event)
            screen.take(event)

        host = Host(
            engine=cast("Engine", recorder),
            rng=random.SystemRandom(),
            rules=HostRules(listen=(("udp", ("127.0.0.1", 0)),), max_calls=1),
            route=lambda called: agent,
            models=models,
            events=take,
        )
        await stack.enter_async_context(host)
        ip, port = host.listening[0][1]
        screen.calling()
        ended = await _call(caller, f"sip:luigi@{ip}:{port}", recording)
        await host.drain(2.0)
    account = recording.account(recorder, wanted, RECEPTIONIST, "")
    account = recording.account(recorder, wanted, RECEPTIONIST, verdict(account, wanted, ended))
    save(account, out)
    write_report(out)
    return account


def verdict(account: Account, wanted: Wish, ended: str) -> str:
    """Say in one line what is wrong with a call; "" if nothing is."""
    heard, spoken = account.words_of("caller"), account.words_of("agent")
    if not account.pcm:
        return f"there was no call: {ended}"
    if not heard:
        return f"nothing of the caller was heard ({ended}): is RTP over UDP blocked on this machine?"
    if not spoken:
        return f"the agent was not heard ({ended})"
    if account.got is None:
        return f"no table was booked ({ended})"
    wished = wanted.arguments()
    if dict(account.got) != wished:
        return f"the booking is not what the caller wished: {dict(account.got)} instead of {wished}"
    if account.keys_heard != wanted.key:
        return f"the caller pressed {wanted.key}, the agent took {account.keys_heard or 'nothing'}"
    return ""


class CallerProcess:
    """The simulated caller, as seen by who started it: an address in, lines about itself out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ready(self) -> None:
        """Wait until it has loaded what it needs. CallerFailed if it can't."""
        try:
            async with asyncio.timeout(LOAD_S):
                line = await self.line()
        except TimeoutError:
            raise CallerFailed(f"the simulated caller was not ready after {LOAD_S:.0f} s") from None
        if line is None or line["event"] != "ready":
            raise CallerFailed(f"the simulated caller did not start: {(line or {}).get('reason', 'it died')}")

    async def dial(self, address: str) -> None:
        """Tell it whom to call."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{address}\n".encode())
        await self._process.stdin.drain()

    async def line(self) -> dict[str, Any] | None:
        """Give the next thing that it says about itself; None when it has ended."""
        assert self._process.stdout is not None
        text = await self._process.stdout.readline()
        return json.loads(text) if text else None


@asynccontextmanager
async def caller_process(seed: int) -> AsyncGenerator[CallerProcess]:
    """Start the caller's process and see to its end."""
    command = (sys.executable, "-m", "offhook.run.demo.caller", "--seed", str(seed))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield CallerProcess(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(LAST_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _call(caller: CallerProcess, address: str, recording: Recording) -> str:
    """Let it call and follow it to the end; give how it ended."""
    await caller.dial(address)
    loop = asyncio.get_running_loop()
    end, deaf_at = loop.time() + CALL_S, float("inf")
    while True:
        until = min(end, deaf_at if not recording.heard else float("inf"))
        try:
            async with asyncio.timeout_at(until):
                line = await caller.line()
        except TimeoutError:
            if until == end:
                return f"the call was not over after {CALL_S:.0f} s"
            return f"the caller spoke {DEAF_S:.0f} s ago and no word arrived"
        if line is None:
            return "the caller's process ended"
        match line["event"]:
            case "says":
                recording.script.append(line["text"])
                deaf_at = min(deaf_at, loop.time() + DEAF_S)
            case "presses":
                recording.keys_pressed += line["key"]
            case "ended":
                return str(line["reason"])
            case _:
                pass
