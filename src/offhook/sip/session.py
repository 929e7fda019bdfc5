"""The offer/answer state of one dialog (RFC 3264, RFC 6337): never more than one offer open.

none ──offer()──► ours ──answered()──► none
none ──offered()─► theirs ──answer()──► none          withdraw(): back to what was agreed before
"""

from __future__ import annotations

from offhook.core.errors import ProtocolError
from offhook.sip.sdp import Session


class OfferAnswer:
    """What both sides agreed on and which offer is open. `local` and `remote` are the agreed descriptions."""

    __slots__ = ("_offer", "local", "open", "remote")

    def __init__(self) -> None:
        self.local: Session | None = None
        self.remote: Session | None = None
        self.open = "none"
        self._offer: Session | None = None

    def fork(self) -> OfferAnswer:
        """Give the exchange of another dialog that the same INVITE has made (RFC 3261 section 13.2.2.4)."""
        other = OfferAnswer()
        other.local, other.remote, other.open, other._offer = self.local, self.remote, self.open, self._offer
        return other

    def offer(self, ours: Session) -> None:
        """Open an offer of ours. ProtocolError 491 where one is open."""
        self._open("ours", ours)

    def offered(self, theirs: Session) -> None:
        """Open an offer of theirs. ProtocolError 491 where one of ours is open, 500 where one of theirs is."""
        self._open("theirs", theirs)

    def answer(self, ours: Session) -> None:
        """Close their offer with our answer."""
        assert self.open == "theirs"
        self.remote, self.local, self.open, self._offer = self._offer, ours, "none", None

    def answered(self, theirs: Session) -> None:
        """Close our offer with their answer. ProtocolError where we made none."""
        if self.open != "ours":
            raise ProtocolError("an answer to no offer")
        self.local, self.remote, self.open, self._offer = self._offer, theirs, "none", None

    def withdraw(self) -> None:
        """Give up an open offer; what was agreed before holds (RFC 6337 section 3.4)."""
        self.open, self._offer = "none", None

    def _open(self, whose: str, offer: Session) -> None:
        if self.open != "none":
            raise ProtocolError("an offer is open already", 491 if self.open == "ours" else 500)
        self.open, self._offer = whose, offer
