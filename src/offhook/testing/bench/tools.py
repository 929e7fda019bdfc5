"""The native floor and the load generator: Rust programs in `bench/load/`, built when a bench first needs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from offhook.testing.bench.machine import BenchFailed, Subject

SOURCE = Path(__file__).resolve().parents[4] / "bench" / "load" / "Cargo.toml"
TARGET = SOURCE.parents[1] / "out" / "cargo"


def tool(name: str) -> str:
    """Give the path of `floor` or `load`, built if it is older than its source. BenchFailed if it can't be."""
    if not SOURCE.is_file():
        raise BenchFailed("the floor and the load are built from bench/load/, which only a checkout of offhook has")
    cargo = shutil.which("cargo")
    if cargo is None:
        raise BenchFailed("cargo builds the floor and the load and is not installed: https://rustup.rs")
    command = [cargo, "build", "--release", "--locked", "--quiet", "--manifest-path", str(SOURCE)]
    print("building bench/load, if it has changed …", file=sys.stderr)
    built = subprocess.run([*command, "--target-dir", str(TARGET)], check=False)  # noqa: S603 (our own source)
    program = TARGET / "release" / name
    if built.returncode != 0 or not program.is_file():
        raise BenchFailed(f"cargo could not build {SOURCE.parent}")
    return str(program)


def floor(program: str, calls: int, seconds: int, core: int | None) -> Subject:
    """Start the floor; it reports its ports, then (when it has measured) its figures."""
    return Subject([program, "--calls", str(calls), "--seconds", str(seconds)], core)


def load(
    program: str,
    ports: Sequence[int],
    seconds: int,
    core: int | None,
    *,
    echo: bool,
    seed: int,
    grid_us: int = 0,
    besides: Sequence[str] = (),
) -> Subject:
    """Start the load towards `ports` of this host; it reports its own ports and sends after any order.

    `grid_us`: what comes back should have left at multiples of it on the monotonic clock.
    `besides`: further arguments of its.
    """
    targets = ",".join(f"127.0.0.1:{port}" for port in ports)
    command = [program, "--to", targets, "--seconds", str(seconds), "--wait", "--rtcp"]
    command += ["--seed", str(seed), "--grid-us", str(grid_us)]
    return Subject([*command, *besides, *(["--echo-check"] if echo else [])], core)
