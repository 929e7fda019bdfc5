from __future__ import annotations

from offhook.agent.manners import Manners


def test_the_last_resort_is_the_first_phrase_to_be_rendered() -> None:
    manners = Manners(apology="Sorry.")
    assert manners.phrases()[0] == "Sorry."
    assert set(manners.phrases()) == {"Sorry.", *manners.fillers, *manners.prompts, manners.farewell}


def test_the_caller_never_waits_four_seconds_in_silence() -> None:
    assert Manners().filler_after_ms <= 3000, "and the voice has a second to begin"
