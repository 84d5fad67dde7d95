"""What the figures are made of: blank ones, axes and legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import (
    Axis,
    BoxSelectTool,
    FixedTicker,
    Legend,
    LegendItem,
    NoOverlap,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    TapTool,
    WheelZoomTool,
)
from bokeh.plotting import figure as Figure  # noqa: N812  (it is a class)

from sweeps.report.scales import ObjectiveScale, ParameterScale

HEIGHT = 320


def blank(x_label: str, y_label: str, **ranges: Any) -> Figure:
    """A figure as wide as its place, without anything drawn in it."""
    select = BoxSelectTool()
    figure = Figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location="above",
        tools=[select, TapTool(visible=False), PanTool(), WheelZoomTool(), ResetTool(), SaveTool()],
        x_axis_label=x_label,
        y_axis_label=y_label,
        **ranges,
    )
    figure.xaxis.major_label_policy = figure.yaxis.major_label_policy = NoOverlap()
    figure.toolbar.logo = None
    figure.toolbar.active_drag = select
    figure.toolbar.active_scroll = None  # a page is scrolled past a figure
    return figure


def objective_axis(scale: ObjectiveScale) -> dict[str, Any]:
    """The vertical axis of a figure of the objective."""
    kind = "log" if scale.is_log else "linear"
    return {"y_axis_type": kind, "y_range": Range1d(*scale.ends)}


def parameter_axis(parameter: ParameterScale, side: str) -> dict[str, Any]:
    """The axis of a parameter; `side` is `x` or `y`."""
    kind = "log" if parameter.kind == "log" else "linear"
    return {f"{side}_axis_type": kind, f"{side}_range": Range1d(*parameter.ends)}


def set_labels(axis: Axis, labels: Sequence[str]) -> None:
    """Put texts at 0, 1, 2, … on an axis, as many as have room."""
    axis.ticker = FixedTicker(ticks=list(range(len(labels))))
    axis.major_label_overrides = dict(enumerate(labels))


def write_legend(figure: Figure, items: list[LegendItem]) -> None:
    """A legend above the figure, where it hides nothing."""
    legend = Legend(items=items, orientation="horizontal", border_line_color=None, padding=0, spacing=6, margin=0)
    legend.glyph_width, legend.label_standoff, legend.label_text_font_size = 16, 2, "12px"
    figure.add_layout(legend, "above")
