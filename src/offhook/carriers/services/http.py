"""Requests to us and to a service, as values.

    a service's webhook ─► Request ─► signature checked ─► read ─► Response (often a control document)
    what we want of it ─► ApiCall ─► the host's HTTP client ─► ApiReply

Laws: a request is verified before anything in it is read; the URL that was signed is made of the public address that is
configured, never of what the request says of itself; no URL that a request brings is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

from offhook.core.errors import ProtocolError

FIELDS_LIMIT = 1000
"""Fields of a form or a query that are read at most."""


class Unsigned(ProtocolError):
    """A request that is not proved to come from the service: 401 where the proof is missing, 403 where it is wrong.

    `hint` tells the operator (never the sender) what is likely wrong: the secret, the public address or the clock.
    """

    def __init__(self, why: str, code: int = 403, hint: str = "") -> None:
        super().__init__(why, code)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, or the handshake of a websocket, as it came.

    `target` is the path and the query, undecoded. `headers` have names in lower case; of one that came twice, the
    values are joined by commas. `peer` is the address that it came from.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    peer: str = "127.0.0.1"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, undecoded, without its question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """Give a header, "" where there is none."""
        return self.headers.get(name.lower(), "")

    def fields(self) -> list[tuple[str, str]]:
        """Give the fields of a form body in their order, blank ones too. ProtocolError (400) where it is none."""
        return read_fields(self.body)

    def asked(self) -> list[tuple[str, str]]:
        """Give the fields of the query in their order. ProtocolError (400) where it is none."""
        return read_fields(self.query.encode("latin-1", "replace"))

    def json(self) -> Mapping[str, object]:
        """Give the object that the body is. ProtocolError (400) where it is none."""
        return read_json(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. Without a body there is no content type."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request to a service's API. `gone`: the statuses that say that what it was about is over, which is as good."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    gone: Sequence[int] = (404,)

    @classmethod
    def form(
        cls, method: str, url: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> ApiCall:
        """Make a request with a form."""
        typed = {**(headers or {}), "content-type": "application/x-www-form-urlencoded"}
        return cls(method, url, typed, urlencode(list(fields), errors="replace").encode())

    @classmethod
    def json(
        cls, method: str, url: str, value: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> ApiCall:
        """Make a request with a JSON object."""
        typed = {**(headers or {}), "content-type": "application/json"}
        return cls(method, url, typed, json.dumps(value, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class ApiReply:
    """What an API answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    def json(self) -> Mapping[str, object]:
        """Give the object that the body is. ProtocolError where it is none."""
        return read_json(self.body)


def read_fields(data: bytes) -> list[tuple[str, str]]:
    """Read a form or a query: UTF-8, blank values kept. ProtocolError (400) where it is none."""
    try:
        return parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT)
    except (UnicodeDecodeError, ValueError):
        raise ProtocolError("the fields are no form", 400) from None


def read_json(data: bytes | str) -> Mapping[str, object]:
    """Read a JSON object. ProtocolError (400) where it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolError("the body is no JSON", 400) from None
    if not isinstance(value, dict):
        raise ProtocolError("the body is no JSON object", 400)
    return value  # type: ignore[no-any-return]


def segment(text: str) -> str:
    """Write a text as one segment of a path: it leads nowhere else, whatever is in it."""
    return quote(text, safe="", errors="replace").replace(".", "%2E")
