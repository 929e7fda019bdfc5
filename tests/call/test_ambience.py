"""What sounds under a call: the agent's, the author's, and music on hold."""

from __future__ import annotations

import itertools
import math
import struct
import wave
from pathlib import Path
from typing import Any

import pytest

from offhook.call import Agent, Ambience, Call
from offhook.call.ambience import BUILT_IN, load, read_wav
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


@pytest.mark.parametrize("own", [None, "waltz.wav"])
def test_an_agent_without_its_own_has_what_the_host_gives_it(play: Any, begin: Any, recording: Any, own: Any) -> None:
    own = own and Ambience(recording(own), level_db=-3.0)

    async def main() -> None:
        call = begin(Agent(ambience=own), [], ambience=Ambience("room", level_db=-20.0))
        await call.until(1.0)
        assert [level for _, level, _ in call.leg.beds] == [-3.0 if own else -20.0]
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_the_built_in_room_is_soft_and_ends_as_it_begins() -> None:
    pcm, rate_hz = BUILT_IN["room"]()
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    assert rate_hz == 8000
    level_dbov = 10 * math.log10(sum(x * x for x in samples) / len(samples) / 2**30)
    assert -34 < level_dbov < -28
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(samples))
    assert abs(samples[0] - samples[-1]) <= steps[-1], "no click where it goes round"
    assert load("room") is load("room")


def test_what_is_no_recording_says_so(tmp_path: Path) -> None:
    for text in (b"", b"RIFF", b"ID3 and so on, for long enough to be read as a header"):
        (tmp_path / "song.mp3").write_bytes(text)
        with pytest.raises(ConfigError, match=r"song\.mp3 is no WAV file"):
            read_wav(tmp_path / "song.mp3")
