"""The columns that figures draw from, and what links them.

Trials are the rows of one source. A figure that draws only some of them, as lines, has a source of its own, and the
selections of the two follow one another.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from bokeh.models import (
    CategoricalColorMapper,
    CategoricalMarkerMapper,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    GlyphRenderer,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
)

from sweeps.report.overview import Overview
from sweeps.report.style import BEST, LOOKS, shades

MOST_IN_HOVER = 10
_NUMBER = "return Number.isFinite(value) ? String(Number(value.toPrecision(5))) : 'none'"
_LABEL = "return value < 0 ? 'none' : labels[value]"
_FOLLOW = """
const picked = new Set(trials.selected.indices.map((row) => trials.data.number[row]))
const drawn = Array.from(lines.data.number)
const wanted = drawn.flatMap((number, row) => (picked.has(number) ? [row] : []))
const now = [...lines.selected.indices].sort((one, other) => one - other)
if (wanted.join() === now.join()) return
if (cb_obj === lines.selected) {
  const numbers = new Set(now.map((row) => drawn[row]))
  trials.selected.indices = Array.from(trials.data.number).flatMap((number, row) => (numbers.has(number) ? [row] : []))
} else {
  lines.selected.indices = wanted
}
"""


class Sources:
    """Sources, colours and other parts that several figures share."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    @cached_property
    def trials(self) -> ColumnDataSource:
        """A row per trial, by number: what `Overview.columns` has."""
        return ColumnDataSource(self._overview.columns(), name="trials")

    @cached_property
    def curves(self) -> ColumnDataSource:
        """A row per trial that is drawn as a line over its epochs, `xs`; a column per loss and metric, by its name."""
        overview = self._overview
        trials = [overview.trials[place] for place in overview.drawn()]
        columns: dict[str, Any] = {
            "number": [trial.number for trial in trials],
            "look": ["best" if trial is overview.best else trial.outcome for trial in trials],
            "xs": [overview.curve(trial, overview.metric)[0] for trial in trials],
        }
        for name in overview.all_metrics:
            columns[name] = [overview.curve(trial, name)[1] for trial in trials]
        return self._linked(ColumnDataSource(columns, name="curves"))

    @cached_property
    def parallels(self) -> ColumnDataSource:
        """A row per trial that is drawn as a line through its parameters, from 0 to 1 in `ys`; the best as last."""
        overview = self._overview
        places = overview.drawn()
        params = [dict(overview.trials[place].params) for place in places]
        objective = overview.scale.heights(overview.shown[places])
        heights = np.stack([objective, *(each.heights(params) for each in overview.parameters)], axis=1)
        columns = {
            "number": [overview.trials[place].number for place in places],
            "shown": overview.shown[places],
            "xs": [list(range(heights.shape[1]))] * len(places),
            "ys": [[round(float(each), 4) for each in row] for row in heights],
        }
        return self._linked(ColumnDataSource(columns, name="parallels"))

    def hover(self, renderers: list[GlyphRenderer]) -> HoverTool:
        """Shows a trial's number, objective, outcome and parameters when one points at it."""
        rows = [("trial", "@number"), (self._overview.metric, "@value{custom}"), ("outcome", "@outcome")]
        rows += [(each.name, f"@{each.field}{{custom}}") for each in self._overview.parameters[:MOST_IN_HOVER]]
        return HoverTool(
            renderers=renderers, tooltips=rows, formatters=self._formatters, point_policy="follow_mouse", visible=False
        )

    @cached_property
    def colours(self) -> CategoricalColorMapper:
        """From an outcome, or `best`, to its colour."""
        looks = {**LOOKS, "best": BEST}
        return CategoricalColorMapper(
            factors=list(looks),
            palette=[look.light for look in looks.values()],
            tags=[[look.light for look in looks.values()], [look.dark for look in looks.values()]],
        )

    @cached_property
    def marks(self) -> CategoricalMarkerMapper:
        """From an outcome to its mark."""
        return CategoricalMarkerMapper(factors=list(LOOKS), markers=[look.mark for look in LOOKS.values()])

    @cached_property
    def shades(self) -> LinearColorMapper | LogColorMapper:
        """From the objective to its colour."""
        scale, direction = self._overview.scale, self._overview.direction
        light, dark = (shades(direction, is_dark=is_dark) for is_dark in (False, True))
        kind = LogColorMapper if scale.is_log else LinearColorMapper
        return kind(low=scale.low, high=scale.high, palette=light, tags=[light, dark])

    @cached_property
    def _formatters(self) -> dict[str, CustomJSHover]:
        number = CustomJSHover(code=_NUMBER)
        found = {"@value": number}
        for each in self._overview.parameters[:MOST_IN_HOVER]:
            labels = list(each.labels)
            is_text = each.kind == "categorical"
            found[f"@{each.field}"] = CustomJSHover(args={"labels": labels}, code=_LABEL) if is_text else number
        return found

    def _linked(self, lines: ColumnDataSource) -> ColumnDataSource:
        follow = CustomJS(args={"trials": self.trials, "lines": lines}, code=_FOLLOW)
        self.trials.selected.js_on_change("indices", follow)
        lines.selected.js_on_change("indices", follow)
        return lines
