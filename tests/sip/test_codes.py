"""Status codes and causes (RFC 3261 section 21, RFC 3398)."""

from __future__ import annotations

import pytest

from offhook.sip.codes import REASONS, cause, reason, said_no


def test_reasons():
    assert reason(486) == "Busy Here"
    assert (reason(299), reason(699), reason(999)) == ("OK", "Refused Everywhere", "Unknown")
    assert all(phrase.isprintable() for phrase in REASONS.values())


@pytest.mark.parametrize(
    ("code", "expected"), [(486, 17), (404, 1), (480, 18), (503, 41), (200, 16), (299, 16), (499, 31)]
)
def test_causes(code, expected):
    assert cause(code) == expected


def test_the_word_for_a_refusal():
    assert (said_no(480), said_no(408), said_no(486), said_no(603)) == ("no_answer", "no_answer", "refused", "refused")
