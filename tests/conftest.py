"""For every test: JAX refuses silent promotion and keeps no programs, and a process of tests stays below `MOST_MIB`.

Examples of Hypothesis are the same in every run; other random inputs begin with `SWEEP_SEED`, which is drawn for a run
and printed at its end.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import sys
from collections.abc import Iterator

# Set before anything can import JAX or Keras, which read them once.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
os.environ["KERAS_BACKEND"] = "jax"
# Before a test's module reads it; the workers of pytest-xdist are given the same environment.
os.environ.setdefault("SWEEP_LONG", "0")
os.environ.setdefault(
    "SWEEP_SEED", "0" if os.environ["SWEEP_LONG"] == "1" else str(random.SystemRandom().randrange(10**6))
)

from pathlib import Path
from typing import Any

import jax
import pytest
import sweeping
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
    if _resident_mib() > MOST_MIB / 3:
        sweeping.forget_programs()
        jax.clear_caches()
        gc.collect()


_COMPILED: dict[str, jax.stages.Compiled] = {}


# ---- what a run says at its end, and how much memory it may take -----------------------------------------------------

MOST_MIB = 3 * 1024
"""The memory that a process of tests may come to hold."""

_peaks_mib = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_peaks_mib] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended."""
    node.config.stash[_peaks_mib] |= node.workeroutput["peaks_mib"] if hasattr(node, "workeroutput") else {}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config, worker = session.config, os.environ.get("PYTEST_XDIST_WORKER", "pytest")
    peaks = config.stash[_peaks_mib]
    peaks[worker] = _peak_mib()
    if hasattr(config, "workeroutput"):
        config.workeroutput["peaks_mib"] = peaks
    elif max(peaks.values()) > MOST_MIB and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    peaks = config.stash[_peaks_mib]
    said = ", ".join(f"{worker} {peak:,}" for worker, peak in sorted(peaks.items()))
    terminalreporter.write_line(f"peak memory in MiB: {said}", red=max(peaks.values()) > MOST_MIB)
    if max(peaks.values()) > MOST_MIB:
        terminalreporter.write_line(f"ERROR: a process of tests may hold at most {MOST_MIB:,} MiB", red=True)
    terminalreporter.write_line(f"SWEEP_SEED={os.environ['SWEEP_SEED']} repeats the random choices of this run")


def _peak_mib() -> int:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def _resident_mib() -> int:
    """The memory that this process holds now; its peak where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20
    except OSError:
        return _peak_mib()
