"""The media plane as a leg sees it: an engine's verbs, and who opens and closes ports on it.

`offhook._native.Engine` is one `Engine`; the simulator's is another. A leg never learns which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from offhook import _native as native
from offhook.carriers.identity import Identity
from offhook.core.carriage import Carriage
from offhook.core.media import MediaPlan


class Engine(Protocol):
    """The verbs of `offhook._native.Engine`, whose docstrings say what they do."""

    # ruff: noqa: D102
    def fileno(self) -> int: ...
    def open(
        self, *, ssrc: int, sequence: int, timestamp: int, cname: str = "", beside: int | None = None
    ) -> tuple[int, int]: ...
    def configure(
        self,
        port: int,
        generation: int,
        *,
        remote: tuple[str, int] | None,
        remote_rtcp: tuple[str, int] | None,
        send: tuple[int, str],
        receive: tuple[tuple[int, str], ...],
        dtmf_send: int | None = None,
        dtmf_receive: int | None = None,
        dtmf_hz: int = 8000,
        noise_send: int | None = None,
        noise_receive: int | None = None,
        ptime_ms: int = 20,
        sending: bool = True,
        receiving: bool = True,
        rtcp_mux: bool = False,
        rtcp_extended: bool = False,
        rtcp_reduced: bool = False,
        protection: tuple[str, bytes, bytes | None] | None = None,
    ) -> None: ...
    def tunnel(
        self,
        port: int,
        *,
        ours: tuple[str, str],
        theirs: tuple[str, str],
        candidates: tuple[str, ...],
        fingerprints: tuple[tuple[str, bytes], ...],
        identity: tuple[bytes, bytes],
        lite: bool,
        controlling: bool,
        active: bool,
        seed: int,
    ) -> None: ...
    def listen(self, port: int, mode: str, gain_control: bool = False) -> None: ...
    def tape(self, port: int, on: bool) -> None: ...
    def play(self, port: int, utterance: int, pcm: bytes, rate_hz: int) -> int: ...
    def end(self, port: int, utterance: int) -> None: ...
    def mark(self, port: int, utterance: int, mark: int) -> None: ...
    def hush(self, port: int) -> None: ...
    def arm(self, port: int, depth_db: float | None) -> None: ...
    def restore(self, port: int) -> None: ...
    def press(self, port: int, keys: str, duration_ms: int = 100, gap_ms: int = 100) -> None: ...
    def watch(self, port: int, tones: Sequence[native.WatchedTone], beep: bool = False) -> None: ...
    def mix(self, port: int, heard: Sequence[tuple[int, str, float]]) -> None: ...
    def part(self, port: int) -> None: ...
    def bed(self, port: int, sound: native.Sound | None, level_db: float = 0.0, duck_db: float = 0.0) -> None: ...
    def discover(self, port: int, server: tuple[str, int], id: bytes) -> None: ...
    def carry(
        self,
        *,
        lead_ms: int,
        least_ms: int,
        most_ms: int,
        fences: bool,
        clears: bool,
        beside: int | None = None,
    ) -> int: ...
    def bring(self, port: int, sequence: int, timestamp: int, payload: bytes) -> None: ...
    def passed(self, port: int, fence: int) -> None: ...
    def rate_hz(self, port: int) -> int: ...
    def close(self, port: int) -> dict[str, int]: ...
    def describe(self, port: int) -> tuple[str, str]: ...
    def counters(self, port: int) -> dict[str, int]: ...
    def totals(self) -> dict[str, int]: ...
    def drain(self) -> list[native.Event]: ...
    def shutdown(self) -> None: ...


class MediaPlane(Protocol):
    """An engine whose events are dealt out to legs by port."""

    @property
    def engine(self) -> Engine: ...
    @property
    def identity(self) -> Identity:
        """Who we are in a DTLS handshake: one certificate a process."""
        ...

    def open(self, take: Callable[[native.Event], None], beside: int | None = None) -> tuple[int, int]:
        """Open a port whose events go to `take`; give its number and its RTP port. OSError where none is free.

        `beside`: a port that may be heard by it, or hear it.
        """
        ...

    def carry(self, take: Callable[[native.Event], None], carriage: Carriage, beside: int | None = None) -> int:
        """Open a port without sockets, whose far end a carrier brings; give its number."""
        ...

    def close(self, number: int) -> dict[str, int]:
        """Close a port; none of its events is dealt out any more. Gives its counters."""
        ...

    def drain(self) -> None:
        """Deal out what waits."""
        ...


def configure(engine: Engine, number: int, generation: int, plan: MediaPlan) -> None:
    """Apply an agreed plan to a port."""
    engine.configure(
        number,
        generation,
        remote=plan.remote,
        remote_rtcp=plan.remote_rtcp,
        send=plan.send,
        receive=plan.receive,
        dtmf_send=plan.dtmf_send,
        dtmf_receive=plan.dtmf_receive,
        dtmf_hz=plan.dtmf_hz,
        noise_send=plan.noise_send,
        noise_receive=plan.noise_receive,
        ptime_ms=plan.ptime_ms,
        sending=plan.sending,
        receiving=plan.receiving,
        rtcp_mux=plan.rtcp_mux,
        rtcp_extended=plan.rtcp_extended,
        rtcp_reduced=plan.rtcp_reduced,
        protection=plan.protection and (plan.protection.suite, plan.protection.send, plan.protection.receive),
    )
