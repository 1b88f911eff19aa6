"""HTML that cannot be broken out of: text is escaped, only `Markup` is not.

Names from hubs, titles, log lines and error messages are a stranger's words. Colours are inherited, so that light and
dark themes both show it well; styles are inline, because GitHub and nbviewer keep nothing else.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from qwen3ft_jupyter.faces.format import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_NAME = 40
_BEFORE_EMPTY_LINE = re.compile(r"\n(?=[ \t]*\n)")
_CURVE_WIDTH, _CURVE_HEIGHT = 240, 48


def element(tag: str, *children: str, style: str = "", **attributes: str) -> Markup:
    """Return an element; children that are not `Markup` are escaped.

    >>> element("b", "1 < 2")
    Markup('<b>1 &lt; 2</b>')
    """
    if style:
        attributes = {"style": style, **attributes}
    written = joined(Markup(' {}="{}"').format(name, _escaped(value)) for name, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(tag, written, joined(children))


def joined(children: Iterable[str], separator: str = "") -> Markup:
    """Return the children one after the other, escaping those that are not `Markup`."""
    return _escaped(separator).join(map(_escaped, children))


def verbatim(content: str) -> str:
    """Return the HTML of an output: of its text nothing is taken for a formula, as what stands between two $ would be.

    The classes are those that MathJax 3 (JupyterLab, Notebook) and 2 (exports) leave alone.
    """
    return str(element("div", content, **{"class": "mathjax_ignore tex2jax_ignore"}))


def bar(fraction: float | None) -> Markup:
    """Return a native progress bar; without a fraction a sign: a bar of unknown length moves for ever where saved."""
    style = "width:20em;max-width:100%;vertical-align:middle"
    if fraction is None:
        return element("span", "◌")
    percent = f"{100 * fraction:.1f}"
    return element("progress", f"{percent} %", style=style, value=percent, max="100")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return a table with a head."""
    head = element("tr", *(element("th", column, style=_cell_style(column), scope="col") for column in columns))
    body = (element("tr", *(element("td", value, style=_cell_style(value)) for value in row)) for row in rows)
    return element("table", element("thead", head), element("tbody", *body), style="border-collapse:collapse")


def curve(values: Sequence[float], label: str) -> Markup:
    """Return a small line of `values`, left to right; nothing if there are fewer than two that are finite."""
    points = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if len(points) < 2:
        return Markup("")
    lowest, highest = min(value for _, value in points), max(value for _, value in points)
    spread = (highest - lowest) or 1.0
    across = _CURVE_WIDTH / (len(values) - 1)
    written = " ".join(
        f"{index * across:.1f},{2 + (_CURVE_HEIGHT - 4) * (highest - value) / spread:.1f}" for index, value in points
    )
    line = element("polyline", points=written, fill="none", stroke="currentColor", **{"stroke-width": "1.5"})
    return element(
        "svg",
        element("title", label),
        line,
        viewBox=f"0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}",
        width=str(_CURVE_WIDTH),
        height=str(_CURVE_HEIGHT),
        role="img",
        **{"aria-label": label},
    )


def _cell_style(text: str) -> str:
    """Return the style of a cell: only sentences are wrapped, names and numbers stay whole."""
    wrapping = "normal" if len(text) > _LONGEST_NAME else "nowrap"
    return f"text-align:left;padding:0.2em 0.8em 0.2em 0;vertical-align:top;white-space:{wrapping}"


def _escaped(text: str) -> Markup:
    """Return a text without an empty line, for there Markdown, which an export may be, ends the HTML in it."""
    if isinstance(text, Markup):
        return text
    return Markup(_BEFORE_EMPTY_LINE.sub("&#10;", str(escape(plain(text)))))  # noqa: S704 - it is escaped
