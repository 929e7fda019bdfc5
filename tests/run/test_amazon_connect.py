"""A contact that Amazon Connect transfers to an external voice system: in by SIP, its result back, then BYE."""

from __future__ import annotations

import json
from typing import Any

from offhook.amazon import Contact, contact_of, finish
from offhook.call import Call
from offhook.run.config import Config, host_rules

INSTANCE = "12345678-90ab-cdef-1234-567890abcdef"
SAID = {
    "contactId": "c-2",
    "initialContactId": "c-1",
    "customerPhoneNumber": "+15551234567",
    "systemPhoneNumber": "+15557654321",
    "attributes": {"plan": "gold"},
}
HEADERS = (
    "X-Amzn-ConnectContactId: c-2",
    "X-Amzn-ConnectInitialContactId: c-1",
    "X-Amzn-SourceAccount: 123456789012",
    f"X-Amzn-SourceArn: arn:aws:connect:us-east-1:123456789012:instance/{INSTANCE}",
    "X-Amzn-TargetArn: arn:aws:chime:us-east-1:123456789012:vc/abcdefghijklmnop",
    f"User-to-User: {json.dumps(SAID).encode().hex()};encoding=hex",
)


def test_the_flow_is_told_the_result_before_the_bye(stage: Any) -> None:
    keys = {"profile": "amazon-connect", "networks": ["10.3.0.1/32"]}
    trunks = host_rules(Config(trunks={"aws": keys}), max_calls=1).trunks  # type: ignore[arg-type]
    order: list[str] = []
    contacts: list[Contact] = []
    told: list[dict[str, Any]] = []

    class Client:
        def update_contact_attributes(self, **parameters: Any) -> None:
            order.append("attributes")
            told.append(parameters)

    async def agent(call: Call) -> None:
        assert call.info.trunk == "aws"
        contacts.append(contact_of(call.headers))
        await finish(call, {"intent": "refund"}, Client())

    async def story() -> None:
        async with stage.host(agent, trunks=trunks):
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(), extra="\r\n".join(HEADERS))
            peer.confirm(await peer.response("INVITE", 200))
            peer.request("ACK")
            bye = await peer.asked("BYE")
            order.append("BYE")
            peer.reply(bye, 200, "OK")
            await stage.world.settle()
            peer.close()

    stage.play(story())
    (contact,) = contacts
    assert (contact.id, contact.initial_id, contact.instance_id) == ("c-2", "c-1", INSTANCE)
    assert (contact.caller, contact.called, contact.data["plan"]) == ("+15551234567", "+15557654321", "gold")
    assert order == ["attributes", "BYE"]
    assert told == [{"InitialContactId": "c-1", "InstanceId": INSTANCE, "Attributes": {"intent": "refund"}}]
