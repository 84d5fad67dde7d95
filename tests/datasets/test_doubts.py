"""What a careful colleague would say of data: each mistake is told by its name, and data without one are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset, Split, checked
from sweeps.datasets.doubts import FAR, doubts

RNG = np.random.default_rng(0)
ROWS = 200


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(more: dict[str, Any], **keys: Any) -> list[str]:
    """The doubts about a table of two good features, a target of three words, and more columns."""
    words = np.array(["cat", "dog", "owl"])[LABELS]
    pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), **more, "y": words}).to_csv(
        "t.csv", index=False
    )
    return doubts(loading.load("csv", {"path": "t.csv", "target": "y", **keys}))


LABELS = RNG.integers(0, 3, ROWS)


def test_there_is_nothing_to_say_of_plain_data() -> None:
    assert table({}) == []
    assert table({"kind": RNG.choice(["p", "q"], ROWS)}, one_hot="kind", standardize=True) == []


@pytest.mark.parametrize("standardize", [False, True])
def test_columns_that_are_constant_number_the_rows_or_say_the_target_are_named(standardize: bool) -> None:
    more = {"id": RNG.permutation(ROWS) + 7, "same": 3.0, "score": 2.0 * LABELS + RNG.uniform(0, 1, ROWS)}
    kind = {"kind": np.array(["p", "q", "r"])[(LABELS + 1) % 3]}
    assert table({**more, **kind}, one_hot="kind", standardize=standardize) == [
        "column 'same' is the same in every row that trains, so that nothing is learnt from it",
        "column 'id' numbers the rows: each has a number of its own, in equal steps. `drop` it unless it was measured",
        "columns 'score', 'kind' say the target by themselves. Is that known before what it predicts?",
    ]


@pytest.mark.parametrize("standardize", [False, True])
def test_a_cell_far_outside_the_rest_is_told_in_the_units_of_the_file(standardize: bool) -> None:
    cells = RNG.uniform(0, 1, ROWS)
    cells[:5] = [-999, *cells[1:5]]
    for seed in range(9):  # until the row trains
        (said,) = told if (told := table({"c": cells}, standardize=standardize, seed=seed)) else ("",)
        if said:
            break
    assert said.startswith("column 'c' has 1 row far outside the rest, such as -999; half of all lie from 0.2")
    assert table({"c": RNG.uniform(0, 1, ROWS) ** 2 * FAR}) == []


def test_a_target_of_values_is_looked_at_too() -> None:
    x, y = RNG.normal(size=(ROWS, 2)), RNG.uniform(0, 1, ROWS)
    y[3] = 1e6
    split = Split(RNG.normal(size=(40, 2)), RNG.uniform(0, 1, 40))
    assert doubts(checked(Dataset(Split(x, y), split)))[0].startswith(
        "the target has 1 row far outside the rest, such as 1e+06"
    )
    assert doubts(checked(Dataset(Split(np.c_[x, 3 - 2 * y], y), Split(np.c_[split.x, split.y], split.y))))[0] == (
        "column 2 (from 0) says the target by itself. Is that known before what it predicts?"
    )


def test_rows_in_two_splits_are_counted_unless_there_are_few_different_ones() -> None:
    x = RNG.normal(size=(60, 3)).astype(np.float32)
    y = np.arange(60) % 2
    dataset = Dataset(Split(x, y), Split(np.r_[x[:7], x[:5] + 9], y[:12]), Split(x[9:10], y[9:10]))
    said = doubts(checked(dataset))
    assert "7 rows of 12 of valid are also among those that train" in said
    assert "1 row of 1 of test is also among those that train" in said
    few = RNG.integers(0, 2, (60, 3)).astype(np.float32)
    assert not any("also among" in each for each in doubts(checked(Dataset(Split(few, y), Split(few[:20], y[:20])))))


def test_a_class_that_a_split_lacks_is_named() -> None:
    x = RNG.normal(size=(60, 2))
    dataset = Dataset(
        Split(x, np.arange(60) % 3), Split(x[:4] + 9, np.array([0, 1, 0, 1])), class_names=("ant", "bee", "cow")
    )
    assert doubts(checked(dataset)) == ["valid has no row of class cow"]


DAYS = pd.date_range("2020-01-01", periods=ROWS)


def test_dates_that_a_split_does_not_follow_are_named() -> None:
    (said,) = table({"day": DAYS.strftime("%Y-%m-%d")}, drop="day")
    assert said == "rows have dates in 'day', and are split at random: `time: day` trains on the oldest"
    assert table({"day": DAYS.strftime("%Y-%m-%d")}, time="day") == []
    which = np.repeat(["train", "valid"], ROWS // 2)
    assert table({"day": DAYS, "set": which}, split="set", drop="day") == []
    (said,) = table({"day": DAYS, "set": which[::-1]}, split="set", drop="day")
    assert (
        said
        == "100 of 100 rows that train are later in 'day' than the first of another split, so that column 'set' is "
        "not in the order of time"
    )


def test_images_of_mixed_sizes_are_told() -> None:
    image = pytest.importorskip("PIL.Image")
    for place, size in enumerate([(8, 8), (8, 8), (12, 6), (20, 20)]):
        folder = Path("img") / ("cat" if place % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        for more in range(3):
            pixels = RNG.integers(0, 256, (*size, 3), np.uint8)
            image.fromarray(pixels).save(folder / f"{place}{more}.png")
    said = doubts(loading.load("images", {"path": "img", "size": 8, "stratify": True}))
    assert (
        said[0]
        == "images have 3 sizes, from 8 x 8 to 20 x 20 (height x width), and are resized whatever their proportions"
    )


def test_a_target_that_is_the_same_in_every_row_is_told() -> None:
    for target in (0, 2.5):
        pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "y": target}).to_csv("t.csv", index=False)
        said = doubts(loading.load("csv", {"path": "t.csv", "target": "y"}))
        assert said == ["the target is the same in every row that trains, so that nothing is learnt from it"]


def test_large_targets_that_are_not_scaled_are_told_with_the_way_out(tmp_path: Path) -> None:
    rows = [f"{row % 7},{150_000 + 1_000 * (row % 11)}.5" for row in range(60)]
    (tmp_path / "prices.csv").write_text("\n".join(["rooms,price", *rows]))
    prices = [150_000.5 + 1_000 * (row % 11) for row in range(60)]
    told = [
        line
        for line in doubts(loading.load("csv", {"path": str(tmp_path / "prices.csv"), "target": "price"}))
        if "near 0" in line
    ]
    assert len(told) == 1
    assert told[0].startswith("targets are numbers of about 1.5")
    assert told[0].endswith("`scale_target: true`")
    assert 1.5e5 < sum(prices) / len(prices) < 1.6e5
    scaled = loading.load("csv", {"path": str(tmp_path / "prices.csv"), "target": "price", "scale_target": True})
    assert not [line for line in doubts(scaled) if "near 0" in line]
