"""URIs (RFC 3261 section 19.1)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import Malformed
from offhook.sip.uri import Uri, parse_uri, unescape


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:example.com", Uri("sip", None, "example.com")),
        ("SIP:alice@example.com", Uri("sip", "alice", "example.com")),
        ("sips:alice@[2001:db8::1]:5061", Uri("sips", "alice", "2001:db8::1", 5061)),
        ("sip:a:pw@h:1;lr;x=y?to=b%40c", Uri("sip", "a", "h", 1, (("lr", None), ("x", "y")), "to=b%40c", "", "pw")),
        (
            "sip:+1-555;phone-context=x@h;user=phone",
            Uri("sip", "+1-555;phone-context=x", "h", None, (("user", "phone"),)),
        ),
        ("tel:+15551234567;ext=9", Uri("tel", opaque="+15551234567;ext=9")),
        ("http://example.com/a?b", Uri("http", opaque="//example.com/a?b")),
        ("sip:a:@h", Uri("sip", "a", "h", password="")),
        ("sip:ж@h", Uri("sip", "ж", "h")),
    ],
)
def test_reading_and_writing(text, uri):
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri
    scheme, _, rest = text.partition(":")
    assert str(uri) == f"{scheme.lower()}:{rest}"


@pytest.mark.parametrize(
    "text",
    ["", "sip", "sip:", ":x", "1sip:x", "sip:a b@c", "sip:<a>", "sip:a@b@c", "sip:@h", "sip:a@", "sip:a@h:99999", 
     "sip:h?", "sip:a@h;=x", 'sip:a"@h', "sip:a\r\n@h", "s ip:h", "sip:a[b]@h"],
)  # fmt: skip
def test_broken_uris(text):
    with pytest.raises(Malformed) as broken:
        parse_uri(text)
    assert broken.value.code == 400


def test_parameters_and_kind():
    uri = parse_uri("sip:h;transport=tcp;lr")
    assert uri.is_sip
    assert (uri.param("transport"), uri.param("lr"), uri.param("maddr")) == ("tcp", "", None)
    assert not parse_uri("tel:1").is_sip


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a", "a"), ("%41b", "Ab"), ("sips%3Auser%40h", "sips:user@h"), ("%zz%4", "%zz%4"), ("%D0%B6", "ж")],
)
def test_escapes(text, plain):
    assert unescape(text) == plain
