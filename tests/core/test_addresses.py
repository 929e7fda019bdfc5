"""How far an address reaches."""

from __future__ import annotations

import pytest

from offhook.core.addresses import Reach, reach


@pytest.mark.parametrize(
    ("host", "far"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("[::1]", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("127.1", Reach.LOOPBACK),
        ("017700000001", Reach.LOOPBACK),
        ("a.localhost", Reach.LOOPBACK),
        ("169.254.169.254", Reach.LINK),
        ("fe80::1%eth0", Reach.LINK),
        ("10.1.2.3", Reach.PRIVATE),
        ("100.64.1.1", Reach.PRIVATE),
        ("fd12::1", Reach.PRIVATE),
        ("pbx", Reach.PRIVATE),
        ("fritz.box.local", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("203.0.113.9", Reach.PUBLIC),
        ("2001:db8::1", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("sip.telnyx.com", Reach.PUBLIC),
        ("sip.telnyx.com.", Reach.PUBLIC),
    ],
)
def test_an_address_reaches_so_far(host, far):
    assert reach(host) is far
