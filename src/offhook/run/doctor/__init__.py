"""What `offhook doctor` does: look at everything a call will need, and say of what is wrong how it is put right.

    configuration ─► agents ─► ports ─► codecs ─► certificate ─► signatures ─► a call to ourselves ─► trunks: name, TLS,
    registration, OPTIONS ─► a call to who was named ─► services: account, address, what answers there, clock ─► models
    (timed) ─► files, disk, clock ─► findings

Every check gives at least one finding, good or bad, and none stops the others: one run tells all that is to be done.
Findings are shown as they come.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from offhook.call import Call
from offhook.core.errors import OffhookError
from offhook.run import config as configuration
from offhook.run.doctor import machine, media
from offhook.run.doctor.finding import COLOURS, SIGNS, Finding
from offhook.run.doctor.models import examine_models
from offhook.run.doctor.services import examine_services
from offhook.run.doctor.trunks import examine_trunks
from offhook.run.identification import Identification
from offhook.run.rules import HostRules

__all__ = ["Finding", "examine", "main"]


def main(config: Path | None, *, as_json: bool = False, call: str = "") -> int:
    """Examine, print, and give the exit code: 1 if there is a fault. `call`: whom to place a test call to."""
    findings = asyncio.run(_shown(config, call, as_json=as_json))
    healthy = all(finding.level != "fault" for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    return 0 if healthy else 1


async def _shown(config: Path | None, call: str, *, as_json: bool) -> list[Finding]:
    findings: list[Finding] = []
    async for finding in examine(config, call):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    return findings


def _line(finding: Finding) -> str:
    """Say a finding for a person, its sign in colour where the terminal shows it."""
    sign = SIGNS[finding.level]
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
        return finding.line().replace(sign, f"\033[{COLOURS[finding.level]}m{sign}\033[0m", 1)
    return finding.line()


async def examine(path: Path | None, call: str = "") -> AsyncIterator[Finding]:
    """Look at everything under the configuration at `path` (None: as `serve` would find it)."""
    try:
        config = configuration.load(path)
        rules = configuration.host_rules(config, max_calls=2, dial_also=(call,) if call else ())
    except OffhookError as error:
        yield Finding("configuration", "fault", str(error), "correct the file, then run doctor again")
        for finding in machine.disk():
            yield finding
        return
    told = str(path) if path else "offhook.toml" if configuration.DEFAULT_FILE.is_file() else "the defaults"
    yield Finding("configuration", "good", told)
    for finding in _at_rest(config, rules):
        yield finding
    async for finding in _calls(config, rules, call):
        yield finding
    async for finding in examine_services(config):
        yield finding
    for finding in await examine_models(config.models):
        yield finding
    for finding in (*machine.file_limit(config.max_calls or 100), *machine.disk(), *machine.clock()):
        yield finding


def _at_rest(config: configuration.Config, rules: HostRules) -> Iterator[Finding]:
    """Look at what can be seen without a call."""
    yield from agents(config)
    if note := configuration.address_note(config):
        yield Finding("external address", "warning", note, "set sip.external_address if there is a NAT")
    yield from machine.sip_ports(list(rules.listen))
    yield from machine.rtp_ports(config.sip.rtp_ports)
    yield from machine.codecs(config.sip.codecs)
    yield from machine.certificate(rules.tls)
    if rules.stir.roots is not None or rules.stir.key is not None:
        try:
            Identification(rules.stir)
        except OffhookError as error:
            yield Finding("signatures", "fault", str(error), "correct the files under [stir]")
        else:
            yield Finding("signatures", "good", "roots and key under [stir] are there and fit")


async def _calls(config: configuration.Config, rules: HostRules, call: str) -> AsyncIterator[Finding]:
    """Open a host on ports of its own, and let it call: ourselves, the trunks, and who was named."""
    import random

    from offhook import _native as native
    from offhook.run.host import Host

    async def echo(call: Call) -> None:
        async for pcm in call.audio():
            await call.play(pcm)

    anywhere = ("0.0.0.0", 0)  # noqa: S104 (nobody is heard there but whom we call)
    spare = replace(rules, listen=(("udp", anywhere), ("tcp", anywhere)), allow=(), users=())
    alone = HostRules(listen=(("udp", ("127.0.0.1", 0)),))

    def host(rules: HostRules) -> Host:
        first, last = config.sip.rtp_ports
        engine = native.Engine(ip=rules.listen[0][1][0], first_port=first, last_port=last)
        return Host(engine=engine, rng=random.SystemRandom(), rules=rules, route=lambda wanted: echo)

    async with host(alone) as callee, host(spare) as caller:
        yield await media.to_ourselves(caller, callee)
        async for finding in examine_trunks(caller):
            yield finding
        if call:
            yield await media.to(caller, call)


def agents(config: configuration.Config) -> Iterator[Finding]:
    """Load the agent of each route."""
    from offhook.run.agents import RECEPTIONIST, load_agent

    named = [route.agent for listed in config.routes.values() for route in listed]
    for name in dict.fromkeys(named or [RECEPTIONIST]):
        try:
            load_agent(name)
        except OffhookError as error:
            yield Finding("agent", "fault", str(error), f"correct {name} under [routes]")
        else:
            yield Finding("agent", "good", name)
