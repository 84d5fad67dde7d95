"""When a trial has trained enough, and which of its epochs counts.

Only the epochs in the log decide, so a trial that goes on after a crash ends where it would have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeps.log.trials import Epoch, LoggedTrial, best_epoch

if TYPE_CHECKING:
    from sweeps.config import SweepConfig


def is_good_enough(config: SweepConfig, value: float, target: float | None) -> bool:
    """Whether an objective's value has reached a target; without one nothing has."""
    if target is None:
        return False
    return value == target or config.objective.is_better(value, target)


def reached(config: SweepConfig, epoch: int, value: float) -> str:
    """Why a trial with this objective after `epoch` is good enough; "" where it is not."""
    target = config.early_stopping.target
    return f"reached {target:g} at epoch {epoch}" if is_good_enough(config, value, target) else ""


def stalled(config: SweepConfig, entry: LoggedTrial) -> str:
    """Why a running trial does not get better any more; "" where it may.

    As in Keras's `EarlyStopping`: an epoch is better if it is by more than `min_delta` better than the best so far.
    """
    patience = config.early_stopping.patience
    if patience is None or len(entry.epochs) <= patience:
        return ""
    epochs = entry.epochs_of(entry.repeat)
    best, since = float("inf"), 0
    for number in sorted(epochs):
        figure = config.objective.sign * epochs[number].figure(config.objective.metric)
        is_better = figure < best - config.early_stopping.min_delta
        best, since = (figure, 0) if is_better else (best, since + 1)
    return f"no better for {patience} epochs at epoch {max(epochs)}" if since >= patience else ""


def kept_epoch(config: SweepConfig, epochs: Mapping[int, Epoch]) -> int:
    """The epoch whose parameters and objective are the trial's, as `keep` says; 0 where there is none."""
    if config.keep == "best_epoch":
        return best_epoch(epochs, config.objective.metric, config.objective.direction) or 0
    return max(epochs, default=0)
