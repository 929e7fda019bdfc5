"""A world in virtual time with one host in it, as `serve` runs one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from offhook.call.events import CallEvent, Ended
from offhook.policy.routes import Wanted
from offhook.run.host import AgentLike, Host, HostRules
from offhook.run.identification import Identification
from offhook.testing.callers import CallerPhone
from offhook.testing.nameserver import Names
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT, World

HOST, PHONE, PEER = "10.1.0.1", "10.2.0.1", "10.3.0.1"


class Stage:
    """What a test plays on: `host()`, `phone()`, `peer()`, and `play(story)` that runs it in virtual time."""

    def __init__(self, *, watched: bool = True) -> None:
        self.world = World("stage") if watched else World("stage", checkers=())
        self.events: list[CallEvent] = []
        self.names = Names()

    def host(
        self,
        agent: AgentLike,
        *,
        user: str | None = None,
        identification: Identification | None = None,
        **rules: Any,
    ) -> Host:
        """Make the host; `user`: the only one who is there (anyone, unless told)."""
        made: dict[str, Any] = {
            "listen": tuple((transport, (HOST, SIP_PORT)) for transport in ("udp", "tcp")),
            "allow": ("10.0.0.0/8",),
            "dial": ("sip:*@10.0.0.0", "sip:*@10.2.0.1", "sip:*@10.3.0.*"),
        } | rules

        def route(wanted: Wanted) -> AgentLike | None:
            return agent if user in (None, wanted.called) else None

        return Host(
            engine=self.world.engine(HOST),
            rng=self.world.rng("host"),
            rules=HostRules(**made),
            route=route,
            events=self.events.append,
            resolver=self.names,
            identification=identification,
        )

    def phone(self) -> CallerPhone:
        """Make the phone of a caller."""
        return CallerPhone(self.world, PHONE)

    def peer(self, ip: str = PEER) -> Peer:
        """Make a bare SIP socket."""
        return Peer(self.world, ip, (HOST, SIP_PORT), self.world.rng("peer" if ip == PEER else f"peer {ip}"))

    def reasons(self) -> list[str]:
        """Give why calls ended, in order."""
        return [event.reason for event in self.events if isinstance(event, Ended)]

    def play(self, story: Coroutine[Any, Any, Any]) -> None:
        """Run a story; nothing that the checkers watch may be broken by it."""
        self.world.run(story)
        assert self.world.violations == []


@pytest.fixture
def stage() -> Stage:
    """An empty stage."""
    return Stage()


@pytest.fixture
def unwatched_stage() -> Stage:
    """An empty stage for a far end that breaks every law: nobody notes that."""
    return Stage(watched=False)
