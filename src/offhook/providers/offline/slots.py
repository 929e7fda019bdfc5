"""The arguments of a tool as things to ask a caller for, made from the tool's JSON schema.

    {"people": {"type": "integer"}}      ─►  Slot("people", COUNT, "For how many people?")
    {"at": {"type": "string"}}           ─►  Slot("at", CLOCK, "At what time?")

What a slot is follows from its type and format first, then from its name, then from its description. A description
that is a question is asked as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from offhook.providers.offline.language import plain
from offhook.providers.offline.values import (
    HOMOPHONES,
    PEOPLE,
    Found,
    Span,
    choice,
    clock,
    counts,
    days,
    email,
    name,
    telephone,
    yes_or_no,
)


class Kind(Enum):
    """What sort of value a slot takes."""

    COUNT = auto()
    CLOCK = auto()
    DAY = auto()
    NAME = auto()
    TELEPHONE = auto()
    EMAIL = auto()
    CHOICE = auto()
    TRUTH = auto()
    WORDS = auto()


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument: its name, what it takes, how to ask for it, and whether the tool can do without it."""

    name: str
    kind: Kind
    question: str
    required: bool = True
    nouns: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    number: type[int] | type[float] = int

    def spoken(self, value: Any) -> str:
        """Say a value back: `4 people`, `at 7:30 pm`, `under the name Maria`."""
        match self.kind:
            case Kind.COUNT:
                noun = self.name.replace("_", " ") if self.nouns else ""
                return (
                    f"{value} {singular(noun) if value == 1 else noun}".strip()
                    if noun
                    else f"{_said(self.name)} {value}"
                )
            case Kind.CLOCK:
                return f"at {spoken_clock(str(value))}"
            case Kind.DAY:
                return str(value) if str(value) in ("today", "tomorrow") else f"on {value}"
            case Kind.NAME:
                return f"under the name {value}"
            case Kind.TELEPHONE:
                return "with the number " + " ".join(str(value))
            case Kind.TRUTH:
                return f"{'with' if value else 'without'} {_said(self.name)}"
            case Kind.EMAIL | Kind.CHOICE | Kind.WORDS:
                return f"{_said(self.name)}: {value}"


def slots_of(schema: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Make the slots of a tool's parameters, in their order, but first what and then who, as people do on the phone."""
    required = set(schema.get("required", ()))
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    slots = [_slot(key, _resolved(value, definitions), key in required) for key, value in properties.items()]
    return tuple(sorted(slots, key=lambda slot: slot.kind in _WHO))


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    if reference := schema.get("$ref"):
        return definitions.get(str(reference).rsplit("/", 1)[-1], schema)
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return {
                **_resolved(option, definitions),
                **{k: v for k, v in schema.items() if k in ("description", "default")},
            }
    return schema


_WHO = (Kind.NAME, Kind.TELEPHONE, Kind.EMAIL)
_KINDS_BY_NAME: tuple[tuple[Kind, str], ...] = (
    (Kind.EMAIL, r"e?mail"),
    (Kind.TELEPHONE, r"phone|telephone|mobile|callback|cell"),
    (Kind.CLOCK, r"at|time|when|hour|clock|starts?|from"),
    (Kind.DAY, r"day|date|on"),
    (Kind.NAME, r"names?|who|guest|customer|person|caller|surname|patient"),
)


def _slot(key: str, schema: Mapping[str, Any], required: bool) -> Slot:
    description = str(schema.get("description", "")).strip()
    words = key.lower().split("_")
    options = tuple(str(option) for option in schema.get("enum", ()))
    kind = _kind(schema, words, description, options)
    nouns: frozenset[str] = frozenset()
    if kind is Kind.COUNT and (words[-1].endswith("s") or words[-1] in PEOPLE):
        nouns = PEOPLE if PEOPLE & set(words) else frozenset({words[-1], singular(words[-1])})
    number = float if schema.get("type") == "number" else int
    question = description if description.endswith("?") else _question(kind, key, description, nouns, options)
    return Slot(key, kind, question, required, nouns, options, number)


def _kind(schema: Mapping[str, Any], words: list[str], description: str, options: tuple[str, ...]) -> Kind:
    if options:
        return Kind.CHOICE
    match schema.get("type"), schema.get("format"):
        case "boolean", _:
            return Kind.TRUTH
        case "integer" | "number", _:
            return Kind.COUNT
        case _, "time":
            return Kind.CLOCK
        case _, "date":
            return Kind.DAY
        case _, "email":
            return Kind.EMAIL
        case _:
            pass
    for said in (words, plain(description)):
        for kind, pattern in _KINDS_BY_NAME:
            if any(re.fullmatch(pattern, word) for word in said):
                return kind
    return Kind.WORDS


def _question(kind: Kind, key: str, description: str, nouns: frozenset[str], options: tuple[str, ...]) -> str:
    said = _said(key)
    what = description.rstrip(".") if 0 < len(description.split()) <= 6 else f"the {said}"
    what = what[0].lower() + what[1:]
    match kind:
        case Kind.COUNT:
            if nouns == PEOPLE:
                return f"For how many {said}?"
            return f"How many {said}?" if nouns else f"What is {what}? Please say a number."
        case Kind.CLOCK:
            return "At what time?"
        case Kind.DAY:
            return "On what day?"
        case Kind.NAME:
            return "Under what name?"
        case Kind.TELEPHONE:
            return "What is the telephone number?"
        case Kind.EMAIL:
            return "What is the email address?"
        case Kind.CHOICE:
            return (
                f"Which {said}: {', '.join(options[:-1])} or {options[-1]}?" if len(options) > 1 else f"Which {said}?"
            )
        case Kind.TRUTH:
            return f"Is it {said}, yes or no?"
        case Kind.WORDS:
            return f"What is {what}?"


def _said(key: str) -> str:
    return key.replace("_", " ")


def singular(noun: str) -> str:
    """Make one of many: `guests` to `guest`, `people` to `person`."""
    return "person" if noun == "people" else noun.removesuffix("s")


def spoken_clock(value: str) -> str:
    """Say `19:30` as `7:30 pm`, `08:00` as `8 am`; anything else as it is."""
    match = re.fullmatch(r"(\d{2}):(\d{2})", value)
    if match is None:
        return value
    hour, minute = int(match[1]), int(match[2])
    if minute == 0 and hour in (0, 12):
        return "midnight" if hour == 0 else "noon"
    return f"{hour % 12 or 12}{f':{minute:02d}' if minute else ''} {'am' if hour < 12 else 'pm'}"


def fill(slots: tuple[Slot, ...], text: str, asked: str | None) -> dict[str, Any]:
    """Find values for the slots in what the caller said; `asked` names the slot that was just asked for.

    Words that gave one value give no other. What is cued ("4 people", "at 7") is found for every slot; what is bare
    ("seven") only for the slot that was asked for.
    """
    words = plain(text)
    found: dict[str, Any] = {}
    taken: list[Span] = []
    order = [Kind.TELEPHONE, Kind.DAY, Kind.CLOCK, Kind.COUNT]
    by_kind = sorted(slots, key=lambda slot: order.index(slot.kind) if slot.kind in order else 9)
    for sure in (True, False):
        for slot in by_kind:
            if slot.name in found or not (sure or slot.name == asked):
                continue
            best = _first_free(_candidates(slot, words, text, asked == slot.name), taken, sure)
            if best is not None:
                taken.append(best.span)
                found[slot.name] = best.value
    return found or _bare_number(slots, words, asked)


def _bare_number(slots: tuple[Slot, ...], words: list[str], asked: str | None) -> dict[str, Any]:
    """Read a short answer as a number: one that was misheard for a word, or one that answers another question."""
    counting = [slot for slot in slots if slot.kind is Kind.COUNT]
    if asked is None or not words or len(words) > 3 or len(counting) != 1:
        return {}
    slot = counting[0]
    if slot.name == asked and len(words) <= 2 and words[-1] in HOMOPHONES:
        return {slot.name: HOMOPHONES[words[-1]]}
    found = next(iter(counts(words, frozenset())), None)
    return {} if found is None else {slot.name: slot.number(found.value)}


def _first_free(candidates: list[Found], taken: list[Span], sure: bool) -> Found | None:
    for candidate in candidates:
        if candidate.cued == sure and not any(
            candidate.span[0] < end and begin < candidate.span[1] for begin, end in taken
        ):
            return candidate
    return None


def _candidates(slot: Slot, words: list[str], text: str, asked: bool) -> list[Found]:
    everything = (0, len(words))
    match slot.kind:
        case Kind.COUNT:
            return [Found(slot.number(found.value), found.span, found.cued) for found in counts(words, slot.nouns)]
        case Kind.CLOCK:
            return list(clock(words))
        case Kind.DAY:
            return list(days(words))
        case Kind.NAME:
            found = name(text, asked=asked)
            return [Found(found.value, (0, 0), True)] if found else []
        case Kind.TELEPHONE:
            number = telephone(words)
            return [number] if number else []
        case Kind.EMAIL:
            address = email(words)
            return [Found(address, everything, True)] if address else []
        case Kind.CHOICE:
            option = choice(words, slot.options)
            return [Found(option, (0, 0), True)] if option else []
        case Kind.TRUTH:
            answer = yes_or_no(words) if asked else None
            return [Found(answer, everything, False)] if answer is not None else []
        case Kind.WORDS:
            return [Found(text.strip(), everything, False)] if asked and words else []
