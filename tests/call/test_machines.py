"""Machines at the other end: a beep to speak after, a fax to get rid of, and tones before the answer."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.call import Agent, Call, events, tones
from offhook.core.errors import CallEnded


def test_a_message_is_left_after_the_beep(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        assert await call.beep(timeout_s=10)
        assert tones.BEEP not in call.leg.watched  # type: ignore[attr-defined]
        await call.say("Please call us back.")

    async def main() -> None:
        call = begin(script)
        await call.until(3)
        call.leg.beeps()
        ended = await call.over()
        assert call.leg.heard_text == "please call us back"
        assert [event.kind for event in call.of(events.Tone)] == ["beep"]
        assert ended.reason == "hangup"

    play(main())


def test_who_waits_for_a_beep_that_never_comes_is_told_so(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        assert not await call.beep(timeout_s=2)
        with pytest.raises(CallEnded):
            await call.beep()

    async def main() -> None:
        call = begin(script)
        await call.until(5)
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_a_fax_is_hung_up_on(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent("You help."), ["Yes?"])
        await call.until(2)
        call.leg.beeps("fax_cng")
        assert (await call.over()).reason == "fax"

    play(main())


@pytest.mark.parametrize(
    ("to", "reason"), [("sip:fax@pbx.example", "transferred"), ("sip:fax@elsewhere.example", "fax")]
)
def test_a_fax_is_handed_to_whom_it_may_be(play: Any, begin: Any, to: str, reason: str) -> None:
    async def main() -> None:
        call = begin(Agent("You help.", fax=to), ["Yes?"], allow=("sip:*@pbx.example",))
        await call.until(2)
        call.leg.beeps("fax_cng")
        assert (await call.over()).reason == reason

    play(main())
