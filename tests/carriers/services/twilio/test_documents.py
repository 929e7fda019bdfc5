"""TwiML: each verb that we write is one that Twilio's own builder writes alike, whatever text is in it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.oddities import HOSTILE
from carriers.services.twilio.builder import rebuild
from offhook.carriers.services.twilio import documents as twiml
from offhook.carriers.services.xml import Tag, answer, document, held


def verbs(text: str) -> dict[str, list[Tag]]:
    """Every verb, with a text in every place that takes one."""
    return {
        "say": [twiml.say(text, voice=text, language=text)],
        "pause": [twiml.pause(3)],
        "play": [twiml.play(text or "x")],
        "play keys": [twiml.play_keys(text or "1ww2#")],
        "redirect": [twiml.redirect(text)],
        "hangup": [twiml.hangup()],
        "reject": [twiml.reject("busy")],
        "gather": [
            twiml.gather(
                text,
                twiml.say(text),
                twiml.pause(),
                twiml.play(text),
                hears="dtmf speech",
                timeout_s=5,
                keys=4,
                finish_on="#",
                speech_timeout="auto",
                language=text,
                hints=text,
            )
        ],
        "gather keys": [twiml.gather("/said", hears="dtmf", also_empty=False)],
        "record": [twiml.record(text, longest_s=60, timeout_s=5, beep=False, news=text)],
        "record call": [twiml.record_call(text)],
        "stream": [twiml.connect(twiml.stream(text, news=text, parameters={"a": text, "b": "1"}), text)],
        "relay": [
            twiml.connect(
                twiml.relay(text, greeting=text, language=text, voice=text, parameters={text or "n": text}), text
            )
        ],
        "relay that tells": [twiml.connect(twiml.relay(text, more={"events": "tokens-played"}))],
        "number": [twiml.dial(twiml.target(f"+1{text}", news=text), text, caller=text, ring_s=30, longest_s=60)],
        "sip": [twiml.dial(twiml.target(f"sip:{text}", news=text), text)],
        "refer": [twiml.refer(f"sip:{text}", text)],
        "several": [twiml.say(text), twiml.connect(twiml.stream(text)), twiml.hangup()],
    }


@pytest.mark.parametrize("verb", verbs(""))
def test_each_verb_is_one_of_the_builders(verb):
    rebuild(document(*verbs("https://a.example/x?y=1&z=2")[verb]))


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("verb", verbs(""))
def test_a_hostile_text_stays_a_text(verb, text):
    hostile, tame = (ElementTree.fromstring(document(*verbs(one)[verb])) for one in (text, "x"))
    assert [one.tag for one in hostile.iter()] == [one.tag for one in tame.iter()]


@given(st.text())
def test_what_a_document_says_is_what_it_was_given_as_far_as_xml_holds_it(text):
    (said,) = ElementTree.fromstring(document(twiml.say(text)))
    assert (said.text or "") == held(text).replace("\r\n", "\n").replace("\r", "\n")
    assert held(held(text)) == held(text)


@given(st.text(min_size=1))
def test_an_attribute_says_what_it_was_given(text):
    (dial,) = ElementTree.fromstring(document(twiml.dial(twiml.target("+1"), caller=text)))
    assert dial.get("callerId", "") == held(text)


def test_an_answer_says_that_it_is_xml():
    response = answer(twiml.hangup())
    assert response.content_type == "text/xml; charset=utf-8"
    assert response.body == b'<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'


def test_text_behind_a_tag_is_kept():
    written = document(Tag("Say", {}, ("a", Tag("break"), "b", "c")))
    assert b"<Say>a<break />bc</Say>" in written
