"""The providers by URL, against a server that is a fake but speaks real HTTP on a real socket."""

from __future__ import annotations

import asyncio
import io
import math
import wave
from collections.abc import Coroutine
from typing import Any

import pytest
from pydantic_ai import Agent

from offhook.core.errors import ConfigError, ModelError, ProviderError
from offhook.providers import Pause, registry
from offhook.providers.openai import OpenAiStt, OpenAiTts, check_chat_model, client
from offhook.testing.fake_openai import FakeOpenAi

from . import conformance

BEEP = b"".join(round(9000 * math.sin(n / 3)).to_bytes(2, "little", signed=True) for n in range(4000))


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def beeps(wav: bytes) -> str:
    """Say "beep" for each BEEP in a WAV file of 8 kHz mono."""
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return " ".join(["beep"] * file.readframes(file.getnframes()).count(BEEP))


def test_stt_conforms() -> None:
    async def main() -> None:
        async with FakeOpenAi(heard=beeps) as server:
            stt = OpenAiStt(client(server.url, server.key), "fake-stt")
            await conformance.check_stt(stt, BEEP, "beep")
            await stt.close()

    run(main())


def test_tts_conforms() -> None:
    async def main() -> None:
        async with FakeOpenAi() as server:
            tts = OpenAiTts(client(server.url, server.key), "fake-tts")
            await conformance.check_tts(tts)
            await tts.close()

    run(main())


def test_tts_keeps_samples_whole_whatever_the_network_cuts() -> None:
    def ramp(text: str) -> bytes:
        return b"".join(n.to_bytes(2, "little") for n in range(30000))

    async def main() -> None:
        async with FakeOpenAi(says=ramp) as server:
            tts = OpenAiTts(client(server.url, server.key), "fake-tts")
            speech = await conformance.spoken(tts, "Go.")
            assert b"".join(piece.pcm for piece in speech) == ramp("")
            assert server.requests[-1].fields["response_format"] == "pcm"
            await tts.close()

    run(main())


def test_a_language_model_answers() -> None:
    async def main() -> None:
        async with FakeOpenAi(answers=lambda messages: f"You said {messages[-1]['content']}.") as server:
            model = registry.llm(f"{server.url}#fake-llm", server.key)
            await check_chat_model(model)  # type: ignore[arg-type]
            async with Agent(model).run_stream("hello") as result:
                assert [piece async for piece in result.stream_text(delta=True, debounce_by=None)][-1] == " hello."
            await model.client.close()  # type: ignore[attr-defined]

    run(main())


@pytest.mark.parametrize("role", ["stt", "tts"])
@pytest.mark.parametrize(
    ("model", "key", "error", "says"),
    [
        ("nobody", None, ModelError, "has no model 'nobody'; it has fake-llm, fake-stt, fake-tts"),
        ("fake-stt", "wrong", ModelError, r"refuses the key \(401\): set models.key"),
        ("fake-stt", "", ModelError, r"refuses the key \(401\)"),
    ],
)
def test_a_check_says_in_one_line_what_is_wrong(
    role: str, model: str, key: str | None, error: type[Exception], says: str
) -> None:
    async def main() -> None:
        async with FakeOpenAi() as server:
            make = registry.stt if role == "stt" else registry.tts
            provider: Any = make(f"{server.url}#{model}", server.key if key is None else key)
            with pytest.raises(error, match=says) as caught:
                await provider.check()
            assert "\n" not in str(caught.value)
            await provider.close()

    run(main())


def test_a_check_says_that_nothing_answers_at_the_url() -> None:
    async def main() -> None:
        async with FakeOpenAi() as server:
            url = server.url  # free again once the server has gone
        stt = OpenAiStt(client(url, "key"), "fake-stt")
        with pytest.raises(ProviderError, match="does not answer"):
            await stt.check()
        await stt.close()

    run(main())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_server_is_a_provider_error(status: int) -> None:
    async def main() -> None:
        async with FakeOpenAi(failing=status) as server:
            stt = OpenAiStt(client(server.url, server.key), "fake-stt")
            tts = OpenAiTts(client(server.url, server.key), "fake-tts")
            with pytest.raises(ProviderError, match=str(status)):
                await conformance.heard(stt, BEEP, Pause(1))
            with pytest.raises(ProviderError, match=str(status)):
                await conformance.spoken(tts, "Hello.")
            await stt.close()
            await tts.close()

    run(main())


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (registry.stt, "whisper", "models.stt = 'whisper' is not known; it can be local, openai:MODEL"),
        (registry.tts, "joe", "models.tts = 'joe' is not known; it can be local, flite"),
        (registry.llm, "gpt", "models.llm = 'gpt' is not known"),
        (registry.llm, "nobody:gpt", "nobody:gpt.*it can be local"),
        (registry.stt, "http://127.0.0.1:9/v1", "names no model: write http://127.0.0.1:9/v1#MODEL"),
        (registry.llm, "ftp://127.0.0.1/x", "is not known"),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(make: Any, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make(name)


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        registry.stt("openai:whisper-1")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        registry.llm("openai:gpt-5")
