"""Compiled programs are kept from one sweep to the next: tracing and compiling is most of what a small sweep takes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import pytest

from sweeps.engine import program
from sweeps.engine.program import ONCE, Program
from sweeps.errors import ModelError
from sweeps.user_code import locate

MOST = 64
"""Programs that are kept: the oldest is let go for another."""
_begun: dict[Any, dict[str, Future[Any]]] = {}
_tests: dict[Any, Any] = {}


@contextmanager
def programs_kept() -> Iterator[None]:
    """Programs of the same model, choices, shapes and device are traced and compiled once."""
    begin = Program._begun

    def begun(self: Program) -> dict[str, Future[Any]]:
        key = _key(self)
        known = _begun.get(key)
        if not self._compiling and known and all(each.done() and each.exception() is None for each in known.values()):
            self._compiling = known
        return _keep(_begun, key, begin(self))

    def test(self: Program, values: Any, tree: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        arguments = (*jax.device_put((values, tree, x, y), self.device), self.feed.affine)
        key = (_key(self), _shapes(arguments))
        if key not in _tests:
            _keep(_tests, key, self._compile(jax.jit(self.lane.evaluate).lower(*arguments), ONCE))
        return program.on_host(_tests[key](*arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "_begun", begun)
        patch.setattr(Program, "test", test)
        yield


def forget() -> None:
    _begun.clear()
    _tests.clear()


def _key(of: Program) -> Any:
    """All that a program is made of; functions of users count as such, because another may have the same name."""
    lane, choices = of.lane, of.lane.build_optimizer.args[0]  # type: ignore[attr-defined]  # a partial of a key
    names = (choices.loss[0], choices.optimizer[0], choices.schedule[0], *choices.metrics)
    return (
        choices,
        *(lane.model.init, lane.model.apply, lane.model.penalty, lane.rows, lane.chunk_rows),
        *(locate(name, ModelError) for name in names if ":" in name),
        *(of.lane_count, of.micro_batches, of.device, _shapes(of.feed.shapes), _shapes(of.lane.model.shapes)),
        *(repr(program.TRAINING), Program._epoch_function, Program._init_function, Program._compile),
    )


def _shapes(tree: Any) -> str:
    return repr(jax.tree.map(lambda leaf: (np.shape(leaf), str(leaf.dtype)), tree))


def _keep(kept: dict[Any, Any], key: Any, made: Any) -> Any:
    kept[key] = made
    while len(kept) > MOST:
        del kept[next(iter(kept))]
    return made
