"""Certificates are fetched once, over https, from public addresses only, and within bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from offhook.run.certificates import FETCHES_LIMIT, SIZE_LIMIT, Certificates
from offhook.testing.authorities import Authority, Issued

PEM = b"-----BEGIN CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Root of the web")


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority.pem.decode())
    return context


@asynccontextmanager
async def server(folder: Path, issued: Issued, answer: bytes, asked: list[bytes]) -> AsyncGenerator[int]:
    """Serve one answer over https on loopback; give the port."""
    (folder / "key.pem").write_bytes(issued.key)
    (folder / "chain.pem").write_bytes(issued.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), headers) + body


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def fetch(tmp_path, authority, trusting, answer, *, names=("cert.example",), times=1, host="cert.example"):
    """Want a certificate some times over; give what was kept and what was asked of the server."""

    async def run():
        asked: list[bytes] = []
        async with server(tmp_path, authority.host(*names), answer, asked) as port:
            certificates = Certificates(tls=trusting, private=True, resolve=loopback)
            url = f"https://{host}:{port}/shaken.pem"
            try:
                for _ in range(times):
                    await asyncio.gather(certificates.want(url), certificates.want(url))
                return certificates.get(url), asked
            finally:
                await certificates.close()

    return asyncio.run(run())


def test_one_fetch_serves_all(tmp_path, authority, trusting):
    kept, asked = fetch(tmp_path, authority, trusting, ok(PEM, b"Cache-Control: max-age=600\r\n"), times=3)
    assert kept == PEM
    (request,) = asked
    assert request.startswith(b"GET /shaken.pem HTTP/1.1\r\n")
    assert b"host: cert.example:" in request.lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ok(b"x" * (SIZE_LIMIT + 1)),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"not http\r\n\r\n",
    ],
    ids=["redirect", "missing", "huge", "cut", "rubbish"],
)
def test_what_is_no_certificate_is_not_kept_and_not_asked_for_again(tmp_path, authority, trusting, answer):
    kept, asked = fetch(tmp_path, authority, trusting, answer, times=3)
    assert kept is None
    assert len(asked) == 1


@pytest.mark.survives(39)
def test_a_server_with_another_name_is_not_believed(tmp_path, authority, trusting):
    kept, asked = fetch(tmp_path, authority, trusting, ok(PEM), names=("other.example",))
    assert (kept, asked) == (None, [])


@pytest.mark.survives(36)
@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://cert.example/a", ["127.0.0.1"]),
        ("https://cert.example/a", ["93.184.216.34", "10.0.0.1"]),
        ("https://cert.example/a", ["169.254.169.254"]),
        ("https://cert.example/a", ["::1"]),
        ("https://cert.example/a", ["::ffff:127.0.0.1"]),
        ("https://cert.example/a", ["fd00::1"]),
        ("https://cert.example/a", []),
        ("http://cert.example/a", ["93.184.216.34"]),
        ("https://cert.example:22/a", ["93.184.216.34"]),
        ("https://user@cert.example/a", ["93.184.216.34"]),
        ("https://cert.example:99999/a", ["93.184.216.34"]),
        ("https://[/a", ["93.184.216.34"]),
        ("file:///etc/passwd", ["93.184.216.34"]),
    ],
)
def test_no_url_of_a_caller_leads_into_the_house(url, addresses, monkeypatch):
    async def resolve(host, port):
        return addresses

    async def run():
        async def forbidden(*_, **__):
            raise AssertionError("a connection was tried")

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", forbidden, raising=False)
        certificates = Certificates(resolve=resolve)
        await certificates.want(url)
        assert certificates.get(url) is None
        assert certificates.known(url)
        await certificates.close()

    asyncio.run(run())


def test_a_storm_of_urls_is_bounded_and_closing_ends_it():
    async def never(host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    async def run():
        certificates = Certificates(resolve=never)
        wants = [asyncio.create_task(certificates.want(f"https://a{n}.example/c")) for n in range(100)]
        done, _ = await asyncio.wait(wants, timeout=0.05)
        assert certificates.fetched == FETCHES_LIMIT
        assert len(done) == 100 - FETCHES_LIMIT
        await certificates.close()
        await asyncio.gather(*wants)

    asyncio.run(run())
