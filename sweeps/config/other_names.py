"""What Keras, PyTorch, W&B, Optuna and Ray call what has another name here, so that a message can answer with ours."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_TABLE = """
mean_squared_error: mse mse_loss l2
mean_absolute_error: mae l1 l1_loss
huber: huber_loss smooth_l1_loss
softmax_cross_entropy: cross_entropy cross_entropy_loss crossentropy categorical_crossentropy sparse_categorical_crossentropy
binary_cross_entropy: bce bce_loss bce_with_logits_loss binary_crossentropy
accuracy: acc val_accuracy valid_accuracy val_acc categorical_accuracy sparse_categorical_accuracy binary_accuracy
valid_accuracy: acc accuracy val_accuracy val_acc valid_acc
valid_loss: loss val_loss
f1: f1_score
auc: roc_auc roc_auc_score
r2: r2_score
top_5: top_k_categorical_accuracy sparse_top_k_categorical_accuracy top_k top5
maximize: max
minimize: min
constant: none
linear: linear_decay polynomial polynomial_decay
cosine: cosine_decay cosine_annealing cosine_annealing_lr
exponential: exponential_decay exponential_lr
one_cycle: one_cycle_lr
tpe: bayes bayesian bayesian_optimization hyperopt tpe_sampler
grid: grid_search grid_sampler
random: random_search random_sampler
qmc: sobol halton qmc_sampler
gp: gaussian_process gp_sampler
cmaes: cma cma_es_sampler
hyperband: hyperband_pruner
waves: bohb sync_successive_halving
asha: asha_scheduler async_hyperband async_hyperband_scheduler
successive_halving: sha successive_halving_pruner
median: median_stopping median_stopping_rule median_pruner
search_space: parameters params hyperparameters space
sampler: method algorithm search_alg
objective: goal
budget: run_cap max_trials n_trials num_trials num_samples
pruner: early_terminate
dataset: data
model: network net architecture
schedule: lr_schedule lr_scheduler
direction: goal mode
metric: name
trials: run_cap n_trials max_trials num_trials
minutes: timeout time
choices: values
low: min
high: max
type: distribution
step: q
learning_rate: lr
batch_size: batch bs
epochs: epoch n_epochs num_epochs max_epochs
seed: random_state random_seed
"""  # noqa: E501  (one of our names a line reads as the table that it is)


def _plain(word: str) -> str:
    """As `MSE` and `CategoricalCrossentropy` are one with `mse` and `categorical_crossentropy`."""
    return re.sub("[^a-z0-9]", "", word.lower())


OURS: dict[str, list[str]] = {}
"""Our names by another's."""
for _line in _TABLE.strip().splitlines():
    for _word in _line.partition(":")[2].split():
        OURS.setdefault(_plain(_word), []).append(_line.partition(":")[0])


def our_name(word: str, known: Mapping[str, object]) -> str:
    """The one of the `known` names that others call `word`; "" if none.

    >>> our_name("MSE", {"mean_squared_error": 1}), our_name("max", {"high": 1}), our_name("max", {"maximize": 1})
    ('mean_squared_error', 'high', 'maximize')
    """
    return next((name for name in OURS.get(_plain(word), ()) if name in known), "")


def entry_in_our_words(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """An entry of a W&B sweep's `parameters` as one of a search space; None if it is none of W&B's.

    >>> entry_in_our_words({"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1})
    {'type': 'float', 'low': 1e-05, 'high': 0.1, 'log': True}
    """
    kind = str(entry.get("distribution", ""))
    if isinstance(values := entry.get("values"), list | tuple):
        return {"type": "categorical", "choices": values}
    low: Any  # what a user's YAML has there
    high: Any
    mean: Any
    deviation: Any
    low, high, mean, deviation = (entry.get(key) for key in ("min", "max", "mu", "sigma"))
    if _are_numbers(mean, deviation):
        low, high = mean - 3 * deviation, mean + 3 * deviation  # a range has no tails
    if not _are_numbers(low, high):
        return None
    if "log" in kind and not kind.endswith("_values"):  # these are exponents
        low, high = (float(f"{math.exp(min(end, 700)):.4g}") for end in (low, high))
    is_whole = isinstance(low, int) and isinstance(high, int) and kind in ("", "int_uniform", "q_uniform")
    ours = {"type": "int" if is_whole else "float", "low": low, "high": high}
    if "log" in kind:
        return {**ours, "log": True}
    return {**ours, "step": entry["q"]} if _are_numbers(entry.get("q")) else ours


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
