"""The name service at the edge, against a name server on loopback that serves, lies, stalls and dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from offhook.core.errors import Unreachable
from offhook.run import resolver as resolving
from offhook.run.resolver import Resolver
from offhook.sip.locate import Able, Host, Question
from offhook.sip.uri import parse_uri
from offhook.testing.nameserver import Mood, NameServer, Zone

ABLE = Able(("udp", "tcp", "tls"), (4, 6))
TRUNK: Zone = {
    ("NAPTR", "trunk.example"): ['10 1 "s" "SIP+D2T" "" _sip._tcp.trunk.example.'],
    ("SRV", "_sip._tcp.trunk.example"): ["1 1 5060 b.trunk.example.", "0 1 5062 a.trunk.example."],
    ("A", "a.trunk.example"): ["192.0.2.1"],
    ("AAAA", "a.trunk.example"): ["2001:db8::1"],
    ("A", "b.trunk.example"): ["192.0.2.2"],
}


def run(story: Callable[[NameServer, Resolver], Awaitable[None]], zone: Zone = TRUNK, mood: Mood = "well") -> None:
    async def whole() -> None:
        async with NameServer(zone, mood=mood) as names:
            resolver = Resolver([names.address])
            await story(names, resolver)
            await resolver.close()

    asyncio.run(whole())


def test_a_trunk_is_found_by_its_records() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        ways = await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))
        assert [(way.transport, way.ip, way.port) for way in ways] == [
            ("tcp", "192.0.2.1", 5062),
            ("tcp", "2001:db8::1", 5062),
            ("tcp", "192.0.2.2", 5060),
        ]
        assert {way.name for way in ways} == {"trunk.example"}

    run(story)


def test_what_is_known_is_not_asked_again() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        for _ in range(3):
            await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))
        assert max(names.asked.values()) == 1
        question = Question("A", "a.trunk.example")
        assert await asyncio.gather(resolver.look(question), resolver.look(question)) == [(Host("192.0.2.1"),)] * 2
        assert names.asked["A", "a.trunk.example"] == 1

    run(story)


def test_an_answer_is_believed_for_its_time_to_live() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        question = Question("A", "a.trunk.example")
        await resolver.look(question)
        names.zone["A", "a.trunk.example"] = ["192.0.2.77"]
        until, records = resolver._cache[question]
        assert until - asyncio.get_running_loop().time() <= 60
        assert await resolver.look(question) == records
        resolver._cache[question] = 0.0, records
        assert await resolver.look(question) == (Host("192.0.2.77"),)

    run(story)


def test_an_answer_that_was_cut_is_asked_for_by_tcp() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        assert len(await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))) == 3
        assert names.over["tcp"] > 0

    run(story, mood="cut")


def test_a_slow_name_server_is_waited_for() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        assert len(await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))) == 3

    run(story, mood="slow")


@pytest.mark.parametrize("mood", ["dead", "broken"])
def test_a_name_server_that_does_not_answer_is_unreachable_in_bounded_time(
    mood: Mood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "QUESTION_S", 0.3)

    async def story(names: NameServer, resolver: Resolver) -> None:
        with pytest.raises(Unreachable):
            await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))

    run(story, mood=mood)


def test_the_whole_search_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "SEARCH_S", 0.2)

    async def story(names: NameServer, resolver: Resolver) -> None:
        with pytest.raises(Unreachable, match="in time"):
            await resolver.ways(parse_uri("sip:trunk.example"), ABLE, Random(1))

    run(story, mood="dead")


def test_a_second_name_server_answers_for_a_dead_one() -> None:
    async def whole() -> None:
        async with NameServer(TRUNK) as names:
            resolver = Resolver([("127.0.0.1", 9), names.address])
            assert await resolver.look(Question("A", "a.trunk.example")) == (Host("192.0.2.1"),)
            await resolver.close()

    asyncio.run(whole())


def test_names_without_a_dot_are_the_systems_own() -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        ways = await resolver.ways(parse_uri("sip:localhost:5070"), Able(("udp",), (4,)), Random(1))
        assert [(way.ip, way.port) for way in ways] == [("127.0.0.1", 5070)]
        assert not names.asked

    run(story)


@pytest.mark.parametrize("host", ["nowhere.example", "a..b", "x" * 70 + ".example", "no-such-host"])
def test_a_name_that_is_not_there_is_said_so(host: str) -> None:
    async def story(names: NameServer, resolver: Resolver) -> None:
        with pytest.raises(Unreachable, match="is not known"):
            await resolver.ways(parse_uri(f"sip:{host}"), ABLE, Random(1))

    run(story)
