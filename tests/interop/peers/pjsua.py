"""pjsua2, through the phone in `pjsua_phone.py`."""

from __future__ import annotations

import json

import numpy as np

from interop import kit
from interop.peers.peer import Place
from interop.program import Program


class Pjsua:
    """One pjsua2 with one account."""

    def __init__(self, place: Place, *, codecs: tuple[str, ...] = ("PCMU",), srtp: str = "disabled") -> None:
        self.said = place.said()
        port = place.port()
        self.uri = place.uri(port)
        self.folder = place.folder
        self.place = place
        self.records, self.echoes = True, False
        wish = {
            "folder": str(place.folder),
            "transport": place.transport,
            "host": place.host,
            "port": port,
            "rtp_port": kit.free_port(),
            "codecs": codecs,
            "srtp": srtp,
            "identity": f"sip:{place.user}@{place.host}",
            "play": str(place.folder / "said.wav"),
            "expires_s": place.expires_s,
            "authority": str(place.certificates.authority),
            "certificate": str(place.certificates.certificate),
            "key": str(place.certificates.key),
        }
        if place.registrar is not None:
            suffix = "" if place.transport == "udp" else f";transport={place.transport}"
            wish |= {
                "identity": f"sip:{place.user}@{place.registrar.host}",
                "registrar": f"sip:{place.registrar.host}{suffix}",
                "user": place.user,
                "password": place.registrar.password,
            }
        self.program = Program("peers/pjsua_phone.py", json.dumps(wish), log=place.folder / "stderr.log")

    def registered(self) -> bool:
        return bool(self.program.told("registered", code=200, active=True))

    def dial(self, to: str) -> None:
        number = self.program.do("dial", to=to)

        def up() -> bool:
            over = self.program.told("state", call=number, state="DISCONNCTD")
            assert not over, f"not answered: {over}"
            return bool(self.program.told("media", call=number, active=True))

        self.program.wait("the answer", up)

    def up(self) -> bool:
        return bool(self._confirmed())

    def _confirmed(self) -> list[int]:
        """Give the calls that are up, oldest first."""
        states = {one["call"]: one["state"] for one in self.program.told("state")}
        return [call for call, state in states.items() if state == "CONFIRMED"]

    def heard(self) -> np.ndarray:
        files = sorted(self.folder.glob("heard-*.wav"), key=lambda file: int(file.stem.rpartition("-")[2]))
        return np.concatenate([np.zeros(0, "<i2"), *[kit.growing(file) for file in files]])

    def keys(self) -> str:
        return "".join(one["digit"] for one in self.program.told("digit"))

    def hold(self) -> None:
        self.program.do("hold")

    def resume(self) -> None:
        self.program.do("resume")

    def echo(self) -> None:
        """Nothing: it records all through."""

    def press(self, key: str) -> None:
        self.program.do("press", keys=key)

    def refresh(self) -> None:
        self.program.do("update")

    def blind(self, to: str) -> None:
        self.program.do("blind", to=f"<{to}>")  # without, what follows a semicolon is not the URI's

    def attended(self) -> None:
        first, second = self.program.wait("two calls", lambda: len(self._confirmed()) >= 2 and self._confirmed()[-2:])
        self.program.do("attended", call=first, other=second)

    def expect(self, what: str) -> None:
        """Nothing: a phone takes what comes."""

    def follow(self) -> None:
        """Nothing: a phone does by itself."""

    def hangup(self) -> None:
        self.program.do("hangup-all")

    def fresh(self) -> None:
        """Nothing: every call has a file of its own, and says the same."""

    def stop(self) -> None:
        self.program.stop()
