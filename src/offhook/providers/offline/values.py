"""Values found in what a caller said: counts, clock times, days, names, telephone numbers, yes and no.

Each function takes the words that `language.plain` gives and returns what it found with the span of words it stands
in, so that "for four at seven" gives 4 to the party and 7 to the clock, and neither both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from offhook.providers.offline.language import bag, plain

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A value and the words (from, to) that it was read from. `cued`: something beside it says what it is."""

    value: Any
    span: Span
    cued: bool


PEOPLE = frozenset(
    ["people", "person", "persons", "guests", "guest", "adults", "pax", "diners", "seats", "friends", "party", "of us"]
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
HOMOPHONES = {
    "for": 4,
    "fore": 4,
    "to": 2,
    "too": 2,
    "won": 1,
    "ate": 8,
    "tree": 3,
    "sex": 6,
    "sicks": 6,
    "free": 3,
    "tin": 10,
}
"""What a recogniser writes for a lone digit. Believed only where a number was asked for and nothing else was said."""

_HOURS_HEARD = {"date": "8", "ate": "8", "ake": "8", "take": "8", "hate": "8", "sex": "6", "sicks": "6", "heaven": "7"}
"""What becomes of an hour on a telephone. Believed only behind "past" and "to"."""

_PART = (
    r"(?: in the (?P<part>morning|afternoon|evening)| at (?P<night>night)| (?P<tonight>tonight)"
    r"| this (?P<this>morning|afternoon|evening))?"
)
_TO = r"past|passed|after|to|before|till"
_AT = r"(?:at|around|about|by)"
_HOUR = r"(?P<h>\d{1,2})"
_MINUTES = r"(?P<mm>[0-5]\d)"
_HALF = r"(?: (?P<half>am|pm))?"
_NOT_PEOPLE = r"(?! (?:people|person|persons|guests|of us))"
_CLOCKS: tuple[tuple[str, bool], ...] = (
    (rf"(?P<m>half|quarter|\d{{1,2}})(?: minutes)? (?P<dir>{_TO}) {_HOUR}(?: oclock)?{_HALF}{_PART}", True),
    (rf"(?P<halfpast>[a-z]+) (?:past|passed) {_HOUR}{_HALF}{_PART}", True),  # what becomes of "half" on a telephone
    (rf"(?P<quarterto>order|water|corner|quarters) to {_HOUR}{_HALF}{_PART}", True),  # … and of "quarter"
    (rf"{_HOUR}:(?P<mm>\d{{2}}){_HALF}{_PART}", True),
    (rf"{_HOUR}(?: {_MINUTES})? (?P<half>am|pm){_PART}", True),
    (rf"{_HOUR}(?: {_MINUTES})? oclock{_HALF}{_PART}", True),
    (rf"{_AT} {_HOUR} {_MINUTES}{_PART}", True),
    (rf"{_HOUR} {_MINUTES}{_PART}", False),
    (rf"{_AT} half (?P<halfto>\d{{1,2}}){_PART}", True),
    (rf"{_AT} (?P<hmm>\d{{3,4}}){_NOT_PEOPLE}{_PART}", True),
    (rf"{_AT} {_HOUR}{_NOT_PEOPLE}{_PART}", True),
    (
        rf"(?<!for )(?<!of ){_HOUR} (?:in the (?P<part>morning|afternoon|evening)"
        r"|at (?P<night>night)|(?P<tonight>tonight))",
        True,
    ),
    (r"(?P<word>noon|midday|midnight)", True),
    (rf"half (?P<halfto>\d{{1,2}}){_PART}", False),
    (rf"(?P<hmm>\d{{3,4}}){_PART}", False),
    (rf"{_HOUR}{_PART}", False),
)
"""How times are said, the surer first, and whether the words themselves say that it is a time."""


def clock(words: list[str]) -> Iterable[Found]:
    """Find clock times, as `HH:MM` on 24 hours. Without am, pm or a part of the day, 1 to 11 are taken as pm."""
    text, starts = _joined(_hours_mended(words))
    taken: list[Span] = []
    for pattern, cued in _CLOCKS:
        for match in re.finditer(rf"(?<!\S)(?:{pattern})(?!\S)", text):
            span = _span(match.span(), starts)
            if any(span[0] < end and begin < span[1] for begin, end in taken):
                continue
            value = _clock_value(match.groupdict())
            if value is not None:
                taken.append(span)
                yield Found(value, span, cued)


def _hours_mended(words: list[str]) -> list[str]:
    """Put the hour for what it was misheard as: `half past date` is `half past 8`. As many words as before."""
    mended: list[str] = []
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        if word.startswith("past") and word[4:] in _HOURS_HEARD:  # "half pastake"
            mended.append(f"past {_HOURS_HEARD[word[4:]]}")
        elif before in ("past", "passed") or (before == "to" and words[index - 2 : index - 1] == ["quarter"]):
            mended.append(_HOURS_HEARD.get(word, word))
        else:
            mended.append(word)
    return mended


def _clock_value(parts: dict[str, str | None]) -> str | None:
    if word := parts.get("word"):
        return "00:00" if word == "midnight" else "12:00"
    hour, minute = _hour_and_minute(parts)
    if not (0 <= hour <= 24 and 0 <= minute < 60):
        return None
    half, part = parts.get("half"), parts.get("part") or parts.get("this")
    late = half == "pm" or part in ("afternoon", "evening") or bool(parts.get("night") or parts.get("tonight"))
    early = half == "am" or part == "morning"
    if hour == 12:
        hour = 0 if early or (late and half is None and part is None) else 12
    elif 1 <= hour < 12 and not early:
        hour += 12
    return f"{hour % 24:02d}:{minute:02d}"


def _hour_and_minute(parts: dict[str, str | None]) -> tuple[int, int]:
    if both := parts.get("hmm"):
        return int(both[:-2]), int(both[-2:])
    if before := parts.get("halfto"):
        return int(before), 30
    hour, minute = int(parts.get("h") or 99), int(parts.get("mm") or 0)
    if parts.get("halfpast"):
        return hour, 30
    if parts.get("quarterto"):
        return hour - 1 or 12, 45
    if past := parts.get("m"):
        minute = {"half": 30, "quarter": 15}.get(past) or int(past)
        if parts.get("dir") in ("to", "before", "till"):
            hour, minute = hour - 1 or 12, 60 - minute
    return hour, minute


def counts(words: list[str], nouns: frozenset[str]) -> Iterable[Found]:
    """Find whole numbers. Cued: one of `nouns` stands behind ("4 people") or "party of", "table for" before it."""
    text, starts = _joined(words)
    taken: list[Span] = []
    noun = "|".join(sorted((re.escape(noun) for noun in nouns), key=len, reverse=True))
    cued = [rf"(?P<n>\d+) (?:more |other )?(?:{noun})"] if noun else []
    if nouns & PEOPLE:
        cued += [
            r"(?:party|group|table|total|family) (?:of|for|4) (?P<n>\d+)",
            r"(?:there (?:will|would) be|there's|there are|we are|we're|we'll be|just|for) (?:only |just |about )?"
            r"(?P<n>\d+)(?! (?:oclock|am|pm|[0-5]\d(?!\S)))",
            r"just (?P<me>me|myself)|(?P<two>me and my \w+|two of us|couple of us|both of us)",
        ]
    for pattern, sure in [*((pattern, True) for pattern in cued), (r"(?P<n>\d+)", False)]:
        for match in re.finditer(rf"(?<!\S)(?:{pattern})(?!\S)", text):
            span = _span(match.span(), starts)
            if any(span[0] < end and begin < span[1] for begin, end in taken):
                continue
            taken.append(span)
            groups = match.groupdict()
            value = int(groups["n"]) if groups.get("n") else 1 if groups.get("me") else 2
            yield Found(value, span, sure)


def days(words: list[str]) -> Iterable[Found]:
    """Find days as they were said: `today`, `tomorrow`, `friday`, `next friday`, `3 june`."""
    text, starts = _joined(words)
    named = "|".join(WEEKDAYS)
    month = "|".join(MONTHS)
    pattern = (
        rf"(?:the )?day after tomorrow|today|tonight|tomorrow|(?:next |this )?(?:{named})"
        rf"|(?:the )?(?P<d>\d{{1,2}})(?: of)? (?P<m>{month})|(?P<m2>{month}) (?:the )?(?P<d2>\d{{1,2}})"
    )
    for match in re.finditer(rf"(?<!\S)(?:{pattern})(?!\S)", text):
        day, name = match["d"] or match["d2"], match["m"] or match["m2"]
        said = (
            f"{day} {name}" if day else match[0].removeprefix("the ").removeprefix("this ").replace("tonight", "today")
        )
        yield Found(said, _span(match.span(), starts), True)


def telephone(words: list[str]) -> Found | None:
    """Find a telephone number: at least seven digits in a row, said in whatever groups; `double 5` is 55."""
    run: list[str] = []
    begin = 0
    for index, word in enumerate([*words, "."]):
        if word.lstrip("+").isdigit():
            if not run:
                begin = index
            twice = index > 0 and words[index - 1] == "double" and len(word) == 1
            run.append(word * 2 if twice else word)
        elif word not in ("double", "oh", "o") or not run:
            if len("".join(run)) >= 7:
                return Found("".join(run), (begin, index), True)
            run = []
        elif word != "double":
            run.append("0")
    return None


_NAME_CUES = re.compile(
    r"\b(?:my name is|my name's|the name is|the name's|name is|name's|under the name of|under the name|name of|"
    r"under|this is|i am|i'm|it is|it's|that's|call me|for|by)"
    r"\s+(?=((?:(?:mister|mr|mrs|ms|miss|doctor|dr)\.?\s+)?[^,.;:!?]+))",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\s*(?:what|when|where|who|how|why|which|do|does|are|can|could|is there|never)\b", re.IGNORECASE)
_SURE_CUES = ("name", "under", "call me")
_NOT_NAMES = bag(
    """
    a an the for at on to of in please yes no yeah ok okay table party and people person persons guests
    today tomorrow tonight oclock am pm half quarter past us me my you your it that this there here
    calling looking hoping wondering not sorry fine good great right correct well just actually dinner
    lunch breakfast noon like would want need book reserve reservation booking name is be will we i what
    never mind forget nothing nobody maybe what which who why repeat pardon again thanks thank all so
    sure going trying interested evening morning afternoon midnight hello hi hey bye goodbye um uh er
    with by about around make how when where
    """
) | frozenset(WEEKDAYS)
_FILLERS = bag(
    """
    um uh er well yes yeah ok okay sure please oh so hello hi just
    """
)


def name(text: str, *, asked: bool) -> Found | None:
    """Find a person's name. `asked`: it was asked for, so a few words without any cue are taken for it.

    The span is of no use to others and is (0, 0).
    """
    asking = re.match(
        r"\s*(?:what|when|where|who|how|why|which|do|does|are|can|could|is there|never)\b", text, re.IGNORECASE
    )
    if asking or text.rstrip().endswith("?"):
        asked = False
    best: Found | None = None
    for match in _NAME_CUES.finditer(text):
        cue = match[0][: match.start(1) - match.start()].lower()
        sure = any(word in cue for word in _SURE_CUES)
        found = _leading_name(match[1], capitals=not (asked or sure))
        if found and (best is None or (sure and not best.cued)):
            best = Found(found, (0, 0), sure)
    if best is None and asked:
        bare = [word for word in re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text) if word.lower() not in _FILLERS]
        if 0 < len(bare) <= 4:
            found = _leading_name(" ".join(bare), capitals=False)
            return Found(found, (0, 0), False) if found else None
    return best


def _leading_name(text: str, *, capitals: bool) -> str:
    """Take up to three words from the beginning that can be a name."""
    taken: list[str] = []
    for word in re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\S", text):
        usable = all(part.replace("'", "").isalpha() for part in plain(word) or ["."])
        usable = usable and not {word.lower(), word.lower().split("'")[0]} & _NOT_NAMES
        if not usable or (capitals and not word[0].isupper()) or len(taken) == 3:
            break
        named = word[0].upper() + word[1:]
        if named not in taken:  # "Richard. Richard."
            taken.append(named)
    return " ".join(taken)


_NO = re.compile(r"\b(no|nope|nah|not|wrong|incorrect|don't|do not|isn't|change|cancel)\b")
_YES = re.compile(
    r"\b(yes|yeah|yep|yup|yea|ya|correct|right|sure|exactly|perfect|okay|ok|fine|great|please do|go ahead|absolutely|"
    r"definitely|of course|indeed|confirm|confirmed|sounds good|that's it|good|do it|book it|yes please|aye|guess)\b"
)


def yes_or_no(words: list[str]) -> bool | None:
    """Say whether the words agree (True), disagree (False) or neither. Disagreement wins: "that's not right"."""
    text = " ".join(words)
    text = re.sub(r"\bno (problem|worries)\b", "yes", text)
    if _NO.search(text):
        return False
    return True if _YES.search(text) else None


def choice(words: list[str], options: Iterable[str]) -> str | None:
    """Find which of the options was said, by its own words."""
    text = f" {' '.join(words)} "
    said = [option for option in options if f" {' '.join(plain(option))} " in text]
    return max(said, key=len) if said else None


def email(words: list[str]) -> str | None:
    """Read an address that was said or written: `maria at example dot org`."""
    text = (
        " ".join(words).replace(" at ", "@").replace(" dot ", ".").replace(" underscore ", "_").replace(" dash ", "-")
    )
    match = re.search(r"[\w.\-]+@[\w\-]+(?:\.[\w\-]+)+", text)
    return match[0] if match else None


def _joined(words: list[str]) -> tuple[str, list[int]]:
    starts: list[int] = []
    at = 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    return " ".join(words), starts


def _span(chars: tuple[int, int], starts: list[int]) -> Span:
    inside = [index for index, start in enumerate(starts) if chars[0] <= start < chars[1]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)
