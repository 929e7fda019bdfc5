"""Where services come in, and the look from outside: do we answer there? If not, why, and what is to be done?

web.public_url ─► GET /services/here ─► an answer, or Trouble: no name, nobody there, a certificate that services refuse
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2

from offhook.run.transports.tls import EXPIRED, NO_FIRST, NO_ISSUER, NOT_YET, SELF_SIGNED, SELF_SIGNED_CHAIN, why

LISTEN: Final = "127.0.0.1:8080"
"""Where services come in where nothing is said: behind a proxy or a tunnel that speaks TLS."""

HERE: Final = "/services/here"
"""What is asked for from outside, to see whether it is us who answer."""

LOOK_S: Final = 5.0
"""How long an answer may take."""

PROXY: Final = "have the proxy or tunnel pass /services/ on to web.listen, with paths, queries and headers as they are"

_BEGIN: Final = "start the proxy or tunnel, and see that its name leads to it"
_CHAIN: Final = (
    "have the proxy send the whole chain (fullchain.pem, not cert.pem), up to an authority that the world knows"
)
_UNBELIEVED: Final = {
    EXPIRED: ("its certificate has expired", "renew it, and have the proxy read the new one"),
    NOT_YET: ("its certificate is not valid yet", "set this machine's clock (timedatectl set-ntp true), or wait"),
    SELF_SIGNED: (
        "its certificate is self-signed",
        "get one from an authority that the world knows, such as Let's Encrypt, or use a tunnel that has one: services "
        "refuse any other",
    ),
    SELF_SIGNED_CHAIN: ("its certificate is of an authority that nobody knows", _CHAIN),
    NO_ISSUER: ("its certificate is of an authority that nobody knows", _CHAIN),
    NO_FIRST: ("its certificate comes without the authority that made it", _CHAIN),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why no answer came, and what to do about it."""

    why: str
    fix: str


async def asked(
    method: str, url: str, *, verify: bool = True, headers: Mapping[str, str] | None = None
) -> httpx2.Response | Trouble:
    """Ask; give the answer, or why there is none."""
    try:
        async with asyncio.timeout(LOOK_S), httpx2.AsyncClient(timeout=LOOK_S, verify=verify) as client:
            return await client.request(method, url, headers=dict(headers or {}))
    except TimeoutError:
        return Trouble(f"nothing comes for {LOOK_S:.0f} s", "open the firewall towards the proxy or tunnel")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return _trouble(error, urlsplit(url).hostname or url)


def _trouble(error: Exception, host: str) -> Trouble:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError() if cause.verify_code in _UNBELIEVED:
                return Trouble(*_UNBELIEVED[cause.verify_code])
            case ssl.SSLCertVerificationError():
                fix = f"get one for {host}, or set web.public_url to a name that it is for: services refuse it as it is"
                return Trouble(f"its certificate is not for that name ({cause.verify_message.strip('.')})", fix)
            case ssl.SSLError():
                return Trouble(why(cause), "have the proxy or tunnel speak TLS there: services come by https alone")
            case socket.gaierror():
                return Trouble(f"{host} leads nowhere", _BEGIN)
            case ConnectionRefusedError():
                return Trouble("nobody listens there", _BEGIN)
            case _:
                pass
    if isinstance(error, httpx2.RemoteProtocolError):
        return Trouble("it is no web server, or closes what it is asked", _BEGIN)
    return Trouble(str(error) or type(error).__name__, _BEGIN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Go down to what the HTTP client saw."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
