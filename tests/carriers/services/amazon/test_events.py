"""What Amazon's services ask and are answered; the shapes of its own models (botocore) are the judge."""

from __future__ import annotations

import json
from typing import Any, cast

import botocore.session
import pytest
from botocore.stub import Stubber
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from offhook.agent.orders import Wait
from offhook.carriers.services.amazon import chime, connect, lex
from offhook.carriers.services.turn import Again, Leave, Turn
from offhook.carriers.services.turn import Connect as To
from offhook.core.errors import ConfigError

INSTANCE = "12345678-90ab-cdef-1234-567890abcdef"
ARN = f"arn:aws:connect:us-east-1:123456789012:instance/{INSTANCE}"
HOSTILE = ["<&>\"'", "\x00\x1b[31m", "\ud800", "🍕" * 3000, "x" * 100_000, "\r\nX-Evil: 1"]
LISTENS = Wait(True, 0, "", 8000)
KEYS = Wait(False, 4, "#", 7000)
TURNS = [
    Turn(("Good evening!",), LISTENS),
    Turn(("Your PIN?",), KEYS),
    Turn((), Again()),
    Turn(("Bye.",), Leave()),
    Turn(("Sorry.",), Leave("failed")),
    Turn(("One moment.",), To("+15550000001")),
    *(Turn((text, text), LISTENS) for text in HOSTILE),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def client(service: str) -> Any:
    session = botocore.session.get_session()
    return session.create_client(
        service, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="x"
    )


def valid(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """Say what botocore's model of a service finds wrong with an operation's parameters; "" for nothing."""
    shape = client(service).meta.service_model.operation_model(operation).input_shape
    return ParamValidator().validate(parameters, shape).generate_report()


def mangled(event: Any, name: str, value: Any) -> Any:
    """Give an event with another value wherever a name stands."""
    if isinstance(event, dict):
        return {key: value if key == name else mangled(inner, name, value) for key, inner in event.items()}
    return [mangled(inner, name, value) for inner in event] if isinstance(event, list) else event


def names(event: Any) -> set[str]:
    if isinstance(event, dict):
        return set(event) | {name for inner in event.values() for name in names(inner)}
    return {name for inner in event for name in names(inner)} if isinstance(event, list) else set()


# Connect: an Invoke-Lambda block

BLOCK: dict[str, Any] = {
    "Name": "ContactFlowEvent",
    "Details": {
        "ContactData": {
            "Attributes": {"plan": "gold"},
            "Channel": "VOICE",
            "ContactId": "c-2",
            "InitialContactId": "c-1",
            "PreviousContactId": "c-1",
            "InitiationMethod": "INBOUND",
            "InstanceARN": ARN,
            "CustomerEndpoint": {"Address": "+15551234567", "Type": "TELEPHONE_NUMBER"},
            "SystemEndpoint": {"Address": "+15557654321", "Type": "TELEPHONE_NUMBER"},
            "Queue": None,
            "LanguageCode": "en-US",
            "MediaStreams": {"Customer": {"Audio": None}},
        },
        "Parameters": {"text": "a table for two"},
    },
}


def test_a_block_says_whose_contact_it_is() -> None:
    contact = connect.contact_in(BLOCK)
    assert (contact.id, contact.initial_id, contact.instance_id) == ("c-2", "c-1", INSTANCE)
    assert (contact.caller, contact.called, contact.language) == ("+15551234567", "+15557654321", "en-US")
    assert (contact.attributes, contact.parameters) == ({"plan": "gold"}, {"text": "a table for two"})


@pytest.mark.parametrize("turn", TURNS)
def test_a_block_is_answered_with_flat_texts_that_fit(turn: Turn) -> None:
    answered = connect.answer(turn, "1abc")
    assert all(isinstance(value, str) for value in answered.values())
    assert len(json.dumps(answered)) <= 32 * 1024 * 3, "32 kB of text, whatever its escapes"
    assert answered["next"] in {"listen", "again", "transfer", "hangup"}
    assert answered["offhook"] == "1abc"
    json.dumps(answered, ensure_ascii=False).encode()


def test_a_block_says_what_the_caller_may_do() -> None:
    answered = connect.answer(Turn(("Your PIN?",), KEYS), "")
    expected = {"say": "Your PIN?", "next": "listen", "words": "false", "digits": "4", "finish": "#", "timeout": "7"}
    assert answered == {**expected, "offhook": ""}


# Connect: an external voice system

UUI = {
    "contactId": "c-2",
    "initialContactId": "c-1",
    "customerPhoneNumber": "+15551234567",
    "systemPhoneNumber": "+15557654321",
    "attributes": {"plan": "gold", "contactId": "not this one"},
    "vip": True,
    "visits": 3,
}


@pytest.mark.parametrize(
    "header",
    [
        json.dumps(UUI).encode().hex() + ";encoding=hex",
        json.dumps(UUI).encode().hex().upper() + ";purpose=isdn-uui;content=isdn-uui;encoding=hex",
        "04" + json.dumps(UUI).encode().hex() + ";encoding=hex;purpose=isdn-uui",
        json.dumps(UUI).encode().hex(),
        f'"{json.dumps(UUI).encode().hex()}";encoding=hex',
        json.dumps(UUI),
        json.dumps(UUI) + ";encoding=ascii",
        json.dumps(UUI).replace("{", "%7B").replace("}", "%7D").replace('"', "%22") + ";encoding=ascii",
    ],
)
def test_user_to_user_is_read_however_it_is_written(header: str) -> None:
    said = connect.user_to_user(header)
    assert (said["contactId"], said["initialContactId"], said["plan"]) == ("c-2", "c-1", "gold")
    assert (said["vip"], said["visits"]) == ("true", "3")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", {}),
        (";encoding=hex", {}),
        ("hello;encoding=ascii", {"text": "hello"}),
        ("68656c6c6f;encoding=hex", {"text": "hello"}),
        ("68656c6c6;encoding=hex", {"text": "68656c6c6"}),
        ("5b31;encoding=hex", {"text": "[1"}),
        ("zz;encoding=hex", {"text": "zz"}),
        ("1234;encoding=ascii", {"text": "1234"}),
    ],
)
def test_user_to_user_that_is_no_table_is_a_text(header: str, said: dict[str, str]) -> None:
    assert connect.user_to_user(header) == said


@given(st.text())
def test_no_user_to_user_raises(header: str) -> None:
    connect.user_to_user(header)
    connect.user_to_user(header.encode("utf-8", "replace").hex() + ";encoding=hex")


def test_a_transferred_call_knows_its_contact_and_may_set_its_attributes() -> None:
    headers = {
        "X-Amzn-ConnectContactId": "c-2",
        "X-Amzn-ConnectInitialContactId": "c-1",
        "X-Amzn-SourceArn": ARN,
        "X-Amzn-TargetArn": "arn:aws:chime:us-east-1:123456789012:vc/abcdef",
        "User-to-User": json.dumps(UUI).encode().hex() + ";encoding=hex",
    }
    contact = connect.contact_of(headers)
    assert (contact.id, contact.initial_id, contact.instance_id) == ("c-2", "c-1", INSTANCE)
    assert (contact.caller, contact.called) == ("+15551234567", "+15557654321")
    parameters = connect.attributes_set(contact, {"intent": "refund", "note": "\ud800<&>"})
    with Stubber(client("connect")) as stub:
        stub.add_response("update_contact_attributes", {}, parameters)
        stub.client.update_contact_attributes(**parameters)


@pytest.mark.parametrize("ring_s", [1, 30, 600])
@pytest.mark.parametrize("more", [{"caller": "+18005550100"}, {"queue": "q-1", "token": "t-1"}])
def test_a_contact_that_is_to_be_called_is_one_that_connect_takes(ring_s: int, more: dict[str, str]) -> None:
    said = {"booking": "7", "note": "\ud800<&>"}
    parameters = connect.contact_to(
        "+15557654321", instance=INSTANCE, flow="f-1", ring_s=ring_s, attributes=said, **more
    )
    assert valid("connect", "StartOutboundVoiceContact", parameters) == ""
    assert 15 <= cast("int", parameters["RingTimeoutInSeconds"]) <= 60
    with Stubber(client("connect")) as stub:
        stub.add_response("start_outbound_voice_contact", {"ContactId": "c-1"}, parameters)
        assert stub.client.start_outbound_voice_contact(**parameters)["ContactId"] == "c-1"


def test_a_contact_that_is_to_be_called_sees_a_number() -> None:
    with pytest.raises(ConfigError, match="shows a number"):
        connect.contact_to("+15557654321", instance=INSTANCE, flow="f-1")


def test_a_call_that_came_otherwise_has_no_contact_to_set() -> None:
    with pytest.raises(ConfigError, match="external voice connector"):
        connect.attributes_set(connect.contact_of({"User-to-User": "00"}), {})


# Lex

HOOK: dict[str, Any] = {
    "sessionId": "c-1",
    "inputTranscript": "a table for two",
    "invocationSource": "DialogCodeHook",
    "inputMode": "Speech",
    "bot": {"id": "B1", "name": "luigi", "localeId": "en_US", "version": "1", "aliasId": "A1"},
    "interpretations": [{"intent": {"name": "FallbackIntent", "slots": {}, "state": "InProgress"}}],
    "sessionState": {
        "sessionAttributes": {"caller": "+15551234567", "offhook-next": "old"},
        "intent": {"name": "FallbackIntent", "slots": {}, "state": "InProgress", "confirmationState": "None"},
    },
    "requestAttributes": {"x-amz-lex:accept-content-types": "PlainText,SSML"},
}


def test_a_hook_says_what_was_said_and_what_was_pressed() -> None:
    hook = lex.asked(HOOK)
    assert (hook.session, hook.text, hook.keys, hook.language) == ("c-1", "a table for two", "", "en-US")
    pressed = lex.asked({**HOOK, "inputMode": "DTMF", "inputTranscript": "1234"})
    assert (pressed.text, pressed.keys) == ("", "1234")


@pytest.mark.parametrize("turn", TURNS)
def test_what_a_bot_answers_is_what_lex_takes(turn: Turn) -> None:
    answered: Any = lex.answer(turn, lex.asked(HOOK), "1abc", "One moment.")
    session = {"botId": "B1ABCDEFGH", "botAliasId": "A1ABCDEFGH", "localeId": "en_US", "sessionId": "c-1"}
    assert valid("lexv2-runtime", "PutSession", {**session, **answered}) == ""
    assert len(answered["messages"]) <= 5
    assert all(1 <= len(message["content"]) <= 1024 for message in answered["messages"])
    assert answered["sessionState"]["sessionAttributes"]["offhook"] == "1abc"
    json.dumps(answered, ensure_ascii=False).encode()


def test_the_end_of_a_bot_tells_the_flow_how_it_goes_on() -> None:
    answered: Any = lex.answer(Turn(("One moment.",), To("+15550000001")), lex.asked(HOOK), "")
    state = answered["sessionState"]
    assert (state["dialogAction"], state["intent"]["state"]) == ({"type": "Close"}, "Fulfilled")
    assert state["sessionAttributes"]["offhook-next"] == "transfer"
    assert state["sessionAttributes"]["offhook-target"] == "+15550000001"
    failed: Any = lex.answer(Turn((), Leave("failed")), lex.asked(HOOK), "")
    assert failed["sessionState"]["intent"]["state"] == "Failed"


def test_keys_that_are_wanted_are_told_to_lex_and_forgotten_after() -> None:
    answered: Any = lex.answer(Turn(("Your PIN?",), KEYS), lex.asked(HOOK), "")
    attributes = answered["sessionState"]["sessionAttributes"]
    assert attributes["x-amz-lex:dtmf:max-length:*:*"] == "4"
    again = {**HOOK, "sessionState": {"sessionAttributes": attributes}}
    later: Any = lex.answer(Turn(("So?",), LISTENS), lex.asked(again), "")
    assert not [name for name in later["sessionState"]["sessionAttributes"] if "dtmf" in name]


# Chime

CALL: dict[str, Any] = {
    "SchemaVersion": "1.0",
    "Sequence": 2,
    "InvocationEventType": "ACTION_SUCCESSFUL",
    "ActionData": {
        "Type": "SpeakAndGetDigits",
        "Parameters": {"CallId": "call-a"},
        "ReceivedDigits": "1234",
    },
    "CallDetails": {
        "TransactionId": "t-1",
        "TransactionAttributes": {"offhook": "1abc"},
        "AwsAccountId": "123456789012",
        "AwsRegion": "us-east-1",
        "SipMediaApplicationId": "s-1",
        "Participants": [
            {
                "CallId": "call-a",
                "ParticipantTag": "Leg-A",
                "To": "+15557654321",
                "From": "+15551234567",
                "Direction": "Inbound",
                "StartTimeInMilliseconds": "1600000000000",
                "Status": "Connected",
            },
            {"CallId": "call-b", "ParticipantTag": "LEG-B", "Direction": "Outbound", "Status": "Connected"},
        ],
    },
}
PARAMETERS = {
    "Speak": {"CallId", "Text", "Engine", "LanguageCode", "TextType", "VoiceId"},
    "SpeakAndGetDigits": {
        "CallId",
        "InputDigitsRegex",
        "SpeechParameters",
        "FailureSpeechParameters",
        "MinNumberOfDigits",
        "MaxNumberOfDigits",
        "TerminatorDigits",
        "InBetweenDigitsDurationInMilliseconds",
        "Repeat",
        "RepeatDurationInMilliseconds",
    },
    "Pause": {"CallId", "DurationInMilliseconds"},
    "Hangup": {"CallId", "SipResponseCode"},
    "CallAndBridge": {"CallTimeoutSeconds", "CallerIdNumber", "Endpoints", "SipHeaders"},
    "StartBotConversation": {"CallId", "BotAliasArn", "LocaleId"},
}
"""What each action of the developer guide may hold."""


def check(answered: Any) -> list[str]:
    """Give the types of an answer's actions, each of which is well made."""
    assert answered["SchemaVersion"] == "1.0"
    assert len(answered["Actions"]) <= 10
    for action in answered["Actions"]:
        assert set(action) == {"Type", "Parameters"}
        assert set(action["Parameters"]) <= PARAMETERS[action["Type"]]
    json.dumps(answered, ensure_ascii=False).encode()
    return [action["Type"] for action in answered["Actions"]]


def test_an_event_is_read() -> None:
    told = chime.told(CALL)
    assert (told.kind, told.sequence, told.action, told.digits) == (
        "ACTION_SUCCESSFUL",
        "2",
        "SpeakAndGetDigits",
        "1234",
    )
    assert (told.first.call, told.first.tag, told.first.caller) == ("call-a", "LEG-A", "+15551234567")


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_a_list_of_actions(turn: Turn) -> None:
    check(chime.answer(chime.turn_actions(turn, chime.told(CALL), chime.Speech()), {"offhook": "1abc"}))


def test_keys_are_asked_for_in_one_action_and_words_by_a_bot() -> None:
    told = chime.told(CALL)
    keys: Any = chime.turn_actions(Turn(("Welcome.", "Your PIN?"), KEYS), told, chime.Speech())
    assert [action["Type"] for action in keys] == ["SpeakAndGetDigits"]
    assert keys[0]["Parameters"]["MaxNumberOfDigits"] == 4
    bot = chime.Speech(bot="arn:aws:lex:us-east-1:123456789012:bot-alias/B/A")
    assert check(chime.answer(chime.turn_actions(TURNS[0], told, bot))) == ["Speak", "StartBotConversation"]


def test_a_bridge_goes_to_a_number_or_by_a_connector_and_takes_what_headers_chime_takes() -> None:
    number: Any = chime.call_and_bridge("tel:+15550000001", "+15557654321")
    assert number["Parameters"]["Endpoints"] == [{"BridgeEndpointType": "PSTN", "Uri": "+15550000001"}]
    headers = {"X-Session": "a\r\nX-Evil: 1", "User-to-User": "00", "X-Amzn-Fake": "1", "Via": "no", "bad name": "no"}
    ours: Any = chime.call_and_bridge("sip:agent@here.example", "+1", "arn:vc", headers)
    assert ours["Parameters"]["Endpoints"] == [{"BridgeEndpointType": "AWS", "Arn": "arn:vc", "Uri": "agent"}]
    assert ours["Parameters"]["SipHeaders"] == {"X-Session": "aX-Evil: 1", "User-to-User": "00"}
    assert chime.call_and_bridge("sip:agent@here.example", "+1") is None


def test_who_is_left_on_the_line_is_hung_up() -> None:
    hung_up = {**CALL, "InvocationEventType": "HANGUP", "ActionData": {"Parameters": {"CallId": "call-a"}}}
    assert chime.hang_up_others(chime.told(hung_up)) == [chime.hang_up("call-b")]


# Whatever comes

READERS = [
    lambda event: connect.answer(Turn((connect.contact_in(event).caller,), LISTENS), ""),
    lambda event: lex.answer(Turn(("So?",), Leave()), lex.asked(event), ""),
    lambda event: chime.answer(chime.turn_actions(TURNS[1], chime.told(event), chime.Speech())),
    lambda event: chime.answer(chime.hang_up_others(chime.told(event))),
]


@pytest.mark.parametrize("event", [BLOCK, HOOK, CALL])
@pytest.mark.parametrize("read", READERS)
def test_no_field_that_is_missing_or_mistyped_raises(event: Any, read: Any) -> None:
    for name in names(event):
        for value in (None, 7, -1.5, True, "", "x" * 50_000, [], [None], {}, {"a": {"b": []}}, "\ud800", 10**40):
            json.dumps(read(mangled(event, name, value)), ensure_ascii=False).encode()


@given(ANYTHING)
def test_no_event_at_all_raises(event: Any) -> None:
    for read in READERS:
        read(event)
