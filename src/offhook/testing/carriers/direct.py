"""Fakes of services without webhooks: Genesys' Audio Connector, FreeSWITCH, and Asterisk's two ways.

call ─► a socket to a fixed address ─► open, metadata or a UUID ─► 20 ms of audio …      hung up ─► the socket ends
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

from offhook.carriers.services.asterisk.ari import basic
from offhook.carriers.services.asterisk.audiosocket import HANGUP, KEY, NAME, Splitter, framed
from offhook.carriers.services.asterisk.websocket import FORMATS
from offhook.carriers.services.direct import (
    AsteriskSocket,
    AsteriskSocketAccount,
    AudioSocket,
    AudioSocketAccount,
    FreeSwitch,
    FreeSwitchAccount,
)
from offhook.carriers.services.genesys import Genesys, GenesysAccount
from offhook.carriers.services.genesys.signature import COMPONENTS, sign
from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import Direct
from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd, Order, Tongue
from offhook.testing.carriers.service import FakeService

SLIN: Final = 0x10

MEDIA: Final = [
    {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000},
    {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000},
]
"""What a fake Genesys offers."""

PING_FRAMES: Final = 250
"""Between a fake Genesys' pings: 5 s, the first after one."""


class FakeDirect(FakeService):
    """What they have in common: a call is a socket."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._calls = 0
        self._spare: list[asyncio.Task[None]] = []

    @abstractmethod
    def handshake(self, call: str) -> Request:
        """Make the request that opens a socket."""

    @abstractmethod
    def service(self) -> Direct:
        """Give our side's end of it."""

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller, unless the socket is closed at once. DialFailed (480) where it is."""
        self._calls += 1
        call = str(UUID(int=self._calls, version=4))
        end = self.dial_socket(call, self.tongue(call), self.handshake(call))
        end.on_close = lambda: self._parted(end)
        await asyncio.sleep(self.rtt_s + 0.05)
        if not end.open:
            raise DialFailed(480, "the socket was closed")
        return self.caller(end)

    def _parted(self, end: FarEnd) -> None:
        """End a call that our side has said goodbye to: the socket is closed by the service."""
        end.finish()
        self._spare.append(asyncio.ensure_future(self.socket_ends(end)))

    async def api(self, order: ApiCall) -> ApiReply:
        """Have no API."""
        return ApiReply(404)

    async def hung_up(self, end: FarEnd) -> None:
        """Say goodbye and close the socket."""
        await self.socket_ends(end)

    async def left_alone(self, end: FarEnd) -> None:
        """End the call whose socket our side has closed."""
        end.finish()


class GenesysTongue:
    """Genesys' side of one session."""

    heard = ours = Encoding()

    def __init__(self, call: str) -> None:
        self._call = call
        self._seq = 0
        self._theirs = 0
        self._why = "end"
        self._open = False
        self._sent = self._pinged = 0

    def _message(self, type: str, **parameters: Any) -> str:
        self._seq += 1
        said = {"version": "2", "id": self._call, "type": type, "seq": self._seq, "serverseq": self._theirs}
        return json.dumps({**said, "position": f"PT{self._sent / 50}S", "parameters": parameters})

    def begins(self) -> Sequence[Frame]:
        """Give `open`."""
        party = {"id": self._call, "ani": "tel:+15550001111", "aniName": "Ada", "dnis": "tel:+15552223333"}
        return (
            self._message("open", organizationId=self._call, conversationId=self._call, participant=party, media=MEDIA),
        )

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio, once the session is open, and a ping each five seconds."""
        if not self._open:
            return ()
        self._sent += 1
        if self._sent % PING_FRAMES != 50:
            return (payload,)
        self._pinged = self._seq + 1
        return (self._message("ping"), payload)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (self._message("dtmf", digit=key),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Say nothing: there are no marks."""
        return ()

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Give `close`."""
        return (self._message("close", reason=self._why),)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what Genesys takes. AssertionError for anything else."""
        if isinstance(frame, bytes):
            assert len(frame) >= 1600, "Genesys answers 429 to short messages"
            return (Order("sound", frame),)
        said = json.loads(frame)
        assert said.keys() == {"version", "id", "type", "seq", "clientseq", "parameters"}, "not as Genesys has it"
        assert (said["version"], said["id"]) == ("2", self._call), "another session"
        assert said["seq"] == self._theirs + 1, "a message out of its number"
        assert 0 < said["clientseq"] <= self._seq, "it has seen what was not said"
        self._theirs = said["seq"]
        match said["type"]:
            case "opened":
                (media,) = said["parameters"]["media"]
                assert media in MEDIA, "none of those that were offered"
                self._open = True
                return (Order("other", text="opened"),)
            case "event" if said["parameters"]["entities"][0]["type"] == "barge_in":
                return (Order("clear"),)
            case "disconnect":
                self._why = "disconnect"
                return (Order("part"),)
            case "closed":
                return (Order("close"),)
            case "pong":
                assert said["clientseq"] == self._pinged, "a pong to no ping"
                return ()
            case other:
                raise AssertionError(f"Genesys knows no {other}")


class FakeGenesys(FakeDirect):
    """An Audio Connector at a fake Genesys."""

    KEY: Final = "a-fake-api-key"
    SECRET: Final = b64encode(b"a fake client secret").decode()

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets: Mapping[str, str] = {"GENESYS_API_KEY": self.KEY, "GENESYS_CLIENT_SECRET": self.SECRET}

    def service(self) -> Direct:
        """Give our integration."""
        return Genesys(GenesysAccount(self.KEY, self.SECRET))

    def tongue(self, call: str) -> Tongue:
        """Give Genesys' side of a session."""
        return GenesysTongue(call)

    def handshake(self, call: str) -> Request:
        """Make a signed handshake."""
        path = "/services/genesys/media/audio"
        headers = {
            "audiohook-organization-id": call,
            "audiohook-session-id": call,
            "audiohook-correlation-id": call,
            "x-api-key": self.KEY,
        }
        values = {"@request-target": path, "@authority": urlsplit(self.public).netloc, **headers}
        signed = {name: values[name] for name in COMPONENTS}
        now = int(self.wall_s)
        said, given = sign(signed, self.KEY, self.SECRET, f"{self._rng.getrandbits(64):x}", now, now + 10)
        return Request(
            "GET",
            path,
            {**headers, "signature-input": said, "signature": given, "upgrade": "websocket"},
            peer="203.0.113.9",
        )


class FreeSwitchTongue:
    """FreeSWITCH's side of one socket of mod_audio_stream."""

    def __init__(self, call: str, rate_hz: int) -> None:
        self.heard = self.ours = Encoding("L16", rate_hz)
        self._call = call

    def begins(self) -> Sequence[Frame]:
        """Give the metadata of the command."""
        return (json.dumps({"call": self._call, "caller": "+15550001111", "called": "+15552223333"}),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return (turned(payload),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key, as a dialplan may."""
        return (json.dumps({"event": "dtmf", "digit": key}),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Say nothing: there are no marks."""
        return ()

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Say nothing: the socket ends."""
        return ()

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what it takes: audio alone. AssertionError for anything else."""
        assert isinstance(frame, bytes), "text"
        return (Order("sound", turned(frame)),)


class FakeFreeSwitch(FakeDirect):
    """A fake FreeSWITCH."""

    SECRET: Final = "aFakeSecretOf24Characters"  # noqa: S105 - of a fake

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets: Mapping[str, str] = {"FREESWITCH_SECRET": self.SECRET}

    def service(self) -> Direct:
        """Give our side."""
        return FreeSwitch(FreeSwitchAccount(self.SECRET))

    def tongue(self, call: str) -> Tongue:
        """Give its side of a socket."""
        return FreeSwitchTongue(call, 16000)

    def handshake(self, call: str) -> Request:
        """Make the handshake of a socket to our secret address."""
        headers = {"upgrade": "websocket"}
        return Request("GET", f"/services/freeswitch/media/{self.SECRET}", headers, peer="192.0.2.8")


class AudioSocketTongue:
    """Asterisk's side of one AudioSocket."""

    heard = ours = Encoding("L16", 8000)

    def __init__(self, call: str) -> None:
        self._call = call
        self._splitter = Splitter()

    def begins(self) -> Sequence[Frame]:
        """Give the UUID."""
        return (framed(NAME, uuid5(NAMESPACE_OID, self._call).bytes),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return (framed(SLIN, turned(payload)),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (framed(KEY, key.encode()),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Say nothing: there are no marks."""
        return ()

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Hang up."""
        return (framed(HANGUP),)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read frames. AssertionError for what Asterisk would end the call for."""
        assert isinstance(frame, bytes), "text"
        orders: list[Order] = []
        for one in self._splitter.push(frame):
            if one[0] == HANGUP:
                orders.append(Order("close"))
            else:
                assert (one[0], len(one)) == (SLIN, 323), "20 ms of slin"
                orders.append(Order("sound", turned(one[3:])))
        return orders


class FakeAudioSocket(FakeDirect):
    """A fake Asterisk with AudioSocket. `place` is where it connects, where it is called for real."""

    def __init__(self, app: Any, *, place: str = "127.0.0.1:9092", **options: Any) -> None:
        super().__init__(app, **options)
        self.place = place

    def service(self) -> Direct:
        """Give our side."""
        return AudioSocket(AudioSocketAccount())

    def tongue(self, call: str) -> Tongue:
        """Give its side of a connection."""
        return AudioSocketTongue(call)

    def handshake(self, call: str) -> Request:
        """Come from this machine."""
        return Request("GET", self.place, {}, peer="127.0.0.1")


class AsteriskTongue:
    """Asterisk's side of one socket of its websocket channel: control in JSON."""

    def __init__(self, call: str, format: str = "ulaw") -> None:
        self._call = call
        self._format = format
        self.heard = self.ours = FORMATS[format]
        self._frame = 20 * self.ours.bytes_per_ms
        self.silence: Final = bytes(self._frame) if self.ours.codec == "L16" else b"\xff" * self._frame

    def begins(self) -> Sequence[Frame]:
        """Give MEDIA_START."""
        how: dict[str, Any] = {"format": self._format, "optimal_frame_size": self._frame, "ptime": 20}
        named = {"connection_id": self._call, "channel": "WebSocket/offhook"}
        return (self._event("MEDIA_START", **named, **how, channel_variables={}),)

    def _event(self, event: str, **more: Any) -> str:
        return json.dumps({"event": event, "channel_id": f"fake-{self._call}", **more})

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return (turned(payload) if self.ours.codec == "L16" else payload,)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (self._event("DTMF_END", digit=key, duration_ms=120),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a mark back that was played; one that was flushed is gone."""
        return () if cleared else (self._event("MEDIA_MARK_PROCESSED", correlation_id=mark),)

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Say nothing: the socket ends."""
        return ()

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what Asterisk takes. AssertionError for anything else."""
        if isinstance(frame, bytes):
            assert len(frame) % self._frame == 0, "Asterisk loses what is no whole frame"
            return (Order("sound", turned(frame) if self.ours.codec == "L16" else frame),)
        said = json.loads(frame)
        match said["command"]:
            case "MARK_MEDIA":
                return (Order("mark", text=str(said["correlation_id"])),)
            case "FLUSH_MEDIA":
                return (Order("clear"),)
            case "HANGUP":
                return (Order("close"),)
            case other:
                raise AssertionError(f"Asterisk knows no {other}")


class FakeAsterisk(FakeDirect):
    """A fake Asterisk that calls us by its websocket channel."""

    USER: Final = "offhook"
    PASSWORD: Final = "a-fake-password"  # noqa: S105 - of a fake

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets: Mapping[str, str] = {"ASTERISK_PASSWORD": self.PASSWORD}

    def service(self) -> Direct:
        """Give our side."""
        return AsteriskSocket(AsteriskSocketAccount(self.USER, self.PASSWORD))

    def tongue(self, call: str) -> Tongue:
        """Give its side of a socket."""
        return AsteriskTongue(call)

    def handshake(self, call: str) -> Request:
        """Make the handshake of its client."""
        headers = {"upgrade": "websocket", "authorization": basic(self.USER, self.PASSWORD)}
        return Request("GET", "/services/asterisk/media/audio", headers, peer="192.0.2.9")
