from __future__ import annotations

from offhook.agent.ear import Ear


def test_an_ear_knows_since_when_there_is_speech_or_none() -> None:
    ear = Ear()
    assert (ear.speaking, ear.flowing) == (False, False)
    ear.began(100)
    assert (ear.speaking, ear.flowing, ear.changed_at) == (True, True, 100)
    ear.ended(300)
    assert (ear.speaking, ear.changed_at) == (False, 300)
