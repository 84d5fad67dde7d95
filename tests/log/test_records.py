"""`sweeps/log/README.md` lists the fields of every kind of record, as a run writes them."""

from __future__ import annotations

import re
from pathlib import Path

import sweeping
from sweeping import small

import sweeps
from sweeps.log.jsonl import read_log


def listed() -> dict[str, tuple[set[str], set[str]]]:
    """Of each kind of record, all fields of the README, and those that come only under a condition."""
    text = (Path(sweeps.__file__).parent / "log" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    found = {}
    for kind, fields in rows:
        conditional = " ".join(part for part in re.split(r"; |, (?=`ahead`)", fields) if re.search(r"\bif\b", part))
        found[kind] = (set(re.findall(r"`(\w+)`", fields)), set(re.findall(r"`(\w+)`", conditional)))
    return found


def test_every_record_of_a_run_has_the_fields_that_the_readme_lists(tmp_path: Path) -> None:
    sweeping.finish(small(), tmp_path)
    kinds = listed()
    seen = set()
    for record in read_log(tmp_path / "small" / "log").records:
        seen.add(record["kind"])
        fields, conditional = kinds[record["kind"]]
        assert fields - conditional <= record.keys() - {"kind", "time", "elapsed", "worker"} <= fields, record
    assert {"run", "ask", "start", "epoch", "outcome", "best", "finish"} <= seen
    source = "".join(path.read_text() for path in (Path(sweeps.__file__).parent / "runner").glob("*.py"))
    assert set(re.findall(r'\.record\(\s*"([a-z_]+)"', source)) == kinds.keys()
