"""A config is right and frozen, or every mistake in it is told with its line: the rules one by one."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest
import yaml
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
from sweeps.config.overrides import apply
from sweeps.config.yaml.reader import read
from sweeps.errors import Complaint, ConfigError, SweepError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
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
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides)
    return [str(complaint).removeprefix(f"{complaint.where}: ") for complaint in caught.value.complaints]


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
    assert config.enqueue == ({"epochs": 8, "batch_size": 64, "learning_rate": 1e-3},)
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
    assert "use" not in to_yaml(config).split("optimizer:")[1].split("schedule")[0]


def test_the_high_end_comes_down_to_the_last_step() -> None:
    assert IntRange(type="int", low=1, high=10, step=4).high == 9
    assert FloatRange(type="float", low=0.1, high=1, step=0.2).high == 0.9
    assert FloatRange(type="float", low=0, high=0.9, step=0.3).high == 0.9


@given(st.floats(-100, 100), st.floats(0, 100), st.floats(1e-3, 10))
def test_the_last_step_of_a_last_step_is_itself(low: float, more: float, step: float) -> None:
    once = FloatRange(type="float", low=low, high=low + more, step=step)
    again = FloatRange(type="float", low=low, high=once.high, step=step)
    assert again.high == once.high
    assert low + more - step <= once.high <= low + more + 1e-6
    assert once.contains(once.high)


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


# --- several ranges of one parameter ----------------------------------------------------------------------------------

RANGES = """
name: ranges
dataset: digits
model: {use: "models.mlp:MLP"}
loss: mean_squared_error
search_space:
  learning_rate:
    - {type: float, low: 1e-2, high: 1, log: true, when: {optimizer.use: sgd}}
    - {type: categorical, choices: [1e-3, 1], when: {optimizer.use: [adam, lion]}}
  optimizer.use: {type: categorical, choices: [adam, sgd, lion]}
  epochs: 3
  batch_size: 32
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 4}
enqueue: [{learning_rate: 1, optimizer.use: lion}, {learning_rate: 1, optimizer.use: sgd}]
"""


def test_a_parameter_can_have_a_range_for_each_choice_of_another() -> None:
    config = parse_config(RANGES)
    assert list(config.parameters()) == ["optimizer.use", "learning_rate[0]", "learning_rate[1]"]
    assert config.fixed().keys() == {"epochs", "batch_size"}
    assert config.parameters()["learning_rate[1]"].choices == (1e-3, 1.0)
    assert repr([known["learning_rate"] for known in config.enqueue]) == "[1.0, 1.0]"


def test_an_override_reaches_one_of_several_ranges() -> None:
    config = parse_config(RANGES, ["search_space.learning_rate[0].low=0.1"])
    assert config.parameters()["learning_rate[0]"].low == 0.1


MISTAKES_IN_RANGES = {
    "search_space.learning_rate[1].when={optimizer.use: [adam, sgd]}": """search_space.learning_rate[1].when:
no trial must have two ranges of a parameter, but some would have `learning_rate[0]` too.
Give both a value of the same parameter in `when`, each another one""",
    "search_space.learning_rate[1]={type: float, low: 1, high: 2}": """search_space.learning_rate[1]:
each of several ranges must have `type`, and a `when` that says which trials have it,
but got {type: 'float', low: 1, high: 2}. Add `when: {optimizer.use: …}`""",
    "search_space.learning_rate[1]=0.1": """search_space.learning_rate[1]:
each of several ranges must have `type`, and a `when` that says which trials have it,
but got 0.1. Add `when: {optimizer.use: …}`""",
    "search_space.learning_rate[0].low=2": """search_space.learning_rate[0]:
`low <= high` must hold, but got low=2.0 and high=1.0""",
    "search_space.learning_rate[0].when={optimizer.use: sdg}": """search_space.learning_rate[0].when.optimizer.use:
must be a value that it can have, one of ['adam', 'sgd', 'lion'], but got 'sdg'. Did you mean `sgd`?""",
    "search_space.model.x={type: float, low: 1, high: 2, when: {learning_rate: 1}}": """\
search_space.model.x.when.learning_rate: must have one range where others depend on it, but got several.
Name another parameter""",
    "search_space.epochs=[{type: int, when: {optimizer.use: sgd}}]": """search_space.epochs:
must be one entry, for every trial has it, but got [{type: 'int', when: {optimizer.use: 'sgd'}}]. Write one""",
    "enqueue=[{learning_rate: 1}]": """enqueue[0].learning_rate:
needs `optimizer.use` in the same entry, to say which of its ranges holds. Add it""",
    "enqueue=[{learning_rate: 0.5, optimizer.use: adam}]": """enqueue[0].learning_rate:
must be in the search space, one of [0.001, 1.0], but got 0.5""",
    "sampler=grid": """search_space.learning_rate[0]:
a grid needs a finite number of values. Give it a `step`, or choices""",
}


@pytest.mark.parametrize(("override", "told"), MISTAKES_IN_RANGES.items())
def test_a_mistake_in_one_of_several_ranges_is_told_at_its_place(override: str, told: str) -> None:
    assert complaints_of(override, text=RANGES) == [told.replace("\n", " ")]


# --- Python values --------------------------------------------------------------------------------------------------


def test_python_values_make_the_same_config_as_yaml() -> None:
    tree = read(RICH).value
    tree["metrics"] = tuple(tree["metrics"])
    tree["search_space"]["batch_size"] = IntRange(type="int", low=16, high=512, log=True)
    tree["model"] = Component(use="models.mlp:MLP")
    tree["dataset"]["path"] = Path("data")
    assert parse_config(tree) == parse_config(RICH, ["dataset.path=data"])


def test_a_config_that_pyyaml_has_read_is_the_config_that_is_in_the_file() -> None:
    text = RICH.replace("name: rich", "name: 1e5") + "checkpoints: {seconds: 1e2}\n"
    tree = yaml.safe_load(text)
    tree["optimizer"]["eps"] = "1e-8"  # untyped, and a number in YAML 1.2
    assert isinstance(tree["search_space"]["learning_rate"]["low"], str)  # PyYAML reads by YAML 1.1
    tree["name"] = "1e5"
    expected = parse_config(text.replace("1e5", "'1e5'"), ["optimizer.eps=1e-8"])
    assert parse_config(tree) == expected
    assert parse_config(to_yaml(parse_config(tree))) == expected


def test_quotes_round_a_number_are_told_in_a_file_and_in_python() -> None:
    quoted = "search_space.learning_rate.low: must be a number, but got '1e-5'. Remove the quotes"
    assert complaints_of("search_space.learning_rate.low='1e-5'") == [quoted]
    tree = yaml.safe_load(RICH)
    tree["search_space"]["learning_rate"]["low"] = "0.1"  # which PyYAML would not have left as text
    with pytest.raises(ConfigError, match=r"must be a number, but got '0.1'\. Remove the quotes"):
        parse_config(tree)


@pytest.mark.parametrize("written", ["1e3", "007", "0x1F", "True", "1.", "-5", "3.14"])
def test_a_name_that_reads_as_a_number_is_told_in_its_own_spelling_and_may_be_quoted_so(
    written: str, tmp_path: Path
) -> None:
    text = RICH.replace("name: rich", f"name: {written}")
    (said,) = complaints(text)
    assert said.endswith(f". Quote it: '{written}'")
    assert parse_config(text.replace(f"name: {written}", f"name: '{written}'")).name == written
    (said,) = complaints(RICH, [f"name={written}"])
    assert said.endswith(f". Quote it, and that from the shell: --set \"name='{written}'\"")
    command = said.rpartition(": ")[2]
    assert shlex.split(command)[1] == f"name='{written}'"
    assert parse_config(RICH, [shlex.split(command)[1]]).name == written


@pytest.mark.parametrize("written", ["yes", "2024-01-31", "1_000", "no", "on"])
def test_other_words_are_names_as_they_are(written: str) -> None:
    assert parse_config(RICH.replace("name: rich", f"name: {written}")).name == written


@pytest.mark.parametrize("written", ["+5", ".5", ".nan"])
def test_a_name_that_quotes_would_not_make_right_is_to_be_another(written: str) -> None:
    (said,) = complaints(RICH.replace("name: rich", f"name: {written}"))
    assert "Choose another, of the characters" in said


class Net:
    @staticmethod
    def made() -> None: ...


def test_an_object_of_python_is_answered_with_its_name() -> None:
    def inner() -> None: ...

    told = {
        Net: 'Give its name: "test_config:Net"',
        Net.made: 'Give its name: "test_config:Net.made"',
        optax.adam: 'Give its name: "adam"',
        inner: 'Define it at the top of a module, not within a function, and give its name, such as "test_config:made"',
        functools.partial(inner): 'Write a function that makes it, and give its name, such as "__main__:made"',
        optax.sgd(0.1): 'Write a function that makes it, and give its name, such as "__main__:made"',
    }
    for value, advice in told.items():
        for section in (value, {"use": value}):
            with pytest.raises(ConfigError) as caught:
                parse_config({**read(RICH).value, "optimizer": section})
            assert str(caught.value).endswith(advice)
            assert "\n" not in str(caught.value)
    with pytest.raises(
        ConfigError, match=r'Write a function that returns it, and give its name, such as "__main__:data"'
    ):
        parse_config({**read(RICH).value, "dataset": np.zeros(3)})


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


def mistakes() -> dict[str, list[str]]:
    """The overrides of `config_mistakes.txt`, each with all that is said about it."""
    lines = (Path(__file__).parent / "config_mistakes.txt").read_text(encoding="utf-8").split("\n")
    blocks: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("    "):
            next(reversed(blocks.values())).append(line.strip())
        elif line and not line.startswith("#"):
            blocks[line] = []
    return blocks


@pytest.mark.parametrize(("override", "told"), mistakes().items(), ids=list(mistakes()))
def test_a_mistake_is_told_in_plain_lines(override: str, told: list[str]) -> None:
    assert complaints_of(override) == told


def steps(tree: Any, path: str) -> tuple[Any, Any]:
    """What holds the last step of a path, and that step."""
    applied = apply(copy.deepcopy(tree), f"{path}=null")
    assert isinstance(applied, tuple), applied
    for step in applied[:-1]:
        tree = tree[step]
    return tree, applied[-1]


def put(tree: Any, path: str, value: object) -> None:
    """Write a value, or the YAML of one, to a path."""
    assert isinstance(apply(tree, f"{path}={value}"), tuple)


def taken(tree: Any, path: str) -> Any:
    """What was at a path, which is not there any more."""
    holder, key = steps(tree, path)
    return holder.pop(key)


def renamed(tree: Any, path: str, name: str) -> None:
    holder, key = steps(tree, path)
    holder[name] = holder.pop(key)


def without_one(tree: Any, path: str) -> None:
    holder, key = steps(tree, path)
    taken(tree, f"{path}[0]" if isinstance(holder[key], list) else path)


def of_entry(path: str) -> str:
    return path.removesuffix(".type")


WHAT_TO_DO: dict[str, Any] = {
    r"(?:Did you mean|Write) `type: (\w+)`\??": lambda tree, told, found: put(tree, told.path, found[1]),
    r"Did you mean `(.+)`\?": lambda tree, told, found: (
        renamed(tree, told.path, found[1])
        if told.rule.startswith("unknown")
        else put(tree, told.path, json.dumps(found[1]))
    ),
    r"Write `(\w+): (.+)`": lambda tree, told, found: (taken(tree, told.path), put(tree, found[1], found[2])),
    r"(?:Write|To search, write|Quote it:) (.+)": lambda tree, told, found: put(tree, of_entry(told.path), found[1]),
    r"Quote it, and that from the shell: --set \"[\w.]+=('.+')\"": lambda tree, told, found: put(
        tree, told.path, found[1]
    ),
    r"For instance `(\w+): (.+)`": lambda tree, told, found: put(
        tree, told.path[: told.path.rindex(found[1]) + len(found[1])], found[2]
    ),
    r"Remove the quotes": lambda tree, told, _: put(tree, told.path, taken(tree, told.path)),
    r"Remove it(?: here)?|It takes no arguments": lambda tree, told, _: taken(tree, told.path),
    r"Remove one": lambda tree, told, _: without_one(tree, told.path),
    r"Remove `(.+)` or `.+`": lambda tree, _, found: taken(tree, found[1]),
    r"Add it, or remove `.+`": lambda tree, told, _: taken(tree, told.path),
    r"Add `(.+)` to `metrics`": lambda tree, _, found: tree["metrics"].append(found[1]),
    r"(?:It|`(\w+)`) belongs under `search_space`": lambda tree, told, found: put(
        tree, f"search_space.{found[1] or told.path}", taken(tree, told.path)
    ),
    r"To search an argument, put it under `search_space` by its dotted name": lambda tree, told, _: put(
        tree, f"search_space.{told.path}", {"type": "int", "high": 2, **taken(tree, told.path)}
    ),
    r"Give a number, or null for none": lambda tree, told, _: put(tree, told.path, "null"),
    r"List the names under `choices`": lambda tree, told, _: put(
        tree, of_entry(told.path), "{type: categorical, choices: [a, b]}"
    ),
    # These leave the choice to the reader.
    r"The results go to a folder of this name|Known are .+|It takes `.+|Name one of the search space": None,
}


def followed(tree: Any, complaint: Complaint) -> Any | None:
    """The config after what a complaint advises has been done; None where that is the reader's choice."""
    if not complaint.advice:
        return None
    fits = [(do, found) for text, do in WHAT_TO_DO.items() if (found := re.fullmatch(text, complaint.advice))]
    assert fits, f"no test follows this advice: {complaint.advice}"
    do, found = fits[0]
    if do is None:
        return None
    tree = copy.deepcopy(tree)
    do(tree, complaint, found)
    return tree


@pytest.mark.parametrize("override", mistakes())
def test_what_a_complaint_advises_works(override: str) -> None:
    """What was told is gone when it has been done, and whoever does all that is advised comes to an end."""
    draft = as_draft(RICH, [override])
    for _ in range(5):
        trees = [(told, tree) for told in draft.complaints if (tree := followed(draft.tree, told)) is not None]
        for told, tree in trees:
            draft = as_draft(tree)
            assert (told.path, told.rule) not in {(each.path, each.rule) for each in draft.complaints}, told
        if not trees:
            return
    raise AssertionError(f"advice without end: {draft.complaints}")


def test_all_mistakes_of_a_file_are_told_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        RICH.replace("name: rich", "nam: rich")
        .replace("seed: 7", "seed: 7\nseed: 8")
        .replace("low: 1e-5, high: 1e-1", "low: 1, high: 1e-1")
        .replace("  batch_size: {", "  batch_size: !int {")
        .replace("maximize", "max")
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    places = [f"{complaint.where.removeprefix(str(path))} {complaint.path}" for complaint in caught.value.complaints]
    assert places == [
        ":2 nam",
        ":4 seed",
        ":14 search_space.batch_size",
        ":15 search_space.learning_rate",
        ":18 objective.direction",
    ]


def test_a_mistake_in_a_list_has_the_line_of_its_item() -> None:
    text = (
        RICH.split("enqueue", maxsplit=1)[0]
        + "enqueue:\n  - batch_size: 64\n\n  - learning_rate: 1e-3\n    batch_size: 8\n"
    )
    assert complaints(text)[0].startswith("<config>:24: enqueue[1].batch_size: ")


def test_what_is_missing_has_the_line_of_its_parent() -> None:
    text = RICH.replace("low: 1e-5, ", "").replace("metric: valid_top_5, ", "").replace("model: {", "# {")
    assert [line.split(": ")[0:2] for line in complaints(text)] == [
        ["<config>:2", "model"],
        ["<config>:14", "search_space.learning_rate.low"],
        ["<config>:17", "objective.metric"],
    ]


def test_a_value_that_could_not_be_read_is_not_judged() -> None:
    assert len(complaints(RICH.replace("seed: 7", "seed: !!python/name:os.system"))) == 1
    assert len(complaints("name: [")) == 1


def test_a_name_cannot_leave_the_results_folder() -> None:
    for name in ("..", ".", ".hidden", "a/b", "/etc", "a\\b", "", "ä", "x" * 65, "a\nb"):
        assert complaints_of(f"name={json.dumps(name)}")[0].startswith("name: must")
    for name in ("a", "A-1_b.c", "x" * 64, "-"):
        assert parse_config(RICH, [f"name='{name}'"]).name == name


def test_very_many_mistakes_are_told_up_to_a_number() -> None:
    told = complaints(RICH + "".join(f"budgets{index}: 1\n" for index in range(5000)))
    assert len(told) == 201
    assert told[-1].endswith("there are more mistakes; these are the first 200")


def test_a_long_circle_or_chain_of_conditions_is_no_trouble() -> None:
    names = [f"model.x{index}" for index in range(900)]
    chain = [
        f"search_space.{name}={{type: int, low: 1, high: 2, when: {{{parent}: 1}}}}"
        for name, parent in zip(names, [*names[1:], "model.hidden"], strict=True)
    ]
    chain[-1] = f"search_space.{names[-1]}={{type: int, low: 1, high: 2}}"
    assert list(parse_config(RICH, chain).parameters())[-1] == names[0]
    chain[-1] = f"search_space.{names[-1]}={{type: int, low: 1, high: 2, when: {{{names[0]}: 1}}}}"
    assert len(complaints_of(*chain)) == 1


def test_a_condition_on_a_fixed_parameter_is_right() -> None:
    config = parse_config(RICH, ["search_space.optimizer.use=adam", "enqueue=[]"])
    assert config.fixed()["optimizer.use"] == "adam"


def test_fixed_values_may_be_repeated_in_enqueue_and_are_left_out() -> None:
    assert parse_config(RICH, ["enqueue=[{epochs: 3, batch_size: 64}]"]).enqueue == ({"batch_size": 64},)


def test_a_grid_needs_finitely_many_values() -> None:
    told = complaints_of("sampler=grid", "budget={}")
    assert [line.split(":")[0] for line in told] == ["search_space.learning_rate", "search_space.optimizer.b1"]
    assert told[0].endswith("a grid needs a finite number of values. Give it a `step`, or choices")


def test_a_grid_is_its_own_budget_unless_it_is_huge() -> None:
    small = [
        "sampler=grid",
        "search_space={epochs: 3, batch_size: 32, model.x: {type: float, low: 0, high: 1, step: 0.1}}",
    ]
    small = [*small, "optimizer=adam"]
    assert parse_config(RICH, [*small, "budget={}", "enqueue=[]"]).budget.trials is None
    huge = [*small, "search_space.model.depth={type: int, low: 1, high: 100000}"]
    assert complaints_of(*huge, "budget={}", "enqueue=[]")[0].startswith(
        "sampler: a grid without a budget must have at"
    )
    assert parse_config(RICH, [*huge, "budget={trials: 9}", "enqueue=[]"]).budget.trials == 9


# --- overrides ------------------------------------------------------------------------------------------------------


def test_an_override_changes_any_path() -> None:
    config = load_config(
        MNIST,
        [
            "search_space.learning_rate.high=0.01",
            "budget.trials=8",
            "name=other",
            "search_space.batch_size={type: int, low: 1, high: 64}",
            "model.hidden=[64, 64]",
            "enqueue[0].epochs=2",
            "enqueue[1]={epochs: 1}",
            "budget.minutes=1e1",
        ],
    )
    assert config.search_space["learning_rate"] == FloatRange(type="float", low=1e-5, high=0.01, log=True)
    assert (config.name, config.budget.trials, config.budget.minutes) == ("other", 8, 10.0)
    assert config.search_space["batch_size"] == IntRange(type="int", low=1, high=64)
    assert config.model.arguments["hidden"] == (64, 64)
    assert [known["epochs"] for known in config.enqueue] == [2, 1]


def test_an_override_finds_the_longest_key_that_exists() -> None:
    config = parse_config(
        RICH,
        [
            "search_space.optimizer.b1.low=0.7",
            "search_space.optimizer.b2=0.99",
            "search_space.model.low.type=int",
            "search_space.model.low.low=1",
            "search_space.model.low.high=2",
        ],
    )
    assert config.search_space["optimizer.b1"].low == 0.7
    assert config.search_space["optimizer.b2"] == 0.99
    assert config.search_space["model.low"] == IntRange(type="int", low=1, high=2)


def test_an_override_reaches_under_a_component_that_is_a_name_alone() -> None:
    config = parse_config(RICH, ["sampler.n_startup_trials=3", "pruner=median", "pruner.n_warmup_steps=1"])
    assert config.sampler == Component(use="tpe", n_startup_trials=3)
    assert config.pruner == Component(use="median", n_warmup_steps=1)


def test_later_overrides_win() -> None:
    assert parse_config(RICH, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("seed", "--set seed: an override must be PATH=VALUE, but got 'seed'. For instance budget.trials=8"),
        ("=3", "--set =3: an override must be PATH=VALUE, but got '=3'. For instance budget.trials=8"),
        ("seed.x=3", "--set seed.x=3: seed.x: `seed` has no `x` to set, because it is 7. Set `seed` as a whole"),
        (
            "enqueue[7]={}",
            "--set enqueue[7]={}: enqueue[7]: `enqueue` has no `[7]` to set, because it is [",
        ),
        ("a..b=1", "--set a..b=1: an override's path must be keys joined by dots, but got `.b`"),
        ("metrics.x=1", "--set metrics.x=1: an override's path must be keys joined by dots, but got `x` in the list"),
        ("seed=[1", "--set seed=[1: YAML syntax: expected ',' or ']', but got '<stream end>'"),
        ("seed=*a", "--set seed=*a: an alias must repeat a value that ends before it, but got `*a`"),
        ("nope.a.b=1", "--set nope.a.b=1: nope: unknown key. Known are"),
        ("a\x1b[31m=1", "--set a\\x1b[31m=1: an override's path must be keys joined by dots"),
    ],
)  # fmt: skip
def test_a_bad_override_is_told_with_its_text(override: str, complaint: str) -> None:
    (line,) = complaints(RICH, [override])
    assert line.startswith(complaint)


def test_a_path_without_end_is_refused() -> None:
    assert complaints_of("a" + ".a" * 600 + "=1") == ["a path must have at most 1,000 characters, but got 1,201"]
    assert complaints_of("a" + ".a" * 30 + "=1") == ["a path must have at most 20 steps, but got 31"]


def test_a_mistake_that_an_override_makes_is_told_at_the_override() -> None:
    told = complaints(RICH, ["search_space.learning_rate.low=0.5", "search_space.batch_size.low=0.5"])
    assert [line.split(": ")[0] for line in told] == [
        "--set search_space.learning_rate.low=0.5",
        "--set search_space.batch_size.low=0.5",
    ]


def test_the_file_comes_before_the_overrides() -> None:
    told = complaints(RICH.replace("budget: {", "budget: {trials: 0, "), ["seed=x", "name=/"])
    assert [line.split(": ")[0] for line in told] == ["<config>:19", "--set seed=x", "--set name=/"]


# --- drafts ---------------------------------------------------------------------------------------------------------


def test_others_can_complain_to_a_draft_at_a_path() -> None:
    draft = as_draft(RICH, ["model.width=3"])
    draft.complain(("search_space", "optimizer.b1", "low"), "must be even", "0.8")
    draft.complain(("dataset", "use"), "is not a dataset", "'digits'", "Did you mean `mnist`?")
    draft.complain(("model", "width"), "is not an argument")
    draft.complain(("enqueue", 1, "learning_rate"), "is slow")
    draft.complain(("model", "missing"), "must be there")
    with pytest.raises(ConfigError) as caught:
        draft.config()
    assert str(caught.value).split("\n") == [
        "<config>:4: dataset.use: is not a dataset, but got 'digits'. Did you mean `mnist`?",
        "<config>:5: model.missing: must be there",
        "<config>:16: search_space.optimizer.b1.low: must be even, but got 0.8",
        "<config>:20: enqueue[1].learning_rate: is slow",
        "--set model.width=3: model.width: is not an argument",
    ]


def test_a_draft_with_mistakes_still_has_the_sections_that_are_right(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(RICH.replace("batch_size: {type: int", "batch_size: {type: integer").replace("seed: 7", "seed: x"))
    draft = read_draft(path)
    assert [complaint.path for complaint in draft.complaints] == ["seed", "search_space.batch_size.type"]
    assert draft.sections.seed is None
    assert draft.sections.dataset == Component(use="digits", valid_fraction=0.2)
    assert "batch_size" not in draft.sections.search_space
    assert "batch_size" in draft.sections.names
    assert draft.tree["seed"] == "x"


def test_a_draft_of_unreadable_text_has_one_complaint() -> None:
    draft = as_draft("a: [", ["seed=1"])
    draft.complain(("model", "use"), "is unknown")
    assert (draft.tree, len(draft.complaints)) == ({}, 1)


# --- YAML and back, JSON Schema --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [RICH, LINE, RANGES, MNIST.read_text(encoding="utf-8")], ids=["rich", "line", "ranges", "mnist"]
)
def test_a_config_is_read_back_from_its_yaml_as_an_equal_one(text: str) -> None:
    config = parse_config(text)
    assert parse_config(to_yaml(config)) == config
    assert repr(parse_config(to_yaml(config))) == repr(config)


WORDS = st.sampled_from(["relu", "1e-4", "no", "true", "~", "", "a: b", "- x", "é #", "\n", "010"])
FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
ITEMS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FINITE | WORDS
VALUES = ITEMS | st.lists(ITEMS | st.lists(ITEMS, max_size=2), max_size=3)
LOWS = st.integers(1, 1000)
PARAMETERS = st.one_of(
    VALUES,
    st.lists(VALUES, min_size=1, max_size=1).map(lambda choices: {"type": "categorical", "choices": choices}),
    st.builds(
        lambda low, more, step: {"type": "int", "low": low, "high": low + more, "step": step}, LOWS, LOWS, LOWS
    ),
    st.builds(
        lambda low, more, log: {"type": "float", "low": low / 7, "high": (low + more) / 7, "log": log},
        LOWS, LOWS, st.booleans(),
    ),
    st.builds(
        lambda low, more, step: {"type": "float", "low": low / 7, "high": (low + more) / 7, "step": step / 1000},
        LOWS, LOWS, LOWS,
    ),
)  # fmt: skip


@given(
    arguments=st.dictionaries(st.sampled_from(["a", "b", "_c", "arguments", "self"]), VALUES),
    space=st.dictionaries(st.sampled_from(["model.x", "model.y", "dataset.z", "optimizer.b1"]), PARAMETERS),
)
@settings(max_examples=200)
def test_any_config_is_read_back_from_its_yaml_as_an_equal_one(arguments: Any, space: Any) -> None:
    tree = read(LINE).value
    tree["model"] = {"use": "models.linear:Linear", **arguments}
    tree["search_space"].update(space)
    config = parse_config(tree)
    assert repr(parse_config(to_yaml(config))) == repr(config)


WORDS_OF_CONFIGS = """
name seed low high log step choices when type int float categorical use epochs batch_size learning_rate optimizer.b1
trials metric 0 -1 1e-4 1e400 .nan .inf ~ true no 'x' " ' : , - [ ] { } # | > & * ! % @ ` ? << --- &a *a !!int {} []
[1] \x07 é 😀"""
TOKENS = ["", " ", "\n", "\t", *WORDS_OF_CONFIGS.split()]


def problems(text: str, overrides: Sequence[str]) -> list[str]:
    """What is wrong with a config; where nothing is, it must come back from its own YAML."""
    try:
        config = parse_config(text, overrides)
    except SweepError as error:
        return str(error).split("\n")
    assert parse_config(to_yaml(config)) == config
    return []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_mutated_config_is_right_or_refused_in_plain_lines(path: Path) -> None:
    source, chance = path.read_text(encoding="utf-8"), random.Random(0)
    refused = 0
    for _ in range(300):
        text = source
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(TOKENS) + text[at + chance.choice([0, 1, 3, 12]) :]
        override = f"{chance.choice(TOKENS)}.{chance.choice(TOKENS)}={chance.choice(TOKENS)}"
        lines = problems(text, [override] * chance.randint(0, 1))
        refused += bool(lines)
        assert all(line.isprintable() and line.startswith(("<config>", "--set")) for line in lines)
        assert not any("Input should" in line for line in lines)
    assert refused > 100


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("text", [RICH, LINE, RANGES, *(path.read_text(encoding="utf-8") for path in CONFIGS)])
def test_a_config_that_is_right_fits_the_json_schema(text: str, validator: Any) -> None:
    assert list(validator.iter_errors(read(text).value)) == []
    assert list(validator.iter_errors(read(to_yaml(parse_config(text))).value)) == []


@pytest.mark.parametrize(
    "override",
    [
        "name=../x", "seed=-1", "bugdet=1", "dataset=3", "metrics=accuracy", "objective.direction=up",
        "budget.trials=0", "search_space.lr=1", "search_space.epochs=0",
        "search_space.batch_size.hi=1", "search_space.batch_size.low=1.5",
        "search_space.model.hidden.choices=[]", "sampler=tpee", "sampler.n_startup=1", "sampler.n_ei_candidates=0",
        "pruner={use: median, interval_steps: 1.5}", "lanes=0", "micro_batch=x", "metrics[0]=acuracy", "loss=softmax",
        "precision=bfloat",
    ],
)  # fmt: skip
def test_a_mistake_of_shape_does_not_fit_the_json_schema(override: str, validator: Any) -> None:
    draft = as_draft(RICH, [override])
    assert draft.complaints
    assert not validator.is_valid(draft.tree)


def test_what_is_needed_is_required_by_the_json_schema(validator: Any) -> None:
    for key in ("name", "dataset", "model", "search_space", "objective"):
        tree = read(RICH).value
        del tree[key]
        assert not validator.is_valid(tree)


def test_every_key_is_described_in_the_json_schema() -> None:
    schema = json_schema()
    assert schema["properties"].keys() == SweepConfig.model_fields.keys()
    shapes = [schema, schema["properties"]["search_space"], *(schema["$defs"].values())]
    for shape in shapes:
        for key, described in shape.get("properties", {}).items():
            definition = schema["$defs"].get(described.get("$ref", "").removeprefix("#/$defs/"), {})
            assert described.get("description") or definition.get("description"), key
    assert ">>>" not in json.dumps(schema)


def test_reading_a_config_imports_nothing_slow() -> None:
    script = (
        f"import sys, sweeps.config; sweeps.config.load_config({str(MNIST)!r}); sweeps.config.json_schema();"
        "print(*{'jax', 'optuna', 'numpy', 'pandas', 'optax', 'flax'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
