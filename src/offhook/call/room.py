"""Who is in a call, and who hears whom.

    the caller ─┐            talk: heard by all    whisper: heard by one    listen: heard by nobody
    the agent  ─┼─► lists ─► leg.mix, a list a listener
    others     ─┘            a guest hears people and the agent's words; a supervisor hears all that is said

Laws: nobody hears itself; whoever leaves is heard by nobody from then on; a whisper whose hearer has gone is heard by
nobody; the agent's own ear hears the caller alone, whoever else is in the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from offhook.call.leg import AudioLeg, Heard
from offhook.core.errors import NotAllowed

Mode = Literal["talk", "whisper", "listen"]
"""How somebody is in a call: heard by all, by one (`to`), or by nobody."""

PLACES: Final = 8
"""So many may be in a call: a supervisor hears 7 of them and what is said to those, of a mix's 16 sides."""


@dataclass(eq=False, slots=True)
class Place:
    """Somebody's place in a room. `supervises`: they hear all that the agent says, to whomever."""

    leg: AudioLeg
    mode: Mode = "talk"
    to: Place | None = None
    supervises: bool = False

    def heard_by(self, other: Place) -> bool:
        """Say whether another hears them."""
        return self is not other and (self.mode == "talk" or (self.mode == "whisper" and self.to is other))


class Room:
    """The people of one call."""

    def __init__(self, leg: AudioLeg) -> None:
        self.caller = Place(leg)
        self._places = [self.caller]

    @property
    def places(self) -> Sequence[Place]:
        """Who is there, the caller first."""
        return tuple(self._places)

    def enter(self, place: Place) -> None:
        """Let somebody in. NotAllowed where there is no room, or no way to hear each other."""
        if len(self._places) == PLACES:
            raise NotAllowed(f"{PLACES} people are in this call already")
        self._places.append(place)
        try:
            self.mix()
        except NotAllowed:
            self.leave(place)
            raise

    def leave(self, place: Place) -> None:
        """Let somebody go; nothing if they have gone."""
        if place not in self._places:
            return
        self._places.remove(place)
        place.leg.part()
        for other in self._places:
            if other.to is place:
                other.mode, other.to = "listen", None
        self.mix()

    def mix(self) -> None:
        """Let everybody hear whom they should from here on."""
        for place in self._places:
            place.leg.mix(self._heard_by(place))

    def _heard_by(self, listener: Place) -> list[Heard]:
        heard: list[Heard] = []
        for other in self._places:
            if other.heard_by(listener):
                heard.append((other.leg, "far"))
            # The agent speaks on the caller's leg; what it says to another alone is on that one's.
            theirs = other is self.caller or (listener.supervises and not other.supervises)
            if theirs and other is not listener:
                heard.append((other.leg, "ours"))
        return heard
