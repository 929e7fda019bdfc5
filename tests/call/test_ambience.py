"""What sounds under a call: the agent's, the author's, and music on hold."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from offhook.call import Agent, Ambience, Call
from offhook.call.ambience import load
from offhook.core.errors import ConfigError


@pytest.fixture
def recording(tmp_path: Path) -> Any:
    """Give the maker of WAV files."""

    def make(name: str, seconds: float = 1.0, channels: int = 1) -> Path:
        path = tmp_path / name
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(round(2 * channels * 8000 * seconds)))
        return path

    return make


def test_music_takes_the_place_of_what_sounded_and_gives_it_back(play: Any, begin: Any, recording: Any) -> None:
    office, waltz = Ambience(recording("office.wav")), Ambience(recording("waltz.wav"), level_db=0.0)

    async def main() -> None:
        async def script(call: Call) -> None:
            await call.ambience(office)
            await call.hold(music=waltz)
            await call.resume()
            await call.ambience(None)

        call = begin(script)
        await call.over()
        levels = [(sound is not None, level_db, duck_db) for sound, level_db, duck_db in call.leg.beds]
        assert levels == [(True, -12.0, 10.0), (True, 0.0, 10.0), (True, -12.0, 10.0), (False, 0.0, 0.0)]

    play(main())


def test_an_agent_has_it_from_the_answer_on(recording: Any) -> None:
    office = Ambience(recording("office.wav"))
    assert Agent(ambience=office).ambience is office
    assert load(str(office.sound)) is load(str(office.sound)), "all calls share one copy"


def test_what_cannot_be_looped_is_an_error(recording: Any) -> None:
    for path in (recording("short.wav", 0.05), recording("stereo.wav", channels=2)):
        with pytest.raises(ConfigError):
            load(str(path))
