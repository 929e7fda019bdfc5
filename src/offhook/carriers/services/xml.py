"""Control documents in XML, as values: what several services take, each with its own words.

    Tag("Say", {"voice": "x"}, ("Hello",)) ─► document ─► <?xml …?><Response><Say voice="x">Hello</Say></Response>

Law: whatever text goes in, what comes out is well-formed XML 1.0. A character that XML 1.0 can't hold (section 2.2) is
left out: a control character, a lone surrogate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree

from offhook.carriers.services.http import Response

_UNHELD: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Tag:
    """An element: its name, its attributes (an empty one is left out), and what is in it."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    inner: Sequence[Tag | str] = ()


def document(*tags: Tag) -> bytes:
    """Write the document that the tags make."""
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(_element(Tag("Response", {}, tags)))


def answer(*tags: Tag) -> Response:
    """Answer a webhook with the document that the tags make."""
    return Response(200, document(*tags), "text/xml; charset=utf-8")


def held(text: str) -> str:
    """Give what of a text XML 1.0 can hold."""
    return _UNHELD.sub("", text)


def switch(on: bool) -> str:
    """Write a truth value."""
    return "true" if on else "false"


def _element(tag: Tag) -> ElementTree.Element:
    element = ElementTree.Element(tag.name, {name: held(value) for name, value in tag.attributes.items() if value})
    last: ElementTree.Element | None = None
    for piece in tag.inner:
        if isinstance(piece, Tag):
            last = _element(piece)
            element.append(last)
        elif last is None:
            element.text = (element.text or "") + held(piece)
        else:
            last.tail = (last.tail or "") + held(piece)
    return element
