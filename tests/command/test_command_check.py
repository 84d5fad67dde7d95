"""`sweep check` says of the data what NumPy finds in them, in lines that fit a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sweeps.command import data_facts, display
from sweeps.datasets.dataset import Dataset, Split, checked


def made(x: Any, y: Any, **more: Any) -> Dataset:
    return checked(Dataset(Split(x, y), Split(x[:2], y[:2]), **more))


def facts_of(dataset: Dataset) -> dict[str, str]:
    return {name.strip(): text for name, text in data_facts.facts("mine:data", dataset)}


def test_rows_shapes_and_classes_are_those_of_the_arrays() -> None:
    images = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
    found = facts_of(made(images, np.array([0, 2, 2, 2, 0]), classes=3, class_names=("ant", " ", "cat")))
    assert found == {
        "data": "mine:data: 5 train, 2 valid rows of 2 x 3 uint8, 3 classes",
        "inputs": "0 to 29, which the model sees as 0 to 0.1137",
        "targets": "ant, ' ', cat; 0 (' ') to 3 (cat) training rows of each",
    }


def test_many_classes_are_told_by_the_first_and_the_last() -> None:
    found = facts_of(made(np.zeros((20, 1)), np.arange(20)))
    assert found["targets"].startswith("0, 1, 2, 3, 4, 5, … 19; 1 (0) to ")


def test_values_come_with_the_error_of_always_saying_their_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 1000)
    found = facts_of(made(np.ones((1000, 4)), values))
    assert found["targets"] == (
        f"{values.min():.4g} to {values.max():.4g}, mean squared distance from the mean {values.var():.4g}"
    )


def test_several_values_a_row_are_counted() -> None:
    assert facts_of(made(np.ones((3, 1)), np.eye(3)))["targets"].startswith("3 numbers, 0 to 1, ")


def test_features_are_listed_by_their_names() -> None:
    columns = [{"name": f"f{number}", "kind": "number", "categories": []} for number in range(70)]
    columns[1] = {"name": "port, of call", "kind": "one_hot", "categories": ["C", "Q", "S"]}
    done = {"kind": "table", "columns": columns[:3]}
    assert facts_of(made(np.ones((3, 5)), np.arange(3), preprocessing=done))["features"] == (
        "f0, 'port, of call' (3 categories), f2"
    )
    found = facts_of(made(np.ones((3, 5)), np.arange(3), preprocessing={"kind": "table", "columns": columns}))
    assert found["features"].endswith(", f58, f59, and 10 more to f69")


def test_tokens_are_whole_numbers_that_nothing_is_done_to() -> None:
    assert facts_of(made(np.array([[4, 9], [0, 7], [1, 1]]), np.arange(3)))["inputs"] == "whole numbers, 0 to 9"


@pytest.mark.parametrize(("scale", "seen"), [(-2.0, "-5 to 1"), (0.5, "1 to 2.5")])
def test_what_a_model_sees_follows_scale_and_offset(scale: float, seen: str) -> None:
    found = facts_of(made(np.array([[0.0], [3.0]]), np.arange(2), scale=scale, offset=1.0))
    assert found["inputs"] == f"0 to 3, which the model sees as {seen}"


def test_everything_fits_into_80_columns_and_a_long_list_is_cut() -> None:
    notes = tuple(f"column{number}: 9 categories, one-hot (one, two, three, four, five, …)" for number in range(40))
    rows = data_facts.facts("mine:data", made(np.ones((3, 1)), np.arange(3), notes=notes))
    assert len(rows) == 3 + data_facts.MOST_NOTES + 1
    assert rows[-1] == ("", "and 28 more like these")
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as captured:
        display.facts(console, rows)
    assert max(map(len, captured.get().splitlines())) <= 80
