"""By which address somebody reaches us: behind a NAT an outer one, from our own networks our own.

Reach.address(remote) ─► Via, Contact and SDP alike, since all are made of the flow's own address
Reach.server(remote) ──► the STUN server that says what a NAT makes of one RTP socket; SDP goes by that
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from offhook.core.media import Address


@dataclass(frozen=True, slots=True)
class Reach:
    """What lies between us and the others.

    `external` is the outer address of a 1:1 NAT, `stun` a server to ask where it is not known; None: there is none.
    Between us and `local_networks` there is no NAT, nor on this machine.
    """

    external: str | None = None
    local_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    stun: Address | None = None

    def address(self, remote_ip: str) -> str | None:
        """Give the outer address as `remote_ip` should use it; None where our own one is right.

        One of another family than the remote's is of no use to it.
        """
        return self.external if self.external is not None and self._beyond(remote_ip, self.external) else None

    def server(self, remote_ip: str) -> Address | None:
        """Give the server to ask before `remote_ip` is told of an RTP port; None where there is nothing to ask."""
        if self.stun is None or self.external is not None:
            return None
        return self.stun if self._beyond(remote_ip, self.stun[0]) else None

    def _beyond(self, remote_ip: str, other: str) -> bool:
        try:
            remote = ip_address(remote_ip)
        except ValueError:
            return False
        if remote.is_loopback or (":" in other) is not (":" in remote_ip):
            return False
        return not any(remote in network for network in self.local_networks)
