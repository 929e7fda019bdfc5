"""The pages that call: their tokens, and what each is told of its call.

give ─► a token ─► take: once, within ten minutes          call's events ─► Page ─► server-sent events
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Final

from offhook.call.events import CallEvent, as_json
from offhook.carriers.web import WebLeg
from offhook.core.ids import CallId

TOKENS_LIMIT: Final = 4096
"""Tokens that are out at a time; the oldest makes room. One takes some 100 bytes."""

TOKEN_S: Final = 600.0
"""How long a page may lie open before its button is pressed; it then gets a new one by being loaded again."""

TELLS: Final = frozenset({"answered", "heard", "said", "cut", "digit", "ended"})
"""What a page is told of its own call."""

WAITING_LIMIT: Final = 256
"""Events that wait for a page that does not read; the oldest makes room."""

QUIET_S: Final = 15.0
"""How often something is sent, so that whatever lies between does not think that nobody is there."""

AFTER_S: Final = 5.0
"""How long a call that is over is remembered, so that its page hears of the end."""


class Tokens:
    """Tokens for one call each."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def give(self) -> str:
        """Make one."""
        token = secrets.token_urlsafe(24)
        self._until[token] = asyncio.get_running_loop().time() + TOKEN_S
        if len(self._until) > TOKENS_LIMIT:
            self._until.popitem(last=False)
        return token

    def take(self, token: str) -> bool:
        """Use one up; give whether it was good."""
        until = self._until.pop(token, None)
        return until is not None and until > asyncio.get_running_loop().time()


class Page:
    """One page's call."""

    def __init__(self, leg: WebLeg) -> None:
        self.leg = leg
        self.key = secrets.token_urlsafe(16)
        """What its resource is called; who knows it may hang up."""
        self.over = False
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING_LIMIT)

    def tell(self, event: CallEvent) -> None:
        """Take what happened."""
        if event.event not in TELLS:
            return
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(f"data: {json.dumps(as_json(event), default=str)}\n\n")
        self.over = self.over or event.event == "ended"

    async def next(self) -> str | None:
        """Give what is to be sent next; None once the call is over and all is told."""
        if self.over and self._waiting.empty():
            return None
        try:
            async with asyncio.timeout(QUIET_S):
                return await self._waiting.get()
        except TimeoutError:
            return ": still here\n\n"


class Pages:
    """The pages whose calls are up, or were a moment ago."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}

    def __len__(self) -> int:
        """How many calls are up."""
        return sum(not page.leg.over for page in self._pages.values())

    def open(self, leg: WebLeg, taps: MutableMapping[CallId, Callable[[CallEvent], None]]) -> Page:
        """Begin to tell a page of its call."""
        page = Page(leg)
        self._pages[page.key] = page
        name = leg.info.id

        def tell(event: CallEvent) -> None:
            page.tell(event)
            if event.event == "ended":
                taps.pop(name, None)
                asyncio.get_running_loop().call_later(AFTER_S, self._pages.pop, page.key, None)

        taps[name] = tell
        return page

    def find(self, key: str) -> Page | None:
        """Give a page by the name of its resource."""
        return self._pages.get(key)
