"""What every provider must keep to, whoever wrote it: call these with yours.

asyncio.run(conformance.check_tts(my_tts))
asyncio.run(conformance.check_stt(my_stt, speech, "expected words"))
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

import pytest

from offhook.providers import Pause, Speech, Stt, Transcript, Tts

DEADLINE_S = 60
T = TypeVar("T")


async def check_tts(tts: Tts) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await tts.check()
        assert tts.name
        await it_speaks_each_sentence_in_order(tts)
        await it_speaks_the_first_before_it_has_the_second(tts)
        await it_gives_nothing_but_an_end_for_what_has_no_words(tts)
        await it_can_be_closed_in_the_middle_and_used_again(tts)


async def check_stt(stt: Stt, speech: bytes, words: str) -> None:
    """`speech` is 8 kHz PCM in which `words` (lower case) are said."""
    async with asyncio.timeout(DEADLINE_S):
        await stt.check()
        assert stt.name
        await it_hears_a_turn(stt, speech, words)
        await it_hears_all_of_the_turn_at_each_pause(stt, speech, words)
        await it_hears_what_no_pause_followed(stt, speech, words)
        await it_hears_nothing_in_a_turn_without_audio(stt)
        await it_passes_on_an_error_of_the_audio(stt)
        await it_stops_listening_when_closed(stt, speech)


async def it_speaks_each_sentence_in_order(tts: Tts) -> None:
    speech = await spoken(tts, "Hello there.", "How are you?", "Goodbye.")
    assert [piece.sentence for piece in speech] == sorted(piece.sentence for piece in speech)
    assert {piece.sentence for piece in speech} == {0, 1, 2}
    for number in range(3):
        pieces = [piece for piece in speech if piece.sentence == number]
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        pcm = b"".join(piece.pcm for piece in pieces)
        assert all(len(piece.pcm) % 2 == 0 for piece in pieces)
        rates = {piece.rate_hz for piece in pieces}
        assert len(rates) == 1
        seconds = len(pcm) / 2 / rates.pop()
        assert 0.1 < seconds < 10
        assert max(pcm) != min(pcm), "silence"
        starts = [start_ms for piece in pieces for _, start_ms in piece.words]
        assert starts == sorted(starts)
        assert all(0 <= start_ms <= seconds * 1000 for start_ms in starts)


async def it_speaks_the_first_before_it_has_the_second(tts: Tts) -> None:
    heard = asyncio.Event()

    async def sentences() -> AsyncIterator[str]:
        yield "Hello there."
        await heard.wait()
        yield "Goodbye."

    numbers: list[int] = []
    async with closing(tts.speak(sentences())) as speech:
        async for piece in speech:
            numbers.append(piece.sentence)
            heard.set()
    assert numbers[-1] == 1


async def it_gives_nothing_but_an_end_for_what_has_no_words(tts: Tts) -> None:
    speech = await spoken(tts, " … ")
    assert [(piece.pcm, piece.last) for piece in speech] == [(b"", True)]


async def it_can_be_closed_in_the_middle_and_used_again(tts: Tts) -> None:
    tasks = own_tasks()
    async with closing(tts.speak(_these("This is a sentence that nobody hears to its end."))) as speech:
        await anext(speech)
    await no_more_than(tasks)
    assert (await spoken(tts, "Hello there."))[-1].last


async def it_hears_a_turn(stt: Stt, speech: bytes, words: str) -> None:
    transcripts = await heard(stt, speech, Pause(1))
    assert [transcript.pause for transcript in transcripts if transcript.pause] == [1]
    assert words in transcripts[-1].text.lower()


async def it_hears_all_of_the_turn_at_each_pause(stt: Stt, speech: bytes, words: str) -> None:
    async def audio(first_heard: asyncio.Event) -> AsyncIterator[bytes | Pause]:
        yield speech
        yield Pause(1)
        await first_heard.wait()
        yield speech
        yield Pause(2)

    event = asyncio.Event()
    finals: list[Transcript] = []
    async with closing(stt.listen(audio(event))) as transcripts:
        async for transcript in transcripts:
            if transcript.pause is not None:
                finals.append(transcript)
                event.set()
    assert [transcript.pause for transcript in finals] == [1, 2]
    assert finals[0].text.lower().count(words) == 1
    assert finals[1].text.lower().count(words) == 2


async def it_hears_what_no_pause_followed(stt: Stt, speech: bytes, words: str) -> None:
    transcripts = await heard(stt, speech)
    assert words in transcripts[-1].text.lower()
    assert transcripts[-1].pause is None


async def it_hears_nothing_in_a_turn_without_audio(stt: Stt) -> None:
    assert await heard(stt) == []
    assert await heard(stt, Pause(1)) == [Transcript("", 1)]


async def it_passes_on_an_error_of_the_audio(stt: Stt) -> None:
    async def audio() -> AsyncIterator[bytes | Pause]:
        yield bytes(320)
        raise ConnectionResetError("the leg is gone")

    with pytest.raises(ConnectionResetError):
        _ = [transcript async for transcript in stt.listen(audio())]


async def it_stops_listening_when_closed(stt: Stt, speech: bytes) -> None:
    tasks = own_tasks()
    read = asyncio.Event()

    async def endless() -> AsyncIterator[bytes | Pause]:
        yield speech
        yield Pause(1)
        read.set()
        await asyncio.Event().wait()

    async with closing(stt.listen(endless())) as transcripts:
        await anext(transcripts)
        await read.wait()
    await no_more_than(tasks)


def own_tasks() -> set[asyncio.Task[object]]:
    """The tasks that are not a fake server's, which serves from the same loop."""
    return {task for task in asyncio.all_tasks() if task.get_name() != "fake server"}


def closing(source: AsyncIterator[T]) -> contextlib.aclosing[AsyncGenerator[T]]:
    """Close a provider's generator at the end; that it is one is part of the protocol."""
    assert isinstance(source, AsyncGenerator)
    return contextlib.aclosing(source)


async def no_more_than(tasks: set[asyncio.Task[object]]) -> None:
    """Wait until no task is left but these: a client may close its connection in one that ends at once."""
    while left := own_tasks() - tasks:
        await asyncio.wait(left, timeout=DEADLINE_S)


async def spoken(tts: Tts, *sentences: str) -> list[Speech]:
    return [piece async for piece in tts.speak(_these(*sentences))]


async def heard(stt: Stt, *audio: bytes | Pause) -> list[Transcript]:
    async def source() -> AsyncIterator[bytes | Pause]:
        for piece in audio:
            yield piece

    return [transcript async for transcript in stt.listen(source())]


async def _these(*sentences: str) -> AsyncIterator[str]:
    for sentence in sentences:
        yield sentence
