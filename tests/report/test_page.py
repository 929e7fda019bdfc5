"""The report is one page with both sides, the delays and the line in it, and nothing to fetch."""

import math
import re
import struct
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from offhook.run.report.account import RATE_HZ, Account, Moment, Reading, Turn, load, save
from offhook.run.report.drawings import peaks, score, wrapped
from offhook.run.report.page import page, write_report


def tone(seconds: float, left_hz: float, right_hz: float) -> bytes:
    def sample(n: int, hz: float) -> int:
        return round(9000 * math.sin(2 * math.pi * hz * n / RATE_HZ)) if hz else 0

    return b"".join(struct.pack("<hh", sample(n, left_hz), sample(n, right_hz)) for n in range(int(seconds * RATE_HZ)))


@pytest.fixture(scope="module")
def account() -> Account:
    return Account(
        agent="offhook.examples:receptionist",
        seed=5,
        codec="PCMU",
        turns=(
            Turn("agent", 0.1, 1.0, "Good evening!"),
            Turn("caller", 1.4, 2.0, "A cable for <four>, please.", delay_ms=400.0),
            Turn("agent", 2.75, 3.4, "With", delay_ms=750.0),
        ),
        moments=(
            Moment(0.0, "answered"),
            Moment(2.9, "tool", {"name": "book_table", "arguments": {"name": "Ann", "people": 4, "at": "19:00"}}),
            Moment(3.3, "cut", {"heard_ms": 500}),
            Moment(3.9, "ended", {"reason": "bye"}),
        ),
        readings=(Reading(2.5, 1, 100, 3.25, 0.4, 0.0, 0.2),),
        script=("A table for four, please.",),
        wanted={"name": "Ann", "people": 4, "at": "19:00"},
        got={"name": "Ann", "people": 4, "at": "19:00"},
        key_pressed="7",
        keys_heard="7",
        why="",
        counters={"received": 100, "sent": 99, "dropped_late": 1},
        pcm=tone(1.0, 0, 440) + tone(1.0, 300, 0) + tone(2.0, 0, 500),
    )


def test_what_is_saved_is_what_is_loaded(account: Account, tmp_path: Path) -> None:
    save(account, tmp_path / "new")
    assert load(tmp_path / "new") == account
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "call.wav",
        "timeline.json",
        "transcript.json",
    ]


class Addresses(HTMLParser):
    """All that a browser would go and fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]


def test_nothing_is_loaded_from_elsewhere(account: Account) -> None:
    html = page(account)
    addresses = Addresses()
    addresses.feed(html)
    assert addresses.found
    assert all(address.startswith("data:") for address in addresses.found)
    assert not re.search(r"@import|url\(|https?://", html)


def test_the_page_tells_the_delays_the_words_and_the_line(account: Account, tmp_path: Path) -> None:
    save(account, tmp_path)
    html = write_report(tmp_path).read_text()
    assert "Booked: a table for 4, at 19:00, for Ann." in html
    assert html.count("750 ms") == 2  # once in the score, once beside the turn
    assert '<mark title="said: table">cable</mark>' in html
    assert "interrupted: 0.5 s of it were heard" in html
    assert "dropped: late" in html
    assert "3.2" in html


def test_a_cut_stands_beside_the_words_that_were_cut(account: Account) -> None:
    over = (Turn("agent", 2.75, 3.4, "With"), Turn("caller", 3.0, 3.8, "Stop!"))
    _, agent, caller = page(replace(account, turns=over)).split('<li class="turn ')
    assert "interrupted: 0.5 s" in agent
    assert "interrupted: 0.5 s" not in caller


def test_what_was_said_can_not_become_markup(account: Account) -> None:
    html = page(replace(account, why="<script>alert(1)</script>"))
    assert "<script>alert" not in html
    assert "&lt;four&gt;" in html


def test_a_failed_call_says_why_first(account: Account) -> None:
    html = page(replace(account, why="Nothing of the caller was heard.", got=None, turns=(), readings=(), pcm=b""))
    assert "not as it should be" in html
    assert "Nothing of the caller was heard." in html
    assert "No table was booked." in html


def test_each_side_is_drawn_where_it_sounded(account: Account) -> None:
    left, right = peaks(account.pcm, 0, 10), peaks(account.pcm, 1, 10)
    assert [level > 0.5 for level in left] == [10 <= column < 20 for column in range(40)]
    assert [level > 0.5 for level in right] == [not 10 <= column < 20 for column in range(40)]
    drawn = score(account)
    assert drawn.count("wave-caller") == 1
    assert drawn.count("wave-agent") == 1
    assert "interrupted" in drawn
    assert "book_table()" in drawn


def test_long_words_end_in_an_ellipsis() -> None:
    assert wrapped("one two three four", 8, 2) == ["one two", "three…"]
    assert wrapped("short", 8, 2) == ["short"]


def test_the_quality_of_the_line_is_a_picture_and_its_way_a_row(account: Account) -> None:
    readings = (
        Reading(2.0, 0, 100, 1.0, 20.0, 0.0, 1.0, mos=4.4, far_mos=None),
        Reading(4.0, 9, 100, 1.0, 20.0, 1.0, 1.0, late=3, concealed_ms=180, mos=3.4, far_mos=1.0),
    )
    moments = (
        Moment(0.0, "answered", {"pipeline": "ear → <whisper> → mouth"}),
        Moment(3.0, "one_way", {"fault": "unheard", "on": True, "hint": "open the firewall"}),
    )
    html = page(replace(account, readings=readings, moments=moments))
    assert "the far end reports that it hears nothing of us" in html
    assert "9 of 100 packets lost, 3 late, 180 ms made up" in html
    assert re.search(r'<path class="score-line" d="M44\.0 [\d.]+H[\d.]+L[\d.]+ [\d.]+H[\d.]+"/>', html)
    assert html.count("bar-lost") - html.count(".bar-lost") == 1
    assert '<span>ear</span><i class="arrow">→</i><span>&lt;whisper&gt;</span>' in html
    assert "too short to tell" in page(replace(account, readings=()))
