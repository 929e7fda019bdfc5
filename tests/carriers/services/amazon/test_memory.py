"""What was said, packed into an attribute and back."""

from __future__ import annotations

import re
import zlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.agent.history import Heard, History, Keys, Said, ToolUse
from offhook.carriers.services.amazon.memory import LIMIT, UNPACKED_LIMIT, pack, unpack
from offhook.core.ids import Turn

TALK = History(
    (
        Said(Turn(0), "Good evening!"),
        Heard(Turn(1), "a table 🍕 <for> two"),
        ToolUse(Turn(1), "c1", "book_table", {"people": 2, "at": "eight"}, "Booked.", failed=False),
        ToolUse(Turn(1), "c2", "human"),
        Said(Turn(1), "See", whole=False),
        Keys(Turn(2), "12#"),
    )
)


def test_what_is_packed_comes_back_the_same() -> None:
    packed = pack(TALK)
    assert unpack(packed) == TALK
    assert re.fullmatch(r"[A-Za-z0-9_-]+", packed), "what attributes may hold"


def test_what_does_not_fit_goes_the_oldest_first() -> None:
    long = History(tuple(Heard(Turn(number), f"{number} {hash(str(number))}" * 20) for number in range(500)))
    kept = unpack(pack(long))
    assert len(pack(long)) <= LIMIT
    assert 0 < len(kept) < 500
    assert kept.entries == long.entries[-len(kept) :]
    assert pack(History((Heard(Turn(1), "".join(map(chr, range(0x4E00, 0x9000)))),))) == ""


def packed(data: bytes) -> str:
    return "1" + urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")


@pytest.mark.parametrize(
    "given",
    [None, 7, "", "1", "2abc", "1!!!", "1ü", packed(b"{"), packed(b"7"), packed(b'["h"]'), packed(b"[" * 9999)],
)
def test_what_is_no_memory_is_an_empty_one(given: Any) -> None:
    assert unpack(given) == History()


def test_a_memory_that_blows_up_is_cut_off() -> None:
    assert unpack(packed(b"[" + b" " * (100 * UNPACKED_LIMIT) + b"]")) == History()


def test_rows_that_are_none_of_ours_are_left_out() -> None:
    rows = packed(b'[["h",1,"yes"],["h","1","no"],["t",1,"c","n",[],null,false],["s",2,"ok",true],["z"],7,null]')
    assert unpack(rows) == History((Heard(Turn(1), "yes"), Said(Turn(2), "ok")))


@given(st.text())
def test_nothing_raises(text: str) -> None:
    unpack(text)
    unpack("1" + text)
    assert unpack(pack(History((Heard(Turn(1), text),)))).last_heard() == text
