"""What `offhook doctor` does: look at everything a call will need, and say of what is wrong how it is put right.

    configuration ─► agents ─► SIP ports ─► RTP ports ─► codecs ─► trunks ─► models (timed) ─► disk ─► findings

Every check gives at least one finding, good or bad, and none stops the others: one run tells all that is to be done.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from offhook.core.errors import ModelError, OffhookError
from offhook.core.media import Address
from offhook.run import config as configuration

Level = Literal["good", "warning", "fault"]

SIGNS: dict[Level, str] = {"good": "✓", "warning": "!", "fault": "✗"}

TRUNK_S = 5.0
"""How long a trunk may take to answer; by then a lost OPTIONS was repeated three times."""

LITTLE_DISK_MB = 500
"""Less free space than this is a warning: an hour of stereo recording takes 115 MB."""

SOCKETS_A_CALL = 3
"""File descriptors that a call takes: RTP, RTCP, and its share of connections."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` says what to do ("" where it is good)."""

    subject: str
    level: Level
    text: str
    fix: str = ""

    def line(self) -> str:
        """Say it for a person."""
        fix = f"\n    → {self.fix}" if self.fix else ""
        return f"{SIGNS[self.level]} {self.subject}: {self.text}{fix}"


def main(config: Path | None, *, as_json: bool = False) -> int:
    """Examine, print, and give the exit code: 1 if there is a fault."""
    findings = asyncio.run(examine(config))
    healthy = all(finding.level != "fault" for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print("\n".join(finding.line() for finding in findings))
    return 0 if healthy else 1


async def examine(path: Path | None) -> list[Finding]:
    """Look at everything under the configuration at `path` (None: as `serve` would find it)."""
    try:
        config = configuration.load(path)
        configuration.host_rules(config, max_calls=1)
    except OffhookError as error:
        return [Finding("configuration", "fault", str(error), "correct the file, then run doctor again"), *disk()]
    told = str(path) if path else "offhook.toml" if configuration.DEFAULT_FILE.is_file() else "the defaults"
    findings = [Finding("configuration", "good", told)]
    findings += agents(config)
    if note := configuration.address_note(config):
        findings.append(Finding("external address", "warning", note, "set sip.external_address if there is a NAT"))
    findings += sip_ports([configuration.parse_listen(listen) for listen in config.sip.listen])
    findings += rtp_ports(config.sip.rtp_ports)
    findings += codecs(config.sip.codecs)
    findings += await trunks(config)
    models = await examine_models(config.models)
    findings += models
    findings += [*file_limit(config.max_calls or 100), *disk()]
    return findings


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


def sip_ports(listens: list[tuple[str, Address]]) -> Iterator[Finding]:
    """Bind what `serve` would bind, and let go of it."""
    for transport, address in listens:
        where = f"{transport}://{address[0]}:{address[1]}"
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if transport != "udp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as serve does: a closed one may linger
            try:
                probe.bind(address)
            except OSError as error:
                fix = "end the program that holds it (ss -lnp shows which), or set another port in sip.listen"
                if isinstance(error, PermissionError):
                    fix = "ports below 1024 need the right CAP_NET_BIND_SERVICE; or set another port in sip.listen"
                elif error.errno == 99:
                    fix = "no interface of this machine has that address; correct sip.listen (ip addr shows them)"
                yield Finding("SIP port", "fault", f"{where}: {error.strerror}", fix)
            else:
                yield Finding("SIP port", "good", where)


def rtp_ports(span: tuple[int, int]) -> Iterator[Finding]:
    """Try up to fifty pairs spread over the range."""
    first, last = span[0] + span[0] % 2, span[1]
    pairs = (last - first + 1) // 2
    tried = [first + 2 * (pairs * index // min(pairs, 50)) for index in range(min(pairs, 50))]
    free = sum(_pair_is_free(port) for port in tried)
    if free == 0:
        fix = "another program holds them: set sip.rtp_ports to another range"
        yield Finding("RTP ports", "fault", f"none of {len(tried)} pairs in {first}–{last} is free", fix)
        return
    yield Finding(
        "RTP ports", "good", f"{first}–{last}: room for {pairs} calls, {free} of {len(tried)} pairs tried are free"
    )
    low, high = _ephemeral_ports()
    if low <= last and first <= high:
        fix = f"keep sip.rtp_ports below {low}, or reserve them: sysctl net.ipv4.ip_local_reserved_ports={first}-{last}"
        yield Finding("RTP ports", "warning", f"the system gives ports {low}–{high} to other programs too", fix)


def _pair_is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        try:
            rtp.bind(("127.0.0.1", port))
            rtcp.bind(("127.0.0.1", port + 1))
        except OSError:
            return False
        return True


def _ephemeral_ports() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return 32768, 60999
    return int(low), int(high)


def codecs(names: list[str]) -> Iterator[Finding]:
    """Send a tone through each codec and back."""
    import math

    from offhook import _native as native

    tone = [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(800)]
    pcm = b"".join(sample.to_bytes(2, "little", signed=True) for sample in tone)
    for name in names:
        back = native.decode(name, native.encode(name, pcm))
        noise = sum((tone[n] - int.from_bytes(back[2 * n : 2 * n + 2], "little", signed=True)) ** 2 for n in range(800))
        ratio_db = 10 * math.log10(sum(sample * sample for sample in tone) / max(1, noise))
        level: Level = "good" if ratio_db > 30 else "fault"
        fix = "" if level == "good" else "build the native module anew: make native"
        yield Finding("codec", level, f"{name}: a tone comes back at {ratio_db:.0f} dB over the noise", fix)


async def trunks(config: configuration.Config) -> list[Finding]:
    """Ask each trunk for its OPTIONS from a port of our own; any answer at all says that it is there."""
    if not config.trunks:
        return []
    import random

    from offhook import _native as native
    from offhook.run.host import Host

    anywhere = ("0.0.0.0", 0)  # noqa: S104 (nobody is heard there but whom we ask)
    rules = replace(
        configuration.host_rules(config, max_calls=1), listen=(("udp", anywhere), ("tcp", anywhere)), allow=()
    )
    engine = native.Engine(ip="127.0.0.1", first_port=config.sip.rtp_ports[0], last_port=config.sip.rtp_ports[1])
    findings: list[Finding] = []
    async with Host(engine=engine, rng=random.SystemRandom(), rules=rules, route=lambda called: None) as host:
        for trunk in rules.trunks:
            name, address = trunk.name, trunk.uri
            if address is None:
                findings.append(Finding("trunk", "good", f"{name}: it calls us, and we never call it"))
                continue
            try:
                async with asyncio.timeout(TRUNK_S):
                    code = await host.line.ask(address)
            except OffhookError as error:
                findings.append(Finding("trunk", "fault", f"{name}: {error}", f"correct trunks.{name}.address"))
                continue
            except TimeoutError:
                code = 408
            if code == 408:
                text = f"{name}: {address} did not answer OPTIONS"
                fix = "see that the address is right and that no firewall holds SIP back; a few trunks answer none"
                findings.append(Finding("trunk", "warning", text, fix))
            else:
                findings.append(Finding("trunk", "good", f"{name}: {address} answers OPTIONS with {code}"))
    return findings


async def examine_models(names: configuration.Models) -> list[Finding]:
    """Load and time the local models, and ask the others whether they know what is configured."""
    from offhook.providers import local

    key = names.key.get_secret_value() if names.key is not None else None
    chosen = {"llm": names.llm, "stt": names.stt, "tts": names.tts}
    findings: list[Finding] = []
    if "local" in chosen.values():
        try:
            async with await local.load() as models:
                findings.append(Finding("local models", "good", models.warmup.describe()))
        except ModelError as error:
            fix = "pip install 'offhook[local]', or name other models under [models]"
            findings.append(Finding("local models", "fault", str(error), fix))
    for role, name in chosen.items():
        if name == "local":
            continue
        fix = f"correct models.{role} (and models.key); it can be {', '.join(_known(role))}"
        try:
            await _ask(role, name, key)
        except OffhookError as error:
            findings.append(Finding(role, "fault", str(error), fix))
        else:
            findings.append(Finding(role, "good", name))
    return findings


async def _ask(role: str, name: str, key: str | None) -> None:
    """Make the provider of a role and check it. Raises what is wrong."""
    from offhook.providers import registry
    from offhook.providers.openai import check_chat_model

    if role == "llm":
        model: Any = registry.llm(name, key)
        if model.system == "openai":
            try:
                await check_chat_model(model)
            finally:
                await model.client.close()
        return
    provider = registry.stt(name, key) if role == "stt" else registry.tts(name, key)
    try:
        await provider.check()
    finally:
        await provider.close()


def _known(role: str) -> tuple[str, ...]:
    from offhook.providers import registry

    return {"llm": registry.LLM_NAMES, "stt": registry.STT_NAMES, "tts": registry.TTS_NAMES}[role]


def file_limit(calls: int) -> Iterator[Finding]:
    """Say whether as many calls as may come can have their sockets."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls * SOCKETS_A_CALL + 100
    if soft < needed:
        fix = f"ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit"
        yield Finding("open files", "warning", f"{soft} allowed, {calls} calls need {needed}", fix)
    else:
        yield Finding("open files", "good", f"{soft} allowed, {calls} calls need {needed}")


def disk(folder: Path | None = None) -> Iterator[Finding]:
    """Say whether there is room where we run, and whether it can be written to."""
    where = folder or Path.cwd()
    free_mb = shutil.disk_usage(where).free // 2**20
    finding = Finding("disk", "good", f"{free_mb} MB free in {where}")
    if free_mb < LITTLE_DISK_MB:
        finding = replace(
            finding, level="warning", fix=f"free some space: below {LITTLE_DISK_MB} MB recordings may be lost"
        )
    yield finding
    if not os.access(where, os.W_OK):
        fix = "run offhook where it may write, or give it the right to"
        yield Finding("disk", "warning", f"{where} can't be written to", fix)
