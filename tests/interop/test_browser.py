"""Chromium calls the echo from a page: ICE, DTLS-SRTP, its own voice back, keys, and a clean end from either side."""

# ruff: noqa: ASYNC110 - the loop here has nothing else to do than to wait for a browser.

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop.browser import Tab, chromium
from interop.conftest import Server, Serving
from interop.kit import Search, endless, free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

# The page as it is, but what goes to and fro is not made nicer on the way, and what is heard is kept at 8 kHz.
PREPARED = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = () =>
  ask({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
"""
# The page offers all codecs of the browser; here one alone.
ONLY = """
const offer = RTCPeerConnection.prototype.createOffer;
RTCPeerConnection.prototype.createOffer = function (...how) {
  const all = RTCRtpReceiver.getCapabilities("audio").codecs;
  for (const one of this.getTransceivers())
    one.setCodecPreferences(all.filter(({ mimeType }) => ["audio/CODEC", "audio/telephone-event"].includes(mimeType)));
  return offer.apply(this, how);
};
"""
RECORD = """(async () => {
  const context = new AudioContext({ sampleRate: 8000 });
  const track = call.pc.getReceivers()[0].track;
  const tap = context.createScriptProcessor(1024, 1, 1);
  const kept = [];
  tap.onaudioprocess = (event) => kept.push(...event.inputBuffer.getChannelData(0));
  context.createMediaStreamSource(new MediaStream([track])).connect(tap);
  tap.connect(context.destination);
  await new Promise((done) => setTimeout(done, SECONDS * 1000));
  await context.close();
  return kept.map((x) => Math.round(x * 32767));
})()"""
STATS = """(async () => {
  const all = [...(await call.pc.getStats()).values()];
  const of = (type) => all.filter((one) => one.type === type);
  return { transport: of("transport")[0], codecs: of("codec").map((one) => one.mimeType),
           inbound: of("inbound-rtp")[0], pairs: of("candidate-pair").filter((one) => one.nominated) };
})()"""
STATE = "document.getElementById('state').textContent"
CLICK = "document.getElementById('button').click()"


@pytest.fixture
def program() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@pytest.fixture
def said(tmp_path: Path) -> Search:
    return endless(5, tmp_path / "said.wav")


def ready(serve: Server, *, toml: str = "") -> tuple[Serving, str]:
    """Start an echo with a web door; give it and the door's address."""
    http = free_port()
    return serve(options=("--http", f"127.0.0.1:{http}"), toml=toml), f"http://127.0.0.1:{http}/"


def driven(
    program: str, microphone: Path, url: str, drive: Callable[[Tab], Awaitable[None]], prepared: str = PREPARED
) -> None:
    """Open the page and drive it."""

    async def whole() -> None:
        async with chromium(program, microphone) as tab:
            await tab.order("Page.enable")
            await tab.order("Page.addScriptToEvaluateOnNewDocument", source=prepared)
            await tab.order("Page.navigate", url=url)
            await tab.until("document.readyState === 'complete' && !!document.getElementById('button')")
            await drive(tab)

    asyncio.run(whole())


async def called(tab: Tab) -> None:
    await tab.run(CLICK)
    await tab.until(f"{STATE} !== 'Ready' && {STATE} !== 'Calling …'", 40)
    assert await tab.run(STATE) == "Connected"


def family(pid: int) -> list[int]:
    """Give a process and all that came of it: sound and sockets are its grandchildren's."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *[one for child in children for one in family(int(child))]]


async def ended(serving: Serving) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not serving.events("ended"):
            await asyncio.sleep(0.05)
    return serving.events("ended")[0]


def counted(serving: Serving) -> dict[str, int]:
    """End it, and give what it counted."""
    assert serving.stop() == 0
    found = re.search(r"counted: (\{.*\})", serving.log.read_text())
    assert found is not None
    return json.loads(found[1])


async def heard(tab: Tab, said: Search, enough: float) -> float:
    """Record until what comes is as like what was said as it should be; give how like it became."""
    best = 0.0
    for _ in range(4):
        got = np.array(await tab.run(RECORD.replace("SECONDS", "3")), dtype="<i2")
        pieces = [got[at : at + 8000] for at in range(0, len(got) - 8000, 2000)]
        best = max(best, *[said.best(piece) for piece in pieces if np.abs(piece).max() > 500], 0.0)
        if best > enough:
            break
    return best


@pytest.mark.survives(7)
@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722"])
def test_a_page_with_a_codec_of_telephones_is_heard_and_hears(serve, program, said, tmp_path, codec):
    serving, url = ready(serve)

    async def drive(tab: Tab) -> None:
        await called(tab)
        assert f"audio/{codec}" in (await tab.run(STATS))["codecs"]
        best = await heard(tab, said, 0.9)
        assert best > 0.9, f"the echo is like what was said by {best:.2f}"
        await tab.run(CLICK)
        assert (await ended(serving))["reason"] == "remote_hangup"

    driven(program, tmp_path / "said.wav", url, drive, PREPARED + ONLY.replace("CODEC", codec))
    counts = counted(serving)
    assert counts["failures"] == counts["guard"] == 0


@pytest.mark.parametrize("ice", ["lite", "full"])
def test_a_page_hears_its_own_voice_and_hangs_up(serve, program, said, tmp_path, ice):
    serving, url = ready(serve, toml=f'[web]\nice = "{ice}"\n')

    async def drive(tab: Tab) -> None:
        await called(tab)
        stats = await tab.run(STATS)
        assert stats["transport"]["dtlsState"] == "connected"
        assert stats["transport"]["srtpCipher"] in (
            "AEAD_AES_256_GCM",
            "AEAD_AES_128_GCM",
            "SRTP_AES128_CM_HMAC_SHA1_80",
        )
        assert "audio/opus" in stats["codecs"]
        await tab.until(f"({STATS}).then((stats) => stats.pairs.length > 0)")
        best = await heard(tab, said, 0.5)
        # Opus codes this noise twice; what is not it is like it by 0.1.
        assert best > 0.5, f"the echo is like what was said by {best:.2f}"
        await tab.run("call.sender.dtmf.insertDTMF('5')")
        async with asyncio.timeout(20):
            while not serving.events("digit"):
                await asyncio.sleep(0.05)
        await tab.run(CLICK)
        assert await tab.run(STATE) == "Call ended"
        assert (await ended(serving))["reason"] == "remote_hangup"

    driven(program, tmp_path / "said.wav", url, drive)
    counts = counted(serving)
    assert counts["media_received_audio"] > 100
    assert counts["failures"] == counts["guard"] == 0
    assert counts.get("media_dropped_forged", 0) == counts.get("media_dropped_unkeyed", 0) == 0


def test_a_server_that_hangs_up_is_seen_at_once(serve, program, said, tmp_path):
    serving, url = ready(serve, toml="drain_s = 0\n")

    async def drive(tab: Tab) -> None:
        await called(tab)
        serving.process.send_signal(signal.SIGTERM)
        await tab.until(f"{STATE} === 'Call ended'", 10)

    driven(program, tmp_path / "said.wav", url, drive)
    assert serving.process.wait(30) == 0


def test_a_certificate_that_is_not_the_one_of_the_offer_gets_no_media(serve, program, said, tmp_path):
    serving, url = ready(serve)

    async def drive(tab: Tab) -> None:
        # On the way to the server the digest is changed: somebody stands between.
        await tab.run("""{
          const ask = window.fetch.bind(window);
          const other = (all) => "a=fingerprint:sha-256 " + all.split(":").reverse().join(":");
          window.fetch = (where, how) => ask(where, how && how.body
            ? { ...how, body: how.body.replace(/a=fingerprint:sha-256 ([0-9A-F:]+)/g, (_, all) => other(all)) } : how);
        }""")
        await tab.run(CLICK)
        assert (await ended(serving))["reason"] == "fingerprint"
        await tab.until(f"{STATE} === 'Call ended'")

    driven(program, tmp_path / "said.wav", url, drive)
    assert counted(serving).get("media_received_audio", 0) == 0


def test_a_browser_that_stands_still_is_hung_up_on(serve, program, said, tmp_path):
    serving, url = ready(serve)

    async def drive(tab: Tab) -> None:
        await called(tab)
        await tab.until(f"({STATS}).then((stats) => stats.pairs.length > 0)")  # before that there was no way to lose
        still = family(tab.process.pid)
        for pid in still:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert (await ended(serving))["reason"] in ("consent", "stalled")
        finally:
            for pid in still:
                os.kill(pid, signal.SIGCONT)

    driven(program, tmp_path / "said.wav", url, drive)


def test_the_door_refuses_who_has_no_token(serve):
    serving, url = ready(serve)
    request = urllib.request.Request(f"{url}calls", data=b"v=0\r\n", headers={"Content-Type": "application/sdp"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    refused.value.close()
    assert serving.stop() == 0
