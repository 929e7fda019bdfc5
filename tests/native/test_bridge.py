"""Two far ends joined in the media plane: in virtual time on bare Ports, and on the threads of an Engine."""

from __future__ import annotations

import cmath
import math
import random
import select
import struct
import time
from dataclasses import dataclass, field

import pytest

from offhook import _native as native
from tests.native.conftest import MS, Rig, tone


def port(number: int) -> native.Port:
    return native.Port(ssrc=number, sequence=0, timestamp=0, number=number)


@dataclass
class Pair:
    """Ports that hear each other as an engine lets them: two, and more where it is said."""

    ends: tuple[Rig, ...] = field(default_factory=lambda: (Rig(port(1)), Rig(port(2))))

    def join(self) -> None:
        for end in range(len(self.ends)):
            self.hear(end, [(other, "far", 0.0) for other in range(len(self.ends)) if other != end])

    def hear(self, end: int, heard: list[tuple[int, str, float]]) -> None:
        self.ends[end].port.mix(heard)
        wanted = {other for one in self.ends for other, _ in one.port.mixed()}
        for number, one in enumerate(self.ends):
            one.port.relay(number in wanted)

    def part(self) -> None:
        for end in range(len(self.ends)):
            self.hear(end, [])

    def run(self, ms: int) -> None:
        """Let time pass in steps, carrying over what was heard."""
        for _ in range(ms):
            for here in self.ends:
                due = here.now + MS
                if wanted := here.port.wants(due):
                    for other, side in here.port.mixed():
                        there = self.ends[other].port
                        here.port.feed(due, other, there.pull(*wanted, side), there.rate_hz, side)
                here.run(1)

    def say(self, end: int, pcm: bytes, *, codec: str = "PCMU") -> None:
        """Let one far end speak in packets of 20 ms."""
        rig = self.ends[end]
        number = {"PCMU": 0, "PCMA": 8}[codec]
        for at in range(0, len(pcm), 320):
            self.run(20)
            rig.give(rig.next(native.encode(codec, pcm[at : at + 320]), number))


def audio(rig: Rig, codec: str = "PCMU") -> list[int]:
    """What a far end got, as samples."""
    pcm = b"".join(native.decode(codec, packet.payload) for _, packet in rig.sent if packet.payload_type in (0, 8))
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def likeness(heard: list[int], said: list[int], slack: int = 2400) -> float:
    """The best correlation of what was said with what was heard, shifted by at most so many samples."""
    best = 0.0
    norm = sum(x * x for x in said) ** 0.5
    for shift in range(0, max(1, min(slack, len(heard) - len(said) + 1)), 8):
        piece = heard[shift : shift + len(said)]
        power = sum(x * x for x in piece) ** 0.5
        if power:
            best = max(best, sum(a * b for a, b in zip(piece, said, strict=False)) / (norm * power))
    return best


def samples(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def noise(ms: int, seed: int) -> bytes:
    rng = random.Random(seed)
    return struct.pack(f"<{ms * 8}h", *(rng.randrange(-8000, 8000) for _ in range(ms * 8)))


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    for end in made.ends:
        end.configure()
    return made


def test_each_hears_the_other_whichever_codec_it_has(pair):
    pair.ends[1].configure(2, send=(8, "PCMA"))
    pair.join()
    one, two = noise(400, 1), noise(400, 2)
    pair.say(0, one)
    pair.run(200)
    assert likeness(audio(pair.ends[1], "PCMA"), samples(one)) > 0.99
    before = len(audio(pair.ends[0]))
    pair.say(1, two, codec="PCMA")
    pair.run(200)
    assert likeness(audio(pair.ends[0])[before:], samples(two)) > 0.99


def test_jitter_does_not_tear_what_passes(pair):
    pair.join()
    said = noise(1000, 3)
    pair.run(7)
    # Packets 5, 12 and 30 come 40 ms late, with those behind them at once: what a busy link does.
    rig = pair.ends[0]
    packets = [native.encode("PCMU", said[at : at + 320]) for at in range(0, len(said), 320)]
    due = {n: 20 * n + (40 - 20 * (n % 3) if n // 3 in (2, 4, 10) else 0) for n in range(len(packets))}
    now = 0
    for n, at in sorted(due.items(), key=lambda item: (item[1], item[0])):
        pair.run(at - now)
        now = at
        rig.give(rig.next(packets[n]))
    pair.run(300)
    heard = audio(pair.ends[1])
    pieces = [samples(said)[at : at + 800] for at in range(0, 8000, 800)]
    whole = [piece for piece in pieces if likeness(heard, piece, len(heard)) > 0.95]
    assert len(whole) >= 8, "but for where it waited, and the delay that this cost"
    assert rig.port.counters()["relay_late"] <= 4


def test_a_lost_packet_is_a_concealed_one(pair):
    pair.join()
    said = tone(1000)
    rig = pair.ends[0]
    for n, at in enumerate(range(0, len(said), 320)):
        pair.run(20)
        packet = rig.next(native.encode("PCMU", said[at : at + 320]))
        if n != 20:
            rig.give(packet)
    pair.run(300)
    heard = audio(pair.ends[1])
    loud = [max(abs(x) for x in heard[at : at + 160]) for at in range(0, len(heard) - 160, 160)]
    first = next(n for n, peak in enumerate(loud) if peak > 4000)
    assert all(peak > 4000 for peak in loud[first + 1 : first + 48]), "no gap where the packet was"


def test_a_clock_that_runs_fast_leaves_no_lasting_delay(pair):
    pair.join()
    rig = pair.ends[0]
    for _ in range(600):
        pair.run(19)
        rig.give(rig.next(native.encode("PCMU", tone(20))))
    assert rig.port.counters()["relay_shortened"] >= 10
    assert rig.port.counters()["relay_refused"] == 0


def test_what_we_play_is_mixed_in_and_keys_go_before(pair):
    pair.join()
    ours, theirs = pair.ends[1], pair.ends[0]
    ours.port.play(ours.now, 1, tone(400, 1000, 3000), 8000)
    pair.say(0, tone(400, 300, 8000))
    heard = audio(ours)
    assert max(heard) > 4500, "both at once are louder than either"
    assert max(heard[1600:3000]) < 6000, "and people are lower under it"
    ours.port.press(ours.now, "5")
    pair.say(0, tone(400, 300, 3000))
    assert any(packet.payload_type == 101 for _, packet in ours.sent)
    assert not any(packet.payload_type == 101 for _, packet in theirs.sent)


def test_after_it_nothing_passes(pair):
    pair.join()
    pair.say(0, tone(200))
    pair.part()
    before = len(audio(pair.ends[1]))
    pair.say(0, tone(200))
    pair.run(100)
    assert set(audio(pair.ends[1])[before + 160 :]) <= {0}
    assert pair.ends[0].port.pull(pair.ends[0].now, 20) == b""


# --- more than two


@pytest.fixture
def room() -> Pair:
    """Give three people whose grids lie apart, one of them wideband, another with long packets."""
    made = Pair(tuple(Rig(port(number)) for number in (1, 2, 3)))
    wide = {"send": (97, "L16/16000"), "receive": ((97, "L16/16000"),)}
    for number, (end, plan) in enumerate(zip(made.ends, ({}, wide, {"ptime_ms": 30}), strict=True)):
        end.run(7 * number)
        end.configure(**plan)
    made.ends[0].now = made.ends[1].now = made.ends[2].now
    return made


VOICES = (400, 700, 1100)
"""Each person's own pitch, Hz."""


def all_say(room: Pair, said: dict[int, bytes]) -> None:
    """Let several speak at once, each at its own rate; and wait until all of it was heard."""
    for at in range(0, max(len(pcm) for pcm in said.values()), 320):
        room.run(20)
        for end, pcm in said.items():
            rig = room.ends[end]
            if rig.port.rate_hz == 16000:
                piece = samples(pcm[2 * at : 2 * at + 640])
                rig.give(rig.next(struct.pack(f">{len(piece)}h", *piece), 97, step=320))
            elif piece := pcm[at : at + 320]:
                rig.give(rig.next(native.encode("PCMU", piece)))
    room.run(200)


def speak(room: Pair, *ends: int) -> None:
    """Let these speak for 600 ms, each with its pitch."""
    all_say(room, {end: tone(600, VOICES[end], 8000, room.ends[end].port.rate_hz) for end in ends})


def heard_at_8k(rig: Rig) -> list[int]:
    """What a far end got since the last time that was asked, at 8 kHz."""
    wide = b"".join(packet.payload for _, packet in rig.sent if packet.payload_type == 97)
    heard = list(struct.unpack(f">{len(wide) // 2}h", wide))[::2] or audio(rig)
    rig.sent.clear()
    return heard


def pitches(heard: list[int]) -> list[bool]:
    """Whom of the three one hears, by correlation with the pitch of each."""
    middle = heard[1200:3600]
    turns = [sum(x * cmath.exp(-2j * math.pi * hz * n / 8000) for n, x in enumerate(middle)) for hz in VOICES]
    levels = [2 * abs(turn) / len(middle) for turn in turns]
    assert all(not 200 < level < 6000 for level in levels), f"as loud as it was, or not at all: {levels}"
    return [level > 6000 for level in levels]


def test_each_of_three_hears_the_two_others_and_not_itself(room):
    room.join()
    speak(room, 0, 1, 2)
    assert [pitches(heard_at_8k(rig)) for rig in room.ends] == [
        [False, True, True],
        [True, False, True],
        [True, True, False],
    ]


@pytest.mark.parametrize(("hears", "way"), [((0,), "whisper"), ((), "listen"), ((0, 1), "barge")])
def test_a_whisper_is_heard_by_one_a_listener_by_none_and_who_barges_in_by_all(room, hears, way):
    for end in range(2):
        room.hear(end, [(1 - end, "far", 0.0)] + ([(2, "far", 0.0)] if end in hears else []))
    room.hear(2, [(0, "far", 0.0), (1, "far", 0.0)])
    speak(room, 0, 2)
    assert pitches(heard_at_8k(room.ends[0])) == [False, False, 0 in hears], way
    assert pitches(heard_at_8k(room.ends[1])) == [True, False, 1 in hears], way
    assert pitches(heard_at_8k(room.ends[2])) == [True, False, False], way


def test_who_listens_in_hears_what_we_play_to_another(room):
    room.hear(2, [(0, "far", 0.0), (0, "ours", 0.0)])
    said = noise(400, 11)
    room.ends[0].port.play(room.ends[0].now, 1, said, 8000)
    room.run(700)
    assert likeness(heard_at_8k(room.ends[2]), samples(said)[:2400]) > 0.9
    assert likeness(heard_at_8k(room.ends[0]), samples(said)[:2400]) > 0.9


def test_who_joins_leaves_or_is_made_louder_makes_no_click(room):
    hum = tone(1200, 200, 8000)
    room.hear(0, [(2, "far", 0.0)])
    steps = {200: [(1, "far", 0.0), (2, "far", 0.0)], 500: [(1, "far", 6.0), (2, "far", -20.0)], 800: [(2, "far", 0.0)]}
    rig = room.ends[2]
    for ms in range(0, 1200, 20):
        if ms in steps:
            room.hear(0, steps[ms])
        room.run(20)
        rig.give(rig.next(native.encode("PCMU", hum[ms * 16 : ms * 16 + 320])))
    heard = heard_at_8k(room.ends[0])
    steepest = max(abs(b - a) for a, b in zip(heard[400:-400], heard[401:-400], strict=False))
    assert steepest < 8000 * 0.157 * 1.25 + 300, "no steeper than the tone itself, but for its codec"


def test_three_at_full_scale_are_loud_and_not_torn(room):
    room.join()
    loud = tone(500, 300, 32000)
    all_say(room, {0: loud, 2: loud})
    heard = heard_at_8k(room.ends[1])
    assert max(heard) > 27000
    steepest = max(abs(b - a) for a, b in zip(heard, heard[1:], strict=False))
    assert steepest < 20000, "a sum that wrapped would fall by 65536"


def test_the_tape_has_each_person_alone_and_beside_it_all_that_it_heard(room):
    room.join()
    room.ends[0].port.tape(True)
    said = {0: noise(600, 21), 2: noise(600, 22)}
    all_say(room, said)
    room.run(1500)
    taped = samples(b"".join(event.pcm for event in room.ends[0].events(native.Taped)))
    far, ours = taped[::2], taped[1::2]
    alone, other = (samples(pcm)[:3200] for pcm in said.values())
    assert likeness(far, alone, 4000) > 0.95
    assert likeness(far, other, 4000) < 0.2
    assert likeness(ours, other, 4000) > 0.9


def test_more_than_a_room_holds_and_what_is_no_level_are_refused(room):
    rig = room.ends[0]
    with pytest.raises(ValueError, match="16 sides"):
        rig.port.mix([(number, "far", 0.0) for number in range(2, 19)])
    with pytest.raises(ValueError, match="dB"):
        rig.port.mix([(2, "far", 40.0)])
    with pytest.raises(ValueError, match="not a side"):
        rig.port.mix([(2, "near", 0.0)])


# --- on the engine's threads


@pytest.fixture
def far_engine():
    engine = native.Engine(ip="127.0.0.1", first_port=24000, last_port=24999)
    yield engine
    engine.shutdown()


def connect(near, far) -> tuple[int, int]:
    """Open a port on each engine and let them know each other."""
    ours, our_port = near.open(ssrc=1, sequence=0, timestamp=0)
    theirs, their_port = far.open(ssrc=2, sequence=0, timestamp=0)
    for engine, number, port in ((near, ours, their_port), (far, theirs, our_port)):
        engine.configure(
            number,
            1,
            remote=("127.0.0.1", port),
            remote_rtcp=None,
            send=(0, "PCMU"),
            receive=((0, "PCMU"),),
            dtmf_send=101,
            dtmf_receive=101,
        )
    return ours, theirs


def join(engine, *ports: int) -> None:
    """Let everybody hear everybody else."""
    for port in ports:
        engine.mix(port, [(other, "far", 0.0) for other in ports if other != port])


def heard_by(engine, number: int, wanted: int, seconds: float = 8.0) -> list[int]:
    """Collect audio until there is so much of it that is not silence."""
    out: list[int] = []
    deadline = time.monotonic() + seconds
    while sum(x != 0 for x in out) < wanted:
        left = deadline - time.monotonic()
        assert left > 0, f"{sum(x != 0 for x in out)} of {wanted} samples came"
        if select.select([engine.fileno()], [], [], min(left, 0.05))[0]:
            for event in engine.drain():
                if isinstance(event, native.Heard) and event.port == number:
                    out += samples(event.pcm)
    return out


def block(seconds: float) -> None:
    """Keep Python busy, as a callback that does not return."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_python_that_does_nothing_for_a_while_bends_nothing(engine, far_engine):
    one, caller = connect(engine, far_engine)
    two, clerk = connect(engine, far_engine)
    join(engine, one, two)
    far_engine.listen(clerk, "all")
    said = noise(1200, 5)
    assert far_engine.play(caller, 1, said, 8000) == len(said)
    block(0.3)
    heard = heard_by(far_engine, clerk, 8 * 1100)
    assert likeness(heard, samples(native.decode("PCMU", native.encode("PCMU", said)))[: 8 * 1000], 8000) > 0.9
    assert engine.counters(one)["relay_refused"] == 0


def test_parting_gives_each_back(engine, far_engine):
    one, caller = connect(engine, far_engine)
    two, clerk = connect(engine, far_engine)
    join(engine, one, two)
    far_engine.listen(caller, "all")
    far_engine.play(clerk, 1, noise(200, 6), 8000)
    heard_by(far_engine, caller, 8 * 150)
    engine.part(two)
    engine.play(one, 1, noise(200, 7), 8000)
    heard_by(far_engine, caller, 8 * 150)
    assert set(engine.close(one)) == set(engine.close(two)) != set()
    assert engine.totals()["ports"] == 0


def test_closing_one_end_parts_the_other(engine, far_engine):
    one, _ = connect(engine, far_engine)
    two, clerk = connect(engine, far_engine)
    join(engine, one, two)
    engine.close(one)
    far_engine.listen(clerk, "all")
    engine.play(two, 1, noise(200, 8), 8000)
    heard_by(far_engine, clerk, 8 * 150)
    join(engine, one, two)  # one is gone: nothing happens
    engine.part(one)


def test_a_port_is_not_joined_with_itself_or_across_threads(engine):
    one, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    with pytest.raises(ValueError, match="not two of one thread"):
        engine.mix(one, [(one, "far", 0.0)])
    crowd = native.Engine(ip="127.0.0.1", first_port=25000, last_port=25100, threads=2)
    first, _ = crowd.open(ssrc=1, sequence=0, timestamp=0)
    second, _ = crowd.open(ssrc=2, sequence=0, timestamp=0)
    with pytest.raises(ValueError, match="not two of one thread"):
        crowd.mix(first, [(second, "far", 0.0)])
    crowd.shutdown()
