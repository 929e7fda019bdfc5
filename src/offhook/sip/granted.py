"""What a registrar's 2xx grants: for how long, by which way, under which names.

RFC 3261 section 10.2.4, RFC 3608 (Service-Route), RFC 5626 section 4.4, RFC 5627 section 4.2 (GRUU), RFC 7315.
What can't be read is as if it were not there: a registrar with an odd header still registers us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import Malformed, is_address, number, param, unquote
from offhook.sip.header import NameAddr, parse_name_addr, parse_via
from offhook.sip.message import Response
from offhook.sip.uri import parse_uri

EXPIRES_LIMIT: Final = 7 * 86_400
"""A week: longer than that and no refresh would find out that the registrar forgot us."""

ROUTES_LIMIT: Final = 16


@dataclass(frozen=True, slots=True)
class Granted:
    """What we got. `expires_s` 0: no binding of ours was kept.

    `routes` is the Service-Route; `gruu` the public GRUU and `temp_gruu` the other, "" where there is none; `uris` the
    P-Associated-URI; `outbound` whether the registrar speaks RFC 5626 with us, `flow_timer_s` how often it wants to
    hear from us then (0: it does not say); `seen` the address that it saw us at, None where it does not say.
    """

    expires_s: int
    routes: tuple[str, ...] = ()
    gruu: str = ""
    temp_gruu: str = ""
    uris: tuple[str, ...] = ()
    outbound: bool = False
    flow_timer_s: int = 0
    seen: tuple[str, int] | None = None


def read_granted(response: Response, uri: str, instance: str, asked_s: int) -> Granted:
    """Read a 2xx to a REGISTER of ours that had the Contact `uri`, and `instance` where that is not ""."""
    ours = _own(response, uri, instance)
    own_s = seconds(param(ours.params, "expires") if ours is not None else None, EXPIRES_LIMIT, -1)
    return Granted(
        own_s if own_s >= 0 else seconds(response.first("Expires"), EXPIRES_LIMIT, asked_s),
        routes=_addresses(response, "Service-Route"),
        gruu=_gruu(ours, "pub-gruu"),
        temp_gruu=_gruu(ours, "temp-gruu"),
        uris=_addresses(response, "P-Associated-URI"),
        outbound=bool(instance) and "outbound" in ",".join(response.all("Require")).lower(),
        flow_timer_s=seconds(response.first("Flow-Timer"), 3600, 0),
        seen=_seen(response),
    )


def seconds(text: str | None, limit: int, otherwise: int) -> int:
    """Read a number of seconds up to `limit` (a greater one is that); `otherwise` where it is none.

    Retry-After may have a comment and parameters behind it (RFC 3261 section 20.33).
    """
    digits = (text or "").partition("(")[0].partition(";")[0].strip()
    try:
        return min(number(digits, 10**20, "expires"), limit)
    except Malformed:
        return otherwise


def _own(response: Response, uri: str, instance: str) -> NameAddr | None:
    """Find our binding among those that the registrar lists (section 10.3, step 8)."""
    plain = _bare(uri)
    try:
        contacts = [parse_name_addr(value) for value in response.values("Contact")]
    except Malformed:
        return None
    for contact in contacts:
        if instance and unquote(param(contact.params, "+sip.instance") or "") == f"<{instance}>":
            return contact
        if _bare(contact.uri) == plain:
            return contact
    return None


def _bare(uri: str) -> tuple[str | None, str, int]:
    try:
        parsed = parse_uri(uri)
    except Malformed:
        return None, "", 0
    return parsed.user, parsed.host.lower(), parsed.port or 5060


def _addresses(response: Response, name: str) -> tuple[str, ...]:
    """Give the elements of a header that are addresses; none of them where one can't be read: half a way is none."""
    try:
        addresses = [parse_name_addr(value) for value in response.values(name)[:ROUTES_LIMIT]]
        return tuple([str(address) for address in addresses if address.parsed().is_sip])
    except (Malformed, ValueError):
        return ()


def _gruu(contact: NameAddr | None, name: str) -> str:
    text = unquote(param(contact.params, name) or "") if contact is not None else ""
    try:
        return text if text and parse_uri(text).is_sip else ""
    except Malformed:
        return ""


def _seen(response: Response) -> tuple[str, int] | None:
    """Give the address that our request was seen to come from (RFC 3581 section 4)."""
    try:
        via = parse_via((response.values("Via") or [""])[0])
        port = via.param("rport") or ""
        host = via.param("received") or via.host
        return (host, number(port, 65535, "via")) if port and is_address(host) else None
    except Malformed:
        return None
