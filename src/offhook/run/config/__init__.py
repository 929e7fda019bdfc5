"""The configuration: its keys (`tables`), how a file is read (`load`), what it means for the host (`rules`)."""

from offhook.run.config.load import DEFAULT_FILE, LATER, Settings, config_of, load
from offhook.run.config.rules import address_note, caller_of, host_rules, routes_of, services_of
from offhook.run.config.tables import Config, Models, Sip, Trunk, Web
from offhook.run.config.words import CODECS, is_loopback, parse_address, parse_listen, parse_sip

__all__ = [
    "CODECS",
    "DEFAULT_FILE",
    "LATER",
    "Config",
    "Models",
    "Settings",
    "Sip",
    "Trunk",
    "Web",
    "address_note",
    "caller_of",
    "config_of",
    "host_rules",
    "is_loopback",
    "load",
    "parse_address",
    "parse_listen",
    "parse_sip",
    "routes_of",
    "services_of",
]
