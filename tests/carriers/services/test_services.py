"""Each service is what its head says: a whole `Service`, or the part of one that it has."""

from __future__ import annotations

import pytest

from carriers.services.asterisk import test_ari as asterisk
from carriers.services.genesys import test_genesys as genesys
from carriers.services.jambonz import test_signature as jambonz
from carriers.services.openai_sip import test_openai_sip as openai_sip
from carriers.services.vonage import test_signature as vonage
from offhook.carriers.services import freeswitch
from offhook.carriers.services.asterisk import AudioSocketDialect
from offhook.carriers.services.http import ApiCall
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Dialect

WHOLE: list[Carried] = [vonage.SERVICE, asterisk.SERVICE, jambonz.SERVICE]
DIALECTS: list[Dialect] = [
    *(service.dialect() for service in WHOLE),
    genesys.SERVICE.dialect(),
    AudioSocketDialect(),
    freeswitch.AudioStreamDialect(),
    freeswitch.AudioForkDialect(),
]


@pytest.mark.parametrize("service", WHOLE, ids=lambda service: service.name)
def test_a_whole_service_has_every_verb(service):
    assert {name for name in dir(Carried) if name[0] != "_"} <= set(dir(service))
    assert service.dialect().carriage == service.carriage
    assert service.authorize(ApiCall("GET", service.api), 1, "n").headers.keys() <= {"authorization"}


def test_what_the_others_lack_is_not_there():
    assert {name for name in dir(Carried) if name[0] != "_"} - set(dir(openai_sip.SERVICE)) == {
        *("carriage", "dial", "dialect", "placed")
    }
    assert {name for name in dir(genesys.SERVICE) if name[0] != "_"} == {
        *("account", "carriage", "dialect", "instead", "is_near", "name", "used", "verify")
    }


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
def test_a_carriage_promises_what_its_dialect_does(dialect):
    carriage = dialect.carriage
    frames = carriage.least_ms // carriage.frame_ms
    assert carriage.least_ms % carriage.frame_ms == 0
    assert carriage.most_ms % carriage.frame_ms == 0
    assert bool(dialect.mark("1")) == (carriage.marks != "none")
    assert bool(dialect.clear()) == (carriage.clear != "none")
    assert bool(dialect.press("1")) == carriage.keys
    assert dialect.sound(bytes(320 * frames))
    if carriage.paced_by == "carrier":
        assert 0 < carriage.lead_ms < carriage.buffer_ms
