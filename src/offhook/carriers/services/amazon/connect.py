"""Amazon Connect: the contact that a call is, what its flow's Lambda block asks, and what that is answered.

    contact_to(number) ─► StartOutboundVoiceContact ─► the flow calls, and transfers to us as any other:
    INVITE of "External voice system" ─► X-Amzn-…, User-to-User ─► contact_of(headers) ─► Contact
    Invoke-Lambda block ─► contact_in(event) ─► Contact, what the caller said ─► Turn ─► answer ─► $.External.next …

It is total: missing and mistyped fields are empty. What a flow or a caller wrote is a stranger's.

https://docs.aws.amazon.com/connect/latest/adminguide/connect-lambda-functions.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from offhook.agent.orders import Wait
from offhook.carriers.services.amazon.reading import Table, plain, table, text, texts
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.core.errors import ConfigError

SAY_LIMIT: Final = 6000
"""Characters that a block can play: Polly takes no more of plain text at once."""
STATE: Final = "offhook"
"""The attribute that keeps what was said."""
_INSTANCE: Final = re.compile(r":connect:[^:]*:[^:]*:instance/([0-9A-Za-z-]{1,100})")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")


RING_S: Final = (15, 60)
"""How long Connect rings, at least and at most."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact. `initial_id` names it whatever it is transferred to; `attributes` are what its flow has set.

    `parameters` are what the flow gives to the block that asked; `data` is all else that came with the call.
    """

    id: str = ""
    initial_id: str = ""
    instance_id: str = ""
    caller: str = ""
    called: str = ""
    language: str = ""
    queue: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    data: Mapping[str, str] = field(default_factory=dict[str, str])


def contact_in(event: object) -> Contact:
    """Read the event of an Invoke-Lambda block."""
    data = table(event, "Details", "ContactData")
    found = _INSTANCE.search(text(data, "InstanceARN"))
    contact = text(data, "ContactId")
    return Contact(
        contact,
        text(data, "InitialContactId") or contact,
        found[1] if found else "",
        text(data, "CustomerEndpoint", "Address"),
        text(data, "SystemEndpoint", "Address"),
        text(data, "LanguageCode"),
        text(data, "Queue", "Name"),
        texts(data.get("Attributes")),
        texts(table(event, "Details").get("Parameters")),
        {"InitiationMethod": text(data, "InitiationMethod"), "Channel": text(data, "Channel")},
    )


def contact_of(headers: Mapping[str, str]) -> Contact:
    """Read the SIP headers of a call that Connect transferred to an external voice system (`Call.headers`)."""
    lower = {name.lower(): value for name, value in headers.items()}
    said = user_to_user(lower.get("user-to-user", ""))
    contact = lower.get("x-amzn-connectcontactid", "") or said.get("contactId", "")
    arns = " ".join(lower.get(name, "") for name in ("x-amzn-sourcearn", "x-amzn-targetarn"))
    found = _INSTANCE.search(arns) or _INSTANCE.search(said.get("instanceArn", ""))
    return Contact(
        contact,
        lower.get("x-amzn-connectinitialcontactid", "") or said.get("initialContactId", "") or contact,
        found[1] if found else said.get("instanceId", ""),
        said.get("customerPhoneNumber", ""),
        said.get("systemPhoneNumber", ""),
        said.get("languageCode", ""),
        said.get("queueName", ""),
        data=said,
    )


def user_to_user(value: str) -> dict[str, str]:
    """Read a User-to-User header (RFC 7433): JSON in hex or as it is, else the text itself by the name `text`.

    Nested tables are laid flat; a name further out goes before one further in. Raises nothing.
    """
    content, _, parameters = value.strip()[:16_000].partition(";")
    content = content.strip().strip('"')
    if value.lstrip().startswith(("{", '"{')):  # JSON as it is, where a semicolon is no parameter's
        content = value.strip().strip('"').replace('\\"', '"')
        content = content[: content.rfind("}") + 1]
    elif "%" in content:
        content = unquote(content)
    if _HEX.fullmatch(content) and ("encoding=" not in parameters.lower() or "hex" in parameters.lower()):
        data = bytes.fromhex(content)
        content = data.lstrip(b"\x00\x04").decode("utf-8", "replace")  # 04 says that it is for applications (Q.931)
    try:
        read: object = json.loads(content)
    except (ValueError, RecursionError):
        read = None
    flat = _flat(table(read), 4)
    return flat or ({"text": text(content)} if content else {})


def _flat(read: Table, depth: int) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in read.items():
        if isinstance(value, bool):
            flat[text(name)] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            flat[text(name)] = text(value)
    if depth:
        for value in read.values():
            flat = {**_flat(table(value), depth - 1), **flat}
    return flat


def attributes_set(contact: Contact, attributes: Mapping[str, str]) -> dict[str, object]:
    """Give the parameters of `UpdateContactAttributes`. ConfigError where the call came without its contact."""
    if not (contact.initial_id and contact.instance_id):
        raise ConfigError(
            "this call came without an Amazon Connect contact: is it transferred by an external voice connector?"
        )
    clean = {text(name): text(value) for name, value in attributes.items()}
    return {"InitialContactId": contact.initial_id, "InstanceId": contact.instance_id, "Attributes": clean}


def contact_to(
    to: str,
    *,
    instance: str,
    flow: str,
    caller: str = "",
    queue: str = "",
    ring_s: int = 60,
    attributes: Mapping[str, str] | None = None,
    token: str = "",
) -> dict[str, object]:
    """Give the parameters of `StartOutboundVoiceContact`: a flow of the instance's that begins with calling `to`.

    A number of ours is shown: `caller`, or that of the `queue`. What has a `token` is done once, however often it is
    asked for. ConfigError without a number to show.
    """
    if not (caller or queue):
        raise ConfigError("a call that Amazon Connect places shows a number: say which (caller), or whose (queue)")
    asked: dict[str, object] = {
        "InstanceId": instance,
        "ContactFlowId": flow,
        "DestinationPhoneNumber": to,
        "RingTimeoutInSeconds": min(RING_S[1], max(RING_S[0], ring_s)),
        "Attributes": {text(name): text(value) for name, value in (attributes or {}).items()},
    }
    named = {"SourcePhoneNumber": caller, "QueueId": queue, "ClientToken": token}
    return asked | {name: value for name, value in named.items() if value}


def answer(turn: Turn, state: str) -> dict[str, str]:
    """Answer an Invoke-Lambda block with flat texts, which the flow reads as `$.External.say` and so on.

    `next` is `listen` (for words where `words` is true, for `digits` keys or up to `finish`, for `timeout` seconds),
    `again` (ask once more: we are not done), `transfer` (to `target`) or `hangup`. `offhook` is what was said, to be
    kept as a contact attribute of that name.
    """
    answered = {"say": plain(turn.text)[:SAY_LIMIT], STATE: state}
    match turn.then:
        case Wait(words=words, digits=digits, finish=finish, timeout_ms=timeout_ms):
            answered |= {
                "next": "listen",
                "words": "true" if words else "false",
                "digits": str(digits),
                "finish": finish,
                "timeout": str(max(1, timeout_ms // 1000)),
            }
        case Again():
            answered["next"] = "again"
        case Connect(target=target):
            answered |= {"next": "transfer", "target": plain(target)}
        case Leave(reason=reason):
            answered |= {"next": "hangup", "reason": reason}
    return answered
