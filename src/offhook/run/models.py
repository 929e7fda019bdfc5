"""The models of a process, made from what the configuration names; checked before the first call needs them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from offhook.call import Agent, Models
from offhook.core.errors import ConfigError
from offhook.run import config as configuration
from offhook.run.host import AgentLike


@asynccontextmanager
async def load_models(
    names: configuration.Models, agents: Sequence[AgentLike], say: Callable[[str], None]
) -> AsyncGenerator[tuple[Models, int | None]]:
    """Load and check the models that `agents` need; give them and how many calls they carry (None: no bound of ours).

    ConfigError for a name that nobody knows, ModelError for a file that does not load, ProviderError for a service that
    does not answer.
    """
    from offhook.providers import local, registry
    from offhook.providers.brain import Minds

    key = names.key.get_secret_value() if names.key is not None else None
    llm, stt, tts = (_first(choice) for choice in (names.llm, names.stt, names.tts))
    async with AsyncExitStack() as stack:
        carried: int | None = None
        ours: Any = None
        if "local" in (llm, stt, tts):
            ours = await stack.enter_async_context(await local.load(progress=say))
            carried = ours.max_calls
            say(ours.warmup.describe())
        ear = ours.stt if stt == "local" else registry.stt(stt, key)
        voice = ours.tts if tts == "local" else registry.tts(tts, key)
        mind = Minds(ours.model if llm == "local" else registry.llm(llm, key))
        for provider in (ear, voice):
            if hasattr(provider, "close"):
                stack.push_async_callback(provider.close)
            await provider.check()
        models = Models(brain=mind, stt=ear, tts=voice)
        for agent in agents:
            if isinstance(agent, Agent):
                await mind.check(agent)
                models = await models.prepared(agent)
        yield models, carried


def _first(choice: configuration.Choice) -> str:
    """Give the one model of a choice: failover needs more than one provider to be worth its name."""
    if choice is None:
        return "local"
    if isinstance(choice, str):
        return choice
    if len(choice) != 1:
        raise ConfigError("models: a list of several (failover) is not in this version; name one")
    return choice[0]
