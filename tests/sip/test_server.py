"""Calls that come in: what is answered, told and repeated (RFC 3261 sections 8.2, 9.2, 11, 13.3, 14.2, 15)."""

from __future__ import annotations

import pytest

from offhook.core.instants import SECOND
from offhook.sip.calls import EXTENSIONS, METHODS
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Confirmed, Ended, IncomingCall, SipCall
from offhook.sip.sdp import parse_sdp
from offhook.sip.useragent import Settings

CALL = SipCall(1)

SDP = (
    b"v=0\r\no=- 7 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4002 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


def test_an_invite_is_told_after_180_which_needs_no_100_before_it(far):
    call = far.rings()
    assert far.codes() == [180]
    assert call.offer is not None
    assert call.offer.media[0].port == 4000
    assert all("tag=" in message.index["To"] for message in far.sent)
    assert len({message.index["To"] for message in far.sent}) == 1


def test_180_waits_where_it_is_told_to(far_with, quick):
    far = far_with(settings=quick)
    far.rings()
    assert far.codes() == [100]


def test_100_gives_the_timestamp_back(far):
    far.rings(headers=(("Timestamp", "54.21"),))
    assert far.sent[0].first("Timestamp") == "54.21"
    assert far.sent[1].first("Timestamp") is None


def test_an_answered_call_is_confirmed_by_its_ack(far):
    far.answered()
    ok = far.sent[-1]
    assert ok.code == 200
    assert ok.first("Contact") == "<sip:offhook@192.0.2.1:5060>"
    assert ok.first("Allow") == ", ".join(METHODS)
    assert ok.first("Supported") == ", ".join(EXTENSIONS)
    assert ok.first("Server") is None
    assert parse_sdp(ok.body).media[0].formats == ("0", "101")
    far.acks()
    assert far.told[-1] == Confirmed(CALL, None)
    assert far.wait(60_000) == []


def test_record_route_goes_back_in_order(far):
    routes = (("Record-Route", "<sip:p1.example;lr>, <sip:p2.example;lr>"), ("Record-Route", "<sip:p3.example;lr>"))
    far.answered(headers=routes)
    for message in far.sent[1:]:
        assert message.all("Record-Route") == [value for _, value in routes]


def test_the_200_is_repeated_until_the_ack_comes(far):
    far.answered()
    first = bytes(far.sent[-1])
    times = []
    for _ in range(5):
        start = far.now
        again = []
        while not again:
            again = far.wait(100)
        times.append((far.now - start) // 1_000_000)
        assert [bytes(message) for message in again] == [first]
    assert times == [500, 1000, 2000, 4000, 4000]
    far.acks()
    assert far.wait(60_000) == []
    assert far.told[-1] == Confirmed(CALL, None)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_200_that_is_never_acknowledged_ends_the_call(far_with, transport):
    far = far_with(transport, connection=0 if transport == "udp" else 3)
    far.answered()
    repeats = far.wait(31_999)
    assert {message.code for message in repeats} == {200}
    assert len(repeats) == 10  # 0.5 1.5 3.5 7.5 11.5 … 31.5 s
    assert far.ended() == []
    last = far.wait(1)
    assert [message.method for message in last] == ["BYE"]
    assert far.ended() == [Ended(CALL, 408, "no_ack")]
    far.responds(last[0], 200)
    far.wait(40_000)
    assert far.agent.counters()["transactions"] == 0
    assert far.agent.counters()["calls"] == 0
    assert far.agent.deadline() is None


def test_bye_ends_the_call_once(far):
    far.up()
    reply = far.asks("BYE", 2)
    assert [message.code for message in reply] == [200]
    assert far.ended() == [Ended(CALL, 200, "remote_hangup")]
    assert [message.code for message in far.asks("BYE", 3)] == [481]
    assert len(far.ended()) == 1


def test_bye_before_the_answer_ends_the_invite_with_487(far):
    far.rings()
    reply = far.asks("BYE", 2)
    assert [message.code for message in reply] == [200, 487]
    assert far.ended() == [Ended(CALL, 487, "cancelled")]


def test_cancel_ends_the_ringing(far):
    invite = far.request("INVITE", body=SDP, branch="z9hG4bK-c")
    far.say(bytes(invite))
    reply = far.say(bytes(far.request("CANCEL", branch="z9hG4bK-c")))
    assert [(message.code, message.index["CSeq"]) for message in reply] == [(200, "1 CANCEL"), (487, "1 INVITE")]
    assert reply[0].index["To"] == reply[1].index["To"]
    assert far.ended() == [Ended(CALL, 487, "cancelled")]
    # The 487 is repeated until its ACK, which the transaction eats.
    assert [message.code for message in far.wait(500)] == [487]
    assert far.say(bytes(far.request("ACK", branch="z9hG4bK-c", to_tag=far.tag()))) == []
    assert far.wait(60_000) == []
    assert far.fates() == {"request_invite": 1, "request_cancel": 1, "request_ack": 1}


def test_the_200_of_a_cancel_has_the_tag_of_the_487_whoever_is_called(far):
    to = (("To", "<sip:vintage@192.0.2.1>"),)
    far.say(bytes(far.request("INVITE", body=SDP, branch="z9hG4bK-c", headers=to)))
    reply = far.say(bytes(far.request("CANCEL", branch="z9hG4bK-c", headers=to)))
    assert [message.code for message in reply] == [200, 487]
    assert reply[0].index["To"] == reply[1].index["To"]


def test_options_while_it_rings_does_not_cost_the_ack(far):
    far.rings()
    (ok,) = far.asks("OPTIONS", 2)
    assert ok.code == 200
    far.order(far.agent.answer, CALL, parse_sdp(SDP))
    far.acks()
    assert far.told[-1] == Confirmed(CALL, None)
    assert far.wait(60_000) == []


def test_cancel_that_crosses_the_200_changes_nothing(far):
    invite = far.request("INVITE", body=SDP, branch="z9hG4bK-c")
    far.say(bytes(invite))
    call = far.told[-1]
    assert isinstance(call, IncomingCall)
    far.order(far.agent.answer, call.call, parse_sdp(SDP))
    reply = far.say(bytes(far.request("CANCEL", branch="z9hG4bK-c")))
    assert [(message.code, message.index["CSeq"]) for message in reply] == [(200, "1 CANCEL")]
    far.acks()
    assert far.told[-1] == Confirmed(CALL, None)
    assert far.ended() == []


def test_cancel_of_nothing_is_481(far):
    assert [message.code for message in far.say(bytes(far.request("CANCEL")))] == [481]


def test_a_repeated_invite_gets_the_last_response_again(far):
    invite = bytes(far.request("INVITE", body=SDP))
    first = far.say(invite)
    again = far.say(invite)
    assert [message.code for message in again] == [180]
    assert bytes(again[0]) == bytes(first[-1])
    assert len([outcome for outcome in far.told if isinstance(outcome, IncomingCall)]) == 1
    assert far.fates() == {"request_invite": 1, "repeated_request": 1}


def test_a_repeated_invite_after_200_is_absorbed(far):
    invite = bytes(far.request("INVITE", body=SDP))
    far.say(invite)
    far.order(far.agent.answer, CALL, parse_sdp(SDP))
    assert far.say(invite) == []


def test_the_same_request_by_another_way_is_merged(far):
    far.rings()
    assert [message.code for message in far.say(bytes(far.request("INVITE", body=SDP)))] == [482]
    assert len([outcome for outcome in far.told if isinstance(outcome, IncomingCall)]) == 1


def test_a_request_of_ours_that_comes_back_is_a_loop(far):
    far.up()
    bye = far.order(far.agent.hangup, CALL)[0]
    invite = far.request("INVITE", body=SDP, call_id="other", headers=(("Via", bye.index["Via"]),))
    invite = Request(
        (("Via", "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-l"), *invite.headers), SDP, "INVITE", invite.uri
    )
    assert [message.code for message in far.say(bytes(invite))] == [482]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ((("Max-Forwards", "0"),), 483),
        ((("Max-Forwards", "00"),), 483),
        ((("Require", "teleportation"),), 420),
        ((("Content-Encoding", "gzip"),), 415),
        ((("Content-Type", "text/plain"),), 415),
        ((("Accept", "text/plain"),), 406),
    ],
)
def test_an_invite_that_can_not_be_served(far, headers, code):
    (reply,) = far.say(bytes(far.request("INVITE", body=SDP, headers=headers)))
    assert reply.code == code
    assert far.told == []
    expected = {
        420: ("Unsupported", "teleportation"),
        415: ("Accept-Encoding", "identity") if headers[0][0] == "Content-Encoding" else ("Accept", "application/sdp"),
        406: ("Accept", "application/sdp"),
    }.get(code)
    if expected is not None:
        assert reply.first(expected[0]) == expected[1]


def test_a_supported_extension_may_be_required(far_with):
    far = far_with(settings=Settings(extensions=("timer",)))
    far.rings(headers=(("Require", "timer"),))
    assert far.codes() == [180]


@pytest.mark.parametrize("uri", ["tel:+15551234567", "nobodyknows:whatever", "soap.beep://192.0.2.103:3002"])
def test_a_scheme_that_is_not_sip_is_416(far, uri):
    assert [message.code for message in far.say(bytes(far.request("OPTIONS", uri=uri)))] == [416]


def test_options_with_no_hops_left_is_answered(far):
    (reply,) = far.say(bytes(far.request("OPTIONS", headers=(("Max-Forwards", "0"),))))
    assert reply.code == 200


def test_options_says_what_we_take(far):
    (reply,) = far.say(bytes(far.request("OPTIONS")))
    assert reply.code == 200
    assert reply.first("Accept") == "application/sdp"
    assert reply.first("Allow") is not None
    assert far.agent.counters()["calls"] == 0


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("REGISTER", 405),
        ("INFO", 481),
        ("MESSAGE", 405),
        ("UPDATE", 481),
        ("SUBSCRIBE", 405),
        ("PRACK", 481),
        ("PUBLISH", 405),
        ("REFER", 403),
        ("NEWMETHOD", 501),
        ("!interesting-Method0123456789_*+`.%indeed'~", 501),
        ("BYE", 481),
        ("NOTIFY", 481),
    ],
)
def test_methods_out_of_a_dialog(far, method, code):
    (reply,) = far.say(bytes(far.request(method)))
    assert reply.code == code
    if code in (405, 501):
        assert "INVITE" in (reply.first("Allow") or "")


@pytest.mark.parametrize("method", ["INVITE", "BYE", "INFO", "MESSAGE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"])
def test_a_dialog_that_is_not_there_is_481(far, method):
    assert [message.code for message in far.say(bytes(far.request(method, to_tag="gone")))] == [481]


@pytest.mark.parametrize("method", ["PUBLISH", "SUBSCRIBE"])
def test_methods_we_do_not_serve_leave_the_call_alone(far, method):
    far.up()
    (reply,) = far.asks(method, 2)
    assert reply.code == 405
    assert far.ended() == []
    assert [message.code for message in far.asks("BYE", 3)] == [200]


def test_options_inside_a_dialog(far):
    far.up()
    far.agent.refuse_new(True)
    assert [message.code for message in far.asks("OPTIONS", 2)] == [200]


def test_requests_out_of_order_are_500(far):
    far.up()
    assert [message.code for message in far.asks("OPTIONS", 5)] == [200]
    (reply,) = far.asks("BYE", 4)
    assert reply.code == 500
    assert 1 <= int(reply.index["Retry-After"]) <= 10
    assert far.ended() == []


def test_a_stray_ack_is_counted_and_dropped(far):
    assert far.say(bytes(far.request("ACK", to_tag="x"))) == []
    assert far.fates() == {"stray_ack": 1}


def test_a_repeated_ack_is_counted_and_dropped(far):
    far.up()
    told = len(far.told)
    assert far.acks() == []
    assert len(far.told) == told
    assert far.fates() == {"request_invite": 1, "request_ack": 1, "repeated_ack": 1}


def test_an_ack_with_the_branch_of_the_invite_confirms_too(far):
    far.answered(branch="z9hG4bK-same")
    far.acks(branch="z9hG4bK-same")
    assert far.told[-1] == Confirmed(CALL, None)


# --- delayed offer


def test_a_delayed_offer_is_answered_in_the_ack(far):
    call = far.answered(body=b"")
    assert call.offer is None
    assert parse_sdp(far.sent[-1].body).media[0].formats == ("0", "8", "13", "101")
    far.acks(body=SDP)
    confirmed = far.told[-1]
    assert isinstance(confirmed, Confirmed)
    assert confirmed.answer is not None
    assert confirmed.answer.media[0].port == 4002


@pytest.mark.parametrize("body", [b"", b"this is no SDP"])
def test_a_delayed_offer_without_its_answer_ends_the_call(far, body):
    far.answered(body=b"")
    sent = far.acks(body=body)
    assert [message.method for message in sent] == ["BYE"]
    assert far.ended() == [Ended(CALL, 488, "refused")]


# --- refusing


def test_a_call_is_rejected_with_a_code_and_headers(far):
    call = far.rings()
    (reply,) = far.order(far.agent.reject, call.call, 486, "Busy Right Now", (("Retry-After", "5"),))
    assert (reply.code, reply.reason, reply.first("Retry-After")) == (486, "Busy Right Now", "5")
    assert far.ended() == [Ended(CALL, 486, "refused")]
    assert [message.code for message in far.wait(31_999)] == [486] * 10
    assert far.wait(10_000) == []
    assert far.agent.counters()["transactions"] == 0


@pytest.mark.parametrize(
    ("code", "reason", "headers"),
    [
        (200, "", ()),
        (180, "", ()),
        (700, "", ()),
        (486, "Busy\r\nX: y", ()),
        (486, "", (("Reason", "a\r\nb: c"),)),
        (486, "", (("Rea son", "a"),)),
        (486, "", (("Reason", "a\nb"),)),
        (486, "", (("Reason", "a\rb"),)),
    ],
)
def test_a_refusal_that_would_break_the_message_is_our_error(far, code, reason, headers):
    call = far.rings()
    with pytest.raises(ValueError, match=r"break|refuses|name"):
        far.agent.reject(far.now, call.call, code, reason, headers)
    assert far.gather() == []
    assert [message.code for message in far.order(far.agent.reject, call.call, 486)] == [486]


def test_hanging_up_while_it_rings_is_480(far):
    call = far.rings()
    assert [message.code for message in far.order(far.agent.hangup, call.call)] == [480]
    assert far.ended() == [Ended(CALL, 480, "hangup")]


def test_a_call_that_nobody_answers_is_refused_in_the_end(far):
    far.rings()
    assert [message.code for message in far.wait(179_999)] == [180] * 2  # once a minute
    assert [message.code for message in far.wait(1)] == [480]
    assert far.ended() == [Ended(CALL, 480, "no_answer")]


def test_hanging_up_before_the_ack_waits_for_it(far):
    call = far.answered()
    assert far.order(far.agent.hangup, call.call, (("Reason", "SIP;cause=200"),)) == []
    assert far.ended() == []
    (bye,) = far.acks()
    assert (bye.method, bye.first("Reason")) == ("BYE", "SIP;cause=200")
    assert far.ended() == [Ended(CALL, 200, "hangup")]


def test_hanging_up_before_the_ack_goes_out_on_a_reinvite_too(far):
    far.answered()
    far.order(far.agent.hangup, CALL)
    (bye, refusal) = far.asks("INVITE", 2, body=SDP)
    assert (bye.method, refusal.code) == ("BYE", 481)
    assert far.told[-1] == Ended(CALL, 200, "hangup")
    assert far.agent.counters()["calls"] == 0


def test_hanging_up_without_an_ack_ever_ends_all_the_same(far):
    call = far.answered()
    far.order(far.agent.hangup, call.call)
    sent = far.wait(32_000)
    assert sent[-1].method == "BYE"
    assert far.ended() == [Ended(CALL, 408, "hangup")]


def test_hanging_up_sends_bye_to_the_contact(far):
    call = far.up()
    (bye,) = far.order(far.agent.hangup, call.call)
    assert bye.method == "BYE"
    assert bye.uri == "sip:far@192.0.2.9:5070"
    assert far.flows[-1].remote == ("192.0.2.9", 5070)
    assert bye.index["To"].endswith(";tag=far")
    assert bye.index["CSeq"] == "1 BYE"
    assert far.ended() == [Ended(CALL, 200, "hangup")]
    assert far.responds(bye, 200) == []
    far.wait(60_000)
    assert far.agent.counters()["transactions"] == 0


def test_a_contact_of_the_other_family_is_reached_where_the_call_came_from(far):
    far.up(headers=(("Contact", "<sip:far@[2001:db8::9]:5060>"),))
    (bye,) = far.order(far.agent.hangup, CALL)
    assert bye.uri == "sip:far@[2001:db8::9]:5060"
    assert far.flows[-1] == far.flow


def test_requests_take_the_route_set(far):
    far.answered(headers=(("Record-Route", "<sip:192.0.2.50;lr>"), ("Record-Route", "<sip:192.0.2.51:5080;lr>")))
    far.acks()
    (bye,) = far.order(far.agent.hangup, CALL)
    assert bye.all("Route") == ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51:5080;lr>"]
    assert bye.uri == "sip:far@192.0.2.9:5070"
    assert far.flows[-1].remote == ("192.0.2.50", 5060)


def test_refused_new_calls_are_told_when_to_come_again(far):
    far.agent.refuse_new(True, (3, 3))
    (reply,) = far.say(bytes(far.request("INVITE", body=SDP)))
    assert (reply.code, reply.first("Retry-After")) == (503, "3")
    assert [message.code for message in far.say(bytes(far.request("OPTIONS", call_id="o")))] == [503]
    far.agent.refuse_new(False)
    assert [message.code for message in far.say(bytes(far.request("INVITE", body=SDP, call_id="n")))] == [180]


def test_more_calls_than_the_bound_are_refused(far_with):
    far = far_with(settings=Settings(max_calls=1))
    far.rings()
    assert [message.code for message in far.say(bytes(far.request("INVITE", body=SDP, call_id="2")))] == [503]


def test_more_transactions_than_the_bound_are_refused_without_one(far_with):
    far = far_with(settings=Settings(max_transactions=1))
    far.rings()
    (reply,) = far.say(bytes(far.request("INVITE", body=SDP, call_id="2")))
    assert reply.code == 503
    assert far.agent.counters()["transactions"] == 1
    assert far.fates() == {"request_invite": 1, "overload": 1}


# --- where responses go


@pytest.mark.parametrize(
    ("via", "port", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.9:5070", 5070, ""),
        ("SIP/2.0/UDP 192.0.2.9:6060", 6060, ""),
        ("SIP/2.0/UDP 192.0.2.9", 5060, ""),
        ("SIP/2.0/UDP 10.0.0.7:6060", 6060, ";received=192.0.2.9"),
        ("SIP/2.0/UDP far.example:6060", 6060, ";received=192.0.2.9"),
        ("SIP/2.0/UDP 10.0.0.7:6060;rport", 5070, ";received=192.0.2.9;rport=5070"),
        ("SIP/2.0/UDP 192.0.2.9:5070;rport", 5070, ";received=192.0.2.9;rport=5070"),
        ("SIP/2.0/UDP 192.0.2.9:5070;maddr=203.0.113.5", 5070, ""),
    ],
)
def test_responses_go_where_the_via_says(far, via, port, expected):
    far.say(bytes(far.request("OPTIONS", via=via)))
    assert far.flows[-1].remote == ("192.0.2.9", port)
    assert far.sent[-1].index["Via"].endswith(expected)


def test_a_call_from_behind_nat_gets_its_bye_where_it_came_from(far):
    far.answered(via="SIP/2.0/UDP 10.0.0.7:6060;rport", headers=(("Contact", "<sip:far@10.0.0.7:6060>"),))
    far.acks()
    far.order(far.agent.hangup, CALL)
    assert far.flows[-1].remote == ("192.0.2.9", 5070)


def test_a_connection_that_is_gone_is_opened_again(far_with):
    far = far_with("tcp", connection=4)
    call = far.rings()
    far.agent.flow_closed(far.now, far.flow)
    far.order(far.agent.answer, call.call, parse_sdp(SDP))
    flow = far.flows[-1]
    assert (flow.transport, flow.remote, flow.connection) == ("tcp", ("192.0.2.9", 5070), 0)
    assert flow.local == ("192.0.2.1", 5060)


def test_the_server_header_is_sent_only_where_it_is_set(far_with):
    far = far_with(settings=Settings(server="Front Desk"))
    far.answered()
    far.acks()
    far.order(far.agent.hangup, CALL)
    assert {message.first("Server") for message in far.sent[:-1]} == {"Front Desk"}
    assert far.sent[-1].first("User-Agent") == "Front Desk"


def test_nothing_is_left_behind_by_a_call(far):
    far.up()
    far.asks("BYE", 2)
    assert far.agent.deadline() is not None
    far.wait(32_000)
    assert far.agent.deadline() is None
    counters = far.agent.counters()
    assert (counters["calls"], counters["transactions"]) == (0, 0)
    assert far.now == 32 * SECOND
    assert isinstance(far.sent[-1], Response)
