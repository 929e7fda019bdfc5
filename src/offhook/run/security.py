"""The security log: one line an attack, for people and for fail2ban.

    2026-11-28T03:12:44Z offhook.security kind=brute_force source=203.0.113.9 count=5 window_s=60 ban_s=600
    {"time": "…", "log": "offhook.security", "kind": "brute_force", "source": "203.0.113.9", …}      (format = "json")

Laws: what makes an attack, and that it is told once however long it goes on, is `policy.admission`'s; a line is one
line, whatever the attacker wrote; a log that can't be written stops no call.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

import structlog

from offhook.core.ids import redacted
from offhook.core.instants import SECOND, Instant
from offhook.policy.admission import Admission, Attack

log = structlog.get_logger("offhook.security")

LINES_A_MINUTE: Final = 120
"""Over UDP sources are easily made up, and each would be an attack of its own: more are only counted."""

DETAIL_LIMIT: Final = 120
"""Characters of what an attacker wrote that are kept."""


class SecurityLog:
    """Takes note of offences and writes down the attacks. `out` None: into the log for people."""

    def __init__(
        self,
        admission: Admission,
        out: TextIO | None = None,
        *,
        as_json: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Attacks by kind, for the counters."""
        self.unwritten = 0
        self._since: Instant = 0
        self._lines = 0
        self._untold = 0
        self._admission = admission
        self._out = out
        self._as_json = as_json
        self._clock = clock

    def note(self, now: Instant, ip: str, kind: str, detail: str = "") -> None:
        """Take note of an offence of a kind in `policy.admission.OFFENCES`; write a line if it makes an attack."""
        attack = self._admission.offend(now, ip, kind)
        if attack is None:
            return
        self.counts[kind] += 1
        if now - self._since > 60 * SECOND:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_A_MINUTE:
            self._untold += 1
            return
        fields = _fields(attack, detail)
        if self._untold:
            fields["untold_before"], self._untold = self._untold, 0
        if self._out is None:
            log.warning("an attack", **fields)
            return
        time = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        if self._as_json:
            line = json.dumps({"time": time, "log": "offhook.security", **fields})
        else:
            line = f"{time} offhook.security " + " ".join([f"{key}={_value(value)}" for key, value in fields.items()])
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except OSError:
            self.unwritten += 1


def _fields(attack: Attack, detail: str) -> dict[str, str | int]:
    fields: dict[str, str | int] = {"kind": attack.kind, "source": attack.ip, "class": attack.source.kind.value}
    if attack.source.name:
        fields["name"] = escaped(attack.source.name)
    fields["count"] = attack.count
    fields["window_s"] = attack.within // SECOND
    if attack.banned is not None:
        fields["ban_s"] = attack.banned // SECOND
    if detail:
        fields["detail"] = redacted(escaped(detail[:DETAIL_LIMIT]))
    return fields


def _value(value: str | int) -> str:
    text = str(value)
    return (
        text
        if text and " " not in text and '"' not in text and "=" not in text
        else json.dumps(text, ensure_ascii=False)
    )


def escaped(text: str) -> str:
    r"""Write what a far end sent so that it is one line and moves no cursor: control characters become `\x1b`."""
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else ascii(character)[1:-1] for character in text])
