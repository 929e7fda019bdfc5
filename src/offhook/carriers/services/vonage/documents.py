"""The control documents that we answer Vonage with (NCCO): a JSON array of actions, carried out one after another.

    document(*record(…), *talk("Hello"), *connect(websocket(…), …)) ─► bytes

Laws: whatever a field holds, the document can be read: half characters are replaced, what has a limit is cut to it;
URLs are in lists, as Vonage wants them; `connect` has exactly one endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from offhook.carriers.services.reading import legible

Action = dict[str, Any]
"""One action of a control document."""

TALK_LIMIT: Final = 1500
"""Characters that one `talk` says."""

HEADERS_LIMIT: Final = 512
"""Bytes of the headers of a media socket."""


def document(*actions: Action) -> bytes:
    """Write a control document."""
    return json.dumps(clean(list(actions)), separators=(",", ":"), ensure_ascii=False).encode()


def clean(value: Any) -> Any:
    """Give a value of JSON whose texts every encoding can write."""
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {legible(name): clean(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [clean(one) for one in cast("list[Any]", value)]
    return value


def talk(
    text: str, *, language: str = "", style: int = 0, barge_in: bool = False, premium: bool = False
) -> list[Action]:
    """Say a text: in as many actions as it takes, since one has a limit."""
    voice: Action = {"bargeIn": barge_in}
    if language:
        voice |= {"language": language, "style": style, "premium": premium}
    return [{"action": "talk", "text": piece, **voice} for piece in _pieces(text)]


def _pieces(text: str) -> Iterator[str]:
    rest = text
    while len(rest) > TALK_LIMIT:
        cut = rest.rfind(" ", 1, TALK_LIMIT)
        cut = TALK_LIMIT if cut < 0 else cut
        yield rest[:cut]
        rest = rest[cut:].lstrip(" ")
    if rest:
        yield rest


def stream(url: str, *, level: float = 0.0, loop: int = 1, barge_in: bool = False) -> Action:
    """Play a file. `loop` 0 plays it for ever, `level` is from -1 to 1."""
    action = {"action": "stream", "streamUrl": [url], "level": min(1.0, max(-1.0, level)), "loop": max(0, loop)}
    return {**action, "bargeIn": barge_in}


def record(url: str, *, channels: int = 2, format: Literal["mp3", "wav", "ogg"] = "wav", beep: bool = False) -> Action:
    """Record the call from here on, each side in its channel; `url` is told where the recording is."""
    action = {"action": "record", "eventUrl": [url], "format": format, "beepStart": beep}
    return {**action, "split": "conversation", "channels": min(32, max(1, channels))}


def take_in(
    url: str, *, keys: int = 0, speech: str = "", wait_s: int = 5, hints: Sequence[str] = (), silence_s: float = 0.8
) -> Action:
    """Wait for as many `keys` (0: none), for speech in the language `speech` ("": none), or both: told to `url`."""
    action: Action = {"action": "input", "type": [], "eventUrl": [url]}
    if keys:
        action["type"].append("dtmf")
        dtmf = {"maxDigits": min(20, max(1, keys)), "timeOut": min(10, max(0, wait_s)), "submitOnHash": True}
        action["dtmf"] = dtmf
    if speech or not keys:
        action["type"].append("speech")
        silence_s = min(10.0, max(0.4, silence_s))
        said: Action = {
            "language": speech or "en-US",
            "endOnSilence": silence_s,
            "startTimeout": min(60, max(1, wait_s)),
        }
        action["speech"] = {**said, "context": list(hints)} if hints else said
    return action


def connect(endpoint: Action, caller: str, url: str, *, ring_s: int = 60, detect: Action | None = None) -> Action:
    """Join the call to an endpoint. `url` is told what becomes of it, and what it answers goes on from there.

    `caller` is a number; where it is none, Vonage takes any of the application's.
    """
    digits = caller.removeprefix("+")
    numbered = digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15 and digits[0] != "0"
    action: Action = {"action": "connect", "endpoint": [endpoint], "eventType": "synchronous", "eventUrl": [url]}
    action |= {"from": digits} if numbered else {"randomFromNumber": True}
    action["timeout"] = min(120, max(1, ring_s))
    return {**action, "advancedMachineDetection": detect} if detect else action


def websocket(url: str, rate_hz: int, headers: Mapping[str, str], *, signed: bool = False) -> Action:
    """A media socket of ours. Its headers come back in its first message; what would make them too long is left out."""
    endpoint: Action = {"type": "websocket", "uri": url, "content-type": f"audio/l16;rate={rate_hz}"}
    fitting: dict[str, str] = {}
    for name, value in headers.items():
        more = {**fitting, name: value}
        if value and len(json.dumps(clean(more))) <= HEADERS_LIMIT:
            fitting = more
    endpoint["headers"] = fitting
    return {**endpoint, "authorization": {"type": "vonage"}} if signed else endpoint


def called(target: str, headers: Mapping[str, str] | None = None) -> Action:
    """A number, or a SIP address with headers of ours (each gets an `X-` there)."""
    if target.startswith(("sip:", "sips:")):
        return {"type": "sip", "uri": target, "headers": dict(headers or {})}
    return {"type": "phone", "number": "".join(one for one in target if one in "0123456789")}


def conversation(
    name: str, *, start: bool = True, end: bool = False, record: bool = False, mute: bool = False
) -> Action:
    """Put the call into a room. `start`: it begins with this one; `end`: it ends with this one."""
    action = {"action": "conversation", "name": name, "startOnEnter": start, "endOnExit": end}
    return {**action, "record": record, "mute": mute}


def notify(payload: Mapping[str, str], url: str) -> Action:
    """Have `url` told that the document has come this far; what it answers goes on from there."""
    return {"action": "notify", "payload": dict(payload), "eventUrl": [url]}


def wait(timeout_s: float) -> Action:
    """Wait, 0.1 s to two hours."""
    return {"action": "wait", "timeout": min(7200.0, max(0.1, timeout_s))}


def transfer(conversation_id: str, *, mute: bool = False) -> Action:
    """Move all that are in this conversation into another one that is there."""
    return {"action": "transfer", "conversationId": conversation_id, "mute": mute}
