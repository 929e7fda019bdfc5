"""Where a call of ours goes: the ways to try, in order, and what they may cost.

    to ─► number? ─┬─ E.164 ─► allowed? emergency? ─► each trunk, in order ─► Way(target, next hop, From, headers)
                   └─ sip: ──► allowed? ─► at the host of a trunk? emergency? ─► one Way, as its customer or as nobody's

Laws: what `dial.allow` does not list is not dialled, whoever asks; a number that calls the police, the fire brigade or
an ambulance is not, unless the rules list it as it stands and the trunk takes it: nobody in an emergency is served by
an agent, and a false call has a victim. Caps are asked before each try, and cost nothing where nobody answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from offhook.call.leg import CallInfo
from offhook.carriers.numbers import canonical, is_emergency
from offhook.carriers.trunks import Trunk, added_headers
from offhook.core.errors import ConfigError, DialFailed, NotAllowed, OffhookError
from offhook.policy.screening import allows_address, allows_number, number_of
from offhook.run.rules import HostRules
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import NameAddr
from offhook.sip.identity import user_of
from offhook.sip.outcomes import Flow
from offhook.sip.replaces import escape
from offhook.sip.uri import Uri, parse_uri


class Unanswered(DialFailed):
    """It rang, and nobody came: no other trunk would change that."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to whom is called. `sender` None: our own name on the flow. `trunk` None: no trunk, a SIP address.

    `numbers` are who calls whom in E.164, as a signature says it; None where no number is called.
    `flows` is where it goes, where that is known already: a user of ours is reached by the path that it registered by.
    """

    target: Uri
    next_hop: Uri
    sender: NameAddr | None = None
    headers: Fields = ()
    trunk: Trunk | None = None
    numbers: tuple[str, str] | None = None
    flows: tuple[Flow, ...] = ()

    def tries_on(self, failed: OffhookError) -> bool:
        """Say whether what this way could not do is worth a try over the next."""
        if not isinstance(failed, DialFailed):
            return True
        if self.flows:
            return failed.code < 600  # one place of a user among several: the others may still ring
        return not isinstance(failed, Unanswered) and self.trunk is not None and self.trunk.tries_on(failed.code)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a call of ours is to look: headers of the agent's, another number of ours, or none shown."""

    headers: Mapping[str, str] | None = None
    caller: str = ""
    withhold: bool = False


def ways(rules: HostRules, to: str, wish: Wish | None = None) -> Sequence[Way]:
    """Give the ways to `to`, the best first.

    NotAllowed outside `rules.dial` or where it is nobody's address, ConfigError for a number without a trunk,
    ValueError for a header that an agent may not set.
    """
    wish = wish or Wish()
    headers = added_headers(wish.headers or {})
    number = number_of(to)
    if number is None:
        uri = parse_target(to)
        if uri.headers or not allows_address(rules.dial, uri.user or "", uri.host, uri.port):
            raise NotAllowed(f"{to} is not among the addresses that dial.allow lists")
        home = next((trunk for trunk in rules.trunks if trunk.uri and _place(trunk.uri) == _place(uri)), None)
        if home is not None:  # an extension of the PBX whose customer we are: it asks who calls
            _refuse_emergency(rules, home, uri.user or "")
            sender, identity = home.sender(caller=wish.caller, withhold=wish.withhold)
            return (Way(uri, home.next_hop(), sender, (*identity, *home.headers, *headers), home),)
        sender = NameAddr("Anonymous", "sip:anonymous@anonymous.invalid") if wish.withhold else None
        return (Way(uri, uri, sender, (*headers, ("Privacy", "id")) if wish.withhold else headers),)
    trunks = rules.outward
    if not trunks:
        if not allows_number(rules.dial, number):
            raise NotAllowed(f"{to} is not among the numbers that dial.allow lists")
        raise ConfigError(f"{to} is a number and there is no trunk to call it through: add [trunks.main]")
    gateways = [gateway for trunk in trunks for gateway in trunk.gateways]
    found = [way for gateway in gateways if (way := _through(rules, gateway, number, wish, headers)) is not None]
    if not found:
        raise NotAllowed(f"{to} is not among the numbers that dial.allow lists")
    return found


def _through(rules: HostRules, trunk: Trunk, number: str, wish: Wish, headers: Fields) -> Way | None:
    """Give the way through one trunk; None where the number, as it reads there, is not allowed."""
    if _refuse_emergency(rules, trunk, number):
        dialled = number
    else:
        dialled = canonical(number, trunk.country)
        if not allows_number(rules.dial, dialled) and number not in rules.dial:
            return None
    sender, identity = trunk.sender(caller=wish.caller, withhold=wish.withhold)
    numbers = canonical(wish.caller or trunk.caller, trunk.country), dialled
    return Way(trunk.target(dialled), trunk.next_hop(), sender, (*identity, *trunk.headers, *headers), trunk, numbers)


def _refuse_emergency(rules: HostRules, trunk: Trunk, number: str) -> bool:
    """Say whether it is an emergency number that may be dialled. NotAllowed where it is one that may not."""
    if not is_emergency(number, trunk.country):
        return False
    if not trunk.emergency or number not in rules.dial:
        raise NotAllowed(
            f"{number} is an emergency number: no agent calls one unless dial.allow lists it as it stands and "
            f"trunks.{trunk.name}.emergency is true"
        )
    return True


def _place(uri: Uri) -> tuple[str, int]:
    return uri.host.lower(), uri.port or (5061 if uri.scheme == "sips" or uri.param("transport") == "tls" else 5060)


def parse_target(target: str) -> Uri:
    """Read a SIP URI that someone typed. NotAllowed where it is none that can be dialled."""
    try:
        uri = parse_uri(target)
    except Malformed as error:
        raise NotAllowed(f"{target!r} is no number and no SIP address: {error}") from None
    if not uri.is_sip:
        raise NotAllowed(f"{target!r} is no number and no SIP address")
    return uri


def for_another(rules: HostRules, to: str, first: CallInfo) -> Way:
    """Give the way to `to` for the far end of another call: with its number or ours. Raises as `ways`.

    Diversion (RFC 5806) says that the call was ours first. The numbers in it are the carrier's words for us and theirs,
    the host is our own.
    """
    way = ways(rules, to)[0]
    handing_on = rules.transfers(way.trunk.name if way.trunk is not None else "")
    caller, ours = (first.caller, first.called) if first.direction == "inbound" else (first.called, first.caller)
    shown = "" if handing_on.show == "own" else user_of(caller)
    if shown:
        way = ways(rules, to, Wish(caller=shown, withhold=first.private))[0]
    if shown and way.sender is None:
        way = replace(way, sender=NameAddr("", str(Uri("sip", _user(shown), way.target.host))))
    if not handing_on.diversion:
        return way
    by = Uri("sip", _user(user_of(ours)) or rules.settings.user, way.target.host)
    diverting = NameAddr("", str(by), _DEFLECTED)
    return replace(way, headers=(*way.headers, ("Diversion", str(diverting))))


_DEFLECTED = (("reason", "deflection"), ("counter", "1"))


def _user(text: str) -> str:
    """Escape what another wrote for the user part of a URI of ours."""
    return escape(text).replace("[", "%5B").replace("]", "%5D").replace(":", "%3A")
