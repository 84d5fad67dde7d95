"""What the README and the pages in docs/ show can be typed as it stands: commands, Python, and sweeps in YAML.

A block below `<!-- not run: REASON -->` is left out, and so is one that makes an environment. `py` blocks are what a
user puts into a file of models.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from doc_files import PAGES, PROJECT, Snippet, completed, snippets, text_of

from sweeps.config import load_config, parse_config

README = Path("README.md")
SHORT = ("--trials", "2", "--set", "model.hidden=[32]")
LANGUAGES = {"", "py", "python", "sh", "yaml"}
RUN_ALL = """\
import contextlib, io, json, shlex, sys, traceback
from sweeps.cli import main

def outcome(kind, text):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            if kind == "python":
                exec(text, {"__name__": "__main__"})
            else:
                sys.argv = shlex.split(text)
                main()
        except SystemExit as ended:
            if ended.code:
                return f"exit code {ended.code}: {out.getvalue()}"
        except BaseException:
            return traceback.format_exc()
    is_quiet = kind == "python" and "print(" not in text
    return "" if is_quiet or out.getvalue().strip() else "nothing was printed"

print(json.dumps([outcome(*task) for task in json.load(sys.stdin)]))
"""


def commands(snippet: Snippet) -> Iterator[str]:
    """The lines of a snippet, without redirections."""
    yield from (line.partition(" > ")[0] for line in snippet.text.splitlines())


TYPED = list(dict.fromkeys(line for snippet in snippets("sh") if not snippet.reason for line in commands(snippet)))
"""What several pages show is typed once."""
PYTHON = [snippet for snippet in snippets("python") if not snippet.reason]
OWN = re.compile(r"\bmy_[a-z]+:")  # the files that pages have users write
MODELS = sorted({snippet.page for snippet in snippets("py")})
YAML = snippets("yaml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a newcomer has, in which the first command has been run, shortened."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("configs", "models"):
        shutil.copytree(PROJECT / name, folder / name)
    first, tests = [snippet for snippet in snippets("sh", README) if snippet.reason]
    assert tests.text.split(" && ")[1:] == ["scripts/check", "scripts/test\n"]
    command = first.text.rpartition(" && ")[2].split()
    assert command == [".venv/bin/sweep", "run", "configs/mnist.yaml"]
    typed(folder, Path(sys.executable).with_name("sweep"), *command[1:], *SHORT)
    return folder


@pytest.fixture(scope="module")
def outcomes(project: Path) -> Mapping[str, str]:
    """What went wrong in each command and each Python snippet, run one after the other in one process."""
    checks = [f"sweep check {path}" for page in MODELS for path in sweeps_with_models_of(page, project)]
    others = ["sweep run configs/digits.yaml --trials 1 --set search_space.epochs=1"]  # what docs/training.md loads
    np.save(project / "new.npy", np.zeros((2, 64), np.float32))
    tasks = [("sh", line) for line in [*others, *checks, *TYPED]] + [("python", snippet.text) for snippet in PYTHON]
    ended = typed(project, sys.executable, "-c", RUN_ALL, given=json.dumps(tasks))
    found = json.loads(ended.splitlines()[-1])
    by_text = {text: outcome for (_, text), outcome in zip(tasks, found, strict=True)}
    return {**by_text, "checks": "".join(found[: len(others) + len(checks)])}


def typed(folder: Path, *command: str | Path, given: str | None = None) -> str:
    ordinary = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**ordinary, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(
        command, cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def sweeps_with_models_of(page: Path, project: Path) -> Iterator[Path]:
    """The page's sweeps that name its own file of models, written down beside that file."""
    module = f"models_of_{page.stem.lower()}"
    (project / f"{module}.py").write_text("\n".join(snippet.text for snippet in snippets("py", page)))
    shown = [snippet.text for snippet in snippets("yaml", page) if OWN.search(snippet.text)]
    assert shown
    for number, text in enumerate(shown):
        path = project / "configs" / f"{module}_{number}.yaml"
        path.write_text(yaml.safe_dump(completed(OWN.sub(f"{module}:", text))))
        yield path


def test_the_first_command_leaves_tables(project: Path) -> None:
    assert (project / "results" / "mnist" / "trials.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("line", TYPED)
def test_every_command_ends_well(line: str, outcomes: Mapping[str, str]) -> None:
    assert shlex.split(line)[0] == "sweep"
    assert outcomes[line] == ""


@pytest.mark.slow
@pytest.mark.parametrize("snippet", PYTHON, ids=lambda snippet: str(snippet.page))
def test_every_python_example_runs_and_prints(snippet: Snippet, outcomes: Mapping[str, str]) -> None:
    assert outcomes[snippet.text] == ""


@pytest.mark.slow
def test_every_sweep_of_a_model_that_a_page_shows_is_right(outcomes: Mapping[str, str]) -> None:
    assert {README, Path("docs/models.md")} <= set(MODELS)
    assert outcomes["checks"] == ""


@pytest.mark.parametrize("snippet", YAML, ids=lambda snippet: str(snippet.page))
def test_every_piece_of_yaml_belongs_to_a_sweep(snippet: Snippet) -> None:
    parse_config(yaml.safe_dump(completed(snippet.text)))


def test_the_example_of_a_config_is_the_shipped_one_without_its_enqueue() -> None:
    example = snippets("yaml", README)[0].text
    shipped = load_config(PROJECT / "configs" / "mnist.yaml")
    assert parse_config(example) == shipped.model_copy(update={"enqueue": ()})


def test_contributors_run_the_very_scripts_that_ci_runs() -> None:
    ci = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    shown = "".join(snippet.text for snippet in snippets("sh", Path("CONTRIBUTING.md")))
    for text in ("scripts/check", "scripts/test", "pip install", ".[test]"):
        assert text in shown
        assert text in ci


def test_every_language_of_a_block_is_checked_here() -> None:
    blocks = re.findall(r"^```(\w*)\n.*?^```", "".join(map(text_of, PAGES)), flags=re.MULTILINE | re.DOTALL)
    assert set(blocks) <= LANGUAGES


def test_the_readme_is_short() -> None:
    assert len(text_of(README).split()) <= 900


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)):
        if link.startswith("https://"):
            continue
        target, _, heading = link.partition("#")
        path = (PROJECT / page).parent / target if target else PROJECT / page
        assert path.exists(), link
        assert not heading or heading in anchors(path), link


def anchors(path: Path) -> set[str]:
    """What a link to a heading of a page may end in, as GitHub writes it."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
