"""Phones with one codec or the other call: the echo, over UDP and TCP, and hear themselves; the desk, and both hear."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from interop import certificates, kit
from interop.peers import baresip
from interop.peers.baresip import Baresip
from interop.peers.linphone import Linphone
from interop.peers.peer import Peer, Place, address
from interop.peers.pjsua import Pjsua
from interop.sitting import opened

pytestmark = pytest.mark.interop

PJSUA = pytest.mark.skipif(find_spec("pjsua2") is None, reason="pjsua2 has no wheel here: pip install pjsua2-python")


@pytest.fixture
def place(tmp_path: Path, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path]) -> Place:
    """Where a phone over UDP may live; everything that it needs of Debian is there."""
    peer("baresip", "baresip-core")
    peer_file(f"{baresip.MODULES}/sndfile.so", "baresip-core")
    return Place(tmp_path / "phone", "phone", "udp", certificates.make(tmp_path / "certificates"))


@contextmanager
def in_a_call(phone: Peer, serving: Any, transport: str) -> Generator[None]:
    """Have a phone call the echo, and hang up at the end."""
    try:
        phone.dial(address("echo", transport, serving.port))
        yield
        phone.hangup()
        kit.until("the end", lambda: serving.events("ended"))
    finally:
        phone.stop()


def hears_itself(phone: Peer) -> None:
    kit.until("the phone to hear itself", kit.through(phone.heard, phone.said), 15.0)


@pytest.mark.survives(7)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
@pytest.mark.parametrize("make", [pytest.param(Pjsua, marks=PJSUA), Baresip])
def test_it_hears_itself(serve: Any, place: Place, make: Any, codec: str, transport: str) -> None:
    serving = serve()
    place = Place(place.folder, place.user, transport, place.certificates)
    phone = make(place, codecs=(codec,))
    with in_a_call(phone, serving, transport):
        hears_itself(phone)
    assert [line["event"] for line in serving.events()] == ["incoming", "answered", "ended"]
    assert serving.stop() == 0


def test_one_codec_in_another_out(serve: Any, place: Place) -> None:
    serving = serve(toml='sip = { send = "PCMA", codecs = ["PCMU"] }\n')
    phone = Baresip(place, codecs=("PCMU", "PCMA"))
    with in_a_call(phone, serving, "udp"):
        hears_itself(phone)
    # It sends what our answer names, and finds by itself that we send the other that it had offered.
    log = (phone.folder / "log").read_text(errors="replace")
    assert re.search(r"decoder changed payload 0 -> 8", log), log[-3000:]


CODECS = {
    "linphone-opus": ("opus", lambda place: Linphone(place, codec="opus/48000/2")),
    "baresip-opus": ("opus", lambda place: Baresip(place, codecs=("opus/48000/2",))),
    "pjsua2-g722": ("G722", lambda place: Pjsua(place, codecs=("G722",))),
    "baresip-g722": ("G722", lambda place: Baresip(place, codecs=("G722/16000/1",))),
    "baresip-l16": ("L16/16000", lambda place: Baresip(place, codecs=("L16/16000/1",))),
    "linphone-g729": ("G729", lambda place: Linphone(place, codec="G729/8000/1")),
}
"""Who calls in which codec. Opus is libopus in both; pjsua2 and baresip have a G.722 each; G.729 is the same library
here and there, and what is agreed and packed is under test."""

ALIKE = {"opus": 0.7, "G729": 0.5}
"""How much of a wave is left: what is coded by a model of speech is to sound alike, and this sound is noise."""


@pytest.mark.parametrize("name", [pytest.param(one, marks=PJSUA if "pjsua2" in one else ()) for one in CODECS])
def test_both_hear_each_other_in_other_codecs(
    name: str, tmp_path: Path, place: Place, peer: Callable[[str, str], str]
) -> None:
    peer("linphonec", "linphone-cli")
    codec, make = CODECS[name]
    office = opened(tmp_path / "office", place.certificates, codecs=(codec,))
    phone = make(Place(place.folder, name, "udp", place.certificates))
    desk, alike = office.desk, ALIKE.get(codec, 0.9)
    try:
        phone.dial(office.uri("desk", "udp"))
        (answered,) = desk.wait("the call", lambda: desk.told("answered"))
        raw = office.folder / f"{answered['call']}.raw"
        there = kit.through(phone.heard, office.said, alike=alike)
        here = kit.through(lambda: kit.growing(raw), phone.said, alike=alike)
        kit.until("the desk to hear the phone", here, 15.0)
        kit.until("the phone to hear the desk", there, 15.0)
        phone.hangup()
        desk.wait("the end", lambda: desk.told("ended"))
    finally:
        phone.stop()
        desk.stop()
    wire = "".join(one["text"] for one in desk.told("sip", way="out"))
    assert re.search(rf"^a=rtpmap:\d+ {codec}\b", wire, re.MULTILINE), wire
