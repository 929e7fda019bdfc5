"""Calls that come: through which trunk, who calls as far as that is believed, and who takes them."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.policy.routes import Route, Routes
from offhook.policy.toll import Caps
from offhook.sip.identity import Believed

CARRIER = Trunk(
    "carrier",
    networks=("10.3.0.1",),
    country="US",
    called_from=("request", "to"),
    believed=Believed(identity=True, diversion=True, verstat=True),
    refuse=480,
)
ASSERTED = 'P-Asserted-Identity: "Alice" <sip:+12125550123@carrier.example;verstat=TN-Validation-Passed>'
FORWARDED = "Diversion: <sip:+12125550199@carrier.example>;reason=no-answer"


def taken(stage: Any, *headers: str, user: str = "agent", **rules: Any) -> Call:
    """Call the host once with these headers; give the call as its agent had it."""
    calls: list[Call] = []

    async def takes(call: Call) -> None:
        calls.append(call)
        await call.hangup()

    async def story() -> None:
        async with stage.host(takes, **rules):
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(), extra="\r\n".join(headers), user=user)
            peer.confirm(await peer.response("INVITE", 200))
            peer.request("ACK")
            peer.reply(await peer.asked("BYE"), 200, "OK")
            await stage.world.settle()
            peer.close()

    stage.play(story())
    (call,) = calls
    return call


def test_a_trunk_that_is_trusted_says_who_calls_and_who_forwarded(stage):
    info = taken(stage, ASSERTED, FORWARDED, trunks=(CARRIER,)).info
    assert (info.trunk, info.trusted, info.caller_name) == ("carrier", True, "Alice")
    assert info.caller.startswith("sip:+12125550123@")
    assert info.diverted_from == "sip:+12125550199@carrier.example"
    assert info.verdict.state == "valid"
    assert "P-Asserted-Identity" in info.headers


@pytest.mark.survives(38)
@pytest.mark.parametrize("trunks", [(), (Trunk("plain", networks=("10.3.0.1",)),)])
def test_what_anyone_else_asserts_is_not_there_and_raises_nothing(stage, trunks):
    info = taken(stage, ASSERTED, FORWARDED, trunks=trunks).info
    assert (info.trusted, info.caller_name, info.diverted_from, info.verdict.state) == (False, "", "", "unsigned")
    assert info.caller == "sip:peer@10.3.0.1"
    assert not {"P-Asserted-Identity", "Diversion"} & set(info.headers)


def test_who_asks_not_to_be_shown_is_not(stage):
    info = taken(stage, ASSERTED, "Privacy: id", trunks=(CARRIER,)).info
    assert (info.private, info.caller, info.caller_name) == (True, "sip:anonymous@anonymous.invalid", "")
    assert "+12125550123" not in repr(info)


def test_the_agent_sees_headers_of_its_own_kind_and_none_of_the_machinery(stage):
    ugly = 'X-Ugly: a\x1b[2Jb"'
    call = taken(stage, "X-Order: 7", "User-to-User: 56a3;encoding=hex", "Authorization: Digest x", ugly)
    assert call.headers["X-Order"] == "7"
    assert call.headers["User-To-User"] == "56a3;encoding=hex"
    assert call.headers["X-Ugly"] == 'a\ufffd[2Jb"'
    assert not {"Authorization", "Via", "Contact"} & set(call.headers)
    assert all(value.isprintable() for value in call.headers.values())


@pytest.mark.parametrize("user", ["+12125550100", "12125550100", "2125550100"])
def test_numbers_that_were_called_are_one_number_however_the_trunk_writes_them(stage, user):
    through(stage, number="+12125550100", trunk="carrier", language="en")
    assert taken(stage, user=user, trunks=(CARRIER,)).info.language == "en"


def through(stage: Any, **route: Any) -> None:
    """Let the host of this stage take calls by one route."""
    original = stage.host

    def host(agent: Any, **rules: Any) -> Any:
        opened = original(agent, **rules)
        opened._route = Routes([Route(agent, **route)]).find
        return opened

    stage.host = host


def refused(stage: Any, calls: int, **rules: Any) -> list[int]:
    """Call the host so often at a time; give the codes of the refusals."""

    async def takes(call: Call) -> None:
        async for _ in call.audio():
            pass

    async def story() -> list[int]:
        codes: list[int] = []
        async with stage.host(takes, **rules):
            peer = stage.peer()
            for _ in range(calls):
                peer.fresh()
                peer.request("INVITE", peer.sdp())
                got = await peer.response("INVITE")
                peer.confirm(got)
                peer.request("ACK", same=got.sip.code >= 300)
                if got.sip.code >= 300:
                    codes.append(got.sip.code)
            peer.deaf = True
        return codes

    return stage.world.run(story())


def test_a_trunk_carries_as_many_calls_as_it_may(stage):
    one_line = Trunk("line", networks=("10.3.0.1",), caps=Caps(calls=1))
    assert refused(stage, 3, trunks=(one_line,)) == [486, 486]


@pytest.mark.parametrize("caps", [{"calls": 2}, {"calls_a_caller": 2}])
def test_a_route_takes_as_many_calls_as_it_may(stage, caps):
    through(stage, **caps)
    assert refused(stage, 4) == [486, 486]


@pytest.mark.parametrize(("trunks", "code"), [((), 503), ((CARRIER,), 480)])
def test_overload_is_told_a_trunk_in_the_code_that_it_wants(stage, trunks, code):
    assert refused(stage, 2, trunks=trunks, max_calls=1) == [code]
