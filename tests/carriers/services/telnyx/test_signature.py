"""Telnyx's signature: its own library, PyNaCl as another signer, every change of one byte, and what comes again."""

from __future__ import annotations

import importlib.util
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from carriers.services.oddities import altered, refused
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.service import Service
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.telnyx.signature import HEADER, TIME, signature
from offhook.core.errors import ConfigError

SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = b64encode(KEY.public_key().public_bytes_raw()).decode()
NOW_S = 1_750_000_000
BASE = "https://a.example"
BODY = b'{"data":{"event_type":"call.initiated","id":"1","payload":{"call_control_id":"v3:x"}}}'


def library() -> Any:
    """Telnyx's own check, without the thousand modules of its API; its clock stands."""
    package = importlib.util.find_spec("telnyx")
    assert package is not None
    assert package.origin is not None
    place = Path(package.origin).parent / "lib" / "webhook_verification.py"
    spec = importlib.util.spec_from_file_location("telnyx_webhook_verification", place)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.time = SimpleNamespace(time=lambda: NOW_S)
    return module


LIBRARY = library()


def service(**more: Any) -> Service:
    return telnyx(TelnyxAccount("KEY1", PUBLIC, account="acc", **more))


def signed(body: bytes = BODY, time: str = str(NOW_S), target: str = "/services/telnyx/voice") -> Request:
    return Request("POST", target, {HEADER: signature(KEY, time, body), TIME: time}, body)


@given(st.text(st.characters(codec="utf-8")), st.integers(NOW_S - 300, NOW_S + 300))
def test_the_library_takes_what_we_sign(body, time):
    request = signed(body.encode(), str(time))
    LIBRARY.verify_webhook_signature(request.body, request.headers, PUBLIC)
    service().verify(request, BASE, NOW_S)


@given(st.binary(), st.integers(NOW_S - 300, NOW_S + 300))
def test_what_the_librarys_signer_signs_we_take(body, time):
    made = SigningKey(SEED).sign(f"{time}|".encode() + body).signature
    headers = {HEADER: b64encode(made).decode(), TIME: str(time)}
    service().verify(Request("POST", "/x", headers, body), BASE, NOW_S)


@pytest.mark.parametrize("time", [NOW_S - 301, NOW_S + 301, 0, 10**11])
def test_what_is_too_old_or_from_the_future_is_refused_as_the_library_does(time):
    request = signed(time=str(time))
    with pytest.raises(LIBRARY.WebhookVerificationError):
        LIBRARY.verify_webhook_signature(request.body, request.headers, PUBLIC)
    with pytest.raises(Unsigned) as error:
        service().verify(request, BASE, NOW_S)
    assert "clock" in error.value.hint


@pytest.mark.parametrize("texml", [False, True])
def test_every_change_of_one_byte_of_what_is_signed_is_refused(texml):
    service(texml=texml).verify(signed(), BASE, NOW_S)
    for changed in altered(signed(), HEADER, TIME):
        if changed.target != signed().target:
            continue
        assert refused(service(texml=texml), changed, BASE, NOW_S), changed


@pytest.mark.parametrize(
    "time", ["", " 1750000000", "1750000000 ", "+1750000000", "01750000000", "1_750_000_000", "１７５"]
)
def test_a_time_is_its_digits(time):
    assert refused(service(), signed(time=time), BASE, NOW_S)


@pytest.mark.parametrize("wrong", ["", "?", "AA==", b64encode(bytes(64)).decode(), "é", "A" * 10**6])
def test_a_signature_of_anything_is_refused(wrong):
    assert refused(service(), Request("POST", "/x", {HEADER: wrong, TIME: str(NOW_S)}, BODY), BASE, NOW_S)


def test_a_query_is_not_signed_so_none_is_taken():
    assert refused(service(texml=True), Request("GET", "/x?CallSid=1", signed(b"").headers), BASE, NOW_S)


def test_what_is_not_signed():
    """The table: the URL. An event says itself what it is, and of which call."""
    service().verify(signed(target="/services/telnyx/elsewhere?a=b"), BASE, NOW_S)
    told = [service().hook(kind, signed()) for kind in ("voice", "status", "machine")]
    assert told[0] == told[1] == told[2]


def test_a_sockets_opening_is_proved_by_its_token_alone():
    service().verify(Request("GET", "/services/telnyx/media/tok", {"upgrade": "websocket"}), BASE, NOW_S)
    for other in (
        "/services/telnyx/voice",
        "/services/telnyx/media/tok/voice",
        "/media",
        "/services/telnyx/x?a=/media/y",
    ):
        assert refused(service(), Request("GET", other, {"upgrade": "websocket"}), BASE, NOW_S), other
    assert refused(service(), Request("POST", "/services/telnyx/media/tok", {"upgrade": "websocket"}), BASE, NOW_S)


def test_without_a_signature_it_is_401():
    with pytest.raises(Unsigned) as error:
        service().verify(Request("POST", "/x", {}, BODY), BASE, NOW_S)
    assert error.value.code == 401


@pytest.mark.parametrize(
    "wrong",
    [{"public_key": "?"}, {"public_key": "AAAA"}, {"public_key": ""}, {"key": ""}, {"codec": "L16"}, {"texml": True}],
)
def test_an_account_that_can_not_work_is_none(wrong):
    with pytest.raises(ConfigError):
        TelnyxAccount(**{"key": "KEY1", "public_key": PUBLIC, **wrong})  # pyright: ignore[reportArgumentType]


def test_no_secret_is_shown():
    assert "KEY1" not in repr(service()) + repr(service(texml=True)) + repr(TelnyxAccount("KEY1", PUBLIC))
