"""Asterisk: AudioSocket over TCP, its websocket channel, and its REST interface."""

from offhook.carriers.services.asterisk.account import AsteriskAccount
from offhook.carriers.services.asterisk.audiosocket import AudioSocketDialect, Splitter
from offhook.carriers.services.asterisk.service import Asterisk
from offhook.carriers.services.asterisk.websocket import WebSocketDialect

__all__ = ["Asterisk", "AsteriskAccount", "AudioSocketDialect", "Splitter", "WebSocketDialect"]
