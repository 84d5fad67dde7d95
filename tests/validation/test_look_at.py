"""`sweep check` ends with what a careful colleague would ask about; `--strict` makes mistakes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.config import as_draft
from sweeps.datasets.dataset import Dataset, Split, checked
from sweeps.user_code import project_folders
from sweeps.validation.doubts import doubts

CONFIG: Mapping[str, Any] = {
    "name": "looked_at",
    "dataset": {"use": "npz", "path": "t.npz"},
    "model": {"use": "sweeping:flat"},
    "loss": "softmax_cross_entropy",
    "search_space": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    "objective": {"metric": "valid_loss", "direction": "minimize"},
    "budget": {"trials": 1},
}


def rescaled(outputs: int, first: str = "Rescaling", inner: bool = False) -> keras.Model:
    layer = keras.layers.Rescaling(1 / 255) if first == "Rescaling" else keras.layers.Normalization()
    layers = [keras.Input((4, 4)), keras.layers.Flatten(), layer, keras.layers.Dense(outputs)]
    whole = keras.Sequential(layers)
    return keras.Sequential([keras.Input((4, 4)), whole]) if inner else whole


def plain(outputs: int) -> keras.Model:
    return keras.Sequential([keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dense(outputs)])


def images(**more: Any) -> Dataset:
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    return checked(Dataset(Split(x[:40], np.arange(40) % 2), Split(x[40:], np.arange(20) % 2), **more))


@pytest.mark.parametrize("model", [{}, {"first": "Normalization"}, {"inner": True}])
def test_a_model_that_scales_what_is_scaled_is_told(model: dict[str, Any]) -> None:
    draft = as_draft({**CONFIG, "model": {"use": "test_look_at:rescaled", **model}})
    (said,) = doubts(draft, images())
    layer = model.get("first", "Rescaling")
    assert said.startswith(f"test_look_at:rescaled begins with {layer}, and its inputs are scaled already, from 0 to 1")
    assert said.endswith("Leave that layer out, or give the dataset `scale: 1`")
    assert doubts(draft, images(scale=1.0)) == []  # which is what the advice says
    assert doubts(as_draft({**CONFIG, "model": {"use": "test_look_at:plain"}}), images()) == []


def test_a_file_that_is_in_both_folders_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (beside := tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, beside):
        (folder / "t.npz").write_bytes(str(folder).encode())
    with project_folders(beside / "sweep.yaml"):
        (said,) = doubts(as_draft(dict(CONFIG)), images())
    assert said == f"t.npz is {tmp_path}/t.npz, of the working directory, and not {beside}/t.npz"


@pytest.mark.parametrize(
    ("metric", "better"),
    [("valid_loss", "minimize"), ("train_loss", "minimize"), ("valid_accuracy", "maximize"),
     ("valid_top_5", "maximize"), ("valid_mean_squared_error", "minimize"), ("valid_r2", "maximize")],
)  # fmt: skip
def test_an_objective_that_seeks_the_worst_is_told(metric: str, better: str) -> None:
    metrics = [] if metric.endswith("_loss") else [metric.removeprefix("valid_")]
    for direction in ("minimize", "maximize"):
        objective = {"metric": metric, "direction": direction}
        model = {"use": "test_look_at:plain"}
        said = doubts(as_draft({**CONFIG, "metrics": metrics, "model": model, "objective": objective}), images())
        told = f"the objective has {direction} of {metric}, so that the worst trial counts as the best"
        assert said == ([] if direction == better else [told])


def test_strict_ends_with_2_where_there_is_something_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savez("t.npz", x=x, y=np.arange(60) % 2)
    Path("sweep.yaml").write_text(yaml.safe_dump(dict(CONFIG)))
    right = CliRunner().invoke(app, ["check", "sweep.yaml", "--strict"])
    assert (right.exit_code, "look at" in right.output) == (0, False)
    x[:, 1] = 5
    np.savez("t.npz", x=x, y=np.arange(60) % 2)
    lax = CliRunner().invoke(app, ["check", "sweep.yaml"])
    assert (lax.exit_code, lax.output.splitlines()[-1]) == (
        0,
        "look at: column 1 (from 0) is the same in every row that trains, so that nothing is learnt from it",
    )
    strict = CliRunner().invoke(app, ["check", "sweep.yaml", "--strict"])
    assert strict.exit_code != 0
    assert "1 thing to look at, which --strict takes for mistakes" in str(strict.exception or strict.output)
