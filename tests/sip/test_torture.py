"""The torture messages of RFC 4475 and RFC 5118: each gets the verdict that a callee owes it, and calls work on.

Over UDP a message is one datagram; over TCP it is cut at every byte, and what follows its Content-Length is the next.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.message import Response, parse_message
from offhook.sip.outcomes import IncomingCall
from offhook.sip.stream import StreamParser
from offhook.testing.golden import Case, torture

CASES = torture(Path(__file__).parent.parent / "golden" / "sip" / "torture.txt")
RFC_4475 = [case for case in CASES if case.rfc == 4475]
RFC_5118 = [case for case in CASES if case.rfc == 5118]

each = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def finals(sent: list[Any]) -> list[int]:
    """The codes that a peer got, without the 100s; each message that we send on our own would be no response."""
    assert all(isinstance(message, Response) for message in sent)
    return [message.code for message in sent if message.code > 100]


def heard(far: Any, sound: bytes) -> None:
    """Whatever came before, the next call is served."""
    assert [message.code for message in far.say(sound)] == [200]


def options(far: Any) -> bytes:
    sent_by = f"SIP/2.0/{far.flow.transport.upper()} 192.0.2.9:5070"
    return bytes(far.request("OPTIONS", call_id="after", via=sent_by, headers=(("Content-Length", "0"),)))


def test_the_file_has_them_all():
    assert len(RFC_4475) == 49
    assert len(RFC_5118) == 12
    assert len({case.name for case in CASES}) == len(CASES)


def test_what_is_valid_is_never_called_malformed_and_silence_is_for_responses_and_broken_vias():
    for case in CASES:
        if case.valid:
            assert case.udp != [400], case.name
        if not case.udp:
            assert case.name == "badinv01" or case.data.startswith(b"SIP/2.0 "), case.name


@pytest.mark.survives(1)
@pytest.mark.survives(3)
@each
def test_verdict_over_udp(far: Any, case: Case) -> None:
    assert finals(far.say(case.data)) == case.udp
    if 180 not in case.udp:
        assert not [outcome for outcome in far.told if isinstance(outcome, IncomingCall)]
    far.fates()
    heard(far, options(far))


def stream(far: Any, data: bytes, cuts: list[int]) -> tuple[list[int], bool]:
    """Say `data` in pieces on one connection; give the final codes, and whether the connection must be closed."""
    parser = StreamParser()
    codes: list[int] = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        for message in parser.push(data[begin:end]):
            codes += finals(far.say(message))
        if parser.broken:
            break
    return codes, parser.broken


@pytest.mark.survives(2)
@pytest.mark.survives(3)
@each
def test_verdict_over_tcp_cut_at_every_byte(far_with: Callable[..., Any], case: Case) -> None:
    for cut in range(1, len(case.data)):
        far = far_with("tcp", connection=1)
        assert stream(far, case.data, [cut]) == (case.tcp, case.breaks), cut
        far.fates()
        if cut % 16 == 0:
            heard(far, options(far))


@pytest.mark.survives(2)
@each
def test_verdict_over_tcp_in_single_bytes_and_random_pieces(far_with: Callable[..., Any], case: Case) -> None:
    rng = random.Random(case.name)
    size = len(case.data)
    ways = [list(range(1, size)), *[sorted(rng.sample(range(1, size), rng.randint(1, 40))) for _ in range(40)]]
    for cuts in ways:
        far = far_with("tcp", connection=1)
        assert stream(far, case.data, cuts) == (case.tcp, case.breaks), cuts


@pytest.mark.survives(2)
@each
def test_the_next_message_on_the_same_connection_is_served(far_with: Callable[..., Any], case: Case) -> None:
    far = far_with("tcp", connection=1)
    after = options(far)
    codes, broken = stream(far, case.data + after, [])
    if case.breaks:
        assert (codes, broken) == (case.tcp, True)
    elif case.unfinished:
        # Its sender said that more would come: what comes is taken for that, and the stream's end is answered.
        assert not broken
        parser = StreamParser()
        assert parser.push(case.data) == []
        other = far_with("tcp", connection=3)
        assert finals(other.say(parser.unfinished() or case.data)) == case.udp
    else:
        assert (codes, broken) == ([*case.tcp, 200], False)
    heard(far_with("tcp", connection=2), after)


@each
def test_what_is_read_is_written_back(case: Case) -> None:
    try:
        message = parse_message(case.data)
    except Malformed:
        assert case.udp in ([400], [505], [])
        return
    again = parse_message(bytes(message))
    assert again == message
    assert bytes(again) == bytes(message)
