from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offhook.agent import inputs, orders


def test_the_floor_listens_when_words_are_wanted(stage: Callable[..., Any]) -> None:
    talker, script, deaf = stage(), stage(replies=False), stage(hears=False)
    for play in (talker, script, deaf):
        play.answered()
    assert [play.conversation.listening for play in (talker, script, deaf)] == [True, False, False]
    script.tell(inputs.Ask(1, "Name?", 1000))
    assert script.conversation.listening
    talker.tell(inputs.Leave("Goodbye.", "hangup"))
    assert not talker.conversation.listening


def test_the_call_is_ended_once(stage: Callable[..., Any]) -> None:
    play = stage().answered()
    for reason in ("hangup", "failed"):
        play.tell(inputs.Leave("", reason))
    play.until(60_000)
    assert play.of(orders.End) == [orders.End("hangup")]
