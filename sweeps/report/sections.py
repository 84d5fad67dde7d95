"""The parts of the page that are text: the answer, outcomes, time, the config and the environment."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.log.trials import SIGNS, LoggedTrial
from sweeps.report.markup import Markup, element, joined, table
from sweeps.report.overview import Overview, reason_of
from sweeps.report.scales import text
from sweeps.report.style import LOOKS

_AT_EPOCH = re.compile(r" at epoch \d+")
RUNNERS_UP = 5
MOST_REASONS = 30


def answer(overview: Overview, folder: Path, best_epoch: int, best_figures: Mapping[str, float]) -> Markup:
    """The best trial: its score, its parameters, how it compares, how to train it again and how to load it.

    `best_epoch` is the epoch that is kept, `best_figures` are its losses and metrics.
    """
    best = overview.best
    if best is None:
        counts = Counter(trial.outcome for trial in overview.trials)
        there = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) or "no trials yet"
        return element("p", f"No trial has completed, so there is no best one: {there}.", class_="lead")
    headline = element(
        "p",
        element("span", f"{best.value:.5g}", class_="score"),
        element("span", f" {overview.metric} in trial {best.number}, after epoch {best_epoch}"),
        class_="lead",
    )
    figures = [(name, f"{value:.5g}") for name, value in {**best_figures, **best.test}.items()]
    params = [(name, text(value)) for name, value in best.params.items()]
    return joined(
        headline,
        element(
            "div",
            element("div", element("h3", "Parameters"), _pairs(params)),
            element("div", element("h3", "Scores"), _pairs(figures)),
            element("div", element("h3", "The next best"), _runners_up(overview, best)),
            class_="columns",
        ),
        _commands(folder, best),
    )


def _pairs(pairs: list[tuple[str, str]]) -> Markup:
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", *rows) if rows else element("p", "none")


def _runners_up(overview: Overview, best: LoggedTrial) -> Markup:
    """The trials that come after the best one, by how far they are behind it."""
    sign = SIGNS[overview.direction]
    others = [each for each in overview.trials if each.state == "COMPLETE" and not math.isnan(each.value)]
    others = sorted((each for each in others if each is not best), key=lambda each: (sign * each.value, each.number))
    if not others:
        return element("p", "No other trial has completed.")
    rows = [
        (str(each.number), f"{each.value:.5g}", f"{abs(each.value - best.value):.2g}") for each in others[:RUNNERS_UP]
    ]
    equal = sum(each.value == best.value for each in others)
    tie = f"{equal:,} of them {'is' if equal == 1 else 'are'} equal to it; the earliest counts. " if equal else ""
    note = (
        f"{tie}Each was trained once, from one seed. By how much the same parameters differ from seed to seed was not "
        "measured."
    )
    return joined(table(("trial", overview.metric, "behind"), rows), element("p", note, class_="note"))


def _commands(folder: Path, best: LoggedTrial) -> Markup:
    load = f"import sweeps\nresults = sweeps.load({str(folder)!r})\nmodel = results.best_model()"
    again = shlex.join(["sweep", "replay", str(folder), str(best.number)])
    return element(
        "div",
        element("div", element("h3", "Load its model"), element("pre", load)),
        element("div", element("h3", "Train it again, and compare"), element("pre", again)),
        class_="columns",
    )


def outcomes(overview: Overview) -> Markup:
    """How trials ended, and why, the most frequent first."""
    counted = Counter((trial.outcome, _AT_EPOCH.sub("", reason_of(trial))) for trial in overview.trials)
    places = {outcome: place for place, outcome in enumerate(LOOKS)}
    ordered = sorted(counted.items(), key=lambda pair: (places.get(pair[0][0], len(places)), -pair[1]))
    total = len(overview.trials)
    by_outcome = Counter(trial.outcome for trial in overview.trials)
    bars = [
        element(
            "div",
            element("span", outcome.replace("_", " "), class_="name"),
            element("span", class_=f"bar {outcome}", style=f"width:{60 * count / total:.2f}%"),
            element("span", f"{count:,}"),
        )
        for outcome, count in sorted(by_outcome.items(), key=lambda pair: -pair[1])
    ]
    reasons = [(outcome.replace("_", " "), f"{count:,}", reason) for (outcome, reason), count in ordered if reason]
    more = len(reasons) - MOST_REASONS
    found = [element("div", *bars, class_="bars")]
    if reasons:
        found.append(table(("outcome", "trials", "reason"), reasons[:MOST_REASONS]))
    if more > 0:
        found.append(element("p", f"and {more:,} more reasons: see the table of all trials", class_="note"))
    return joined(*found)


def time_spent(overview: Overview) -> Markup:
    """What the time of all lanes went into."""
    timeline = overview.timeline
    spent = timeline.lane_seconds()
    whole = sum(spent) or 1.0
    rows = [
        (name, f"{seconds:,.1f} s", f"{seconds / whole:.0%}")
        for name, seconds in (
            ("training", spent.training),
            ("before a lane's first epoch: reading data, compiling", spent.before),
            ("idle: between epochs and trials, and at the end", spent.idle),
        )
    ]
    lanes = len(overview.lanes)
    runs = "one run" if timeline.runs == 1 else f"{timeline.runs} runs"
    words = (
        f"{timeline.seconds:,.1f} seconds in {runs}, in {lanes} lane{'' if lanes == 1 else 's'}. Their time together:"
    )
    return joined(element("p", words), table(("what", "lane seconds", "share"), rows))


def settings(config_text: str, environment: Mapping[str, Any]) -> Markup:
    """The config as it was understood, and the environment of the last run."""
    config = element("details", element("summary", "Config, with defaults"), element("pre", config_text))
    described = json.dumps(environment, indent=2, ensure_ascii=False)
    return joined(config, element("details", element("summary", "Environment"), element("pre", described)))
