"""The names of losses and metrics. The rule: a built-in name, or `module:name` of a user's own.

The functions behind the names are in `training`; here a config is checked without them.
"""

from __future__ import annotations

import re

from sweeps.config.values import text, wrong
from sweeps.config.wording import did_you_mean, listing, show

LOSSES = ("mean_squared_error", "binary_cross_entropy", "softmax_cross_entropy")
METRICS = ("accuracy", "mean_absolute_error")
OWN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def check_loss(value: object) -> str:
    """A loss by its name."""
    return _check(value, LOSSES)


def check_metric(value: object) -> str:
    """A metric by its name."""
    return _check(value, METRICS)


def metric_column(metric: str) -> str:
    """The column of a metric on the validation split.

    >>> metric_column("accuracy"), metric_column("my.metrics:top_5")
    ('valid_accuracy', 'valid_top_5')
    """
    return f"valid_{re.split('[:.]', metric)[-1]}"


def _check(value: object, known: tuple[str, ...]) -> str:
    name = text(value)
    if name not in known and not OWN.fullmatch(name):
        raise wrong(f"must be {listing((*known, 'module:name'))}", show(name), did_you_mean(name, known))
    return name
