"""Passports are written as RFC 8225 says and read back; what is none is refused at once."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.passport import Passport, Signed, canonical, fault, parse_identity, signing_input

SHAKEN = Passport("shaken", "12155551212", ("12125551213",), 1443208345, "https://cert.example/a.cer", "A", "abc")
PLAIN = Passport("", "12155551212", ("12155551213",), 1443208345, "https://cert.example.org/passport.cer")
DIV = Passport("div", "12155551212", ("12155551214",), 1443208345, "https://b.example/cert.cer", div="12155551213")


@pytest.mark.parametrize("passport", [SHAKEN, PLAIN, DIV], ids=["shaken", "plain", "div"])
def test_what_is_written_is_read(passport):
    signed = Signed(passport, signing_input(passport), bytes(range(64)))
    assert parse_identity(signed.header()) == signed


def test_the_order_of_what_is_signed():
    header, payload = [urlsafe_b64decode(piece + b"==") for piece in signing_input(SHAKEN).split(b".")]
    # RFC 8225 section 9: keys in lexical order, nothing between them.
    assert header == b'{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://cert.example/a.cer"}'
    assert payload == (
        b'{"attest":"A","dest":{"tn":["12125551213"]},"iat":1443208345,"orig":{"tn":"12155551212"},"origid":"abc"}'
    )


def header(changes: dict[str, object] | None = None, claims: dict[str, object] | None = None, rest: str = "") -> str:
    head = {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": "https://a.example/c"} | (changes or {})
    body = {"attest": "A", "dest": {"tn": ["1"]}, "iat": 1, "orig": {"tn": "2"}, "origid": "x"} | (claims or {})
    pieces = [urlsafe_b64encode(json.dumps(piece).encode()).rstrip(b"=").decode() for piece in (head, body)]
    return f"{pieces[0]}.{pieces[1]}.AAAA" + (rest or ";info=<https://a.example/c>;alg=ES256;ppt=shaken")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a.b.c",
        "..sig;info=<https://a.example/c>",
        "x" * 9000,
        header({"alg": "none"}),
        header({"alg": "HS256"}),
        header({"typ": "JWT"}),
        header({"ppt": 7}),
        header({"x5u": None}),
        header({"ppt": "rph"}),
        header(rest=";alg=ES256;ppt=shaken"),
        header(rest=";info=<https://b.example/c>;alg=ES256;ppt=shaken"),
        header(rest=";info=<https://a.example/c>;ppt=div"),
        header(claims={"attest": "D"}),
        header(claims={"attest": 1}),
        header(claims={"iat": "1"}),
        header(claims={"iat": True}),
        header(claims={"iat": -1}),
        header(claims={"iat": 1.5}),
        header(claims={"orig": {}}),
        header(claims={"orig": "1"}),
        header(claims={"orig": {"tn": "one"}}),
        header(claims={"dest": {}}),
        header(claims={"dest": {"tn": "1"}}),
        header(claims={"dest": {"tn": [1]}}),
        header(claims={"origid": "a\nb"}),
        "W10.W10.AAAA;info=<https://a.example/c>",
        "é.W10.AAAA;info=<x>",
    ],
)
def test_what_is_no_identity(value):
    with pytest.raises(Malformed) as caught:
        parse_identity(value)
    assert caught.value.code == 400


def test_deep_nesting_is_no_identity():
    deep = urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    with pytest.raises(Malformed):
        parse_identity(f"{deep}.W10.AAAA;info=<x>")


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("+1 (215) 555-1212", "12155551212"),
        ("tel:+12155551212;phone-context=x", "12155551212"),
        ("alice", ""),
        ("", ""),
        ("+", ""),
        ("١٢٣", ""),
    ],
)
def test_canonical_numbers(text, digits):
    assert canonical(text) == digits


def test_claims_that_fit():
    assert fault([SHAKEN], ["12155551212"], ["12125551213"], SHAKEN.iat + 60) == (0, "")
