"""Chromium without a window, driven over its DevTools protocol; its microphone is a file."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 - the loop here has nothing else to do than to wait for a browser.

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "--window-size=520,760",
)


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def order(self, method: str, **params: Any) -> dict[str, Any]:
        """Give an order of the protocol; give its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(30):
            reply = await answer
        assert "error" not in reply, reply["error"]
        return reply["result"]

    async def run(self, script: str) -> Any:
        """Run a script in the page, awaiting what it gives."""
        result = await self.order(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, script: str, seconds: float = 20.0) -> Any:
        """Wait until a script gives something that is true."""
        async with asyncio.timeout(seconds):
            while not (value := await self.run(script)):
                await asyncio.sleep(0.1)
        return value

    async def picture(self, path: Path) -> None:
        """Take a picture of the page."""
        shot = await self.order("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            reply = json.loads(message)
            if (waiter := self._waiting.pop(reply.get("id", 0), None)) is not None:
                waiter.set_result(reply)

    async def close(self) -> None:
        """Let go of it."""
        self._reader.cancel()
        await self._socket.close()


@asynccontextmanager
async def chromium(program: str, microphone: Path, *, flags: tuple[str, ...] = ()) -> AsyncGenerator[Tab]:
    """Start a browser that hears `microphone`, a WAV file, over and over."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [
            program,
            *FLAGS,
            *flags,
            f"--use-file-for-fake-audio-capture={microphone}",
            f"--user-data-dir={home}",
        ]
        process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = Path(home) / "DevToolsActivePort"
            async with asyncio.timeout(60):
                while not (told.exists() and len(told.read_text().splitlines()) == 2):
                    assert process.poll() is None, "the browser ended"
                    await asyncio.sleep(0.1)
            port, path = told.read_text().splitlines()
            async with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as whole:
                await whole.send(
                    json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}})
                )
                target = ""
                while not target:
                    reply = json.loads(await whole.recv())
                    target = reply.get("result", {}).get("targetId", "") if reply.get("id") == 1 else ""
                socket = await connect(f"ws://127.0.0.1:{port}/devtools/page/{target}", max_size=None)
                tab = Tab(socket, process)
                try:
                    yield tab
                finally:
                    await tab.close()
        finally:
            process.kill()
            process.wait(10)
