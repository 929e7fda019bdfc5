"""An INVITE of ours until somebody has it: early dialogs, PRACK, forks, redirections (RFC 3262, 3264, 6228, 6337)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from offhook.sip.meanings import Cause
from offhook.sip.message import Request
from offhook.sip.outcomes import Answered, Ended, Flow, Progress, Redirected, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import parse_uri

CALL = SipCall(1)
TARGET = parse_uri("sip:far@192.0.2.9:5070")
CONTACT = ("Contact", "<sip:desk@192.0.2.9:5070>")
OTHER = b"v=0\r\no=- 8 1 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n"


def dial(far, body):
    far.order(far.agent.invite, TARGET, (far.flow,), body)
    return far.sent[-1]


def rings(far, invite, rseq=None, *, tag="far", code=183, body=b"", headers=(CONTACT,)):
    """Answer provisionally; with an RSeq, reliably."""
    reliable = (("Require", "100rel"), ("RSeq", str(rseq))) if rseq is not None else ()
    return far.responds(invite, code, tag=tag, body=body, headers=(*headers, *reliable))


def told(far, kind: type = Progress) -> list[Any]:
    return [outcome for outcome in far.told if isinstance(outcome, kind)]


def test_we_say_that_we_take_reliable_responses_and_ended_early_dialogs(far, bodies):
    assert {"100rel", "199"} <= set(dial(far, bodies("offer")).values("Supported"))


def test_a_reliable_response_is_acknowledged_in_its_early_dialog(far, bodies):
    invite = dial(far, bodies("offer"))
    (prack,) = rings(far, invite, 7, tag="a")
    assert (prack.method, prack.uri) == ("PRACK", "sip:desk@192.0.2.9:5070")
    assert (prack.index["RAck"], prack.index["CSeq"]) == ("7 1 INVITE", "2 PRACK")
    assert prack.index["To"].endswith(";tag=a")
    assert far.responds(prack, 200) == []
    assert told(far)[0].tag == "a"


def test_a_repeat_is_not_acknowledged_twice_and_one_out_of_order_not_at_all(far, bodies):
    invite = dial(far, bodies("offer"))
    assert len(rings(far, invite, 7)) == 1
    assert rings(far, invite, 7) == []
    assert rings(far, invite, 9) == []
    (prack,) = rings(far, invite, 8)
    assert (prack.index["RAck"], prack.index["CSeq"]) == ("8 1 INVITE", "3 PRACK")
    assert len(told(far)) == 2
    assert far.fates()["repeated_response"] == 2


def test_each_fork_has_numbers_of_its_own(far, bodies):
    invite = dial(far, bodies("offer"))
    one, two = rings(far, invite, 100, tag="one")[0], rings(far, invite, 5, tag="two")[0]
    assert [(prack.index["RAck"], prack.index["CSeq"]) for prack in (one, two)] == [
        ("100 1 INVITE", "2 PRACK"),
        ("5 1 INVITE", "2 PRACK"),
    ]
    (again,) = rings(far, invite, 6, tag="two")
    assert again.index["CSeq"] == "3 PRACK"


def test_a_fork_that_answers_too_late_is_hung_up_under_a_number_of_its_own(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, 1, tag="late")
    far.answers(invite, tag="first")
    ack, bye = far.answers(invite, tag="late")
    assert (ack.index["CSeq"], bye.index["CSeq"]) == ("1 ACK", "3 BYE")


def test_the_ack_has_the_number_of_the_invite_and_the_dialog_goes_on_from_the_prack(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, 1)
    rings(far, invite, 2)
    (ack,) = far.answers(invite)
    assert ack.index["CSeq"] == "1 ACK"
    (bye,) = far.order(far.agent.hangup, CALL)
    assert bye.index["CSeq"] == "4 BYE"


def test_what_was_answered_reliably_stays_answered(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, 1, body=OTHER)
    (ack,) = far.answers(invite)  # with another description, which says nothing any more
    assert ack.method == "ACK"
    (answered,) = told(far, Answered)
    assert answered.answer == parse_sdp(OTHER)


def test_a_foretaste_may_change_with_the_answer_and_may_be_all_there_is(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, body=OTHER)
    assert told(far)[0].description == parse_sdp(OTHER)
    far.answers(invite)
    assert told(far, Answered)[0].answer != parse_sdp(OTHER)
    second = dial(far, bodies("offer"))
    rings(far, second, body=OTHER)
    far.responds(second, 200)
    assert told(far, Answered)[1].answer == parse_sdp(OTHER)


def test_the_one_who_answers_brings_its_own_description(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, 1, tag="one", body=OTHER)
    rings(far, invite, 1, tag="two")
    far.answers(invite, tag="two")
    (answered,) = told(far, Answered)
    assert answered.answer is not None
    assert answered.answer != parse_sdp(OTHER)


def test_199_ends_one_early_dialog_and_not_the_call(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite, tag="one")
    rings(far, invite, tag="two")
    rings(far, invite, tag="one", code=199)
    assert [(progress.tag, progress.response.code) for progress in told(far)][-1] == ("one", 199)
    tag, call_id = invite.index["From"].partition("tag=")[2], invite.index["Call-ID"]
    for name, code in (("one", 481), ("two", 200)):
        (answer,) = far.say(bytes(far.request("OPTIONS", to_tag=tag, from_tag=name, call_id=call_id)))
        assert answer.code == code
    assert far.ended() == []


def test_who_is_called_may_not_say_bye_before_it_has_answered(far, bodies):
    invite = dial(far, bodies("offer"))
    rings(far, invite)
    tag, call_id = invite.index["From"].partition("tag=")[2], invite.index["Call-ID"]
    (answer,) = far.say(bytes(far.request("BYE", to_tag=tag, call_id=call_id)))
    assert answer.code == 481
    (answer, *_) = far.say(bytes(far.request("INVITE", seq=2, to_tag=tag, call_id=call_id)))
    assert answer.code == 491
    assert far.ended() == []


def test_a_flood_of_early_dialogs_is_bounded(far, bodies):
    invite = dial(far, bodies("offer"))
    for number in range(40):
        rings(far, invite, 1, tag=f"fork-{number}")
    assert len(told(far)) == 16
    assert len([message for message in far.sent if message.method == "PRACK"]) == 16


def test_an_offer_in_a_reliable_response_is_answered_in_the_prack(far, bodies):
    invite = dial(far, None)
    assert rings(far, invite, 3, body=OTHER) == []
    (progress,) = told(far)
    assert progress.offering
    (prack,) = far.order(far.agent.answer_early, CALL, "far", bodies("answer"))
    assert (prack.method, parse_sdp(prack.body)) == ("PRACK", bodies("answer"))
    assert far.order(far.agent.answer_early, CALL, "far", bodies("answer")) == []
    (ack,) = far.responds(invite, 200)
    assert (ack.method, ack.body) == ("ACK", b"")


@pytest.mark.parametrize("rseq", ["", "x", "99999999999", "-1", "1 2"])
def test_a_number_that_is_none_is_not_acknowledged(far, bodies, rseq):
    invite = dial(far, bodies("offer"))
    assert far.responds(invite, 183, headers=(CONTACT, ("Require", "100rel"), ("RSeq", rseq))) == []
    assert far.ended() == []


def test_another_invite_ends_the_early_dialogs_of_the_one_before(far, bodies):
    other = Flow("udp", far.flow.local, ("192.0.2.10", 5060))
    far.order(far.agent.invite, TARGET, (far.flow, other), bodies("offer"))
    rings(far, far.sent[-1], 5)
    far.responds(far.sent[0], 503)
    invite = [message for message in far.sent if message.method == "INVITE"][-1]
    (prack,) = rings(far, invite, 900)
    assert prack.index["RAck"] == "900 1 INVITE"


# --- redirections


def redirects(far, invite, *contacts, code=302, **more):
    headers = tuple(("Contact", contact) for contact in contacts) + tuple(more.items())
    return far.responds(invite, code, headers=headers)


def followed(far):
    """Follow what was proposed last; give the new INVITE."""
    (invite,) = far.order(far.agent.follow, CALL, told(far, Redirected)[-1].target, (far.flow,))
    return invite


def test_a_redirection_is_proposed_and_followed_as_the_same_call(far, bodies):
    invite = dial(far, bodies("offer"))
    (ack,) = redirects(far, invite, "<sip:desk@192.0.2.7>;q=0.5;expires=1", "<sip:home@192.0.2.7>;q=0.9")
    assert ack.method == "ACK"
    assert told(far, Redirected) == [Redirected(CALL, parse_uri("sip:home@192.0.2.7"), 302)]
    again = followed(far)
    assert (again.uri, again.index["CSeq"]) == ("sip:home@192.0.2.7", "2 INVITE")
    assert [again.index[name] for name in ("To", "From", "Call-ID")] == [
        invite.index[name] for name in ("To", "From", "Call-ID")
    ]
    assert again.body == invite.body
    far.answers(again)
    assert len(told(far, Answered)) == 1
    (bye,) = far.order(far.agent.hangup, CALL)
    assert bye.index["CSeq"] == "3 BYE"


def test_why_it_was_redirected_goes_along(far, bodies):
    invite = dial(far, bodies("offer"))
    redirects(far, invite, "<sip:a@192.0.2.7>", Diversion="<sip:far@192.0.2.9>;reason=no-answer")
    assert followed(far).index["Diversion"] == "<sip:far@192.0.2.9>;reason=no-answer"


def test_the_next_target_is_tried_when_one_refuses_and_none_after_a_600(far, bodies):
    invite = dial(far, bodies("offer"))
    redirects(far, invite, "<sip:a@192.0.2.7>", "<sip:b@192.0.2.7>", "<sip:c@192.0.2.7>")
    far.responds(followed(far), 486)
    assert told(far, Redirected)[-1] == Redirected(CALL, parse_uri("sip:b@192.0.2.7"), 486)
    far.responds(followed(far), 603)
    assert far.ended() == [Ended(CALL, 603, "refused")]


def test_a_target_that_is_skipped_leaves_the_next_and_then_the_end(far, bodies):
    invite = dial(far, bodies("offer"))
    redirects(far, invite, "<sip:a@192.0.2.7>", "<sip:b@192.0.2.7>")
    far.order(far.agent.skip, CALL)
    assert told(far, Redirected)[-1].target == parse_uri("sip:b@192.0.2.7")
    far.order(far.agent.skip, CALL)
    assert far.ended() == [Ended(CALL, 302, "refused")]
    assert far.agent.counters()["calls"] == 0


def test_a_loop_is_left_at_once(far, bodies):
    invite = dial(far, bodies("offer"))
    redirects(far, invite, "<sip:a@192.0.2.7>")
    redirects(far, followed(far), "<sip:far@192.0.2.9:5070>", "<sip:a@192.0.2.7>")
    assert far.ended() == [Ended(CALL, 302, "refused")]


def test_five_redirections_are_followed_and_no_more(far, bodies):
    invite = dial(far, bodies("offer"))
    for number in count():
        redirects(far, invite, f"<sip:hop-{number}@192.0.2.7>")
        if far.ended():
            break
        invite = followed(far)
    assert len(told(far, Redirected)) == 5


@pytest.mark.parametrize(
    ("code", "contact"),
    [
        (305, "<sip:proxy@192.0.2.7>"),
        (302, "<sip:a@192.0.2.7?Replaces=x>"),
        (302, "<sip:a@192.0.2.7;method=REFER>"),
        (302, "*"),
        (302, "<sip:a@"),
    ],
)
def test_what_can_not_be_followed_ends_the_call(far, bodies, code, contact):
    redirects(far, dial(far, bodies("offer")), contact, code=code)
    assert told(far, Redirected) == []
    assert far.ended() == [Ended(CALL, code, "refused")]


def test_a_call_that_waits_for_its_next_target_can_be_given_up(far, bodies):
    redirects(far, dial(far, bodies("offer")), "<sip:a@192.0.2.7>")
    assert far.order(far.agent.hangup, CALL) == []
    assert far.ended() == [Ended(CALL, 487, "hangup")]
    assert far.order(far.agent.follow, CALL, TARGET, (far.flow,)) == []


def test_a_reason_says_more_than_the_status(far, bodies):
    far.responds(dial(far, bodies("offer")), 503, headers=(("Reason", 'Q.850;cause=17;text="User busy"'),))
    assert far.ended() == [Ended(CALL, 503, "refused", (Cause("Q.850", 17, "User busy"),))]


# --- What must survive 11: CANCEL and the answer cross, in every order; one outcome, nothing left.

RACES = {
    "cancel before any response": ("hangup", "100", "cancel 200", "487"),
    "cancel while it rings": ("180", "hangup", "cancel 200", "487"),
    "200 crosses the cancel": ("180", "hangup", "200", "cancel 481", "bye 200"),
    "200 after the cancel was taken": ("180", "hangup", "cancel 200", "200", "bye 200"),
    "200 before any provisional": ("hangup", "200", "bye 200"),
    "486 crosses the cancel": ("180", "hangup", "486", "cancel 481"),
    "18x after the 487": ("180", "hangup", "cancel 200", "487", "180", "183"),
    "487 without a cancel's answer": ("180", "hangup", "487"),
    "200 of a second fork after the 487": ("180", "hangup", "cancel 200", "487", "other 200"),
    "200 repeated behind the bye": ("180", "hangup", "200", "200", "bye 200", "200"),
    "the bye is answered 481": ("180", "hangup", "200", "bye 481"),
    "nobody says a word": ("hangup",),
    "nobody heeds the cancel": ("180", "hangup", "cancel 200"),
}


@pytest.mark.survives(11)
@pytest.mark.parametrize("name", RACES)
def test_a_cancel_has_one_outcome_whatever_it_crosses(far, bodies, name):
    invite = dial(far, bodies("offer"))
    for step in RACES[name]:
        what, _, code = step.rpartition(" ")
        if step == "hangup":
            far.order(far.agent.hangup, CALL)
        elif what in ("cancel", "bye"):
            sent = [one for one in far.sent if isinstance(one, Request) and one.method == what.upper()]
            assert sent, f"no {what} went out"
            far.responds(sent[-1], int(code))
        else:
            body = b"" if int(code) != 200 else OTHER
            far.responds(invite, int(code), tag="" if code == "100" else what or "far", body=body)
    far.wait(70_000)
    (ended,) = far.ended()
    assert (ended.code, ended.reason) == (487, "hangup")
    assert told(far, Answered) == []
    byes = [one for one in far.sent if isinstance(one, Request) and one.method == "BYE"]
    assert len({one.index["CSeq"] + one.index["To"] for one in byes}) <= 1
    assert far.agent.counters()["calls"] == far.agent.counters()["transactions"] == 0
    assert far.agent.deadline() is None
