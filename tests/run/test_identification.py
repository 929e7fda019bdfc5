"""Callers who sign: let in at once and judged meanwhile, or only once their signature holds where one is required."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from offhook.call import Call
from offhook.call.events import Identified
from offhook.carriers.stir import Trust, identities, signer, verify
from offhook.carriers.trunks import Trunk
from offhook.core.errors import ConfigError
from offhook.core.verdict import Verdict
from offhook.run.identification import Identification
from offhook.run.rules import StirRules
from offhook.sip.identity import Believed
from offhook.sip.message import Request, parse_message
from offhook.sip.passport import Passport
from offhook.sip.uri import parse_uri
from offhook.testing.authorities import Authority, FakeCertificates, Issued

NOW = 1_790_000_000
URL = "https://certificates.example/shaken.pem"
CALLER, CALLED = "+12155551212", "+12125551213"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Root of the numbers", begins=datetime.fromtimestamp(NOW - 86_400, UTC))


@pytest.fixture(scope="module")
def provider(authority: Authority) -> Issued:
    return authority.numbers("1234")


@pytest.fixture
def identified(tmp_path: Path, authority: Authority, provider: Issued) -> Any:
    """Make an `Identification`; `require` and the rest as in `StirRules`."""
    (tmp_path / "roots.pem").write_bytes(authority.pem)
    (tmp_path / "key.pem").write_bytes(provider.key)

    def make(**rules: Any) -> Identification:
        certificates = FakeCertificates({URL: provider.chain})
        made = StirRules(roots=tmp_path / "roots.pem", **rules)
        return Identification(made, certificates=certificates, wall=lambda: float(NOW))

    return make


def signature(provider: Issued, *, grade: str = "A", caller: str = CALLER) -> str:
    passport = Passport("shaken", caller.removeprefix("+"), (CALLED.removeprefix("+"),), NOW, "", grade, "o-1")
    return f"P-Asserted-Identity: <tel:{CALLER}>\r\nIdentity: {signer(provider.key, URL).sign(passport)}"


class Agent:
    """Takes calls and remembers what it knew of each at its begin, and a second later."""

    def __init__(self) -> None:
        self.knew: list[tuple[Verdict, Verdict]] = []

    async def __call__(self, call: Call) -> None:
        first = call.info.verdict
        await asyncio.sleep(1.0)
        self.knew.append((first, call.info.verdict))


def ring(stage: Any, identification: Identification, extra: str, *, times: int = 1, **rules: Any) -> tuple[Agent, int]:
    """Call with some headers; give who took the calls and the last final code."""
    agent = Agent()
    codes: list[int] = []

    async def story() -> None:
        async with stage.host(agent, identification=identification, **rules):
            peer = stage.peer()
            for _ in range(times):
                peer.fresh(CALLED)
                peer.request("INVITE", peer.sdp(), extra=extra, user=CALLED)
                answer = await peer.response("INVITE")
                codes.append(answer.sip.code)
                if answer.sip.code == 200:
                    peer.confirm(answer)
                peer.request("ACK", same=answer.sip.code >= 300, user=CALLED)
                await asyncio.sleep(3.0)
            peer.close()

    stage.play(story())
    return agent, codes[-1]


@pytest.mark.parametrize("grade", ["A", "C"])
def test_a_call_goes_on_while_its_certificate_is_fetched(stage: Any, identified: Any, provider: Issued, grade: str):
    agent, code = ring(stage, identified(), signature(provider, grade=grade), times=2)
    assert code == 200
    (first, later), (at_once, _) = agent.knew
    assert (first.state, first.code) == ("unknown", 436)
    assert later == Verdict("valid", grade, "o-1", "signature")
    assert at_once == later  # it is kept
    told = [event for event in stage.events if isinstance(event, Identified)]
    assert [(event.state, event.attestation, event.by) for event in told] == [("valid", grade, "signature")] * 2


@pytest.mark.survives(38)
def test_a_signature_of_another_caller_is_shown_as_one(stage: Any, identified: Any, provider: Issued):
    agent, code = ring(stage, identified(), signature(provider, caller="+13105550000"))
    assert code == 200
    assert agent.knew[0][1].state == "invalid"
    (told,) = [event for event in stage.events if isinstance(event, Identified)]
    assert (told.state, told.reason) == ("invalid", "the signed caller is another one")


@pytest.mark.parametrize(
    ("require", "grade", "caller", "code"),
    [
        ("valid", "C", CALLER, 200),
        ("B", "A", CALLER, 200),
        ("B", "B", CALLER, 200),
        ("B", "C", CALLER, 608),
        ("valid", "A", "+13105550000", 438),
    ],
)
def test_where_a_signature_is_required(stage: Any, identified: Any, provider: Issued, require, grade, caller, code):
    extra = signature(provider, grade=grade, caller=caller)
    agent, answer = ring(stage, identified(require=require), extra, times=2)
    assert answer == code
    if code == 200:
        assert [first.state for first, _ in agent.knew] == ["valid", "valid"]


def test_who_does_not_sign_is_asked_to(stage: Any, identified: Any):
    assert ring(stage, identified(require="valid"), "X-Nothing: 1")[1] == 428


def test_who_hangs_up_while_the_certificate_comes_is_gone(stage: Any, identified: Any, provider: Issued):
    async def story() -> None:
        async with stage.host(Agent(), identification=identified(require="valid")) as host:
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(), extra=signature(provider), user=CALLED)
            peer.request("CANCEL", same=True, user=CALLED)
            assert (await peer.response("INVITE")).sip.code == 487
            peer.request("ACK", same=True, user=CALLED)
            await asyncio.sleep(40.0)
            assert host.live == host.counters()["guard"] == host.counters()["transactions"] == 0
            peer.close()

    stage.play(story())


@pytest.mark.parametrize(("believed", "state"), [(True, "valid"), (False, "unsigned")])
def test_a_trusted_trunk_may_have_verified_it_and_nobody_else(stage: Any, identified: Any, believed, state):
    trunk = Trunk("main", networks=("10.3.0.0/16",), believed=Believed(verstat=believed), verstat_header="X-Verstat")
    agent, _ = ring(stage, identified(), "X-Verstat: TN-Validation-Passed-A", trunks=(trunk,))
    assert agent.knew[0][0].state == state
    assert agent.knew[0][0].by == ("trunk" if believed else "")


def test_our_own_calls_are_signed(stage: Any, identified: Any, authority: Authority, provider: Issued, tmp_path: Path):
    identification = identified(key=tmp_path / "key.pem", certificate_url=URL, attest="B")
    trunk = Trunk("main", uri=parse_uri("sip:10.3.0.1"), caller=CALLER, country="US")
    judged: list[Verdict] = []

    async def story() -> None:
        async with stage.host(Agent(), identification=identification, trunks=(trunk,), dial=("+1",)) as host:
            peer = stage.peer()
            dialled = asyncio.create_task(host.dial(CALLED, Agent()))
            got = await peer.asked("INVITE")
            invite = parse_message(got.data)
            assert isinstance(invite, Request)
            assert invite.first("Date") == "Mon, 21 Sep 2026 14:13:20 GMT"
            found = identities(invite, [CALLER], [CALLED])
            assert found is not None
            judged.append(verify(found, lambda url: provider.chain, Trust(authority.pem), NOW))
            peer.reply(got, 486, "Busy", tag="x")
            with pytest.raises(Exception, match="486"):
                await dialled
            peer.close()

    stage.play(story())
    (verdict,) = judged
    assert (verdict.state, verdict.attestation) == ("valid", "B")


def test_what_can_not_be_read_is_told_at_the_start(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"stir\.roots: .*missing\.pem: No such file"):
        Identification(StirRules(roots=tmp_path / "missing.pem"))
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="signing key"):
        Identification(StirRules(key=tmp_path / "key.pem", certificate_url=URL))
