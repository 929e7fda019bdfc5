"""The recording: two sides on one clock, and turns whose times are measured on the sound itself."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from offhook import _native as native
from offhook.call import events
from offhook.core.ids import CallId
from offhook.core.instants import SECOND
from offhook.run.demo import main as demo
from offhook.run.demo.record import Recorder, Recording, joined, spans, turns
from offhook.run.demo.script import wish
from offhook.run.report.account import RATE_HZ, Account, Turn

CALL = CallId("c1")


def stereo(*stretches: tuple[float, bool, bool]) -> bytes:
    """Make a tape of (seconds, caller speaks, agent speaks)."""
    tape = bytearray()
    for seconds, caller, agent in stretches:
        for n in range(round(seconds * RATE_HZ)):
            level = round(6000 * math.sin(2 * math.pi * 300 * n / RATE_HZ))
            tape += struct.pack("<hh", level * caller, level * agent)
    return bytes(tape)


TAPE = stereo((0.2, False, False), (1.0, False, True), (0.5, False, False), (1.0, True, False), (0.8, False, False)) + (
    stereo((1.0, False, True), (0.2, False, False))
)


def test_speech_is_found_where_it_is() -> None:
    assert spans(TAPE, 0) == [(pytest.approx(1.7, abs=0.03), pytest.approx(2.7, abs=0.03))]
    assert [began for began, _ in spans(TAPE, 1)] == [pytest.approx(0.2, abs=0.03), pytest.approx(3.5, abs=0.03)]
    assert spans(b"", 0) == []


def test_a_delay_is_the_silence_that_can_be_heard() -> None:
    """The events come late, and differently late: what counts is the tape."""
    start = 100.0
    heard = [events.Heard(start + 3.2, CALL, "a table for two")]
    said = [events.Said(start + 1.3, CALL, "Good evening!"), events.Said(start + 4.7, CALL, "At what time?")]
    told = turns(TAPE, start, heard, said)
    assert [(turn.who, turn.text) for turn in told] == [
        ("agent", "Good evening!"),
        ("caller", "a table for two"),
        ("agent", "At what time?"),
    ]
    assert told[0].delay_ms is None
    assert told[1].delay_ms == pytest.approx(500, abs=40)
    assert told[2].delay_ms == pytest.approx(800, abs=40)


def test_a_hole_in_the_tape_is_silence_of_its_length() -> None:
    piece = stereo((0.5, True, True))
    tape = [native.Taped(port=1, seq=seq, at=at * SECOND, pcm=piece) for seq, at in ((1, 5), (2, 6))]
    start, pcm = joined(tape)
    assert start == 5.0
    assert len(pcm) == 4 * round(1.5 * RATE_HZ)
    assert joined([]) == (0.0, b"")


def account(**changes: object) -> Account:
    wanted = wish(1)
    whole: dict[str, object] = {
        "agent": "x",
        "seed": 1,
        "codec": "PCMU",
        "turns": (Turn("caller", 1, 2, "a table"), Turn("agent", 0, 1, "hello")),
        "moments": (),
        "readings": (),
        "script": ("a table",),
        "wanted": wanted.arguments(),
        "got": wanted.arguments(),
        "key_pressed": wanted.key,
        "keys_heard": wanted.key,
        "why": "",
        "pcm": b"\0\0\0\0",
    }
    return Account(**(whole | changes))  # type: ignore[arg-type]


def test_a_call_is_good_only_if_both_were_heard_and_the_booking_is_right() -> None:
    wanted = wish(1)
    assert demo.verdict(account(), wanted, "said goodbye") == ""
    wrong = {**wanted.arguments(), "people": 99}
    for changes, words in [
        ({"pcm": b""}, "there was no call"),
        ({"turns": (Turn("agent", 0, 1, "hello"),)}, "nothing of the caller was heard"),
        ({"turns": (Turn("caller", 0, 1, "hello"),)}, "the agent was not heard"),
        ({"got": None}, "no table was booked"),
        ({"got": wrong}, "the booking is not what the caller wished"),
        ({"keys_heard": ""}, "the agent took nothing"),
    ]:
        assert words in demo.verdict(account(**changes), wanted, "said goodbye")


def test_a_booking_counts_only_if_the_tool_booked() -> None:
    recording = Recording()
    arguments = wish(1).arguments()
    recording.take(events.Tool(1.0, CALL, "book_table", arguments, "Not done yet.", failed=False))
    recording.take(events.Tool(2.0, CALL, "book_table", arguments, "Booked: …", failed=True))
    assert recording.booked is None
    recording.take(events.Tool(3.0, CALL, "book_table", arguments, "Booked: 4 at 19:00", failed=False))
    recording.take(events.Digit(4.0, CALL, "5"))
    assert recording.booked == arguments
    made = recording.account(Recorder(native.Engine(ip="127.0.0.1")), wish(1), "x", "")
    assert [(moment.event, moment.facts) for moment in made.moments][-1] == ("digit", {"digit": "5"})


def test_a_demo_whose_files_can_not_be_kept_is_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert demo.main(tmp_path / "taken", 1) == 1
    told = capsys.readouterr().out
    assert "taken" in told
    assert "loading" not in told
