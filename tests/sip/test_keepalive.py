"""Keepalives: STUN as RFC 8489 and its test vectors (RFC 5769) have it, and how often (RFC 5626 section 4.4)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.core.instants import SECOND
from offhook.sip.keepalive import Pings, binding_response, is_stun, mapped_address

# RFC 5769 sections 2.2 and 2.3: the mapped address is 192.0.2.1 port 32853, and 2001:db8:1234:5678:11:2233:4455:6677.
VECTOR_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
VECTOR_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)


def test_the_vectors_of_rfc_5769():
    assert mapped_address(VECTOR_V4) == ("192.0.2.1", 32853)
    assert mapped_address(VECTOR_V6) == ("2001:db8:1234:5678:11:2233:4455:6677", 32853)


@pytest.mark.parametrize("source", [("203.0.113.5", 5060), ("2001:db8::7", 65535)])
def test_who_asks_where_it_is_seen_is_told(source):
    request = Pings(random.Random(1)).request()
    answer = binding_response(request, source)
    assert answer is not None
    assert mapped_address(answer) == source
    assert binding_response(answer, source) is None


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_not(data):
    stun = b"\x01\x01" + max(len(data), 0).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    for one in (data, stun):
        mapped_address(one)
        binding_response(one, ("192.0.2.1", 1))
        is_stun(one)


def test_only_an_answer_to_the_last_question_counts():
    pings = Pings(random.Random(1))
    first = pings.request()
    answer = binding_response(first, ("192.0.2.1", 1))
    assert answer is not None
    assert pings.answered(answer)
    pings.request()
    assert not pings.answered(answer)
    assert pings.answered(b"\r\n")


def test_an_address_moves_only_where_it_was_another_before():
    pings = Pings(random.Random(1))

    def seen(port):
        return pings.moved(binding_response(pings.request(), ("192.0.2.1", port)) or b"")

    assert [seen(1), seen(1), seen(2), seen(2)] == [False, False, True, False]
    assert not pings.moved(b"\r\n")
    pings.reset(0)
    assert not seen(3)


def test_the_interval_is_what_the_far_end_asks_for_less_up_to_a_fifth():
    pings = Pings(random.Random(1))
    assert all(24 * SECOND <= pings.interval() <= 29 * SECOND for _ in range(100))
    pings.reset(100)
    assert all(80 * SECOND <= pings.interval() <= 100 * SECOND for _ in range(100))
