"""The gate is asked for each new request outside a dialog, and for nothing else."""

from __future__ import annotations

import pytest

from offhook.sip.gate import Refusal
from offhook.sip.outcomes import IncomingCall
from offhook.sip.useragent import Settings


class Closed:
    """Lets nobody in but who says the word."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def admit(self, now, request, flow):
        self.asked.append(request.method)
        if request.first("Word") is None:
            raise Refusal(401, (("WWW-Authenticate", 'Digest realm="here"'),))


@pytest.fixture
def guarded(far_with):
    return far_with(settings=Settings(gate=Closed()))


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "NOTIFY"])
def test_who_is_not_let_in_gets_the_gates_answer(guarded, method):
    (answer,) = guarded.say(bytes(guarded.request(method)))
    assert (answer.code, answer.index["WWW-Authenticate"]) == (401, 'Digest realm="here"')
    assert guarded.told == []


def test_a_call_that_is_let_in_is_not_asked_again(guarded):
    call = guarded.up(headers=(("Word", "open"),))
    assert isinstance(call, IncomingCall)
    guarded.asks("OPTIONS", 2)
    guarded.asks("BYE", 3)
    assert [message.code for message in guarded.sent[-2:]] == [200, 200]
    assert guarded.agent._calls.settings.gate.asked == ["INVITE"]
