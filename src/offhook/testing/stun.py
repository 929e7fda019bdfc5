"""A STUN server for tests (RFC 8489): it says to each Binding request where it came from.

`answer` is the whole of it, over any socket; `StunServer` is one on the simulated network.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from offhook.core.media import Address
from offhook.testing.network import SimulatedNetwork

COOKIE: Final = bytes.fromhex("2112a442")


def answer(data: bytes, source: Address) -> bytes | None:
    """Answer a Binding request with a success that holds XOR-MAPPED-ADDRESS; None for anything else."""
    if len(data) < 20 or data[:2] != b"\0\1" or data[4:8] != COOKIE:
        return None
    host = ip_address(source[0]).packed
    mask = data[4:20]
    port = bytes(byte ^ key for byte, key in zip(source[1].to_bytes(2, "big"), mask, strict=False))
    hidden = bytes(byte ^ key for byte, key in zip(host, mask, strict=False))
    value = b"\0" + (b"\1" if len(host) == 4 else b"\2") + port + hidden
    attribute = b"\0\x20" + len(value).to_bytes(2, "big") + value
    return b"\1\1" + len(attribute).to_bytes(2, "big") + data[4:20] + attribute


class StunServer:
    """One on the simulated network. `mapped` overrides what it says; `asked` is who asked; silent while not `up`."""

    def __init__(self, network: SimulatedNetwork, address: Address, mapped: Address | None = None) -> None:
        self.network = network
        self.address = address
        self.mapped = mapped
        self.asked: list[Address] = []
        self.up = True
        network.bind(address, self._hear)

    def close(self) -> None:
        """Leave the network."""
        self.network.unbind(self.address)

    def _hear(self, data: bytes, source: Address) -> None:
        self.asked.append(source)
        told = answer(data, self.mapped or source)
        if told is not None and self.up:
            self.network.send(self.address, source, told)
