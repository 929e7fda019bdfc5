"""Which numbers and addresses may be dialled or transferred to. Pure functions.

Rules are texts: `+1` allows every number that begins so, `!+1900` takes some of them back; `sip:*@pbx.example` allows
SIP URIs by user and host, `*` standing for anything within its part, with `:port` where the port matters. Nothing that
is not allowed is.

A place that only we can see (this machine, our network, the metadata of our cloud) is allowed only by a rule that names
it: a host that is `*` means the world outside, and a name that was allowed by a pattern must not turn out to be inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from offhook.core.addresses import Reach, reach

_SEPARATORS = str.maketrans("", "", " -.()/")


def number_of(target: str) -> str | None:
    """Give a telephone number in its bare form (`+15551234567`), None where `target` is none.

    Visual separators (RFC 3966 section 5.1.1) are dropped.
    """
    text = target.removeprefix("tel:").translate(_SEPARATORS)
    digits = text.removeprefix("+")
    return text if digits.isascii() and digits.isdigit() else None


def allows_number(rules: Sequence[str], number: str) -> bool:
    """Say whether the rules allow a bare number: one lets it and none that begins with `!` forbids it."""
    if any(number.startswith(rule[1:]) for rule in rules if rule.startswith("!")):
        return False
    return any(number.startswith(rule) for rule in rules if not rule.startswith(("sip:", "!")))


def allows_address(rules: Sequence[str], user: str, host: str, port: int | None, *, ip: str = "") -> bool:
    """Say whether the rules allow a SIP URI, given by its parts; `ip` is what its host was resolved to, once it was."""
    inside = reach(host) < Reach.PUBLIC
    turned_in = not inside and ip != "" and reach(ip) < Reach.PUBLIC
    for rule in rules:
        if not rule.startswith("sip:"):
            continue
        rule_user, at, rule_host = rule[4:].rpartition("@")
        rule_host, rule_port = _host_port(rule_host.lower())
        if not matches(rule_host, host.lower()) or not matches(rule_user if at else "*", user):
            continue
        if (inside and not rule_host.strip("*")) or (turned_in and "*" in rule_host):
            continue
        if rule_host.endswith("*") and rule_host.strip("*") and not _is_address(host):
            continue  # 10.3.0.* is a network; 10.3.0.1.evil.example is not in it
        if not rule_port or matches(rule_port, str(port or 5060)):
            return True
    return False


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host_port(text: str) -> tuple[str, str]:
    """Take a port off a host; an IPv6 address stands in brackets and is given without."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def matches(pattern: str, text: str) -> bool:
    """Say whether `text` fits `pattern`, in which each `*` stands for any characters, also none."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    at = len(first)
    *middle, last = rest
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - at >= len(last) and text.endswith(last)


def allows(rules: Sequence[str], target: str) -> bool:
    """Say whether the rules allow a target as an author or a model writes it: a number or a SIP URI.

    A URI that carries headers or that could be read in two ways is not allowed.
    """
    number = number_of(target)
    if number is not None:
        return allows_number(rules, number)
    scheme, colon, rest = target.partition(":")
    if not colon or scheme.lower() not in ("sip", "sips") or "?" in rest or rest.count("@") > 1:
        return False
    user, _, place = rest.rpartition("@")
    host, port = _host_port(place.partition(";")[0])
    if not host or (port and not (port.isascii() and port.isdigit())):
        return False
    return allows_address(rules, user.partition(":")[0], host, int(port) if port else None)
