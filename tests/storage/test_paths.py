"""A folder that cannot be written, or leads elsewhere, is refused before anything is written to it."""

from __future__ import annotations

import ast
import errno
import os
from pathlib import Path

import pytest

import sweeps
from sweeps.errors import DiskError, ResultsError
from sweeps.log.jsonl import LogWriter
from sweeps.storage.lock import FolderLock, check_unlocked
from sweeps.storage.paths import TABLES, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "results" / "small" / "log").mkdir(parents=True)
    return RunFolder(tmp_path / "results" / "small")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file of somebody's, that no sweep may touch."""
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "diary.txt"
    file.write_text("dear diary")
    return file


def refusal(folder: RunFolder) -> str:
    with pytest.raises(ResultsError) as caught:
        folder.prepare()
    return str(caught.value)


def test_a_folder_that_can_be_written_is_left_as_it_was(folder: RunFolder, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    folder.prepare()
    RunFolder(tmp_path / "new" / "results" / "small").prepare()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_a_link_out_of_the_results_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "results").mkdir()
    folder = RunFolder(tmp_path / "results" / "small")
    folder.path.symlink_to(elsewhere.parent)
    assert "a sweep's folder must lie in the results" in refusal(folder)


def test_results_as_a_whole_may_be_a_link(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "results").symlink_to(elsewhere.parent)
    RunFolder(tmp_path / "results" / "small").prepare()


@pytest.mark.parametrize(
    "name",
    ["log", "best", "checkpoints", ".owner", "log/worker-0.jsonl", "best/best.json", "trials.csv", "config.yaml"],
)
def test_a_link_in_the_folder_is_refused_wherever_it_leads(folder: RunFolder, elsewhere: Path, name: str) -> None:
    link = folder.path / name
    link.parent.mkdir(exist_ok=True)
    if link.is_dir():
        link.rmdir()
    link.symlink_to(elsewhere.parent if "." not in name else elsewhere)
    assert refusal(folder).startswith(f"{link} is a link; a sweep writes to files of its own")
    assert elsewhere.read_text() == "dear diary"


def test_a_link_that_comes_later_is_not_followed(folder: RunFolder, elsewhere: Path) -> None:
    folder.prepare()
    folder.owner.symlink_to(elsewhere)
    (folder.log / "worker-0.jsonl").symlink_to(elsewhere)
    with pytest.raises(ResultsError, match=r"\.owner cannot be written: Too many levels of symbolic links"):
        FolderLock(folder)
    check_unlocked(folder)
    with pytest.raises(ResultsError, match=r"worker-0\.jsonl cannot be written: Too many levels of symbolic links"):
        LogWriter(folder.log, "worker-0")
    assert elsewhere.read_text() == "dear diary"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskError), (errno.EDQUOT, DiskError), (errno.EROFS, ResultsError)]
)
def test_a_full_disk_is_told_apart_from_one_that_cannot_be_written(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[ResultsError]
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ResultsError) as caught:
        folder.prepare()
    assert type(caught.value) is kind
    reason = os.strerror(number)
    assert str(caught.value) == (
        f"the results folder {folder.path} cannot be written: {reason}. Choose another with --results DIR"
    )


def test_an_owner_that_cannot_write_its_name_is_refused_in_one_line(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(DiskError, match=r"\.owner cannot be written: No space left on device"):
            FolderLock(folder)
    with FolderLock(folder):  # the lock was given back
        pass


def test_an_owner_goes_on_where_its_name_can_be_neither_renewed_nor_removed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "")

    with FolderLock(folder) as owner:
        monkeypatch.setattr(os, "utime", refuse)
        monkeypatch.setattr(os, "ftruncate", refuse)
        owner.renew()
    monkeypatch.undo()
    with FolderLock(folder):
        pass


def test_the_names_of_files_in_a_results_folder_are_written_in_this_room_alone() -> None:
    """Names that a program uses, that is: docstrings, comments and what is printed may name a file too."""
    package = Path(sweeps.__file__).parent
    names = [RunFolder(Path()).manifest.name, ".owner", "environment.json", "best.json", "parameters.npz", "*.jsonl"]
    names += [*TABLES, "config.yaml", ".partial", ".torn-", "checkpoints", "log"]
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # A string that is joined to a folder with `/`, or looked for with `glob`.
            operands = [node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "glob" in node.func.attr:
                operands = list(node.args)
            texts = [each.value for each in operands if isinstance(each, ast.Constant)]
            if any(str(text) in names or any(name in str(text) for name in names[-4:-2]) for text in texts):
                found.add(str(path.relative_to(package)))
    assert found == {"storage/files.py", "storage/paths.py"}
