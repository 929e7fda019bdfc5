"""Transfers in both roles (RFC 3515, 3891, 3892, 4488, 4538, 5589)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import split_list
from offhook.sip.header import parse_name_addr
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Ended, Flow, Referred, Replacing, SipCall, TransferProgress
from offhook.sip.replaces import Replaces, parse_refer_to
from offhook.sip.uri import parse_uri

CALL = SipCall(1)
DESK = parse_uri("sip:desk@pbx.example")


def refer(far, target=DESK, **more) -> Request:
    (asked,) = far.order(far.agent.transfers.refer, CALL, target, **more)
    assert isinstance(asked, Request)
    return asked


def notify(far, seq, body, state="active;expires=60", event="refer"):
    headers = (("Event", event), ("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0"))
    return far.asks("NOTIFY", seq, body=body, headers=headers)


def codes(messages) -> list[int]:
    return [message.code for message in messages if isinstance(message, Response)]


def progress(far) -> list[tuple[int, bool, bool]]:
    return [(one.code, one.final, one.refused) for one in far.told if isinstance(one, TransferProgress)]


# --- ours


def test_a_transfer_is_followed_to_its_end(far):
    far.up()
    asked = refer(far)
    assert asked.index["Refer-To"] == "<sip:desk@pbx.example>"
    assert asked.index["Referred-By"] == "<sip:service@192.0.2.1>"
    far.responds(asked, 202)
    assert codes(notify(far, 2, b"SIP/2.0 100 Trying\r\n")) == [200]
    assert codes(notify(far, 3, b"SIP/2.0 180 Ringing\r\n")) == [200]
    notify(far, 4, b"SIP/2.0 200 OK", state="terminated;reason=noresource")
    assert progress(far) == [(202, False, False), (100, False, False), (180, False, False), (200, True, False)]
    assert codes(notify(far, 5, b"SIP/2.0 200 OK")) == [481]


def test_a_transfer_that_fails_leaves_the_call(far):
    far.up()
    far.responds(refer(far), 202)
    notify(far, 2, b"SIP/2.0 486 Busy Here\r\n")
    assert progress(far)[-1] == (486, True, False)
    # The last NOTIFY of a subscription that was over for us already is nobody's fault.
    assert codes(notify(far, 3, b"SIP/2.0 486 Busy Here\r\n", state="terminated;reason=noresource")) == [200]
    assert len(progress(far)) == 2
    assert far.ended() == []
    assert refer(far).method == "REFER", "another may follow"


@pytest.mark.parametrize("code", [403, 405, 420, 501, 603])
def test_a_refused_transfer_is_told(far, code):
    far.up()
    far.responds(refer(far), code)
    assert progress(far) == [(code, True, True)]


def test_a_transfer_that_nobody_answers_is_told(far):
    far.up()
    refer(far)
    far.wait(32_000)
    assert progress(far) == [(408, True, True)]


def test_a_transfer_that_no_one_tells_of_is_over_after_a_minute(far):
    far.up()
    far.responds(refer(far), 202)
    notify(far, 2, b"SIP/2.0 100 Trying\r\n")
    far.wait(59_999)
    assert not progress(far)[-1][1]
    far.wait(1)
    assert progress(far)[-1] == (408, True, False)
    assert refer(far).method == "REFER"


def test_one_transfer_at_a_time_and_only_when_up(far):
    far.answered()
    assert far.order(far.agent.transfers.refer, CALL, DESK) == []
    assert progress(far) == [(491, True, False)]
    far.acks()
    refer(far)
    assert far.order(far.agent.transfers.refer, CALL, DESK) == []
    assert progress(far) == [(491, True, False)] * 2
    assert far.order(far.agent.transfers.refer, SipCall(99), DESK) == []


def test_news_that_comes_before_the_202(far):
    far.up()
    asked = refer(far)
    assert codes(notify(far, 2, b"SIP/2.0 100 Trying\r\n")) == [200]
    far.responds(asked, 202)
    notify(far, 3, b"SIP/2.0 200 OK\r\n", state="terminated;reason=noresource")
    assert progress(far) == [(100, False, False), (202, False, False), (200, True, False)]


def test_the_last_word_before_the_202(far):
    far.up()
    asked = refer(far)
    notify(far, 2, b"SIP/2.0 200 OK\r\n", state="terminated;reason=noresource")
    far.responds(asked, 202)
    assert progress(far) == [(200, True, False)]


@pytest.mark.parametrize(
    ("reason", "code"),
    [("noresource", 408), ("timeout", 408), ("rejected", 403), ("giveup", 408), ("deactivated", 408)],
)
@pytest.mark.parametrize("body", [b"SIP/2.0 100 Trying", b""])
def test_a_subscription_that_ends_without_a_verdict(far, reason, code, body):
    far.up()
    far.responds(refer(far), 202)
    notify(far, 2, body, state=f"terminated;reason={reason}")
    assert progress(far)[-1] == (code, True, False)


def test_who_takes_it_without_a_subscription_has_said_all(far):
    far.up()
    far.responds(refer(far), 200, headers=(("Refer-Sub", "false"),))
    assert progress(far) == [(200, True, False)]


def test_news_names_its_transfer(far):
    far.up()
    asked = refer(far)
    number = asked.index["CSeq"].split()[0]
    far.responds(asked, 202)
    assert codes(notify(far, 2, b"SIP/2.0 100 Trying", event="refer;id=77")) == [481]
    assert codes(notify(far, 3, b"SIP/2.0 100 Trying", event=f"refer;id={number}")) == [200]


class Password:
    """An account that answers every challenge."""

    contact = ""
    routes = ()

    def trusts(self, flow):
        return True

    def open(self, request, flow):
        return ()

    def answer(self, request, response, flow):
        return (("Authorization", "Word"),)


def test_a_challenged_transfer_is_asked_again_and_named_by_either_number(far, bodies):
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), bodies("offer"), account=Password())
    invite = far.sent[-1]
    far.answers(invite)
    first = refer(far)
    (second,) = far.responds(first, 401)
    assert (second.index["Authorization"], second.index["Refer-To"]) == ("Word", first.index["Refer-To"])
    far.responds(second, 202)
    tag = parse_name_addr(invite.index["From"]).tag
    for seq, asked in enumerate((first, second), 1):
        event = ("Event", f"refer;id={asked.index['CSeq'].split()[0]}")
        headers = (event, ("Subscription-State", "active"), ("Content-Type", "message/sipfrag"))
        news = far.request(
            "NOTIFY", seq=seq, to_tag=tag, call_id=invite.index["Call-ID"], headers=headers, body=b"SIP/2.0 180 Ringing"
        )
        assert codes(far.say(bytes(news))) == [200]


def test_news_of_another_kind_is_refused(far):
    far.up()
    far.responds(refer(far), 202)
    assert codes(notify(far, 2, b"x", event="message-summary")) == [489]
    assert codes(notify(far, 3, b"not a status line")) == [400]
    assert far.fates()["malformed_sipfrag"] == 1


def test_news_that_nobody_asked_for_is_refused(far):
    far.up()
    assert codes(notify(far, 2, b"SIP/2.0 200 OK")) == [481]


def test_a_consultation_is_handed_on_as_it_stands(far, bodies):
    """What must survive 10: an attended transfer names the dialog that is to be taken over."""
    far.up()
    consulted = far.agent.invite(far.now, DESK, (far.flow,), bodies("offer"))
    (invite,) = far.gather()
    far.answers(invite, tag="desk;x")
    asked = refer(far, other=consulted)
    given = parse_refer_to(asked.index["Refer-To"])
    ours = parse_name_addr(invite.index["From"]).tag
    assert given.replaces == Replaces(invite.index["Call-ID"], "desk", ours)
    assert str(given.target) == "sip:far@192.0.2.9:5070", "where the consulted end wants its requests"
    assert "?Replaces=" in asked.index["Refer-To"]
    assert "%3Bto-tag%3Ddesk%3Bfrom-tag%3D" in asked.index["Refer-To"]


@pytest.mark.survives(10)
@pytest.mark.parametrize(
    ("contact", "named"),
    [
        ("sip:far@192.0.2.9:5070", str(DESK)),
        ("sip:desk@pbx.example;gr=urn:uuid:1", "sip:desk@pbx.example;gr=urn:uuid:1"),
    ],
)
def test_who_was_consulted_through_a_proxy_is_named_by_what_all_can_reach(far, bodies, contact, named):
    """Its Contact may be a port that only the proxy can reach; a GRUU is everybody's."""
    far.up()
    consulted = far.agent.invite(far.now, DESK, (far.flow,), bodies("offer"))
    (invite,) = far.gather()
    headers = (("Record-Route", "<sip:192.0.2.50;lr>"), ("Contact", f"<{contact}>"))
    far.answers(invite, tag="desk", headers=headers)
    assert str(parse_refer_to(refer(far, other=consulted).index["Refer-To"]).target) == named


def test_a_consultation_that_is_not_up_can_not_be_handed_on(far, bodies):
    far.up()
    ringing = far.agent.invite(far.now, DESK, (far.flow,), bodies("offer"))
    far.gather()
    assert far.order(far.agent.transfers.refer, CALL, DESK, ringing) == []
    assert progress(far) == [(481, True, False)]


# --- theirs


def refers(far, seq=2, to="<sip:desk@pbx.example>", headers=()) -> list[Request | Response]:
    return far.asks("REFER", seq, headers=(("Refer-To", to), *headers))


def news(messages) -> list[tuple[str, str]]:
    """Give what NOTIFYs say: their status line and the state of the subscription."""
    return [
        (message.body.decode().strip(), message.index["Subscription-State"].partition(";")[0])
        for message in messages
        if isinstance(message, Request) and message.method == "NOTIFY"
    ]


def test_a_referral_is_asked_about_taken_and_told_of(far):
    far.up()
    by = "<sip:far@192.0.2.9>"
    assert refers(far, headers=(("Referred-By", by),)) == []
    assert far.told[-1] == Referred(CALL, DESK, None, by, far.flow)
    taken, trying = far.order(far.agent.transfers.accept, CALL)
    assert isinstance(taken, Response)
    assert taken.code == 202
    assert "Contact" in taken.index
    assert news([trying]) == [("SIP/2.0 100 Trying", "active")]
    assert trying.index["Event"] == "refer"
    assert trying.index["Content-Type"] == "message/sipfrag;version=2.0"
    far.responds(trying, 200)
    (ringing,) = far.order(far.agent.transfers.progress, CALL, 180)
    assert news([ringing]) == [("SIP/2.0 180 Ringing", "active")]
    far.responds(ringing, 200)
    (last,) = far.order(far.agent.transfers.progress, CALL, 200)
    assert news([last]) == [("SIP/2.0 200 OK", "terminated")]
    assert last.index["Subscription-State"] == "terminated;reason=noresource"
    far.responds(last, 200)
    assert codes(far.asks("BYE", 3)) == [200]
    assert far.ended() == [Ended(CALL, 200, "remote_hangup")]
    assert far.wait(40_000) == []


def test_who_referred_us_and_stays_is_hung_up(far):
    far.up()
    refers(far)
    far.order(far.agent.transfers.accept, CALL)
    far.order(far.agent.transfers.progress, CALL, 200)
    assert "BYE" in [message.method for message in far.wait(4_000) if isinstance(message, Request)]
    assert far.ended() == [Ended(CALL, 200, "hangup")]


def test_a_referral_that_fails_leaves_the_call_and_another_has_a_number(far):
    far.up()
    refers(far)
    far.order(far.agent.transfers.accept, CALL)
    (last,) = far.order(far.agent.transfers.progress, CALL, 486)
    assert news([last]) == [("SIP/2.0 486 Busy Here", "terminated")]
    far.wait(10_000)
    assert far.ended() == []
    refers(far, seq=3)
    _, trying = far.order(far.agent.transfers.accept, CALL)
    assert trying.index["Event"] == "refer;id=3"


def test_a_referral_that_is_refused(far):
    far.up()
    refers(far)
    assert codes(far.order(far.agent.transfers.refuse, CALL, 403)) == [403]
    assert far.order(far.agent.transfers.accept, CALL) == []
    assert far.order(far.agent.transfers.progress, CALL, 200) == []
    refers(far, seq=3)
    assert isinstance(far.told[-1], Referred)


def test_one_referral_at_a_time(far):
    far.up()
    refers(far)
    assert codes(refers(far, seq=3)) == [491]
    far.order(far.agent.transfers.accept, CALL)
    assert codes(refers(far, seq=4)) == [491]


def test_a_referral_that_nobody_decides_is_declined(far):
    far.up()
    refers(far)
    assert codes(far.wait(4_000)) == [603]


@pytest.mark.parametrize("ends", ["theirs", "ours"])
def test_a_referral_that_the_end_of_the_call_crosses_is_answered(far, ends):
    far.up()
    refers(far)
    answers = far.asks("BYE", 3) if ends == "theirs" else far.order(far.agent.hangup, CALL)
    assert 487 in codes(answers)
    far.wait(40_000)
    assert far.agent.counters()["transactions"] == 0


def test_who_wants_no_news_gets_none(far):
    far.up()
    refers(far, headers=(("Refer-Sub", "false"),))
    (taken,) = far.order(far.agent.transfers.accept, CALL)
    assert taken.index["Refer-Sub"] == "false"
    assert far.order(far.agent.transfers.progress, CALL, 180) == []
    assert far.order(far.agent.transfers.progress, CALL, 200) == []


def test_who_refuses_news_gets_no_more(far):
    far.up()
    refers(far)
    _, trying = far.order(far.agent.transfers.accept, CALL)
    far.responds(trying, 481)
    assert far.order(far.agent.transfers.progress, CALL, 180) == []


def test_a_place_in_another_call_comes_unescaped(far):
    far.up()
    place = "Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2&Subject=x%0D%0AEvil:1"
    refers(far, to=f"<sip:desk@pbx.example;transport=tcp?{place}>")
    told = far.told[-1]
    assert isinstance(told, Referred)
    assert (str(told.target), told.replaces) == ("sip:desk@pbx.example;transport=tcp", Replaces("a@b", "1", "2"))


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("<sip:desk@pbx.example;method=BYE>", 603),
        ("<http://169.254.169.254/>", 603),
        ("<sip:desk@pbx.example?Replaces=a>", 400),
        ("<sip:desk@pbx.example?Replaces=a%0D%0Ab%3Bto-tag%3D1%3Bfrom-tag%3D2>", 400),
        ("<sip:a@b.example>, <sip:c@d.example>", 400),
        ("nonsense", 400),
    ],
)
def test_a_referral_to_what_is_no_call_is_refused(far, to, code):
    far.up()
    assert codes(refers(far, to=to)) == [code]
    assert not any(isinstance(one, Referred) for one in far.told)


def test_a_referral_without_a_target_or_with_a_broken_referrer(far):
    far.up()
    assert codes(far.asks("REFER", 2)) == [400]
    assert codes(refers(far, seq=3, headers=(("Referred-By", "<nobody"),))) == [400]


@pytest.mark.survives(33)
def test_a_referral_outside_any_dialog_never_dials(far):
    """What must survive 33: a REFER outside any dialog is refused and nothing is asked of anyone."""
    to = (("Refer-To", "<sip:+900123@pbx.example>"),)
    assert codes(far.say(bytes(far.request("REFER", headers=to, call_id="other")))) == [403]
    guessed = (*to, ("Target-Dialog", "call-1;local-tag=far;remote-tag=guess"))
    far.up()
    assert codes(far.say(bytes(far.request("REFER", headers=guessed, call_id="another")))) == [481]
    assert not any(isinstance(one, Referred) for one in far.told)
    assert [message for message in far.sent if isinstance(message, Request)] == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_referral_that_names_our_dialog_is_asked_about(far, swapped):
    far.up()
    tags = (far.tag(), "far")
    local, remote = reversed(tags) if swapped else tags
    headers = (
        ("Refer-To", "<sip:desk@pbx.example>"),
        ("Target-Dialog", f"call-1;local-tag={local};remote-tag={remote}"),
        ("Require", "tdialog"),
    )
    far.say(bytes(far.request("REFER", seq=9, headers=headers, call_id="beside", from_tag="f2")))
    assert isinstance(far.told[-1], Referred)
    taken, trying = far.order(far.agent.transfers.accept, CALL)
    assert codes([taken]) == [202]
    assert trying.index["Call-ID"] == "beside", "what is told of it goes where it came from"
    assert parse_name_addr(trying.index["To"]).tag == "f2"


# --- Replaces


def replacing(far, value, headers=()):
    fields = (("Replaces", value), *headers)
    return far.say(bytes(far.request("INVITE", call_id="new", from_tag="n", headers=fields, body=b"")))


def test_a_call_that_is_to_take_anothers_place_is_told_with_it(far):
    far.up()
    (trying,) = replacing(far, f"call-1;to-tag={far.tag()};from-tag=far", (("Require", "replaces"),))
    assert codes([trying]) == [100], "it does not ring: who it replaces has been answered"
    told = far.told[-1]
    assert isinstance(told, Replacing)
    assert (told.call, told.replaced, told.offer) == (SipCall(2), CALL, None)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("call-1;to-tag=x;from-tag=far", 481),
        ("call-9;to-tag={tag};from-tag=far", 481),
        ("call-1;to-tag=far;from-tag={tag}", 481),
        ("call-1;to-tag={tag};from-tag=far;early-only", 486),
        ("call-1;to-tag={tag}", 400),
        ("call-1;to-tag={tag};from-tag=far, call-2;to-tag=a;from-tag=b", 400),
    ],
)
def test_a_place_that_can_not_be_taken(far, value, code):
    far.up()
    assert codes(replacing(far, value.format(tag=far.tag()))) == [code]
    assert not any(isinstance(one, Replacing) for one in far.told)
    assert far.ended() == []


def test_a_call_that_rings_at_us_can_not_be_replaced(far):
    far.rings()
    assert codes(replacing(far, f"call-1;to-tag={far.tag()};from-tag=far")) == [481]


def test_a_call_that_is_ending_can_not_be_replaced(far):
    far.answered()
    far.order(far.agent.hangup, CALL)
    assert codes(replacing(far, f"call-1;to-tag={far.tag()};from-tag=far")) == [603]


def test_replaces_and_join_together_make_no_sense(far):
    far.up()
    value = f"call-1;to-tag={far.tag()};from-tag=far"
    assert codes(replacing(far, value, (("Join", value),))) == [400]


def test_we_say_what_we_understand(far):
    (ok,) = far.say(bytes(far.request("OPTIONS")))
    assert {"norefersub", "replaces", "tdialog"} <= set(split_list(ok.index["Supported"]))
    assert "REFER" in split_list(ok.index["Allow"])


def test_a_lost_connection_is_news_too(far_with):
    far = far_with("tcp")
    far.up()
    refer(far)
    far.order(far.agent.flow_closed, Flow("tcp", far.flow.local, far.flow.remote))
    assert progress(far)[-1] == (503, True, True)
