"""a=crypto: which line is taken, with whose keys, and what becomes of the rest (RFC 4568, 7714, 8643)."""

from __future__ import annotations

from base64 import b64encode
from itertools import count

import pytest

from offhook.core.errors import ProtocolError
from offhook.core.media import Protection
from offhook.sip.offer import accept_answer, answer_offer, early_plan, make_offer
from offhook.sip.sdes import SUITES, Keyring
from offhook.sip.sdp import Media, Session

HEAD = (("v", "0"), ("o", "- 1 1 IN IP4 192.0.2.9"), ("s", "-"), ("c", "IN IP4 192.0.2.9"), ("t", "0 0"))
ONE = "AES_CM_128_HMAC_SHA1_80"


def ring() -> Keyring:
    """Draw keys that tell when they were drawn."""
    turn = count(1)
    return Keyring(lambda length: bytes([next(turn)]) * length)


def inline(byte: int, length: int = 30) -> str:
    return "inline:" + b64encode(bytes([byte]) * length).decode()


def section(profile: str, *crypto: str, port: int = 4000) -> Media:
    return Media("audio", port, profile, ("0",), tuple([("a", f"crypto:{line}") for line in crypto]))


def answered(*media: Media, srtp: str = "optional", keys: Keyring | None = None):
    return answer_offer(
        Session(HEAD, media),
        address="192.0.2.1",
        port=9000,
        session_id=1,
        version=1,
        srtp=srtp,  # type: ignore[arg-type]
        ring=keys or ring(),
    )


def crypto_of(media: Media) -> list[str]:
    return media.attributes("crypto")


@pytest.mark.parametrize(("suite", "length"), SUITES.items())
def test_the_line_that_is_taken_is_answered_under_its_tag_with_a_key_of_ours(suite, length):
    ours, plan = answered(section("RTP/SAVP", f"7 {suite} {inline(9, length)}"))
    assert crypto_of(ours.media[0]) == [f"7 {suite} {inline(1, length)}"]
    assert plan.protection == Protection(suite, bytes([1]) * length, bytes([9]) * length)
    assert ours.media[0].protocol == "RTP/SAVP"


def test_the_first_of_theirs_that_we_have_is_taken():
    ours, plan = answered(
        section(
            "RTP/SAVPF",
            f"1 AES_256_CM_HMAC_SHA1_80 {inline(3, 46)}",
            f"2 AEAD_AES_256_GCM {inline(4, 44)}",
            f"3 {ONE} {inline(5)}",
        )
    )
    assert crypto_of(ours.media[0]) == [f"2 AEAD_AES_256_GCM {inline(1, 44)}"]
    assert plan.protection is not None
    assert plan.protection.receive == bytes([4]) * 44


@pytest.mark.parametrize(
    "rest", ["", "|2^48", "|2^20", "|1048576", " WSH=128", " FEC_ORDER=FEC_SRTP", " -x=1", "|2^31 WSH=64"]
)
def test_what_changes_nothing_on_the_wire_is_let_by(rest):
    assert answered(section("RTP/SAVP", f"1 {ONE} {inline(9)}{rest}"))[1].protection is not None


@pytest.mark.parametrize(
    "line",
    [
        f"1 {ONE} {inline(9)} KDR=1",
        f"1 {ONE} {inline(9)} UNENCRYPTED_SRTP",
        f"1 {ONE} {inline(9)} UNENCRYPTED_SRTCP",
        f"1 {ONE} {inline(9)} UNAUTHENTICATED_SRTP",
        f"1 {ONE} {inline(9)} SOMETHING=new",
        f"1 {ONE} {inline(9)}|2^20|1:4",
        f"1 {ONE} {inline(9)}|1:4",
        f"1 {ONE} {inline(9)}|2^49",
        f"1 {ONE} {inline(9)}|0",
        f"1 {ONE} {inline(9)}|",
        f"1 {ONE} {inline(9)};{inline(8)}",
        f"1 {ONE} {inline(9, 29)}",
        f"1 {ONE} inline:!{inline(9)[8:]}",
        f"1 {ONE} inline:",
        f"1 {ONE} uri:{inline(9)[7:]}",
        f"1 F8_128_HMAC_SHA1_80 {inline(9)}",
        f"1 AEAD_AES_128_GCM {inline(9)}",
        f"x {ONE} {inline(9)}",
        "1",
    ],
)
def test_a_line_that_can_not_be_taken_is_none(line):
    with pytest.raises(ProtocolError) as refused:
        answered(section("RTP/SAVP", line))
    assert refused.value.code == 488
    assert inline(9)[7:20] not in str(refused.value)
    ours, plan = answered(section("RTP/SAVP", line, f"2 {ONE} {inline(6)}"))
    assert crypto_of(ours.media[0]) == [f"2 {ONE} {inline(1)}"]
    assert plan.protection is not None


@pytest.mark.survives(27)
@pytest.mark.parametrize(
    ("srtp", "profile", "keyed", "taken"),
    [
        ("off", "RTP/AVP", False, "plain"),
        ("off", "RTP/AVP", True, "plain"),
        ("off", "RTP/SAVP", True, "no"),
        ("optional", "RTP/AVP", False, "plain"),
        ("optional", "RTP/AVP", True, "srtp"),
        ("optional", "RTP/SAVP", True, "srtp"),
        ("optional", "RTP/SAVP", False, "no"),
        ("required", "RTP/AVP", False, "no"),
        ("required", "RTP/AVP", True, "srtp"),
        ("required", "RTP/AVPF", False, "no"),
        ("required", "RTP/SAVPF", True, "srtp"),
        ("required", "UDP/TLS/RTP/SAVPF", True, "no"),
    ],
)
def test_what_is_agreed_is_as_the_rules_have_it(srtp, profile, keyed, taken):
    media = section(profile, *([f"1 {ONE} {inline(9)}"] if keyed else []))
    if taken == "no":
        with pytest.raises(ProtocolError):
            answered(media, srtp=srtp)
        return
    ours, plan = answered(media, srtp=srtp)
    assert (plan.protection is not None) is (taken == "srtp")
    assert bool(crypto_of(ours.media[0])) is (taken == "srtp")
    assert ours.media[0].protocol == profile


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_streams_the_secure_one_is_taken_and_the_other_declined(order):
    both = [section("RTP/SAVP", f"1 {ONE} {inline(9)}", port=4000), section("RTP/AVP", port=5000)]
    offered = [both[at] for at in order]
    ours, plan = answered(*offered)
    assert [(media.protocol, media.port) for media in ours.media] == [
        (media.protocol, 9000 if media.protocol == "RTP/SAVP" else 0) for media in offered
    ]
    assert plan.protection is not None
    assert plan.remote == ("192.0.2.9", 4000)
    assert answered(*offered, srtp="off")[1].remote == ("192.0.2.9", 5000)


def test_both_ends_come_to_the_same_keys_in_each_profile():
    for profile in ("RTP/SAVP", "RTP/AVP"):
        offer = make_offer(address="192.0.2.9", port=4000, session_id=1, version=1, profile=profile, ring=ring())
        theirs, far = answered(*offer.media)
        near = accept_answer(offer, theirs)
        assert near.protection is not None
        assert far.protection == Protection(near.protection.suite, near.protection.receive or b"", near.protection.send)
        assert near.protection.suite == ONE


def test_who_is_asked_for_keys_and_has_none_is_spoken_with_plainly_and_who_must_have_some_is_not():
    plain = Session(HEAD, (section("RTP/AVP"),))
    asked = make_offer(address="192.0.2.9", port=4000, session_id=1, version=1, ring=ring())
    assert accept_answer(asked, plain).protection is None
    assert early_plan(asked).protection is None
    wanted = make_offer(address="192.0.2.9", port=4000, session_id=1, version=1, profile="RTP/SAVP", ring=ring())
    with pytest.raises(ProtocolError):
        accept_answer(wanted, plain)
    early = early_plan(wanted).protection
    assert early is not None
    assert early.receive is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (f"9 {ONE} {inline(9)}",),
        (f"2 {ONE} {inline(9)}",),
        (f"1 {ONE} {inline(9)}|2^20|1:4",),
        (f"1 {ONE} {inline(9)}", f"2 AEAD_AES_256_GCM {inline(9, 44)}"),
    ],
)
def test_an_answer_takes_one_of_our_lines_or_none(lines):
    offer = make_offer(address="192.0.2.9", port=4000, session_id=1, version=1, profile="RTP/SAVP", ring=ring())
    with pytest.raises(ProtocolError):
        accept_answer(offer, Session(HEAD, (section("RTP/SAVP", *lines),)))


def test_a_key_of_ours_stays_while_its_suite_does_and_never_comes_back():
    keys = ring()
    first = answered(section("RTP/SAVP", f"1 {ONE} {inline(9)}"), keys=keys)[1].protection
    assert first is not None
    keys.settle(first)
    again = answered(section("RTP/SAVP", f"1 {ONE} {inline(8)}"), keys=keys)[1].protection
    assert again is not None
    assert (again.send, again.receive) == (first.send, bytes([8]) * 30)
    other = answered(section("RTP/SAVP", f"1 AEAD_AES_256_GCM {inline(9, 44)}"), keys=keys)[1].protection
    keys.settle(other)
    back = answered(section("RTP/SAVP", f"1 {ONE} {inline(9)}"), keys=keys)[1].protection
    assert back is not None
    assert back.send != first.send


def test_keys_are_in_no_repr():
    plan = answered(section("RTP/SAVP", f"1 {ONE} {inline(9)}"))[1]
    assert "\\x" not in repr(plan)
    assert "protection" in repr(plan)
