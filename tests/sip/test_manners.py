"""How the calls of one trunk are dealt with, where that is another way than all are."""

from __future__ import annotations

import pytest

from offhook.sip.manners import Manners
from offhook.sip.message import Request
from offhook.sip.outcomes import Flow
from offhook.sip.uri import parse_uri
from offhook.sip.useragent import Settings
from tests.sip.conftest import SDP

KNOWS = ("Supported", "timer, 100rel")
THEIRS = Manners(min_se_s=300, reliable=True, symmetric=True)
ELSEWHERE = (("Contact", "<sip:far@192.0.2.77:5077>"),)


@pytest.fixture
def trunk(far_with):
    """A far end whose address is a trunk's."""
    return far_with(settings=Settings(manners=lambda flow: THEIRS if flow.remote[0] == "192.0.2.9" else None))


def test_the_least_session_of_a_trunk_is_its_own(trunk, far_with):
    asks = (KNOWS, ("Session-Expires", "200"))
    trunk.say(bytes(trunk.request("INVITE", body=SDP, headers=asks)))
    assert (trunk.sent[-1].code, trunk.sent[-1].first("Min-SE")) == (422, "300")
    for other in (far_with(), far_with(settings=Settings(manners=lambda flow: None))):
        other.rings(headers=asks)
        assert other.codes() == [180]


def test_a_trunk_that_wants_it_is_told_reliably_that_it_rings(trunk):
    trunk.rings(headers=(KNOWS,))
    assert trunk.sent[-1].index["Require"] == "100rel"


@pytest.mark.parametrize("rewriting", [True, False])
def test_what_a_call_asks_goes_to_where_it_came_from_whatever_its_contact_says(trunk, far_with, rewriting):
    far = trunk if rewriting else far_with()
    far.up(headers=ELSEWHERE)
    (bye,) = far.order(far.agent.hangup, 1)
    assert bye.uri == "sip:far@192.0.2.77:5077"
    assert far.flows[-1].remote == (far.flow.remote if rewriting else ("192.0.2.77", 5077))


def test_a_call_of_ours_has_the_manners_that_it_is_placed_with(far, bodies):
    way = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5060))
    target = parse_uri("sip:far@192.0.2.9")
    far.order(far.agent.invite, target, (way,), bodies("offer"), manners=THEIRS)
    invite = far.sent[-1]
    assert isinstance(invite, Request)
    assert invite.index["Min-SE"] == "300"
    (ack,) = far.answers(invite)  # its Contact names port 5070
    assert (ack.method, far.flows[-1].remote) == ("ACK", way.remote)
