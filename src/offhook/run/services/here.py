"""Where services come in, and what is asked for to see whether it is us who are there."""

from __future__ import annotations

from typing import Final

LISTEN: Final = "127.0.0.1:8080"
"""Where services come in where nothing is said: behind a proxy or a tunnel that speaks TLS."""

HERE: Final = "/services/here"
"""What is asked for from outside, to see whether it is us who answer."""
