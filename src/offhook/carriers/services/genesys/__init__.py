"""Genesys AudioHook and the Audio Connector: signed handshakes, a media socket with a protocol of its own."""

from offhook.carriers.services.genesys.media import AudioHookDialect
from offhook.carriers.services.genesys.service import Genesys, GenesysAccount

__all__ = ["AudioHookDialect", "Genesys", "GenesysAccount"]
