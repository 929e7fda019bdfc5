"""A fake Telnyx whose calls are ruled by documents: a fake Twilio, with Telnyx's own proofs, names and sockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from offhook.carriers.services.http import Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.telnyx.signature import HEADER, TIME, signature
from offhook.testing.carriers.telnyx import API_KEY, KEY, PUBLIC_KEY, TelnyxTongue
from offhook.testing.carriers.twilio import FORM, FakeTwilio

ACCOUNT = "a-fake-account"


class FakeTexml(FakeTwilio):
    """A TeXML application at a fake Telnyx. `heard` is how calls are coded, whatever was asked for."""

    name = "telnyx"
    account = ACCOUNT
    asks = f"Bearer {API_KEY}"
    document_field = "Texml"

    def __init__(self, app: Any, *, heard: Encoding | None = None, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets = {"TELNYX_API_KEY": API_KEY, "TELNYX_PUBLIC_KEY": PUBLIC_KEY, "TELNYX_ACCOUNT_ID": ACCOUNT}
        self.heard = heard or Encoding("PCMA")

    def service(self) -> Carried:
        """Give our account at it."""
        return telnyx(TelnyxAccount(API_KEY, PUBLIC_KEY, "application", texml=True, account=ACCOUNT, way=self.way))

    def tongue(self, call: str) -> TelnyxTongue:
        """Give Telnyx's side of a new stream."""
        return TelnyxTongue(call, self.heard)

    def named(self, number: int) -> str:
        """Give the name of a new call."""
        return f"v3:{number:032x}"

    def form(self, path: str, fields: Mapping[str, str]) -> Request:
        """Make a signed webhook."""
        body, time = urlencode(fields).encode(), str(int(self.wall_s))
        return Request("POST", path, {**FORM, HEADER: signature(KEY, time, body), TIME: time}, body, "203.0.113.10")

    def handshake(self, url: str) -> Request:
        """Make the opening of a media socket: its token is its proof."""
        return Request("GET", urlsplit(url).path, {"upgrade": "websocket"}, peer="203.0.113.10")

    def _connect(self, call: str, verb: ET.Element) -> None:
        stream = verb.find("Stream")
        assert stream is not None, "a <Connect> to nothing"
        assert stream.get("bidirectionalMode") == "rtp", "nothing of ours would be heard"
        super()._connect(call, verb)
