"""One connection: TCP, TLS or a websocket; theirs or ours.

    (TLS) ─► connection_made ─► wanted? ─► framing ─► messages ─► Keeper
         flood: the far end is read no faster than its rate ◄─────┘

Laws: it is closed when it makes no sense, drips a message, says nothing, is quiet and carries nothing, is not read by
the far end, or does not answer a ping that it used to answer; before that, what could be read of a broken message is
given, so that it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol, cast

from offhook.core.errors import ProtocolError
from offhook.core.media import Address
from offhook.run.transports.flood import Bucket
from offhook.run.transports.framing import Framing, StreamFraming
from offhook.sip.domains import AltNames, speaks_for
from offhook.sip.outcomes import Flow

FIRST_MESSAGE_S: Final = 30.0
"""A connection that has brought no whole message by then is closed (RFC 3261's Timer B is 32 s)."""

MESSAGE_S: Final = 10.0
"""A message that has begun must have ended by then: who drips one ties up our memory (slowloris)."""

IDLE_S: Final = 900.0
"""A connection that carries no call and was silent so long is closed."""

PING_S: Final = 100.0
"""How often a connection of ours is asked for a sign of life where nothing else came (RFC 5626 section 4.4.1)."""

PONG_S: Final = 10.0
"""How long the answer may take (RFC 5626 section 4.4.1)."""

LINGER_S: Final = 2.0
"""How long what comes on a connection that was given up is still read, and forgotten."""

WRITE_LIMIT: Final = 1 << 20
"""Bytes that may wait for a far end that does not read."""


class Keeper(Protocol):
    """Who keeps the connections."""

    def made(self, connection: Connection, wire: asyncio.Transport) -> bool:
        """Take a new connection; False where it is not wanted."""
        ...

    def message(self, connection: Connection, data: bytes) -> None:
        """Take a message."""
        ...

    def lost(self, connection: Connection, why: str) -> None:
        """Forget a connection that is gone."""
        ...

    def busy(self, connection: Connection) -> bool:
        """Say whether it carries calls."""
        ...

    def broke(self, connection: Connection, kind: str) -> None:
        """Count why one is closed."""
        ...


class Connection(asyncio.Protocol):
    """`opening` is the flow that it was opened for, None where the far end opened it.

    `names` are those of the far end's verified certificate; `bucket` limits what it may send.
    """

    def __init__(self, keeper: Keeper, transport: str, framing: Framing | None, opening: Flow | None = None) -> None:
        self._keeper = keeper
        self._framing = framing or StreamFraming()
        self._watch: asyncio.TimerHandle | None = None
        self._spoke = False
        self._heard_at = self._message_at = 0.0
        self._began_at: float | None = None
        self._pinged_at: float | None = None
        self._answers_pings = False
        self.transport = transport
        self.opening = opening
        self.remote: Address = opening.remote if opening is not None else ("", 0)
        self.local: Address = ("", 0)
        self.number = 0
        self.flow: Flow | None = None
        self.names: AltNames = ()
        self.bucket: Bucket | None = None
        self.wire: asyncio.Transport | None = None
        self.why = ""

    @property
    def secure(self) -> bool:
        """Whether TLS is around it."""
        return self.transport in ("tls", "wss")

    def leads_to(self, name: str) -> bool:
        """Say whether a request for the host `name` ("" for this address only) may go over it."""
        return not self.secure or not name or speaks_for(self.names, name)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have a connection."""
        # Not an isinstance: uvloop's transports are of no class of asyncio's.
        wire = cast("asyncio.Transport", transport)
        peer = wire.get_extra_info("peername")
        if peer is None:  # gone before we heard of it
            wire.abort()
            return
        self.remote = peer[:2]
        self.local = wire.get_extra_info("sockname")[:2]
        if not self._keeper.made(self, wire):
            wire.abort()
            return
        self.wire = wire
        wire.set_write_buffer_limits(high=WRITE_LIMIT)
        self._heard_at = self._message_at = asyncio.get_running_loop().time()
        self._flush()
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self.wire is None or self._framing.broken:
            return
        now = asyncio.get_running_loop().time()
        self._heard_at = now
        if self._pinged_at is not None:
            self._pinged_at, self._answers_pings = None, True
        try:
            messages = self._framing.push(data)
        except ProtocolError:
            messages = []
        self._flush()
        for message in messages:
            self._spoke, self._message_at = True, now
            self._keeper.message(self, message)
        if self._framing.broken:
            # There is no telling where the next message begins: RFC 3261 section 18.3 gives up the connection.
            self._give_up("broken", "it makes no sense")
            return
        if messages:
            self._slow_down(now, len(messages))
        if not self._framing.pending:
            self._began_at = None
        elif messages or self._began_at is None:
            self._began_at = now
            self._look()

    def eof_received(self) -> None:
        """Hear that nothing more will come."""
        self._answer_unfinished()

    def pause_writing(self) -> None:
        """Hear that the far end reads too little."""
        # The far end has not read a megabyte of signalling: it is gone or worse.
        self._keeper.broke(self, "broken")
        self.why = "the far end does not read"
        if self.wire is not None:
            self.wire.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it is closed."""
        self.wire = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._keeper.lost(self, self.why or "the connection was closed")

    # What the keeper asks

    def write(self, data: bytes) -> None:
        """Send a message."""
        if self.wire is not None and not self.wire.is_closing():
            framed = self._framing.frame(data)
            if framed:
                self.wire.write(framed)

    def end(self) -> None:
        """Close it, after what is written."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self.wire is not None:
            with contextlib.suppress(OSError):
                self.wire.close()

    # The rest

    def _flush(self) -> None:
        if (out := self._framing.reply()) and self.wire is not None and not self.wire.is_closing():
            self.wire.write(out)

    def _slow_down(self, now: float, messages: int) -> None:
        """Read no more from a far end that is over its rate until it is not: what TCP does, nothing is lost."""
        if self.bucket is None or self.wire is None:
            return
        wait_s = 0.0
        for _ in range(messages):
            wait_s = self.bucket.borrow(now)
        if wait_s > 0:
            self._keeper.broke(self, "flooded")
            self.wire.pause_reading()
            asyncio.get_running_loop().call_later(wait_s, self._read_on)

    def _read_on(self) -> None:
        if self.wire is not None and not self.wire.is_closing():
            self.wire.resume_reading()

    def _give_up(self, kind: str, why: str) -> None:
        self._keeper.broke(self, kind)
        self.why = why
        self._answer_unfinished()
        self._flush()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        wire = self.wire
        if wire is None:
            return
        # No more is said behind the answer; closed at once, what still comes would undo it.
        if wire.can_write_eof():
            wire.write_eof()
            self._watch = asyncio.get_running_loop().call_later(LINGER_S, wire.abort)
        else:
            wire.close()

    def _answer_unfinished(self) -> None:
        """Have a message answered whose rest will not come: section 18.3 owes its sender a 400."""
        if unfinished := self._framing.unfinished():
            self._keeper.message(self, unfinished)

    def _look(self) -> None:
        """See whether this connection is still worth its descriptor, and when to look again."""
        if self.wire is None or self.wire.is_closing():
            return
        if self._watch is not None:
            self._watch.cancel()
        loop = asyncio.get_running_loop()
        now = loop.time()
        busy = self._keeper.busy(self)
        due = [self._message_at + IDLE_S] if not busy else [now + FIRST_MESSAGE_S]
        if not self._spoke and self.opening is None and not busy:
            due.append(self._message_at + FIRST_MESSAGE_S)
        if self._began_at is not None:
            due.append(self._began_at + MESSAGE_S)
        if min(due) <= now:
            dripping = self._began_at is not None and self._began_at + MESSAGE_S <= now
            self._give_up("broken" if dripping else "idle", "a message took too long" if dripping else "it was idle")
            return
        if self.opening is not None:
            due.append(self._ping(now))
        self._watch = loop.call_later(max(min(due) - now, 0.001), self._look)

    def _ping(self, now: float) -> float:
        """Ask for a sign of life where it is time to; give when to look again."""
        if self._pinged_at is not None and self._pinged_at + PONG_S <= now:
            if self._answers_pings:
                self._keeper.broke(self, "broken")
                self.why = "the far end does not answer any more"
                assert self.wire is not None
                self.wire.abort()
            self._pinged_at = None  # it never answers any: nothing is to be learned from that
            self._heard_at = now
        if self._pinged_at is not None:
            return self._pinged_at + PONG_S
        if self._heard_at + PING_S <= now:
            assert self.wire is not None
            self.wire.write(self._framing.ping())
            self._pinged_at = now
            return now + PONG_S
        return self._heard_at + PING_S
