"""`sweep init`: a new project that runs as it is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from rich.console import Console

from sweeps.command import display, template_data
from sweeps.config import json_schema, parse_config
from sweeps.errors import ConfigError, SweepError

TEMPLATES = ("mnist", "csv", "keras", "flax", "images", "series")
NEEDED: Mapping[str, tuple[str, str]] = {"keras": ("keras", "keras"), "images": ("PIL", "pillow")}
"""The module that a template needs, and what pip calls it."""
YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}
SCHEMA = "sweep.schema.json"


def command(console: Console, folder: Path, template: str) -> None:
    """Write a project into a folder that is new or empty, and say what to do next.

    Raises:
        SweepError: the folder holds something, its name cannot be a sweep's, or it cannot be written.
    """
    name = folder.resolve().name
    _check_name(name, template)
    if folder.is_dir() and any(folder.iterdir()):
        raise SweepError(f"{folder} is not empty. Give another name: `sweep init NAME`")
    try:
        for path, content in _contents(name, template):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    except OSError as error:
        raise SweepError(f"{folder} cannot be written: {os.strerror(error.errno or 0)}") from error
    module, package = NEEDED.get(template, ("sweeps", ""))
    needs = [] if importlib.util.find_spec(module) else [f"pip install {package}"]
    display.line(console, f"{folder} has a sweep. To run it:\n")
    for line in (f"cd {folder}", *needs, "sweep run sweep.yaml"):
        display.line(console, f"    {line}")
    display.line(console, "\nREADME.md says what else there is.")


def _check_name(name: str, template: str) -> None:
    try:
        parse_config(_sweep(template, name))
    except ConfigError as error:
        said = str(error).partition(": name: ")[2]
        raise SweepError(f"the folder's name is the sweep's, which {said}") from error


def _sweep(template: str, name: str) -> str:
    """The sweep's file; the name is in quotes where YAML would read it as something else."""
    text = (_root(template) / "sweep.yaml").read_text(encoding="utf-8")
    is_word = re.fullmatch(r"[A-Za-z][A-Za-z_.-]+[0-9]*", name) and name.lower() not in YAML_WORDS
    return text.replace("name: NAME", f"name: {name if is_word else json.dumps(name)}").replace("NAME", name)


def _contents(name: str, template: str) -> Iterator[tuple[str, bytes]]:
    """The files of a project, by their paths in it."""
    root = _root("README.md")
    is_maximized = "direction: maximize" in _sweep(template, name)
    yield "README.md", _text(root, name).replace("ASCENDING", str(not is_maximized)).encode()
    yield ".gitignore", _text(_root("gitignore"), name).encode()
    yield SCHEMA, (json.dumps(json_schema(), indent=1) + "\n").encode()
    for path, file in _files(_root(template), ""):
        if path == "sweep.yaml":
            yield path, f"# yaml-language-server: $schema={SCHEMA}\n{_sweep(template, name)}".encode()
        else:
            yield path, file.read_bytes()
    if template == "series":
        yield "data/series.csv", template_data.series().encode()
    if template == "images":
        yield from ((f"data/{path}", image) for path, image in template_data.shapes())


def _files(folder: Traversable, before: str) -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir() and each.name != "__pycache__":
            yield from _files(each, f"{before}{each.name}/")
        elif each.is_file():
            yield before + each.name, each


def _root(name: str) -> Traversable:
    return files("sweeps") / "templates" / name


def _text(file: Traversable, name: str) -> str:
    return file.read_text(encoding="utf-8").replace("NAME", name)
