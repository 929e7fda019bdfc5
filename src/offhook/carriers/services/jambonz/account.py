"""What we know of an account at jambonz."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from offhook.core.errors import ConfigError

RATES: Final = (8000, 16000, 24000)


@dataclass(frozen=True, slots=True)
class JambonzAccount:
    """An account at jambonz, hosted or one's own.

    `api_key` is for the API, `webhook_secret` signs what comes to us, `socket_user` and `socket_password` are what we
    ask media sockets to prove themselves by. `api` is the API's base URL, `rate_hz` the rate of the audio.
    """

    account_sid: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    socket_password: str = field(repr=False)
    socket_user: str = "offhook"
    api: str = "https://jambonz.cloud/api"
    rate_hz: Literal[8000, 16000, 24000] = 16000

    def __post_init__(self) -> None:
        """Say at once what can't work. ConfigError."""
        if self.rate_hz not in RATES:
            raise ConfigError(f"jambonz: rate_hz is one of 8000, 16000 and 24000, and {self.rate_hz} is none")
