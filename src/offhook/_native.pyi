"""The typed door to the media plane.

Two doors, one machine. `Port` is one call's media as a pure machine: `now` goes in, packets, events and a deadline come
out. `Engine` is OS threads that own the RTP sockets and drive many Ports on absolute deadlines without the GIL.

      datagrams ─► rtp ─► latch ─► eager ear ─► conceal ─► decode ─► VAD gate ─► events (Speech, Heard, Digit …)
                                                              └─► tape ◄─┐
      play() ─► bounded queue ─► resample ─► duck ─► encode ─► pace ─► datagrams

PCM is 16-bit signed little-endian mono `bytes`. A Port runs at 8 kHz, or at 16 kHz once what it sends is a wideband
codec; what comes or leaves at another rate is converted at its edge, and audio that it tells says its `rate_hz`.
Instants (`now`, `at`) are monotonic nanoseconds (CLOCK_MONOTONIC).
Every event carries its `port` (the number that `Engine.open` gave; 0 in a bare Port), a `seq` that orders all events of
one port, and `at`, the media time at which it was true. What the caller did lies on the caller's timeline: the last
sample of the fastest packet was spoken as it arrived. Events are values: frozen, equal by their fields, hashable.
"""

from collections.abc import Sequence
from typing import Final, NotRequired, TypedDict, Unpack, final

WatchedTone = tuple[str, Sequence[tuple[Sequence[int], int]], int]
"""A kind; its segments: frequencies that sound together in Hz (none: silence), and ms (0: on and on); and how many
segments in a row make it known."""

@final
class Heard:
    """A piece of the caller's audio, in order: PCM at `rate_hz`. `concealed`: made up for a lost packet."""

    def __init__(
        self, port: int, seq: int, at: int, pcm: bytes, concealed: bool = False, rate_hz: int = 8000
    ) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    pcm: Final[bytes]
    concealed: Final[bool]
    rate_hz: Final[int]

@final
class SpeechBegan:
    """The VAD gate opened. `at` is where in the caller's audio the speech began (before the gate's own delay)."""

    def __init__(self, port: int, seq: int, at: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]

@final
class SpeechEnded:
    """The VAD gate closed. `at` is where the speech ended; `silence_ms` of received audio have followed it."""

    def __init__(self, port: int, seq: int, at: int, silence_ms: int = 0) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    silence_ms: Final[int]

@final
class Digit:
    """A key was pressed, told once: at its first packet (RFC 4733), or `in_band` once its tones are certain (Q.24).

    `duration_ms`: how long it had lasted by then.
    """

    def __init__(self, port: int, seq: int, at: int, key: str, duration_ms: int = 0, in_band: bool = False) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    key: Final[str]
    duration_ms: Final[int]
    in_band: Final[bool]

@final
class Tone:
    """A tone that `watch` listens for: its kind, as it was given there, or `beep` (told 200 ms after its end).

    `at` is where the caller's audio made it certain; of a beep, where it ended. Each kind is told once until it has
    been silent for 8 s.
    """

    def __init__(self, port: int, seq: int, at: int, kind: str) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    kind: Final[str]

@final
class Played:
    """An utterance that was ended has been heard in full: its last packet left half the round trip + 60 ms ago."""

    def __init__(self, port: int, seq: int, at: int, utterance: int, sent_ms: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    utterance: Final[int]
    sent_ms: Final[int]

@final
class Marked:
    """A mark that was queued behind audio was heard, by the same clock as `Played`."""

    def __init__(self, port: int, seq: int, at: int, utterance: int, mark: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    utterance: Final[int]
    mark: Final[int]

@final
class Cut:
    """An utterance was hushed. `heard_ms` of its audio reached the caller; `sent_ms` left us.

    Over RTP heard = sent − (half the round trip + 60 ms), never below 0; `exact` only where a carrier tells.
    """

    def __init__(
        self,
        port: int,
        seq: int,
        at: int,
        utterance: int,
        generation: int,
        sent_ms: int,
        heard_ms: int,
        exact: bool = False,
    ) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    utterance: Final[int]
    generation: Final[int]
    sent_ms: Final[int]
    heard_ms: Final[int]
    exact: Final[bool]

@final
class Room:
    """The play queue fell below its low-water mark; `queued_ms` are left. Sent only after `play` took less than all."""

    def __init__(self, port: int, seq: int, at: int, queued_ms: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    queued_ms: Final[int]

@final
class Flowing:
    """The first valid packet arrived (also the first after `Stalled`)."""

    def __init__(self, port: int, seq: int, at: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]

@final
class Stalled:
    """No valid packet for 1 s (told once; `Flowing` ends it). Not silence: nobody's turn ends by it."""

    def __init__(self, port: int, seq: int, at: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]

@final
class Ducked:
    """The armed reflex lowered the agent's voice, because the caller began to speak over it."""

    def __init__(self, port: int, seq: int, at: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]

@final
class Taped:
    """A stretch of the stereo tape: interleaved PCM, the far end left, ours right. `at` is its first sample."""

    def __init__(self, port: int, seq: int, at: int, pcm: bytes, rate_hz: int = 8000) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    pcm: Final[bytes]
    rate_hz: Final[int]

@final
class Quality:
    """One interval between two reports of ours (RFC 3550 section 6.4), some 5 s: what came, and what the far end told.

    Of `expected` packets `lost` never came and `late` came too late for the ear; `concealed_ms` were made up.
    `burst_ratio` says how much longer rows of missing packets are than dice would make them. `mos` is what a listener
    would give (`rating`; with the delay where `round_trip_ms` is known), None where nothing came and nothing had to.
    `far_*` is their report of us, `far_mos` theirs (RFC 3611) or made of it; None where none came. `round_trip_ms` is
    None until a report came back.
    """

    def __init__(
        self,
        port: int,
        seq: int,
        at: int,
        lost: int,
        expected: int,
        jitter_ms: float,
        round_trip_ms: float | None,
        far_lost_fraction: float,
        far_jitter_ms: float,
        late: int = 0,
        concealed_ms: int = 0,
        burst_ratio: float = 1.0,
        mos: float | None = None,
        far_mos: float | None = None,
    ) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    lost: Final[int]
    expected: Final[int]
    jitter_ms: Final[float]
    round_trip_ms: Final[float | None]
    far_lost_fraction: Final[float]
    far_jitter_ms: Final[float]
    late: Final[int]
    concealed_ms: Final[int]
    burst_ratio: Final[float]
    mos: Final[float | None]
    far_mos: Final[float | None]

@final
class OneWay:
    """Something is wrong with one direction (`on`), or right again. `fault` is "unheard" or "silent".

    unheard: the far end's reports say that it hears nothing of us, though we send. silent: it has sent nothing but
    digital zeros for 2 s. Neither is told where the plan does not send, or receive.
    """

    def __init__(self, port: int, seq: int, at: int, fault: str, on: bool) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    fault: Final[str]
    on: Final[bool]

@final
class Mapped:
    """A STUN server answered to `discover`: `address` is what our RTP socket looks like from there."""

    def __init__(self, port: int, seq: int, at: int, address: tuple[str, int]) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    address: Final[tuple[str, int]]

@final
class Echo:
    """Our own voice comes back from the far end (`present`), or no more.

    Told when it is found, when its delay jumps, and when it is gone; only where `listen("speech")` is on, or
    `listen("all")` while the reflex is armed. It comes `delay_ms` after it left, `loss_db` quieter.
    """

    def __init__(self, port: int, seq: int, at: int, present: bool, delay_ms: int = 0, loss_db: int = 0) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    present: Final[bool]
    delay_ms: Final[int]
    loss_db: Final[int]

@final
class Secured:
    """A tunnel is there: the far end is who signalling told of, and media flows under `profile` (RFC 5764)."""

    def __init__(self, port: int, seq: int, at: int, profile: str) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    profile: Final[str]

@final
class Severed:
    """A tunnel is over, told once; nothing is sent or taken any more.

    `reason`: "unreachable" (ICE found no way in 20 s), "consent" (the far end has not said for 30 s that it wants to
    hear us, RFC 7675), "fingerprint" (another certificate than signalling told of), "handshake" (DTLS failed), "closed"
    (the far end said goodbye).
    """

    def __init__(self, port: int, seq: int, at: int, reason: str) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    reason: Final[str]

@final
class Leaving:
    """Audio for the carrier that brings the far end: whole packets' payloads of the codec that we send, in order.

    It sounds at `at`, by the estimate of what the carrier has buffered.
    """

    def __init__(self, port: int, seq: int, at: int, codes: bytes) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    codes: Final[bytes]

@final
class Fence:
    """The carrier is to say when all that left before this was played; `passed` takes its word."""

    def __init__(self, port: int, seq: int, at: int, number: int) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    number: Final[int]

@final
class Emptied:
    """What the carrier has is to be dropped, and what left before this may go to it no more.

    `hushed`: by a `hush`, whose caller may have told it to drop that already. Else what it has is to be heard louder or
    lower, and leaves again behind this.
    """

    def __init__(self, port: int, seq: int, at: int, hushed: bool) -> None: ...
    port: Final[int]
    seq: Final[int]
    at: Final[int]
    hushed: Final[bool]

Event = (
    Heard
    | SpeechBegan
    | SpeechEnded
    | Digit
    | Tone
    | Played
    | Marked
    | Cut
    | Room
    | Flowing
    | Stalled
    | Ducked
    | Taped
    | Quality
    | OneWay
    | Mapped
    | Echo
    | Secured
    | Severed
    | Leaving
    | Fence
    | Emptied
)

@final
class Sound:
    """A recording of 16-bit mono PCM that may go round under any number of calls, and is kept once for all of them.

    ValueError for a rate that is none of ours, or if it does not last 0.1 to 120 s.
    """

    def __init__(self, pcm: bytes, rate_hz: int) -> None: ...

class Agreed(TypedDict):
    """The fields of a `MediaPlan`, by name. What is left out is as there: 20 ms, both ways, keys at 8000 Hz."""

    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    send: tuple[int, str]
    receive: tuple[tuple[int, str], ...]
    dtmf_send: NotRequired[int | None]
    dtmf_receive: NotRequired[int | None]
    dtmf_hz: NotRequired[int]
    noise_send: NotRequired[int | None]
    noise_receive: NotRequired[int | None]
    ptime_ms: NotRequired[int]
    sending: NotRequired[bool]
    receiving: NotRequired[bool]
    rtcp_mux: NotRequired[bool]
    rtcp_extended: NotRequired[bool]
    rtcp_reduced: NotRequired[bool]
    protection: NotRequired[tuple[str, bytes, bytes | None] | None]

class TunnelTerms(TypedDict):
    """The fields of an agreed `Tunnel`, by name."""

    ours: tuple[str, str]
    theirs: tuple[str, str]
    candidates: tuple[str, ...]
    fingerprints: tuple[tuple[str, bytes], ...]
    identity: tuple[bytes, bytes]
    lite: bool
    controlling: bool
    active: bool
    seed: int

@final
class Port:
    """One call's media, pure. Raises ValueError for arguments out of range, never for a bad packet (a counter)."""

    def __init__(self, *, ssrc: int, sequence: int, timestamp: int, number: int = 0, cname: str = "") -> None: ...
    def configure(self, now: int, generation: int, **plan: Unpack[Agreed]) -> None:
        """Apply an agreed `MediaPlan` (its fields, by name). SSRC, sequence, timestamp and tape survive.

        The Port runs at the rate of the codec that it sends: what was queued at another is converted. `protection` is a
        suite ("AES_CM_128_HMAC_SHA1_80", "…_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"), our master key and theirs,
        each with its salt behind it (30, 28 or 44 bytes); theirs is None while it is not known. With it all is SRTP and
        SRTCP, and what is plain, forged or replayed is counted `dropped_forged`, `dropped_replayed`, `dropped_unkeyed`.
        A key that goes on keeps its counters; the far end's key before is taken for 5 s more.
        """

    def tunnel(self, now: int, **terms: Unpack[TunnelTerms]) -> None:
        """Have all media go through ICE and DTLS-SRTP, as an agreed `Tunnel` says (its fields, by name).

        From here on no plain RTP is taken or sent, whatever `configure` says, and its `remote` is what ICE finds.
        `ours` and `theirs` are ICE's user name and password, `identity` our certificate and its PKCS #8 key in DER,
        `seed` (64 bits of chance) what transaction numbers are drawn from. Again with other terms ICE begins anew.
        ValueError for an identity that can't be used, no fingerprint of SHA-2, or names that are none.
        """

    def listen(self, mode: str, gain_control: bool = False) -> None:
        """Say which audio becomes `Heard`: "all", "speech" (the gate, with 500 ms of pre-roll) or "none".

        With `gain_control` quiet speech is told louder: to -23 dBov, by 20 dB at most, at 15 dB a second of speech.
        What lies between, `Taped` and all events are as without.
        """

    def tape(self, on: bool) -> None:
        """Begin or end `Taped` events (a stretch every 500 ms, 500 ms behind the clock)."""

    def datagram(self, now: int, data: bytes, source: tuple[str, int], rtcp: bool = False) -> None:
        """Take one datagram from the RTP socket (or, with `rtcp`, from the RTCP socket).

        The latch takes the agreed address at its first packet, any other source at its second in sequence (the first
        is counted `dropped_probation`), and then nobody else. Under SRTP it takes whatever address a packet with the
        right tag comes from.
        """

    def tick(self, now: int) -> None:
        """Do what is due at `now`: send a packet, close a hole, build a report. Late ticks catch up on the grid."""

    def play(self, now: int, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue audio behind what is queued; give how many bytes of `pcm` were taken (the queue holds 2 s).

        `rate_hz` is 8000, 16000, 22050, 24000 or 48000. Numbers of utterances increase. Audio for an utterance that
        was cut or is over is taken and forgotten (`stale_audio`). The queue stands still while we do not send.
        """

    def end(self, now: int, utterance: int) -> None:
        """Say that an utterance is complete; `Played` follows when its last sample was heard.

        Each utterance ends in exactly one `Played` or `Cut`.
        """

    def mark(self, now: int, utterance: int, mark: int) -> None:
        """Queue a mark behind what is queued: `Marked` follows when the audio before it was heard."""

    def hush(self, now: int) -> None:
        """Drop what is queued, fade out within one packet, and tell a `Cut` for each utterance not yet heard."""

    def arm(self, depth_db: float | None) -> None:
        """Arm the reflex: on speech over our voice, duck by `depth_db` (None disarms)."""

    def restore(self, now: int) -> None:
        """Bring a ducked voice back to full level over 20 ms."""

    def press(self, now: int, keys: str, duration_ms: int = 100, gap_ms: int = 100) -> None:
        """Send keys `0-9*#A-D` behind what is queued, 64 at most, each 20 to 8000 ms long; ValueError for another.

        They go as RFC 4733 events, and as tones in the audio (ITU-T Q.23) where `dtmf_send` was not agreed.
        """

    def watch(self, tones: Sequence[WatchedTone], beep: bool = False) -> None:
        """Listen for tones from here on, and for a machine's beep (ITU-T E.180, Q.35, T.30); none: no more.

        A beep is one tone alone, 400 to 2000 Hz and 100 to 1500 ms long, once somebody has spoken. At most 24 tones
        of 8 segments of 4 frequencies (200 to 3600 Hz) and 10 s: ValueError for more.
        """

    def relay(self, on: bool) -> None:
        """Begin or end to keep what others may hear of this port, for `pull`."""

    def mix(self, heard: Sequence[tuple[int, str, float]]) -> None:
        """Say whom the far end hears from here on, and nobody else: port, side, change of level (-60 to 12 dB).

        Side `far` is that port's far end, `ours` what we play to it. Levels move over 20 ms; what breaks off fades. The
        reflex is disarmed where there was nobody before. ValueError for more than 16, a level or a side that is none.
        """

    def mixed(self) -> list[tuple[int, str]]:
        """Whom the far end hears: port and side."""

    def bed(self, sound: Sound | None, level_db: float = 0.0, duck_db: float = 0.0) -> None:
        """Let a sound go round under all that is sent, ducked while we or the far end speak; None fades it out.

        It is on the tape, and otherwise nothing that we said. ValueError outside -60 to 0 dB and 0 to 60 of ducking.
        """

    def wants(self, now: int) -> tuple[int, int] | None:
        """Say since when (ns) and how many ms of others' audio must be fed before the tick at `now`, for `pull`.

        None where no packet is due, or nobody is heard.
        """

    def pull(self, now: int, ms: int, side: str = "far") -> bytes:
        """Give `ms` (1000 at most) of a side, for people: PCM at the Port's rate, without a gap.

        The first sample is heard at `now`; of `ours` it left 60 ms before, or `ms` where that is more. What was given
        for a time is given again to others who ask for it, for 600 ms. b"" where `relay` is off, or nothing sounds.
        """

    def feed(self, now: int, port: int, pcm: bytes, rate_hz: int = 8000, side: str = "far") -> None:
        """Take what `pull` of another port gave: it is mixed into the packets that leave with the next tick."""

    def carry(self, *, lead_ms: int, least_ms: int, most_ms: int, fences: bool, clears: bool) -> None:
        """Have a carrier bring the far end: no packet comes or leaves. Before the first `configure`, with any `remote`.

        What is played leaves as `Leaving`, in messages of `least_ms` to `most_ms`, at most `lead_ms` (0 to 450) before
        it sounds by the estimate; silence does not leave. `fences`: the carrier tells what it has played, as `Fence`
        asks; then `Played` and `Marked` wait for that, half a second at most. `clears`: what it buffers can be dropped;
        then `hush` tells `Emptied`, behind the `Cut`s, which count what had begun to sound as heard. While others are
        mixed in nothing is ahead of the clock.
        """

    def bring(self, now: int, sequence: int, timestamp: int, payload: bytes) -> None:
        """Take audio of the far end in the codec that is received, 60 ms at most; numbers as RTP's."""

    def passed(self, now: int, fence: int) -> None:
        """The carrier says that it has played all before a fence. One that is not out, or was dropped, is ignored."""

    def discover(self, now: int, server: tuple[str, int], id: bytes) -> None:
        """Ask a STUN server what the RTP socket looks like from there, three times 100 ms apart (RFC 8489).

        `id` is the transaction's number, 12 bytes of chance. `Mapped` follows if it answers.
        """

    @property
    def rate_hz(self) -> int:
        """The rate of the audio inside: 8000 or 16000."""

    def deadline(self) -> int | None:
        """When `tick` must be called next; None while there is nothing to do."""

    def packets(self) -> list[tuple[bytes, tuple[str, int], bool]]:
        """Take the datagrams to send: data, destination, whether from the RTCP socket."""

    def events(self) -> list[Event]: ...
    def describe(self) -> tuple[str, str]:
        """Give the stages of what comes and of what leaves, each in a line; empty before the first plan.

        `("ear (adaptive holes ≤ 20 ms) → PCMU/8000 → conceal → listening (speech, 8 kHz)",
        "feed (to 8 kHz) → queue → mouth (20 ms) → PCMU/8000")`
        """

    def counters(self) -> dict[str, int]:
        """Counts by reason: `sent`, `lost`, `concealed`, `underruns`, `dropped_*` for every reason, and more.

        `given` is what was given to `datagram`: the sum of all `received_*` and `dropped_*`. `received` is the sum of
        the `received_*`.
        """

@final
class Engine:
    """Threads that own sockets and drive Ports. All methods are cheap, never block, and may be called from one thread.

    OSError where no RTP port is free or can't be bound, and BlockingIOError where a thread is thousands of commands
    behind. A number that was closed is ignored by every verb but `open`. The verbs are those of `Port`.
    """

    def __init__(
        self, *, ip: str = "127.0.0.1", first_port: int = 10000, last_port: int = 19999, threads: int = 1
    ) -> None: ...
    def fileno(self) -> int:
        """Give the eventfd that is readable while events wait (edge-coalesced)."""

    def open(
        self, *, ssrc: int, sequence: int, timestamp: int, cname: str = "", beside: int | None = None
    ) -> tuple[int, int]:
        """Bind an RTP/RTCP pair (even/odd), start a Port on it; give its number and the RTP port.

        It goes to the thread of `beside`, where one of the two may hear the other (`mix`); else to the one with the
        fewest.
        """

    def configure(self, port: int, generation: int, **plan: Unpack[Agreed]) -> None: ...
    def tunnel(self, port: int, **terms: Unpack[TunnelTerms]) -> None: ...
    def listen(self, port: int, mode: str, gain_control: bool = False) -> None: ...
    def tape(self, port: int, on: bool) -> None: ...
    def play(self, port: int, utterance: int, pcm: bytes, rate_hz: int) -> int: ...
    def end(self, port: int, utterance: int) -> None: ...
    def mark(self, port: int, utterance: int, mark: int) -> None: ...
    def hush(self, port: int) -> None: ...
    def arm(self, port: int, depth_db: float | None) -> None: ...
    def restore(self, port: int) -> None: ...
    def press(self, port: int, keys: str, duration_ms: int = 100, gap_ms: int = 100) -> None: ...
    def watch(self, port: int, tones: Sequence[WatchedTone], beep: bool = False) -> None: ...
    def mix(self, port: int, heard: Sequence[tuple[int, str, float]]) -> None:
        """Say whom the far end of a port hears, as `Port.mix`; ValueError for itself, or one on another thread."""

    def part(self, port: int) -> None:
        """Nobody hears this port from here on, and it hears nobody; closing it does so, too."""

    def bed(self, port: int, sound: Sound | None, level_db: float = 0.0, duck_db: float = 0.0) -> None: ...
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
    ) -> int:
        """Start a Port without sockets, whose far end a carrier brings (`Port.carry`); give its number."""

    def bring(self, port: int, sequence: int, timestamp: int, payload: bytes) -> None: ...
    def passed(self, port: int, fence: int) -> None: ...
    def rate_hz(self, port: int) -> int:
        """The rate of the audio of a port: 8000 or 16000, by what it was last configured for."""

    def close(self, port: int) -> dict[str, int]:
        """Stop a Port, free its sockets (kept draining for 2 s before the pair is given out again); its counters."""

    def describe(self, port: int) -> tuple[str, str]: ...
    def counters(self, port: int) -> dict[str, int]: ...
    def totals(self) -> dict[str, int]:
        """Counters of the engine and of all ports, closed ones too.

        `events_lost` counts ring overflows (audio goes first), `ports` those that are open, `latest_us` is how late
        a thread was for a deadline at worst.
        """

    def drain(self) -> list[Event]:
        """Take all waiting events, oldest first per port, and re-arm the eventfd."""

    def shutdown(self) -> None:
        """Stop the threads and close every socket. Idempotent."""

class Resampler:
    """Between 8, 16, 22.05, 24 and 48 kHz, streaming: state survives between calls.

    The first sample out belongs to the first in. `steady` is for packets, as a Port converts them: every push of n
    samples gives n·to/from, and what goes in comes out 23 to 26 samples of the lower rate later.
    """

    def __init__(self, from_hz: int, to_hz: int, *, steady: bool = False) -> None: ...
    def push(self, pcm: bytes) -> bytes: ...
    def finish(self) -> bytes:
        """Give the tail that the filter still holds: n samples in make n·to/from out. What follows is a new stream."""

class Encoder:
    """One stream of packets as a Port makes them: push a packet time of PCM at the codec's own rate (Opus: 16 kHz).

    `codec` is a name with what the far end asked for: "G722", "L16/16000", "opus;useinbandfec=1;usedtx=1". A push gives
    nothing where silence is left out. `expect_loss` says what the far end loses, percent.
    """

    def __init__(self, codec: str) -> None: ...
    def push(self, pcm: bytes) -> bytes: ...
    def expect_loss(self, percent: int) -> None: ...

class Decoder:
    """One stream of packets as a Port hears them, at the codec's own rate.

    `conceal` goes through `samples` of a hole: what the codec gives of it, which may be nothing, and how many samples
    of that, at its end, are said again by the packet `behind` it (in-band FEC). The rest is a guess.
    """

    def __init__(self, codec: str) -> None: ...
    def push(self, payload: bytes) -> bytes: ...
    def conceal(self, samples: int, behind: bytes | None = None) -> tuple[bytes, int]: ...

def encode(codec: str, pcm: bytes) -> bytes:
    """Encode a stretch of PCM at the codec's own rate: "PCMU", "PCMA", "L16/16000"."""

def decode(codec: str, payload: bytes) -> bytes:
    """Decode a stretch to PCM at the codec's own rate."""

def rating(delay_ms: float, loss: float, burst_ratio: float = 1.0, codec: str = "PCMU") -> float:
    """The rating factor R of the E-model (ITU-T G.107, simplified; codecs by G.113 appendix I), 0 to 93.2.

    `delay_ms` is one way, from mouth to ear; `loss` the share of 1 that is lost or late; `codec` an encoding name.
    """

def mos(rating: float) -> float:
    """The mean opinion score of a rating factor (ITU-T G.107 annex B), 1 to 4.5."""

class Loss:
    """Concealment as a stage of its own: push frames of 20 ms at 8000 or 16000 Hz, None for a lost one."""

    def __init__(self, rate_hz: int = 8000) -> None: ...
    def push(self, pcm: bytes | None) -> bytes: ...
    def between(self, frames: int, after: bytes) -> bytes:
        """Make up `frames` of 20 ms (500 at most) that lead to `after`, the frame behind the hole; push it next."""

class Keypad:
    """The ear for keys in 8 kHz audio (ITU-T Q.24) as a stage of its own."""

    def __init__(self) -> None: ...
    def push(self, pcm: bytes, concealed: bool = False) -> list[tuple[str, int]]:
        """Give the keys that are heard for the first time, and the sample at which each began."""

    @property
    def sounding(self) -> bool:
        """Whether what sounds is a key, as far as can be said."""

class Isochronous:
    """The isochronous buffer of people's legs as a stage of its own: packets in, audio out on a clock of its own.

    From `start` (ns) on it pulls `step` samples of `rate_hz` at a time, as a loudspeaker would; timestamps run at
    `clock_hz`. Times are monotonic ns and never go back. ValueError for rates outside 8 to 48 kHz.
    """

    def __init__(self, *, rate_hz: int, clock_hz: int, start: int, step: int) -> None: ...
    def push(self, now: int, timestamp: int, pcm: bytes, *, marker: bool = False) -> None:
        """Pull what is due before `now`, then take a packet that arrives at it."""

    def hush(self, now: int, timestamp: int) -> None:
        """Take comfort noise (RFC 3389): behind it the sender is silent."""

    def run(self, now: int) -> None:
        """Pull what is due by `now`."""

    def take(self) -> tuple[bytes, list[tuple[str, int, int, int, int]]]:
        """Give the audio since the last time, and what it is made of.

        Each stretch: what it is, where it begins in all output, its samples, its position in the stream (0 is the first
        packet's first sample) and how many samples of the stream it stands for. What it is: "heard" (as it came),
        "shortened" and "lengthened" (a pitch period less or more), "lost" and "late" (made up), "silent".
        """

class Watch:
    """The ear for tones in 8 kHz audio, as `Port.watch` has it, as a stage of its own."""

    def __init__(self, tones: Sequence[WatchedTone], beep: bool = False) -> None: ...
    def push(self, pcm: bytes) -> list[tuple[str, int]]:
        """Give the kinds that are heard now, and the sample at which each was certain."""
