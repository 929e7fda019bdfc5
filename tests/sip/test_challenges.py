"""Asking who they are: nonces that cost nothing, and the same answer to all who can't prove it (RFC 7616, RFC 8760)."""

from __future__ import annotations

import random

import pytest

from offhook.core.instants import SECOND
from offhook.sip import challenges
from offhook.sip.auth import Account, Login
from offhook.sip.challenges import Challenges, Proved, Stale, User, Wrong
from offhook.sip.digest import AuthValue, ha1, parse_auth, response
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow
from offhook.sip.uri import parse_uri

SOURCE = "198.51.100.7"
PHONE = Flow("udp", (SOURCE, 5060), ("192.0.2.1", 5060))
USERS = {"alice": User("wonderland"), "carol": User(secrets={"MD5": ha1("MD5", "carol", "offhook", "sesame")})}


def made(users=USERS, algorithms=("SHA-256", "MD5"), **more):
    return Challenges(users, realm="offhook", secret=b"0123456789abcdef", algorithms=algorithms, **more)


def phone(user="alice", password="wonderland"):
    return Account(Login(user, password, (parse_uri("sip:192.0.2.1"),), realm="offhook"), rng=random.Random(5))


def register(*fields):
    return Request(fields, b"", "REGISTER", "sip:192.0.2.1")


def answered(ours, who, now=0, source=SOURCE):
    fields = who.answer(register(), Response(ours.ask(now, source), b"", 401, ""), PHONE)
    return register(*fields)


def by_hand(ours, *, user="alice", secret=None, qop="auth", nc="00000001", uri="sip:192.0.2.1", algorithm="MD5", now=0):
    """Credentials as a stranger may write them."""
    (asked,) = [parse_auth(value)[0] for _, value in ours.ask(now, SOURCE) if f"algorithm={algorithm}" in value]
    words = {"username": user, "realm": "offhook", "nonce": asked.get("nonce"), "uri": uri, "algorithm": algorithm}
    secret = secret or ha1(algorithm, user, "offhook", "wonderland")
    kinds = {"qop": qop, "nc": nc, "cnonce": "c"} if qop else {}
    proof = response(algorithm, secret, method="REGISTER", uri=uri, nonce=asked.get("nonce"), **kinds)
    return register(("Authorization", str(AuthValue("Digest", (*words.items(), ("response", proof), *kinds.items())))))


def test_we_ask_for_the_stronger_algorithm_first():
    values = [parse_auth(value)[0] for name, value in made().ask(0, SOURCE) if name == "WWW-Authenticate"]
    assert [(value.algorithm, value.get("realm"), value.get("qop")) for value in values] == [
        ("SHA-256", "offhook", "auth"),
        ("MD5", "offhook", "auth"),
    ]
    assert len({value.get("nonce") for value in values}) == 1
    assert [name for name, _ in made().ask(0, SOURCE, proxy=True)] == ["Proxy-Authenticate"] * 2


def test_a_user_is_known_by_password_or_by_ha1():
    ours = made(algorithms=("MD5",))
    assert ours.check(1, answered(ours, phone()), SOURCE) == Proved("alice")
    assert ours.check(1, answered(ours, phone("carol", "sesame")), SOURCE) == Proved("carol")
    assert ours.check(1, answered(ours, phone("carol", "wrong")), SOURCE) == Wrong("carol")


def test_an_ha1_of_one_algorithm_opens_no_door_by_another():
    ours = made()
    assert ours.check(1, by_hand(ours, user="carol", secret="", algorithm="SHA-256"), SOURCE) == Wrong("carol")


@pytest.mark.survives(30)
@pytest.mark.survives(31)
def test_an_unknown_user_gets_the_verdict_of_a_wrong_password_for_the_same_work(monkeypatch):
    ours = made()
    hashes: list[str] = []
    made_response = response

    def counting(algorithm, secret, **more):
        hashes.append(f"{algorithm} {len(secret)} {sorted(more)}")
        return made_response(algorithm, secret, **more)

    monkeypatch.setattr(challenges, "response", counting)
    known = answered(ours, phone("alice", "guess"))
    unknown = answered(ours, phone("mallory", "guess"))
    assert ours.check(1, known, SOURCE) == Wrong("alice")
    assert ours.check(1, unknown, SOURCE) == Wrong("mallory")
    assert hashes[0] == hashes[1]
    assert len(hashes) == 2


def test_two_phones_of_one_address_are_asked_in_one_instant():
    ours = made(algorithms=("MD5",))
    requests = [answered(ours, phone()), answered(ours, phone("carol", "sesame"))]
    assert [ours.check(0, request, SOURCE) for request in requests] == [Proved("alice"), Proved("carol")]


def test_nobody_is_let_in_as_the_one_who_is_not_there():
    ours = made()
    for secret in (ours._nobody["MD5"], ""):
        assert isinstance(ours.check(1, by_hand(ours, user="nobody", secret=secret or "x"), SOURCE), Wrong)


@pytest.mark.survives(18)
def test_a_nonce_is_good_for_a_while_and_for_one_source():
    ours = made(lifetime=300 * SECOND)
    request = answered(ours, phone())
    assert ours.check(301 * SECOND, request, SOURCE) == Stale(nonce_known=True)
    assert ours.check(1, request, "198.51.100.8") == Stale(nonce_known=False)
    assert made().check(1, request, SOURCE) == Proved("alice")  # another process with the same secret
    other = Challenges(USERS, realm="offhook", secret=b"another secret, too")
    assert other.check(1, request, SOURCE) == Stale(nonce_known=False)
    assert any("stale=TRUE" in value for _, value in ours.ask(0, SOURCE, stale=True))


@pytest.mark.parametrize("nonce", ["", "zzzzzzzzzzzz", "0" * 44, "-0000000001" + "0" * 33, "é" * 44, "0" * 4000])
def test_a_nonce_of_nobody_is_none(nonce):
    value = AuthValue("Digest", (("username", "alice"), ("realm", "offhook"), ("nonce", nonce), ("response", "é")))
    assert made().check(0, register(("Authorization", str(value))), SOURCE) == Stale(nonce_known=False)


@pytest.mark.survives(19)
def test_each_count_of_a_nonce_is_good_once():
    ours, who = made(), phone()
    first = answered(ours, who)
    assert ours.check(1, first, SOURCE) == Proved("alice")
    assert ours.check(2, first, SOURCE) == Stale(nonce_known=True)
    later = [register(*who.open(register(), PHONE)) for _ in range(3)]
    assert ours.check(3, later[2], SOURCE) == Proved("alice")
    assert ours.check(4, later[0], SOURCE) == Stale(nonce_known=True)


def test_without_a_count_a_nonce_is_good_once():
    ours = made()
    request = by_hand(ours, qop="")
    assert ours.check(1, request, SOURCE) == Proved("alice")
    assert ours.check(1, request, SOURCE) == Stale(nonce_known=True)


@pytest.mark.parametrize("nc", ["", "zz", "-1"])
def test_a_count_that_is_none_is_not_taken(nc):
    ours = made()
    assert ours.check(1, by_hand(ours, nc=nc), SOURCE) == Stale(nonce_known=True)


def test_what_is_forgotten_is_not_good_again(monkeypatch):
    monkeypatch.setattr(challenges, "NONCES_LIMIT", 8)
    ours = made()
    requests = [by_hand(ours, now=number * SECOND) for number in range(10)]
    for number, request in enumerate(requests):
        assert ours.check(number * SECOND, request, SOURCE) == Proved("alice")
    assert [ours.check(20 * SECOND, request, SOURCE) for request in requests] == [Stale(nonce_known=True)] * 10
    assert len(ours._counts) == 8


def test_credentials_are_for_the_uri_that_they_came_with():
    ours = made()
    assert ours.check(1, by_hand(ours, uri="sip:192.0.2.1:5060;transport=udp"), SOURCE) == Proved("alice")
    assert ours.check(1, by_hand(ours, uri="sip:elsewhere.example"), SOURCE) == Wrong("alice")


def test_a_hidden_name_is_looked_up():
    ours = made(algorithms=("SHA-256",))
    (asked,) = [parse_auth(value)[0] for _, value in ours.ask(0, SOURCE)]
    hidden = AuthValue("Digest", (*asked.params, ("userhash", "true")))
    fields = phone().answer(register(), Response((("WWW-Authenticate", str(hidden)),), b"", 401, ""), PHONE) or ()
    assert ours.check(1, register(*fields), SOURCE) == Proved("alice")
