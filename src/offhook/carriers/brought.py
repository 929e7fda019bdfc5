"""The legs that a managed service brings: audio over its media socket, words over a socket, or words turn by turn."""

from offhook.carriers.realtime import RealtimeLeg
from offhook.carriers.relay import RelayLeg
from offhook.carriers.stream import StreamLeg
from offhook.carriers.turns import TurnLeg

Brought = StreamLeg | RelayLeg | RealtimeLeg | TurnLeg
"""Any of them."""
