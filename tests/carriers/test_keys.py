"""Keys, however they come: RFC 4733 events through loss, INFO, and both at once; each press is told once."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from offhook import _native as native
from offhook.call import tones
from offhook.carriers.keys import Keys, Source
from offhook.carriers.terms import LegTerms, LineTones
from offhook.core.instants import MILLISECOND
from offhook.core.signals import Texted
from offhook.testing.checkers.media import Cadence
from offhook.testing.checkers.reports import ReportsTrue

ALL = "1234567890*#"
RELAY = "Content-Type: application/dtmf-relay"


def keys(desk: Any) -> str:
    return "".join(event.key for event in desk.events if isinstance(event, native.Digit))


@pytest.mark.survives(9)
@pytest.mark.parametrize("seed", range(8))
def test_twelve_keys_through_thirty_per_cent_of_loss_are_told_once_each(stage: Any, seed: int) -> None:
    """What must survive 9, RFC 2833 and 4733: 30 % of the event packets are lost; 12 of 12, none twice."""

    async def story() -> None:
        rng, lost = Random(seed), []

        def loses(now: int, source: Any, destination: Any, data: bytes) -> bytes | None:
            event = source[0] == "10.2.0.1" and len(data) == 16 and data[0] >> 6 == 2 and data[1] & 0x7F >= 96
            if event and rng.random() < 0.3:
                lost.append(data)
                return None
            return data

        async with stage.desk() as desk, stage.phone() as phone:
            calling = asyncio.create_task(phone.calls("sip:desk@10.1.0.1"))
            await (await desk.rung()).answer()
            caller = await calling
            stage.world.network.mangle = loses
            caller.presses(ALL)
            await caller.waits(4.0)
            await caller.hangs_up()
            await asyncio.sleep(0.1)
            assert keys(desk) == ALL
            assert len(lost) >= 12
            await stage.world.settle()

    stage.world.run(story())
    # What is swallowed as it leaves is missing from the cadence and the count, and nothing else is wrong.
    assert {violation.law for violation in stage.world.violations} <= {Cadence.law, ReportsTrue.law}


@pytest.mark.survives(9)
def test_keys_by_info_are_told_and_sent_where_nothing_else_was_agreed(stage: Any) -> None:
    """What must survive 9, INFO: 12 of 12 both ways."""

    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp(codecs="0 8"), extra="Allow: INVITE, ACK, BYE, INFO")
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            peer.confirm(await peer.response("INVITE"))
            peer.request("ACK")
            await answering
            for key in ALL:
                peer.request("INFO", f"Signal={key}\r\nDuration=100\r\n", extra=RELAY)
                assert (await peer.response("INFO")).sip.code == 200
            assert keys(desk) == ALL
            assert leg.capabilities.press
            leg.press(ALL)
            sent = ""
            for _ in ALL:
                info = await peer.asked("INFO")
                sent += info.data.partition(b"\r\n\r\n")[2].decode()[7]
                peer.reply(info, 200, "OK")
            assert sent == ALL
            await leg.hangup()
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()

    stage.play(story())


def test_a_text_beside_the_call_is_told(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            peer.confirm(await peer.response("INVITE"))
            peer.request("ACK")
            await answering
            peer.request("MESSAGE", "my number is 12", extra="Content-Type: text/plain")
            assert (await peer.response("MESSAGE")).sip.code == 200
            assert [event.text for event in desk.events if isinstance(event, Texted)] == ["my number is 12"]
            await leg.hangup()
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()

    stage.play(story())


@pytest.mark.parametrize("hang_up", [True, False])
def test_a_copper_line_says_by_a_busy_tone_that_the_far_end_has_gone(stage: Any, hang_up: bool) -> None:
    async def story() -> None:
        async with stage.phone() as phone, stage.desk() as desk:
            desk.line.on_terms = lambda _: LegTerms(tones=LineTones("de", hang_up))
            calling = asyncio.create_task(phone.calls("sip:desk@10.1.0.1"))
            leg = await desk.rung()
            await leg.answer()
            leg.watch(())
            caller = await calling
            busy = tones.tone("busy", 4.8, "de")
            for at in range(0, len(busy), 16_000):
                caller.leg.play(1, busy[at : at + 16_000], 8000)
                await caller.waits(1.0)
            await caller.waits(1.0)
            assert leg.over is hang_up
            if not hang_up:
                await caller.hangs_up()
        assert desk.end().reason == "remote_hangup"
        assert [event.kind for event in desk.events if isinstance(event, native.Tone)] == ["busy"] * hang_up

    stage.play(story())


MS = MILLISECOND
TONES, INFO, EVENTS = Source


@pytest.mark.parametrize(
    ("presses", "told"),
    [
        ([(EVENTS, 0, "1"), (INFO, 20, "1"), (EVENTS, 300, "1"), (INFO, 320, "1")], "11"),
        ([(INFO, 0, "1"), (EVENTS, 100, "1"), (INFO, 300, "2"), (EVENTS, 310, "2")], "12"),
        ([(INFO, 0, "1"), (INFO, 300, "1"), (INFO, 600, "1")], "111"),
        ([(INFO, 0, "1"), (EVENTS, 151, "1")], "11"),
        ([(INFO, 0, "1"), (EVENTS, 100, "2")], "12"),
        ([(EVENTS, 0, "1"), (EVENTS, 100, "1")], "11"),
        ([(TONES, 0, "1"), (INFO, 120, "1"), (TONES, 300, "2"), (INFO, 420, "2")], "12"),
        ([(INFO, 0, "1"), (TONES, 60, "1"), (TONES, 300, "1"), (INFO, 310, "1")], "11"),
        ([(TONES, 0, "1"), (TONES, 160, "1"), (EVENTS, 320, "1"), (INFO, 330, "1")], "111"),
    ],
)
def test_one_press_is_told_once_whoever_says_it(presses: list[tuple[Source, int, str]], told: str) -> None:
    ours = Keys()
    assert "".join([key for how, at, key in presses if ours.tells(at * MS, key, how)]) == told


def test_an_info_at_the_end_of_a_long_press_is_the_press_whose_tones_were_heard() -> None:
    ours = Keys()
    assert ours.tells(1000 * MS, "5", TONES)
    assert not ours.tells(1900 * MS, "5", INFO, 880)
    assert ours.tells(2500 * MS, "5", INFO, 100)
