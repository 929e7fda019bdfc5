"""By which address somebody reaches us."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from offhook.policy.reach import Reach

HOME = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("198.51.100.7", "203.0.113.9"),
        ("10.1.2.3", None),
        ("2001:db8::7", None),
        ("fd00::7", None),
        ("nonsense", None),
    ],
)
def test_others_get_the_outer_address_and_our_own_networks_our_own(remote: str, address: str | None) -> None:
    assert Reach("203.0.113.9", HOME).address(remote) == address
    assert Reach(None, HOME).address(remote) is None


@pytest.mark.parametrize(
    ("remote", "asked"),
    [("198.51.100.7", True), ("10.1.2.3", False), ("2001:db8::7", False), ("nonsense", False)],
)
def test_a_server_is_asked_only_for_those_beyond_the_nat(remote: str, asked: bool) -> None:
    server = ("192.0.2.3", 3478)
    assert Reach(None, HOME, server).server(remote) == (server if asked else None)
    assert Reach("203.0.113.9", HOME, server).server(remote) is None  # it is known
    assert Reach(None, HOME).server(remote) is None
