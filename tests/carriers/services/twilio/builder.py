"""Twilio's own builder as the judge of a document: it knows each element, what may stand in it and its attributes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from twilio.twiml import TwiML, lower_camel
from twilio.twiml.voice_response import VoiceResponse


def rebuild(document: bytes, *, beside: Mapping[str, frozenset[str]] | None = None) -> None:
    """Build a document again with the library: it is the same. `beside` names attributes it need not know."""
    root = ElementTree.fromstring(document)
    response = VoiceResponse()
    assert root.tag == "Response"
    _build(root, response, beside or {})
    assert shape(ElementTree.fromstring(response.to_xml())) == shape(root)


def shape(element: ElementTree.Element) -> tuple[Any, ...]:
    """An element as a value."""
    return element.tag, sorted(element.attrib.items()), element.text or "", [shape(one) for one in element]


def _build(element: ElementTree.Element, into: TwiML, beside: Mapping[str, frozenset[str]]) -> None:
    for child in element:
        method = getattr(into, re.sub(r"(?<=.)([A-Z])", r"_\1", child.tag).lower())
        known = {lower_camel(TwiML.MAP.get(name, name)): name for name in inspect.signature(method).parameters}
        own = beside.get(child.tag, frozenset())
        assert set(child.attrib) <= set(known) | own, (child.tag, set(child.attrib) - set(known))
        attributes = {known.get(name, name): value for name, value in child.attrib.items()}
        built = method(*([child.text] if child.text else []), **attributes)
        _build(child, built, beside)
