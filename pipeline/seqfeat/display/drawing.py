"""What the displays and the report share: axes, colours, labels and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqfeat.exceptions import InputError
from seqfeat.series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "channel_names_or_default",
    "escape_math",
    "get_axes",
    "needs_log_scale",
    "qualitative_colours",
    "separate_labels",
    "series_ids_or_default",
    "split_axes",
]

LOG_SCALE_RATIO = 10
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""

Floats = NDArray[np.float64]


def get_axes(ax: Axes | None, display: Any, figsize: tuple[float, float] = (7, 5)) -> Axes:
    """Return `ax`, or the axes of a new figure of size `figsize`, in inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__} needs matplotlib; install it with: "
            "pip install 'seqfeat[plot]'"
        ) from error
    # Not through pyplot, which keeps every figure alive and may need a screen.
    return Figure(figsize=figsize, layout="constrained").add_subplot()


def split_axes(
    ax: Axes, n_rows: int, n_columns: int, height_ratios: Sequence[float] | None = None
) -> NDArray[Any]:
    """Replace `ax` with a grid of axes, shape (n_rows, n_columns); `ax` itself is hidden."""
    ax.set_axis_off()
    spec: Any = ax.get_subplotspec()
    grid = spec.subgridspec(n_rows, n_columns, height_ratios=height_ratios)
    axes: NDArray[Any] = np.empty((n_rows, n_columns), dtype=object)
    figure: Any = ax.figure
    for row, column in np.ndindex(axes.shape):
        axes[row, column] = figure.add_subplot(grid[row, column])
    return axes


def qualitative_colours(n_colours: int) -> Floats:
    """Return distinct colours: a qualitative palette for up to ten, a colour wheel for more."""
    from matplotlib import colormaps

    if n_colours <= 10:
        return np.asarray(colormaps["tab10"](np.arange(n_colours)))
    return np.asarray(colormaps["hsv"](np.arange(n_colours) / n_colours))


def needs_log_scale(values: Floats) -> bool:
    """Return whether the values are positive and span at least a factor of ten."""
    return bool(values.min() > 0 and values.max() >= LOG_SCALE_RATIO * values.min())


def separate_labels(positions: Floats, min_distance: float) -> Floats:
    """Push positions apart until none are closer than `min_distance`, so that no labels overlap."""
    positions = positions.copy()
    # Equal positions have no direction to be pushed in, so shift each a little.
    positions += min_distance * 1e-3 * np.arange(len(positions))[:, None] * [1.0, -1.0]
    # Hundreds of labels would not fit anyway.
    for _ in range(50 if len(positions) <= 50 else 0):
        for first in range(len(positions)):
            for second in range(first):
                gap = positions[first] - positions[second]
                distance = float(np.hypot(*gap))
                if 0 < distance < min_distance:
                    push = gap * (min_distance - distance) / distance / 2
                    positions[first] += push
                    positions[second] -= push
    return positions


def escape_math(text: str) -> str:
    """Escape dollar signs, which matplotlib would take for the start of a formula."""
    return text.replace("$", r"\$")


def series_ids_or_default(series: Series, ids: ArrayLike | None) -> list[Any] | None:
    """Return one id per series: those given, or those of the data, or None if there are none."""
    if ids is None:
        return None if series.ids is None else list(series.ids)
    ids = list(np.asarray(ids, dtype=object))
    if len(ids) != len(series):
        raise InputError(f"ids has {len(ids)} names for {len(series)} series; pass one per series.")
    return ids


def channel_names_or_default(series: Series, names: Sequence[str] | None) -> list[str]:
    """Return one name per channel: those given, the columns of a DataFrame, or numbers."""
    if names is None:
        if series.frame_rows is not None:
            return [str(name) for name in series.frame_rows.columns]
        return ["value"] if series.n_channels == 1 else list(map(str, range(series.n_channels)))
    if len(names) != series.n_channels:
        raise InputError(
            f"channel_names has {len(names)} names for {series.n_channels} channels; pass one per "
            "channel."
        )
    return [str(name) for name in names]
