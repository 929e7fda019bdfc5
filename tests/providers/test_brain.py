"""The mind of an agent: histories become messages, functions become tools, and what is wrong is said at start."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

import pydantic_ai
import pytest
from pydantic_ai import RunContext
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

import offhook
from offhook.agent.history import Heard, History, Keys, Said, ToolUse
from offhook.call.agents import NOT_DONE, Agent
from offhook.call.protocols import Thought, ToolBegan, ToolDone
from offhook.core.errors import ConfigError, ProviderError
from offhook.core.ids import Turn
from offhook.providers.brain import STILL_RUNNING, Minds, PydanticBrain, as_messages
from offhook.providers.offline.model import offline_model

ONE, TWO, THREE = Turn(1), Turn(2), Turn(3)


class Desk:
    """Stands for the call: tools run at once."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.worked: list[str] = []

    async def committed(self) -> None: ...

    async def work(self, name: str, call_id: str, arguments: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        self.worked.append(name)
        return await work()


def asked(*entries: Any) -> History:
    return History(entries)


async def _thoughts(brain: PydanticBrain, desk: Desk) -> list[Thought]:
    return [thought async for thought in brain.reply(desk.history, cast(Any, desk))]


def think(agent: Agent, model: Any, history: History) -> tuple[list[Thought], Desk]:
    desk = Desk(history)
    return asyncio.run(_thoughts(Minds(model)(agent), desk)), desk


def model_of(answer: Callable[[list[ModelMessage], AgentInfo], list[str | DeltaToolCalls]]) -> FunctionModel:
    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        for piece in answer(messages, info):
            yield piece

    return FunctionModel(stream_function=stream)


def calls(name: str, arguments: str = "{}", call_id: str = "c1") -> DeltaToolCalls:
    return {0: DeltaToolCall(name=name, json_args=arguments, tool_call_id=call_id)}


def after_a_tool(messages: list[ModelMessage]) -> str | None:
    last = messages[-1].parts[-1]
    return str(last.content) if isinstance(last, ToolReturnPart) else None


# History


def test_the_latest_words_are_the_prompt() -> None:
    prompt, messages = as_messages(asked(Said(ONE, "Hi."), Heard(ONE, "A table."), Keys(ONE, "42")))
    assert prompt == "A table.\n[The caller pressed 4 2 on the keypad.]"
    assert [part.content for message in messages for part in message.parts if isinstance(part, TextPart)] == ["Hi."]


def test_neighbours_of_one_side_are_one_message_and_every_call_has_its_return() -> None:
    _, messages = as_messages(
        asked(
            Said(ONE, "Hi."),
            Heard(ONE, "Book it."),
            Said(ONE, "One moment.", whole=False),
            ToolUse(ONE, "c1", "book", {"people": 2}),
            Heard(TWO, "Hello?"),
            Heard(TWO, "Are you there?"),
            Said(TWO, "Yes."),
            Heard(THREE, "Good."),
        )
    )
    assert [[type(part) for part in message.parts] for message in messages] == [
        [TextPart],
        [UserPromptPart],
        [TextPart, ToolCallPart],
        [ToolReturnPart, UserPromptPart, UserPromptPart],
        [TextPart],
    ]
    called = [part for message in messages for part in message.parts if isinstance(part, ToolCallPart)]
    returned = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
    assert [part.tool_call_id for part in called] == [part.tool_call_id for part in returned] == ["c1"]
    assert returned[0].content == STILL_RUNNING
    cut = [part.content for message in messages for part in message.parts if isinstance(part, TextPart)][1]
    assert cut == "One moment. …"


def test_when_a_tool_is_last_the_model_goes_on_from_its_result() -> None:
    prompt, messages = as_messages(asked(Heard(ONE, "Book it."), ToolUse(ONE, "c1", "book", {}, "Booked.")))
    assert prompt is None
    assert isinstance(messages[-1], ModelRequest)


def test_when_we_spoke_last_the_model_is_told_of_the_silence() -> None:
    assert as_messages(asked(Said(ONE, "Hi.")))[0] == "(The caller says nothing.)"
    assert as_messages(History())[0] == "(The caller says nothing.)"


def test_the_model_is_given_our_history() -> None:
    seen: list[list[ModelMessage]] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> list[str | DeltaToolCalls]:
        seen.append(messages)
        assert info.instructions is not None
        assert "You are Luigi." in info.instructions
        return ["Fine", ", thanks."]

    history = asked(Said(ONE, "How are"), Heard(TWO, "Stop."))
    thoughts, _ = think(Agent("You are Luigi."), model_of(answer), history)
    assert thoughts == ["Fine", ", thanks."]
    texts = [
        part.content for message in seen[0] for part in message.parts if isinstance(part, TextPart | UserPromptPart)
    ]
    assert texts == ["How are", "Stop."]


# Tools


def agent_with_tools() -> Agent:
    agent = Agent("You book tables.")

    @agent.tool(saying="One moment.")
    async def book(call: offhook.Call, name: str, people: int = 2) -> str:
        """Book a table.

        Args:
            call: the call
            name: Who books.
            people: How many come.
        """
        assert isinstance(call, Desk)
        return f"{name}, {people}"

    @agent.tool
    def add(one: int, other: int) -> int:
        """Add two numbers."""
        return one + other

    @agent.tool
    async def fail(ctx: RunContext[offhook.Call]) -> None:
        """Fail."""
        assert isinstance(ctx.deps, Desk)
        raise offhook.TransferFailed(486, "Busy Here")

    _ = book, add, fail
    return agent


def test_the_model_sees_what_a_function_wants_but_not_the_call() -> None:
    seen: dict[str, Any] = {}

    def answer(_: list[ModelMessage], info: AgentInfo) -> list[str | DeltaToolCalls]:
        seen.update({tool.name: tool for tool in info.function_tools})
        return ["Hello."]

    think(agent_with_tools(), model_of(answer), asked(Heard(ONE, "Hello.")))
    assert set(seen) == {"book", "add", "fail", "hang_up"}
    schema = seen["book"].parameters_json_schema
    assert set(schema["properties"]) == {"name", "people"}
    assert schema["properties"]["name"]["description"] == "Who books."
    assert schema["required"] == ["name"]
    assert seen["book"].description == "Book a table."
    assert seen["book"].metadata == {"confirm": False, "saying": "One moment."}
    assert seen["fail"].parameters_json_schema["properties"] == {}


@pytest.mark.parametrize(
    ("tool", "arguments", "result", "failed"),
    [
        ("book", '{"name": "Ada"}', "Ada, 2", False),
        ("add", '{"one": 2, "other": 3}', "5", False),
        ("fail", "{}", "the transfer failed: 486 Busy Here", True),
    ],
)
def test_a_tool_runs_as_work_of_the_call_and_its_error_is_its_result(
    tool: str, arguments: str, result: str, failed: bool
) -> None:
    def answer(messages: list[ModelMessage], _: AgentInfo) -> list[str | DeltaToolCalls]:
        done = after_a_tool(messages)
        return ["One moment. ", calls(tool, arguments)] if done is None else [f"It says: {done}"]

    thoughts, desk = think(agent_with_tools(), model_of(answer), asked(Heard(ONE, "Do it.")))
    assert thoughts[0] == "One moment. "
    assert thoughts[1] == ToolBegan(
        tool, cast(Any, thoughts[1]).arguments, "c1", "One moment." if tool == "book" else ""
    )
    assert thoughts[2] == ToolDone(tool, "c1", result, failed)
    assert thoughts[3] == f"It says: {result}"
    assert desk.worked == [tool]


def test_wrong_arguments_are_told_to_the_model_and_nothing_runs() -> None:
    def answer(messages: list[ModelMessage], _: AgentInfo) -> list[str | DeltaToolCalls]:
        return [calls("add", '{"one": "x"}')] if after_a_tool(messages) is None else ["Sorry."]

    thoughts, desk = think(agent_with_tools(), model_of(answer), asked(Heard(ONE, "Add.")))
    done = [thought for thought in thoughts if isinstance(thought, ToolDone)]
    assert [one.failed for one in done] == [True]
    assert desk.worked == []


def test_an_agent_of_pydantic_ai_is_taken_as_it_is() -> None:
    ran: list[str] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> list[str | DeltaToolCalls]:
        assert [tool.name for tool in info.function_tools] == ["look"]
        done = after_a_tool(messages)
        return [calls("look")] if done is None else [done]

    theirs = pydantic_ai.Agent(model_of(answer), deps_type=offhook.Call, instructions="Theirs.")

    @theirs.tool
    async def look(ctx: RunContext[offhook.Call]) -> str:
        """Look."""
        ran.append(type(ctx.deps).__name__)
        return "Seen."

    _ = look
    thoughts, desk = think(Agent(brain=theirs), None, asked(Heard(ONE, "Look.")))
    assert thoughts[-1] == "Seen."
    assert ran == ["Desk"]
    assert desk.worked == ["look"], "as work of the call"


# Confirmation

ARGUMENTS = {"name": "Ada", "people": 2}
JSON = '{"people": 2, "name": "Ada"}'


def confirming(*entries: Any, arguments: str = JSON) -> tuple[list[Thought], Desk]:
    agent = Agent("You book tables.")

    @agent.tool(saying="One moment.", confirm=True)
    async def book(name: str, people: int) -> str:
        """Book a table."""
        return f"Booked for {name}, {people}."

    _ = book

    def answer(messages: list[ModelMessage], _: AgentInfo) -> list[str | DeltaToolCalls]:
        done = after_a_tool(messages)
        return [calls("book", arguments, "c9")] if done is None else [done]

    return think(agent, model_of(answer), asked(*entries))


WAITING = ToolUse(ONE, "c1", "book", ARGUMENTS, f"{NOT_DONE} Read this back …")


def test_a_tool_that_must_be_confirmed_first_asks_for_a_read_back() -> None:
    thoughts, desk = confirming(Heard(ONE, "A table for two, I am Ada."))
    began, done = thoughts[0], thoughts[1]
    assert isinstance(began, ToolBegan)
    assert began.saying == "", "nothing is being done yet"
    assert isinstance(done, ToolDone)
    assert done.result.startswith(NOT_DONE)
    assert "name = Ada" in done.result
    assert desk.worked == []


def test_the_same_arguments_after_a_yes_run_it() -> None:
    thoughts, desk = confirming(Heard(ONE, "A table."), WAITING, Said(ONE, "Two for Ada?"), Heard(TWO, "Yes, please."))
    assert desk.worked == ["book"]
    assert cast(Any, thoughts[0]).saying == "One moment."
    assert cast(Any, thoughts[1]).result == "Booked for Ada, 2."


@pytest.mark.parametrize(
    ("entries", "arguments"),
    [
        ((Heard(ONE, "A table."), WAITING), JSON),
        ((WAITING, Said(ONE, "Two for Ada?"), Heard(TWO, "No, for three.")), JSON),
        ((WAITING, Said(ONE, "Two for Ada?"), Heard(TWO, "Yes.")), '{"name": "Ada", "people": 3}'),
        ((ToolUse(ONE, "c1", "book", ARGUMENTS, "Booked."), Heard(TWO, "Yes.")), JSON),
    ],
    ids=["in the same turn", "after a no", "with other arguments", "for another booking"],
)
def test_anything_else_asks_again(entries: tuple[Any, ...], arguments: str) -> None:
    _, desk = confirming(*entries, arguments=arguments)
    assert desk.worked == []


# What is wrong is said at start


def test_a_mind_is_made_once() -> None:
    minds, agent = Minds(model_of(lambda *_: ["Hello."])), Agent("x")
    assert minds(agent) is minds(agent)
    assert minds(agent) is not minds(Agent("x"))


@pytest.mark.parametrize(
    ("llm", "says"),
    [(None, "configure one"), ("nobody:nothing", "nobody:nothing"), ("gpt", "gpt"), ("openai:gpt-5", "OPENAI_API_KEY")],
)
def test_a_model_that_can_not_be_is_said_at_once(llm: str | None, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=says):
        Minds(llm)(Agent("x"))


def test_what_is_no_brain_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="not object"):
        Minds()(Agent("x", brain=object()))


def test_a_tool_whose_types_no_model_can_be_told_of_is_named() -> None:
    agent = Agent("x")

    @agent.tool
    def book(at: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
        return at

    with pytest.raises(ConfigError, match=r"the tool book: the types of its arguments can't be read: .*Nowhere"):
        Minds(model_of(lambda *_: ["Hello."]))(agent)


def test_an_address_where_nobody_answers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        with pytest.raises(ConfigError, match="no answer"):
            asyncio.run(Minds("openai-chat:some-model").check(Agent("x")))


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [(401, "invalid_api_key", "key was refused"), (404, "model_not_found", "no such model")],
)
def test_what_a_server_refuses_is_said(status: int, code: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"error": {"message": "no", "type": "invalid_request_error", "code": code}}).encode()
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
            await Minds("openai-chat:some-model").check(Agent("x"))

    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with pytest.raises(ConfigError, match=says):
        asyncio.run(main())


def test_a_model_that_breaks_is_a_provider_that_failed() -> None:
    def answer(_: list[ModelMessage], __: AgentInfo) -> list[str | DeltaToolCalls]:
        raise pydantic_ai.exceptions.UnexpectedModelBehavior("broken")

    with pytest.raises(ProviderError, match="broken"):
        think(Agent("x"), model_of(answer), asked(Heard(ONE, "Hello.")))


def test_a_model_in_this_process_is_not_asked_at_start() -> None:
    asyncio.run(Minds(model_of(lambda *_: pytest.fail("asked"))).check(Agent("x")))


def test_the_offline_brain_takes_a_turn_before_a_caller_waits_for_it() -> None:
    encoded: list[str] = []
    used: list[str] = []

    class Vectors:
        async def encode(self, texts: Sequence[str]) -> dict[str, Any]:
            encoded.extend(texts)
            return {}

    agent = Agent("We are open from five to eleven.")

    @agent.tool
    def book(people: int) -> str:
        """Book a table."""
        used.append("book")
        return "Booked."

    asyncio.run(Minds(offline_model(Vectors())).check(agent))
    assert any("five to eleven" in text for text in encoded), "what it may say is known by meaning already"
    assert used == [], "and nothing was done"
