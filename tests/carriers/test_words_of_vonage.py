"""Calls that Vonage brings as words, turn by turn: its documents carried out, its signed events sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import offhook
from carriers.clerk import live
from offhook.call import Models, events
from offhook.carriers.services.http import Response
from offhook.carriers.services.service import Carried
from offhook.carriers.services.vonage import VonageAccount, vonage
from offhook.core.errors import TransferFailed
from offhook.examples.receptionist import agent as receptionist
from offhook.providers.brain import Minds
from offhook.providers.offline.model import offline_model
from offhook.testing.carriers.vonage import API_KEY, APPLICATION, SECRET, FakeVonage, pem


class Turns(FakeVonage):
    """An application that has its calls as words, with one call in it."""

    ended = False

    def service(self) -> Carried:
        return vonage(VonageAccount(APPLICATION, pem(), SECRET, API_KEY, way="turns"))

    async def sends(self, url: str, **more: Any) -> Response:
        said = {"uuid": "u-1", "conversation_uuid": "CON-1", "from": "15550001111", "to": "15552223333", **more}
        return await self.hook(self.event(urlsplit(url).path, said))

    async def hears(self, reply: Response) -> tuple[str, str]:
        """Carry out a document; give what is said, and where the caller's turn is told then ("": the call ends)."""
        said: list[str] = []
        while True:
            document = json.loads(reply.body)
            said += [action["text"] for action in document if action["action"] == "talk"]
            last = document[-1] if document else {"action": "talk"}
            if last["action"] == "input":
                return " ".join(said), last["eventUrl"][0]
            if last["action"] == "connect":
                return " ".join(said), last["eventUrl"][0]
            if last["action"] == "talk":
                await self.sends("/services/vonage/status", status="completed")
                return " ".join(said), ""
            reply = await self.sends(last["eventUrl"][0], payload=last["payload"])


def words(text: str) -> dict[str, Any]:
    return {"speech": {"results": [{"text": text, "confidence": "0.9"}]}, "dtmf": {"digits": None, "timed_out": False}}


def keys(pressed: str) -> dict[str, Any]:
    return {"dtmf": {"digits": pressed, "timed_out": not pressed}}


def test_the_receptionist_books_a_table() -> None:
    async def main() -> None:
        async with Turns(receptionist, models=Models(brain=Minds(offline_model(None)))) as phone:
            said, url = await phone.hears(await phone.sends("/services/vonage/voice"))
            assert said.startswith("Luigi's, good evening!")
            for text in ("i want to book a table", "for two people", "half past seven", "ada lovelace", "yes please"):
                said, url = await phone.hears(await phone.sends(url, **words(text)))
            assert "Booked: 2" in said
            await phone.sends("/services/vonage/status", status="completed")
            await asyncio.sleep(1)
            assert [event.name for event in phone.events if isinstance(event, events.Tool)] == ["book_table"]
            assert isinstance(phone.events[-1], events.Ended)

    live(main)


def test_keys_are_gathered_silence_is_heard_and_the_goodbye_ends_it() -> None:
    async def pin(call: offhook.Call) -> None:
        first = await call.gather("PIN?", digits=4)
        await call.hangup(f"{first or 'nothing'}, {await call.gather('Again?', digits=4) or 'nothing'}.")

    async def main() -> None:
        async with Turns(pin) as phone:
            _, url = await phone.hears(await phone.sends("/services/vonage/voice"))
            _, url = await phone.hears(await phone.sends(url, **keys("1234")))
            assert await phone.hears(await phone.sends(url, **keys(""))) == ("1234, nothing.", "")

    live(main)


def test_a_transfer_that_fails_brings_the_caller_back() -> None:
    async def hands_on(call: offhook.Call) -> None:
        try:
            await call.transfer("+15550000009")
        except TransferFailed as failed:
            await call.hangup(f"Nobody is there: {failed.code}.")

    async def main() -> None:
        async with Turns(hands_on) as phone:
            _, url = await phone.hears(await phone.sends("/services/vonage/voice"))
            reply = await phone.sends(url, status="busy")
            assert await phone.hears(reply) == ("Nobody is there: 486.", "")

    live(main)
