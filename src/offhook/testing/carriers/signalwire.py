"""A fake SignalWire: a fake Twilio with its own signature and sockets, whose API is only told where documents are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree as ET

from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.signalwire import HEADER, SignalWireAccount, signalwire, signature
from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.testing.carriers.farend import Order
from offhook.testing.carriers.twilio import FORM, FakeTwilio, TwilioTongue

KEY: Final = "PSK_a-fake-signing-key"
CODECS: Final = {"PCMU": Encoding(), "L16@16000h": Encoding("L16", 16000), "L16@24000h": Encoding("L16", 24000)}


class SignalWireTongue(TwilioTongue):
    """SignalWire's side of one stream: what Twilio's is, in an encoding of its own. L16 is little-endian on it."""

    def __init__(self, call: str, stream: str, coded: Encoding) -> None:
        super().__init__(call, stream)
        self.heard = self.ours = coded
        self._wide = coded.codec == "L16"

    def begins(self) -> Sequence[Frame]:
        """Give `connected` and `start`, which alone names the stream."""
        _, begun = super().begins()
        said = json.loads(begun)
        del said["streamSid"]
        said["start"]["mediaFormat"]["encoding"] = "audio/x-L16" if self._wide else "audio/x-mulaw"
        said["start"]["mediaFormat"]["sampleRate"] = self.heard.rate_hz
        return ('{"event":"connected","protocol":"Call","version":"0.2.0"}', json.dumps(said))

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of media."""
        return super().sound(turned(payload) if self._wide else payload)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (self._message("dtmf", dtmf={"duration": "160", "digit": key}),)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what SignalWire takes: keys, too."""
        if isinstance(frame, str) and (said := json.loads(frame))["event"] == "dtmf":
            return (Order("keys", text=said["dtmf"]["digit"]),)
        (order,) = super().read(frame)
        return (Order("sound", turned(order.payload)) if order.kind == "sound" and self._wide else order,)


class FakeSignalWire(FakeTwilio):
    """A space at a fake SignalWire."""

    name = "signalwire"
    account = "project"

    def __init__(self, app: Any, *, codec: str = "PCMU", **options: Any) -> None:
        super().__init__(app, **options)
        self.codec = codec
        self.secrets = {"SIGNALWIRE_TOKEN": "a-fake-token", "SIGNALWIRE_SIGNING_KEY": KEY}
        self._bearer = ""

    def service(self) -> Carried:
        """Give our account at it."""
        return signalwire(SignalWireAccount("fake.signalwire.com", "project", "a-fake-token", KEY, codec=self.codec))

    def tongue(self, call: str) -> SignalWireTongue:
        """Give SignalWire's side of a new stream."""
        self._streams += 1
        return SignalWireTongue(call, f"{self._streams:08x}-fake", CODECS[self.codec])

    def form(self, path: str, fields: Mapping[str, str]) -> Request:
        """Make a signed webhook."""
        signed = signature(KEY, self.public + path, list(fields.items()))
        return Request("POST", path, {**FORM, HEADER: signed}, urlencode(fields).encode(), "203.0.113.9")

    def handshake(self, url: str) -> Request:
        """Make the opening of a media socket, with what the document gave it."""
        headers = {"authorization": f"Bearer {self._bearer}", "upgrade": "websocket"}
        return Request("GET", urlsplit(url).path, headers, peer="203.0.113.9")

    def _connect(self, call: str, verb: ET.Element) -> None:
        stream = verb.find("Stream")
        assert stream is not None, "a <Connect> to nothing"
        assert stream.get("codec", "PCMU") == self.codec
        self._bearer = stream.attrib["authBearerToken"]
        super()._connect(call, verb)

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked: a call goes on with a document that is asked for, never with one that is given."""
        asked = dict(parse_qsl(order.body.decode(), keep_blank_values=True))
        assert "Twiml" not in asked, "SignalWire takes no documents"
        call = urlsplit(order.url).path.rpartition("/")[2].removesuffix(".json")
        end = self.ends.get(call)
        if "Url" in asked and end is not None and not end.over:
            self.close_socket(end)
            self._spawn(call, self._goes_on(call, asked["Url"]))
            return ApiReply(200)
        return await super().api(order)

    async def _goes_on(self, call: str, url: str) -> None:
        where = urlsplit(url)
        reply = await self.hook(self.form(f"{where.path}?{where.query}", self.fields(call, "in-progress")))
        await self._carry_out(call, reply)
