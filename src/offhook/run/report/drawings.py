"""The drawings of the report: plain SVG, made of numbers and escaped words, with no script and nothing to load.

The score reads like music: time runs from left to right and goes on in the next line; the caller stands above, the
agent below, and what lies between them is the time that one had to wait for the other.

      0 s       words of the caller
      ▁▃▅▆▃▁    caller's wave
      ──────────━━━ 640 ms ──────────────────
                    ▂▅▆▇▅▃▁   agent's wave
                words of the agent
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from offhook.run.report.account import RATE_HZ, Account, Moment, Reading, Turn

WIDTH = 1140.0
LEFT, RIGHT = 44.0, 12.0
ROW_S = 16.0
HEIGHT = 244.0
AXIS, WAVE = 112.0, 46.0
SCALE = (WIDTH - LEFT - RIGHT) / ROW_S
_LETTER = 6.35  # the mean width of a letter at 12.5 px, in px
_LINES = 3


def peaks(pcm: bytes, side: int, columns_per_s: float) -> list[float]:
    """Give the loudness of one side (0 left, 1 right) per column, 0 to 1, on a scale that shows quiet speech too."""
    samples = np.frombuffer(pcm, dtype="<i2").reshape(-1, 2)[:, side].astype(np.float32) / 32768.0
    width = max(1, round(RATE_HZ / columns_per_s))
    padded = np.zeros(math.ceil(len(samples) / width) * width or width, np.float32)
    padded[: len(samples)] = samples
    level = np.sqrt(np.mean(padded.reshape(-1, width) ** 2, axis=1))
    loudest = float(level.max())
    return [] if loudest <= 0 else [float(value) for value in np.minimum(1.0, level / loudest) ** 0.7]


def score(account: Account) -> str:
    """Draw the whole call: both waves, the words, the waits, and what happened when."""
    rows = max(1, math.ceil(account.duration_s / ROW_S))
    parts = [
        f'<svg class="score" viewBox="0 0 {WIDTH:.0f} {rows * HEIGHT:.0f}" role="img" data-row="{ROW_S:g}"'
        f' data-left="{LEFT:g}" data-scale="{SCALE:.4f}" data-height="{HEIGHT:g}">',
        "<title>Both sides of the call over time, with the waits between turns</title>",
    ]
    per_s = 50.0
    sides = (peaks(account.pcm, 0, per_s), peaks(account.pcm, 1, per_s))
    for row in range(rows):
        parts.append(f'<g transform="translate(0 {row * HEIGHT:.0f})">')
        parts += _ruler(row, account.duration_s)
        parts += _bands(row, account.turns)
        parts += _wave(row, sides[0], per_s, up=True) + _wave(row, sides[1], per_s, up=False)
        parts += _captions(row, account.turns, "caller") + _captions(row, account.turns, "agent")
        parts += _waits(row, account.turns) + _marks(row, account.moments)
        parts.append("</g>")
    parts.append('<line id="head" class="head" style="visibility:hidden" x1="0" x2="0" y1="0" y2="0"/></svg>')
    return "".join(parts)


def _x(t: float, row: int) -> float:
    return LEFT + (t - row * ROW_S) * SCALE


def _inside(t: float, row: int) -> bool:
    return row * ROW_S <= t < (row + 1) * ROW_S


def _ruler(row: int, duration_s: float) -> list[str]:
    end = min(duration_s, (row + 1) * ROW_S)
    parts = [f'<line class="axis" x1="{LEFT}" x2="{_x(end, row):.1f}" y1="{AXIS}" y2="{AXIS}"/>']
    for second in range(int(row * ROW_S), int(end) + 1, 2):
        if not _inside(second, row):
            continue
        x = _x(second, row)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{AXIS - WAVE}" y2="{AXIS + WAVE}"/>')
    start = int(row * ROW_S)
    parts.append(f'<text x="0" y="{AXIS + 4}" font-size="12">{start // 60}:{start % 60:02d}</text>')
    return parts


def _bands(row: int, turns: Sequence[Turn]) -> list[str]:
    parts: list[str] = []
    for turn in turns:
        began, ended = max(turn.began_s, row * ROW_S), min(turn.ended_s, (row + 1) * ROW_S)
        if began >= ended:
            continue
        y = AXIS - WAVE if turn.who == "caller" else AXIS
        parts.append(
            f'<rect class="band-{turn.who}" x="{_x(began, row):.1f}" y="{y}" rx="3"'
            f' width="{max(2.0, (ended - began) * SCALE):.1f}" height="{WAVE}"/>'
        )
    return parts


def _wave(row: int, levels: Sequence[float], per_s: float, *, up: bool) -> list[str]:
    first, last = int(row * ROW_S * per_s), int((row + 1) * ROW_S * per_s)
    bars: list[str] = []
    for number, level in enumerate(levels[first:last]):
        height = level * (WAVE - 4)
        if height < 0.6:
            continue
        x = LEFT + number / per_s * SCALE
        bars.append(f"M{x:.1f} {AXIS}v{-height if up else height:.1f}h1V{AXIS}z")
    return [f'<path class="wave-{"caller" if up else "agent"}" d="{"".join(bars)}"/>'] if bars else []


def _captions(row: int, turns: Sequence[Turn], who: str) -> list[str]:
    """Write the words of one side above or below its wave, each as wide as there is room before the next."""
    own = [turn for turn in turns if turn.who == who and _inside(turn.began_s, row)]
    parts: list[str] = []
    for number, turn in enumerate(own):
        x = _x(turn.began_s, row)
        edge = _x(own[number + 1].began_s, row) - 10 if number + 1 < len(own) else WIDTH - RIGHT
        if edge - x < 110.0:  # too narrow to be read: written back from the edge
            parts += _flush_right(turn, edge)
            continue
        width = max(60.0, min(edge - x, max((turn.ended_s - turn.began_s) * SCALE, 240.0)))
        lines = wrapped(turn.text, max(8, int(width / _LETTER)), _LINES)
        top = AXIS - WAVE - 12 - 16 * (len(lines) - 1) if who == "caller" else AXIS + WAVE + 20
        parts += [
            f'<text class="words-{who}" font-size="12.5" x="{x:.1f}" y="{top + 16 * line:.1f}">{escape(text)}</text>'
            for line, text in enumerate(lines)
        ]
    return parts


def _flush_right(turn: Turn, edge: float) -> list[str]:
    lines = wrapped(turn.text, 32, _LINES)
    top = AXIS - WAVE - 12 - 16 * (len(lines) - 1) if turn.who == "caller" else AXIS + WAVE + 20
    return [
        f'<text class="words-{turn.who}" font-size="12.5" text-anchor="end" x="{edge:.1f}" y="{top + 16 * line:.1f}">'
        f"{escape(text)}</text>"
        for line, text in enumerate(lines)
    ]


def wrapped(text: str, letters: int, lines: int) -> list[str]:
    """Break `text` into at most `lines` lines of about `letters` letters; what does not fit is an ellipsis."""
    rows: list[str] = []
    for word in text.split():
        if rows and len(rows[-1]) + 1 + len(word) <= letters:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    if len(rows) > lines:
        rows = rows[:lines]
        rows[-1] = f"{rows[-1][: max(1, letters - 1)].rstrip()}…"
    return rows


def _waits(row: int, turns: Sequence[Turn]) -> list[str]:
    parts: list[str] = []
    for turn in turns:
        if turn.delay_ms is None or not _inside(turn.began_s, row):
            continue
        x = _x(turn.began_s, row)
        start = max(LEFT, x - turn.delay_ms / 1000 * SCALE)
        label = f"{turn.delay_ms:.0f} ms"
        middle = max(LEFT + 28, (start + x) / 2)
        width = 8 + len(label) * 6.6
        y = AXIS + 13 if turn.who == "agent" else AXIS - 13
        parts.append(f'<line class="gap" x1="{start:.1f}" x2="{x:.1f}" y1="{AXIS}" y2="{AXIS}"/>')
        if turn.who == "agent":
            parts.append(
                f'<rect class="pill" x="{middle - width / 2:.1f}" y="{y - 8}" width="{width:.1f}" height="17" rx="8"/>'
                f'<text class="gap-ms" font-size="11" text-anchor="middle" x="{middle:.1f}" y="{y + 4.5}">'
                f"{label}</text>"
            )
    return parts


def _marks(row: int, moments: Sequence[Moment]) -> list[str]:
    parts: list[str] = []
    taken: list[tuple[float, float]] = []
    for moment in moments:
        label = mark_label(moment)
        if not label or not _inside(moment.t, row):
            continue
        x = _x(moment.t, row)
        width = len(label) * 6.4
        right = x + width > WIDTH - RIGHT
        span = (x - width, x) if right else (x, x + width)
        level = sum(1 for other in taken if other[0] < span[1] and span[0] < other[1])
        taken.append(span)
        y = HEIGHT - 12 - 14 * level
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{AXIS - WAVE - 6}" y2="{y - 10}"/>'
            f'<text class="mark-text" font-size="11.5" text-anchor="{"end" if right else "start"}" x="{x:.1f}" y="{y}">'
            f"{escape(label)}</text>"
        )
    return parts


def mark_label(moment: Moment) -> str:
    """Give the few words that stand beside a moment in the score; "" for one that is not drawn."""
    match moment.event:
        case "digit":
            return f"key {moment.facts.get('digit', '?')}"
        case "tool":
            return f"{moment.facts.get('name', 'tool')}()"
        case "cut":
            return "interrupted"
        case "ended":
            return "hung up"
        case _:
            return ""


def delays_over_time(readings: Sequence[Reading], duration_s: float) -> str:
    """Draw the jitter that each side saw of the other, report by report."""
    return _chart(
        duration_s,
        "ms",
        (
            ("chart-line", "dot", [(one.t, one.jitter_ms) for one in readings]),
            ("chart-line chart-far", "dot dot-far", [(one.t, one.far_jitter_ms) for one in readings]),
        ),
        least=2.0,
    )


def losses_over_time(readings: Sequence[Reading], duration_s: float) -> str:
    """Draw the share of packets lost each way, report by report."""
    return _chart(
        duration_s,
        "%",
        (
            ("chart-line", "dot", [(one.t, 100.0 * one.lost / max(1, one.expected)) for one in readings]),
            ("chart-line chart-far", "dot dot-far", [(one.t, 100.0 * one.far_lost_fraction) for one in readings]),
        ),
        least=2.0,
    )


def _chart(
    duration_s: float, unit: str, lines: Sequence[tuple[str, str, list[tuple[float, float]]]], *, least: float
) -> str:
    width, height, left, bottom = 360.0, 140.0, 44.0, 22.0
    most = max([least, *(value for _, _, points in lines for _, value in points)]) * 1.1
    across, up = (width - left - 14) / max(duration_s, 1.0), (height - bottom - 12) / most

    def at(t: float, value: float) -> tuple[float, float]:
        return left + t * across, height - bottom - value * up

    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img">']
    digits = 0 if most > 20 else 1
    for step in range(3):
        value = most / 1.1 * step / 2
        y = at(0, value)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 14}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{value:.{digits}f} {unit}</text>'
        )
    for second in range(0, int(duration_s) + 1, 10 if duration_s <= 60 else 20 if duration_s <= 120 else 60):
        parts.append(
            f'<text x="{at(second, 0)[0]:.1f}" y="{height - 5}" font-size="11" text-anchor="middle">{second} s</text>'
        )
    for line, dot, points in lines:
        places = [at(t, value) for t, value in points]
        parts.append(
            f'<path class="{line}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>' if places else ""
        )
        parts += [f'<circle class="{dot}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places]
    return "".join([*parts, "</svg>"])
