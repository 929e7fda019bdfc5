"""The three protocols that a model is reached by, and what passes through them.

    Stt.listen(audio)                caller's audio, pauses between  ─►  transcripts
    Brain.reply(history, call)       what was really said and heard  ─►  text, piece by piece, and the tools it used
    Tts.speak(sentences)             sentences                       ─►  speech, with word times where known

They stand here, below the rooms that implement them (`offhook.providers` names them again), because a call uses them.
All three are async generators: closing one cancels the work behind it. A provider raises ProviderError (theirs) or
ModelError (ours) and nothing else. Failover, deadline and breaker are one wrapper which is itself a provider.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from offhook.agent.mouth import LETTER_MS

if TYPE_CHECKING:
    from offhook.agent.history import History
    from offhook.call.call import Call


@dataclass(frozen=True, slots=True)
class Pause:
    """The caller paused: transcribe all that this turn has brought so far. `number` counts from 1 in a turn."""

    number: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of the caller, of the whole turn so far. `pause` is the pause it covers; None: interim, may change."""

    text: str
    pause: int | None


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of the voice: 16-bit mono PCM at `rate_hz`, belonging to sentence number `sentence` (from 0).

    `words` are (word, start_ms within the sentence) where the voice knows them. `last`: the sentence ends here.
    `text`, in the place of PCM, is for a far end whose service speaks.
    """

    sentence: int
    pcm: bytes
    rate_hz: int
    words: tuple[tuple[str, int], ...] = ()
    last: bool = False
    text: str = ""

    @property
    def duration_ms(self) -> float:
        """How long it takes to say."""
        return len(self.text) * LETTER_MS + len(self.pcm) * 500 / self.rate_hz


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """The model called a tool; `saying` is to be spoken while it runs ("" for nothing)."""

    name: str
    arguments: dict[str, Any]
    call_id: str
    saying: str = ""


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A tool gave its result (or its error, as the model reads it)."""

    name: str
    call_id: str
    result: str
    failed: bool = False


Thought = str | ToolBegan | ToolDone
"""What a brain yields: a piece of text to speak, or word of a tool."""


class Stt(Protocol):
    """Speech to text. `check` says at start what is wrong (name, URL, key), before a call needs it."""

    @property
    def name(self) -> str:
        """How logs and reports call it."""
        ...

    async def check(self) -> None:
        """Say what is wrong before a call needs it: ConfigError, ModelError or ProviderError, with the fix."""
        ...

    def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncIterator[Transcript]:
        """Hear one turn. The audio ends when the turn does."""
        ...


class Tts(Protocol):
    """Text to speech."""

    @property
    def name(self) -> str:
        """How logs and reports call it."""
        ...

    async def check(self) -> None:
        """Say what is wrong before a call needs it: ConfigError, ModelError or ProviderError, with the fix."""
        ...

    def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Speak sentences in order, each as soon as it comes."""
        ...


class Brain(Protocol):
    """What to say next."""

    @property
    def name(self) -> str:
        """How logs and reports call it."""
        ...

    async def check(self) -> None:
        """Say what is wrong before a call needs it: ConfigError, ModelError or ProviderError, with the fix."""
        ...

    def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Answer the last words in `history`. Tools wait for `call.committed()` before they act."""
        ...
