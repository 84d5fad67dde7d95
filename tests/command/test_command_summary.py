"""`sweep summary` as a person meets it, for models of every library."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sweeping
import user_models

from sweeps import cli
from sweeps.command.summary import outline
from sweeps.config import to_yaml
from sweeps.engine.program import Program
from sweeps.training.models import build_model

Lines = list[str]

pytestmark = pytest.mark.usefixtures("any_promotion")


@pytest.fixture
def summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Lines]:
    """The command run in this process on a config with these changes: its lines, with runs of blanks made one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(sweeping.ROOT)
    monkeypatch.setattr(Program, "__init__", lambda *_: pytest.fail("a program was made"))

    def run(**changes: Any) -> Lines:
        (tmp_path / "small.yaml").write_text(to_yaml(sweeping.config(**changes)), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["sweep", "summary", str(tmp_path / "small.yaml")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert (ended.value.code or 0, captured.err) == (0, "")
        assert all(len(line) <= 80 for line in captured.out.splitlines())
        return [re.sub(" +", " ", line).strip() for line in captured.out.splitlines()]

    return run


def test_a_keras_reader_finds_the_table_of_the_first_notebook(summary: Callable[..., Lines]) -> None:
    lines = summary(
        dataset={"use": "user_models:pictures"},
        model={"use": "user_models:sigmoids"},
        loss="mean_squared_error",
        metrics=[],
    )
    shown = [tuple(line.split(maxsplit=2)[1:]) for line in lines[2:-1]]
    assert shown == [("Dense", "(rows, 32) 25,120"), ("Dense", "(rows, 10) 330"), ("Dense", "(rows, 1) 11")]
    assert lines[-1] == "total 25,461: 25,461 trained, 0 not"
    assert user_models.sigmoids().count_params() == 25461


def test_every_choice_of_a_model_has_a_table(summary: Callable[..., Lines]) -> None:
    space = {"epochs": 1, "batch_size": 8, "model.hidden": {"type": "categorical", "choices": [[4], [6, 2]]}}
    lines = summary(model={"use": "models.mlp:MLP"}, search_space={**space, "learning_rate": 0.1})
    assert lines == [
        "models.mlp:MLP hidden=[4]",
        "layer kind output shape parameters",
        "hidden.0 Linear (rows, 4) 24",
        "out Linear (rows, 3) 15",
        "total 39: 39 trained, 0 not",
        "",
        "models.mlp:MLP hidden=[6, 2]",
        "layer kind output shape parameters",
        "hidden.0 Linear (rows, 6) 36",
        "hidden.1 Linear (rows, 2) 14",
        "out Linear (rows, 3) 9",
        "total 59: 59 trained, 0 not",
    ]


def test_a_plain_pair_has_its_arrays(summary: Callable[..., Lines]) -> None:
    assert summary()[2:] == ["hidden 30", "out 18", "total 48: 48 trained, 0 not"]


@pytest.mark.parametrize("use", ["sequential", "NnxNet", "LinenNet"])
def test_statistics_are_counted_with_their_layer_and_apart_in_the_total(
    use: str, summary: Callable[..., Lines]
) -> None:
    lines = summary(model={"use": f"user_models:{use}"})
    assert [line.split()[-1] for line in lines[2:-1]] == ["42", "28", "0", "24"]
    assert [line.split()[1] for line in lines[2:-1]][-2] == "Dropout"
    assert lines[-1] == "total 94: 80 trained, 14 not"


@pytest.mark.parametrize(
    "use", ["functional", "Subclassed", "EquinoxDropout", "equinox_mlp", "LinenStateless", "NnxNet"]
)
def test_the_layers_hold_all_that_a_model_has(use: str) -> None:
    model = build_model(f"user_models:{use}", {}, (5,), 3)
    kept = 14 if use == "NnxNet" else 0
    assert sum(layer.numbers for layer in outline(model)) == model.parameter_count + kept
    assert [layer.shape for layer in outline(model)][-1] == (3,)
