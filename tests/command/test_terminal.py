"""Nothing that is printed is obeyed by the terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from rich.console import Console

from sweeps import cli
from sweeps.command import display
from sweeps.command import show as command_show
from sweeps.command.terminal import clean, clean_lines
from sweeps.log.trials import LoggedTrial
from sweeps.runner.progress import BestSoFar, Progress

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\r\x08red\x7f\u202etxt\u2066"


def test_every_control_character_is_stripped_and_no_other_character() -> None:
    every = "".join(map(chr, range(0x110000)))
    left = set(clean(every))
    gone = {character for character in every if character not in left}
    assert {character for character in every if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")} <= gone
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert {character for character in every if unicodedata.bidirectional(character) in directions} <= gone
    assert {unicodedata.category(character) for character in gone} == {"Cc", "Cs", "Zl", "Zp", "Cf"}
    assert clean("größe 10⁻³ 模型 🙂 [red]x[/red]") == "größe 10⁻³ 模型 🙂 [red]x[/red]"


def test_lines_stay_lines() -> None:
    assert clean_lines("one\r\ntwo\x00\n") == "one\ntwo\n"


def printed(*, width: int = 200) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]  # the file given above


@pytest.mark.parametrize("metric", ["valid_loss", HOSTILE])
def test_what_a_config_names_cannot_reach_the_terminal(metric: str) -> None:
    console, params = printed(), {"model.activation": HOSTILE, HOSTILE: (HOSTILE, 1)}
    look = Progress(1, 2, 1, 1, BestSoFar(0, 0.5, params), 1.0, 1.0, {HOSTILE: 1}, 1, ())
    console.print(display.picture(look, metric, 200))
    display.facts(console, [("model", HOSTILE)])
    display.line(console, display.parameters(params))
    for line in display.parameter_lines(console, params):
        display.line(console, line)
    trial = LoggedTrial(0, params, 1, {}, {"outcome": HOSTILE, "value": 0.5})
    console.print(command_show.columns(metric, list(params), [trial]), markup=False)
    for width in (20, 200):
        console.print(command_show.compact(metric, list(params), [trial], width), markup=False)
    assert "title" in text_of(console)
    assert "".join(text_of(console).split("\n")) == clean(text_of(console))


def test_plain_lines_of_a_hostile_sweep_are_clean_too() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False, highlight=False)
    look = Progress(1, 2, 1, 1, BestSoFar(0, 0.5, {HOSTILE: HOSTILE}), 1.0, 1.0, {HOSTILE: 1}, 1, ())
    display.watch(console, HOSTILE, iter([look]))
    (line,) = text_of(console).splitlines()
    assert line == clean(line)


def test_a_refusal_is_clean_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["sweep", "show", HOSTILE])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("error: there is no results folder ]0;title[2J31m\nerror: red")
    assert said == clean_lines(said)
