"""A call that rings at us: provisional responses, plain and reliable (RFC 3262, RFC 3261 section 13.3.1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.message import Response
from offhook.sip.outcomes import Confirmed, EarlyAnswered, Ended, IncomingCall, Reoffered, SipCall
from offhook.sip.ringing import parse_rack
from offhook.sip.sdp import parse_sdp
from offhook.sip.useragent import Settings

CALL = SipCall(1)
INSISTS = (("Require", "100rel"),)
SDP = (
    b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"
)


@pytest.fixture
def calling(far_with, quick):
    """A far end whose call insists on reliable responses; nothing was said but 100."""
    far = far_with(settings=quick)
    far.rings(headers=INSISTS)
    return far


def ring(far, code=180, body=None) -> Any:
    sent = far.order(far.agent.ring, CALL, code, body)
    return sent[-1] if sent else None


def pracks(far, response, seq=2, rack=None, **more):
    """Acknowledge a reliable response."""
    return far.asks("PRACK", seq, headers=(("RAck", rack or f"{response.index['RSeq']} 1 INVITE"),), **more)


def codes(messages):
    return [message.code for message in messages if isinstance(message, Response)]


def test_who_does_not_ask_for_it_gets_plain_responses(far_with, quick):
    far = far_with(settings=quick)
    far.rings(headers=(("Supported", "100rel"),))
    assert far.codes() == [100]
    for code in (180, 181, 182, 183):
        plain = ring(far, code)
        assert (plain.code, plain.first("RSeq"), plain.first("Require")) == (code, None, None)
        assert plain.index["Contact"] == "<sip:offhook@192.0.2.1:5060>"
    assert codes(far.wait(120_000)) == [183, 183]


def test_who_can_take_it_gets_it_reliably_where_the_settings_say_so(far_with):
    far = far_with(settings=Settings(reliable=True))
    far.rings(headers=(("Supported", "timer, 100rel"),))
    assert far.sent[-1].index["Require"] == "100rel"
    far.say(bytes(far.request("CANCEL", branch="z9hG4bK-far-1")))
    other = far_with(settings=Settings(reliable=True))
    other.rings()
    assert other.sent[-1].first("RSeq") is None


def test_a_reliable_response_is_repeated_until_its_prack(calling):
    first = ring(calling)
    assert 1 <= int(first.index["RSeq"]) < 2**31
    assert [bytes(again) for again in calling.wait(3_500)] == [bytes(first)] * 3  # 0.5, 1.5, 3.5 s
    assert codes(pracks(calling, first)) == [200]
    assert calling.wait(60_000) == []


@pytest.mark.parametrize("rack", ["1 1 INVITE", "{} 2 INVITE", "{} 1 OPTIONS"])
def test_a_prack_that_fits_nothing_is_481(calling, rack):
    first = ring(calling)
    assert codes(pracks(calling, first, rack=rack.format(first.index["RSeq"]))) == [481]
    assert codes(pracks(calling, first, seq=3)) == [200]
    assert codes(pracks(calling, first, seq=4)) == [481]
    assert calling.ended() == []


@pytest.mark.parametrize("rack", ["", "1 2", "x 1 INVITE", "1 1 INVITE more", "-1 1 INVITE"])
def test_a_rack_that_is_none_is_400(calling, rack):
    first = ring(calling)
    assert codes(pracks(calling, first, rack=rack or " ")) == [400]
    with pytest.raises(Malformed):
        parse_rack(rack)


def test_one_is_out_at_a_time_and_the_numbers_go_up_by_one(calling):
    first = ring(calling)
    assert ring(calling, 181) is None
    assert ring(calling, 183) is None
    ok, second = pracks(calling, first)
    assert (ok.code, second.code, int(second.index["RSeq"])) == (200, 181, int(first.index["RSeq"]) + 1)
    _, third = pracks(calling, second, seq=3)
    assert third.code == 183


def test_who_never_acknowledges_is_refused_with_504(calling):
    ring(calling)
    sent = calling.wait(32_000)
    assert codes(sent) == [180] * 6 + [504]
    assert calling.ended() == [Ended(CALL, 504, "no_ack")]


def test_the_answer_waits_for_the_prack_of_a_description(calling, bodies):
    first = ring(calling, 183, bodies("answer"))
    assert parse_sdp(first.body) == bodies("answer")
    assert calling.order(calling.agent.answer, CALL, bodies("answer")) == []
    ok, answer = pracks(calling, first)
    assert (ok.code, answer.code, answer.body, answer.first("Content-Type")) == (200, 200, b"", None)
    assert answer.index["CSeq"] == "1 INVITE"
    calling.acks()
    assert calling.told[-1] == Confirmed(CALL, None)


def test_the_answer_does_not_wait_for_a_response_that_described_nothing(calling, bodies):
    first = ring(calling)
    (answer,) = calling.order(calling.agent.answer, CALL, bodies("answer"))
    assert (answer.code, parse_sdp(answer.body)) == (200, bodies("answer"))
    assert codes(pracks(calling, first)) == [200]  # late, but still its own
    assert [message.code for message in calling.wait(400)] == []


def test_a_plain_description_comes_again_in_the_answer(far_with, quick, bodies):
    far = far_with(settings=quick)
    far.rings()
    assert parse_sdp(ring(far, 183, bodies("answer")).body) == bodies("answer")
    (answer,) = far.order(far.agent.answer, CALL, bodies("answer"))
    assert parse_sdp(answer.body) == bodies("answer")


def test_our_offer_goes_only_where_it_can_not_be_lost(far_with, quick, bodies):
    far = far_with(settings=quick)
    far.rings(body=b"")
    assert ring(far, 183, bodies("offer")).body == b""
    (answer,) = far.order(far.agent.answer, CALL, bodies("offer"))
    assert parse_sdp(answer.body) == bodies("offer")


def test_an_offer_in_a_reliable_response_is_answered_by_its_prack(far_with, quick, bodies):
    far = far_with(settings=quick)
    far.rings(body=b"", headers=INSISTS)
    first = ring(far, 183, bodies("offer"))
    assert codes(pracks(far, first, body=SDP)) == [200]
    assert far.told[-1] == EarlyAnswered(CALL, parse_sdp(SDP))
    (answer,) = far.order(far.agent.answer, CALL, bodies("offer"))
    assert (answer.code, answer.body) == (200, b"")
    far.acks()
    assert far.told[-1] == Confirmed(CALL, None)


def test_an_offer_that_its_prack_does_not_answer_ends_the_call(far_with, quick, bodies):
    far = far_with(settings=quick)
    far.rings(body=b"", headers=INSISTS)
    assert codes(pracks(far, ring(far, 183, bodies("offer")))) == [200, 488]
    assert far.ended() == [Ended(CALL, 488, "refused")]


def test_another_offer_in_a_prack_is_answered_in_its_2xx(calling, bodies):
    """RFC 3262 section 5; the answer to the call that waited for the PRACK goes out behind it."""
    first = ring(calling, 183, bodies("answer"))
    assert calling.order(calling.agent.answer, CALL, bodies("answer")) == []
    assert pracks(calling, first, body=SDP) == []
    assert calling.told[-1] == Reoffered(CALL, parse_sdp(SDP))
    taken, answer = calling.order(calling.agent.accept_reoffer, CALL, bodies("answer"))
    assert (taken.code, taken.index["CSeq"], taken.index["Content-Type"]) == (200, "2 PRACK", "application/sdp")
    assert parse_sdp(taken.body).media == bodies("answer").media
    assert (answer.code, answer.index["CSeq"], answer.body) == (200, "1 INVITE", b"")
    calling.acks()
    assert calling.ended() == []


def test_an_offer_in_a_prack_that_can_not_be_taken_leaves_the_response_out(calling, bodies):
    first = ring(calling, 183, bodies("answer"))
    assert pracks(calling, first, body=SDP) == []
    assert codes(calling.order(calling.agent.refuse_reoffer, CALL)) == [488]
    assert codes(calling.wait(600)) == [183]
    assert codes(pracks(calling, first, seq=3)) == [200]


def test_an_offer_in_a_prack_before_the_first_is_answered_is_refused(calling):
    assert codes(pracks(calling, ring(calling), body=SDP)) == [488]


def test_a_call_that_is_cancelled_repeats_nothing(calling):
    ring(calling)
    calling.say(bytes(calling.request("CANCEL", branch="z9hG4bK-far-1")))
    (ended,) = calling.ended()
    assert (ended.code, ended.reason) == (487, "cancelled")
    calling.acks(branch="z9hG4bK-far-1")
    assert 180 not in codes(calling.wait(60_000))
    assert ring(calling) is None


def test_only_provisional_codes_ring(far):
    assert isinstance(far.rings(), IncomingCall)
    for code in (100, 200):
        with pytest.raises(ValueError, match="provisional"):
            far.agent.ring(0, CALL, code)


def test_a_stream_repeats_a_reliable_response_too(far_with, quick):
    far = far_with("tcp", settings=quick, connection=1)
    far.rings(headers=INSISTS)
    ring(far)
    assert codes(far.wait(1_500)) == [180, 180]


# --- What must survive 11, from the side that is called: CANCEL and BYE against our answer; one outcome, nothing left.

RACES = {
    "cancel while it rings": (("cancel", "ack 487"), (487, "cancelled")),
    "cancel twice": (("cancel", "cancel", "ack 487"), (487, "cancelled")),
    "cancel and no ack of the 487": (("cancel",), (487, "cancelled")),
    "cancel behind our 200": (("answer", "cancel", "ack", "bye"), (200, "remote_hangup")),
    "our answer behind the cancel": (("cancel", "answer", "ack 487"), (487, "cancelled")),
    "our refusal behind the cancel": (("cancel", "reject", "ack 487"), (487, "cancelled")),
    "cancel behind our refusal": (("reject", "cancel", "ack 487"), (486, "refused")),
    "bye while it rings": (("bye", "ack 487"), (487, "cancelled")),
    "bye before the ack": (("answer", "bye"), (200, "remote_hangup")),
    "our hang-up behind the cancel": (("cancel", "hangup", "ack 487"), (487, "cancelled")),
    "cancel with no ack of the 200 either": (("answer", "cancel"), (408, "no_ack")),
}


@pytest.mark.survives(11)
@pytest.mark.parametrize("name", RACES)
def test_a_call_that_is_cancelled_has_one_outcome_whatever_it_crosses(far, bodies, name):
    steps, outcome = RACES[name]
    far.rings()
    orders = {
        "answer": lambda: far.order(far.agent.answer, CALL, bodies("answer")),
        "reject": lambda: far.order(far.agent.reject, CALL, 486),
        "hangup": lambda: far.order(far.agent.hangup, CALL),
        "cancel": lambda: far.say(bytes(far.request("CANCEL", branch="z9hG4bK-far-1"))),
        "ack 487": lambda: far.acks(branch="z9hG4bK-far-1"),
        "ack": lambda: far.acks(),
        "bye": lambda: far.asks("BYE", 2),
    }
    for step in steps:
        orders[step]()
    far.wait(33_000)
    for message in list(far.sent):
        if not isinstance(message, Response) and message.method == "BYE":
            far.responds(message, 200)
    far.wait(70_000)
    (ended,) = far.ended()
    assert (ended.code, ended.reason) == outcome
    invites = {
        message.code for message in far.sent if isinstance(message, Response) and "INVITE" in message.index["CSeq"]
    }
    assert len({code for code in invites if code >= 200}) == 1
    assert far.agent.counters()["calls"] == far.agent.counters()["transactions"] == 0
    assert far.agent.deadline() is None
