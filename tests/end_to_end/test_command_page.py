"""docs/command.md names every command with its arguments, its options and the example of its help, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from doc_files import snippets, text_of

from sweeps.cli import app

PAGE = Path("docs/command.md")
COMMANDS = typer.main.get_command(app).commands
SECTIONS = {
    title.split()[0]: (title, body)
    for title, body in re.findall(r"^## sweep (.+?)\n(.*?)(?=^## |\Z)", text_of(PAGE), flags=re.MULTILINE | re.DOTALL)
}


def test_every_command_has_a_section_and_a_line_in_the_overview_in_the_order_of_the_help() -> None:
    overview = re.findall(r"^\| \[`sweep (\w+).*?`\]", text_of(PAGE), flags=re.MULTILINE)
    assert list(SECTIONS) == overview == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_is_headed_by_the_arguments_of_its_command(name: str) -> None:
    arguments = [parameter.name for parameter in COMMANDS[name].params if parameter.param_type_name == "argument"]
    written = {"file": "FILE", "folder": "DIR", "number": "NUMBER", "inputs": "INPUTS", "project": "NAME"}
    assert SECTIONS[name][0] == " ".join([name, *(written[argument] for argument in arguments)])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_has_exactly_the_options_of_its_command(name: str) -> None:
    options = {
        option
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    }
    rows = [line.split("|")[1] for line in SECTIONS[name][1].splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(--?[\w-]+)", " ".join(rows))) == options - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_the_help_is_shown(name: str) -> None:
    found = re.search(r"^ *Example: (.+)$", COMMANDS[name].help or "", flags=re.MULTILINE)
    assert found
    assert found[1] in "".join(snippet.text for snippet in snippets("sh", PAGE)).splitlines()
