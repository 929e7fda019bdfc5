"""The offhook side of a call with a real peer: speaks a file, writes down what it hears, and does what a test orders.

    python desk.py CONFIG SAID.wav FOLDER       orders, one JSON object a line, on stdin:
                                                {"order": 1, "do": "dial", "to": "sip:…"}
    stdout: what happens in the calls, as `offhook serve --events` has it, and besides
            {"event": "sip", "way": "in" | "out", "text": …}          every message, as it is on the wire
            {"event": "done", "order": 1, "result": …, "error": ""}   what came of an order

What a call hears is in FOLDER/CALL.raw: 8 kHz, 16 bits, as it comes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from pathlib import Path
from typing import Any

import offhook
from offhook.call.events import CallEvent, as_json
from offhook.console.phone import Phone
from offhook.run.logs import log_to_stderr
from offhook.run.serve import run_live


class Desk:
    """The agent of every call, in or out."""

    needs_models = False

    def __init__(self, said: bytes, folder: Path) -> None:
        self.said = said
        self.folder = folder
        self.calls: dict[str, offhook.Call] = {}
        self.phone: Phone | None = None

    async def talk(self, call: offhook.Call) -> None:
        """Speak and hear until the call is over."""
        self.calls[call.id] = call
        async with asyncio.TaskGroup() as both:
            speaking = both.create_task(self._speak(call))
            with (self.folder / f"{call.id}.raw").open("wb", buffering=0) as out:
                async for pcm in call.audio():
                    out.write(pcm)
            speaking.cancel()

    async def _speak(self, call: offhook.Call) -> None:
        try:
            while True:
                await call.play(self.said)
        except offhook.CallEnded:
            pass

    async def obey(self, order: dict[str, Any]) -> Any:
        """Do what a test asks for; give what it is to know."""
        match order["do"]:
            case "dial":
                assert self.phone is not None
                return (await self.phone.dial(order["to"], talk)).id
            case "press":
                self._call(order).leg.press(order["keys"])
            case "hold":
                await self._call(order).hold()
            case "resume":
                await self._call(order).resume()
            case "transfer":
                await self._call(order).leg.transfer(order["to"])
            case "attended":
                leg = self._call(order).leg
                other = await leg.consult(order["to"])
                await other.connected()
                await leg.transfer(order["to"], other)
            case "hangup":
                await self._call(order).leg.hangup()
            case other:
                raise ValueError(other)

    def _call(self, order: dict[str, Any]) -> offhook.Call:
        return self.calls[order["call"]]


desk = Desk(b"", Path())


async def talk(call: offhook.Call) -> None:
    """Answer or place a call as the desk."""
    await desk.talk(call)


talk.needs_models = False  # type: ignore[attr-defined]


def tell(**event: Any) -> None:
    print(json.dumps(event, default=str), flush=True)


def listen_in(phone: Phone) -> None:
    """Tell every SIP message of this phone, whatever transport carries it."""
    line = phone.host.line
    received, send = line.received, line.transports.send

    def hear(data: bytes, flow: Any) -> None:
        tell(event="sip", way="in", transport=flow.transport, text=data.decode(errors="replace"))
        received(data, flow)

    def say(flow: Any, data: bytes) -> None:
        tell(event="sip", way="out", transport=flow.transport, text=data.decode(errors="replace"))
        send(flow, data)

    line.received, line.transports.send = hear, say


async def serve(config: Path) -> None:
    """Answer and obey until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def happened(event: CallEvent) -> None:
        tell(**as_json(event))

    async def work(order: dict[str, Any]) -> None:
        try:
            tell(event="done", order=order["order"], result=await desk.obey(order), error="")
        except Exception as error:  # noqa: BLE001 (whatever it is, the test is to know)
            tell(event="done", order=order["order"], result=None, error=f"{type(error).__name__}: {error}")

    async with Phone(config, events=happened, say=lambda line: print(line, file=sys.stderr)) as phone:
        desk.phone = phone
        listen_in(phone)
        tell(event="ready", listening=phone.host.listening)
        orders: set[asyncio.Task[None]] = set()
        while line := await reader.readline():
            task = asyncio.create_task(work(json.loads(line)))
            orders.add(task)
            task.add_done_callback(orders.discard)
        for task in orders:
            task.cancel()


def main() -> None:
    config, said, folder = map(Path, sys.argv[1:])
    with wave.open(str(said), "rb") as file:
        desk.said = file.readframes(file.getnframes())
    desk.folder = folder
    log_to_stderr()
    run_live(lambda: serve(config))


if __name__ == "__main__":
    # The routes import this file by its name: there must be one of it.
    from interop import desk as this

    this.main()
