"""What we know of an Asterisk that we answer for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class AsteriskAccount:
    """An Asterisk with its REST interface (ARI).

    `connection` is the section of `websocket_client.conf` by which Asterisk opens media sockets to us, `user` and
    `password` are what that section says. `api` is ARI's base URL, `api_user` and `api_password` are of `ari.conf`,
    `app` is the Stasis application that calls are sent to. `endpoint` is how a number is dialled, with `{}` for it;
    `context` is where in the dialplan a transfer goes on; without there are none. Media sockets ask for Asterisk 20.18,
    22.8 or 23.2, the first to take their token and JSON.
    """

    user: str
    password: str = field(repr=False)
    api_user: str
    api_password: str = field(repr=False)
    api: str = "http://127.0.0.1:8088/ari"
    app: str = "offhook"
    connection: str = "offhook"
    format: Literal["ulaw", "alaw", "slin", "slin16", "slin24"] = "slin16"
    endpoint: str = "PJSIP/{}@trunk"
    context: str = ""
