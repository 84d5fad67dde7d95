"""`module:name` becomes an object and a path a file, or one line says what is not there and where it was looked for."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from sweeps.datasets import loading
from sweeps.errors import DataError
from sweeps.user_code import (
    argument_faults,
    exit_refused,
    failed,
    find_file,
    in_two_folders,
    locate,
    project_beside,
    project_folders,
    reason_with_place,
    taken_by,
)

MODULE = """\
class Outer:
    @staticmethod
    def inner(width, *, depth=1):
        return width, depth

def build(width, depth=1, *others):
    pass

def anything(**arguments):
    pass

number = 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder with a package `parts` of modules, as the working directory."""
    (tmp_path / "parts").mkdir()
    for name, text in {
        "good": MODULE,
        "broken": "import json\n\ndef f(:\n    pass\n",
        "raising": "x = 1\ny = x / 0\n",
        "deep": 'import json\n\n\ndef f():\n    json.loads("{")\n\n\nf()\n',
        "leaving": "import sys\nsys.exit('bye')\n",
        "needing": "import nobody_has_it\n",
        "renamed": "import numpy.no_such_part\n",
        "absent": "import numpy\nfrom numpy import no_such_name\n",
        "astray": "import prts.good\n",
        "pictured": "import PIL.Image\n",
        "of_tensorflow": "import numpy\nfrom tensorflow import keras\n",
    }.items():
        (tmp_path / "parts" / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with project_folders(None):
        yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        del sys.modules[name]


def refused(use: str) -> str:
    with pytest.raises(DataError) as caught:
        locate(use, DataError)
    return str(caught.value)


def test_a_name_finds_the_object_of_the_project(project: Path) -> None:
    assert locate("parts.good:Outer.inner", DataError)(4) == (4, 1)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (
            "parts.god:build",
            "there is no module 'parts.god' in {project}, nor is it installed. Did you mean `parts.good`?",
        ),
        ("prts.good:build", "there is no module 'prts.good' in {project}, nor is it installed. Did you mean `parts`?"),
        ("zzz:build", "there is no module 'zzz' in {project}, nor is it installed"),
        ("prts:build", "there is no module 'prts' in {project}, nor is it installed. Did you mean `parts`?"),
        ("parts.good:buid", "module parts.good has no 'buid'. Did you mean `build`?"),
        ("parts.good:Outer.iner", "module parts.good has no 'Outer.iner'. Did you mean `inner`?"),
        ("parts.good:number", "parts.good:number must be a function or a class, but it is int"),
        ("parts.good:", "must be `module:name`, such as `models.mlp:MLP`, but got 'parts.good:'"),
        (":build", "must be `module:name`, such as `models.mlp:MLP`, but got ':build'"),
        (".good:build", "must be `module:name`, such as `models.mlp:MLP`, but got '.good:build'"),
        ("parts.broken:f", "importing parts.broken failed at {project}/parts/broken.py:3: SyntaxError: invalid syntax"),
        (
            "parts.raising:f",
            "importing parts.raising failed at {project}/parts/raising.py:2: ZeroDivisionError: division",
        ),
        ("parts.leaving:f", "importing parts.leaving failed at {project}/parts/leaving.py:2: SystemExit: bye"),
        (
            "parts.deep:f",
            "importing parts.deep failed at {project}/parts/deep.py:5: JSONDecodeError: Expecting property",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_line(project: Path, use: str, said: str) -> None:
    line = refused(use)
    assert line.startswith(said.format(project=project))
    assert "\n" not in line


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("parts/good.py:build", "parts.good:build"),
        ("./parts/good.py::build", "parts.good:build"),
        ("parts\\good.py:build", "parts.good:build"),
        ("parts/good:build", "parts.good:build"),
        ("{project}/parts/good.py:build", "parts.good:build"),
        ("parts.good.build", "parts.good:build"),
        ("parts.good.py:build", "parts.good"),
    ],
)
def test_a_path_to_a_file_is_answered_with_its_module(project: Path, use: str, name: str) -> None:
    assert refused(use.format(project=project)).endswith(f". Did you mean `{name}`?")
    assert callable(locate(name if ":" in name else f"{name}:build", DataError))


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("needing", 1, "the package 'nobody_has_it' is not installed: pip install nobody_has_it"),
        ("renamed", 1, "ModuleNotFoundError: No module named 'numpy.no_such_part'"),
        ("absent", 2, "ImportError: cannot import name 'no_such_name' from 'numpy'"),
        ("astray", 1, "the package 'prts' is not installed: pip install prts. Did you mean `parts`?"),
    ],
)
def test_an_import_that_fails_in_a_module_is_told_with_its_line(project: Path, name: str, line: int, said: str) -> None:
    told = refused(f"parts.{name}:f")
    assert told.startswith(f"importing parts.{name} failed at {project}/parts/{name}.py:{line}: {said}")
    assert "\n" not in told


def test_keras_of_tensorflow_is_answered_with_keras(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert refused("parts.of_tensorflow:f").endswith(
        "of_tensorflow.py:2: the package 'tensorflow' is not installed: `import keras` is enough, which computes with "
        "JAX here"
    )


def test_a_package_is_installed_by_the_name_that_pip_knows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert refused("parts.pictured:f").endswith("pictured.py:1: the package 'PIL' is not installed: pip install pillow")


def test_the_working_directory_comes_before_the_folder_above_configs(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "configs").mkdir(parents=True)
    for folder, text in ((project, "here"), (other, "there")):
        (folder / "both.txt").write_text(text)
    (other / "only.txt").write_text("there")
    before = list(sys.path)
    with project_folders(other / "configs" / "sweep.yaml"):
        assert sys.path[:2] == [str(project), str(other)]
        assert find_file("both.txt", DataError).read_text() == "here"
        assert find_file("only.txt", DataError) == other / "only.txt"
        assert find_file(str(other / "only.txt"), DataError) == other / "only.txt"
    assert sys.path == before
    with pytest.raises(DataError, match=rf"^there is no file only\.txt in {project}$"):
        find_file("only.txt", DataError)


def test_a_config_outside_a_configs_folder_brings_its_own_folder(project: Path, tmp_path: Path) -> None:
    (beside := tmp_path / "beside").mkdir()
    (beside / "t.csv").write_text("there")
    with project_folders(beside / "sweep.yaml"):
        assert sys.path[:2] == [str(project), str(beside)]
        assert find_file("t.csv", DataError) == beside / "t.csv"
        assert (project_beside(), in_two_folders("t.csv")) == (beside, [])
        (project / "t.csv").write_text("here")
        assert in_two_folders("t.csv") == [project / "t.csv", beside / "t.csv"]
    with project_folders(project / "sweep.yaml"):
        assert sys.path[0] == str(project)
        assert project_beside() is None


def test_arguments_are_those_that_can_be_given_by_name(project: Path) -> None:
    assert taken_by(locate("parts.good:build", DataError)) == {"width": True, "depth": False}
    assert taken_by(locate("parts.good:anything", DataError)) is None
    assert taken_by(max) is None  # written in C, and does not say


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["width"], []),
        ([], ["width: make needs this argument"]),
        (["width", "dept"], ["dept: unknown argument. Did you mean `depth`?"]),
        (["width", "zzz"], ["zzz: unknown argument. make takes width, depth"]),
        (["width", "outputs"], ["outputs: comes from the data and is not for a config to give. Remove it"]),
        (["zzz"], ["zzz: unknown argument. make takes width, depth", "width: make needs this argument"]),
    ],
)
def test_faults_of_arguments_are_named(given: list[str], said: list[str]) -> None:
    taken = {"width": True, "depth": False, "outputs": True}
    assert [str(fault) for fault in argument_faults("make", taken, given, derived=["outputs"])] == said


def test_a_failure_is_placed_in_the_users_code_and_not_in_a_library() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")  # this line
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# this line" in text)
    assert reason_with_place(caught.value).endswith(f" ({__file__}:{line})")
    assert failed("reading", caught.value).startswith(
        f"reading failed at {__file__}:{line}: JSONDecodeError: Expecting"
    )


def test_a_failure_without_a_place_is_told_without_one() -> None:
    assert failed("reading", ValueError("two\nlines")) == "reading failed: ValueError: two"
    assert reason_with_place(ValueError("two\nlines")) == "ValueError: two"


def test_the_reason_of_a_failed_callback_is_the_users_own_and_not_the_librarys(tmp_path: Path) -> None:
    def gone(x: Any) -> Any:
        raise RuntimeError("the sensor is gone\nand more")

    line = gone.__code__.co_firstlineno + 1
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.jit(lambda x: jax.pure_callback(gone, jax.ShapeDtypeStruct((), jnp.float32), x))(1.0).block_until_ready()
    assert str(caught.value).startswith("INTERNAL: CpuCallback error calling callback: Traceback")
    assert reason_with_place(caught.value) == f"RuntimeError: the sensor is gone ({__file__}:{line})"
    assert (
        failed("model a:b", caught.value) == f"model a:b failed at {__file__}:{line}: RuntimeError: the sensor is gone"
    )


def test_only_what_a_users_code_raises_itself_is_its_failure() -> None:
    with pytest.raises(SystemExit) as exited:
        sys.exit(3)
    name = "test_only_what_a_users_code_raises_itself_is_its_failure"
    assert str(exit_refused(exited.value)).startswith(f"`{name}` failed at {__file__}:")
    assert exit_refused(SystemExit(3)) is None, "this package's own, or its libraries'"
    with pytest.raises(KeyboardInterrupt) as interrupted:
        raise KeyboardInterrupt
    assert exit_refused(interrupted.value) is None, "a Ctrl-C may come while a user's code runs"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert exit_refused(interrupted.value) is not None
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_package_of_two_folders_is_told(project: Path, tmp_path: Path) -> None:
    for folder, name in ((project, "one"), (tmp_path / "beside", "other")):
        (folder / "twice").mkdir(parents=True)
        (folder / "twice" / "__init__.py").write_text("")
        (folder / "twice" / f"{name}.py").write_text("def f(): pass")
    with project_folders(tmp_path / "beside" / "sweep.yaml"):
        assert locate("twice.one:f", DataError) is not None
        said = refused("twice.other:f")
    assert said.startswith(
        f"module 'twice.other' is {tmp_path}/beside/twice/other.py, but Python takes `twice` from another"
    )
    assert said.endswith("Give one of them another name")


def test_code_that_changes_the_working_directory_is_refused_and_results_stay_where_they_are(project: Path) -> None:
    (project / "parts" / "moving.py").write_text("import os\nos.chdir('/')\n")
    (project / "parts" / "moved.py").write_text("import os\ndef data():\n    os.chdir('/')\n    return [[1.0]], [0]\n")
    told = "changes the working directory to /, and results would go there. Leave `os.chdir` out"
    assert refused("parts.moving:x") == f"importing parts.moving {told}"
    with pytest.raises(DataError, match=f"parts.moved:data {told}"):
        loading.load("parts.moved:data", {})
    assert Path.cwd() == project
