"""What a sweep that was cut short must come to. It is compared with a sweep that nothing disturbed.

A trial is acknowledged once somebody was told of it: here, once its line of news was printed. From then on it may not
be lost, may not change, and is not told again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sweeps
from sweeps.log.jsonl import read_log
from sweeps.results.results import Results

TIMES = ("datetime_start", "datetime_complete", "duration", "train_seconds", "seconds")


class Reference:
    """What a sweep came to that nothing disturbed."""

    def __init__(self, folder: Path) -> None:
        self._results, self._parameters = sweeps.load(folder), _arrays(folder)
        self._names = _names(folder)

    def problems(self, folder: Path, told: Sequence[str]) -> list[str]:
        """Everything in which a disturbed sweep differs, given all that its runs told; [] where all is well."""
        return list(self._problems(folder, told))

    def _problems(self, folder: Path, told: Sequence[str]) -> Iterator[str]:
        results = sweeps.load(folder)
        for name in ("trials", "history"):
            table = getattr(results, name)
            yield from _difference(f"the log's {name}", table, getattr(self._results, name), without=TIMES)
            yield from _difference(f"{name}.parquet", pd.read_parquet(folder / f"{name}.parquet"), table)
            if len(pd.read_csv(folder / f"{name}.csv")) != len(table):
                yield f"{name}.csv has another number of rows"
        yield from self._broken_promises(results, told)
        log = read_log(folder / "log")
        outcomes = Counter(record["number"] for record in log.records if record["kind"] == "outcome")
        if log.damaged or set(outcomes) != set(results.trials["number"]) or set(outcomes.values()) != {1}:
            yield f"the log has {log.damaged}, and outcomes {dict(outcomes)}"
        if results.best is None or self._results.best is None or _best(results) != _best(self._results):
            yield f"the best trial is {results.best}, not {self._results.best}"
        elif not _same(_arrays(folder), self._parameters):
            yield "best/ has other parameters"
        # A run of 20 seconds or more leaves a report, which the reference's may not have.
        strange = {name for name in _names(folder) - self._names if ".torn-" not in name} - {"report.html"}
        if strange:
            yield f"left over: {sorted(strange)}"

    def _broken_promises(self, results: Results, told: Sequence[str]) -> Iterator[str]:
        kept = {_news(row, results.metric) for row in results.trials.to_dict("records")}
        for line, times in Counter(told).items():
            if line not in kept:
                yield f"told and not kept: {line}"
            if times > 1:
                yield f"told {times} times: {line}"


def _news(row: dict[str, Any], metric: str) -> str:
    """What is said of a trial when it ends, from its row in the tables."""
    figure = "" if np.isnan(row["value"]) else f", {metric} {row['value']:.4g}"
    reason = "" if pd.isna(row["reason"]) or not row["reason"] else f" ({row['reason']})"
    return f"trial {row['number']} {row['outcome']}{figure}{reason}"


def _difference(what: str, left: pd.DataFrame, right: pd.DataFrame, without: Sequence[str] = ()) -> Iterator[str]:
    left, right = (table.drop(columns=[*without], errors="ignore") for table in (left, right))
    try:
        pd.testing.assert_frame_equal(left, right)
    except AssertionError as error:
        yield f"{what}: {' '.join(str(error).split())}"


def _best(results: Results) -> tuple[Any, ...]:
    best = results.best
    return () if best is None else (best.number, best.value, dict(best.params), dict(best.test))


def _same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "best" / "parameters.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
