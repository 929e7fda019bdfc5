"""Dialogs: two parties, two counters, a way to the other side (RFC 3261 section 12)."""

from __future__ import annotations

from dataclasses import dataclass

from offhook.sip.grammar import Fields
from offhook.sip.header import NameAddr, parse_name_addr
from offhook.sip.message import Request, Response

DialogKey = tuple[str, str, str]
"""Call-ID, our tag, their tag."""


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog. `local` and `remote` are the From and To values that our requests carry.

    `local_seq` and `remote_seq` are the last CSeq numbers used each way (`remote_seq` None: none seen yet).
    `target` is where the far end wants requests (its Contact); `routes` is the route set, nearest first.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    target: str
    routes: tuple[str, ...] = ()
    local_seq: int = 0
    remote_seq: int | None = None

    @property
    def key(self) -> DialogKey:
        """What a request from the far end is matched by."""
        return self.call_id, self.local_tag, self.remote_tag

    def refresh(self, message: Request | Response) -> None:
        """Take the target of a re-INVITE or its 2xx (section 12.2)."""
        contact = contact_of(message)
        if contact is not None:
            self.target = contact.uri

    def request(self, method: str, *, extra: Fields = (), body: bytes = b"", seq: int | None = None) -> Request:
        """Make a request inside the dialog, all but its Via (section 12.2.1.1).

        `seq` is given for an ACK; else the counter moves on.
        """
        if seq is None:
            self.local_seq += 1
            seq = self.local_seq
        uri, routes = self._way()
        fields = (
            *[("Route", route) for route in routes],
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{seq} {method}"),
            *extra,
        )
        return Request(fields, body, method, uri)

    def _way(self) -> tuple[str, tuple[str, ...]]:
        """Give the Request-URI and Route headers; a strict router (no `lr`) takes the Request-URI for itself."""
        if self.routes:
            first = parse_name_addr(self.routes[0])
            if ";lr" not in first.uri.lower():
                return first.uri.partition("?")[0], (*self.routes[1:], f"<{self.target}>")
        return self.target, self.routes

    def next_hop(self) -> str:
        """Give the URI that requests are sent to: the first route, else the target."""
        return parse_name_addr(self.routes[0]).uri if self.routes else self.target


def contact_of(message: Request | Response) -> NameAddr | None:
    """Give the first Contact of a message, None where there is none. Malformed where it can't be read."""
    values = message.values("Contact")
    return parse_name_addr(values[0], "contact") if values and values[0] != "*" else None


def route_set(message: Request | Response) -> list[str]:
    """Give the Record-Route elements of a message. Malformed where one can't be read: no BYE could be sent later."""
    routes = message.values("Record-Route")
    for route in routes:
        parse_name_addr(route, "record_route")
    return routes


def served_dialog(invite: Request, sender: NameAddr, local: str, local_tag: str, seq: int) -> Dialog:
    """Make the dialog of an INVITE that we answer (section 12.1.1): the route set is the Record-Route in order."""
    contact = contact_of(invite)
    return Dialog(
        call_id=invite.first("Call-ID") or "",
        local=local,
        remote=invite.first("From") or "",
        local_tag=local_tag,
        remote_tag=sender.tag,
        # RFC 2543 clients may leave Contact out; then the From address is all there is.
        target=contact.uri if contact is not None else sender.uri,
        routes=tuple(route_set(invite)),
        remote_seq=seq,
    )


def called_dialog(invite: Request, answer: Response, local_tag: str, seq: int) -> Dialog:
    """Make the dialog of an INVITE of ours (section 12.1.2): the route set is the Record-Route turned round."""
    to = parse_name_addr(answer.first("To") or "", "to")
    contact = contact_of(answer)
    return Dialog(
        call_id=invite.first("Call-ID") or "",
        local=invite.first("From") or "",
        remote=answer.first("To") or "",
        local_tag=local_tag,
        remote_tag=to.tag,
        target=contact.uri if contact is not None else invite.uri,
        routes=tuple(reversed(route_set(answer))),
        local_seq=seq,
    )
