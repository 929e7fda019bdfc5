"""What a call tells its listeners, as it happens: one closed union, for `--events`, the demo and the tests.

    incoming ─ progress redirected identified ─ answered answered_by
    ─ said heard cut digit tool transfer timed … ─ ended recorded

`t` is the loop's clock in seconds; `call` is the call's id. A listener is a plain function; it must not block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from offhook.core.ids import CallId


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call came in, or was placed by us (`direction`)."""

    event: ClassVar[str] = "incoming"
    t: float
    call: CallId
    caller: str
    called: str
    direction: str = "inbound"


@dataclass(frozen=True, slots=True)
class Progress:
    """A call that we place is under way: `code` is 180 (it rings), 181 (forwarded), 182 (queued) or 183.

    `early`: the far end plays something already.
    """

    event: ClassVar[str] = "progress"
    t: float
    call: CallId
    code: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Redirected:
    """A call that we place goes on to `to`, since `code` (3xx) sent it there."""

    event: ClassVar[str] = "redirected"
    t: float
    call: CallId
    to: str
    code: int


@dataclass(frozen=True, slots=True)
class Identified:
    """What was found of the caller's signature (`core.verdict`); `reason` says why one does not hold."""

    event: ClassVar[str] = "identified"
    t: float
    call: CallId
    state: str
    attestation: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is up. `pipeline` is the way of its audio from the far end and back, stage by stage."""

    event: ClassVar[str] = "answered"
    t: float
    call: CallId
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """What has answered a call of ours, as the service that placed it found: human, machine, fax or unknown.

    `machine_beep`: a machine that may be spoken to now. It may come before `answered`, and more than once.
    """

    event: ClassVar[str] = "answered_by"
    t: float
    call: CallId
    what: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn of the caller, as it was understood."""

    event: ClassVar[str] = "heard"
    t: float
    call: CallId
    text: str
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """Words of ours that reached the caller. `whole` is False where they were cut."""

    event: ClassVar[str] = "said"
    t: float
    call: CallId
    text: str
    turn: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance was cut; so much of it was heard, in milliseconds."""

    event: ClassVar[str] = "cut"
    t: float
    call: CallId
    heard_ms: int


@dataclass(frozen=True, slots=True)
class Digit:
    """The caller pressed a key."""

    event: ClassVar[str] = "digit"
    t: float
    call: CallId
    digit: str


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone of the network or of a machine: `busy`, `ringback`, `sit_…`, `fax_cng`, `beep` (`call.tones`)."""

    event: ClassVar[str] = "tone"
    t: float
    call: CallId
    kind: str


@dataclass(frozen=True, slots=True)
class Text:
    """The far end sent text beside the call (RFC 3428)."""

    event: ClassVar[str] = "text"
    t: float
    call: CallId
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool is done. `arguments` are what the model gave."""

    event: ClassVar[str] = "tool"
    t: float
    call: CallId
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    result: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """The far end is handed to `to`; `code` is the SIP status of what came of it (200: taken).

    `kind` is blind, attended, or bridged: the call goes on through us then, until one of them hangs up.
    """

    event: ClassVar[str] = "transfer"
    t: float
    call: CallId
    to: str
    code: int = 200
    kind: str = "blind"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody is in the call beside the caller and the agent, is in it another way, or has gone (`mode` left).

    `participant` is the id of their leg, `who` an address; `mode` is talk, whisper (heard by one), listen, or left.
    """

    event: ClassVar[str] = "participant"
    t: float
    call: CallId
    participant: CallId
    who: str
    mode: str


@dataclass(frozen=True, slots=True)
class Timed:
    """The delays of a turn of ours, in milliseconds from the end of the caller's speech; None: there was none."""

    event: ClassVar[str] = "timed"
    t: float
    call: CallId
    turn: int
    transcript_ms: float | None
    decided_ms: float | None
    first_token_ms: float | None
    first_audio_ms: float | None


@dataclass(frozen=True, slots=True)
class OneWay:
    """Audio goes one way only (`on`), or that is over. `hint` says what may be the cause, and what to do.

    `fault`: nothing_comes, unheard (their reports say that they hear nothing of us) or silent (only digital silence).
    """

    event: ClassVar[str] = "one_way"
    t: float
    call: CallId
    fault: str
    on: bool
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A service has a recording of the call: `url` is where, `seconds` how long, `recording` the service's name for it.

    It mostly comes after `ended`.
    """

    event: ClassVar[str] = "recorded"
    t: float
    call: CallId
    url: str
    seconds: int = 0
    recording: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over. `reason`: hangup, remote_hangup, silence, failed, transferred, stalled, cancelled and so on.

    `meaning` is what `code` means: busy, no_answer, declined, not_found …; `ended` after an ordinary end. `mos` is the
    mean score of what we heard and `far_mos` of what they did, `loss` the share of their packets that was lost or late;
    None where the call was too short to tell, or nobody reported. `one_way` are the faults that there were.
    """

    event: ClassVar[str] = "ended"
    t: float
    call: CallId
    reason: str
    code: int = 200
    meaning: str = ""
    mos: float | None = None
    far_mos: float | None = None
    loss: float | None = None
    round_trip_ms: float | None = None
    one_way: tuple[str, ...] = ()


CallEvent = (
    Incoming
    | Progress
    | Redirected
    | Identified
    | Answered
    | AnsweredBy
    | Heard
    | Said
    | Cut
    | Digit
    | Tone
    | Text
    | Tool
    | Transfer
    | Participant
    | Timed
    | OneWay
    | Ended
    | Recorded
)
CallEvents = Callable[[CallEvent], None]
"""A listener."""


def as_json(event: CallEvent) -> dict[str, Any]:
    """Give an event as one line of `--events` has it: `{"t": …, "call": …, "event": …, …}`."""
    fields = asdict(event)
    return {"t": round(fields.pop("t"), 4), "call": fields.pop("call"), "event": event.event, **fields}
