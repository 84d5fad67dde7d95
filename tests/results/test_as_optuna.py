"""A sweep's log as a study of Optuna's: what Optuna itself would hold, and what its tools make of it."""

from __future__ import annotations

import io
import json
import math
import sqlite3
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweeps.cli import main
from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter
from sweeps.results.export import to_optuna
from sweeps.results.results import Results, load
from sweeps.study.quiet import quiet

CONFIG = """\
name: toy
dataset: {use: linear_regression}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
search_space:
  epochs: {type: int, low: 1, high: 9}
  batch_size: 500
  learning_rate: {type: float, low: 1e-3, high: 1.0, log: true}
  optimizer.b1: {type: float, low: 0.1, high: 0.95, step: 0.1}
  model.hidden: {type: categorical, choices: [[64], [128, 128], null, relu]}
  optimizer.use: {type: categorical, choices: [sgd, adam]}
  optimizer.momentum: {type: float, low: 0.0, high: 0.9, when: {optimizer.use: sgd}}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 8}
"""
BY_KEY = ["learning_rate[0]", "learning_rate[1]"]
Curve = list[float]
TIME = "2026-11-22T08:00:0{}.000000+00:00"


def trial(number: int, curve: Curve, outcome: str | None, value: float | None = None, **params: Any) -> list[Any]:
    """A trial's records. Without an outcome it is running, or waiting where it has no curve either."""
    given = {"epochs": 3, "learning_rate": 0.1, "optimizer.b1": 0.3, "model.hidden": (128, 128)}
    records: list[dict[str, Any]] = [
        {"kind": "ask", "params": {**given, "optimizer.use": "adam", **params}},
        *(
            [{"kind": "start", "attempt": 1, "seed": number, "device": "cpu:0", "time": TIME.format(1)}]
            if curve
            else []
        ),
    ]
    records += [
        {"kind": "epoch", "repeat": 0, "attempt": 1, "epoch": epoch, "iterations": epoch, "examples": epoch}
        | {"train_loss": 1.0, "valid_loss": loss, "metrics": {}, "seconds": 0.25}
        for epoch, loss in enumerate(curve, start=1)
    ]
    if outcome is not None:
        ending = {"kind": "outcome", "attempt": 1, "outcome": outcome, "reason": "why", "value": value}
        records.append({**ending, "epochs": len(curve), "time": TIME.format(5)})
    return [{"time": TIME.format(0), "number": number, **record} for record in records]


LIVES: list[tuple[Curve, str | None, float | None]] = [
    ([0.9, 0.5], "completed", 0.5),
    ([0.9, 0.7], "pruned", 0.7),
    ([0.9, math.nan], "diverged", None),
    ([math.inf], "diverged", None),
    ([], "pruned", None),
    ([0.4], "failed", None),
    ([0.3], None, None),
    ([], None, None),
]
PLOTS = ("edf", "intermediate_values", "optimization_history", "parallel_coordinate", "param_importances", "timeline")
PLOTS += ("contour", "rank", "slice")
OPTUNAS = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}


def made(folder: Path, records: list[Any], config: str = CONFIG) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    with LogWriter(folder / "log", "local") as writer:
        for record in records:
            writer.append(record)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lives = [record for number, life in enumerate(LIVES) for record in trial(number, *life)]
    return made(tmp_path / "results" / "toy", lives)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty trials; the learning rate alone decides the loss."""
    records: list[Any] = []
    for number in range(40):
        rate = 10 ** (-3 * ((7 * number) % 40) / 40)
        use = {"optimizer.use": "sgd", "optimizer.momentum": 0.02 * number} if number % 3 else {}
        hidden = [(64,), (128, 128), None, "relu"][number % 4]
        varied = {"learning_rate": rate, "model.hidden": hidden, "optimizer.b1": (1 + number % 9) / 10}
        loss = abs(math.log10(rate) + 1)
        told = ("pruned", loss) if number % 10 == 9 else ("completed", loss)
        records += trial(number, [loss + 1, loss], *told, epochs=1 + number % 7, **varied, **use)
    return made(tmp_path_factory.mktemp("searched") / "results" / "toy", records)


def test_states_and_values_are_those_that_optuna_itself_would_hold(folder: Path) -> None:
    """The same lives told to a study of Optuna's."""
    with quiet():
        theirs = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        for curve, outcome, value in LIVES[:-1]:
            each = theirs.ask()
            for epoch, loss in enumerate(curve, start=1):
                each.report(loss, epoch)
            if outcome is not None:
                state = OPTUNAS.get(outcome, TrialState.FAIL)
                theirs.tell(each, value if state is TrialState.COMPLETE else None, state)
    ours = load(folder).study
    for one, other in zip(ours.trials[:-1], theirs.trials, strict=True):
        assert (one.number, one.state, one.values) == (other.number, other.state, other.values)
        assert repr(one.intermediate_values) == repr(other.intermediate_values)
    assert ours.trials[-1].state is TrialState.WAITING
    assert ours.best_trial.number == 0
    assert (ours.study_name, ours.direction.name) == ("toy", "MINIMIZE")


def test_a_trial_has_its_parameters_distributions_attributes_and_times(folder: Path) -> None:
    first, _, diverged, *_, waiting = load(folder).study.trials
    assert first.params == {
        "epochs": 3,
        "learning_rate": 0.1,
        "optimizer.b1": 0.3,
        "model.hidden": "[128, 128]",
        "optimizer.use": "adam",
    }
    assert first.distributions["epochs"] == IntDistribution(1, 9)
    assert first.distributions["learning_rate"] == FloatDistribution(1e-3, 1.0, log=True)
    assert first.distributions["optimizer.b1"] == FloatDistribution(0.1, 0.9, step=0.1)
    assert first.distributions["model.hidden"] == CategoricalDistribution(["[64]", "[128, 128]", None, "relu"])
    assert first.user_attrs == {"outcome": "completed", "reason": "why", "epochs": 2, "seconds": 0.5}
    assert first.datetime_start is not None
    assert first.duration is not None
    assert (first.datetime_start.isoformat(), first.duration.total_seconds()) == ("2026-11-22T08:00:01", 4)
    assert diverged.user_attrs["outcome"] == "diverged"
    assert waiting.user_attrs["outcome"] == "waiting"


def test_a_trial_that_damage_has_taken_leaves_the_others_their_numbers(tmp_path: Path) -> None:
    study = load(made(tmp_path / "toy", trial(0, [0.5], "completed", 0.5) + trial(2, [0.4], "completed", 0.4))).study
    assert [each.state.name for each in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.best_trial.number == 2


def test_values_of_another_config_than_the_last_one_are_kept(tmp_path: Path) -> None:
    """Optuna refuses a value outside its distribution, and two distributions of one name that do not go together."""
    odd = {"learning_rate": 2.0, "epochs": "many", "model.hidden": "gelu", "optimizer.b1": 0.15, "gone": 4}
    study = load(made(tmp_path / "toy", trial(0, [1.0], "completed", 1.0) + trial(1, [1.0], "pruned", **odd))).study
    assert {name: study.trials[1].params[name] for name in odd} == odd
    assert study.trials[0].params["epochs"] == 3
    assert study.trials[0].distributions["learning_rate"] == FloatDistribution(1e-3, 2.0, log=True)
    assert study.trials[0].distributions["model.hidden"] == study.trials[1].distributions["model.hidden"]


@pytest.mark.parametrize(
    ("adam", "distribution", "names"),
    [
        ("low: 0.001, high: 0.2", FloatDistribution(0.001, 0.2), ["learning_rate"] * 2),
        ("low: 0.001, high: 0.2, log: true", FloatDistribution(0.001, 0.2, log=True), BY_KEY),
    ],
)
def test_of_several_ranges_a_trial_has_the_one_that_held_under_one_name_if_optuna_takes_it(
    adam: str, distribution: FloatDistribution, names: list[str], tmp_path: Path
) -> None:
    """A study in a database, which refuses distributions of one name that do not go together."""
    sgd = "{type: float, low: 0.1, high: 1.0, when: {optimizer.use: sgd}}"
    ranges = f"[{sgd}, {{type: float, {adam}, when: {{optimizer.use: adam}}}}]"
    config = CONFIG.replace("{type: float, low: 1e-3, high: 1.0, log: true}", ranges)
    records: list[Any] = []
    for number in range(24):
        use, rate = ("sgd", 0.1 + number / 100) if number % 2 else ("adam", 0.001 + number / 200)
        records += trial(number, [rate], "completed", rate, **{"optimizer.use": use, "learning_rate": rate})
    results = load(made(tmp_path / "toy", records, config))
    for study in (results.study, exported(results, tmp_path / "study.db")):
        one, other = study.trials[1], study.trials[2]
        assert (one.params[names[0]], one.distributions[names[0]]) == (0.11, FloatDistribution(0.1, 1.0))
        assert (other.params[names[1]], other.distributions[names[1]]) == (0.011, distribution)
        assert len(one.params) == len(other.params) == 5
    assert set(names) <= results.importances().keys()


def test_the_parameter_that_decides_the_loss_is_the_most_important(searched: Path) -> None:
    found = load(searched).importances()
    assert next(iter(found)) == "learning_rate"
    assert found.keys() == {"learning_rate", "epochs", "optimizer.b1", "model.hidden", "optimizer.use"} | {
        "optimizer.momentum"
    }
    assert sum(found.values()) == pytest.approx(1)


def test_importances_of_few_trials_are_refused(folder: Path) -> None:
    with pytest.raises(ResultsError, match="importances need 20 completed trials, but toy has 1"):
        load(folder).importances()


@pytest.mark.parametrize("plots", ["plotly", "matplotlib"])
def test_every_plot_of_optuna_for_one_objective_draws_the_study(plots: str, searched: Path) -> None:
    module: Any = optuna.visualization
    if plots == "matplotlib":
        pytest.importorskip("matplotlib").use("agg")
        module = optuna.visualization.matplotlib
    pytest.importorskip(plots)
    study = load(searched).study
    with quiet():
        for name in PLOTS:
            assert getattr(module, f"plot_{name}")(study) is not None


def exported(results: Results, database: Path, name: str = "toy") -> optuna.Study:
    to_optuna(results.logged, results.config, f"sqlite:///{database}", name)
    with quiet():
        return optuna.load_study(study_name=name, storage=f"sqlite:///{database}")


def test_an_exported_study_is_the_loaded_one(folder: Path, searched: Path, tmp_path: Path) -> None:
    for index, results in enumerate((load(folder), load(searched))):
        study = exported(results, tmp_path / "study.db", f"toy{index}")
        for one, other in zip(study.trials, results.study.trials, strict=True):
            for name in ("number", "state", "values", "params", "distributions", "user_attrs", "datetime_complete"):
                assert getattr(one, name) == getattr(other, name)
            assert repr(one.intermediate_values) == repr(other.intermediate_values)
    assert optuna.importance.get_param_importances(study).keys() == results.importances().keys()
    with quiet():
        assert study.ask().suggest_float("learning_rate", 1e-3, 1.0, log=True) <= 1.0  # and it goes on from there


def test_the_dashboard_serves_an_exported_study(searched: Path, tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    exported(load(searched), tmp_path / "study.db")
    app = dashboard.wsgi(f"sqlite:///{tmp_path / 'study.db'}")
    status: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies/1",
        "SERVER_NAME": "x",
        "SERVER_PORT": "1",
    }
    environ |= {"QUERY_STRING": "", "wsgi.url_scheme": "http", "HTTP_HOST": "x"}
    environ |= {"wsgi.errors": sys.stderr, "wsgi.input": io.BytesIO()}
    body = b"".join(app(environ, lambda code, *_: status.append(code)))
    assert status[0].startswith("200")
    assert len(json.loads(body)["trials"]) == 40


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sweep", "export", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_exports_and_a_second_study_needs_another_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    to = ("toy", "--to", "optuna", "--storage", "sqlite:///a.db")
    assert command(monkeypatch, *to) == 0
    assert capsys.readouterr().out == "8 trials in the study toy of sqlite:///a.db\n"
    before = Path("a.db").read_bytes()
    assert command(monkeypatch, *to) == 2
    assert capsys.readouterr().err == (
        "error: sqlite:///a.db has a study toy already. Give another name with --name, or another --storage\n"
    )
    assert Path("a.db").read_bytes() == before
    assert command(monkeypatch, *to, "--name", "again") == 0
    with quiet():
        assert sorted(optuna.get_all_study_names("sqlite:///a.db")) == ["again", "toy"]


@pytest.mark.parametrize("name", ["übung.db", "my study.db", "試.db"])
def test_a_database_may_have_any_name(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    to = ("toy", "--to", "optuna", "--storage", f"sqlite:///{name}")
    assert command(monkeypatch, *to) == 0
    assert Path(name).is_file()
    assert command(monkeypatch, *to) == 2
    assert capsys.readouterr().err.startswith(f"error: sqlite:///{name} has a study toy already")


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("a.db", "--storage must be a URL such as sqlite:///study.db, but got a.db"),
        ("sqlite://", "--storage must name a file, such as sqlite:///study.db, but got sqlite://"),
        ("sqlite:///no/a.db", "--storage must be in a folder that is there, but there is no folder no"),
        ("sqlite:///text", "sqlite:///text cannot be written: file is not a database"),
        ("sqlite:///toy", "sqlite:///toy cannot be written: unable to open database file"),
        ("nosuch://u:secret@h/d", "nosuch://u:***@h/d cannot be written: "),
    ],
)
def test_a_storage_that_is_none_is_one_line(
    storage: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("text").write_text("no database, but long enough to look like one" * 100)
    files = sorted(Path().iterdir())
    assert command(monkeypatch, "toy", "--to", "optuna", "--storage", storage) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {said}")
    assert errors.count("\n") == 1
    assert sorted(Path().iterdir()) == files


@pytest.mark.parametrize("is_new", [True, False])
def test_an_export_that_fails_half_way_leaves_nothing(
    is_new: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, results = tmp_path / "study.db", load(folder)
    if not is_new:
        exported(results, database, "before")
    append = optuna.Study.add_trial
    calls: list[int] = []

    def broken(study: optuna.Study, each: optuna.trial.FrozenTrial) -> None:
        calls.append(each.number)
        if each.number == 3:
            raise KeyboardInterrupt
        append(study, each)

    monkeypatch.setattr(optuna.Study, "add_trial", broken)
    with pytest.raises(KeyboardInterrupt):
        exported(results, database)
    assert calls == [0, 1, 2, 3]
    assert database.exists() is not is_new
    if not is_new:
        with sqlite3.connect(database) as connection:
            assert connection.execute("select study_name from studies").fetchall() == [("before",)]
            assert connection.execute("select count(*) from trials").fetchall() == [(len(LIVES),)]
        connection.close()


def test_show_ends_with_what_matters_once_enough_trials_have_completed(
    folder: Path, searched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = {}
    for each in (folder, searched):
        monkeypatch.setattr(sys, "argv", ["sweep", "show", str(each)])
        with pytest.raises(SystemExit):
            main()
        last[each] = capsys.readouterr().out.splitlines()[-1]
    assert last[searched].startswith("what matters most: learning_rate ")
    assert "matters" not in last[folder]
