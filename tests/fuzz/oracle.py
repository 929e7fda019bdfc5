"""What the fuzz targets share: how one runs, its seeds, and how a planted fault is put in to show that it is found.

    python tests/fuzz/fuzz_sip.py -max_total_time=60            any option of libFuzzer's
    python tests/fuzz/fuzz_sip.py --plant=message -max_total_time=60    with a fault round that parser: must fail

The oracle is the same for every parser: what is accepted is written back and read again to the same value, and what is
not accepted is a ProtocolError. Nothing of this touches the source: a fault is put round the target's own reader.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

WORDS = (
    *("SIP/2.0", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "Via: ", "v: ", "From: ", "To: ", "Call-ID: "),
    *("CSeq: ", "Contact: ", "Content-Length: ", "l: ", "Route: ", "Record-Route: ", "Require: ", "Max-Forwards: "),
    *(";tag=", ";branch=z9hG4bK", ";rport", ";lr", "sip:", "tel:", "<sip:", ">", "application/sdp", "multipart/mixed"),
    *(
        "\\x0d\\x0a",
        "\\x0d\\x0a\\x0d\\x0a",
        "\\x0d\\x0a ",
        "v=0",
        "m=audio 1 RTP/AVP 0",
        "a=rtpmap:",
        "c=IN IP4 ",
        "t=0 0",
    ),
)


PLANT = "--plant="


def plant() -> str:
    """Give the parser in which this run was asked for a fault, "" where in none."""
    return next((option.removeprefix(PLANT) for option in sys.argv if option.startswith(PLANT)), "")


def planted(parser: str) -> bool:
    """Whether this run was asked for a fault in that parser."""
    return plant() == parser


def fuzz(target: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Run a target under libFuzzer with its seeds; a crash is printed, and kept where `-artifact_prefix` says."""
    options = [option for option in sys.argv[1:] if not option.startswith(PLANT)]
    with tempfile.TemporaryDirectory(prefix="offhook-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = Path(folder) / "words"
        words.write_text("".join([f'"{word}"\n' for word in WORDS]))
        defaults = [
            f"-dict={words}",
            f"-artifact_prefix={folder}/",
            "-max_len=4096",
            "-timeout=5",
            "-rss_limit_mb=1024",
        ]
        atheris.Setup([sys.argv[0], *defaults, *options, str(corpus)], target)
        atheris.Fuzz()
