"""RFC 3263 as a function: what is asked of the name service, and the ways that come out, best first."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from offhook.core.errors import NotAllowed
from offhook.sip.locate import QUESTIONS_LIMIT, WAYS_LIMIT, Able, Host, Naptr, Question, Record, Srv, Way, locate
from offhook.sip.uri import parse_uri

ALL = Able(("udp", "tcp", "tls", "ws", "wss"), (4, 6))
Zone = dict[tuple[str, str], tuple[Record, ...]]

EXAMPLE: Zone = {
    ("NAPTR", "example.com"): (
        Naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com."),
        Naptr(100, 50, "s", "SIP+D2U", "_sip._udp.example.com."),
        Naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com."),
        Naptr(10, 50, "s", "SIP+D2S", "_sip._sctp.example.com."),
        Naptr(10, 50, "u", "E2U+sip", "."),
    ),
    ("SRV", "_sip._tcp.example.com"): (Srv(1, 1, 5062, "server1.example.com."), Srv(0, 1, 5061, "server2.example.com")),
    ("SRV", "_sip._udp.example.com"): (Srv(0, 1, 5060, "server1.example.com"),),
    ("SRV", "_sips._tcp.example.com"): (Srv(0, 1, 5071, "server1.example.com"),),
    ("A", "server1.example.com"): (Host("192.0.2.1"),),
    ("AAAA", "server1.example.com"): (Host("2001:db8::1"),),
    ("A", "server2.example.com"): (Host("192.0.2.2"), Host("192.0.2.3")),
    ("A", "example.com"): (Host("192.0.2.9"),),
}


def find(text: str, zone: Zone, able: Able = ALL, seed: int = 1) -> tuple[list[str], int]:
    """Answer questions from a zone until there are ways; give them as text, and the rounds that it took."""
    answers: dict[Question, tuple[Record, ...]] = {}
    for rounds in range(9):
        questions, ways = locate(parse_uri(text), answers, able, Random(seed))
        if not questions:
            return [f"{way.transport} {way.ip} {way.port}" for way in ways], rounds
        answers |= {question: zone.get((question.kind, question.name), ()) for question in questions}
    raise AssertionError("it asks and asks")


@pytest.mark.parametrize(
    ("uri", "ways"),
    [
        # An address or a port needs no service records (section 4.1, 4.2).
        ("sip:192.0.2.7", ["udp 192.0.2.7 5060"]),
        ("sip:192.0.2.7:5080;transport=tcp", ["tcp 192.0.2.7 5080"]),
        ("sip:[2001:db8::7]", ["udp 2001:db8::7 5060"]),
        ("sips:192.0.2.7", ["tls 192.0.2.7 5061"]),
        ("sips:192.0.2.7;transport=tcp", ["tls 192.0.2.7 5061"]),
        ("sip:192.0.2.7;transport=tls", ["tls 192.0.2.7 5061"]),
        ("sip:192.0.2.7;transport=ws", ["ws 192.0.2.7 80"]),
        ("sips:192.0.2.7;transport=ws", ["wss 192.0.2.7 443"]),
        ("sip:example.com:5070", ["udp 192.0.2.9 5070"]),
        ("sip:example.com;maddr=192.0.2.4", ["udp 192.0.2.4 5060"]),
        # A transport alone skips NAPTR.
        ("sip:example.com;transport=udp", ["udp 192.0.2.1 5060", "udp 2001:db8::1 5060"]),
        (
            "sip:example.com;transport=TCP",
            ["tcp 192.0.2.2 5061", "tcp 192.0.2.3 5061", "tcp 192.0.2.1 5062", "tcp 2001:db8::1 5062"],
        ),
        # sips takes nothing but what is secure.
        ("sips:example.com", ["tls 192.0.2.1 5071", "tls 2001:db8::1 5071"]),
    ],
)
def test_the_ways_of_a_uri(uri: str, ways: list[str]) -> None:
    assert find(uri, EXAMPLE)[0] == ways


def test_naptr_says_the_order_and_every_record_is_a_way_to_fall_back_on() -> None:
    ways, rounds = find("sip:example.com", EXAMPLE, Able(("udp", "tcp"), (4,)))
    assert ways == ["tcp 192.0.2.2 5061", "tcp 192.0.2.3 5061", "tcp 192.0.2.1 5062", "udp 192.0.2.1 5060"]
    assert rounds <= 3


def test_without_naptr_the_service_records_of_every_transport_are_taken() -> None:
    zone = {key: records for key, records in EXAMPLE.items() if key[0] != "NAPTR"}
    assert find("sip:example.com", zone, Able(("udp", "tcp"), (4,)))[0] == [
        "udp 192.0.2.1 5060",
        "tcp 192.0.2.2 5061",
        "tcp 192.0.2.3 5061",
        "tcp 192.0.2.1 5062",
    ]


def test_without_service_records_the_name_itself_is_called() -> None:
    zone: Zone = {("A", "plain.example"): (Host("192.0.2.9"),), ("AAAA", "plain.example"): (Host("2001:db8::9"),)}
    assert find("sip:plain.example", zone)[0] == ["udp 192.0.2.9 5060", "udp 2001:db8::9 5060"]
    assert find("sip:plain.example", zone, Able(("udp",), (6, 4)))[0] == ["udp 2001:db8::9 5060", "udp 192.0.2.9 5060"]
    assert find("sip:plain.example;transport=wss", zone, Able(("wss",), (4,)))[0] == ["wss 192.0.2.9 443"]
    assert find("sips:plain.example", zone, Able(("tls",), (4,)))[0] == ["tls 192.0.2.9 5061"]


def test_the_name_that_was_asked_for_is_kept_for_the_certificate() -> None:
    questions, ways = locate(parse_uri("sips:192.0.2.7"), {}, ALL, Random(1))
    assert (questions, ways) == ((), (Way("tls", "192.0.2.7", 5061, "192.0.2.7"),))
    answers = {
        Question("SRV", "_sips._tcp.example.com"): (Srv(0, 0, 5061, "far.example.net"),),
        Question("A", "far.example.net"): (Host("192.0.2.8"),),
    }
    _, ways = locate(parse_uri("sip:example.com;transport=tls"), answers, Able(("tls",), (4,)), Random(1))
    assert ways == (Way("tls", "192.0.2.8", 5061, "example.com"),)


def test_a_service_that_is_said_not_to_be_there_is_not_called() -> None:
    zone: Zone = {("SRV", "_sip._udp.example.com"): (Srv(0, 0, 0, "."),), ("A", "example.com"): ()}
    assert find("sip:example.com;transport=udp", zone)[0] == []


def test_weights_are_obeyed_within_a_priority() -> None:
    zone: Zone = {
        ("SRV", "_sip._udp.e.example"): (
            Srv(1, 0, 1, "192.0.2.1"),
            Srv(0, 75, 2, "192.0.2.2"),
            Srv(0, 25, 3, "192.0.2.3"),
        )
    }
    found = [find("sip:e.example;transport=udp", zone, seed=seed)[0] for seed in range(2000)]
    first = Counter(ways[0] for ways in found)
    assert 0.70 < first["udp 192.0.2.2 2"] / 2000 < 0.80
    assert {ways[2] for ways in found} == {"udp 192.0.2.1 1"}
    assert all(len(ways) == 3 for ways in found)


@pytest.mark.parametrize("uri", ["sip:a.example;transport=sctp", "sip:192.0.2.1;transport=tls", "sips:a.example"])
def test_a_transport_that_can_not_be_used_is_refused(uri: str) -> None:
    with pytest.raises(NotAllowed):
        find(uri, {}, Able(("udp", "tcp"), (4,)))


def test_sips_never_leaves_without_tls() -> None:
    zone: Zone = {("NAPTR", "e.example"): (Naptr(1, 1, "s", "SIP+D2U", "_sip._udp.e.example"),)}
    for name in ("_sip._udp.e.example", "_sips._tcp.e.example"):
        zone["SRV", name] = (Srv(0, 0, 5060, "192.0.2.1"),)
    for transport in ("", ";transport=udp", ";transport=tcp", ";transport=tls"):
        assert {way.split()[0] for way in find(f"sips:e.example{transport}", zone)[0]} == {"tls"}


def test_a_name_service_that_answers_without_end_costs_a_bounded_number_of_questions() -> None:
    records: tuple[Record, ...] = tuple([Srv(0, 1, 5060, f"h{number}.example") for number in range(500)])
    hosts: tuple[Record, ...] = tuple([Host(f"192.0.2.{number}") for number in range(250)])
    answers: dict[Question, tuple[Record, ...]] = {}
    questions, ways = locate(parse_uri("sip:big.example"), answers, ALL, Random(1))
    for _ in range(2):
        assert len(questions) <= QUESTIONS_LIMIT
        for question in questions:
            answers[question] = records if question.kind == "SRV" else hosts if question.kind == "A" else ()
        questions, ways = locate(parse_uri("sip:big.example"), answers, ALL, Random(1))
    assert (questions, len(ways)) == ((), WAYS_LIMIT)


def test_what_is_no_address_in_an_answer_is_passed_over() -> None:
    assert find("sip:e.example:5060", {("A", "e.example"): (Host("nonsense"), Host("192.0.2.1"))})[0] == [
        "udp 192.0.2.1 5060"
    ]
