"""Every row of the tables is taken by a script, and does on the wire what its figure says (RFC 3261 section 17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offhook.sip.header import parse_via
from offhook.sip.message import Request
from offhook.sip.offer import make_offer
from offhook.sip.outcomes import Flow, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.tables import ROWS
from offhook.sip.transaction import answered_via, response_flow, same_flow, server_key
from offhook.sip.uri import parse_uri

SDP = b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
CALL = SipCall(1)


def dial(far: Any) -> Request:
    offer = make_offer(address="192.0.2.1", port=9000, session_id=1, version=1)
    (invite,) = far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), offer)
    return invite


def bye(far: Any) -> Request:
    far.up()
    (request,) = far.order(far.agent.hangup, CALL)
    return request


def lose(far: Any) -> None:
    far.order(far.agent.flow_closed, far.flow)


# --- INVITE client


def invite_that_nobody_answers(far: Any) -> None:
    dial(far)
    assert [message.method for message in far.wait(32_000)] == ["INVITE"] * 6


def invite_refused_at_once(far: Any) -> None:
    invite = dial(far)
    assert [message.method for message in far.responds(invite, 486)] == ["ACK"]
    assert far.responds(invite, 180) == []
    assert far.answers(invite) == []
    assert [message.method for message in far.responds(invite, 486)] == ["ACK"]
    assert far.wait(32_000) == []


def invite_that_rings_and_is_refused(far: Any) -> None:
    invite = dial(far)
    far.responds(invite, 180)
    far.responds(invite, 183)
    assert far.wait(5_000) == []
    assert [message.method for message in far.responds(invite, 603)] == ["ACK"]


def invite_answered_at_once(far: Any) -> None:
    invite = dial(far)
    assert [message.method for message in far.answers(invite)] == ["ACK"]
    assert [message.method for message in far.answers(invite)] == ["ACK"]
    assert far.responds(invite, 180) == []
    assert far.responds(invite, 486) == []
    assert far.wait(32_000) == []
    assert far.agent.counters()["transactions"] == 0


def invite_that_rings_and_is_answered(far: Any) -> None:
    invite = dial(far)
    far.responds(invite, 180)
    assert [message.method for message in far.answers(invite)] == ["ACK"]


def invite_cancelled_in_vain(far: Any) -> None:
    invite = dial(far)
    far.responds(invite, 180)
    far.order(far.agent.hangup, CALL)
    far.wait(32_000)
    assert far.agent.counters()["transactions"] == 0


def invite_lost_before_an_answer(far: Any) -> None:
    dial(far)
    lose(far)
    assert far.agent.counters()["transactions"] == 0


def invite_lost_while_it_rings(far: Any) -> None:
    far.responds(dial(far), 180)
    lose(far)
    assert far.agent.counters()["transactions"] == 0


def invite_lost_after_a_refusal(far: Any) -> None:
    far.responds(dial(far), 486)
    lose(far)
    assert far.agent.counters()["transactions"] == 0


def invite_lost_after_an_answer(far: Any) -> None:
    far.answers(dial(far))
    lose(far)
    assert far.ended() == []


# --- non-INVITE client


def bye_that_nobody_answers(far: Any) -> None:
    bye(far)
    assert [message.method for message in far.wait(32_000)] == ["BYE"] * 10


def bye_that_is_answered(far: Any) -> None:
    request = bye(far)
    for code in (200, 100, 200, 481):
        assert far.responds(request, code) == []
    lose(far)
    assert far.wait(5_000) == []


def bye_that_is_refused(far: Any) -> None:
    far.responds(bye(far), 481)
    assert far.wait(60_000) == []


def bye_that_is_worked_on(far: Any) -> None:
    request = bye(far)
    far.wait(600)
    far.responds(request, 100, tag="")
    far.responds(request, 100, tag="")
    # Timer E runs at T2 from its next firing on (section 17.1.2.2).
    assert [message.method for message in far.wait(5_000)] == ["BYE"] * 2
    far.responds(request, 200)
    assert far.wait(60_000) == []


def bye_that_is_worked_on_and_refused(far: Any) -> None:
    request = bye(far)
    far.responds(request, 100, tag="")
    far.responds(request, 500)


def bye_that_is_worked_on_for_ever(far: Any) -> None:
    far.responds(bye(far), 100, tag="")
    far.wait(32_000)
    assert far.agent.counters()["transactions"] == 0


def bye_lost(far: Any) -> None:
    bye(far)
    lose(far)


def bye_lost_while_worked_on(far: Any) -> None:
    far.responds(bye(far), 100, tag="")
    lose(far)


# --- INVITE server


def served_and_answered(far: Any) -> None:
    invite = far.request("INVITE", body=SDP, branch="z9hG4bK-s")
    far.say(bytes(invite))
    assert [message.code for message in far.say(bytes(invite))] == [180]
    assert far.say(bytes(far.request("ACK", branch="z9hG4bK-s"))) == []
    lose(far)
    far.order(far.agent.answer, CALL, parse_sdp(SDP))
    assert far.say(bytes(invite)) == []
    far.acks(branch="z9hG4bK-s")
    lose(far)
    far.wait(32_000)
    assert far.agent.counters()["transactions"] == 0


def served_and_refused(far: Any) -> None:
    invite = far.request("INVITE", body=SDP, branch="z9hG4bK-s")
    far.say(bytes(invite))
    far.order(far.agent.reject, CALL, 486)
    lose(far)
    assert [message.code for message in far.say(bytes(invite))] == [486]
    ack = bytes(far.request("ACK", branch="z9hG4bK-s", to_tag=far.tag()))
    assert far.say(ack) == []
    assert far.say(ack) == []
    assert far.say(bytes(invite)) == []
    lose(far)
    assert far.wait(60_000) == []
    assert far.agent.counters()["transactions"] == 0


def served_and_refused_without_an_ack(far: Any) -> None:
    far.rings()
    far.order(far.agent.reject, CALL, 486)
    assert [message.code for message in far.wait(60_000)] == [486] * 10
    assert far.agent.counters()["transactions"] == 0


# --- non-INVITE server


def options_served_twice(far: Any) -> None:
    options = bytes(far.request("OPTIONS"))
    (first,) = far.say(options)
    lose(far)
    (again,) = far.say(options)
    assert bytes(first) == bytes(again)
    far.wait(31_999)
    assert far.agent.counters()["transactions"] == 1
    far.wait(1)
    assert far.agent.counters()["transactions"] == 0


def info_refused(far: Any) -> None:
    assert [message.code for message in far.say(bytes(far.request("PUBLISH")))] == [405]


SCRIPTS: tuple[Callable[[Any], None], ...] = (
    invite_that_nobody_answers,
    invite_refused_at_once,
    invite_that_rings_and_is_refused,
    invite_answered_at_once,
    invite_that_rings_and_is_answered,
    invite_cancelled_in_vain,
    invite_lost_before_an_answer,
    invite_lost_while_it_rings,
    invite_lost_after_a_refusal,
    invite_lost_after_an_answer,
    bye_that_nobody_answers,
    bye_that_is_answered,
    bye_that_is_refused,
    bye_that_is_worked_on,
    bye_that_is_worked_on_and_refused,
    bye_that_is_worked_on_for_ever,
    bye_lost,
    bye_lost_while_worked_on,
    served_and_answered,
    served_and_refused,
    served_and_refused_without_an_ack,
    options_served_twice,
    info_refused,
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_script(far, script):
    script(far)
    far.fates()


def test_every_row_is_taken(far_with):
    taken: set[object] = set()
    for script in SCRIPTS:
        far = far_with()
        script(far)
        taken |= far.agent.taken
    assert [str(row) for row in ROWS if row not in taken] == []


@pytest.mark.parametrize(
    "script", [bye_that_is_answered, served_and_refused_without_an_ack], ids=lambda one: one.__name__
)
def test_streams_keep_no_transaction_after_its_end(far_with, script):
    far = far_with("tcp", connection=5)
    if script is bye_that_is_answered:
        far.responds(bye(far), 200)
        far.acks()
        far.wait(32_000)
    else:
        far.rings()
        far.order(far.agent.reject, CALL, 486)
        assert far.wait(31_000) == []
        far.wait(1_000)
    assert far.agent.counters()["transactions"] == 0


def test_options_over_a_stream_leave_nothing(far_with):
    far = far_with("tcp", connection=5)
    far.say(bytes(far.request("OPTIONS")))
    assert far.agent.counters()["transactions"] == 0
    assert far.agent.deadline() is None


# --- matching and routing


def test_a_branch_without_the_cookie_is_not_trusted():
    def request(call_id: str, number: int) -> Request:
        return Request((("Call-ID", call_id), ("CSeq", f"{number} INVITE")), b"", "INVITE", "sip:a")

    old = parse_via("SIP/2.0/UDP h;branch=1")
    bare = parse_via("SIP/2.0/UDP h;branch=z9hG4bK")
    new = parse_via("SIP/2.0/UDP h;branch=z9hG4bKx")
    for via in (old, bare):
        assert server_key(request("a", 1), via, "t", "INVITE") == server_key(request("a", 1), via, "t", "INVITE")
        assert server_key(request("a", 1), via, "t", "INVITE") != server_key(request("b", 1), via, "t", "INVITE")
        assert server_key(request("a", 1), via, "t", "INVITE") != server_key(request("a", 2), via, "t", "INVITE")
        assert server_key(request("a", 1), via, "t", "INVITE") != server_key(request("a", 1), via, "u", "INVITE")
    assert server_key(request("a", 1), new, "t", "INVITE") == server_key(request("a", 2), new, "u", "INVITE")
    assert server_key(request("a", 1), new, "t", "INVITE") != server_key(request("b", 1), new, "t", "INVITE")
    assert server_key(request("a", 1), new, "t", "INVITE") != server_key(request("a", 1), new, "t", "CANCEL")


def test_an_old_client_has_its_call(far):
    invite = far.request("INVITE", body=SDP, branch="1")
    far.say(bytes(invite))
    assert [message.code for message in far.say(bytes(invite))] == [180]
    reply = far.say(bytes(far.request("CANCEL", branch="1")))
    assert [message.code for message in reply] == [200, 487]
    assert far.say(bytes(far.request("ACK", branch="1", to_tag=far.tag()))) == []
    assert far.wait(60_000) == []


def test_what_a_via_is_given():
    via = parse_via("SIP/2.0/UDP 10.0.0.1:5070;branch=z;rport;received=1.2.3.4")
    assert answered_via("", via, ("192.0.2.9", 6000)) == (
        "SIP/2.0/UDP 10.0.0.1:5070;branch=z;received=192.0.2.9;rport=6000"
    )
    plain = parse_via("SIP/2.0/UDP 192.0.2.9;branch=z")
    assert answered_via("as it came", plain, ("192.0.2.9", 6000)) == "as it came"


def test_streams_are_answered_on_their_connection():
    flow = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000), 7)
    assert response_flow(parse_via("SIP/2.0/TCP 192.0.2.9:5070;branch=z"), flow) is flow


def test_flows_are_the_same_where_a_connection_is_open_or_asked_for():
    one = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000), 7)
    asked = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000))
    other = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000), 8)
    assert same_flow(one, asked)
    assert not same_flow(one, other)
    assert not same_flow(one, Flow("udp", one.local, one.remote, 7))
