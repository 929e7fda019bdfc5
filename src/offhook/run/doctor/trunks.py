"""Each trunk, as far as it lets us come: its name, the connection, the registration, its OPTIONS.

name service ─► ways ─┬─► would the keys of SRTP lie open on one?
├─► (TLS) OPTIONS ─► answered? by whom? why not?
└─► REGISTER ─► registered? refused? with what?
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from offhook.carriers.negotiation import PRIVATE
from offhook.carriers.trunks import Trunk
from offhook.core.errors import OffhookError
from offhook.core.instants import SECOND
from offhook.run.doctor.finding import Finding
from offhook.run.host import Host
from offhook.sip.grammar import write_host_port
from offhook.sip.outcomes import Flow

TRUNK_S: Final = 5.0
"""How long a trunk may take to answer; by then a lost request was repeated three times."""

_REFUSED: Final = "see that username, password and realm are those that the carrier gave; some want auth_username, too"


async def examine_trunks(host: Host) -> AsyncIterator[Finding]:
    """Look at the trunks of an open host, one after the other."""
    for trunk in host.rules.trunks:
        if trunk.uri is None:
            yield Finding(_named(trunk), "good", "it calls us, and we never call it")
            continue
        try:
            ways = await host.line.ways_to(trunk.next_hop())
        except OffhookError as error:
            fix = f"correct trunks.{trunk.name}.address, or see what the name service says: dig NAPTR, SRV and A of it"
            yield Finding(_named(trunk), "fault", str(error), fix)
            continue
        yield Finding(_named(trunk), "good", f"{trunk.next_hop().host} is {_shown(ways)}")
        open_way = next((way for way in ways if way.transport not in PRIVATE), None)
        if (trunk.srtp or host.rules.audio.srtp) == "required" and open_way is not None:
            yield _overheard(trunk, open_way)
        yield await _options(host, trunk, ways)
        if trunk.register:
            yield await _registration(host, trunk)


def _overheard(trunk: Trunk, way: Flow) -> Finding:
    text = f"SRTP is required, and its keys would go over {way.transport}, where anyone on the way reads them"
    return Finding(f"{_named(trunk)}, SRTP", "warning", text, f'set trunks.{trunk.name}.transport = "tls"')


async def _options(host: Host, trunk: Trunk, ways: tuple[Flow, ...]) -> Finding:
    subject = f"{_named(trunk)}, OPTIONS"
    try:
        async with asyncio.timeout(TRUNK_S):
            code = await host.line.ask(trunk.next_hop())
    except TimeoutError:
        code = 408
    except OffhookError as error:
        return Finding(subject, "fault", str(error), f"correct trunks.{trunk.name}.address")
    why = host.line.ways.fault(ways)
    if code == 503 and why:
        fix = f"correct trunks.{trunk.name}.address and its transport, or open the firewall towards it"
        if "certificate" in why:
            fix = f"name it as its certificate does in trunks.{trunk.name}.address, or set sip.tls.ca to who signed it"
        return Finding(subject, "fault", f"{trunk.next_hop()} can't be reached: {why}", fix)
    if code == 408:
        fix = "see that the address is right and that no firewall holds SIP back; a few trunks answer none"
        return Finding(subject, "warning", f"{trunk.next_hop()} did not answer", fix)
    return Finding(subject, "good", f"{trunk.next_hop()} answers with {code}")


async def _registration(host: Host, trunk: Trunk) -> Finding:
    """Wait until the host has registered, or was refused."""
    subject = f"{_named(trunk)}, registration"
    loop = asyncio.get_running_loop()
    until = loop.time() + TRUNK_S
    while True:
        standing = next((one for one in host.registrations() if one.name == trunk.name), None)
        if standing is not None and standing.state == "registered":
            left_s = max(0, round((standing.until - host.line.now()) / SECOND))
            return Finding(subject, "good", f"registered as {standing.contact} for {left_s} s")
        refused = standing is not None and standing.code >= 300
        if refused or loop.time() > until:
            break
        await asyncio.sleep(0.05)
    code, reason = (standing.code, standing.reason) if standing is not None else (0, "")
    if code in (401, 403, 404, 407):
        return Finding(subject, "fault", f"refused with {code} {reason}".rstrip(), _REFUSED)
    if code >= 300:
        fix = "try again in a minute; if it stays so, ask the carrier what it means by that"
        return Finding(subject, "fault", f"refused with {code} {reason}".rstrip(), fix)
    fix = f"see that trunks.{trunk.name}.address is the registrar, and that no firewall holds SIP back"
    return Finding(subject, "fault", f"no answer within {TRUNK_S:.0f} s", fix)


def _named(trunk: Trunk) -> str:
    return f"trunk {trunk.name}"


def _shown(ways: tuple[Flow, ...]) -> str:
    first = [f"{flow.transport}://{write_host_port(*flow.remote)}" for flow in ways[:3]]
    more = f" and {len(ways) - 3} more" if len(ways) > 3 else ""
    return ", ".join(first) + more
