"""Where a redirected call may go next (RFC 3261 sections 8.1.3.4, 20.10)."""

from __future__ import annotations

import pytest

from offhook.sip.message import Response
from offhook.sip.redirects import Trail, targets


def moved(*contacts: str, code: int = 302) -> Response:
    return Response(tuple(("Contact", contact) for contact in contacts), b"", code, "")


@pytest.mark.parametrize(
    ("contacts", "order"),
    [
        (("<sip:a@h>", "<sip:b@h>"), ["sip:a@h", "sip:b@h"]),
        (("<sip:a@h>;q=0.1, <sip:b@h>;q=0.2",), ["sip:b@h", "sip:a@h"]),
        (("<sip:a@h>;q=x", "<sip:b@h>;q=0.001"), ["sip:b@h", "sip:a@h"]),
        (("<sip:a@h>;q=99999999999",), ["sip:a@h"]),
        (("<tel:+15551234567>",), ["tel:+15551234567"]),
        (("<sip:a@h?Route=x>", "sip:b@h"), ["sip:b@h"]),
        (("<sip:a@", "<sip:b@h>"), ["sip:b@h"]),
    ],
)
def test_the_best_comes_first(contacts, order):
    assert [str(uri) for uri in targets(moved(*contacts))] == order


def test_no_place_is_tried_twice():
    trail = Trail("sip:a@h")
    trail.redirected(moved("<sip:a@H>", "<sip:b@h>", "<sip:b@h;transport=tcp>", "<sip:b@h>"))
    assert [str(trail.next()), str(trail.next()), trail.next()] == ["sip:b@h", "sip:b@h;transport=tcp", None]


def test_a_flood_of_contacts_is_cut():
    trail = Trail("sip:a@h")
    trail.redirected(moved(*[f"<sip:{number}@h>" for number in range(100)]))
    assert len([target for target in iter(trail.next, None) if target]) == 16
