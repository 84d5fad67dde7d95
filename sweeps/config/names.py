"""The names of losses, metrics and schedules, and their arguments. The rule: a built-in name, or `module:name`.

The functions behind the names are in `training`; here a config is checked without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sweeps.config.options import Options, flag, fraction, positive
from sweeps.config.values import text, wrong
from sweeps.config.wording import did_you_mean, listing, show

_SMOOTHING = fraction("How much of each target is spread evenly over the classes.")
_LOGITS = flag("Whether outputs are logits, as they are unless this is false, or probabilities.")

LOSSES: Mapping[str, Options] = {
    "mean_squared_error": {},
    "mean_absolute_error": {},
    "huber": {"delta": positive("The difference up to which it is squared; 1 unless given.")},
    "binary_cross_entropy": {
        "from_logits": _LOGITS,
        "label_smoothing": _SMOOTHING,
    },
    "softmax_cross_entropy": {"from_logits": _LOGITS, "label_smoothing": _SMOOTHING},
}

_WARMUP = fraction("The part of all iterations in which the learning rate rises to its full value.")
_START = fraction("What the learning rate rises from, as a part of its full value.")
_FINAL = fraction("What the learning rate ends near, as a part of its full value.")
_RISE = {"warmup": _WARMUP, "start": _START}

SCHEDULES: Mapping[str, Options] = {
    "constant": _RISE,
    "linear": {**_RISE, "final": _FINAL},
    "cosine": {**_RISE, "final": _FINAL},
    "exponential": {**_RISE, "final": positive("What the learning rate ends near, as a part of its full value.")},
    "one_cycle": {**_RISE, "final": _FINAL},
}

METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "auc",
    "r2",
    "mean_absolute_error",
    "mean_squared_error",
)
TOP = re.compile(r"top_([1-9][0-9]{0,5})", re.ASCII)
"""The metric of the k highest outputs, such as `top_5`."""
OWN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def check_loss(value: object) -> str:
    """A loss by its name."""
    return _check(value, tuple(LOSSES))


def check_schedule(value: object) -> str:
    """A schedule by its name."""
    return _check(value, tuple(SCHEDULES))


def check_metric(value: object) -> str:
    """A metric by its name."""
    name = text(value)
    return name if TOP.fullmatch(name) else _check(name, METRICS, "top_5")


def metric_column(metric: str) -> str:
    """The column of a metric on the validation split.

    >>> metric_column("accuracy"), metric_column("my.metrics:top_5")
    ('valid_accuracy', 'valid_top_5')
    """
    return f"valid_{re.split('[:.]', metric)[-1]}"


def _check(value: object, known: tuple[str, ...], *also: str) -> str:
    name = text(value)
    if name not in known and not OWN.fullmatch(name):
        raise wrong(f"must be {listing((*known, *also, 'module:name'))}", show(name), did_you_mean(name, known))
    return name
