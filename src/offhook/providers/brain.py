"""The mind of an agent: a Pydantic AI agent, built once and asked turn by turn.

    History ─► messages ─► Agent.iter ─┬─ text deltas ──────────────► str
                                       ├─ tool call ─► ToolBegan ─► Call.work(tool) ─► ToolDone
                                       └─ …until the model is done with text and tools

Laws: the model's history is ours, made anew from what was really heard, each tool call with its return; a tool is
started only when the turn is committed, as work of the call, and goes on when the caller interrupts; a tool's error is
its result, as the model reads it. `Agent.iter` drives the run step by step, so that every tool of every step runs.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, cast, get_origin, get_type_hints
from weakref import WeakKeyDictionary

import pydantic_ai
from pydantic.errors import PydanticUserError
from pydantic_ai import RunContext, Tool
from pydantic_ai import messages as said
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ToolFailed,
    UserError,
)
from pydantic_ai.models import Model, infer_model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import FunctionToolset

from offhook.agent.history import Heard, History, Keys, Said, ToolUse
from offhook.agent.words import lexicon, says_no
from offhook.call.agents import NOT_DONE, Agent, AgentTool
from offhook.call.call import Call
from offhook.call.outcome import as_text
from offhook.call.protocols import Thought, ToolBegan, ToolDone
from offhook.core.errors import ConfigError, ProviderError

ON_THE_PHONE = (
    "You are on a telephone call. Your words are spoken aloud: answer in one or two short plain sentences, "
    "with no lists, markup or emoji, and say numbers as a person would."
)
"""What a language model is told besides the author's instructions."""

SAYS_NOTHING = "(The caller says nothing.)"
"""The prompt of a turn that has no words."""

STILL_RUNNING = "Still running."
"""The return of a tool call that has none yet."""

CHECK_S = 15.0
"""A model that says nothing for so long at start does not answer."""

_OFFLINE = "offline"


class Minds:
    """Gives each agent its mind. `llm` is what thinks for an agent that names no model of its own."""

    def __init__(self, llm: Model | str | None = None) -> None:
        self.llm = llm
        self._known: WeakKeyDictionary[Agent, PydanticBrain] = WeakKeyDictionary()

    def __call__(self, agent: Agent) -> PydanticBrain:
        """Give the mind of an agent, the same each time. ConfigError if it can't be made."""
        brain = self._known.get(agent)
        if brain is None:
            brain = self._known[agent] = PydanticBrain(agent, self.llm)
        return brain

    async def check(self, agent: Agent) -> None:
        """Say what is wrong with an agent's mind before a call needs it: ConfigError or ProviderError."""
        await self(agent).check()


class PydanticBrain:
    """A Pydantic AI agent as a Brain."""

    def __init__(self, agent: Agent, llm: Model | str | None = None) -> None:
        mind = cast(object, agent.brain)
        self._tools = dict(agent.tools)
        if not isinstance(mind, pydantic_ai.Agent):
            self._tools.setdefault("hang_up", AgentTool(hang_up, "hang_up"))
        self._language = lexicon(agent.language)
        tools = [_checked(tool) for tool in self._tools.values()]
        capability = _OfACall(self)
        if isinstance(mind, pydantic_ai.Agent):
            theirs = cast("pydantic_ai.Agent[Call, Any]", mind)
            self.model = _model(theirs.model if theirs.model is not None else llm)
            self._agent = theirs
            self._extras: dict[str, Any] = {"capabilities": [capability], "model": self.model}
            if tools:
                self._extras["toolsets"] = [FunctionToolset(tools)]
        else:
            self.model = _model(mind if mind is not None else llm)
            instructions = [agent.instructions] if agent.instructions else []
            if self.model.system != _OFFLINE:
                instructions.append(ON_THE_PHONE)
            self._agent = pydantic_ai.Agent(
                self.model,
                deps_type=Call,
                instructions=instructions,
                tools=tools,
                capabilities=[capability],
                name=agent.name,
            )
            self._extras = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.model_name

    async def check(self) -> None:
        """Ask the model for a word, unless it runs in this process. ConfigError with the fix."""
        model = self.model
        if model.system == _OFFLINE:
            await self._rehearse()
        if model.base_url is None:
            return
        try:
            async with asyncio.timeout(CHECK_S):
                await model_request(
                    model,
                    [said.ModelRequest(parts=[said.UserPromptPart("Say yes.")])],
                    model_settings=ModelSettings(max_tokens=16),
                )
        except ModelAuthenticationError as error:
            raise ConfigError(f"{self.name}: the key was refused; check the provider's API key") from error
        except ModelNotFoundError as error:
            raise ConfigError(f"{self.name}: {model.base_url} knows no such model; check its name") from error
        except (ModelConnectionError, TimeoutError) as error:
            raise ConfigError(f"{self.name}: no answer from {model.base_url}; check the address") from error
        except AgentRunError as error:
            raise ProviderError(f"{self.name}: {error}") from error

    async def _rehearse(self) -> None:
        """Take a turn without words, so that no caller waits for what is only done the first time."""
        if self._extras:
            return  # the instructions of an author's own agent may ask for a call, and there is none
        async with self._agent.iter(SAYS_NOTHING, deps=cast(Call, None)) as run:
            async for node in run:
                if pydantic_ai.Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            pass

    async def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Answer the last words in the history. ProviderError when the model fails."""
        prompt, messages = as_messages(history)
        try:
            async with self._agent.iter(prompt, deps=call, message_history=messages, **self._extras) as run:
                async for node in run:
                    if pydantic_ai.Agent.is_model_request_node(node):
                        async with node.stream(run.ctx) as stream:
                            async for event in stream:
                                text = _text_of(event)
                                if text:
                                    yield text
                    elif pydantic_ai.Agent.is_call_tools_node(node):
                        async with node.stream(run.ctx) as steps:
                            async for step in steps:
                                if isinstance(step, said.FunctionToolCallEvent):
                                    yield self._began(step.part, history)
                                elif isinstance(step, said.FunctionToolResultEvent):
                                    yield _done(step.part)
        except (AgentRunError, UserError) as error:
            raise ProviderError(f"{self.name}: {error}") from error

    def _began(self, part: said.ToolCallPart, history: History) -> ToolBegan:
        arguments = part.args_as_dict()
        tool = self._tools.get(part.tool_name)
        saying = tool.saying if tool is not None else ""
        if tool is not None and tool.confirm and not self.confirmed(history, tool.name, arguments):
            saying = ""
        return ToolBegan(part.tool_name, arguments, part.tool_call_id, saying)

    def needs_yes(self, name: str) -> bool:
        """Say whether a tool waits for the caller's yes."""
        tool = self._tools.get(name)
        return tool is not None and tool.confirm

    def confirmed(self, history: History, name: str, arguments: Mapping[str, Any]) -> bool:
        """Say whether the caller was asked about these very arguments, has spoken since, and did not say no."""
        asked = False
        answer = ""
        for entry in history:
            match entry:
                case ToolUse() if entry.name == name:
                    waits = entry.result is not None and entry.result.startswith(NOT_DONE)
                    asked = waits and _plain(entry.arguments) == _plain(arguments)
                    answer = ""
                case Heard():
                    answer = entry.text
                case Keys():
                    answer = entry.keys
                case _:
                    pass
        return asked and bool(answer) and not says_no(answer, self._language)


class _OfACall(AbstractCapability[Call]):
    """Makes tools the work of the call, whoever registered them."""

    def __init__(self, brain: PydanticBrain) -> None:
        self._brain = brain

    async def wrap_tool_execute(
        self, ctx: RunContext[Call], *, call: said.ToolCallPart, tool_def: ToolDefinition, args: Any, handler: Any
    ) -> Any:
        arguments = call.args_as_dict()
        brain = self._brain
        if brain.needs_yes(call.tool_name) and not brain.confirmed(ctx.deps.history, call.tool_name, arguments):
            return ask_first(call.tool_name, arguments)
        return await ctx.deps.work(call.tool_name, call.tool_call_id, arguments, partial(handler, args))

    async def on_tool_execute_error(
        self,
        ctx: RunContext[Call],
        *,
        call: said.ToolCallPart,
        tool_def: ToolDefinition,
        args: Any,
        error: Exception,
    ) -> Any:
        raise ToolFailed(as_text(error)) from error


async def hang_up(call: Call) -> None:
    """End the call. Say goodbye first, and only when the caller said goodbye or wants nothing more."""
    await call.hangup()


def ask_first(name: str, arguments: Mapping[str, Any]) -> str:
    """Give the answer to the first call of a tool that must be confirmed."""
    details = ", ".join(f"{key} = {value}" for key, value in arguments.items()) or "no details"
    return (
        f"{NOT_DONE} Read this back to the caller and ask whether it is right: {details}. "
        f"When the caller agrees, call {name} again with exactly these arguments."
    )


def as_messages(history: History) -> tuple[str | None, list[said.ModelMessage]]:
    """Give a history as a prompt (the caller's latest words, None if something else is last) and what went before.

    Neighbours of one side become one message, and every tool call is followed by its return.
    """
    messages: list[said.ModelMessage] = []
    prompt: list[str] = []

    def request(part: said.UserPromptPart | said.ToolReturnPart) -> None:
        last = messages[-1] if messages else None
        if isinstance(last, said.ModelRequest):
            last.parts = [*last.parts, part]
        else:
            messages.append(said.ModelRequest(parts=[part]))

    def response(part: said.TextPart | said.ToolCallPart) -> None:
        last = messages[-1] if messages else None
        if isinstance(last, said.ModelResponse):
            last.parts = [*last.parts, part]
        else:
            messages.append(said.ModelResponse(parts=[part]))

    entries = history.entries
    end = len(entries)
    while end and isinstance(entries[end - 1], Heard | Keys):
        end -= 1
    for entry in entries[:end]:
        match entry:
            case Said():
                response(said.TextPart(entry.text if entry.whole else f"{entry.text} …"))
            case Heard():
                request(said.UserPromptPart(entry.text))
            case Keys():
                request(said.UserPromptPart(_keys(entry.keys)))
            case ToolUse():
                response(said.ToolCallPart(entry.name, dict(entry.arguments), entry.call_id))
                request(
                    said.ToolReturnPart(
                        entry.name,
                        STILL_RUNNING if entry.result is None else entry.result,
                        entry.call_id,
                        outcome="failed" if entry.failed else "success",
                    )
                )
    for entry in entries[end:]:
        if isinstance(entry, Heard):
            prompt.append(entry.text)
        elif isinstance(entry, Keys):
            prompt.append(_keys(entry.keys))
    if prompt:
        return "\n".join(prompt), messages
    if messages and isinstance(messages[-1], said.ModelRequest):
        return None, messages
    return SAYS_NOTHING, messages


def _keys(keys: str) -> str:
    return f"[The caller pressed {' '.join(keys)} on the keypad.]"


def _text_of(event: object) -> str:
    if isinstance(event, said.PartDeltaEvent):
        return event.delta.content_delta if isinstance(event.delta, said.TextPartDelta) else ""
    if isinstance(event, said.PartStartEvent):
        return event.part.content if isinstance(event.part, said.TextPart) else ""
    return ""


def _done(part: said.ToolReturnPart) -> ToolDone:
    return ToolDone(part.tool_name, part.tool_call_id, as_text(part.content), failed=part.outcome != "success")


def _plain(arguments: Mapping[str, Any]) -> str:
    return json.dumps(dict(arguments), sort_keys=True, default=str).casefold()


def _model(named: object) -> Model:
    if named is None:
        raise ConfigError("this agent needs a model to think with: configure one ([models] llm)")
    if not isinstance(named, Model | str):
        raise ConfigError(f"a brain is a Pydantic AI agent, a model or the name of one, not {type(named).__name__}")
    try:
        return infer_model(cast("Model | str", named))
    except UserError as error:
        raise ConfigError(f"model {named}: {error}") from error
    except ImportError as error:
        raise ConfigError(f"model {named}: its package is not installed ({error})") from error


def _checked(tool: AgentTool) -> Tool[Call]:
    """Do `_tool`. ConfigError for a function whose arguments have types that no model can be told of."""
    try:
        return _tool(tool)
    except (NameError, TypeError, UserError, PydanticUserError) as error:
        told = str(error).partition("\n")[0]
        raise ConfigError(f"the tool {tool.name}: the types of its arguments can't be read: {told}") from error


def _tool(tool: AgentTool) -> Tool[Call]:
    """Make a Pydantic AI tool of an author's function: arguments typed Call (or RunContext) are filled in by us."""
    function = tool.function
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    calls = [name for name in parameters if hints.get(name) is Call]
    contexts = [
        name for name in parameters if hints.get(name) is RunContext or get_origin(hints.get(name)) is RunContext
    ]
    asynchronous = inspect.iscoroutinefunction(function)

    async def run(ctx: RunContext[Call], **arguments: Any) -> Any:
        for name in calls:
            arguments[name] = ctx.deps
        for name in contexts:
            arguments[name] = ctx
        if asynchronous:
            return await function(**arguments)
        context = copy_context()
        work = partial(context.run, partial(function, **arguments))
        return await asyncio.get_running_loop().run_in_executor(None, work)

    seen = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in parameters.items()
        if name not in calls and name not in contexts
    ]
    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_ONLY, annotation=RunContext[Call])
    run.__signature__ = inspect.Signature([first, *seen])  # type: ignore[attr-defined]
    run.__annotations__ = {**{one.name: hints.get(one.name, Any) for one in seen}, "ctx": RunContext[Call]}
    run.__name__ = tool.name
    run.__qualname__ = function.__qualname__
    run.__module__ = function.__module__
    run.__doc__ = function.__doc__
    return Tool(
        run,
        takes_ctx=True,
        name=tool.name,
        metadata={"confirm": tool.confirm, "saying": tool.saying},
    )
