"""The peers that run beside `bench media`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offhook.testing.bench.answered import pjsua2
from offhook.testing.bench.machine import BenchFailed
from offhook.testing.bench.relayed import bdecode, bencode, description, media_port, rtpengine
from offhook.testing.bench.result import NOT_RUN
from offhook.testing.bench.tools import tool


def test_what_is_written_for_rtpengine_can_be_read_again() -> None:
    asked = {"command": "offer", "replace": ["origin", "session-connection"], "sdp": description(4000), "empty": ""}
    assert bdecode(bencode(asked)) == asked
    assert bencode({"b": "ü", "a": []}) == b"d1:ale1:b2:\xc3\xbce"


def test_its_numbers_are_read_too() -> None:
    assert bdecode(b"d7:createdi-17e4:tagsdee") == {"created": -17, "tags": {}}


@pytest.mark.parametrize("text", [b"4:pong", b"d6:result2:oke and more"])
def test_what_is_no_dictionary_is_refused(text: bytes) -> None:
    with pytest.raises(BenchFailed):
        bdecode(text)


def test_a_description_says_where_to_send() -> None:
    assert media_port(description(40_002)) == 40_002
    with pytest.raises(BenchFailed):
        media_port("v=0\r\nm=video 4000 RTP/AVP 96\r\n")


@pytest.mark.interop
def test_rtpengine_relays_both_legs_of_every_call(peer: Callable[[str, str], str]) -> None:
    peer("rtpengine", "rtpengine-daemon")
    found = rtpengine(tool("load"), calls=10, seconds=4, seed=1)
    assert not isinstance(found, str)
    assert found["legs"] == 20
    assert float(found["cms_per_leg"] or 0) > 0
    assert int(found["lost"] or 0) <= 40  # of 4000: the first of a call may come before its way is open


@pytest.mark.interop
def test_pjsua2_plays_back_what_it_hears() -> None:
    found = pjsua2(tool("load"), seconds=4, seed=1)
    if found == NOT_RUN:
        pytest.skip("pjsua2 is not installed")
    assert not isinstance(found, str)
    assert float(found["cms_of_one"] or 0) > 0
    assert int(found["lost_of_four"] or 0) <= 40  # of 800
