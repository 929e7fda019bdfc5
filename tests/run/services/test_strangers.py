"""What strangers try at the switchboard, and what comes of it: nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import offhook
from carriers.clerk import live
from offhook.carriers.services.http import Request, Response
from offhook.carriers.services.service import Direct, Service
from offhook.carriers.services.table import make
from offhook.run.services import Switchboard
from offhook.testing.carriers import FAKES
from offhook.testing.carriers.service import FakeService
from offhook.testing.carriers.twilio import FakeTwilio


async def answers(call: offhook.Call) -> None:
    await call.say("hello")
    await asyncio.Event().wait()


def board_of(phone: FakeService) -> Switchboard:
    assert isinstance(phone.board, Switchboard)
    return phone.board


def vonage_without_signed_sockets() -> Service | Direct:
    pem = generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    account = {"application_id": "a", "private_key": pem.decode(), "signature_secret": "s", "signed_sockets": False}
    return make("vonage", account)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["jambonz", "signalwire", "telnyx", "twilio", "vonage"])
def test_a_webhook_that_calls_itself_a_socket_is_none(name: str, method: str) -> None:
    async def main() -> None:
        async with FAKES[name](answers) as phone:
            board = board_of(phone)
            if name == "vonage":
                service = vonage_without_signed_sockets()
                assert not isinstance(service, Direct)
                board.services[name] = service
            said = {"uuid": "u", "from": "15550001111", "to": "15552223333", "call_sid": "c", "CallSid": "C"}
            headers: Mapping[str, str] = {"upgrade": "websocket", "content-type": "application/json"}
            target = f"/services/{name}/voice?" + "&".join(f"{key}={value}" for key, value in said.items())
            reply = await board.hook(name, "voice", Request(method, target, headers, json.dumps(said).encode()))
            assert reply.status in (400, 401, 403)
            assert board.host.live == 0
            assert not phone.events

    live(main)


def test_a_token_is_not_used_up_at_another_service() -> None:
    async def main() -> None:
        async with FakeTwilio(answers) as phone:
            board = board_of(phone)
            telnyx = FAKES["telnyx"](None).service()
            assert not isinstance(telnyx, Direct)
            board.services["telnyx"] = telnyx
            said = {"CallSid": "CA1", "From": "+15550001111", "To": "+15552223333", "CallStatus": "ringing"}
            reply = await phone.hook(phone.form("/services/twilio/voice", said))
            stream = ET.fromstring(reply.body).find("Connect/Stream")
            assert stream is not None
            url = stream.attrib["url"]
            token = url.rpartition("/")[2]
            stranger = Request("GET", f"/services/telnyx/media/{token}", {"upgrade": "websocket"})
            refused = board.socket("telnyx", token, stranger)
            assert isinstance(refused, Response)
            assert refused.status == 403
            assert not isinstance(board.socket("twilio", token, phone.handshake(url)), Response)

    live(main)
