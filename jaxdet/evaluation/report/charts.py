"""Charts as SVG in the text of a page; the page's style colours them."""

import math
from collections.abc import Sequence

from jaxdet.evaluation.report.markup import escape

LEFT, RIGHT, TOP, BOTTOM = 38, 6, 8, 24  # margins around the plotted area
AXES = '<path class="axis" d="M{left:g} {top:g}V{bottom:g}H{right:g}"/>'


def curve(
    xs: Sequence[float], ys: Sequence[float], *, name: str, x_name: str, y_name: str, point: tuple[float, float] | None
) -> str:
    """Return a chart of a curve in 0..1 by 0..1, with at most one marked point (x, y)."""
    width, height = 220, 180
    right, bottom = width - RIGHT, height - BOTTOM

    def place(x: float, y: float) -> str:
        return f"{LEFT + x * (right - LEFT):.1f} {bottom - y * (bottom - TOP):.1f}"

    grid = "".join(
        f'<path class="grid" d="M{place(0, t)}L{place(1, t)}M{place(t, 0)}L{place(t, 1)}"/>' for t in (0.5, 1)
    )
    line = "L".join(place(x, y) for x, y in zip(xs, ys, strict=True))
    marked = '<circle cx="{}" cy="{}" r="3.5"/>'.format(*place(*point).split()) if point else ""
    ticks = "".join(
        _text(LEFT + t * (right - LEFT), bottom + 11, f"{t:g}", "middle")
        + _text(LEFT - 4, bottom - t * (bottom - TOP) + 3, f"{t:g}", "end")
        for t in (0, 0.5, 1)
    )
    names = _text((LEFT + right) / 2, height - 2, x_name, "middle") + _text(
        10, (TOP + bottom) / 2, y_name, "middle", turned=True
    )
    axes = AXES.format(left=LEFT, top=TOP, right=right, bottom=bottom)
    return _svg(width, height, name, f'{grid}{axes}<path class="curve" d="M{line}"/>{marked}{ticks}{names}')


def mirrored_histogram(
    edges: Sequence[float], above: Sequence[int], below: Sequence[int], *, name: str, mark: float, x_name: str
) -> str:
    """Return a chart of two counts per range, one upwards and one downwards, with logarithmic heights.

    `mark` is a vertical line. The heights start at a count of 0.5, so that 1 can be seen.
    """
    width, height = 640, 300
    left, right, bottom = 44, width - 10, height - BOTTOM
    middle, most = (TOP + bottom) / 2, max(10, *above, *below)

    def x(value: float) -> float:
        return left + (value - edges[0]) / (edges[-1] - edges[0]) * (right - left)

    def rise(count: float) -> float:
        return math.log(max(count, 0.5) / 0.5) / math.log(1.1 * most / 0.5) * (middle - TOP)

    parts = []
    for power in range(int(math.log10(most)) + 1):
        for y in (middle - rise(10**power), middle + rise(10**power)):
            parts.append(
                f'<path class="grid" d="M{left} {y:.1f}H{right}"/>{_text(left - 4, y + 3, f"{10**power:,}", "end")}'
            )
    for low, high, up, down in zip(edges, edges[1:], above, below, strict=False):
        for count, kind, y in ((up, "right", middle - rise(up)), (down, "wrong", middle)):
            bar = f'x="{x(low) + 1:.1f}" width="{x(high) - x(low) - 2:.1f}" y="{y:.1f}" height="{rise(count):.1f}"'
            title = f"<title>{low:.2f} to {high:.2f}: {count} {kind}</title>"
            parts.append(f'<rect class="{kind}" {bar}>{title}</rect>')
    parts += [_text(x(edge), bottom + 11, f"{edge:.2g}", "middle") for edge in edges[::4]]
    parts.append(f'<path class="axis" d="M{left} {middle:g}H{right}"/>')
    parts.append(f'<path class="mark" d="M{x(mark):.1f} {TOP}V{bottom}"/>')
    parts.append(_text((left + right) / 2, height - 2, x_name, "middle"))
    return _svg(width, height, name, "".join(parts))


def _svg(width: int, height: int, name: str, content: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{content}</svg>'


def _text(x: float, y: float, text: str, anchor: str, *, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'
