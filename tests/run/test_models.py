"""What is wrong with models is said before anything is loaded for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Agent, Call
from offhook.core.errors import ConfigError, ModelError, OffhookError, ProviderError
from offhook.providers import local
from offhook.run.config import Models
from offhook.run.models import load_models
from offhook.testing.fake_openai import FakeOpenAi


@pytest.fixture(autouse=True)
def _nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(**_: Any) -> None:
        raise AssertionError("the local models were loaded first")

    monkeypatch.setattr(local, "load", load)


async def take(names: Models, *agents: Any) -> Any:
    async with load_models(names, agents, lambda line: None) as (models, _):
        return models


def refused(names: Models, agent: Any) -> OffhookError:
    with pytest.raises(OffhookError) as error:
        asyncio.run(take(names, agent))
    assert "\n" not in str(error.value)
    return error.value


def test_a_name_that_nobody_knows_is_refused() -> None:
    for names in (Models(llm="gpt-x"), Models(stt="deepgram:x"), Models(tts="robot")):
        assert isinstance(refused(names, Agent("x")), ConfigError)


def test_a_dead_url_is_refused() -> None:
    async def dead_url() -> str:
        async with FakeOpenAi() as server:
            return server.url

    assert isinstance(refused(Models(stt=f"{asyncio.run(dead_url())}#fake-stt"), Agent("x")), ProviderError)


def test_a_wrong_key_is_refused() -> None:
    async def main() -> None:
        async with FakeOpenAi() as server:
            names = Models.model_validate({"tts": f"{server.url}#fake-tts", "key": "wrong"})
            with pytest.raises(ModelError, match=r"refuses the key \(401\)"):
                await take(names, Agent("x"))

    asyncio.run(main())


def test_a_language_that_the_recogniser_does_not_hear_is_refused() -> None:
    assert "hears English only" in str(refused(Models(), Agent("x", language="de")))


def test_the_last_words_of_an_agent_and_of_a_script_are_rendered_in_the_configured_voice() -> None:
    async def script(call: Call) -> None: ...

    async def main() -> None:
        async with FakeOpenAi() as server:
            by_url = {role: f"{server.url}#fake-{role}" for role in ("llm", "stt", "tts")}
            names = Models.model_validate({**by_url, "key": server.key, "voice": "nova"})
            agent = Agent("x", greeting="Hello!", voice="echo")
            models = await take(names, script, agent)
            assert agent.manners.apology in models.rendered
            assert "Hello!" in models.rendered
            voices = {
                asked.fields["input"]: asked.fields["voice"] for asked in server.requests if "input" in asked.fields
            }
        assert voices[agent.manners.apology] == "nova"
        assert voices["Hello!"] == "echo", "the agent wins"

    asyncio.run(main())
