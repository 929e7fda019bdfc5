"""The world in virtual time: loop, seeded network, callers, checkers and faults. Shipped: agents are tested in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offhook.testing.legs import LegBroken, Pair, check_leg

__all__ = ["LegBroken", "Pair", "check_leg"]


def __getattr__(name: str) -> object:
    """Load what is asked for, when it is asked for: the pytest plugin is here too, and must begin at once."""
    if name in __all__:
        from offhook.testing import legs

        return getattr(legs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
