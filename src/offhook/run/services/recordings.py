"""Recordings that a service makes when it is told to: of a call that goes on, and once they can be had.

record ─► start, pause, resume, stop ─► the service's API ─► Recorded, told to the call     recorded ─► known, or erased
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from offhook.carriers.services.recording import Recording, Step
from offhook.core.errors import CallEnded, NotAllowed, ProviderError
from offhook.core.ids import CallId

if TYPE_CHECKING:
    from offhook.run.services.board import Switchboard


async def record(board: Switchboard, call: CallId, step: Step) -> None:
    """Have the service of a call record it, pause, go on or stop; `Recorded` tells when it can be had.

    NotAllowed where it can't, CallEnded if the call is over, ProviderError if it does not, Unreachable.
    """
    line = board.line_of(call)
    if line is None or line.over:
        raise CallEnded("no service has this call")
    service, news = line.service, f"{line.hook}/recording"
    order = service.record(line.call, step, line.recording, news) if isinstance(service, Recording) else None
    if order is None:
        raise NotAllowed(f"{service.name} can't {step} a recording of this call")
    reply = await board.ask(service, order)
    if reply.status in order.gone:
        raise CallEnded("there is no such call, or it is not recorded")
    if not reply.ok:
        raise ProviderError(f"{service.name} said {reply.status}, and did not {step} the recording")
    if step == "start" and isinstance(service, Recording):
        line.recording = service.begun(reply)


async def recorded(board: Switchboard, name: str, recording: str, *, erase: bool = False) -> Mapping[str, object]:
    """Give what a service knows of a recording, by the service's name for it; with `erase`, have it deleted.

    NotAllowed where it has no such API, ProviderError if it refuses, or has none of that name, Unreachable.
    """
    service = board.services[name]
    if not isinstance(service, Recording) or not recording:
        raise NotAllowed(f"{name} can't be asked for recordings")
    order = service.erase(recording) if erase else service.look_up(recording)
    reply = await board.ask(service, order)
    if not (reply.ok or (erase and reply.status in order.gone)):
        raise ProviderError(f"{name} said {reply.status} of a recording")
    return {} if erase else reply.json()
