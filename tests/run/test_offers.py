"""Hundreds of offers as the field writes them, to a whole host: each is answered as it deserves, and strictly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from offhook.carriers.trunks import Trunk
from offhook.core.media import Address
from offhook.policy.toll import Caps
from offhook.sip.sdp import Media, Session, parse_sdp
from offhook.testing.offers import Offer, offers
from offhook.testing.wire import read_sip
from offhook.testing.world import SIP_PORT

OFFERS = offers(Path(__file__).parent.parent / "golden" / "sip" / "offers.txt")
HOST, FAR = "10.1.0.1", "10.3.0.1"
BENCH = Trunk("bench", networks=(FAR,), caps=Caps(calls_a_second=1000.0))
STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "13": "CN/8000"}


class Far:
    """A far end that asks, and takes leave of, one call after the other."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.finals: dict[str, tuple[int, bytes]] = {}
        world.network.bind((FAR, SIP_PORT), self.hear)

    def say(self, method: str, call: str, seq: int, to: str = "", body: bytes = b"", branch: str = "") -> None:
        head = (
            f"{method} sip:a@{HOST} SIP/2.0",
            f"Via: SIP/2.0/UDP {FAR}:5060;branch=z9hG4bK{branch or f'{call}{method}{seq}'}",
            f"From: <sip:f@{FAR}>;tag={call}",
            f"To: <sip:a@{HOST}>{f';tag={to}' if to else ''}",
            f"Call-ID: {call}",
            f"CSeq: {seq} {method}",
            f"Contact: <sip:f@{FAR}>",
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        )
        data = "\r\n".join([*head, "", ""]).encode() + body
        self.world.network.send((FAR, SIP_PORT), (HOST, SIP_PORT), data)

    def hear(self, data: bytes, source: Address) -> None:
        sip = read_sip(data)
        assert sip is not None
        if sip.method == "INVITE" and sip.code >= 200 and sip.call not in self.finals:
            self.finals[sip.call] = sip.code, data.partition(b"\r\n\r\n")[2]
            self.say("ACK", sip.call, 1, sip.to_tag, branch="" if sip.code < 300 else f"{sip.call}INVITE1")
            if sip.code < 300:
                self.say("BYE", sip.call, 2, sip.to_tag)


def names(media: Media) -> dict[str, str]:
    """The codec of every format, as its rtpmap or its number says."""
    found = {number: STATIC.get(number, "") for number in media.formats}
    for value in media.attributes("rtpmap"):
        number, _, encoding = value.strip().partition(" ")
        found[number] = encoding.strip().upper().removesuffix("/1").replace("TELEPHONE-EVENT", "telephone-event")
    return found


def strictly(offer: Offer, asked: Session, answer: Session) -> None:
    """An answer has the offer's m= lines, takes one, and names nothing that was not offered."""
    assert len(answer.media) == len(asked.media), offer.name
    for number, (theirs, ours) in enumerate(zip(asked.media, answer.media, strict=True)):
        assert (ours.kind, ours.protocol) == (theirs.kind, theirs.protocol), offer.name
        if number != offer.deserves:
            assert (ours.port, ours.formats) == (0, theirs.formats), offer.name
            continue
        assert ours.port > 0
        offered = names(theirs)
        for payload, codec in names(ours).items():
            assert offered.get(payload) == codec, (offer.name, payload, codec)
        assert "rtcp-mux" not in [value for _, value in ours.lines] or theirs.attribute("rtcp-mux") is not None
    mids = {media.attribute("mid") for media in answer.media if media.port}
    for letter, value in answer.lines:
        if letter == "a" and value.startswith("group:BUNDLE"):
            assert set(value.split()[1:]) <= mids, offer.name


def test_there_are_hundreds_and_no_two_are_the_same() -> None:
    assert len(OFFERS) > 1000
    assert len({offer.data for offer in OFFERS}) == len(OFFERS)
    assert {offer.deserves for offer in OFFERS} == {0, 1, 2, 400, 488}


@pytest.mark.survives(4)
def test_every_offer_gets_what_it_deserves(stage: Any) -> None:
    async def answers(call: Any) -> None:
        async for _ in call.audio():
            pass

    async def story() -> None:
        async with stage.host(answers, trunks=(BENCH,)) as host:
            far = Far(stage.world)
            for number, offer in enumerate(OFFERS):
                far.say("INVITE", f"call-{number}", 1, body=offer.data)
                await asyncio.sleep(0.05)
            await asyncio.sleep(40.0)
            for number, offer in enumerate(OFFERS):
                code, body = far.finals[f"call-{number}"]
                if offer.deserves >= 400:
                    assert code == offer.deserves, offer.name
                else:
                    assert code == 200, (offer.name, code)
                    strictly(offer, parse_sdp(offer.data), parse_sdp(body))
            counters = host.counters()
            assert (counters["guard"], counters["failures"], counters["calls"]) == (0, 0, 0)
            assert host.live == 0
            stage.world.network.unbind((FAR, SIP_PORT))

    stage.world.run(story())  # the far end never speaks, and offers what no checker would: what they say is no matter
