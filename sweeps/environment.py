"""What a run depends on besides its config: versions, device, git revision. Written beside the tables."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from typing import Any

PACKAGES = ("sweeps", "jax", "jaxlib", "optax", "flax", "optuna", "numpy", "pandas")


def describe(seed: int, devices: list[str]) -> dict[str, Any]:
    """Versions, devices, the project's git revision ("" outside a checkout) and the seed."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": devices,
        "git_revision": _revision(),
        "seed": seed,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _revision() -> str:
    command = ["git", "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
