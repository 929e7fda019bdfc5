"""What we know of an account at Vonage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class VonageAccount:
    """An application at Vonage, and the account that it is of.

    `private_key` is the application's, as PEM; `signature_secret` the account's, with which Vonage signs what it sends
    us. `api` is the region's host. `rate_hz` is the rate of the audio. `signed_sockets`: have Vonage sign the handshake
    of its media sockets too; without that only the token in their path says that they are Vonage's.
    """

    application_id: str
    private_key: str = field(repr=False)
    signature_secret: str = field(repr=False)
    api_key: str = ""
    api: str = "https://api.nexmo.com"
    rate_hz: Literal[8000, 16000, 24000] = 16000
    signed_sockets: bool = True
