"""An agent as AWS Lambda functions, for Amazon Connect, Lex V2 and the Chime SDK; and the way back into a Connect flow.

    from offhook.amazon import Functions
    from app import agent

    functions = Functions(agent, llm="openai:…")
    lex = functions.lex                        # the handler of a Lex V2 code hook: app.lex
    connect_lambda = functions.connect_lambda  # of an Invoke-Lambda block of a Connect flow
    sma = functions.sma                        # of a Chime SDK SIP media application

boto3 is not needed: where AWS is asked for something (`finish`, `place`), the client is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from offhook.call import Models
from offhook.call.agents import AgentLike
from offhook.carriers.amazon import Bridge, Desk, finish, place
from offhook.carriers.services.amazon.chime import Speech
from offhook.carriers.services.amazon.connect import Contact, contact_of

__all__ = ["Bridge", "Contact", "Desk", "Functions", "Speech", "contact_of", "finish", "place"]

_T = TypeVar("_T")


class Functions:
    """The handlers of one agent. Calls that go on are kept between invocations, and in the session's attributes.

    `llm` thinks for an agent that names no model of its own, as in Pydantic AI. More settings are those of
    `carriers.amazon.Desk`. Each handler takes (event, context) and raises nothing for whatever event.
    """

    def __init__(self, agent: AgentLike, *, llm: Any = None, models: Models | None = None, **settings: Any) -> None:
        if models is None:
            from offhook.providers.brain import Minds

            models = Models(brain=Minds(llm))
        self._desk = Desk(agent, models=models, **settings)
        self._runner = asyncio.Runner()

    def connect_lambda(self, event: object, context: object = None) -> dict[str, str]:
        """Answer an Invoke-Lambda block of a Connect flow."""
        return self._run(self._desk.connect(event))

    def lex(self, event: object, context: object = None) -> dict[str, object]:
        """Answer a code hook of a Lex V2 bot."""
        return self._run(self._desk.lex(event))

    def sma(self, event: object, context: object = None) -> dict[str, object]:
        """Answer a SIP media application of the Chime SDK."""
        return self._run(self._desk.sma(event))

    def close(self) -> None:
        """End all calls."""
        self._run(self._desk.close())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)
