"""Agents behind Amazon's services: whole calls by their events, also across processes, and the way back into a flow."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Coroutine
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from offhook.agent.manners import Manners
from offhook.amazon import Bridge, Functions, contact_of, finish, place
from offhook.call import Agent, Call, Models, events
from offhook.call.events import CallEvent
from offhook.call.leg import CallInfo
from offhook.carriers.amazon import Desk
from offhook.carriers.services.amazon.chime import Speech
from offhook.carriers.services.amazon.memory import unpack
from offhook.core.errors import ConfigError, NotAllowed, TransferFailed
from offhook.core.ids import CallId
from offhook.examples.receptionist import agent as receptionist
from offhook.providers.brain import Minds
from offhook.providers.offline.model import offline_model
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain, ScriptedStt, ScriptedTts
from offhook.testing.scripted_leg import ScriptedLeg

LUIGI = Agent("You answer the phone for Luigi's.", greeting="Luigi's, good evening!")
BOOKING = ("i want to book a table", "for two people", "half past seven", "ada lovelace", "yes please")
INSTANCE = "12345678-90ab-cdef-1234-567890abcdef"
ARN = f"arn:aws:connect:us-east-1:123456789012:instance/{INSTANCE}"


def brain(*lines: str, delay_s: float = 0.1) -> Models:
    return Models(brain=lambda _: ScriptedBrain(lines, delay_s=delay_s))


def offline() -> Models:
    return Models(brain=Minds(offline_model(None)))


def run(main: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await main
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], "something is left running"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


# Lex


class Bot:
    """Lex's side of a session: it keeps the attributes, and knows nothing else."""

    def __init__(self, desk: Desk, session: str = "c-1") -> None:
        self.desk = desk
        self.session = session
        self.attributes: dict[str, str] = {}
        self.action = ""

    async def says(self, text: str, mode: str = "Speech") -> str:
        intent = {"name": "FallbackIntent", "state": "InProgress"}
        event = {
            "sessionId": self.session,
            "inputTranscript": text,
            "inputMode": mode,
            "sessionState": {"sessionAttributes": self.attributes, "intent": intent},
        }
        answered: Any = await self.desk.lex(json.loads(json.dumps(event)))
        self.attributes = answered["sessionState"]["sessionAttributes"]
        self.action = answered["sessionState"]["dialogAction"]["type"]
        return " ".join(message["content"] for message in answered["messages"])


def test_a_bot_talks_and_takes_keys() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=brain("For two. At what time?", "Eight it is."))
        bot = Bot(desk)
        assert await bot.says("") == "Luigi's, good evening!"
        assert await bot.says("a table for two") == "For two. At what time?"
        assert await bot.says("8", "DTMF") == "Eight it is."
        assert bot.action == "ElicitIntent"
        assert unpack(bot.attributes["offhook"]).transcript().splitlines()[-2:] == [
            "caller: [8]",
            "agent: Eight it is.",
        ]
        await desk.close()

    run(main())


def test_a_caller_who_speaks_first_is_greeted_and_answered() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=brain("For two. At what time?"))
        assert await Bot(desk).says("a table for two") == "Luigi's, good evening! For two. At what time?"
        await desk.close()

    run(main())


def test_silence_is_asked_about_and_in_the_end_closes() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=brain("Hm?"))
        bot = Bot(desk)
        await bot.says("")
        assert [await bot.says("") for _ in range(3)] == [*Manners().prompts, Manners().farewell]
        assert (bot.action, bot.attributes["offhook-next"]) == ("Close", "hangup")
        await desk.close()

    run(main())


@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "a new process each turn"])
def test_the_receptionist_books_a_table_by_lex(processes: int) -> None:
    async def main() -> None:
        told: list[CallEvent] = []
        bot, said = Bot(Desk(receptionist, models=offline(), events=told.append)), ""
        for words in BOOKING:
            said = await bot.says(words)
            if processes > 1:
                await bot.desk.close()
                bot.desk = Desk(receptionist, models=offline(), events=told.append)
        assert "Booked: 2" in said
        await bot.desk.close()
        assert [event.name for event in told if isinstance(event, events.Tool)] == ["book_table"]

    run(main())


def test_a_transfer_closes_the_bot_with_its_target() -> None:
    async def main() -> None:
        async def hands_on(call: Call) -> None:
            await call.ask("Who?")
            await call.transfer("+15550000001")

        desk = Desk(hands_on, models=Models(), allow=("+1",))
        bot = Bot(desk)
        await bot.says("")
        await bot.says("a person")
        assert (bot.action, bot.attributes["offhook-next"]) == ("Close", "transfer")
        assert bot.attributes["offhook-target"] == "+15550000001"
        assert await bot.says("") == "Who?", "a flow that comes back begins anew"
        await desk.close()

    run(main())


def test_a_slow_mind_is_covered_by_a_filler() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=brain("At last.", delay_s=25))
        bot = Bot(desk)
        await bot.says("")
        assert await bot.says("hello") == Manners().fillers[0]
        assert await bot.says("") == "At last."
        await desk.close()

    run(main())


# A Connect flow's block


def test_a_flow_goes_turn_by_turn() -> None:
    async def main() -> None:
        async def survey(call: Call) -> None:
            name = await call.ask("Your name?", timeout_s=5)
            score = await call.gather(f"{name}, one to five?", digits=1, timeout_s=8)
            await call.hangup(f"{score}, thank you.")

        desk = Desk(survey, models=Models())

        async def asks(**parameters: str) -> dict[str, str]:
            data = {"ContactId": "c-1", "InstanceARN": ARN, "CustomerEndpoint": {"Address": "+15551234567"}}
            return await desk.connect({"Details": {"ContactData": data, "Parameters": parameters}})

        first = await asks()
        assert (first["say"], first["next"], first["words"], first["timeout"]) == ("Your name?", "listen", "true", "5")
        second = await asks(text="Ada", turn="1")
        assert (second["say"], second["words"], second["digits"]) == ("Ada, one to five?", "false", "1")
        assert await asks(text="Ada", turn="1") == second, "the flow tried again"
        third = await asks(keys="4", turn="2")
        assert (third["say"], third["next"]) == ("4, thank you.", "hangup")
        await desk.close()

    run(main())


# Chime's application


class Application:
    """The service's side of one call: it keeps the transaction's attributes and counts its invocations."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sequence = 0
        self.attributes: dict[str, str] = {}
        self.people = [
            {
                "CallId": "call-a",
                "ParticipantTag": "LEG-A",
                "From": "+15551234567",
                "To": "+15557654321",
                "Status": "Connected",
            }
        ]

    async def tells(self, kind: str, action: str = "", **data: Any) -> list[Any]:
        self.sequence += 1
        event = {
            "InvocationEventType": kind,
            "Sequence": self.sequence,
            "CallDetails": {
                "TransactionId": "t-1",
                "TransactionAttributes": self.attributes,
                "Participants": self.people,
            },
            "ActionData": {"Type": action, "Parameters": {"CallId": "call-a"}, **data},
        }
        answered: Any = await self.desk.sma(json.loads(json.dumps(event)))
        self.attributes = answered.get("TransactionAttributes", self.attributes)
        return [(one["Type"], _said(one)) for one in answered["Actions"]]


def _said(action: Any) -> str:
    parameters = action["Parameters"]
    endpoint = parameters.get("Endpoints", [{}])[0].get("Uri", "")
    return parameters.get("Text") or parameters.get("SpeechParameters", {}).get("Text", "") or endpoint


def test_an_application_gathers_keys_and_hangs_up() -> None:
    async def main() -> None:
        async def pin(call: Call) -> None:
            keys = await call.gather("Your PIN?", digits=4)
            await call.hangup(f"Not {keys or 'a word'}.")

        desk = Desk(pin, models=Models())
        application = Application(desk)
        assert await application.tells("NEW_INBOUND_CALL") == [("SpeakAndGetDigits", "Your PIN?")]
        answered = await application.tells("ACTION_SUCCESSFUL", "SpeakAndGetDigits", ReceivedDigits="1234")
        assert answered == [("Speak", "Not 1234."), ("Hangup", "")]
        assert await application.tells("ACTION_SUCCESSFUL", "Hangup") == []
        silent = Application(desk)
        await desk.close()
        await silent.tells("NEW_INBOUND_CALL")
        answered = await silent.tells("ACTION_FAILED", "SpeakAndGetDigits", ErrorType="InvalidDigitsReceived")
        assert answered == [("Speak", "Not a word."), ("Hangup", "")]
        await desk.close()

    run(main())


def test_an_application_hands_over_and_hears_what_became_of_it() -> None:
    async def main() -> None:
        async def hands_on(call: Call) -> None:
            for number in ("+15550000001", "+15550000002"):
                try:
                    await call.transfer(number)
                except TransferFailed as failed:
                    await call.say(f"That was {failed.code}.")

        desk = Desk(hands_on, models=Models(), allow=("+1",))
        application = Application(desk)
        assert await application.tells("NEW_INBOUND_CALL") == [("CallAndBridge", "+15550000001")]
        answered = await application.tells("ACTION_FAILED", "CallAndBridge", ErrorType="CallNotAnswered")
        assert answered == [("Speak", "That was 480."), ("CallAndBridge", "+15550000002")]
        assert await application.tells("ACTION_SUCCESSFUL", "CallAndBridge") == []
        application.people.append({"CallId": "call-b", "ParticipantTag": "LEG-B", "Status": "Connected"})
        assert await application.tells("HANGUP") == [("Hangup", "")]
        await desk.close()

    run(main())


def test_an_application_joins_its_calls_to_our_user_agent() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=Models(), bridge=Bridge("arn:vc", headers={"X-Tenant": "luigi"}))
        event = {
            "InvocationEventType": "NEW_INBOUND_CALL",
            "CallDetails": {"TransactionId": "t-1", "Participants": Application(desk).people},
        }
        answered: Any = await desk.sma(event)
        assert answered["Actions"] == [
            {
                "Type": "CallAndBridge",
                "Parameters": {
                    "CallTimeoutSeconds": 60,
                    "CallerIdNumber": "+15551234567",
                    "Endpoints": [{"BridgeEndpointType": "AWS", "Arn": "arn:vc", "Uri": "agent"}],
                    "SipHeaders": {
                        "X-Offhook-Transaction": "t-1",
                        "X-Offhook-From": "+15551234567",
                        "X-Offhook-To": "+15557654321",
                        "X-Tenant": "luigi",
                    },
                },
            }
        ]
        failed = await Application(desk).tells("ACTION_FAILED", "CallAndBridge", ErrorType="CallNotAnswered")
        assert failed == [("Speak", Manners().apology), ("Hangup", "")]
        await desk.close()

    run(main())


def test_words_go_by_a_bot_whose_end_is_ours() -> None:
    async def main() -> None:
        desk = Desk(LUIGI, models=brain("Hm?"), speech=Speech(bot="arn:bot"))
        application = Application(desk)
        begins = await application.tells("NEW_INBOUND_CALL")
        assert begins == [("Speak", "Luigi's, good evening!"), ("StartBotConversation", "")]
        attributes = {"offhook-next": "transfer", "offhook-target": "+15550000001"}
        result = {"SessionState": {"SessionAttributes": attributes}}
        answered = await application.tells("ACTION_SUCCESSFUL", "StartBotConversation", IntentResult=result)
        assert answered == [("CallAndBridge", "+15550000001")]
        await desk.close()

    run(main())


def test_an_application_forgets_nothing_in_a_new_process() -> None:
    async def main() -> None:
        application = Application(Desk(LUIGI, models=brain("One.", "Two.")))
        await application.tells("NEW_INBOUND_CALL")
        await application.tells("ACTION_SUCCESSFUL", "SpeakAndGetDigits", ReceivedDigits="1")
        await application.desk.close()
        application.desk = Desk(LUIGI, models=brain("One.", "Two."))
        answered = await application.tells("ACTION_SUCCESSFUL", "SpeakAndGetDigits", ReceivedDigits="2")
        assert answered == [("SpeakAndGetDigits", "Two.")]
        await application.desk.close()

    run(main())


# Whatever comes


@pytest.mark.parametrize("seed", range(4))
def test_no_event_is_left_without_an_answer(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        desk = Desk(receptionist, models=offline(), allow=("sip:*",), speech=Speech(bot=rng.choice(["", "arn:bot"])))
        kinds = ["NEW_INBOUND_CALL", "RINGING", "CALL_ANSWERED", "ACTION_SUCCESSFUL", "ACTION_FAILED", "HANGUP", "What"]
        kinds += ["ACTION_INTERRUPTED", "DIGITS_RECEIVED", "CALL_UPDATE_REQUESTED", "INVALID_LAMBDA_RESPONSE"]
        actions = ["Speak", "SpeakAndGetDigits", "Pause", "CallAndBridge", "StartBotConversation", "Hangup", "", None]
        for number in range(60):
            event: Any = {
                "sessionId": rng.choice(["c-1", "", None, "../../etc", "x" * 5000]),
                "inputTranscript": rng.choice(["a table", "", None, "\ud800", "🍕" * 5000, "yes"]),
                "inputMode": rng.choice(["Speech", "DTMF", None]),
                "sessionState": rng.choice([None, {}, {"sessionAttributes": {"offhook": rng.choice(["", "1x", "y"])}}]),
                "InvocationEventType": rng.choice(kinds),
                "Sequence": rng.choice([number, 1, None]),
                "CallDetails": {"TransactionId": rng.choice(["t-1", None]), "Participants": Application(desk).people},
                "ActionData": {"Type": rng.choice(actions), "ReceivedDigits": rng.choice(["1", "<", None])},
                "Details": {"ContactData": {"ContactId": rng.choice(["c-1", None])}, "Parameters": {"text": "a table"}},
            }
            if rng.random() < 0.3:
                event = copy.deepcopy(event) if rng.random() < 0.5 else rng.choice([None, [], "x", 7])
            for answer in (desk.lex(event), desk.sma(event), desk.connect(event)):
                json.dumps(await answer, ensure_ascii=False).encode()
        await desk.close()

    run(main())


def test_a_script_that_breaks_says_sorry_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def breaks(call: Call) -> None:
            await call.ask("Who?")
            raise RuntimeError("broken")

        desk = Desk(breaks, models=Models())
        bot = Bot(desk)
        await bot.says("")
        assert await bot.says("me") == Manners().apology
        assert bot.action == "Close"
        await desk.close()

    run(main())
    assert "the script of lex-c-1 failed" in caplog.text


def test_the_handlers_of_a_lambda_do_not_await() -> None:
    functions = Functions(LUIGI, models=brain("Hm?", delay_s=0))
    event = {"sessionId": "c-1", "inputTranscript": ""}
    answered: Any = functions.lex(event, object())
    assert answered["messages"][0]["content"] == "Luigi's, good evening!"
    assert functions.sma({})["Actions"] == []
    assert functions.connect_lambda(None)["next"] == "hangup"
    functions.close()


# An external voice system


@pytest.mark.parametrize("works", [True, False])
def test_a_transferred_call_gives_its_result_to_the_flow_and_then_says_bye(works: bool) -> None:
    async def main() -> None:
        leg = ScriptedLeg()
        headers = {"X-Amzn-ConnectContactId": "c-1", "X-Amzn-SourceArn": ARN}
        leg.info = CallInfo(CallId("call-1"), "inbound", "sip:a@b", "sip:c@d", headers)
        session = botocore.session.get_session()
        client: Any = session.create_client(
            "connect", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        wanted = {"InitialContactId": "c-1", "InstanceId": INSTANCE, "Attributes": {"intent": "refund"}}
        failures: list[str] = []

        async def script(call: Call) -> None:
            assert contact_of(call.headers).id == "c-1"
            try:
                await finish(call, {"intent": "refund"}, client, "Goodbye.")
            except client.exceptions.ClientError as error:
                failures.append(str(error))

        with Stubber(client) as stub:
            if works:
                stub.add_response("update_contact_attributes", {}, wanted)
            else:
                stub.add_client_error("update_contact_attributes", "ThrottlingException")
            call = Call(leg, script, models=Models(stt=ScriptedStt(), tts=ScriptedTts()))
            ended = await call.run()
            stub.assert_no_pending_responses()
        assert ended.reason == "hangup"
        assert leg.heard_text == "goodbye"
        assert bool(failures) != works

    run(main())


def test_a_call_that_came_otherwise_can_not_be_finished_so() -> None:
    async def main() -> None:
        async def script(call: Call) -> None:
            with pytest.raises(ConfigError):
                await finish(call, {}, client=None)  # type: ignore[arg-type]
            await call.hangup()

        await Call(ScriptedLeg(), script, models=Models()).run()

    run(main())


# Calls that Connect places


def test_connect_calls_whom_the_rules_list_and_nobody_else() -> None:
    async def main() -> None:
        session = botocore.session.get_session()
        client: Any = session.create_client(
            "connect", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        settings: Any = {"instance": INSTANCE, "flow": "f-1", "allow": ("+1",), "caller": "+18005550100"}
        wanted = {
            "InstanceId": INSTANCE,
            "ContactFlowId": "f-1",
            "DestinationPhoneNumber": "+15557654321",
            "SourcePhoneNumber": "+18005550100",
            "RingTimeoutInSeconds": 20,
            "Attributes": {"booking": "7"},
            "ClientToken": "once",
        }
        with Stubber(client) as stub:
            stub.add_response("start_outbound_voice_contact", {"ContactId": "c-1"}, wanted)
            more: Any = {"ring_s": 20, "attributes": {"booking": "7"}, "token": "once"}
            assert await place("+15557654321", client, **settings, **more) == "c-1"
            stub.assert_no_pending_responses()
            for to in ("+49301234567", "5557654321", "911", "+112", "sip:desk@pbx.example"):
                with pytest.raises(NotAllowed):
                    await place(to, client, **settings)
            stub.add_client_error("start_outbound_voice_contact", "OutboundContactNotPermittedException")
            with pytest.raises(client.exceptions.ClientError, match="NotPermitted"):
                await place("+15557654321", client, **settings)

    run(main())
