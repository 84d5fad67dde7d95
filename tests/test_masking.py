"""What is known to be secret is in nothing that a run leaves or prints; nothing else is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sweeps.config import concealed, parse_config, to_yaml
from sweeps.masking import masked, without_passwords

PROJECT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of whoever runs the tests do not matter here."""
    for name in list(os.environ):
        if any(word in name.upper() for word in ("TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://ann:s3cr3t@db.example:5432/sweeps", "postgresql://ann:***@db.example:5432/sweeps"),
        ("(mysql+pymysql://ann:a:b@c/d@host/x)", "(mysql+pymysql://ann:***@host/x)"),
        ("redis://:s3cr3t@host", "redis://:***@host"),
        ("'https://a:b@c' and \"https://d:e@f\"", "'https://a:***@c' and \"https://d:***@f\""),
        ("HTTPS://Ann:S3CR3T@host", "HTTPS://Ann:***@host"),
    ],
)
def test_a_password_in_a_url_is_masked(text: str, left: str) -> None:
    assert without_passwords(text) == masked(text) == left


@pytest.mark.parametrize(
    "text",
    ["https://host:8080/path", "see https://host/a@b", "ann@host:path", "a: b @ c", "s3://bucket/x", "ann:pw@host", ""],
)
def test_text_without_a_password_is_left_as_it_is(text: str) -> None:
    assert without_passwords(text) == text


@pytest.mark.parametrize(
    "name",
    ["WANDB_API_KEY", "github_token", "DB_PASSWORD", "PGPASSWD", "CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "APIKEY",
     "SSH_PASSPHRASE", "MY_CREDENTIALS", "SIGNING_KEY"],
)  # fmt: skip
def test_the_value_of_a_variable_with_a_secret_name_is_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter22")
    assert masked("no access for hunter22: hunter22!") == "no access for ***: ***!"


@pytest.mark.parametrize(("name", "value"), [("DB_PASSWORD", "short"), ("KEYBOARD", "hunter22"), ("HOME", "hunter22")])
def test_short_values_and_other_variables_are_not_masked(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert masked(f"it is {value}") == f"it is {value}"


def test_a_secret_that_holds_another_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "abcdef")
    monkeypatch.setenv("B_TOKEN", "abcdefghi")
    assert masked("abcdefghi abcdef") == "*** ***"


# ---- a config --------------------------------------------------------------------------------------------------------

TREE = {
    "name": "small",
    "dataset": {"use": "hidden:rows", "url": "postgresql://ann:s3cr3t@db/x", "others": ["ftp://a:b@c", 1]},
    "model": "models.linear:Linear",
    "loss": "mean_squared_error",
    "optimizer": "sgd",
    "search_space": {"epochs": 1, "batch_size": 4, "learning_rate": 0.1},
    "objective": {"metric": "valid_loss", "direction": "minimize"},
    "budget": {"trials": 1},
}


def test_a_concealed_config_differs_in_its_passwords_alone() -> None:
    left = yaml.safe_load(to_yaml(concealed(parse_config(TREE))))
    assert left["dataset"]["url"] == "postgresql://ann:***@db/x"
    assert left["dataset"]["others"] == ["ftp://a:***@c", 1]
    whole = yaml.safe_load(to_yaml(parse_config(TREE)))
    assert {**left, "dataset": None} == {**whole, "dataset": None}


def test_a_concealed_config_is_a_config_and_conceals_nothing_more() -> None:
    once = concealed(parse_config(TREE))
    assert parse_config(to_yaml(once)) == once == concealed(once)


# ---- the command -----------------------------------------------------------------------------------------------------

PASSWORD, TOKEN = "pa55w0rd-in-a-url", "t0ken-of-the-environment"
HIDDEN = """\
import os
import numpy as np


def rows(url):
    assert url.startswith("postgresql://ann:") and url.endswith("@db/x") and "***" not in url
    return np.ones((40, 3), np.float32), np.ones(40, np.float32)


def unreachable(url):
    raise OSError(f"no answer from {url} for {os.environ['DB_TOKEN']}")


def model(input_shape, outputs, fails=False):
    def init(key):
        return {"kernel": np.zeros((*input_shape, outputs), np.float32)}

    def apply(params, x, key, training):
        if fails and training and len(x) != 1009:  # the rows that a model is checked with
            raise RuntimeError(f"postgresql://ann:pa55w0rd-in-a-url@db/x and {os.environ['DB_TOKEN']}")
        return x @ params["kernel"]

    return init, apply
"""


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    tree = TREE | {
        "dataset": {"use": "hidden:rows", "url": f"postgresql://ann:{PASSWORD}@db/x"},
        "model": "hidden:model",
    }
    (folder / "hidden.py").write_text(HIDDEN)
    (folder / "small.yaml").write_text(yaml.safe_dump(tree))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "DB_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_kept(folder: Path, *texts: str) -> None:
    """Neither secret is in the texts, nor in any file of the results."""
    left = [path.read_bytes() for path in (folder / "results").rglob("*") if path.is_file()]
    for content in (*left, *(text.encode() for text in texts)):
        assert PASSWORD.encode() not in content
        assert TOKEN.encode() not in content


def test_a_run_leaves_and_prints_no_secret_and_is_continued(tmp_path: Path) -> None:
    main = "from sweeps.cli import main; main()"
    for overrides in ([], ["--set", "budget.trials=2"], ["--set", "model.fails=true", "--allow-changed", "--trials=3"]):
        ended = run(tmp_path, main, "run", "small.yaml", *overrides)
        assert ended.returncode == 0, ended.stderr
        assert_kept(tmp_path, ended.stdout, ended.stderr)
    assert b"ann:***@db/x" in (tmp_path / "results" / "small" / "config.yaml").read_bytes()
    assert b"postgresql://ann:***@db/x and ***" in (tmp_path / "results" / "small" / "trials.csv").read_bytes()


def test_an_error_line_has_no_secret(tmp_path: Path) -> None:
    ended = run(
        tmp_path, "from sweeps.cli import main; main()", "run", "small.yaml", "--set", "dataset.use=hidden:unreachable"
    )
    assert ended.returncode == 2
    assert "no answer from postgresql://ann:***@db/x for ***" in ended.stderr
    assert_kept(tmp_path, ended.stdout, ended.stderr)


def test_a_traceback_has_no_secret(tmp_path: Path) -> None:
    program = (
        "import os, sweeps.command.check as check; from sweeps.cli import main\n"
        "def broken(*_, **__):\n"
        f"    raise RuntimeError('https://ann:{PASSWORD}@db ' + os.environ['DB_TOKEN'])\n"
        "check.check = broken\n"
        "main()"
    )
    ended = run(tmp_path, program, "check", "small.yaml")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert ended.stderr.splitlines()[-1] == "RuntimeError: https://ann:***@db ***"
    assert_kept(tmp_path, ended.stderr)
