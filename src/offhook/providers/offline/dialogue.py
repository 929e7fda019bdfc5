"""The offline brain's side of a conversation: a pure machine over what was said, done and heard.

    caller's words ─► hear() ─► Say | Do          Do: call this tool with these arguments
    tool's result  ─► done() ─► Say | nothing

              a tool is meant            all slots filled          "not done yet"          yes
     free ───────────────────► collecting ──────────────► calling ──────────────► confirming ───► calling ──► free
       ▲  answers, small talk      │ asks for what is missing                          │ no, or another value
       └───────────────────────────┴─────────── "never mind" ─────────────────────────┘

Nothing is kept between turns: `model` feeds it the whole history each time, and the same history gives the same reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from offhook.providers.offline.language import plain
from offhook.providers.offline.meaning import ENOUGH, PERSON, Meant
from offhook.providers.offline.slots import Kind, Slot, fill, spoken_clock
from offhook.providers.offline.values import yes_or_no


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the dialogue sees it: what it does in a few words, and what it must be given."""

    name: str
    does: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this and wait for the caller."""

    text: str


@dataclass(frozen=True, slots=True)
class Do:
    """Call a tool, after speaking `first` ("" for nothing)."""

    tool: str
    arguments: dict[str, Any]
    first: str = ""


Act = Say | Do
Ranking = Callable[[str], Sequence[Meant]]
"""Orders what a caller may mean by what was said, nearest first."""

NOT_DONE = "Not done yet"
"""How the result of a tool begins that wants the caller's yes first."""

STILL_RUNNING = "Still running"
"""How the result of a tool begins that has none yet."""

HANG_UP = ("hang_up", "hangup", "end_call", "end_the_call")
"""Names of the tool that ends a call, if the agent has one."""

ELSE = "Is there anything else?"
SURE = 0.6
"""From this score on something that was said while a slot is asked for is taken as meant, not as the slot's value."""


PATIENCE = 3
"""From this many misunderstandings in a row on, a person is offered."""

CERTAIN = 0.8
"""From this score on it is taken as meant whatever else it may be: "never mind" is nobody's name."""


@dataclass(slots=True)
class Dialogue:
    """One call's dialogue so far."""

    tools: dict[str, Tool]
    rank: Ranking
    task: Tool | None = None
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: str | None = None
    confirming: bool = False
    last: str = ""
    misses: int = 0
    offered: str = ""

    def hear(self, text: str) -> Act:
        """Take what the caller said in a turn; give what to do about it."""
        act = self._answer(text)
        if isinstance(act, Say):
            self.last = act.text
        return act

    def press(self, keys: str) -> Act | None:
        """Take the keys that the caller pressed: a number where one was asked for, else nothing to speak of."""
        slot = next((slot for slot in self.task.slots if slot.name == self.asked), None) if self.task else None
        if slot is None or not keys.isdigit() or slot.kind not in (Kind.COUNT, Kind.TELEPHONE):
            return None
        self.values[slot.name] = slot.number(keys) if slot.kind is Kind.COUNT else keys
        return self._next()

    def said(self, text: str) -> None:
        """Take what the caller heard of us, so that it can be said again."""
        self.last = text or self.last

    def called(self, name: str, arguments: dict[str, Any]) -> None:
        """Take that a tool was called, with what."""
        if name in self.tools:
            self.task, self.values, self.confirming = self.tools[name], dict(arguments), False

    def done(self, name: str, result: str, *, failed: bool = False) -> Say | None:
        """Take a tool's result; None where there is nothing to say about it."""
        if self.task is not None and self.task.name == name and result.startswith(NOT_DONE):
            self.confirming, self.asked = True, None
            return self._speak(self._read_back())
        if result.startswith(STILL_RUNNING):
            return None
        self._free()
        if name in HANG_UP:
            return None
        if failed:
            return self._speak(f"Sorry, that did not work. {result}".strip())
        told = re.sub(r"\b\d\d:\d\d\b", lambda time: spoken_clock(time[0]), result.strip())
        if told in ("", "None", "null"):
            return None
        return self._speak(told if told[-1] in "?!" else f"{told.rstrip('.')}. {ELSE}")

    def _answer(self, text: str) -> Act:
        words = plain(text)
        offered, self.offered = self.offered, ""
        if offered and yes_or_no(words) is True:
            return Do(offered, {})
        if not words:
            return self._again("Are you still there?")
        if self.confirming:
            return self._confirm(text, words)
        if self.task is not None:
            return self._collect(text, words)
        return self._begin(text)

    def _begin(self, text: str) -> Act:
        best = self.rank(text)[0]
        if best.score >= ENOUGH and best.candidate.kind == "tool":
            return self._start(self.tools[best.candidate.name], text)
        fitting = [tool for tool in self.tools.values() if len(fill(tool.slots, text, None)) >= 2]
        if len(fitting) == 1:  # "for four at seven, please": it says what it wants without a verb
            return self._start(fitting[0], text)
        if best.score >= ENOUGH:
            return self._reply(best)
        if yes_or_no(plain(text)) is False and self.last.endswith(ELSE):
            return self._goodbye()
        return self._lost()

    def _start(self, tool: Tool, text: str) -> Act:
        self.task, self.values, self.asked, self.misses = tool, fill(tool.slots, text, None), None, 0
        return self._next()

    def _collect(self, text: str, words: list[str]) -> Act:
        assert self.task is not None
        found = fill(self.task.slots, text, self.asked)
        best = self._meant_instead(text, words, found)
        if best is not None:
            return self._aside(best, text)
        if not found:
            return self._again("Sorry, I did not understand.")
        self.misses = 0
        self.values.update(found)
        return self._next()

    def _confirm(self, text: str, words: list[str]) -> Act:
        assert self.task is not None
        answer = yes_or_no(words)
        found = fill(self.task.slots, text, self.asked)
        changed = {name: value for name, value in found.items() if self.values.get(name) != value}
        if changed:
            self.values.update(changed)
            self.confirming = False
            return self._next()
        if answer is True:
            return Do(self.task.name, dict(self.values))
        if answer is False:
            best = self._meant_instead(text, words, {})
            if best is not None and best.candidate.name == "stop":
                return self._aside(best, text)
            return Say("What should I change?")
        best = self._meant_instead(text, words, found)
        if best is not None:
            return self._aside(best, text)
        return self._again("Sorry, I did not understand.")

    def _meant_instead(self, text: str, words: list[str], found: dict[str, Any]) -> Meant | None:
        """Say whether the caller wants something other than to give what was asked for."""
        best = self.rank(text)[0]
        bare = self.asked is not None and set(found) == {self.asked} and len(words) <= 3 and best.score < CERTAIN
        if best.candidate.kind == "tool" and self.task is not None and best.candidate.name == self.task.name:
            return None
        enough = SURE if found or best.candidate.name == "goodbye" else ENOUGH
        if bare or best.score < enough or best.candidate.name in ("thanks", "greeting"):
            return None
        return best

    def _aside(self, meant: Meant, text: str) -> Act:
        """Answer something else in the middle of a task, and come back to the task where it goes on."""
        candidate = meant.candidate
        if candidate.kind == "tool":
            return self._start(self.tools[candidate.name], text)
        if candidate.name == "stop":
            self._free()
            return Say(f"All right. {ELSE}")
        if candidate.name == "goodbye":
            return self._goodbye()
        reply = self.last if candidate.name == "again" else f"{self._words(meant)} {self._pending()}"
        return Say(reply.strip())

    def _reply(self, meant: Meant) -> Act:
        """Answer outside of any task."""
        self.misses = 0
        candidate = meant.candidate
        if candidate.name == "goodbye":
            return self._goodbye()
        if candidate.name == "thanks" and self.last.endswith(ELSE):
            return self._goodbye()
        if candidate.name == "again":
            return Say(self.last or "I said hello. How can I help you?")
        return Say(self._words(meant))

    def _words(self, meant: Meant) -> str:
        if meant.candidate.kind == "answer":
            return meant.candidate.name
        return {
            "greeting": "Hello! How can I help you?",
            "thanks": f"You are welcome. {ELSE}",
            "who": "I am the automatic assistant.",
            "stop": f"All right. {ELSE}",
        }.get(meant.candidate.name, "")

    def _goodbye(self) -> Act:
        farewell = "Thank you for calling. Goodbye!"
        tool = next((name for name in HANG_UP if name in self.tools), None)
        return Say(farewell) if tool is None else Do(tool, {}, first=farewell)

    def _next(self) -> Act:
        """Ask for the first missing slot, or call the tool."""
        assert self.task is not None
        missing = next((slot for slot in self.task.slots if slot.required and slot.name not in self.values), None)
        if missing is None:
            self.asked = None
            return Do(self.task.name, dict(self.values))
        self.asked = missing.name
        return Say(missing.question)

    def _again(self, apology: str) -> Say:
        """Say that it was not understood and ask again; from the third time on, offer who could help."""
        self.misses += 1
        if (offer := self._offer()) is not None:
            return offer
        if self.task is None:
            return Say(f"{apology} {ELSE if self.last.endswith(ELSE) else 'How can I help you?'}")
        return Say(f"{apology} {self._pending()}".strip())

    def _pending(self) -> str:
        if self.confirming:
            return "Is that right?"
        if self.task is not None and self.asked is not None:
            return next(slot.question for slot in self.task.slots if slot.name == self.asked)
        return ""

    def _offer(self) -> Say | None:
        """Offer a person who has not understood us twice another one, if there is a tool that fetches them."""
        best = next((meant for meant in self.rank(PERSON) if meant.candidate.kind == "tool"), None)
        if self.misses < PATIENCE or best is None or best.score < ENOUGH or self.tools[best.candidate.name].slots:
            return None
        self.offered = best.candidate.name
        return Say("Sorry, I still do not understand. Shall I put you through to someone?")

    def _lost(self) -> Say:
        self.misses += 1
        if (offer := self._offer()) is not None:
            return offer
        does = [tool.does for tool in self.tools.values() if tool.slots]
        offer = f" I can {' or '.join(does)}." if does else ""
        return Say(f"Sorry, I did not understand.{offer} How can I help you?")

    def _read_back(self) -> str:
        assert self.task is not None
        said = [slot.spoken(self.values[slot.name]) for slot in self.task.slots if slot.name in self.values]
        what = self.task.does[:1].upper() + self.task.does[1:]
        return f"{', '.join([what, *said])}. Is that right?"

    def _speak(self, text: str) -> Say:
        self.last = text
        return Say(text)

    def _free(self) -> None:
        self.task, self.values, self.asked, self.confirming, self.misses = None, {}, None, False, 0
