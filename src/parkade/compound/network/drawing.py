"""Networks drawn: as text for a terminal, as Mermaid for a page, as SVG that needs nothing else."""

import textwrap
from html import escape

from parkade.compound.network.graph import Box, Graph, describe, graph_of
from parkade.compound.network.operators import (
    BestOf,
    Cascade,
    Chain,
    Ensemble,
    Operator,
    Race,
    Repeat,
    Route,
)

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 68, 56, 18, 16
FILL = {"source": "#e0ecff", "stage": "#fff3d6", "end": "#f1f1f4"}
STROKE = {"source": "#3b6fd4", "stage": "#c08a1a", "end": "#8a8a94"}
MAX_TEXT = 27
MAX_LINES = 2


def label(operator: Operator) -> str:
    """One line for one operator."""
    title, detail = describe(operator)
    return f"{title}: {detail}" if detail else title


def as_text(network: Operator) -> str:
    """A tree: what feeds an operator stands above it in a chain, or below it as a branch."""
    return "\n".join(_lines(network))


def _lines(operator: Operator) -> list[str]:
    match operator:
        case Chain(steps=steps):
            lines: list[str] = []
            for place, step in enumerate(steps):
                shown = _lines(step)
                lines += shown if place == 0 else [f"→ {shown[0]}", *(f"  {s}" for s in shown[1:])]
            return lines
        case Ensemble(parts=parts):
            return ["together", *_branches([("", part) for part in parts])]
        case Race(parts=parts):
            return [label(operator), *_branches([("", part) for part in parts])]
        case Cascade(steps=steps):
            named = [(f"{place}. ", step) for place, step in enumerate(steps, start=1)]
            return [label(operator), *_branches(named)]
        case Route(routes=routes):
            return [label(operator), *_branches([(f"{n}: ", way) for n, way in routes.items()])]
        case BestOf(source=source) | Repeat(source=source):
            return [label(operator), *_branches([("", source)])]
        case _:
            return [label(operator)]


def _branches(branches: list[tuple[str, Operator]]) -> list[str]:
    lines: list[str] = []
    for place, (name, branch) in enumerate(branches):
        is_last = place == len(branches) - 1
        first, *rest = _lines(branch)
        lines.append(f"{'└─' if is_last else '├─'} {name}{first}")
        lines += [f"{'  ' if is_last else '│ '} {line}" for line in rest]
    return lines


def as_mermaid(network: Operator) -> str:
    """A flowchart in Mermaid's language."""
    graph = graph_of(network)
    lines = ["flowchart LR"]
    for number, box in enumerate(graph.boxes):
        text = f"<b>{_safe(box.title)}</b>"
        if box.detail:
            text += f"<br>{_safe(box.detail)}"
        lines.append(f'  n{number}(["{text}"])' if box.role == "end" else f'  n{number}["{text}"]')
    for tail, head, name in graph.arrows:
        lines.append(f"  n{tail} -->{f'|{_safe(name)}|' if name else ''} n{head}")
    return "\n".join(lines) + "\n"


def as_svg(network: Operator) -> str:
    """A picture, left to right: a box stands one column behind the last that feeds it."""
    graph = graph_of(network)
    places = _places(graph)
    right = max(x for x, _ in places) + WIDTH + MARGIN
    low = max(y for _, y in places) + HEIGHT + MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {low}" width="{right}" '
            f'height="{low}" font-family="system-ui, sans-serif" font-size="13" role="img" '
            'aria-label="the network">'
        ),
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#6b6b76"/></marker>'
            "</defs>"
        ),
    ]
    parts += [_arrow(places[tail], places[head], name) for tail, head, name in graph.arrows]
    parts += [_box(box, place) for box, place in zip(graph.boxes, places, strict=True)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(graph: Graph) -> list[tuple[int, int]]:
    columns = [0] * len(graph.boxes)
    # Arrows were added from the inside out, so a few passes settle the longest paths.
    for _ in graph.boxes:
        for tail, head, _name in graph.arrows:
            columns[head] = max(columns[head], columns[tail] + 1)
    counts: dict[int, int] = {}
    for column in columns:
        counts[column] = counts.get(column, 0) + 1
    tallest = max(counts.values())
    used: dict[int, int] = {}
    places = []
    for column in columns:
        row = used.get(column, 0)
        used[column] = row + 1
        offset = (tallest - counts[column]) * (HEIGHT + GAP_Y) // 2
        x = MARGIN + column * (WIDTH + GAP_X)
        places.append((x, MARGIN + offset + row * (HEIGHT + GAP_Y)))
    return places


def _box(box: Box, place: tuple[int, int]) -> str:
    x, y = place
    middle = x + WIDTH // 2
    details = _wrapped(box.detail)
    # Lines are 18 apart, and stand around the middle of the box.
    title_y = y + HEIGHT // 2 + 5 - 9 * len(details)
    text = (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" '
        f'rx="{26 if box.role == "end" else 8}" fill="{FILL[box.role]}" '
        f'stroke="{STROKE[box.role]}"/>'
        f'<text x="{middle}" y="{title_y}" text-anchor="middle" font-weight="600" '
        f'fill="#1c1c22">{escape(_short(box.title))}</text>'
    )
    for number, line in enumerate(details, start=1):
        text += (
            f'<text x="{middle}" y="{title_y + 18 * number}" text-anchor="middle" font-size="12" '
            f'fill="#4a4a55">{escape(line)}<title>{escape(box.detail)}</title></text>'
        )
    return text


def _wrapped(detail: str) -> list[str]:
    """At most MAX_LINES lines, broken between words; what is longer than all is cut."""
    lines = textwrap.wrap(detail, MAX_TEXT)
    if len(lines) <= MAX_LINES:
        return [_short(line) for line in lines]
    return [*lines[: MAX_LINES - 1], _short(" ".join(lines[MAX_LINES - 1 :]))]


def _arrow(tail: tuple[int, int], head: tuple[int, int], name: str) -> str:
    x1, y1 = tail[0] + WIDTH, tail[1] + HEIGHT // 2
    x2, y2 = head[0], head[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    path = (
        f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2 - 1} {y2}" fill="none" '
        'stroke="#6b6b76" stroke-width="1.4" marker-end="url(#tip)"/>'
    )
    if name:
        path += (
            f'<text x="{middle}" y="{(y1 + y2) // 2 - 5}" text-anchor="middle" font-size="11" '
            f'fill="#4a4a55">{escape(name)}</text>'
        )
    return path


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _safe(text: str) -> str:
    return escape(text).replace('"', "#quot;").replace("|", "#124;")
