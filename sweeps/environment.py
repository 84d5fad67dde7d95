"""What a run depends on besides its config: versions, processor, devices, git revision. Written beside the tables."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.version import __version__

PACKAGES = ("jax", "jaxlib", "optax", "flax", "optuna", "numpy", "pandas")


def describe(seed: int, devices: list[str]) -> dict[str, Any]:
    """Versions, the processor, devices, the project's git revision ("" outside a checkout) and the seed."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "packages": {"sweeps": __version__, **{name: _version(name) for name in PACKAGES}},
        "devices": devices,
        "git_revision": _revision(),
        "seed": seed,
    }


def text(described: Mapping[str, Any]) -> str:
    """What `environment.json` holds."""
    return json.dumps(described, indent=2) + "\n"


def _processor() -> str:
    """The processor's name: XLA compiles for it, and another one may round otherwise."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


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
