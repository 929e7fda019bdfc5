"""Amazon Lex V2: a bot whose code hook is an agent. Lex hears and speaks, we get a turn of text and answer with one.

    code hook ─► asked(event) ─► session, what was said ─► Turn ─► answer ─► messages, dialogAction, attributes

While we wait for more the answer elicits the next intent, so the bot needs none but its fallback, with a code hook. In
the end it closes; `offhook-next` (`hangup`, `transfer`) and `offhook-target` tell the flow how it goes on.

https://docs.aws.amazon.com/lexv2/latest/dg/lambda-input-format.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from offhook.agent.orders import Wait
from offhook.carriers.services.amazon.connect import STATE
from offhook.carriers.services.amazon.reading import Table, plain, table, tables, text, texts
from offhook.carriers.services.turn import Again, Connect, Leave, Turn

MESSAGE_LIMIT: Final = 1024
MESSAGES: Final = 5
"""What one answer holds."""
DTMF: Final = "x-amz-lex:dtmf:"
START: Final = "x-amz-lex:audio:start-timeout-ms:*:*"
FALLBACK: Final = "FallbackIntent"


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn: whose session it is, what was said or pressed (neither: silence), the session's attributes."""

    session: str
    text: str = ""
    keys: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    intent: Table = field(default_factory=dict[str, object])
    language: str = ""


def asked(event: object) -> Asked:
    """Read a code hook's event."""
    state = table(event, "sessionState")
    intents = [
        table(state.get("intent")),
        *(table(one.get("intent")) for one in tables(table(event).get("interpretations"))),
    ]
    said = text(event, "inputTranscript")
    dtmf = text(event, "inputMode") == "DTMF"
    return Asked(
        text(event, "sessionId"),
        "" if dtmf else said,
        said if dtmf else "",
        texts(state.get("sessionAttributes")),
        next((intent for intent in intents if text(intent, "name")), {"name": FALLBACK}),
        text(event, "bot", "localeId").replace("_", "-"),
    )


def answer(turn: Turn, hook: Asked, state: str, filler: str = "") -> dict[str, object]:
    """Answer a code hook. `filler` is said where we are not done and have nothing to say yet."""
    attributes = {name: value for name, value in hook.attributes.items() if not _ours(name)} | {STATE: state}
    says = list(turn.says)
    action: dict[str, object] = {"type": "ElicitIntent"}
    intent: dict[str, object] | None = None
    match turn.then:
        case Wait(digits=digits, finish=finish, timeout_ms=timeout_ms):
            attributes[START] = str(timeout_ms)
            if digits:
                attributes |= {f"{DTMF}max-length:*:*": str(digits), f"{DTMF}end-character:*:*": finish or "#"}
        case Again():
            says = says or [filler]
        case Connect() | Leave() as then:
            action = {"type": "Close"}
            failed = isinstance(then, Leave) and then.reason == "failed"
            intent = {"name": text(hook.intent, "name") or FALLBACK, "state": "Failed" if failed else "Fulfilled"}
            attributes[f"{STATE}-next"] = "transfer" if isinstance(then, Connect) else "hangup"
            if isinstance(then, Connect):
                attributes[f"{STATE}-target"] = plain(then.target)
    kept: dict[str, object] = {"dialogAction": action, "sessionAttributes": attributes}
    if intent is not None:
        kept["intent"] = intent
    return {"sessionState": kept, "messages": [{"contentType": "PlainText", "content": one} for one in packed(says)]}


def packed(says: Sequence[str], limit: int = MESSAGE_LIMIT, most: int = MESSAGES) -> list[str]:
    """Put utterances into at most so many messages of at most so many characters, cut at a blank where they must be."""
    rest = " ".join(one for one in (plain(said).strip() for said in says) if one)
    messages: list[str] = []
    while rest and len(messages) < most:
        cut = len(rest) if len(rest) <= limit else rest.rfind(" ", 0, limit + 1)
        cut = limit if cut <= 0 else cut
        messages.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return messages


def _ours(name: str) -> bool:
    return name.startswith((STATE, DTMF)) or name == START
