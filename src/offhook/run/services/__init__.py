"""Managed services at a host: webhooks, media sockets, and requests to their APIs."""

from offhook.run.services.board import Api, Switchboard
from offhook.run.services.dialled import Dial, Listener

__all__ = ["Api", "Dial", "Listener", "Switchboard"]
