"""Providers by the names that a configuration gives them.

    "local"                        the embedded default           stt, tts, llm
    "flite", "flite:VOICE"         the system's flite             tts
    "openai:MODEL"                 OpenAI                         stt, tts, llm
    "http://HOST:PORT/v1#MODEL"    any server with OpenAI's API   stt, tts, llm
    "PROVIDER:MODEL"               whatever Pydantic AI knows     llm

A name that nobody knows is ConfigError, which says what is known. That a name is known says nothing of whether it
works: `check` does. Whoever takes a recogniser or a voice closes it.
"""

from __future__ import annotations

from urllib.parse import urldefrag

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model

from offhook.core.errors import ConfigError
from offhook.providers.flite import Flite
from offhook.providers.minilm import MiniLm
from offhook.providers.offline.model import offline_model
from offhook.providers.openai import OpenAiStt, OpenAiTts, chat_model, client
from offhook.providers.piper import Piper
from offhook.providers.whisper import Whisper

STT_NAMES = ("local", "openai:MODEL", "http://HOST:PORT/v1#MODEL")
TTS_NAMES = ("local", "flite", "flite:VOICE", "openai:MODEL", "http://HOST:PORT/v1#MODEL")
LLM_NAMES = ("local", "openai:MODEL", "http://HOST:PORT/v1#MODEL", "any PROVIDER:MODEL of Pydantic AI")


def stt(name: str, key: str | None = None) -> Whisper | OpenAiStt:
    """Give the recogniser of that name. ConfigError for an unknown name, ModelError for missing weights or key."""
    if name == "local":
        return Whisper.from_files()
    if (remote := _remote(name)) is not None:
        url, model = remote
        return OpenAiStt(client(url, key), model)
    raise _unknown("stt", name, STT_NAMES)


def tts(name: str, key: str | None = None) -> Piper | Flite | OpenAiTts:
    """Give the voice of that name. ConfigError for an unknown name, ModelError for missing weights or key."""
    if name == "local":
        return Piper.from_files()
    if name == "flite" or name.startswith("flite:"):
        return Flite(name.partition(":")[2] or "slt")
    if (remote := _remote(name)) is not None:
        url, model = remote
        return OpenAiTts(client(url, key), model)
    raise _unknown("tts", name, TTS_NAMES)


def llm(name: str, key: str | None = None) -> Model:
    """Give the language model of that name. ConfigError for an unknown name or a provider without its key."""
    if name == "local":
        return offline_model(MiniLm.from_files())
    if (remote := _remote(name)) is not None and (remote[0] is not None or key is not None):
        url, model = remote
        return chat_model(url, model, key)
    if ":" not in name or "://" in name:
        raise _unknown("llm", name, LLM_NAMES)
    try:
        return infer_model(name)
    except UserError as error:  # an unknown provider, or one without its key: the text names the variable to set
        told = str(error).split(". ")[0]
        raise ConfigError(f"models.llm = {name!r}: {told}; it can be {', '.join(LLM_NAMES)}") from error
    except ValueError as error:
        raise _unknown("llm", name, LLM_NAMES) from error
    except ImportError as error:
        raise ConfigError(f"models.llm = {name!r} needs a package that is not installed: {error}") from error


def _remote(name: str) -> tuple[str | None, str] | None:
    """Read `openai:MODEL` and `http://…#MODEL`; None for any other name. ConfigError where the model is left out."""
    if name.startswith(("http://", "https://")):
        url, model = urldefrag(name)
        if not model:
            raise ConfigError(f"{name!r} names no model: write {name.rstrip('/')}#MODEL")
        return url.rstrip("/"), model
    provider, _, model = name.partition(":")
    return (None, model) if provider == "openai" and model else None


def _unknown(role: str, name: str, known: tuple[str, ...]) -> ConfigError:
    return ConfigError(f"models.{role} = {name!r} is not known; it can be {', '.join(known)}")
