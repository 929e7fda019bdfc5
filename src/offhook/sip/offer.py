"""Offer and answer for one stream of audio (RFC 3264, 3551, 3611, 4733, 5506, 5761, 6337). Functions only.

    make_offer ───────► their answer ─► accept_answer ─► MediaPlan
    their offer ─► answer_offer ─► our answer, MediaPlan

An answer names one audio codec, telephone-event and comfort noise at its clock if they were offered (keys else at
8000, which is what many send beside any codec), in the offer's profile, and has as many m= lines as the offer; what we
do not take is declined with port 0, and is in no BUNDLE group of the answer (RFC 9143). Of several streams the first
that SRTP can protect is taken: by its profile (RFC 4568), or under a plain one with keys (RFC 8643). A secure profile
is never answered without keys, nor a plain one with `required`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from offhook.core.codecs import AUDIO, COMFORT_NOISE, KEYS, SPOKEN, Codec
from offhook.core.errors import ProtocolError
from offhook.core.media import Address, MediaPlan, Protection, Tunnel
from offhook.sip import sdes
from offhook.sip.attributes import bundled, cryptos
from offhook.sip.grammar import is_address
from offhook.sip.sdp import Line, Media, Session
from offhook.sip.tunnels import PROFILES as TUNNELLED
from offhook.sip.tunnels import Here, accepted, answered, is_tunnelled, names

PLAIN: Final = ("RTP/AVP", "RTP/AVPF")
KEYED: Final = ("RTP/SAVP", "RTP/SAVPF")
SECURE: Final = (*KEYED, *TUNNELLED)

Srtp = Literal["off", "optional", "required"]
"""Whether SRTP is agreed to: never, where it is offered, or nothing else."""

DTMF_PAYLOADS: Final = {8000: 101, 48000: 110}
"""The numbers we offer telephone-event under, by its clock: dynamic, and those that nearly all use."""

METRICS: Final = "voip-metrics"
"""The extended reports that we read and write (RFC 3611 section 5.1)."""

EVENTS: Final = "0-15"
"""The events we take: keys 0-9, *, #, A-D (RFC 4733 section 3.2)."""

_MIRROR: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_NUMBERED: Final = {
    str(codec.static_payload): codec for codec in (*SPOKEN, COMFORT_NOISE) if codec.static_payload is not None
}
_MAPPED: Final = {codec.encoding.lower(): codec for codec in (*SPOKEN, COMFORT_NOISE, *KEYS)}


@dataclass(frozen=True, slots=True)
class _Stream:
    """What one m= section says of what we speak.

    Payload numbers by codec in its order, those of keys by their clock, the format parameters by number, and its other
    attributes.
    """

    audio: tuple[tuple[int, Codec], ...]
    keys: dict[int, int]
    noise: int | None
    formats: dict[str, str]
    facts: dict[str, str]

    @property
    def send(self) -> tuple[int, str]:
        """What is sent to who says this: its first codec, as it asks for it."""
        payload, codec = self.audio[0]
        return payload, codec.asked_by(self.formats.get(str(payload), ""))

    @property
    def receive(self) -> tuple[tuple[int, str], ...]:
        return tuple([(payload, codec.label) for payload, codec in self.audio])

    def keys_beside(self, codec: Codec) -> tuple[int | None, int]:
        """Give the number of keys, None where there is none, and their clock."""
        clock_hz = codec.clock_hz if codec.clock_hz in self.keys else KEYS[0].clock_hz
        return self.keys.get(clock_hz), clock_hz

    def noise_beside(self, codec: Codec) -> int | None:
        return self.noise if codec.clock_hz == COMFORT_NOISE.clock_hz else None


def _stream(media: Media, codecs: tuple[Codec, ...]) -> _Stream:
    """Read a section. An rtpmap wins over the static number; a clock that is not the codec's makes it another codec."""
    maps: dict[str, str] = {}
    parameters: dict[str, str] = {}
    facts: dict[str, str] = {}
    for letter, attribute in media.lines:
        if letter == "a":
            name, _, value = attribute.partition(":")
            if name == "rtpmap":
                payload, _, encoding = value.strip().partition(" ")
                maps[payload] = encoding
            elif name == "fmtp":
                payload, _, format = value.strip().partition(" ")
                parameters.setdefault(payload, format)
            else:
                facts.setdefault(name.rstrip(), value)
    audio: list[tuple[int, Codec]] = []
    keys: dict[int, int] = {}
    noise: int | None = None
    for text in media.formats:
        encoding = maps.get(text)
        codec = _NUMBERED.get(text) if encoding is None else _MAPPED.get(encoding.strip().lower().removesuffix("/1"))
        if codec is None or not (text.isdigit() and text.isascii()) or len(text) > 3 or int(text) > 127:
            continue
        if codec in KEYS:
            keys.setdefault(codec.clock_hz, int(text))
        elif codec is COMFORT_NOISE:
            noise = int(text) if noise is None else noise
        elif codec in codecs:
            audio.append((int(text), codec))
    return _Stream(tuple(audio), keys, noise, parameters, facts)


def make_offer(
    *,
    address: str,
    port: int,
    codecs: tuple[Codec, ...] = AUDIO,
    session_id: int,
    version: int,
    direction: str = "sendrecv",
    profile: str = "RTP/AVP",
    ring: sdes.Keyring | None = None,
    here: Here | None = None,
) -> Session:
    """Offer one stream of audio: `codecs` in order, telephone-event and comfort noise; with `ring`, keys of SRTP.

    Under a plain profile they are for the asking: who takes none of them answers with plain RTP (RFC 8643).
    With `here` it is offered by ICE and DTLS, and no other way.
    """
    numbers = [(_own_number(codec, index), codec) for index, codec in enumerate(codecs)]
    formats = tuple([str(payload) for payload, _ in numbers])
    lines = [line for payload, codec in numbers for line in _described(payload, codec)]
    lines.append(("a", "rtpmap:13 CN/8000"))
    clocks = {codec.clock_hz for codec in codecs}
    keys = [codec for codec in KEYS if codec is KEYS[0] or codec.clock_hz in clocks]
    for codec in keys:
        lines += _keys(DTMF_PAYLOADS[codec.clock_hz], codec.clock_hz)
    lines += [
        ("a", "ptime:20"),
        ("a", f"rtcp-xr:{METRICS}"),
        ("a", direction),
        *(sdes.offered(ring) if ring is not None else ()),
    ]
    numbered = tuple([str(DTMF_PAYLOADS[codec.clock_hz]) for codec in keys])
    head = _head(address, session_id, version)
    if here is not None:
        head += (*here.head, ("a", "group:BUNDLE 0"))
        lines += [("a", "mid:0"), *here.lines("actpass")]
        profile = TUNNELLED[0]
    return Session(head, (Media("audio", port, profile, (*formats, "13", *numbered), tuple(lines)),))


def _described(payload: int, codec: Codec) -> list[Line]:
    named = [("a", f"rtpmap:{payload} {codec.encoding}")]
    return [*named, ("a", f"fmtp:{payload} {codec.format}")] if codec.format else named


def _keys(payload: int, clock_hz: int) -> list[Line]:
    return [("a", f"rtpmap:{payload} telephone-event/{clock_hz}"), ("a", f"fmtp:{payload} {EVENTS}")]


def _own_number(codec: Codec, index: int) -> int:
    return codec.static_payload if codec.static_payload is not None else 102 + index


def _head(address: str, session_id: int, version: int, timing: str = "0 0") -> tuple[Line, ...]:
    family = "IP6" if ":" in address else "IP4"
    return (
        ("v", "0"),
        ("o", f"- {session_id} {version} IN {family} {address}"),
        ("s", "-"),
        ("c", f"IN {family} {address}"),
        ("t", timing),
    )


def answer_offer(
    offer: Session,
    *,
    address: str,
    port: int,
    codecs: tuple[Codec, ...] = AUDIO,
    session_id: int,
    version: int,
    srtp: Srtp = "off",
    ring: sdes.Keyring | None = None,
    direction: str = "sendrecv",
    here: Callable[[tuple[str, str]], Here] | None = None,
) -> tuple[Session, MediaPlan]:
    """Answer an offer with the first stream of audio that we can take; give the answer and the agreed plan.

    `srtp` says whether keys are agreed to, and `ring` has ours. `here` says what we tell of ourselves to a far end of
    that ICE name and password; without it none of ICE and DTLS is taken.
    `direction` is what we want; the answer never asks for more than the offer allows (RFC 3264 section 6.1).
    ProtocolError with code 488 where nothing fits.
    """
    chosen, stream, keyed = _chosen(offer, codecs, srtp, ring, tunnels=here is not None)
    host = offer.address(chosen)
    way = _narrowed(_MIRROR[offer.direction(chosen)], direction)
    keying: tuple[Line, ...] = () if keyed is None else (keyed[0],)
    tunnel: Tunnel | None = None
    head: tuple[Line, ...] = ()
    if here is not None and is_tunnelled(chosen):
        mine = here(names(offer, chosen))
        tunnel, keying = answered(offer, chosen, mine)
        head, host = mine.head if tunnel.lite else (), None
    if _held(host):
        way = _narrowed(way, "recvonly")
    _, codec = stream.audio[0]
    ptime = _ptime(stream.facts, codec)
    mux = "rtcp-mux" in stream.facts or tunnel is not None
    section = _answer_section(chosen, port, stream, ptime, way, keying)
    sections = tuple([section if media is chosen else _declined(media) for media in offer.media])
    timing = next((value for letter, value in offer.lines if letter == "t"), "0 0")
    mid = stream.facts.get("mid")
    together = bundled(offer, (mid,)) if mid else ()
    # An answer names what we take and what we send by the same numbers, so both directions are one list.
    remote = _remote(host, chosen.port)
    keys, keys_hz = stream.keys_beside(codec)
    noise = stream.noise_beside(codec)
    plan = MediaPlan(
        remote=remote,
        remote_rtcp=_remote_rtcp(remote, stream.facts, mux=mux),
        send=stream.send,
        receive=stream.receive[:1],
        dtmf_send=keys,
        dtmf_receive=keys,
        dtmf_hz=keys_hz,
        noise_send=noise,
        noise_receive=noise,
        ptime_ms=ptime,
        sending=way in ("sendrecv", "sendonly"),
        receiving=way in ("sendrecv", "recvonly"),
        rtcp_mux=mux,
        protection=None if keyed is None else keyed[1],
        tunnel=tunnel,
        rtcp_extended=_extended(stream.facts),
        rtcp_reduced="rtcp-rsize" in stream.facts,
    )
    return Session(_head(address, session_id, version, timing) + head + together, sections), plan


def _chosen(
    offer: Session, codecs: tuple[Codec, ...], srtp: Srtp, ring: sdes.Keyring | None, *, tunnels: bool
) -> tuple[Media, _Stream, tuple[Line, Protection] | None]:
    """Give the stream that is taken, with our a=crypto and the keys: the first that is protected, else the first."""
    plain: tuple[Media, _Stream, None] | None = None
    reason = "no audio that we can take was offered"
    for media in offer.media:
        profile = media.protocol.upper()
        stream = _stream(media, codecs) if media.kind == "audio" and media.port else None
        if stream is None or not stream.audio or profile not in PLAIN + KEYED + (TUNNELLED if tunnels else ()):
            continue
        if profile in TUNNELLED:
            return media, stream, None
        keyed = sdes.answered(media, ring) if ring is not None and srtp != "off" else None
        if keyed is not None:
            return media, stream, keyed
        if profile in PLAIN and srtp != "required":
            plain = plain or (media, stream, None)
        elif srtp == "off":
            reason = "SRTP was offered, and is off here"
        else:
            reason = sdes.why(media)
    if plain is None:
        raise ProtocolError(reason, 488)
    return plain


def _answer_section(
    offered: Media, port: int, stream: _Stream, ptime: int, way: str, crypto: tuple[Line, ...]
) -> Media:
    payload, codec = stream.audio[0]
    formats = [str(payload)]
    lines = _described(payload, codec)
    noise, (keys, keys_hz) = stream.noise_beside(codec), stream.keys_beside(codec)
    if noise is not None:
        formats.append(str(noise))
        lines.append(("a", f"rtpmap:{noise} CN/8000"))
    if keys is not None:
        formats.append(str(keys))
        lines += _keys(keys, keys_hz)
    lines.append(("a", f"ptime:{ptime}"))
    lines.append(("a", way))
    if "rtcp-mux" in stream.facts and ("a", "rtcp-mux") not in crypto:
        lines.append(("a", "rtcp-mux"))
    if "rtcp-rsize" in stream.facts:
        lines.append(("a", "rtcp-rsize"))
    if _extended(stream.facts):
        lines.append(("a", f"rtcp-xr:{METRICS}"))
    mid = stream.facts.get("mid")
    if mid:
        lines.append(("a", f"mid:{mid}"))
    lines += crypto
    return Media(offered.kind, port, offered.protocol, tuple(formats), tuple(lines))


def _declined(media: Media) -> Media:
    """Decline a section: port 0, the same kind, protocol and formats (RFC 3264 section 6), the same mid (RFC 5888)."""
    mid = media.attribute("mid")
    return Media(media.kind, 0, media.protocol, media.formats, (("a", f"mid:{mid}"),) if mid else ())


def accept_answer(offer: Session, answer: Session) -> MediaPlan:
    """Read the answer to an offer of ours.

    ProtocolError with code 488 where the answer breaks RFC 3264 or takes no stream of ours.
    """
    if len(answer.media) != len(offer.media):
        raise ProtocolError("the answer has another number of m= lines than the offer", 488)
    for ours, theirs in zip(offer.media, answer.media, strict=True):
        if ours.kind != "audio" or not ours.port or not theirs.port:
            continue
        if theirs.kind != ours.kind or theirs.protocol.upper() != ours.protocol.upper():
            raise ProtocolError("the answer changes the kind or the profile of a stream", 488)
        if is_tunnelled(ours):
            return replace(_accepted(offer, ours, answer, theirs, None), tunnel=accepted(offer, ours, answer, theirs))
        keyed = sdes.agreed(ours, theirs)
        # Who answers with keys means to send SRTP, whatever the profile is called.
        if keyed is None and (theirs.protocol.upper() in SECURE or (cryptos(ours) and cryptos(theirs))):
            raise ProtocolError("the answer wants SRTP, and takes none of our keys", 488)
        return _accepted(offer, ours, answer, theirs, keyed)
    raise ProtocolError("the answer declines every stream", 488)


def early_plan(offer: Session) -> MediaPlan:
    """Give what holds while an offer of ours is out: all that it names may come, from wherever.

    Where it insists on SRTP, nothing can be taken before the answer's key is there.
    """
    (ours,) = offer.media
    keyed = sdes.waiting(ours) if ours.protocol.upper() in KEYED else None
    plan = _accepted(offer, ours, offer, ours, keyed)
    receiving = plan.receiving and not is_tunnelled(ours)
    return replace(plan, remote=None, remote_rtcp=None, sending=False, receiving=receiving)


def _accepted(offer: Session, ours: Media, answer: Session, theirs: Media, keyed: Protection | None) -> MediaPlan:
    mine = _stream(ours, SPOKEN)
    named = _stream(theirs, tuple([codec for _, codec in mine.audio]))
    if not named.audio:
        raise ProtocolError("the answer names no codec that was offered", 488)
    host = None if is_tunnelled(ours) else answer.address(theirs)
    remote = _remote(host, theirs.port)
    _, codec = named.audio[0]
    way = _narrowed(offer.direction(ours), _MIRROR[answer.direction(theirs)])
    if _held(host):
        way = _narrowed(way, "recvonly")
    mux = "rtcp-mux" in mine.facts and "rtcp-mux" in named.facts
    theirs_keys, keys_hz = named.keys_beside(codec)
    ours_keys = mine.keys.get(keys_hz)
    both_keys = ours_keys is not None and theirs_keys is not None
    theirs_noise, ours_noise = named.noise_beside(codec), mine.noise_beside(codec)
    both_noise = ours_noise is not None and theirs_noise is not None
    # RFC 3264 section 7: we send by the answer's numbers; they may send anything that we offered, by ours.
    return MediaPlan(
        remote=remote,
        remote_rtcp=_remote_rtcp(remote, named.facts, mux=mux),
        send=named.send,
        receive=mine.receive,
        dtmf_send=theirs_keys if both_keys else None,
        dtmf_receive=ours_keys if both_keys else None,
        dtmf_hz=keys_hz,
        noise_send=theirs_noise if both_noise else None,
        noise_receive=ours_noise if both_noise else None,
        ptime_ms=_ptime(named.facts, codec),
        sending=way in ("sendrecv", "sendonly"),
        receiving=way in ("sendrecv", "recvonly"),
        rtcp_mux=mux,
        protection=keyed,
        rtcp_extended=_extended(mine.facts) and _extended(named.facts),
        rtcp_reduced="rtcp-rsize" in mine.facts and "rtcp-rsize" in named.facts,
    )


def _extended(facts: dict[str, str]) -> bool:
    """Say whether VoIP metrics are among the extended reports that are wanted."""
    return METRICS in facts.get("rtcp-xr", "").lower().split()


def _narrowed(way: str, limit: str) -> str:
    """Give what both directions allow."""
    if way == limit or limit == "sendrecv":
        return way
    if way == "sendrecv":
        return limit
    return "inactive"


def _held(address: str | None) -> bool:
    # RFC 2543 hold, still sent by old phones: "do not send to me" (RFC 3264 section 8.4).
    return address in ("0.0.0.0", "::")  # noqa: S104 - compared, never bound


def _ptime(facts: dict[str, str], codec: Codec) -> int:
    """Give the packet time to send with: what they ask for if we can, never above their maxptime nor the codec's."""
    wanted = _milliseconds(facts.get("ptime")) or 20
    most = _milliseconds(facts.get("maxptime")) or codec.ptimes[-1]
    if wanted in codec.ptimes and wanted <= most:
        return wanted
    # What else is asked for becomes 20 (RFC 3551 section 4.2).
    fitting = [ptime for ptime in codec.ptimes if ptime <= min(most, 20)]
    return fitting[-1] if fitting else codec.ptimes[0]


def _milliseconds(text: str | None) -> int | None:
    if not text:
        return None
    digits = text.strip().partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else None


def _remote(host: str | None, port: int) -> Address | None:
    # A name would have to be looked up; symmetric RTP finds it sooner.
    if host is None or _held(host) or not is_address(host):
        return None
    return host, port


def _remote_rtcp(remote: Address | None, facts: dict[str, str], *, mux: bool) -> Address | None:
    if remote is None or mux:
        return remote
    value = facts.get("rtcp")
    if value:
        # RFC 3605: port [ "IN" family address ]
        pieces = value.split()
        if pieces and pieces[0].isascii() and pieces[0].isdigit() and 0 < int(pieces[0][:6]) <= 65535:
            host = pieces[3] if len(pieces) >= 4 and is_address(pieces[3]) and not _held(pieces[3]) else remote[0]
            return host, int(pieces[0])
    return (remote[0], remote[1] + 1) if remote[1] < 65535 else None
