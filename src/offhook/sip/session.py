"""The offer/answer state of one dialog (RFC 3264, RFC 6337): never more than one offer open.

none ──offer()──► ours ──answered()──► none
none ──offered()─► theirs ──answer()──► none          withdraw(): back to what was agreed before

It numbers what we describe: who says the same again says it under the number that it had, and each change gets the next
(RFC 3264 section 8), whatever became of the one before it.
"""

from __future__ import annotations

from dataclasses import replace

from offhook.core.errors import ProtocolError
from offhook.sip.sdp import Session


class OfferAnswer:
    """What both sides agreed on and which offer is open. `local` and `remote` are the agreed descriptions."""

    __slots__ = ("_offer", "_said", "local", "open", "remote")

    def __init__(self) -> None:
        self.local: Session | None = None
        self.remote: Session | None = None
        self.open = "none"
        self._offer: Session | None = None
        self._said: Session | None = None

    def fork(self) -> OfferAnswer:
        """Give the exchange of another dialog that the same INVITE has made (RFC 3261 section 13.2.2.4)."""
        other = OfferAnswer()
        other.local, other.remote, other.open, other._offer = self.local, self.remote, self.open, self._offer
        other._said = self._said
        return other

    def offer(self, ours: Session) -> Session:
        """Open an offer of ours; give it with its number. ProtocolError 491 where one is open."""
        self._free()
        self.open, self._offer = "ours", self._numbered(ours)
        return self._offer

    def offered(self, theirs: Session) -> None:
        """Open an offer of theirs. ProtocolError 491 where one of ours is open, 500 where one of theirs is."""
        self._free()
        self.open, self._offer = "theirs", theirs

    def answer(self, ours: Session) -> Session:
        """Close their offer with our answer; give it with its number."""
        assert self.open == "theirs"
        ours = self._numbered(ours)
        self.remote, self.local, self.open, self._offer = self._offer, ours, "none", None
        return ours

    def answered(self, theirs: Session) -> None:
        """Close our offer with their answer. ProtocolError where we made none."""
        if self.open != "ours":
            raise ProtocolError("an answer to no offer")
        self.local, self.remote, self.open, self._offer = self._offer, theirs, "none", None

    def withdraw(self) -> None:
        """Give up an open offer; what was agreed before holds (RFC 6337 section 3.4)."""
        self.open, self._offer = "none", None

    def _free(self) -> None:
        if self.open != "none":
            raise ProtocolError("an offer is open already", 491 if self.open == "ours" else 500)

    def _numbered(self, ours: Session) -> Session:
        if self._said is not None:
            if self.local is not None and _with_version(self.local, 0) == _with_version(ours, 0):
                return self.local
            ours = _with_version(ours, version(self._said) + 1)
        self._said = ours
        return ours


def version(description: Session) -> int:
    """Give the version in an o= line; 1 where there is none to be read."""
    fields = (description.origin or "").split()
    text = fields[2] if len(fields) > 2 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 1


def _with_version(description: Session, number: int) -> Session:
    lines = list(description.lines)
    for index, (letter, value) in enumerate(lines):
        fields = value.split()
        if letter == "o" and len(fields) > 2:
            fields[2] = str(number)
            lines[index] = ("o", " ".join(fields))
    return replace(description, lines=tuple(lines))
