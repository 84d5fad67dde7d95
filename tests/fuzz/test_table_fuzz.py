"""Any file is read as Python's own csv module reads it, or refused in one line that names the right one of the file."""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.datasets import loading
from sweeps.datasets.tabular import cells, preprocessing, table, times
from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.errors import DataError

WORDS = st.text(alphabet="ab ,;\t\"'\n0é-.", min_size=1, max_size=6).filter(lambda word: word.strip() == word)
NAMES = WORDS.filter(lambda word: not {";", "\t"} & {*word})  # which would pass for the separator
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "table.csv"


def as_csv(rows: list[list[object]], ending: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows(rows)
    return text.getvalue()


@given(
    rows=st.lists(st.tuples(WORDS, NUMBERS), min_size=1, max_size=8),
    names=st.lists(NAMES, min_size=2, max_size=2, unique=True),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_quoted_words_and_numbers_come_through(
    file: Path, rows: list[tuple[str, float]], names: list[str], ending: str
) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write(as_csv([[f"n{name}" for name in names], *map(list, rows)], ending))
    found = table.read(str(file), [f"n{names[0]}"])
    assert list(found.columns) == [f"n{name}" for name in names]
    assert found.column(f"n{names[0]}").to_pylist() == [word for word, _ in rows]
    assert cells.numbers(found.column(f"n{names[1]}")).tolist() == [float(number) for _, number in rows]


@given(content=st.binary(max_size=60) | st.text(alphabet='ab,"\n\r1.e-;\t\0é', max_size=60).map(str.encode))
def test_whatever_a_file_holds_it_is_a_table_or_refused_in_one_line(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    said = ""
    try:
        loading.load("csv", {"path": str(file), "target": "a", "valid_fraction": 0.5})
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    assert "csv failed" not in said


@given(
    before=st.lists(st.sampled_from(["1,2\n", "\n", '1,"2"\n', '"3",4\n']), max_size=8),
    blank=st.integers(0, 3),
)
def test_the_line_of_a_wrong_cell_is_its_line_in_the_file(file: Path, before: list[str], blank: int) -> None:
    text = "a,b\n" + "".join(before) + "\n" * blank + "1,x\n" + "5,6\n" * 3
    file.write_text(text, encoding="utf-8")
    line = text.splitlines().index("1,x") + 1
    wishes: preprocessing.Wishes = {
        "one_hot": (), "ordinal": {}, "missing": "refuse", "standardize": False, "leave_out": "drop",
    }  # fmt: skip
    with pytest.raises(DataError, match=f":{line}: every cell of column 'b' must be a finite number"):
        preprocessing.planned(table.read(str(file)), ["b"], wishes)


@given(words=st.lists(st.sampled_from(["", "NA", "1", "2.5", "-3"]), min_size=1, max_size=12))
def test_empty_cells_are_missing_and_no_others(file: Path, words: list[str]) -> None:
    file.write_text("a,b\n" + "".join(f"{cell},0\n" for cell in words), encoding="utf-8")
    found = cells.numbers(table.read(str(file)).column("a")).tolist()
    wanted = [math.nan if cell in ("", "NA") else float(cell) for cell in words]
    assert str(found) == str(wanted)


@given(
    numbers=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=8),
    digits=st.integers(0, 3),
    signs=st.sampled_from([(",", "."), (",", None), (".", ","), (",", " "), (".", "'")]),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
def test_numbers_come_through_in_any_signs_and_encoding(
    file: Path,
    numbers: list[int],
    digits: int,
    signs: tuple[str, str | None],
    separator: str,
    encoding: str,
) -> None:
    decimal, thousands = signs

    def written(number: int) -> str:
        text = f"{number / 10**digits:,.{digits}f}"
        return text.replace(",", "T").replace(".", decimal).replace("T", thousands or "")

    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([["a", "b"], *([written(number), "x"] for number in numbers)])
    file.write_bytes(text.getvalue().encode(encoding))
    form = CsvForm(separator, decimal, thousands, encoding)
    found = cells.numbers(table.read(str(file), form=form).column("a")).tolist()
    assert found == [float(f"{number / 10**digits:.{digits}f}") for number in numbers]


@given(
    moments=st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2068, 1, 1)), min_size=2, max_size=12),
    form=st.sampled_from(["%d/%m/%Y %H:%M:%S.%f", "%b %d %Y %H.%M.%S %f", "%Y%m%d%H%M%S%f", "%d%m%Y%H%M%S%f"]),
)
def test_times_are_in_their_order_in_any_form(file: Path, moments: list[datetime], form: str) -> None:
    file.write_text("t,b\n" + "".join(f"{moment.strftime(form)},0\n" for moment in moments), encoding="utf-8")
    places = times.places(table.read(str(file), ["t"]), "t", form)
    order = {moment: place for place, moment in enumerate(sorted(set(moments)))}
    assert places.tolist() == [order[moment] for moment in moments]
