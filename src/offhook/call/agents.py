"""What an agent is: instructions, a greeting, a voice, tools. Plain data; no model in it, so it is cheap to import.

    @agent.tool
    async def human(call: Call) -> None: …        an argument typed Call is injected; the model never sees it

Tools are kept as they are; whoever gives the agent a mind makes their schemas.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from offhook.agent.manners import Manners
from offhook.call.ambience import Ambience
from offhook.core.errors import ConfigError

if TYPE_CHECKING:
    from offhook.call.call import Call

_F = TypeVar("_F", bound=Callable[..., Any])

NOT_DONE = "Not done yet."
"""How the answer to a tool begins that waits for the caller's yes."""


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool of an agent. `saying` is spoken while it runs; `confirm`: only after the caller agreed to a read-back."""

    function: Callable[..., Any]
    name: str
    saying: str = ""
    confirm: bool = False


class Agent:
    """A voice agent.

    `instructions` say who it is and how it behaves, `greeting` is what it says first ("" waits for the caller),
    `voice` is a name that the voice knows, `language` a BCP 47 tag, `manners` are its waiting times and stock phrases.
    An inbound call rings for `ring_s` seconds before it is taken. A fax machine is hung up on, or handed to the number
    or address in `fax` ("": it is talked to). `ambience` goes round under the call.
    With `gain_control` the models hear a quiet caller louder, by 20 dB at most; the recording has them as they were.
    `brain` is a Pydantic AI agent with `deps_type=offhook.Call`, or a model name as in Pydantic AI; without, the
    configured model thinks.
    """

    def __init__(
        self,
        instructions: str = "",
        *,
        greeting: str = "",
        voice: str | None = None,
        brain: Any = None,
        manners: Manners | None = None,
        language: str = "en",
        name: str = "agent",
        ring_s: float = 0.0,
        fax: str = "hangup",
        ambience: Ambience | None = None,
        gain_control: bool = False,
    ) -> None:
        self.instructions = instructions
        self.greeting = greeting
        self.voice = voice
        self.brain = brain
        self.manners = manners or Manners()
        self.language = language
        self.name = name
        self.ring_s = ring_s
        self.fax = fax
        self.ambience = ambience
        self.gain_control = gain_control
        self.tools: dict[str, AgentTool] = {}

    @overload
    def tool(self, function: _F) -> _F: ...
    @overload
    def tool(self, *, saying: str = "", confirm: bool = False, name: str = "") -> Callable[[_F], _F]: ...
    def tool(
        self, function: _F | None = None, *, saying: str = "", confirm: bool = False, name: str = ""
    ) -> _F | Callable[[_F], _F]:
        """Make a function a tool: its name, docstring and typed arguments are what the model reads.

        `saying` is spoken while it runs; with `confirm` the model must read the arguments back and the caller agree.
        A plain function runs in a thread. ConfigError if the name is taken.
        """

        def take(function: _F) -> _F:
            called = name or function.__name__
            if called in self.tools:
                raise ConfigError(f"the agent has two tools named {called!r}: rename one of them")
            self.tools[called] = AgentTool(function, called, saying, confirm)
            return function

        return take if function is None else take(function)

    def __repr__(self) -> str:
        return f"Agent({self.instructions[:40]!r}, tools={list(self.tools)})"


AgentFunction = Callable[["Call"], Awaitable[object]]
"""The other door: a coroutine function that runs the call by its verbs, no model needed."""

AgentLike = Agent | AgentFunction
"""Either door."""

_ANSWERS = "answers_itself"


def answers(script: _F) -> _F:
    """Mark a script that takes the call before it is answered: it rings, plays, answers or rejects by itself.

    Where it ends without an answer, the caller is told that nobody is there (480).
    """
    setattr(script, _ANSWERS, True)
    return script


def answers_itself(script: AgentFunction) -> bool:
    """Say whether a script is marked by `answers`."""
    return bool(getattr(script, _ANSWERS, False))
