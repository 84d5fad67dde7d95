"""Tables become numbers as pandas would make them; what was done can be done again to new rows, from plain JSON."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.tabular import preprocessing, table
from sweeps.errors import DataError

PEOPLE = pd.DataFrame(
    {
        "age": [22.0, 38, np.nan, 35, 54, 2, 27, 14, np.nan, 58],
        "fare": [7.25, 71.28, 7.92, 53.1, 51.86, 21.08, 11.13, 30.07, 16.7, 26.55],
        "port": ["S", "C", "S", "S", None, "Q", "S", "C", "S", "S"],
        "size": [2, 10, 9, 2, 2, 10, 9, 9, 2, 10],
        "survived": [0, 1, 1, 1, 0, 0, 1, 1, 0, 1],
    }
)


@pytest.fixture(params=["csv", "csv.gz", "parquet"])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same table in every kind of file."""
    path = tmp_path / f"people.{request.param}"
    PEOPLE.to_parquet(path) if request.param == "parquet" else PEOPLE.to_csv(path, index=False)
    return str(path)


def written(folder: Path, text: str) -> str:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def load(path: str, **arguments: Any) -> Dataset:
    return loading.load("csv", {"path": path, **arguments})


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def by_row(dataset: Dataset, key: int) -> dict[float, list[float]]:
    """All rows of all splits, by one of their numbers."""
    return {float(x[key]): x.tolist() for split in dataset.splits.values() for x in split.x}


def figures(frame: pd.DataFrame, key: str) -> dict[float, list[float]]:
    rows = frame.astype(np.float32)
    return {float(row[key]): row.tolist() for _, row in rows.iterrows()}


# --- what becomes of columns ----------------------------------------------------------------------------------------


def test_one_hot_columns_are_those_of_pandas(people: str) -> None:
    dataset = load(people, target="survived", drop=("age",), one_hot=("port",), missing="drop")
    whole = PEOPLE.drop(columns=["age", "survived"]).dropna()
    dummies = pd.get_dummies(whole, columns=["port"])[["fare", "port_C", "port_Q", "port_S", "size"]]
    assert by_row(dataset, 0) == figures(dummies, "fare")


def test_ordinal_categories_are_numbered_by_their_size(people: str) -> None:
    dataset = load(people, target="survived", features=("fare", "size"), ordinal=("size",))
    coded = PEOPLE[["fare"]].assign(size=pd.factorize(PEOPLE["size"], sort=True)[0])
    assert by_row(dataset, 0) == figures(coded, "fare")
    assert dataset.preprocessing is not None
    assert dataset.preprocessing["columns"][1]["categories"] == ["2", "9", "10"]


@pytest.mark.parametrize("how", ["mean", "median"])
def test_empty_cells_are_filled_from_the_training_rows_alone(tmp_path: Path, how: str) -> None:
    split = ["train"] * 6 + ["valid"] * 4
    path = written(tmp_path, PEOPLE.assign(split=split).to_csv(index=False))
    dataset = load(
        path, target="survived", features=("fare", "age", "port"), one_hot="port", missing=how, split="split"
    )
    training = PEOPLE.iloc[:6]
    wanted = PEOPLE["age"].fillna(training["age"].agg(how)).to_numpy(np.float32)
    assert dataset.train.x[:, 1].tolist() == wanted[:6].tolist()
    assert dataset.valid.x[:, 1].tolist() == wanted[6:].tolist()
    assert dataset.train.x[4, 2:].tolist() == [0, 0, 1]  # S, the most frequent port


def test_standardized_columns_have_mean_0_and_deviation_1_over_the_training_rows(people: str) -> None:
    dataset = load(
        people, target="survived", features=("fare", "port"), one_hot="port", missing="drop", standardize=True
    )
    fares = dataset.train.x[:, 0].astype(np.float64)
    assert (fares.mean(), fares.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, rel=1e-6))
    assert set(np.unique(dataset.train.x[:, 1:])) <= {0, 1}


def test_a_constant_column_is_standardized_to_0(tmp_path: Path) -> None:
    dataset = load(written(tmp_path, "a,y\n" + "3,0.5\n" * 10), target="y", standardize=True)
    assert (dataset.train.x == 0).all()


def test_rows_with_an_empty_cell_in_a_column_that_is_not_used_are_kept(people: str) -> None:
    dataset = load(people, target="survived", features=("fare",), missing="drop")
    assert sum(split.rows for split in dataset.splits.values()) == 10


def test_what_was_done_is_told(people: str) -> None:
    dataset = load(people, target="survived", one_hot=("port",), missing="median", standardize=True)
    assert dataset.notes[0].startswith("4 of 5 columns of ")
    assert dataset.notes[0].endswith(" are features")
    assert "port: 3 categories, one-hot (C, Q, S)" in dataset.notes
    assert any(note.startswith("age: empty cells filled with ") and note.endswith(": 2") for note in dataset.notes)
    assert "port: empty cells filled with 'S': 1" in dataset.notes
    assert dataset.notes[-1] == "standardized by mean and deviation of the training rows"


def test_a_table_whose_cells_are_separated_by_semicolons_reads_as_one_of_commas(tmp_path: Path) -> None:
    dataset = load(written(tmp_path, "a;b;y\n1;2;0\n3;4;1\n5;6;0\n7;8;1\n9;9;1\n"), target="y")
    assert dataset.input_shape == (2,)


def test_pandas_is_not_loaded_to_read_a_table(people: str) -> None:
    code = (
        "import sys; from sweeps.datasets import loading; "
        f"loading.load('csv', {{'path': {people!r}, 'target': 'survived', 'features': ['fare']}}); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the same for new rows ------------------------------------------------------------------------------------------


def described(path: str, **arguments: Any) -> tuple[Dataset, list[preprocessing.Column]]:
    dataset = load(path, target="survived", one_hot=("port",), ordinal=("size",), standardize=True, **arguments)
    return dataset, json.loads(json.dumps(dataset.preprocessing))["columns"]


def test_a_description_gives_the_training_rows_again_after_a_round_through_json(people: str) -> None:
    dataset, description = described(people, missing="mean")
    again = preprocessing.apply(description, preprocessing.read_for(description, people))
    assert again.dtype == np.float32
    assert again.shape == (10, preprocessing.width(description)) == (10, 6)
    assert sorted(map(tuple, again)) == sorted(tuple(x) for split in dataset.splits.values() for x in split.x)


def test_new_rows_need_no_target_and_may_have_other_columns(tmp_path: Path, people: str) -> None:
    dataset, description = described(people, missing="mean")
    path = written(tmp_path, PEOPLE.iloc[::-1].drop(columns="survived").assign(more="x").to_csv(index=False))
    again = preprocessing.apply(description, preprocessing.read_for(description, path))
    assert sorted(map(tuple, again)) == sorted(tuple(x) for split in dataset.splits.values() for x in split.x)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"port": "X"},
            "table.csv:2: every cell of column 'port' must be one of its 3 categories (C, Q, S), but got 'X'",
        ),
        (
            {"fare": "much"},
            "table.csv:2: every cell of column 'fare' must be a finite number in float32, but got 'much'",
        ),
    ],
)
def test_new_rows_that_the_description_does_not_know_are_refused(
    tmp_path: Path, people: str, change: dict[str, Any], said: str
) -> None:
    _, description = described(people, missing="mean")
    path = written(tmp_path, PEOPLE.head(1).assign(**change).to_csv(index=False))
    assert said in refused(lambda: preprocessing.apply(description, preprocessing.read_for(description, path)))


def test_an_empty_cell_in_new_rows_is_refused_where_none_was_filled(tmp_path: Path, people: str) -> None:
    _, description = described(people, missing="drop")
    path = written(tmp_path, PEOPLE.iloc[2:3].to_csv(index=False))
    assert "column 'age' must be a finite number in float32, but got an empty cell" in refused(
        lambda: preprocessing.apply(description, preprocessing.read_for(description, path))
    )


def test_a_category_is_the_same_text_whatever_its_neighbours_are(tmp_path: Path) -> None:
    path = written(tmp_path, "code,y\n007,0\nA1,1\n007,0\nA1,1\n007,1\n")
    dataset = load(path, target="y", one_hot=("code",))
    assert dataset.preprocessing is not None
    description = dataset.preprocessing["columns"]
    assert preprocessing.apply(
        description, preprocessing.read_for(description, written(tmp_path, "code\n007\n"))
    ).tolist() == [[1, 0]]


# --- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "task", "labels", "names"),
    [
        ("b a b a a", None, [1, 0, 1, 0, 0], ("a", "b")),
        ("true false true true false", None, [1, 0, 1, 1, 0], ("false", "true")),
        ("-1 1 1 -1 1", "classification", [0, 1, 1, 0, 1], ("-1", "1")),
        ("0.5 1.5 0.5 2 2", "classification", [0, 1, 0, 2, 2], ("0.5", "1.5", "2")),
        ("0 1 1 2 0", None, [0, 1, 1, 2, 0], None),
        ("90 120 80 100 0", "regression", [90.0, 120.0, 80.0, 100.0, 0.0], None),
        ("0.5 1.5 0.5 2 2", None, [0.5, 1.5, 0.5, 2.0, 2.0], None),
    ],
)
def test_targets_are_classes_or_values_by_their_kind_or_as_the_task_says(
    tmp_path: Path, target: str, task: str | None, labels: list[float], names: tuple[str, ...] | None
) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(target.split())))
    dataset = load(path, target="y", task=task)
    found = {float(x[0]): y for split in dataset.splits.values() for x, y in zip(*split, strict=True)}
    assert [found[row] for row in range(5)] == labels
    assert dataset.class_names == names
    assert dataset.train.y.dtype == (np.float32 if isinstance(labels[0], float) else np.int32)


# --- splits ---------------------------------------------------------------------------------------------------------


def test_columns_that_split_are_no_features_unless_they_are_listed(tmp_path: Path) -> None:
    frame = PEOPLE.assign(home=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    path = written(tmp_path, frame.to_csv(index=False))
    dataset = load(path, target="survived", drop=("age", "port"), group="home", test_fraction=0.2)
    assert dataset.input_shape == (2,)
    assert "rows split by group 'home'" in dataset.notes
    homes = [
        set(frame["home"][frame["fare"].astype(np.float32).isin(split.x[:, 0])]) for split in dataset.splits.values()
    ]
    assert sum(map(len, homes)) == 5
    assert load(path, target="survived", features=("home", "fare"), group="home").input_shape == (2,)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S"])
def test_by_time_later_rows_are_held_out(tmp_path: Path, form: str) -> None:
    days = pd.date_range("2024-02-25", periods=10).strftime(form)
    path = written(tmp_path, PEOPLE.assign(day=days).sample(frac=1, random_state=0).to_csv(index=False))
    dataset = load(path, target="survived", features=("fare",), time="day", valid_fraction=0.3, test_fraction=0.2)
    fares = [split.x[:, 0].tolist() for split in (dataset.train, dataset.valid, dataset.splits["test"])]
    assert list(itertools.chain(*fares)) == PEOPLE["fare"].astype(np.float32).tolist()
    assert list(map(len, fares)) == [5, 3, 2]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "column 'age' must be a finite number in float32, but got an empty cell (2 cells of the column are so)"),
        ({}, "`missing: drop` drops such rows; `mean` and `median` fill them in"),
        ({"features": ("port",)}, "List it under `one_hot` or `ordinal` if it holds categories, or under `drop`"),
        (
            {"features": ("port",), "one_hot": "port"},
            "every cell of column 'port' must be a category, but got an empty",
        ),
        ({"features": ("agee",)}, "there is no column 'agee'; the nearest are 'age'"),
        ({"drop": ("ages",)}, "there is no column 'ages'; the nearest are 'age'"),
        ({"one_hot": ("prot",)}, "there is no column 'prot'; the nearest are 'port'"),
        ({"group": "grop"}, "there is no column 'grop'"),
        ({"features": ("fare",), "one_hot": ("port",)}, "one_hot: 'port' is not one of the features"),
        ({"one_hot": ("port",), "ordinal": ("port",)}, "must be one_hot or ordinal, but 'port' is both"),
        ({"missing": "zero"}, "missing must be one of refuse, drop, mean, median, but got 'zero'"),
        ({"task": "guess"}, "task must be classification or regression, but got 'guess'"),
        ({"standardize": 1}, "standardize must be true or false, but got 1"),
        ({"features": (1,)}, "features must be a list of names, but got (1,)"),
        (
            {"target": "port", "features": ("fare",)},
            "every cell of column 'port' must be a class, but got an empty cell",
        ),
        ({"features": ("fare",), "group": "size", "stratify": True}, "in one way, but stratify and group are given"),
        ({"features": ("fare",), "group": "port"}, "must be given, since rows are split by it, but got an empty cell"),
        ({"features": ("fare",), "split": "size"}, "column 'size' splits the rows: it must say train, valid or test"),
        ({"target": "fare", "features": ("size",), "stratify": True}, "stratify: true is for targets that are classes"),
        (
            {"features": ("fare",), "split": "size", "valid_fraction": 0.2, "test_fraction": 0.1},
            "split: size says which rows validate and which are the test, but valid_fraction and test_fraction would",
        ),
    ],
)
def test_what_does_not_fit_a_table_is_refused(people: str, arguments: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: load(people, **{"target": "survived", **arguments}))


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("a,a,y\n1,2,0\n", {}, "there must be one column of each name, but 'a' is there twice"),
        ("a,y\n1,900\n2,800\n3,70\n", {}, "they go from 70 to 900 in 3 rows. Say `task: regression`"),
        ("a,y\n1,-1\n2,1\n3,1\n", {}, "they go from -1 to 1 in 3 rows. Say `task: regression`"),
        ("a,y\n1,0\n2\n", {}, "rows must not have fewer cells than the header, which has 2, but line 3 has 1"),
        ("a,y\n,0\n,1\n,1\n", {}, "All its cells are empty. Drop it"),
        ("a,y\n,0\n,1\n,1\n", {"missing": "drop"}, "every row has an empty cell, so that `missing: drop` leaves none"),
        ("a,b,y\n,1,0\n,2,1\n,2,1\n", {"missing": "mean"}, "column 'a' has nothing in the training rows to fill"),
        ("a,y\n,0\n,1\n", {"one_hot": "a"}, "column 'a' has no category: all its cells are empty"),
        ("a,y\n2020-01-01,0\n2020-01-02,1\n", {}, "must be a finite number in float32, but got '2020-01-01'"),
        (
            "a,y\n" + "".join(f"n{row},0\n" for row in range(1001)),
            {"one_hot": "a"},
            "a column must have at most 1,000 categories, but 'a' has 1,001. Drop it",
        ),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(
    tmp_path: Path, text: str, arguments: dict[str, Any], said: str
) -> None:
    assert said in refused(lambda: load(written(tmp_path, text), target="y", **arguments))


def test_a_cell_of_a_parquet_file_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"a": [1.0, np.inf, 3.0], "y": [0, 1, 1]}).to_parquet(path)
    assert refused(lambda: load(str(path), target="y")).startswith(f"{path}, row 1 from 0: every cell of column 'a'")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_text("a,y\n1,2\n")
    assert "cannot be read as Parquet: " in refused(lambda: load(str(tmp_path / "table.parquet"), target="y"))


def test_the_row_in_the_file_is_named_after_rows_were_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, "a,y\n1,0\n,1\n2,1\ninf,1\n4,0\n")
    assert refused(lambda: load(path, target="y", missing="drop")).startswith(f"{path}:5: every cell of column 'a'")


def test_dictionary_columns_of_parquet_are_categories(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    PEOPLE.astype({"port": "category"}).to_parquet(path)
    dataset = load(str(path), target="survived", features=("port",), one_hot="port", missing="drop")
    assert dataset.input_shape == (3,)
    assert table.read(str(path)).column("port").type == "string"


def test_nan_is_no_category(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    whole = pa.table({"a": pa.array([1.0, float("nan"), 2.5, 1.0, 2.5, 1.0]), "y": [0, 1, 0, 1, 1, 0]})
    pyarrow.parquet.write_table(whole, path)
    dataset = load(str(path), target="y", one_hot="a", missing="drop")
    assert dataset.input_shape == (2,)
    assert "rows dropped for an empty cell: 1" in dataset.notes
