"""Digest: the vectors of the RFCs, and headers as they are written in the field (RFC 7616, 8760, 2617, 2069)."""

from __future__ import annotations

import pytest

from offhook.sip.digest import ALGORITHMS, AuthValue, digests, ha1, hashed, parse_auth, response, strength
from offhook.sip.grammar import Malformed

MUFASA = {
    "method": "GET",
    "uri": "/dir/index.html",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}
OLD = {"method": "GET", "uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
BOB = {"method": "INVITE", "uri": "sip:bob@biloxi.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}


@pytest.mark.survives(19)
@pytest.mark.parametrize(
    ("algorithm", "gives"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_vectors_of_rfc_7616_section_3_9_1(algorithm, gives):
    secret = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert response(algorithm, secret, **MUFASA) == gives


@pytest.mark.survives(19)
def test_the_vector_of_rfc_7616_section_3_9_2_as_its_erratum_4897_corrects_it():
    secret = ha1("SHA-512-256", "Jäsøn Doe", "api@example.org", "Secret, or not?")
    gives = response(
        "SHA-512-256",
        secret,
        method="GET",
        uri="/doe.json",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert gives == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    hidden = hashed("SHA-512-256", "Jäsøn Doe:api@example.org")
    assert hidden == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"


@pytest.mark.survives(19)
def test_the_vector_of_rfc_2617_section_3_5():
    secret = ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    gives = response("MD5", secret, **OLD, qop="auth", nc="00000001", cnonce="0a4f113b")
    assert gives == "6629fae49393a05397450978507c4ef1"


@pytest.mark.survives(19)
def test_without_qop_as_rfc_2069_section_2_4_and_its_erratum_have_it():
    secret = ha1("MD5", "Mufasa", "testrealm@host.com", "CircleOfLife")
    assert response("MD5", secret, **OLD) == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.survives(19)
@pytest.mark.parametrize(
    ("algorithm", "qop", "gives"),
    [
        # draft-smith-sipping-auth-examples-01, sections 3.1 to 3.3: the only published ones for SIP methods.
        ("MD5", "", "bf57e4e0d0bffc0fbaedce64d59add5e"),
        ("MD5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
        ("MD5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
    ],
)
def test_the_vectors_for_an_invite(algorithm, qop, gives):
    secret = ha1(algorithm, "bob", "biloxi.com", "zanzibar")
    assert response(algorithm, secret, **BOB, qop=qop, nc="00000001", cnonce="0a4f113b") == gives


def test_a_longer_hash_is_stronger_and_an_unknown_one_is_nothing():
    assert strength("SHA-512-256") > strength("sha-256") > strength("MD5") > strength("AKAv1-MD5") == 0
    assert [strength(name) > 0 for name in ALGORITHMS] == [True] * 6


@pytest.mark.parametrize(
    "text",
    [
        'Digest realm="a, b", nonce="n\\"1", algorithm=MD5, qop="auth,auth-int", stale=FALSE',
        'digest   realm = "a, b" ,nonce= "n\\"1",algorithm=MD5,qop="auth,auth-int",stale=FALSE',
        'DIGEST realm="a, b", nonce="n\\"1", algorithm="MD5", qop="auth,auth-int",stale="FALSE"',
    ],
)
def test_odd_spacing_and_odd_quotes_are_read(text):
    (value,) = parse_auth(text)
    assert value.is_digest
    assert [value.get(name) for name in ("realm", "nonce", "qop", "stale", "opaque")] == [
        "a, b",
        'n"1',
        "auth,auth-int",
        "FALSE",
        "",
    ]
    assert value.algorithm == "MD5"
    assert parse_auth(str(value)) == [value]


def test_several_challenges_in_one_field_are_told_apart():
    text = 'Basic realm="x", Digest realm="a", nonce="1", algorithm=SHA-256, Digest realm="a", nonce="2", Negotiate'
    values = parse_auth(text)
    assert [(value.scheme, value.get("nonce")) for value in values] == [
        ("Basic", ""),
        ("Digest", "1"),
        ("Digest", "2"),
        ("Negotiate", ""),
    ]
    assert [value.get("nonce") for value in digests([text, "nonsense=1", ""])] == ["1", "2"]


@pytest.mark.parametrize(
    "text", ["", 'realm="a"', 'Digest realm="a', "Digest a b=c", 'Digest realm="a"x', "Digest (=1"]
)
def test_what_can_not_be_read_is_malformed(text):
    with pytest.raises(Malformed):
        parse_auth(text)


def test_a_challenge_and_credentials_quote_what_the_grammar_quotes():
    asked = AuthValue("Digest", (("realm", "a"), ("qop", "auth"), ("stale", "TRUE"), ("algorithm", "MD5")))
    assert str(asked) == 'Digest realm="a", qop="auth", stale=TRUE, algorithm=MD5'
    said = AuthValue("Digest", (("response", "00"), ("qop", "auth"), ("nc", "00000001")))
    assert str(said) == 'Digest response="00", qop=auth, nc=00000001'


def test_a_line_break_can_not_be_written():
    with pytest.raises(ValueError, match="line break"):
        str(AuthValue("Digest", (("realm", "a\r\nX: y"),)))
