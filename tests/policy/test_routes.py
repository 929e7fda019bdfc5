"""Routes: the most specific that fits takes the call, and what fits none is nobody's."""

from __future__ import annotations

import pytest

from offhook.policy.routes import Route, Routes, Wanted

ROUTES = Routes(
    [
        Route("anyone"),
        Route("us", "+1*"),
        Route("springfield", "+1555*"),
        Route("luigi", "+15551234567"),
        Route("luigi on main", "+15551234567", "main"),
        Route("desk", "desk"),
        Route("anyone on aws", "*", "aws"),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "agent"),
    [
        (Wanted(("+15551234567",), "other"), "luigi"),
        (Wanted(("+15551234567",), "main"), "luigi on main"),
        (Wanted(("+15551234568",)), "springfield"),
        (Wanted(("+12125550123",)), "us"),
        (Wanted(("+4930123456",)), "anyone"),
        (Wanted(("+4930123456",), "aws"), "anyone on aws"),
        (Wanted(("desk",)), "desk"),
        (Wanted(()), "anyone"),
        # A registered account is called by its user name; what was dialled stands in To.
        (Wanted(("offhook", "+15551234567")), "luigi"),
        # The first that a route names wins, whatever is more specific behind it.
        (Wanted(("+12125550123", "+15551234567")), "us"),
    ],
)
def test_the_most_specific_route_takes_the_call(wanted, agent):
    route = ROUTES.find(wanted)
    assert route is not None
    assert route.agent == agent


def test_what_no_route_names_is_nobodys():
    routes = Routes([Route("luigi", "+15551234567", "main")])
    assert routes.find(Wanted(("+15551234567",), "other")) is None
    assert routes.find(Wanted(("+15550000000",), "main")) is None
    assert routes.find(Wanted(())) is None


def test_the_order_in_which_routes_are_written_is_no_matter():
    turned = Routes(ROUTES.all[::-1])
    for called in ("+15551234567", "+15551234568", "+1", "x", ""):
        wanted = Wanted((called,), "main")
        assert turned.find(wanted) == ROUTES.find(wanted)
