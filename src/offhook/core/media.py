"""What signalling tells the media plane: one agreed description, made by `sip.offer`, taken by the native `Port`."""

from __future__ import annotations

from dataclasses import dataclass, field

Address = tuple[str, int]
"""A numeric IP address and a port."""


@dataclass(frozen=True, slots=True)
class Protection:
    """The keys of SRTP: a suite by its name in RFC 4568 or 7714, and each way's master key with its salt behind it.

    `receive` is None while the far end's key is not known; nothing that it sends can be taken then. The keys are in no
    repr.
    """

    suite: str
    send: bytes = field(repr=False)
    receive: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What was agreed of ICE and DTLS: media goes where ICE finds, keyed by DTLS, and no other way.

    `ours` and `theirs` are ICE's user name and password, `candidates` the far end's a=candidate values that can be
    checked. `lite`: we only answer its checks. `controlling`: we choose the way. `active`: we begin the handshake.
    `fingerprints` are (algorithm, digest) of certificates, one of which the far end must show.
    """

    ours: tuple[str, str]
    theirs: tuple[str, str] = field(repr=False)
    candidates: tuple[str, ...]
    fingerprints: tuple[tuple[str, bytes], ...]
    lite: bool
    controlling: bool
    active: bool


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """One agreed audio stream, as seen from our side.

    `remote` is where the far end's SDP says that it listens (None: not known yet, or held at 0.0.0.0). `send` is
    the payload number and codec name that we send; `receive` maps every payload number that we take to its codec
    name. The two may differ in number (RFC 3264 section 5.1). `dtmf_*` and `noise_*` are the payload numbers of
    telephone-event and comfort noise, None where they were not agreed (`noise_send` also where silence is not left
    out); `dtmf_hz` is the clock of keys. `sending` and `receiving` are the agreed direction. `rtcp_extended`: the far
    end reads VoIP metrics (RFC 3611); `rtcp_reduced`:
    reports need not be compound (RFC 5506). With `protection` every packet is SRTP, and nothing plain is taken;
    with a `tunnel`, too, and `remote` is None: ICE finds it. Codec names are the labels of `offhook.core.codecs`.
    """

    remote: Address | None
    remote_rtcp: Address | None
    send: tuple[int, str]
    receive: tuple[tuple[int, str], ...]
    dtmf_send: int | None = None
    dtmf_receive: int | None = None
    dtmf_hz: int = 8000
    noise_send: int | None = None
    noise_receive: int | None = None
    ptime_ms: int = 20
    sending: bool = True
    receiving: bool = True
    rtcp_mux: bool = False
    rtcp_extended: bool = False
    rtcp_reduced: bool = False
    protection: Protection | None = None
    tunnel: Tunnel | None = None
