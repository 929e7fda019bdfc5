"""Free ports, outside the range that the kernel gives to everyone."""

from __future__ import annotations

import itertools
import os
import socket

from offhook.testing.bench.machine import BenchFailed

_next = itertools.count(30_000 + os.getpid() % 2000)


def free_udp_port() -> int:
    """Give a UDP port of 127.0.0.1 that is free now, below the ephemeral range (from 32768)."""
    for _ in range(2000):
        port = 30_000 + next(_next) % 2768
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchFailed("no UDP port is free between 30000 and 32767")
