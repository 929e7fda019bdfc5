"""The ear, the voice and the mind that a call is given, and the words that must not fail.

The last resort is rendered at start: the voice may be what dies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from offhook.agent.manners import Manners
from offhook.call.agents import Agent

if TYPE_CHECKING:
    from offhook.call.protocols import Brain, Speech, Stt, Tts


@dataclass(frozen=True, slots=True)
class Models:
    """What carries an agent. `brain` gives the mind of an agent (`providers.brain.Minds`); any may be missing.

    `voice` is how an agent sounds that does not say. `rendered` holds the audio of stock phrases.
    """

    brain: Callable[[Agent], Brain] | None = None
    stt: Stt | None = None
    tts: Tts | None = None
    voice: str | None = None
    rendered: Mapping[str, tuple[Speech, ...]] = field(default_factory=dict[str, "tuple[Speech, ...]"])

    async def prepared(self, agent: Agent | None = None) -> Models:
        """Give the same with an agent's stock phrases rendered in its voice. ProviderError or ModelError."""
        if self.tts is None:
            return self
        manners = agent.manners if agent else Manners()
        texts = [*manners.phrases(), *([agent.greeting] if agent and agent.greeting else [])]
        rendered = dict(self.rendered)
        for text in texts:
            if text not in rendered:
                voice = (agent.voice if agent else None) or self.voice
                rendered[text] = tuple([piece async for piece in self.tts.speak(_one(text), voice=voice)])
        return replace(self, rendered=rendered)


async def _one(text: str) -> AsyncIterator[str]:
    yield text
