"""Speech to text, text to speech and language models by URL: whatever speaks OpenAI's HTTP API.

    Stt   POST {url}/audio/transcriptions     a pause's audio as WAV  ─►  text
    Tts   POST {url}/audio/speech             a sentence              ─►  24 kHz PCM as it is made
    LLM   POST {url}/chat/completions         through Pydantic AI's own model of that API

OpenAI itself, vLLM, Speaches, llama.cpp, LocalAI … Each is checked at start by asking for its list of models.
"""

from __future__ import annotations

import contextlib
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import cast

import openai
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from offhook.core.errors import ModelError, ProviderError
from offhook.providers import Pause, Speech, Transcript
from offhook.providers.turns import transcripts

TIMEOUT_S = 15.0
"""How long one request may take, in seconds; failover gives up sooner."""

NO_KEY = "none"
"""What is sent where no key is configured: a server of one's own seldom wants one, and the client wants a string."""

SPEECH_RATE_HZ = 24000
"""The rate of `response_format=pcm`, which the API fixes (16-bit mono)."""

DEFAULT_VOICE = "alloy"

Client = AsyncOpenAI


def client(url: str | None, key: str | None) -> Client:
    """Make a client of the server at `url` (None: OpenAI's own, whose key may be in $OPENAI_API_KEY)."""
    if url is None and key is None:
        try:
            return AsyncOpenAI(timeout=TIMEOUT_S, max_retries=0)
        except openai.OpenAIError:
            raise ModelError("openai needs a key: set models.key, or OPENAI_API_KEY") from None
    return AsyncOpenAI(base_url=url, api_key=key or NO_KEY, timeout=TIMEOUT_S, max_retries=0)


async def check(client: Client, model: str) -> None:
    """Say what is wrong before a call needs it: ProviderError for a dead URL, ModelError for a key or a model name.

    A server that keeps no list of models is believed.
    """
    url = str(client.base_url).rstrip("/")
    try:
        known = sorted([entry.id async for entry in client.models.list()])
    except (openai.NotFoundError, openai.UnprocessableEntityError):
        return
    except openai.APIStatusError as error:
        raise _refused(error, url, model) from error
    except openai.APIError as error:
        raise ProviderError(f"{url} does not answer ({_short(error)}): is the URL right, and the server up?") from error
    if known and model not in known:
        some = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
        raise ModelError(f"{url} has no model {model!r}; it has {some}")


def chat_model(url: str | None, model: str, key: str | None) -> OpenAIChatModel:
    """Make a Pydantic AI model of the chat API at `url`."""
    return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client(url, key)))


async def check_chat_model(model: OpenAIChatModel) -> None:
    """Do `check` for a model that `chat_model` made."""
    await check(model.client, model.model_name)


class OpenAiStt:
    """An `Stt` that sends the audio of a turn at each pause."""

    def __init__(self, client: Client, model: str) -> None:
        self._client = client
        self._model = model

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self._model} at {self._client.base_url.host}"

    async def check(self) -> None:
        """Say at start what is wrong with the URL (ProviderError), the key or the model's name (ModelError)."""
        await check(self._client, self._model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncGenerator[Transcript]:
        """Hear one turn: a transcript for each pause but those that a newer one has overtaken."""

        async def transcribe(pcm: bytes, rate_hz: int) -> str:
            with theirs(self._client, self._model):
                answer = await self._client.audio.transcriptions.create(
                    file=("turn.wav", as_wav(pcm, rate_hz), "audio/wav"),
                    model=self._model,
                    language=language.split("-")[0],
                )
            return answer.text.strip()

        async with contextlib.aclosing(transcripts(audio, rate_hz, transcribe)) as heard:
            async for transcript in heard:
                yield transcript


class OpenAiTts:
    """A `Tts` that streams the speech of each sentence. It tells no word times."""

    def __init__(self, client: Client, model: str) -> None:
        self._client = client
        self._model = model

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self._model} at {self._client.base_url.host}"

    async def check(self) -> None:
        """Say at start what is wrong with the URL (ProviderError), the key or the model's name (ModelError)."""
        await check(self._client, self._model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncGenerator[Speech]:
        """Speak each sentence as it comes; pieces are handed on as they arrive."""
        number = -1
        async for sentence in sentences:
            number += 1
            if any(letter.isalnum() for letter in sentence):
                async with contextlib.aclosing(self._sentence(sentence, voice or DEFAULT_VOICE)) as pieces:
                    async for pcm in pieces:
                        yield Speech(number, pcm, SPEECH_RATE_HZ)
            yield Speech(number, b"", SPEECH_RATE_HZ, last=True)

    async def _sentence(self, sentence: str, voice: str) -> AsyncGenerator[bytes]:
        odd = b""  # a network piece may end in the middle of a sample
        with theirs(self._client, self._model):
            async with self._client.audio.speech.with_streaming_response.create(
                model=self._model, voice=voice, input=sentence, response_format="pcm"
            ) as response:
                body = cast("AsyncGenerator[bytes]", response.iter_bytes(SPEECH_RATE_HZ // 5 * 2))
                async with contextlib.aclosing(body):
                    async for piece in body:
                        whole = odd + piece
                        odd = whole[len(whole) // 2 * 2 :]
                        if len(whole) > 1:
                            yield whole[: len(whole) // 2 * 2]


@contextlib.contextmanager
def theirs(client: Client, model: str) -> Generator[None]:
    """Make our errors of the client's: ModelError for a key or a name that is refused, else ProviderError."""
    url = str(client.base_url).rstrip("/")
    try:
        yield
    except openai.APIStatusError as error:
        raise _refused(error, url, model) from error
    except openai.APIError as error:
        raise ProviderError(f"{url} failed: {_short(error)}") from error


def _refused(error: openai.APIStatusError, url: str, model: str) -> ModelError | ProviderError:
    match error.status_code:
        case 401 | 403:
            return ModelError(f"{url} refuses the key ({error.status_code}): set models.key")
        case 404:
            return ModelError(f"{url} has no model {model!r}, or is not the URL of such an API (404)")
        case status:
            return ProviderError(f"{url} answered {status}: {_short(error)}")


def _short(error: Exception) -> str:
    """The first line of what went wrong, and its cause where the client only says that there was one."""
    cause = error.__cause__
    return (str(cause or error).splitlines() or [type(error).__name__])[0][:200]


def as_wav(pcm: bytes, rate_hz: int) -> bytes:
    """Put a WAV header before 16-bit mono PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(pcm)
    return file.getvalue()
