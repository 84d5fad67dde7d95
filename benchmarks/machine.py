"""Where a page's figures come from: device, system, date, load and versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from benchmarks.measurements import CPU, GPU
from benchmarks.workloads import REPOSITORY

PACKAGES = (
    "jax", "jaxlib", "optax", "flax", "optuna", "numpy", "keras", "keras-tuner", "torch", "ray", "hyperoptax",
    "scikit-learn",
)  # fmt: skip
ASK_JAX = "import jax; devices = jax.devices(); print(devices[0].platform, len(devices), devices[0].device_kind)"


class Device(NamedTuple):
    """What JAX computes on: `cpu` or `gpu`, how many, and their make."""

    kind: str
    count: int
    make: str


def probe() -> Device:
    """Ask JAX, in a process of its own, so that this one never holds a card's memory."""
    asked = subprocess.run([sys.executable, "-c", ASK_JAX], capture_output=True, text=True, check=True)
    kind, count, make = asked.stdout.strip().splitlines()[-1].split(maxsplit=2)
    return Device(GPU if kind in ("gpu", "cuda", "rocm") else CPU, int(count), make)


def multiplies_bfloat16(device: str) -> bool:
    """Whether matrix products in bfloat16 are in hardware: on GPUs, and on CPUs with AMX."""
    return device == GPU or " amx_bf16" in Path("/proc/cpuinfo").read_text()


def describe(device: str, loads: tuple[float, float]) -> list[tuple[str, str]]:
    """The facts that head a page; `loads` are the load averages before and after."""
    cpu = f"CPU, {_cpu_model()}, {len(os.sched_getaffinity(0))} cores"
    found = probe() if device == GPU else None
    return [
        ("device", f"{found.count} × {found.make}; {cpu}" if found else cpu),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("git revision", _revision()),
        ("load average before and after", "{:.2f}, {:.2f}".format(*loads)),
        ("versions", ", ".join([f"python {platform.python_version()}", *map(_version, PACKAGES)])),
    ]


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _revision() -> str:
    """The commit, and whether the files differ from it; nothing outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    asked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"
