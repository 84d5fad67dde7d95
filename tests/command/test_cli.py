"""The `sweep` command as a person meets it: what it prints where, its exit codes, and that nothing is half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import sweeps
from sweeps import cli
from sweeps.datasets import loading

PROJECT = Path(__file__).parents[2]
CONFIG = """\
name: small
dataset: {use: linear_regression, rows: 200, features: 3}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
metrics: [mean_absolute_error]
optimizer: {use: sgd}
search_space:
  epochs: 2
  batch_size: 20
  learning_rate: {type: float, low: 0.01, high: 0.1, log: true}
objective: {metric: valid_loss, direction: minimize}
sampler: {use: random}
budget: {trials: 2}
"""


# Each line is twice as long as the one before, once its aliases are written out.
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


class Said(NamedTuple):
    code: int
    out: str
    err: str


Sweep = Callable[..., Said]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Sweep:
    """The command, run in this process in a folder that has `models/`."""
    (tmp_path / "models").symlink_to(PROJECT / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["sweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


def errors(said: Said) -> list[str]:
    """The lines of a refusal, which is all that it may print on standard error."""
    assert said.code == 2, said
    lines = said.err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"bad\.yaml:1: a config must not be empty"),
        ("name: [a\n", r"bad\.yaml:\d: "),
        ("name: !!python/object:os.system x\n", r"bad\.yaml:1: name: .*tag"),
        (CONFIG.replace("seed: 0\n", "") + "name: other\n", r"bad\.yaml:14: name: .*(twice|once|duplicate)"),
        (BOMB, r"bad\.yaml:\d+: there must be at most 50,000 values, repeated ones included"),
        (CONFIG.replace("budget:", "bugdet:"), r"bad\.yaml:13: bugdet: unknown key\. Did you mean `budget`\?"),
        (CONFIG.replace("epochs: 2", "epochs: two"), r"bad\.yaml:8: search_space\.epochs: must be a whole number"),
        (CONFIG.replace("epochs: 2", "epochs: 0"), r"bad\.yaml:8: search_space\.epochs: .*at least 1.*0"),
        (CONFIG.replace("low: 0.01", "low: 1"), r"bad\.yaml:10: search_space\.learning_rate: `low <= high` must hold"),
        (CONFIG.replace("low: 0.01", "low: 0"), r"bad\.yaml:10: search_space\.learning_rate\.low: `low > 0` must hold"),
        (
            CONFIG.replace("batch_size: 20", "batch_size: {type: categorical, choices: []}"),
            r"bad\.yaml:9: search_space\.batch_size\.choices: must hold at least one choice",
        ),
        (
            CONFIG.replace("batch_size: 20", "batch_size: 1000"),
            r"bad\.yaml:9: search_space\.batch_size: a batch must not be larger than the 160 training rows, but got",
        ),
        (CONFIG.replace("linear_reg", "liner_reg"), r"bad\.yaml:2: dataset\.use: .*Did you mean `linear_regression`\?"),
        (
            CONFIG.replace("models.linear", "models.liner"),
            r"bad\.yaml:3: model\.use: .*Did you mean `models\.linear`\?",
        ),
        (CONFIG.replace("linear:Linear", "linear:Liner"), r"bad\.yaml:3: model\.use: .*Did you mean `Linear`\?"),
        (CONFIG.replace(':Linear"', ':Linear", bias: 3'), r"bad\.yaml:3: model\.bias: unknown argument"),
        (CONFIG.replace("use: sgd", "use: sdg"), r"bad\.yaml:6: optimizer\.use: .*'sdg'\. Did you mean `sgd`\?"),
        (
            CONFIG.replace("use: sgd", "use: sgd, momentun: 0"),
            r"bad\.yaml:6: optimizer\.momentun: .*Did you mean `momentum`\?",
        ),
        (CONFIG.replace("use: random", "use: randon"), r"bad\.yaml:12: sampler\.use: .*Did you mean `random`\?"),
        (
            re.sub("  learning_rate.*\n", "", CONFIG),
            r"bad\.yaml:7: search_space\.learning_rate: sgd needs a learning rate",
        ),
        (CONFIG.replace("name: small", "name: ../x"), r"bad\.yaml:1: name: .*'\.\./x'"),
        (CONFIG.replace("name: small", "name: a/b"), r"bad\.yaml:1: name: .*'a/b'"),
        (CONFIG.replace("name: small", "name: .."), r"bad\.yaml:1: name: .*'\.\.'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_a_mistake_is_one_line_with_its_place_and_nothing_is_written(
    sweep: Sweep, tmp_path: Path, command: str, text: str, said: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    lines = errors(sweep(command, "bad.yaml"))
    assert any(re.search(said, line) for line in lines), lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml", "models"]


def test_mistakes_of_different_kinds_come_in_one_go_and_in_the_order_of_the_file(sweep: Sweep, tmp_path: Path) -> None:
    text = CONFIG
    for right, wrong in [
        ("name: small", "name: a/b"),
        ("linear_regression", "liner_regression"),
        ("linear:Linear", "linear:Liner"),
        ("use: sgd", "use: sdg"),
        ("epochs: 2", "epochs: 0"),
        ("low: 0.01", "low: 1"),
        ("use: random", "use: randon"),
    ]:
        text = text.replace(right, wrong)
    (tmp_path / "bad.yaml").write_text(text)
    lines = errors(sweep("run", "bad.yaml"))
    assert [line.split(":")[1] for line in lines] == ["1", "2", "3", "6", "8", "10", "12"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nothing.yaml"), "nothing.yaml: there is no such file. Its folder has small.yaml"),
        (("check", "models"), "models: a config must be a file, but got a folder"),
        (("run", "small.yaml", "--trials", "0"), "--set budget.trials=0: budget.trials: must be at least 1, but got 0"),
        (
            ("run", "small.yaml", "--set", "nonsense"),
            "--set nonsense: an override must be PATH=VALUE, but got 'nonsense'",
        ),
        (("show", "nothing"), "there is no results folder nothing."),
    ],
)
def test_what_cannot_be_used_is_one_line(sweep: Sweep, file: Path, arguments: tuple[str, ...], said: str) -> None:
    (line,) = errors(sweep(*arguments))
    assert line.startswith(said)


def test_a_mistake_in_a_models_file_is_told_with_its_line(sweep: Sweep, file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken_model.py").write_text("def model(:\n    pass\n")
    (tmp_path / "raising_model.py").write_text("def model(outputs):\n    width = 3\n    return width / 0\n")
    for name, place in [
        ("broken_model", "broken_model.py:1: SyntaxError"),
        ("raising_model", "raising_model.py:3: Zero"),
    ]:
        (line,) = errors(sweep("check", "small.yaml", "--set", f"model.use={name}:model"))
        assert f"{tmp_path}/{place}" in line


@pytest.mark.parametrize("results", ["a_file", "a_file/below", "/proc/results", "/dev/full"])
def test_results_that_cannot_be_written_are_told_before_anything_compiles(
    sweep: Sweep, file: Path, tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_file").write_text("in the way")
    monkeypatch.setattr("sweeps.runner.start.follow", lambda *_: pytest.fail("the sweep was started"))
    (line,) = errors(sweep("run", "small.yaml", "--results", results))
    assert re.fullmatch(
        rf"the results folder {results}/small cannot be written: .+\. Choose another with --results DIR", line
    )


def test_a_results_folder_that_leads_elsewhere_is_refused(sweep: Sweep, file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small").symlink_to(tmp_path / "elsewhere")
    (line,) = errors(sweep("run", "small.yaml"))
    assert line.startswith("results/small is a link to")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "Missing argument 'FILE'. `sweep run --help` says what it takes"),
        (("show", "results", "--rows", "0"), "Invalid value for '--rows': must be at least 1. `sweep show"),
        (("run", "small.yaml", "--trials", "many"), "Invalid value for '--trials': must be a whole number"),
        (("run", "small.yaml", "--minutes", "-1"), "Invalid value for '--minutes': must be at least 0"),
        (("run", "small.yaml", "--minutes"), "Option '--minutes' requires an argument"),
        (("predict", "results", "new.csv"), "Missing option '--output' / '-o'"),
        (("replay", "results", "first"), "Invalid value for 'NUMBER': must be a whole number"),
        (("export", "results", "--to", "csv", "--storage", "sqlite:///a.db"), "Invalid value for '--to': 'csv' is not"),
        (("check", "small.yaml", "--stict"), "No such option: --stict"),
        (("check", "small.yaml", "other.yaml"), "Got unexpected extra argument"),
        (("rnu", "small.yaml"), "No such command 'rnu'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(sweep: Sweep, arguments: tuple[str, ...], said: str) -> None:
    (line,) = errors(sweep(*arguments))
    assert line.startswith(said)
    assert line.endswith("--help` says what it takes")


def test_the_command_alone_shows_its_help(sweep: Sweep) -> None:
    ended = sweep()
    assert ended.code in (0, 2)
    assert "Usage: sweep [OPTIONS] COMMAND" in ended.out + ended.err


# --- a sweep --------------------------------------------------------------------------------------------------------


def test_a_sweep_runs_says_where_its_tables_are_and_is_complete(sweep: Sweep, file: Path, tmp_path: Path) -> None:
    ended = sweep("run", "small.yaml")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "sweep small: random, 2 trials -> results/small"
    time, _, best = lines[1].partition(" ")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", time)
    assert re.fullmatch(r"\d/2 trials, new best valid_loss [\d.e-]+, trial \d: learning_rate=[\d.e-]+", best)
    assert any(re.fullmatch(r"2 trials in 0:\d\d: 2 completed", line) for line in lines)
    assert any(line.startswith("training program compiled once") for line in lines)
    assert lines[-2:] == ["", "report    `sweep report results/small` writes one"]
    snippet = "\n".join(line.strip() for line in lines[-5:-2])
    printed = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=True)
    assert "value" in printed.stdout

    again = sweep("run", "small.yaml")
    assert again.code == 0
    assert again.out.splitlines()[1] == "nothing left to do: 2 trials have ended. More: --trials N, or another budget"

    shown = sweep("show", "results/small")
    assert shown.code == 0
    assert "2 trials: 2 completed" in shown.out
    assert "on the test split: test_loss" in shown.out

    more = sweep("run", "small.yaml", "--trials", "3")
    assert more.code == 0
    assert "3 trials in" in more.out

    refusal, *changes = errors(sweep("run", "small.yaml", "--set", "seed=5", "--set", "metrics=[]"))
    assert "results/small holds a sweep with another config. --allow-changed continues it" in refusal
    assert changes == ["seed: 0 before, 5 now", "metrics: ['mean_absolute_error'] before, [] now"]

    forced = sweep("run", "small.yaml", "--trials", "4", "--set", "seed=5", "--allow-changed")
    assert forced.code == 0
    configs = sweeps.load("results/small").trials["config"].tolist()
    assert configs[:3] == configs[:1] * 3
    assert configs[3] != configs[0]


# --- help, schema, check --------------------------------------------------------------------------------------------


def test_the_schema_is_json(sweep: Sweep) -> None:
    ended = sweep("schema")
    assert ended.code == 0
    assert "search_space" in json.loads(ended.out)["properties"]


def test_an_output_that_is_closed_early_gives_no_traceback() -> None:
    command = f"{sys.executable} -c 'from sweeps.cli import main; main()' schema | head -1"
    ended = subprocess.run(command, shell=True, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("{\n", "")


@pytest.mark.parametrize("command", ["run", "check", "plan", "show", "schema"])
def test_help_has_an_example_that_can_be_copied(sweep: Sweep, command: str) -> None:
    ended = sweep(command, "--help")
    assert ended.code == 0
    assert f"Example: sweep {command}" in ended.out


def test_the_version_is_that_of_the_package(sweep: Sweep) -> None:
    assert sweep("--version").out == f"sweep {sweeps.__version__}\n"


def test_check_says_what_a_sweep_will_do(sweep: Sweep, file: Path) -> None:
    ended = sweep("check", "small.yaml")
    assert ended.code == 0
    train = loading.load("linear_regression", sweeps.load_config(file).dataset.arguments).train
    assert re.sub(" +", " ", ended.out).splitlines() == [
        "small.yaml: right",
        " sweep small",
        " data linear_regression: 160 train, 20 valid, 20 test rows of 3 float32",
        f" inputs {train.x.min():.4g} to {train.x.max():.4g}",
        f" targets {train.y.min():.4g} to {train.y.max():.4g}, mean squared distance from the mean {train.y.var():.4g}",
        " model models.linear:Linear",
        " loss mean_squared_error",
        " metrics mean_absolute_error",
        " optimizer sgd",
        " objective minimize valid_loss",
        " sampler random",
        " epochs 2 (fixed)",
        " batch_size 20 (fixed)",
        " learning_rate 0.01 to 0.1, log",
        " until 2 trials",
        " programs 1, compiled once",
    ]


def test_check_says_when_a_trial_is_done_and_which_epoch_counts(sweep: Sweep, file: Path) -> None:
    given = {
        "early_stopping": ("{patience: 3, min_delta: 0.0015, target: 0}", "patience 3, min_delta 0.0015, target 0"),
        "keep": ("best_epoch", "best_epoch"),
        "schedule": (
            "{use: one_cycle, warmup: 0.3123, start: 0.0123, final: 0.000123}",
            "one_cycle warmup=0.3123 start=0.0123 final=0.000123",
        ),
    }
    more = [word for name, (value, _) in given.items() for word in ("--set", f"{name}={value}")]
    lines = {line.split()[0]: line for line in sweep("check", "small.yaml", *more).out.splitlines()}
    for name, (_, told) in given.items():
        assert lines[name].split(maxsplit=1)[1] == told
        assert len(lines[name]) <= 80
    stopping = sweep("check", "small.yaml", "--set", "early_stopping.patience=2").out
    assert "  early_stopping   patience 2\n  keep             last_epoch\n" in stopping


@pytest.mark.parametrize(
    ("overrides", "programs"),
    [
        (("optimizer.momentum={type: float, low: 0, high: 0.9}",), "1, compiled once"),
        (("optimizer.momentum={type: categorical, choices: [0.0, 0.5, 0.9]}",), "1, compiled once"),
        (("optimizer.momentum={type: categorical, choices: [null, 0.5, 0.9]}",), "2, each compiled once"),
        (("optimizer.nesterov={type: categorical, choices: [true, false]}",), "2, each compiled once"),
        (
            (
                'loss={type: categorical, choices: [mean_squared_error, "sweeps.training.losses:mean_squared_error"]}',
                "dataset.rows={type: int, low: 200, high: 202}",
            ),
            "6, each compiled once",
        ),
        (
            ("dataset.noise={type: float, low: 0, high: 1}",),
            "one for each value of dataset.noise: choices would be fewer",
        ),
    ],
)
def test_check_counts_the_programs_that_choices_can_need(
    sweep: Sweep, file: Path, overrides: tuple[str, ...], programs: str
) -> None:
    file.write_text(re.sub("loss: .*\n", "", CONFIG).replace("rows: 200, ", "") if "loss" in overrides[0] else CONFIG)
    more = [word for override in overrides for word in ("--set", f"search_space.{override}")]
    ended = sweep("check", "small.yaml", *more)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].split(maxsplit=1) == ["programs", programs]


# --- what goes wrong in a sweep ---------------------------------------------------------------------------------------

OWN = """\
import sys

from sweeps.training.row_mixing import ROWS


def fails_in_training(outputs=1):
    import jax.numpy as jnp

    def apply(params, x, key, training):
        if training and len(x) != ROWS:
            raise RuntimeError("the sensor is gone")
        return x @ params["kernel"]

    return lambda key: {"kernel": jnp.zeros((3, 1))}, apply


def exits(*arguments, **named):
    sys.exit(0)


def interrupts(*arguments, **named):
    raise KeyboardInterrupt


def exits_when_traced(outputs=1):
    import jax.numpy as jnp

    def apply(params, x, key, training):
        raise SystemExit("enough")

    return lambda key: {"kernel": jnp.zeros((3, 1))}, apply


def exits_in_training(outputs=1):
    import jax.numpy as jnp

    def apply(params, x, key, training):
        if training and len(x) != ROWS:
            sys.exit(5)
        return x @ params["kernel"]

    return lambda key: {"kernel": jnp.zeros((3, 1))}, apply
"""


@pytest.fixture
def own(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """A user's module `own_code`; where a text is in it."""
    (tmp_path / "own_code.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    return lambda text: OWN.splitlines().index(text) + 1


@pytest.mark.parametrize(
    ("section", "name", "place"),
    [
        ("model", "exits", ("exits", "SystemExit: 0", "    sys.exit(0)")),
        ("dataset", "exits", ("exits", "SystemExit: 0", "    sys.exit(0)")),
        ("loss", "exits", ("exits", "SystemExit: 0", "    sys.exit(0)")),
        ("model", "exits_when_traced", ("apply", "SystemExit: enough", '        raise SystemExit("enough")')),
    ],
)
def test_code_that_ends_the_process_is_a_mistake_with_the_functions_name_and_line(
    sweep: Sweep,
    own: Callable[[str], int],
    tmp_path: Path,
    section: str,
    name: str,
    place: tuple[str, str, str],
) -> None:
    function, reason, line = place
    said = f"`{function}` failed at {tmp_path}/own_code.py:{own(line)}: {reason}. "
    for command in ("check", "run"):
        ended = sweep(command, "small.yaml", "--set", f"{section}={{use: 'own_code:{name}'}}")
        assert errors(ended) == [f"{said}It must return, or raise an error of another kind"]


def test_an_interrupt_that_a_users_code_raises_itself_is_a_mistake_too(sweep: Sweep, own: Callable[[str], int]) -> None:
    ended = sweep("run", "small.yaml", "--set", "model={use: 'own_code:interrupts'}")
    assert errors(ended)[0].startswith("`interrupts` failed at ")


@pytest.mark.parametrize(
    ("name", "reason", "line"),
    [
        (
            "fails_in_training",
            "RuntimeError: the sensor is gone",
            '            raise RuntimeError("the sensor is gone")',
        ),
        ("exits_in_training", "SystemExit: 5", "            sys.exit(5)"),
    ],
)
def test_a_sweep_without_a_completed_trial_ends_with_3_and_says_why_once_and_with_a_count(
    sweep: Sweep, own: Callable[[str], int], tmp_path: Path, name: str, reason: str, line: str
) -> None:
    ended = sweep("run", "small.yaml", "--set", f"model={{use: 'own_code:{name}'}}")
    assert (ended.code, ended.err) == (3, "")
    lines = [each for each in ended.out.splitlines() if not re.search(r"compiling( [\d:]+)?$", each)]
    place = f"{tmp_path}/own_code.py:{own(line)}"
    why = f"{reason} ({place})"
    if name == "exits_in_training":
        why = f"`apply` failed at {place}: {reason}. It must return, or raise an error of another kind"
    assert re.fullmatch(r"trial \d failed: " + re.escape(why), lines[1])
    assert re.fullmatch(r"2 trials in [\d:]+: 2 failed", lines[2])
    assert lines[4:6] == [f"failed    2: {why}", "best      none: no trial has completed"]
    assert sweep("run", "small.yaml", "--set", f"model={{use: 'own_code:{name}'}}").code == 3, "nothing is left to do"
    assert sweep("show", "results/small").out.splitlines()[-1] == f"failed    2: {why}"


def test_a_continued_sweep_says_what_it_takes_over(sweep: Sweep, file: Path) -> None:
    assert "continues" not in sweep("run", "small.yaml").out
    ended = sweep("run", "small.yaml", "--trials", "5")
    lines = ended.out.splitlines()
    assert lines[:2] == [
        "sweep small: random, 5 trials -> results/small",
        "continues: 2 of 5 trials ended, 0 under way",
    ]
    (summary,) = [line for line in lines if re.match(r"\d+ trials in", line)]
    assert re.fullmatch(r"5 trials in [\d:]+ \(2 of them before\): 5 completed", summary)
