"""A chart as PNG, by matplotlib, which brings its own fonts and needs no display."""

from io import BytesIO

from parkade.compound.plots.chart import CannotDraw, Chart, Scale, check
from parkade.compound.plots.svg import COLOURS
from parkade.compound.plots.ticks import ranges, wording
from parkade.extras import install

_INCHES = (7.6, 4.2)
_DOTS_PER_INCH = 150


def png(chart: Chart) -> bytes:
    """The bytes of the file; raises `CannotDraw`, also where matplotlib is not installed."""
    check(chart)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullLocator
    except ImportError:
        raise CannotDraw(f"PNG needs matplotlib: {install('plots')}; SVG needs nothing") from None
    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for line, colour in zip(chart.lines, COLOURS, strict=False):
        xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
        marker = "" if line.is_dashed or len(xs) > 16 else "o"
        style = "--" if line.is_dashed else "-"
        (drawn,) = axes.plot(xs, ys, style, marker=marker, color=colour, label=line.name)
        drawn.set_markersize(4)
        # Points on the frame are drawn whole.
        drawn.set_clip_on(not marker)
        if line.band:
            lows, highs = [low for low, _ in line.band], [high for _, high in line.band]
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    x, y = ranges(chart)
    axes.set_xscale("log" if x.scale is Scale.LOG else "linear")
    axes.set_yscale("log" if y.scale is Scale.LOG else "linear")
    for axis, shown in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_ticks(shown.marks, [wording(mark, shown.scale) for mark in shown.marks])
        axis.set_minor_locator(NullLocator())
    axes.set_xlim(x.low, x.high)
    axes.set_ylim(y.low, y.high)
    axes.set_xlabel(chart.x.label)
    axes.set_ylabel(chart.y.label)
    axes.set_title(chart.title, loc="left", fontweight="bold")
    axes.grid(axis="y", color="#e3e3e3")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DOTS_PER_INCH)
    return content.getvalue()
