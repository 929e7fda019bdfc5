"""Softphones register at us (RFC 3261 section 10.3, RFC 5626 section 6, RFC 3327), and strangers do not get in."""

from __future__ import annotations

import random
from typing import Any

import pytest

from offhook.core.instants import SECOND
from offhook.sip.auth import Account, Login
from offhook.sip.challenges import User
from offhook.sip.gate import Gate
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Bound, Flow, IncomingCall, Suspicion, Unbound
from offhook.sip.registrar import BINDINGS_LIMIT
from offhook.sip.uri import parse_uri
from offhook.sip.useragent import Settings

USERS = {"alice": User("wonderland"), "bob": User("builder")}
AOR = "<sip:alice@192.0.2.1>"


class Phone:
    """A softphone of `user`, speaking by hand through a far end."""

    def __init__(self, far: Any, user: str = "alice", password: str = "wonderland") -> None:
        self.far = far
        self.user = user
        login = Login(user, password, (parse_uri("sip:192.0.2.1"),), realm="offhook")
        self.account = Account(login, rng=random.Random(user))
        self.seq = 0

    def asks(self, method: str = "REGISTER", *fields: tuple[str, str], to: str = "", **more: Any) -> Response:
        """Ask, with credentials where they are asked for; give the final response."""
        far = self.far
        us = Flow("udp", far.flow.remote, far.flow.local)
        aor = f"<sip:{self.user}@192.0.2.1>"
        said = self.account.open(Request((), b"", method, "sip:192.0.2.1"), us)
        for _ in range(3):
            self.seq += 1
            headers = (("From", f"{aor};tag=f"), ("To", to or aor), *fields, *said)
            request = far.request(method, seq=self.seq, uri="sip:192.0.2.1", headers=headers, call_id=self.user, **more)
            answer = [one for one in far.say(bytes(request)) if isinstance(one, Response) and one.code > 180][-1]
            if answer.code not in (401, 407):
                return answer
            known = self.account.answer(Request(request.headers, b"", method, request.uri), answer, us)
            if known is None:
                return answer
            said = known
        raise AssertionError("asked for the password for ever")

    def registers(self, *contacts: str, expires_s: int | None = 600, **more: Any) -> Response:
        fields = [("Contact", contact) for contact in contacts]
        if expires_s is not None:
            fields.append(("Expires", str(expires_s)))
        return self.asks("REGISTER", *fields, *more.pop("also", ()), without=() if contacts else ("Contact",), **more)


@pytest.fixture
def far(far_with):
    return far_with(settings=Settings(users=USERS))


@pytest.fixture
def phone(far):
    return Phone(far)


def places(far, user="alice"):
    return [binding.contact for binding in far.agent.registrar.bindings(far.now, user)]


def told(far, *kinds):
    return [outcome for outcome in far.told if isinstance(outcome, kinds)]


def test_a_softphone_registers_with_its_password_and_is_found(far, phone):
    answer = phone.registers("<sip:alice@192.0.2.9:5070>")
    assert (answer.code, answer.values("Contact")) == (200, ["<sip:alice@192.0.2.9:5070>;expires=600"])
    assert [message.code for message in far.sent] == [401, 200]
    (binding,) = far.agent.registrar.bindings(far.now, "alice")
    assert (binding.contact, binding.flow) == ("sip:alice@192.0.2.9:5070", far.flow)
    assert told(far, Bound) == [Bound("alice", "sip:alice@192.0.2.9:5070", "192.0.2.9", 600)]
    assert places(far, "bob") == places(far, "nobody") == []


def test_a_binding_ends_by_itself_and_a_refresh_keeps_it(far, phone):
    phone.registers("<sip:alice@192.0.2.9:5070>")
    far.wait(500_000)
    assert phone.registers("<sip:alice@192.0.2.9:5070>").code == 200
    far.wait(599_000)
    assert len(places(far)) == 1
    far.wait(1_001)
    assert places(far) == []
    assert len(told(far, Bound)) == 1
    assert told(far, Unbound) == [Unbound("alice", "sip:alice@192.0.2.9:5070", "192.0.2.9")]
    far.wait(60_000)
    assert far.agent.deadline() is None


@pytest.mark.parametrize(
    ("contact", "header_s", "granted"),
    [
        ("<sip:a@b>", None, "3600"),
        ("<sip:a@b>", 120, "120"),
        ("<sip:a@b>;expires=90", 120, "90"),
        ("<sip:a@b>;expires=999999", None, "3600"),
        ("<sip:a@b>;expires=long", 120, "3600"),
    ],
)
def test_what_is_granted(phone, contact, header_s, granted):
    (value,) = phone.registers(contact, expires_s=header_s).values("Contact")
    assert value.rpartition("expires=")[2] == granted


def test_too_brief_is_answered_with_what_would_do(far, phone):
    answer = phone.registers("<sip:a@b>;expires=59")
    assert (answer.code, answer.index["Min-Expires"]) == (423, "60")
    assert places(far) == []


def test_several_places_of_one_user_in_order_of_preference(far, phone):
    phone.registers("<sip:alice@192.0.2.9:1>;q=0.5", "<sip:alice@192.0.2.9:2>;q=0.9")
    far.wait(1)
    answer = phone.registers("<sip:alice@192.0.2.9:3>;q=0.5;expires=900")
    assert len(answer.values("Contact")) == 3
    assert places(far) == [f"sip:alice@192.0.2.9:{port}" for port in (2, 3, 1)]


def test_the_places_of_one_user_are_bounded_and_the_stalest_makes_room(far, phone):
    for port in range(BINDINGS_LIMIT + 3):
        far.wait(1_000)
        phone.registers(f"<sip:alice@192.0.2.9:{port + 1}>")
    assert len(places(far)) == BINDINGS_LIMIT
    assert "sip:alice@192.0.2.9:3" not in places(far)
    many = [f"<sip:alice@192.0.2.9:{port}>" for port in range(100, 101 + BINDINGS_LIMIT)]
    assert phone.registers(*many).code == 403


def test_one_place_or_all_are_taken_back(far, phone):
    phone.registers("<sip:alice@192.0.2.9:1>", "<sip:alice@192.0.2.9:2>")
    phone.registers("<sip:alice@192.0.2.9:1>;expires=0")
    assert places(far) == ["sip:alice@192.0.2.9:2"]
    assert phone.registers("<sip:alice@192.0.2.9:7>;expires=0").code == 200
    answer = phone.registers("*", expires_s=0)
    assert (answer.code, answer.values("Contact"), places(far)) == (200, [], [])
    assert phone.registers("<sip:alice@192.0.2.9:7>;expires=0").code == 200
    assert far.agent.registrar._bound == {}


@pytest.mark.parametrize(
    ("contacts", "expires_s"),
    [
        (("*",), 60),
        (("*",), None),
        (("*", "<sip:a@b>"), 0),
        (("tel:+1",), 60),
        (("<sip:a@b?x=y>",), 60),
        (("<sip:a@b",), 60),
    ],
)
def test_what_is_not_in_order_is_refused_whole(far, phone, contacts, expires_s):
    phone.registers("<sip:alice@192.0.2.9:1>")
    assert phone.registers("<sip:alice@192.0.2.9:2>", *contacts, expires_s=expires_s).code == 400
    assert places(far) == ["sip:alice@192.0.2.9:1"]


def test_asking_without_a_contact_shows_what_is_there(phone):
    phone.registers("<sip:alice@192.0.2.9:1>")
    assert phone.registers(expires_s=None).values("Contact") == ["<sip:alice@192.0.2.9:1>;expires=600"]


def test_what_was_sent_before_the_last_changes_nothing(far, phone):
    phone.registers("<sip:alice@192.0.2.9:1>")
    far.wait(40_000)
    phone.seq = 0
    assert phone.registers("<sip:alice@192.0.2.9:1>;expires=0").code == 500
    assert len(places(far)) == 1


def test_nobody_registers_another(far, phone):
    assert phone.asks("REGISTER", ("Contact", "<sip:x@y>"), to="<sip:bob@192.0.2.1>").code == 403
    assert phone.asks("REGISTER", ("Contact", "<sip:x@y>"), to="<sip:nobody@192.0.2.1>").code == 403
    assert places(far, "bob") == []


def test_a_flow_of_rfc_5626_replaces_itself_whatever_its_address(far, phone):
    identity = ';+sip.instance="<urn:uuid:1>";reg-id=1'
    also = (("Supported", "path, outbound"),)
    answer = phone.registers(f"<sip:alice@192.0.2.9:1;ob>{identity}", also=also)
    assert (answer.index["Require"], answer.index["Flow-Timer"]) == ("outbound", "120")
    answer = phone.registers(f"<sip:alice@192.0.2.9:2;ob>{identity}", also=also)
    assert answer.values("Contact") == [f"<sip:alice@192.0.2.9:2;ob>{identity};expires=600"]
    assert phone.registers("<sip:alice@192.0.2.9:2>").first("Require") is None


def test_a_path_is_kept_and_given_back(far, phone):
    answer = phone.registers("<sip:alice@10.0.0.9>", also=(("Path", "<sip:edge.example;lr>, <sip:in.example;lr>"),))
    assert answer.all("Path") == ["<sip:edge.example;lr>", "<sip:in.example;lr>"]
    (binding,) = far.agent.registrar.bindings(far.now, "alice")
    assert binding.path == ("<sip:edge.example;lr>", "<sip:in.example;lr>")
    assert phone.registers("<sip:alice@10.0.0.9>", also=(("Path", "nonsense"),)).code == 400


def test_who_was_bound_by_a_connection_that_broke_is_gone(far_with):
    far = far_with("tcp", Settings(users=USERS), 7)
    phone = Phone(far)
    phone.registers("<sip:alice@192.0.2.9;transport=tcp>")
    assert far.agent.registrar.holds(7)
    far.order(far.agent.flow_closed, far.flow)
    assert places(far) == []
    assert not far.agent.registrar.holds(7)


# --- strangers


class Door(Gate):
    """A gate that has everybody asked, as the host's does with strangers."""

    registrar: Any = None

    def admit(self, now, request, flow):
        self.registrar.admit(now, request, flow)


@pytest.fixture
def guarded(far_with):
    door = Door()
    far = far_with(settings=Settings(users=USERS, gate=door))
    door.registrar = far.agent.registrar
    return far


def test_a_user_calls_with_its_password(guarded):
    phone = Phone(guarded)
    phone.asks("OPTIONS")
    headers = (("From", f"{AOR};tag=f"),)
    first = guarded.request("INVITE", headers=headers, seq=50)
    (refused,) = [one for one in guarded.say(bytes(first)) if isinstance(one, Response) and one.code == 401]
    us = Flow("udp", guarded.flow.remote, guarded.flow.local)
    said = phone.account.answer(first, refused, us) or ()
    guarded.say(bytes(guarded.request("INVITE", headers=(*headers, *said), seq=51)))
    assert isinstance(guarded.told[-1], IncomingCall)


def test_a_user_calls_as_nobody_else(guarded):
    phone = Phone(guarded, "bob", "builder")
    phone.user = "alice"
    assert phone.asks("INVITE").code == 403


@pytest.mark.survives(33)
@pytest.mark.parametrize(
    ("method", "code"),
    [("REFER", 403), ("NOTIFY", 403), ("SUBSCRIBE", 405), ("INFO", 403), ("OPTIONS", 401), ("INVITE", 401)],
)
def test_what_strangers_ask_is_refused(guarded, method, code):
    answers = guarded.say(bytes(guarded.request(method)))
    assert [answer.code for answer in answers if answer.code >= 200] == [code]
    assert guarded.told == []


@pytest.mark.survives(30)
@pytest.mark.survives(31)
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_unknown_user_is_told_what_a_wrong_password_is_told(far_with, method, transport):
    def answers(user: str) -> list[str]:
        door = Door()
        far = far_with(transport, Settings(users=USERS, gate=door), 1)
        door.registrar = far.agent.registrar
        phone = Phone(far, user, "guess")
        phone.user = "alice"
        phone.asks(method)
        assert [(one.kind, one.user) for one in told(far, Suspicion)] == [("brute_force", user)]
        return [bytes(message).decode() for message in far.sent]

    assert answers("alice") == answers("bobby")


def test_a_stale_nonce_is_no_suspicion(far, phone):
    phone.registers("<sip:alice@192.0.2.9:1>", expires_s=3600)
    far.wait(400_000)
    assert phone.registers("<sip:alice@192.0.2.9:1>").code == 200
    assert any("stale=TRUE" in message.index.get("WWW-Authenticate", "") for message in far.sent)
    assert told(far, Suspicion) == []


def test_without_users_nobody_registers(far_with):
    far = far_with()
    (answer,) = far.say(bytes(far.request("REGISTER")))
    assert answer.code == 405
    assert far.agent.registrar is None


def test_the_time_of_a_binding_is_counted_from_now(far, phone):
    far.wait(12_345)
    phone.registers("<sip:alice@192.0.2.9:1>", expires_s=60)
    (binding,) = far.agent.registrar.bindings(far.now, "alice")
    assert binding.until == far.now + 60 * SECOND
    assert str(binding.target()) == "sip:alice@192.0.2.9:1"
