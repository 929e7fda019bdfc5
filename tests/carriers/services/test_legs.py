"""A leg of each media socket keeps the contract of legs, 150 ms away: its carriage is true of its dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from carriers.services import tongues
from offhook.carriers.services.asterisk import AudioSocketDialect, WebSocketDialect
from offhook.carriers.services.freeswitch import AudioForkDialect, AudioStreamDialect
from offhook.carriers.services.genesys import AudioHookDialect
from offhook.carriers.services.jambonz.media import JambonzDialect
from offhook.carriers.services.stream import Dialect, Encoding
from offhook.testing.carriers.farend import Tongue
from offhook.testing.carriers.pairs import stream_pair
from offhook.testing.legs import Pair, check_leg
from offhook.testing.world import World

NARROW, WIDE, PCMU = Encoding("L16", 8000), Encoding("L16", 16000), Encoding()
SOCKETS: dict[str, tuple[Callable[[], Dialect], Callable[[], Tongue]]] = {
    "websocket ulaw": (WebSocketDialect, lambda: tongues.ChannelTongue(PCMU, "ulaw")),
    "websocket slin16": (WebSocketDialect, lambda: tongues.ChannelTongue(WIDE, "slin16")),
    "websocket plain": (WebSocketDialect, lambda: tongues.ChannelTongue(NARROW, "slin", plain=True)),
    "audiosocket": (AudioSocketDialect, lambda: tongues.AudioSocketTongue(NARROW)),
    "audiosocket slin16": (lambda: AudioSocketDialect(16000), lambda: tongues.AudioSocketTongue(WIDE)),
    "jambonz": (JambonzDialect, lambda: tongues.JambonzTongue(WIDE)),
    "genesys": (AudioHookDialect, lambda: tongues.GenesysTongue(PCMU)),
    "genesys L16": (AudioHookDialect, lambda: tongues.GenesysTongue(NARROW)),
    "mod_audio_stream": (AudioStreamDialect, lambda: tongues.StreamTongue(WIDE)),
    "mod_audio_fork": (lambda: AudioForkDialect(8000), lambda: tongues.ForkTongue(NARROW)),
}


@pytest.mark.parametrize("name", SOCKETS)
def test_it_keeps_the_contract(name):
    world = World("legs")
    places = iter(range(1, 200))
    speaks, answers = SOCKETS[name]

    @asynccontextmanager
    async def make() -> AsyncGenerator[Pair]:
        async with stream_pair(world, speaks(), answers(), ip=f"10.1.0.{next(places)}", rtt_s=0.15) as pair:
            yield pair

    world.run(check_leg(make))
