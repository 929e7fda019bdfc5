"""TwiML: what a call is to do next. Twilio's, and with few differences SignalWire's and Telnyx's.

    answer(connect(stream(url)), hangup()) ─► <Response><Connect><Stream url="…"/></Connect><Hangup/></Response>

Verbs are carried out one behind the other. A <Gather> that got something goes to its `action`, and what stands behind
is not reached; a <Connect> holds until its socket ends; a <Dial> until its target has hung up; a <Reject> counts only
as the first. Attributes that are not given are left out, and then the service's own rule holds.

https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from offhook.carriers.services.xml import Tag, switch

Once = Mapping[str, str]
"""More attributes, by their names: what one service has and another has not."""


def say(text: str, *, voice: str = "", language: str = "") -> Tag:
    """Speak a text."""
    return Tag("Say", {"voice": voice, "language": language}, (text,))


def pause(seconds: int = 1) -> Tag:
    """Wait."""
    return Tag("Pause", {"length": str(seconds)})


def play(url: str) -> Tag:
    """Play a file."""
    return Tag("Play", {}, (url,))


def play_keys(keys: str) -> Tag:
    """Send keys as tones; `w` waits half a second."""
    return Tag("Play", {"digits": keys})


def redirect(url: str) -> Tag:
    """Go on with another document."""
    return Tag("Redirect", {"method": "POST"}, (url,))


def hangup() -> Tag:
    """End the call."""
    return Tag("Hangup")


def reject(reason: Literal["busy", "rejected"] = "rejected") -> Tag:
    """Refuse the call: it was never answered, and costs nothing."""
    return Tag("Reject", {"reason": reason})


def gather(
    action: str,
    *inner: Tag,
    hears: Literal["dtmf", "speech", "dtmf speech"] = "dtmf speech",
    timeout_s: int | None = None,
    keys: int | None = None,
    finish_on: str = "",
    speech_timeout: str = "",
    language: str = "",
    hints: str = "",
    also_empty: bool = True,
) -> Tag:
    """Hear keys and speech while `inner` is spoken; what came is brought to `action`, also that nothing came.

    `speech_timeout` is in seconds, or `auto`. `keys` is how many keys are enough, `finish_on` the one that ends them.
    """
    attributes = {
        "input": hears,
        "action": action,
        "method": "POST",
        "timeout": _number(timeout_s),
        "numDigits": _number(keys),
        "finishOnKey": finish_on,
        "speechTimeout": speech_timeout,
        "language": language,
        "hints": hints,
        "actionOnEmptyResult": switch(also_empty),
    }
    return Tag("Gather", attributes, inner)


def record(
    action: str, *, longest_s: int | None = None, timeout_s: int | None = None, beep: bool = True, news: str = ""
) -> Tag:
    """Record the far end until it is silent for `timeout_s`; `news` hears when the recording can be had."""
    attributes = {
        "action": action,
        "method": "POST",
        "maxLength": _number(longest_s),
        "timeout": _number(timeout_s),
        "playBeep": switch(beep),
        "recordingStatusCallback": news,
    }
    return Tag("Record", attributes)


def record_call(news: str) -> Tag:
    """Record the call from here on, each side on a channel of its own; `news` hears when it can be had."""
    attributes = {
        "recordingStatusCallback": news,
        "recordingStatusCallbackEvent": "completed",
        "channels": "dual",
    }
    return Tag("Start", {}, (Tag("Recording", attributes),))


def connect(inner: Tag, action: str = "") -> Tag:
    """Bring the call to a socket until that ends; then `action` is asked, else the next verb is next."""
    return Tag("Connect", {"action": action, "method": "POST" if action else ""}, (inner,))


def stream(url: str, *, news: str = "", parameters: Mapping[str, str] | None = None, more: Once | None = None) -> Tag:
    """The call's audio, both ways, at a socket of ours. Its `url` has no query: it would be dropped."""
    return Tag("Stream", {"url": url, "statusCallback": news, **(more or {})}, _parameters(parameters))


def relay(
    url: str,
    *,
    greeting: str = "",
    language: str = "",
    voice: str = "",
    parameters: Mapping[str, str] | None = None,
    more: Once | None = None,
) -> Tag:
    """The call's words at a socket of ours: the service hears and speaks.

    Keys are told, any input interrupts, and what is said while we speak is told: what is not said here has changed.
    """
    attributes = {
        "url": url,
        "welcomeGreeting": greeting,
        "language": language,
        "voice": voice,
        "dtmfDetection": "true",
        "interruptible": "any",
        "reportInputDuringAgentSpeech": "any",
        **(more or {}),
    }
    return Tag("ConversationRelay", attributes, _parameters(parameters))


def dial(
    target: Tag, action: str = "", *, caller: str = "", ring_s: int | None = None, longest_s: int | None = None
) -> Tag:
    """Call a target and join it to the call; `action` hears what became of it. The caller hears it ring."""
    attributes = {
        "action": action,
        "method": "POST" if action else "",
        "callerId": caller,
        "timeout": _number(ring_s),
        "timeLimit": _number(longest_s),
        "answerOnBridge": "true",
    }
    return Tag("Dial", attributes, (target,))


def target(name: str, *, news: str = "", events: Sequence[str] = ("answered",)) -> Tag:
    """Whom to dial: a SIP URI or a number; `news` hears of the events of its leg."""
    watched = {"statusCallback": news, "statusCallbackEvent": " ".join(events) if news else ""}
    return Tag("Sip" if name.lower().startswith(("sip:", "sips:")) else "Number", watched, (name,))


def refer(uri: str, action: str = "") -> Tag:
    """Ask a far end that came by SIP to call another address by itself (REFER)."""
    return Tag("Refer", {"action": action, "method": "POST" if action else ""}, (Tag("Sip", {}, (uri,)),))


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _parameters(parameters: Mapping[str, str] | None) -> Sequence[Tag]:
    return [Tag("Parameter", {"name": name, "value": value}) for name, value in (parameters or {}).items()]
