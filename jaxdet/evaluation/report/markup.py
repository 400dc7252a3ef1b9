"""Pieces of HTML: text, tables and bars."""

import html
import math
from collections.abc import Iterable, Sequence


def escape(text: object) -> str:
    """Return text that HTML shows as it is, also inside quotes."""
    return html.escape(str(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, foot: Sequence[str] = ()) -> str:
    """Return a table of cells that are HTML; the first column names the rows. Wide tables scroll on their own."""
    lines = [_row(head, "th scope=col"), *(_row(row, "td") for row in rows)]
    if foot:
        lines.append(_row(foot, "td", ' class="mean"'))
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def bar(share: float, colour: str) -> str:
    """Return a bar of a share in 0..1 of the cell's width, in a colour of the style: "right", "wrong" or "plain".

    It is empty for NaN.
    """
    width = 0.0 if math.isnan(share) else 100 * share
    return f'<span class="bar {colour}"><i style="width:{width:.1f}%"></i></span>'


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed digits; a dash for none and NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def section(anchor: str, title: str, *parts: str) -> str:
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def _row(cells: Sequence[str], element: str, attributes: str = "") -> str:
    name, *others = cells
    end = element.partition(" ")[0]
    first = f"<th scope=row>{name}</th>" if end == "td" else f"<{element}>{name}</{end}>"
    return f"<tr{attributes}>{first}{''.join(f'<{element}>{cell}</{end}>' for cell in others)}</tr>"
