"""One peer in one role over one transport, driven through every feature; what came of each is kept for its cell.

    peer ══ SIP, RTP ══ desk (offhook)          caller: the peer dials; callee: the desk does
      └────────┬─────────┘
            witness (pjsua2): whom calls are transferred to, one a sitting

The wire is the desk's: it tells every message that it sends and takes. Sound is told apart by who says it: each phone
says its own, and a cell that is about media waits until a stretch of it has come through.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from interop import kit
from interop.peers.kamailio import Behind, Kamailio
from interop.peers.netsip import NetSip
from interop.peers.peer import Certificates, Peer, Place, Registrar, address
from interop.peers.pjsua import Pjsua
from interop.program import Event, Program

KEYS = "0123456789*#"

HELD = re.compile(r"^a=(?:sendonly|inactive)\r?$|^c=IN IP4 0\.0\.0\.0\r?$", re.MULTILINE)
SILENT = re.compile(r"^a=(?:recvonly|inactive)\r?$", re.MULTILINE)


PORTLESS = frozenset({"linphone"})
"""Who connects its two calls by the bare address of the second: port and transport of whom it called are lost."""


def password(user: str) -> str:
    """Give the password of an account."""
    return f"secret-of-{user}"


@dataclass
class Office:
    """What all sittings share: the desk and what it says."""

    desk: Program
    port: int
    said: kit.Search
    folder: Path
    certificates: Certificates
    proxy: Kamailio | NetSip | None = None
    """Through whom the desk and the phones reach each other; None: they do without."""

    def uri(self, user: str, transport: str) -> str:
        """Where the desk, or behind a proxy whoever it is, is called."""
        return address(user, transport, self.proxy.port if self.proxy is not None else self.port)

    def registrar(self, user: str, transport: str) -> Registrar:
        """Where a user registers: with the proxy, or else with the desk."""
        port = self.proxy.port if self.proxy is not None else self.port
        return Registrar(f"127.0.0.1:{port + (transport == 'tls')}", password(user))

    def is_registered(self) -> bool:
        """Whether the desk is, with its registrar."""
        taken = re.compile(r"SIP/2\.0 200 .*^CSeq: \d+ REGISTER\r?$", re.MULTILINE | re.DOTALL | re.IGNORECASE)
        return any(taken.match(one["text"]) for one in self.desk.told("sip", way="in"))


def opened(
    folder: Path,
    made: Certificates,
    *,
    accounts: str = "",
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    proxy: Kamailio | NetSip | None = None,
) -> Office:
    """Start a desk that speaks these codecs, with these accounts in its configuration."""
    folder.mkdir(exist_ok=True)
    port, rtp, said = kit.free_port(), kit.free_port(), kit.endless(99, folder / "desk.wav")
    (folder / "desk.toml").write_text(
        "[sip]\n"
        f'listen = ["udp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port + 1}"]\n'
        f"rtp_ports = [{rtp}, {rtp + 600}]\n"
        f"codecs = {list(codecs)}\n"
        f'tls = {{ certificate = "{made.certificate}", key = "{made.key}", ca = "{made.authority}" }}\n'
        '[dial]\nallow = ["sip:*@127.*", "+1555"]\n'
        '[routes]\n"*" = "interop.desk:talk"\n' + accounts
    )
    arguments = (folder / "desk.toml", folder / "desk.wav", folder)
    return Office(Program("desk.py", *arguments, log=folder / "desk.log"), port, said, folder, made, proxy)


@dataclass
class Sitting:
    """Results by feature: None, or what went wrong."""

    office: Office
    make: Callable[[Place], Peer]
    name: str
    role: str
    transport: str
    features: frozenset[str]
    expires_s: int = 0
    registers: bool = False
    """Whether the peer registers with the desk first, and is called where it did."""
    results: dict[str, BaseException | None] = field(default_factory=dict)

    user: str = ""
    """Whose messages on the wire are of this sitting: no other's hold this name."""

    def __post_init__(self) -> None:
        self.user = self.user or f"{self.name}-{self.role}-{self.transport}"
        self.call = ""
        self.since = 0

    # What is known

    def wire(self, way: str, since: int = 0) -> list[str]:
        """Give the messages of this sitting that the desk took ("in") or sent ("out")."""
        told = self.office.desk.told("sip", since, way=way)
        return [one["text"] for one in told if self.user in one["text"]]

    def heard_by_desk(self) -> np.ndarray:
        return kit.growing(self.office.folder / f"{self.call}.raw")

    def told(self, event: str, since: int = 0) -> list[Event]:
        return self.office.desk.told(event, since, call=self.call)

    # The course of it

    def run(self) -> None:
        """Go through all features that are asked for; never raises."""
        office = self.office
        registrar = office.registrar(self.user, self.transport) if self.registers else None
        place = Place(
            office.folder / self.user, self.user, self.transport, office.certificates, registrar, self.expires_s
        )
        try:
            self.peer = self.make(place)
        except Exception as error:  # noqa: BLE001 (whatever it is, each cell is told)
            self.results = dict.fromkeys(self.features, error)
            return
        try:
            if self.registers:
                registered = self.peer.registered if office.proxy is None else office.is_registered
                with self.cell("register"):
                    kit.until("the registration", registered)
            self._talk()
            transfers = {
                "blind": self._blind, "attended": self._attended,
                "our-blind": self._our_blind, "our-attended": self._our_attended,
            }  # fmt: skip
            for feature, hand_on in transfers.items():
                if feature in self.features:
                    with self.cell(feature):
                        self._transfer(hand_on)
        except Exception as error:  # noqa: BLE001
            for feature in self.features - set(self.results):
                self.results[feature] = error
        finally:
            self.peer.stop()

    def register_only(self) -> None:
        """Wait for the desk's registration with who is no more than a registrar; never raises."""
        with self.cell("register"):
            kit.until("the registration", self.office.is_registered)

    @contextmanager
    def cell(self, feature: str) -> Generator[None]:
        """Keep what comes of a feature."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.results[feature] = error
        else:
            self.results[feature] = None

    def _talk(self) -> None:
        with self.cell("call"):
            self._connect()
            self._sound()
        if self.results["call"] is not None:
            raise self.results["call"]
        for feature, step in (
            ("keys", self._keys), ("our-keys", self._our_keys), ("hold", self._hold), ("resume", self._resume),
            ("our-hold", self._our_hold), ("our-resume", self._our_resume), ("refresh", self._refresh),
        ):  # fmt: skip
            if feature in self.features:
                with self.cell(feature):
                    step()
        with self.cell("hangup"):
            self._hang_up()

    def _connect(self) -> None:
        """Bring a call up between the peer and the desk."""
        desk, since = self.office.desk, len(self.office.desk.events)
        self.peer.fresh()
        if self.role == "caller":
            self.peer.dial(self.office.uri("desk", self.transport))
            came = lambda: [one for one in desk.told("incoming", since) if self.user in one["caller"]]  # noqa: E731
            self.call = desk.wait("the call", came)[0]["call"]
        else:
            self.call = desk.do("dial", to=self._whom())
        desk.wait("the answer", lambda: self.told("answered") or self.role == "callee")
        kit.until("the peer to be in a call", self.peer.up)

    def _whom(self) -> str:
        """Give whom the desk dials: a number through its trunk, a user of its own, or where the phone listens."""
        if self.office.proxy is not None:
            return self.user
        return f"sip:{self.user}@offhook" if self.registers else self.peer.uri

    def _sound(self) -> None:
        """Hear each other, both ways, from now on."""
        if not self.peer.echoes:
            there = kit.through(self.peer.heard, self.office.said)
            kit.until("the desk to hear the peer", kit.through(self.heard_by_desk, self.peer.said), 15.0)
            if self.peer.records:
                kit.until("the peer to hear the desk", there, 15.0)
                return
            self.peer.echo()
        kit.until("the desk to hear itself", kit.through(self.heard_by_desk, self.office.said), 15.0)

    def _keys(self) -> None:
        for number, key in enumerate(KEYS, 1):
            if self.peer.echoes:  # what we press comes back
                self.office.desk.do("press", call=self.call, keys=key)
            else:
                self.peer.press(key)
            kit.until(f"key {key}", lambda number=number: len(self.told("digit")) >= number, 10.0)
        assert "".join(one["digit"] for one in self.told("digit")) == KEYS

    def _our_keys(self) -> None:
        came = self.peer.keys
        if self.peer.echoes:  # they come back
            came = lambda: "".join(one["digit"] for one in self.told("digit"))  # noqa: E731
        before = len(came())
        self.office.desk.do("press", call=self.call, keys=KEYS)
        kit.until("our keys", lambda: len(came()) - before >= len(KEYS), 10.0)
        assert came()[before:] == KEYS

    def _hold(self) -> None:
        since = len(self.office.desk.events)
        self.peer.hold()
        kit.until("their hold", lambda: any(HELD.search(text) for text in self._offers("in", since)), 10.0)
        answers = lambda: [text for text in self.wire("out", since) if text.startswith("SIP/2.0 200")]  # noqa: E731
        kit.until("our answer", lambda: any(SILENT.search(text) for text in answers()), 10.0)

    def _resume(self) -> None:
        since = len(self.office.desk.events)
        self.peer.resume()
        kit.until("their offer", lambda: [text for text in self._offers("in", since) if not HELD.search(text)], 10.0)
        self._sound()

    def _our_hold(self) -> None:
        since = len(self.office.desk.events)
        self.peer.expect("our-hold")
        self.office.desk.do("hold", call=self.call)
        kit.until("our hold", lambda: any(HELD.search(text) for text in self._offers("out", since)), 10.0)
        answers = lambda: [text for text in self.wire("in", since) if text.startswith("SIP/2.0 200")]  # noqa: E731
        kit.until("their answer", lambda: any(SILENT.search(text) for text in answers()), 10.0)

    def _our_resume(self) -> None:
        self.peer.expect("our-resume")
        self.office.desk.do("resume", call=self.call)
        self._sound()

    def _refresh(self) -> None:
        since = len(self.office.desk.events)
        self.peer.refresh()
        kit.until("their refresh", lambda: self._requests("in", since), 60.0)
        method = self._requests("in", since)[0].split(" ", 1)[0]
        answers = lambda: [  # noqa: E731
            text
            for text in self.wire("out", since)
            if text.startswith("SIP/2.0 200") and re.search(rf"^CSeq: \d+ {method}\r?$", text, re.MULTILINE)
        ]
        kit.until("our answer", answers, 10.0)
        self._sound()

    def _hang_up(self) -> None:
        if self.role == "caller":
            self.peer.hangup()
        else:
            self.peer.expect("our-hangup")
            self.office.desk.do("hangup", call=self.call)
        self.office.desk.wait("the end", lambda: self.told("ended"))
        kit.until("the peer's end", lambda: not self.peer.up())

    def _requests(self, way: str, since: int) -> list[str]:
        return [text for text in self.wire(way, since) if text.startswith(("INVITE ", "UPDATE "))]

    def _offers(self, way: str, since: int) -> list[str]:
        return [text for text in self._requests(way, since) if "m=audio" in text]

    # Transfers

    def _transfer(self, hand_on: Callable[[], None]) -> None:
        """Bring a call up, have it handed on to a witness, and clear up."""
        self.witness = self._made_witness(hand_on)
        try:
            self._connect()
            hand_on()
        finally:
            # By both: over TCP a phone names a port in its Contact that nobody but who it called can reach.
            self.witness.program.do("hangup-all")
            if self.peer.up():
                self.peer.hangup()
            self.witness.stop()
        kit.until("the peer's end", lambda: not self.peer.up())

    def _made_witness(self, hand_on: Callable[[], None]) -> Pjsua:
        office, number = self.office, len(self.results)
        user = f"witness-{self.user}-{number}" if office.proxy is None else f"{self.user}{number:02}"
        place = Place(office.folder / user, user, self.transport, office.certificates)
        if self.name in PORTLESS and hand_on == self._attended:
            alone = ".".join(str(random.randrange(1, 255)) for _ in range(3))
            return Pjsua(replace(place, transport="udp", host=f"127.{alone}"))
        if office.proxy is None:
            return Pjsua(place)
        return Behind(replace(place, registrar=office.registrar(user, self.transport)))

    def _witnessed(self, said: kit.Search) -> None:
        kit.until("the witness to hear", kit.through(self.witness.heard, said), 20.0)

    def _blind(self) -> None:
        self.peer.blind(self.witness.uri)
        self._witnessed(self.office.said)

    def _attended(self) -> None:
        self.peer.dial(self.witness.uri)
        self.peer.attended()
        self._witnessed(self.office.said)

    def _our_blind(self) -> None:
        self._refer("transfer")

    def _our_attended(self) -> None:
        self._refer("attended")

    def _refer(self, how: str) -> None:
        self.peer.expect("our-refer")
        referring = self.office.desk.order(how, call=self.call, to=self.witness.uri)
        self.peer.follow()
        self.office.desk.outcome(referring)
        self._witnessed(self.witness.said if self.peer.echoes else self.peer.said)
