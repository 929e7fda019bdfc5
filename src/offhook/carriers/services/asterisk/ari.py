"""Asterisk's REST interface (ARI): what is asked of it, and what its events say.

    StasisStart ─► Offered      ChannelStateChange ─► Progressed      StasisEnd, ChannelDestroyed ─► Handed, Left
    a call and the media socket that is brought for it meet in a bridge of the call's name

Each call has a media channel and a bridge whose ids are made of its own, so that nothing must be remembered of them.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import quote, urlencode

from offhook.carriers.services.asterisk.account import AsteriskAccount
from offhook.carriers.services.http import ApiCall, ApiReply
from offhook.carriers.services.reading import e164, inner, items, text, whole
from offhook.carriers.services.service import Handed, Left, News, Offered, Progressed
from offhook.core.errors import ProtocolError

MEDIA: Final = "offhook-media-"
BRIDGE: Final = "offhook-bridge-"
PLACED: Final = "offhook-"
"""What the names of calls begin with that we place: the key of the call's own hook is behind it."""
DIALLED: Final = "dialled"
"""The argument with which a call of ours comes to the application."""

CAUSES: Final = {
    16: 200,
    17: 486,
    18: 480,
    19: 480,
    20: 480,
    21: 603,
    1: 404,
    3: 404,
    28: 404,
    22: 410,
    34: 503,
    27: 502,
}
"""Causes of Q.850, and the SIP statuses that mean the same."""

GONE: Final = (404, 409, 412)
"""A channel or a bridge that is not there, or not in our application any more."""


def basic(user: str, password: str) -> str:
    """Write what proves a user by name and password (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def ask(account: AsteriskAccount, method: str, path: Sequence[str], **asked: str) -> ApiCall:
    """Write a request; `asked` goes in its query, what is empty is left out."""
    place = "/".join(quote(one, safe="", errors="replace") for one in path)
    query = urlencode({name: one for name, one in asked.items() if one}, errors="replace")
    url = f"{account.api.rstrip('/')}/{place}" + (f"?{query}" if query else "")
    return ApiCall(method, url, {"authorization": basic(account.api_user, account.api_password)}, gone=GONE)


def answer(account: AsteriskAccount, call: str) -> ApiCall:
    """Answer a call."""
    return ask(account, "POST", ("channels", call, "answer"))


def hang_up(account: AsteriskAccount, call: str, cause: int = 16) -> ApiCall:
    """End a call, with a cause of Q.850."""
    return ask(account, "DELETE", ("channels", call), reason_code=str(cause))


def go_on(account: AsteriskAccount, call: str, target: str) -> ApiCall:
    """Have a call go on in the dialplan, at the extension that a number, or the user of a SIP address, names.

    `redirect`, which has the far end's own device call the target, is not asked for: no event says what came of it.
    """
    path = ("channels", call, "continue")
    user = re.sub(r"^(sips?|tel):|@.*", "", target)
    extension = "".join(one for one in user if one.isascii() and (one.isalnum() or one in "+*#-_"))
    return ask(account, "POST", path, context=account.context, extension=extension, priority="1")


def gather(account: AsteriskAccount, call: str) -> Sequence[ApiCall]:
    """Put a call in a bridge of its own, where its media will come."""
    bridge = BRIDGE + call
    made = ask(account, "POST", ("bridges", bridge), type="mixing", name=bridge)
    return (made, ask(account, "POST", ("bridges", bridge, "addChannel"), channel=call))


def media(account: AsteriskAccount, call: str, token: str) -> ApiCall:
    """Have a media socket opened to us; the token goes in its query, since the rest of its URL is configured there."""
    return ask(
        account,
        "POST",
        ("channels", "externalMedia"),
        channelId=MEDIA + call,
        app=account.app,
        external_host=account.connection,
        transport="websocket",
        encapsulation="none",
        format=account.format,
        transport_data=f"f(json)v(token={quote(token, safe='', errors='replace')})",
    )


def originate(account: AsteriskAccount, call: str, target: str, caller: str, ring_s: int) -> ApiCall:
    """Place a call, whose name we choose."""
    asked = {"appArgs": DIALLED, "callerId": caller, "timeout": str(ring_s)}
    return ask(
        account, "POST", ("channels",), channelId=call, endpoint=dialled(account, target), app=account.app, **asked
    )


def dialled(account: AsteriskAccount, target: str) -> str:
    """Give how Asterisk dials a number, or a SIP address by the same trunk."""
    if target.startswith(("sip:", "sips:")):
        trunk = account.endpoint.partition("@")[2]
        return f"PJSIP/{trunk}/{target}" if trunk else f"PJSIP/{target}"
    return account.endpoint.replace("{}", "".join(one for one in target if one in "+0123456789*#"))


def follow(account: AsteriskAccount, event: Mapping[str, object]) -> Sequence[ApiCall]:
    """Give what an event asks for: a media channel that is up meets its call; a call that left leaves nothing."""
    name = text(inner(event.get("channel")).get("id"))
    if event.get("type") == "StasisStart" and name.startswith(MEDIA):
        call = name.removeprefix(MEDIA)
        return (ask(account, "POST", ("bridges", BRIDGE + call, "addChannel"), channel=name),)
    if event.get("type") == "StasisEnd" and name and not name.startswith(MEDIA):
        return leave(account, name)
    return ()


def leave(account: AsteriskAccount, call: str) -> Sequence[ApiCall]:
    """Let go of a call's media channel and bridge."""
    return (hang_up(account, MEDIA + call), ask(account, "DELETE", ("bridges", BRIDGE + call)))


def read_event(event: Mapping[str, object]) -> Sequence[News]:
    """Read an event of ARI. What is about media channels of ours is no news."""
    channel = inner(event.get("channel"))
    call = text(channel.get("id"))
    if not call or call.startswith(MEDIA):
        return ()
    match event.get("type"):
        case "StasisStart":
            return (_offered(event, channel, call),)
        case "ChannelStateChange" if channel.get("state") in ("Ring", "Ringing"):
            return (Progressed(call, "ringing"),)
        case "ChannelStateChange" if channel.get("state") == "Up":
            return (Progressed(call, "answered"),)
        case "StasisEnd":
            return (Handed(call, 200, over=True), Left(call))
        case "ChannelDestroyed":
            return (_left(event, call, up=channel.get("state") == "Up"),)
        case _:
            return ()


def names(reply: ApiReply) -> frozenset[str]:
    """Read the names of the channels that there are. ProtocolError where the answer is none."""
    try:
        told: object = json.loads(reply.body)
    except (ValueError, RecursionError):
        told = None
    if not reply.ok or not isinstance(told, list):
        raise ProtocolError(f"no list of channels: {reply.status}")
    return frozenset(text(inner(one).get("id")) for one in items(cast("object", told)))


def _left(event: Mapping[str, object], call: str, *, up: bool) -> Left:
    """Read why a channel is gone: one that was never up was not answered, or given up by its caller."""
    code = CAUSES.get(whole(event.get("cause")) or 0, 480)
    if code == 200 and not up:
        code = 480 if call.startswith(PLACED) else 487
    return Left(call, code, text(event.get("cause_txt")))


def _offered(event: Mapping[str, object], channel: Mapping[str, object], call: str) -> Offered:
    caller, called = inner(channel.get("caller")), inner(channel.get("dialplan")).get("exten")
    sent = {text(name): text(one) for name, one in list(inner(channel.get("channelvars")).items())[:64]}
    ours = items(event.get("args"))[:1] == [DIALLED]
    number, name = e164(caller.get("number")), text(caller.get("name"))
    return Offered(call, number, e164(called), "outbound" if ours else "inbound", caller_name=name, headers=sent)
