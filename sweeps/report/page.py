"""The report: one file of HTML with figures, tables and all that they need, which loads nothing from anywhere.

`page.js` links the figures to the table of trials, `page.css` lays them out. The page itself says what is what in the
order in which a reader asks: the answer first. A new section is a line in `_sections`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.resources import Resources

from sweeps.report import panels, sections
from sweeps.report.markup import Markup, element, joined, script_data
from sweeps.report.overview import Overview
from sweeps.report.panels import Drawn
from sweeps.report.plots import Plots
from sweeps.report.scales import ParameterScale

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses to load anything. Bokeh makes functions of the code that figures bring."""


class Subject(NamedTuple):
    """What a report is of: the folder as commands name it, the config's text; of the best trial the epoch that is kept.

    `best_figures` are the losses and metrics of that epoch.
    """

    folder: Path
    name: str
    config_text: str
    best_epoch: int
    best_figures: Mapping[str, float]


def page(plots: Plots, subject: Subject) -> str:
    """The whole page."""
    overview = plots.overview
    drawn: list[Drawn] = []
    parts = list(_sections(plots, subject, drawn))
    links = [element("a", title, href=f"#{place}") for place, title, _ in parts]
    main = [
        element("section", element("h2", title), content, id=place, aria_label=title) for place, title, content in parts
    ]
    document = Document()
    with document.models.freeze():
        for each in drawn:
            document.add_root(each.figure)
    data = {
        "roots": {str(each.figure.id): each.place for each in drawn},
        "table": _table(overview),
        "axes": [_axis(each) for each in overview.parameters],
        "lowIsBest": overview.direction == "minimize",
    }
    return "<!DOCTYPE html>\n" + element(
        "html",
        _head(subject.name),
        element(
            "body",
            element(
                "header", element("h1", subject.name), _summary(overview), element("nav", *links, aria_label="Sections")
            ),
            element("noscript", element("p", "The figures and the table of trials need JavaScript.")),
            element("main", *main),
            script_data("report-figures", str(serialize_json(document.to_json(deferred=False)))),
            script_data("report-data", data),
            *(element("script", Markup(text)) for text in (*_bokeh(), _asset("page.js"))),
        ),
        lang="en",
    )


def _sections(plots: Plots, subject: Subject, drawn: list[Drawn]) -> Iterable[tuple[str, str, Markup]]:
    """The place, the title and the content of each section; its figures are added to `drawn`."""
    overview = plots.overview
    yield (
        "answer",
        "The best trial",
        sections.answer(overview, subject.folder, subject.best_epoch, subject.best_figures),
    )
    if overview.trials:
        yield "progress", "How it went", panels.shown(drawn, panels.progress(plots))
        yield "curves", "Learning curves", panels.shown(drawn, panels.curves(plots))
        if overview.parameters:
            yield "parameters", "Parameters", panels.parameters(plots, drawn)
        yield "outcomes", "Outcomes", sections.outcomes(overview)
        yield "time", "Time", joined(sections.time_spent(overview), panels.shown(drawn, panels.lanes(plots)))
        yield "trials", "All trials", _trials()
    yield "settings", "Config and environment", sections.settings(subject.config_text, overview.timeline.environment)


def _summary(overview: Overview) -> Markup:
    """How many trials there are, of which objective, from when."""
    began = overview.timeline.began
    goal = f"{overview.direction} {overview.metric}"
    when = f", begun on {began:%d %B %Y, %H:%M} UTC" if began else ""
    count = len(overview.trials)
    return element("p", f"{count:,} {'trial' if count == 1 else 'trials'} to {goal}{when}")


def _trials() -> Markup:
    """Where `page.js` puts the table, and what it is sorted and filtered by."""
    hint = "words to find, or conditions such as value>0.9 outcome=pruned"
    find = element(
        "label", "Filter ", element("input", type="search", id="filter", placeholder=hint, spellcheck="false")
    )
    only = element("label", element("input", type="checkbox", id="only"), " only selected")
    buttons = [
        element("button", "Select these in the figures", type="button", id="select-shown"),
        element("button", "Clear the selection", type="button", id="clear"),
    ]
    pages = [
        element("button", "Previous", type="button", id="previous"),
        element("span", id="page-of", aria_live="polite"),
        element("button", "Next", type="button", id="next"),
    ]
    return joined(
        element("div", find, only, *buttons, class_="controls"),
        element("div", element("table", id="trial-table", aria_label="All trials"), class_="scroll"),
        element("div", *pages, class_="controls"),
    )


def _table(overview: Overview) -> list[dict[str, Any]]:
    """The columns of the table: title, field of the source and, where its numbers stand for texts, those."""
    columns: list[tuple[str, str, Sequence[str] | None]] = [
        ("trial", "number", None),
        (overview.metric, "value", None),
        ("outcome", "outcome", None),
        *((each.name, each.field, each.labels or None) for each in overview.parameters),
        ("epochs run", "epochs", None),
        ("seconds", "seconds", None),
        *((name, field, None) for field, name in overview.other_figures.items()),
        ("reason", "reason", overview.reasons),
    ]
    return [{"title": title, "field": field, "labels": labels} for title, field, labels in columns]


def _axis(parameter: ParameterScale) -> dict[str, Any]:
    """What `page.js` makes an axis of."""
    start, end = parameter.ends
    return {
        "name": parameter.name,
        "field": parameter.position,
        "isLog": parameter.kind == "log",
        "start": start,
        "end": end,
        "labels": parameter.labels,
    }


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Sweep {title}"),
        element("style", Markup(_asset("page.css"))),
    )


def _asset(name: str) -> str:
    return files("sweeps.report").joinpath(name).read_text(encoding="utf-8")


def _bokeh() -> list[str]:
    """Bokeh's script. Its widgets and tables are not needed."""
    return list(Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw)
