"""Where calls and transfers may go: only where a rule says, and inside only where a rule names it."""

from __future__ import annotations

import pytest

from offhook.policy.screening import allows, allows_address, allows_number


@pytest.mark.survives(34)
@pytest.mark.parametrize(
    ("rules", "number", "allowed"),
    [
        ((), "+15551234567", False),
        (("+1",), "+15551234567", True),
        (("+1", "!+1900"), "+19005551234", False),
        (("!+1900", "+1"), "+19005551234", False),
        (("+1",), "+9005551234", False),
        (("+1",), "15551234567", False),
        (("sip:*@*",), "+15551234567", False),
        (("+",), "+4930123456", True),
    ],
)
def test_a_number_is_allowed_by_how_it_begins(rules, number, allowed):
    assert allows_number(rules, number) is allowed
    assert allows(rules, number) is allowed


@pytest.mark.survives(36)
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "::1", "::ffff:127.0.0.1"),
        *("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "metadata.google.internal"),
        *("10.0.0.1", "192.168.1.1", "172.16.9.9", "100.64.0.1", "fc00::1", "pbx.local", "intranet", "224.0.0.1"),
        *("2002:7f00:1::", "64:ff9b::7f00:1", "localhost.", "LOCALHOST", "::ffff:169.254.169.254"),
    ],
)
def test_no_place_inside_is_reached_by_a_rule_for_anywhere(host):
    assert not allows_address(("sip:*@*",), "x", host, None)
    assert not allows_address(("sip:*",), "x", host, None)
    assert allows_address((f"sip:*@[{host}]" if ":" in host else f"sip:*@{host.lower()}",), "x", host, None)


@pytest.mark.survives(36)
def test_a_name_that_leads_inside_is_refused_unless_a_rule_names_it():
    anywhere, named = ("sip:*@*",), ("sip:*@pbx.example",)
    assert allows_address(anywhere, "x", "pbx.example", None)
    assert allows_address(anywhere, "x", "pbx.example", None, ip="203.0.113.7")
    assert not allows_address(anywhere, "x", "pbx.example", None, ip="169.254.169.254")
    assert not allows_address(("sip:*@*.example",), "x", "pbx.example", None, ip="127.0.0.1")
    assert allows_address(named, "x", "pbx.example", None, ip="192.168.1.7")


def test_networks_inside_are_allowed_by_a_rule_that_begins_like_them():
    assert allows(("sip:*@10.3.0.*",), "sip:desk@10.3.0.9")
    assert not allows(("sip:*@10.3.0.*",), "sip:desk@10.4.0.9")
    for name in ("10.3.0.1.evil.example", "10.3.0.evil.example", "10.3.0.1a"):
        assert not allows(("sip:*@10.3.0.*",), f"sip:desk@{name}"), "a name may lead anywhere"
    assert allows(("sip:*@[::1]:5070",), "sip:desk@[::1]:5070")
    assert not allows(("sip:*@[::1]:5070",), "sip:desk@[::1]:5080")
