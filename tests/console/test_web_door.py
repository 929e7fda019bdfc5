"""The web door, asked as a browser asks it: who may call, what is refused and how, and what a page is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from offhook.call import Call
from offhook.call.events import CallEvent, Ended
from offhook.console.door import OFFER_LIMIT, WebDoor, make_app
from offhook.console.pages import AFTER_S, TOKEN_S
from offhook.run.config import Web
from offhook.run.host import Host, HostRules
from offhook.testing.world import World

HOST, BROWSER = "10.1.0.1", "10.2.0.1"
OURS, FOREIGN = "https://phone.example", "https://evil.example"
OFFER: Final = (Path(__file__).parents[1] / "golden" / "webrtc" / "chromium.sdp").read_bytes().replace(b"\n", b"\r\n")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def title(self) -> str:
        """What a refusal says."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        return problem["title"]


async def listens(call: Call) -> None:
    """Be an agent that stays until the page leaves."""
    async for _ in call.audio():
        pass


class Browser:
    """A host with a web door, and who asks it; all in virtual time and in this process."""

    def __init__(self, world: World, **rules: Any) -> None:
        self.events: list[CallEvent] = []
        self.host = Host(
            engine=world.engine(HOST),
            rng=world.rng("host"),
            rules=HostRules(listen=(("udp", (HOST, 5060)),), allow=("10.0.0.0/8",)),
            route=lambda wanted: listens if wanted.called == "web" else None,
            events=self.events.append,
        )
        made = {"listen": "10.1.0.1:8080", "allow": ["10.0.0.0/8"], "origins": [OURS]} | rules
        self.app = make_app(WebDoor(Web.model_validate(made), self.host))

    async def asks(
        self, method: str, path: str, body: bytes = b"", *, ip: str = BROWSER, name: str = HOST, **headers: str
    ) -> Answer:
        """Ask, and read all of the answer."""
        fields = {"host": name} | {key.replace("_", "-"): value for key, value in headers.items()}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(key.lower().encode(), value.encode()) for key, value in fields.items()],
            "client": (ip, 50_000),
            "server": (HOST, 8080),
        }
        pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not pieces:
                await asyncio.Event().wait()
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        begun, *rest = sent
        got = {key.decode(): value.decode() for key, value in begun["headers"]}
        return Answer(begun["status"], got, b"".join(message.get("body", b"") for message in rest))

    async def token(self) -> str:
        """Get a token for one call."""
        return json.loads((await self.asks("GET", "/token")).body)["token"]

    async def calls(self, body: bytes = OFFER, *, token: str | None = None, **headers: str) -> Answer:
        """Offer a call with a fresh token."""
        fields: dict[str, Any] = {"content_type": "application/sdp"} | headers
        token = await self.token() if token is None else token
        return await self.asks("POST", "/calls", body, authorization=f"Bearer {token}", **fields)


def play(story: Coroutine[Any, Any, None], world: World) -> None:
    async def whole() -> None:
        await story
        await asyncio.sleep(AFTER_S)  # so long a page is remembered

    world.run(whole())
    assert world.violations == []


@pytest.fixture
def world() -> World:
    """An empty world."""
    return World("web door")


def asked(world: World, method: str, path: str, **asking: Any) -> Answer:
    """Ask a fresh door one thing."""
    answers: list[Answer] = []

    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            answers.append(await browser.asks(method, path, **asking))

    play(story(), world)
    return answers[0]


def offered(world: World, body: bytes = OFFER, rules: dict[str, Any] | None = None, **asking: Any) -> Answer:
    """Offer a fresh door one call, which ends with its host."""
    answers: list[Answer] = []

    async def story() -> None:
        browser = Browser(world, **(rules or {}))
        async with browser.host:
            answers.append(await browser.calls(body, **asking))

    play(story(), world)
    return answers[0]


def told_in(events: Answer) -> list[dict[str, Any]]:
    """Read server-sent events."""
    pieces = events.body.decode().strip().split("\n\n")
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces if not piece.startswith(":")]


# Who may ask


def test_a_page_of_ours_is_whole_and_may_be_framed_by_none_but_ours(world: World) -> None:
    page = asked(world, "GET", "/")
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert f"frame-ancestors 'self' {OURS}" in policy
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert f'nonce="{nonce}"'.encode() in page.body
    assert b"{{" not in page.body


@pytest.mark.parametrize("path", ["/", "/token"])
@pytest.mark.parametrize(
    ("asking", "said"),
    [
        ({"origin": FOREIGN}, "this origin is not in web.origins"),
        ({"origin": "null"}, "this origin is not in web.origins"),
        ({"origin": "https://phone.example.evil.example"}, "this origin is not in web.origins"),
        ({"origin": f"https://{HOST}"}, "this origin is not in web.origins"),
        ({"name": "rebound.example:8080"}, "this name is not ours: add its origin to web.origins"),
        ({"name": ""}, "this name is not ours: add its origin to web.origins"),
        ({"ip": "192.0.2.9"}, "this network is not in web.allow"),
    ],
)
def test_who_is_none_of_ours_is_refused(world: World, path: str, asking: dict[str, Any], said: str) -> None:
    answer = asked(world, "GET", path, **asking)
    assert (answer.status, answer.title) == (403, said)
    assert "access-control-allow-origin" not in answer.headers


def test_a_foreign_page_can_call_nobody_even_with_a_token(world: World) -> None:
    answer = offered(world, origin=FOREIGN)
    assert (answer.status, answer.title) == (403, "this origin is not in web.origins")


@pytest.mark.parametrize(
    "asking",
    [
        {"origin": OURS},
        {"origin": OURS.upper()},
        {"origin": f"http://{HOST}"},
        {"name": "phone.example"},
        {"name": "[::1]:8080"},
    ],
)
def test_who_is_ours_gets_a_token(world: World, asking: dict[str, Any]) -> None:
    answer = asked(world, "GET", "/token", **asking)
    assert answer.status == 200
    assert len(json.loads(answer.body)["token"]) >= 24
    allowed = asking.get("origin", "").lower() == OURS
    assert answer.headers.get("access-control-allow-origin") == (OURS if allowed else None)


@pytest.mark.parametrize("path", ["/calls", "/token", "/calls/some"])
def test_a_browser_that_asks_first_is_told_what_it_may(world: World, path: str) -> None:
    answer = asked(
        world, "OPTIONS", path, origin=OURS, access_control_request_method="POST",
        access_control_request_headers="authorization, content-type",
    )  # fmt: skip
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert answer.headers["access-control-expose-headers"] == "Location, Next-Token, Retry-After"
    assert answer.headers["accept-post"] == "application/sdp"
    assert answer.headers["vary"] == "Origin"


def test_a_foreign_browser_that_asks_first_is_told_nothing(world: World) -> None:
    answer = asked(world, "OPTIONS", "/calls", origin=FOREIGN, access_control_request_method="POST")
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


# What is offered


def test_an_offer_is_answered_once_a_token(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            token = await browser.token()
            first = await browser.calls(token=token, origin=OURS)
            assert first.status == 201
            assert first.headers["content-type"] == "application/sdp"
            assert first.headers["access-control-allow-origin"] == OURS
            assert b"a=fingerprint:sha-256 " in first.body
            assert b"a=setup:passive" in first.body
            again = await browser.calls(token=token)
            assert (again.status, again.headers["www-authenticate"]) == (401, "Bearer")
            following = await browser.calls(token=first.headers["next-token"])
            assert following.status == 201

    play(story(), world)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer made-up", "Basic dXNlcjpwYXNz"])
def test_nobody_calls_without_a_token(world: World, authorization: str) -> None:
    answer = asked(world, "POST", "/calls", body=OFFER, content_type="application/sdp", authorization=authorization)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_token_grows_old(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            token = await browser.token()
            await asyncio.sleep(TOKEN_S + 1)
            assert (await browser.calls(token=token)).status == 401

    play(story(), world)


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain;x=application/sdp", "application/sdpx"])
def test_another_content_type_is_no_offer(world: World, kind: str) -> None:
    answer = offered(world, content_type=kind)
    assert (answer.status, answer.headers["accept-post"]) == (415, "application/sdp")


def test_a_content_type_may_have_a_parameter(world: World) -> None:
    assert offered(world, content_type="Application/SDP; charset=utf-8").status == 201


def test_an_offer_has_a_bound(world: World) -> None:
    body = OFFER + b"a=x:" + bytes(OFFER_LIMIT)
    answer = offered(world, body)
    assert (answer.status, answer.title) == (413, "the offer is too long")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"\xff\xfe" * 100, 400),
        (OFFER.replace(b"a=ice-pwd", b"a=ice-nothing"), 422),
        (OFFER.replace(b"a=rtcp-mux\r\n", b""), 422),
        (b"v=0\r\no=- 1 1 IN IP4 10.2.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 10.2.0.1\r\n", 422),
    ],
)
def test_what_is_no_offer_of_a_browser_is_refused(world: World, body: bytes, status: int) -> None:
    answer = offered(world, body)
    assert (answer.status, bool(answer.title)) == (status, True)


def test_nobody_behind_the_name_is_not_found(world: World) -> None:
    assert offered(world, rules={"called": "nobody"}).status == 404


def test_so_many_pages_call_at_a_time_and_a_line_that_is_free_again_is_given(world: World) -> None:
    async def story() -> None:
        browser = Browser(world, calls=2)
        async with browser.host:
            first, second = await browser.calls(), await browser.calls()
            assert (first.status, second.status) == (201, 201)
            third = await browser.calls()
            assert (third.status, third.title) == (503, "all lines are busy")
            assert 1 <= int(third.headers["retry-after"]) <= 10
            assert (await browser.asks("DELETE", first.headers["location"])).status == 200
            assert (await browser.calls()).status == 201

    play(story(), world)


def test_a_host_that_drains_takes_no_page(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            await browser.host.drain(0.1)
            answer = await browser.calls()
            assert (answer.status, answer.title) == (503, "no more calls are taken now")
            assert "retry-after" in answer.headers

    play(story(), world)


# A call that is up


def test_a_page_hangs_up_once_and_is_told_of_its_end(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            location = (await browser.calls()).headers["location"]
            told = asyncio.get_running_loop().create_task(browser.asks("GET", location))
            await asyncio.sleep(1)
            assert (await browser.asks("DELETE", location, origin=OURS)).status == 200
            events = await told
            assert events.status == 200
            assert events.headers["content-type"].startswith("text/event-stream")
            assert events.headers["cache-control"] == "no-store"
            assert [one["event"] for one in told_in(events)] == ["ended"]
            await asyncio.sleep(AFTER_S + 1)
            for method in ("DELETE", "GET"):
                assert (await browser.asks(method, location)).status == 404
        assert [event.reason for event in browser.events if isinstance(event, Ended)] == ["remote_hangup"]

    play(story(), world)


def test_a_page_that_finds_no_way_is_told_so(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            events = await browser.asks("GET", (await browser.calls()).headers["location"])
            assert [(one["event"], one["reason"]) for one in told_in(events)] == [("ended", "unreachable")]
            assert events.body.startswith(b": still here\n\n")  # for whatever lies between

    play(story(), world)


def test_candidates_that_trickle_are_refused_and_the_call_goes_on(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            location = (await browser.calls()).headers["location"]
            fragment = b"a=ice-ufrag:x\r\na=ice-pwd:y\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
            answer = await browser.asks(
                "PATCH", location, fragment, content_type="application/trickle-ice-sdpfrag", origin=OURS
            )
            assert (answer.status, answer.headers["allow"]) == (405, "GET, DELETE")
            assert browser.host.live == 1
            assert (await browser.asks("DELETE", location)).status == 200

    play(story(), world)


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_a_call_that_is_not_there_is_not_found(world: World, method: str) -> None:
    answer = asked(world, method, "/calls/guessed")
    assert (answer.status, answer.title) == (404, "there is no such call")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/calls"), ("GET", "/calls"), ("POST", "/token"), ("POST", "/")])
def test_what_nothing_answers_is_not_allowed(world: World, method: str, path: str) -> None:
    assert asked(world, method, path).status == 405


def test_a_foreign_page_hangs_up_nobody(world: World) -> None:
    async def story() -> None:
        browser = Browser(world)
        async with browser.host:
            location = (await browser.calls()).headers["location"]
            for method in ("DELETE", "GET", "PATCH"):
                assert (await browser.asks(method, location, origin=FOREIGN)).status == 403
            assert browser.host.live == 1

    play(story(), world)
