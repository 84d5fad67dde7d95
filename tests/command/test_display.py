"""What a person sees fits the terminal, whatever is searched, and says how far the sweep is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from sweeps.command import display
from sweeps.command import show as command_show
from sweeps.log.trials import LoggedTrial
from sweeps.runner.progress import BestSoFar, Progress, Running

MANY: dict[str, Any] = {f"optimizer.argument_{number}": number / 7 for number in range(12)}
LONG: dict[str, Any] = {"model.hidden": tuple(range(100)), "epochs": 3}


def progress(**changes: Any) -> Progress:
    fields: dict[str, Any] = {
        "done": 12,
        "total": 32,
        "busy": 3,
        "lanes": 4,
        "best": BestSoFar(7, 0.96379, {"epochs": 20, "learning_rate": 0.0320512, "model.hidden": (64, 64)}),
        "examples_per_second": 25377.4,
        "seconds_left": 67.0,
        "outcomes": {"completed": 9, "pruned": 3},
        "compilations": 1,
        "news": (),
    }
    return Progress(**{**fields, **changes})


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "time_of_day", lambda: "12:00:00")


def drawn(look: Progress, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    console.print(display.picture(look, "valid_accuracy", width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the file given above
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]


def watched(looks: list[Progress], *, terminal: bool, **console: Any) -> str:
    file = io.StringIO()
    made = Console(file=file, width=80, force_terminal=terminal, highlight=False, **console)
    assert display.watch(made, "valid_accuracy", iter(looks)) == (looks[-1] if looks else None)
    return file.getvalue()


def test_the_picture_shows_trials_lanes_speed_time_and_the_best_with_its_parameters() -> None:
    assert drawn(progress()) == [
        "  trials  ━━━━━━━━━╸                  12/32  1:07 left",
        "          lanes 3/4   25,377 examples/s   9 completed, 3 pruned",
        "  best    valid_accuracy 0.96379, trial 7",
        "          epochs=20  learning_rate=0.03205  model.hidden=[64, 64]",
    ]


def test_the_picture_counts_failures_by_reason() -> None:
    failures = [("failed", "ValueError: no camera (m.py:3)", 1200), ("diverged", "valid_loss is nan", 2)]
    failures += [("out_of_memory", "too large", 1), ("failed", "another", 1)]
    assert drawn(progress(failures=tuple(failures)))[2:5] == [
        "          1,200 failed: ValueError: no camera (m.py:3)",
        "          2 diverged: valid_loss is nan",
        "          1 out_of_memory: too large",
    ]


def test_before_the_first_epoch_it_says_that_it_compiles() -> None:
    lines = drawn(progress(done=0, best=None, examples_per_second=0.0, seconds_left=None, outcomes={}))
    assert lines[1:] == ["          lanes 3/4   compiling", "  best    none yet"]


def test_what_takes_long_shows_how_long_it_has_taken_and_how_the_trials_under_way_stand() -> None:
    nothing = {"done": 0, "best": None, "seconds_left": None, "outcomes": {}}
    lines = drawn(progress(**nothing, examples_per_second=0.0, elapsed_s=35.2))
    assert lines[1] == "          lanes 3/4   compiling 0:35"
    running = tuple(Running(number, 4, 10, 0.75) for number in (3, 5, 6, 8))
    lines = drawn(progress(**nothing, elapsed_s=95.0, running=running))
    assert lines[1:] == [
        "          lanes 3/4   25,377 examples/s   1:35",
        "  running trial 3: epoch 4 of 10, valid_accuracy 0.75",
        "          trial 5: epoch 4 of 10, valid_accuracy 0.75",
        "          trial 6: epoch 4 of 10, valid_accuracy 0.75",
        "  best    none yet",
    ]


def test_without_a_number_of_trials_there_is_no_bar() -> None:
    assert drawn(progress(total=None))[0].split() == ["trials", "12", "1:07", "left"]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("params", [{}, MANY, LONG], ids=["none", "many", "long"])
def test_no_line_is_wider_than_the_terminal_and_a_long_list_is_cut(width: int, params: dict[str, Any]) -> None:
    lines = drawn(progress(best=BestSoFar(7, 0.9, params)), width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 3 + display.MOST_BEST_LINES + 2


def test_twelve_parameters_fit_80_columns_unbroken() -> None:
    text = " ".join(drawn(progress(best=BestSoFar(7, 0.9, MANY))))
    assert all(f"{name}={display.short(value)}" in text for name, value in MANY.items())


def test_what_was_the_best_before_a_continued_run_is_not_new() -> None:
    before = progress(continued=(12, 1))
    better = progress(continued=(12, 1), done=13, best=BestSoFar(9, 0.97, {"epochs": 1}))
    lines = watched([before, before, better], terminal=False).splitlines()
    assert [line.partition(" valid_accuracy")[0] for line in lines] == [
        "12:00:00 12/32 trials, best so far",
        "12:00:00 13/32 trials, new best",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_line_on_a_terminal_breaks_between_words_and_elsewhere_and_in_code_not_at_all(width: int) -> None:
    text = "12 trials in 1:07: 9 completed, 3 pruned; the tables are in results/small"
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    display.line(console, text)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the file given above
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == text
    for options in ({"is_code": True, "terminal": True}, {"is_code": False, "terminal": False}):
        console = Console(file=io.StringIO(), width=width, force_terminal=options["terminal"], color_system=None)
        display.line(console, text, is_code=options["is_code"])
        assert console.file.getvalue() == f"{text}\n"  # type: ignore[attr-defined]  # the file given above


def test_plain_output_has_a_line_for_each_new_best_only() -> None:
    better = BestSoFar(9, 0.97, {"epochs": 1})
    looks = [
        progress(best=None),
        progress(),
        progress(),
        progress(done=13, best=better),
        progress(done=14, best=better),
    ]
    words = "epochs=20 learning_rate=0.03205 model.hidden=[64, 64]"
    assert watched(looks, terminal=False).splitlines() == [
        f"12:00:00 12/32 trials, new best valid_accuracy 0.96379, trial 7: {words}",
        "12:00:00 13/32 trials, new best valid_accuracy 0.97, trial 9: epochs=1",
    ]


def test_plain_output_tells_how_it_stands_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def ticks() -> Iterator[float]:
        yield from range(0, 10_000, 4)

    clock = ticks()
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    lines = watched([progress(best=None)] * 6, terminal=False).splitlines()
    assert lines == ["12:00:00 12/32 trials, lanes 3/4, 25,377 examples/s, 1:07 left"] * len(lines)
    assert 1 <= len(lines) <= 3


def test_a_finished_sweep_leaves_no_picture_behind_and_a_stopped_one_its_last() -> None:
    def stopped() -> Iterator[Progress]:
        yield progress()
        raise KeyboardInterrupt

    assert watched([progress()], terminal=True).rstrip().endswith("\x1b[2K")
    file = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        display.watch(Console(file=file, width=80, force_terminal=True), "valid_accuracy", stopped())
    assert "12/32" in file.getvalue().split("\x1b[2K")[-1]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in watched([progress()], terminal=True)


def test_no_colour_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = watched([progress()], terminal=True)
    assert "25,377" in shown
    assert not any(f"\x1b[{colour}" in shown for colour in ("3", "4", "9", "10"))


def test_nothing_to_watch_is_nothing() -> None:
    assert watched([], terminal=False) == ""


def test_texts_in_two_columns_go_on_below_their_beginning() -> None:
    file = io.StringIO()
    rows = [("data", "one two three four five six seven"), ("  model", "short")]
    display.facts(Console(file=file, width=32, force_terminal=True, color_system=None), rows)
    assert file.getvalue().splitlines() == [
        "  data     one two three four",
        "           five six seven",
        "    model  short",
    ]


# --- the table of trials --------------------------------------------------------------------------------------------


def trials(params: dict[str, Any]) -> list[LoggedTrial]:
    ended = LoggedTrial(3, params, 1, ending={"outcome": "completed", "value": 0.96379})
    return [ended, LoggedTrial(4, attempt=1)]


def rendered(table: Any, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_the_table_has_a_column_for_each_parameter_with_long_names_on_two_lines() -> None:
    params = {"learning_rate": 0.00123, "model.hidden": (64,)}
    assert rendered(command_show.columns("valid_loss", list(params), trials(params))) == [
        "        valid             learning   model",
        "trial    loss  outcome        rate  hidden",
        "    3  0.9638  completed   0.00123    [64]",
        "    4          running",
    ]


def test_many_parameters_share_a_column_of_several_lines() -> None:
    lines = rendered(command_show.compact("valid_loss", list(MANY), trials(MANY), 80))
    assert max(map(len, lines)) <= 80
    assert all(f"{name}={display.short(value)}" in " ".join(lines) for name, value in MANY.items())
    assert lines[-1].split() == ["4", "running"]


def test_parameters_go_below_their_trial_unbroken_where_the_terminal_is_too_narrow_for_a_column() -> None:
    lines = rendered(command_show.compact("valid_loss", list(MANY), trials(MANY), 40), 40)
    assert lines[0] == "trial 3, completed, valid_loss 0.9638"
    assert max(map(len, lines)) <= 40
    words = " ".join(lines).split()
    assert all(f"{name}={display.short(value)}" in words for name, value in MANY.items())
    assert lines[-1] == "trial 4, running"
