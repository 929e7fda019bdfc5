"""jambonz: signed webhooks answered with arrays of verbs, L16 over a media socket, an API asked by key."""

from offhook.carriers.services.jambonz.account import JambonzAccount
from offhook.carriers.services.jambonz.service import Jambonz

__all__ = ["Jambonz", "JambonzAccount"]
