"""FreeSWITCH and Asterisk, whose calls come by their media sockets alone (`services.service.Direct`).

    handshake ─► verify ─► Dialect ─► Started ─► a call ─► the agent takes it ─► audio both ways

FreeSWITCH and AudioSocket prove nothing of themselves: a secret in the path, or the network that they come from, stands
for them. Asterisk's websocket channel has a user and a password.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from offhook.carriers.services.asterisk.audiosocket import CARRIAGE as AUDIOSOCKET
from offhook.carriers.services.asterisk.audiosocket import AudioSocketDialect
from offhook.carriers.services.asterisk.websocket import CARRIAGE as CHANNEL
from offhook.carriers.services.asterisk.websocket import WebSocketDialect, check
from offhook.carriers.services.freeswitch import FORK, STREAM, AudioForkDialect, AudioStreamDialect
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.service import Direct
from offhook.carriers.services.stream import Dialect
from offhook.core.carriage import Carriage
from offhook.core.errors import ConfigError

SECRET_LEAST = 16
"""Characters of a secret in a path."""


@dataclass(frozen=True, slots=True)
class FreeSwitchAccount:
    """A FreeSWITCH. `secret` is the last part of the address that its dialplan opens; `module` is what opens it.

    `rate_hz` is what the command asks for.
    """

    secret: str = field(repr=False)
    module: Literal["audio_stream", "audio_fork"] = "audio_stream"
    rate_hz: Literal[8000, 16000] = 16000

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_LEAST or not self.secret.isalnum():
            raise ConfigError(f"services.freeswitch.secret: letters and digits, {SECRET_LEAST} at least")


@dataclass(frozen=True, slots=True)
class FreeSwitch(Direct):
    """A FreeSWITCH that streams the audio of its calls to us."""

    account: FreeSwitchAccount
    name: str = "freeswitch"

    @property
    def is_near(self) -> bool:
        """Say that it is a machine of ours."""
        return True

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return STREAM if self.account.module == "audio_stream" else FORK

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check the secret in the path."""
        given = request.path.rpartition("/")[2].encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.account.secret.encode()):
            raise Unsigned("another secret in the path", hint="is it services.freeswitch.secret?")

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        kind = AudioStreamDialect if self.account.module == "audio_stream" else AudioForkDialect
        return kind(self.account.rate_hz)


@dataclass(frozen=True, slots=True)
class AudioSocketAccount:
    """Where an Asterisk connects (`AudioSocket(uuid,host:port)`), from which `networks`, and at which rate it sends."""

    listen: str = "127.0.0.1:9092"
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    rate_hz: Literal[8000, 16000] = 8000

    def __post_init__(self) -> None:
        try:
            [ip_network(network) for network in self.networks]
        except ValueError as error:
            raise ConfigError(f"services.audiosocket.networks: {error}") from None


@dataclass(frozen=True, slots=True)
class AudioSocket(Direct):
    """An Asterisk that brings its calls over TCP, each with a UUID in front."""

    account: AudioSocketAccount
    name: str = "audiosocket"

    @property
    def is_near(self) -> bool:
        """Say that it is a machine of ours."""
        return True

    @property
    def carriage(self) -> Carriage:
        """How audio goes there."""
        return AUDIOSOCKET

    @property
    def listen(self) -> str:
        """Where it connects."""
        return self.account.listen

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check the network that it comes from."""
        if not _inside(request.peer, self.account.networks):
            raise Unsigned(f"{request.peer} is not in services.audiosocket.networks")

    def dialect(self) -> Dialect:
        """Give what one connection speaks."""
        return AudioSocketDialect(self.account.rate_hz)


@dataclass(frozen=True, slots=True)
class AsteriskSocketAccount:
    """The section of `websocket_client.conf` by which an Asterisk opens sockets to us: its user and its password."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.password:
            raise ConfigError("services.asterisk.password: it is needed: nothing else says that it is your Asterisk")


@dataclass(frozen=True, slots=True)
class AsteriskSocket(Direct):
    """An Asterisk whose dialplan calls us by its websocket channel: `Dial(WebSocket/offhook/c(ulaw)f(json))`."""

    account: AsteriskSocketAccount
    name: str = "asterisk"

    @property
    def is_near(self) -> bool:
        """Say that it is a machine of ours."""
        return True

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return CHANNEL

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check user and password."""
        check(self.account.user, self.account.password, request)

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        return WebSocketDialect()


def _inside(ip: str, networks: Sequence[str]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in networks)
