"""What comes again: a service's own second try is answered as the first, and nobody gains a call by what was caught.

| what stops it | how                                                                               |
|---------------|-----------------------------------------------------------------------------------|
| call          | a webhook of a call that is known is answered as before, and does nothing again   |
| time          | the proof has its instant in it, and is refused 300 s later                       |
| bound         | the proof covers what the request says: it is refused with another call in it     |
| once          | the proof has a name: it is refused with another request, or (a socket) altogether |

Where nothing stands, a secret of ours is sent along each time: TLS alone keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, cast

import pytest

import offhook
from offhook.call import events
from offhook.carriers.services.http import Request, Response
from offhook.run.services import Switchboard
from offhook.testing.carriers import FAKES
from offhook.testing.carriers.vonage import API_KEY, APPLICATION, SECRET, FakeVonage, signed_token
from offhook.testing.loop import VirtualLoop

STOPS: Final[dict[str, str]] = {
    "twilio": "call bound",
    "signalwire": "call bound",
    "texml": "call time bound",
    "telnyx": "call time bound",
    "plivo": "call bound",
    "vonage": "call time bound once",
    "jambonz": "call time bound",
    "exotel": "call",
    "genesys": "time bound once",
    "freeswitch": "",
    "asterisk": "",
    "ari": "once",
    "audiosocket": "",
}
HOOKS = [name for name, stops in STOPS.items() if "call" in stops]


class Wire:
    """All that the fake has sent us, to be sent again."""

    def __init__(self, phone: Any) -> None:
        self.phone = phone
        self.board = cast("Switchboard", phone.board)
        self.hooks: list[Request] = []
        self.sockets: list[Request] = []
        hook, socket = phone.hook, self.board.socket

        async def keeps(request: Request) -> Response:
            self.hooks.append(request)
            return await hook(request)

        def opens(name: str, token: str, request: Request) -> Any:
            self.sockets.append(request)
            return socket(name, token, request)

        phone.hook = keeps
        phone.board.socket = opens

    async def again(self, request: Request) -> Response:
        """Send a webhook."""
        name, _, rest = request.path.removeprefix("/services/").partition("/")
        return await self.board.hook(name, rest, request)

    def opens(self, request: Request) -> Any:
        """Open a socket."""
        name, _, rest = request.path.removeprefix("/services/").partition("/media/")
        return Switchboard.socket(self.board, name, rest, request)

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(isinstance(event, events.Incoming) for event in self.phone.events)


async def greeter(call: offhook.Call) -> None:
    await call.say("good evening")
    await call.heard()
    await asyncio.Event().wait()


def story(name: str, main: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with FAKES[name](greeter) as phone:
            await main(Wire(phone))

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=2000.0)) as runner:
        runner.run(run())


def test_every_service_is_here() -> None:
    assert set(STOPS) == set(FAKES)


@pytest.mark.parametrize("name", HOOKS)
def test_a_webhook_that_comes_again_is_answered_as_before_and_brings_no_second_call(name: str) -> None:
    async def main(wire: Wire) -> None:
        answers: list[Response] = []
        hook = wire.board.hook

        async def answered(name: str, rest: str, request: Request) -> Response:
            answers.append(await hook(name, rest, request))
            return answers[-1]

        wire.board.hook = answered
        caller = await wire.phone.call()
        await caller.hears("good evening")
        asked, (first, *_) = len(wire.phone.asked), wire.hooks
        for _ in range(3):
            assert await wire.again(first) == answers[0]
        assert wire.board.host.live == wire.calls == 1
        await caller.hangs_up()
        await asyncio.sleep(2)
        assert (await wire.again(first)).status == 200
        assert (wire.board.host.live, wire.calls) == (0, 1)
        assert len([order for order in wire.phone.asked[asked:] if order.method != "DELETE"]) == 0

    story(name, main)


@pytest.mark.parametrize("name", HOOKS)
def test_the_opening_of_a_socket_is_good_once(name: str) -> None:
    async def main(wire: Wire) -> None:
        caller = await wire.phone.call()
        await caller.hears("good evening")
        refused = wire.opens(wire.sockets[0])
        assert isinstance(refused, Response)
        assert refused.status == 403
        await caller.hangs_up()

    story(name, main)


@pytest.mark.parametrize("name", HOOKS)
def test_a_proof_with_an_instant_is_refused_when_that_is_past(name: str) -> None:
    async def main(wire: Wire) -> None:
        caller = await wire.phone.call()
        await caller.hears("good evening")
        await caller.hangs_up()
        await asyncio.sleep(302)
        status = (await wire.again(wire.hooks[0])).status
        assert status == (403 if "time" in STOPS[name] else 200)
        assert wire.calls == 1

    story(name, main)


@pytest.mark.parametrize("name", HOOKS)
def test_a_proof_is_of_the_call_that_it_came_with(name: str) -> None:
    async def main(wire: Wire) -> None:
        caller = await wire.phone.call()
        await caller.hears("good evening")
        call = next(iter(wire.phone.ends)).encode()
        first = wire.hooks[0]
        other = call[:-1] + b"f"
        moved = replace(
            first,
            target=first.target.encode().replace(call, other).decode(),
            body=first.body.replace(call, other).replace(call.replace(b":", b"%3A"), other.replace(b":", b"%3A")),
        )
        assert moved != first
        status = (await wire.again(moved)).status
        assert (status, wire.calls) == ((403, 1) if "bound" in STOPS[name] else (200, 2))
        await caller.hangs_up()

    story(name, main)


def test_vonages_question_by_get_is_bound_to_its_query() -> None:
    async def main(wire: Wire) -> None:
        claims = {"iss": "Vonage", "iat": int(wire.phone.wall_s), "jti": "one", "api_key": API_KEY}
        token = signed_token({**claims, "application_id": APPLICATION}, SECRET)
        headers = {"authorization": f"Bearer {token}"}
        asked = Request("GET", "/services/vonage/voice?uuid=u1&from=15550001111&to=15552223333", headers)
        first = await wire.again(asked)
        assert first.status == 200
        assert await wire.again(asked) == first
        for target in (asked.target.replace("u1", "u2"), "/services/vonage/status?uuid=u1&status=completed"):
            assert (await wire.again(replace(asked, target=target))).status == 403
        assert wire.board.host.live == wire.calls == 1
        assert wire.board.refused == {"unsigned": 2}

    story("vonage", main)


def test_an_event_of_vonage_is_no_call() -> None:
    async def main(wire: Wire) -> None:
        phone = cast("FakeVonage", wire.phone)
        said = {"uuid": "u9", "from": "15550001111", "to": "15552223333", "status": "ringing"}
        event = phone.event("/services/vonage/status", said)
        assert (await wire.again(event)).status == 200
        assert (await wire.again(replace(event, target="/services/vonage/voice"))).status == 403
        assert wire.calls == 0

    story("vonage", main)


@pytest.mark.parametrize("name", [name for name, stops in STOPS.items() if "call" not in stops])
def test_a_socket_that_is_a_call_comes_again_where_nothing_but_a_secret_is_sent(name: str) -> None:
    async def main(wire: Wire) -> None:
        caller = await wire.phone.call()
        await caller.hears("good evening")
        opening, direct = wire.sockets[0], wire.board.direct.get(name)
        again = wire.opens(opening) if direct is None else Switchboard.straight(wire.board, direct, opening)
        assert isinstance(again, Response) == ("once" in STOPS[name])
        if isinstance(again, Response):
            assert again.status == 403
        assert wire.calls == 1
        await caller.hangs_up()

    story(name, main)
