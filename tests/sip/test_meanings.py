"""What the end of a call means (RFC 3326, RFC 3398, Q.850)."""

from __future__ import annotations

import pytest

from offhook.core.errors import ConfigError
from offhook.sip.codes import REASONS
from offhook.sip.grammar import Malformed
from offhook.sip.meanings import COMMON, MEANINGS, REFUSALS, Cause, causes_of, parse_cause, read_meanings
from offhook.sip.message import Response


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (200, "ended"),
        (302, "moved"),
        (403, "forbidden"),
        (404, "not_found"),
        (408, "timeout"),
        (410, "gone"),
        (480, "unavailable"),
        (482, "loop"),
        (484, "number_incomplete"),
        (486, "busy"),
        (487, "cancelled"),
        (488, "incompatible"),
        (500, "failed"),
        (503, "congestion"),
        (600, "busy"),
        (603, "declined"),
        (607, "blocked"),
        (608, "blocked"),
        (699, "failed"),
    ],
)
def test_every_code_means_something(code, meaning):
    assert COMMON.of(code) == meaning
    assert all(COMMON.of(each) in MEANINGS for each in REASONS)


@pytest.mark.parametrize(
    ("code", "reason", "meaning"),
    [
        (503, "Q.850;cause=17", "busy"),
        (480, "Q.850;cause=19", "no_answer"),
        (500, "Q.850;cause=34", "congestion"),
        (503, "Q.850;cause=999", "congestion"),
        (486, "Q.850;cause=16", "busy"),
        (487, 'SIP;cause=200;text="Call completed elsewhere"', "answered_elsewhere"),
        (487, "SIP;cause=600", "busy"),
        (503, "preemption;cause=1", "congestion"),
    ],
)
def test_a_reason_says_it_better(code, reason, meaning):
    assert COMMON.of(code, (parse_cause(reason),)) == meaning


def test_reasons_are_read_and_written():
    cause = parse_cause('q.850 ;cause=17 ;text="User \\"busy\\""')
    assert cause == Cause("Q.850", 17, 'User "busy"')
    assert parse_cause(str(cause)) == cause


@pytest.mark.parametrize("text", ["", ";cause=1", "SIP", "SIP;cause=x", "SIP;cause=9999", "a b;cause=1"])
def test_a_reason_without_a_number_is_none(text):
    with pytest.raises(Malformed):
        parse_cause(text)


def test_what_can_not_be_read_says_nothing_and_a_flood_is_cut():
    broken = Response((("Reason", "SIP, Q.850;cause=17"), ("Reason", '"')), b"", 503, "")
    assert causes_of(broken) in ((), (Cause("Q.850", 17),))
    flood = Response((("Reason", ", ".join(["SIP;cause=486"] * 100)),), b"", 503, "")
    assert len(causes_of(flood)) == 8


def test_a_refusal_says_why_both_ways():
    assert COMMON.refusal("busy") == (486, (("Reason", "Q.850;cause=17"),))
    assert COMMON.refusal("declined")[0] == 603
    assert all(COMMON.refusal(meaning)[0] == code for meaning, code in REFUSALS.items())
    with pytest.raises(ValueError, match="busy"):
        COMMON.refusal("bussy")


def test_a_trunk_may_mean_something_else():
    own = read_meanings({"503": "busy", "Q.850;41": "unavailable"})
    assert (own.of(503), own.of(486)) == ("busy", "busy")
    assert own.of(500, (Cause("Q.850", 41),)) == "unavailable"
    assert own.refusal("busy")[0] == 503
    assert own.refusal("declined")[0] == 603


@pytest.mark.parametrize("table", [{"503": "bussy"}, {"x": "busy"}, {"Q.850;x": "busy"}, {"99999": "busy"}])
def test_a_table_with_a_slip_is_an_error(table):
    with pytest.raises(ConfigError):
        read_meanings(table)
