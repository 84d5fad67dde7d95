"""HTML that cannot be broken into: whatever is put into an element is escaped, unless it is an element itself."""

from __future__ import annotations

import html
import json
from typing import Any

_ALONE = frozenset({"meta", "input", "br"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element; children that are no `Markup` are text. An attribute is named without its trailing `_`, `-` is `_`.

    An attribute that is None or False is left out, one that is True has no value.

    >>> element("a", "<b>", href='"', class_="plain", hidden=True)
    '<a href="&quot;" class="plain" hidden>&lt;b&gt;</a>'
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = joined(*children)
    return Markup(f"<{name}{given}>" if name in _ALONE else f"<{name}{given}>{inside}</{name}>")


def joined(*children: Any) -> Markup:
    """Several pieces one after the other; those that are no `Markup` are text."""
    return Markup("".join(each if isinstance(each, Markup) else html.escape(str(each)) for each in children))


def table(heading: tuple[str, ...], rows: list[tuple[Any, ...]], caption: str = "") -> Markup:
    """A table, its first row of headings; numbers are to the right."""
    head = element("tr", *(element("th", name, scope="col") for name in heading))
    body = [
        element("tr", *(element("td", each, class_="number" if _is_number(each) else None) for each in row))
        for row in rows
    ]
    title = [element("caption", caption)] if caption else []
    inside = element("table", *title, element("thead", head), element("tbody", *body))
    return element("div", inside, class_="scroll", tabindex=0)


def script_data(name: str, content: str | dict[str, Any]) -> Markup:
    """Data for the page's script, as JSON. No text in it can end the element."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", r"\u003c")
    return Markup(f'<script type="application/json" id="{name}">{safe}</script>')


def _is_number(value: Any) -> bool:
    return not isinstance(value, Markup) and str(value)[:1].isdigit()
