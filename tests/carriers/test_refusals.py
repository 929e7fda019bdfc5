"""Who serves with another account's secret, or another clock, is told which key of the file to look at."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carriers.newcomer import block
from carriers.test_service_pages import for_this_machine, page_of
from offhook.carriers.services.http import Request, Unsigned
from offhook.run.config import load, services_of
from offhook.testing.carriers import FAKES

PUBLIC = "http://127.0.0.1:8080"
OTHER = b64encode(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()).decode()
KEYS = {
    "exotel": ("EXOTEL_PASSWORD", "services.exotel.password"),
    "genesys": ("GENESYS_CLIENT_SECRET", "services.genesys.client_secret"),
    "jambonz": ("JAMBONZ_WEBHOOK_SECRET", "services.jambonz.webhook_secret"),
    "plivo": ("PLIVO_AUTH_TOKEN", "services.plivo.auth_token"),
    "signalwire": ("SIGNALWIRE_SIGNING_KEY", "services.signalwire.signing_key"),
    "telnyx": ("TELNYX_PUBLIC_KEY", "services.telnyx.public_key"),
    "texml": ("TELNYX_PUBLIC_KEY", "services.telnyx.public_key"),
    "twilio": ("TWILIO_AUTH_TOKEN", "services.twilio.token"),
    "vonage": ("VONAGE_SIGNATURE", "services.vonage.signature_secret"),
}


class Enough(Exception):
    """The first request is all that is wanted."""


class Caught:
    """In the place of a server: keeps the first thing that a service asks."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def hook(self, name: str, rest: str, request: Request) -> NoReturn:
        self.asked.append(request)
        raise Enough

    def socket(self, name: str, token: str, request: Request) -> NoReturn:
        self.asked.append(request)
        raise Enough


def refusal(
    one: str, folder: Path, monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str], later_s: float = 0
) -> Unsigned:
    """Have a fake service call who serves as its page says, with other secrets or at another time."""
    name, section = page_of(one)
    fake = FAKES[one](PUBLIC)
    text = for_this_machine(block(name, "toml", section), name, fake, PUBLIC, "http://127.0.0.1:9")
    (folder / "offhook.toml").write_text(text, encoding="utf-8")
    for key, value in {**fake.secrets, **secrets}.items():
        monkeypatch.setenv(key, value)
    (service,) = services_of(load(folder / "offhook.toml"), [name])
    caught = Caught()

    async def main() -> None:
        async with fake:
            fake.board = caught  # type: ignore[assignment]
            with suppress(Enough):
                await fake.call()

    asyncio.run(main())
    with pytest.raises(Unsigned) as refused:
        service.verify(caught.asked[0], PUBLIC, time.time() + later_s)
    return refused.value


@pytest.mark.parametrize("one", KEYS)
def test_a_secret_of_another_account_is_named_by_its_key(
    one: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, key = KEYS[one]
    wrong = OTHER if variable == "TELNYX_PUBLIC_KEY" else "c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U="
    assert key in refusal(one, tmp_path, monkeypatch, {variable: wrong}).hint


@pytest.mark.parametrize("one", ["genesys", "jambonz", "telnyx", "vonage"])
@pytest.mark.parametrize("off_s", [1000, -1000])
def test_a_clock_that_is_off_is_said_and_how_it_is_set(
    one: str, off_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refusal(one, tmp_path, monkeypatch, {}, off_s)
    assert "timedatectl" in refused.hint, str(refused)
