"""Status codes: reason phrases, and the Q.850 causes that say the same (RFC 3261 section 21, RFC 3398)."""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[int, str]] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    429: "Provide Referrer Identity",
    433: "Anonymity Disallowed",
    469: "Bad Info Package",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}

_CLASSES: Final[dict[int, str]] = {
    1: "Progress",
    2: "OK",
    3: "Redirected",
    4: "Request Failed",
    5: "Server Failed",
    6: "Refused Everywhere",
}

_CAUSES: Final[dict[int, int]] = {
    # RFC 3398 section 8.2.6.1: SIP status to ISUP cause.
    200: 16,
    400: 41,
    401: 21,
    402: 21,
    403: 21,
    404: 1,
    405: 63,
    406: 79,
    407: 21,
    408: 102,
    410: 22,
    413: 127,
    414: 127,
    415: 79,
    416: 127,
    420: 127,
    421: 127,
    423: 127,
    480: 18,
    481: 41,
    482: 25,
    483: 25,
    484: 28,
    485: 1,
    486: 17,
    487: 16,
    488: 65,
    500: 41,
    501: 79,
    502: 38,
    503: 41,
    504: 102,
    505: 127,
    513: 127,
    600: 17,
    603: 21,
    604: 1,
    606: 65,
    607: 21,
    608: 21,
}

LOST: Final = frozenset({404, 410, 416, 481, 482, 483, 484, 485, 604})
"""What says inside a call that there is no dialog any more, or no way to its far end (RFC 5057 section 5.1)."""

GONE: Final = LOST | {408, 480}
"""What ends the session that was asked about: the dialog is lost, or nobody is there. 501 does not, whatever RFC 5057
says: gateways that know no re-INVITE keep the call. Nor does any of these to a REFER: most mean its target."""


def reason(code: int) -> str:
    """Give the reason phrase of a status code; a phrase of its class where the code is not a known one."""
    return REASONS.get(code) or _CLASSES.get(code // 100, "Unknown")


def cause(code: int) -> int:
    """Give the Q.850 cause that says the same as a SIP status (RFC 3398 section 8.2.6.1); 31 where nothing fits."""
    return _CAUSES.get(code, 16 if 200 <= code < 300 else 31)


def said_no(code: int) -> str:
    """Give the reason word of `Ended` for a final response that refuses a call of ours."""
    return "no_answer" if code in (408, 480) else "refused"
