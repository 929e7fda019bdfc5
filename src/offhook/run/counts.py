"""All that a host counts, as one table.

    user agent · transports · attacks · the host · the media plane (`media_…`) ─► {name: count}

`guard` is what the last resort caught. Every SIP message `received` is in one of `sip.useragent.FATES`, every datagram
on an RTP port (`media_given`) in one of `media_received_…` and `media_dropped_…`.
"""

from __future__ import annotations

from collections.abc import Mapping

from offhook.run.line import SipLine
from offhook.run.security import SecurityLog


def counted(line: SipLine, security: SecurityLog, media: Mapping[str, int], own: Mapping[str, int]) -> dict[str, int]:
    """Gather it; `own` is what the host itself counts."""
    counts = line.transports.counts
    return {
        **line.agent.counters(),
        "screened": counts.screened,
        "unsent": counts.unsent,
        "streams_broken": counts.streams_broken,
        "streams_refused": counts.streams_refused,
        "streams_idle": counts.streams_idle,
        "handshakes_failed": counts.handshakes_failed,
        "flooded": counts.flooded,
        "socket_errors": counts.socket_errors,
        "guard": line.guarded,
        **own,
        **{f"attacks_{kind}": count for kind, count in security.counts.items()},
        **{f"media_{name}": count for name, count in media.items()},
    }
