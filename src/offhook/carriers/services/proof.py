"""What the proofs of all services have in common: a comparison that tells nothing, and an instant that is fresh."""

from __future__ import annotations

import hmac
from typing import Final

from offhook.carriers.services.http import Unsigned

FRESH_S: Final = 300
"""How old a proof may be, and how far its clock ahead of ours: what the services' own kits allow."""


def same(ours: str, theirs: str) -> bool:
    """Whether two texts are one, in a time that does not say where they differ."""
    return hmac.compare_digest(ours.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))


def check_fresh(made_s: float, now_s: float, window_s: float = FRESH_S) -> None:
    """Refuse a proof that was made too long ago, or will only be made. Unsigned with how far the clocks are apart."""
    if not abs(now_s - made_s) <= window_s:
        raise Unsigned(
            "a proof that is not of now", 403, f"it was made {now_s - made_s:+.0f} s ago: is the clock right?"
        )
