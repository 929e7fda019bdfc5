"""Half an hour among attackers, with twenty calls up: none is harmed, and each attack is one line of the log."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import pytest

from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.core.errors import OffhookError
from offhook.run.host import Host
from offhook.run.rules import HostRules, User
from offhook.sip.uri import parse_uri
from offhook.testing import attackers
from offhook.testing.attackers import Attacker
from offhook.testing.callers import CallerPhone
from offhook.testing.world import SIP_PORT, World

AGENT, PHONE = "10.1.0.1", "10.2.0.1"
CALLS = 20

STRANGERS = {"flood": "10.66.0.1", "brute_force": "10.66.0.2", "injection": "10.66.0.5", "garbage": "10.66.0.7"}
INSIDERS = {"enumeration": "10.2.9.3", "flood": "10.2.9.1", "injection": "10.2.9.5"}
LEAK, TONE, CARRIER = "10.66.0.4", "10.66.0.6", "10.3.0.1"


async def echoes(call: Call) -> None:
    """Give back what the caller says, and be silent while it is."""
    async for pcm in call.audio():
        if any(pcm):
            await call.play(pcm)


class HalfAnHour:
    """The world, its host, its callers and its attackers."""

    def __init__(self, minutes: float) -> None:
        self.world = World("hostile", checkers=(), limit_s=minutes * 60 + 600)
        self.for_s = minutes * 60
        self.told = io.StringIO()
        self.attackers: list[Attacker] = []
        self.heard = 0
        self.guarded = False

    def attacker(self, ip: str) -> Attacker:
        """Make an attacker."""
        made = Attacker(self.world, ip, (AGENT, SIP_PORT), self.world.rng(f"attacker {ip}"))
        self.attackers.append(made)
        return made

    def host(self) -> Host:
        """Make the host: an office network, users who register from anywhere, a trunk with a secret."""
        trunk = Trunk(
            "main", uri=parse_uri(f"sip:{CARRIER}"), username="luigi", auth_username="luigi", password="secret"
        )
        return Host(
            engine=self.world.engine(AGENT),
            rng=self.world.rng("host"),
            rules=HostRules(
                listen=tuple((transport, (AGENT, SIP_PORT)) for transport in ("udp", "tcp")),
                allow=("10.2.0.0/16",),
                users=(User("desk", "correct horse battery staple"),),
                trunks=(trunk,),
                dial=(f"sip:*@{LEAK}", "+"),
            ),
            route=lambda wanted: echoes if wanted.called in ("agent", "desk") else None,
            security=self.told,
        )

    async def live(self) -> None:
        """Live the half hour."""
        host = self.host()
        async with host, CallerPhone(self.world, PHONE) as phone:
            self.world.lines[AGENT] = host.counters
            callers = [await phone.calls(f"sip:agent@{AGENT}") for _ in range(CALLS)]
            async with asyncio.TaskGroup() as group:
                for number, caller in enumerate(callers):
                    group.create_task(self._talks(caller, number))
                self._attack(group, host)
                group.create_task(self._is_led_astray(host))
            assert [caller for caller in callers if caller.over] == [], "no call was ended"
            assert host.live == CALLS
            self.guarded = host.gate.sentry is not None
            for caller in callers:
                await caller.hangs_up()
            await asyncio.sleep(70)
            counters = host.counters()
        assert (counters["guard"], counters["failures"], counters["calls"]) == (0, 0, 0)
        assert counters["transactions"] == 0
        self.counters = counters
        for attacker in self.attackers:
            attacker.close()

    async def _talks(self, caller: Any, number: int) -> None:
        """Say something every minute and hear it come back, to the letter."""
        await asyncio.sleep(number)
        until = asyncio.get_running_loop().time() + self.for_s - number - 30
        count = 0
        while asyncio.get_running_loop().time() < until:
            count += 1
            words = f"caller {number} is well {count}"
            await caller.says(words)
            await caller.hears(words, within_s=5)
            self.heard += 1
            await asyncio.sleep(55)

    def _attack(self, group: asyncio.TaskGroup, host: Host) -> None:
        for who in (STRANGERS, INSIDERS):
            group.create_task(self._in_bursts(self.attacker(who["flood"])))
            group.create_task(attackers.injects(self.attacker(who["injection"]), for_s=self.for_s))
        group.create_task(attackers.guesses(self.attacker(STRANGERS["brute_force"]), for_s=self.for_s))
        group.create_task(attackers.enumerates(self.attacker(INSIDERS["enumeration"]), for_s=self.for_s))
        group.create_task(attackers.babbles(self.attacker(STRANGERS["garbage"]), for_s=self.for_s))
        group.create_task(self._tones(host))

    async def _in_bursts(self, attacker: Attacker) -> None:
        """Flood for ten seconds of every three minutes."""
        for _ in range(round(self.for_s / 180)):
            await attackers.floods(attacker, a_second=200, for_s=10)
            await asyncio.sleep(170)

    async def _tones(self, host: Host) -> None:
        engine = self.world.engines[0]
        attacker = self.attacker(TONE)
        for _ in range(round(self.for_s / 180)):
            await attackers.speaks_into_calls(
                attacker, lambda: [engine.local(port) for port in engine.open_ports], for_s=6
            )
            await asyncio.sleep(174)

    async def _is_led_astray(self, host: Host) -> None:
        """Call through the trunk, every three minutes, somebody whose far end asks for the trunk's password."""
        attacker = self.attacker(LEAK)
        attackers.asks_for_passwords(attacker, CARRIER)
        attackers.betrays(self.attacker(CARRIER), attacker.address)
        self.world.network.bind((CARRIER, 40_000), lambda data, sender: None)
        for _ in range(round(self.for_s / 180)):
            with pytest.raises(OffhookError):
                await host.dial(f"sip:x@{LEAK}", echoes)  # it asks at once, too
            call = await host.dial("+15551234567", echoes)
            await asyncio.sleep(5)
            await call.hangup()
            await asyncio.sleep(165)
        self.world.network.unbind((CARRIER, 40_000))

    def lines(self) -> list[tuple[str, str]]:
        """Give what the security log says: the kind and the source of each line."""
        return [
            (found[1], found[2])
            for line in self.told.getvalue().splitlines()
            if (found := re.match(r"\S+ offhook\.security kind=(\w+) source=(\S+) ", line)) is not None
        ]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.survives(24)
@pytest.mark.survives(28)
@pytest.mark.survives(30)
@pytest.mark.survives(31)
@pytest.mark.survives(32)
@pytest.mark.survives(37)
def test_twenty_calls_live_through_half_an_hour_of_attacks() -> None:
    half = HalfAnHour(30)
    half.world.run(half.live())
    check(half)


def test_a_minute_of_it_is_enough_to_see_each_attack_told_once() -> None:
    half = HalfAnHour(3)
    half.world.run(half.live())
    check(half)


def check(half: HalfAnHour) -> None:
    """Hold the half hour to what was promised."""
    lines = half.lines()
    assert len(lines) == len(half.told.getvalue().splitlines()), "every line is one of ours"
    expected = [*STRANGERS.items(), *INSIDERS.items(), ("rtp_stranger", "-"), ("digest_leak", LEAK)]
    if not half.guarded:
        expected.remove(("brute_force", STRANGERS["brute_force"]))  # nobody is asked for a password there
    assert sorted(lines) == sorted(expected), "each attack is one line"
    assert half.heard >= CALLS * (half.for_s / 60 - 1), "every call was heard out, to the letter"
    assert all(line.isprintable() for line in half.told.getvalue().splitlines())
    assert not [attacker.leaked for attacker in half.attackers if attacker.leaked]
