"""A config is right and frozen, or every mistake in it is told with its line: the rules one by one."""

from __future__ import annotations

import copy
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config import (
    Choices,
    Component,
    FloatRange,
    IntRange,
    SweepConfig,
    as_draft,
    json_schema,
    load_config,
    metric_column,
    parse_config,
    read_draft,
    to_yaml,
)
from sweeps.errors import ConfigError, SweepError
from sweeps.yaml_reader import read

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
MNIST = CONFIGS[0].parent / "mnist.yaml"

RICH = """
name: rich
seed: 7
dataset: {use: digits, valid_fraction: 0.2}
model: {use: "models.mlp:MLP"}
loss: mean_squared_error
metrics: [accuracy, "my.metrics:top_5"]
optimizer: {nesterov: true}
search_space:
  optimizer.momentum: {type: float, low: 0, high: 0.9, step: 0.3, when: {optimizer.use: sgd}}
  optimizer.use: {type: categorical, choices: [adam, sgd]}
  epochs: 3
  batch_size: {type: int, low: 16, high: 512, log: true}
  learning_rate: {type: float, low: 1e-5, high: 1e-1, log: true}
  model.hidden: {type: categorical, choices: [[64], [128, 128]]}
  optimizer.b1: {type: float, low: 0.8, high: 0.99, when: {optimizer.use: [adam], model.hidden: [64]}}
objective: {metric: valid_top_5, direction: maximize}
sampler: tpe
budget: {minutes: 30, target: 0.9}
enqueue: [{batch_size: 64, optimizer.use: sgd, optimizer.momentum: 0.3}, {learning_rate: 1e-3}]
"""


def complaints(text: str, overrides: Sequence[str] = ()) -> list[str]:
    """What is wrong with a config, line by line."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides)
    return str(caught.value).split("\n")


def complaints_of(*overrides: str, text: str = RICH) -> list[str]:
    """What is wrong with a config that was right, without the places."""
    return [line.split(": ", 1)[1] for line in complaints(text, overrides)]


# --- what a config is -----------------------------------------------------------------------------------------------


def test_the_mnist_config_says_what_its_file_says() -> None:
    config = load_config(MNIST)
    assert config.name == "mnist"
    assert config.dataset == Component(use="mnist", valid_fraction=0.1)
    assert config.model.arguments == {"hidden": (128,)}
    assert config.loss.use == "softmax_cross_entropy"
    assert config.metrics == ("accuracy",)
    assert config.search_space == {
        "epochs": IntRange(type="int", low=1, high=8),
        "batch_size": Choices(type="categorical", choices=(32, 64, 128, 256, 512)),
        "learning_rate": FloatRange(type="float", low=1e-5, high=1e-1, log=True),
    }
    assert (config.objective.metric, config.objective.direction) == ("valid_accuracy", "maximize")
    assert (config.sampler.use, config.pruner.use) == ("tpe", "hyperband")
    assert (config.budget.trials, config.budget.minutes, config.budget.target) == (64, None, None)
    assert config.enqueue == ({"epochs": 3, "batch_size": 64, "learning_rate": 1e-3},)
    assert (config.lanes, config.micro_batch) == ("auto", "auto")


def test_what_is_left_out_has_a_default() -> None:
    config = parse_config(RICH.replace("seed: 7\n", "").replace("sampler: tpe\n", "").replace("optimizer: {nest", "#"))
    assert (config.seed, config.sampler.use, config.pruner.use) == (0, "tpe", "none")
    assert parse_config(LINE).optimizer == Component(use="adam")


LINE = """
name: line
dataset: diabetes
model: models.linear:Linear
loss: mean_squared_error
search_space: {epochs: 1e1, batch_size: 32}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 4e0}
"""


def test_a_component_can_be_a_name_alone() -> None:
    assert parse_config(LINE).dataset == Component(use="diabetes")


def test_a_whole_number_can_be_written_as_a_float() -> None:
    config = parse_config(LINE)
    assert repr((config.search_space["epochs"], config.budget.trials)) == "(10, 4)"


def test_lists_become_tuples() -> None:
    config = parse_config(RICH, ["search_space.model.hidden=[32, [8]]"])
    assert config.search_space["model.hidden"] == (32, (8,))


def test_numbers_take_the_type_of_their_parameter() -> None:
    config = parse_config(
        RICH,
        [
            "search_space.batch_size={type: categorical, choices: [1e2, 8]}",
            "search_space.learning_rate.low=1e-2",
            "search_space.learning_rate.high=1",
            "enqueue=[{batch_size: 100.0, learning_rate: 1}]",
        ],
    )
    assert repr(config.search_space["batch_size"].choices) == "(100, 8)"
    assert repr(dict(config.enqueue[0])) == "{'batch_size': 100, 'learning_rate': 1.0}"


def test_parents_come_before_what_depends_on_them_whatever_the_file_says() -> None:
    assert list(parse_config(RICH).parameters()) == [
        "optimizer.use", "optimizer.momentum", "batch_size", "learning_rate", "model.hidden", "optimizer.b1",
    ]  # fmt: skip


def test_a_searched_use_fills_in_for_one_that_is_not_given() -> None:
    config = parse_config(RICH)
    assert config.optimizer == Component(use="adam", nesterov=True)
    assert "use" not in to_yaml(config).split("optimizer:")[1].split("search_space")[0]


def test_the_high_end_comes_down_to_the_last_step() -> None:
    assert IntRange(type="int", low=1, high=10, step=4).high == 9
    assert FloatRange(type="float", low=0.1, high=1, step=0.2).high == 0.9
    assert FloatRange(type="float", low=0, high=0.9, step=0.3).high == 0.9


def test_a_config_cannot_be_changed() -> None:
    config = load_config(MNIST)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1
    with pytest.raises(ValueError, match="frozen"):
        config.dataset.use = "x"
    with pytest.raises(TypeError, match="cannot be changed"):
        config.search_space["epochs"] = 3
    with pytest.raises(TypeError, match="cannot be changed"):
        config.enqueue[0].update(epochs=1)


def test_a_config_is_hashable_and_can_be_copied_and_pickled() -> None:
    config = parse_config(RICH)
    assert len({config, copy.deepcopy(config), pickle.loads(pickle.dumps(config)), parse_config(RICH)}) == 1


def test_components_differ_when_an_argument_differs() -> None:
    assert Component(use="adam", b1=0.9) != Component(use="adam", b1=0.8)
    assert Component(use="adam").with_arguments(use="sgd", momentum=0.9) == Component(use="sgd", momentum=0.9)


def test_a_metric_of_ones_own_has_the_column_of_its_function() -> None:
    assert metric_column("my.metrics:top_5") == "valid_top_5"


# --- Python values --------------------------------------------------------------------------------------------------


def test_python_values_make_the_same_config_as_yaml() -> None:
    tree = read(RICH).value
    tree["metrics"] = tuple(tree["metrics"])
    tree["search_space"]["batch_size"] = IntRange(type="int", low=16, high=512, log=True)
    tree["model"] = Component(use="models.mlp:MLP")
    tree["dataset"]["path"] = Path("data")
    assert parse_config(tree) == parse_config(RICH, ["dataset.path=data"])


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", 1j, 2**70, "a\x00"])
def test_a_python_value_that_yaml_cannot_hold_is_refused(value: object) -> None:
    tree = {**read(RICH).value, "dataset": {"use": "digits", "value": value}}
    with pytest.raises(ConfigError, match=r"^<config>: dataset\.value: "):
        parse_config(tree)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="nested at most 20 deep"):
        parse_config({"name": "x", "metrics": endless})


# --- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = [
    # names, types and shapes
    ("name=../x", "name: must be 1 to 64 of the characters a to z, A to Z, 0 to 9, `.`, `_` and `-`, and not begin with a dot, but got '../x'. The results go to a folder of this name"),
    ("seed=-1", "seed: must be at least 0, but got -1"),
    ("seed=4294967296", "seed: must be at most 4294967295, but got 4294967296"),
    ("seed=true", "seed: must be a whole number, but got true"),
    ("seed='7'", "seed: must be a whole number, but got '7'. Remove the quotes"),
    ("name=12", "name: must be text, but got 12. Quote it: '12'"),
    ("dataset=3", "dataset: must be a name, or a mapping with `use`, but got 3"),
    ("dataset.use=", "dataset.use: must be text, but got null"),
    ("dataset.use=''", "dataset.use: must not be empty, but got ''"),
    ("dataset.a-b=1", "dataset.a-b: an argument's name must be a Python name"),
    ("dataset.x={low: 1}", "dataset.x: must be a number, text, true, false, null or a list of these, but got {low: 1}. To search an argument, put it under `search_space` by its dotted name"),
    ("dataset.x=.nan", "dataset.x: NaN is not a value. Give a number, or null for none"),
    ("metrics=accuracy", "metrics: must be a list such as ['accuracy'], but got 'accuracy'"),
    ("search_space=[1]", "search_space: must be a mapping such as {epochs: {type: 'int', low: 1, high: 8}, batch_size: 64}, but got [1]"),
    ("objective=3", "objective: must be a mapping such as {metric: 'valid_accuracy', direction: 'maximize'}, but got 3"),
    ("enqueue={epochs: 3}", "enqueue: must be a list such as [{epochs: 3, batch_size: 64}], but got {epochs: 3}"),
    ("enqueue=[3]", "enqueue[0]: must be a mapping such as [{epochs: 3, batch_size: 64}], but got 3"),
    # keys
    ("bugdet=1", "bugdet: unknown key. Did you mean `budget`?"),
    ("batch_size=1", "batch_size: unknown key. It belongs under `search_space`"),
    ("budget.minuets=1", "budget.minuets: unknown key. Did you mean `minutes`?"),
    ("search_space.batch_size.hi=1", "search_space.batch_size.hi: unknown key. Did you mean `high`?"),
    ("search_space.lr=1", "search_space.lr: unknown parameter. Did you mean `learning_rate`?"),
    ("search_space.batchsize=1", "search_space.batchsize: unknown parameter. Did you mean `batch_size`?"),
    ("search_space.optimiser.b2=1", "search_space.optimiser.b2: unknown parameter. Did you mean `optimizer.b2`?"),
    ("search_space.frobnicate=1", "search_space.frobnicate: unknown parameter. Known are epochs, batch_size, learning_rate, seed, loss and dotted names such as optimizer.b1"),
    # ranges and choices
    ("search_space.learning_rate.low=1", "search_space.learning_rate: `low <= high` must hold, but got low=1.0 and high=0.1"),
    ("search_space.learning_rate.low=0", "search_space.learning_rate.low: `low > 0` must hold with `log: true`, but got 0.0"),
    ("search_space.learning_rate.step=0.1", "search_space.learning_rate.step: `step` and `log: true` exclude each other. Remove one"),
    ("search_space.optimizer.momentum.step=0", "search_space.optimizer.momentum.step: must be more than 0, but got 0.0"),
    ("search_space.optimizer.momentum.step=1e-30", "search_space.optimizer.momentum.step: there must be at most 1,000,000,000 steps, but got 1e-30"),
    ("search_space.optimizer.b1.low=.nan", "search_space.optimizer.b1.low: must be a finite number, but got nan"),
    ("search_space.optimizer.b1.high=.inf", "search_space.optimizer.b1.high: must be a finite number, but got inf"),
    ("search_space.batch_size.low=1.5", "search_space.batch_size.low: must be a whole number, but got 1.5"),
    ("search_space.batch_size.step=0", "search_space.batch_size.step: must be at least 1, but got 0"),
    ("search_space.batch_size.low=0", "search_space.batch_size.low: `low > 0` must hold with `log: true`, but got 0"),
    ("search_space.batch_size.log=yes", "search_space.batch_size.log: must be true or false, but got 'yes'"),
    ("search_space.batch_size.high=1e10", "search_space.batch_size.high: must be at most 2147483647, but got 10000000000.0"),
    ("search_space.model.hidden.choices=[]", "search_space.model.hidden.choices: must hold at least one choice, but got []"),
    ("search_space.model.hidden.choices=[1, 2, 1]", "search_space.model.hidden.choices: choices must differ from one another, but got 1 twice. Remove one"),
    ("search_space.model.hidden.choices=[1, 1.0]", "search_space.model.hidden.choices: choices must differ from one another, but got 1 and 1.0, which are equal. Remove one"),
    ("search_space.model.hidden.choices=64", "search_space.model.hidden.choices: must be a list such as [32, 64], but got 64. Write [64]"),
    ("search_space.model.hidden.type=float", "search_space.model.hidden.low: must be given. For instance `low: 1`"),
    ("search_space.model.x={low: 1, high: 2}", "search_space.model.x.type: must be `float`, `int` or `categorical`, but got none. Did you mean `type: int`?"),
    ("search_space.model.x={type: integer, low: 1, high: 2}", "search_space.model.x.type: must be `float`, `int` or `categorical`, but got 'integer'. Did you mean `type: int`?"),
    # what a name can hold
    ("search_space.epochs=0", "search_space.epochs: must be at least 1, but got 0"),
    ("search_space.epochs={type: int, low: 0, high: 2}", "search_space.epochs.low: must be at least 1, but got 0"),
    ("search_space.epochs=[1, 2]", "search_space.epochs: must be a whole number, but got [1, 2]. To search, write {type: categorical, choices: [1, 2]}"),
    ("search_space.epochs={type: float, low: 1, high: 2}", "search_space.epochs.type: must be `int` or `categorical` here, but got `float`. Write `type: int`"),
    ("search_space.epochs={type: categorical, choices: [1, 0]}", "search_space.epochs.choices[1]: must be at least 1, but got 0"),
    ("search_space.batch_size.when={optimizer.use: sgd}", "search_space.batch_size.when: every trial needs this parameter, so it cannot depend on another"),
    ("search_space.learning_rate=-1", "search_space.learning_rate: must be at least 0, but got -1.0"),
    ("search_space.learning_rate=fast", "search_space.learning_rate: must be a number, but got 'fast'"),
    ("search_space.seed=1.5", "search_space.seed: must be a whole number, but got 1.5"),
    ("search_space.model.use={type: int, low: 1, high: 2}", "search_space.model.use.type: must be `categorical` here, but got `int`. List the names under `choices`"),
    # when
    ("search_space.optimizer.b1.when={optimizer.usee: 1}", "search_space.optimizer.b1.when.optimizer.usee: unknown parameter. Did you mean `optimizer.use`?"),
    ("search_space.optimizer.b1.when={optimizer.b1: 0.9}", "search_space.optimizer.b1.when.optimizer.b1: a parameter must not depend on itself"),
    ("search_space.optimizer.b1.when={optimizer.use: sdg}", "search_space.optimizer.b1.when.optimizer.use: must be a value that it can have, one of ['adam', 'sgd'], but got 'sdg'. Did you mean `sgd`?"),
    ("search_space.optimizer.b1.when={batch_size: 8}", "search_space.optimizer.b1.when.batch_size: must be a value that it can have, from 16 to 512, but got 8"),
    ("search_space.optimizer.use.when={optimizer.b1: 0.9}", "search_space.optimizer.use.when: conditions must not run in a circle, but got optimizer.use → optimizer.b1 → optimizer.use"),
    # across sections
    ("objective.metric=valid_acuracy", "objective.metric: must be `train_loss`, `valid_loss`, `valid_accuracy` or `valid_top_5`, but got 'valid_acuracy'. Did you mean `valid_accuracy`?"),
    ("objective.metric=valid_mean_absolute_error", "objective.metric: must be `train_loss`, `valid_loss`, `valid_accuracy` or `valid_top_5`, but got 'valid_mean_absolute_error'. Add `mean_absolute_error` to `metrics`"),
    ("objective.direction=maximise", "objective.direction: must be `maximize` or `minimize`, but got 'maximise'. Did you mean `maximize`?"),
    ("metrics[0]=acuracy", "metrics[0]: must be `accuracy`, `mean_absolute_error` or `module:name`, but got 'acuracy'. Did you mean `accuracy`?"),
    ("loss=softmax", "loss: must be `mean_squared_error`, `binary_cross_entropy`, `softmax_cross_entropy` or `module:name`, but got 'softmax'"),
    ("sampler=tpee", "sampler.use: must be `tpe`, `random`, `grid`, `qmc`, `gp` or `cmaes`, but got 'tpee'. Did you mean `tpe`?"),
    ("pruner=hyperbnd", "pruner.use: must be `none`, `hyperband`, `successive_halving` or `median`, but got 'hyperbnd'. Did you mean `hyperband`?"),
    ("sampler.n_startup=1", "sampler.n_startup: unknown argument of the sampler `tpe`. Did you mean `n_startup_trials`?"),
    ("pruner={use: none, x: 1}", "pruner.x: unknown argument of the pruner `none`. It takes no arguments"),
    ("sampler.n_ei_candidates=0", "sampler.n_ei_candidates: must be at least 1, but got 0"),
    ("sampler={use: qmc, qmc_type: sobel}", "sampler.qmc_type: must be `sobol` or `halton`, but got 'sobel'. Did you mean `sobol`?"),
    ("sampler={use: gp, deterministic: 1}", "sampler.deterministic: must be true or false, but got 1"),
    ("sampler={use: cmaes, sigma0: 0}", "sampler.sigma0: must be more than 0, but got 0.0"),
    ("pruner={use: median, interval_steps: 1.5}", "pruner.interval_steps: must be a whole number, but got 1.5"),
    ("pruner={use: hyperband, min_resource: 4}", "pruner.min_resource: must be at most the highest number of epochs, 3, but got 4"),
    ("budget={}", "budget: `trials` or `minutes` must be given, but got neither. For instance `budget: {trials: 64}`"),
    ("budget={target: 1}", "budget: `trials` or `minutes` must be given, but got `target` alone. For instance `budget: {trials: 64}`"),
    ("budget.trials=0", "budget.trials: must be at least 1, but got 0"),
    ("budget.minutes=0", "budget.minutes: must be more than 0, but got 0.0"),
    ("budget.target=.nan", "budget.target: must be a finite number, but got nan"),
    ("lanes=0", "lanes: must be `auto` or a whole number of at least 1, but got 0"),
    ("micro_batch=atuo", "micro_batch: must be `auto` or a whole number of at least 1, but got 'atuo'. Did you mean `auto`?"),
    # given twice
    ("optimizer.b1=0.9", "optimizer.b1: must be given in one place, but got `search_space.optimizer.b1` as well. Remove `optimizer.b1` or `search_space.optimizer.b1`"),
    ("optimizer.use=adam", "optimizer.use: must be given in one place, but got `search_space.optimizer.use` as well. Remove `optimizer.use` or `search_space.optimizer.use`"),
    ("optimizer.learning_rate=0.1", "optimizer.learning_rate: must be given in one place, but got `search_space.learning_rate` as well. Remove `optimizer.learning_rate` or `search_space.learning_rate`"),
    ("search_space.loss=mean_squared_error", "loss: must be given in one place, but got `search_space.loss` as well. Remove `loss` or `search_space.loss`"),
    # enqueue
    ("enqueue=[{}]", "enqueue[0]: must name at least one parameter, but got {}. Remove it"),
    ("enqueue=[{batchsize: 64}]", "enqueue[0].batchsize: unknown parameter. Did you mean `batch_size`?"),
    ("enqueue=[{batch_size: 8}]", "enqueue[0].batch_size: must be in the search space, from 16 to 512, but got 8"),
    ("enqueue=[{batch_size: true}]", "enqueue[0].batch_size: must be in the search space, from 16 to 512, but got true"),
    ("enqueue=[{model.hidden: [65]}]", "enqueue[0].model.hidden: must be in the search space, one of [[64], [128, 128]], but got [65]"),
    ("enqueue=[{epochs: 2}]", "enqueue[0].epochs: is fixed at 3 by `search_space.epochs`, but got 2. Remove it here"),
    ("enqueue=[{optimizer.momentum: 0.3}]", "enqueue[0].optimizer.momentum: needs `optimizer.use` to be 'sgd' in the same entry, but got none. Add it, or remove `optimizer.momentum`"),
    ("enqueue=[{optimizer.use: adam, optimizer.momentum: 0.3}]", "enqueue[0].optimizer.momentum: needs `optimizer.use` to be 'sgd' in the same entry, but got 'adam'. Add it, or remove `optimizer.momentum`"),
    ("enqueue=[{optimizer.use: sgd, optimizer.momentum: 0.4}]", "enqueue[0].optimizer.momentum: must be in the search space, from 0.0 to 0.9 in steps of 0.3, but got 0.4"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "complaint"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_a_mistake_is_told_in_one_plain_line(override: str, complaint: str) -> None:
    assert complaints_of(override)[0] == complaint


@pytest.mark.parametrize("override", [override for override, _ in MISTAKES])
def test_one_mistake_is_told_once(override: str) -> None:
    allowed = {"search_space.model.hidden.type=float": 3, "search_space.batch_size.low=0": 2}
    assert len(complaints_of(override)) == allowed.get(override, 1)
