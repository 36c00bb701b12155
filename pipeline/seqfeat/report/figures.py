"""The report's plots, made with Bokeh.

``assets/page.js`` fills in the series, and ``assets/page.css`` colours the axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.display.drawing import needs_log_scale, separate_labels
from seqfeat.display.reconstruction import LANE_SPACING
from seqfeat.display.shading import SHADE_COLOUR
from seqfeat.report.analysis import Analysis
from seqfeat.report.summary import shorten

__all__ = ["embedding_map", "loss_curves", "prediction_plot", "series_plot"]

MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star"]
MAX_CLASS_LABELS = 30
"""With more classes, their labels would hide the points."""
MIN_LABEL_DISTANCE = 0.07
"""Distance between the labels of two classes, as a fraction of the extent of the points."""
SERIES_COLOUR = "#7b828d"
RECONSTRUCTION_COLOUR = "#e8590c"
"""Both are readable on white and on near black, and the same as in ``assets/page.css``."""


def embedding_map(analysis: Analysis) -> Any:
    """Return the map: one point per drawn series, with the colour and shape of its class."""
    from bokeh.models import ColumnDataSource, HoverTool, TapTool

    classes, codes = _class_codes(analysis)
    palette = _palette(max(1, len(classes)))
    colours = [palette[code] for code in codes]
    if analysis.numbers is not None:
        colours = _number_colours(analysis)
    figure = _figure(
        420,
        tools="pan,wheel_zoom,box_zoom,reset",
        active_drag=None,
        active_scroll=None,
        match_aspect=True,
    )
    points = ColumnDataSource(
        {
            "x": analysis.positions[:, 0],
            "y": analysis.positions[:, 1],
            "name": [shorten(name) for name in analysis.names],
            "colour": colours,
            "marker": [MARKERS[code % len(MARKERS)] for code in codes],
            "alpha": np.full(len(codes), 0.75),
        },
        name="points",
    )
    drawn = figure.scatter(
        "x",
        "y",
        source=points,
        size=8,
        marker="marker",
        fill_color="colour",
        fill_alpha="alpha",
        line_color=None,
    )
    drawn.nonselection_glyph = drawn.selection_glyph = None
    _add_class_labels(figure, analysis, classes, codes, palette)
    selected = ColumnDataSource({"x": [], "y": []}, name="selected")
    ring = {"size": 17, "fill_color": None, "line_width": 3, "line_color": RECONSTRUCTION_COLOUR}
    figure.scatter("x", "y", source=selected, level="overlay", **ring)
    hover = HoverTool(renderers=[drawn], tooltips=[("series", "@name")], limit=3)
    figure.add_tools(hover, TapTool(renderers=[drawn]))
    for axis, number, fraction in zip(
        (figure.xaxis, figure.yaxis), ("First", "Second"), analysis.explained, strict=True
    ):
        axis.axis_label = f"{number} principal component ({fraction:.0%} of variance)"
    return figure


def _class_codes(analysis: Analysis) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the classes to colour by, true or else predicted, and the code of each point."""
    classes = analysis.labels if analysis.labels is not None else analysis.predictions
    if classes is None:
        return [], np.zeros(len(analysis.names), dtype=np.int64)
    names, codes = np.unique(classes[analysis.drawn.rows], return_inverse=True)
    return names.tolist(), codes


def _number_colours(analysis: Analysis) -> list[str]:
    """Return a colour for the number of each point, true or else predicted: the first target's."""
    from bokeh.palettes import viridis

    # Its darkest colours are hard to see on black.
    numbers, palette = analysis.numbers, viridis(256)[40:]
    assert numbers is not None
    values = (numbers.predicted if numbers.true is None else numbers.true)[analysis.drawn.rows, 0]
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    last = len(palette) - 1
    return [palette[last * rank // max(1, len(values) - 1)] for rank in ranks.tolist()]


def prediction_plot(analysis: Analysis, target: int) -> Any:
    """Return the plot of predicted against true numbers, one point per drawn series."""
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.models.annotations import Slope

    numbers, rows = analysis.numbers, analysis.drawn.rows
    assert numbers is not None
    assert numbers.true is not None
    figure = _figure(320, tools="", x_axis_label="true", y_axis_label="predicted")
    source = ColumnDataSource(
        {
            "true": numbers.true[rows, target],
            "predicted": numbers.predicted[rows, target],
            "name": [shorten(name) for name in analysis.names],
        }
    )
    line = Slope(gradient=1, y_intercept=0, line_dash="dashed", line_color=SERIES_COLOUR)
    figure.add_layout(line)
    style = {"size": 7, "fill_color": RECONSTRUCTION_COLOUR, "fill_alpha": 0.7, "line_color": None}
    points = figure.scatter("true", "predicted", source=source, **style)
    tooltips = [("series", "@name"), ("true", "@true"), ("predicted", "@predicted")]
    figure.add_tools(HoverTool(renderers=[points], tooltips=tooltips, limit=3))
    return figure


def _add_class_labels(
    figure: Any,
    analysis: Analysis,
    classes: list[Any],
    codes: NDArray[np.int64],
    palette: list[str],
) -> None:
    """Add the name of each class near the centroid of its points."""
    if not classes or len(classes) > MAX_CLASS_LABELS:
        return
    centroids = np.array(
        [analysis.positions[codes == code].mean(axis=0) for code in range(len(classes))]
    )
    extent = float(np.ptp(analysis.positions, axis=0).max())
    label_positions = separate_labels(centroids, MIN_LABEL_DISTANCE * extent)
    figure.text(
        label_positions[:, 0],
        label_positions[:, 1],
        text=[shorten(name, 24) for name in classes],
        text_align="center",
        text_baseline="middle",
        text_font_size="12px",
        text_font_style="bold",
        text_color="#14171c",
        background_fill_color="#ffffff",
        background_fill_alpha=0.85,
        border_line_color=palette[: len(classes)],
        border_line_width=1.5,
        border_radius=3,
        padding=3,
    )


def series_plot(channel_names: list[str], height: int) -> Any:
    """Return a plot of a series and its reconstruction, which ``assets/page.js`` fills.

    A single channel has an ordinary y axis. Several have one lane each, the first at
    the top.
    """
    from bokeh.models import ColumnDataSource, FixedTicker, PlainText, Range1d

    # Fixed, as there is no data yet to compute them from; page.js sets them.
    ranges = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=0, end=1)}
    figure = _figure(height, tools="", x_axis_label="timestep", **ranges)
    edges = ("left", "right", "bottom", "top")
    shades = ColumnDataSource({edge: [] for edge in (*edges, "alpha")}, name="shades")
    figure.quad(*edges, source=shades, fill_color=SHADE_COLOUR, fill_alpha="alpha", line_color=None)
    causes = ColumnDataSource({key: [] for key in (*edges, "alpha", "colour")}, name="causes")
    strip = {"fill_color": "colour", "fill_alpha": "alpha", "line_color": None}
    figure.quad(*edges, source=causes, **strip)
    for name, colour, width in (
        ("series", SERIES_COLOUR, 1.5),
        ("reconstruction", RECONSTRUCTION_COLOUR, 1.8),
    ):
        source = ColumnDataSource({"xs": [], "ys": []}, name=name)
        figure.multi_line("xs", "ys", source=source, line_color=colour, line_width=width)
    isolated = ColumnDataSource({"x": [], "y": []}, name="isolated")
    figure.scatter("x", "y", source=isolated, size=4, color=SERIES_COLOUR)
    n_lanes = len(channel_names)
    if n_lanes == 1:
        figure.yaxis.axis_label = PlainText(text=channel_names[0])
        return figure
    centres = [LANE_SPACING * (n_lanes - 1 - lane) + 0.5 for lane in range(n_lanes)]
    figure.yaxis.ticker = FixedTicker(ticks=centres)
    # As plain text: for a formula, marked by dollar signs, Bokeh would load MathJax.
    figure.yaxis.major_label_overrides = {
        centre: PlainText(text=name) for centre, name in zip(centres, channel_names, strict=True)
    }
    figure.yaxis.major_tick_line_color = None
    figure.ygrid.visible = False
    return figure


def loss_curves(analysis: Analysis) -> Any | None:
    """Return the plot of the loss curves, or None if there were no epochs."""
    autoencoder = analysis.parts.autoencoder
    if not autoencoder.loss_curve_:
        return None
    from bokeh.models import BasicTickFormatter, FixedTicker
    from bokeh.models.annotations import Span
    from bokeh.models.tools import HoverTool

    curves = {"training": (autoencoder.loss_curve_, SERIES_COLOUR)}
    if autoencoder.validation_loss_curve_ is not None:
        curves["validation"] = (autoencoder.validation_loss_curve_, RECONSTRUCTION_COLOUR)
    losses = np.concatenate([curve for curve, _ in curves.values()])
    is_log = needs_log_scale(losses)
    figure = _figure(300, tools="", x_axis_label="epoch", y_axis_type="log" if is_log else "linear")
    for name, (curve, colour) in curves.items():
        epochs = np.arange(1, len(curve) + 1)
        style = {"color": colour, "name": name}
        figure.line(epochs, curve, line_width=2, **style)
        if len(curve) == 1:
            figure.scatter(epochs, curve, size=6, **style)
    if is_log:
        figure.yaxis.ticker = FixedTicker(ticks=_log_ticks(losses))
        figure.yaxis.formatter = BasicTickFormatter()
    has_head = autoencoder.architecture_["n_classes"] > 0
    figure.yaxis.axis_label = "loss" if has_head else "mean squared error"
    best = Span(location=autoencoder.best_iter_, dimension="height", line_dash="dashed")
    best.line_color = SERIES_COLOUR
    figure.add_layout(best)
    figure.add_tools(HoverTool(tooltips=[("$name", "@y"), ("epoch", "@x")], mode="mouse"))
    return figure


def _log_ticks(values: NDArray[np.float64]) -> list[float]:
    """Return 1, 2 and 5 times each power of ten in the range of the values."""
    exponents = range(math.floor(math.log10(values.min())), math.ceil(math.log10(values.max())) + 1)
    return [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]


def _figure(height: int, **options: Any) -> Any:
    from bokeh.plotting import figure as new_figure

    figure = new_figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location="above" if options.get("tools") else None,
        background_fill_color=None,
        border_fill_color=None,
        **options,
    )
    figure.toolbar.logo = None
    for axis in figure.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.minor_tick_line_color = None
    return figure


def _palette(n_colours: int) -> list[str]:
    """Return distinct colours: a qualitative palette for up to 20, a rainbow for more."""
    from bokeh.palettes import Category10, Category20, turbo

    if n_colours <= 10:
        return list(Category10[10])
    if n_colours <= 20:
        return list(Category20[20])
    # Step through the rainbow so that consecutive classes have very different colours.
    rainbow = turbo(min(n_colours, 256))
    n = len(rainbow)
    stride = next(k for k in range(n // 3, n) if math.gcd(k, n) == 1)
    return [rainbow[(index * stride) % n] for index in range(n_colours)]
