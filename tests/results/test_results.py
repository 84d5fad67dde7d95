"""Results come from the log, and a wrong folder is one clear line."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter, timestamp
from sweeps.results.best import text
from sweeps.results.results import Results, load
from sweeps.results.tables import TableFiles
from sweeps.storage import npz
from sweeps.storage.paths import RunFolder

CONFIG = """\
name: toy
dataset: {use: linear_regression}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
search_space:
  epochs: 2
  batch_size: 500
  learning_rate: {type: float, low: 1e-3, high: 1.0, log: true}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 8}
"""


def records_of(number: int, value: float, outcome: str = "completed") -> list[dict[str, Any]]:
    common = {"time": timestamp(), "number": number}
    epochs = [
        common
        | {
            "kind": "epoch",
            "repeat": 0,
            "attempt": 1,
            "epoch": epoch,
            "iterations": 4 * epoch,
            "examples": 2000 * epoch,
        }
        | {"train_loss": 9.0 - epoch, "valid_loss": value, "metrics": {"valid_mae": value / 2}, "seconds": 0.1}
        for epoch in (1, 2)
    ]
    return [
        common | {"kind": "ask", "params": {"learning_rate": 0.1, "model.hidden": (8, 8)}},
        common | {"kind": "start", "attempt": 1, "seed": number, "device": "cpu:0"},
        *epochs,
        common | {"kind": "outcome", "attempt": 1, "outcome": outcome, "reason": "", "value": value},
    ]


def made(folder: Path, *records: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with LogWriter(folder / "log", "local") as writer:
        for record in records:
            writer.append(record)
    return folder


def keep(folder: Path, number: int) -> None:
    (folder / "best").mkdir(exist_ok=True)
    digest = npz.write(folder / "best" / "parameters.npz", {"kernel": np.full((2, 3), number, dtype=np.float32)})
    (folder / "best" / "best.json").write_text(text({"number": number, "parameters_sha256": digest}))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    kept = {"kind": "best", "time": timestamp(), "number": 1, "value": 0.25}
    tested = {"kind": "test", "time": timestamp(), "number": 1, "metrics": {"test_loss": 0.3}}
    rows = [
        *records_of(0, 0.5),
        *records_of(1, 0.25),
        *records_of(2, 0.1, "pruned"),
        *records_of(3, math.nan),
        kept,
        tested,
    ]
    folder = made(tmp_path / "toy", *rows)
    keep(folder, 1)
    return load(folder)


def test_the_tables_are_those_of_the_log(results: Results) -> None:
    assert results.trials["number"].tolist() == [0, 1, 2, 3]
    assert len(results.history) == 8
    assert results.trials["params_model.hidden"].tolist()[0] == "[8, 8]"
    assert results.config_text == CONFIG
    assert (results.metric, results.direction) == ("valid_loss", "minimize")


def test_the_tables_are_those_that_pandas_reads_from_the_files(results: Results, tmp_path: Path) -> None:
    TableFiles(results.logged, results.metric, results.direction, RunFolder(tmp_path)).write()
    pd.testing.assert_frame_equal(results.trials, pd.read_parquet(tmp_path / "trials.parquet"))
    pd.testing.assert_frame_equal(results.history, pd.read_parquet(tmp_path / "history.parquet"))


def test_pandas_is_loaded_when_a_table_is_asked_for_and_not_before(tmp_path: Path) -> None:
    folder = made(tmp_path / "toy", *records_of(0, 0.5))
    program = (
        f"import sys, sweeps; results = sweeps.load({str(folder)!r}); print(results, results.best, results.damaged);"
        "early = 'pandas' in sys.modules; results.trials; print(early, 'pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "False True"


def test_the_best_is_the_completed_trial_with_the_best_value(results: Results) -> None:
    assert results.best is not None
    assert (results.best.number, results.best.value) == (1, 0.25)
    assert results.best.params == {"learning_rate": 0.1, "model.hidden": (8, 8)}
    assert results.best.metrics == {"train_loss": 7.0, "valid_loss": 0.25, "valid_mae": 0.125}
    assert results.best.test == {"test_loss": 0.3}
    assert results.best.parameters["kernel"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_of_equal_values_the_earlier_trial_is_the_best(tmp_path: Path) -> None:
    best = load(made(tmp_path, *records_of(2, 0.5), *records_of(1, 0.5))).best
    assert best is not None
    assert best.number == 1
    assert best.test == {}


def test_there_is_no_best_before_a_trial_completes(tmp_path: Path) -> None:
    assert load(made(tmp_path, *records_of(0, 0.5)[:-1], *records_of(1, 0.1, "pruned"))).best is None


def test_results_cannot_be_changed(results: Results) -> None:
    with pytest.raises(AttributeError):
        results.path = Path()  # type: ignore[misc]


def test_the_short_form_says_what_matters(results: Results) -> None:
    assert repr(results) == f"<Results of {results.path}: 4 trials, 3 completed, best valid_loss 0.25 in trial 1>"


def test_loading_while_a_run_is_writing_shows_what_is_flushed(tmp_path: Path) -> None:
    folder = made(tmp_path, *records_of(0, 0.5))
    with LogWriter(folder / "log", "local") as writer:
        writer.append(records_of(1, 0.4)[0])
        assert len(load(folder).trials) == 1
        writer.flush()
        assert load(folder).trials["state"].tolist() == ["COMPLETE", "WAITING"]


def test_damage_is_listed_and_the_rest_is_there(tmp_path: Path) -> None:
    folder = made(tmp_path, *records_of(0, 0.5), *records_of(1, 0.4))
    log = folder / "log" / "local.jsonl"
    log.write_bytes(log.read_bytes()[:-9])
    results = load(folder)
    assert [damage.line for damage in results.damaged] == [10]
    assert results.trials["outcome"].tolist() == ["completed", "running"]
    assert "1 damaged" in repr(results)


def test_the_parameters_of_another_trial_are_not_given(tmp_path: Path) -> None:
    kept = {"kind": "best", "time": timestamp(), "number": 0, "value": 0.5}
    folder = made(tmp_path, *records_of(0, 0.5), kept, *records_of(1, 0.4))
    keep(folder, 0)
    best = load(folder).best
    assert best is not None
    with pytest.raises(ResultsError, match=r"parameters of trial 1, but it holds those of trial 0"):
        _ = best.parameters


@pytest.mark.parametrize("name", ["parameters.npz", "best.json"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"crc32": 1}', None])
def test_parameters_that_cannot_be_read_are_one_clear_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = made(tmp_path, *records_of(0, 0.5), {"kind": "best", "number": 0, "value": 0.5})
    keep(folder, 0)
    if content is None:
        (folder / "best" / name).unlink()
    else:
        (folder / "best" / name).write_bytes(content)
    best = load(folder).best
    assert best is not None
    said = "cannot be read: No such file or directory" if content is None else "is damaged: its checksum does not match"
    with pytest.raises(ResultsError, match=f"{re.escape(name)} {said}"):
        _ = best.parameters


def test_parameters_that_were_not_written_with_their_description_are_not_given(tmp_path: Path) -> None:
    folder = made(tmp_path, *records_of(0, 0.5), {"kind": "best", "number": 0, "value": 0.5})
    keep(folder, 0)
    npz.write(folder / "best" / "parameters.npz", {"kernel": np.ones(3)})
    best = load(folder).best
    assert best is not None
    with pytest.raises(ResultsError, match=r"holds other parameters than .*best\.json describes"):
        _ = best.parameters


def test_pickled_parameters_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path, *records_of(0, 0.5), {"kind": "best", "number": 0, "value": 0.5})
    (folder / "best").mkdir()
    np.savez(folder / "best" / "parameters.npz", kernel=np.array([{}], dtype=object))
    (folder / "best" / "best.json").write_text(text({"number": 0, "parameters_sha256": "0" * 64}))
    best = load(folder).best
    assert best is not None
    with pytest.raises(ResultsError, match="is damaged"):
        _ = best.parameters


def refusal(folder: Path) -> str:
    with pytest.raises(ResultsError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_is_refused_with_the_ones_beside_it(tmp_path: Path) -> None:
    assert "`sweep run FILE` makes one" in refusal(tmp_path / "mnist")
    made(tmp_path / "digits")
    (tmp_path / "not results").mkdir()
    message = refusal(tmp_path / "mnist")
    assert message == f"there is no results folder {tmp_path / 'mnist'}. There is: {tmp_path / 'digits'}"
    assert "no results folder" in refusal(tmp_path / "none" / "mnist")


def test_a_file_is_refused_with_the_folder_that_holds_it(tmp_path: Path) -> None:
    folder = made(tmp_path / "toy")
    assert refusal(folder / "config.yaml").endswith(f"but it is a file. There is: {folder}")


def test_a_folder_without_a_log_is_refused_with_those_inside_it(tmp_path: Path) -> None:
    made(tmp_path / "toy")
    assert refusal(tmp_path) == f"{tmp_path} holds no log (no log/*.jsonl). There is: {tmp_path / 'toy'}"
    (lost := tmp_path / "lost").mkdir()
    (lost / "trials.csv").touch()
    assert refusal(lost) == f"{lost} holds no log (no log/*.jsonl). Put the log back that its tables are of"


@pytest.mark.parametrize("text", [None, "", "name: [", "objective: 3\n", "\xff"])
def test_a_config_that_cannot_be_read_is_one_clear_line(tmp_path: Path, text: str | None) -> None:
    folder = made(tmp_path)
    (folder / "config.yaml").unlink()
    if text is not None:
        (folder / "config.yaml").write_bytes(text.encode("latin-1"))
    assert "config.yaml" in refusal(folder)


def test_the_three_lines_of_pandas_in_the_readme_work(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) == 3
    monkeypatch.setattr(pd, "read_parquet", lambda path: results.trials)
    exec(code)


@pytest.mark.parametrize("table", ["trials", "history"])
def test_every_column_is_in_the_readme(results: Results, table: str) -> None:
    text = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    section = text.split(f"## `{table}")[1].split("\n## ")[0]
    measured = {"valid_mae"}
    for name, dtype in getattr(results, table).dtypes.items():
        if name not in measured and not str(name).startswith("params_"):
            (line,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
            assert f"| {dtype} |" in line
