"""The figures of a sweep, as Bokeh has them."""

from __future__ import annotations

import numpy as np
from bokeh.models import (
    CDSView,
    ColorBar,
    ColorMapper,
    GlyphRenderer,
    HoverTool,
    IndexFilter,
    LegendItem,
    Range1d,
)
from bokeh.plotting import figure as Figure  # noqa: N812  (it is a class)

from sweeps.config import SweepConfig
from sweeps.errors import ResultsError
from sweeps.log.trials import LoggedTrials
from sweeps.report.drawing import blank, objective_axis, parameter_axis, set_labels, write_legend
from sweeps.report.overview import NOT_ENDED, Overview
from sweeps.report.scales import ParameterScale, text
from sweeps.report.sources import Sources
from sweeps.report.style import BEST, GREY, LOOKS, MUTED, VERMILION
from sweeps.report.timeline import Timeline

ALONG = {
    "trials": ("number", "trial"),
    "seconds": ("ended", "seconds of running"),
    "epochs": ("epochs_by_then", "epochs of all trials"),
}
"""What the history is drawn along: the column, and the label of the axis."""
LOSS = "loss"
USUAL_PAIR = ("learning_rate", "batch_size")
MOST_LANE_NAMES = 16


class Plots:
    """Bokeh figures of a sweep, for `bokeh.plotting.show`.

    Figures of one object share their selection when they are shown in one layout: with `plot = results.plot`, trials
    that are selected on one side of `bokeh.layouts.row(plot.history(), plot.parallel())` stand out on the other.
    """

    def __init__(self, logged: LoggedTrials, timeline: Timeline, config: SweepConfig) -> None:
        self.overview = Overview(logged, timeline, config)
        self._sources = Sources(self.overview)

    def history(self, along: str = "trials") -> Figure:
        """The objective of every trial, and the best so far as a line.

        Args:
            along: `trials`, in the order of their numbers; `seconds` of running, without the pauses between runs; or
                `epochs`, those of all trials that had ended.

        Raises: ResultsError where `along` is none of them.
        """
        if along not in ALONG:
            raise ResultsError(f"`along` must be one of {', '.join(ALONG)}, but got {along!r}")
        column, label = ALONG[along]
        overview = self.overview
        figure = blank(label, overview.metric, **objective_axis(overview.scale))
        steps = overview.best_so_far(np.asarray(self._sources.trials.data[column], np.float64))
        best = figure.step(*steps, mode="after", line_width=2, line_color=BEST.light)
        best.tags = list(BEST[:2])
        marks = self._scatter(figure, column, "shown", "outcome", self._sources.colours)
        write_legend(figure, [*self._outcome_items(marks), LegendItem(label="best so far", renderers=[best])])
        return figure

    def learning_curves(self, of: str | None = None) -> Figure:
        """A line per trial over its epochs, the best one thick; at most 300 trials, the best always among them.

        Args:
            of: a metric such as `valid_accuracy`; the objective unless it is given. `loss` draws two lines per trial,
                the loss on the validation rows and, dashed, the one on the training rows: the gap is overfitting.

        Raises: ResultsError where there is no such metric.
        """
        overview = self.overview
        known = [LOSS, *overview.all_metrics]
        of = of or overview.metric
        if of not in known:
            raise ResultsError(f"there is no metric {of!r}. There is: {', '.join(known)}")
        drawn = {"valid_loss": "solid", "train_loss": "dashed"} if of == LOSS else {of: "solid"}
        figure = blank("epoch", of, **objective_axis(overview.curve_scale(list(drawn))))
        items = []
        for name, dash in drawn.items():
            lines = self._draw_curves(figure, name, dash)
            items.append(LegendItem(label=name, renderers=lines[-1:]))
        write_legend(figure, items)
        return figure

    def slice(self, name: str) -> Figure:
        """The objective of every trial against one searched parameter.

        Raises: ResultsError where no such parameter is searched.
        """
        parameter, overview = self._parameter(name), self.overview
        figure = blank(name, overview.metric, **objective_axis(overview.scale), **parameter_axis(parameter, "x"))
        if parameter.labels:
            set_labels(figure.xaxis[0], parameter.labels)
        self._scatter(figure, parameter.position, "shown", "outcome", self._sources.colours)
        return figure

    def contour(self, x: str | None = None, y: str | None = None) -> Figure:
        """Trials as points over two searched parameters, coloured by the objective.

        No surface is drawn between them, for what was not tried is not known. Unless they are given, the parameters are
        `learning_rate` and `batch_size`, or the first that are searched.

        Raises: ResultsError where no such parameters are searched.
        """
        across, up = map(self._parameter, self.pair(x, y))
        figure = blank(across.name, up.name, **parameter_axis(across, "x"), **parameter_axis(up, "y"))
        for axis, parameter in ((figure.xaxis[0], across), (figure.yaxis[0], up)):
            if parameter.labels:
                set_labels(axis, parameter.labels)
        self._scatter(figure, across.position, up.position, "shown", self._sources.shades, is_sound=True)
        self._scatter(figure, across.position, up.position, "outcome", self._sources.colours, is_sound=False)
        bar = ColorBar(color_mapper=self._sources.shades, title=self.overview.metric, width=12, padding=4)
        figure.add_layout(bar, "right")
        return figure

    def parallel(self) -> Figure:
        """A line per trial through its objective and its parameters; at most 300 trials, the best always among them.

        Lines are coloured by the objective; those of trials that have diverged or failed are dotted.
        """
        overview, source = self.overview, self._sources.parallels
        names = [overview.metric, *(each.name for each in overview.parameters)]
        figure = blank("", "", x_range=Range1d(-0.5, len(names) - 0.3), y_range=Range1d(-0.1, 1.1))
        set_labels(figure.xaxis[0], names)
        figure.yaxis.visible = figure.ygrid.visible = False
        drawn = overview.drawn()
        for is_sound in (False, True):
            rows = [row for row, place in enumerate(drawn) if overview.is_sound(place) == is_sound]
            shade = {"field": "shown", "transform": self._sources.shades}
            lines = figure.multi_line(
                "xs", "ys", source=source, view=CDSView(filter=IndexFilter(rows)),
                line_color=shade if is_sound else VERMILION, line_dash="solid" if is_sound else "dotted",
                line_width=1.5, line_alpha=0.7, nonselection_line_alpha=MUTED,
            )  # fmt: skip
            figure.add_tools(
                HoverTool(renderers=[lines], tooltips=[("trial", "@number")], line_policy="interp", visible=False)
            )
        self._write_ends(figure)
        return figure

    def lanes(self) -> Figure:
        """Which trial was in which lane while the sweep ran, coloured by its outcome."""
        overview, count = self.overview, len(self.overview.lanes)
        figure = blank(
            "seconds of running", "lane",
            x_range=Range1d(0, max(overview.timeline.seconds, 1e-3)), y_range=Range1d(max(count, 1) - 0.4, -0.6),
        )  # fmt: skip
        colour = {"field": "outcome", "transform": self._sources.colours}
        bars = figure.hbar(
            y="lane", left="began", right="ended", height=0.7, source=self._sources.trials,
            fill_color=colour, line_color=colour, fill_alpha=0.6, nonselection_alpha=MUTED,
        )  # fmt: skip
        if count <= MOST_LANE_NAMES:
            set_labels(figure.yaxis[0], [f"{lane.group}.{lane.lane}" for lane in overview.lanes])
        figure.ygrid.visible = False
        figure.add_tools(self._sources.hover([bars]))
        return figure

    def pair(self, x: str | None = None, y: str | None = None) -> tuple[str, str]:
        """The two parameters that `contour` takes, where one or none is given.

        Raises: ResultsError where fewer than two are searched.
        """
        names = [each.name for each in self.overview.parameters]
        if len(names) < 2:
            raise ResultsError(f"two parameters must be searched, but there is {', '.join(names) or 'none'}")
        names = [name for name in USUAL_PAIR if name in names] + names
        x = x or next(name for name in names if name != y)
        return x, y or next(name for name in names if name != x)

    # ---- what figures share ------------------------------------------------------------------------------------------

    def _scatter(
        self, figure: Figure, x: str, y: str, colour: str, mapper: ColorMapper, *, is_sound: bool | None = None
    ) -> GlyphRenderer:
        """A mark per trial that has ended, its form by the outcome; only those with a sound value, or without one."""
        ended = [row for row, trial in enumerate(self.overview.trials) if trial.outcome not in NOT_ENDED]
        if is_sound is not None:
            ended = [row for row in ended if self.overview.is_sound(row) == is_sound]
        shade = {"field": colour, "transform": mapper}
        marks = figure.scatter(
            x, y, source=self._sources.trials, view=CDSView(filter=IndexFilter(ended)), size=8,
            marker={"field": "outcome", "transform": self._sources.marks},
            fill_color=shade, line_color=shade, fill_alpha=0.6, line_width=1.5, nonselection_alpha=MUTED,
        )  # fmt: skip
        figure.add_tools(self._sources.hover([marks]))
        return marks

    def _outcome_items(self, marks: GlyphRenderer) -> list[LegendItem]:
        """What the marks mean that are there, each shown by the first of its kind."""
        first = {trial.outcome: row for row, trial in reversed(list(enumerate(self.overview.trials)))}
        there = [outcome for outcome in LOOKS if outcome in first and outcome not in NOT_ENDED]
        return [
            LegendItem(label=outcome.replace("_", " "), renderers=[marks], index=first[outcome]) for outcome in there
        ]

    def _draw_curves(self, figure: Figure, name: str, dash: str) -> list[GlyphRenderer]:
        """Lines of all trials but the best, faint where they did not complete, and on top of them that of the best."""
        overview, drawn = self.overview, self.overview.drawn()
        trials = [overview.trials[place] for place in drawn]
        is_best = [trial is overview.best for trial in trials]
        groups = {
            (0.15, 1.0): [row for row, each in enumerate(trials) if not is_best[row] and each.state != "COMPLETE"],
            (0.45, 1.0): [row for row, each in enumerate(trials) if not is_best[row] and each.state == "COMPLETE"],
            (1.0, 3.0): [row for row, each in enumerate(is_best) if each],
        }
        found = []
        for (alpha, width), rows in groups.items():
            lines = figure.multi_line(
                "xs", name, source=self._sources.curves, view=CDSView(filter=IndexFilter(rows)),
                line_color={"field": "look", "transform": self._sources.colours}, line_dash=dash,
                line_alpha=alpha, line_width=width, selection_line_alpha=1.0, nonselection_line_alpha=MUTED,
            )  # fmt: skip
            tooltips = [("trial", "@number"), ("epoch", "$data_x{0}"), (name, "$data_y{0.[0000]}")]
            figure.add_tools(HoverTool(renderers=[lines], tooltips=tooltips, line_policy="nearest", visible=False))
            found.append(lines)
        return found

    def _write_ends(self, figure: Figure) -> None:
        """The values at both ends of each axis of parallel coordinates, and its choices in between."""
        overview = self.overview
        found = [(0, 0.0, f"{overview.scale.low:.4g}"), (0, 1.0, f"{overview.scale.high:.4g}")]
        for place, each in enumerate(overview.parameters, start=1):
            count = len(each.labels)
            found += [(place, (row + 0.5) / count, label) for row, label in enumerate(each.labels)]
            if not count:
                found += [(place, 0.0, text(each.low)), (place, 1.0, text(each.high))]
        xs, ys, texts = zip(*found, strict=True)
        axes = list(range(len(overview.parameters) + 1))
        figure.segment(axes, 0, axes, 1, color=GREY)
        words = figure.text(
            xs, ys, texts, text_font_size="11px", x_offset=5, text_baseline="middle",
            background_fill_color="white", background_fill_alpha=0.75, text_color=BEST.light,
        )  # fmt: skip
        words.tags = list(BEST[:2])

    def _parameter(self, name: str) -> ParameterScale:
        found = {each.name: each for each in self.overview.parameters}
        if name not in found:
            raise ResultsError(f"no parameter {name!r} is searched. There is: {', '.join(found) or 'none'}")
        return found[name]
