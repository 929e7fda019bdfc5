"""Vonage's Voice API: signed webhooks answered with NCCO, L16 over a media socket, an API asked with tokens."""

from offhook.carriers.services.vonage.account import VonageAccount
from offhook.carriers.services.vonage.service import Vonage
from offhook.carriers.services.vonage.words import vonage

__all__ = ["Vonage", "VonageAccount", "vonage"]
