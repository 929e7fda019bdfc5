"""Every parser of the SIP room under libFuzzer: clean for as long as asked, and a planted fault is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TARGETS = ("sip", "sdp", "stream", "grammar")
PARSERS = [
    *(("sip", parser) for parser in ("message", "body", "fragment")),
    ("sdp", "sdp"),
    ("stream", "stream"),
    *(("grammar", parser) for parser in ("uri", "name_addr", "via", "params", "list")),
    *(("grammar", parser) for parser in ("cseq", "max_forwards", "media_type", "identity")),
    *(("grammar", parser) for parser in ("group", "candidate", "fingerprint")),
    *(("grammar", parser) for parser in ("crypto", "feedback", "extension", "source", "auth", "session_expires")),
    *(("grammar", parser) for parser in ("replaces", "target_dialog", "refer_to", "referred_by")),
    *(("grammar", parser) for parser in ("reason", "rack", "dtmf_relay")),
    *(("grammar", parser) for parser in ("diversion", "history")),
]

pytest.importorskip("atheris", reason="atheris has no wheel for this Python or machine", exc_type=ImportError)


PLANTED_S = 300
"""What a planted fault may take on a busy machine; a run ends when it is found."""


def run(target: str, *options: str, within_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / f"fuzz_{target}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)


@pytest.mark.fuzz
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target, fuzz_seconds):
    done = run(target, f"-max_total_time={round(fuzz_seconds)}", within_s=fuzz_seconds + 90)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "DONE" in done.stderr


@pytest.mark.fuzz
@pytest.mark.timeout(PLANTED_S + 120)
@pytest.mark.parametrize(("target", "parser"), PARSERS)
def test_a_planted_fault_is_found(target, parser):
    done = run(target, f"--plant={parser}", f"-max_total_time={PLANTED_S}", within_s=PLANTED_S + 90)
    assert done.returncode != 0
    assert "Uncaught Python exception" in done.stdout + done.stderr
