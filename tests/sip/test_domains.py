"""Whom a certificate speaks for (RFC 5922)."""

from __future__ import annotations

import pytest

from offhook.sip.domains import AltNames, domains, speaks_for

TRUNK: AltNames = (("DNS", "sip.trunk.example"), ("DNS", "*.pstn.trunk.example"), ("IP Address", "192.0.2.1"))


@pytest.mark.parametrize(
    ("names", "host", "speaks"),
    [
        (TRUNK, "sip.trunk.example", True),
        (TRUNK, "SIP.Trunk.Example.", True),
        (TRUNK, "trunk.example", False),
        (TRUNK, "acme.pstn.trunk.example", True),
        (TRUNK, "a.b.pstn.trunk.example", False),
        (TRUNK, "pstn.trunk.example", False),
        (TRUNK, "192.0.2.1", True),
        (TRUNK, "192.0.2.2", False),
        (TRUNK, "", False),
        ((), "sip.trunk.example", False),
        ((("DNS", "*.example"),), "trunk.example", False),
        ((("DNS", "*"),), "trunk", False),
        ((("DNS", "*.2.0.192"),), "192.2.0.192", False),
        # A SIP URI says it all: DNS names beside it are for other purposes.
        ((("URI", "sip:trunk.example"), ("DNS", "web.example")), "trunk.example", True),
        ((("URI", "sip:trunk.example"), ("DNS", "web.example")), "web.example", False),
        ((("URI", "sips:trunk.example"),), "trunk.example", True),
        ((("URI", "sip:alice@trunk.example"),), "trunk.example", False),
        ((("URI", "https://trunk.example"), ("DNS", "trunk.example")), "trunk.example", True),
        ((("URI", "sip:a b"), ("DNS", "trunk.example")), "trunk.example", True),
        ((("email", "trunk.example"),), "trunk.example", False),
    ],
)
def test_a_certificate_speaks_for_what_it_names(names: AltNames, host: str, speaks: bool) -> None:
    assert speaks_for(names, host) is speaks


def test_the_names_are_told_in_lower_case() -> None:
    assert domains((("DNS", "A.Example"), ("DNS", "b.example"))) == ("a.example", "b.example")
