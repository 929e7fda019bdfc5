"""What browsers and gateways offer of ICE and DTLS, answered strictly; texts of each browser's shape are in golden/."""

from __future__ import annotations

from pathlib import Path

import pytest

from offhook.core.errors import ProtocolError
from offhook.sip.attributes import Fingerprint
from offhook.sip.offer import accept_answer, answer_offer, make_offer
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.tunnels import Here

GOLDEN = Path(__file__).parents[1] / "golden" / "webrtc"
OURS = Here("ours", "o" * 24, (("192.0.2.1", 10_000),), Fingerprint("sha-256", bytes(range(32))))


def offered(name: str, **changes: str) -> Session:
    text = (GOLDEN / f"{name}.sdp").read_text().replace("\n", "\r\n")
    for change in changes.values():
        old, new = change.split(" -> ")
        assert old in text
        text = text.replace(old, new)
    return parse_sdp(text.encode())


def answer(offer: Session, here: Here = OURS):
    return answer_offer(offer, address="192.0.2.1", port=10_000, session_id=1, version=1, here=lambda theirs: here)


@pytest.mark.parametrize("browser", ["chromium", "firefox", "safari", "jssip"])
def test_every_browser_is_answered_in_kind(browser):
    offer = offered(browser)
    body, plan = answer(offer)
    assert plan.tunnel is not None
    assert plan.remote is None and plan.rtcp_mux  # noqa: PT018
    assert (plan.sending, plan.receiving) == (True, True)
    assert plan.tunnel.lite and not plan.tunnel.controlling and not plan.tunnel.active  # noqa: PT018
    assert plan.tunnel.fingerprints[0][0] == "sha-256"
    assert all(" udp " in one.lower() and ".local" not in one for one in plan.tunnel.candidates)
    (section,) = [media for media in body.media if media.port]
    said = {value.partition(":")[0] for letter, value in section.lines if letter == "a"}
    assert {"ice-ufrag", "ice-pwd", "candidate", "fingerprint", "setup", "rtcp-mux", "mid"} <= said
    assert section.attribute("setup") == "passive"
    assert body.attribute("ice-lite") == ""
    assert body.attribute("group") == f"BUNDLE {section.attribute('mid')}"
    assert len(body.media) == len(offer.media)


@pytest.mark.parametrize(
    "change",
    [
        "a=rtcp-mux\r\n -> ",
        "a=setup:actpass -> a=setup:holdconn",
        "a=fingerprint:sha-256 -> a=fingerprint:sha-1",
        "a=ice-pwd -> a=ice-nothing",
    ],
)
def test_what_a_handshake_needs_is_not_done_without(change):
    with pytest.raises(ProtocolError) as refused:
        answer(offered("chromium", change=change))
    assert refused.value.code == 488


def test_without_a_tunnel_of_ours_none_is_taken():
    with pytest.raises(ProtocolError):
        answer_offer(offered("chromium"), address="192.0.2.1", port=10_000, session_id=1, version=1)


def test_a_lite_gateway_is_looked_for_and_a_passive_one_begun_with():
    offer = offered("chromium", lite="s=-\r\n -> s=-\r\na=ice-lite\r\n", setup="setup:actpass -> setup:passive")
    body, plan = answer(offer)
    assert plan.tunnel is not None
    assert (plan.tunnel.lite, plan.tunnel.controlling, plan.tunnel.active) == (False, True, True)
    assert body.attribute("ice-lite") is None


def test_our_own_offer_is_answered_by_ourselves():
    full = Here("ours", "o" * 24, OURS.addresses, OURS.fingerprint, lite=False)
    offer = make_offer(address="192.0.2.1", port=10_000, session_id=1, version=1, here=full)
    body, theirs = answer(offer, Here("them", "t" * 24, (("192.0.2.2", 9),), OURS.fingerprint))
    ours = accept_answer(offer, body)
    assert ours.tunnel is not None and theirs.tunnel is not None  # noqa: PT018
    assert (ours.tunnel.ours, ours.tunnel.theirs) == (theirs.tunnel.theirs, theirs.tunnel.ours)
    assert (ours.tunnel.active, theirs.tunnel.active) == (True, False)
    assert (ours.tunnel.controlling, ours.tunnel.lite, theirs.tunnel.lite) == (True, False, True)
    assert ours.tunnel.candidates == ("1 1 udp 2130706431 192.0.2.2 9 typ host",)
