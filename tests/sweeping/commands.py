"""The command as a person types it: a project's folder with a short config, and the environment of a process in it."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def short_config(*, trials: int = 2, epochs: int = 2, more: str = "") -> str:
    """A sweep of a linear model that takes a moment, with `more` sections."""
    return f"""\
name: small
dataset: {{use: linear_regression, rows: 200, features: 3}}
model: {{use: "models.linear:Linear"}}
loss: mean_squared_error
optimizer: {{use: sgd}}
search_space:
  epochs: {epochs}
  batch_size: 20
  learning_rate: {{type: float, low: 0.01, high: 0.1, log: true}}
objective: {{metric: valid_loss, direction: minimize}}
budget: {{trials: {trials}}}
{more}"""


def make_project(folder: Path, config: str) -> Path:
    """The folder, with `models/` and the config as `small.yaml` in it."""
    (folder / "models").symlink_to(PROJECT / "models")
    (folder / "small.yaml").write_text(config)
    return folder


def environment(**more: str) -> dict[str, str]:
    """This process's, where the project and what its tests define can be imported."""
    return {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", **more}
