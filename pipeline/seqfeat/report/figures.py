"""The report's plots, by Bokeh.

The page's script fills in the series, and its style sheet colours the axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.display.embedding import spread_apart
from seqfeat.report.facts import shortened
from seqfeat.report.findings import Findings

__all__ = ["class_codes", "embedding_map", "loss_curves", "series_plot"]

MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star"]
MOST_NAMED_CLASSES = 30
"""Names on the map, before they hide the points."""
LEAST_DISTANCE = 0.07
"""Between the names of two classes, as a share of the map."""
SERIES_COLOUR = "#7b828d"
REBUILT_COLOUR = "#e8590c"
"""Both are readable on white and on near black."""
LARGE_FALL = 10
"""From this ratio of the largest to the least loss on, the axis is logarithmic."""


def class_codes(findings: Findings) -> tuple[list[Any], NDArray[np.int64] | None]:
    """Return the classes drawn, to colour by, and each drawn series' place among them.

    The true ones or, without labels, the predicted ones.
    """
    known = findings.labels if findings.labels is not None else findings.predictions
    if known is None:
        return [], None
    classes, codes = np.unique(known[findings.drawing.rows], return_inverse=True)
    return classes.tolist(), codes


def embedding_map(findings: Findings) -> Any:
    """Return the map: a point for each drawn series, its class's colour and shape."""
    from bokeh.models import ColumnDataSource, HoverTool, TapTool

    classes, codes = class_codes(findings)
    codes = np.zeros(len(findings.names), dtype=np.int64) if codes is None else codes
    palette = _palette(max(1, len(classes)))
    figure = _figure(
        420,
        tools="pan,wheel_zoom,box_zoom,reset",
        active_drag=None,
        active_scroll=None,
        match_aspect=True,
    )
    points = ColumnDataSource(
        {
            "x": findings.positions[:, 0],
            "y": findings.positions[:, 1],
            "name": [shortened(name) for name in findings.names],
            "colour": [palette[code] for code in codes],
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
    _name_classes(figure, findings, classes, codes, palette)
    chosen = ColumnDataSource({"x": [], "y": []}, name="chosen")
    ring = {"size": 17, "fill_color": None, "line_width": 3, "line_color": REBUILT_COLOUR}
    figure.scatter("x", "y", source=chosen, level="overlay", **ring)
    hover = HoverTool(renderers=[drawn], tooltips=[("series", "@name")], limit=3)
    figure.add_tools(hover, TapTool(renderers=[drawn]))
    for axis, number, share in zip(
        (figure.xaxis, figure.yaxis), ("First", "Second"), findings.explained, strict=True
    ):
        axis.axis_label = f"{number} principal component ({share:.0%} of the variance)"
    return figure


def _name_classes(
    figure: Any,
    findings: Findings,
    classes: list[Any],
    codes: NDArray[np.int64],
    palette: list[str],
) -> None:
    """Write each class's name near the mean of its drawn points."""
    if not classes or len(classes) > MOST_NAMED_CLASSES:
        return
    every = range(len(classes))
    centroids = np.array([findings.positions[codes == code].mean(axis=0) for code in every])
    extent = float(np.ptp(findings.positions, axis=0).max())
    places = spread_apart(centroids, LEAST_DISTANCE * extent)
    figure.text(
        places[:, 0],
        places[:, 1],
        text=[shortened(name, 24) for name in classes],
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
    """Return an empty plot of a series and its reconstruction.

    One channel has an axis of values; several have a lane each, the first on top.
    """
    from bokeh.models import ColumnDataSource, FixedTicker, PlainText, Range1d

    # The page's script sets the ranges; nothing is there yet to find them from.
    ranges = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=0, end=1)}
    figure = _figure(height, tools="", x_axis_label="timestep", **ranges)
    for name, colour, width in (("series", SERIES_COLOUR, 1.5), ("rebuilt", REBUILT_COLOUR, 1.8)):
        source = ColumnDataSource({"xs": [], "ys": []}, name=name)
        figure.multi_line("xs", "ys", source=source, line_color=colour, line_width=width)
    alone = ColumnDataSource({"x": [], "y": []}, name="alone")
    figure.scatter("x", "y", source=alone, size=4, color=SERIES_COLOUR)
    n_lanes = len(channel_names)
    if n_lanes == 1:
        figure.yaxis.axis_label = PlainText(text=channel_names[0])
        return figure
    middles = [1.15 * (n_lanes - 1 - lane) + 0.5 for lane in range(n_lanes)]
    figure.yaxis.ticker = FixedTicker(ticks=middles)
    # As plain text: two dollar signs would make a formula, for which Bokeh asks a host.
    named = zip(middles, channel_names, strict=True)
    figure.yaxis.major_label_overrides = {middle: PlainText(text=name) for middle, name in named}
    figure.yaxis.major_tick_line_color = None
    figure.ygrid.visible = False
    return figure


def loss_curves(findings: Findings) -> Any | None:
    """Return the losses of the fit, or None if there was no epoch."""
    autoencoder = findings.parts.autoencoder
    if not autoencoder.loss_curve_:
        return None
    from bokeh.models import BasicTickFormatter, FixedTicker
    from bokeh.models.annotations import Span
    from bokeh.models.tools import HoverTool

    curves = {"training": (autoencoder.loss_curve_, SERIES_COLOUR)}
    if autoencoder.validation_loss_curve_ is not None:
        curves["validation"] = (autoencoder.validation_loss_curve_, REBUILT_COLOUR)
    losses = np.concatenate([curve for curve, _ in curves.values()])
    is_steep = losses.min() > 0 and losses.max() >= LARGE_FALL * losses.min()
    figure = _figure(
        300, tools="", x_axis_label="epoch", y_axis_type="log" if is_steep else "linear"
    )
    for name, (curve, colour) in curves.items():
        epochs = np.arange(1, len(curve) + 1)
        style = {"color": colour, "name": name}
        figure.line(epochs, curve, line_width=2, **style)
        if len(curve) == 1:
            figure.scatter(epochs, curve, size=6, **style)
    if is_steep:
        figure.yaxis.ticker = FixedTicker(ticks=_decades(losses))
        figure.yaxis.formatter = BasicTickFormatter()
    has_head = autoencoder.target_weight > 0
    figure.yaxis.axis_label = "loss" if has_head else "mean squared error"
    best = Span(location=autoencoder.best_iter_, dimension="height", line_dash="dashed")
    best.line_color = SERIES_COLOUR
    figure.add_layout(best)
    figure.add_tools(HoverTool(tooltips=[("$name", "@y"), ("epoch", "@x")], mode="mouse"))
    return figure


def _decades(values: NDArray[np.float64]) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten that the values span."""
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
    """Return colours that stay apart: a qualitative set, or for many classes a rainbow."""
    from bokeh.palettes import Category10, Category20, turbo

    if n_colours <= 10:
        return list(Category10[10])
    if n_colours <= 20:
        return list(Category20[20])
    # Neighbours of the rainbow far apart in the order of the classes.
    wheel = turbo(min(n_colours, 256))
    stride = next(k for k in range(len(wheel) // 3, len(wheel)) if math.gcd(k, len(wheel)) == 1)
    return [wheel[(place * stride) % len(wheel)] for place in range(n_colours)]
