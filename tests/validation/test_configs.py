"""The configs that come with the project are right, teach one thing each, and reach what they promise."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sweeps
from sweeps.config import read_draft
from sweeps.datasets.builtin import fashion_mnist, mnist
from sweeps.datasets.loading import Datasets
from sweeps.results.results import Results
from sweeps.user_code import project_folders
from sweeps.validation import validate

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
BEST_POSSIBLE_ERROR = 0.1**2 * (1 + (4 * 24 + 2) / (24 * 23))
"""Of any model on the noisy sine of `lstm.yaml`: the noise's variance, and what 24 steps leave unknown of the sine."""


def finished(name: str, tmp_path: Path, *overrides: str) -> Results:
    config = sweeps.load_config(CONFIGS[0].parent / f"{name}.yaml", overrides)
    with project_folders(CONFIGS[0]):
        return sweeps.run(config, tmp_path)


@pytest.fixture
def clothes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up images where Keras keeps Fashion-MNIST, whose own files are too many megabytes to carry."""
    rows, folder = {"train": 400, "t10k": 40}, tmp_path / "home" / ".keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name, count in rows.items():
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.repeat(25 * labels, 28 * 28)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels.tobytes()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "ROWS", rows)


@pytest.mark.usefixtures("clothes")
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_right_from_any_folder(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draft = read_draft(path)
    with project_folders(path):
        validate.examine(draft, Datasets())
    assert draft.complaints == []
    assert draft.config().name == path.stem


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_begins_with_what_it_is_for_and_fits_the_screen(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert max(map(len, lines)) <= 120


def test_the_digits_are_1797_images_of_8_by_8_pixels_from_0_to_16() -> None:
    with gzip.open(CONFIGS[0].parent / "digits.csv.gz", "rt", encoding="ascii", newline="") as file:
        header, *rows = csv.reader(file)
    table = np.array(rows, int)
    assert header[:2] + header[-2:] == ["row0_column0", "row0_column1", "row7_column7", "digit"]
    assert table.shape == (1797, 65)
    assert (table[:, :64].min(), table[:, :64].max()) == (0, 16)
    assert np.bincount(table[:, 64]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_penguins_are_344_with_19_empty_cells() -> None:
    with (CONFIGS[0].parent / "penguins.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["species"] for row in rows) == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    assert Counter(name for row in rows for name, cell in row.items() if cell == "NA") == {
        "sex": 11, "bill_length_mm": 2, "bill_depth_mm": 2, "flipper_length_mm": 2, "body_mass_g": 2,
    }  # fmt: skip


@pytest.mark.usefixtures("ordinary_promotion")
def test_penguins_are_told_apart_by_their_measures(tmp_path: Path) -> None:
    results = finished("penguins", tmp_path, "budget.trials=4")
    assert results.best is not None
    assert results.best.test["test_accuracy"] >= 0.95


def test_linear_reaches_the_noise(tmp_path: Path) -> None:
    results = finished("linear", tmp_path, "budget.trials=12")
    assert results.best is not None
    assert results.best.test["test_loss"] == pytest.approx(0.01, rel=0.15)


def test_grid_tries_every_combination_once(tmp_path: Path) -> None:
    results = finished("grid", tmp_path)
    pairs = results.trials[["params_batch_size", "params_learning_rate"]].drop_duplicates()
    assert (len(results.trials), len(pairs)) == (12, 12)
    assert set(results.trials["outcome"]) == {"completed"}
    assert results.best is not None
    assert results.best.value >= 0.95


def test_digits_are_read_and_momentum_belongs_to_sgd_alone(tmp_path: Path) -> None:
    results = finished("digits", tmp_path, "budget.trials=8", "pruner=none", "search_space.epochs=15")
    has_momentum = results.trials["params_optimizer.momentum"].notna()
    assert list(has_momentum) == list(results.trials["params_optimizer.use"] == "sgd")
    assert results.best is not None
    assert results.best.value >= 0.93


@pytest.mark.usefixtures("ordinary_promotion", "clothes")
def test_a_trial_of_clothes_runs(tmp_path: Path) -> None:
    model = 'model={use: "models.cnn:CNN", channels: [2], hidden: 8}'
    results = finished("fashion_mnist", tmp_path, "budget.trials=1", "search_space.epochs=1", model)
    assert results.trials["params_optimizer.weight_decay"].tolist() == [1e-3]
    assert results.best is not None
    assert set(results.best.test) == {"test_loss", "test_accuracy", "test_top_2"}


@pytest.mark.usefixtures("ordinary_promotion", "compiled_as_shipped")
def test_eight_epochs_of_the_lstm_come_near_the_best_possible_error(tmp_path: Path) -> None:
    known = "enqueue=[{batch_size: 16, learning_rate: 1e-2}]"
    results = finished("lstm", tmp_path, "budget.trials=1", "search_space.epochs=8", known)
    assert results.best is not None
    assert results.best.value <= 1.6 * BEST_POSSIBLE_ERROR


@pytest.fixture
def fewer_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fifth of MNIST."""
    monkeypatch.setattr(
        mnist, "read", lambda name, read=mnist.read: tuple(each[: len(each) // 5] for each in read(name))
    )


@pytest.mark.usefixtures("ordinary_promotion", "fewer_digits", "compiled_as_shipped")
@pytest.mark.parametrize(
    ("name", "accuracy", "overrides"),
    [
        ("cnn", 0.92, ()),
        ("mnist_rows", 0.7, ()),
        ("transformer", 0.7, ("enqueue=[{batch_size: 64, learning_rate: 2e-3}]",)),
    ],
)
def test_an_epoch_of_a_fifth_of_the_digits_teaches_a_network_most_of_them(
    name: str, accuracy: float, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    results = finished(name, tmp_path, "budget.trials=1", "search_space.epochs=1", *overrides)
    assert results.best is not None
    assert results.best.test["test_accuracy"] >= accuracy


# ---- full trainings --------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_digits_reach_96_percent(tmp_path: Path) -> None:
    results = finished("digits", tmp_path)
    assert results.best is not None
    assert results.best.value >= 0.96
    assert results.best.test["test_accuracy"] >= 0.95


@pytest.mark.long
@pytest.mark.usefixtures("ordinary_promotion")
def test_the_lstm_comes_near_the_best_possible_error(tmp_path: Path) -> None:
    results = finished("lstm", tmp_path)
    assert results.best is not None
    assert results.best.value <= 1.15 * BEST_POSSIBLE_ERROR


@pytest.mark.long
@pytest.mark.usefixtures("ordinary_promotion")
def test_the_first_trial_of_the_cnn_reaches_99_percent(tmp_path: Path) -> None:
    results = finished("cnn", tmp_path, "budget.trials=1")
    assert results.best is not None
    assert results.best.test["test_accuracy"] >= 0.99


@pytest.mark.long
@pytest.mark.usefixtures("ordinary_promotion")
def test_the_first_trial_that_reads_row_by_row_reaches_97_percent(tmp_path: Path) -> None:
    results = finished("mnist_rows", tmp_path, "budget.trials=1", "search_space.epochs=4")
    assert results.best is not None
    assert results.best.test["test_accuracy"] >= 0.97


@pytest.mark.long
@pytest.mark.usefixtures("ordinary_promotion")
def test_an_epoch_of_the_transformer_reaches_90_percent(tmp_path: Path) -> None:
    known = "enqueue=[{batch_size: 64, learning_rate: 2e-3}]"
    results = finished("transformer", tmp_path, "budget.trials=1", "search_space.epochs=1", known)
    assert results.best is not None
    assert results.best.test["test_accuracy"] >= 0.9
