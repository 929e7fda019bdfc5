"""The user agent as a whole: counters, malformed requests, and two of them joined by a link that loses things."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap

import pytest

from offhook.sip.message import Response
from offhook.sip.outcomes import Answered, Confirmed, Ended, Flow, IncomingCall, Progress, SipCall
from offhook.sip.uri import parse_uri

SDP = b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

THEM = ("192.0.2.9", 5070)
US = ("192.0.2.1", 5060)
CALL = SipCall(1)


@pytest.mark.parametrize(
    ("without", "headers", "kind"),
    [
        (("Call-ID",), (), "missing"),
        (("From",), (), "missing"),
        (("To",), (), "missing"),
        (("CSeq",), (), "missing"),
        ((), (("CSeq", "1 OPTIONS"),), "cseq"),
        ((), (("CSeq", "x INVITE"),), "cseq"),
        ((), (("CSeq", "99999999999 INVITE"),), "cseq"),
        ((), (("Max-Forwards", "x"),), "max_forwards"),
        ((), (("From", '"x <sip:a@b>'),), "from"),
        ((), (("To", "<sip:a@b"),), "to"),
        ((), (("Contact", "<sip:a@b"),), "contact"),
        ((), (("Record-Route", "<sip:a@b"),), "record_route"),
        ((), (("Call-ID", "a"), ("Call-ID", "b")), "twice"),
        ((), (("Call-ID", ""),), "missing"),
    ],
)
def test_a_malformed_invite_is_answered_with_400_and_counted(far, without, headers, kind):
    replies = far.say(bytes(far.request("INVITE", without=without, headers=headers)))
    assert [reply.code for reply in replies] == [400]
    assert far.fates() == {f"malformed_{kind}": 1}
    assert far.agent.counters()["calls"] == 0


def test_repeats_of_a_malformed_request_get_the_same_answer(far):
    bad = bytes(far.request("INVITE", headers=(("CSeq", "x INVITE"),), branch="z9hG4bK-m"))
    (one,), (two,) = far.say(bad), far.say(bad)
    assert bytes(one) == bytes(two)
    assert "tag=" in one.index["To"]
    assert far.agent.counters()["transactions"] == 0


@pytest.mark.parametrize("method", ["ACK", "INVITE"])
def test_an_ack_is_never_answered(far, method):
    replies = far.say(bytes(far.request(method, headers=(("CSeq", "x y z"),))))
    assert len(replies) == (method != "ACK")


def test_a_malformed_response_is_never_answered(far):
    assert far.say(b"SIP/2.0 999 x\r\nVia: SIP/2.0/UDP a\r\n\r\n") == []
    assert far.say(b"SIP/2.0 200 x\r\n\r\n") == []
    assert far.fates() == {"malformed_status": 1, "malformed_missing": 1}


def test_a_huge_answer_is_not_given_to_one_who_is_not_known(far):
    bad = far.request("OPTIONS", headers=(("CSeq", "x"), ("Call-ID", "c" * 9000)))
    assert far.say(bytes(bad)) == []


def test_every_via_goes_back(far):
    via = (("Via", "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-a, SIP/2.0/TCP p1;branch=z9hG4bK-b"),)
    request = far.request("OPTIONS", headers=(*via, ("Via", "SIP/2.0/UDP p2;branch=z9hG4bK-c")))
    (reply,) = far.say(bytes(request))
    assert reply.values("Via") == request.values("Via")


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"  "])
def test_keep_alives(far, data):
    assert far.say(data) == []
    assert far.fates() == {"keepalive": 1}


def test_counters_tell_what_is_alive_and_what_was_sent(far):
    far.answered()
    far.wait(500)
    counters = far.agent.counters()
    assert (counters["calls"], counters["transactions"], counters["sent"], counters["resent"]) == (1, 1, 3, 1)


def test_orders_for_a_call_that_is_over_do_nothing(far, bodies):
    far.up()
    far.asks("BYE", 2)
    agent = far.agent
    for order, more in (
        (agent.answer, (bodies("offer"),)),
        (agent.reject, (486,)),
        (agent.accept_reoffer, (bodies("offer"),)),
        (agent.refuse_reoffer, ()),
        (agent.acknowledge, (bodies("offer"),)),
        (agent.hangup, ()),
        (agent.transfers.refer, (parse_uri("sip:a"),)),
    ):
        assert far.order(order, CALL, *more) == []
    assert len(far.ended()) == 1


def test_orders_out_of_season_do_nothing(far, bodies):
    far.up()
    agent = far.agent
    for order, more in (
        (agent.answer, (bodies("offer"),)),
        (agent.reject, (486,)),
        (agent.accept_reoffer, (bodies("offer"),)),
        (agent.refuse_reoffer, ()),
        (agent.acknowledge, (bodies("offer"),)),
    ):
        assert far.order(order, CALL, *more) == []
    assert far.ended() == []


def test_take_gives_everything_once(far):
    far.agent.receive(0, bytes(far.request("OPTIONS")), far.flow)
    assert len(far.agent.take()) == 1
    assert far.agent.take() == []


# --- two user agents


def dial(pair, bodies):
    flow = Flow("udp", US, THEM)
    call = pair.ends[US].invite(pair.now, parse_uri("sip:them@192.0.2.9:5070"), (flow,), bodies("offer"))
    pair.settle()
    return call


def talk(pair, bodies):
    """Call, answer, talk for ten seconds; give both calls."""
    ours = dial(pair, bodies)
    pair.wait(10_000)
    incoming = next((told for told in pair.told[THEM] if isinstance(told, IncomingCall)), None)
    if incoming is None:
        return ours, None
    pair.ends[THEM].answer(pair.now, incoming.call, bodies("answer"))
    pair.wait(40_000)
    return ours, incoming.call


def test_two_user_agents_have_a_call(pair, bodies):
    ours, theirs = talk(pair, bodies)
    assert theirs is not None
    assert [type(told) for told in pair.told[US]] == [Progress, Answered]
    assert [type(told) for told in pair.told[THEM]] == [IncomingCall, Confirmed]
    pair.ends[THEM].hangup(pair.now, theirs)
    pair.settle()
    assert pair.told[US][-1] == Ended(ours, 200, "remote_hangup")
    assert pair.told[THEM][-1] == Ended(theirs, 200, "hangup")
    pair.wait(60_000)
    for end in pair.ends.values():
        assert (end.counters()["calls"], end.counters()["transactions"]) == (0, 0)
        assert end.deadline() is None


@pytest.mark.parametrize("lost", range(1, 9))
def test_any_one_datagram_may_be_lost(pair, bodies, lost):
    pair.lose = lambda number, data: number == lost
    ours, theirs = talk(pair, bodies)
    assert theirs is not None
    pair.ends[US].hangup(pair.now, ours)
    pair.wait(100_000)
    assert [told for told in pair.told[US] if isinstance(told, Ended)] == [Ended(ours, 200, "hangup")]
    assert [told for told in pair.told[THEM] if isinstance(told, Ended)] == [Ended(theirs, 200, "remote_hangup")]


@pytest.mark.parametrize("seed", range(25))
def test_a_lossy_link_leaves_nothing_behind(pair, bodies, seed):
    rng = random.Random(seed)
    pair.lose = lambda number, data: rng.random() < 0.4
    ours, theirs = talk(pair, bodies)
    pair.ends[US].hangup(pair.now, ours)
    pair.wait(300_000)
    if theirs is not None:
        pair.ends[THEM].hangup(pair.now, theirs)
    pair.wait(100_000)
    for address, end in pair.ends.items():
        counters = end.counters()
        assert (counters["calls"], counters["transactions"]) == (0, 0)
        assert end.deadline() is None
        told = pair.told[address]
        calls = 1 if address == US else sum(isinstance(one, IncomingCall) for one in told)
        assert sum(isinstance(one, Ended) for one in told) == calls


def test_the_same_seed_gives_the_same_bytes_in_any_process():
    program = textwrap.dedent(
        """
        import hashlib, random
        from offhook.sip.offer import make_offer
        from offhook.sip.outcomes import Flow, Send
        from offhook.sip.uri import parse_uri
        from offhook.sip.useragent import Settings, UserAgent
        agent = UserAgent(rng=random.Random(3), settings=Settings())
        flow = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5070))
        offer = make_offer(address="192.0.2.1", port=9000, session_id=1, version=1)
        for number in range(20):
            agent.invite(0, parse_uri("sip:a@192.0.2.9"), (flow,), offer)
        agent.expire(10**10)
        print(hashlib.sha256(b"".join([out.data for out in agent.take() if isinstance(out, Send)])).hexdigest())
        """
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_one_final_response_to_an_invite(far):
    call = far.rings()
    far.order(far.agent.reject, call.call, 486)
    far.order(far.agent.hangup, call.call)
    far.order(far.agent.reject, call.call, 603)
    finals = {message.code for message in far.sent if isinstance(message, Response) and message.code >= 200}
    assert finals == {486}


def test_a_repeat_is_answered_by_the_way_that_it_came(far_with):
    far = far_with("tcp", connection=1)
    request = bytes(far.request("OPTIONS", branch="z9hG4bK-again"))
    far.agent.receive(far.now, request, Flow("udp", far.flow.local, ("192.0.2.9", 5070)))
    far.gather()
    assert far.flows[-1].transport == "udp"
    far.say(request)
    assert far.flows[-1] == far.flow
    assert far.codes() == [200, 200]


def test_a_2xx_whose_connection_is_gone_is_repeated_on_the_one_that_asks_again(far_with):
    far = far_with("tcp", connection=1)
    far.answered(branch="z9hG4bK-lost")
    far.order(far.agent.flow_closed, far.flow)
    far.flow = Flow("tcp", far.flow.local, ("192.0.2.9", 40_000), 2)
    again = far.say(bytes(far.request("INVITE", branch="z9hG4bK-lost", body=SDP)))
    assert [message.code for message in again] == [200]
    assert far.flows[-1] == far.flow
    far.acks()
    assert far.say(bytes(far.request("INVITE", branch="z9hG4bK-lost", body=SDP))) == []


@pytest.mark.parametrize("uri", ["sip:2001:db8::10", "sip:a@2001:db8::10"])
def test_an_ipv6_address_without_brackets_is_malformed(far, uri):
    far.say(bytes(far.request("REGISTER", uri=uri)))
    assert far.codes() == [400]
