"""What Vonage signs and what we sign for it, judged by Vonage's own kit; whatever was changed is refused.

| of a webhook                    | signed | what covers it otherwise                         |
|---------------------------------|--------|--------------------------------------------------|
| the token: header, claims, mark | yes    |                                                  |
| the body                        | yes    |                                                  |
| method, path, query             | no     | a token's name is good for one request           |
| headers                         | no     | nothing is read of them                          |
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import Any

import jwt
import pytest
import vonage_jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from carriers.services.hostile import VALUES, one_byte_changes
from offhook.carriers.services.http import ApiCall, Request, Unsigned
from offhook.carriers.services.vonage import Vonage, VonageAccount, signature
from offhook.carriers.services.vonage.signature import TOKEN_LIMIT, payload_hash, signed_token
from offhook.core.errors import ConfigError

NOW_S = 1_800_000_000
SECRET = "the secret of the account, with which Vonage signs all that it sends us"
BODY = b'{"from":"447700900000","to":"447700900001","uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}'
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ACCOUNT = VonageAccount("app-1", PEM, SECRET, api_key="abcd1234")
SERVICE = Vonage(ACCOUNT)


def claims(**more: Any) -> dict[str, Any]:
    told = {"iat": NOW_S, "jti": "c5ba8f24", "iss": "Vonage", "payload_hash": payload_hash(BODY), "api_key": "abcd1234"}
    return {name: one for name, one in {**told, "application_id": "app-1", **more}.items() if one is not None}


def webhook(token: str, body: bytes = BODY, headers: dict[str, str] | None = None) -> Request:
    sent = {"authorization": f"Bearer {token}", **(headers or {})}
    return Request("POST", "/services/vonage/voice?x=1", sent, body)


def refused(request: Request, service: Vonage | None = None) -> Unsigned:
    with pytest.raises(Unsigned) as error:
        (service or Vonage(ACCOUNT)).verify(request, "https://offhook.example", NOW_S)
    assert error.value.code in (401, 403)
    return error.value


def accept(request: Request, service: Vonage | None = None) -> None:
    (service or Vonage(ACCOUNT)).verify(request, "https://offhook.example", NOW_S)


def test_what_vonage_signs_is_taken():
    accept(webhook(jwt.encode(claims(), SECRET, algorithm="HS256")))


def test_vonage_takes_what_we_sign_as_vonage_does():
    token = signed_token(claims(), SECRET)
    accept(webhook(token))
    assert jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_iat": False}) == claims()


def test_the_kit_of_vonage_takes_a_token_of_its_own_time():
    token = signed_token({"iat": 1_587_494_962, "jti": "c5ba8f24"}, SECRET)
    assert vonage_jwt.verify_signature(token, SECRET)
    assert not vonage_jwt.verify_signature(token, SECRET[::-1])


def test_a_web_token_of_another_hand_is_the_same():
    # The example of RFC 7515 appendix A.1, whose secret is bytes: its signature is computed as ours are.
    message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    assert json.loads(urlsafe_b64decode(message))["alg"] == "HS256"
    theirs = jwt.encode({"iat": NOW_S, "jti": "1"}, SECRET, algorithm="HS256", headers={"kid": "1"})
    accept(Request("GET", "/services/vonage/voice?uuid=1", {"authorization": f"Bearer {theirs}"}))


def test_every_change_to_the_token_is_refused():
    token = signed_token(claims(), SECRET).encode()
    for changed in one_byte_changes(token):
        if changed != token:
            refused(webhook(changed.decode("latin-1")))


def test_every_change_to_the_body_is_refused():
    token = signed_token(claims(), SECRET)
    for changed in one_byte_changes(BODY):
        if changed != BODY:
            refused(webhook(token, changed))


def test_a_body_that_is_gone_is_refused():
    token = signed_token(claims(), SECRET)
    refused(webhook(token, b""))
    refused(replace(webhook(token, b""), method="PUT"))
    accept(webhook(signed_token(claims(payload_hash=payload_hash(b"")), SECRET), b""))


def test_what_is_not_signed_may_differ():
    token = signed_token(claims(), SECRET)
    accept(replace(webhook(token), target="/elsewhere", method="PUT", peer="192.0.2.1"))
    accept(webhook(token, headers={"x-more": "1"}))


def test_a_token_is_good_for_one_request_and_for_the_same_again():
    service = Vonage(ACCOUNT)
    bare = signed_token(claims(payload_hash=None), SECRET)
    asked = Request("GET", "/services/vonage/voice?uuid=1&from=2", {"authorization": f"Bearer {bare}"})
    accept(asked, service)
    accept(asked, service)  # Vonage asks again where it has heard nothing
    for target in ("/services/vonage/voice?uuid=2&from=2", "/services/vonage/status?uuid=1&from=2"):
        assert refused(replace(asked, target=target), service).code == 403
    refused(replace(asked, method="POST", body=BODY), service)
    accept(asked, service)


def test_a_token_that_signs_a_body_is_not_good_at_another_address():
    service = Vonage(ACCOUNT)
    told = replace(webhook(signed_token(claims(), SECRET)), target="/services/vonage/status")
    accept(told, service)
    refused(replace(told, target="/services/vonage/voice"), service)


def test_a_query_is_vouched_for_by_a_token_with_a_name_alone():
    for name in (None, "", []):
        token = signed_token(claims(payload_hash=None, jti=name), SECRET)
        refused(Request("GET", "/services/vonage/voice?uuid=1", {"authorization": f"Bearer {token}"}))
        accept(webhook(signed_token(claims(jti=name), SECRET)))


def forged(header: dict[str, Any], key: str | bytes = b"", algorithm: str | None = None) -> str:
    if algorithm:
        return jwt.encode(claims(), key, algorithm=algorithm, headers=header)
    parts = [json.dumps(one).encode() for one in (header, claims())]
    return ".".join(urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts) + "."


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS256", "RS256", ""])
def test_a_token_without_a_signature_is_refused(algorithm):
    refused(webhook(forged({"alg": algorithm, "typ": "JWT"})))


def test_another_algorithm_is_refused_even_with_the_right_secret():
    refused(webhook(jwt.encode(claims(), PEM, algorithm="RS256")))
    refused(webhook(jwt.encode(claims(), SECRET, algorithm="HS512")))
    for algorithm in ("none", "RS256", "HS512", "hs256", ""):
        refused(webhook(signed_token(claims(), SECRET, algorithm)))


def test_the_public_key_is_no_secret():
    refused(webhook(signed_token(claims(), PUBLIC)))
    refused(webhook(signed_token(claims(), PUBLIC, "RS256")))


@pytest.mark.parametrize("secret", ["", "another"])
def test_another_secret_is_refused_and_none_checks_nothing(secret):
    refused(webhook(signed_token(claims(), secret)))
    refused(webhook(signed_token(claims(), "")), Vonage(replace(ACCOUNT, signature_secret="")))


@pytest.mark.parametrize("iat", [NOW_S - 301, NOW_S + 301, None, "now", 1 << 80, 10**400, float("nan"), True])
def test_a_token_is_of_now(iat):
    refused(webhook(signed_token(claims(iat=iat), SECRET)))


@pytest.mark.parametrize("iat", [NOW_S - 300, NOW_S + 300, NOW_S + 0.5])
def test_five_minutes_are_now(iat):
    accept(webhook(signed_token(claims(iat=iat), SECRET)))


def test_a_stale_clock_is_said_to_the_operator():
    assert "clock" in refused(webhook(signed_token(claims(iat=NOW_S - 3600), SECRET))).hint
    assert "secret" in refused(webhook(signed_token(claims(), "another"))).hint


@pytest.mark.parametrize("name", ["iss", "api_key", "application_id"])
@pytest.mark.parametrize("value", ["another", *VALUES])
def test_a_token_of_another_account_is_refused(name, value):
    if value is not None:
        refused(webhook(signed_token(claims(**{name: value}), SECRET)))


@pytest.mark.parametrize("value", VALUES)
def test_a_body_needs_its_hash(value):
    refused(webhook(signed_token(claims(payload_hash=value), SECRET)))


def test_a_token_that_ran_out_is_refused():
    refused(webhook(signed_token(claims(exp=NOW_S - 1), SECRET)))
    accept(webhook(signed_token(claims(exp=NOW_S + 1), SECRET)))


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer " + "." * 20, "Bearer " + "x" * TOKEN_LIMIT + "y"],
)
def test_what_is_no_token_is_refused(authorization):
    error = refused(Request("POST", "/", {"authorization": authorization}, BODY))
    assert error.code in (401, 403)


@pytest.mark.parametrize("message", ["e30", "bm90IGpzb24.e30", "e30.bm90IGpzb24", "é.e30", "%.%", "", "A.A", "e30.W10"])
def test_a_signed_message_that_is_no_token_is_refused(message):
    refused(webhook(f"{message}.{signature._signature(message, SECRET)}"))


def test_a_socket_is_signed_unless_the_account_says_otherwise():
    handshake = Request("GET", "/services/vonage/media/token", {"upgrade": "websocket"})
    assert refused(handshake).code == 401
    token = signed_token(claims(payload_hash=None), SECRET)
    accept(replace(handshake, headers={"upgrade": "WebSocket", "authorization": f"Bearer {token}"}))
    accept(handshake, Vonage(replace(ACCOUNT, signed_sockets=False)))


def test_what_we_ask_carries_a_token_that_vonage_can_check():
    asked = SERVICE.authorize(ApiCall.json("POST", "https://api.nexmo.com/v1/calls", {}), NOW_S, "nonce-1")
    token = asked.headers["authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    told = jwt.decode(token, PUBLIC, algorithms=["RS256"], options={"verify_iat": False, "verify_exp": False})
    assert told == {"application_id": "app-1", "iat": NOW_S, "jti": "nonce-1", "exp": NOW_S + 300}
    theirs = vonage_jwt.JwtClient("app-1", PEM).generate_application_jwt(
        {"iat": NOW_S, "jti": "nonce-1", "exp": NOW_S + 300}
    )
    again = jwt.decode(theirs, PUBLIC, algorithms=["RS256"], options={"verify_iat": False, "verify_exp": False})
    assert again == told
    assert asked.headers["content-type"] == "application/json"


def test_a_key_that_is_none_is_said():
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in ("", "a path.key", other.decode()):
        with pytest.raises(ConfigError):
            Vonage(replace(ACCOUNT, private_key=pem)).authorize(ApiCall("GET", "https://x"), NOW_S, "1")


def test_a_rate_that_vonage_has_not_is_said():
    rate_hz: Any = 44100
    with pytest.raises(ConfigError):
        replace(ACCOUNT, rate_hz=rate_hz)


def test_secrets_are_in_no_text():
    assert SECRET not in repr(ACCOUNT)
    assert "PRIVATE KEY" not in repr(ACCOUNT)
