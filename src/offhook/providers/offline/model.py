"""The offline brain as a model of Pydantic AI: it gets the history and the tools, and streams text or a tool call.

    messages ─► the caller's turns, our words, tools called and their results ─► Dialogue ─► text │ tool call

It is a model like any other: its agent, its tools and its history are what they are with a large one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from offhook.providers.offline.dialogue import Act, Dialogue, Do, Ranking, Say, Tool
from offhook.providers.offline.meaning import Candidate, Meant, Vectors, candidates, rank, texts_of
from offhook.providers.offline.slots import slots_of

_KEYS = re.compile(r"\[The caller pressed ([^\]]*)\]")
_SILENCE = re.compile(r"\(The caller says nothing[^)]*\)")

SILENCE = " "
"""What to say when nothing is to be said: Pydantic AI takes a response without any text for a failure."""


class Encoder(Protocol):
    """Gives texts their vectors: `minilm.MiniLm`. Without one, shared words decide alone."""

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Give the vector of each text."""
        ...


def offline_model(encoder: Encoder | None) -> FunctionModel:
    """Make the model. `encoder` should be started; None does with shared words."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        act = await decide(messages, info, encoder)
        match act:
            case None:
                yield SILENCE
            case Say(text):
                yield text
            case Do(tool, arguments, first):
                if first:
                    yield first
                call = DeltaToolCall(tool, json.dumps(arguments), tool_call_id=f"offline-{len(messages)}")
                yield {0: call}

    async def whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        act = await decide(messages, info, encoder)
        parts: list[ModelResponsePart] = []
        match act:
            case None:
                parts.append(TextPart(SILENCE))
            case Say(text):
                parts.append(TextPart(text))
            case Do(tool, arguments, first):
                parts += [TextPart(first)] if first else []
                parts.append(ToolCallPart(tool, arguments, tool_call_id=f"offline-{len(messages)}"))
        return ModelResponse(parts=parts)

    return OfflineModel(whole, stream_function=stream, model_name="offline")


class OfflineModel(FunctionModel):
    """A model that is a function of the history and the tools; nothing is sent anywhere."""

    @property
    def system(self) -> str:
        """`offline`: told apart from a language model by what it need not be told."""
        return "offline"


async def decide(messages: Sequence[ModelMessage], info: AgentInfo, encoder: Encoder | None) -> Act | None:
    """Give what follows from the whole history; None where nothing is to be said."""
    tools = [
        Tool(tool.name, _does(tool.description, tool.name), slots_of(tool.parameters_json_schema))
        for tool in info.function_tools
    ]
    described = [(tool.name, tool.description or "") for tool in info.function_tools]
    known = candidates(_instructions(messages, info), described)
    turns = [text for message in messages for text in _caller_words(message)]
    vectors: Vectors = {} if encoder is None else await encoder.encode([*texts_of(known), *turns])
    return _replay(messages, Dialogue({tool.name: tool for tool in tools}, _ranking(known, vectors)))


def _ranking(known: Sequence[Candidate], vectors: Vectors) -> Ranking:
    ranked: dict[str, list[Meant]] = {}

    def order(said: str) -> list[Meant]:
        if said not in ranked:
            ranked[said] = rank(said, known, vectors)
        return ranked[said]

    return order


def _replay(messages: Sequence[ModelMessage], dialogue: Dialogue) -> Act | None:
    act: Act | None = None
    for message in messages:
        if isinstance(message, ModelRequest):
            # Neighbours are one turn, as they are when they come last: the same words must always mean the same.
            if heard := [_text(part) for part in message.parts if isinstance(part, UserPromptPart)]:
                act = _turn("\n".join(heard), dialogue)
            for part in message.parts:
                match part:
                    case ToolReturnPart():
                        failed = part.outcome not in ("success", "interrupted")
                        told = part.content if isinstance(part.content, str) else part.model_response_str()
                        act = dialogue.done(part.tool_name, told, failed=failed)
                    case _:
                        pass
        else:
            for part in message.parts:
                match part:
                    case TextPart():
                        dialogue.said(part.content)
                    case ToolCallPart():
                        dialogue.called(part.tool_name, part.args_as_dict())
                    case _:
                        pass
    return act


def _turn(text: str, dialogue: Dialogue) -> Act | None:
    """Hear a turn: keys and silence are told in brackets, as a language model reads them."""
    keys = "".join(re.findall(r"[\d*#]", " ".join(_KEYS.findall(text))))
    words = _spoken(text)
    act = dialogue.press(keys) if keys else None
    if words or not keys:
        act = dialogue.hear(words)
    return act


def _spoken(text: str) -> str:
    """What of a turn was spoken."""
    return _SILENCE.sub("", _KEYS.sub("", text)).strip()


def _caller_words(message: ModelMessage) -> list[str]:
    """The caller's turn of a message as `_replay` hears it, [] where it has none."""
    heard = _spoken("\n".join(_text(part) for part in message.parts if isinstance(part, UserPromptPart)))
    return [heard] if heard else []


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return " ".join(piece for piece in part.content if isinstance(piece, str))


def _instructions(messages: Sequence[ModelMessage], info: AgentInfo) -> str:
    system = [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, SystemPromptPart)
    ]
    return "\n".join([info.instructions or "", *system])


def _does(description: str | None, name: str) -> str:
    """What a tool does, in a few words that follow "I can": its first sentence if short, else its name."""
    first = (description or "").split("\n")[0].split(".")[0].strip()
    short = first if 0 < len(first.split()) <= 8 else name.replace("_", " ")
    return short[:1].lower() + short[1:]
