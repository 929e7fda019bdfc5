"""What strangers send: hostile texts, all changes of one byte, and messages that are nearly those of a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from hypothesis import strategies as st

from offhook.carriers.services.http import Request, Unsigned, read_fields
from offhook.carriers.services.service import Service
from offhook.carriers.services.stream import Dialect, Sound, Told
from offhook.core.errors import ProtocolError

HOSTILE = (
    "<Hangup/>",
    "]]></Say><Dial>+1900</Dial>",
    "a & b &amp; c",
    "\"double\" 'single'",
    "\x00\x01\x08\x0b\x0c\x1f\x7f\x85",
    "lone \ud800 and \udfff",
    "\ufffe\uffff",
    "😀 ünïcode \u202e",
    "tab\tline\nreturn\r\n",
    "<!-- --> <?xml?> <![CDATA[",
    "%s %00 {x} $y \\",
    " " * 10,
    "x" * 100_000,
)


def one_byte_changes(data: bytes) -> Iterator[bytes]:
    """Each byte left out, doubled, with each of its bits turned, or made a sign that means something in a form."""
    for at, byte in enumerate(data):
        before, behind = data[:at], data[at + 1 :]
        yield before + behind
        yield before + bytes([byte, byte]) + behind
        for other in {byte ^ (1 << bit) for bit in range(8)} | set(b"&=+%;?/ a0") - {byte}:
            yield before + bytes([other]) + behind


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1", "-1", "1e9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def nearly(draw: Callable[[Any], Any], messages: Sequence[Mapping[str, Any]]) -> str | bytes:
    """A message of a service with some of it left out, mistyped, renamed or of another kind; or no message at all."""
    how = draw(st.integers(0, 11))
    message = json.dumps(draw(st.sampled_from(messages)))
    if how == 0:
        return draw(st.binary(max_size=40))
    if how == 1:
        return draw(st.text(max_size=40))
    if how == 2:
        return message.encode()
    if how == 3:
        return message[: draw(st.integers(0, len(message)))]
    if how == 4:
        return json.dumps(draw(ANYTHING))
    value = json.loads(message)
    for _ in range(draw(st.integers(0, 2))):
        place = value
        while True:
            key = draw(st.sampled_from(sorted(place)))
            if isinstance(place[key], dict) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(ANYTHING)
            break
        if not value:
            break
    return json.dumps(value)


def listen(dialect: Dialect, frames: list[str | bytes]) -> list[Told]:
    """Have a dialect hear all of it: it raises nothing, and what it tells and writes is what it may tell and write."""
    told = [one for frame in frames for one in dialect.hear(frame)]
    for one in told:
        assert isinstance(one, get_args(Told))
        assert not isinstance(one, Sound) or one.payload
        repr(one).encode()  # nothing in it breaks a log
    for frame in [
        *dialect.sound(b"\xff" * 160),
        *dialect.mark("1"),
        *dialect.clear(),
        *dialect.press("1"),
        *dialect.close(),
    ]:
        if isinstance(frame, str):
            json.loads(frame.encode())
    return told


def altered(request: Request, *headers: str) -> Iterator[Request]:
    """A request with a change of one byte: in its target, its body, or in what one of its headers says."""
    for changed in one_byte_changes(request.target.encode("latin-1")):
        yield Request(request.method, changed.decode("latin-1"), request.headers, request.body)
    for changed in one_byte_changes(request.body):
        yield Request(request.method, request.target, request.headers, changed)
    for name in headers:
        for changed in one_byte_changes(request.header(name).encode()):
            yield Request(
                request.method, request.target, {**request.headers, name: changed.decode("latin-1")}, request.body
            )


def refused(service: Service, request: Request, base: str, now_s: float = 0.0) -> bool:
    """Whether a service says that a request is not proved, with a code that says so."""
    try:
        service.verify(request, base, now_s)
    except Unsigned as error:
        return error.code in (401, 403)
    return False


def same_form(body: bytes, changed: bytes) -> bool:
    """Whether a form says the same fields, spelled in another way: `%2b` for `%2B`, a space as `+`."""
    if not changed or not body:
        return changed == body
    try:
        plain = all(one.find(b"=") > 0 for one in changed.split(b"&"))
        return plain and sorted(set(read_fields(body))) == sorted(set(read_fields(changed)))
    except ProtocolError:
        return False
