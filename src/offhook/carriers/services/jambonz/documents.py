"""The control documents that we answer jambonz with: a JSON array of verbs, carried out one after another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from offhook.carriers.services.reading import legible

Verb = dict[str, Any]
"""One verb of a control document."""

REASONS: Final = {486: "Busy Here", 480: "Temporarily Unavailable", 404: "Not Found", 603: "Decline"}


def document(*verbs: Verb) -> bytes:
    """Write a control document. What a field holds can be read, whatever it is."""
    return legible(json.dumps(list(verbs), separators=(",", ":"), ensure_ascii=False)).encode()


def listen(url: str, hook: str, rate_hz: int, user: str, password: str) -> Verb:
    """Bring the caller's audio to a media socket of ours, and take audio from it as it comes."""
    return {
        "verb": "listen",
        "url": url,
        "actionHook": hook,
        "mixType": "mono",
        "sampleRate": rate_hz,
        "passDtmf": True,
        "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": rate_hz},
        "wsAuth": {"username": user, "password": password},
    }


def dial(target: str, caller: str, hook: str, *, ring_s: int = 60) -> Verb:
    """Join the call to a number or a SIP address; `hook` is told when that is over."""
    verb: Verb = {"verb": "dial", "target": [called(target)], "actionHook": hook, "timeout": ring_s}
    return {**verb, "callerId": caller} if caller else verb


def called(target: str) -> Verb:
    """A number or a SIP address, as a target of a call."""
    if target.startswith(("sip:", "sips:")):
        return {"type": "sip", "sipUri": target}
    return {"type": "phone", "number": target}


def say(text: str, *, language: str = "") -> Verb:
    """Say a text."""
    return {
        "verb": "say",
        "text": text,
        **({"synthesizer": {"vendor": "default", "language": language}} if language else {}),
    }


def gather(hook: str, *, keys: int = 0, speech: bool = True, prompt: str = "", wait_s: int = 5) -> Verb:
    """Wait for as many `keys` (0: none), for speech, or for both: told to `hook`."""
    wanted: Sequence[str] = [*(["speech"] if speech else []), *(["digits"] if keys or not speech else [])]
    verb: Verb = {"verb": "gather", "input": wanted, "actionHook": hook, "timeout": wait_s}
    verb |= {"maxDigits": keys} if keys else {}
    return {**verb, "say": {"text": prompt}} if prompt else verb


def pause(length_s: float) -> Verb:
    """Wait."""
    return {"verb": "pause", "length": length_s}


def redirect(hook: str) -> Verb:
    """Go on with what `hook` answers."""
    return {"verb": "redirect", "actionHook": hook}


def decline(code: int) -> Verb:
    """Refuse a call that is not answered yet."""
    return {"verb": "sip:decline", "status": code, **({"reason": REASONS[code]} if code in REASONS else {})}


def hangup() -> Verb:
    """End the call."""
    return {"verb": "hangup"}
