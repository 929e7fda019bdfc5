"""The terminal of `offhook demo`: both sides as they speak, the wait before each answer, and the verdict.

Colour and a spinner on a terminal, plain lines in a file or a pipe.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from offhook.call import events
from offhook.run.report.account import Account
from offhook.run.report.page import agent_delays

_STYLES = {"caller": "cyan", "agent": "dark_orange"}


class Screen:
    """Where the demo is seen. Use as a context; `busy` shows what is being waited for."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._status: Status | None = None
        self._began: float | None = None
        self._wait = ""

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def busy(self, what: str) -> None:
        """Show what is being done: a spinner on a terminal, a line elsewhere."""
        if self._status is not None:
            self._status.update(Text(what, style="dim"))
        else:
            self._console.print(f"… {what}", soft_wrap=True)

    def calling(self) -> None:
        """Begin the clock of the call."""
        self._began = asyncio.get_running_loop().time()

    def take(self, event: events.CallEvent) -> None:
        """Show an event of the agent's side."""
        match event:
            case events.Answered():
                self._began = event.t
                self._note(event.t, "the agent picks up")
                self._waiting("the agent speaks")
            case events.Heard(text=text):
                self._line(event.t, "caller", text)
                self._waiting("the agent thinks")
            case events.Timed(first_audio_ms=delay) if delay is not None:
                self._wait = f"answered in {delay:.0f} ms"
                self._waiting("the agent speaks")
            case events.Said(text=text, whole=whole):
                self._line(event.t, "agent", text if whole else f"{text} –", self._wait)
                self._wait = ""
                self._waiting("the caller speaks")
            case events.Cut(heard_ms=heard):
                self._note(event.t, f"the caller interrupts: {heard / 1000:.1f} s of it were heard")
            case events.Digit(digit=key):
                self._note(event.t, f"the caller presses {key}")
            case events.Tool(name=name, arguments=arguments, result=result):
                given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
                self._note(event.t, f"{name}({given}) → {result}")
            case events.Ended(reason=reason):
                self._note(event.t, f"the call is over ({reason.replace('_', ' ')})")
                self._waiting("writing the report")
            case _:
                pass

    def verdict(self, account: Account, folder: Path) -> None:
        """Say how it went and where the files are."""
        console = self._console
        console.print()
        if delays := agent_delays(account):
            middle = sorted(delays)[len(delays) // 2]
            console.print(
                f"answers began {middle:.0f} ms after the caller stopped (median), {max(delays):.0f} ms at most;"
            )
            console.print(f"{100 * account.word_error_rate:.0f} % of the caller's words were heard wrong")
        console.print(_line(account))
        if account.why:
            console.print(Text(f"not as it should be: {account.why}", style="bold red"))
        elif account.got is not None:
            console.print(Text(f"booked as wished: {dict(account.got)}", style="bold green"))
        for name in ("report.html", "call.wav", "transcript.json", "timeline.json"):
            console.print(f"  {folder / name}", soft_wrap=True)

    def failed(self, why: str) -> None:
        """Say why there was no call."""
        self._console.print(Text(f"offhook demo: {why}", style="bold red"), soft_wrap=True)

    def _waiting(self, what: str) -> None:
        if self._status is not None:
            self._status.update(Text(what, style="dim"))

    def _clock(self, t: float) -> str:
        since = max(0.0, t - (self._began if self._began is not None else t))
        return f"{int(since) // 60}:{since % 60:04.1f}"

    def _line(self, t: float, who: str, text: str, note: str = "") -> None:
        line = Text.assemble((f"{self._clock(t):>6}  ", "dim"), (f"{who:<7}", f"bold {_STYLES[who]}"), text)
        if note:
            line.append(f"   {note}", style="dim")
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    def _note(self, t: float, text: str) -> None:
        line = Text.assemble((f"{self._clock(t):>6}  ", "dim"), ("       · ", "dim"), (text, "italic dim"))
        self._console.print(line, soft_wrap=not self._console.is_terminal)


def _line(account: Account) -> str:
    """Say in a line how the line was."""
    if account.mos is None:
        return "the call was too short to rate the line"
    lost = sum(reading.lost + reading.late for reading in account.readings)
    expected = sum(reading.expected for reading in account.readings)
    trips = [reading.round_trip_ms for reading in account.readings if reading.round_trip_ms is not None]
    trip = f", {max(trips):.1f} ms there and back" if trips else ""
    return f"the line rates {account.mos:.1f} of 4.4 (MOS): {100 * lost / max(1, expected):.1f} % lost or late{trip}"
