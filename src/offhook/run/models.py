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

    for agent in agents:
        if names.stt == "local" and isinstance(agent, Agent) and agent.language.split("-")[0].lower() != "en":
            raise ConfigError(
                f"an agent speaks {agent.language!r}, and the embedded recogniser hears English only: "
                "configure another ([models] stt)"
            )
    key = names.key.get_secret_value() if names.key is not None else None
    async with AsyncExitStack() as stack:
        # First what is made by name and asked by URL: that may be wrong, and loading ours takes seconds.
        llm: Any = None if names.llm == "local" else registry.llm(names.llm, key)
        ear = None if names.stt == "local" else registry.stt(names.stt, key)
        voice = None if names.tts == "local" else registry.tts(names.tts, key)
        if llm is not None and llm.system == "openai":
            stack.push_async_callback(llm.client.close)
        for provider in (ear, voice):
            if provider is not None:
                stack.push_async_callback(provider.close)
                await provider.check()
        carried: int | None = None
        ours: Any = None
        if "local" in (names.llm, names.stt, names.tts):
            ours = await stack.enter_async_context(await local.load(progress=say))
            carried = ours.max_calls
            say(ours.warmup.describe())
        mind = Minds(llm or ours.model)
        models = Models(brain=mind, stt=ear or ours.stt, tts=voice or ours.tts, voice=names.voice)
        for agent in agents:
            if isinstance(agent, Agent):
                await mind.check(agent)
            models = await models.prepared(agent if isinstance(agent, Agent) else None)
        yield models, carried
