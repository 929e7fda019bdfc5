"""How the calls of one far end are dealt with, where that is another way than all are.

Settings.manners(flow) ─► a call that comes          UserAgent.invite(manners=…) ─► a call of ours
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    """What one trunk wants of its calls.

    `min_se_s` is the shortest session interval that we take from it (RFC 4028 section 5). `reliable`: provisional
    responses go reliably to it where it can take them so, not only where it insists (RFC 3262 section 3). `symmetric`:
    requests inside a call go to where its own come from, whatever its Contact says.
    """

    min_se_s: int = 90
    reliable: bool = False
    symmetric: bool = False
