"""An agent behind Amazon's services, turn by turn: what the functions of Connect, Lex and Chime are answered.

    event ─► Desk.connect, .lex, .sma ─► session ─┬─ known: its TurnLeg goes on
                                                  └─ not: a new one, with the history that the event brings
    Turn ─► answer, with the history in the attributes of the session, for a process that does not know it

    desk = Desk(agent, models=Models(brain=Minds("openai:…")))
    answer = await desk.lex(event)                      # in a Lambda: offhook.amazon.Functions, which does not await

Laws: an event that can't be understood is answered safely and raises nothing; a call that its process has forgotten
goes on with what was said, an author's script begins anew; calls that nobody asks for are let go, the oldest first.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from offhook.call import Agent, Call, Manners, Models
from offhook.call.agents import AgentLike
from offhook.call.events import CallEvents
from offhook.call.leg import CallInfo
from offhook.carriers.numbers import screen
from offhook.carriers.services.amazon import chime, connect, lex
from offhook.carriers.services.amazon.chime import Action, Speech, Told
from offhook.carriers.services.amazon.connect import STATE
from offhook.carriers.services.amazon.memory import pack, unpack
from offhook.carriers.services.service import Handed, Said
from offhook.carriers.services.turn import Connect, Leave, Turn
from offhook.carriers.turns import TurnLeg
from offhook.carriers.words import WordLeg
from offhook.core.errors import DialFailed
from offhook.core.ids import CallId

CONNECT_S: Final = 6.5
"""A flow waits 8 s for a Lambda, its cold start and all retries in it."""
LEX_S: Final = 20.0
"""A code hook may take 30 s; the caller hears nothing meanwhile."""
SMA_S: Final = 3.5
"""An application has 5 s to answer."""
CALLS_LIMIT: Final = 1000
"""Calls that one process keeps."""
NOT_TAKEN: Final[Mapping[str, int]] = {"CallNotAnswered": 480, "CallRejected": 603, "InvalidActionParameter": 400}
"""How a bridge that failed is told, by SIP status; 503 for anything else."""

_log = logging.getLogger("offhook.carriers")


class ContactClient(Protocol):
    """What boto3's client of `connect` can do, as far as it is needed."""

    def update_contact_attributes(self, **parameters: Any) -> Any:
        """Set attributes of a contact."""
        ...


class DialClient(Protocol):
    """The same, for calls that Connect places."""

    def start_outbound_voice_contact(self, **parameters: Any) -> Any:
        """Begin a flow that calls somebody."""
        ...


@dataclass(frozen=True, slots=True)
class Bridge:
    """Where an application's calls are joined to our SIP user agent: by which Voice Connector (an ARN), to which user.

    `headers` go along, as `X-…`; the number that called and that was called are the call's own.
    """

    connector: str
    user: str = "agent"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Open:
    leg: TurnLeg
    call: Call


class Desk:
    """Takes the turns of one agent's calls.

    `models` needs a mind alone; `allow` says where callers may be handed to. `speech` is how an application speaks,
    `connector` the Voice Connector by which it reaches SIP addresses; with `bridge` it joins calls to our user agent
    instead of speaking.
    """

    def __init__(
        self,
        agent: AgentLike,
        *,
        models: Models,
        allow: Sequence[str] = (),
        events: CallEvents | None = None,
        speech: Speech | None = None,
        connector: str = "",
        bridge: Bridge | None = None,
    ) -> None:
        self._agent = agent
        self._models = models
        self._allow = allow
        self._events = events
        self._speech = speech or Speech()
        self._connector = connector
        self._bridge = bridge
        self._calls: dict[str, _Open] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        manners = agent.manners if isinstance(agent, Agent) else Manners()
        self._filler = manners.fillers[0] if manners.fillers else "…"
        self._apology = manners.apology

    # What is asked

    async def connect(self, event: object) -> dict[str, str]:
        """Answer an Invoke-Lambda block of a Connect flow (`connect.answer` says how the flow reads it).

        The block's parameters `text` and `keys` are what the caller said or pressed, both empty for silence, neither
        at first and after `again`. `turn` may tell requests apart, `offhook` bring back what was said.
        """
        contact = connect.contact_in(event)
        if not contact.id:
            return connect.answer(Turn((), Leave("failed")), "")
        given = contact.parameters
        said = Said(contact.id, given.get("text", ""), given.get("keys", "")) if {"text", "keys"} & set(given) else None
        info = _info("connect", contact.id, contact.caller, contact.called, {**contact.data, **contact.attributes})
        kept = given.get(STATE) or contact.attributes.get(STATE, "")
        return connect.answer(*await self._turn(info, said, given.get("turn", ""), kept, CONNECT_S))

    async def lex(self, event: object) -> dict[str, object]:
        """Answer a code hook of a Lex V2 bot."""
        hook = lex.asked(event)
        if not hook.session:
            return lex.answer(Turn((self._apology,), Leave("failed")), hook, "")
        info = _info("lex", hook.session, hook.attributes.get("caller", ""), "", hook.attributes)
        begins = info.id not in self._calls and STATE not in hook.attributes
        said = None if begins and not hook.text and not hook.keys else Said(hook.session, hook.text, hook.keys)
        turn, kept = await self._turn(info, said, "", hook.attributes.get(STATE, ""), LEX_S)
        return lex.answer(turn, hook, kept, self._filler)

    async def sma(self, event: object) -> dict[str, object]:
        """Answer a SIP media application."""
        told = chime.told(event)
        match told.kind:
            case "NEW_INBOUND_CALL" | "CALL_ANSWERED" if self._bridge is not None:
                return chime.answer(self._bridged(told, self._bridge))
            case "NEW_INBOUND_CALL" | "CALL_ANSWERED":
                return await self._acts(told, None)
            case "ACTION_SUCCESSFUL":
                return await self._did(told)
            case "ACTION_FAILED":
                return await self._failed(told)
            case "DIGITS_RECEIVED":
                return await self._acts(told, Said(told.transaction, keys=told.digits))
            case "CALL_UPDATE_REQUESTED" if told.arguments.get(STATE) == "hangup":
                return chime.answer([chime.hang_up(told.first.call)])
            case "HANGUP":
                self._left(_info("sma", told.transaction).id)
                return chime.answer(chime.hang_up_others(told))
            case _:
                return chime.answer([])

    # The application's actions

    def _bridged(self, told: Told, bridge: Bridge) -> list[Action]:
        first = told.first
        ours = {"X-Offhook-Transaction": told.transaction, "X-Offhook-From": first.caller, "X-Offhook-To": first.called}
        joined = chime.call_and_bridge(f"sip:{bridge.user}", first.caller, bridge.connector, {**ours, **bridge.headers})
        return [joined] if joined else [chime.hang_up(first.call, 480)]

    async def _did(self, told: Told) -> dict[str, object]:
        match told.action:
            case "SpeakAndGetDigits":
                return await self._acts(told, Said(told.transaction, keys=told.digits))
            case "Pause":
                return await self._acts(told, None)
            case "CallAndBridge":
                self._handed(_info("sma", told.transaction).id)
                return chime.answer([])
            case "StartBotConversation":
                target = told.bot_attributes.get(f"{STATE}-target", "")
                then = Connect(target) if told.bot_attributes.get(f"{STATE}-next") == "transfer" else Leave()
                return chime.answer(self._said(Turn((), then), told))
            case _:
                return chime.answer([])

    async def _failed(self, told: Told) -> dict[str, object]:
        match told.action:
            case "SpeakAndGetDigits" | "ReceiveDigits":
                return await self._acts(told, Said(told.transaction))
            case "CallAndBridge" if self._bridge is None and told.transaction:
                code = NOT_TAKEN.get(told.error, 503)
                return await self._acts(told, Handed(told.transaction, code))
            case "Hangup":
                return chime.answer([])
            case _:
                return chime.answer(self._said(Turn((self._apology,) if told.action != "Speak" else (), Leave()), told))

    async def _acts(self, told: Told, given: Said | Handed | None) -> dict[str, object]:
        if not told.transaction or not told.first.call:
            return chime.answer([])
        first = told.first
        info = _info("sma", told.transaction, first.caller, first.called)
        turn, kept = await self._turn(info, given, told.sequence, told.attributes.get(STATE, ""), SMA_S)
        return chime.answer(self._said(turn, told), {**told.attributes, STATE: kept})

    def _said(self, turn: Turn, told: Told) -> list[Action]:
        return chime.turn_actions(turn, told, self._speech, connector=self._connector)

    # Calls

    async def _turn(
        self, info: CallInfo, given: Said | Handed | None, key: str, kept: str, within_s: float
    ) -> tuple[Turn, str]:
        """Take a turn; give our answer, and what was said in the whole call."""
        one = self._calls.get(info.id)
        if one is not None and one.leg.over and not key:  # the same contact has come back
            one = None
        loop = asyncio.get_running_loop()
        by = loop.time() + within_s
        if one is None:
            one = self._open(info, kept)
            try:
                async with asyncio.timeout_at(by):
                    await one.leg.decided()
            except (DialFailed, TimeoutError):
                one.leg.left()
                return Turn((), Leave("refused")), ""
            if not isinstance(self._agent, Agent):
                given = None  # a script begins with what it has to say
        turn = await one.leg.take(given, key=key, within_s=by - loop.time())
        return turn, pack(one.call.history)

    def _open(self, info: CallInfo, kept: str) -> _Open:
        while len(self._calls) >= CALLS_LIMIT:
            self._left(next(iter(self._calls)))
        leg = TurnLeg("amazon", info, gone=_nothing, tells=info.id.startswith("sma-"))
        history = unpack(kept)
        call = Call(leg, self._agent, models=self._models, events=self._events, allow=self._allow, history=history)
        task = asyncio.get_running_loop().create_task(call.run(), name=f"call {info.id}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, info.id))
        one = self._calls[info.id] = _Open(leg, call)
        return one

    def _handed(self, name: str) -> None:
        one = self._calls.get(name)
        if one is not None:
            one.leg.left(200, "transferred")

    def _left(self, name: str) -> None:
        one = self._calls.pop(name, None)
        if one is not None:
            one.leg.left()

    async def close(self) -> None:
        """End all calls; returns when none of their tasks is left."""
        calls, self._calls = self._calls, {}
        for one in calls.values():
            one.leg.left()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, name: str, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the script of %s failed", name, exc_info=error)


async def finish(call: Call, attributes: Mapping[str, str], client: ContactClient, text: str = "") -> None:
    """Give a call that Connect transferred to us back to its flow: set attributes of its contact, say `text`, BYE.

    The flow goes on where it transferred, and reads them as `$.Attributes.NAME`: Connect reads no header of a BYE.
    Returns when the call is over. ConfigError where it came without its contact; what the client raises is raised when
    the call is over.
    """
    parameters = connect.attributes_set(connect.contact_of(call.headers), attributes)
    try:
        await asyncio.get_running_loop().run_in_executor(None, partial(client.update_contact_attributes, **parameters))
    finally:
        await call.hangup(text)


async def place(
    to: str,
    client: DialClient,
    *,
    instance: str,
    flow: str,
    allow: Sequence[str],
    **more: Any,
) -> str:
    """Have Connect call `to`, in E.164, with a flow that transfers to us once it is answered; give the contact's id.

    That call comes here as any other: `contact_of(call.headers).initial_id` is the same. `allow` are the rules of
    `dial.allow`, `more` what `connect.contact_to` takes. NotAllowed outside the rules, ConfigError without a number to
    show; what the client raises is raised.
    """
    screen(to, allow)
    parameters = connect.contact_to(to, instance=instance, flow=flow, **more)
    begin = partial(client.start_outbound_voice_contact, **parameters)
    begun = await asyncio.get_running_loop().run_in_executor(None, begin)
    return str(begun["ContactId"])


def _info(
    kind: str, session: str, caller: str = "", called: str = "", headers: Mapping[str, str] | None = None
) -> CallInfo:
    name = CallId(f"{kind}-{re.sub('[^A-Za-z0-9_-]', '-', session)[:80]}")
    return CallInfo(name, "inbound", caller, called, headers or {})


def _nothing(leg: WordLeg) -> None:
    """A call that is over is kept a while, for a request that comes again."""
