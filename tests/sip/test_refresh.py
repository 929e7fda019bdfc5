"""Session timers, both sides of them (RFC 4028)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.header import SessionExpires, parse_session_expires
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Ended, Flow, Reanswered, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import parse_uri
from offhook.sip.useragent import Settings

CALL = SipCall(1)
SDP = (
    b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4002 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)
KNOWS = ("Supported", "100rel, timer")
UPDATES = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")
REFUSES = ("Allow", "INVITE, ACK, BYE, CANCEL")

EXPIRED = 'SIP;cause=408;text="session expired"'


def expires(message):
    return message.first("Session-Expires"), message.first("Require")


def requests(messages):
    return [message.method for message in messages if isinstance(message, Request)]


def dial(far, **more):
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), parse_sdp(SDP), **more)
    return far.sent[-1]


def keeps_quiet(far, ms):
    """Let time pass and give what the agent asked."""
    return requests(far.wait(ms))


# --- the headers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1800", SessionExpires(1800)),
        (" 90 ;refresher=UAS", SessionExpires(90, (("refresher", "UAS"),))),
        ("0;x", SessionExpires(0, (("x", None),))),
        ("00090", SessionExpires(90)),
        ("99999999999999999999999999", SessionExpires(2**31 - 1)),
        ("4294967295", SessionExpires(2**31 - 1)),
    ],
)
def test_an_interval_is_read_and_written(text, value):
    assert parse_session_expires(text) == value
    assert parse_session_expires(str(value)) == value


@pytest.mark.parametrize("text", ["", "-1", "soon", "1.5", "90 90", "\u0663\u0663", "90;=", "90;a b", ";refresher=uac"])
def test_what_is_no_interval_is_malformed(text):
    with pytest.raises(Malformed):
        parse_session_expires(text)


@pytest.mark.parametrize(("said", "side"), [("uac", "uac"), ("UAS", "uas"), ("both", ""), (None, "")])
def test_who_refreshes_is_one_of_two(said, side):
    assert SessionExpires(90, (("refresher", said),)).refresher == side


# --- where they ask


@pytest.mark.survives(14)
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        # RFC 4028 section 9, table 2: whether they know it, whom they name, and who it is.
        ((), ("1800;refresher=uas", None)),
        ((KNOWS,), ("1800;refresher=uas", "timer")),
        ((KNOWS, ("Session-Expires", "600")), ("600;refresher=uac", "timer")),
        ((KNOWS, ("Session-Expires", "600;refresher=uac")), ("600;refresher=uac", "timer")),
        ((KNOWS, ("x", "600;refresher=uas")), ("600;refresher=uas", "timer")),
        ((("Require", "timer"), ("Session-Expires", "600")), ("600;refresher=uac", "timer")),
        # Put in on the way: whoever called can't refresh.
        ((("Session-Expires", "600;refresher=uac"),), ("600;refresher=uas", None)),
        ((("Session-Expires", "30"),), ("90;refresher=uas", None)),
        ((("Session-Expires", "0"),), ("1800;refresher=uas", None)),
        # Shortened to ours, but never below what they bear.
        ((KNOWS, ("Session-Expires", "7200")), ("1800;refresher=uac", "timer")),
        ((KNOWS, ("Session-Expires", "7200"), ("Min-SE", "3600")), ("3600;refresher=uac", "timer")),
        ((KNOWS, ("Session-Expires", "7200"), ("Min-SE", "much")), ("1800;refresher=uac", "timer")),
        ((KNOWS, ("Session-Expires", "99999999999999")), ("1800;refresher=uac", "timer")),
    ],
)
def test_who_refreshes_and_how_often(far, headers, said):
    far.answered(headers=headers)
    assert expires(far.sent[-1]) == said


@pytest.mark.survives(14)
def test_an_interval_that_is_too_short_is_422(far):
    (reply,) = far.say(bytes(far.request("INVITE", body=SDP, headers=(KNOWS, ("Session-Expires", "89")))))
    assert (reply.code, reply.first("Min-SE")) == (422, "90")
    assert far.told == []


@pytest.mark.survives(14)
@pytest.mark.parametrize("text", ["soon", "-1", "", "90;="])
def test_an_interval_that_can_not_be_read_is_400(far, text):
    for number, knows in enumerate([(), (KNOWS,)]):
        headers = (*knows, ("Session-Expires", text))
        (reply,) = far.say(bytes(far.request("INVITE", body=SDP, headers=headers, call_id=str(number))))
        assert reply.code == 400
    assert far.told == []
    assert far.fates()["malformed_session_expires"] == 2


def test_in_a_call_an_interval_that_is_too_short_is_422_and_changes_nothing(far):
    far.up(headers=(KNOWS, ("Session-Expires", "600")))
    for number, method in enumerate(("INVITE", "UPDATE"), 2):
        (reply,) = far.asks(method, number, body=SDP, headers=(KNOWS, ("Session-Expires", "60")))
        assert (reply.code, reply.first("Min-SE")) == (422, "90")
    assert keeps_quiet(far, 567_000) == []
    assert keeps_quiet(far, 2_000)[:1] == ["BYE"]


def test_the_least_is_ours_to_say(far_with):
    far = far_with(settings=Settings(min_se_s=120))
    (reply,) = far.say(bytes(far.request("INVITE", body=SDP, headers=(KNOWS, ("Session-Expires", "100")))))
    assert (reply.code, reply.first("Min-SE")) == (422, "120")


@pytest.mark.survives(14)
@pytest.mark.parametrize(("interval_s", "lasts_s"), [(600, 568), (90, 60)])
def test_who_does_not_refresh_is_hung_up_on(far, interval_s, lasts_s):
    far.up(headers=(KNOWS, ("Session-Expires", f"{interval_s};refresher=uac")))
    assert keeps_quiet(far, lasts_s * 1000 - 1) == []
    (bye,) = far.wait(1)
    assert (bye.method, bye.first("Reason")) == ("BYE", EXPIRED)
    assert far.ended() == [Ended(CALL, 408, "expired")]


@pytest.mark.survives(14)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_who_refreshes_in_time_stays(far, method):
    call = far.up(headers=(KNOWS, ("Session-Expires", "90;refresher=uac")))
    for number in range(2, 12):
        assert keeps_quiet(far, 45_000) == []
        body = SDP if method == "INVITE" else b""
        far.asks(method, number, body=body, headers=(KNOWS, ("Session-Expires", "90;refresher=uac")))
        if method == "INVITE":
            far.order(far.agent.accept_reoffer, call.call, parse_sdp(SDP))
        assert (far.sent[-1].code, expires(far.sent[-1])) == (200, ("90;refresher=uac", "timer"))
        if method == "INVITE":
            far.acks(number)
    assert far.ended() == []
    assert keeps_quiet(far, 59_999) == []
    assert keeps_quiet(far, 1) == ["BYE"]


def test_a_refresh_without_terms_is_taken_over_by_us(far):
    far.up(headers=(KNOWS, UPDATES, ("Session-Expires", "90;refresher=uac")))
    far.asks("UPDATE", 2)
    assert expires(far.sent[-1]) == ("1800;refresher=uas", None)
    assert keeps_quiet(far, 899_999) == []
    assert keeps_quiet(far, 1) == ["UPDATE"]


# --- where we ask


def test_an_invite_of_ours_asks(far_with):
    invite = dial(far_with())
    assert (invite.first("Session-Expires"), invite.first("Min-SE")) == ("1800", None)
    assert "timer" in invite.values("Supported")
    invite = dial(far_with(settings=Settings(session_expires_s=60, min_se_s=120)))
    assert (invite.first("Session-Expires"), invite.first("Min-SE")) == ("120", "120")
    assert dial(far_with(settings=Settings(session_expires_s=0))).first("Session-Expires") is None


@pytest.mark.survives(14)
def test_who_wants_longer_gets_it_and_so_does_the_next_on_the_way(far):
    """RFC 4028 section 7.3: several proxies may each refuse with a Min-SE of their own."""
    invite = dial(far)
    for number, least in enumerate((3600, 4000, 7200), 2):
        ack, again = far.responds(invite, 422, headers=(("Min-SE", str(least)),))
        assert ack.method == "ACK"
        assert (again.first("Session-Expires"), again.first("Min-SE")) == (str(least), str(least))
        assert again.index["CSeq"] == f"{number} INVITE"
        assert again.index["Call-ID"] == invite.index["Call-ID"]
        assert again.index["Via"] != invite.index["Via"]
        assert again.body == invite.body
        invite = again
    far.answers(invite, headers=(("Session-Expires", "7200;refresher=uas"), ("Require", "timer")))
    assert far.ended() == []


@pytest.mark.survives(14)
@pytest.mark.parametrize("headers", [(), (("Min-SE", "soon"),), (("Min-SE", "90"),), (("Min-SE", "1800"),)])
def test_a_422_that_asks_for_nothing_more_is_a_refusal(far, headers):
    invite = dial(far)
    assert requests(far.responds(invite, 422, headers=headers)) == ["ACK"]
    assert far.ended() == [Ended(CALL, 422, "refused")]


def test_a_422_for_ever_is_given_up(far):
    invite, least = dial(far), 1800
    while not far.ended():
        least += 1
        invite = far.responds(invite, 422, headers=(("Min-SE", str(least)),))[-1]
    assert far.ended() == [Ended(CALL, 422, "refused")]
    assert least < 1820


def test_a_call_that_nobody_wants_any_more_is_not_tried_longer(far):
    invite = dial(far)
    far.responds(invite, 180)
    far.order(far.agent.hangup, CALL)
    assert requests(far.responds(invite, 422, headers=(("Min-SE", "3600"),))) == ["ACK"]
    assert far.ended() == [Ended(CALL, 487, "hangup")]


@pytest.mark.survives(14)
@pytest.mark.parametrize("text", ["soon", "", "-5"])
def test_an_answer_that_makes_no_sense_said_nothing(far, text):
    far.answers(dial(far), headers=(("Session-Expires", text), UPDATES))
    assert keeps_quiet(far, 899_999) == []
    assert keeps_quiet(far, 1) == ["UPDATE"]


@pytest.mark.parametrize(("said", "half_s"), [("0;refresher=uac", 45), ("10;refresher=uac", 45), ("200", 100)])
def test_an_answer_that_is_too_short_is_taken_for_the_least(far, said, half_s):
    far.answers(dial(far), headers=(("Session-Expires", said), UPDATES))
    assert keeps_quiet(far, half_s * 1000 - 1) == []
    assert keeps_quiet(far, 1) == ["UPDATE"]


# --- our refreshes


def ours(far, *headers):
    """Have a call that we refresh every 300 s of 600."""
    far.up(headers=(KNOWS, ("Session-Expires", "600;refresher=uas"), *headers))
    assert keeps_quiet(far, 299_999) == []
    (refresh,) = far.wait(1)
    return refresh


@pytest.mark.survives(14)
def test_we_refresh_by_update_where_they_take_it(far):
    update = ours(far, UPDATES)
    assert (update.method, update.body, update.first("Session-Expires")) == ("UPDATE", b"", "600;refresher=uac")
    assert update.first("Contact") == "<sip:offhook@192.0.2.1:5060>"
    for _ in range(3):
        far.responds(update, 200, headers=(("Session-Expires", "600;refresher=uac"),))
        assert keeps_quiet(far, 299_999) == []
        (update,) = far.wait(1)
        assert update.method == "UPDATE"


@pytest.mark.survives(14)
def test_we_refresh_by_the_unchanged_offer_where_they_do_not(far):
    invite = ours(far, REFUSES)
    said = next(message for message in far.sent if isinstance(message, Response) and message.body)
    assert (invite.method, invite.body) == ("INVITE", said.body)
    first = far.request("INVITE").body or parse_sdp(SDP)
    (ack,) = far.responds(invite, 200, body=SDP, headers=(("Session-Expires", "600;refresher=uac"),))
    assert ack.method == "ACK"
    told = [outcome for outcome in far.told if isinstance(outcome, Reanswered)]
    assert [(outcome.asked, outcome.answer) for outcome in told] == [(False, first)]  # it is another than before
    far.wait(300_000)
    far.responds(far.sent[-1], 200, body=SDP, headers=(("Session-Expires", "600;refresher=uac"),))
    assert len([outcome for outcome in far.told if isinstance(outcome, Reanswered)]) == 1  # it is the same


@pytest.mark.parametrize("code", [405, 501])
def test_an_update_that_they_do_not_take_after_all_becomes_a_reinvite(far, code):
    update = ours(far, UPDATES)
    far.responds(update, code)
    (invite,) = far.wait(0)
    assert (invite.method, bool(invite.body)) == ("INVITE", True)
    far.responds(invite, 200, body=SDP, headers=(("Session-Expires", "600;refresher=uac"),))
    assert keeps_quiet(far, 299_999) == []
    assert [message.method for message in far.wait(1)] == ["INVITE"]


@pytest.mark.survives(14)
@pytest.mark.parametrize(("code", "after"), [(481, []), (408, ["BYE"])])
def test_a_refresh_of_a_call_that_is_not_there_ends_it(far, code, after):
    assert requests(far.responds(ours(far, UPDATES), code)) == after
    assert far.ended() == [Ended(CALL, code, "timeout")]


@pytest.mark.survives(14)
@pytest.mark.parametrize("headers", [(UPDATES,), (REFUSES,)])
def test_a_refresh_that_nobody_answers_ends_the_call(far, headers):
    ours(far, *headers)
    assert keeps_quiet(far, 32_000)[-1] == "BYE"
    assert far.ended() == [Ended(CALL, 408, "timeout")]


@pytest.mark.survives(14)
def test_a_refresh_that_is_refused_is_tried_again_until_the_session_expires(far):
    update = ours(far, UPDATES)
    while not far.ended():
        far.responds(update, 503)
        update = far.wait(30_000)[-1]
    assert far.ended() == [Ended(CALL, 408, "expired")]
    assert len([message for message in far.sent if isinstance(message, Request) and message.method == "UPDATE"]) == 9
    assert (update.method, update.first("Reason")) == ("BYE", EXPIRED)


def test_a_refresh_that_is_refused_at_first_keeps_the_call(far):
    update = ours(far, UPDATES)
    far.responds(update, 503)
    (update,) = far.wait(30_000)
    far.responds(update, 200, headers=(("Session-Expires", "600;refresher=uac"),))
    assert keeps_quiet(far, 299_999) == []
    assert far.ended() == []


def test_a_refresh_that_is_too_short_by_now_is_made_longer(far):
    update = ours(far, UPDATES)
    (again,) = far.responds(update, 422, headers=(("Min-SE", "1200"),))
    assert (again.method, again.first("Session-Expires")) == ("UPDATE", "1200;refresher=uac")
    assert int(again.index["CSeq"].split()[0]) == int(update.index["CSeq"].split()[0]) + 1
    far.responds(again, 200, headers=(("Session-Expires", "1200;refresher=uac"),))
    assert keeps_quiet(far, 599_999) == []
    assert keeps_quiet(far, 1) == ["UPDATE"]


@pytest.mark.parametrize("code", [200, 488, 500, 501])
def test_who_knows_no_timers_is_only_asked_whether_it_is_there(far, code):
    """It can't miss a refresh, so its refusing one ends nothing."""
    far.up()
    for _ in range(4):
        assert keeps_quiet(far, 899_999) == []
        (refresh,) = far.wait(1)
        assert refresh.method == "INVITE"
        far.responds(refresh, code, body=SDP if code == 200 else b"")
    assert far.ended() == []


def test_who_knows_no_timers_and_is_gone_is_hung_up_on(far):
    far.up()
    far.wait(900_000)
    assert keeps_quiet(far, 32_000)[-1] == "BYE"
    assert far.ended() == [Ended(CALL, 408, "timeout")]


def test_a_change_of_ours_refreshes_as_well(far):
    far.up(headers=(KNOWS, UPDATES, ("Session-Expires", "600;refresher=uas")))
    far.wait(290_000)
    (invite,) = far.order(far.agent.reoffer, CALL, parse_sdp(SDP))
    assert invite.first("Session-Expires") == "600;refresher=uac"
    far.responds(invite, 200, body=SDP, headers=(("Session-Expires", "600;refresher=uac"),))
    assert keeps_quiet(far, 299_999) == []
    assert keeps_quiet(far, 1) == ["UPDATE"]


def test_a_refresh_waits_for_a_change_that_is_under_way(far):
    far.up(headers=(KNOWS, UPDATES, ("Session-Expires", "600;refresher=uas")))
    far.wait(299_000)
    (invite,) = far.order(far.agent.reoffer, CALL, parse_sdp(SDP))
    far.responds(invite, 100)
    assert keeps_quiet(far, 5_000) == []
    far.responds(invite, 488)
    assert keeps_quiet(far, 26_500)[:1] == ["UPDATE"]


def test_a_change_waits_for_a_refresh_that_is_under_way(far):
    refresh = ours(far, REFUSES)
    assert far.order(far.agent.reoffer, CALL, parse_sdp(SDP + b"a=sendonly\r\n")) == []
    ack, invite = far.responds(refresh, 200, body=SDP)
    assert (ack.method, invite.method) == ("ACK", "INVITE")
    assert b"sendonly" in invite.body


@pytest.mark.survives(14)
def test_two_of_us_keep_a_call_for_hours_and_without_one_the_other_ends_it(pair):
    us, them = pair.ends.values()
    here, there = pair.ends
    us.invite(0, parse_uri("sip:them@192.0.2.9:5070"), (Flow("udp", here, there),), parse_sdp(SDP))
    pair.settle()
    them.answer(0, CALL, parse_sdp(SDP))
    pair.wait(4 * 3600 * 1000)
    updates = [data for _, data in pair.wire if data.startswith(b"UPDATE")]
    assert len(updates) == 4 * 3600 // 900 - 1 + 1
    assert all(not any(isinstance(outcome, Ended) for outcome in told) for told in pair.told.values())
    pair.lose = lambda number, data: True
    pair.wait(1800 * 1000)
    ends = {outcome.reason for told in pair.told.values() for outcome in told if isinstance(outcome, Ended)}
    assert ends == {"timeout", "expired"}


def test_nothing_of_it_is_left_behind_by_a_call(far):
    far.up(headers=(KNOWS, ("Session-Expires", "600")))
    far.asks("BYE", 2)
    far.wait(32_000)
    assert far.agent.deadline() is None


def test_settings_that_ask_for_nothing_still_keep_theirs(far_with):
    far = far_with(settings=replace(Settings(), session_expires_s=0))
    far.answered()
    assert expires(far.sent[-1]) == (None, None)
    far.answered(call_id="2", headers=(KNOWS,))
    assert expires(far.sent[-1]) == (None, None)
    far.answered(call_id="3", headers=(KNOWS, ("Session-Expires", "7200")))
    assert expires(far.sent[-1]) == ("7200;refresher=uac", "timer")
