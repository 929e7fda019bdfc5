"""The report: one page about one call, with nothing to load from elsewhere.

    call.wav, transcript.json, timeline.json  ─►  report.html

The page carries its drawings as SVG and its sound as data. What it says of delays and words comes from the three files
alone, so that a report can be made again at any time.
"""

from __future__ import annotations

import base64
import io
import statistics
import wave
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from offhook.run.report.account import RATE_HZ, Account, Moment, Turn, load
from offhook.run.report.drawings import delays_over_time, losses_over_time, score
from offhook.run.report.line import quality_over_time
from offhook.run.report.words import alignment, words

_TOLD = {"name": "name", "people": "people", "at": "time"}
_COUNTERS = (
    ("received", "packets received"),
    ("sent", "packets sent"),
    ("concealed", "packets made up for"),
    ("underruns", "gaps in the agent's voice"),
)


def write_report(folder: Path) -> Path:
    """Make `report.html` from the three files in `folder`; give its path. Errors are those of `account.load`."""
    account = load(folder)
    target = folder / "report.html"
    target.write_text(page(account), encoding="utf-8")
    return target


def page(account: Account) -> str:
    """Give the whole page."""
    template = Template(files("offhook.run.report").joinpath("page.html").read_text(encoding="utf-8"))
    good = not account.why
    return template.substitute(
        title=escape(f"offhook: {_headline(account)}"),
        headline=escape(_headline(account)),
        verdict="as it should be" if good else "not as it should be",
        verdict_class="good" if good else "bad",
        lead=escape(_lead(account)),
        tiles=_tiles(account),
        player=_player(account),
        score=score(account),
        turns=_turns(account),
        booking=_booking(account),
        pipeline=_pipeline(account),
        quality=quality_over_time(account),
        network=_network(account),
        footer=_footer(account),
    )


def _headline(account: Account) -> str:
    if account.got is None:
        return "No table was booked."
    name, people, at = (str(account.got.get(key, "?")) for key in _TOLD)
    return f"Booked: a table for {people}, at {at}, for {name}."


def _lead(account: Account) -> str:
    if account.why:
        return account.why
    return (
        f"{account.duration_s:.0f} seconds between a simulated caller and {account.agent}, over SIP and RTP"
        f" ({account.codec}) on this machine, recognised, thought and spoken without a network."
    )


def agent_delays(account: Account) -> list[float]:
    """Give how long the caller waited for each answer, in milliseconds."""
    return [turn.delay_ms for turn in account.turns if turn.who == "agent" and turn.delay_ms is not None]


def _tiles(account: Account) -> str:
    delays = agent_delays(account)
    cuts = [moment for moment in account.moments if moment.event == "cut"]
    trips = [reading.round_trip_ms for reading in account.readings if reading.round_trip_ms is not None]
    lost = sum(reading.lost for reading in account.readings)
    expected = sum(reading.expected for reading in account.readings)
    tiles = [
        (f"{statistics.median(delays):.0f}", "ms", "from the caller's last sound to the agent's first (median)")
        if delays
        else ("–", "", "no answer to measure"),
        (f"{max(delays):.0f}", "ms", "the longest wait for an answer") if delays else ("–", "", "no answer to measure"),
        (f"{100 * (1 - min(1.0, account.word_error_rate)):.0f}", "%", "of the caller's words heard right"),
        (str(len(cuts)), "", "interruption of the agent" if len(cuts) == 1 else "interruptions of the agent"),
        (f"{100 * lost / expected:.1f}" if expected else "–", "%", "of the caller's packets lost"),
        (f"{max((reading.jitter_ms for reading in account.readings), default=0.0):.1f}", "ms", "worst jitter"),
    ]
    if trips:
        tiles.append((f"{statistics.median(trips):.1f}", "ms", "round trip on the wire"))
    if account.mos is not None:
        tiles.append((f"{account.mos:.1f}", "of 4.4", "the line's score (MOS, E-model)"))
    return "".join(
        f'<div class="tile"><b>{escape(value)}<small>{unit}</small></b><span>{what}</span></div>'
        for value, unit, what in tiles
    )


def _player(account: Account) -> str:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(account.pcm)
    data = base64.b64encode(sound.getvalue()).decode()
    return f'<audio controls preload="auto" src="data:audio/wav;base64,{data}"></audio>'


def _turns(account: Account) -> str:
    longest = max([1000.0, *(turn.delay_ms or 0.0 for turn in account.turns)])
    marked = _marked_caller_words(account)
    rows: list[str] = []
    for turn in account.turns:
        text = marked.pop(0) if turn.who == "caller" else escape(turn.text)
        rows.append(
            f'<li class="turn {turn.who}" data-from="{turn.began_s:.2f}" data-to="{turn.ended_s:.2f}">'
            f"<time>{_clock(turn.began_s)}</time>"
            f'<div><span class="who">{turn.who}</span><p>{text or "…"}</p>{_notes(account, turn)}</div>'
            f"{_delay(turn, longest)}</li>"
        )
    return "".join(rows)


def _clock(t: float) -> str:
    return f"{int(t) // 60}:{t % 60:04.1f}" if t % 60 < 59.95 else f"{int(t) // 60 + 1}:00.0"


def _delay(turn: Turn, longest: float) -> str:
    if turn.delay_ms is None:
        return '<div class="delay"></div>'
    what = "to answer" if turn.who == "agent" else "to reply"
    bar = (
        f'<div class="bar"><i style="width:{min(100.0, 100 * turn.delay_ms / longest):.0f}%"></i></div>'
        if turn.who == "agent"
        else ""
    )
    return f'<div class="delay"><b>{turn.delay_ms:.0f} ms</b> {what}{bar}</div>'


def _notes(account: Account, turn: Turn) -> str:
    """Say beside a turn what happened in it: the tool that ran, the key that came, the cut."""
    notes: list[str] = []
    for moment in account.moments:
        if _turn_of(moment, account.turns) is not turn:
            continue
        if moment.event == "tool":
            arguments = ", ".join(f"{key}={value!r}" for key, value in dict(moment.facts.get("arguments", {})).items())
            notes.append(f"<code>{escape(str(moment.facts.get('name')))}({escape(arguments)})</code>")
        elif moment.event == "digit":
            notes.append(f"the caller pressed {escape(str(moment.facts.get('digit')))}")
        elif moment.event == "cut":
            notes.append(f"interrupted: {moment.facts.get('heard_ms', 0) / 1000:.1f} s of it were heard")
    return "".join(f'<div class="note">{note}</div>' for note in notes)


def _turn_of(moment: Moment, turns: Sequence[Turn]) -> Turn | None:
    """Give the latest turn that a moment can belong to: a cut is of what the agent said, though the caller speaks."""
    begun = [turn for turn in turns if turn.began_s <= moment.t and (moment.event != "cut" or turn.who == "agent")]
    return begun[-1] if begun else None


def _marked_caller_words(account: Account) -> list[str]:
    """Give each caller's turn as HTML, with the words that were heard wrong marked and what was said in their title."""
    turns = [turn.text for turn in account.turns if turn.who == "caller"]
    wrong = _wrong_words(" ".join(account.script), " ".join(turns))
    marked: list[str] = []
    for text in turns:
        pieces: list[str] = []
        for shown in text.split():
            said = [said for said in (wrong.pop(0) for _ in words(shown)) if said is not None]
            word = escape(shown)
            title = escape(f"said: {' '.join(said).strip() or 'nothing'}")
            pieces.append(f'<mark title="{title}">{word}</mark>' if said else word)
        marked.append(" ".join(pieces))
    return marked


def _wrong_words(said: str, heard: str) -> list[str | None]:
    """Give for each word heard None if it is right, else what was said instead ("" for nothing)."""
    return [
        None if kind == "same" else reference
        for kind, reference, _ in alignment(words(said), words(heard))
        if kind != "missed"
    ]


def _booking(account: Account) -> str:
    rows: list[tuple[str, str, str]] = [
        (label, str(account.wanted.get(key, "–")), str((account.got or {}).get(key, "–")))
        for key, label in _TOLD.items()
        if key in account.wanted
    ]
    rows.append(("key", account.key_pressed or "–", account.keys_heard or "–"))
    return "".join(
        f"<tr><td>{what}</td><td>{escape(wanted)}</td><td>{escape(got)}</td>"
        + ('<td class="ok">the same</td></tr>' if wanted == got else '<td class="no">not the same</td></tr>')
        for what, wanted, got in rows
    )


def _pipeline(account: Account) -> str:
    """Show the stages of the call as a row, from the far end and back to it."""
    stages = [stage for stage in account.pipeline.split(" → ") if stage]
    return '<i class="arrow">→</i>'.join(f"<span>{escape(stage)}</span>" for stage in stages) or "never answered"


def _network(account: Account) -> str:
    cards = [
        ("Jitter", "RFC 3550, as each side measured the other", delays_over_time(account.readings, account.duration_s)),
        ("Loss", "share of packets, by RTCP report", losses_over_time(account.readings, account.duration_s)),
    ]
    legend = (
        '<div class="legend"><span><i style="background:var(--caller)"></i>caller to agent</span>'
        '<span><i style="background:var(--agent)"></i>agent to caller</span></div>'
    )
    drawn = "".join(
        f'<div class="card"><h3>{name}</h3><p>{what}</p>{legend}{chart}</div>' for name, what, chart in cards
    )
    return (
        drawn
        + f'<div class="card"><h3>Packets</h3><p>every one is counted</p><table>{_counters(account)}</table></div>'
    )


def _counters(account: Account) -> str:
    known = [(label, account.counters.get(key, 0)) for key, label in _COUNTERS]
    dropped = [
        (f"dropped: {key.removeprefix('dropped_').replace('_', ' ')}", count)
        for key, count in sorted(account.counters.items())
        if key.startswith("dropped_") and count
    ]
    rows: Sequence[tuple[str, int]] = [*known, *dropped]
    return "".join(f"<tr><td>{escape(label)}</td><td>{count}</td></tr>" for label, count in rows)


def _footer(account: Account) -> str:
    return (
        f"Made by <code>offhook demo --seed {account.seed}</code>. Beside this page: <code>call.wav</code> (stereo, the"
        " caller left), <code>transcript.json</code> and <code>timeline.json</code>. Words <mark>like these</mark> were"
        " heard differently from what the caller said; point at them to see what it was."
    )
