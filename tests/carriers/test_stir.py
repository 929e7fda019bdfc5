"""A signed call is believed where the signature, the certificate and the claims all hold, and only there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offhook.carriers.stir import Trust, from_verstat, identities, signer, verify
from offhook.core.errors import ConfigError
from offhook.core.verdict import Verdict
from offhook.sip.message import Request
from offhook.sip.passport import Passport
from offhook.testing.authorities import Authority

NOW = 1_790_000_000
URL = "https://certificates.example/shaken.pem"
CALL = Passport("shaken", "12155551212", ("12125551213",), NOW, "", "A", "123e4567-e89b-12d3-a456-426655440000")
CLAIMED = ["+1 (215) 555-1212"]
CALLED = ["+12125551213"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Root of the numbers", begins=datetime.fromtimestamp(NOW - 86_400, UTC))


@pytest.fixture(scope="module")
def provider(authority):
    return authority.numbers("1234")


@pytest.fixture
def judge(authority, provider):
    """Judge an INVITE with Identity headers."""

    def judged(*values: str, claimed=CLAIMED, called=CALLED, chain=provider.chain, at: int = NOW) -> Verdict:
        invite = Request(tuple([("Identity", value) for value in values]), b"", "INVITE", "sip:x@y")
        found = identities(invite, claimed, called)
        assert found is not None
        return verify(found, lambda url: chain if url == URL else None, Trust(authority.pem), at)

    return judged


@pytest.fixture
def sign(provider):
    return signer(provider.key, URL).sign


@pytest.mark.parametrize("grade", ["A", "B", "C"])
def test_a_call_that_is_what_it_says(judge, sign, grade):
    verdict = judge(sign(replace(CALL, attest=grade)))
    assert verdict == Verdict("valid", grade, CALL.origid, "signature")


def test_a_call_without_a_signature_has_no_identities():
    assert identities(Request((), b"", "INVITE", "sip:x"), CLAIMED, CALLED) is None


@pytest.mark.survives(38)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"claimed": ["+13105550000"]}, 438),
        ({"called": ["+13105550000"]}, 438),
        ({"at": NOW + 61}, 403),
        ({"at": NOW - 61}, 403),
        ({"chain": None}, 436),
        ({"chain": b"not a certificate"}, 437),
    ],
)
def test_what_does_not_fit_is_not_believed(judge, sign, change, code):
    verdict = judge(sign(CALL), **change)
    assert verdict.code == code
    assert verdict.state == ("unknown" if code == 436 else "invalid")
    assert verdict.reason


@pytest.mark.survives(38)
def test_a_signature_of_another_key(judge, sign, authority):
    forged = signer(authority.numbers("1234").key, URL).sign(CALL)
    assert judge(forged).code == 438
    token, _, rest = sign(CALL).partition(";")
    assert judge(f"{token[:-2]};{rest}").code == 438


@pytest.mark.survives(38)
def test_every_claim_is_signed(judge, sign):
    value = sign(CALL)
    token, _, rest = value.partition(";")
    header, payload, signature = token.split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    for name, other in [("attest", "B"), ("iat", NOW - 1), ("origid", "x"), ("orig", {"tn": "12155551212", "x": 1})]:
        altered = urlsafe_b64encode(json.dumps(claims | {name: other}).encode()).rstrip(b"=").decode()
        assert judge(f"{header}.{altered}.{signature};{rest}").code == 438


def test_a_certificate_of_nobody_we_trust(judge, sign):
    stranger = Authority("Another root", begins=datetime.fromtimestamp(NOW - 86_400, UTC)).numbers("1234")
    verdict = judge(signer(stranger.key, URL).sign(CALL), chain=stranger.chain)
    assert (verdict.code, verdict.state) == (437, "invalid")


def test_a_certificate_that_has_run_out(judge, sign):
    old = replace(CALL, iat=NOW + 40 * 86_400)
    assert judge(sign(old), at=NOW + 40 * 86_400).code == 437


def test_a_certificate_that_is_for_no_numbers(judge, authority):
    other = authority.unlisted()
    assert judge(signer(other.key, URL).sign(CALL), chain=other.chain).code == 437


def test_a_certificate_for_one_number_signs_for_that_one(judge, authority):
    own, other = authority.numbers(one="12155551212"), authority.numbers(one="12155550000")
    assert judge(signer(own.key, URL).sign(CALL), chain=own.chain).state == "valid"
    assert judge(signer(other.key, URL).sign(CALL), chain=other.chain).code == 437


def test_a_diverted_call(judge, sign):
    div = Passport("div", CALL.orig, ("13105550001",), NOW, "", div="12125551213")
    there = ["+13105550001"]
    assert judge(sign(CALL), called=there).code == 438
    assert judge(sign(CALL), sign(div), called=there) == Verdict("valid", "A", CALL.origid, "signature", diverted=True)
    further = replace(div, dest=("13105550002",), div="13105550001")
    assert judge(sign(CALL), sign(further), sign(div), called=["+13105550002"]).state == "valid"
    assert judge(sign(CALL), sign(further), called=["+13105550002"]).code == 438
    assert judge(sign(div), called=there).code == 428
    ring = replace(div, dest=("13105550001",), div="13105550001")
    assert judge(sign(CALL), sign(ring), sign(ring), called=there).code == 438


def test_what_can_not_be_read_is_invalid(judge):
    verdict = judge("rubbish")
    assert (verdict.state, verdict.code) == ("invalid", 438)


def test_an_unknown_kind_of_token_is_left_alone(judge, sign):
    assert judge(sign(replace(CALL, ppt="rph")), sign(CALL)).state == "valid"
    assert judge(sign(replace(CALL, ppt="rph"))).reason == "no token of a kind that we know"


@pytest.mark.parametrize(
    ("pem", "url", "says"),
    [
        (b"x", URL, "can't be read"),
        (None, "http://certificates.example/a.pem", "https"),
        (None, "https://a.example/>x", "https"),
    ],
)
def test_a_signer_that_can_not_be(provider, pem, url, says):
    with pytest.raises(ConfigError, match=says):
        signer(pem if pem is not None else provider.key, url)


def test_a_key_of_another_curve_signs_nothing(authority):
    with pytest.raises(ConfigError, match="P-256"):
        signer(authority.numbers("1", curve=ec.SECP384R1()).key, URL)


def test_an_empty_trust_store_is_an_error():
    with pytest.raises(ConfigError):
        Trust(b"nothing")


@pytest.mark.parametrize(
    ("value", "grade", "verdict"),
    [
        ("TN-Validation-Passed", "A", Verdict("valid", "A", by="trunk")),
        ("TN-Validation-Passed-B", "", Verdict("valid", "B", by="trunk")),
        ("TN-Validation-Failed-C", "", Verdict("invalid", "C", by="trunk")),
        ("No-TN-Validation", "A", Verdict("unsigned", by="trunk")),
        ("TN-Validation-Passed", "Z", Verdict("valid", by="trunk")),
        ("nonsense", "A", Verdict()),
    ],
)
def test_what_a_trunk_verified(value, grade, verdict):
    assert from_verstat(value, grade) == verdict
