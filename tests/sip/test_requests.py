"""A request of ours that fails goes out anew where it may: to the next way, or with credentials."""

from __future__ import annotations

import pytest

from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Answered, Asked, Ended, Flow
from offhook.sip.uri import parse_uri
from tests.sip.conftest import SDP

TARGET = parse_uri("sip:far@trunk.example")
FIRST = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5070))
SECOND = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.10", 5070))
STREAM = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.11", 5060))


class Password:
    """An account that answers the first challenge only."""

    contact = ""
    routes = ()

    def __init__(self) -> None:
        self.asked = 0

    def open(self, request, flow):
        return (("Authorization", "Word in advance"),) if flow == FIRST and self.asked else ()

    def trusts(self, flow):
        return flow.remote == FIRST.remote

    def answer(self, request, response, flow):
        self.asked += 1
        return (("Authorization", f"Word {self.asked}"),) if self.asked < 2 else None


def dial(far, bodies, ways=(FIRST, SECOND), **more) -> Request:
    far.order(far.agent.invite, TARGET, ways, bodies("offer"), **more)
    invite = far.sent[-1]
    assert isinstance(invite, Request)
    return invite


def kept(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers if name != "Via"]


def test_a_busy_server_sends_the_call_to_the_next_way(far, bodies):
    first = dial(far, bodies)
    ack, second = far.responds(first, 503)
    assert (ack.method, second.method, far.flows[-1]) == ("ACK", "INVITE", SECOND)
    assert second.index["Via"] != first.index["Via"]
    assert (kept(second), second.body, second.uri) == (kept(first), first.body, first.uri)
    far.flow = SECOND
    far.answers(second)
    assert isinstance(far.told[-1], Answered)


def test_nobody_at_the_first_address(far, bodies):
    dial(far, bodies)
    far.wait(32_000)
    assert far.flows[-1] == SECOND
    assert far.ended() == []
    far.wait(32_000)
    assert [(end.code, end.reason) for end in far.ended()] == [(408, "timeout")]


def test_a_connection_that_can_not_be_opened(far, bodies):
    first = dial(far, bodies, ways=(STREAM, SECOND))
    assert first.index["Contact"].endswith(";transport=tcp>")
    far.order(far.agent.flow_closed, STREAM)
    assert far.flows[-1] == SECOND
    assert far.sent[-1].index["Contact"] == "<sip:offhook@192.0.2.1:5060>"


@pytest.mark.parametrize("code", [404, 486, 500, 600, 603])
def test_an_answer_is_an_answer(far, bodies, code):
    far.responds(dial(far, bodies), code)
    assert [type(outcome) for outcome in far.told] == [Ended]


def test_no_call_that_nobody_wants_goes_on(far, bodies):
    first = dial(far, bodies)
    far.responds(first, 180)
    far.order(far.agent.hangup, 1)
    far.responds(first, 503)
    assert [flow for flow in far.flows if flow == SECOND] == []
    assert [end.reason for end in far.ended()] == ["hangup"]


def test_a_challenge_is_answered_under_the_next_number(far, bodies):
    password = Password()
    first = dial(far, bodies, account=password)
    _, second = far.responds(first, 401)
    assert (first.index["CSeq"], second.index["CSeq"]) == ("1 INVITE", "2 INVITE")
    assert second.index["Authorization"] == "Word 1"
    assert far.flows[-1] == FIRST
    (ack,) = far.answers(second)
    assert ack.index["CSeq"] == "2 ACK"
    (bye,) = far.order(far.agent.hangup, 1)
    assert (bye.index["CSeq"], bye.index["Authorization"]) == ("3 BYE", "Word in advance")


@pytest.mark.parametrize(("contact", "shown"), [(FIRST.remote, ["Word 1"]), (SECOND.remote, [])])
def test_an_ack_shows_what_its_invite_did_but_not_to_whom_it_was_not_meant_for(far, bodies, contact, shown):
    """RFC 3261 section 22.1; the Contact of a 2xx may lead to somebody else, who would have our proof to guess from."""
    _, second = far.responds(dial(far, bodies, account=Password()), 401)
    fields = (("Contact", f"<sip:far@{contact[0]}:{contact[1]}>"), ("Content-Type", "application/sdp"))
    names = ("Via", "From", "Call-ID", "CSeq")
    kept = [(name, second.index[name]) for name in names]
    to = ("To", f"{second.index['To']};tag=far")
    (ack,) = far.say(bytes(Response((*kept, to, *fields), SDP, 200, "")))
    assert (far.flows[-1].remote, ack.all("Authorization")) == (contact, shown)


def test_a_cancel_follows_the_invite_that_is_on_its_way(far, bodies):
    first = dial(far, bodies, account=Password())
    _, second = far.responds(first, 407)
    far.responds(second, 180)
    (cancel,) = far.order(far.agent.hangup, 1)
    assert (cancel.index["Via"], cancel.index["CSeq"]) == (second.index["Via"], "2 CANCEL")


def test_a_second_no_is_the_last_word(far, bodies):
    password = Password()
    _, second = far.responds(dial(far, bodies, account=password), 401)
    far.responds(second, 401)
    assert [end.code for end in far.ended()] == [401]
    assert password.asked == 2


def test_without_an_account_a_challenge_refuses_the_call(far, bodies):
    far.responds(dial(far, bodies), 401)
    assert [end.code for end in far.ended()] == [401]


def test_what_was_said_to_one_host_is_not_said_to_the_next(far, bodies):
    password = Password()
    _, second = far.responds(dial(far, bodies, account=password), 407)
    assert second.index["Authorization"] == "Word 1"
    _, third = far.responds(second, 503)
    assert (far.flows[-1], third.first("Authorization")) == (SECOND, None)
    fourth = dial(far, bodies, account=password)
    assert fourth.all("Authorization") == ["Word in advance"]


def test_a_challenge_inside_a_dialog_is_counted_there(far, bodies):
    far.answers(dial(far, bodies, account=Password()))
    (bye,) = far.order(far.agent.hangup, 1)
    (again,) = far.responds(bye, 401)
    assert (bye.index["CSeq"], again.index["CSeq"]) == ("2 BYE", "3 BYE")
    assert again.index["Authorization"] == "Word 1"


def test_an_endless_challenger_is_left_after_a_dozen_tries(far):
    class Patient(Password):
        def answer(self, request, response, flow):
            return (("Authorization", "Word"),)

    far.order(far.agent.options, TARGET, (FIRST,), account=Patient())
    for _ in range(20):
        last = far.sent[-1]
        if isinstance(last, Request):
            far.responds(last, 401)
    (told,) = far.told
    assert isinstance(told, Asked)
    assert told.code == 401
    assert len([message for message in far.sent if message.method == "OPTIONS"]) == 13


LARGE = (("X-Large", "x" * 1300),)


def by_stream(flow: Flow) -> Flow:
    return Flow("tcp", flow.local, flow.remote)


def test_a_request_too_large_for_a_datagram_goes_by_tcp(far, bodies):
    first = dial(far, bodies, headers=LARGE)
    assert far.flows[-1] == by_stream(FIRST)
    assert first.index["Via"].startswith("SIP/2.0/TCP ")
    far.flow = far.flows[-1]
    far.answers(first)
    assert isinstance(far.told[-1], Answered)


def test_a_large_request_falls_back_to_udp_where_tcp_is_refused(far, bodies):
    first = dial(far, bodies, headers=LARGE)
    far.order(far.agent.flow_closed, by_stream(FIRST))
    second = far.sent[-1]
    assert far.flows[-1] == FIRST
    assert second.index["Via"].startswith("SIP/2.0/UDP ")
    assert kept(second) == kept(first)
    # What was learned holds for the next call, for a while.
    assert dial(far, bodies, headers=LARGE).index["Via"].startswith("SIP/2.0/UDP ")
    far.wait(601_000)
    assert dial(far, bodies, headers=LARGE).index["Via"].startswith("SIP/2.0/TCP ")


def test_udp_that_was_asked_for_is_udp(far, bodies):
    target = parse_uri("sip:far@trunk.example;transport=udp")
    far.order(far.agent.invite, target, (FIRST,), bodies("offer"), headers=LARGE)
    assert far.flows[-1] == FIRST
    proxied = (("Route", "<sip:p;transport=UDP;lr>"), *LARGE)
    far.order(far.agent.invite, TARGET, (FIRST,), bodies("offer"), headers=proxied)
    assert far.flows[-1] == FIRST


def test_credentials_may_make_a_request_too_large(far, bodies):
    class Wordy(Password):
        def answer(self, request, response, flow):
            return (("Authorization", "Word " * 200 + "end"),)

    first = dial(far, bodies, account=Wordy(), headers=(("X-Pad", "x" * 400),))
    assert far.flows[-1] == FIRST
    far.responds(first, 401)
    assert far.flows[-1] == by_stream(FIRST)
