"""The four transaction machines of RFC 3261 section 17, as RFC 6026 and RFC 4320 correct them, written as tables.

    state × event ─► actions, next state

Laws: what is not in a table does nothing to a transaction of that kind; every row is one object, so that a user agent
can say which it has taken; `transaction` runs the rows and decides nothing. Reliable transports need no rows of their
own: timers A, E and G do not run there and D, I, J and K last no time (`duration`), so their rows are taken at once.

    client INVITE      calling ─► proceeding ─► completed ─► terminated       (2xx: accepted, RFC 6026)
    client non-INVITE  trying ─► proceeding ─► completed ─► terminated
    server INVITE      proceeding ─► completed ─► confirmed ─► terminated     (2xx: accepted, RFC 6026)
    server non-INVITE  trying ─► proceeding ─► completed ─► terminated

Timer C belongs to proxies (section 16.6) and has no row: how long a call of ours may ring is the caller's to say.
A non-INVITE request is answered at once, so its server has neither 100 nor 408 (RFC 4320 section 4.1 and 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from offhook.core.instants import MILLISECOND, SECOND, Duration


@dataclass(frozen=True, slots=True)
class Times:
    """T1 (the round trip), T2 (the longest wait between repeats) and T4 (how long the network keeps a message)."""

    t1: Duration = 500 * MILLISECOND
    t2: Duration = 4 * SECOND
    t4: Duration = 5 * SECOND


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row. `actions` are done in order, then the machine is in state `then`."""

    machine: str
    state: str
    event: str
    actions: tuple[str, ...]
    then: str

    def __str__(self) -> str:
        """Give the row as a line of the table."""
        return f"{self.machine}: {self.state} × {self.event} -> {' '.join(self.actions) or 'nothing'} -> {self.then}"


Machine = dict[tuple[str, str], Row]

ACTIONS: Final = (
    "send",  # the request (client), or the response just given (server)
    "resend",  # the last thing sent, once more
    "ack",  # the ACK of section 17.1.1.3 to a final response above 299
    "tell",  # pass the response to the user agent
    "timeout",  # tell the user agent that nobody answered
    "fault",  # tell the user agent that the transport failed
    "reroute",  # send by a new connection from now on (section 18.2.2)
    *[f"start_{timer}" for timer in "abdefghijklm"],
    *[f"stop_{timer}" for timer in "abefgh"],
)
"""Everything that a row can ask for."""


def _machine(name: str, rows: Iterable[tuple[str, str, str, str]]) -> Machine:
    return {
        (state, event): Row(name, state, event, tuple(actions.split()), then) for state, event, actions, then in rows
    }


INVITE_CLIENT: Final = _machine(
    "invite_client",
    (
        # RFC 3261 figure 5 with the Accepted state of RFC 6026 section 7.2.
        ("new", "request", "send start_a start_b", "calling"),
        ("calling", "timer_a", "resend start_a", "calling"),
        ("calling", "timer_b", "stop_a timeout", "terminated"),
        ("calling", "1xx", "stop_a stop_b tell", "proceeding"),
        ("calling", "2xx", "stop_a stop_b tell start_m", "accepted"),
        ("calling", "300-699", "stop_a stop_b ack tell start_d", "completed"),
        ("calling", "fault", "stop_a stop_b fault", "terminated"),
        ("proceeding", "1xx", "tell", "proceeding"),
        ("proceeding", "2xx", "tell start_m", "accepted"),
        ("proceeding", "300-699", "ack tell start_d", "completed"),
        ("proceeding", "fault", "fault", "terminated"),
        ("proceeding", "given_up", "", "terminated"),  # section 9.1: cancelled, and 64*T1 without a final response
        ("completed", "1xx", "", "completed"),
        ("completed", "2xx", "", "completed"),
        ("completed", "300-699", "ack", "completed"),
        ("completed", "fault", "", "terminated"),
        ("completed", "timer_d", "", "terminated"),
        ("accepted", "1xx", "", "accepted"),
        ("accepted", "2xx", "tell", "accepted"),
        ("accepted", "300-699", "", "accepted"),
        ("accepted", "fault", "", "accepted"),
        ("accepted", "timer_m", "", "terminated"),
    ),
)

CLIENT: Final = _machine(
    "client",
    (
        # RFC 3261 figure 6. Timer E starts at T1, doubles to T2, and is T2 once a provisional response came.
        ("new", "request", "send start_e start_f", "trying"),
        ("trying", "timer_e", "resend start_e", "trying"),
        ("trying", "timer_f", "stop_e timeout", "terminated"),
        ("trying", "1xx", "tell", "proceeding"),
        ("trying", "2xx", "stop_e stop_f tell start_k", "completed"),
        ("trying", "300-699", "stop_e stop_f tell start_k", "completed"),
        ("trying", "fault", "stop_e stop_f fault", "terminated"),
        ("proceeding", "timer_e", "resend start_e", "proceeding"),
        ("proceeding", "timer_f", "stop_e timeout", "terminated"),
        ("proceeding", "1xx", "tell", "proceeding"),
        ("proceeding", "2xx", "stop_e stop_f tell start_k", "completed"),
        ("proceeding", "300-699", "stop_e stop_f tell start_k", "completed"),
        ("proceeding", "fault", "stop_e stop_f fault", "terminated"),
        ("completed", "1xx", "", "completed"),
        ("completed", "2xx", "", "completed"),
        ("completed", "300-699", "", "completed"),
        ("completed", "fault", "", "completed"),
        ("completed", "timer_k", "", "terminated"),
    ),
)

INVITE_SERVER: Final = _machine(
    "invite_server",
    (
        # RFC 3261 figure 7 with the Accepted state of RFC 6026 section 7.1; a transport error ends nothing there.
        ("new", "request", "", "proceeding"),
        ("proceeding", "request", "resend", "proceeding"),
        ("proceeding", "respond_1xx", "send", "proceeding"),
        ("proceeding", "respond_2xx", "send start_l", "accepted"),
        ("proceeding", "respond_300-699", "send start_g start_h", "completed"),
        ("proceeding", "fault", "reroute", "proceeding"),
        ("proceeding", "ack", "", "proceeding"),
        ("completed", "request", "resend", "completed"),
        ("completed", "timer_g", "resend start_g", "completed"),
        ("completed", "timer_h", "stop_g", "terminated"),
        ("completed", "ack", "stop_g stop_h start_i", "confirmed"),
        ("completed", "fault", "reroute", "completed"),
        ("confirmed", "request", "", "confirmed"),
        ("confirmed", "ack", "", "confirmed"),
        ("confirmed", "fault", "", "confirmed"),
        ("confirmed", "timer_i", "", "terminated"),
        # The 2xx is repeated by the user agent, not here: a repeated INVITE is only absorbed (RFC 6026 section 7.1).
        ("accepted", "request", "", "accepted"),
        ("accepted", "ack", "", "accepted"),
        ("accepted", "fault", "", "accepted"),
        ("accepted", "timer_l", "", "terminated"),
    ),
)

SERVER: Final = _machine(
    "server",
    (
        # RFC 3261 figure 8. There are no provisional responses: we answer such requests at once (RFC 4320 section 4.1
        # forbids all but a late 100), so Proceeding has no rows.
        ("new", "request", "", "trying"),
        ("trying", "respond_2xx", "send start_j", "completed"),
        ("trying", "respond_300-699", "send start_j", "completed"),
        ("completed", "request", "resend", "completed"),
        ("completed", "fault", "reroute", "completed"),
        ("completed", "timer_j", "", "terminated"),
    ),
)

MACHINES: Final[dict[str, Machine]] = {
    "invite_client": INVITE_CLIENT,
    "client": CLIENT,
    "invite_server": INVITE_SERVER,
    "server": SERVER,
}

ROWS: Final[tuple[Row, ...]] = tuple([row for machine in MACHINES.values() for row in machine.values()])
"""Every row of every table, so that a test or the simulator can say which were never taken."""

REPEATS: Final = frozenset("aeg")
"""The timers that repeat a message: they double, and do not run on a reliable transport."""


RESPOND: Final = ("", "respond_1xx", "respond_2xx", *("respond_300-699",) * 4)
"""The event that a response of ours is to a table, by the first digit of its code."""


LASTING: Final = "bdfhijklm"
"""The timers that end something."""


def duration(timer: str, times: Times, *, reliable: bool) -> Duration:
    """Give how long a timer that does not repeat lasts (RFC 3261 table 4, RFC 6026 section 7.1 and 7.2)."""
    if timer in "di":
        # D must be at least 32 s over UDP, which is what 64*T1 is at the usual T1.
        return 0 if reliable else (max(32 * SECOND, 64 * times.t1) if timer == "d" else times.t4)
    if timer == "k":
        return 0 if reliable else times.t4
    if timer == "j":
        return 0 if reliable else 64 * times.t1
    return 64 * times.t1


def kind(code: int) -> str:
    """Give the event that a status code is to a table."""
    return "1xx" if code < 200 else "2xx" if code < 300 else "300-699"
