"""What a configuration means for the host: trunks made of their tables, and the safeties that no file may leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from pydantic import SecretStr

from offhook.call.ambience import BUILT_IN, Ambience, load
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.services.service import Direct, Service
from offhook.carriers.services.table import SERVICES, make, places
from offhook.carriers.trunks import Trunk, added_headers
from offhook.core.errors import ConfigError
from offhook.policy.routes import Route
from offhook.policy.toll import Caps
from offhook.run.config.tables import Config, Digest, Sip, Under, Web
from offhook.run.config.tables import Trunk as TrunkTable
from offhook.run.config.tables import User as UserTable
from offhook.run.config.words import (
    CODECS,
    LOOPBACK,
    is_loopback,
    parse_address,
    parse_listen,
    parse_nameserver,
    parse_sip,
)
from offhook.run.rules import HostRules, StirRules, TlsRules, User
from offhook.sip.digest import strength
from offhook.sip.identity import Believed
from offhook.sip.meanings import read_meanings
from offhook.sip.uri import Uri
from offhook.sip.useragent import Settings

DIAL_LOOPBACK: Final = ("sip:*@127.0.0.1", "sip:*@localhost")
"""What may be dialled where nothing is configured: this machine."""

STUN_PORT: Final = 3478

EVERYWHERE: Final = ("udp://0.0.0.0:5060", "tcp://0.0.0.0:5060")
"""Where we listen when a trunk or a user is configured and nothing else is said: only those are heard there."""


def host_rules(config: Config, *, max_calls: int, dial_also: tuple[str, ...] = ()) -> HostRules:
    """Make of a configuration what the host goes by. ConfigError where it would be open to strangers.

    `dial_also` are targets that the operator named on the command line.
    """
    sip = config.sip
    trunks = tuple([trunk(name, table) for name, table in config.trunks.items()])
    known = bool(trunks or config.users)
    texts = EVERYWHERE if known and "listen" not in sip.model_fields_set else tuple(sip.listen)
    listen = tuple([parse_listen(text) for text in texts])
    outside = [text for text, (_, (ip, _)) in zip(texts, listen, strict=True) if not is_loopback(ip)]
    if outside and sip.allow is None and not known:
        raise ConfigError(
            f"{outside[0]} can be reached from other machines, and nothing says who may call: set sip.allow to the "
            'networks that may, as in allow = ["192.168.0.0/16"], or add a trunk or a user, or listen on 127.0.0.1'
        )
    for name in config.dial.trunks or ():
        if name not in config.trunks:
            raise ConfigError(f"dial.trunks: there is no trunk {name}")
    _check_tls(sip, texts)
    _check_web(config.web)
    return HostRules(
        listen=listen,
        external=None if sip.external_address == "auto" else _external(sip.external_address),
        local_networks=tuple([str(network) for network in sip.local_networks]),
        stun=None if sip.stun is None else _host_port(sip.stun, STUN_PORT),
        tls=TlsRules(sip.tls.certificate, sip.tls.key, sip.tls.client_ca, sip.tls.ca, sip.tls.minimum),
        stir=StirRules(
            config.stir.roots, config.stir.require, config.stir.key, config.stir.certificate_url, config.stir.attest
        ),
        origins=tuple(sip.web_origins),
        nameservers=tuple([parse_nameserver(text) for text in sip.nameservers]),
        allow=tuple([str(network) for network in (sip.allow if sip.allow is not None else LOOPBACK)]),
        users=tuple([_user(name, user, sip.digests) for name, user in config.users.items()]),
        dial=(*DIAL_LOOPBACK, *config.dial.allow, *dial_also),
        dials=None if config.dial.trunks is None else tuple(config.dial.trunks),
        toll=Caps(config.dial.calls, config.dial.calls_a_second, config.dial.minutes_a_day),
        trunks=trunks,
        max_calls=max_calls,
        ring_s=sip.ring_s,
        ban_s=config.security.ban_s,
        audio=AudioRules(
            codecs=tuple([CODECS[name] for name in sip.codecs]),
            send=CODECS[sip.send] if sip.send is not None else None,
            srtp=sip.srtp,
            ice=config.web.ice,
        ),
        settings=Settings(
            user=sip.user,
            realm=sip.realm,
            digests=tuple(sorted(sip.digests, key=strength, reverse=True)),
            max_calls=2 * max_calls + 100,
            session_expires_s=sip.session_expires_s,
            min_se_s=sip.min_se_s,
        ),
        ambience=_ambience(config.ambience),
    )


def _ambience(table: Under) -> Ambience | None:
    """Give what sounds under calls. ConfigError where it can't: now, and not in a call."""
    if table.sound is None:
        return None
    try:
        load(str(table.sound))
    except OSError as error:
        raise ConfigError(
            f"ambience.sound: {table.sound}: {error.strerror or error}: name a WAV file (16-bit mono PCM, 0.1 to "
            f"120 s) or a built-in: {', '.join(BUILT_IN)}"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"ambience.sound: {error}") from None
    return Ambience(table.sound, table.level_db, table.duck_db)


def routes_of(config: Config) -> tuple[Route[str], ...]:
    """Give the routes with the names of their agents. ConfigError where one names a trunk that is not there."""
    from offhook.carriers.numbers import canonical

    found: list[Route[str]] = []
    for key, listed in config.routes.items():
        for route in listed:
            if route.trunk and route.trunk not in config.trunks:
                raise ConfigError(f"routes.{key}: there is no trunk {route.trunk}")
            star = "*" if key.endswith("*") else ""
            country = config.trunks[route.trunk].country if route.trunk else _only_country(config)
            number = key if star else canonical(key, country or "")
            found.append(Route(route.agent, number, route.trunk, route.language, route.calls, route.calls_a_caller))
    return tuple(found)


def services_of(config: Config, only: Sequence[str] | None = None) -> tuple[Service | Direct, ...]:
    """Make the services of the file, or those that are named. ConfigError where one can't work, or is not there."""
    for name in only or ():
        if name not in SERVICES:
            raise ConfigError(f"--carrier {name}: there is no such service; there are: {', '.join(sorted(SERVICES))}")
    return tuple([make(name, _account(config, name)) for name in only or config.services])


def _account(config: Config, name: str) -> Mapping[str, Any]:
    """Give what the account of a service is made of: its table without what all of them may have."""
    return {key: value for key, value in config.services.get(name, {}).items() if key != "caller"}


def caller_of(config: Config, name: str, shown: str = "") -> str:
    """Give the number of ours that calls by a service show: `shown`, or the file's.

    ConfigError where none is said, or the service places no calls.
    """
    table = config.services.get(name, {})
    places(name, table)
    caller: object = shown or table.get("caller", "")
    if not isinstance(caller, str) or not caller:
        raise ConfigError(f"services.{name}.caller: to place calls, say which number of the account's they show")
    return caller


def _only_country(config: Config) -> str | None:
    """Give the country of all trunks, where they have one: national numbers in routes are read by it."""
    countries = {trunk.country for trunk in config.trunks.values() if trunk.country}
    return countries.pop() if len(countries) == 1 else None


def _user(name: str, table: UserTable, digests: Sequence[str]) -> User:
    """Make a user of ours. ConfigError where a phone could be asked for what we have no hash of."""
    secrets = _hashes(table.ha1)
    missing = [algorithm for algorithm in digests if secrets and algorithm not in secrets]
    if missing:
        raise ConfigError(f"users.{name}.ha1: there is none for {missing[0]}, which sip.digests asks for")
    return User(name, table.password.get_secret_value(), table.display, table.calls, secrets)


def trunk(name: str, table: TrunkTable) -> Trunk:
    """Make a trunk of its table, into which its profile has gone. ConfigError where it can't work."""
    where = f"trunks.{name}"
    uris = [_address(text, table.transport, f"{where}.address") for text in table.address]
    uri = uris[0] if uris else None
    registers = table.username != "" and table.register_ is not False
    if "register_" in table.model_fields_set and table.register_ and not table.username and table.profile == "generic":
        raise ConfigError(f"{where}.username: a trunk that we register with needs one")
    if uri is None and (registers or not table.networks):
        raise ConfigError(f"{where}.address: set it to the SIP address of the trunk, as in sip:gateway.example")
    try:
        meanings = read_meanings(table.codes)
    except ConfigError as error:
        raise ConfigError(f"{where}.codes: {error}") from None
    try:
        headers = added_headers(table.headers)
    except ValueError as error:
        raise ConfigError(f"{where}.headers: {error}") from None
    return Trunk(
        name,
        profile=table.profile,
        uri=uri,
        spares=tuple(uris[1:]),
        username=table.username,
        password=table.password.get_secret_value(),
        secrets=_hashes(table.ha1),
        auth_username=table.auth_username or table.username,
        realm=table.realm,
        register=registers,
        expires_s=table.expires_s,
        outbound_proxy=None
        if table.outbound_proxy is None
        else parse_sip(table.outbound_proxy, f"{where}.outbound_proxy"),
        networks=(*map(str, table.networks), *[network for uri in uris for network in _itself(uri)]),
        codecs=tuple([CODECS[name] for name in table.codecs]),
        srtp=table.srtp,
        dtx=table.dtx,
        country=table.country or "",
        number_format=table.number_format,
        prefix=table.prefix,
        caller=table.caller,
        caller_name=table.caller_name,
        withhold=table.withhold,
        identity=tuple(table.identity),
        headers=headers,
        called_from=tuple(table.called_from),
        believed=Believed(*[word in table.trusts for word in ("identity", "diversion", "verstat")]),
        verstat_header=table.verstat_header or "",
        refer=table.refer,
        shows=table.shows,
        diversion=table.diversion,
        dtmf=table.dtmf,
        hangup_tones=table.hangup_tones,
        contact=table.contact,
        min_se_s=table.min_se_s,
        reliable=table.reliable,
        refuse=table.refuse,
        retry=frozenset(table.retry),
        caps=Caps(table.calls, table.calls_a_second, table.minutes_a_day),
        emergency=table.emergency,
        meanings=meanings,
    )


def _address(text: str, transport: str | None, key: str) -> Uri:
    uri = parse_sip(text, key)
    if transport is None or uri.param("transport") is not None:
        return uri
    return replace(uri, params=(*uri.params, ("transport", transport)))


def _hashes(given: Mapping[Digest, SecretStr]) -> dict[str, str]:
    return {algorithm: secret.get_secret_value().lower() for algorithm, secret in given.items()}


def _itself(uri: Uri) -> tuple[str, ...]:
    """Give the network of a trunk that is known by its address: that address."""
    try:
        return (str(ip_address(uri.host)),)
    except ValueError:
        return ()


def address_note(config: Config) -> str:
    """Say what `external_address = "auto"` does not find out, where the file asks for it and it matters; else ""."""
    sip = config.sip
    reached = any(not is_loopback(parse_listen(text)[1][0]) for text in sip.listen)
    explicit = "external_address" in sip.model_fields_set and sip.stun is None
    if not reached or sip.external_address != "auto" or not explicit:
        return ""
    return (
        "sip.external_address = auto: each far end is told the address of our own that faces it; the outer one of a "
        "NAT is not found out without a STUN server: set it, or sip.stun"
    )


def _host_port(text: str, port: int) -> tuple[str, int]:
    host, _, digits = text.partition(":")
    return host, int(digits or port)


def _external(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ConfigError(f'sip.external_address: {text!r} is neither "auto" nor an IP address') from None


def _check_tls(sip: Sip, texts: tuple[str, ...]) -> None:
    secure = [text for text in texts if text.startswith(("tls://", "wss://"))]
    if secure and sip.tls.certificate is None:
        raise ConfigError(f"{secure[0]} needs a certificate: set sip.tls.certificate and sip.tls.key")


def _check_web(web: Web) -> None:
    if web.listen is None or is_loopback(parse_address(web.listen)[0]):
        return
    if web.allow is None and web.certificate is None:
        raise ConfigError(
            f"web.listen = {web.listen} can be reached from other machines, where a browser gives no microphone to a "
            "page without TLS: set web.certificate and web.key, or web.allow to the networks that may come, or listen "
            "on 127.0.0.1 behind a server that speaks TLS"
        )
