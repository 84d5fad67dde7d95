"""`sweep init`: projects that are right as they are."""

from __future__ import annotations

import math
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import sweeps
from sweeps.cli import Template
from sweeps.command import check, init, template_data
from sweeps.command.run import End, run
from sweeps.command.signals import Signals
from sweeps.config import load_config
from sweeps.errors import SweepError
from sweeps.stop_request import StopRequest

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("any_promotion")  # as in a user's process
NEEDS: dict[str, str] = {"images": "PIL", "keras": "keras"}


def made(folder: Path, template: str) -> str:
    console = Console(width=80, highlight=False, force_terminal=False)
    with console.capture() as captured:
        init.command(console, folder, template)
    return captured.get()


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of the project before this one are not taken for its own."""
    for name in [name for name in sys.modules if name.partition(".")[0] in {"models", "rows"}]:
        monkeypatch.delitem(sys.modules, name)


def test_the_templates_are_those_of_the_command() -> None:
    assert tuple(Template) == init.TEMPLATES
    assert {file.name for file in init._root("").iterdir() if file.is_dir()} - {"__pycache__"} == set(init.TEMPLATES)


@pytest.mark.parametrize("template", init.TEMPLATES)
def test_a_new_project_is_right_as_it_is(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if template in NEEDS:
        pytest.importorskip(NEEDS[template])
    said = made(tmp_path / "first-try", template)
    assert said.splitlines()[2:4] == [f"    cd {tmp_path}/first-try", "    sweep run sweep.yaml"]
    monkeypatch.chdir(tmp_path / "first-try")
    check.check(Console(width=200), Path("sweep.yaml"), [])
    told = capsys.readouterr().out
    assert "sweep.yaml: right" in told
    assert "look at:" not in told
    assert load_config("sweep.yaml").name == "first-try"
    for name in ("README.md", ".gitignore", "sweep.schema.json", "models/__init__.py"):
        assert Path(name).is_file()
    assert "NAME" not in Path("README.md").read_text() + Path("sweep.yaml").read_text()
    is_ascending = load_config("sweep.yaml").objective.direction == "minimize"
    assert f'sort_values("value", ascending={is_ascending})' in Path("README.md").read_text()


def test_a_new_project_runs_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "birds", "csv")
    monkeypatch.chdir(tmp_path / "birds")
    less = ["budget.trials=2", "search_space.epochs=2", "search_space.model.hidden=[8]", "search_space.batch_size=32"]
    with Signals(StopRequest(), print) as signals:
        assert run(Console(quiet=True), Path("sweep.yaml"), Path("results"), less, signals) is End.COMPLETE
    assert len(sweeps.load("results/birds").trials) == 2


@pytest.mark.parametrize(("template", "copy", "original"), [
    ("mnist", "models/mlp.py", "models/mlp.py"),
    ("csv", "models/mlp.py", "models/mlp.py"),
    ("images", "models/cnn.py", "models/cnn.py"),
    ("series", "models/lstm.py", "models/lstm.py"),
    ("csv", "data/penguins.csv", "configs/penguins.csv"),
])  # fmt: skip
def test_what_a_template_takes_from_the_repository_is_as_it_is_there(template: str, copy: str, original: str) -> None:
    assert (init._root(template) / copy).read_bytes() == (REPOSITORY / original).read_bytes()


@pytest.mark.parametrize("name", ["007", "1e3", "yes", "no.1", "2026-11-29"])
def test_a_name_that_yaml_reads_as_something_else_is_in_quotes(name: str, tmp_path: Path) -> None:
    made(tmp_path / name, "mnist")
    assert load_config(tmp_path / name / "sweep.yaml").name == name


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(SweepError, match=r"mine is not empty\. Give another name"):
        made(tmp_path / "mine", "csv")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_folder_whose_name_is_no_sweeps_name_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"^the folder's name is the sweep's, which must be 1 to 64 .* got 'a b'"):
        made(tmp_path / "a b", "csv")
    assert not (tmp_path / "a b").exists()


def test_the_images_are_read_by_pillow_and_differ_by_their_shape() -> None:
    image = pytest.importorskip("PIL.Image")
    inks: dict[str, list[float]] = {}
    for path, content in template_data.shapes():
        pixels: Any = np.asarray(image.open(BytesIO(content)))
        assert (pixels.shape, pixels.dtype) == ((24, 24), np.uint8)
        rows, columns = np.nonzero(pixels > 105)
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        inks.setdefault(path.partition("/")[0], []).append(len(rows) / box)
    # Of the box around it a circle covers pi / 4, a square all, and the cross what its bars are of it.
    for shape, part in (("circle", math.pi / 4), ("square", 1.0), ("cross", 0.3 * 2 - 0.3**2)):
        assert np.mean(inks[shape]) == pytest.approx(part, abs=0.1)


def test_the_series_has_a_warm_and_a_cold_half_of_the_year(tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text(template_data.series())
    table = pd.read_csv(tmp_path / "series.csv", parse_dates=["day"])
    summer = table["day"].dt.month.between(5, 9)
    assert len(table) == template_data.DAYS
    assert table["temperature"][summer].mean() > 14
    assert table["temperature"][table["day"].dt.month.isin([12, 1, 2])].mean() < 4
