"""The quality of the line over time, drawn: what each side was given to hear, and what went missing.

4.4 ━━━━━━━┓      ┏━━━━   the score of each interval (MOS, by the E-model), one line a direction
4.0        ┗━━━━━━┛       behind it what such a score means to people
1.0 ░░░░ one way ░░░░     where audio went one way only
0 %     ▁▃▁               lost and late packets of each interval

An interval is one of RTCP, some 5 s; where the pointer rests, it says all that is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Final

from offhook.call.quality import PLAIN
from offhook.run.report.account import Account, Moment, Reading

WIDTH, HEIGHT = 1140.0, 282.0
LEFT, RIGHT = 44.0, 132.0
TOP, FLOOR = 14.0, 176.0
BARS, BASE = 196.0, 250.0
BEST, WORST = 4.5, 1.0

BANDS: Final = ((4.03, BEST, "band-good", "good"), (3.6, 4.03, "band-fair", "some would complain"),
                (WORST, 3.6, "band-bad", "most would complain"))  # fmt: skip
"""What a score means to people (ITU-T G.107 annex B)."""


def quality_over_time(account: Account) -> str:
    """Draw both directions of a call; a line in words where nothing was told."""
    readings = [one for one in account.readings if one.mos is not None or one.far_mos is not None]
    if not readings:
        return "<p>The call was too short to tell: the first report comes within three seconds.</p>"
    duration_s = max(account.duration_s, account.readings[-1].t, 1.0)
    return "".join(
        [
            f'<svg class="quality" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">',
            "<title>The score of the line over time, both ways, and the packets that were lost or late</title>",
            *_bands(duration_s),
            *_one_way(account.moments, duration_s),
            *_scores("score-line", [(one.t, one.mos) for one in account.readings], duration_s),
            *_scores("score-line score-far", [(one.t, one.far_mos) for one in account.readings], duration_s),
            *_missing(account.readings, duration_s),
            *_seconds(duration_s),
            *_words(account.readings, duration_s),
            "</svg>",
        ]
    )


def _x(t: float, duration_s: float) -> float:
    return LEFT + min(max(t, 0.0), duration_s) * (WIDTH - LEFT - RIGHT) / duration_s


def _y(score: float) -> float:
    return FLOOR - (score - WORST) * (FLOOR - TOP) / (BEST - WORST)


def _bands(duration_s: float) -> list[str]:
    parts: list[str] = []
    right = _x(duration_s, duration_s)
    for low, high, style, meaning in BANDS:
        parts.append(
            f'<rect class="{style}" x="{LEFT}" y="{_y(high):.1f}" width="{right - LEFT:.1f}"'
            f' height="{_y(low) - _y(high):.1f}"/>'
        )
        parts.append(
            f'<text x="{right + 8:.1f}" y="{(_y(low) + _y(high)) / 2 + 4:.1f}" font-size="11.5">{meaning}</text>'
        )
    for score in (1, 2, 3, 4):
        parts.append(f'<text x="{LEFT - 8}" y="{_y(score) + 4:.1f}" font-size="11" text-anchor="end">{score}</text>')
    return parts


def _one_way(moments: Sequence[Moment], duration_s: float) -> list[str]:
    """Mark from when to when audio went one way only, and say which."""
    parts: list[str] = []
    told = [moment for moment in moments if moment.event == "one_way"]
    for number, moment in enumerate(told):
        fault = moment.facts.get("fault")
        if not moment.facts.get("on"):
            continue
        over = [one.t for one in told[number + 1 :] if one.facts.get("fault") == fault]
        began, ended = _x(moment.t, duration_s), _x(over[0] if over else duration_s, duration_s)
        parts.append(
            f'<rect class="one-way" x="{began:.1f}" y="{TOP}" width="{max(2.0, ended - began):.1f}"'
            f' height="{FLOOR - TOP}"><title>{escape(str(moment.facts.get("hint", "")))}</title></rect>'
        )
        words = next((text for name, text in PLAIN.items() if name == fault), "audio goes one way only")
        anchor, x = ("end", ended - 6) if began > WIDTH / 2 else ("start", began + 6)
        parts.append(
            f'<text class="one-way-text" x="{x:.1f}" y="{FLOOR - 24 - 16 * (number % 3):.1f}" font-size="12"'
            f' text-anchor="{anchor}">{words}</text>'
        )
    return parts


def _scores(style: str, scores: Sequence[tuple[float, float | None]], duration_s: float) -> list[str]:
    """Draw a step an interval; where there is no score, there is no line."""
    moves: list[str] = []
    drawn: float | None = None
    for (began, _), (ended, score) in pairwise([(0.0, None), *scores]):
        if score is not None:
            start = f"L{_x(began, duration_s):.1f}" if drawn is not None else f"M{_x(began, duration_s):.1f}"
            moves.append(f"{start} {_y(score):.1f}H{_x(ended, duration_s):.1f}")
        drawn = score
    return [f'<path class="{style}" d="{"".join(moves)}"/>'] if moves else []


def _missing(readings: Sequence[Reading], duration_s: float) -> list[str]:
    """Draw bars of what was lost (and, on top, late) of what the caller sent."""
    shares = [(one.lost / max(1, one.expected), one.late / max(1, one.expected)) for one in readings]
    most = max(0.02, *(lost + late for lost, late in shares))
    up = (BASE - BARS) / most
    right = _x(duration_s, duration_s)
    parts = [
        f'<line class="axis" x1="{LEFT}" x2="{right:.1f}" y1="{BASE}" y2="{BASE}"/>',
        f'<text x="{LEFT - 8}" y="{BASE + 4}" font-size="11" text-anchor="end">0</text>',
        f'<text x="{LEFT - 8}" y="{BARS + 6}" font-size="11" text-anchor="end">{100 * most:.0f} %</text>',
        f'<text x="{right + 8:.1f}" y="{(BARS + BASE) / 2 + 4:.1f}" font-size="11.5">lost or late</text>',
    ]
    for (began, ended), (lost, late) in zip(pairwise([0.0, *(one.t for one in readings)]), shares, strict=True):
        x, width = _x(began, duration_s) + 1, max(1.0, _x(ended, duration_s) - _x(began, duration_s) - 2)
        for style, share, above in (("bar-lost", lost, 0.0), ("bar-late", late, lost)):
            if share:
                y = BASE - (share + above) * up
                parts.append(
                    f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{share * up:.1f}"/>'
                )
    return parts


def _seconds(duration_s: float) -> list[str]:
    step = next((step for step in (5, 10, 30, 60, 300) if duration_s / step <= 16), 600)
    return [
        f'<text x="{_x(second, duration_s):.1f}" y="{HEIGHT - 12}" font-size="11" text-anchor="middle">'
        f"{second // 60}:{second % 60:02d}</text>"
        for second in range(0, int(duration_s) + 1, step)
    ]


def _words(readings: Sequence[Reading], duration_s: float) -> list[str]:
    """Lay an area over each interval that says all of it where the pointer rests."""
    parts: list[str] = []
    for began, one in zip([0.0, *(reading.t for reading in readings)], readings, strict=False):
        x = _x(began, duration_s)
        words = [
            f"{began:.0f} to {one.t:.0f} s",
            f"the agent was given {_score(one.mos)}, the caller {_score(one.far_mos)}",
            f"{one.lost} of {one.expected} packets lost, {one.late} late, {one.concealed_ms} ms made up",
            f"jitter {one.jitter_ms:.1f} ms",
        ]
        if one.round_trip_ms is not None:
            words.append(f"round trip {one.round_trip_ms:.0f} ms")
        parts.append(
            f'<rect class="over" x="{x:.1f}" y="{TOP}" width="{max(1.0, _x(one.t, duration_s) - x):.1f}"'
            f' height="{BASE - TOP}"><title>{escape("; ".join(words))}</title></rect>'
        )
    return parts


def _score(score: float | None) -> str:
    return "no score" if score is None else f"{score:.1f}"
