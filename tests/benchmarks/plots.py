"""The README's plots, accuracy and speed, from the CSV files."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from aeon.visualisation import plot_critical_difference
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests.benchmarks.accuracy_tables import SHOWN, Accuracies, mean
from tests.benchmarks.datasets import HELD_OUT
from tests.benchmarks.markdown import unique
from tests.benchmarks.measure import MATRIX_PRODUCT, OURS, Row, read_rows, select_values
from tests.benchmarks.published import Scores
from tests.benchmarks.tables import best_peer

WIDTH = 8.0
"""Inches. The README shows 800 pixels; the files have twice as many."""
DPI = 200
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#777777",
)
"""The palette of Okabe and Ito, which colour-blind readers can tell apart."""
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
}


def draw(folder: Path) -> None:
    """Draw the plots for which the folder has measurements."""
    with mpl.rc_context(STYLE):
        if (folder / "accuracy.csv").exists():
            found = Accuracies(folder / "accuracy.csv")
            accuracy_plot(found).savefig(folder / "accuracy.png", dpi=DPI)
            rank_plot(found.complete(found.measured), folder / "cd.png")
        speed = read_rows(folder / "speed.csv")
        if any(row.benchmark == "equal work" for row in speed):
            speed_plot(speed).savefig(folder / "speed.png", dpi=DPI)


# Accuracy


def accuracy_plot(found: Accuracies) -> Figure:
    """Draw a line per method, with a dot per data set and a bar at their mean.

    Others did not publish all data sets, so a thin line marks seqfeat's mean on the same ones.
    """
    ours = found.measured[OURS]
    order = sorted(found.shown, key=lambda method: mean(found.shown[method], found.shown[method]))
    figure = Figure(figsize=(WIDTH, 0.42 * len(order) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    for place, method in enumerate(order):
        sets = found.shown[method]
        dots(axes, place, sets, method)
        axes.plot([mean(ours, sets)] * 2, [place - 0.32, place + 0.32], color=BLUE, linewidth=1)
        number = "" if len(sets) == len(found.names) else f" ({len(sets)})"
        axes.annotate(
            f"{mean(sets, sets):.3f}{number}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            color=BLUE if method == OURS else "black",
            fontweight="bold" if method == OURS else "normal",
        )
    axes.set_yticks(range(len(order)), order)
    for tick, method in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(BLUE if method.startswith(OURS) else "black")
        tick.set_fontweight("bold" if method == OURS else "normal")
    axes.set_xlabel(
        f"accuracy on {len(found.names)} official test sets, or as many as in parentheses, "
        "and their mean (bar);\nblue line: seqfeat's mean on the same sets"
    )
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for label, colour, marker in KINDS:
        axes.scatter([], [], s=26, c=colour, marker=marker, label=label)
    figure.legend(loc="outside upper center", ncols=len(KINDS), frameon=False, fontsize=9)
    return figure


KINDS = [
    ("seqfeat", BLUE, "s"),
    ("others, measured", ORANGE, "s"),
    ("others, published", GREY, "s"),
    ("set chosen on", "black", "o"),
    ("held-out set", "black", "^"),
]


def dots(axes: Axes, place: int, sets: dict[str, float], method: str) -> None:
    """Draw measured accuracies in colour, those of held-out data sets as triangles."""
    colour = colour_of(method)
    for marker, is_held_out in (("o", False), ("^", True)):
        values = [value for name, value in sets.items() if (name in HELD_OUT) == is_held_out]
        style = {"s": 20, "c": colour, "alpha": 0.5, "marker": marker, "linewidths": 0}
        axes.scatter(values, np.full(len(values), place), **style)
    axes.plot([mean(sets, sets)] * 2, [place - 0.32, place + 0.32], color=colour, linewidth=3)


def colour_of(method: str) -> str:
    if method.startswith(OURS):
        return BLUE
    return GREY if method.endswith("(published)") else ORANGE


def rank_plot(scores: Scores, path: Path) -> None:
    """Draw mean ranks, and bars over methods whose difference Wilcoxon's test cannot tell."""
    chosen = {method: sets for method, sets in scores.items() if method in SHOWN.values()}
    if len(chosen) < 3:
        return
    names = list(chosen[OURS])
    table = np.array([[sets[name] for sets in chosen.values()] for name in names])
    figure, _ = plot_critical_difference(
        table, list(chosen), highlight={OURS: BLUE}, width=WIDTH, textspace=2.2
    )
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
    pyplot.close(figure)


# Speed

PADDED = "plain loop, padded"
COLOURS = {
    OURS: BLUE,
    "plain loop": ORANGE,
    "skorch": GREEN,
    "Keras on JAX": PURPLE,
    "sequitur": SKY,
}


def speed_plot(rows: list[Row]) -> Figure:
    """Draw seconds per epoch by size and peer, and our speed-up in the other benchmarks below."""
    work = [row for row in rows if row.benchmark == "equal work"]
    work = [row for row in work if row.contestant != MATRIX_PRODUCT]
    cases = unique(row.case for row in work)
    compared = speed_ups(rows)
    figure = Figure(figsize=(WIDTH, 6.6 if compared else 4.2), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=[3, 2]) if compared else [figure]
    panels = parts[0].subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, case in zip(panels, cases, strict=True):
        epoch_bars(axes, [row for row in work if row.case == case])
        axes.set_title(case)
    panels[0].set_ylabel("seconds per epoch")
    panels[0].yaxis.set_major_formatter("{x:g}")
    label = "features of the same network; above the bars: speed-up of seqfeat"
    parts[0].supxlabel(label, fontsize=STYLE["font.size"])
    handles, labels = panels[0].get_legend_handles_labels()
    parts[0].legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    if compared:
        speed_up_bars(parts[1].add_subplot(), compared)
    return figure


def epoch_bars(axes: Axes, rows: list[Row]) -> None:
    sizes = unique(row.embedding_dim for row in rows)
    names = [name for name in COLOURS if any(row.contestant.startswith(name) for row in rows)]
    width = 0.84 / len(names)
    ours = [least_median(rows, OURS, size) for size in sizes]
    for place, name in enumerate(names):
        x = np.arange(len(sizes)) + (place - (len(names) - 1) / 2) * width
        heights = [least_median(rows, name, size) for size in sizes]
        axes.bar(x, heights, width * 0.92, color=COLOURS[name], label=name)
        if name == OURS:
            continue
        for left, height, own in zip(x, heights, ours, strict=True):
            axes.text(left, height * 1.08, f"{height / own:.1f}", ha="center", fontsize=5.5)
    axes.set_yscale("log")
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])


def least_median(rows: list[Row], name: str, size: int) -> float:
    """Return the median over rounds, for the number of threads that is faster."""
    own = [row for row in rows if row.contestant.startswith(name) and row.embedding_dim == size]
    kinds = unique(row.contestant for row in own)
    return min(float(np.median(select_values(own, contestant=kind))) for kind in kinds)


def speed_ups(rows: list[Row]) -> dict[str, tuple[float, bool]]:
    """Return our median speed-up over the fastest peer, and whether that reached its goal."""
    found = {}
    for benchmark, case in unique((row.benchmark, row.case) for row in rows):
        label = label_of(benchmark, case)
        measured = [row for row in rows if (row.benchmark, row.case) == (benchmark, case)]
        timed = [row for row in measured if row.quantity in ("seconds", "seconds per epoch", "ms")]
        done = [row for row in timed if row.note != "not reached" and row.contestant != PADDED]
        is_reached = any(row.contestant != OURS for row in done)
        if label:
            found[label] = (
                float(np.median(best_peer(done if is_reached else timed)[1])),
                is_reached,
            )
    return found


def label_of(benchmark: str, case: str) -> str | None:
    """Return the label of a bar, or None for benchmarks that the plot leaves out."""
    if (benchmark == "transform" and not case.endswith("2 threads")) or case.startswith("one "):
        return None
    return {
        "equal quality": f"fit to 0.05 unexplained variance, {case}",
        "unequal lengths": f"packed, {case}",
        "grid search": f"grid search, {case}",
        "transform": f"transform, {case.split(',')[0]}",
    }.get(benchmark)


def speed_up_bars(axes: Axes, compared: dict[str, tuple[float, bool]]) -> None:
    labels = list(compared)[::-1]
    for place, label in enumerate(labels):
        ratio, is_reached = compared[label]
        axes.barh(place, ratio, 0.6, color=BLUE, alpha=1.0 if is_reached else 0.45)
        text = f"{ratio:.1f}" if is_reached else f"more than {math.floor(ratio)}"
        axes.text(ratio, place, "  " + text, va="center", fontsize=9)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_xlim(0, max(ratio for ratio, _ in compared.values()) * 1.7)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("speed-up of seqfeat; light: no peer reached it")
    axes.set_title("Speed-up over the fastest peer", x=0)
