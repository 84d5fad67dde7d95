"""Files as pandas, R and spreadsheets write them are read as pandas reads them, or the message says what they are."""

from __future__ import annotations

import bz2
import gzip
import time
import zipfile
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
from sweeps.datasets.tabular import cells, preprocessing, table
from sweeps.errors import DataError

RNG = np.random.default_rng(0)
ROWS = 60
FRAME = pd.DataFrame({"a": RNG.normal(size=ROWS) * 5000, "b": RNG.integers(0, 10**6, ROWS), "y": np.arange(ROWS) % 2})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(path: str, use: str = "csv", **arguments: Any) -> Dataset:
    return loading.load(use, {"path": path, "target": "y", **arguments})


def rows(dataset: Dataset) -> list[tuple[float, ...]]:
    return sorted(tuple(x) for split in dataset.splits.values() for x in split.x)


def wanted(frame: pd.DataFrame) -> list[tuple[float, ...]]:
    return sorted(map(tuple, frame.to_numpy(np.float32)))


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- how numbers are written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decimal", "thousands"), [(",", "."), (",", None), (".", ","), (",", " "), (".", "'")])
@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_numbers_are_read_with_their_signs(decimal: str, thousands: str | None, separator: str) -> None:
    def written(value: float) -> str:
        text = f"{value:,.3f}" if value != int(value) else f"{value:,.0f}"
        return text.replace(",", "T").replace(".", decimal).replace("T", thousands or "")

    text = FRAME.assign(**{name: FRAME[name].map(written) for name in "ab"}).to_csv(index=False, sep=separator)
    Path("t.csv").write_text(text)
    keys = {"decimal": decimal} if thousands is None else {"decimal": decimal, "thousands": thousands}
    assert rows(load("t.csv", **keys)) == wanted(FRAME[["a", "b"]].round(3))
    assert load("t.csv", **keys).classes == 2
    as_pandas = pd.read_csv("t.csv", sep=separator, **keys)
    assert rows(load("t.csv", **keys)) == wanted(as_pandas[["a", "b"]])


def test_text_in_parquet_is_read_with_the_signs_of_its_numbers() -> None:
    FRAME.assign(a=FRAME.a.map(lambda value: f"{value:.2f}".replace(".", ","))).to_parquet("t.parquet")
    assert rows(load("t.parquet", "parquet", decimal=",")) == wanted(FRAME[["a", "b"]].round(2))


def test_a_comma_is_said_where_digits_have_one() -> None:
    FRAME.assign(a=FRAME.a.map(lambda value: f"{value:.2f}".replace(".", ","))).to_csv("t.csv", index=False, sep=";")
    assert refused(lambda: load("t.csv")).endswith('. Say `decimal: ","`')
    said = refused(lambda: load("t.csv", target="a", features=("b",), task="regression"))
    assert said.endswith('. Say `decimal: ","`')


def test_a_series_takes_the_same_keys() -> None:
    pd.DataFrame({"level": [f"{place},5" for place in range(40)]}).to_csv("s.csv", index=False, sep=";")
    dataset = loading.load("series", {"path": "s.csv", "target": "level", "window": 2, "decimal": ","})
    assert dataset.train.x[0, :, 0].tolist() == [0.5, 1.5]
    assert dataset.preprocessing is not None
    assert dataset.preprocessing["form"]["decimal"] == ","


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_marks_of_missing_cells_are_missing_numbers_and_words(use: str) -> None:
    frame = FRAME.assign(
        a=FRAME.a.round(1).astype(str).where(FRAME.index % 7 != 0, "?"), b=FRAME.b.where(FRAME.index % 5 != 0, -999)
    )
    frame.to_csv("t.csv", index=False) if use == "csv" else frame.assign(b=frame.b.astype(float)).to_parquet(
        "t.parquet"
    )
    dataset = load(f"t.{use}", use, features=("b",), missing_values=("?", -999), missing="drop")
    assert rows(dataset) == wanted(frame[frame.b != -999][["b"]])
    if use == "csv":
        dropped = ((frame.a == "?") | (frame.b == -999)).sum()
        assert (
            f"rows dropped for an empty cell: {dropped}"
            in load("t.csv", missing_values=["?", -999], missing="drop").notes
        )


def test_a_file_without_names_has_columns_by_number_and_a_header_may_come_later() -> None:
    FRAME.to_csv("t.csv", index=False, header=False)
    dataset = load("t.csv", target="2", header=None)
    assert rows(dataset) == wanted(FRAME[["a", "b"]])
    assert "If its first line is a row, say `header: null`" in refused(lambda: load("t.csv"))
    Path("late.csv").write_text("made by a machine\non Monday; at noon\n" + FRAME.to_csv(index=False, sep=";"))
    assert rows(load("late.csv", header=2)) == wanted(FRAME[["a", "b"]])
    Path("late.csv").write_text("made by a machine\n" + FRAME.assign(a="x").to_csv(index=False))
    assert refused(lambda: load("late.csv", header=1)).startswith("late.csv:3: every cell of column 'a'")


def test_new_rows_are_read_with_the_signs_of_the_rows_that_trained() -> None:
    Path("t.csv").write_text(FRAME.to_csv(index=False, sep=";", decimal=","))
    done = load("t.csv", decimal=",", standardize=True).preprocessing
    assert done is not None
    again = preprocessing.apply(done["columns"], preprocessing.read_for(done["columns"], "t.csv", done))
    FRAME.to_parquet("t.parquet")
    other = preprocessing.apply(done["columns"], preprocessing.read_for(done["columns"], "t.parquet", done))
    np.testing.assert_allclose(again, other, rtol=1e-5)


# --- encodings, and what is no CSV ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "advised"),
    [
        ("latin-1", "latin-1"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-8-sig", None),
    ],
)
def test_an_encoding_is_advised_and_taken(encoding: str, advised: str | None) -> None:
    word = "f\u00fcr \u20ac" if encoding != "latin-1" else "f\u00fcr"
    frame = FRAME.assign(y=np.where(FRAME.y == 1, word, "nein"))
    frame.to_csv("t.csv", index=False, encoding=encoding)
    if advised is not None:
        assert refused(lambda: load("t.csv")).endswith(f"Say `encoding: {advised}`")
    assert load("t.csv", encoding=advised or "utf-8").class_names == (word, "nein")
    with gzip.open("t.csv.gz", "wb") as file:
        file.write(Path("t.csv").read_bytes())
    assert load("t.csv.gz", encoding=advised or "utf-8").class_names == (word, "nein")


def test_the_line_that_is_not_utf_8_is_named() -> None:
    Path("t.csv").write_bytes(b"a,y\n1,0\n2,f\xfcr\n")
    assert refused(lambda: load("t.csv")) == (
        "t.csv cannot be read as CSV: line 3 is not UTF-8 (b'\\xfcr\\n'). Say `encoding: latin-1`"
    )


def test_other_kinds_of_files_are_known_by_their_first_bytes() -> None:
    text = FRAME.to_csv(index=False).encode()
    with zipfile.ZipFile("t.csv.zip", "w") as archive:
        archive.writestr("t.csv", text)
    Path("t.xlsx").write_bytes(Path("t.csv.zip").read_bytes())
    Path("packed.csv").write_bytes(gzip.compress(text))
    Path("squeezed.csv").write_bytes(bz2.compress(text))
    Path("t.json").write_text(FRAME.to_json(orient="records"))
    Path("j.csv").write_text(FRAME.to_json())
    Path("records.csv").write_text(FRAME.to_json(orient="records"))
    FRAME.to_parquet("p.parquet")
    Path("p.csv").write_bytes(Path("p.parquet").read_bytes())
    for name, said in {
        "t.csv.zip": "it is a zip archive or an Excel workbook. Unpack it, or save the sheet as CSV",
        "t.xlsx": "it is a zip archive or an Excel workbook",
        "packed.csv": "it is compressed with gzip. Let its name end in .gz",
        "squeezed.csv": "it is compressed with bzip2. Let its name end in .bz2",
        "p.csv": "it is Parquet. Let its name end in .parquet",
        "j.csv": "it is JSON. Write it as CSV or Parquet",
        "records.csv": "it is JSON. Write it as CSV or Parquet",
        "t.json": "it is JSON by its name. Write it as CSV or Parquet",
    }.items():
        assert f"{name} cannot be read as CSV: {said}" in refused(lambda name=name: load(name))
    Path("T.CSV.GZ").write_bytes(gzip.compress(text))
    assert rows(load("T.CSV.GZ")) == wanted(FRAME[["a", "b"]])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"decimal": ",", "thousands": ","}, "decimal and thousands must differ, but both are ','"),
        ({"separator": ";;"}, "separator must be one sign, such as a comma, but got ';;'"),
        ({"encoding": "klingon"}, "encoding must be one that Python knows, such as latin-1, but got 'klingon'"),
        ({"encoding": "ascii"}, "t.csv is not in ascii"),
        ({"header": -1}, "header must be at least 0, or null for none, but got -1"),
        ({"missing_values": (None,)}, "missing_values must be a list of texts and numbers, but got (None,)"),
        ({"header": 999}, "t.csv"),
    ],
)
def test_a_form_that_is_none_is_refused(keys: dict[str, Any], said: str) -> None:
    Path("t.csv").write_text("\u00fc,y\n1,0\n2,1\n3,0\n4,0\n5,1\n", encoding="utf-8")
    assert said in refused(lambda: load("t.csv", **keys))


def test_what_is_for_csv_is_refused_of_parquet() -> None:
    FRAME.to_parquet("t.parquet")
    said = refused(lambda: load("t.parquet", "parquet", separator=";"))
    assert said == "separator is for CSV, but this is a Parquet file. Remove it"


def test_a_table_of_one_column_asks_for_its_separator() -> None:
    Path("t.csv").write_text("a y\n" + "1 0\n" * 9)
    assert "It has one column; `separator` says what cells are separated by" in refused(lambda: load("t.csv"))
    assert load("t.csv", separator=" ").input_shape == (1,)


# --- columns that number the rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["range", "shuffled", "from 1", "twice"])
@pytest.mark.parametrize("reader", ["table", "series"])
def test_an_unnamed_column_that_numbers_the_rows_is_no_feature(how: str, reader: str) -> None:
    frame = FRAME.set_axis(FRAME.index + (how == "from 1"))
    frame = frame.sample(frac=0.7, random_state=0) if how == "shuffled" else frame
    frame.to_csv("t.csv")
    if how == "twice":
        pd.read_csv("t.csv").to_csv("t.csv")
    if reader == "series":
        dataset = loading.load("series", {"path": "t.csv", "target": "a", "window": 2})
        assert dataset.input_shape == (2, 3)
    else:
        dataset = load("t.csv")
        assert rows(dataset) == wanted(frame[["a", "b"]])
    assert "column '' numbers the rows, and is no feature" in dataset.notes
    assert ("column 'Unnamed: 0' numbers the rows, and is no feature" in dataset.notes) == (how == "twice")


def test_the_index_of_pandas_in_a_parquet_file_is_no_feature() -> None:
    FRAME.sample(frac=1, random_state=0).to_parquet("t.parquet")
    dataset = load("t.parquet", "parquet")
    assert rows(dataset) == wanted(FRAME[["a", "b"]])
    assert "column '__index_level_0__' numbers the rows, and is no feature" in dataset.notes
    FRAME.set_index(pd.Index(RNG.permutation(ROWS), name="patient")).to_parquet("t.parquet")
    assert rows(load("t.parquet", "parquet")) == wanted(FRAME[["a", "b"]])
    assert load("t.parquet", "parquet", features=("a", "b", "patient")).input_shape == (3,)
    pyarrow.parquet.write_table(pa.table({"a": [1.5] * 9, "y": [0, 1, 1] * 3}), "t.parquet")  # no pandas at all
    assert load("t.parquet", "parquet").input_shape == (1,)


def test_a_column_that_numbers_the_rows_may_be_listed_or_split_by() -> None:
    FRAME.to_csv("t.csv")
    assert load("t.csv", features=("", "a")).input_shape == (2,)
    dataset = load("t.csv", time="")
    assert dataset.train.x.shape == (48, 2)
    assert not any("is no feature" in note for note in dataset.notes)


def test_an_unnamed_column_of_other_numbers_is_kept() -> None:
    Path("t.csv").write_text(",y\n" + "".join(f"{row % 4},{row % 2}\n" for row in range(20)))
    assert load("t.csv").input_shape == (1,)


# --- categories and large numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["one_hot", "ordinal"])
def test_1_and_1_point_0_are_one_category(key: str) -> None:
    months = np.resize(np.arange(1, 13), ROWS)
    text = [f"{month}.0" if row % 3 else str(month) for row, month in enumerate(months)]
    FRAME.assign(a=text)[["a", "y"]].to_csv("t.csv", index=False)
    dataset = load("t.csv", **{key: "a"})
    assert dataset.preprocessing is not None
    column = dataset.preprocessing["columns"][0]
    assert column["categories"] == [str(month) for month in range(1, 13)]
    for new in (["3.0", "1.0"], ["3", "1"], [" 3", "1 "]):
        pd.DataFrame({"a": new}).to_csv("new.csv", index=False)
        places = preprocessing.apply([column], preprocessing.read_for([column], "new.csv"))
        assert (places.argmax(axis=1) if key == "one_hot" else places[:, 0]).tolist() == [2, 0]


def test_versions_and_codes_stay_apart() -> None:
    found = cells.categories(pa.array(["1.1", "1.10", "007", "7", "2.0", "2"]))
    assert found.names == ["1.1", "1.10", "2", "007", "7"]


def test_a_description_in_which_1_and_1_point_0_are_two_is_still_done() -> None:
    column: Any = {
        "name": "a",
        "kind": "ordinal",
        "categories": ["1", "1.0", "2.0"],
        "fill": None,
        "center": 0.0,
        "spread": 1.0,
    }
    Path("new.csv").write_text("a\n1\n2.0\n2\n")
    assert preprocessing.apply([column], preprocessing.read_for([column], "new.csv"))[:, 0].tolist() == [0, 2, 2]


@pytest.mark.parametrize("use", ["csv", "parquet", "series"])
@pytest.mark.parametrize(("low", "spread"), [(1.7e9, 20), (1.7e12, 6e4), (5.4e6, 0.2)])
def test_large_numbers_are_standardized_before_they_become_float32(use: str, low: float, spread: float) -> None:
    figures = low + RNG.uniform(0, spread, ROWS)
    frame = pd.DataFrame({"t": figures, "y": np.arange(ROWS) + 0.5})
    frame.to_parquet("t.parquet") if use == "parquet" else frame.to_csv("t.csv", index=False)
    path = "t.parquet" if use == "parquet" else "t.csv"
    if use == "series":
        found = loading.load(
            "series", {"path": path, "target": "y", "features": ("t",), "window": 1, "standardize": True}
        )
        train = figures[:48]
        np.testing.assert_allclose(found.train.x[:, 0, 0], ((figures - train.mean()) / train.std())[:47], atol=1e-5)
        return
    dataset = load(path, use, standardize=True, split=None)
    places = (dataset.train.y - 0.5).astype(int)
    train = figures[places]
    np.testing.assert_allclose(dataset.train.x[:, 0], (train - train.mean()) / train.std(), atol=1e-5)
    assert (dataset.train.x.mean(), dataset.train.x.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))


def test_numbers_that_float32_does_not_tell_apart_are_refused_with_the_way_out() -> None:
    figures = 1.7e9 + RNG.uniform(0, 20, ROWS)
    FRAME.assign(a=figures).to_csv("t.csv", index=False)
    said = refused(lambda: load("t.csv"))
    assert said.startswith(
        "t.csv: numbers of column 'a' are too close together for float32, in which models compute, from"
    )
    assert f", from {min(figures.tolist())!r} to 17000000" in said
    assert said.endswith("`standardize: true` takes their mean off before")
    assert load("t.csv", standardize=True).train.x[:, 0].std() == pytest.approx(1, abs=1e-4)
    np.savez("t.npz", x=np.stack([np.arange(ROWS), figures], axis=1), y=FRAME.y)
    said = refused(lambda: loading.load("npz", {"path": "t.npz"}))
    assert "t.npz: x: numbers of column 1 (from 0) are too close together for float32" in said
    for kept in (1.7e9 + 1e6 * FRAME.y, np.full(ROWS, 1.7e9 + 0.3), 2000.0 + np.arange(ROWS) % 24):
        FRAME.assign(a=kept).to_csv("t.csv", index=False)
        assert load("t.csv").input_shape == (2,)


def test_a_mark_among_numbers_may_stand_for_a_missing_cell() -> None:
    FRAME.assign(a=FRAME.a.round(1).astype(str).where(FRAME.index % 7 != 0, "?")).to_csv("t.csv", index=False)
    assert refused(lambda: load("t.csv")).endswith('Say `missing_values: ["?"]` if that stands for a missing cell')
    assert load("t.csv", missing_values=("?",), missing="mean").train.rows == 48
    said = refused(lambda: load("t.csv", target="a", features=("b",)))
    assert said.endswith('Say `missing_values: ["?"]` if that stands for a missing cell')


def test_a_constant_column_of_tenths_is_standardized_to_0() -> None:
    FRAME.assign(a=0.1).to_csv("t.csv", index=False)
    assert (load("t.csv", standardize=True).train.x[:, 0] == 0).all()


def test_blanks_around_a_word_do_not_make_a_class_of_it() -> None:
    Path("t.csv").write_text("a,y\n" + "1, ja \n2,ja\n3, nein\n" * 5)
    assert load("t.csv").class_names == ("ja", "nein")
    assert table.read("t.csv").column("y").to_pylist()[0] == " ja "


# --- what a column holds, and what to do with it ---------------------------------------------------------------------

DAYS = pd.date_range("2020-01-01", periods=ROWS)


@pytest.mark.parametrize(
    ("cells_of", "advice"),
    [
        (
            DAYS.strftime("%d/%m/%Y"),
            "It holds times, which are no features: `time` puts rows in their order, or list it",
        ),
        (
            DAYS.strftime("%Y-%m-%d"),
            "It holds times, which are no features: `time` puts rows in their order, or list it",
        ),
        (DAYS.strftime("%b %Y"), "It holds times, which are no features: `time` puts rows in their order, or list it"),
        (
            [f"a dog that barks {number} times" for number in range(ROWS)],
            "It holds sentences, which are no features. List",
        ),
        (["red", "blue"] * (ROWS // 2), "List it under `one_hot` or `ordinal` if it holds categories, or under `drop`"),
        ([f"{number}%" for number in range(ROWS)], "Remove '%' from its cells"),
    ],
)
def test_a_column_of_no_numbers_is_answered_by_what_it_holds(cells_of: Any, advice: str) -> None:
    FRAME.assign(c=cells_of).to_csv("t.csv", index=False)
    assert advice in refused(lambda: load("t.csv"))
    assert load("t.csv", drop="c").input_shape == (2,)
    if "one_hot" not in advice:
        assert "one_hot" not in refused(lambda: load("t.csv"))


def test_a_series_is_not_told_of_keys_that_it_has_not() -> None:
    FRAME.assign(c=["red", "blue"] * (ROWS // 2)).to_csv("t.csv", index=False)
    said = refused(lambda: load("t.csv", "series", window=5))
    assert said.endswith("A series is of numbers. List those that are numbers under `features`")
    assert load("t.csv", "series", window=5, features=("a", "b")).input_shape == (5, 2)
    FRAME.assign(y=["up", "down"] * (ROWS // 2)).to_csv("t.csv", index=False)
    said = refused(lambda: load("t.csv", "series", window=5))
    assert "every cell of column 'y' must be a number, for it is the target of a series, but got 'up'" in said


def test_a_cell_of_10_mb_is_read_and_told_by_its_beginning() -> None:
    rows = FRAME.to_csv(index=False)
    Path("t.csv").write_text(rows + f"1,{'x' * 10_000_000},1\n")
    said = refused(lambda: load("t.csv"))
    assert said.startswith(f"t.csv:{ROWS + 2}: every cell of column 'b'")
    assert "and 9,999,920 characters more" in said
    assert load("t.csv", drop="b").train.rows + load("t.csv", drop="b").valid.rows == ROWS + 1
    Path("t.csv").write_text(rows.replace("a,b", f"{'x' * 10_000_000},b", 1))
    assert load("t.csv").input_shape == (2,)


@pytest.mark.slow
def test_a_table_of_many_columns_takes_a_few_times_as_long_as_pandas() -> None:
    """It was 27 times at this size, where each column was cast by Arrow several times."""
    wide = pd.DataFrame(RNG.normal(size=(100, 4_000)).round(3)).assign(y=np.arange(100) % 2)
    wide.to_csv("t.csv", index=False)

    def seconds(read: Callable[[], object]) -> float:
        start = time.process_time()
        read()
        return time.process_time() - start

    assert min(seconds(lambda: load("t.csv")) for _ in range(2)) < 18 * min(
        seconds(lambda: pd.read_csv("t.csv")) for _ in range(2)
    )


# --- an order of words, and files of their own -----------------------------------------------------------------------

SIZES = ["small", "large", "medium"] * (ROWS // 3)


def test_words_are_numbered_in_the_order_that_is_given() -> None:
    FRAME.assign(size=SIZES).to_csv("t.csv", index=False)
    dataset = load("t.csv", drop=("a", "b"), ordinal=(("size", ("small", "medium", "large")),))
    order = pd.Categorical(SIZES, ["small", "medium", "large"], ordered=True)
    assert sorted(x[0] for x in rows(dataset)) == sorted(order.codes.tolist())
    assert dataset.preprocessing is not None
    assert dataset.preprocessing["columns"][0]["categories"] == ["small", "medium", "large"]
    said = refused(lambda: load("t.csv", ordinal=(("size", ("small", "large")),)))
    assert said.startswith(
        "t.csv:4: every cell of column 'size' must be one of the categories in its order (small, large)"
    )
    assert "must have each category once" in refused(lambda: load("t.csv", ordinal=(("size", ("small", "small")),)))


def test_files_of_their_own_validate_and_test_and_are_prepared_as_the_training_rows() -> None:
    frame = FRAME.assign(size=SIZES, y=np.array(["no", "yes"])[FRAME["y"]])
    parts = {"train": frame[:40], "valid": frame[40:50], "test": frame[50:]}
    for name, part in parts.items():
        part.to_csv(f"{name}.csv", index=False)
    keys = {"standardize": True, "drop": "size", "valid_path": "valid.csv"}
    dataset = load("train.csv", test_path="test.csv", **keys)
    for name, split in dataset.splits.items():
        expected = (parts[name][["a", "b"]] - parts["train"][["a", "b"]].mean()) / parts["train"][["a", "b"]].std(
            ddof=0
        )
        np.testing.assert_allclose(split.x, expected.to_numpy(), rtol=1e-5, atol=1e-6)
        assert split.y.tolist() == (parts[name]["y"] == "yes").astype(int).tolist()
    assert load("train.csv", test_path="test.csv", drop="size").valid.rows == 8  # a fifth of the rows that train
    assert "Remove what splits rows" in refused(lambda: load("train.csv", stratify=True, **keys))
    assert "Remove test_fraction" in refused(
        lambda: load("train.csv", test_path="test.csv", test_fraction=0.1, drop="size")
    )
    parts["valid"].assign(y="maybe").to_csv("valid.csv", index=False)
    assert "every cell of column 'y' must be one of the 2 classes of train.csv" in refused(
        lambda: load("train.csv", **keys)
    )


def test_whole_numbers_are_the_same_classes_in_a_file_of_their_own_whatever_else_it_holds() -> None:
    frame = FRAME.assign(y=np.arange(ROWS) % 2)
    frame[:40].to_csv("train.csv", index=False)
    for written in (frame.y[40:].astype(float), frame.y[40:] == 1):  # as after a gap, and as a comparison
        frame[40:].assign(y=written).to_csv("test.csv", index=False)
        assert load("train.csv", test_path="test.csv").test.y.tolist() == frame.y[40:].tolist()
    frame[40:].assign(y=True).to_csv("test.csv", index=False)
    assert set(load("train.csv", test_path="test.csv").test.y.tolist()) == {1}
    for strange in ("yes", 0.5):
        frame[40:].assign(y=strange).to_csv("test.csv", index=False)
        said = refused(lambda: load("train.csv", test_path="test.csv"))
        assert said.startswith("test.csv:2: every cell of column 'y' must be a whole number, as those of train.csv are")


def test_a_name_with_an_underscore_is_no_number() -> None:
    frame = FRAME.assign(a=[f"{row}_1" for row in range(ROWS)])
    frame.to_csv("t.csv", index=False)
    assert "every cell of column 'a' must be a finite number in float32, but got '0_1'" in refused(
        lambda: load("t.csv")
    )
    assert "'0_1'" in refused(lambda: load("t.csv", time="a", split=None))


def test_what_is_no_table_at_all_is_named_as_it_is() -> None:
    Path("folder.csv").mkdir()
    Path("blank.csv").write_text("\n\n\n")
    assert refused(lambda: load("folder.csv")) == "folder.csv is a folder, and a table is one file"
    assert refused(lambda: load("blank.csv")) == "blank.csv cannot be read as CSV: Empty CSV file"
    packed = gzip.compress(FRAME.to_csv(index=False).encode())
    for name, content in {"cut.csv.gz": packed[:200], "bent.csv.gz": packed[:100] + b"~~~~" + packed[104:]}.items():
        Path(name).write_bytes(content)
        assert refused(lambda name=name: load(name)).startswith(f"{name} cannot be read as CSV: ")
    FRAME.to_csv("t.csv", index=False)
    assert refused(lambda: load("t.csv", encoding="base64")).startswith("encoding must be one that Python knows")
    assert refused(lambda: load("t.csv", seed=-1)) == "seed must be at least 0, but got -1"
    Path("t.npz").write_bytes(b"junk")
    said = refused(lambda: loading.load("npz", {"path": "t.npz"}))
    assert said == "t.npz cannot be read as NumPy arrays: it is no .npy or .npz file"
    np.savez("t.npz", x=np.float32(1), y=FRAME.y)
    assert "x and y must have the same number of rows, but got shapes ()" in refused(
        lambda: loading.load("npz", {"path": "t.npz"})
    )


# --- quotes and titles ------------------------------------------------------------------------------------------------

LINES = [f"{number},word {number},{number % 2}\n" for number in range(20)]


def with_line(number: int, line: str) -> str:
    return "a,b,y\n" + "".join([*LINES[:number], line, *LINES[number:]])


@pytest.mark.parametrize("line", ['7,"open,1\n', '7,open,"1\n', '"7,open,1\n'])
def test_a_quote_that_is_never_closed_is_refused_with_its_line(line: str) -> None:
    Path("t.csv").write_text(with_line(5, line))
    said = refused(lambda: load("t.csv", drop=("b",)))
    assert said == (
        "t.csv cannot be read as CSV: a quote that is opened in line 7 is never closed, so that all after it is one "
        'cell. Close it; one that belongs to the text is written twice, `""`'
    )
    Path("t.csv").write_text(with_line(5, '7,"open",1\n'))
    assert sum(split.rows for split in load("t.csv", drop=("b",)).splits.values()) == 21


def test_rows_that_a_later_quote_closes_are_told() -> None:
    Path("t.csv").write_text(with_line(5, '7,"open,1\n8,closed",0\n'))
    dataset = load("t.csv", drop=("b",))
    told = "t.csv: lines 7 to 8 are one row, for a quote holds them together. Is one lacking there?"
    assert dataset.doubts == (told,)
    assert sum(split.rows for split in dataset.splits.values()) == 21 == len(pd.read_csv("t.csv"))


def test_text_of_several_lines_is_text() -> None:
    Path("t.csv").write_text(with_line(5, '7,"two\nlines, and ""quotes""",1\n'))
    dataset = load("t.csv", drop=("b",))
    assert (dataset.doubts, sum(split.rows for split in dataset.splits.values())) == ((), len(pd.read_csv("t.csv")))


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("Sales of 2024\n", 1),
        ("Sales{0}{0}\n", 1),
        ("Sales\n\n", 2),
        ("Sales\nall of them\n\n", 3),
        ("Sales{0} all\n", 1),
    ],
)
def test_a_title_above_the_names_is_told_with_the_line_of_the_names(above: str, line: int, sign: str) -> None:
    Path("t.csv").write_text(above.format(sign) + with_line(0, "").replace(",", sign))
    said = refused(lambda: load("t.csv", drop=("b",)))
    assert said.endswith(f": if it is a title, say `header: {line}`, the line of the names, from 0")
    dataset = load("t.csv", drop=("b",), header=line)  # which is what the advice says
    assert rows(dataset) == wanted(pd.DataFrame({"a": range(20)}))


def test_a_header_that_lacks_a_name_is_no_title() -> None:
    Path("t.csv").write_text("b,y\n" + "".join(LINES))
    assert "rows must not have more cells than the header, which has 2" in refused(lambda: load("t.csv"))
