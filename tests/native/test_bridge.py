"""Two far ends joined in the media plane: in virtual time on bare Ports, and on the threads of an Engine."""

from __future__ import annotations

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
    """Two Ports that are joined as an engine joins them."""

    ends: tuple[Rig, Rig] = field(default_factory=lambda: (Rig(port(1)), Rig(port(2))))

    def join(self) -> None:
        for end in self.ends:
            end.port.relay(True)

    def part(self) -> None:
        for end in self.ends:
            end.port.relay(False)

    def run(self, ms: int) -> None:
        """Let time pass in steps, carrying over what was heard."""
        for _ in range(ms):
            for here, there in (self.ends, self.ends[::-1]):
                due = here.now + MS
                if wanted := here.port.wants(due):
                    here.port.feed(due, there.port.pull(*wanted))
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
    pair.say(0, tone(400, 300, 3000))
    heard = audio(ours)
    assert max(heard) > 4500, "both at once are louder than either"
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
    assert set(audio(pair.ends[1])[before:]) <= {0}
    assert pair.ends[0].port.pull(pair.ends[0].now, 20) == b""


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
    engine.bridge(one, two)
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
    engine.bridge(one, two)
    far_engine.listen(caller, "all")
    far_engine.play(clerk, 1, noise(200, 6), 8000)
    heard_by(far_engine, caller, 8 * 150)
    engine.unbridge(two)
    engine.play(one, 1, noise(200, 7), 8000)
    heard_by(far_engine, caller, 8 * 150)
    assert set(engine.close(one)) == set(engine.close(two)) != set()
    assert engine.totals()["ports"] == 0


def test_closing_one_end_parts_the_other(engine, far_engine):
    one, _ = connect(engine, far_engine)
    two, clerk = connect(engine, far_engine)
    engine.bridge(one, two)
    engine.close(one)
    far_engine.listen(clerk, "all")
    engine.play(two, 1, noise(200, 8), 8000)
    heard_by(far_engine, clerk, 8 * 150)
    engine.bridge(one, two)  # one is gone: nothing happens
    engine.unbridge(one)


def test_a_port_is_not_joined_with_itself_or_across_threads(engine):
    one, _ = engine.open(ssrc=1, sequence=0, timestamp=0)
    with pytest.raises(ValueError, match="not two of one thread"):
        engine.bridge(one, one)
    crowd = native.Engine(ip="127.0.0.1", first_port=25000, last_port=25100, threads=2)
    first, _ = crowd.open(ssrc=1, sequence=0, timestamp=0)
    second, _ = crowd.open(ssrc=2, sequence=0, timestamp=0)
    with pytest.raises(ValueError, match="not two of one thread"):
        crowd.bridge(first, second)
    crowd.shutdown()
