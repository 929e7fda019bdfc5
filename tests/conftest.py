"""What every test may ask for: a real peer, a file that a peer's package ships, and how long to fuzz."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

# Longer than the default in pyproject.toml, for suites that wait for other programs or for the clock.
TIMEOUT_S = {"interop": 300, "slow": 600}


def fuzzing_s() -> float:
    return float(os.environ.get("FUZZ_SECONDS", "60"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        allowed = [seconds for mark, seconds in TIMEOUT_S.items() if item.get_closest_marker(mark)]
        if item.get_closest_marker("fuzz"):
            allowed.append(int(fuzzing_s()) + 120)
        if allowed and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(max(allowed)))


def absent(what: str, package: str) -> NoReturn:
    """A peer that is not there is a failure where all must be there (CI), and a skip with the one command elsewhere."""
    reason = f"{what} is not installed: sudo apt-get install -y --no-install-recommends {package}"
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def peer() -> Callable[[str, str], str]:
    """`peer("sipp", "sip-tester")`: the path of a program, and the Debian package that has it."""

    def find(program: str, package: str) -> str:
        return shutil.which(program) or absent(program, package)

    return find


@pytest.fixture(scope="session")
def peer_file() -> Callable[[str, str], Path]:
    """`peer_file("/usr/share/asterisk/sounds/en", "asterisk-core-sounds-en-wav")`: a file or folder of a package."""

    def find(path: str, package: str) -> Path:
        return Path(path) if Path(path).exists() else absent(path, package)

    return find


@pytest.fixture(scope="session")
def peer_library() -> Callable[[str, str], ctypes.CDLL]:
    """`peer_library("libopus.so.0", "libopus0")`: a library, and the package that has it."""

    def load(name: str, package: str) -> ctypes.CDLL:
        try:
            return ctypes.CDLL(name)
        except OSError:
            absent(name, package)

    return load


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long one fuzz target runs."""
    return fuzzing_s()
