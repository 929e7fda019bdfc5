"""Who calls and for whom, as a request says it, and how much of that is believed.

    From ──────────────────────────────────────────┐ what anybody may write
    P-Asserted-Identity, Remote-Party-ID (3325) ───┤
    P-Preferred-Identity (3325) ───────────────────┼─► identity(request, believed) ─► Identity
    Diversion, History-Info (5806, 7044) ──────────┤ only from those whom the configuration trusts
    verstat, Privacy (TS 24.229, 3323) ────────────┘

Laws: a source that is not trusted raises nothing by what it writes: all but From and Privacy is then as if it were not
there; a header that can't be read says nothing, and none is a reason to refuse a call; every list has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import Malformed, param, split_list
from offhook.sip.header import NameAddr, parse_name_addr
from offhook.sip.message import Request
from offhook.sip.uri import parse_uri, unescape

ENTRIES_LIMIT: Final = 32
"""Diversions and history entries that are read; a call that was forwarded more often has been in a loop."""

NAME_LIMIT: Final = 128
"""Characters of a display name that are kept: more is no name."""

_VERSTAT: Final = re.compile(r";verstat=([A-Za-z-]{1,40})", re.IGNORECASE)
_INDEX: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,15}")


@dataclass(frozen=True, slots=True)
class Believed:
    """What a source is trusted about: who calls, who forwarded the call, and the verdict on the caller's signature."""

    identity: bool = False
    diversion: bool = False
    verstat: bool = False


@dataclass(frozen=True, slots=True)
class Diversion:
    """One Diversion element (RFC 5806): who forwarded the call, and why (`no-answer`, `user-busy`, …)."""

    address: NameAddr

    def __str__(self) -> str:
        """Write the element."""
        return str(self.address)

    @property
    def reason(self) -> str:
        """Why it was forwarded; "" where that is not said."""
        return (param(self.address.params, "reason") or "").strip('"')


def parse_diversion(text: str) -> Diversion:
    """Read one Diversion element. Malformed where it is none."""
    return Diversion(parse_name_addr(text, "diversion"))


@dataclass(frozen=True, slots=True)
class History:
    """One History-Info element (RFC 7044): where the request was sent. `before` is the entry that it came from."""

    address: NameAddr

    def __str__(self) -> str:
        """Write the element."""
        return str(self.address)

    @property
    def index(self) -> str:
        """Its place in the tree of places, as in `1.2`."""
        return param(self.address.params, "index") or ""

    @property
    def before(self) -> str:
        """The index of the entry that was changed into this one (`rc`, `mp`, section 10.3), "" where it is not said."""
        return param(self.address.params, "mp") or param(self.address.params, "rc") or ""


def parse_history(text: str) -> History:
    """Read one History-Info element. Malformed where it is none, or has no index (section 5.1)."""
    entry = History(parse_name_addr(text, "history"))
    if not _INDEX.fullmatch(entry.index):
        raise Malformed("history", "a history entry without an index")
    return entry


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. `caller` is a URI, `name` what it calls itself; `trusted` whether a trunk that we trust says so.

    `private`: the caller asked that its number be shown to nobody. `diverted_from` is who forwarded the call to us, ""
    where nobody did or nobody is believed to have. `verstat` is the carrier's verdict on the caller's signature.
    """

    caller: str
    name: str = ""
    trusted: bool = False
    private: bool = False
    diverted_from: str = ""
    verstat: str = ""


def identity(request: Request, believed: Believed, *, verstat_header: str = "") -> Identity:
    """Read who calls. Never raises: what can't be read is not there. `verstat_header` is where a carrier puts it."""
    asserted = _asserted(request) if believed.identity else None
    shown = asserted or _one(request, "From")
    if shown is None:
        return Identity("")
    private = bool(_privacy(request) & {"id", "user", "header"}) or _hidden(request, believed)
    return Identity(
        caller=shown.uri,
        name=plain(shown.display)[:NAME_LIMIT],
        trusted=asserted is not None,
        private=private,
        diverted_from=_diverted(request) if believed.diversion else "",
        verstat=_verstat(request, asserted, verstat_header) if believed.verstat else "",
    )


def called(request: Request, order: Sequence[str], *, diversion: bool = False) -> tuple[str, ...]:
    """Give the numbers or names that were called, in the order asked for, without what is not there or comes twice.

    `order` names `request` (the Request-URI), `to`, `p-called-party-id` and `diversion`, which is read only where the
    source is believed about it.
    """
    found: list[str] = []
    for place in order:
        if place == "request":
            user = user_of(request.uri)
        elif place == "to":
            user = _user(_one(request, "To"))
        elif place == "p-called-party-id":
            user = _user(_one(request, "P-Called-Party-Id"))
        else:
            user = user_of(_diverted(request)) if diversion else ""
        if user and user not in found:
            found.append(user)
    return tuple(found)


def user_of(uri: str) -> str:
    """Give the number or name in a URI, unescaped and without parameters; "" where there is none (RFC 3261 19.1.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "tel":
        return plain(unescape(rest.partition(";")[0]))
    user, at, _ = rest.partition("?")[0].rpartition("@")
    return plain(unescape(user.partition(":")[0].partition(";")[0])) if at else ""


def plain(text: str) -> str:
    """Give a text without what would move a cursor or end a line, wherever it is shown."""
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else "\ufffd" for character in text])


def _asserted(request: Request) -> NameAddr | None:
    """Give who a trusted carrier says it is: section 9.1 of RFC 3325 allows a SIP and a tel URI; the first will do."""
    for name in ("P-Asserted-Identity", "Remote-Party-Id", "P-Preferred-Identity"):
        for address in _all(request, name):
            party = (param(address.params, "party") or "calling").lower()
            if party == "calling" and address.uri.partition(":")[0].lower() in ("sip", "sips", "tel"):
                return address
    return None


def _hidden(request: Request, believed: Believed) -> bool:
    if not believed.identity:
        return False
    privacy = [(param(address.params, "privacy") or "off").lower() for address in _all(request, "Remote-Party-Id")]
    return any(word not in ("off", "none") for word in privacy)


def _privacy(request: Request) -> frozenset[str]:
    words = ";".join(request.all("Privacy")[:ENTRIES_LIMIT]).replace(",", ";").lower().split(";", ENTRIES_LIMIT)
    return frozenset([word.strip() for word in words])


def _diverted(request: Request) -> str:
    """Give who forwarded the call to us last: the topmost Diversion (RFC 5806), else what the history says."""
    for address in _all(request, "Diversion"):
        return address.uri
    entries: list[History] = []
    for text in _elements(request, "History-Info"):
        try:
            entries.append(parse_history(text))
        except Malformed:
            continue
    if len(entries) < 2:
        return ""
    last = entries[-1]
    before = next((entry for entry in entries if last.before and entry.index == last.before), entries[-2])
    # What a history says besides (the Reason of a retargeting) stands in the URI's headers, which are not its address.
    return before.address.uri.partition("?")[0]


def _verstat(request: Request, asserted: NameAddr | None, header: str) -> str:
    if header and (value := request.first(header)) is not None:
        return plain(value)[:40]
    for address in (asserted, _one(request, "From")):
        if address is not None and (found := _VERSTAT.search(address.uri)) is not None:
            return found[1]
    return ""


def _user(address: NameAddr | None) -> str:
    return "" if address is None else user_of(address.uri)


def _one(request: Request, name: str) -> NameAddr | None:
    return next(iter(_all(request, name)), None)


def _all(request: Request, name: str) -> list[NameAddr]:
    found: list[NameAddr] = []
    for text in _elements(request, name):
        try:
            address = parse_name_addr(text)
            parse_uri(address.uri)
        except Malformed:
            continue
        found.append(address)
    return found


def _elements(request: Request, name: str) -> list[str]:
    texts: list[str] = []
    for value in request.all(name)[:ENTRIES_LIMIT]:
        try:
            texts += split_list(value)
        except Malformed:
            continue
    return texts[:ENTRIES_LIMIT]
