"""What the proofs of all services have in common: a comparison that tells nothing, an instant that is fresh, and names.

A proof that does not cover all of its request could be brought again with another one while it is fresh: where it has a
name, that name is kept for so long (`Used`).
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import Final

from offhook.carriers.services.http import Unsigned

FRESH_S: Final = 300
"""How old a proof may be, and how far its clock ahead of ours: what the services' own kits allow."""

USED_LIMIT: Final = 100_000
"""Names of proofs that are kept: 330 requests a second; of more the oldest goes."""


class Used:
    """The proofs that came, by their names, until they are too old to be taken."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def use(self, name: str, what: bytes, now_s: float, until_s: float) -> bytes | None:
        """Take note that a proof came for `what`, and is good until then; give what it came for before."""
        known = self._known
        while known and (next(iter(known.values()))[0] < now_s or len(known) >= USED_LIMIT):
            known.popitem(last=False)
        before = known.get(name)
        if before is not None:
            return before[1]
        known[name] = (until_s, what)
        return None


def same(ours: str, theirs: str) -> bool:
    """Whether two texts are one, in a time that does not say where they differ."""
    return hmac.compare_digest(ours.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))


def check_fresh(made_s: float, now_s: float, window_s: float = FRESH_S) -> None:
    """Refuse a proof that was made too long ago, or will only be made. Unsigned with how far the clocks are apart."""
    if not now_s - window_s <= made_s <= now_s + window_s:  # a number of any length can be compared
        off_s = now_s - made_s if abs(made_s) < 1 << 53 else 0.0
        apart = f"it was made {abs(off_s):.0f} s {'ago' if off_s > 0 else 'ahead of our clock'}: " if off_s else ""
        raise Unsigned("a proof that is not of now", 403, f"{apart}set this machine's clock (timedatectl set-ntp true)")
