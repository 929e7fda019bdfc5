"""The SIP media application of the Chime SDK: a Lambda is told what happens in a call and answers with actions.

    NEW_INBOUND_CALL, ACTION_SUCCESSFUL, HANGUP … ─► told(event) ─► Told ─► actions ─► answer

Either the call is joined to our SIP user agent (`bridge`), where it is a call as any other; or an agent goes on it in
turns: `Speak`, and keys by `SpeakAndGetDigits`, or words by a Lex bot. A leg that hangs up leaves the other: that one
is hung up by us.

https://docs.aws.amazon.com/chime-sdk/latest/dg/use-cases.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from offhook.agent.orders import Wait
from offhook.carriers.services.amazon.lex import packed
from offhook.carriers.services.amazon.reading import table, tables, text, texts
from offhook.carriers.services.turn import Again, Connect, Leave, Turn

Action = dict[str, object]

ACTIONS: Final = 10
"""Actions of one answer."""
SPEAK_LIMIT: Final = 2900
"""Characters of one `Speak`."""
RING_S: Final = 60
_HEADER: Final = re.compile(r"(?i)(?!x-amzn)(x-[a-z0-9-]{1,60}|user-to-user|diversion)")
_NUMBER: Final = re.compile(r"(?:tel:)?(\+[0-9]{3,15})")


@dataclass(frozen=True, slots=True)
class Participant:
    """One leg: LEG-A is who called, or was called first."""

    call: str
    tag: str
    caller: str = ""
    called: str = ""
    connected: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An event. `action` is what it is about, where it is about one of ours; `arguments` came with an update."""

    kind: str
    sequence: str = ""
    transaction: str = ""
    participants: Sequence[Participant] = ()
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    action: str = ""
    call: str = ""
    digits: str = ""
    error: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    bot_attributes: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def first(self) -> Participant:
        """Who called, or was called: LEG-A."""
        return next((one for one in self.participants if one.tag == "LEG-A"), Participant("", "LEG-A"))


@dataclass(frozen=True, slots=True)
class Speech:
    """How texts are spoken: a voice of Polly's, its engine and language. `bot`: the Lex bot (an ARN) that hears."""

    voice: str = "Joanna"
    engine: str = "neural"
    language: str = "en-US"
    bot: str = ""


def told(event: object) -> Told:
    """Read an event."""
    details = table(event, "CallDetails")
    data = table(event, "ActionData")
    parameters = table(data, "Parameters")
    people = [
        Participant(
            text(one, "CallId"),
            text(one, "ParticipantTag").upper(),
            text(one, "From"),
            text(one, "To"),
            text(one, "Status") == "Connected",
        )
        for one in tables(details.get("Participants"))
    ]
    return Told(
        text(event, "InvocationEventType"),
        text(event, "Sequence"),
        text(details, "TransactionId"),
        people,
        texts(details.get("TransactionAttributes")),
        text(data, "Type"),
        text(parameters, "CallId"),
        text(data, "ReceivedDigits"),
        text(data, "ErrorType") or text(data, "Error"),
        texts(parameters.get("Arguments")),
        texts(table(data, "IntentResult", "SessionState").get("SessionAttributes")),
    )


def answer(actions: Sequence[Action], attributes: Mapping[str, str] | None = None) -> dict[str, object]:
    """Answer an event; without attributes, those that the call has stay."""
    answered: dict[str, object] = {"SchemaVersion": "1.0", "Actions": list(actions)[:ACTIONS]}
    if attributes is not None:
        answered["TransactionAttributes"] = dict(attributes)
    return answered


def turn_actions(turn: Turn, to: Told, speech: Speech, *, connector: str = "", caller: str = "") -> list[Action]:
    """Say a turn to LEG-A. `connector` is the Voice Connector (an ARN) by which a SIP address is called."""
    call = to.first.call
    says = packed(turn.says, SPEAK_LIMIT, ACTIONS - 1)
    match turn.then:
        case Wait(words=True) if speech.bot:
            return [*(speak(one, call, speech) for one in says), listen(call, speech)]
        case Wait():
            before, last = says[:-1], says[-1] if says else ""
            return [*(speak(one, call, speech) for one in before), get_digits(last, call, turn.then, speech)]
        case Again():
            return [*(speak(one, call, speech) for one in says), pause(call, 500)]
        case Connect(target=target):
            joined = call_and_bridge(target, caller or to.first.called, connector)
            return [*(speak(one, call, speech) for one in says), *([joined] if joined else [])]
        case Leave():
            return [*(speak(one, call, speech) for one in says), hang_up(call)]


def speak(words: str, call: str, speech: Speech) -> Action:
    """Say a text."""
    return {"Type": "Speak", "Parameters": {"CallId": call, **_spoken(words, speech)}}


def get_digits(words: str, call: str, wanted: Wait, speech: Speech) -> Action:
    """Say a text and take keys: so many, or up to the `finish` key. Silence comes back as a failure of the action."""
    most = wanted.digits or 20
    spoken = _spoken(words or " ", speech)
    return {
        "Type": "SpeakAndGetDigits",
        "Parameters": {
            "CallId": call,
            "InputDigitsRegex": f"^[0-9*#A-D]{{1,{most}}}$",
            "SpeechParameters": spoken,
            "FailureSpeechParameters": _spoken(" ", speech),
            "MinNumberOfDigits": 1,
            "MaxNumberOfDigits": most,
            "TerminatorDigits": [wanted.finish or "#"],
            "InBetweenDigitsDurationInMilliseconds": 3000,
            "Repeat": 1,
            "RepeatDurationInMilliseconds": max(1000, wanted.timeout_ms),
        },
    }


def listen(call: str, speech: Speech) -> Action:
    """Let a Lex bot hear, whose code hook is the same agent; it speaks, too, until it closes."""
    parameters = {"CallId": call, "BotAliasArn": speech.bot, "LocaleId": speech.language.replace("-", "_")}
    return {"Type": "StartBotConversation", "Parameters": parameters}


def call_and_bridge(
    target: str, caller: str, connector: str = "", headers: Mapping[str, str] | None = None, ring_s: int = RING_S
) -> Action | None:
    """Call a number, or by a Voice Connector a SIP address, and join it to the call; None where neither can be.

    Headers that Chime does not pass on (all but `X-…`, `User-to-User` and `Diversion`) are left out.
    """
    number = _NUMBER.fullmatch(target)
    endpoint: dict[str, str]
    if number:
        endpoint = {"BridgeEndpointType": "PSTN", "Uri": number[1]}
    elif connector:
        endpoint = {"BridgeEndpointType": "AWS", "Arn": connector, "Uri": one(_user(target))}
    else:
        return None
    parameters: dict[str, object] = {
        "CallTimeoutSeconds": min(max(ring_s, 1), 120),
        "CallerIdNumber": caller,
        "Endpoints": [endpoint],
    }
    passed = {name: one(value) for name, value in (headers or {}).items() if _HEADER.fullmatch(name)}
    if passed:
        parameters["SipHeaders"] = passed
    return {"Type": "CallAndBridge", "Parameters": parameters}


def one(value: str) -> str:
    """Give a header's value as one line."""
    return "".join(character for character in value if character.isprintable())[:2048]


def pause(call: str, duration_ms: int) -> Action:
    """Wait."""
    return {"Type": "Pause", "Parameters": {"CallId": call, "DurationInMilliseconds": str(duration_ms)}}


def hang_up(call: str, code: int = 0) -> Action:
    """End a leg; with 480 or 486 refuse one that was not answered."""
    return {"Type": "Hangup", "Parameters": {"CallId": call, "SipResponseCode": str(code)}}


def hang_up_others(hung_up: Told) -> list[Action]:
    """One leg has hung up: end those that are left."""
    return [
        hang_up(one.call) for one in hung_up.participants if one.call and one.call != hung_up.call and one.connected
    ]


def _user(target: str) -> str:
    address = re.sub(r"(?i)^sips?:", "", target).partition("@")[0].partition(";")[0]
    return address or target


def _spoken(words: str, speech: Speech) -> dict[str, object]:
    return {
        "Text": words,
        "Engine": speech.engine,
        "LanguageCode": speech.language,
        "TextType": "text",
        "VoiceId": speech.voice,
    }
