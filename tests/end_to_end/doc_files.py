"""The project's pages for readers, and the snippets in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(PROJECT)
    for pattern in ("*.md", "docs/*.md", "*/README.md", "sweeps/*/README.md")
    for path in PROJECT.glob(pattern)
    if path.name != "CHANGELOG.md"  # which speaks of what there was
    and path.parent.name != "templates"  # which are of another project
)
SNIPPET = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)


class Snippet(NamedTuple):
    """A block of code in a page. `reason` says why it is not run; it is "" for those that are."""

    page: Path
    language: str
    text: str
    reason: str


def text_of(page: Path) -> str:
    """A page's text."""
    return (PROJECT / page).read_text(encoding="utf-8")


def snippets(language: str, *pages: Path) -> list[Snippet]:
    """The blocks of one language in some pages, or in all."""
    return [
        Snippet(page, language, found["text"], found["reason"] or _installs(found["text"]))
        for page in pages or PAGES
        for found in SNIPPET.finditer(text_of(page))
        if found["language"] == language
    ]


def completed(text: str) -> dict[str, Any]:
    """A part of a sweep's file within a whole one; a whole one as it is."""
    part = yaml.safe_load(text)
    if "name" in part:
        return part
    whole = yaml.safe_load((PROJECT / "configs" / "penguins.yaml").read_text(encoding="utf-8"))
    return {**whole, **part, "search_space": {**whole["search_space"], **part.get("search_space", {})}}


def _installs(text: str) -> str:
    return "makes an environment, as .ci/run does" if "python3 -m venv" in text else ""
