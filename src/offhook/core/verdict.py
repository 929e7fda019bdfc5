"""What is known of whether a caller's number is really theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["unsigned", "valid", "invalid", "unknown"]
"""No signature; one that holds; one that does not; one that could not be checked (yet)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a caller's number.

    `attestation` is "A" (the provider knows the caller and that the number is theirs), "B" (knows the caller), "C"
    (knows only where the call came in) or "". `by` says whose word it is: "signature" (ours), or "trunk" where a
    trusted trunk verified it (`verstat`). `code` is RFC 8224's answer to a signature that does not hold, 0 else.
    """

    state: State = "unsigned"
    attestation: str = ""
    origid: str = ""
    by: Literal["", "signature", "trunk"] = ""
    code: int = 0
    reason: str = ""
    diverted: bool = False


UNSIGNED: Final = Verdict()
"""Nothing is known."""
