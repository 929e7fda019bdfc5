"""Calls that go out (RFC 3261 sections 8.1, 9.1, 13.2, 15.1.1)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.outcomes import Answered, Asked, Ended, Flow, Probed, Progress, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.useragent import Settings

CALL = SipCall(1)
TARGET = parse_uri("sip:far@192.0.2.9:5070")


def dial(far, body, **more):
    far.order(far.agent.invite, TARGET, (far.flow,), body, **more)
    return far.sent[-1]


def taken(far, bodies):
    """A call of ours that was answered."""
    invite = dial(far, bodies("offer"))
    (ack,) = far.answers(invite)
    return invite, ack


def test_an_invite_says_who_calls_and_what_is_offered(far, bodies):
    invite = dial(far, bodies("offer"), headers=(("X-Ticket", "7"),))
    assert (invite.method, invite.uri) == ("INVITE", "sip:far@192.0.2.9:5070")
    assert invite.index["Via"].startswith("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK")
    assert invite.index["From"].startswith("<sip:offhook@192.0.2.1>;tag=")
    assert invite.index["To"] == "<sip:far@192.0.2.9:5070>"
    assert invite.index["Contact"] == "<sip:offhook@192.0.2.1:5060>"
    assert invite.index["Max-Forwards"] == "70"
    assert invite.index["CSeq"] == "1 INVITE"
    assert invite.index["X-Ticket"] == "7"
    assert invite.first("User-Agent") is None
    assert parse_sdp(invite.body) == bodies("offer")
    assert far.flows[-1] == far.flow


def test_another_sender_and_a_public_address(far_with, bodies):
    far = far_with(settings=Settings(user="luigi", display='Luigi "L"', host="203.0.113.7"))
    invite = dial(far, bodies("offer"))
    assert invite.index["From"].startswith('"Luigi \\"L\\"" <sip:luigi@203.0.113.7>;tag=')
    assert invite.index["Contact"] == "<sip:luigi@203.0.113.7:5060>"
    other = dial(far, bodies("offer"), sender=Uri("sip", "+15551234567", "trunk.example"))
    assert "<sip:+15551234567@trunk.example>" in other.index["From"]


def test_options_ask_once_and_tell_what_came(far):
    (asked,) = far.order(far.agent.options, TARGET, (far.flow,))
    assert (asked.method, asked.uri, asked.body) == ("OPTIONS", "sip:far@192.0.2.9:5070", b"")
    assert (asked.index["CSeq"], asked.index["Max-Forwards"]) == ("1 OPTIONS", "70")
    assert asked.index["Accept"] == "application/sdp"
    assert "INVITE" in asked.index["Allow"]
    assert [bytes(again) for again in far.wait(500)] == [bytes(asked)]
    far.responds(asked, 100)
    assert far.told == []
    far.responds(asked, 200)
    far.responds(asked, 200)
    assert [(type(told), told.call, told.code) for told in far.told] == [(Asked, CALL, 200)]
    assert far.wait(60_000) == []
    assert far.agent.deadline() is None
    assert far.fates() == {"response_1xx": 1, "response_2xx": 1, "repeated_response": 1}


@pytest.mark.parametrize("code", [404, 483, 503])
def test_a_refused_question_is_an_answer_too(far, code):
    (asked,) = far.order(far.agent.options, TARGET, (far.flow,))
    far.responds(asked, code)
    (told,) = far.told
    assert (told.code, told.response.code) == (code, code)


def test_a_question_that_nobody_answers_is_told_after_timer_f(far):
    far.order(far.agent.options, TARGET, (far.flow,))
    far.wait(31_999)
    assert far.told == []
    far.wait(1)
    assert far.told == [Asked(CALL, 408, None)]


def test_a_question_that_can_not_be_sent_is_told(far_with):
    far = far_with(transport="tcp")
    far.order(far.agent.options, TARGET, (far.flow,))
    far.order(far.agent.flow_closed, far.flow)
    assert far.told == [Asked(CALL, 503, None)]


def test_uri_headers_stay_out_of_the_request_line(far, bodies):
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9?Subject=x"), (far.flow,), bodies("offer"))
    assert far.sent[-1].uri == "sip:far@192.0.2.9"


@pytest.mark.parametrize("headers", [(("A", "b\r\nc: d"),), (("A b", "c"),), (("", "c"),)])
def test_a_header_that_would_break_the_message_is_our_error(far, bodies, headers):
    with pytest.raises(ValueError, match=r"break|name"):
        far.agent.invite(0, TARGET, (far.flow,), bodies("offer"), headers=headers)
    assert far.gather() == []
    assert far.agent.counters()["calls"] == 0


def test_the_invite_is_repeated_until_something_comes(far, bodies):
    invite = dial(far, bodies("offer"))
    repeats = far.wait(3_600)
    assert [bytes(message) for message in repeats] == [bytes(invite)] * 3  # 0.5, 1.5, 3.5 s
    far.responds(invite, 100, tag="")
    assert far.wait(20_000) == []
    assert far.told == []


def test_nobody_there_is_a_timeout(far, bodies):
    dial(far, bodies("offer"))
    assert len(far.wait(31_999)) == 6
    far.wait(1)
    assert far.ended() == [Ended(CALL, 408, "timeout")]
    assert far.agent.counters()["transactions"] == 0
    assert far.agent.deadline() is None


def test_nothing_is_repeated_over_a_stream(far_with, bodies):
    far = far_with("tcp", connection=2)
    invite = dial(far, bodies("offer"))
    assert invite.index["Via"].startswith("SIP/2.0/TCP ")
    assert invite.index["Contact"] == "<sip:offhook@192.0.2.1:5060;transport=tcp>"
    assert far.wait(31_000) == []


def test_progress_is_told_but_not_100(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 100, tag="")
    far.responds(invite, 180)
    far.responds(invite, 183)
    assert [outcome.response.code for outcome in far.told if isinstance(outcome, Progress)] == [180, 183]


def test_an_answer_is_acknowledged_and_told(far, bodies):
    invite, ack = taken(far, bodies)
    answered = far.told[-1]
    assert isinstance(answered, Answered)
    assert answered.answer is not None
    assert (ack.method, ack.uri, ack.index["CSeq"]) == ("ACK", "sip:far@192.0.2.9:5070", "1 ACK")
    assert ack.index["To"].endswith(";tag=far")
    assert ack.index["Via"] != invite.index["Via"]
    assert ack.body == b""


def test_a_repeated_200_gets_the_same_ack_again(far, bodies):
    invite, ack = taken(far, bodies)
    (again,) = far.answers(invite)
    assert bytes(again) == bytes(ack)
    assert len([outcome for outcome in far.told if isinstance(outcome, Answered)]) == 1
    assert far.fates() == {"response_2xx": 1, "repeated_response": 1}


def test_the_route_set_is_turned_round(far, bodies):
    invite = dial(far, bodies("offer"))
    routes = (("Record-Route", "<sip:192.0.2.51;lr>, <sip:192.0.2.50:5099;lr>"),)
    (ack,) = far.answers(invite, headers=routes)
    assert ack.all("Route") == ["<sip:192.0.2.50:5099;lr>", "<sip:192.0.2.51;lr>"]
    assert far.flows[-1].remote == ("192.0.2.50", 5099)


def test_a_strict_router_gets_the_target_as_its_last_route(far, bodies):
    invite = dial(far, bodies("offer"))
    (ack,) = far.answers(invite, headers=(("Record-Route", "<sip:192.0.2.51>"),))
    assert ack.uri == "sip:192.0.2.51"
    assert ack.all("Route") == ["<sip:far@192.0.2.9:5070>"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(302, "refused"), (401, "refused"), (407, "refused"), (486, "refused"), (603, "refused"), (480, "no_answer")],
)
def test_a_refusal_is_acknowledged_and_ends_the_call(far, bodies, code, reason):
    invite = dial(far, bodies("offer"))
    (ack,) = far.responds(invite, code)
    assert (ack.method, ack.uri) == ("ACK", invite.uri)
    assert ack.index["Via"] == invite.index["Via"]
    assert ack.index["CSeq"] == "1 ACK"
    assert ack.index["To"].endswith(";tag=far")
    assert far.ended() == [Ended(CALL, code, reason)]
    (again,) = far.responds(invite, code)
    assert bytes(again) == bytes(ack)
    assert far.wait(32_000) == []
    assert far.agent.counters()["transactions"] == 0


def test_the_first_of_two_forks_wins(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 180, tag="one")
    far.responds(invite, 180, tag="two")
    (ack,) = far.answers(invite, tag="two")
    assert ack.index["To"].endswith(";tag=two")
    late = far.answers(invite, tag="one")
    assert [message.method for message in late] == ["ACK", "BYE"]
    assert all(message.index["To"].endswith(";tag=one") for message in late)
    assert [message.method for message in far.answers(invite, tag="one")] == ["ACK"]
    assert far.ended() == []
    (bye,) = far.order(far.agent.hangup, CALL)
    assert bye.index["To"].endswith(";tag=two")


def test_a_flood_of_forks_is_bounded(far, bodies):
    invite = dial(far, bodies("offer"))
    for number in range(40):
        far.answers(invite, tag=f"fork-{number}")
    assert len([message for message in far.sent if message.method == "BYE"]) == 15


def test_cancel_waits_for_a_provisional_response(far, bodies):
    invite = dial(far, bodies("offer"))
    assert far.order(far.agent.hangup, CALL) == []
    (cancel,) = far.responds(invite, 100, tag="")
    assert (cancel.method, cancel.uri, cancel.index["CSeq"]) == ("CANCEL", invite.uri, "1 CANCEL")
    assert cancel.index["Via"] == invite.index["Via"]
    assert cancel.index["To"] == invite.index["To"]
    far.responds(cancel, 200)
    assert far.ended() == []
    (ack,) = far.responds(invite, 487)
    assert ack.method == "ACK"
    assert far.ended() == [Ended(CALL, 487, "hangup")]


def test_cancel_goes_out_at_once_where_it_rings(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 180)
    (cancel,) = far.order(far.agent.hangup, CALL)
    assert cancel.method == "CANCEL"
    assert far.order(far.agent.hangup, CALL) == []
    assert far.responds(invite, 183) == []


def test_an_answer_that_crosses_the_cancel_is_hung_up(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 180)
    far.order(far.agent.hangup, CALL)
    crossing = far.answers(invite)
    assert [message.method for message in crossing] == ["ACK", "BYE"]
    assert far.ended() == [Ended(CALL, 487, "hangup")]
    assert not [outcome for outcome in far.told if isinstance(outcome, Answered)]


def test_a_cancel_that_nobody_heeds_ends_after_a_while(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 180)
    far.order(far.agent.hangup, CALL)
    far.wait(31_999)
    assert far.ended() == []
    far.wait(1)
    assert far.ended() == [Ended(CALL, 487, "hangup")]
    assert far.agent.counters()["transactions"] == 0
    assert far.say(b"") == []


def test_what_rings_too_long_is_cancelled(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 180)
    (cancel, *_) = far.wait(180_000)
    assert cancel.method == "CANCEL"
    far.responds(invite, 487)
    assert far.ended() == [Ended(CALL, 408, "no_answer")]


def test_a_delayed_offer_is_answered_in_our_ack(far, bodies):
    invite = dial(far, None)
    assert (invite.body, invite.first("Content-Type")) == (b"", None)
    assert far.answers(invite) == []
    answered = far.told[-1]
    assert isinstance(answered, Answered)
    assert answered.answer is not None
    assert far.answers(invite) == []
    (ack,) = far.order(far.agent.acknowledge, CALL, bodies("answer"))
    assert (ack.method, ack.body) == ("ACK", bytes(bodies("answer")))
    assert far.order(far.agent.acknowledge, CALL, bodies("answer")) == []
    assert [bytes(message) for message in far.answers(invite)] == [bytes(ack)]


@pytest.mark.parametrize("body", [b"", b"this is no SDP"])
def test_a_200_without_a_usable_answer_is_hung_up(far, bodies, body):
    invite = dial(far, bodies("offer"))
    sent = far.responds(invite, 200, body=body)
    assert [message.method for message in sent] == ["ACK", "BYE"]
    assert far.ended() == [Ended(CALL, 488, "refused")]


def test_a_200_with_a_broken_to_is_counted(far, bodies):
    invite = dial(far, bodies("offer"))
    assert far.responds(invite, 200, headers=(("To", "x"),)) != []
    far.say(b"SIP/2.0 200 OK\r\nVia: " + invite.index["Via"].encode() + b"\r\nCSeq: 1 INVITE\r\nTo: x\r\n\r\n")
    assert far.fates()["malformed_to"] == 1


def test_bye_from_the_called(far, bodies):
    invite, _ = taken(far, bodies)
    tag = invite.index["From"].partition("tag=")[2]
    call_id = invite.index["Call-ID"]
    (ok,) = far.say(bytes(far.request("BYE", to_tag=tag, call_id=call_id)))
    assert ok.code == 200
    assert far.ended() == [Ended(CALL, 200, "remote_hangup")]


def test_a_bye_that_nobody_answers_is_repeated_and_dropped(far):
    far.up()
    (bye,) = far.order(far.agent.hangup, CALL)
    repeats = far.wait(31_999)
    assert {bytes(message) for message in repeats} == {bytes(bye)}
    assert len(repeats) == 10
    far.wait(1)
    assert far.agent.counters()["transactions"] == 0
    assert far.ended() == [Ended(CALL, 200, "hangup")]


def test_a_stray_response_is_counted_and_dropped(far, bodies):
    invite = dial(far, bodies("offer"))
    far.responds(invite, 200, headers=(("Via", "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK-other"),), tag="x")
    assert far.told == []
    assert far.fates() == {"stray_response": 1}


def test_a_connection_that_fails_ends_what_waits_for_it(far_with, bodies):
    far = far_with("tcp")
    dial(far, bodies("offer"))
    far.order(far.agent.flow_closed, Flow("tcp", *((far.flow.local, far.flow.remote))))
    assert far.ended() == [Ended(CALL, 503, "transport")]
    assert far.agent.counters()["transactions"] == 0


def test_a_target_with_a_line_break_is_refused(far, bodies):
    with pytest.raises(Malformed):
        parse_uri("sip:desk@pbx.example\r\nX: y")
    far.up()
    bad = Uri("sip", "desk", "pbx.example\r\nX: y")
    with pytest.raises(ValueError, match="break"):
        far.agent.transfers.refer(far.now, CALL, bad)
    with pytest.raises(ValueError, match="break"):
        far.agent.invite(far.now, bad, (far.flow,), bodies("offer"))
    assert far.gather() == []
    assert far.agent.counters()["calls"] == 1
    assert len(far.order(far.agent.transfers.refer, CALL, parse_uri("sip:desk@pbx.example"))) == 1


@pytest.mark.survives(13)
@pytest.mark.parametrize("code", [200, 405, 481])
def test_the_far_end_of_a_call_is_asked_whether_it_is_there(far, code):
    call = far.up().call
    (request,) = far.order(far.agent.probe, call)
    assert request.method == "OPTIONS"
    assert request.index["CSeq"] == "1 OPTIONS"
    assert f"tag={far.tag()}" in request.index["From"]
    assert request.index["To"].endswith("tag=far")
    far.responds(request, code)
    assert far.told[-1] == Probed(call, code)


def test_a_probe_that_nobody_answers_is_told_and_one_of_a_call_that_is_over_is_not(far):
    call = far.up().call
    far.order(far.agent.probe, call)
    far.wait(40_000)
    assert far.told[-1] == Probed(call, 408)
    (request,) = far.order(far.agent.probe, call)
    far.order(far.agent.hangup, call)
    told = len(far.told)
    far.responds(request, 200)
    assert len(far.told) == told
    assert far.order(far.agent.probe, call) == []
