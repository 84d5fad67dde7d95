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
from bokeh.plotting import figure as Figure  # noqa: N812  (it is a class)
from bokeh.resources import Resources

from sweeps.report import sections
from sweeps.report.dimensions import Dimension
from sweeps.report.markup import Markup, element, joined, script_data
from sweeps.report.overview import Overview
from sweeps.report.plots import ALONG, LOSS, Plots

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses to load anything. Bokeh makes functions of the code that figures bring."""
MOST_SLICES = 24


class Subject(NamedTuple):
    """What a report is of: the folder as commands name it, the config's text, and the kept epoch's figures."""

    folder: Path
    name: str
    config_text: str
    best_figures: Mapping[str, float]


class _Drawn(NamedTuple):
    """A figure with the name of its place in the page, and what is said to those who cannot see it."""

    place: str
    figure: Figure
    alt: str
    caption: str


def page(plots: Plots, subject: Subject) -> str:
    """The whole page."""
    overview = plots.overview
    drawn: list[_Drawn] = []
    parts = list(_sections(plots, subject, drawn))
    links = [element("a", title, href=f"#{place}") for place, title, _ in parts]
    main = [
        element("section", element("h2", title), content, id=place, aria_label=title) for place, title, content in parts
    ]
    document = Document()
    with document.models.freeze():
        for each in drawn:
            document.add_root(each.figure)
    roots = {str(each.figure.id): each.place for each in drawn}
    data = {"roots": roots, "table": _table(overview), "axes": [_axis(each) for each in overview.dimensions]}
    data["lowIsBest"] = overview.direction == "minimize"
    return "<!DOCTYPE html>\n" + element(
        "html",
        _head(subject.name),
        element(
            "body",
            element("header", element("h1", subject.name), _summary(overview), element("nav", *links, aria_label="Sections")),
            element("noscript", element("p", "The figures and the table of trials need JavaScript.")),
            element("main", *main),
            script_data("report-figures", str(serialize_json(document.to_json(deferred=False)))),
            script_data("report-data", data),
            *(element("script", Markup(text)) for text in (*_bokeh(), _asset("page.js"))),
        ),
        lang="en",
    )


def _sections(plots: Plots, subject: Subject, drawn: list[_Drawn]) -> Iterable[tuple[str, str, Markup]]:
    """The place, the title and the content of each section; its figures are added to `drawn`."""
    overview = plots.overview
    yield "answer", "The best trial", sections.answer(overview, subject.folder, subject.best_figures)
    if overview.trials:
        yield "progress", "How it went", _shown(drawn, _progress(plots))
        yield "curves", "Learning curves", _shown(drawn, _curves(plots))
        if overview.dimensions:
            yield "parameters", "Parameters", _parameters(plots, drawn)
        yield "outcomes", "Outcomes", sections.outcomes(overview)
        lanes = _Drawn("lanes", plots.lanes(), f"Which of {len(overview.lanes)} lanes trained which trial when.", "Each bar is a trial, coloured by its outcome.")
        yield "time", "Time", joined(sections.time_spent(overview), _shown(drawn, [lanes]))
        yield "trials", "All trials", _trials()
    yield "settings", "Config and environment", sections.settings(subject.config_text, overview.timeline.environment)


def _summary(overview: Overview) -> Markup:
    """How many trials there are, of which objective, from when."""
    began = overview.timeline.began
    goal = f"{overview.direction} {overview.metric}"
    when = f", begun on {began:%d %B %Y, %H:%M} UTC" if began else ""
    count = len(overview.trials)
    return element("p", f"{count:,} {'trial' if count == 1 else 'trials'} to {goal}{when}")


def _progress(plots: Plots) -> list[_Drawn]:
    overview = plots.overview
    count = sum(not overview.is_sound(place) for place in range(len(overview.trials)))
    beyond = f"{count:,} of {len(overview.trials):,} without a value on this scale at its edge." if count else ""
    best = f"The best is {overview.best.value:.5g}, of trial {overview.best.number}." if overview.best else ""
    return [
        _Drawn(
            f"history-{along}",
            plots.history(along),
            f"{overview.metric} of each trial against {label}, with the best so far as a line. {best}",
            beyond,
        )
        for along, (_, label) in ALONG.items()
    ]


def _curves(plots: Plots) -> list[_Drawn]:
    metric = plots.overview.metric
    drawn = len(plots.overview.drawn())
    thinned = f" {drawn} of the trials are drawn, evenly spread." if drawn < len(plots.overview.trials) else ""
    found = [
        _Drawn(
            "curves-loss",
            plots.learning_curves(LOSS),
            "The losses on the training and the validation rows after each epoch, a line per trial.",
            "Validation solid, training dashed, the best trial thick. A validation loss that rises while the training "
            f"loss falls is overfitting; two that stay high are underfitting.{thinned}",
        )
    ]
    if not metric.endswith("_loss"):
        alt = f"{metric} after each epoch, a line per trial."
        found.insert(0, _Drawn("curves-objective", plots.learning_curves(), alt, f"{metric}, the best trial thick.{thinned}"))
    return found


def _parameters(plots: Plots, drawn: list[_Drawn]) -> Markup:
    """Any two parameters, a slice for each, and all of them at once."""
    overview = plots.overview
    names = [each.name for each in overview.dimensions]
    found = []
    if len(names) > 1:
        across, up = plots.pair()
        pair = _Drawn(
            "contour",
            plots.contour(),
            f"Each trial as a point over two parameters, {overview.metric} as its colour.",
            f"Coloured by {overview.metric}; the best colours are the darkest on a light page, the brightest on a dark one.",
        )
        chosen = element("div", _select("across", names, across), _select("up", names, up), class_="controls")
        found += [chosen, _shown(drawn, [pair])]
    slices = [
        _Drawn(f"slice-{each.field}", plots.slice(each.name), f"{overview.metric} of each trial against {each.name}.", "")
        for each in overview.dimensions[:MOST_SLICES]
    ]
    found.append(_shown(drawn, slices))
    alt = f"Each trial as a line through {overview.metric} and its parameters."
    caption = f"A line per trial, coloured by {overview.metric}; dotted without a value on the scale. A line is broken where a parameter does not apply."
    wide = _shown(drawn, [_Drawn("parallel", plots.parallel(), alt, caption)], width=110 * (len(names) + 1))
    return joined(*found, wide)


def _select(place: str, names: Sequence[str], chosen: str) -> Markup:
    options = [element("option", name, value=index, selected=name == chosen) for index, name in enumerate(names)]
    return element("label", f"{place} ", element("select", *options, id=f"select-{place}"))


def _shown(drawn: list[_Drawn], figures: Sequence[_Drawn], width: int | None = None) -> Markup:
    """Figures side by side where there is room; one with a `width` is scrolled sideways where there is not."""
    drawn += figures
    style = f"min-width:{width}px" if width else None
    places = [
        element(
            "figure",
            element("div", element("div", id=each.place, role="img", aria_label=each.alt, class_="plot", style=style), class_="scroll"),
            element("figcaption", each.caption) if each.caption else "",
        )
        for each in figures
    ]
    return element("div", *places, class_=f"figures of-{min(len(places), 4)}")


def _trials() -> Markup:
    """Where `page.js` puts the table, and what it is sorted and filtered by."""
    hint = "words to find, or conditions such as value>0.9 outcome=pruned"
    find = element("label", "Filter ", element("input", type="search", id="filter", placeholder=hint, spellcheck="false"))
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
        *((each.name, each.field, each.labels or None) for each in overview.dimensions),
        ("epochs run", "epochs", None),
        ("seconds", "seconds", None),
        *((name, field, None) for field, name in overview.other_figures.items()),
        ("reason", "reason", overview.reasons),
    ]
    return [{"title": title, "field": field, "labels": labels} for title, field, labels in columns]


def _axis(dimension: Dimension) -> dict[str, Any]:
    """What `page.js` makes an axis of."""
    start, end = dimension.ends
    return {
        "name": dimension.name,
        "field": dimension.position,
        "isLog": dimension.kind == "log",
        "start": start,
        "end": end,
        "labels": dimension.labels,
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
