"""Time as a number.

Every instant in offhook is monotonic time in integer nanoseconds, passed in as `now`. Nothing in a pure room reads a
clock; the loop (live or virtual) does, once per wake-up, in `run/`.
"""

Instant = int
Duration = int

MICROSECOND: Duration = 1_000
MILLISECOND: Duration = 1_000_000
SECOND: Duration = 1_000_000_000


def milliseconds(duration: Duration) -> float:
    """Give a duration in nanoseconds as milliseconds."""
    return duration / MILLISECOND


def seconds(duration: Duration) -> float:
    """Give a duration in nanoseconds as seconds."""
    return duration / SECOND
