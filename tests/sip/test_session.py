"""Offer and answer in a dialog: one open at a time (RFC 3264, RFC 6337)."""

from __future__ import annotations

import pytest

from offhook.core.errors import ProtocolError
from offhook.sip.sdp import Session
from offhook.sip.session import OfferAnswer

ONE, TWO, THREE = (Session((("v", "0"), ("s", name))) for name in "abc")


def test_our_offer_and_their_answer():
    state = OfferAnswer()
    state.offer(ONE)
    assert state.open == "ours"
    state.answered(TWO)
    assert (state.open, state.local, state.remote) == ("none", ONE, TWO)


def test_their_offer_and_our_answer():
    state = OfferAnswer()
    state.offered(TWO)
    assert state.open == "theirs"
    state.answer(ONE)
    assert (state.open, state.local, state.remote) == ("none", ONE, TWO)


@pytest.mark.parametrize(("first", "code"), [("offer", 491), ("offered", 500)])
@pytest.mark.parametrize("second", ["offer", "offered"])
def test_a_second_offer_is_refused(first, code, second):
    state = OfferAnswer()
    getattr(state, first)(ONE)
    with pytest.raises(ProtocolError) as refused:
        getattr(state, second)(TWO)
    assert refused.value.code == code


def test_an_answer_to_nothing_is_refused():
    with pytest.raises(ProtocolError):
        OfferAnswer().answered(ONE)


def test_a_withdrawn_offer_leaves_what_was_agreed():
    state = OfferAnswer()
    state.offer(ONE)
    state.answered(TWO)
    state.offered(THREE)
    state.withdraw()
    assert (state.open, state.local, state.remote) == ("none", ONE, TWO)
