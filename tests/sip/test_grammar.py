"""Tokens, quotes, lists and parameters (RFC 3261 section 25.1)."""

from __future__ import annotations

import pytest

from offhook.sip.grammar import (
    LIST_LIMIT,
    PARAMS_LIMIT,
    Malformed,
    is_address,
    is_token,
    number,
    param,
    parse_host_port,
    parse_params,
    quote,
    split_list,
    unquote,
    write_host_port,
    write_params,
)


@pytest.mark.parametrize("text", ["a", "A1", "-.!%*_+`'~", "INVITE", "0"])
def test_tokens(text):
    assert is_token(text)


@pytest.mark.parametrize("text", ["", " ", "a b", "a,b", 'a"', "a@b", "é", "a\t", "(", "[", "{", "²"])
def test_no_tokens(text):
    assert not is_token(text)


@pytest.mark.parametrize("text", ["", "plain", 'with "quotes"', "back\\slash", '\\"', "é", "a\\\\b", "a\0b"])
def test_quoting_can_be_undone(text):
    assert unquote(quote(text)) == text


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\rb"])
def test_a_line_break_can_not_be_quoted(text):
    with pytest.raises(ValueError, match="line break"):
        quote(text)


def test_what_has_no_quotes_is_left_alone():
    assert unquote("plain") == "plain"
    assert unquote('"') == '"'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ('"a,b" <sip:x>, c', ['"a,b" <sip:x>', "c"]),
        ("<sip:a,b>,<sip:c>", ["<sip:a,b>", "<sip:c>"]),
        (r'"a\",b", c', [r'"a\",b"', "c"]),
        (r'"a\\", c', [r'"a\\"', "c"]),
    ],
)
def test_lists_split_at_commas_outside_of_quotes_and_brackets(text, parts):
    assert split_list(text) == parts


@pytest.mark.parametrize("text", ["a,,b", ",", "a,", ",a", '"a, b', '"a\\", b'])
def test_broken_lists(text):
    with pytest.raises(Malformed):
        split_list(text)


@pytest.mark.parametrize("element", ["a", '"a"', "<a>"])
def test_lists_are_bounded(element):
    assert len(split_list(",".join([element] * LIST_LIMIT))) == LIST_LIMIT
    with pytest.raises(Malformed, match="too many"):
        split_list(",".join([element] * (LIST_LIMIT + 1)))


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", ()),
        ("  ", ()),
        (";a", (("a", None),)),
        (";A=b;c", (("a", "b"), ("c", None))),
        (" ; a = b ; c", (("a", "b"), ("c", None))),
        (';a="b;c"', (("a", '"b;c"'),)),
        (';a="b,c"', (("a", '"b,c"'),)),
        (";a=", (("a", ""),)),
        (";received=::1", (("received", "::1"),)),
    ],
)
def test_parameters(text, params):
    assert parse_params(text) == params


@pytest.mark.parametrize("text", ["a", ";", ";;", ";a;", ";=b", ";a b", ";a=b c", ';a="b', ';a="b"c', ";a=b,c", ";é=1"])
def test_broken_parameters(text):
    with pytest.raises(Malformed):
        parse_params(text)


def test_parameters_are_bounded():
    assert len(parse_params(";a=1" * PARAMS_LIMIT)) == PARAMS_LIMIT
    with pytest.raises(Malformed, match="too many"):
        parse_params(";a=1" * (PARAMS_LIMIT + 1))


def test_parameters_are_written_and_found():
    params = parse_params(";lr;q=0.5")
    assert write_params(params) == ";lr;q=0.5"
    assert (param(params, "lr"), param(params, "q"), param(params, "x")) == ("", "0.5", None)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", None),
        ("example.com:5060", "example.com", 5060),
        ("192.0.2.1 : 5060", "192.0.2.1", 5060),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:5061", "2001:db8::1", 5061),
        ("under_score-host", "under_score-host", None),
    ],
)
def test_hosts(text, host, port):
    assert parse_host_port(text) == (host, port)
    assert parse_host_port(write_host_port(host, port)) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":5060", "a b", "a:", "a:x", "a:65536", "a:-1", "[::1", "[a]", "[::1]x", "[g::1]", "a/b"]
)
def test_broken_hosts(text):
    with pytest.raises(Malformed):
        parse_host_port(text)


def test_numbers_have_bounds():
    assert number("0070", 255, "x") == 70
    for text in ("", "-1", "256", "1.0", "x", "²", "9" * 21, " 1"):
        with pytest.raises(Malformed) as broken:
            number(text, 255, "x")
        assert broken.value.kind == "x"


@pytest.mark.parametrize(("host", "yes"), [("192.0.2.1", True), ("::1", True), ("a.b.c.d", False), ("1.2.3", False),
                                           ("1.2.3.256", False), ("example.com", False), ("x:y", False),
                                           ("0.0.0.0", True), ("::ffff:1.2.3.4", True), ("01.2.3.4", False),
                                           ("00001.2.3.4", False), ("1.2.3.1e1", False), ("1..2.3", False),
                                           ("1::2::3", False), ("::::", False), ("1:2", False), ("fe80::1%lo", False),
                                           ("1.2.3.\u0664", False), (":", False), ("::12345", False)])  # fmt: skip
def test_addresses(host, yes):
    assert is_address(host) is yes
