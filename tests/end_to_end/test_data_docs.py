"""docs/data.md names every dataset and every key, and none that there is not; its example is read as it says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from sweeping import config

from sweeps.datasets import loading
from sweeps.user_code import project_folders

DOCS = Path(__file__).parents[2] / "docs" / "data.md"
TEXT = DOCS.read_text(encoding="utf-8")
MADE_UP = {"linear_regression", "two_moons", "sine_sequences"}  # whose docstrings are referred to


def keys(use: str) -> set[str]:
    return set(inspect.signature(loading.find(use)).parameters)


def rows_of(heading: str) -> str:
    """The table below a heading."""
    return TEXT.partition(f"## {heading}")[2].partition("\n## ")[0]


@pytest.mark.parametrize("use", loading.BUILT_IN)
def test_a_dataset_is_named_with_all_its_keys(use: str) -> None:
    overview = next(line for line in TEXT.splitlines() if line.startswith("| ") and f"`{use}`" in line)
    told = set(re.findall(r"[a-z_]+", overview + rows_of("Splits")))
    if use in ("csv", "parquet"):
        told |= set(re.findall(r"`([a-z_]+)", rows_of("Tables"))) | {"path"}
    if use not in MADE_UP:
        assert keys(use) <= told


def test_every_key_that_is_told_is_one() -> None:
    known = set().union(*map(keys, loading.BUILT_IN))
    for heading in ("Tables", "Splits"):
        for line in rows_of(heading).splitlines():
            if line.startswith("| `"):
                assert set(re.findall(r"`([a-z_]+)", line.split("|")[1])) <= known, line


def test_scaled_targets_are_told() -> None:
    assert f"`{loading.SCALE_TARGET}: true`" in rows_of("Targets to regress on")


def test_examples_of_weights_are_read() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", rows_of("Weights"), re.DOTALL)
    for example in examples:
        written = config(dataset=yaml.safe_load(example)["dataset"]).dataset
        with project_folders(DOCS.parents[2] / "configs" / "penguins.yaml"):
            dataset = loading.load(written.use, written.arguments)
        assert len(set(dataset.weights)) == (2 if written.use == "csv" else 3)
    assert len(examples) == 2


def test_the_example_is_read() -> None:
    arguments = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0])["dataset"]
    with project_folders(DOCS.parents[2] / "configs" / "penguins.yaml"):
        dataset = loading.load(arguments.pop("use"), arguments)
    assert (dataset.classes, dataset.input_shape) == (3, (6,))
