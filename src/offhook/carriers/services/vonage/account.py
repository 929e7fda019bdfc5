"""What we know of an account at Vonage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from offhook.core.errors import ConfigError

RATES: Final = (8000, 16000, 24000)


@dataclass(frozen=True, slots=True)
class VonageAccount:
    """An application at Vonage, and the account that it is of.

    `private_key` is the application's, as PEM; `signature_secret` the account's, with which Vonage signs what it sends
    us. `api` is the region's host. `rate_hz` is the rate of the audio. `signed_sockets`: have Vonage sign the handshake
    of its media sockets too; without that only the token in their path says that they are Vonage's. `way`: calls come
    as audio, or as words, turn by turn (`talk` and `input`); then Vonage hears and speaks `language`.
    """

    application_id: str
    private_key: str = field(repr=False)
    signature_secret: str = field(repr=False)
    api_key: str = ""
    api: str = "https://api.nexmo.com"
    rate_hz: Literal[8000, 16000, 24000] = 16000
    signed_sockets: bool = True
    way: Literal["stream", "turns"] = "stream"
    language: str = "en-US"

    def __post_init__(self) -> None:
        """Say at once what can't work. ConfigError."""
        if self.rate_hz not in RATES:
            raise ConfigError(f"vonage: rate_hz is one of 8000, 16000 and 24000, and {self.rate_hz} is none")
