"""Plivo's V3 signature: its own library both ways, and every change of one byte."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils.signature_v3 import (
    construct_get_url,
    construct_post_url,
    get_signature_v3,
    validate_v3_signature,
)

from carriers.services.oddities import altered, refused, same_form
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.plivo import Plivo, PlivoAccount
from offhook.carriers.services.plivo.signature import HEADER, MAIN, NONCE, signature
from offhook.core.errors import ConfigError, ProtocolError

TOKEN = "MWY4ZDkx"
SERVICE = Plivo(PlivoAccount("MAXXXX", TOKEN))
BASE = "https://a.example"
ONCE = "12345678901234567890"
FORM = "application/x-www-form-urlencoded"
FIELDS = [("CallUUID", "97ceeb52"), ("From", "15550001111"), ("To", "15550002222"), ("Event", "StartApp")]
QUERY = [("b", "x y"), ("a", "1")]


def post(
    fields: Sequence[tuple[str, str]] = FIELDS, query: Sequence[tuple[str, str]] = QUERY, header: str = HEADER
) -> Request:
    target = "/voice" + (f"?{urlencode(query)}" if query else "")
    signed = signature(TOKEN, f"{BASE}/voice", query, fields, ONCE)
    return Request("POST", target, {"content-type": FORM, header: signed, NONCE: ONCE}, urlencode(fields).encode())


def get(
    url: str = f"{BASE}/voice", query: Sequence[tuple[str, str]] = QUERY, target: str = "/voice", **headers: str
) -> Request:
    signed = signature(TOKEN, url, query, None, ONCE)
    return Request("GET", target + (f"?{urlencode(query)}" if query else ""), {HEADER: signed, NONCE: ONCE, **headers})


# Plivo's own library

texts = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), max_size=8)
names = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1, max_size=8)
many = st.lists(st.tuples(names, texts), max_size=5)
plain = st.text(st.characters(codec="ascii", exclude_characters="\t\n\r"), max_size=8)
queries = st.lists(st.tuples(plain.filter(bool), plain), max_size=5)  # the library reads no others


def grouped(fields: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for other, value in fields if other == name] for name, _ in fields}


@given(queries, many)
def test_the_library_signs_a_post_as_we_do_and_takes_ours(query, fields):
    uri = f"{BASE}/voice?{urlencode(query)}" if query else f"{BASE}/voice"
    base = construct_post_url(uri, grouped(fields)).decode()
    theirs = get_signature_v3(TOKEN.encode(), base, ONCE.encode()).decode()
    ours = signature(TOKEN, f"{BASE}/voice", query, fields, ONCE)
    assert ours == theirs
    assert validate_v3_signature("POST", uri, ONCE, TOKEN, ours, grouped(fields))
    SERVICE.verify(post(fields, query), BASE, 0.0)


@given(queries)
def test_the_library_signs_a_get_as_we_do_and_takes_ours(query):
    uri = f"{BASE}/voice?{urlencode(query)}" if query else f"{BASE}/voice"
    theirs = get_signature_v3(TOKEN.encode(), construct_get_url(uri, {}).decode(), ONCE.encode()).decode()
    ours = signature(TOKEN, f"{BASE}/voice", query, None, ONCE)
    assert ours == theirs
    assert validate_v3_signature("GET", uri, ONCE, TOKEN, ours)
    SERVICE.verify(get(query=query), BASE, 0.0)


# Every change of one byte


def spelled(request: Request, changed: Request) -> bool:
    """Whether the same fields are said in another way, which this scheme does not sign."""
    if changed.headers != request.headers or changed.path != request.path:
        return False
    try:
        asked = sorted(changed.asked())
    except ProtocolError:
        return False
    return asked == sorted(request.asked()) and same_form(request.body, changed.body)


@pytest.mark.parametrize(
    "request_",
    [post(), post(query=[]), post([*FIELDS, ("From", "2"), ("x", "")]), post(header=MAIN), get(), get(query=[])],
    ids=["post", "without a query", "many values", "of the main account", "get", "bare get"],
)
def test_every_change_of_one_byte_is_refused(request_):
    SERVICE.verify(request_, BASE, 0.0)
    header = HEADER if request_.header(HEADER) else MAIN
    for changed in altered(request_, header, NONCE):
        assert refused(SERVICE, changed, BASE) != spelled(request_, changed), changed


@pytest.mark.parametrize(
    "url",
    [
        "wss://a.example/services/plivo/media/tok",
        "https://a.example/services/plivo/media/tok",
        "http://a.example/services/plivo/media/tok",
        "http://a.example/services/plivo/media/tok/websocket",
        "wss://a.example:443/services/plivo/media/tok",
    ],
)
def test_a_sockets_opening_is_taken_and_every_change_of_it_refused(url):
    request = get(url, [], "/services/plivo/media/tok", upgrade="websocket")
    SERVICE.verify(request, BASE, 0.0)
    for changed in altered(request, HEADER, NONCE):
        if changed.target != request.target + "?":
            assert refused(SERVICE, changed, BASE), changed
    assert refused(SERVICE, Request("GET", request.target, {HEADER: request.header(HEADER), NONCE: ONCE}), BASE) == (
        not url.startswith("https://")
    )


def test_of_several_signatures_one_must_be_right():
    request = post()
    several = {**request.headers, HEADER: f"AAAA, {request.header(HEADER)}"}
    SERVICE.verify(Request("POST", request.target, several, request.body), BASE, 0.0)
    assert refused(SERVICE, Request("POST", request.target, {**several, HEADER: "AAAA,BBBB,"}, request.body), BASE)
    late = {**several, HEADER: "A," * 8 + request.header(HEADER)}
    assert refused(SERVICE, Request("POST", request.target, late, request.body), BASE)


@pytest.mark.parametrize("name", [HEADER, NONCE])
def test_without_its_proof_a_request_is_401(name):
    headers = {key: value for key, value in post().headers.items() if key != name}
    with pytest.raises(Unsigned) as error:
        SERVICE.verify(Request("POST", "/voice", headers, post().body), BASE, 0.0)
    assert error.value.code == 401


def test_a_body_that_is_no_form_is_refused():
    request = post()
    headers = {**request.headers, "content-type": "application/json"}
    assert refused(SERVICE, Request("POST", request.target, headers, request.body), BASE)


def test_an_account_that_can_not_work_is_none():
    for wrong in ({"auth_token": ""}, {"auth_id": ""}, {"codec": "OPUS"}):
        with pytest.raises(ConfigError):
            PlivoAccount(**{"auth_id": "MA", "auth_token": TOKEN, **wrong})  # pyright: ignore[reportArgumentType]
    assert TOKEN not in repr(SERVICE)
