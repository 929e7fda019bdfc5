"""The functions as Lambda runs them: the ZIP file unpacked, the handler that the template names, AWS's own runtime.

template.json ─► handler, variables ─► awslambdaric, in a process of its own ─► the Runtime API (here) ─► event, answer
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from offhook.testing.fake_openai import FakeOpenAi

pytest.importorskip("awslambdaric", reason="AWS has it for Linux alone")

ROOT = Path(__file__).parents[4]
TEMPLATE: dict[str, Any] = json.loads((ROOT / "deploy" / "amazon" / "template.json").read_text())
GREETING = "Luigi's, good evening! How can I help you?"
ABOUT = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Deadline-Ms": "4000000000000",
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda",
}
REPLY = "For two. At what time?"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that Lambda unpacks the ZIP file into: app.py and our package, as the page packs them."""
    made = tmp_path_factory.mktemp("zip") / "offhook.zip"
    package = ROOT / "src" / "offhook"
    with zipfile.ZipFile(made, "w") as packed:
        packed.write(ROOT / "deploy" / "amazon" / "app.py", "app.py")
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                packed.write(file, file.relative_to(package.parent))
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(made) as packed:
        packed.extractall(folder)
    return folder


class Lambda:
    """The service behind the Runtime API: one event at a time."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def asks(self, event: Any) -> Any:
        """Invoke the function; give what it answers."""
        self.events.put_nowait(event)
        async with asyncio.timeout(60):
            kind, answer = await self.answers.get()
        assert kind == "response", answer
        return answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak the Runtime API to the function, on one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"):
                sizes = [int(line.partition(":")[2]) for line in head if line.lower().startswith("content-length")]
                body = await reader.readexactly(sum(sizes))
                method, path, _ = head[0].split(" ")
                status, answer = 202, b""
                if method == "GET":
                    assert path == "/2018-06-01/runtime/invocation/next"
                    status, answer = 200, json.dumps(await self.events.get()).encode()
                else:
                    self.answers.put_nowait((path.rpartition("/")[2], json.loads(body)))
                about = "".join(f"{name}: {said}\r\n" for name, said in ABOUT.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{about}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the function has ended
        writer.close()


@asynccontextmanager
async def deployed(task: Path, resource: str, handler: str = "") -> AsyncGenerator[Lambda]:
    """Run a function of the template, with a model server beside it."""
    service = Lambda()
    function = TEMPLATE["Resources"][resource]["Properties"]
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server, FakeOpenAi(answers=lambda messages: REPLY) as model:
        stack = {"Model": f"{model.url}#fake-llm", "ModelKey": model.key, "Allow": "+1"}
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", handler or function["Handler"]),
            cwd=task,
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
                "LAMBDA_TASK_ROOT": str(task),
                **{name: stack[one["Ref"]] for name, one in function["Environment"]["Variables"].items()},
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield service
        finally:
            with suppress(ProcessLookupError):
                program.kill()
            await program.wait()


def test_a_block_of_a_flow_is_answered(task: Path) -> None:
    async def main() -> None:
        async with deployed(task, "ConnectFunction") as function:
            contact = {"ContactId": "c-1", "InitialContactId": "c-1", "Channel": "VOICE", "Attributes": {}}

            async def asked(**parameters: str) -> Any:
                details = {"ContactData": contact, "Parameters": parameters}
                return await function.asks({"Name": "ContactFlowEvent", "Details": details})

            greeted = await asked()
            assert (greeted["next"], greeted["say"]) == ("listen", GREETING)
            answered = await asked(text="a table for two", keys="", turn="1", offhook=greeted["offhook"])
            assert (answered["next"], answered["say"]) == ("listen", REPLY)
            assert all(isinstance(one, str) for one in answered.values()), "a flow reads flat texts"

    asyncio.run(main())


def test_a_bot_is_answered(task: Path) -> None:
    async def main() -> None:
        async with deployed(task, "LexFunction") as function:
            event: dict[str, Any] = {
                "sessionId": "c-1",
                "inputTranscript": "",
                "invocationSource": "DialogCodeHook",
                "inputMode": "Speech",
                "sessionState": {
                    "sessionAttributes": {},
                    "intent": {"name": "FallbackIntent", "state": "InProgress"},
                },
            }
            greeted = await function.asks(event)
            assert [one["content"] for one in greeted["messages"]] == [GREETING]
            event["sessionState"]["sessionAttributes"] = greeted["sessionState"]["sessionAttributes"]
            answered = await function.asks({**event, "inputTranscript": "a table for two"})
            assert [one["content"] for one in answered["messages"]] == [REPLY]
            assert answered["sessionState"]["dialogAction"]["type"] == "ElicitIntent"

    asyncio.run(main())


def test_a_sip_media_application_is_answered(task: Path) -> None:
    async def main() -> None:
        async with deployed(task, "SmaFunction") as function:
            caller = {
                "CallId": "call-a",
                "ParticipantTag": "LEG-A",
                "From": "+15551234567",
                "To": "+15557654321",
                "Direction": "Inbound",
                "Status": "Connected",
            }
            event: dict[str, Any] = {
                "SchemaVersion": "1.0",
                "Sequence": 1,
                "InvocationEventType": "NEW_INBOUND_CALL",
                "CallDetails": {"TransactionId": "t-1", "Participants": [caller]},
            }
            answered = await function.asks(event)
            assert answered["SchemaVersion"] == "1.0"
            assert answered["Actions"][0]["Parameters"]["SpeechParameters"]["Text"] == GREETING

    asyncio.run(main())


def test_it_is_the_package_of_the_zip_file_that_runs(task: Path) -> None:
    async def main() -> None:
        probe = "import app, offhook\n\ndef where(event, context):\n    return offhook.__file__\n"
        (task / "probe.py").write_text(probe, encoding="utf-8")
        async with deployed(task, "LexFunction", "probe.where") as function:
            assert Path(await function.asks({})).parent == task / "offhook"

    asyncio.run(main())
