"""Fuzz the reader of session descriptions, and the answer to what it accepts. See `oracle`."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import atheris
from oracle import fuzz, planted

with atheris.instrument_imports(include=["offhook.sip", "offhook.core"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook import _native as native
    from offhook.core.errors import ProtocolError
    from offhook.sip.offer import Srtp, accept_answer, answer_offer, make_offer
    from offhook.sip.sdes import Keyring
    from offhook.sip.sdp import Session, parse_sdp


STREAM = re.compile(rb"[\r\n][ \t]*m[ \t]*=")
"""Where a stream begins: white space round the type is tolerated."""


def read(data: bytes) -> Session:
    session = parse_sdp(data)
    if planted("sdp") and len(session.media) > 1:
        # The fault: a reader that knows one stream only.
        return Session(session.lines, session.media[:1])
    return session


def agree(session: Session, srtp: Srtp) -> None:
    """Answer an offer, and let the two ends come to the same."""
    try:
        answer, plan = answer_offer(
            session, address="192.0.2.1", port=9000, session_id=1, version=1, srtp=srtp, ring=Keyring(bytes)
        )
    except ProtocolError as error:
        if error.code != 488:
            raise AssertionError("a refusal with another code") from error
        return
    assert len(answer.media) == len(session.media)
    (taken,) = [media for media in answer.media if media.port]
    assert parse_sdp(bytes(answer)) == answer
    back = accept_answer(session, answer)
    assert back.send[1] == plan.send[1]
    assert plan.ptime_ms in range(10, 61)
    near, far = plan.protection, back.protection
    assert len(taken.attributes("crypto")) == (near is not None)
    assert "SAVP" not in taken.protocol.upper() or near is not None
    assert (near and (near.suite, near.send, near.receive)) == (far and (far.suite, far.receive, far.send))
    # What was agreed, the media plane takes: it would raise.
    keys = near and (near.suite, near.send, near.receive)
    fields: dict[str, Any] = asdict(plan) | {"protection": keys}
    assert fields.pop("tunnel") is None
    native.Port(ssrc=1, sequence=1, timestamp=1).configure(0, 1, **fields)


def target(data: bytes) -> None:
    try:
        session = read(data)
    except ProtocolError:
        return
    written = bytes(session)
    assert read(written) == session
    assert bytes(read(written)) == written
    assert written.count(b"m=") >= len(session.media)
    assert written.count(b"\nm=") == len(STREAM.findall(b"\n" + data))
    agree(session, "off")
    agree(session, "optional")
    for ring in (None, Keyring(bytes)):
        ours = make_offer(address="192.0.2.1", port=9000, session_id=1, version=1, ring=ring)
        try:
            accept_answer(ours, session)
        except ProtocolError as error:
            if error.code != 488:
                raise AssertionError("a refusal with another code") from error


SEEDS = (
    b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    b"v=0\r\no=- 7 1 IN IP6 ::1\r\ns=-\r\nt=0 0\r\na=sendonly\r\nm=audio 4000/2 RTP/AVPF 8 96 13\r\nc=IN IP6 ::1\r\n"
    b"a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=ptime:30\r\na=maxptime:40\r\na=rtcp:4009\r\na=mid:0\r\n"
    b"a=rtcp-mux\r\n",
)

if __name__ == "__main__":
    fuzz(target, SEEDS)
