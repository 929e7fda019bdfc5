"""Who we are, and to whom we prove it (RFC 3261 section 22, RFC 7616, RFC 8760): against real challenges."""

from __future__ import annotations

import random
from ipaddress import ip_network
from typing import Any

import pytest

from offhook.core.instants import SECOND
from offhook.sip.auth import Account, Login
from offhook.sip.challenges import Challenges, Proved, Stale, User, Wrong
from offhook.sip.digest import AuthValue, parse_auth
from offhook.sip.grammar import Fields
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow
from offhook.sip.uri import parse_uri

US = ("192.0.2.1", 5060)
TRUNK = Flow("udp", US, ("203.0.113.5", 5060), name="sip.trunk.example")
STRANGER = Flow("udp", US, ("198.51.100.66", 5060))


def login(**more: Any) -> Login:
    made: dict[str, Any] = {"user": "bob", "password": "zanzibar", "servers": (parse_uri("sip:sip.trunk.example"),)}
    return Login(**(made | more))


def account(**more):
    return Account(login(**more), rng=random.Random(1))


def server(realm="sip.trunk.example", *algorithms, password="zanzibar", **more):
    users = {"bob": User(password)}
    secret = bytes(16)
    return Challenges(users, realm=realm, secret=secret, algorithms=algorithms or ("SHA-256", "MD5"), **more)


def request(method="INVITE", *fields, uri="sip:+15551234567@sip.trunk.example"):
    return Request(fields, b"", method, uri)


def asked(*values, code=401):
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    return Response(tuple([(name, value) for value in values]), b"", code, "")


def challenge(nonce="n1", realm="sip.trunk.example", **more):
    return str(AuthValue("Digest", (("realm", realm), ("nonce", nonce), *more.items())))


def answer(near: Account, response: Response, first: Request | None = None, flow: Flow = TRUNK) -> Fields:
    """What the account answers to a challenge that it answers."""
    fields = near.answer(first or request(), response, flow)
    assert fields is not None
    return fields


def said(fields, name="Authorization"):
    (value,) = parse_auth(dict(fields)[name])
    return value


# --- what is answered


@pytest.mark.survives(19)
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-SESS", "SHA-256-SESS", "SHA-512-256-SESS"])
@pytest.mark.parametrize("proxy", [False, True])
def test_a_server_takes_what_the_account_answers(algorithm, proxy):
    far, near = server("sip.trunk.example", algorithm), account()
    response = Response(far.ask(0, US[0], proxy=proxy), b"", 407 if proxy else 401, "")
    fields = answer(near, response)
    assert [name for name, _ in fields] == ["Proxy-Authorization" if proxy else "Authorization"]
    assert far.check(1, request("INVITE", *fields), US[0]) == Proved("bob")


@pytest.mark.survives(19)
def test_without_qop_the_answer_is_that_of_rfc_2069():
    near = account(realm="biloxi.com")
    response = asked(challenge("dcd98b7102dd2f0e8b11d0f600bfb0c093", "biloxi.com"))
    value = said(near.answer(request(uri="sip:bob@biloxi.com"), response, TRUNK))
    assert value.get("response") == "bf57e4e0d0bffc0fbaedce64d59add5e"
    assert [name for name, _ in value.params] == ["username", "realm", "nonce", "uri", "response"]


@pytest.mark.survives(19)
@pytest.mark.parametrize("order", [1, -1])
def test_the_strongest_algorithm_that_we_know_wins_whatever_the_order(order):
    values = [challenge(name, algorithm=name, qop="auth") for name in ("AKAv1-MD5", "MD5", "SHA-512-256", "SHA-256")]
    assert said(account().answer(request(), asked(*values[::order]), TRUNK)).algorithm == "SHA-512-256"
    one_field = ", ".join([challenge("1", qop="auth-int"), challenge("2", algorithm="MD5", qop="auth,auth-int")])
    assert said(account().answer(request(), asked(one_field), TRUNK)).get("nonce") == "2"


@pytest.mark.parametrize(
    "value",
    ['Basic realm="sip.trunk.example"', challenge(qop="auth-int"), challenge(algorithm="AKAv1-MD5"), "Digest ("],
)
def test_what_we_can_not_answer_is_not_answered(value):
    near = account()
    assert near.answer(request(), asked(value), TRUNK) is None
    assert "no algorithm" in near.trouble


@pytest.mark.survives(19)
def test_the_nonce_count_grows_with_each_use_and_spares_a_round_trip():
    far, near = server(), account()
    assert near.open(request(), TRUNK) == ()
    first = answer(near, Response(far.ask(0, US[0]), b"", 401, ""))
    assert said(first).get("nc") == "00000001"
    for count in range(2, 5):
        fields = near.open(request("BYE"), TRUNK)
        assert said(fields).get("nc") == f"{count:08x}"
        assert far.check(count, request("BYE", *fields), US[0]) == Proved("bob")
    cnonces = {said(near.open(request(), TRUNK)).get("cnonce") for _ in range(10)}
    assert len(cnonces) == 10


def test_what_a_registrar_gave_is_not_used_for_calls_and_without_qop_nothing_is():
    near = account()
    near.answer(request("REGISTER"), asked(challenge(qop="auth")), TRUNK)
    assert near.open(request("INVITE"), TRUNK) == ()
    assert len(near.open(request("REGISTER"), TRUNK)) == 1
    near.answer(request("INVITE"), asked(challenge()), TRUNK)
    assert near.open(request("INVITE"), TRUNK) == ()


def test_a_proxy_and_the_registrar_behind_it_are_both_answered():
    near = account()
    first = answer(near, asked(challenge("p", qop="auth"), code=407))
    both = answer(near, asked(challenge("w", qop="auth"), code=401), request("INVITE", *first))
    assert said(both).get("nc") == "00000001"
    # The proxy sees its nonce a second time, so it is counted.
    assert said(both, "Proxy-Authorization").get("nc") == "00000002"


def test_a_hidden_user_name_is_hashed_where_the_server_asks_for_it():
    near = account(user="Jäsøn Doe", password="Secret, or not?", realm="api@example.org")
    value = said(
        near.answer(
            request(), asked(challenge("n", "api@example.org", algorithm="SHA-512-256", userhash="true")), TRUNK
        )
    )
    assert value.get("username") == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert value.get("userhash") == "true"


def test_opaque_goes_back_as_it_came_even_empty():
    assert said(account().answer(request(), asked(challenge(opaque="x y")), TRUNK)).get("opaque") == "x y"
    fields = answer(account(), asked(challenge(opaque="")))
    assert 'opaque=""' in dict(fields)["Authorization"]


# --- how often


@pytest.mark.survives(18)
def test_a_stale_nonce_is_answered_again_with_the_new_one_once():
    near = account()
    first = answer(near, asked(challenge("1", qop="auth")))
    second = answer(near, asked(challenge("2", qop="auth", stale="true")), request("INVITE", *first))
    assert (said(second).get("nonce"), said(second).get("nc")) == ("2", "00000001")
    assert near.answer(request("INVITE", *second), asked(challenge("3", qop="auth", stale="TRUE")), TRUNK) is None


def test_a_wrong_password_is_tried_once():
    near = account()
    first = answer(near, asked(challenge("1", qop="auth")))
    assert near.answer(request("INVITE", *first), asked(challenge("2", qop="auth")), TRUNK) is None
    assert near.trouble == "user 'bob' or its password is not accepted"
    assert "zanzibar" not in near.trouble


@pytest.mark.survives(18)
def test_credentials_in_advance_that_are_refused_are_made_anew():
    near = account()
    near.answer(request(), asked(challenge("1", qop="auth")), TRUNK)
    fields = near.open(request(), TRUNK)
    again = near.answer(request("INVITE", *fields), asked(challenge("2", qop="auth")), TRUNK)
    assert said(again).get("nonce") == "2"


# --- whom it is not for


@pytest.mark.survives(32)
@pytest.mark.parametrize("method", ["BYE", "INVITE", "REFER", "UPDATE"])
@pytest.mark.parametrize("code", [401, 407])
def test_a_stranger_gets_nothing_even_with_our_realm(method, code):
    near = account()
    assert near.answer(request(method), asked(challenge(), code=code), STRANGER) is None
    near.answer(request(method), asked(challenge(qop="auth")), TRUNK)
    assert near.open(request(method), STRANGER) == ()
    assert near.trouble == ""


@pytest.mark.survives(32)
def test_the_trunk_gets_nothing_for_a_realm_that_is_not_its_own():
    near = account()
    assert near.answer(request(), asked(challenge(realm="evil\x1b[31m.example")), TRUNK) is None
    assert near.trouble == r"it asks for realm 'evil\x1b[31m.example', which is not this account's"
    told = account(realm="Asterisk")
    assert told.answer(request(), asked(challenge(realm="asterisk")), TRUNK) is not None
    assert told.answer(request(), asked(challenge(realm="sip.trunk.example")), TRUNK) is None


@pytest.mark.survives(32)
def test_what_may_challenge_us():
    near = account(
        servers=(parse_uri("sip:sip.trunk.example"), parse_uri("sip:192.0.2.7:5070")),
        networks=(ip_network("203.0.113.128/25"),),
    )

    def trusts(address, port=5060, name="", transport="udp"):
        return near.trusts(Flow(transport, US, (address, port), name=name))

    assert trusts("192.0.2.7", 5070)
    assert not trusts("192.0.2.7", 5060)  # another program of the same machine
    assert trusts("203.0.113.200", 5099)
    assert not trusts("203.0.113.5")  # what the name leads to is not known yet
    assert trusts("203.0.113.5", name="SIP.trunk.example")
    assert trusts("203.0.113.5")
    assert not trusts("203.0.113.5", 5061)
    assert not trusts("203.0.113.5", name="sip.other.example")
    assert not trusts("192.0.2.7", 5080, name="192.0.2.7")
    secure = account(servers=(parse_uri("sips:203.0.113.9"),))
    assert secure.trusts(Flow("tls", US, ("203.0.113.9", 5061)))
    assert not secure.trusts(Flow("udp", US, ("203.0.113.9", 5061)))


def test_a_password_is_in_nothing_that_prints_itself():
    assert "zanzibar" not in repr(login())
    assert "zanzibar" not in repr(User("zanzibar", {"MD5": "zanzibar"}))


def test_the_server_sees_another_realm_or_an_unknown_algorithm_as_no_credentials():
    far = server(lifetime=10 * SECOND)
    fields = answer(account(realm="other"), asked(challenge(realm="other")))
    assert far.check(0, request("INVITE", *fields), US[0]) == Stale(nonce_known=False)
    wrong = answer(account(password="no"), Response(far.ask(0, US[0]), b"", 401, ""))
    assert far.check(0, request("INVITE", *wrong), US[0]) == Wrong("bob")


# --- the same on the wire


@pytest.mark.survives(32)
@pytest.mark.parametrize("code", [401, 407])
def test_a_callee_that_challenges_our_bye_gets_no_credentials(far, bodies, code):
    """The far end that answered is not the trunk: it knows the realm and asks all the same."""
    near = account(servers=(parse_uri("sip:203.0.113.5"),))
    trunk = Flow("udp", US, ("203.0.113.5", 5060))
    far.flow = trunk
    far.order(far.agent.invite, parse_uri("sip:+1555@203.0.113.5"), (trunk,), bodies("offer"), account=near)
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    asks = ((name, challenge(realm="203.0.113.5", qop="auth")),)
    _, invite = far.responds(far.sent[-1], code, headers=asks)
    assert "response=" in (invite.first("Authorization") or invite.first("Proxy-Authorization") or "")
    far.answers(invite)  # its Contact is 192.0.2.9:5070: what follows goes there
    (bye,) = far.order(far.agent.hangup, 1)
    assert far.flows[-1].remote == ("192.0.2.9", 5070)
    assert bye.first("Authorization") is None
    assert bye.first("Proxy-Authorization") is None
    assert far.responds(bye, code, headers=asks) == []


@pytest.mark.survives(32)
def test_a_trunk_that_challenges_within_the_call_is_answered(far, bodies):
    near = account(servers=(parse_uri("sip:192.0.2.9:5070"),))
    far.order(far.agent.invite, parse_uri("sip:+1555@192.0.2.9:5070"), (far.flow,), bodies("offer"), account=near)
    far.answers(far.sent[-1])
    (bye,) = far.order(far.agent.hangup, 1)
    (again,) = far.responds(bye, 407, headers=(("Proxy-Authenticate", challenge(realm="192.0.2.9")),))
    assert (again.method, "username=" in again.index["Proxy-Authorization"]) == ("BYE", True)
