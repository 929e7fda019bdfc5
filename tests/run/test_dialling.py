"""Calls of ours: where they may go, through which trunks, and what they cost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.core.errors import ConfigError, DialFailed, NotAllowed
from offhook.policy.toll import Caps
from offhook.run.dialling import Wish, ways
from offhook.run.rules import HostRules
from offhook.sip.uri import parse_uri
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT

FIRST, SECOND = parse_uri("sip:10.3.0.1"), parse_uri("sip:10.3.0.2")


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


def rules(*trunks: Trunk, dial: tuple[str, ...] = ("+",), **more: Any) -> HostRules:
    return HostRules(trunks=trunks, dial=dial, **more)


def test_a_number_goes_through_the_trunks_in_order_as_each_wants_it():
    two = rules(Trunk("a", uri=FIRST), Trunk("b", uri=SECOND, country="DE", number_format="national"), Trunk("in"))
    targets = [str(way.target) for way in ways(two, "+49 30 123456")]
    assert targets == ["sip:+4930123456@10.3.0.1", "sip:030123456@10.3.0.2"]
    turned = rules(*two.trunks, dials=("b", "a"))
    assert [way.trunk.name for way in ways(turned, "+4930123456") if way.trunk] == ["b", "a"]


@pytest.mark.survives(34)
@pytest.mark.parametrize("to", ["+15551234567", "030 5551234", "sip:x@far.example", "100", "+4930123456;x=y"])
def test_nothing_is_dialled_that_no_rule_lists(to):
    with pytest.raises(NotAllowed):
        ways(rules(Trunk("a", uri=FIRST, country="DE"), dial=()), to)


@pytest.mark.survives(34)
def test_a_national_number_is_judged_by_what_it_is():
    german = rules(Trunk("a", uri=FIRST, country="DE"), dial=("+49", "!+49900"))
    (way,) = ways(german, "030 123456")
    assert str(way.target) == "sip:+4930123456@10.3.0.1"
    for premium in ("0900 1234567", "+49 900 1234567", "00499001234567", "001 555 123 4567"):
        with pytest.raises(NotAllowed):
            ways(german, premium)


@pytest.mark.parametrize(("number", "country"), [("112", "DE"), ("911", "US"), ("110", "DE"), ("000", "AU")])
def test_an_emergency_number_is_not_dialled_unless_it_is_listed_and_its_trunk_takes_it(number, country):
    trunk = Trunk("a", uri=FIRST, country=country)
    taking = Trunk("a", uri=FIRST, country=country, emergency=True)
    for refused in (rules(trunk), rules(trunk, dial=(number, "+")), rules(taking, dial=("+", "1", "9", "0"))):
        with pytest.raises(NotAllowed, match="emergency"):
            ways(refused, number)
    (way,) = ways(rules(taking, dial=(number,)), number)
    assert str(way.target) == f"sip:{number}@10.3.0.1"


@pytest.mark.survives(36)
@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "[::1]", "2130706433", "pbx.internal"])
def test_no_machine_inside_is_dialled_by_a_rule_for_anywhere(host):
    with pytest.raises(NotAllowed):
        ways(HostRules(dial=("sip:*@*",)), f"sip:x@{host}")


def test_headers_of_the_agent_and_of_the_trunk_go_along_and_a_number_is_shown_or_withheld():
    trunk = Trunk("a", uri=FIRST, caller="+4930111111", identity=("pai",), headers=(("X-Account", "7"),))
    (way,) = ways(rules(trunk), "+4930123456", Wish({"X-Order": "9"}))
    assert way.sender is not None
    assert way.sender.uri == "sip:+4930111111@10.3.0.1"
    assert [name for name, _ in way.headers] == ["P-Asserted-Identity", "X-Account", "X-Order"]
    (hidden,) = ways(rules(trunk), "+4930123456", Wish(withhold=True))
    assert "anonymous" in str(hidden.sender)
    with pytest.raises(ValueError, match="X-A"):
        ways(rules(trunk), "+4930123456", Wish({"X-A": "b\r\nc: d"}))


def test_a_number_without_a_trunk_says_what_to_add():
    with pytest.raises(ConfigError, match=r"\[trunks\.main\]"):
        ways(rules(), "+4930123456")


@pytest.mark.survives(32)
def test_an_address_at_the_host_of_a_trunk_is_called_as_its_customer_and_any_other_as_nobodys():
    pbx = Trunk("a", uri=parse_uri("sip:pbx.example;transport=tcp"), username="desk", outbound_proxy=FIRST)
    both = rules(pbx, dial=("sip:*@pbx.example", "sip:*@far.example"))
    (inside,) = ways(both, "sip:102@PBX.example:5060")
    assert (inside.trunk, str(inside.target), inside.next_hop) == (pbx, "sip:102@PBX.example:5060", FIRST)
    assert inside.sender is not None
    assert inside.sender.uri == "sip:desk@pbx.example"
    for other in ("sip:102@far.example", "sip:102@pbx.example:5070"):
        (way,) = ways(both, other)
        assert way.trunk is None


@pytest.mark.parametrize("number", ["112", "+112", "911"])
def test_no_emergency_number_is_called_as_an_address_at_the_host_of_a_trunk(number: str):
    with pytest.raises(NotAllowed, match="emergency"):
        ways(
            rules(Trunk("a", uri=parse_uri("sip:pbx.example")), dial=("sip:*@pbx.example",)),
            f"sip:{number}@pbx.example",
        )


# Over the wire


def two_trunks(stage: Any, **more: Any) -> Any:
    return stage.host(
        listens,
        dial=("+",),
        trunks=(Trunk("a", uri=FIRST, networks=("10.3.0.1",), **more), Trunk("b", uri=SECOND, networks=("10.3.0.2",))),
    )


def second(stage: Any) -> Any:
    return Peer(stage.world, "10.3.0.2", ("10.1.0.1", SIP_PORT), stage.world.rng("second"))


@pytest.mark.parametrize("code", [408, 500, 503, 504])
def test_the_next_trunk_is_tried_where_one_can_not(stage, code):
    async def story() -> None:
        async with two_trunks(stage) as host:
            first, other = stage.peer(), second(stage)
            dialling = asyncio.create_task(host.dial("+4930123456", listens))
            first.reply(await first.asked("INVITE"), code, "No", tag="t")
            invite = await other.asked("INVITE")
            assert invite.data.startswith(b"INVITE sip:+4930123456@10.3.0.2 SIP/2.0\r\n")
            other.reply(invite, 200, "OK", other.sdp(), tag="u")
            call = await dialling
            assert call.info.trunk == "b"
            other.confirm(await other.asked("ACK"))
            ending = asyncio.create_task(call.hangup())
            other.reply(await other.asked("BYE"), 200, "OK")
            await ending
            for peer in (first, other):
                peer.close()
            await stage.world.settle()

    stage.play(story())


def test_the_next_trunk_is_tried_where_one_is_silent(stage):
    async def story() -> None:
        async with two_trunks(stage) as host:
            other = second(stage)
            dialling = asyncio.create_task(host.dial("+4930123456", listens))
            other.reply(await other.asked("INVITE"), 486, "Busy", tag="u")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == 486
            other.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize("code", [404, 480, 486, 600, 603])
def test_what_the_callee_said_stands(stage, code):
    async def story() -> None:
        async with two_trunks(stage) as host:
            first, other = stage.peer(), second(stage)
            dialling = asyncio.create_task(host.dial("+4930123456", listens))
            first.reply(await first.asked("INVITE"), code, "No", tag="t")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == code
            assert await other.asked("INVITE", within_s=2.0) is None
            for peer in (first, other):
                peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(34)
def test_a_trunk_that_has_reached_its_cap_gives_way_to_the_next_and_all_to_none(stage):
    async def story() -> None:
        trunks = tuple(
            Trunk(name, uri=uri, networks=(uri.host,), caps=Caps(minutes_a_day=0))
            for name, uri in (("a", FIRST), ("b", SECOND))
        )
        async with stage.host(listens, dial=("+",), trunks=trunks) as host:
            first = stage.peer()
            with pytest.raises(NotAllowed, match="b has used up its 0 minutes"):
                await host.dial("+4930123456", listens)
            assert await first.asked("INVITE", within_s=1.0) is None
            first.close()

    stage.play(story())


@pytest.mark.survives(34)
def test_a_call_ends_when_the_minutes_of_its_day_are_used_up(stage):
    async def story() -> None:
        trunk = Trunk("a", uri=FIRST, networks=("10.3.0.1",), caps=Caps(minutes_a_day=0.2))
        async with stage.host(listens, dial=("+",), trunks=(trunk,)) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("+4930123456", listens))
            peer.reply(await peer.asked("INVITE"), 200, "OK", peer.sdp(), tag="t")
            await dialling
            began = stage.world.seconds
            bye = await peer.asked("BYE")
            assert bye is not None
            assert stage.world.seconds - began == pytest.approx(12, abs=1.5)
            peer.reply(bye, 200, "OK")
            peer.close()
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons() == ["toll"]
