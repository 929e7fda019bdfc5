"""Telephone numbers as carriers write them, and the one form that we compare: `+15551234567`.

    +1 (555) 123-4567 · 0015551234567 · 15551234567 · (555) 123-4567      ─► canonical ─► +15551234567
    +4930123456 · DE                                                      ─► written   ─► 030123456, 004930123456, …

What is no number of the public network (an extension, a service code, a name) stays as it is. The plans of the world
are the business of `phonenumbers`, which is read only where a number is: it takes 60 ms to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from offhook.core.errors import NotAllowed
from offhook.policy.screening import allows, number_of

NumberFormat = Literal["e164", "plain", "national", "international"]
"""How a trunk wants a number: +4930…, 4930…, 030… (0 where the country has it), 004930… (its own prefix for abroad)."""

FORMATS: Final[tuple[NumberFormat, ...]] = get_args(NumberFormat)

_SEPARATORS: Final = str.maketrans("", "", " -.()/\u00a0")

LONGEST: Final = 32
"""Characters of what may be a number at all: 15 digits and what stands between them."""


SHORTEST: Final = 7
"""Digits that make a number of the public network where nothing before them says so: extensions have fewer."""


@lru_cache(maxsize=4096)
def canonical(text: str, country: str) -> str:
    """Give a number in E.164 with `+`, read as someone in `country` (two letters) would dial it; else `text` as it is.

    Digits that a carrier writes without `+` are tried as an international number where they are no national one.
    """
    bare = text.removeprefix("tel:").translate(_SEPARATORS)
    digits = bare.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(bare) > LONGEST:
        return text
    if not bare.startswith(("+", "0")) and len(digits) < SHORTEST:
        return bare
    ways = (bare,) if bare.startswith("+") else (bare, f"+{digits}")
    # A number that exists in one reading beats one that merely could; some that are dialled are too new to be known.
    for certain in (True, False):
        for way in ways:
            found = _read(way, country, certain=certain)
            if found is not None:
                return found
    return bare


def _read(bare: str, country: str, *, certain: bool) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(bare, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not (phonenumbers.is_valid_number(number) if certain else phonenumbers.is_possible_number(number)):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=4096)
def written(number: str, form: NumberFormat, country: str) -> str:
    """Write a number as a trunk in `country` wants it. What is not E.164 (an extension, a service) stays as it is."""
    if not number.startswith("+"):
        return number
    if form == "e164":
        return number
    if form == "plain":
        return number[1:]
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    if form == "national" and phonenumbers.region_code_for_country_code(parsed.country_code or 0) == country:
        text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        return "".join([character for character in text if character.isdigit()])
    text = phonenumbers.format_out_of_country_calling_number(parsed, country or "ZZ")
    digits = "".join([character for character in text if character.isdigit()])
    return f"+{digits}" if text.startswith("+") else digits


@lru_cache(maxsize=1024)
def is_emergency(number: str, country: str) -> bool:
    """Say whether dialling this in `country` calls the police, the fire brigade or an ambulance.

    112 and 911 count everywhere: telephones and networks of many countries connect them.
    """
    import phonenumbers

    bare = number.translate(_SEPARATORS).removeprefix("+")
    if bare in ("112", "911"):
        return True
    return phonenumbers.connects_to_emergency_number(number.translate(_SEPARATORS), country) if country else False


def screen(to: str, rules: Sequence[str]) -> None:
    """Say whether a service may call `to`. NotAllowed where not: emergency numbers, too, which have no country."""
    number = number_of(to)
    if number is not None and (not number.startswith("+") or is_emergency(number, "")):
        raise NotAllowed(f"{to}: a service calls whole numbers, with + and their country, and no emergency numbers")
    if not allows(rules, to):
        raise NotAllowed(f"{to} is not among what dial.allow lists")
