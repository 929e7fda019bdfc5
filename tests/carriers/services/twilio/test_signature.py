"""X-Twilio-Signature: the published examples, Twilio's own library both ways, and every change of one byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from carriers.services.oddities import one_byte_changes, same_form
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.twilio import TwilioAccount, twilio
from offhook.carriers.services.twilio.signature import HEADER, signature
from offhook.core.errors import ConfigError

TOKEN = "12345"
BASE = "https://mycompany.com"
TARGET = "/myapp.php?foo=1&bar=2"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
JSON = b'{"property": "value", "boolean": true}'
JSON_TARGET = TARGET + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


def form(signed: str, fields: Sequence[tuple[str, str]] = FIELDS, target: str = TARGET) -> Request:
    return Request("POST", target, {"content-type": FORM, HEADER: signed}, urlencode(fields).encode())


def verify(request: Request, base: str = BASE) -> None:
    twilio(TwilioAccount("AC1", TOKEN)).verify(request, base, 0.0)


def refused(request: Request, base: str = BASE) -> bool:
    try:
        verify(request, base)
    except Unsigned as error:
        return error.code in (401, 403)
    return False


class Many(dict[str, list[str]]):
    """Fields with several values, as the library takes them."""

    getlist = dict.__getitem__


def many(fields: Sequence[tuple[str, str]]) -> Many:
    return Many({name: [value for other, value in fields if other == name] for name, _ in fields})


# The published examples


@pytest.mark.parametrize(
    ("base", "fields", "signed"),
    [
        ("https://mycompany.com", FIELDS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com:1234", FIELDS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),  # the port is dropped
        ("https://mycompany.com", FIELDS, "kvajT1Ptam85bY51eRf/AJRuM3w="),  # 443 is added
        ("http://mycompany.com", FIELDS, "0ZXoZLH/DfblKGATFgpif+LLRf4="),  # 80 is added
        ("http://mycompany.com:1234", FIELDS, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ("https://user:secret@mycompany.com/", FIELDS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (
            "https://mycompany.com",
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")],
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
    ],
)
def test_the_published_forms_are_taken(base, fields, signed):
    verify(form(signed, fields), base)


@pytest.mark.parametrize(
    ("target", "signed"),
    [
        (JSON_TARGET, "a9nBmqA0ju/hNViExpshrM61xv4="),
        ("/myapp.php?" + JSON_TARGET.rpartition("&")[2], "y77kIzt2vzLz71DgmJGsen2scGs="),
    ],
)
def test_the_published_json_is_taken(target, signed):
    verify(Request("POST", target, {"content-type": "application/json", HEADER: signed}, JSON))


def test_json_without_its_hash_in_the_address_is_refused():
    request = Request(
        "POST", TARGET, {"content-type": "application/json", HEADER: signature(TOKEN, BASE + TARGET)}, JSON
    )
    with pytest.raises(Unsigned, match="the body is not signed"):
        verify(request)


# Twilio's own library

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
values = st.text(st.characters(codec="utf-8"), max_size=12)
pairs = st.lists(st.tuples(names, values), max_size=6)
places = st.sampled_from(["https://a.example", "https://a.example:8443", "http://a.example", "http://a.example:8080"])
targets = st.sampled_from(["/", "/hook", "/hook/CA1/status", "/h?a=1", "/h?b=%20x&a=+&a="])


@given(places, targets, pairs, st.text(st.characters(codec="ascii"), min_size=1, max_size=32))
def test_the_library_signs_what_we_sign_and_we_take_it(base, target, fields, secret):
    theirs = RequestValidator(secret).compute_signature(base + target, many(fields))
    assert theirs == signature(secret, base + target, fields)
    twilio(TwilioAccount("AC1", secret)).verify(form(theirs, fields, target), base, 0.0)


@given(places, targets, pairs)
def test_the_library_takes_what_we_sign(base, target, fields):
    assert RequestValidator(TOKEN).validate(base + target, many(fields), signature(TOKEN, base + target, fields))


@given(places, st.binary(max_size=60))
def test_the_library_takes_the_json_that_we_sign_and_the_other_way_round(base, inner):
    body = inner.hex()
    target = f"/json?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    ours = signature(TOKEN, base + target)
    assert RequestValidator(TOKEN).validate(base + target, body, ours)
    verify(Request("POST", target, {"content-type": "application/json", HEADER: ours}, body.encode()), base)


# Every change of one byte

SOCKET = {"upgrade": "websocket", "connection": "upgrade"}


def signed_requests() -> dict[str, Request]:
    socket_url = "wss://mycompany.com/media/token"
    return {
        "form": form("RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        "many values": form(
            signature(TOKEN, BASE + TARGET, [*FIELDS, ("Digits", "7"), ("x", "")]),
            [*FIELDS, ("Digits", "7"), ("x", "")],
        ),
        "json": Request(
            "POST", JSON_TARGET, {"content-type": "application/json", HEADER: "a9nBmqA0ju/hNViExpshrM61xv4="}, JSON
        ),
        "get": Request("GET", TARGET, {HEADER: signature(TOKEN, BASE + TARGET)}),
        "socket": Request("GET", "/media/token", {**SOCKET, HEADER: signature(TOKEN, socket_url)}),
        "socket with a slash": Request("GET", "/media/token", {**SOCKET, HEADER: signature(TOKEN, socket_url + "/")}),
    }


@pytest.mark.parametrize("kind", signed_requests())
def test_a_signed_request_is_taken(kind):
    verify(signed_requests()[kind])


@pytest.mark.parametrize("kind", signed_requests())
def test_every_change_of_one_byte_of_the_address_is_refused(kind):
    request = signed_requests()[kind]
    for changed in one_byte_changes(request.target.encode("latin-1")):
        target = changed.decode("latin-1")
        if kind == "socket with a slash" and target == request.target + "/":
            continue  # then it is what was signed
        assert refused(Request(request.method, target, request.headers, request.body)), target


@pytest.mark.parametrize("kind", [kind for kind, request in signed_requests().items() if request.body])
def test_every_change_of_one_byte_of_the_body_is_refused(kind):
    request = signed_requests()[kind]
    for changed in one_byte_changes(request.body):
        assert refused(Request("POST", request.target, request.headers, changed)) != same_form(request.body, changed), (
            changed
        )


@given(pairs, st.data())
def test_whatever_the_form_is_a_change_of_one_byte_of_it_is_refused(fields, data):
    request = form(signature(TOKEN, BASE + TARGET, fields), fields)
    verify(request)
    changed = data.draw(st.sampled_from([*one_byte_changes(request.body)] or [b"a"]))
    assert refused(Request("POST", TARGET, request.headers, changed)) != same_form(request.body, changed), changed


@pytest.mark.parametrize("kind", signed_requests())
def test_every_change_of_one_byte_of_the_signature_is_refused(kind):
    request = signed_requests()[kind]
    for changed in one_byte_changes(request.header(HEADER).encode()):
        headers = {**request.headers, HEADER: changed.decode("latin-1")}
        assert refused(Request(request.method, request.target, headers, request.body))


@pytest.mark.parametrize("kind", signed_requests())
def test_another_public_address_is_another_signature(kind):
    for changed in one_byte_changes(b"https://mycompany.com"):
        base = changed.decode("latin-1")
        if (
            base.startswith("https://")
            and base.isascii()
            and base.isprintable()
            and not set(base[8:]) & set("/?#@ %;[]")
        ):
            assert refused(signed_requests()[kind], base), base


@pytest.mark.parametrize("kind", signed_requests())
def test_another_token_is_refused(kind):
    request = signed_requests()[kind]
    with pytest.raises(Unsigned, match="wrong"):
        twilio(TwilioAccount("AC1", TOKEN + "6")).verify(request, BASE, 0.0)


# What the scheme does not sign


def test_what_is_not_signed():
    """The table: order, doubled fields, spelling, other headers. A call's name and token cover it."""
    signed = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    verify(form(signed, FIELDS[::-1]))
    verify(form(signed, [*FIELDS, FIELDS[0]]))
    request = form(signed)
    verify(Request("POST", TARGET, {**request.headers, "host": "evil.example"}, request.body.replace(b"%2B", b"%2b")))


def test_a_field_without_its_sign_can_not_join_its_neighbour():
    """Written one behind the other, `a=b` and `a&b`, `ab` are the same text."""
    request = form(signature(TOKEN, BASE + TARGET, [("a", "b")]), [("a", "b")])
    for body in (b"a&b", b"ab", b"a=b&", b"&a=b", b"=ab", b"a=b&="):
        assert refused(Request("POST", TARGET, request.headers, body)), body


def test_without_a_signature_it_is_401():
    with pytest.raises(Unsigned) as error:
        verify(Request("POST", TARGET, {"content-type": FORM}, b"CallSid=1"))
    assert error.value.code == 401


@pytest.mark.parametrize("value", ["\udc80", "é", "a,b", "=" * 100_000])
def test_a_header_of_anything_is_refused(value):
    assert refused(form(value))


def test_the_operator_is_told_that_a_proxy_has_another_address():
    request = form(signature(TOKEN, "https://real.example" + TARGET, FIELDS))
    request = Request("POST", TARGET, {**request.headers, "host": "real.example"}, request.body)
    with pytest.raises(Unsigned) as error:
        verify(request)
    assert "https://real.example" in error.value.hint


@pytest.mark.parametrize("name", ["host", "x-forwarded-host"])
@pytest.mark.parametrize(
    "host", ["[", "[x]", "]", "a b", "a/b", "é", "\udc80", "a:b", "x" * 100_000, "", "@", "[::1]:99999"]
)
def test_whatever_the_host_is_said_to_be_it_is_refused(name, host):
    """Only a hint is made of it."""
    with pytest.raises(Unsigned) as error:
        verify(Request("POST", TARGET, {"content-type": FORM, HEADER: "x", name: host}, b"CallSid=1"))
    assert error.value.code == 403


def test_an_account_without_a_token_is_none():
    with pytest.raises(ConfigError):
        TwilioAccount("AC1", "")
