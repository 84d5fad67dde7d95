"""The parts of the page that are figures: what is drawn, where, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bokeh.plotting import figure as Figure  # noqa: N812  (it is a class)

from sweeps.report.markup import Markup, element, joined
from sweeps.report.plots import ALONG, LOSS, Plots

MOST_SLICES = 24


class Drawn(NamedTuple):
    """A figure with the name of its place in the page, and what is said to those who cannot see it."""

    place: str
    figure: Figure
    alt: str
    caption: str


def progress(plots: Plots) -> list[Drawn]:
    """The best so far, against trials, seconds and epochs."""
    overview = plots.overview
    count = f"{overview.beyond:,} of {len(overview.trials):,} trials"
    beyond = f"At the edge, beyond this scale or without a value: {count}." if overview.beyond else ""
    best = f"The best is {overview.best.value:.5g}, of trial {overview.best.number}." if overview.best else ""
    return [
        Drawn(
            f"history-{along}",
            plots.history(along),
            f"{overview.metric} of each trial against {label}, with the best so far as a line. {best}",
            beyond,
        )
        for along, (_, label) in ALONG.items()
    ]


def curves(plots: Plots) -> list[Drawn]:
    """The objective and the losses after each epoch."""
    metric = plots.overview.metric
    drawn = len(plots.overview.drawn())
    thinned = f" {drawn} of the trials are drawn, evenly spread." if drawn < len(plots.overview.trials) else ""
    found = [
        Drawn(
            "curves-loss",
            plots.learning_curves(LOSS),
            "The losses on the training and the validation rows after each epoch, a line per trial.",
            "Validation solid, training dashed, the best trial thick. A validation loss that rises while the training "
            f"loss falls is overfitting; two that stay high are underfitting.{thinned}",
        )
    ]
    if not metric.endswith("_loss"):
        alt = f"{metric} after each epoch, a line per trial."
        found.insert(
            0, Drawn("curves-objective", plots.learning_curves(), alt, f"{metric}, the best trial thick.{thinned}")
        )
    return found


def lanes(plots: Plots) -> list[Drawn]:
    """Which trial was in which lane."""
    alt = f"Which of {len(plots.overview.lanes)} lanes trained which trial when."
    return [Drawn("lanes", plots.lanes(), alt, "Each bar is a trial, coloured by its outcome.")]


def parameters(plots: Plots, drawn: list[Drawn]) -> Markup:
    """Any two parameters, a slice for each, and all of them at once."""
    overview = plots.overview
    names = [each.name for each in overview.parameters]
    found = []
    if len(names) > 1:
        across, up = plots.pair()
        pair = Drawn(
            "contour",
            plots.contour(),
            f"Each trial as a point over two parameters, {overview.metric} as its colour.",
            f"Coloured by {overview.metric}: the best are darkest on a light page, brightest on a dark one.",
        )
        chosen = element("div", _select("across", names, across), _select("up", names, up), class_="controls")
        found += [chosen, shown(drawn, [pair])]
    slices = [
        Drawn(
            f"slice-{each.field}", plots.slice(each.name), f"{overview.metric} of each trial against {each.name}.", ""
        )
        for each in overview.parameters[:MOST_SLICES]
    ]
    found.append(shown(drawn, slices))
    alt = f"Each trial as a line through {overview.metric} and its parameters."
    caption = (
        f"A line per trial, coloured by {overview.metric}; dotted where it diverged or failed, "
        "broken where a parameter does not apply."
    )
    wide = shown(drawn, [Drawn("parallel", plots.parallel(), alt, caption)], width=110 * (len(names) + 1))
    return joined(*found, wide)


def _select(place: str, names: Sequence[str], chosen: str) -> Markup:
    options = [element("option", name, value=index, selected=name == chosen) for index, name in enumerate(names)]
    return element("label", f"{place} ", element("select", *options, id=f"select-{place}"))


def shown(drawn: list[Drawn], figures: Sequence[Drawn], width: int | None = None) -> Markup:
    """Figures side by side where there is room; one with a `width` is scrolled sideways where there is not."""
    drawn += figures
    style = f"min-width:{width}px" if width else None
    places = [
        element(
            "figure",
            element(
                "div",
                element("div", id=each.place, role="img", aria_label=each.alt, class_="plot", style=style),
                class_="scroll",
            ),
            element("figcaption", each.caption) if each.caption else "",
        )
        for each in figures
    ]
    return element("div", *places, class_=f"figures of-{min(len(places), 4)}")
