"""What all pictures share: axes, their division, colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axes_or_new", "divided", "qualitative_colours"]


def axes_or_new(ax: Axes | None, display: Any, size: tuple[float, float] = (7, 5)) -> Axes:
    """Return the axes given, or those of a new figure; inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__} needs matplotlib; install it with: "
            "pip install 'seqfeat[plot]'"
        ) from error
    # Not through pyplot, which keeps every figure alive and may want a screen.
    return Figure(figsize=size, layout="constrained").add_subplot()


def divided(
    ax: Axes, n_rows: int, n_columns: int, height_ratios: Sequence[float] | None = None
) -> NDArray[Any]:
    """Return axes of shape (n_rows, n_columns) in the place of `ax`, which becomes their frame.

    Those of a column share their x axis.
    """
    ax.set_axis_off()
    spec: Any = ax.get_subplotspec()
    grid = spec.subgridspec(n_rows, n_columns, height_ratios=height_ratios)
    axes: NDArray[Any] = np.empty((n_rows, n_columns), dtype=object)
    figure: Any = ax.figure
    for row, column in np.ndindex(axes.shape):
        axes[row, column] = figure.add_subplot(grid[row, column])
    return axes


def qualitative_colours(n_colours: int) -> NDArray[np.float64]:
    """Return colours that stay apart: a qualitative set, or for many classes a wheel."""
    from matplotlib import colormaps

    if n_colours <= 10:
        return np.asarray(colormaps["tab10"](np.arange(n_colours)))
    return np.asarray(colormaps["hsv"](np.arange(n_colours) / n_colours))
