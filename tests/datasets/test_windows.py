"""A sequence becomes every window once, and no step of it is in two splits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.datasets import loading, memory
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.sequences import windows
from sweeps.datasets.sequences.windows import SequenceWindows
from sweeps.errors import DataError

COUNTS = st.integers(1, 6)


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(steps=st.integers(1, 60), window=COUNTS, stride=COUNTS, horizon=COUNTS)
def test_windows_are_those_of_a_plain_loop(steps: int, window: int, stride: int, horizon: int) -> None:
    sequence = list(range(100, 100 + steps))
    rows = SequenceWindows(window, stride, horizon).rows(np.array(sequence), np.array(sequence))
    wanted = [
        (sequence[start : start + window], sequence[start + window + horizon - 1])
        for start in range(0, steps, stride)
        if start + window + horizon <= steps
    ]
    assert list(zip(rows.x.tolist(), rows.y.tolist(), strict=True)) == wanted


@given(steps=st.integers(0, 30), window=COUNTS)
def test_every_step_with_a_window_up_to_it_ends_one(steps: int, window: int) -> None:
    sequence = np.arange(2 * steps).reshape(steps, 2)
    if steps < window:
        assert refused(lambda: windows.ends("new.csv", sequence, window)).startswith("new.csv must have at least")
        return
    found = windows.ends("new.csv", sequence, window)
    assert found.x.tolist() == [sequence[end - window + 1 : end + 1].tolist() for end in range(window - 1, steps)]
    assert found.steps.tolist() == list(range(window - 1, steps))


@given(steps=st.integers(30, 80), window=COUNTS, stride=COUNTS, horizon=COUNTS)
def test_no_step_is_in_two_splits_and_later_splits_are_later(
    steps: int, window: int, stride: int, horizon: int
) -> None:
    sequence = np.arange(steps)
    parts = windows.pieces(steps, 0.3, 0.3)
    cut = SequenceWindows(window, stride, horizon)
    if min(part.stop - part.start for part in parts.values()) < window + horizon:
        assert "split must have at least" in refused(lambda: windows.windowed("file", sequence, sequence, parts, cut))
        return
    dataset = windows.windowed("file", sequence, sequence, parts, cut)
    used = [set(split.x.flat) | set(split.y) for split in dataset.splits.values()]
    assert all(max(before) < min(after) for before, after in itertools.pairwise(used))


def text(path: Path, content: str, **arguments: Any) -> Dataset:
    path.write_text(content, encoding="utf-8")
    return loading.load("text", {"path": str(path), **arguments})


def test_a_text_is_read_as_its_characters_and_what_follows(tmp_path: Path) -> None:
    dataset = text(tmp_path / "text.txt", "bänd äbcd" * 10, window=4, valid_fraction=0.2)
    assert (dataset.train.x.dtype, dataset.input_shape, dataset.classes) == (np.int32, (4,), 6)
    assert dataset.class_names == tuple(sorted("bändc "))
    names = np.array(dataset.class_names)
    assert ["".join(names[dataset.train.x[0]]), names[dataset.train.y[0]]] == ["bänd", " "]
    assert ["".join(names[dataset.train.x[1]]), names[dataset.train.y[1]]] == ["änd ", "ä"]
    assert (dataset.train.rows, dataset.valid.rows) == (72 - 4, 18 - 4)
    assert dataset.notes[1] == "windows of 4 every 1, target 1 on: 0.0 MB"
    assert dataset.preprocessing == {
        "kind": "text", "alphabet": " bcdnä", "window": 4, "stride": 1, "horizon": 1,
    }  # fmt: skip


WEATHER = pd.DataFrame({"day": range(40), "rain": np.arange(40) % 7 * 0.5, "heat": np.arange(40.0) ** 2})


def series(folder: Path, frame: pd.DataFrame, **arguments: Any) -> Dataset:
    frame.to_csv(folder / "weather.csv", index=False)
    return loading.load("series", {"path": str(folder / "weather.csv"), **arguments})


def test_a_series_predicts_a_column_from_the_steps_before(tmp_path: Path) -> None:
    dataset = series(tmp_path, WEATHER, target="heat", time="day", window=5, horizon=2, valid_fraction=0.25)
    assert dataset.input_shape == (5, 2)
    assert dataset.train.x[3].tolist() == WEATHER[["rain", "heat"]].iloc[3:8].to_numpy().tolist()
    assert dataset.train.y[3] == 9.0**2
    assert dataset.valid.x[0, 0, 1] == 30.0**2


def test_a_series_is_put_in_the_order_of_its_time(tmp_path: Path) -> None:
    mixed = WEATHER.sample(frac=1, random_state=1)
    dataset = series(tmp_path, mixed, target="heat", features="heat", time="day", window=3)
    assert dataset.train.x[:, 0, 0].tolist() == [day**2 for day in range(29)]


def test_a_series_is_standardized_by_its_training_steps_and_its_target_stays_as_it_is(tmp_path: Path) -> None:
    dataset = series(tmp_path, WEATHER, target="heat", features=("rain",), window=1, standardize=True)
    training = WEATHER["rain"].iloc[:32]
    wanted = (WEATHER["rain"] - training.mean()) / training.std(ddof=0)
    np.testing.assert_allclose(dataset.train.x[:, 0, 0], wanted.iloc[:31], rtol=1e-6)
    assert dataset.train.y.tolist() == [day**2 for day in range(1, 32)]
    assert dataset.preprocessing is not None
    assert [column["name"] for column in dataset.preprocessing["columns"]] == ["rain"]


def test_an_empty_cell_is_filled_in_a_feature_but_never_in_the_target(tmp_path: Path) -> None:
    gap = WEATHER.assign(rain=WEATHER["rain"].where(WEATHER["day"] != 2), heat=WEATHER["heat"])
    dataset = series(tmp_path, gap, target="heat", features=("rain",), window=3, missing="mean")
    assert dataset.train.x[0, 2, 0] == np.float32(gap["rain"].iloc[:32].mean())
    holed = WEATHER.assign(heat=WEATHER["heat"].where(WEATHER["day"] != 2))
    said = refused(lambda: series(tmp_path, holed, target="heat", window=3, missing="mean"))
    assert ":4: every cell of column 'heat' must be given, since it is what is predicted" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window": 0}, "window must be at least 1, but got 0"),
        ({"window": 5, "stride": 0}, "stride must be at least 1, but got 0"),
        ({"window": 8}, "the valid split must have at least 9 steps, one window and its target, but it has 8"),
        ({"window": 5, "target": "heit"}, "there is no column 'heit'; the nearest are 'heat'"),
        ({"window": 5, "missing": "drop"}, "missing must be one of refuse, mean, median for a series, but got 'drop'"),
        ({"window": 5, "time": "rain"}, "every step must have a time of its own, but 'rain' has one twice"),
        ({"window": 5, "valid_fraction": 0}, "must leave rows for training and validation"),
    ],
)
def test_what_makes_no_windows_is_refused(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: series(tmp_path, WEATHER, **{"target": "heat", **arguments}))


def test_windows_that_would_not_fit_in_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: 20_000.0)
    said = refused(lambda: text(tmp_path / "text.txt", "ab" * 300, window=10))
    assert "its windows would take 0.0 GB of 0.0 GB of memory. A larger `stride` makes fewer" in said
    assert text(tmp_path / "text.txt", "ab" * 300, window=10, stride=10).train.rows == 53


def test_the_mark_of_utf_8_is_no_character_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "marked.txt").write_text("ab" * 30, encoding="utf-8-sig")
    dataset = loading.load("text", {"path": str(tmp_path / "marked.txt"), "window": 2})
    assert dataset.class_names == ("a", "b")


def test_an_empty_cell_of_a_series_is_not_answered_with_dropping_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [None, *np.arange(39.0)], "y": np.arange(40.0)})
    said = refused(lambda: series(tmp_path, frame, target="y", window=2))
    assert said.endswith("`missing: mean` and `median` fill them in")


def test_a_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"\xff\xfe\xff")
    path = str(tmp_path / "text.txt")
    assert "cannot be read as UTF-8 text" in refused(lambda: loading.load("text", {"path": path, "window": 2}))
