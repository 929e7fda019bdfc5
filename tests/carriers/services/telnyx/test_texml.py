"""TeXML: TwiML with Telnyx's attributes and API."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

import pytest

from carriers.services.telnyx.test_signature import PUBLIC
from carriers.services.twilio.builder import rebuild
from offhook.carriers.services.http import ApiReply, Request
from offhook.carriers.services.service import Links, Offered, Placement
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.core.errors import ProtocolError

LINKS = Links("wss://a.example/services/telnyx/media/tok", "https://a.example/services/telnyx/key")
SERVICE = telnyx(TelnyxAccount("KEY1", PUBLIC, "conn", texml=True, account="acc", codec="PCMA"))
FORM = {"content-type": "application/x-www-form-urlencoded"}
OWN = frozenset({"bidirectionalMode", "bidirectionalCodec", "codec"})


def test_a_call_is_brought_to_our_socket_both_ways():
    response = SERVICE.connect(Offered("v3:x"), LINKS).response
    rebuild(response.body, beside={"Stream": OWN})
    (stream,) = next(iter(ElementTree.fromstring(response.body)))
    assert {name: value for name, value in stream.attrib.items() if name in OWN} == {
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMA",
        "codec": "PCMA",
    }


def test_a_call_is_ended_handed_on_and_placed_by_the_api_of_texml():
    (ended,) = SERVICE.hang_up("v3:x")
    assert ended.url == "https://api.telnyx.com/v2/texml/Accounts/acc/Calls/v3%3Ax"
    assert ended.headers["authorization"] == "Bearer KEY1"
    (handed,) = SERVICE.transfer("v3:x", "+1555", "+1666", LINKS)
    ((name, document),) = parse_qsl(handed.body.decode())
    assert name == "Texml"
    rebuild(document.encode())
    placed = SERVICE.dial(Placement("+1", "+2"), LINKS)
    asked = parse_qsl(placed.body.decode())
    assert placed.url == "https://api.telnyx.com/v2/texml/Accounts/acc/Calls"
    assert asked[0] == ("ApplicationSid", "conn")
    assert [value for name, value in asked if name == "StatusCallbackEvent"] == ["ringing answered completed"]


@pytest.mark.parametrize("key", ["sid", "call_sid"])
def test_a_call_that_was_placed_has_a_name(key):
    assert SERVICE.placed(ApiReply(200, b'{"%s":"v3:1","status":"queued"}' % key.encode())) == "v3:1"


def test_its_query_is_not_signed_so_it_is_not_read():
    said = urlencode({"CallSid": "v3:x", "From": "+1", "To": "+2"}).encode()
    request = Request("POST", "/voice?From=%2B9&SipHeader_X=1", FORM, said)
    assert [*SERVICE.hook("voice", request)] == [Offered("v3:x", "+1", "+2")]
    with pytest.raises(ProtocolError):
        SERVICE.hook("dial", Request("POST", "/dial?to=%2B1900", FORM, said))
