"""What `plan` and `check` say of programs is what a run makes: as many program keys as its trials have."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax
import pytest
from sweeping import config, make_programs, mapped

from sweeps import cli, machine
from sweeps.config import Choices, FloatRange, SweepConfig, Value, space
from sweeps.config.parameters import name_of
from sweeps.validation.program_plan import make_plan

pytestmark = pytest.mark.usefixtures("ordinary_promotion")

RATE = {"type": "float", "low": 0.001, "high": 0.1, "log": True}


def warm_cosine(learning_rate: Any, warm: float = 0.0) -> optax.GradientTransformation:
    """Branches on its peak in Python."""
    return optax.sgd(optax.warmup_cosine_decay_schedule(warm, learning_rate, 20, 500))


def stubborn(learning_rate: float) -> optax.GradientTransformation:
    """Wants a plain number, as `float` does."""
    return optax.sgd(float(learning_rate))


def halving(learning_rate: Any) -> optax.GradientTransformation:
    """Can be traced."""
    return optax.sgd(optax.exponential_decay(learning_rate, 10, 0.5))


def choosing(learning_rate: Any, delay: int = 0) -> optax.GradientTransformation:
    """Has a case of its own for a delay of 0, and takes any other as it is."""
    return optax.sgd(learning_rate) if type(delay) is int and delay == 0 else optax.sgd(learning_rate / (1 + delay))


def stepping(learning_rate: Any, times: int = 1) -> optax.GradientTransformation:
    """Unrolls a loop, which takes a plain whole number."""
    return optax.chain(*(optax.scale(jnp.float32(1.0)) for _ in range(times)), optax.sgd(learning_rate))


def choices(*values: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values), **more}


def whole(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, **more}


def real(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, **more}


SPACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "numbers": ({"optimizer": "adam"}, {"optimizer.b1": real(0.8, 0.99)}),
    "a range of the learning rate for each optimizer": (
        {"optimizer": {}},
        {
            "optimizer.use": choices("sgd", "adam"),
            "learning_rate": [
                real(0.1, 1.0, log=True, when={"optimizer.use": "sgd"}),
                choices(0.001, 0.01, when={"optimizer.use": "adam"}),
            ],
        },
    ),
    "momentum or none": ({"optimizer": "sgd"}, {"optimizer.momentum": choices(None, 0.5, 0.9)}),
    "momentum and nesterov": (
        {"optimizer": "sgd"},
        {"optimizer.momentum": choices(0.1, 0.9), "optimizer.nesterov": choices(True, False)},
    ),
    "a whole number that is not traced": (
        {"optimizer": {"use": "adafactor", "factored": True}},
        {"optimizer.min_dim_size_to_factor": whole(8, 24)},
    ),
    "a loop": ({"optimizer": "test_program_plan:stepping"}, {"optimizer.times": whole(1, 9, step=2)}),
    "a case of its own": ({"optimizer": "test_program_plan:choosing"}, {"optimizer.delay": whole(0, 9)}),
    "a schedule that branches": ({"optimizer": "test_program_plan:warm_cosine"}, {}),
    "a schedule that does not": ({"optimizer": "test_program_plan:halving"}, {}),
    "a plain rate": ({"optimizer": "test_program_plan:stubborn"}, {}),
    "few plain rates": ({"optimizer": "test_program_plan:stubborn"}, {"learning_rate": choices(0.1, 0.2, 0.3)}),
    "plain rates of one of two optimizers": (
        {"optimizer": {}},
        {
            "optimizer.use": choices("sgd", "test_program_plan:stubborn"),
            "learning_rate": real(0.1, 0.5, step=0.1),
        },
    ),
    "momentum of one of two optimizers": (
        {"optimizer": {}},
        {
            "optimizer.use": choices("adam", "sgd"),
            "optimizer.momentum": real(0.1, 0.9, when={"optimizer.use": "sgd"}),
        },
    ),
    "momentum on a condition of a number": (
        {"optimizer": "sgd"},
        {"epochs": whole(1, 9), "optimizer.momentum": real(0.1, 0.9, when={"epochs": [4, 5]})},
    ),
    "a loss of two": (
        {"dataset": "sweeping:plane", "metrics": [], "objective": {"metric": "valid_loss", "direction": "minimize"}},
        {"loss": choices("huber", "mean_absolute_error"), "loss.delta": real(0.5, 2.0, when={"loss": "huber"})},
    ),
    "a schedule of two": ({"optimizer": "sgd"}, {"schedule.use": choices("constant", "cosine")}),
    "widths": ({"model": "sweeping:curved"}, {"model.width": whole(2, 6), "optimizer.momentum": choices(0.8, 0.9)}),
}


def made(name: str) -> SweepConfig:
    sections, searched = SPACES[name]
    searched = {"epochs": 1, "batch_size": choices(8, 16), "learning_rate": RATE, **searched}
    if "loss" in searched:
        sections = {**sections, "loss": {}}
    return config(**sections, search_space=searched)


def drawn(config: SweepConfig, chance: random.Random) -> dict[str, Value]:
    """A trial's parameters, each value as likely as any other."""
    params: dict[str, Value] = {}
    for key, entry in config.parameters().items():
        if not space.active(config, params, key):
            continue
        name = name_of(key)
        if isinstance(entry, Choices):
            params[name] = chance.choice(entry.choices)
        elif isinstance(entry, FloatRange) and entry.step is None:
            params[name] = chance.uniform(entry.low, entry.high)
        else:
            value = entry.low + chance.randrange(entry.count or 1) * (entry.step or 1)
            params[name] = round(value, 9) if isinstance(entry, FloatRange) else int(value)
    return params


@pytest.mark.rotating
@pytest.mark.parametrize("name", SPACES)
def test_a_plan_counts_the_programs_that_trials_have(name: str) -> None:
    swept, chance = made(name), random.Random(0)
    programs = make_programs(swept, mapped(2))
    plan = make_plan(swept, programs)
    trials = [drawn(swept, chance) for _ in range(300)]
    keys = [programs.lane_trial(number, space.resolve(swept, each)).program_key for number, each in enumerate(trials)]
    if math.isinf(plan.most_programs):
        endless = [name for name, count in plan.static.items() if math.isinf(count)]
        assert len(set(keys)) >= len({each[name] for each in trials for name in endless}) > 200
    else:
        assert len(set(keys)) == plan.most_programs
        assert plan.is_whole


def test_numbers_are_told_apart_from_what_selects_programs() -> None:
    plans = {name: make_plan(made(name), make_programs(made(name), mapped(2))) for name in SPACES}
    assert plans["numbers"].static == {}
    assert plans["numbers"].in_lanes == ("epochs", "batch_size", "learning_rate", "optimizer.b1")
    assert plans["a plain rate"].static == {"learning_rate": math.inf}
    assert plans["a plain rate"].in_lanes == ("epochs", "batch_size")
    assert plans["a schedule that does not"].in_lanes == ("epochs", "batch_size", "learning_rate")
    assert plans["a whole number that is not traced"].static == {"optimizer.min_dim_size_to_factor": 17}
    assert plans["plain rates of one of two optimizers"].most_programs == 1 + 5
    assert plans["momentum on a condition of a number"].most_programs == 2
    assert plans["a range of the learning rate for each optimizer"].static == {"optimizer.use": 2}
    assert "learning_rate" in plans["a range of the learning rate for each optimizer"].in_lanes


ADAFACTOR = """
name: factors
dataset: linear_regression
model: {use: "models.linear:Linear"}
loss: mean_squared_error
optimizer: {use: adafactor}
search_space:
  epochs: 1
  batch_size: 20
  learning_rate: 0.1
  optimizer.min_dim_size_to_factor: {type: int, low: 8, high: 64}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 1}
"""


def test_check_and_plan_say_the_same_number_of_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "factors.yaml").write_text(ADAFACTOR)
    monkeypatch.chdir(Path(__file__).parents[2])
    told = []
    for command in ("check", "plan"):
        monkeypatch.setattr(sys, "argv", ["sweep", command, str(tmp_path / "factors.yaml")])
        with pytest.raises(SystemExit):
            cli.main()
        lines = capsys.readouterr().out.splitlines()
        told += [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == "programs"]
    assert told == ["57, each compiled once"] * 2


def test_a_lane_that_memory_cannot_hold_is_refused_with_its_choices_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width, features, classes = 1_000, 5, 3
    # Parameters, two moments and a gradient, in float32, of two dense layers.
    needed = 4 * 4 * ((features + 1) * width + (width + 1) * classes)
    file = tmp_path / "large.yaml"
    file.write_text(f"""\
name: large
dataset: {{use: "sweeping:blobs"}}
model: {{use: "models.mlp:MLP"}}
loss: softmax_cross_entropy
optimizer: {{use: adam}}
search_space:
  epochs: 1
  batch_size: 8
  learning_rate: 0.1
  model.hidden: {{type: categorical, choices: [[4], [{width}]]}}
objective: {{metric: valid_loss, direction: minimize}}
budget: {{trials: 2}}
""")
    for memory, code in [(1.01 * needed, 0), (0.99 * needed, 2)]:
        monkeypatch.setattr(machine, "memory_bytes", lambda memory=memory: memory)
        for command in ["check", "plan", *(["run"] if code else [])]:
            more = ["--results", str(tmp_path / "results")] if command == "run" else []
            monkeypatch.setattr(sys, "argv", ["sweep", command, str(file), *more])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            assert (ended.value.code or 0) == code
            said = capsys.readouterr().err
            assert not code or said.startswith(f"error: a trial with model.hidden=[{width}] needs ")
    assert not (tmp_path / "results").exists()


def test_ranges_of_the_learning_rate_for_each_optimizer_are_checked_as_their_trials_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ranges.yaml"
    file.write_text("""\
name: ranges
dataset: {use: "sweeping:blobs"}
model: {use: "models.mlp:MLP"}
loss: softmax_cross_entropy
optimizer: {}
search_space:
  epochs: 1
  batch_size: 8
  optimizer.use: {type: categorical, choices: [sgd, adam, adamw]}
  learning_rate:
    - {type: float, low: 1e-2, high: 1, log: true, when: {optimizer.use: sgd}}
    - {type: float, low: 1e-5, high: 1e-2, log: true, when: {optimizer.use: [adam, adamw]}}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 2}
""")
    for command in ("check", "plan"):
        monkeypatch.setattr(sys, "argv", ["sweep", command, str(file)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        assert "3, each compiled once" in capsys.readouterr().out
