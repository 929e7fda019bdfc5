"""Each managed service, as far as it can be seen from here: its account, our address, what answers there, the clock.

account ─► does its API know us?
web.public_url ─► its name ─► its certificate ─► does it lead to `serve` here? ─► are strangers refused?
the service's API ─► its Date ─► our clock

Every wait is bounded, so that a machine without a network is told so and not left hanging.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from offhook.carriers.services.service import Direct, Probed, Service, is_near
from offhook.core.errors import ConfigError, OffhookError
from offhook.run.config import Config, caller_of, services_of
from offhook.run.doctor.finding import Finding
from offhook.run.services.here import HERE, LISTEN, LOOK_S, PROXY, Trouble, asked

SKEW_S: Final = 30.0
"""How far our clock may be from a service's: proofs with a time in them are good for some minutes."""

_PAGE: Final = "docs/services/%s.md"
_SIGNED: Final = (
    "where serve refuses requests that are the service's own, it says why: another secret than its console shows, "
    "another address than web.public_url in its console, or a clock that is off"
)


async def examine_services(config: Config) -> AsyncIterator[Finding]:
    """Look at each service of the file."""
    made: list[Service | Direct] = []
    for name in config.services:
        try:
            made += services_of(config.model_copy(update={"services": {name: config.services[name]}}))
        except OffhookError as error:
            fix = f"correct services.{name}; docs/services/{name}.md says where its console shows what is needed"
            yield Finding(f"service {name}", "fault", str(error), fix)
        else:
            yield _account(config, name)
    for service in made:
        if isinstance(service, Probed):
            yield await _known(service)
    if all(is_near(service) for service in made):
        return  # who is near needs no public address, and no clock of its own
    there = False
    async for finding in _address(config):
        there = finding.subject == "public address" and finding.text.endswith("leads here")
        yield finding
    for service in made:
        if isinstance(service, Direct) or is_near(service):
            continue
        if there and config.web.public_url is not None:
            yield await _knocked(service.name, config.web.public_url)
        if service.api:
            yield await _clock(service)


def _account(config: Config, name: str) -> Finding:
    try:
        said = f"calls that it places show {caller_of(config, name)}"
    except ConfigError as error:
        said = str(error)
    return Finding(f"service {name}", "good", f"all that is needed is there for calls that come; {said}")


async def _address(config: Config) -> AsyncIterator[Finding]:
    """Say whether our public address is one, and leads to the `serve` that runs here."""
    subject, public = "public address", config.web.public_url
    if public is None:
        fix = "set web.public_url to the address that leads to this machine from outside, as in https://agent.example"
        yield Finding(subject, "fault", "services do not know where they find us", fix)
        return
    parts = urlsplit(public)
    host = parts.hostname or ""
    if parts.scheme != "https" and host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(subject, "fault", f"{public}: services call by https alone", "set web.public_url to https://…")
        return
    if not await _resolves(host):
        fix = "correct web.public_url, or enter the name where its domain is served; then wait for it to be known"
        yield Finding(subject, "fault", f"{host} leads nowhere, or no name service answers", fix)
        return
    outside = await asked("GET", f"{public}{HERE}")
    if isinstance(outside, Trouble):
        yield Finding(subject, "fault", f"{public} does not answer: {outside.why}", outside.fix)
        return
    scheme = "http" if config.web.certificate is None else "https"
    inside = await asked("GET", f"{scheme}://{config.web.listen or LISTEN}{HERE}", verify=False)
    if isinstance(inside, Trouble):
        text = f"{public} answers ({outside.status_code}), and nothing listens at {config.web.listen or LISTEN}"
        yield Finding(subject, "warning", text, "run offhook serve, then doctor again: it can tell then who answers")
    elif outside.status_code == 200 and outside.text == inside.text:
        yield Finding(subject, "good", f"{public} leads here")
    else:
        text = f"{public} is answered by something else ({outside.status_code} for {HERE})"
        yield Finding(subject, "fault", text, PROXY)


async def _knocked(name: str, public: str) -> Finding:
    """Ask as a stranger: who does not sign must be refused, by us."""
    subject, url = f"service {name}, webhooks", f"{public}/services/{name}/voice"
    found = await asked("POST", url)
    if isinstance(found, Trouble):
        return Finding(subject, "fault", f"POST {url}: {found.why}", PROXY)
    if found.status_code in (401, 403):
        return Finding(subject, "good", f"they come through, and who does not sign is refused; {_SIGNED}")
    if found.status_code == 404:
        fix = f"serve with --carrier {name}, or without it; and {PROXY}"
        return Finding(subject, "fault", f"POST {url}: serve takes no calls of this service", fix)
    return Finding(subject, "fault", f"POST {url} is answered with {found.status_code}", PROXY)


async def _known(service: Probed) -> Finding:
    """Ask the service's API for something that it tells nobody else."""
    order = service.probe()
    subject = f"service {service.name}, API"
    found = await asked(order.method, order.url, headers=order.headers)
    if isinstance(found, Trouble):
        return Finding(
            subject, "fault", f"{order.url} does not answer: {found.why}", f"{_PAGE % service.name} says where it is"
        )
    if found.status_code in (401, 403):
        fix = f"correct the user, the password or the key; {_PAGE % service.name} says where it is found"
        return Finding(subject, "fault", f"{order.url} does not know us ({found.status_code})", fix)
    if found.status_code != 200:
        return Finding(
            subject, "fault", f"{order.url} answers {found.status_code}", f"{_PAGE % service.name} says what is needed"
        )
    return Finding(subject, "good", f"{order.url} answers, and knows us")


async def _clock(service: Service) -> Finding:
    """Compare our clock with the service's."""
    subject = f"service {service.name}, clock"
    host = urlsplit(service.api).hostname or ""
    found = await asked("HEAD", service.api) if await _resolves(host) else Trouble("its name leads nowhere", "")
    if isinstance(found, Trouble):
        fix = "see that this machine may go out by https"
        return Finding(subject, "warning", f"{service.api} can't be reached: {found.why}", fix)
    try:
        ahead_s = time.time() - parsedate_to_datetime(found.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return Finding(subject, "good", f"{service.api} answers, and does not say what time it is")
    if abs(ahead_s) <= SKEW_S:
        return Finding(subject, "good", f"{service.api} answers, and has the same time")
    text = f"our clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} that of {host}"
    return Finding(subject, "fault", f"{text}: signatures with a time in them fail", "timedatectl set-ntp true")


async def _resolves(host: str) -> bool:
    """Say whether a name leads anywhere: asked in a thread that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bool] = loop.create_future()

    def tell(there: bool) -> None:
        if not found.done():
            found.set_result(there)

    def look() -> None:
        try:
            there = bool(socket.getaddrinfo(host, None))
        except (OSError, UnicodeError):
            there = False
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, there)

    threading.Thread(target=look, daemon=True).start()
    try:
        async with asyncio.timeout(LOOK_S):
            return await found
    except TimeoutError:
        return False
