"""Offer and answer of one stream of audio (RFC 3264, 3551, 4733, 6337)."""

from __future__ import annotations

import pytest

from offhook.core.codecs import G722, G729, L16, OPUS, PCMA, PCMU
from offhook.core.errors import ProtocolError
from offhook.sip.offer import accept_answer, answer_offer, make_offer
from offhook.sip.sdes import Keyring
from offhook.sip.sdp import Media, Session, parse_sdp


def session(*lines: str, head: str = "c=IN IP4 192.0.2.9") -> Session:
    return parse_sdp("\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", head, "t=0 0", *lines]).encode())


def answer(offer: Session, **more: object):
    return answer_offer(offer, address="192.0.2.1", port=10000, session_id=5, version=2, **more)  # type: ignore[arg-type]


def test_an_answer_to_the_byte():
    offer = session(
        "m=audio 4000 RTP/AVP 9 8 0 101 13",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
    )
    ours, plan = answer(offer)
    assert bytes(ours) == (
        b"v=0\r\no=- 5 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        b"m=audio 10000 RTP/AVP 8 13 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
    assert plan.send == (8, "PCMA")
    assert plan.receive == ((8, "PCMA"),)
    assert (plan.dtmf_send, plan.dtmf_receive, plan.noise_send, plan.noise_receive) == (101, 101, 13, 13)
    assert (plan.remote, plan.remote_rtcp) == (("192.0.2.9", 4000), ("192.0.2.9", 4001))
    assert (plan.ptime_ms, plan.sending, plan.receiving, plan.rtcp_mux) == (20, True, True, False)


def test_an_offer_to_the_byte():
    assert bytes(make_offer(address="2001:db8::1", port=10000, session_id=5, version=2)) == (
        b"v=0\r\no=- 5 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
        b"m=audio 10000 RTP/AVP 0 8 13 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
        b"a=rtcp-xr:voip-metrics\r\na=sendrecv\r\n"
    )


def test_the_offerer_chooses_the_order_and_we_the_codecs():
    offer = session("m=audio 4000 RTP/AVP 0 8")
    assert answer(offer)[1].send == (0, "PCMU")
    assert answer(session("m=audio 4000 RTP/AVP 8 0"))[1].send == (8, "PCMA")
    assert answer(offer, codecs=(PCMA,))[1].send == (8, "PCMA")
    with pytest.raises(ProtocolError) as refused:
        answer(session("m=audio 4000 RTP/AVP 0"), codecs=(PCMA,))
    assert refused.value.code == 488


def test_g722_has_the_clock_of_half_its_rate_and_its_static_number():
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0 9"), codecs=(G722, PCMU))
    assert plan.send == (0, "PCMU"), "the offerer chooses"
    ours, plan = answer(session("m=audio 4000 RTP/AVP 9 0"), codecs=(G722, PCMU))
    assert b"a=rtpmap:9 G722/8000\r\n" in bytes(ours)
    assert plan.send == (9, "G722")
    offer = make_offer(address="192.0.2.1", port=10000, session_id=5, version=2, codecs=(G722, PCMU))
    assert b"m=audio 10000 RTP/AVP 9 0 13 101\r\n" in bytes(offer)
    plan = accept_answer(offer, session("m=audio 4000 RTP/AVP 0"))
    assert plan.send == (0, "PCMU")
    assert plan.receive == ((9, "G722"), (0, "PCMU"))


def test_linear_audio_is_told_by_its_rate_and_its_packets_fit_a_frame():
    offer = session("m=audio 4000 RTP/AVP 96 97", "a=rtpmap:96 L16/44100", "a=rtpmap:97 L16/48000", "a=ptime:20")
    _, plan = answer(offer, codecs=L16)
    assert (plan.send, plan.ptime_ms) == ((97, "L16/48000"), 10)
    stereo = session("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 L16/16000/2")
    with pytest.raises(ProtocolError):
        answer(stereo, codecs=L16)


def test_opus_says_what_it_takes_and_heeds_what_the_far_end_asks_for():
    browser = session(
        "m=audio 4000 RTP/AVP 111 9 0 110 126 13",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1; maxaveragebitrate=20000;stereo=x;usedtx=9999999",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
    )
    ours, plan = answer(browser, codecs=(OPUS, PCMU))
    assert plan.send == (111, "opus;useinbandfec=1;maxaveragebitrate=20000")
    assert plan.receive == ((111, "opus"),)
    assert (plan.dtmf_send, plan.dtmf_hz, plan.noise_send) == (110, 48000, None)
    assert ours.media[0].formats == ("111", "110")
    assert b"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=0;" in bytes(ours)
    assert b"a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-15\r\n" in bytes(ours)
    assert answer(browser, codecs=(PCMU,))[1].dtmf_send == 126


G729_SAID = b"a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"


@pytest.mark.parametrize("asked", ["annexb=no", "annexb=yes", "annexb=Yes;x", ""])
def test_g729_is_without_annex_b_whatever_is_offered(asked):
    # RFC 7261 section 3: who does not use it says so, to whom offers it as well as to whom says nothing of it.
    offer = session("m=audio 4000 RTP/AVP 18 0 13", f"a=fmtp:18 {asked}", "a=ptime:30")
    ours, plan = answer(offer, codecs=(PCMU, G729))
    assert ours.media[0].formats == ("18", "13")
    assert G729_SAID in bytes(ours)
    assert (plan.send, plan.receive, plan.ptime_ms) == ((18, "G729"), ((18, "G729"),), 30)
    assert answer(offer)[1].send == (0, "PCMU"), "it is taken where it was asked for"


@pytest.mark.parametrize("said", ["annexb=no", "annexb=yes", ""])
def test_g729_is_offered_without_annex_b_and_sent_so_whatever_is_answered(said):
    offer = make_offer(address="192.0.2.1", port=10000, session_id=5, version=2, codecs=(G729, PCMU))
    assert b"m=audio 10000 RTP/AVP 18 0 13 101\r\n" in bytes(offer)
    assert G729_SAID in bytes(offer)
    plan = accept_answer(offer, session("m=audio 4000 RTP/AVP 18", f"a=fmtp:18 {said}"))
    assert plan.send == (18, "G729")


def test_keys_run_on_the_clock_of_the_codec_that_an_answer_takes():
    offer = make_offer(address="192.0.2.1", port=10000, session_id=5, version=2, codecs=(OPUS, G722, PCMU))
    assert offer.media[0].formats == ("102", "9", "0", "13", "101", "110")
    both = ("a=rtpmap:97 telephone-event/8000", "a=rtpmap:98 telephone-event/48000")
    wide = accept_answer(offer, session("m=audio 4000 RTP/AVP 102 98 97", "a=rtpmap:102 OPUS/48000/2", *both))
    assert (wide.send, wide.dtmf_send, wide.dtmf_receive, wide.dtmf_hz) == ((102, "opus"), 98, 110, 48000)
    narrow = accept_answer(offer, session("m=audio 4000 RTP/AVP 0 98 97", *both))
    assert (narrow.dtmf_send, narrow.dtmf_receive, narrow.dtmf_hz) == (97, 101, 8000)
    only = accept_answer(offer, session("m=audio 4000 RTP/AVP 102 97", "a=rtpmap:102 opus/48000/2", both[0]))
    assert (only.dtmf_send, only.dtmf_receive, only.dtmf_hz) == (97, 101, 8000)


@pytest.mark.parametrize(("asked", "given"), [(10, 10), (20, 20), (30, 20), (40, 40), (50, 20), (60, 60), (120, 20)])
def test_opus_is_sent_in_packets_that_it_has(asked, given):
    offer = session("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/2", f"a=ptime:{asked}")
    assert answer(offer, codecs=(OPUS,))[1].ptime_ms == given


def test_dynamic_numbers_are_the_offers():
    offer = session("m=audio 4000 RTP/AVP 97 98", "a=rtpmap:97 pcmu/8000/1", "a=rtpmap:98 telephone-event/8000")
    ours, plan = answer(offer)
    assert ours.media[0].formats == ("97", "98")
    assert (plan.send, plan.dtmf_send) == ((97, "PCMU"), 98)


def test_what_was_not_offered_is_not_answered():
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0"))
    assert ours.media[0].formats == ("0",)
    assert (plan.dtmf_send, plan.noise_send) == (None, None)


def test_events_at_another_clock_are_not_ours():
    offer = session(
        "m=audio 4000 RTP/AVP 0 96 97", "a=rtpmap:96 telephone-event/48000", "a=rtpmap:97 telephone-event/8000"
    )
    assert answer(offer)[1].dtmf_send == 97
    assert answer(session("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/48000"))[1].dtmf_send is None


def test_an_rtpmap_wins_over_the_static_number():
    with pytest.raises(ProtocolError):
        answer(session("m=audio 4000 RTP/AVP 0", "a=rtpmap:0 opus/48000/2"))


@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/AVPF"])
def test_the_profile_is_the_offers(profile):
    ours, _ = answer(session(f"m=audio 4000 {profile} 0"))
    assert ours.media[0].protocol == profile


@pytest.mark.parametrize("profile", ["RTP/SAVP", "RTP/SAVPF"])
def test_a_secure_profile_needs_srtp(profile):
    offer = session(f"m=audio 4000 {profile} 0")
    with pytest.raises(ProtocolError) as refused:
        answer(offer)
    assert refused.value.code == 488
    with pytest.raises(ProtocolError, match="there is none"):
        answer(offer, srtp="optional", ring=Keyring(bytes))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=video 4000 RTP/AVP 31",),
        ("m=audio 0 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 9 18",),
        ("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"),
        ("m=audio 4000 TCP/RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP x -1 999",),
    ],
)
def test_nothing_fits(lines):
    with pytest.raises(ProtocolError) as refused:
        answer(session(*lines))
    assert refused.value.code == 488


def test_other_streams_are_declined_in_their_places():
    offer = session(
        "m=video 4002 RTP/AVP 31 34",
        "a=rtpmap:31 H261/90000",
        "m=audio 4000 RTP/AVP 9",
        "m=audio 4004 RTP/AVP 0",
        "m=audio 4006 RTP/AVP 8",
        "m=application 9 DTLS/SCTP webrtc",
    )
    ours, plan = answer(offer)
    assert [(media.kind, media.port, media.protocol, media.formats) for media in ours.media] == [
        ("video", 0, "RTP/AVP", ("31", "34")),
        ("audio", 0, "RTP/AVP", ("9",)),
        ("audio", 10000, "RTP/AVP", ("0",)),
        ("audio", 0, "RTP/AVP", ("8",)),
        ("application", 0, "DTLS/SCTP", ("webrtc",)),
    ]
    assert plan.remote == ("192.0.2.9", 4004)


@pytest.mark.parametrize(
    ("offered", "answered", "sending", "receiving"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", False, True),
        ("recvonly", "sendonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
def test_directions_are_mirrored(offered, answered, sending, receiving):
    for offer in (session("m=audio 4000 RTP/AVP 0", f"a={offered}"), session(f"a={offered}", "m=audio 4000 RTP/AVP 0")):
        ours, plan = answer(offer)
        assert ours.direction(ours.media[0]) == answered
        assert (plan.sending, plan.receiving) == (sending, receiving)


def test_we_may_want_less_than_is_offered():
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0"), direction="sendonly")
    assert ours.direction(ours.media[0]) == "sendonly"
    assert (plan.sending, plan.receiving) == (True, False)
    ours, _ = answer(session("m=audio 4000 RTP/AVP 0", "a=sendonly"), direction="sendonly")
    assert ours.direction(ours.media[0]) == "inactive"


def test_an_old_hold_is_a_hold():
    offer = session("m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0")
    ours, plan = answer(offer)
    assert ours.direction(ours.media[0]) == "recvonly"
    assert (plan.remote, plan.remote_rtcp, plan.sending, plan.receiving) == (None, None, False, True)


def test_a_name_for_an_address_is_left_to_symmetric_rtp():
    _, plan = answer(session("m=audio 4000 RTP/AVP 0", head="c=IN IP4 media.example"))
    assert (plan.remote, plan.sending) == (None, True)


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [
        ((), 20),
        (("a=ptime:30",), 30),
        (("a=ptime:30", "a=maxptime:20"), 20),
        (("a=ptime:20", "a=maxptime:10"), 10),
        (("a=ptime:200",), 20),
        (("a=ptime:0",), 20),
        (("a=ptime:12.5",), 20),
        (("a=ptime:-20",), 20),
        (("a=ptime:",), 20),
        (("a=maxptime:5",), 10),
    ],
)
def test_packet_times(lines, ptime):
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0", *lines))
    assert plan.ptime_ms == ptime
    assert ours.media[0].attribute("ptime") == str(ptime)


@pytest.mark.parametrize(
    ("lines", "rtcp", "mux"),
    [
        (("a=rtcp:4999",), ("192.0.2.9", 4999), False),
        (("a=rtcp:4999 IN IP4 192.0.2.10",), ("192.0.2.10", 4999), False),
        (("a=rtcp:x",), ("192.0.2.9", 4001), False),
        (("a=rtcp:0",), ("192.0.2.9", 4001), False),
        (("a=rtcp:99999",), ("192.0.2.9", 4001), False),
        (("a=rtcp-mux",), ("192.0.2.9", 4000), True),
    ],
)
def test_where_rtcp_goes(lines, rtcp, mux):
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0", *lines))
    assert (plan.remote_rtcp, plan.rtcp_mux) == (rtcp, mux)
    assert (ours.media[0].attribute("rtcp-mux") is not None) == mux


def test_the_mid_is_given_back():
    ours, _ = answer(session("a=group:BUNDLE 0", "m=audio 4000 RTP/AVP 0", "a=mid:0"))
    assert ours.media[0].attribute("mid") == "0"
    assert ours.attribute("group") == "BUNDLE 0"


def test_a_bundle_of_an_answer_has_only_what_is_taken():
    ours, _ = answer(
        session(
            "a=group:BUNDLE 0 1",
            "a=group:LS 0 1",
            "m=audio 4000 RTP/AVP 0",
            "a=mid:0",
            "m=video 4002 RTP/AVP 31",
            "a=mid:1",
        )
    )
    assert [value for _, value in ours.lines if value.startswith("group")] == ["group:BUNDLE 0"]
    assert ours.media[1] == Media("video", 0, "RTP/AVP", ("31",), (("a", "mid:1"),))


def test_a_bundle_whose_audio_has_no_mid_is_not_taken():
    ours, _ = answer(session("a=group:BUNDLE 0 1", "m=audio 4000 RTP/AVP 0"))
    assert ours.attribute("group") is None


def test_a_declined_section_may_be_without_formats():
    offer = session("m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP")
    assert bytes(answer(offer)[0]).endswith(b"m=video 0 RTP/AVP\r\n")
    assert parse_sdp(bytes(offer)) == offer


# --- their answer to our offer

OURS = make_offer(address="192.0.2.1", port=10000, session_id=1, version=1)


def test_an_answer_is_taken_with_its_numbers_and_ours():
    theirs = session("m=audio 4000 RTP/AVP 118 99", "a=rtpmap:118 PCMA/8000", "a=rtpmap:99 telephone-event/8000")
    plan = accept_answer(OURS, theirs)
    assert plan.send == (118, "PCMA")
    assert plan.receive == ((0, "PCMU"), (8, "PCMA"))
    assert (plan.dtmf_send, plan.dtmf_receive) == (99, 101)
    assert (plan.noise_send, plan.noise_receive) == (None, None)
    assert plan.remote == ("192.0.2.9", 4000)


@pytest.mark.parametrize(
    ("direction", "sending", "receiving"),
    [("sendrecv", True, True), ("recvonly", True, False), ("sendonly", False, True), ("inactive", False, False)],
)
def test_the_direction_of_an_answer_is_theirs(direction, sending, receiving):
    plan = accept_answer(OURS, session("m=audio 4000 RTP/AVP 0", f"a={direction}"))
    assert (plan.sending, plan.receiving) == (sending, receiving)


def test_an_answer_at_hold():
    plan = accept_answer(OURS, session("m=audio 4000 RTP/AVP 0", head="c=IN IP4 0.0.0.0"))
    assert (plan.remote, plan.sending) == (None, False)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=audio 0 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 18",),
        ("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"),
        ("m=audio 4000 RTP/SAVP 0",),
        ("m=video 4000 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0"),
    ],
)
def test_answers_that_break_the_rules(lines):
    with pytest.raises(ProtocolError) as refused:
        accept_answer(OURS, session(*lines))
    assert refused.value.code == 488


def test_an_answer_may_not_turn_secure():
    theirs = session("m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40)
    with pytest.raises(ProtocolError):
        accept_answer(OURS, theirs)
    with pytest.raises(ProtocolError, match="none of our keys"):
        accept_answer(Session(OURS.lines, (Media("audio", 10000, "RTP/SAVP", ("0",), ()),)), theirs)


def test_both_ends_agree():
    for codecs in ((PCMU,), (PCMA,), (PCMU, PCMA), (PCMA, PCMU)):
        offer = make_offer(address="192.0.2.1", port=10000, codecs=codecs, session_id=1, version=1)
        theirs, plan = answer_offer(offer, address="192.0.2.2", port=20000, session_id=2, version=1)
        back = accept_answer(offer, theirs)
        assert back.send == plan.send
        assert plan.send in back.receive
        assert back.remote == ("192.0.2.2", 20000)
        assert plan.remote == ("192.0.2.1", 10000)
        assert back.dtmf_send == plan.dtmf_receive == 101
        assert back.noise_send == plan.noise_receive == 13


def test_extended_reports_are_answered_where_they_are_offered_and_meant():
    for line, agreed in [
        ("a=rtcp-xr:voip-metrics", True),
        ("a=rtcp-xr:rcvr-rtt=all:10000 Voip-Metrics", True),
        ("a=rtcp-xr:pkt-loss-rle", False),
        ("a=rtcp-xr", False),
        ("a=sendrecv", False),
    ]:
        ours, plan = answer(session("m=audio 4000 RTP/AVP 0", line))
        assert plan.rtcp_extended is agreed
        assert ours.media[0].attributes("rtcp-xr") == (["voip-metrics"] if agreed else [])


def test_extended_reports_are_sent_where_the_answer_wants_them():
    offer = make_offer(address="192.0.2.1", port=10000, session_id=5, version=2)
    assert not accept_answer(offer, session("m=audio 4000 RTP/AVP 0")).rtcp_extended
    assert accept_answer(offer, session("m=audio 4000 RTP/AVP 0", "a=rtcp-xr:voip-metrics")).rtcp_extended


def test_reduced_size_is_only_as_agreed():
    ours, plan = answer(session("m=audio 4000 RTP/AVP 0", "a=rtcp-rsize"))
    assert plan.rtcp_reduced
    assert ours.media[0].attribute("rtcp-rsize") == ""
    assert not answer(session("m=audio 4000 RTP/AVP 0"))[1].rtcp_reduced
    offer = make_offer(address="192.0.2.1", port=10000, session_id=5, version=2)
    assert not accept_answer(offer, session("m=audio 4000 RTP/AVP 0", "a=rtcp-rsize")).rtcp_reduced, "not offered"
