"""What both sides of a user agent share: names, ways out, and the checks at its edge."""

from __future__ import annotations

import random

import pytest

from offhook.sip.calls import Call, Calls, Settings, refuse_breaks
from offhook.sip.dialog import Dialog
from offhook.sip.locate import PORTS, wanted_transport
from offhook.sip.outcomes import Flow
from offhook.sip.uri import Uri

UDP = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5070))


def calls(**settings: object) -> Calls:
    return Calls(rng=random.Random(1), settings=Settings(**settings))  # type: ignore[arg-type]


def dialog(target: str, *routes: str) -> Dialog:
    return Dialog("c", "<sip:us>;tag=us", "<sip:far>;tag=far", "us", "far", target, routes)


def test_names_are_new_every_time():
    one = calls()
    names = [one.tag() for _ in range(100)] + [one.branch() for _ in range(100)]
    assert len(set(names)) == 200
    assert all(name.startswith("z9hG4bK") for name in names[100:])
    assert [one.number(), one.number()] == [1, 2]


def test_same_seed_same_names():
    assert [calls().tag(), calls().branch()] == [calls().tag(), calls().branch()]


def test_who_we_are():
    assert calls().contact(UDP) == "<sip:offhook@192.0.2.1:5060>"
    assert calls(user="u", host="2001:db8::1").contact(UDP) == "<sip:u@[2001:db8::1]:5060>"
    tcp = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000), 1)
    assert calls().contact(tcp) == "<sip:offhook@192.0.2.1:5060;transport=tcp>"
    assert str(calls(display="Front Desk").sender(UDP, None)) == '"Front Desk" <sip:offhook@192.0.2.1>'
    assert str(calls().sender(UDP, Uri("sip", "x", "y"))) == "<sip:x@y>"


@pytest.mark.parametrize(
    ("target", "routes", "remote", "transport"),
    [
        ("sip:far@192.0.2.77:5099", (), ("192.0.2.77", 5099), "udp"),
        ("sip:far@192.0.2.77", (), ("192.0.2.77", 5060), "udp"),
        ("sip:far@[2001:db8::7]:5", (), ("192.0.2.9", 5070), "udp"),
        ("sip:far@192.0.2.77;transport=TCP", (), ("192.0.2.77", 5060), "tcp"),
        ("sips:far@192.0.2.77", (), ("192.0.2.77", 5061), "tls"),
        ("sip:far@192.0.2.77;transport=sctp", (), ("192.0.2.9", 5070), "udp"),
        ("sip:far@far.example", (), ("192.0.2.9", 5070), "udp"),
        ("sip:far@known.example", (), ("192.0.2.33", 5060), "udp"),
        ("sip:far@192.0.2.77", ("<sip:known.example;lr>",), ("192.0.2.33", 5060), "udp"),
        ("tel:+15551234567", (), ("192.0.2.9", 5070), "udp"),
        ("sip:far@b@c", (), ("192.0.2.9", 5070), "udp"),
        ("sip:far@192.0.2.77", ("<sip:192.0.2.50:6000;lr>",), ("192.0.2.50", 6000), "udp"),
        ("sip:far@192.0.2.77", ("<sip:proxy.example;lr>",), ("192.0.2.9", 5070), "udp"),
    ],
)
def test_ways_out(target, routes, remote, transport):
    def way(uri: Uri) -> Flow | None:
        known = {"192.0.2.77": "192.0.2.77", "known.example": "192.0.2.33"}
        kind = wanted_transport(uri) or ("tls" if uri.scheme == "sips" else "udp")
        if uri.host not in known or kind not in PORTS:
            return None
        return Flow(kind, UDP.local, (known[uri.host], PORTS[kind]))

    flow = Calls(rng=random.Random(1), settings=Settings(), way=way).route(dialog(target, *routes), UDP)
    assert (flow.remote, flow.transport, flow.local) == (remote, transport, UDP.local)
    joining = Calls(rng=random.Random(1), settings=Settings(), way=way)
    joining.join(Call(joining.number(), UDP, "up", "t"), dialog(target, *routes))


@pytest.mark.survives(36)
@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "192.168.1.1", "inside.example"])
def test_a_contact_that_leads_inside_is_not_gone_to_from_outside(host):
    def way(uri: Uri) -> Flow | None:
        return Flow("udp", UDP.local, ("169.254.169.254", 80))

    room = Calls(rng=random.Random(1), settings=Settings(), way=way)
    assert room.route(dialog(f"sip:far@{host}"), UDP) is UDP
    assert room.route(dialog("sip:far@192.0.2.1", f"<sip:{host};lr>"), UDP) is UDP
    office = Flow("udp", ("10.0.0.1", 5060), ("10.0.0.9", 5060))
    assert room.route(dialog("sip:far@10.0.0.7"), office).remote == ("10.0.0.7", 5060), "among ourselves it is"
    assert room.route(dialog("sip:far@127.0.0.1"), office) is office


@pytest.mark.parametrize("routes", [(), ("<sips:far.example;lr>",)])
@pytest.mark.parametrize("natted", [False, True])
@pytest.mark.parametrize(
    "made_on",
    [
        UDP,
        Flow("tcp", UDP.local, UDP.remote, 3),
        Flow("ws", UDP.local, UDP.remote, 3),
        Flow("tcp", UDP.local, UDP.remote),
    ],
)
def test_a_sips_next_hop_never_gets_a_plain_flow(made_on, natted, routes):
    def inside(uri: Uri) -> Flow | None:
        return Flow("tls", UDP.local, ("10.0.0.7", 5061))

    for way in (lambda uri: None, inside):
        room = Calls(rng=random.Random(1), settings=Settings(), way=way)
        flow = room.route(dialog("sips:far.example", *routes), made_on, natted=natted)
        # Nobody but who has a certificate for the name is told anything there.
        assert flow == Flow("tls", UDP.local, (UDP.remote[0], 5061), 0, "far.example")
    secure = Flow("wss", UDP.local, UDP.remote, 3)
    assert calls().route(dialog("sips:far.example", *routes), secure, natted=natted) is secure


def test_a_stream_that_we_opened_is_kept_for_whoever_is_behind_it():
    tls = Flow("tls", ("192.0.2.1", 5061), ("192.0.2.9", 5061), 0, "trunk.example")
    assert calls().route(dialog("sip:far@192.0.2.9:5061;transport=tls"), tls) is tls
    assert calls().route(dialog("sip:far@192.0.2.9;transport=tls"), tls) is tls
    # Another address of the same far end must show the same certificate.
    assert calls().route(dialog("sip:far@192.0.2.8;transport=tls"), tls).name == "trunk.example"
    asked: list[str] = []

    def way(uri: Uri) -> None:
        asked.append(str(uri))

    Calls(rng=random.Random(1), settings=Settings(), way=way).route(dialog("sip:far@b2b.example"), tls)
    assert asked == ["sip:far@b2b.example;transport=tls"]


def test_ways_out_of_an_ipv6_socket():
    six = Flow("udp", ("2001:db8::1", 5060), ("2001:db8::9", 5070))
    assert calls().route(dialog("sip:far@[2001:db8::7]:5"), six).remote == ("2001:db8::7", 5)
    assert calls().route(dialog("sip:far@192.0.2.77:5"), six) is six


def test_ways_out_behind_nat_and_on_streams():
    assert calls().route(dialog("sip:far@10.0.0.7"), UDP, natted=True) is UDP
    routed = calls().route(dialog("sip:far@10.0.0.7", "<sip:192.0.2.50;lr>"), UDP, natted=True)
    assert routed.remote == ("192.0.2.50", 5060)
    stream = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40000), 3)
    assert calls().route(dialog("sip:far@192.0.2.77"), stream) is stream


def test_breaks_are_refused():
    refuse_breaks("X-Fine", 'anything else: ;,"')
    for name, value in (("X", "a\r\nb"), ("X", "a\nb"), ("X", "a\0b"), ("X Y", "a"), ("", "a"), ("X:", "a")):
        with pytest.raises(ValueError, match=r"break|name"):
            refuse_breaks(name, value)


def test_a_server_name_with_a_break_is_refused():
    with pytest.raises(ValueError, match="break"):
        calls(server="x\r\ny")
