"""`OcclusionDisplay`: which stretches of a series a prediction rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqfeat.display.drawing import channel_names_or_default, escape_math, get_axes
from seqfeat.exceptions import InputError
from seqfeat.inference.fitted import check_fitted, validate_series
from seqfeat.inspection import check_width, occlude_series
from seqfeat.pipeline import pipeline_parts
from seqfeat.series import Series, as_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["OcclusionDisplay"]

MAX_CHANNELS = 12
"""Channels that remain readable in one plot: those with the largest importances."""
LANE_SPACING = 1.15
"""Distance between the lanes of two channels; a lane has height 1."""
COLOURS = "RdBu_r"
"""Red speaks for the prediction, blue against it; white is nothing."""

Floats = NDArray[np.float64]


class OcclusionDisplay:
    """A series, with how much each of its stretches contributes to the prediction as colour.

    Create one with `from_estimator` or `from_importances`. Each channel has a lane of its own,
    scaled to its range; of very many, those with the largest importances are drawn.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels)
        The series.
    importances : ndarray of shape (n_stretches,) or (n_stretches, n_channels)
        How much the prediction falls without each stretch, see `seqfeat.inspection.occlusion`.
    width : int
        Timesteps of a stretch.
    channel_names : sequence of str
        The name of each channel.
    title : str, default=""
        What the plot is about.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn into.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : list of matplotlib Line2D
        The channels that are drawn, from top to bottom.
    colorbar_ : matplotlib Colorbar
        What the colours mean.

    See Also
    --------
    seqfeat.inspection.occlusion : The importances of many series.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.display import OcclusionDisplay
    >>> values = np.sin(np.arange(30) / 4)
    >>> display = OcclusionDisplay.from_importances(values, [0.1, 0.8, 0.0], width=10)
    >>> len(display.lines_)
    1
    """

    def __init__(
        self,
        values: Floats,
        importances: Floats,
        *,
        width: int,
        channel_names: Sequence[str],
        title: str = "",
    ) -> None:
        self.values = values
        self.importances = importances
        self.width = width
        self.channel_names = channel_names
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        width: int,
        row: int = 0,
        by_channel: bool = True,
        channel_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Find the importances of the stretches of a series with a fitted model, and plot them.

        Parameters
        ----------
        estimator : Pipeline or search
            A fitted model that ends in a classifier, or in a regressor of one target.
        X : array-like
            Series in any format that the estimator accepts.
        width : int
            Timesteps of a stretch.
        row : int, default=0
            The position in `X` of the series to plot.
        by_channel : bool, default=True
            Whether each channel has importances of its own.
        channel_names : sequence of str, default=None
            The name of each channel. By default, channels are numbered.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : OcclusionDisplay

        Raises
        ------
        InputError
            If there is no such series, if the regressor has several targets, or as in
            `seqfeat.inspection.occlusion`.
        """
        width, parts = check_width(width), pipeline_parts(estimator)
        check_fitted(parts.autoencoder)
        series = validate_series(parts.autoencoder, parts.series(X))
        if not -len(series) <= row < len(series):
            raise InputError(
                f"row={row}, but X has {len(series)} series; pass one from 0 to {len(series) - 1}."
            )
        position = int(np.arange(len(series))[row])
        name = position if series.ids is None else series.ids[position]
        names = channel_names_or_default(series, channel_names)
        one = series.take(np.array([position]))
        importances = occlude_series(parts, one, width=width, by_channel=by_channel)[0]
        if importances.ndim > 1 + by_channel:
            raise InputError(
                f"the model predicts {importances.shape[-1]} numbers; pass those of one, "
                "seqfeat.inspection.occlusion(...)[row, ..., target], to from_importances."
            )
        title = f"series {name}: {_prediction(parts, one)}"
        values = one.values[0, : one.n_timesteps].astype(np.float64)
        display = cls(values, importances, width=width, channel_names=names, title=title)
        return display.plot(ax=ax)

    @classmethod
    def from_importances(
        cls,
        values: ArrayLike,
        importances: ArrayLike,
        *,
        width: int,
        channel_names: Sequence[str] | None = None,
        title: str = "",
        ax: Axes | None = None,
    ) -> Self:
        """Plot importances that you already have.

        Parameters
        ----------
        values : array-like of shape (n_timesteps,) or (n_timesteps, n_channels)
            The series.
        importances : array-like of shape (n_stretches,) or (n_stretches, n_channels)
            Those of its stretches, as `seqfeat.inspection.occlusion` returns them; NaN is left out.
        width, channel_names, ax
            See `from_estimator`.
        title : str, default=""
            What the plot is about.

        Returns
        -------
        display : OcclusionDisplay

        Raises
        ------
        InputError
            If there are fewer stretches than the series has, or importances of another number of
            channels.
        """
        width = check_width(width)
        series = as_series([np.asarray(values)], missing="mask")
        found = np.asarray(importances, dtype=np.float64)
        n_stretches = -(-series.n_timesteps // width)
        if found.ndim not in (1, 2) or len(found) < n_stretches:
            raise InputError(
                f"importances has shape {found.shape}, but {series.n_timesteps} timesteps have "
                f"{n_stretches} stretches of {width}; pass one for each of them."
            )
        if found.ndim == 2 and found.shape[1] != series.n_channels:
            raise InputError(
                f"importances has {found.shape[1]} channels, but the series has "
                f"{series.n_channels}. Pass one column for each, or one number a stretch."
            )
        names = channel_names_or_default(series, channel_names)
        drawn = series.values[0, : series.n_timesteps].astype(np.float64)
        display = cls(drawn, found[:n_stretches], width=width, channel_names=names, title=title)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Plot the series and the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        self : OcclusionDisplay
        """
        channels = self._drawn_channels()
        height = 2.6 if len(channels) == 1 else 1.2 + 0.6 * len(channels)
        self.ax_ = ax = get_axes(ax, self, figsize=(8, height))
        self.figure_: Figure | Any = ax.figure
        largest = np.nanmax(np.abs(self.importances), initial=0.0) or 1.0
        colours: Any = {"cmap": COLOURS, "vmin": -largest, "vmax": largest, "alpha": 0.75}
        edges = np.minimum(np.arange(len(self.importances) + 1) * self.width, len(self.values))
        self.lines_: list[Any] = []
        mesh: Any = None
        for lane, channel in enumerate(reversed(channels)):
            bottom = LANE_SPACING * lane
            of_lane = self.importances if self.importances.ndim == 1 else self._of(channel)
            mesh = ax.pcolormesh(edges - 0.5, [bottom, bottom + 1], of_lane[None], **colours)
            values = self.values[:, channel]
            low, high = np.nanmin(values), np.nanmax(values)
            heights = bottom + 0.05 + 0.9 * (values - low) / (high - low if high > low else 1.0)
            line = ax.plot(heights, color="black", linewidth=1.1)[0]
            self.lines_.insert(0, line)
        ticks = LANE_SPACING * np.arange(len(channels))[::-1] + 0.5
        names = [escape_math(str(self.channel_names[channel])) for channel in channels]
        ax.set_yticks(ticks, names)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.05, LANE_SPACING * len(channels) - 0.1)
        ax.set_xlim(-0.5, len(self.values) - 0.5)
        ax.locator_params(axis="x", integer=True)
        ax.set_xlabel("timestep")
        n_channels = self.values.shape[1]
        if len(channels) < n_channels:
            ax.set_ylabel(f"{len(channels)} of {n_channels} channels", fontsize="small")
        ax.set_title(escape_math(self.title), fontsize="medium", loc="left")
        self.colorbar_ = self.figure_.colorbar(mesh, ax=ax, label="fall without the stretch")
        return self

    def _of(self, channel: int) -> Floats:
        column: Floats = self.importances[:, channel]
        return column

    def _drawn_channels(self) -> list[int]:
        """Return the channels to draw, in their order."""
        n_channels = self.values.shape[1]
        if self.importances.ndim == 1 or n_channels <= MAX_CHANNELS:
            return list(range(min(n_channels, MAX_CHANNELS)))
        largest = np.nanmax(np.abs(self.importances), axis=0)
        kept = np.argsort(-largest, kind="stable")[:MAX_CHANNELS]
        return sorted(int(channel) for channel in kept)


def _prediction(parts: Any, series: Series) -> str:
    """Return what the model predicts for a series, in words."""
    features = parts.features(
        parts.autoencoder.transform(series.like_input(np.asarray(series.values)))
    )
    if parts.regressor is not None:
        return f"predicted {float(np.ravel(parts.regressor.predict(features))[0]):.4g}"
    label = parts.classifier.predict(features)[0]
    if not hasattr(parts.classifier, "predict_proba"):
        return f"predicted {label}"
    return f"predicted {label}, probability {parts.classifier.predict_proba(features).max():.2f}"
