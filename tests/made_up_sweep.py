"""A sweep that never ran: the records of a log of any length, with most kinds of ending."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sweeps.log.jsonl import LogWriter
from sweeps.results.results import Results, load

CONFIG = """\
name: made-up
dataset: {use: mnist, valid_fraction: 0.1}
model: {use: "models.mlp:MLP"}
loss: softmax_cross_entropy
metrics: [accuracy]
search_space:
  epochs: {type: int, low: 1, high: 12}
  batch_size: {type: categorical, choices: [64, 32, 128]}
  learning_rate: {type: float, low: 1e-5, high: 1e-1, log: true}
  model.hidden: {type: categorical, choices: [[64], [128, 64]]}
  optimizer.use: {type: categorical, choices: [sgd, adam]}
  optimizer.momentum: {type: float, low: 0.5, high: 0.95, when: {optimizer.use: sgd}}
objective: {metric: valid_accuracy, direction: maximize}
budget: {trials: 64}
"""
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
REASONS = {"pruned": "by hyperband at epoch 1", "diverged": "valid_loss is nan at epoch 2", "failed": "out of luck"}


def stamp(seconds: float) -> str:
    """A record's time, so long after the sweep began."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def run_record(config: str = CONFIG, seconds: float = 0.0, **environment: Any) -> dict[str, Any]:
    return {"kind": "run", "time": stamp(seconds), "config": "c", "yaml": config, "environment": environment}


def trial_records(
    number: int,
    values: list[float],
    outcome: str = "completed",
    params: dict[str, Any] | None = None,
    *,
    began: float = 1.0,
    lane: int = 0,
    reason: str = "",
) -> Iterator[dict[str, Any]]:
    """A trial whose objective after each epoch is one of `values`; an epoch takes a second."""
    common = {"number": number, "attempt": 1}
    yield {"kind": "ask", "time": stamp(began), "number": number, "params": params or {}}
    yield common | {"kind": "start", "time": stamp(began), "seed": 0, "device": "cpu:0", "group": lane, "lane": 0}
    for epoch, value in enumerate(values, start=1):
        losses = {"train_loss": 2.0 / epoch, "valid_loss": math.nan if math.isnan(value) else 2.0 / epoch + 0.1}
        yield common | losses | {
            "kind": "epoch", "time": stamp(began + epoch), "repeat": 0, "epoch": epoch, "iterations": 10 * epoch,
            "examples": 100 * epoch, "metrics": {"valid_accuracy": value}, "seconds": 1.0,
        }  # fmt: skip
    if outcome != "running":
        value = values[-1] if outcome in ("completed", "pruned") else None
        yield common | {
            "kind": "outcome", "time": stamp(began + len(values)), "outcome": outcome, "value": value,
            "reason": reason or REASONS.get(outcome, ""), "epochs": len(values),
        }  # fmt: skip


def records(count: int, lanes: int = 4) -> Iterator[dict[str, Any]]:
    """A whole sweep of `count` trials."""
    draw = random.Random(1)
    free = [1.0] * lanes
    yield run_record(python="3.11")
    for number in range(count):
        params = {
            "epochs": draw.randint(1, 12),
            "batch_size": draw.choice([32, 64, 128]),
            "learning_rate": 10 ** draw.uniform(-5, -1),
            "model.hidden": draw.choice([[64], [128, 64]]),
            "optimizer.use": draw.choice(["sgd", "adam"]),
        }
        if params["optimizer.use"] == "sgd":
            params["optimizer.momentum"] = draw.uniform(0.5, 0.95)
        outcome = draw.choices(["completed", "pruned", "diverged", "failed"], [55, 30, 8, 7])[0]
        top = 0.98 - 0.05 * abs(math.log10(params["learning_rate"]) + 3) - 0.02 * draw.random()
        values = [top * (1 - math.exp(-epoch / 2)) for epoch in range(1, draw.randint(2, 5))]
        if outcome == "diverged":
            values.append(math.nan)
        lane = min(range(lanes), key=free.__getitem__)
        yield from trial_records(number, values, outcome, params, began=free[lane], lane=lane)
        free[lane] += len(values) + 0.01


def write(folder: Path, made: Iterator[dict[str, Any]] | list[dict[str, Any]], config: str = CONFIG) -> Path:
    """A results folder with these records as its log."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    with LogWriter(folder / "log", "worker-0") as writer:
        for record in made:
            writer.append(record)
    return folder


def sweep(folder: Path, made: Iterator[dict[str, Any]] | list[dict[str, Any]], config: str = CONFIG) -> Results:
    return load(write(folder, made, config))
