"""Plivo XML: what a call is to do next.

    answer(stream(url), redirect(after)) ─► <Response><Stream …>wss://…</Stream><Redirect>…</Redirect></Response>

Elements are carried out one behind the other; a <Stream> that keeps the call alive holds until its socket ends. URLs
are whole ones. A <Hangup> with a reason counts as a refusal only as the first.

https://www.plivo.com/docs/voice/xml/overview
"""

from __future__ import annotations

from typing import Literal

from offhook.carriers.services.stream import Encoding
from offhook.carriers.services.xml import Tag

LONGEST_S = 14_400


def content_type(encoding: Encoding) -> str:
    """Give the name of an encoding there."""
    return "audio/x-mulaw" if encoding.codec == "PCMU" else "audio/x-l16"


def stream(url: str, encoding: Encoding, news: str) -> Tag:
    """The call's audio, both ways, at a socket of ours."""
    attributes = {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "audioTrack": "inbound",
        "contentType": f"{content_type(encoding)};rate={encoding.rate_hz}",
        "statusCallbackUrl": news,
        "statusCallbackMethod": "POST",
    }
    return Tag("Stream", attributes, (url,))


def speak(text: str, *, voice: str = "", language: str = "") -> Tag:
    """Say a text."""
    return Tag("Speak", {"voice": voice, "language": language}, (text,))


def get_input(
    action: str,
    *inner: Tag,
    hears: Literal["dtmf", "speech", "dtmf speech"] = "dtmf speech",
    timeout_s: int = 8,
    keys: int | None = None,
    finish_on: str = "",
    language: str = "",
) -> Tag:
    """Hear keys and speech while `inner` is said; what came is brought to `action`. Silence goes on behind it."""
    attributes = {
        "action": action,
        "method": "POST",
        "inputType": hears,
        "executionTimeout": str(min(60, max(5, timeout_s))),
        "numDigits": "" if keys is None else str(min(32, max(1, keys))),
        "finishOnKey": finish_on,
        "language": language,
        "redirect": "true",
    }
    return Tag("GetInput", attributes, inner)


def redirect(url: str) -> Tag:
    """Go on with another document."""
    return Tag("Redirect", {"method": "POST"}, (url,))


def hangup(reason: Literal["", "busy", "rejected"] = "") -> Tag:
    """End the call; with a reason, before it was answered, refuse it."""
    return Tag("Hangup", {"reason": reason})


def record_call(news: str) -> Tag:
    """Record the call from here on; `news` hears when it can be had."""
    attributes = {
        "recordSession": "true",
        "redirect": "false",
        "maxLength": str(LONGEST_S),
        "callbackUrl": news,
        "callbackMethod": "POST",
    }
    return Tag("Record", attributes)


def dial(target: str, news: str, *, caller: str = "") -> Tag:
    """Call a target and join it to the call; `news` hears that it has answered, and what to do next is asked there."""
    attributes = {
        "action": news,
        "method": "POST",
        "redirect": "true",
        "callbackUrl": news,
        "callbackMethod": "POST",
        "callerId": caller,
    }
    sip = target.lower().startswith(("sip:", "sips:"))
    return Tag("Dial", attributes, (Tag("User" if sip else "Number", {}, (target,)),))
