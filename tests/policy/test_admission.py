"""Who is heard, how much of each, and who is shut out, for how long."""

from __future__ import annotations

import pytest

from offhook.core.instants import SECOND
from offhook.policy.admission import SOURCES_LIMIT, Admission, Kind, Pace, Source

TRUNK = Source(Kind.TRUNK, "main")
NETWORKS = [
    ("203.0.113.0/28", TRUNK),
    ("127.0.0.0/8", Source(Kind.LOCAL)),
    ("192.168.0.0/16", Source(Kind.NETWORK)),
    ("2001:db8:1::/48", Source(Kind.NETWORK)),
]
CARRIER, HERE, OFFICE, STRANGER = "203.0.113.5", "127.0.0.1", "192.168.1.9", "198.51.100.7"


def door(**more):
    return Admission(NETWORKS, **more)


def test_an_address_belongs_to_the_first_network_that_holds_it():
    sources = [door().source(ip) for ip in (CARRIER, HERE, OFFICE, STRANGER, "::ffff:192.168.1.9", "2001:db8:1::7")]
    kinds = [source.kind for source in sources]
    assert kinds == [Kind.TRUNK, Kind.LOCAL, Kind.NETWORK, Kind.UNKNOWN, Kind.NETWORK, Kind.NETWORK]
    assert sources[0].name == "main"
    assert door().source("no address").kind is Kind.UNKNOWN


def test_strangers_are_heard_only_where_users_may_come_from_anywhere():
    assert not door().hears(0, STRANGER)
    assert door(strangers=True).hears(0, STRANGER)
    assert all(door().hears(0, ip) for ip in (CARRIER, HERE, OFFICE))


def test_what_was_learnt_of_an_address_raises_it_and_can_be_taken_back():
    at = door()
    at.learn(STRANGER, Source(Kind.USER, "alice"))
    assert at.source(STRANGER) == Source(Kind.USER, "alice")
    assert at.hears(0, STRANGER)
    at.forget(STRANGER)
    assert not at.hears(0, STRANGER)
    at.learn(CARRIER, Source(Kind.USER, "mallory"))
    assert at.source(CARRIER) == TRUNK, "nobody becomes less than the configuration says"


@pytest.mark.survives(28)
def test_a_flood_is_let_through_at_the_pace_of_its_class_and_then_shut_out():
    at = door()
    verdicts = []
    told = []
    for number in range(2000):  # ten seconds at 200 a second
        now = number * SECOND // 200
        if not at.hears(now, OFFICE):
            verdicts.append("unread")
            continue
        verdicts.append(at.admits(now, OFFICE, call=True))
        if verdicts[-1] != "take":
            told.append(at.offend(now, OFFICE, "flood"))
    attacks = [attack for attack in told if attack is not None]
    assert [(attack.kind, attack.ip, attack.banned) for attack in attacks] == [("flood", OFFICE, 600 * SECOND)]
    assert verdicts.count("take") < 200
    assert verdicts[-1] == "unread"
    assert at.hears(10 * SECOND, "192.168.1.10"), "its neighbour is not meant"
    assert not at.hears(300 * SECOND, OFFICE)
    assert at.hears(700 * SECOND, OFFICE), "every ban ends"


def test_this_machine_and_trunks_are_never_shut_out():
    at = door()
    for _ in range(1000):
        assert at.admits(0, HERE, call=True) == "take"
        at.offend(0, CARRIER, "flood")
        at.offend(0, HERE, "brute_force")
    assert at.hears(0, CARRIER)
    assert at.hears(0, HERE)
    assert "refuse" in [at.admits(0, CARRIER, call=True) for _ in range(500)], "but a trunk has a pace, too"


def test_a_trunk_is_counted_by_its_name_and_has_the_cap_that_it_states():
    at = door(paces={TRUNK: Pace(10.0, 20.0)})
    verdicts = [at.admits(0, f"203.0.113.{number % 10}", call=True) for number in range(30)]
    assert verdicts.count("take") == 20


@pytest.mark.survives(30)
def test_five_wrong_passwords_in_a_minute_are_an_attack_and_four_are_a_bad_day():
    at = door(strangers=True)
    assert [at.offend(number * SECOND, STRANGER, "brute_force") for number in range(4)] == [None] * 4
    assert at.hears(4 * SECOND, STRANGER)
    attack = at.offend(4 * SECOND, STRANGER, "brute_force")
    assert attack is not None
    assert (attack.count, attack.within, attack.source.kind) == (5, 60 * SECOND, Kind.UNKNOWN)
    assert not at.hears(5 * SECOND, STRANGER)
    slow = door(strangers=True)
    assert [slow.offend(number * 30 * SECOND, STRANGER, "brute_force") for number in range(20)] == [None] * 20


def test_an_attack_is_told_once_however_long_it_goes_on_and_anew_when_it_comes_again():
    at = door(strangers=True)
    told = [at.offend(number * 10 * SECOND, STRANGER, "injection") for number in range(180)]  # half an hour
    assert sum(attack is not None for attack in told) == 1
    quiet = 1800 * SECOND + 601 * SECOND
    again = [at.offend(quiet + number, STRANGER, "injection") for number in range(3)]
    assert sum(attack is not None for attack in again) == 1


def test_whoever_has_a_call_up_is_heard_for_it_whatever_else_came_from_there():
    at = door()
    at.began(0, OFFICE)
    for number in range(10):
        at.offend(number, OFFICE, "brute_force")
    assert not at.hears(1, OFFICE), "a call that rings is anybody's"
    at.answered(OFFICE)
    assert at.banned(1, OFFICE)
    assert at.hears(1, OFFICE)
    assert at.admits(1, OFFICE, call=True) == "drop", "for that call, and nothing new"
    at.ended(OFFICE, answered=True)
    assert not at.hears(1, OFFICE)


def test_neighbours_of_one_ipv6_subscriber_count_as_one():
    at = door()
    for number in range(5):
        at.offend(0, f"2001:db8:1:7::{number:x}", "brute_force")
    assert not at.hears(1, "2001:db8:1:7::ffff")
    assert at.hears(1, "2001:db8:1:8::1")


def test_a_million_made_up_sources_leave_a_bounded_memory_and_the_calls_that_are_up():
    at = door(strangers=True)
    at.began(0, OFFICE)
    for number in range(3 * SOURCES_LIMIT):
        ip = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        at.admits(number, ip, call=True)
        at.offend(number, ip, "brute_force")
    assert len(at._accounts) <= SOURCES_LIMIT + 1
    assert len(at._known) <= SOURCES_LIMIT + 1
    at.ended(OFFICE, answered=False)
    assert at._accounts[OFFICE].calls == 0
