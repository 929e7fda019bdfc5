"""The error tree, split by whose fault it is.

    OffhookError
    ├── Ours                 a bug or a broken set-up of this process
    │   ├── ConfigError      the configuration can't work; the text says the fix
    │   └── ModelError       a model file is missing, altered or does not load
    ├── Theirs               the far end broke the protocol or said no
    │   ├── ProtocolError    malformed SIP, SDP, RTP, JSON …; `code` is the SIP status that answers it
    │   ├── TransferFailed   the target of a transfer did not take the call; `code` says why
    │   ├── DialFailed       a call that we placed was not answered; `code` says why
    │   └── ProviderError    a speech or language service failed or refused
    ├── Network              the path between us failed
    │   ├── CallEnded        the call is over, so the verb could not be carried out
    │   └── Unreachable      no answer from an address
    └── Policy               our own rules forbid it
        └── NotAllowed       a number, a network or a verb outside what the configuration allows

`retry` says whether the same thing may work a moment later; `spoken` is what a caller may be told.
"""

from __future__ import annotations

from typing import ClassVar


class OffhookError(Exception):
    """The root of every error that offhook raises on purpose."""

    retry: ClassVar[bool] = False
    spoken: ClassVar[str] = "Sorry, something went wrong."


class Ours(OffhookError):
    """This process, its configuration or its files are at fault."""


class ConfigError(Ours):
    """The configuration can't work; the message says what to change."""


class ModelError(Ours):
    """A local model is missing, altered or does not load."""


class Theirs(OffhookError):
    """The far end is at fault."""


class ProtocolError(Theirs):
    """A message that breaks its protocol. `code` is the SIP status that answers it."""

    def __init__(self, reason: str, code: int = 400) -> None:
        super().__init__(reason)
        self.code = code


class TransferFailed(Theirs):
    """The target of a transfer did not take the call. `code` is its SIP status.

    `refused`: nobody was called, since the far end does not transfer.
    """

    spoken = "Sorry, I could not put you through."

    def __init__(self, code: int, reason: str = "", *, refused: bool = False) -> None:
        super().__init__(f"the transfer failed: {code} {reason}".rstrip())
        self.code = code
        self.refused = refused


class DialFailed(Theirs):
    """A call that we placed was not answered. `code` is the SIP status, `meaning` what that means: `busy`, say."""

    def __init__(self, code: int, reason: str = "", meaning: str = "") -> None:
        super().__init__(f"the call was not answered: {code} {reason}".rstrip() + (f" ({meaning})" if meaning else ""))
        self.code = code
        self.meaning = meaning


class ProviderError(Theirs):
    """A speech or language service, or the API of a managed one, failed or refused."""

    retry = True
    spoken = "Sorry, one moment please."


class Network(OffhookError):
    """The path between us and the far end failed."""

    retry = True


class CallEnded(Network):
    """The call is over, so the verb could not be carried out."""

    retry = False


class Unreachable(Network):
    """An address gave no answer."""


class Policy(OffhookError):
    """Our own rules forbid it."""

    spoken = "Sorry, I am not allowed to do that."


class NotAllowed(Policy):
    """A number, a network or a verb outside what the configuration allows."""
