"""A real Asterisk, by its REST interface: it is answered, heard, asked to call and to send calls on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop import kit as tools
from interop.kit import OFFHOOK
from interop.peers.asterisk import ANSWERS, BUSY, INSTALL, LOADER, Asterisk
from interop.peers.peer import Certificates, Place
from interop.peers.pjsua import Pjsua

pytestmark = pytest.mark.interop

APP = """
from pathlib import Path
from typing import Any

import offhook


async def desk(call: offhook.Call) -> None:
    "Give back what is heard; 1 has the call sent on, 2 has it hung up."
    async for pcm in call.audio(rate_hz=call.rate_hz):
        if "1" in call.digits:
            return await call.transfer("TARGET")
        if "2" in call.digits:
            return await call.hangup()
        await call.play(pcm, rate_hz=call.rate_hz)


async def caller(call: offhook.Call) -> None:
    "Say what is in said.wav, and write down what is heard of it."
    await call.play(Path("said.wav"))
    with Path("heard.raw").open("wb", buffering=0) as out:
        async for pcm in call.audio():
            out.write(pcm)
            if out.tell() > 16 * 4000:
                return await call.hangup()


desk.needs_models = caller.needs_models = False
""".replace("TARGET", ANSWERS)


class Office:
    """An Asterisk, an offhook that answers for it, and a phone that calls."""

    def __init__(self, folder: Path, serve: Callable[..., Any], asterisk: Asterisk) -> None:
        self.asterisk = asterisk
        self.folder = folder
        (folder / "app.py").write_text(APP)
        (folder / "office.toml").write_text(asterisk.toml)
        self.serving = serve("app:desk", toml=asterisk.toml, options=("--carrier", "asterisk"), cwd=folder)
        self.waits_for_events()
        nothing = Path("/dev/null")
        self.phone = Pjsua(Place(folder / "phone", "alice", "udp", Certificates(*(nothing,) * 4)))

    def waits_for_events(self) -> None:
        tools.until("the application", lambda: self.asterisk.apps() == ["offhook"])

    def call(self) -> None:
        """Have the phone call, and be heard."""
        self.phone.dial(f"sip:100@127.0.0.1:{self.asterisk.sip}")
        self.is_echoed()

    def is_echoed(self) -> None:
        tools.until("our own voice", tools.through(self.phone.heard, self.phone.said))

    def over(self) -> None:
        """See that nothing is left in the Asterisk."""
        tools.until("the end", lambda: not self.asterisk.ask("channels") and not self.asterisk.ask("bridges"))
        tools.until("the end here", lambda: self.serving.events("ended"))


@pytest.fixture
def office(tmp_path: Path, serve: Callable[..., Any]) -> Iterator[Office]:
    """An office, closed with the test."""
    if not LOADER.exists():  # in CI, too: Debian's unstable may be without it for days
        pytest.skip(f"an Asterisk is not there: {INSTALL}")
    asterisk = Asterisk(tmp_path / "asterisk")
    try:
        made = Office(tmp_path, serve, asterisk)
        try:
            yield made
        finally:
            made.phone.stop()
    finally:
        asterisk.stop()


def test_it_is_answered_heard_and_presses_a_key(office: Office) -> None:
    office.call()
    assert sorted(office.asterisk.running()) == ["Stasis", "Stasis"]
    office.phone.press("5")
    tools.until("the key", lambda: office.serving.events("digit"))
    office.is_echoed()
    assert [one["digit"] for one in office.serving.events("digit")] == ["5"]
    [incoming] = office.serving.events("incoming")
    assert (incoming["caller"], incoming["called"]) == ("alice", "100")
    office.phone.hangup()
    office.over()
    assert [one["reason"] for one in office.serving.events("ended")] == ["remote_hangup"]
    assert office.serving.stop() == 0


def test_it_is_hung_up_on(office: Office) -> None:
    office.call()
    office.phone.press("2")
    office.over()
    tools.until("the phone to be free", lambda: not office.phone.up())
    assert [one["reason"] for one in office.serving.events("ended")] == ["hangup"]


def test_a_call_is_sent_on_in_the_dialplan(office: Office) -> None:
    office.call()
    office.phone.press("1")
    tools.until("the other program", lambda: office.asterisk.running() == ["Echo"])
    office.is_echoed()
    assert office.asterisk.ask("bridges") == []
    assert [one["reason"] for one in office.serving.events("ended")] == ["transferred"]
    office.phone.hangup()
    office.over()


def test_events_come_again_behind_a_restart_and_what_was_cut_is_over(office: Office) -> None:
    office.call()
    office.asterisk.stop()
    tools.until("the end of the call", lambda: office.serving.events("ended"))
    office.asterisk.start()
    office.waits_for_events()
    office.call()
    office.phone.hangup()
    office.over()
    log = office.serving.log.read_text()
    assert "its events do not come" in log
    assert "ari-secret" not in log


def dial(office: Office, to: str) -> subprocess.CompletedProcess[str]:
    """Have an offhook of its own call by the Asterisk; the one that answers has gone."""
    assert office.serving.stop() == 0
    command = [OFFHOOK, "call", to, "app:caller", "--carrier", "asterisk", "--config", "office.toml"]
    return subprocess.run(command, cwd=office.folder, capture_output=True, text=True, timeout=60, check=False)


def test_it_calls_for_us(office: Office) -> None:
    said = tools.sound(2.0, 7)
    tools.write_wav(office.folder / "said.wav", said)
    done = dial(office, ANSWERS)
    assert done.returncode == 0, done.stderr
    heard = np.frombuffer((office.folder / "heard.raw").read_bytes(), "<i2")
    assert tools.Search(heard).best(said[4000:12000]) > 0.9
    assert office.asterisk.ask("channels") == []


def test_who_is_busy_is_said_to_be(office: Office) -> None:
    done = dial(office, BUSY)
    assert done.returncode != 0
    assert "486" in done.stderr
    assert office.asterisk.ask("channels") == []
