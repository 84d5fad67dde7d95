"""Runs to a Markdown page. A page has the machine, medians with their spread, and goals with whether they are met."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.comparison import comparisons
from benchmarks.markdown import table
from benchmarks.own_goals import own_goals
from benchmarks.process import Run
from benchmarks.rates import rates


def page(runs: Sequence[Run], device: str, facts: Sequence[tuple[str, str]]) -> str:
    """The whole page: where its figures come from, then a section for everything that ran."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        if run.result is not None:
            by_name.setdefault(run.name, []).append(run)
    failed = sorted({run.name for run in runs if run.result is None})
    sections = [
        "# Benchmarks",
        table(("", ""), facts),
        f"Failed, and left out below: {', '.join(failed)}" if failed else "",
        *comparisons(by_name, device),
        rates(by_name, device),
        own_goals(by_name, device),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
