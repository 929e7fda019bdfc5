"""What jambonz signs, judged by its own kit; whatever was changed is refused.

| of a webhook                | signed | what covers it otherwise                                       |
|-----------------------------|--------|----------------------------------------------------------------|
| the instant                 | yes    |                                                                |
| the body                    | yes    |                                                                |
| method, path, query, others | no     | the token in the path, the window; a target in a URL is vouched |
"""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from jambonz_sdk.webhook import verify_signature_middleware

from carriers.services.hostile import one_byte_changes
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.jambonz import Jambonz, JambonzAccount
from offhook.carriers.services.jambonz.signature import sign
from offhook.core.errors import ConfigError

NOW_S = 1_800_000_000
BODY = b'{"call_sid":"c-1","from":"+15550100","to":"+15550111"}'
ACCOUNT = JambonzAccount("acc-1", "the api key", "the webhook secret", "the socket password")
SERVICE = Jambonz(ACCOUNT)


def webhook(signature: str, body: bytes = BODY) -> Request:
    return Request("POST", "/services/jambonz/voice", {"jambonz-signature": signature}, body)


def refused(request: Request, service: Jambonz = SERVICE) -> Unsigned:
    with pytest.raises(Unsigned) as error:
        service.verify(request, "https://offhook.example", NOW_S)
    assert error.value.code in (401, 403)
    return error.value


def test_jambonz_takes_what_we_sign_as_jambonz_does():
    now_s = int(time.time())
    assert verify_signature_middleware(BODY, sign(BODY, ACCOUNT.webhook_secret, now_s), ACCOUNT.webhook_secret)
    SERVICE.verify(webhook(sign(BODY, ACCOUNT.webhook_secret, now_s)), "", now_s)


def test_one_of_several_signatures_is_enough():
    other, ours = (sign(BODY, secret, NOW_S) for secret in ("an old one", ACCOUNT.webhook_secret))
    SERVICE.verify(webhook(f"{other},{ours.partition(',')[2]}"), "", NOW_S)


def test_every_change_to_the_signature_or_the_body_is_refused():
    signature = sign(BODY, ACCOUNT.webhook_secret, NOW_S)
    for changed in one_byte_changes(signature.encode()):
        if changed != signature.encode():
            refused(webhook(changed.decode("latin-1")))
    for changed in one_byte_changes(BODY):
        if changed != BODY:
            refused(webhook(signature, changed))


@pytest.mark.parametrize("at_s", [NOW_S - 301, NOW_S + 301])
def test_a_signature_is_of_now(at_s):
    assert "clock" in refused(webhook(sign(BODY, ACCOUNT.webhook_secret, at_s))).hint


@pytest.mark.parametrize("header", ["", "t=1", "v1=", "t=,v1=", ",,,=,=", "x" * 9000, "t=1,v1=é"])
def test_what_is_no_signature_is_refused(header):
    refused(webhook(header))


def test_an_empty_secret_checks_nothing():
    empty = Jambonz(replace(ACCOUNT, webhook_secret="", socket_password=""))
    refused(webhook(sign(BODY, "", NOW_S)), empty)
    refused(Request("GET", "/", {"upgrade": "websocket", "authorization": "Basic b2ZmaG9vazo="}), empty)


def test_a_socket_proves_itself_by_its_password():
    given = "Basic " + b64encode(b"offhook:the socket password").decode()
    SERVICE.verify(Request("GET", "/", {"upgrade": "websocket", "authorization": given}), "", NOW_S)
    assert refused(Request("GET", "/", {"upgrade": "websocket"})).code == 401
    for changed in one_byte_changes(given.encode()):
        if changed != given.encode():
            refused(Request("GET", "/", {"upgrade": "websocket", "authorization": changed.decode("latin-1")}))


def test_a_rate_that_jambonz_has_not_is_said():
    rate_hz: Any = 44100
    with pytest.raises(ConfigError):
        replace(ACCOUNT, rate_hz=rate_hz)


def test_secrets_are_in_no_text():
    assert "the " not in repr(ACCOUNT)
