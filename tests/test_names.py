"""Names in `sweeps/` are unambiguous: a public class is the only one of its name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sweeps"


def public_classes(source: str) -> list[str]:
    """The names of all classes of a source that do not begin with an underscore, those inside others included."""
    found = (node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    return [name for name in found if not name.startswith("_")]


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    ours = (path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)
    for path in sorted(ours):
        for name in public_classes(path.read_text(encoding="utf-8")):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_private_classes_are_left_out_and_inner_ones_are_not() -> None:
    source = "class A:\n    class B: ...\n    class _C: ...\ndef f():\n    class D: ..."
    assert sorted(public_classes(source)) == ["A", "B", "D"]
