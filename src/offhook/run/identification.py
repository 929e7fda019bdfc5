"""Signed callers judged, and our own calls signed, as the configuration says (STIR/SHAKEN).

    INVITE ─► look ─┬─ nothing signed, or no roots ─► what a trusted trunk says, else "unsigned"
                    ├─ its certificate is kept ─────► a verdict at once
                    └─ it is not ───────────────────► "unknown", and the verdict a moment later

A call is never held up for a certificate unless the configuration requires a signature; then for as long as one fetch
may take, and no longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Protocol

from offhook.carriers.stir import Identities, Signer, Trust, identities, signer, verify
from offhook.core.errors import ConfigError
from offhook.core.verdict import Verdict
from offhook.run.certificates import Certificates
from offhook.run.rules import StirRules
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import parse_name_addr
from offhook.sip.identity import user_of
from offhook.sip.message import Request
from offhook.sip.passport import Passport, canonical

LOOKING: Final = "the certificate is being fetched"

_GRADES: Final = {"C": 1, "B": 2, "A": 3}


class Fetcher(Protocol):
    """What certificates are fetched by and kept in: `run.certificates.Certificates`."""

    def get(self, url: str) -> bytes | None:
        """Give what is kept of a URL."""
        ...

    def known(self, url: str) -> bool:
        """Say whether asking again would bring nothing new."""
        ...

    async def want(self, *urls: str) -> None:
        """Fetch what is not known."""
        ...

    async def close(self) -> None:
        """End every fetch."""
        ...


class Identified(Protocol):
    """What is told a verdict: a leg."""

    def identified(self, verdict: Verdict) -> None:
        """Take it."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What a first look gives. `open` is what has to be judged again once its certificates are there."""

    verdict: Verdict
    open: Identities | None = None


class Identification:
    """One host's. `wall` gives the seconds since 1970; `certificates` may be shared or made up."""

    def __init__(
        self, rules: StirRules, *, certificates: Fetcher | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        """Read the roots and the key. ConfigError where they can't be."""
        self._rules = rules
        self._wall = wall
        self._trust = Trust(_read(rules.roots, "stir.roots")) if rules.roots is not None else None
        self._certificates: Fetcher = certificates or Certificates(private=rules.private)
        self._judging: set[asyncio.Task[None]] = set()
        self._signer: Signer | None = None
        if rules.key is not None:
            self._signer = signer(_read(rules.key, "stir.key"), rules.certificate_url)

    def look(self, invite: Request, told: Verdict, called: tuple[str, ...]) -> Look:
        """Judge a call as far as can be done at once. `told` is what a trusted trunk says of it."""
        if self._trust is None:
            return Look(told)
        claimed = [user_of(_uri(value)) for name in ("From", "P-Asserted-Identity") for value in invite.values(name)]
        found = identities(invite, claimed, [user_of(invite.uri), *called])
        if found is None:
            return Look(told)
        if not all(self._certificates.known(url) for url in found.certificates):
            return Look(Verdict("unknown", by="signature", code=436, reason=LOOKING), found)
        return Look(self._judge(found))

    def settle(self, look: Look, take: Callable[[Verdict], Identified | None], waits: Callable[[], bool]) -> None:
        """Have a call taken: now, or once its verdict is there where a signature is required and `waits` says so then.

        `take` gives what is told a verdict that comes later.
        """
        if look.open is None:
            take(look.verdict)
            return
        leg = None if self._rules.require else take(look.verdict)
        if leg is not None or self._rules.require:
            work = self._later(look.open, take, waits) if leg is None else self._tell(look.open, leg)
            task = asyncio.get_running_loop().create_task(work, name="identity")
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    async def _later(
        self, found: Identities, take: Callable[[Verdict], Identified | None], waits: Callable[[], bool]
    ) -> None:
        verdict = await self._fetched(found)
        if waits():
            take(verdict)

    async def _tell(self, found: Identities, leg: Identified) -> None:
        leg.identified(await self._fetched(found))

    async def _fetched(self, found: Identities) -> Verdict:
        """Fetch what is missing and judge; within `certificates.FETCH_S`."""
        await self._certificates.want(*found.certificates)
        return self._judge(found)

    def _judge(self, found: Identities) -> Verdict:
        assert self._trust is not None
        return verify(found, self._certificates.get, self._trust, int(self._wall()))

    def refusal(self, verdict: Verdict) -> int:
        """Give the code that refuses a caller with this verdict, 0 where it will do (RFC 8224 section 6.2.2)."""
        least = self._rules.require
        if not least:
            return 0
        if verdict.state == "valid":
            enough = _GRADES.get(verdict.attestation, 0) >= _GRADES.get(least, 0)
            return 0 if enough else 608  # RFC 8688: turned away by who guards the door
        return verdict.code or 428  # a signature is asked for

    def signed(self, caller: str, called: str, origid: str) -> Fields:
        """Give the headers that sign a call of ours between two numbers; none where there is no key, or no number."""
        who, whom = canonical(caller), canonical(called)
        if self._signer is None or not who or not whom:
            return ()
        now = int(self._wall())
        passport = Passport("shaken", who, (whom,), now, "", self._rules.attest, origid)
        # RFC 8224 section 4.1: what is signed has a date, and it is the signature's.
        date = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
        return ("Date", date), ("Identity", self._signer.sign(passport))

    async def close(self) -> None:
        """End every fetch, and what waits for one."""
        for task in list(self._judging):
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)
        await self._certificates.close()


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{key}: {path}: {error.strerror or error}") from None


def _uri(value: str) -> str:
    try:
        return parse_name_addr(value).uri
    except Malformed:
        return ""
