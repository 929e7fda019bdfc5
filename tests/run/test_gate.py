"""The gate: who may ask for what, how much of it, and what is written down about the others."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from offhook.call import Call
from offhook.core.instants import SECOND
from offhook.policy.admission import Admission, Kind, Source
from offhook.run.logs import one_line
from offhook.run.rules import User
from offhook.run.security import LINES_A_MINUTE, SecurityLog


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


@pytest.mark.survives(33)
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "REFER", "INFO", "NOTIFY", "UPDATE", "PRACK", "PUBLISH"])
@pytest.mark.parametrize("allow", [("10.0.0.0/8",), ()])
def test_what_belongs_into_a_call_is_refused_outside_of_one_and_dials_nobody(stage, method, allow):
    async def story() -> None:
        users = () if allow else (User("alice", "correct horse"),)
        async with stage.host(listens, allow=allow, users=users) as host:
            peer = stage.peer()
            peer.request(method, extra="Refer-To: <sip:+19005550123@10.3.0.9>\r\nEvent: presence")
            got = await peer.response(method)
            assert got.sip.code in ((403, 405, 481, 489) if allow else (401, 403, 405, 481))
            assert await peer.asked("INVITE", within_s=1.0) is None
            assert host.live == 0
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(31)
def test_a_stranger_gets_the_same_answer_whatever_it_asks_for(stage):
    async def story() -> None:
        async with stage.host(listens, user="desk", allow=(), users=(User("desk", "correct horse"),)):
            peer = stage.peer()
            answers: set[tuple[int, bool]] = set()
            for user in ("desk", "nobody", "100", "admin"):
                peer.fresh()
                peer.request("INVITE", peer.sdp(), user=user)
                got = await peer.response("INVITE")
                peer.confirm(got)
                peer.request("ACK", same=True)
                answers.add((got.sip.code, b"Server:" in got.data or b"User-Agent:" in got.data))
            assert len(answers) == 1
            ((code, named),) = answers
            assert code in (401, 403)
            assert not named
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(28)
def test_a_flood_is_refused_then_unread_while_a_call_goes_on(stage):
    async def story() -> None:
        told = io.StringIO()
        async with stage.host(listens, allow=("10.0.0.0/8",)) as host, stage.phone() as phone:
            host.security._out = told
            caller = await phone.calls("sip:agent@10.1.0.1")
            peer = stage.peer()
            for _ in range(2000):
                peer.fresh()
                peer.request("INVITE", "")
                await asyncio.sleep(0.005)
            counters = host.counters()
            assert counters["screened"] > 1500
            assert counters["attacks_flood"] == 1
            assert not caller.over
            await caller.hangs_up()
            peer.close()
            await asyncio.sleep(60)
        (line,) = told.getvalue().splitlines()
        assert " kind=flood source=10.3.0.1 class=network count=40 window_s=10 ban_s=600" in line

    stage.world.run(story())


@pytest.mark.survives(37)
def test_a_header_that_would_move_a_cursor_stays_in_its_line_and_goes_nowhere(stage):
    async def story() -> None:
        told = io.StringIO()
        async with stage.host(listens) as host:
            host.security._out = told
            peer = stage.peer()
            ugly = "User-Agent: x\x1b[2J\x07fake kind=flood"
            for _ in range(3):
                peer.fresh()
                peer.request("OPTIONS", extra=f"{ugly}\r\nX-Evil: \x1b]0;root\x07")
                got = await peer.response("OPTIONS", within_s=2.0)
                assert got is None or b"\x1b" not in got.data
            peer.fresh()
            peer.request("OPTIONS", extra="X-Long: " + "a" * 64_000)
            got = await peer.response("OPTIONS", within_s=2.0)
            assert got is None or len(got.data) < 2000
            peer.close()
            await stage.world.settle()
        lines = told.getvalue().splitlines()
        assert [line.partition("kind=")[2].partition(" ")[0] for line in lines] == ["injection"]
        assert all(line.isprintable() for line in lines)

    stage.play(story())


@pytest.mark.survives(37)
def test_no_log_line_is_two_whatever_is_written_into_it():
    out = io.StringIO()
    structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[one_line, structlog.dev.ConsoleRenderer(colors=False)]
    ).warning("an attack", source="1.2.3.4\r\nfake: line", name="\x1b[2J\x9b", inner=["a\nb"], number=7)
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()


def at(ip: str) -> tuple[SecurityLog, io.StringIO]:
    out = io.StringIO()
    door = Admission([(ip, Source(Kind.NETWORK))])
    return SecurityLog(door, out, clock=lambda: datetime(2026, 11, 28, 3, 12, 44, tzinfo=UTC)), out


def test_an_attack_is_one_line_that_says_who_did_what():
    log, out = at("192.0.2.7")
    for number in range(500):
        log.note(number * SECOND, "192.0.2.7", "brute_force", "user +15551234567")
    assert out.getvalue() == (
        "2026-11-28T03:12:44Z offhook.security kind=brute_force source=192.0.2.7 class=network count=5 window_s=60 "
        'ban_s=600 detail="user +1555•••4567"\n'
    )


def test_it_may_be_json():
    out = io.StringIO()
    log = SecurityLog(Admission([]), out, as_json=True)
    log.note(0, "192.0.2.7", "scan", 'x" kind="')
    told: dict[str, Any] = json.loads(out.getvalue())
    assert (told["kind"], told["source"], told["detail"]) == ("scan", "192.0.2.7", 'x" kind="')


def test_made_up_sources_do_not_fill_the_disk():
    out = io.StringIO()
    log = SecurityLog(Admission([]), out)
    for number in range(10_000):
        log.note(number, f"198.51.{number >> 8}.{number & 255}", "scan")
    log.note(61 * SECOND, "203.0.113.1", "scan")
    lines = out.getvalue().splitlines()
    assert len(lines) == LINES_A_MINUTE + 1
    assert f"untold_before={10_000 - LINES_A_MINUTE}" in lines[-1]


def test_a_log_that_can_not_be_written_stops_nothing():
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    log = SecurityLog(Admission([]), Full())
    log.note(0, "192.0.2.7", "scan")
    assert log.unwritten == 1
