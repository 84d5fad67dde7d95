"""Colours and marks of the figures, on a light ground and on a dark one.

Outcomes have the colours of Okabe and Ito and a mark each, so that no two are told apart by colour alone; values have
those of viridis, the best always with the most contrast. Both are made for eyes that do not see all colours
(M. Okabe, K. Ito, "Color Universal Design" (2008); viridis is Matplotlib's).
"""

from __future__ import annotations

from typing import NamedTuple

BLUE, SKY, GREEN, ORANGE = "#0072b2", "#56b4e9", "#009e73", "#e69f00"
VERMILION, PURPLE, GREY, BLACK, WHITE = "#d55e00", "#cc79a7", "#808080", "#111111", "#f5f5f5"
MUTED = 0.06
"""How visible what is not selected is."""
SHADES = 64


class Look(NamedTuple):
    """How an outcome is drawn: the colours on a light and on a dark ground, and the mark."""

    light: str
    dark: str
    mark: str


LOOKS = {
    "completed": Look(BLUE, SKY, "circle"),
    "pruned": Look(GREY, "#a0a0a0", "circle_dot"),
    "diverged": Look(VERMILION, "#ff8c42", "x"),
    "failed": Look(PURPLE, "#e6a3c7", "square_x"),
    "out_of_memory": Look(PURPLE, "#e6a3c7", "square_pin"),
    "timed_out": Look(ORANGE, ORANGE, "triangle"),
    "interrupted": Look(ORANGE, ORANGE, "inverted_triangle"),
    "running": Look(GREEN, "#4cd1a6", "diamond"),
    "waiting": Look(GREEN, "#4cd1a6", "diamond"),
}
BEST = Look(BLACK, WHITE, "star")
"""The best trial, wherever it is drawn in a way of its own."""


def shades(direction: str, *, is_dark: bool) -> list[str]:
    """Colours from the lowest value to the highest: dark purple is the best on a light ground, yellow on a dark one."""
    from bokeh.palettes import viridis

    palette = list(viridis(SHADES + SHADES // 4))
    kept = palette[-SHADES:] if is_dark else palette[:SHADES]
    best_is_last = direction == "maximize"
    return kept if best_is_last == is_dark else kept[::-1]
