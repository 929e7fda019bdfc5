"""Changes of a session that is up, theirs and ours (RFC 3261 section 14, RFC 3311, RFC 6141, RFC 6337)."""

from __future__ import annotations

import random

import pytest

from offhook.core.instants import MILLISECOND
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Answered, Confirmed, Ended, Flow, Reanswered, Reoffered, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import parse_uri
from offhook.sip.useragent import Settings, UserAgent

CALL = SipCall(1)

SDP = (
    b"v=0\r\no=- 7 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4002 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)
HELD = parse_sdp(SDP + b"a=sendonly\r\n")
PLAIN = Settings(session_expires_s=0)
KNOWS_UPDATE = (("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE"),)


def codes(messages):
    return [message.code for message in messages]


def methods(messages):
    return [message.method for message in messages if isinstance(message, Request)]


def of(far, kind):
    return [outcome for outcome in far.told if isinstance(outcome, kind)]


def placed(far):
    """Have a call that the agent placed."""
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), parse_sdp(SDP))
    invite = far.sent[-1]
    far.answers(invite)
    return of(far, Answered)[-1]


# --- their re-INVITE


def test_a_reinvite_is_told_and_answered(far):
    call = far.up()
    reply = far.asks("INVITE", 2, body=SDP)
    assert [message.code for message in reply] == [100]
    reoffered = far.told[-1]
    assert isinstance(reoffered, Reoffered)
    assert reoffered.offer is not None
    (ok,) = far.order(far.agent.accept_reoffer, call.call, parse_sdp(SDP))
    assert (ok.code, ok.body) == (200, SDP)
    assert [message.code for message in far.wait(500)] == [200]
    far.acks(2)
    assert far.told[-1] == Confirmed(CALL, None)
    assert far.wait(60_000) == []
    assert far.ended() == []


def test_a_reinvite_without_an_offer_asks_for_ours(far, bodies):
    call = far.up()
    far.asks("INVITE", 2)
    assert far.told[-1] == Reoffered(CALL, None)
    far.order(far.agent.accept_reoffer, call.call, bodies("offer"))
    far.acks(2, body=SDP)
    confirmed = far.told[-1]
    assert isinstance(confirmed, Confirmed)
    assert confirmed.answer is not None


def test_a_refused_reinvite_leaves_the_call(far):
    call = far.up()
    far.asks("INVITE", 2, body=SDP)
    assert [message.code for message in far.order(far.agent.refuse_reoffer, call.call)] == [488]
    assert far.ended() == []
    assert [message.code for message in far.asks("INVITE", 3, body=SDP)] == [100]


def test_who_refuses_an_offer_says_why(far):
    warning = '305 192.0.2.1:5060 "Incompatible media format"'
    call = far.rings()
    (refusal,) = far.order(far.agent.reject, call.call, 488)
    assert refusal.index["Warning"] == warning
    again = far.up(call_id="again")
    far.asks("INVITE", 2, body=SDP, call_id="again")
    (refusal,) = far.order(far.agent.refuse_reoffer, again.call, 488)
    assert refusal.index["Warning"] == warning


def test_a_reinvite_moves_the_target(far):
    call = far.up()
    far.asks("INVITE", 2, body=SDP, headers=(("Contact", "<sip:moved@192.0.2.77:5099>"),))
    far.order(far.agent.accept_reoffer, call.call, parse_sdp(SDP))
    far.acks(2)
    (bye,) = far.order(far.agent.hangup, call.call)
    assert bye.uri == "sip:moved@192.0.2.77:5099"
    assert far.flows[-1].remote == ("192.0.2.77", 5099)


def test_a_second_reinvite_before_the_answer_is_500(far):
    far.up()
    far.asks("INVITE", 2, body=SDP)
    (reply,) = far.asks("INVITE", 3, body=SDP)
    assert reply.code == 500
    assert reply.first("Retry-After") is not None


def test_a_reinvite_while_our_offer_is_open_is_491(far):
    far.answered(body=b"")
    assert [message.code for message in far.asks("INVITE", 2, body=SDP)] == [491]


def test_a_reinvite_stands_for_a_lost_ack(far):
    far.answered()
    assert [message.code for message in far.asks("INVITE", 2, body=SDP)] == [100]
    assert far.wait(10_000) == []


def test_a_cancelled_reinvite_leaves_the_call(far):
    far.up()
    far.asks("INVITE", 2, body=SDP, branch="z9hG4bK-r")
    reply = far.asks("CANCEL", 2, branch="z9hG4bK-r")
    assert [message.code for message in reply] == [200, 487]
    assert far.ended() == []
    assert [message.code for message in far.asks("BYE", 3)] == [200]


def test_bye_while_a_reinvite_waits_ends_both(far):
    far.up()
    far.asks("INVITE", 2, body=SDP)
    assert [message.code for message in far.asks("BYE", 3)] == [200, 487]
    assert far.ended() == [Ended(CALL, 200, "remote_hangup")]


def test_a_reinvite_that_nobody_answers_is_refused_and_the_call_goes_on(far):
    far.up()
    far.asks("INVITE", 2, body=SDP)
    assert [message.code for message in far.wait(180_000)] == [500]
    assert far.ended() == []


def test_a_reinvite_with_broken_sdp_is_400(far):
    far.up()
    assert [message.code for message in far.asks("INVITE", 2, body=b"junk")] == [400]
    assert far.ended() == []
    assert far.fates()["malformed_sdp"] == 1


def test_the_target_stays_where_a_reinvite_is_refused(far):
    call = far.up()
    far.asks("INVITE", 2, body=SDP, headers=(("Contact", "<sip:moved@192.0.2.77:5099>"),))
    far.order(far.agent.refuse_reoffer, call.call)
    (bye,) = far.order(far.agent.hangup, call.call)
    assert bye.uri == "sip:far@192.0.2.9:5070"


@pytest.mark.survives(8)
def test_the_same_again_is_answered_with_the_same_number(far):
    call = far.up()
    far.asks("INVITE", 2, body=SDP)
    (first,) = far.order(far.agent.accept_reoffer, call.call, HELD)
    far.acks(2)
    far.asks("INVITE", 3, body=SDP)
    (again,) = far.order(far.agent.accept_reoffer, call.call, parse_sdp(bytes(HELD).replace(b"- 7 2", b"- 7 9")))
    assert again.body == first.body


# --- their UPDATE


@pytest.mark.parametrize("ringing", [True, False])
def test_an_update_without_a_description_is_answered_at_once(far, ringing):
    call = far.rings() if ringing else far.up()
    (ok,) = far.asks("UPDATE", 2, headers=(("Contact", "<sip:moved@192.0.2.77:5099>"),))
    assert (ok.code, ok.body) == (200, b"")
    assert ok.first("Contact") == "<sip:offhook@192.0.2.1:5060>"
    assert of(far, Reoffered) == []
    if not ringing:
        (bye,) = far.order(far.agent.hangup, call.call)
        assert bye.uri == "sip:moved@192.0.2.77:5099"


def test_an_update_with_an_offer_is_told_and_answered_without_an_ack(far):
    call = far.up()
    assert far.asks("UPDATE", 2, body=SDP) == []
    assert of(far, Reoffered) == [Reoffered(CALL, parse_sdp(SDP))]
    (ok,) = far.order(far.agent.accept_reoffer, call.call, HELD)
    assert (ok.code, ok.index["CSeq"]) == (200, "2 UPDATE")
    assert parse_sdp(ok.body).media == HELD.media
    assert far.wait(60_000) == []
    assert far.ended() == []


def test_an_update_with_an_offer_before_the_answer_is_500(far):
    far.rings()
    (reply,) = far.asks("UPDATE", 2, body=SDP)
    assert reply.code == 500
    assert reply.first("Retry-After") is not None


def test_an_update_crossing_our_2xx_is_served(far):
    call = far.answered()
    far.asks("UPDATE", 2, body=SDP)
    (ok,) = far.order(far.agent.accept_reoffer, call.call, HELD)
    assert ok.code == 200
    assert codes(far.wait(500)) == [200]  # the INVITE's, which still waits for its ACK
    assert far.acks(1) == []
    assert far.wait(60_000) == []


def test_an_update_that_nobody_answers_is_504_and_the_call_goes_on(far):
    far.up()
    far.asks("UPDATE", 2, body=SDP)
    assert codes(far.wait(20_000)) == [504]
    assert far.ended() == []
    far.asks("UPDATE", 3, body=SDP)
    assert len(of(far, Reoffered)) == 2


def test_a_refused_update_changes_nothing(far):
    call = far.up()
    far.asks("UPDATE", 2, body=SDP, headers=(("Contact", "<sip:moved@192.0.2.77:5099>"),))
    (refusal,) = far.order(far.agent.refuse_reoffer, call.call)
    assert refusal.code == 488
    assert refusal.first("Warning") is not None
    (bye,) = far.order(far.agent.hangup, call.call)
    assert bye.uri == "sip:far@192.0.2.9:5070"


def test_an_update_that_is_nonsense_changes_nothing(far):
    far.up()
    assert codes(far.asks("UPDATE", 2, body=b"junk")) == [400]
    assert codes(far.asks("UPDATE", 3, headers=(("Contact", "<"),))) == [400]
    assert codes(far.asks("UPDATE", 4)) == [200]


# --- the table


def open_nothing(far):
    far.up(headers=KNOWS_UPDATE)


def open_their_invite(far):
    far.up()
    far.asks("INVITE", 2, body=SDP)


def open_their_update(far):
    far.up()
    far.asks("UPDATE", 2, body=SDP)


def open_our_offer_in_a_2xx(far):
    far.answered(body=b"")


def open_our_answer_in_a_2xx(far):
    far.answered()


def open_our_invite(far):
    far.up()
    far.order(far.agent.reoffer, CALL, HELD)


def open_our_refresh_by_update(far):
    far.up(headers=(*KNOWS_UPDATE, ("Session-Expires", "90;refresher=uas"), ("Supported", "timer")))
    far.wait(45_000)
    assert methods(far.sent)[-1:] == ["UPDATE"]


def open_their_offer_in_a_2xx(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, None)
    far.responds(invite, 200, body=SDP)


SERVED = [100]
TOLD: list[int] = []
TABLE = [
    (open_nothing, SERVED, TOLD, [200], True),
    (open_their_invite, [500], [500], [200], False),
    (open_their_update, [500], [500], [500], False),
    (open_our_offer_in_a_2xx, [491], [491], [200], False),
    (open_our_answer_in_a_2xx, SERVED, TOLD, [200], False),
    (open_our_invite, [491], [491], [200], False),
    (open_our_refresh_by_update, SERVED, TOLD, [200], False),
    (open_their_offer_in_a_2xx, [500], [500], [200], False),
]


@pytest.mark.survives(8)
@pytest.mark.parametrize("column", ["INVITE", "UPDATE", "UPDATE without SDP", "ours"])
@pytest.mark.parametrize("row", TABLE, ids=[row[0].__name__ for row in TABLE])
def test_the_table(far, row, column):
    prepare, invite, update, bare, out = row
    prepare(far)
    if column == "INVITE":
        replies = far.asks("INVITE", 9, body=SDP)
        assert codes(replies) == invite
    elif column == "UPDATE":
        replies = far.asks("UPDATE", 9, body=SDP)
        assert codes(replies) == update
    elif column == "UPDATE without SDP":
        replies = far.asks("UPDATE", 9)
        assert codes(replies) == bare
    else:
        replies = far.order(far.agent.reoffer, CALL, HELD)
        assert methods(replies) == (["INVITE"] if out else [])
    for reply in replies:
        if isinstance(reply, Response) and reply.code == 500:
            assert 0 <= int(reply.first("Retry-After") or "x") <= 10
    assert far.ended() == []


# --- ours


def test_a_change_of_ours_is_acknowledged_and_told(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    assert (invite.method, invite.uri) == ("INVITE", "sip:far@192.0.2.9:5070")
    assert parse_sdp(invite.body).media == HELD.media
    assert invite.first("Contact") == "<sip:offhook@192.0.2.1:5060>"
    assert "UPDATE" in (invite.first("Allow") or "")
    (ack,) = far.responds(invite, 200, body=SDP)
    assert (ack.method, ack.index["CSeq"]) == ("ACK", "1 ACK")
    (told,) = of(far, Reanswered)
    assert (told.call, told.code, told.answer, told.asked) == (CALL, 200, parse_sdp(SDP), True)
    assert told.offer is not None
    assert told.offer.media == HELD.media
    # The same 2xx again is the lost ACK: the same goes out, and nothing is told.
    assert far.responds(invite, 200, body=SDP) == [ack]
    assert len(of(far, Reanswered)) == 1


def test_each_change_has_the_next_number_and_the_same_has_the_same(far):
    far.up()
    seen = []
    for body in (HELD, parse_sdp(SDP), parse_sdp(SDP)):
        (invite,) = far.order(far.agent.reoffer, CALL, body)
        far.responds(invite, 200, body=SDP)
        seen.append((parse_sdp(invite.body).origin or "").split()[2])
    assert seen == ["2", "3", "3"]


def test_a_2xx_moves_the_target(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    moved = [field for field in invite.headers if field[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    moved += [("Contact", "<sip:moved@192.0.2.77:5099>"), ("Content-Type", "application/sdp")]
    (ack,) = far.say(bytes(Response(tuple(moved), SDP, 200, "")))
    assert ack.uri == "sip:moved@192.0.2.77:5099"
    assert far.flows[-1].remote == ("192.0.2.77", 5099)


@pytest.mark.parametrize("code", [400, 403, 415, 486, 487, 488, 500, 503, 603, 606])
def test_a_refused_change_leaves_what_was_agreed(far, code):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    assert methods(far.responds(invite, code)) == ["ACK"]
    assert of(far, Reanswered) == [Reanswered(CALL, None, code)]
    assert far.ended() == []
    # Nothing is open: theirs is served, ours goes out.
    assert codes(far.asks("UPDATE", 2, body=SDP)) == []
    far.order(far.agent.accept_reoffer, CALL, parse_sdp(SDP))
    assert methods(far.order(far.agent.reoffer, CALL, HELD)) == ["INVITE"]


def test_what_an_update_changed_meanwhile_holds_when_the_reinvite_is_refused(far):
    """RFC 6141 section 3.3: their re-INVITE without an offer, an UPDATE within it, then our refusal."""
    far.up()
    far.asks("INVITE", 2)
    far.asks("UPDATE", 3)
    far.order(far.agent.refuse_reoffer, CALL, 488)
    assert far.ended() == []
    assert methods(far.order(far.agent.reoffer, CALL, HELD)) == ["INVITE"]


@pytest.mark.parametrize("code", [404, 408, 410, 416, 480, 481, 482, 483, 484, 485, 604])
def test_a_dialog_that_is_not_there_ends_the_call(far, code):
    """RFC 5057 section 5.1. Where the other end may still have the call it is told."""
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    assert methods(far.responds(invite, code)) == (["ACK", "BYE"] if code in (408, 480) else ["ACK"])
    assert far.ended() == [Ended(CALL, code, "timeout" if code in (408, 481) else "refused")]


def test_silence_to_a_change_ends_the_call(far):
    far.up()
    far.order(far.agent.reoffer, CALL, HELD)
    assert methods(far.wait(32_000))[-1] == "BYE"
    assert far.ended() == [Ended(CALL, 408, "timeout")]


def test_a_change_that_only_gets_provisional_responses_is_cancelled_and_then_given_up(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    far.responds(invite, 100)
    assert set(methods(far.wait(33_000))) == {"CANCEL"}
    far.responds(far.sent[-1], 200)
    far.wait(32_000)
    assert far.ended() == [Ended(CALL, 408, "timeout")]
    far.wait(64_000)
    assert far.agent.counters()["transactions"] == 0


def test_a_cancelled_change_that_is_ended_leaves_the_call(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    far.responds(invite, 100)
    far.wait(33_000)
    far.responds(invite, 487)
    assert of(far, Reanswered) == [Reanswered(CALL, None, 487)]
    assert far.ended() == []


def test_a_change_under_way_when_the_call_ends_is_still_acknowledged(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    far.responds(invite, 100)
    assert methods(far.order(far.agent.hangup, CALL)) == ["BYE"]
    assert methods(far.responds(invite, 200, body=SDP)) == ["ACK"]
    assert of(far, Reanswered) == []
    far.wait(100_000)
    assert far.agent.counters()["transactions"] == 0


@pytest.mark.survives(8)
@pytest.mark.parametrize(("ours", "least_ms", "most_ms"), [(True, 2100, 4000), (False, 0, 2000)])
def test_glare_is_tried_again_within_the_windows(far_with, ours, least_ms, most_ms):
    seen = set()
    for seed in range(40):
        far = far_with(settings=PLAIN)
        far.agent = UserAgent(rng=random.Random(seed), settings=PLAIN)
        if ours:
            placed(far)
        else:
            far.up()
        (invite,) = far.order(far.agent.reoffer, CALL, HELD)
        assert methods(far.responds(invite, 491)) == ["ACK"]
        before = far.now
        while not (again := far.wait(10)):
            assert far.now - before <= 4_100 * MILLISECOND
        waited = (far.now - before) // MILLISECOND
        (again,) = again
        assert again.method == "INVITE"
        assert parse_sdp(again.body).media == HELD.media
        assert int(again.index["CSeq"].split()[0]) == int(invite.index["CSeq"].split()[0]) + 1
        assert least_ms <= waited <= most_ms + 10
        seen.add(waited)
        far.responds(again, 200, body=SDP)
        assert of(far, Reanswered)[-1].code == 200
    assert len(seen) > 20  # chosen at random


def test_glare_without_end_is_given_up(far):
    far.up()
    far.order(far.agent.reoffer, CALL, HELD)
    for _ in range(20):
        last = far.sent[-1]
        if last.method != "INVITE":
            break
        far.responds(last, 491)
        far.wait(4_000)
    assert of(far, Reanswered) == [Reanswered(CALL, None, 491)]
    assert far.ended() == []


def test_their_change_wins_while_ours_waits_after_glare(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    assert codes(far.asks("INVITE", 2, body=SDP)) == [491]
    far.responds(invite, 491)
    assert codes(far.asks("INVITE", 3, body=SDP)) == [100]
    (ok,) = far.order(far.agent.accept_reoffer, CALL, parse_sdp(SDP))
    taken = (parse_sdp(ok.body).origin or "").split()[2]
    assert methods(far.wait(400)) == []  # not before their ACK
    far.acks(3)
    again = next(message for message in far.wait(4_000) if isinstance(message, Request))
    assert int((parse_sdp(again.body).origin or "").split()[2]) == int(taken) + 1


@pytest.mark.parametrize("code", [500, 503])
def test_who_says_when_to_come_again_is_asked_again_once(far, code):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    far.responds(invite, code, headers=(("Retry-After", "3 (busy);duration=9"),))
    assert far.wait(2_990) == []
    (again,) = far.wait(20)
    assert again.method == "INVITE"
    far.responds(again, code, headers=(("Retry-After", "3"),))
    assert of(far, Reanswered) == [Reanswered(CALL, None, code)]


@pytest.mark.parametrize("when", ["", "-1", "soon", "99999", "60", "\u0663"])
def test_who_does_not_say_when_is_not_asked_again(far, when):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    far.responds(invite, 500, headers=(("Retry-After", when),))
    assert of(far, Reanswered) == [Reanswered(CALL, None, 500)]


def test_a_change_waits_for_the_ack_and_goes_out_behind_it(far):
    far.answered()
    far.acks()
    far.asks("INVITE", 2, body=SDP)
    far.order(far.agent.accept_reoffer, CALL, parse_sdp(SDP))
    assert methods(far.order(far.agent.reoffer, CALL, HELD)) == []
    far.acks(2)
    assert methods(far.wait(400)) == ["INVITE"]


def test_a_change_that_never_gets_its_turn_is_told(far):
    far.up()
    far.asks("INVITE", 2, body=SDP)
    far.order(far.agent.reoffer, CALL, HELD)
    assert methods(far.wait(33_000)) == []
    assert of(far, Reanswered) == [Reanswered(CALL, None, 491)]


def test_a_second_change_goes_out_behind_the_first_and_a_third_is_refused(far):
    far.up()
    (first,) = far.order(far.agent.reoffer, CALL, HELD)
    assert far.order(far.agent.reoffer, CALL, parse_sdp(SDP)) == []
    far.order(far.agent.reoffer, CALL, HELD)
    assert of(far, Reanswered) == [Reanswered(CALL, None, 491)]
    ack, second = far.responds(first, 200, body=SDP)
    assert (ack.method, second.method) == ("ACK", "INVITE")
    assert parse_sdp(second.body).media == parse_sdp(SDP).media


def test_a_change_of_a_call_that_only_rings_is_refused(far):
    far.rings()
    assert far.order(far.agent.reoffer, CALL, HELD) == []
    assert of(far, Reanswered) == [Reanswered(CALL, None, 491)]


def test_a_2xx_without_an_answer_is_acknowledged_and_changes_nothing(far):
    far.up()
    for body in (b"", b"junk"):
        (invite,) = far.order(far.agent.reoffer, CALL, HELD)
        assert methods(far.responds(invite, 200, body=body)) == ["ACK"]
        assert of(far, Reanswered)[-1] == Reanswered(CALL, None, 488)
    assert far.ended() == []
    assert codes(far.asks("INVITE", 2, body=SDP)) == [100]


def test_the_offer_may_be_left_to_them(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, None)
    assert invite.body == b""
    assert far.responds(invite, 200, body=SDP) == []
    assert far.responds(invite, 200, body=SDP) == []  # no answer yet: nothing to repeat
    assert of(far, Reoffered) == [Reoffered(CALL, parse_sdp(SDP))]
    (ack,) = far.order(far.agent.accept_reoffer, CALL, HELD)
    assert (ack.method, parse_sdp(ack.body).media) == ("ACK", HELD.media)
    assert of(far, Reanswered) == [Reanswered(CALL, parse_sdp(SDP), 200)]
    assert far.responds(invite, 200, body=SDP) == [ack]


def test_an_offer_that_was_left_to_them_and_can_not_be_taken_ends_the_call(far):
    """Section 13.2.2.4: a 2xx must be acknowledged, with an answer, before the BYE."""
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, None)
    far.responds(invite, 200, body=SDP)
    ack, bye = far.order(far.agent.refuse_reoffer, CALL, 488)
    assert (ack.method, [media.port for media in parse_sdp(ack.body).media]) == ("ACK", [0])
    assert (bye.method, bye.first("Reason")) == ("BYE", 'SIP;cause=488;text="nothing of the offer can be taken"')
    assert far.ended() == [Ended(CALL, 488, "refused")]


def test_an_offer_that_was_left_to_them_and_never_came_changes_nothing(far):
    far.up()
    (invite,) = far.order(far.agent.reoffer, CALL, None)
    assert methods(far.responds(invite, 200)) == ["ACK"]
    assert of(far, Reanswered) == [Reanswered(CALL, None, 488)]
    assert far.ended() == []


def test_behind_nat_the_way_of_a_change_is_the_way_of_the_call(far):
    far.answered(via="SIP/2.0/UDP 10.0.0.7:6060;rport", headers=(("Contact", "<sip:far@10.0.0.7:6060>"),))
    far.acks()
    (invite,) = far.order(far.agent.reoffer, CALL, HELD)
    assert far.flows[-1].remote == ("192.0.2.9", 5070)
    (ack,) = far.responds(invite, 200, body=SDP)
    assert ack.method == "ACK"
    assert far.flows[-1].remote == ("192.0.2.9", 5070)


def test_a_connection_that_fails_under_a_change_leaves_the_call(far_with):
    far = far_with("tcp", connection=4)
    far.up()
    far.order(far.agent.reoffer, CALL, HELD)
    far.agent.flow_closed(far.now, Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 5070), 4))
    far.gather()
    assert of(far, Reanswered) == [Reanswered(CALL, None, 503)]
    assert far.ended() == []


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_what_was_not_answered_when_the_call_ended_is_487(far, method):
    far.up()
    far.asks(method, 2, body=SDP)
    assert methods(far.order(far.agent.hangup, CALL)) == ["BYE"]
    assert codes(far.wait(0)) == [487]
    far.acks(2)
    far.responds(far.sent[-2], 200)
    far.wait(100_000)
    assert far.agent.counters()["transactions"] == 0


# --- while it rings (RFC 3311 section 5.1, RFC 3262 section 5)


def rings_with_answer(far_with, quick):
    """A call at us whose offer was answered in a reliable 183; its PRACK is still out."""
    far = far_with(settings=quick)
    call = far.rings(headers=(("Require", "100rel"), *KNOWS_UPDATE))
    (early,) = far.order(far.agent.ring, CALL, 183, parse_sdp(SDP))
    rack = (("RAck", f"{early.index['RSeq']} 1 INVITE"),)
    return far, call, lambda: far.asks("PRACK", 2, headers=rack)


def test_an_update_of_theirs_while_it_rings_is_served(far_with, quick):
    far, call, prack = rings_with_answer(far_with, quick)
    prack()
    assert far.asks("UPDATE", 3, body=SDP) == []
    (ok,) = far.order(far.agent.accept_reoffer, call.call, HELD)
    assert (ok.code, parse_sdp(ok.body).media) == (200, HELD.media)
    assert ok.first("Session-Expires") is None  # there is no session to expire yet
    (answer,) = far.order(far.agent.answer, call.call, parse_sdp(SDP))
    assert (answer.code, answer.body) == (200, b"")  # all was said
    far.acks(1)
    assert codes(far.asks("INVITE", 4, body=SDP)) == [100]


def test_an_update_of_ours_while_it_rings_waits_for_the_prack(far_with, quick):
    far, _, prack = rings_with_answer(far_with, quick)
    assert methods(far.order(far.agent.reoffer, CALL, HELD)) == []
    prack()
    (update,) = far.wait(400)
    assert (update.method, parse_sdp(update.body).media) == ("UPDATE", HELD.media)
    assert codes(far.asks("UPDATE", 3, body=SDP)) == [491]
    far.responds(update, 200, body=SDP)
    (told,) = of(far, Reanswered)
    assert (told.code, told.answer) == (200, parse_sdp(SDP))


@pytest.mark.parametrize("settled", [True, False])
def test_an_update_in_an_early_dialog_of_ours(far, settled):
    """One of two who ring says more; what the INVITE offered must be answered there before (RFC 3311 section 5.2)."""
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), parse_sdp(SDP))
    invite = far.sent[-1]
    reliable = (("Require", "100rel"), ("RSeq", "7"), ("Contact", "<sip:far@192.0.2.9:5070>"))
    far.responds(invite, 183, tag="other")
    far.responds(invite, 183, headers=reliable if settled else reliable[2:], body=SDP)
    tag, call_id = invite.index["From"].partition("tag=")[2], invite.index["Call-ID"]
    replies = far.say(bytes(far.request("UPDATE", seq=5, to_tag=tag, call_id=call_id, body=SDP)))
    if not settled:
        assert codes(replies) == [491]
        return
    assert replies == []
    (ok,) = far.order(far.agent.accept_reoffer, CALL, HELD)
    assert (ok.code, parse_sdp(ok.body).media) == (200, HELD.media)
    far.responds(invite, 200)
    assert of(far, Answered)[-1].answer == parse_sdp(SDP)
    assert far.ended() == []


def test_an_update_of_one_who_rings_does_not_move_the_call_of_another_who_answers(far):
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), parse_sdp(SDP))
    invite = far.sent[-1]
    reliable = (("Require", "100rel"), ("RSeq", "7"), ("Contact", "<sip:far@192.0.2.9:5070>"))
    far.responds(invite, 183, tag="one", headers=reliable, body=SDP)
    tag, call_id = invite.index["From"].partition("tag=")[2], invite.index["Call-ID"]
    update = far.request("UPDATE", seq=5, from_tag="one", to_tag=tag, call_id=call_id, body=SDP)
    far.agent.receive(far.now, bytes(update), Flow("udp", far.flow.local, ("192.0.2.50", 5090)))
    (ok,) = far.order(far.agent.accept_reoffer, CALL, HELD)
    assert ok.code == 200
    far.answers(invite, tag="two")
    (bye,) = far.order(far.agent.hangup, CALL)
    assert (bye.method, far.flows[-1].remote) == ("BYE", ("192.0.2.9", 5070))


def test_an_early_dialog_that_is_over_answers_no_update(far):
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), parse_sdp(SDP))
    invite = far.sent[-1]
    contact = ("Contact", "<sip:far@192.0.2.9:5070>")
    far.responds(invite, 183, headers=(("Require", "100rel"), ("RSeq", "7"), contact), body=SDP)
    tag, call_id = invite.index["From"].partition("tag=")[2], invite.index["Call-ID"]
    far.say(bytes(far.request("UPDATE", seq=5, to_tag=tag, call_id=call_id, body=SDP)))
    assert of(far, Reoffered) == [Reoffered(CALL, parse_sdp(SDP))]
    far.responds(invite, 199)
    (reply,) = far.order(far.agent.accept_reoffer, CALL, HELD)
    assert reply.code == 481
    assert far.ended() == []


# --- both at once


@pytest.mark.survives(8)
@pytest.mark.parametrize("lost", range(6))
def test_two_of_us_who_change_at_once_come_to_an_agreement(pair, lost):
    """Both hold at the same instant, and one of the messages that follow is lost: both changes take place."""
    us, them = pair.ends.values()
    here, there = pair.ends
    number = us.invite(0, parse_uri("sip:them@192.0.2.9:5070"), (Flow("udp", here, there),), parse_sdp(SDP))
    pair.settle()
    (call,) = [outcome.call for outcome in pair.told[there] if type(outcome).__name__ == "IncomingCall"]
    them.answer(0, call, parse_sdp(SDP))
    pair.wait(100)

    def serve():
        for address, end in pair.ends.items():
            for outcome in pair.told[address]:
                if isinstance(outcome, Reoffered) and outcome not in served:
                    end.accept_reoffer(pair.now, outcome.call, parse_sdp(SDP))
            served.extend(pair.told[address])
            pair.settle()

    served: list[object] = []
    serve()
    before = len(pair.wire)
    pair.lose = lambda number, data: number == before + 1 + lost
    us.reoffer(pair.now, number, HELD)
    them.reoffer(pair.now, call, HELD)
    pair.settle()
    for told in pair.told.values():
        told.clear()
    served.clear()
    done: set[object] = set()
    for _ in range(200):
        pair.wait(50)
        for address, end in pair.ends.items():
            for outcome in pair.told[address]:
                if isinstance(outcome, Reoffered):
                    end.accept_reoffer(pair.now, outcome.call, parse_sdp(SDP))
                elif isinstance(outcome, Reanswered):
                    assert outcome.code == 200
                    done.add(address)
            pair.told[address].clear()
        pair.settle()
    assert done == {here, there}
    assert [outcome for told in pair.told.values() for outcome in told if isinstance(outcome, Ended)] == []
    requests = [data for _, data in pair.wire if data.startswith(b"INVITE")]
    assert len(requests) >= 5
