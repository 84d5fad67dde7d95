"""What the engine's tests share: small data sets, small models, short configs, and one way to train trials.

Configs name what stands here as `sweeping:name`, as a user's config names a user's functions.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import reference

import sweeps
from sweeps.config import SweepConfig, parse_config, space
from sweeps.datasets.dataset import Dataset, Split
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.program import Program
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.scheduler import Scheduler
from sweeps.log.jsonl import read_log
from sweeps.runner import start
from sweeps.runner.progress import Progress
from sweeps.training.lane import LaneState, LaneValues
from sweeps.training.losses import build_loss, decision_threshold, outputs_needed
from sweeps.training.metrics import find_metric
from sweeps.training.models import build_model
from sweeps.training.optimizers import find_optimizer
from sweeps.training.row_mixing import ROWS

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:  # `models/` is the user's side, and is not installed
    sys.path.insert(0, str(ROOT))

Params = Mapping[str, Any]
CPU = jax.devices("cpu")[0]
TIMES = ("datetime_start", "datetime_complete", "duration", "train_seconds", "seconds")
TRAINING = "jit(train_epoch)"


# ---- data sets -------------------------------------------------------------------------------------------------------


def blobs(rows: int = 53, valid_rows: int = 30, seed: int = 0, grey: bool = False) -> Dataset:
    """Three classes of points in five dimensions; `grey` stores them as uint8, as images are."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, rows + 2 * valid_rows)
    x = generator.standard_normal((len(labels), 5)) + 1.5 * np.eye(3, 5)[labels]
    x = np.clip(40 * x + 128, 0, 255).astype(np.uint8) if grey else x.astype(np.float32)
    return _split(x, labels.astype(np.int32), rows, valid_rows)


def plane(rows: int = 53, valid_rows: int = 20, seed: int = 0) -> Dataset:
    """A noisy plane over four features: values to regress on."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows + 2 * valid_rows, 4)).astype(np.float32)
    y = x @ np.array([1, -2, 3, 0.5]) + 0.25 + 0.1 * generator.standard_normal(len(x))
    return _split(x, y.astype(np.float32), rows, valid_rows)


def poisoned(rows: int = 24, bad: tuple[int, ...] = (3, 4, 11)) -> Dataset:
    """A plane whose rows `bad` are zero or negative in a feature: NaN and infinite under `logarithm`'s forward."""
    clean = plane(rows)
    x = np.abs(clean.train.x) + 0.5
    x[list(bad), 0] = np.resize([-1.0, 0.0], len(bad))
    return Dataset(Split(x, clean.train.y), Split(np.abs(clean.valid.x) + 0.5, clean.valid.y))


def tokens(rows: int = 53, valid_rows: int = 30) -> Dataset:
    """Rows of five words out of ten; the class is the first word's rest by three."""
    x = np.random.default_rng(0).integers(0, 10, (rows + 2 * valid_rows, 5)).astype(np.int32)
    return _split(x, x[:, 0] % 3, rows, valid_rows)


def xor(copies: int = 32) -> Dataset:
    """The four corners of exclusive or, many times over."""
    x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (copies, 1))
    split = Split(x, np.logical_xor(x[:, 0], x[:, 1]).astype(np.int32))
    return Dataset(split, split, split)


def _split(x: np.ndarray, y: np.ndarray, rows: int, valid_rows: int) -> Dataset:
    ends = [rows, rows + valid_rows]
    return Dataset(*(Split(a, b) for a, b in zip(np.split(x, ends), np.split(y, ends), strict=True)))


# ---- models: pairs of plain functions, which compile fast ------------------------------------------------------------


def flat(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A linear model that starts at zero, so that its first gradient has a short closed form."""

    def init(key: jax.Array) -> Any:
        return {"bias": jnp.zeros(outputs), "kernel": jnp.zeros((*input_shape, outputs))}

    return init, lambda params, x: x @ params["kernel"] + params["bias"][None]


def filed(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A linear model whose one parameter is called `file`."""
    return lambda key: {"file": jnp.zeros((*input_shape, outputs))}, lambda params, x: x @ params["file"]


def curved(input_shape: tuple[int, ...], outputs: int, width: int = 6) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """One hidden layer under tanh."""

    def init(key: jax.Array) -> Any:
        first, second = jax.random.split(key)
        return {
            "hidden": 0.5 * jax.random.normal(first, (*input_shape, width)),
            "out": 0.5 * jax.random.normal(second, (width, outputs)),
        }

    return init, lambda params, x: jnp.tanh(x @ params["hidden"]) @ params["out"]


def embedding(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The mean of its words' vectors: looks whole numbers up."""
    return lambda key: jax.random.normal(key, (10, outputs)), lambda params, x: params[x].mean(axis=1)


def logarithm(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Linear in the logarithms of its inputs."""
    init, apply = flat(input_shape, outputs)
    return init, lambda params, x: apply(params, jnp.log(x))


def forgetful(
    input_shape: tuple[int, ...], outputs: int, rate: float = 0.3
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`curved`, with inputs dropped at random while it trains."""
    init, apply = curved(input_shape, outputs)

    def dropping(params: Any, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        return apply(params, jnp.where(kept, x / (1 - rate), 0.0) if training else x)

    return init, dropping


def certainty(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A metric of a user's own."""
    return jnp.abs(outputs).mean()


class UnfinishedError(Exception):
    """What the model below raises."""


def moody(
    input_shape: tuple[int, ...], outputs: int, activation: str = "tanh"
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Can be built and evaluated with every activation, but not trained with `unfinished`."""
    init, _ = curved(input_shape, outputs)

    def apply(params: Any, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        if activation == "unfinished" and training and len(x) != ROWS:
            raise UnfinishedError("this activation is not written yet")
        return jnp.tanh(x @ params["hidden"]) @ params["out"]

    return init, apply


# ---- an optimizer that can be looked into ----------------------------------------------------------------------------


class Seen(NamedTuple):
    """How many updates there were, and the gradient of the last one."""

    updates: jax.Array
    gradient: Any


def watching(learning_rate: Any) -> optax.GradientTransformation:
    """Gradient descent that counts its updates and keeps its last gradient; a zero rate leaves parameters alone."""

    def init(params: Any) -> Seen:
        return Seen(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(gradient: Any, state: Seen, params: Any = None) -> tuple[Any, Seen]:
        change = jax.tree.map(lambda leaf: jnp.where(learning_rate == 0, 0.0, -learning_rate * leaf), gradient)
        return change, Seen(state.updates + 1, gradient)

    return optax.GradientTransformation(init, update)


# ---- configs ---------------------------------------------------------------------------------------------------------


def config(**changes: Any) -> SweepConfig:
    """A small classification sweep with `changes` in the place of whole sections."""
    tree: dict[str, Any] = {
        "name": "small",
        "dataset": {"use": "sweeping:blobs"},
        "model": {"use": "sweeping:curved"},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": {"use": "sgd"},
        "search_space": {
            "epochs": {"type": "int", "low": 1, "high": 4},
            "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
            "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        },
        "objective": {"metric": "valid_loss", "direction": "minimize"},
        "sampler": {"use": "random"},
        "budget": {"trials": 8},
    }
    return parse_config({**tree, **changes})


def regression(**changes: Any) -> SweepConfig:
    """The same with values to regress on, and the linear model that starts at zero."""
    sections = {
        "dataset": {"use": "sweeping:plane"},
        "model": {"use": "sweeping:flat"},
        "loss": "mean_squared_error",
        "metrics": [],
    }
    return config(**{**sections, **changes})


def small(**changes: Any) -> SweepConfig:
    """A sweep over three numbers, of the model that trains fastest, in two lanes."""
    space = {
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 0.05, "log": True},
    }
    return regression(**{"search_space": space, "lanes": 2, **changes})


def fixed(**values: Any) -> dict[str, Any]:
    """A search space without a search."""
    return {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **values}


# ---- training, through the scheduler ---------------------------------------------------------------------------------


class Ridden(NamedTuple):
    """What a trial came to: `scores` f32 `[epochs, 2 + metrics]` and its parameters after the last epoch."""

    scores: np.ndarray
    params: Any


def mapped(lanes: int, threads: int = 2) -> Policy:
    """Lanes one after the other, as on a CPU."""
    return Policy((CPU,), min(threads, lanes), lanes, None)


def vmapped(lanes: int, groups: int = 1) -> Policy:
    """Lanes side by side, as on a GPU."""
    return Policy((CPU,), 1, groups, lanes)


def make_programs(config: SweepConfig, policy: Policy) -> Programs:
    return Programs(config, Datasets(), policy)


def shared_programs(config: SweepConfig, policy: Policy) -> Programs:
    """The same programs for every test with the same config and as many lanes in a lane group: they compile once."""
    return _kept_programs(config, policy.lanes_per_group)


@functools.cache
def _kept_programs(config: SweepConfig, lanes: int | None) -> Programs:
    return make_programs(config, mapped(1) if lanes is None else vmapped(lanes))


def lane_trial(programs: Programs, config: SweepConfig, number: int, params: Params) -> LaneTrial:
    return programs.lane_trial(number, space.resolve(config, params))


def ride(programs: Programs, policy: Policy, lane_trials: Sequence[LaneTrial]) -> dict[int, Ridden]:
    """Train trials to their last epochs, each in the next lane that is free, whatever becomes of their losses."""
    waiting, scores, params = list(lane_trials), {each.number: [] for each in lane_trials}, {}
    with Scheduler(policy, programs) as scheduler:
        while True:
            waiting = [each for each in waiting if scheduler.place(each) is None]
            scheduler.start()
            group = scheduler.earliest()
            if group is None:
                return {number: Ridden(np.stack(rows), params[number]) for number, rows in scores.items()}
            while not scheduler.is_ready(group, 1):
                pass
            for epoch in scheduler.collect(group):
                scores[epoch.lane_trial.number].append(epoch.scores)
                if epoch.epoch == epoch.lane_trial.epochs:
                    params[epoch.lane_trial.number] = group.params(epoch.lane)
                    group.retire(epoch.lane)


def refer(config: SweepConfig, number: int, params: Params, chunk_rows: int | None = None) -> Ridden:
    """The same trial in the plain loop."""
    trial = space.resolve(config, params)
    dataset = Datasets().get(trial.dataset.use, trial.dataset.arguments)
    outputs = outputs_needed(trial.loss.use, dataset)
    threshold = decision_threshold(trial.loss.use, trial.loss.arguments)
    rate = {} if trial.learning_rate is None else {"learning_rate": trial.learning_rate}
    trained, epochs = reference.train(
        dataset,
        build_model(trial.model.use, trial.model.arguments, dataset.input_shape, outputs, dataset.input_dtype),
        build_loss(trial.loss.use, trial.loss.arguments),
        tuple(find_metric(metric, threshold) for metric in config.metrics),
        find_optimizer(trial.optimizer.use)(**trial.optimizer.arguments, **rate),
        seed=config.seed if trial.seed is None else trial.seed,
        number=number if trial.seed is None else 0,
        batch_size=trial.batch_size,
        epochs=trial.epochs,
        chunk_rows=chunk_rows,
        augmentation=trial.augmentation,
    )
    scores = np.array([(epoch.train_loss, epoch.valid_loss, *epoch.metrics) for epoch in epochs], np.float32)
    return Ridden(scores, jax.tree.map(np.asarray, trained))


def lane_values(lane_trials: Sequence[LaneTrial]) -> LaneValues:
    """The values of a vmapped program whose lanes hold these trials."""
    return LaneValues(*(np.stack([getattr(each, name) for each in lane_trials]) for name in ("ints", "floats")))


class Single(NamedTuple):
    """One trial alone in a mapped program, to be taken a call at a time."""

    program: Program
    values: LaneValues
    state: LaneState

    def call(self, limit: int) -> tuple[Single, Any]:
        """At most about `limit` parts further; the trial, and the program's report."""
        state, report = self.program.epoch(self.state, self.values, self.program.feed.open()(0), limit)
        return self._replace(state=state), report

    def whole_epoch(self) -> Single:
        return self.call(2**30)[0]


def single(config: SweepConfig, number: int = 0, params: Params | None = None) -> Single:
    """A trial at its start, in a mapped program."""
    programs = shared_programs(config, mapped(1))
    return restart(programs, lane_trial(programs, config, number, params or {}))


def restart(programs: Programs, rider: LaneTrial) -> Single:
    """A trial at its start, in the program that others of its program key have used."""
    program = programs.program(rider.program_key, CPU)
    program.compile()
    values = LaneValues(rider.ints, rider.floats)
    return Single(program, values, program.init(values))


# ---- whole sweeps ----------------------------------------------------------------------------------------------------


def follow(config: SweepConfig, results: Path) -> Iterator[Progress]:
    """A run of a sweep, as the command line pulls at it."""
    return start.follow(config, results, Datasets())


def finish(config: SweepConfig, results: Path) -> sweeps.Results:
    """Run or continue a sweep to its end."""
    for _ in follow(config, results):
        pass
    return sweeps.load(results / config.name)


def records(results: Path, kind: str, name: str = "small") -> list[Any]:
    """The records of one kind in a sweep's log."""
    return [record for record in read_log(results / name / "log").records if record["kind"] == kind]


def timeless(table: pd.DataFrame, *also: str) -> pd.DataFrame:
    """A table without what differs from run to run."""
    return table.drop(columns=[*TIMES, *also], errors="ignore")


@contextmanager
def counting_compilations(function: str = TRAINING) -> Iterator[list[str]]:
    """Grows by one for every compilation of a function that JAX reports meanwhile."""
    seen: list[str] = []

    def listen(event: str, duration_s: float, **details: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration" and details.get("fun_name") == function:
            seen.append(function)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def take(tree: Any, lanes: Sequence[int]) -> Any:
    """The lanes of a tree of `[lanes, …]` arrays in another order."""
    return jax.tree.map(lambda leaf: leaf[list(lanes)], tree)


def assert_same(left: Any, right: Any, tolerance: Mapping[str, float]) -> None:
    """Two trees of arrays agree leaf by leaf, NaN with NaN."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
