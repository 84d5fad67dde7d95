"""For every test: JAX refuses silent promotion, and each process says how much memory it came to hold.

What a test has compiled is taken from a folder by later tests, those of the other process and processes that tests
start. Examples of Hypothesis are the same in every run; other random inputs, and the third of the cases of a `rotating`
test, go by `SWEEP_SEED`, which is drawn for a run and printed at its end.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator

# Set before anything can import JAX or Keras, which read them once.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["KERAS_BACKEND"] = "jax"
# Before a test's module reads it; the workers of pytest-xdist are given the same environment.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _PROGRAMS = tempfile.TemporaryDirectory(prefix="compiled-by-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS.name
    _STATE = tempfile.TemporaryDirectory(prefix="state-of-tests-")
    os.environ["XDG_STATE_HOME"] = _STATE.name
os.environ.setdefault("SWEEP_LONG", "0")
os.environ.setdefault(
    "SWEEP_SEED", "0" if os.environ["SWEEP_LONG"] == "1" else str(random.SystemRandom().randrange(10**6))
)

from pathlib import Path
from typing import Any
from unittest.mock import patch

# Most of what tests compile runs for less time than it compiles, which takes a fifth of its time without optimization.
# `compiled_as_shipped` has it, and so has a long run, and every process that tests start.
with patch.dict(os.environ):
    if os.environ["SWEEP_LONG"] != "1":
        os.environ["XLA_FLAGS"] = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
        )
    import jax

    jax.devices()  # with the first of which XLA reads its flags, once

import pytest
import sweeping
from hypothesis import settings
from jax.experimental.compilation_cache import compilation_cache
from sweeping import compiled

from sweeps.engine import program

# What began these tests may ignore signals (`nohup`, a job in the background), and every process would inherit that.
for _ignored in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, signal.default_int_handler if _ignored is signal.SIGINT else signal.SIG_DFL)

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


@pytest.fixture(scope="module")
def compiled_as_shipped() -> Iterator[None]:
    """For files whose promise is about what XLA's optimization makes of a training program, or how quick that is."""
    shipped = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
    sweeping.forget_programs()
    with patch.dict(program.TRAINING, shipped if os.environ["SWEEP_LONG"] != "1" else {}):
        yield
    sweeping.forget_programs()


@pytest.fixture(autouse=True)
def programs_kept(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test takes a training program that an earlier one has compiled, unless it is `compiling_anew`."""
    if "compiling_anew" in request.fixturenames:
        yield
    else:
        with compiled.programs_kept():
            yield


@pytest.fixture
def compiling_anew() -> Iterator[None]:
    """For tests that count compilations: nothing is taken that an earlier test has compiled."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


@pytest.fixture(autouse=True, scope="module")
def forgotten() -> Iterator[None]:
    """No file of tests holds the memory of those before it."""
    yield
    if _resident_mib() > MOST_MIB / 3:
        sweeping.forget_programs()
        jax.clear_caches()
        gc.collect()


# ---- what a run says at its end, and how much memory it may take -----------------------------------------------------

MOST_MIB = 3 * 1024
"""The memory that a process of tests may come to hold: a long run fails above it, any other says so."""

_peaks_mib = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_peaks_mib] = {}


FIRST = ("slurm/", "crash/", "end_to_end/", "fuzz/", "engine/test_restore", "validation/test_configs", "training/")
"""The files that take longest: two processes take files in order, and neither is to have a long one left at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first; and those tests are left out that are for a long run, or for another one."""
    items.sort(key=_place)
    if os.environ["SWEEP_LONG"] != "1":
        resting = {item for item in items if item.get_closest_marker("long")} | _resting(items)
        if resting:
            items[:] = [item for item in items if item not in resting]
            config.hook.pytest_deselected(items=list(resting))


def _resting(items: list[pytest.Item]) -> set[pytest.Item]:
    """Two thirds of the cases of each rotating test that has at least ten of them: other ones in every run."""
    families: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("rotating") and not item.get_closest_marker("always"):
            families.setdefault((item.path, getattr(item, "originalname", item.name)), []).append(item)
    turn = int(os.environ["SWEEP_SEED"])
    resting: set[pytest.Item] = set()
    for cases in families.values():
        if len(cases) >= 10:
            random.Random(0).shuffle(cases)  # a product of two lists has cases of every kind in each third
            resting.update(item for place, item in enumerate(cases) if (place - turn) % 3)
    return resting


def _place(item: pytest.Item) -> int:
    """A sort by it keeps the order of a file's tests."""
    return next((place for place, name in enumerate(FIRST) if f"tests/{name}" in item.path.as_posix()), len(FIRST))


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
    elif os.environ["SWEEP_LONG"] == "1" and max(peaks.values()) > MOST_MIB:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    peaks = config.stash[_peaks_mib]
    said = ", ".join(f"{worker} {peak:,}" for worker, peak in sorted(peaks.items()))
    terminalreporter.write_line(f"peak memory in MiB: {said}", red=max(peaks.values()) > MOST_MIB)
    if max(peaks.values()) > MOST_MIB:
        terminalreporter.write_line(f"a process of tests should hold at most {MOST_MIB:,} MiB", red=True)
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
