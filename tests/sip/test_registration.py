"""Being registered, and staying so whatever becomes of the registrar (RFC 3261 section 10.2, RFC 5626)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from offhook.core.instants import SECOND
from offhook.sip.auth import Account, Login
from offhook.sip.challenges import Challenges, Proved, Stale, User
from offhook.sip.grammar import Fields
from offhook.sip.keepalive import BOUND, COOKIE, XOR_MAPPED_ADDRESS, is_stun
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.outcomes import Flow, Outcome, Registered, Seeking, Send, Unregistered
from offhook.sip.registration import BRIEF, LONG_WAIT, REFUSED_WAIT, Registering, Standing
from offhook.sip.uri import parse_uri
from offhook.sip.useragent import Settings, UserAgent

US = ("192.0.2.1", 5060)
FIRST = Flow("udp", US, ("203.0.113.5", 5060), name="sip.trunk.example")
SECOND_WAY = Flow("udp", US, ("203.0.113.6", 5060), name="sip.trunk.example")
STREAM = Flow("tcp", US, ("203.0.113.5", 5060), name="sip.trunk.example")
AOR = parse_uri("sip:bob@sip.trunk.example")

Answer = Callable[[int, Request], "tuple[int, Fields] | None"]


@dataclass
class Registrar:
    """A registrar at one address: `says` decides, after `checks` it asks for a password; None is silence."""

    says: list[int] = field(default_factory=list)
    down: bool = False
    password: Challenges | None = None
    expires_s: int | None = None
    least_s: int = 0
    extra: Fields = ()
    rewritten: tuple[str, int] | None = None
    contact: str = ""

    def answer(self, now: int, request: Request) -> tuple[int, Fields] | None:
        if self.down:
            return None
        if self.password is not None:
            verdict = self.password.check(now, request, US[0])
            if not isinstance(verdict, Proved):
                stale = isinstance(verdict, Stale) and verdict.nonce_known
                return 401, self.password.ask(now, US[0], stale=stale)
        if self.says:
            code = self.says.pop(0)
            return code, (("Retry-After", "30"),) if code == 503 and "wait" in self.contact else ()
        asked_s = int(request.index["Expires"])
        if asked_s and asked_s < self.least_s:
            return 423, (("Min-Expires", str(self.least_s)),)
        granted_s = asked_s if self.expires_s is None or not asked_s else self.expires_s
        contact = request.values("Contact")[0].partition(";expires")[0]
        return 200, (("Contact", f"{contact}{self.contact};expires={granted_s}"), *self.extra)


class Story:
    """A user agent, the registrars around it, and time."""

    def __init__(self, seed: int = 1, **more: object) -> None:
        self.agent = UserAgent(rng=random.Random(seed), settings=Settings())
        self.now = 0
        self.registrars: dict[tuple[str, int], Registrar] = {FIRST.remote: Registrar()}
        self.ways: list[Flow] = [FIRST]
        self.told: list[Outcome] = []
        self.asked: list[tuple[int, Flow, Request]] = []
        self.pings: list[tuple[int, bytes, Flow]] = []
        self.closed: set[tuple[str, int]] = set()
        login = Login("bob", "zanzibar", (AOR,))
        self.account = Account(login, rng=random.Random(seed))
        self.rules = Registering("trunk", AOR, **more)  # type: ignore[arg-type]
        self.agent.registrations.register(0, self.rules, self.account)
        self.settle()

    @property
    def registrar(self) -> Registrar:
        return self.registrars[FIRST.remote]

    def settle(self) -> None:
        while out := self.agent.take():
            for outcome in out:
                if isinstance(outcome, Seeking):
                    self.agent.registrations.found(self.now, outcome.account, self.ways)
                elif isinstance(outcome, Send):
                    self._arrive(outcome)
                else:
                    self.told.append(outcome)

    def _arrive(self, sent: Send) -> None:
        if not sent.data.strip() or is_stun(sent.data):
            self.pings.append((self.now, sent.data, sent.flow))
            return
        if sent.flow.remote in self.closed:
            self.agent.flow_closed(self.now, sent.flow)
            return
        request = parse_message(sent.data)
        assert isinstance(request, Request)
        self.asked.append((self.now, sent.flow, request))
        registrar = self.registrars[sent.flow.remote]
        answer = registrar.answer(self.now, request)
        if answer is None:
            return
        code, fields = answer
        via = request.index["Via"]
        if registrar.rewritten is not None:
            host, port = registrar.rewritten
            via = via.replace(";rport", f";rport={port};received={host}")
        kept = [("Via", via), *[(name, request.index[name]) for name in ("From", "Call-ID", "CSeq")]]
        to = ("To", f"{request.index['To']};tag=r")
        response = Response((*kept, to, *fields), b"", code, "")
        self.agent.receive(self.now, bytes(response), sent.flow)

    def wait(self, s: float) -> None:
        end = self.now + round(s * SECOND)
        while (due := self.agent.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.agent.expire(self.now)
            self.settle()
        self.now = end

    def until_registered(self, within_s: float) -> float:
        """Wait until news of being registered comes; give how long that took."""
        begin, count = self.now, self.registered
        while self.registered == count:
            assert self.now - begin < within_s * SECOND, self.told[-3:]
            self.wait(0.1)
        return (self.now - begin) / SECOND

    @property
    def registered(self) -> int:
        return len([told for told in self.told if isinstance(told, Registered)])

    def refused(self) -> list[Unregistered]:
        """What was told of not being registered, in order."""
        return [told for told in self.told if isinstance(told, Unregistered)]

    @property
    def standing(self) -> Standing:
        return self.agent.registrations.standings()[0]

    def last(self) -> Request:
        return self.asked[-1][2]


# --- how it is asked


def test_a_register_says_who_we_are_and_where():
    story = Story()
    ((_, flow, request),) = story.asked
    assert (request.method, request.uri, flow) == ("REGISTER", "sip:sip.trunk.example", FIRST)
    assert request.index["To"] == "<sip:bob@sip.trunk.example>"
    assert request.index["From"].startswith("<sip:bob@sip.trunk.example>;tag=")
    assert request.values("Contact") == ["<sip:bob@192.0.2.1:5060>;expires=600"]
    assert (request.index["Expires"], request.index["CSeq"], request.index["Supported"]) == (
        "600",
        "1 REGISTER",
        "path",
    )
    assert story.told == [Registered("trunk", "sip:bob@192.0.2.1:5060", 600)]


def test_with_an_instance_it_speaks_outbound_and_gruu():
    story = Story(instance="urn:uuid:00000000-0000-1000-8000-000A95A0E128")
    (contact,) = story.last().values("Contact")
    identity = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1'
    assert contact == f"<sip:bob@192.0.2.1:5060;ob>{identity};expires=600"
    assert story.last().index["Supported"] == "path, gruu, outbound"


def test_where_the_first_hop_lacks_outbound_it_goes_without():
    story = Story(instance="urn:uuid:1")
    story.registrar.says = [439]
    story.wait(600)
    assert "reg-id" not in story.last().index["Contact"]
    assert story.standing.state == "registered"


def test_it_asks_again_in_time_with_the_same_call_id_and_a_greater_number():
    story = Story()
    story.wait(5400)
    times = [now / SECOND for now, _, _ in story.asked]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(0.95 * 540 <= gap <= 540 for gap in gaps)
    assert len(set(gaps)) == len(gaps)
    requests = [request for _, _, request in story.asked]
    assert len({request.index["Call-ID"] for request in requests}) == 1
    assert [int(request.index["CSeq"].split()[0]) for request in requests] == list(range(1, len(requests) + 1))
    assert story.told == [Registered("trunk", "sip:bob@192.0.2.1:5060", 600)]


@pytest.mark.parametrize("granted_s", [1, 10, 30, 60, 120, 3600, 86_400])
def test_what_is_granted_is_what_counts_however_short(granted_s):
    story = Story()
    story.registrar.expires_s = granted_s
    story.wait(600)
    begin = story.asked[1][0]
    story.now = max(story.now, begin)
    asked = len(story.asked)
    story.wait(granted_s * 0.9)
    assert len(story.asked) > asked or granted_s > 600
    gap_s = (story.asked[2][0] - begin) / SECOND
    assert granted_s * 0.45 <= gap_s <= granted_s * 0.9


def test_the_expiry_is_our_contacts_then_the_headers_then_what_we_asked():
    story = Story()
    story.registrar.contact, story.registrar.extra = ";q=1", (("Expires", "77"),)
    story.wait(600)
    assert (story.standing.until - story.asked[-1][0]) // SECOND == 600
    for fields, wanted_s in (
        ((("Expires", "77"),), 77),
        ((), 600),
        ((("Contact", "<sip:else@192.0.2.77>;expires=5"),), 600),
    ):
        registrar = Registrar()
        registrar.answer = lambda now, request, fields=fields: (200, fields)  # type: ignore[method-assign]
        story.registrars[FIRST.remote] = registrar
        asked = len(story.asked)
        while len(story.asked) == asked:
            story.wait(10)
        assert (story.standing.until - story.asked[asked][0]) // SECOND == wanted_s


@pytest.mark.survives(18)
def test_too_brief_an_interval_is_made_longer():
    story = Story()
    story.registrar.least_s = 1800
    story.wait(600)
    assert [request.index["Expires"] for _, _, request in story.asked][1:] == ["600", "1800"]
    assert story.standing.state == "registered"


def test_a_registrar_that_never_has_enough_is_a_failure():
    story = Story()
    story.registrar.says = [423] * 100
    story.wait(600)
    assert story.refused()[-1].code == 423
    assert len(story.asked) < 40


@pytest.mark.survives(19)
def test_a_challenge_is_answered_and_the_next_time_in_advance():
    story = Story()
    story.registrar.password = Challenges(
        {"bob": User("zanzibar")}, realm="sip.trunk.example", secret=bytes(16), lifetime=7200 * SECOND
    )
    story.wait(1700)
    numbers = [request.index["CSeq"] for _, _, request in story.asked]
    assert numbers == [f"{number} REGISTER" for number in range(1, len(numbers) + 1)]
    ncs = [request.index.get("Authorization", "").rpartition("nc=")[2] for _, _, request in story.asked]
    assert ncs[:5] == ["", "", "00000001", "00000002", "00000003"]
    assert [type(told) for told in story.told] == [Registered]


# --- what fails


def test_a_wrong_password_is_told_once_and_not_tried_for_minutes():
    story = Story()
    story.registrar.password = Challenges({"bob": User("other")}, realm="sip.trunk.example", secret=bytes(16))
    story.wait(1200)
    refused = story.refused()
    assert refused[0].retry_at is not None
    assert [(told.code, told.reason) for told in refused] == [(401, "user 'bob' or its password is not accepted")]
    assert REFUSED_WAIT / 2 <= refused[0].retry_at - story.asked[2][0] <= REFUSED_WAIT
    assert len(story.asked) <= 7


@pytest.mark.survives(32)
def test_a_foreign_realm_gets_no_password():
    story = Story()
    story.registrar.password = Challenges({"bob": User("zanzibar")}, realm="evil.example", secret=bytes(16))
    story.wait(600)
    assert "which is not this account's" in story.refused()[-1].reason
    assert [request for _, _, request in story.asked if "Authorization" in request.index] == []


@pytest.mark.parametrize("code", [403, 410, 603, 302])
def test_a_no_is_taken_for_a_no(code):
    story = Story()
    story.registrar.says = [code] * 100
    story.wait(4200)
    assert 7 <= len(story.asked) <= 15
    assert [told.code for told in story.refused()] == [code]


def test_a_name_that_leads_nowhere_is_tried_again():
    story = Story()
    story.ways = []
    story.registrar.down = True
    story.wait(650)
    (told,) = story.refused()
    assert (told.code, told.reason) == (503, "the registrar's name leads nowhere")
    story.ways, story.registrar.down = [FIRST], False
    assert story.until_registered(10) < 5


@pytest.mark.survives(18)
def test_retry_after_is_kept_to_in_full():
    story = Story()
    story.registrar.contact = ";x=wait"
    story.registrar.says = [503]
    story.wait(700)
    before, after = story.asked[1][0], story.asked[2][0]
    assert 30 * SECOND <= after - before <= 31 * SECOND


@pytest.mark.survives(18)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("seed", range(20))
def test_after_an_outage_of_a_minute_it_is_back_within_ten_seconds_without_a_storm(seed, transport):
    """Down for 60 s, then another nonce, then 423, then 500."""
    story = Story(seed)
    way = FIRST if transport == "udp" else STREAM
    story.ways = [way]
    registrar = story.registrar
    registrar.expires_s = 60
    registrar.password = Challenges({"bob": User("zanzibar")}, realm="sip.trunk.example", secret=bytes(16))
    story.wait(600 + random.Random(seed).uniform(0, 60))
    # The outage begins where it hurts: when the registration is asked for.
    registrar.down = True
    if transport == "tcp":
        story.closed.add(way.remote)
        story.agent.flow_closed(story.now, way)
        story.settle()
    begin, asked = story.now, len(story.asked)
    story.wait(60)
    storm = len(story.asked) - asked
    story.closed.clear()
    registrar.down = False
    registrar.password = Challenges({"bob": User("zanzibar")}, realm="sip.trunk.example", secret=b"another after it")
    registrar.least_s, registrar.expires_s, registrar.says = 1200, None, [500]
    while story.standing.state != "registered" or story.standing.until - story.now < 700 * SECOND:
        story.wait(0.1)
        assert story.now - begin <= 70 * SECOND
    assert storm <= 22
    assert len(story.asked) - asked - storm <= 8
    story.wait(60)
    assert [type(told) for told in story.told][-1] is Registered


@pytest.mark.survives(18)
def test_many_accounts_do_not_come_back_in_one_instant():
    agent = UserAgent(rng=random.Random(3), settings=Settings())
    for number in range(200):
        agent.registrations.register(0, Registering(f"a{number}", parse_uri(f"sip:u{number}@sip.trunk.example")), None)
    times: list[float] = []
    now = 0
    while now < 60 * SECOND:
        for outcome in agent.take():
            if isinstance(outcome, Seeking):
                agent.registrations.found(now, outcome.account, (STREAM,))
            elif isinstance(outcome, Send):
                times.append(now / SECOND)
        agent.flow_closed(now, STREAM)
        due = agent.deadline()
        assert due is not None
        now = max(now, due)
        agent.expire(now)
    late = [time for time in times if time > 10]
    busiest = max(len([time for time in late if start <= time < start + 0.1]) for start in range(10, 60))
    assert len(late) <= 200 * 50 * 22 / 60
    assert busiest <= 30


def test_a_long_outage_is_asked_about_less_and_less_often():
    story = Story()
    story.ways = [STREAM]
    story.closed.add(STREAM.remote)
    story.agent.flow_closed(story.now, FIRST)
    story.wait(700)
    begin = story.now
    asked: list[int] = []
    ways = story.agent.registrations.found
    story.agent.registrations.found = lambda now, name, flows: (asked.append(now), ways(now, name, flows))  # type: ignore[method-assign]
    story.wait(7200)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert max(gaps) <= LONG_WAIT
    assert min(gaps[-20:]) >= LONG_WAIT / 2
    assert len([now for now in asked if now - begin > BRIEF]) < 200
    assert len(story.refused()) == 1


def test_a_binding_that_runs_out_while_it_is_asked_for_is_told():
    story = Story()
    story.registrar.expires_s = 60
    story.wait(600)
    story.registrar.down = True
    story.wait(62)
    (told,) = story.refused()
    assert (told.code, told.reason) == (408, "no answer")
    story.wait(120)
    assert len(story.refused()) == 1


# --- several registrars


@pytest.mark.survives(18)
def test_the_next_registrar_takes_over_and_the_first_is_returned_to():
    story = Story()
    story.ways = [FIRST, SECOND_WAY]
    story.registrars[SECOND_WAY.remote] = Registrar()
    story.registrar.down = True
    story.wait(600 + 60)
    assert story.standing.state == "registered"
    assert story.standing.flow == SECOND_WAY
    story.wait(400)
    assert story.standing.flow == SECOND_WAY
    story.registrar.down = False
    story.wait(320)
    assert story.standing.flow == FIRST
    assert [type(told) for told in story.told] == [Registered]


@pytest.mark.parametrize("code", [503, 500, 404])
def test_a_registrar_that_fails_is_passed_over_at_once(code):
    story = Story()
    story.ways = [FIRST, SECOND_WAY]
    story.registrars[SECOND_WAY.remote] = Registrar()
    story.agent.flow_closed(0, FIRST)
    story.registrar.says = [code] * 9
    story.wait(5)
    story.wait(600)
    assert story.standing.flow == SECOND_WAY
    assert story.told[-1] == Registered("trunk", "sip:bob@192.0.2.1:5060", 600)


# --- what is granted


def test_what_the_registrar_grants_is_what_the_accounts_calls_go_by():
    story = Story(instance="urn:uuid:1")
    registrar = story.registrar
    registrar.contact = (
        ';pub-gruu="sip:bob@sip.trunk.example;gr=urn:uuid:1";temp-gruu="sip:tgruu.7@sip.trunk.example;gr"'
    )
    registrar.extra = (
        ("Service-Route", "<sip:edge.trunk.example;lr>, <sip:core.trunk.example;lr>"),
        ("P-Associated-URI", "<sip:+15551234567@sip.trunk.example>"),
        ("Path", "<sip:edge.trunk.example;lr;ob>"),
        ("Require", "outbound"),
    )
    story.wait(600)
    granted = story.standing.granted
    assert granted.gruu == "sip:bob@sip.trunk.example;gr=urn:uuid:1"
    assert granted.temp_gruu == "sip:tgruu.7@sip.trunk.example;gr"
    assert granted.uris == ("<sip:+15551234567@sip.trunk.example>",)
    assert granted.outbound
    assert story.account.contact == granted.gruu
    assert story.account.routes == ("<sip:edge.trunk.example;lr>", "<sip:core.trunk.example;lr>")


def test_behind_a_nat_the_contact_is_what_the_registrar_saw_and_the_old_one_is_taken_back():
    story = Story(rewrite_contact=True)
    story.registrar.rewritten = ("198.51.100.7", 40_000)
    story.wait(600)
    assert story.last().values("Contact") == [
        "<sip:bob@198.51.100.7:40000>;expires=600",
        "<sip:bob@192.0.2.1:5060>;expires=0",
    ]
    assert story.told[-1] == Registered("trunk", "sip:bob@198.51.100.7:40000", 600)
    asked = len(story.asked)
    story.registrar.rewritten = ("198.51.100.7", 40_001)
    story.wait(600)
    assert len(story.asked) == asked + 1


def test_without_the_wish_the_contact_stays():
    story = Story()
    story.registrar.rewritten = ("198.51.100.7", 40_000)
    story.wait(600)
    assert len(story.asked) == 2


# --- the path


def test_a_kept_path_is_pinged_between_24_and_29_seconds():
    story = Story(keepalive=True)
    story.wait(300)
    times = [now / SECOND for now, _, _ in story.pings]
    assert all(24 <= later - earlier <= 29 for earlier, later in zip([0, *times], times, strict=False))
    assert {data for _, data, _ in story.pings} == {b"\r\n\r\n"}
    assert len(story.asked) == 1


def outbound(transport: str) -> Story:
    story = Story(instance="urn:uuid:1")
    story.ways = [FIRST if transport == "udp" else STREAM]
    story.registrar.extra = (("Require", "outbound"), ("Flow-Timer", "50"))
    story.agent.flow_closed(story.now, FIRST)
    story.wait(2)
    assert story.standing.granted.outbound
    story.pings.clear()
    return story


def test_a_stream_is_pinged_and_left_to_its_connection():
    story = outbound("tcp")
    asked = len(story.asked)
    story.wait(250)
    assert {(data, flow) for _, data, flow in story.pings} == {(b"\r\n\r\n", STREAM)}
    assert all(40 <= gap / SECOND <= 50 for gap in _gaps(story.pings))
    assert len(story.asked) == asked


def _gaps(pings: list[tuple[int, bytes, Flow]]) -> list[int]:
    return [later[0] - earlier[0] for earlier, later in itertools.pairwise(pings)]


def bound(request: bytes, port: int) -> bytes:
    """A Binding response that says we are seen at 198.51.100.7."""
    mapped = bytes([one ^ other for one, other in zip(bytes([198, 51, 100, 7]), COOKIE, strict=True)])
    value = b"\x00\x01" + (port ^ 0x2112).to_bytes(2, "big") + mapped
    attribute = XOR_MAPPED_ADDRESS.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return BOUND + len(attribute).to_bytes(2, "big") + request[4:20] + attribute


def test_a_datagram_path_is_asked_by_stun_and_registered_anew_where_the_nat_moved_it():
    story = outbound("udp")
    asked = len(story.asked)

    def answers(port: int, *, forged: bool = False) -> None:
        story.pings.clear()
        while not story.pings:
            story.wait(1)
        _, data, _ = story.pings[-1]
        assert is_stun(data)
        request = data[:-1] + b"?" if forged else data
        story.agent.receive(story.now, bound(request, port), FIRST)

    answers(40_000)
    answers(40_000)
    story.wait(5)
    assert len(story.asked) == asked
    answers(40_001)
    story.wait(2)
    assert len(story.asked) == asked + 1
    answers(40_002, forged=True)
    story.wait(9)
    assert len(story.asked) == asked + 1
    story.wait(5)  # nobody has answered that one
    assert len(story.asked) == asked + 2


def test_a_connection_that_breaks_is_followed_by_another_registration_soon():
    story = Story()
    story.ways = [STREAM]
    story.agent.flow_closed(story.now, FIRST)
    story.wait(2)
    asked = len(story.asked)
    story.agent.flow_closed(story.now, STREAM)
    story.wait(1.6)
    assert len(story.asked) == asked + 1


# --- the end


def test_the_binding_is_taken_back():
    story = Story()
    story.agent.registrations.unregister(story.now, "trunk")
    story.settle()
    assert (story.last().index["Expires"], story.last().values("Contact")) == (
        "0",
        ["<sip:bob@192.0.2.1:5060>;expires=0"],
    )
    assert story.told[-1] == Unregistered("trunk", 200, "unregistered", None)
    assert story.account.contact == ""
    story.wait(60)
    assert story.agent.deadline() is None
    assert len(story.asked) == 2


def test_what_is_not_registered_is_let_go_at_once():
    story = Story()
    story.registrar.down = True
    story.wait(1300)
    asked = len(story.asked)
    story.agent.registrations.unregister(story.now, "trunk")
    story.settle()
    assert story.told[-1] == Unregistered("trunk", 200, "unregistered", None)
    story.wait(60)
    assert story.agent.deadline() is None
    assert {request.index["Call-ID"] for _, _, request in story.asked[asked:]} <= {story.asked[0][2].index["Call-ID"]}


def test_a_line_break_registers_nobody():
    story = Story()
    with pytest.raises(ValueError, match="line break"):
        story.agent.registrations.register(0, Registering("x", AOR, instance="a\r\nb"), None)
