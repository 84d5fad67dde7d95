"""For every test: JAX refuses silent promotion and keeps no programs; random examples are the same in every run."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Set before anything can import JAX or Keras, which read them once.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
os.environ["KERAS_BACKEND"] = "jax"

from typing import Any

import jax
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def ordinary_promotion() -> Iterator[None]:
    """For what runs optax's Adam and its kin: they take a number to the power of a counter, which is not strict."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def any_promotion(ordinary_promotion: None) -> Iterator[None]:
    """For what runs Keras or Equinox, which let JAX promote ranks as well."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def compiling_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes a program that an earlier test has compiled, for tests that are not about compiling."""
    compile_anew = jax.stages.Lowered.compile

    def compile_or_recall(lowered: jax.stages.Lowered, options: dict[str, Any] | None = None) -> jax.stages.Compiled:
        text = f"{lowered.as_text()}{lowered.args_info}{options}"  # arguments that are not used are not in the text
        if text not in _COMPILED:
            _COMPILED[text] = compile_anew(lowered, options)
        return _COMPILED[text]

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile_or_recall)


@pytest.fixture(autouse=True, scope="module")
def forgotten() -> Iterator[None]:
    """No file of tests holds the memory of those before it."""
    yield
    _COMPILED.clear()


_COMPILED: dict[str, jax.stages.Compiled] = {}
