"""A sweep that never ran: the records of a log of any length, with every kind of ending."""

from __future__ import annotations

from datetime import UTC, datetime

from sweeps.results.best import describe  # noqa: F401

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
