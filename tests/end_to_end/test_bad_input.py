"""Data and models that do not fit: one line with file, line and YAML path, what must hold, what was got, what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sweeps import cli

CONFIG = """\
name: bad
dataset:
  use: npz
  path: data.npz
model: {use: "nets:Fits"}
loss: softmax_cross_entropy
metrics: [accuracy]
search_space: {epochs: 1, batch_size: 8, learning_rate: 0.1}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 1}
"""

NETS = """\
import jax
import jax.numpy as jnp
from flax import nnx

class Fits(nnx.Module):
    def __init__(self, input_shape, outputs, *, rngs):
        self.layer = nnx.Linear(*input_shape, outputs, rngs=rngs)
    def __call__(self, x):
        return self.layer(x)

class OfSeven(nnx.Module):
    def __init__(self, outputs, *, rngs):
        self.layer = nnx.Linear(7, outputs, rngs=rngs)
    def __call__(self, x):
        return self.layer(x)

class OfTenClasses(Fits):
    def __init__(self, input_shape, *, rngs):
        super().__init__(input_shape, 10, rngs=rngs)

def keras_of_nine(outputs):
    import keras
    return keras.Sequential([keras.Input((9,)), keras.layers.Dense(outputs)])

def plain_of_nine(outputs):
    return (lambda key: jnp.zeros((9, outputs))), (lambda params, x: x @ params)

def needing(outputs):
    import no_such_library
    return None

def keyed(outputs, key):
    return None
"""

DATA = """\
import numpy as np
from sweeps.datasets.dataset import Dataset, Split

def labels():
    split = Split(np.zeros((9, 4), np.float32), np.arange(9))
    return Dataset(split, split, classes=3)

def broken():
    rows = np.zeros(3)
    return rows[7]
"""

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
HOLED = np.where((np.arange(240) == 7 * 4 + 2).reshape(60, 4), np.nan, X)
Check = Callable[..., str]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Check]:
    """`sweep check` of the config under changes of its text; gives the one line of the refusal."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"nets.py": NETS, "sources.py": DATA}.items():
        Path(name).write_text(text)
    np.savez("data.npz", x=X, y=Y)
    np.savez("holed.npz", x=HOLED, y=Y)
    np.savez("negative.npz", x=X, y=Y - 1)
    lines = [f"{x[0]},{'' if row == 9 else x[1]},{y}" for row, (x, y) in enumerate(zip(X, Y, strict=True))]
    Path("pets.csv").write_text("width,height,kind\n" + "\n".join(lines) + "\n")

    def run(old: str = "", new: str = "") -> str:
        assert old in CONFIG
        Path("bad.yaml").write_text(CONFIG.replace(old, new))
        monkeypatch.setattr(sys, "argv", ["sweep", "check", "bad.yaml"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (2, ""), said
        (line,) = said.err.splitlines()
        return line.removeprefix("error: ")

    yield run
    for name in ("nets", "sources", "torn", "lacking"):
        sys.modules.pop(name, None)


TASK = "It must map ('rows', 4) to ('rows', 3) for this data and loss"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("OfSeven", "nets:OfSeven failed at {here}/nets.py:15: TypeError: dot_general requires contracting dimensions"),
        ("plain_of_nine", "nets:plain_of_nine failed at {here}/nets.py:26: TypeError: dot_general requires"),
        ("keras_of_nine", "nets:keras_of_nine failed: ValueError: Input 0"),
    ],
)
def test_a_model_of_another_shape_is_told_with_the_shape_of_the_data(
    check: Check, tmp_path: Path, use: str, said: str
) -> None:
    line = check("nets:Fits", f"nets:{use}")
    assert line.startswith(f"bad.yaml:5: model: model {said.format(here=tmp_path)}")
    assert line.endswith(f". {TASK}")
    assert ("7" if use == "OfSeven" else "9") in line


def test_a_model_of_other_outputs_is_told_with_both_numbers(check: Check) -> None:
    assert check("nets:Fits", "nets:OfTenClasses") == (
        "bad.yaml:5: model: model nets:OfTenClasses must map ('rows', 4) to ('rows', 3) for this data and loss, "
        "but its output is ('rows', 10)"
    )


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (
            "use: npz\n  path: holed.npz",
            "holed.npz: x: row 7 has a NaN or an infinity in column 2 (both count from 0)",
        ),
        (
            "use: csv\n  path: pets.csv\n  target: kind",
            (
                "pets.csv:11: every cell of column 'height' must be a finite number in float32, but got an empty cell. "
                "`missing: drop` drops such rows; `mean` and `median` fill them in"
            ),
        ),
        (
            "use: csv\n  path: pets.csv\n  target: kinds",
            "pets.csv: there is no column 'kinds'; the nearest are 'kind'",
        ),
        (
            "use: csv\n  path: pets.csv\n  target: kind\n  features: [width, weight]",
            "pets.csv: there is no column 'weight'; the nearest are 'height'",
        ),
        (
            "use: npz\n  path: negative.npz",
            (
                "targets that are whole numbers are class labels and must be at least 0, but got -1 … 1. "
                "Values to regress on must be floats"
            ),
        ),
        (
            "use: sources:labels",
            (
                "targets that are whole numbers are class labels and must be 0 … 2, as classes=3 says, but got 0 … 8. "
                "Values to regress on must be floats"
            ),
        ),
        ("use: npz\n  path: data.npz\n  x: images", "data.npz has no array 'images'; it has x, y"),
        (
            "use: sources:broken",
            "sources:broken failed at {here}/sources.py:10: IndexError: index 7 is out of bounds for axis 0",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_are_told_with_their_place(
    check: Check, tmp_path: Path, dataset: str, said: str
) -> None:
    line = check("use: npz\n  path: data.npz", dataset)
    assert line.startswith(f"bad.yaml:2: dataset: {said.format(here=tmp_path)}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import json\ndef net(outputs:\n    pass\n", 2, "SyntaxError: "),
        ("\nfrom numpy import no_such_name\n", 2, "ImportError: cannot import name 'no_such_name' from 'numpy'"),
        ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("import json\nimport no_such_library.layers\n", 2, "the package 'no_such_library' is not installed: "),
    ],
)
def test_a_models_file_with_a_mistake_is_told_with_its_line(
    check: Check, tmp_path: Path, text: str, line: int, said: str
) -> None:
    Path("torn.py").write_text(text)
    told = check("nets:Fits", "torn:net")
    assert told.startswith(f"bad.yaml:5: model.use: importing torn failed at {tmp_path}/torn.py:{line}: {said}")


@pytest.mark.parametrize("library", ["keras", "equinox"])
def test_a_library_that_is_not_installed_is_told_with_the_command_that_installs_it(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    Path("lacking.py").write_text(f"import {library}\n\ndef net(outputs):\n    pass\n")
    assert check("nets:Fits", "lacking:net") == (
        f"bad.yaml:5: model.use: importing lacking failed at {tmp_path}/lacking.py:1: "
        f"the package '{library}' is not installed: pip install {library}"
    )


def test_a_library_that_is_imported_by_a_function_is_told_as_well(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("nets:Fits", "nets:needing") == (
        f"bad.yaml:5: model: model nets:needing failed at {tmp_path}/nets.py:29: "
        f"the package 'no_such_library' is not installed: pip install no_such_library"
    )
    monkeypatch.setitem(sys.modules, "equinox", None)
    assert check("nets:Fits", "nets:keyed") == (
        "bad.yaml:5: model: model nets:keyed failed: the package 'equinox' is not installed: pip install equinox"
    )
