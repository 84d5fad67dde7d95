"""`sweep plan` as a person meets it: what a run would do, without training."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sweeping
from sweeping import CPU

from sweeps import cli
from sweeps.engine.devices import Policy, mapped_policy, vmapped_policy
from sweeps.engine.program import Program

DIGITS = str(sweeping.ROOT / "configs" / "digits.yaml")
MNIST = str(sweeping.ROOT / "configs" / "mnist.yaml")
LINEAR = str(sweeping.ROOT / "configs" / "linear.yaml")
Plan = Callable[..., list[str]]

pytestmark = pytest.mark.usefixtures("ordinary_promotion")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plan:
    """The command on two cores, run in this process: its lines, with runs of blanks made one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(sweeping.ROOT)
    monkeypatch.setattr(Program, "__init__", lambda *_: pytest.fail("a program was made"))
    use(monkeypatch, lambda config: mapped_policy(CPU, config, 2))

    def run(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["sweep", "plan", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert (ended.value.code or 0, captured.err) == (0, "")
        return [re.sub(" +", " ", line).strip() for line in captured.out.splitlines()]

    return run


def use(monkeypatch: pytest.MonkeyPatch, policy: Callable[..., Policy]) -> None:
    sweeping.use_policy(monkeypatch, policy)


def value(lines: list[str], name: str) -> str:
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return line.removeprefix(f"{name} ")


def test_a_space_of_numbers_needs_one_program(plan: Plan) -> None:
    assert plan(MNIST)[1:] == [
        "device 1 cpu: 4 lanes, one after the other in 2 threads (mapped)",
        "in lanes epochs, batch_size, learning_rate",
        "static nothing that is searched",
        "programs 1, compiled once",
        "micro-batch 32, 64, 128 rows",
        "batch size 32 64 128 256 512",
        "taken as 1x32 1x64 1x128 2x128 4x128",
        "padding 0% 0% 0% 0% 0%",
        # 784 x 128 + 128 + 128 x 10 + 10 weights of four bytes; Adam's two moments, and its count
        "program 1 101,770 parameters; 1.22 MB a lane, 814 kB of it optimizer state",
    ]


def test_choices_that_change_shapes_or_optimizers_need_a_program_each(plan: Plan) -> None:
    lines = plan(DIGITS)
    assert value(lines, "in lanes") == "epochs, batch_size, learning_rate, optimizer.momentum"
    assert value(lines, "static") == "model.hidden (2 values), optimizer.use (2 values)"
    assert value(lines, "programs") == "4, each compiled once"
    assert [line.partition(";")[0] for line in lines[-4:]] == [
        "program 1 model.hidden=[64] optimizer.use=sgd: 4,810 parameters",
        "program 2 model.hidden=[64] optimizer.use=adam: 4,810 parameters",
        "program 3 model.hidden=[128, 64] optimizer.use=sgd: 17,226 parameters",
        "program 4 model.hidden=[128, 64] optimizer.use=adam: 17,226 parameters",
    ]


@pytest.mark.parametrize(
    ("searched", "static", "programs"),
    [
        ("optimizer.momentum={type: categorical, choices: [null, 0.5, 0.9]}", "(2 values)", "2, each compiled once"),
        ("optimizer.nesterov={type: categorical, choices: [true, false]}", "(2 values)", "2, each compiled once"),
        ("dataset.features={type: int, low: 3, high: 5}", "(3 values)", "3, each compiled once"),
        ("dataset.features={type: int, low: 3, high: 2000}", "(1,998 values)", "at most 1,998"),
        (
            "dataset.noise={type: float, low: 0, high: 1}",
            "(any number)",
            "one for each value of dataset.noise: choices",
        ),
    ],
)
def test_programs_are_counted_or_bounded_where_they_are_too_many(
    searched: str, static: str, programs: str, plan: Plan
) -> None:
    more = ["--set", "dataset={use: linear_regression, rows: 2000}", "--set", f"search_space.{searched}"]
    fixed = "optimizer.momentum" in searched or "nesterov" in searched
    lines = plan(LINEAR, *more, *(["--set", "search_space.epochs=1"] if fixed else []))
    assert value(lines, "static").endswith(static)
    assert value(lines, "programs").startswith(programs)


def test_a_numeric_choice_that_the_optimizer_can_trace_is_no_program(plan: Plan) -> None:
    lines = plan(LINEAR, "--set", "search_space.optimizer.momentum={type: categorical, choices: [0.0, 0.5, 0.9]}")
    assert value(lines, "programs") == "1, compiled once"


def test_a_wide_range_of_batch_sizes_shows_a_few_of_them_and_their_padding(plan: Plan) -> None:
    lines = plan(LINEAR, "--set", "search_space.batch_size={type: int, low: 1, high: 4096, log: true}")
    sizes = list(map(int, value(lines, "batch size").split()))
    assert (len(sizes), sizes[0], sizes[-1]) == (8, 1, 4096)
    micro_batches = list(map(int, value(lines, "micro-batch").removesuffix(" rows").split(", ")))
    for size, taken, padding in zip(
        sizes, value(lines, "taken as").split(), value(lines, "padding").split(), strict=True
    ):
        parts, micro_batch = map(int, taken.split("x"))
        assert micro_batch in micro_batches
        assert parts * micro_batch - micro_batch < size <= parts * micro_batch
        assert padding == f"{1 - size / (parts * micro_batch):.0%}"


def test_lanes_side_by_side_have_a_program_for_each_bucket(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, lambda config: vmapped_policy((CPU,), config))
    lines = plan(MNIST, "--set", "budget.trials=20")
    assert value(lines, "device") == "1 cpu: 2 groups of at most 10 lanes side by side (vmapped)"
    assert value(lines, "micro-batch") == "32 or 64 rows, a program for each"
    assert value(lines, "programs") == "2, each compiled once"
    assert value(lines, "taken as").split() == ["1x32", "1x64", "2x64", "4x64", "8x64"]


def test_memory_that_holds_fewer_lanes_is_told(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, lambda config: vmapped_policy((CPU,), config)._replace(memory_bytes=20_000_000))
    (line,) = [line for line in plan(MNIST) if line.startswith("program 1")]
    # 80 % of it, for the states of two lane groups, the next state of one, and a gradient: 4,070,824 bytes a lane
    assert line.endswith("; memory holds at most 3 lanes a group")


def test_no_line_is_wider_than_a_terminal_of_80_columns(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from sweeps.command import plan as command_plan

    console = Console(width=80, force_terminal=True, highlight=False, color_system=None)
    command_plan.plan(console, Path(DIGITS), [])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert [line for line in lines[1:] if len(line) > 80] == []
