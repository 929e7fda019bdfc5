"""The machine under the host: its ports, codecs, certificate, descriptors and disk."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from offhook.core.media import Address
from offhook.run.doctor.finding import Finding, Level
from offhook.run.transports.tls import TlsRules, why
from offhook.sip.grammar import write_host_port

LITTLE_DISK_MB: Final = 500
"""Less free space than this is a warning: an hour of stereo recording takes 115 MB."""

SOCKETS_A_CALL: Final = 3
"""File descriptors that a call takes: RTP, RTCP, and its share of connections."""

SOON_DAYS: Final = 14
"""A certificate that ends sooner is a warning: renewing takes a person a week."""


def sip_ports(listens: list[tuple[str, Address]]) -> Iterator[Finding]:
    """Bind what `serve` would bind, and let go of it."""
    for transport, address in listens:
        where = f"{transport}://{write_host_port(*address)}"
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


def certificate(rules: TlsRules) -> Iterator[Finding]:
    """Read our certificate and its key, if we have one, and say for how long it is good."""
    if rules.certificate is None or rules.key is None:
        return
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(rules.certificate, rules.key)
        ours = x509.load_pem_x509_certificates(rules.certificate.read_bytes())[0]
    except (OSError, ValueError) as error:
        fix = "sip.tls.certificate is the chain in PEM, ours first, and sip.tls.key the key that belongs to it"
        yield Finding("certificate", "fault", f"{rules.certificate}: {why(error)}", fix)
        return
    days = (ours.not_valid_after_utc - datetime.now(UTC)).days
    text = f"{rules.certificate}: good for {days} days"
    if days < 0:
        yield Finding("certificate", "fault", f"{rules.certificate}: it ended {-days} days ago", "renew it")
    elif days < SOON_DAYS:
        yield Finding("certificate", "warning", text, "renew it; a running offhook takes the new one by itself")
    else:
        yield Finding("certificate", "good", text)


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


def clock() -> Iterator[Finding]:
    """Say whether somebody keeps this machine's clock: certificates and signatures are judged by it."""
    synchronised = Path("/run/systemd/timesync/synchronized").exists() or Path("/run/chrony").exists()
    now = datetime.now(UTC)
    built = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < built - timedelta(days=1):
        fix = "set the clock, and let it be kept: systemctl enable --now systemd-timesyncd"
        yield Finding("clock", "fault", f"it says {now:%Y-%m-%d}, before this program was installed", fix)
    else:
        kept = "is kept" if synchronised else "runs by itself, or is kept outside this container"
        yield Finding("clock", "good", f"{now:%Y-%m-%d %H:%M} UTC; it {kept}")
