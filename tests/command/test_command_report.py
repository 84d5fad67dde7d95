"""`sweep report` writes the page or says why not, and a run ends the same whatever comes of its report."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from made_up_sweep import records, write
from rich.console import Console

from sweeps.command import report
from sweeps.errors import DiskError, ResultsError
from sweeps.results.results import Results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "toy", records(2))


def said(command: Any, *arguments: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    command(console, *arguments)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_command_says_where_the_page_is_and_how_large(folder: Path) -> None:
    assert said(report.command, folder, None) == f"{folder}/report.html: 2 trials, 1.4 MB; any browser opens it\n"
    other = folder.parent / "new" / "page.html"
    assert said(report.command, folder, other).startswith(f"{other}: 2 trials")
    assert other.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_folder_that_is_none_or_a_file_that_cannot_be_written_is_one_line(folder: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no results folder .*other\. There is: .*toy"):
        said(report.command, folder.parent / "other", None)
    with pytest.raises(ResultsError, match="cannot be written: Is a directory"):
        said(report.command, folder, folder)
    assert not list(folder.parent.glob("**/.*.partial*"))


def test_a_long_run_leaves_a_report_and_a_short_one_says_how_to_get_it(folder: Path) -> None:
    assert said(report.after_a_run, folder, 2.0) == f"\nreport    `sweep report {folder}` writes one\n"
    assert not (folder / "report.html").exists()
    assert said(report.after_a_run, folder, 28.0) == f"\nreport    {folder}/report.html, for any browser\n"
    assert (folder / "report.html").exists()


def test_a_report_that_is_there_is_written_anew_once_the_log_has_more(folder: Path) -> None:
    page = folder / "report.html"
    page.write_text("old")
    os.utime(folder / "log" / "worker-0.jsonl", (1, 1))
    said(report.after_a_run, folder, 2.0)
    assert page.read_text() == "old"
    os.utime(page, (0, 0))
    said(report.after_a_run, folder, 2.0)
    assert page.read_text(encoding="utf-8") != "old"


@pytest.mark.parametrize("error", [DiskError("report.html cannot be written: No space left"), ValueError("a bug")])
def test_a_report_that_fails_after_a_run_is_a_line_and_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: Results) -> Path:
        raise error

    monkeypatch.setattr(Results, "report", fail)
    assert said(report.after_a_run, folder, 28.0) == f"\nreport    not written: {error}\n"
