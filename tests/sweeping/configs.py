"""Short configs of small sweeps, to be changed section by section."""

from __future__ import annotations

from typing import Any

from sweeps.config import SweepConfig, parse_config


def config(**changes: Any) -> SweepConfig:
    """A small classification sweep with `changes` in the place of whole sections."""
    tree: dict[str, Any] = {
        "name": "small",
        "dataset": {"use": "sweeping:blobs"},
        "model": {"use": "sweeping:curved"},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": {"use": "sgd"},
        "search_space": {
            "epochs": {"type": "int", "low": 1, "high": 4},
            "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
            "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        },
        "objective": {"metric": "valid_loss", "direction": "minimize"},
        "sampler": {"use": "random"},
        "budget": {"trials": 8},
    }
    return parse_config({**tree, **changes})


def regression(**changes: Any) -> SweepConfig:
    """The same with values to regress on, and the linear model that starts at zero."""
    sections = {
        "dataset": {"use": "sweeping:plane"},
        "model": {"use": "sweeping:flat"},
        "loss": "mean_squared_error",
        "metrics": [],
    }
    return config(**{**sections, **changes})


def small(**changes: Any) -> SweepConfig:
    """A sweep over three numbers, of the model that trains fastest, in two lanes."""
    space = {
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 0.05, "log": True},
    }
    return regression(**{"search_space": space, "lanes": 2, **changes})


def fixed(**values: Any) -> dict[str, Any]:
    """A search space without a search."""
    return {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **values}
