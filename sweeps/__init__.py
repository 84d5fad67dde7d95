"""Hyperparameter sweeps that compile once: `sweeps.run(config)` trains, `sweeps.load(folder)` reads what it left.

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sweeps.version import __version__

if TYPE_CHECKING:
    from sweeps.config import SweepConfig, load_config, parse_config
    from sweeps.datasets.dataset import Dataset, Split
    from sweeps.errors import SweepError
    from sweeps.results.results import Results, load
    from sweeps.runner.start import run

__all__ = [
    "Dataset",
    "Results",
    "Split",
    "SweepConfig",
    "SweepError",
    "__version__",
    "load",
    "load_config",
    "parse_config",
    "run",
]

_HOME = {
    "Dataset": "sweeps.datasets.dataset",
    "Results": "sweeps.results.results",
    "Split": "sweeps.datasets.dataset",
    "SweepConfig": "sweeps.config",
    "SweepError": "sweeps.errors",
    "load": "sweeps.results.results",
    "load_config": "sweeps.config",
    "parse_config": "sweeps.config",
    "run": "sweeps.runner.start",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
