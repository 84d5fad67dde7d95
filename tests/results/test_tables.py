"""The tables say what the log says, in Optuna's columns and then ours."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd
import pandas_tables
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.errors import ResultsError
from sweeps.log.trials import LoggedTrials
from sweeps.results import tables
from sweeps.results.tables import PIECE, TableFiles, tabulate
from sweeps.storage.paths import RunFolder

Record = dict[str, Any]
TIME = "2026-11-22T04:00:{:02}.500000+00:00"


def ask(number: int, **params: Any) -> Record:
    return {"kind": "ask", "time": TIME.format(0), "number": number, "params": params}


def start(number: int, attempt: int = 1, second: int = 10) -> Record:
    return {
        "kind": "start",
        "time": TIME.format(second),
        "number": number,
        "attempt": attempt,
        "seed": 40 + number,
        "device": "cpu:1",
        "worker": "local",
    }


def epoch(number: int, epoch: int, accuracy: float, attempt: int = 1, loss: float = 1.0) -> Record:
    return {
        "kind": "epoch",
        "time": TIME.format(20),
        "number": number,
        "repeat": 0,
        "attempt": attempt,
        "epoch": epoch,
        "iterations": 4 * epoch,
        "examples": 2000 * epoch,
        "train_loss": loss,
        "valid_loss": loss / 2,
        "metrics": {"valid_accuracy": accuracy},
        "seconds": 0.25,
    }


def outcome(number: int, word: str, value: float | None = None, attempt: int = 1, reason: str = "") -> Record:
    return {
        "kind": "outcome",
        "time": TIME.format(40),
        "number": number,
        "attempt": attempt,
        "outcome": word,
        "reason": reason,
        "value": value,
    }


def trained(number: int, *accuracies: float, word: str = "completed", **params: Any) -> list[Record]:
    epochs = [epoch(number, index, accuracy) for index, accuracy in enumerate(accuracies, start=1)]
    return [
        ask(number, **params),
        start(number),
        *epochs,
        outcome(number, word, accuracies[-1] if accuracies else None),
    ]


class Frames(NamedTuple):
    trials: pd.DataFrame
    history: pd.DataFrame


def fold(records: Iterable[Record], metric: str = "valid_accuracy", direction: str = "maximize") -> Frames:
    """The tables of a log, in pandas."""
    return Frames(*(table.to_pandas() for table in tabulate(LoggedTrials(records), metric, direction)))


def folded(*records: Record) -> Frames:
    return fold(records)


def write(records: Iterable[Record], folder: Path) -> None:
    TableFiles(LoggedTrials(records), "valid_accuracy", "maximize", RunFolder(folder)).write()


def only_row(*records: Record) -> Any:
    (row,) = folded(*records).trials.itertuples(index=False)
    return row


def test_the_columns_are_those_of_the_design_in_its_order() -> None:
    result = folded(*trained(0, 0.5, epochs=1, batch_size=64, learning_rate=0.1))
    expected = (
        "number value datetime_start datetime_complete duration params_epochs params_batch_size params_learning_rate "
        "state outcome reason best_epoch epochs_run iterations examples_seen seed repeat train_loss valid_loss "
        "valid_accuracy train_seconds device worker attempt config"
    )
    assert " ".join(result.trials.columns) == expected
    assert " ".join(result.history.columns) == (
        "number repeat epoch iterations train_loss valid_loss valid_accuracy seconds"
    )


def test_the_columns_that_optuna_has_are_named_and_typed_as_optuna_does() -> None:
    study = optuna.create_study()
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 0.5)
    theirs = study.trials_dataframe()
    ours = folded(*trained(0, 0.5, x=0.25)).trials
    assert list(theirs.columns) == [name for name in ours.columns if name in theirs.columns]
    for name in ("number", "value", "datetime_start", "datetime_complete", "duration"):
        assert ours[name].dtype.kind == theirs[name].dtype.kind, name


def test_a_completed_trial_has_every_figure() -> None:
    row = only_row(ask(3), start(3), epoch(3, 1, 0.9), epoch(3, 2, 0.8, loss=0.5), outcome(3, "completed", 0.8))
    assert (row.number, row.value, row.state, row.outcome) == (3, 0.8, "COMPLETE", "completed")
    assert row.datetime_start == pd.Timestamp("2026-11-22 04:00:10.5")
    assert row.duration == pd.Timedelta(seconds=30)
    assert (row.best_epoch, row.epochs_run, row.iterations, row.examples_seen) == (1, 2, 8, 4000)
    assert (row.train_loss, row.valid_loss, row.valid_accuracy) == (0.5, 0.25, 0.8)
    assert (row.train_seconds, row.seed, row.device, row.worker, row.attempt) == (0.5, 43, "cpu:1", "local", 1)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("completed", "COMPLETE"),
        ("pruned", "PRUNED"),
        ("diverged", "PRUNED"),
        ("out_of_memory", "FAIL"),
        ("timed_out", "FAIL"),
        ("interrupted", "FAIL"),
        ("failed", "FAIL"),
    ],
)
def test_every_outcome_has_its_state_in_optunas_words(word: str, state: str) -> None:
    row = only_row(ask(0), start(0), outcome(0, word, reason="why"))
    assert (row.outcome, row.state, row.reason) == (word, state, "why")
    assert state in optuna.trial.TrialState.__members__


def test_a_trial_that_is_not_over_is_waiting_or_running() -> None:
    waiting, running = folded(ask(0), ask(1), start(1), epoch(1, 1, 0.5)).trials.itertuples(index=False)
    assert (waiting.state, waiting.outcome, waiting.attempt) == ("WAITING", "waiting", 0)
    assert waiting.datetime_start is pd.NaT
    assert waiting.best_epoch is pd.NA
    assert (running.state, running.outcome, running.epochs_run) == ("RUNNING", "running", 1)
    assert running.datetime_complete is pd.NaT
    assert math.isnan(running.value)


@pytest.mark.parametrize(
    ("metric", "direction", "best"),
    [("valid_accuracy", "maximize", 2), ("valid_accuracy", "minimize", 1), ("valid_loss", "minimize", 3)],
)
def test_the_best_epoch_is_the_earliest_best_by_the_objective(metric: str, direction: str, best: int) -> None:
    rows = [(0.1, 3.0), (0.9, 2.0), (0.9, 1.0), (math.nan, math.nan)]
    records = [epoch(0, index, accuracy, loss=loss) for index, (accuracy, loss) in enumerate(rows, start=1)]
    (row,) = fold([start(0), *records], metric, direction).trials.itertuples(index=False)
    assert row.best_epoch == best


def test_a_trial_of_nothing_but_nan_has_no_best_epoch() -> None:
    assert only_row(start(0), epoch(0, 1, math.nan), outcome(0, "diverged")).best_epoch is pd.NA


def test_a_restarted_attempt_replaces_the_epochs_and_the_outcome_before_it() -> None:
    first = [ask(0), start(0), epoch(0, 1, 0.1), epoch(0, 2, 0.2), epoch(0, 3, 0.3), outcome(0, "interrupted")]
    running = folded(*first, start(0, attempt=2, second=30), epoch(0, 1, 0.7, attempt=2))
    assert running.history["valid_accuracy"].tolist() == [0.7]
    (row,) = running.trials.itertuples(index=False)
    assert (row.outcome, row.epochs_run, row.attempt, row.train_seconds) == ("running", 1, 2, 0.25)
    assert row.datetime_start == pd.Timestamp("2026-11-22 04:00:30.5")


def test_a_trial_is_marked_with_the_config_of_the_run_that_its_latest_attempt_began_in() -> None:
    runs = [
        {"kind": "run", "config": config, "worker": worker} for config, worker in [("aa", "local"), ("bb", "other")]
    ]
    later = {"kind": "run", "config": "cc", "worker": "local"}
    records = [*trained(0, 0.5), runs[0], start(1), runs[1], start(2), later, start(1, attempt=2), start(3)]
    table = folded(*records).trials["config"]
    assert table.isna().tolist() == [True, False, False, False]
    assert table[1:].tolist() == ["cc", "aa", "cc"]


def test_what_an_older_attempt_writes_late_is_not_counted() -> None:
    late = [epoch(0, 2, 0.1, attempt=1), outcome(0, "failed", attempt=1)]
    row = only_row(start(0), start(0, attempt=2), epoch(0, 1, 0.7, attempt=2), *late)
    assert (row.outcome, row.epochs_run, row.valid_accuracy) == ("running", 1, 0.7)


def test_the_first_outcome_of_an_attempt_stands() -> None:
    row = only_row(start(0), epoch(0, 1, 0.7), outcome(0, "completed", 0.7), outcome(0, "interrupted"))
    assert (row.outcome, row.value) == ("completed", 0.7)


@pytest.mark.parametrize("missing", range(5))
def test_a_damaged_line_leaves_a_gap_and_never_an_error(missing: int) -> None:
    records = [ask(0, epochs=2), start(0), epoch(0, 1, 0.5), epoch(0, 2, 0.6), outcome(0, "completed", 0.6)]
    del records[missing]
    assert len(folded(*records).trials) == 1


def test_records_of_other_kinds_and_of_later_versions_are_passed_over() -> None:
    others = [{"kind": "run"}, {"kind": "finish", "compilations": 1}, {"kind": "lease", "number": None}]
    assert folded(*others).trials.empty


def test_an_empty_log_makes_empty_tables_of_the_same_types(tmp_path: Path) -> None:
    empty, full = folded(), folded(*trained(0, 0.5))
    write([], tmp_path)
    for name in empty.trials.columns:
        assert empty.trials[name].dtype == full.trials[name].dtype, name
    assert pd.read_parquet(tmp_path / "history.parquet").empty


def test_the_rows_are_in_the_order_of_the_numbers() -> None:
    result = folded(*trained(2, 0.1, 0.2), *trained(0, 0.3), epoch(2, 3, 0.4))
    assert result.trials["number"].tolist() == [0, 2]
    assert result.history[["number", "epoch"]].to_numpy().tolist() == [[0, 1], [2, 1], [2, 2], [2, 3]]


@pytest.mark.parametrize(
    ("first", "second", "dtype", "shown"),
    [
        (64, 128, "Int64", [64, 128, pd.NA]),
        (0.5, 1, "Float64", [0.5, 1.0, pd.NA]),
        (True, False, "boolean", [True, False, pd.NA]),
        ("relu", "tanh", "string", ["relu", "tanh", pd.NA]),
        ((64, 32), (), "string", ["[64, 32]", "[]", pd.NA]),
        ("auto", 3, "string", ["auto", "3", pd.NA]),
        (True, 3, "string", ["true", "3", pd.NA]),
        (2**70, 1, "string", [str(2**70), "1", pd.NA]),
    ],
)
def test_a_parameter_column_has_the_type_of_its_values(first: Any, second: Any, dtype: str, shown: list[Any]) -> None:
    column = folded(ask(0, p=first), ask(1, p=second), ask(2)).trials["params_p"]
    assert column.dtype == dtype
    assert column.tolist() == shown


def test_params_are_in_the_order_in_which_they_first_appear() -> None:
    trials = folded(ask(0, z=1, **{"optimizer.b1": 0.9}), ask(1, a=2, z=1)).trials
    assert [name for name in trials.columns if name.startswith("params_")] == [
        "params_z",
        "params_optimizer.b1",
        "params_a",
    ]


AWKWARD = ["=1+1", "+2", "-3", "@x", "\ty", 'a,"b"\nc', "größe", "\ud800", ""]


def awkward() -> list[Record]:
    records = [
        record
        for number, text in enumerate(AWKWARD)
        for record in [
            ask(number, text=text, size=number, rate=-(0.1**number), on=True, hidden=(1, 2)),
            start(number),
            epoch(number, 1, math.inf, loss=math.nan),
            outcome(number, "failed", None, reason=text),
        ]
    ]
    return [*records, ask(len(AWKWARD))]


def same_as_pandas(logged: LoggedTrials, folder: Path) -> None:
    """Whether every file in `folder` says what pandas would have made of the logged trials, to the letter."""
    expected = {
        "trials": pandas_tables.trials(logged, "valid_accuracy", "maximize"),
        "history": pandas_tables.history(logged),
    }
    for name, table in expected.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table, check_exact=True)
        assert (folder / f"{name}.csv").read_bytes().decode() == pandas_tables.csv(table)


# Not "\r", which pandas does not quote.
TEXT = st.text(st.characters(exclude_characters="\r"))
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXT
    | st.tuples(st.integers(), TEXT)
)  # fmt: skip
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1e-5, 1e16, 0.1 + 0.2])


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Logs with trials at any stage, of any parameters, on both sides of the end of a piece."""
    numbers = draw(st.lists(st.integers(0, PIECE + 3), max_size=6))
    records: list[Record] = []
    for number in numbers:
        values = draw(st.dictionaries(st.sampled_from("abc"), VALUES))
        scores = draw(st.lists(FLOATS, max_size=3))
        begun = [start(number, draw(st.integers(1, 3)), draw(st.integers(0, 39)))]
        attempt = begun[0]["attempt"]
        begun += [epoch(number, index, score, attempt, score) for index, score in enumerate(scores, start=1)]
        begun.append(outcome(number, draw(st.sampled_from(["completed", "pruned", "failed"])), draw(FLOATS), attempt))
        begun[-1] |= {
            "reason": draw(TEXT),
            "time": draw(st.sampled_from([TIME.format(40), "2026-11-23T04:00:10+01:00"])),
        }
        records += [ask(number, **values), *begun[: draw(st.integers(0, len(begun)))]]
    return records


@given(logs())
def test_every_file_is_what_pandas_makes_of_the_same_log(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    write(records, folder)
    same_as_pandas(LoggedTrials(records), folder)


def test_awkward_text_and_numbers_are_what_pandas_makes_of_them(tmp_path: Path) -> None:
    write(awkward(), tmp_path)
    same_as_pandas(LoggedTrials(awkward()), tmp_path)


@given(logs(), st.data())
def test_files_that_grow_are_those_that_are_made_anew(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], data: st.DataObject
) -> None:
    grown, anew = tmp_path_factory.mktemp("grown"), tmp_path_factory.mktemp("anew")
    logged = LoggedTrials()
    files = TableFiles(logged, "valid_accuracy", "maximize", RunFolder(grown))
    for record in records:
        logged.add(record)
        files.touch(record["number"])
        if data.draw(st.booleans()):
            files.write()
    files.write()
    write(records, anew)
    assert {path.name: path.read_bytes() for path in grown.iterdir()} == {
        path.name: path.read_bytes() for path in anew.iterdir()
    }


def test_parquet_gives_back_the_same_tables(tmp_path: Path) -> None:
    write(awkward(), tmp_path)
    for name, table in fold(awkward())._asdict().items():
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), table)


def test_csv_gives_back_the_same_numbers(tmp_path: Path) -> None:
    result = fold(awkward())
    write(awkward(), tmp_path)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    for name in ("params_size", "params_rate", "valid_accuracy", "value"):
        texts = [None if pd.isna(value) else str(value) for value in result.trials[name].tolist()]
        assert [row[name] or None for row in read] == texts, name
    times = [pd.Timestamp(row["datetime_start"] or "NaT") for row in read]
    assert times == result.trials["datetime_start"].tolist()


READS_NUL = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)  # before, pandas reads it as an empty text
ANY_TEXT = st.text() if READS_NUL else st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(ANY_TEXT, min_size=1))
def test_any_text_is_read_back_from_csv_as_it_was(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    write(
        [
            record
            for number, text in enumerate(texts)
            for record in (start(number), outcome(number, "failed", reason=text))
        ],
        folder,
    )
    read = pd.read_csv(folder / "trials.csv", dtype=str, keep_default_na=False)["reason"]
    expected = [f"'{text}" if text.startswith(pandas_tables.FORMULA) else text for text in texts]
    assert [text.encode() for text in read] == [text.encode("utf-8", "replace") for text in expected]


def test_text_that_a_spreadsheet_would_run_is_quoted_in_csv_and_only_there(tmp_path: Path) -> None:
    write(awkward(), tmp_path)
    read = pd.read_csv(tmp_path / "trials.csv", dtype=str, keep_default_na=False)
    assert read["reason"].tolist()[:6] == ["'=1+1", "'+2", "'-3", "'@x", "'\ty", 'a,"b"\nc']
    assert read["params_text"].tolist()[:4] == ["'=1+1", "'+2", "'-3", "'@x"]
    assert read["params_rate"].tolist()[0] == "-1.0"
    assert fold(awkward()).trials["reason"].tolist()[0] == "=1+1"


def test_writing_again_replaces_every_file_and_leaves_no_others(tmp_path: Path) -> None:
    write([*trained(0, 0.5), *trained(1, 0.5)], tmp_path)
    write(trained(0, 0.5), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv",
        "history.parquet",
        "trials.csv",
        "trials.parquet",
    ]
    assert len(pd.read_csv(tmp_path / "trials.csv")) == len(pd.read_parquet(tmp_path / "trials.parquet")) == 1


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"trials\.parquet cannot be written"):
        write([], tmp_path / "file")


def test_only_the_pieces_that_a_record_has_touched_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = LoggedTrials(record for number in range(3 * PIECE) for record in trained(number, 0.5, p=1))
    files = TableFiles(logged, "valid_accuracy", "maximize", RunFolder(tmp_path))
    files.write()
    made: list[int] = []
    columns = tables.trial_columns
    monkeypatch.setattr(
        tables, "trial_columns", lambda trials, shape: made.append(trials[0].number) or columns(trials, shape)
    )
    logged.add(epoch(PIECE, 2, 0.6))
    files.touch(PIECE)
    files.write()
    assert made == [PIECE]
    logged.add(ask(3 * PIECE, p=0.5))
    files.touch(3 * PIECE)
    files.write()
    assert made == [PIECE, 0, PIECE, 2 * PIECE, 3 * PIECE], "a parameter of another kind changes every piece"


def test_ten_thousand_trials_of_ten_epochs_are_tables_in_seconds_and_again_in_much_less(tmp_path: Path) -> None:
    logged = LoggedTrials(record for number in range(10_000) for record in trained(number, *[0.5] * 10, epochs=10))
    files = TableFiles(logged, "valid_accuracy", "maximize", RunFolder(tmp_path))
    begun = time.process_time()
    files.write()
    first = time.process_time() - begun
    logged.add(ask(10_000, epochs=10))
    files.touch(10_000)
    begun = time.process_time()
    files.write()
    again = time.process_time() - begun
    assert first < 6
    assert again < first / 3
    assert (len(pd.read_parquet(tmp_path / "trials.parquet")), len(pd.read_parquet(tmp_path / "history.parquet"))) == (
        10_001,
        100_000,
    )
