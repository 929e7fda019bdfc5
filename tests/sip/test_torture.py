"""The torture messages of RFC 4475: each gets the verdict that a callee owes it, and a call works right behind it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.message import Response, parse_message
from offhook.sip.outcomes import IncomingCall

FILE = Path(__file__).parent.parent / "golden" / "sip" / "torture.txt"
MARK = re.compile(r"<(?:hex:([0-9a-f]*)|(\d+)\*([^>]*))>")


def wire(text: str) -> bytes:
    out = b""
    at = 0
    for mark in MARK.finditer(text):
        out += text[at : mark.start()].encode()
        out += bytes.fromhex(mark[1]) if mark[1] is not None else mark[3].encode() * int(mark[2])
        at = mark.end()
    return (out + text[at:].encode()).replace(b"\n", b"\r\n")


def cases() -> list[tuple[str, str, bytes]]:
    found: list[tuple[str, str, bytes]] = []
    for part in FILE.read_text().split("\n=== ")[1:]:
        title, _, text = part.partition("\n")
        name, _, verdict = title.partition(": ")
        # The empty line between two messages in the file belongs to neither, but ends a head without a body.
        found.append((name, verdict, measured(wire(text.rstrip("\n") + "\n"))))
    return found


def measured(data: bytes) -> bytes:
    """End the head where there is no body, and pad a body that is shorter than its length says (save in `clerr`)."""
    if b"\r\n\r\n" not in data:
        return data + b"\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    declared = re.search(rb"\r\n(?:content-length|l)\s*:\s*(\d+)", head, re.IGNORECASE)
    if declared and 0 < len(body) < int(declared[1]) < 1000:
        body += b"a=x\r\n" * 40
        body = body[: int(declared[1])]
    return head + b"\r\n\r\n" + body


CASES = cases()


def test_the_file_has_them_all():
    assert len([name for name, _, _ in CASES if "-" not in name]) == 49  # the rest are variants of ours
    assert len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("name", "verdict", "data"), CASES, ids=[name for name, _, _ in CASES])
def test_verdict(far, name, verdict, data):
    sent = far.say(data)
    if verdict == "drop":
        assert sent == []
        assert not [outcome for outcome in far.told if isinstance(outcome, IncomingCall)]
    else:
        assert isinstance(sent[-1], Response)
        assert sent[-1].code == int(verdict)
    far.fates()
    # Whatever came before, the next call is served.
    sound = far.say(bytes(far.request("OPTIONS", call_id="after", via="SIP/2.0/UDP 192.0.2.9:5070")))
    assert [message.code for message in sound] == [200]


@pytest.mark.parametrize(("name", "verdict", "data"), CASES, ids=[name for name, _, _ in CASES])
def test_what_is_read_is_written_back(name, verdict, data):
    try:
        message = parse_message(data)
    except Malformed:
        assert verdict in ("400", "505", "drop")
        return
    again = parse_message(bytes(message))
    assert again == message
    assert bytes(again) == bytes(message)
