"""Hold back what Optuna says about itself: experimental and deprecated arguments, a new study in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning


@contextmanager
def quiet() -> Iterator[None]:
    """Only for the duration of our own calls, and then put back: a user who also works with Optuna keeps its messages.

    Warnings and log levels are the process's, so another thread's Optuna may lose a line meanwhile.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
