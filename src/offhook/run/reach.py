"""How others reach this host, found out once, at its start: what its rules say, and where its STUN server is."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from socket import AF_INET, SOCK_DGRAM
from typing import Final

import structlog

from offhook.policy.reach import Reach
from offhook.run.rules import HostRules

log = structlog.get_logger("offhook.reach")

NAME_S: Final = 5.0
"""How long the start may wait for the name of a STUN server."""


async def found(rules: HostRules) -> Reach:
    """Give how others reach us. A STUN server whose name is not known now is done without."""
    networks = tuple(ip_network(network) for network in rules.local_networks)
    if rules.stun is None:
        return Reach(rules.external, networks)
    host, port = rules.stun
    try:
        async with asyncio.timeout(NAME_S):
            answers = await asyncio.get_running_loop().getaddrinfo(host, port, family=AF_INET, type=SOCK_DGRAM)
    except (OSError, TimeoutError) as error:
        log.warning("no STUN: its server is not known", server=host, error=str(error))
        return Reach(rules.external, networks)
    return Reach(rules.external, networks, (str(answers[0][4][0]), port))
