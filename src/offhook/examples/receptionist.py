"""A receptionist that takes bookings, answers what callers ask, and fetches a person: `offhook serve`.

It is what `serve` runs when it is given no agent, and it needs no model server: the offline brain reads the answers
out of the instructions, and what to ask a caller for out of the tools' arguments.
"""

from __future__ import annotations

import os

import offhook

agent = offhook.Agent(
    """You answer the phone for Luigi's, a restaurant. Be brief and warm.
    We are open Tuesday to Sunday, from five to eleven in the evening.
    We are at 12 Harbour Street, behind the theatre.
    There is free parking behind the house.
    We have vegan and gluten free dishes.
    A dinner costs about thirty dollars.""",
    greeting="Luigi's, good evening! How can I help you?",
)

FRONT_DESK = os.environ.get("LUIGIS_FRONT_DESK", "sip:front-desk@pbx.example")
"""Where a caller is put through to who wants a person."""


@agent.tool(saying="One moment.", confirm=True)
async def book_table(name: str, people: int, at: str) -> str:
    """Book a table."""
    return f"Booked: {people} at {at} for {name}."


@agent.tool
async def human(call: offhook.Call) -> None:
    """The caller wants a person."""
    await call.transfer(FRONT_DESK)
