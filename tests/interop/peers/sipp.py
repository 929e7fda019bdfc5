"""SIPp: a script that waits, between its steps, for our word over the connection that it keeps for a second SIPp.

    script ─ "Say: ready" ─► we          we ─ "Do: hold" ─► script ─► re-INVITE, 200, ACK ─ "Say: held" ─► we

Its sound is an echo: what it hears goes back as it came, keys too. What offhook will do must be said to it before
(`expect`): a message that its script does not wait for is none of its business. A script is one call: whom it is
referred to, another SIPp calls, and it tells what came of that (`follow`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import threading
from urllib.parse import quote, unquote

import numpy as np

from interop import kit
from interop.peers.peer import Place, Registrar

END = b"\x1b"  # what ends a command between two of them

SDP = """v=0
o=- 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a={direction}
"""

TIMER = "Supported: timer\nSession-Expires: 1800;refresher=uac\n"


REGISTER = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a registration">
{first}<recv response="401" auth="true"/>
{second}<recv response="200"/>
</scenario>
"""


def registration(place: Place, registrar: Registrar, port: int) -> str:
    """Write a scenario that registers where a phone listens, and proves who it is (SIPp knows MD5)."""
    who = f"<sip:{place.user}@{registrar.host}>"

    def request(number: int, more: str) -> str:
        return (
            f'<send retrans="500"><![CDATA[\nREGISTER sip:{registrar.host} SIP/2.0\n'
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
            f"From: {who};tag=[pid]\nTo: {who}\nCall-ID: [call_id]\nCSeq: {number} REGISTER\nMax-Forwards: 70\n"
            f"Contact: <{place.uri(port)}>\nExpires: 300\n{more}Content-Length: 0\n\n]]></send>\n"
        )

    proof = f"[authentication username={place.user} password={registrar.password}]\n"
    return REGISTER.format(first=request(1, ""), second=request(2, proof))


class Script:
    """Writes a scenario for one side of a call; `user` is its own, `to` whom it calls ("" where it is called).

    `replaces` is the call whose place this one is to take (RFC 3891).
    """

    def __init__(self, user: str, transport: str, to: str, replaces: str) -> None:
        suffix = "" if transport == "udp" else f";transport={transport}"
        self.contact = f"Contact: <sip:{user}@[local_ip]:[local_port]{suffix}>\n"
        self.to = to
        self.replaces = f"Replaces: {replaces}\n" if replaces else ""
        self.version = 0
        tag = "[pid]x[call_number]"
        if to:
            self.ends = f"From: <sip:{user}@[local_ip]>;tag={tag}\nTo: <{to}>[peer_tag_param]\n"
        else:
            self.ends = f"From:[$called];tag={tag}\nTo:[$caller]\n"
        self.tag = tag

    def body(self, direction: str = "sendrecv") -> str:
        self.version += 1
        sdp = SDP.format(version=self.version, direction=direction)
        return f"Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}"

    def send(self, method: str, more: str = "", body: str = "Content-Length: 0\n\n", where: str = "[next_url]") -> str:
        retransmit = "" if method == "ACK" else ' retrans="500"'
        return (
            f"<send{retransmit}><![CDATA[\n{method} {where} SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\n"
            f"{self.ends}Call-ID: [call_id]\nCSeq: [cseq] {method}\nMax-Forwards: 70\n"
            f"{self.contact}{more}{body}]]></send>\n"
        )

    def answer(self, code: str, more: str = "", body: str = "Content-Length: 0\n\n", to: str = "[last_To:]") -> str:
        return (
            f"<send><![CDATA[\nSIP/2.0 {code}\n[last_Via:]\n[last_From:]\n{to}\n[last_Call-ID:]\n[last_CSeq:]\n"
            f"[last_Record-Route:]\n{self.contact}{more}{body}]]></send>\n"
        )

    @staticmethod
    def say(word: str, more: str = "", then: str = "") -> str:
        return f"<sendCmd{then}><![CDATA[\nCall-ID: [call_id]\nSay: {word}\n{more}]]></sendCmd>\n"

    def invite(self, direction: str = "sendrecv", more: str = "") -> str:
        """Offer something anew, have it answered."""
        return (
            self.send("INVITE", more, self.body(direction))
            + '<recv response="100" optional="true"/>\n<recv response="200" rrs="true"/>\n'
            + self.send("ACK")
        )

    def take(self, direction: str) -> str:
        """Take what offhook offers anew."""
        answer = self.answer("200 OK", body=self.body(direction))
        return f'{self.say("waiting")}<recv request="INVITE"/>\n{answer}<recv request="ACK"/>\n'

    def notify(self, state: str, status: str) -> str:
        """Tell how what it was referred to goes on (RFC 3515 section 2.4.5)."""
        more = f"Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag;version=2.0\n"
        body = f"Content-Length: [len]\n\nSIP/2.0 {status}\n"
        return self.send("NOTIFY", more, body) + '<recv response="200"/>\n'

    def steps(self) -> dict[str, str]:
        """Give what each order makes it do."""
        notified = f'<recv request="NOTIFY"/>\n{self.answer("200 OK")}'
        return {
            "hold": self.invite("sendonly"),
            "resume": self.invite(),
            "refresh": self.send("UPDATE", TIMER) + '<recv response="200"/>\n' + self.invite(more=TIMER),
            "our-hold": self.take("recvonly"),
            "our-resume": self.take("sendrecv"),
            "refer": self.send("REFER", "Refer-To: [$target]\n") + '<recv response="202"/>\n' + notified + notified,
            "our-refer": (
                f'{self.say("waiting")}<recv request="REFER"><action>'
                '<ereg regexp=".*" search_in="hdr" header="Refer-To:" assign_to="whom"/></action></recv>\n'
                + self.answer("202 Accepted")
                + self.notify("active;expires=60", "100 Trying")
                + self.say("asked", "Whom: [$whom]\n")
            ),
            "followed": (
                self.notify("terminated;reason=noresource", "200 OK")
                + f'<recv request="BYE"/>\n{self.answer("200 OK")}{self.say("over")}'
            ),
            "hangup": self.send("BYE") + '<recv response="200"/>\n' + self.say("over"),
            "our-hangup": f'{self.say("waiting")}<recv request="BYE"/>\n{self.answer("200 OK")}{self.say("over")}',
        }

    def text(self) -> str:
        """Write the whole scenario."""
        over = 99
        steps, last = self.steps(), ("hangup", "our-hangup", "followed")
        if self.to:
            begin = (
                self.say("ready")
                + "<recvCmd/>\n"
                + self.send("INVITE", self.replaces, self.body(), where=self.to)
                + '<recv response="100" optional="true"/>\n<recv response="180" optional="true"/>\n'
                + '<recv response="200" rrs="true"><action><ereg regexp="tag=([^;]*)" search_in="hdr" header="To:" '
                + 'assign_to="all,theirs"/></action></recv>\n'
                + self.send("ACK")
                + self.say("up", f"Tags: [$theirs] {self.tag}\n")
                + self.say("dial")
            )
        else:
            begin = (
                '<recv request="INVITE" rrs="true"><action>'
                '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>'
                '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="called"/></action></recv>\n'
                + self.answer("200 OK", body=self.body(), to=f"[last_To:];tag={self.tag}")
                + '<recv request="ACK"/>\n'
                + self.say("up")
            )
        hear = "".join(
            f'<strcmp assign_to="d{n}" variable="word" value="{step}"/>'
            f'<test assign_to="t{n}" variable="d{n}" compare="equal" value="0"/>'
            for n, step in enumerate(steps, 2)
        )
        where = "".join(f'<nop next="{n}" test="t{n}"/>\n' for n in range(2, 2 + len(steps)))
        branches = "".join(
            f'<label id="{n}"/>\n{step}'
            # The next order may come at once, and a script that is at a step in between takes it for a mistake.
            + (f'<nop next="{over}"/>\n' if name in last else self.say(name, then=' next="1"'))
            for n, (name, step) in enumerate(steps.items(), 2)
        )
        return (
            '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="a phone">\n'
            f'{begin}<label id="1"/>\n'
            '<recvCmd><action><ereg regexp="Do: ([a-z-]*)" search_in="msg" assign_to="all,word"/>'
            '<ereg regexp="Target: ([^ ]*) " search_in="msg" check_it="false" assign_to="all,target"/>'
            f"{hear}</action></recvCmd>\n{where}{branches}"
            f'<label id="{over}"/>\n<Reference variables="all"/>\n</scenario>\n'
        )


class Sipp:
    """A SIPp for each call."""

    records, echoes = False, True

    def __init__(self, place: Place) -> None:
        self.place = place
        place.folder.mkdir(parents=True)
        self.said = kit.Search(np.zeros(1))
        self.port = kit.free_port()
        self.uri = place.uri(self.port)
        self.running: list[Running] = []
        self._registering = self._register(place.registrar) if place.registrar is not None else None

    def _register(self, registrar: Registrar) -> subprocess.Popen[bytes]:
        script, screen = self.place.folder / "register.xml", self.place.folder / "screen"
        script.write_text(registration(self.place, registrar, self.port))
        program = shutil.which("sipp")
        assert program
        with screen.open("wb") as out:
            return subprocess.Popen(
                [
                    program, registrar.host, "-sf", str(script), "-i", "127.0.0.1",
                    "-p", str(kit.free_port()), "-t", f"{self.place.transport[0]}1", "-m", "1", "-nostdin",
                    "-timeout", "30", "-timeout_error",
                ],
                cwd=self.place.folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _start(self, to: str, replaces: str = "") -> Running:
        port = self.port if not to else kit.free_port()
        script = Script(self.place.user, self.place.transport, to, replaces)
        one = Running(self.place, script, port, len(self.running))
        self.running.append(one)
        return one

    def registered(self) -> bool:
        assert self._registering is not None
        assert not self._registering.poll(), "it was not taken"
        return self._registering.poll() == 0

    def fresh(self) -> None:
        for one in self.running:
            one.stop()
        if "callee" in self.place.user:
            self._start("")

    def dial(self, to: str) -> None:
        self._dial(to)

    def _dial(self, to: str, replaces: str = "") -> None:
        one = self._start(to, replaces)
        one.wait("ready")
        one.do("dial")
        one.wait("up")

    def up(self) -> bool:
        return any("up" in one.said() and one.process.poll() is None for one in self.running)

    def heard(self) -> np.ndarray:
        return np.zeros(0, "<i2")

    def keys(self) -> str:
        return ""

    def hold(self) -> None:
        self.running[-1].do("hold")

    def resume(self) -> None:
        self.running[-1].do("resume")

    def echo(self) -> None:
        """Nothing: it does all the time."""

    def press(self, key: str) -> None:
        raise NotImplementedError

    def refresh(self) -> None:
        self.running[-1].do("refresh")

    def blind(self, to: str) -> None:
        self.running[-1].do("refer", f"Target: <{to}> \r\n")

    def attended(self) -> None:
        first, second = self.running[-2:]
        theirs, ours = second.tags()
        replaces = quote(f"{second.call_id};to-tag={theirs};from-tag={ours}", safe="")
        first.do("refer", f"Target: <{second.to}?Replaces={replaces}> \r\n")

    def expect(self, what: str) -> None:
        one = self.running[-1]
        before = one.said().count("waiting")
        one.do(what)
        kit.until("SIPp to wait", lambda: one.said().count("waiting") > before)

    def follow(self) -> None:
        asked = self.running[-1]
        asked.wait("asked")
        to, _, replaces = asked.whom().partition("?Replaces=")
        self._dial(to, unquote(replaces))
        asked.do("followed")

    def hangup(self) -> None:
        with contextlib.suppress(ConnectionError):  # one whose place was taken has ended by itself
            self.running[-1].do("hangup")

    def stop(self) -> None:
        if self._registering is not None:
            self._registering.kill()
            self._registering.wait()
        for one in self.running:
            one.stop()


class Running:
    """One SIPp with one call."""

    def __init__(self, place: Place, script: Script, port: int, number: int) -> None:
        self.to = script.to
        folder = place.folder
        file = folder / f"script{number}.xml"
        file.write_text(script.text())
        program = shutil.which("sipp")
        assert program
        self.text = b""
        self._done = lambda: True
        with socket.create_server(("127.0.0.1", 0)) as twin:
            twin.settimeout(kit.PATIENCE_S)
            remote = re.search(r"@([0-9.:]+)", self.to)
            with (folder / f"screen{number}").open("wb") as screen:
                self.process = subprocess.Popen(
                    [
                        program, *([remote[1]] if remote else []), "-sf", str(file), "-i", "127.0.0.1",
                        "-p", str(port), "-t", f"{place.transport[0]}1", "-mi", "127.0.0.1",
                        "-mp", str(kit.free_port()), "-rtp_echo",
                        "-3pcc", f"127.0.0.1:{twin.getsockname()[1]}", "-m", "1", "-nostdin", "-timeout", "300",
                        "-trace_msg", "-message_file", str(folder / f"messages{number}"), "-trace_err",
                        "-error_file", str(folder / f"errors{number}"),
                    ],
                    cwd=folder, stdout=screen, stderr=screen, stdin=subprocess.DEVNULL,
                )  # fmt: skip
            self.twin, _ = twin.accept()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self.twin.recv(4096):
                self.text += piece

    def said(self) -> list[str]:
        """Give the words of the script so far."""
        return re.findall(r"Say: (\S+)", self.text.decode())

    @property
    def call_id(self) -> str:
        return re.findall(r"Call-ID: (\S+)", self.text.decode())[0]

    def tags(self) -> tuple[str, str]:
        """Give the far end's tag and its own."""
        return re.findall(r"Tags: (\S+) (\S+)", self.text.decode())[0]

    def whom(self) -> str:
        """Give whom it was referred to."""
        return re.findall(r"Whom: [^<\r\n]*<([^>]*)>", self.text.decode())[-1]

    def wait(self, word: str) -> None:
        kit.until(f"SIPp to say {word}", lambda: word in self.said())

    def do(self, word: str, more: str = "") -> None:
        """Give an order, once the one before is done: one that comes sooner ends the call."""
        kit.until("SIPp to be done", lambda: self._done())
        before = self.said().count(word)
        self._done = lambda: self.said().count(word) > before
        self.twin.sendall(f"Call-ID: {self.call_id}\r\nDo: {word}\r\n{more}\r\n".encode() + END)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.twin.close()
