"""What `serve` says of itself while it runs and when it ends."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from offhook.call import Call
from offhook.call.events import Incoming
from offhook.core.ids import CallId
from offhook.run import serve
from offhook.run.config import Config, Sip
from offhook.run.events import EventLines
from offhook.run.serve import media_address
from offhook.sip.useragent import FATES

OPTIONS = (
    b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK1\r\n"
    b"From: <sip:b@c>;tag=1\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


def test_an_event_with_a_name_that_is_no_utf_8_is_written_too(tmp_path: Path) -> None:
    with serve._open(tmp_path / "events.jsonl") as out:
        lines = EventLines(out)
        lines(Incoming(1.0, CallId("c"), b"sip:\xff\xc3\xa9@x".decode("utf-8", "surrogateescape"), "sip:y"))
    assert lines.failed == 0
    assert json.loads((tmp_path / "events.jsonl").read_text())["caller"] == "sip:\udcff\u00e9@x"


async def nobody(call: Call) -> None:
    raise AssertionError("nobody calls")


nobody.needs_models = False  # pyright: ignore[reportFunctionMemberAccess] (a function that says nothing gets them)


def test_what_was_counted_is_said_when_asked_and_at_the_end() -> None:
    async def story() -> list[dict[str, int]]:
        said: asyncio.Queue[str] = asyncio.Queue()

        async def hears(word: str) -> str:
            while not (line := await said.get()).startswith(word):
                pass
            return line.partition(" ")[2]

        serving = asyncio.create_task(
            serve.serve(
                Config(sip=Sip(listen=["udp://127.0.0.1:0"])),
                nobody,
                events=None,
                say=said.put_nowait,
            )
        )
        ready = await hears("ready:")
        port = int(ready.partition(" ")[0].rpartition(":")[2])
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.setblocking(False)
            far.bind(("127.0.0.1", 0))
            for data in (b"nonsense", b"\r\n\r\n", OPTIONS):
                far.sendto(data, ("127.0.0.1", port))
            assert (await loop.sock_recv(far, 2000)).startswith(b"SIP/2.0 200 OK\r\n")
        os.kill(os.getpid(), signal.SIGUSR1)
        asked = json.loads(await hears("counted:"))
        os.kill(os.getpid(), signal.SIGHUP)
        assert await hears("certificates:") == "read anew"
        os.kill(os.getpid(), signal.SIGTERM)
        ended = json.loads(await hears("counted:"))
        await serving
        return [asked, ended]

    async def bounded() -> list[dict[str, int]]:
        async with asyncio.timeout(20):
            return await story()

    try:
        asked, ended = asyncio.run(bounded())
    finally:
        gc.unfreeze()
    assert asked == ended
    assert {name: count for name, count in asked.items() if name.startswith(FATES)} == {
        "malformed_start_line": 1,
        "keepalive": 1,
        "request_options": 1,
    }
    assert (asked["received"], asked["guard"], asked["failures"]) == (3, 0, 0)


@pytest.mark.parametrize(
    ("listen", "media"),
    [
        ((("udp", ("127.0.0.1", 5060)), ("tcp", ("127.0.0.1", 5060))), "127.0.0.1"),
        ((("udp", ("0.0.0.0", 5060)),), "0.0.0.0"),
        ((("udp", ("::1", 5060)),), "::1"),
        ((("udp", ("192.0.2.1", 5060)), ("udp", ("127.0.0.1", 5060))), "0.0.0.0"),
        ((("udp", ("0.0.0.0", 5060)), ("udp", ("::", 5060))), "::"),
        ((), "127.0.0.1"),
    ],
)
def test_media_is_bound_where_signalling_is(listen, media):
    assert media_address(listen) == media
