"""Every reader of what managed services say, under libFuzzer: clean as long as asked, and a planted fault is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAMILY = ("twilio", "signalwire", "telnyx", "plivo", "exotel")
READERS = {
    "media": ("vonage", "websocket", "jambonz", "genesys", "audiosocket", "splitter", *FAMILY),
    "words": ("relay", "realtime"),
    "hooks": ("vonage", "asterisk", "jambonz", "openai", "proof", *FAMILY),
}
PLANTED_S = 300
"""What a planted fault may take on a busy machine; a run ends when it is found."""

pytest.importorskip("atheris", reason="atheris has no wheel for this Python or machine", exc_type=ImportError)


def run(target: str, *options: str, within_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / f"fuzz_{target}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)


@pytest.mark.fuzz
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", READERS)
def test_nothing_is_found(target, fuzz_seconds):
    done = run(target, f"-max_total_time={round(fuzz_seconds)}", within_s=fuzz_seconds + 90)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "DONE" in done.stderr


@pytest.mark.fuzz
@pytest.mark.timeout(PLANTED_S + 120)
@pytest.mark.parametrize(("target", "reader"), [(target, one) for target, some in READERS.items() for one in some])
def test_a_planted_fault_is_found(target, reader):
    done = run(target, f"--plant={reader}", f"-max_total_time={PLANTED_S}", within_s=PLANTED_S + 90)
    assert done.returncode != 0
    assert "Uncaught Python exception" in done.stdout + done.stderr
