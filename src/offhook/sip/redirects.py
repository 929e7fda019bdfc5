"""Where a redirected call may go next (RFC 3261 sections 8.1.3.4, 19.1.4, 21.3): by preference, no place twice.

    3xx ─► Trail.redirected ─► next ─► Redirected ─► follow (a new INVITE) or skip ─► next …

What a redirection names is only ever a proposal: whoever owns the call screens each target before it is followed. 305
is not followed at all, since it would choose our proxy for us.
"""

from __future__ import annotations

from typing import Final

from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import NameAddr, parse_name_addr
from offhook.sip.message import Request, Response
from offhook.sip.uri import Uri, parse_uri

REDIRECTS_LIMIT: Final = 5
"""Redirections of one call that are followed; more is a game."""

CONTACTS_LIMIT: Final = 16
"""Targets of one call that may wait for their turn."""

KEPT: Final = ("Diversion", "History-Info")
"""What tells the next target why it is called (RFC 5806, RFC 7044): kept from the redirection."""


class Trail:
    """Where one call was sent and may yet be sent."""

    __slots__ = ("_hops", "_seen", "_waiting", "invite", "kept")

    def __init__(self, first: str) -> None:
        self._seen = {_place(parse_uri(first))}
        self._waiting: list[Uri] = []
        self._hops = 0
        self.kept: Fields = ()
        """What the last redirection said of why it was one."""
        self.invite: Request | None = None
        """The INVITE that was refused last."""

    def redirected(self, response: Response) -> None:
        """Take the targets of a redirection; those that were tried before, and those of one too many, say nothing."""
        if response.code == 305 or self._hops >= REDIRECTS_LIMIT:
            return
        self._hops += 1
        self.kept = tuple([(name, value) for name in KEPT for value in response.all(name)])
        self._waiting = [*targets(response), *self._waiting][:CONTACTS_LIMIT]

    def next(self) -> Uri | None:
        """Give the next target, None where no other is left."""
        while self._waiting:
            uri = self._waiting.pop(0)
            place = _place(uri)
            if place not in self._seen:
                self._seen.add(place)
                return uri
        return None


def targets(response: Response) -> list[Uri]:
    """Give the Contacts of a redirection, the best (`q`) first; what can't be read or carries headers is left out."""
    try:
        elements = response.values("Contact")[:CONTACTS_LIMIT]
    except Malformed:
        return []
    found: list[tuple[float, Uri]] = []
    for element in elements:
        try:
            contact = parse_name_addr(element, "contact")
            uri = parse_uri(contact.uri)
        except Malformed:
            continue
        # Section 19.1.5: headers in a URI would become ours, and `method` would make it another request.
        if not uri.headers and uri.param("method") is None:
            found.append((_preference(contact), uri))
    return [uri for _, uri in sorted(found, key=lambda one: -one[0])]


def _preference(contact: NameAddr) -> float:
    """Give `q`; 1 where there is none, 0 where it is none (section 20.10 leaves the first open)."""
    text = next((value for name, value in contact.params if name == "q"), None)
    if text is None:
        return 1.0
    digits = text.replace(".", "", 1)
    return min(float(text), 1.0) if digits.isascii() and digits.isdigit() and len(text) <= 8 else 0.0


def _place(uri: Uri) -> tuple[str, str, str, int | None, str]:
    """Give what two URIs of one place have in common (section 19.1.4)."""
    transport = (uri.param("transport") or "").lower()
    return uri.scheme, uri.user or uri.opaque, uri.host.lower(), uri.port, transport
