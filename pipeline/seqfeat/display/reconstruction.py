"""`ReconstructionDisplay`: series and their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqfeat.display.drawing import (
    channel_names_or_default,
    escape_math,
    get_axes,
    series_ids_or_default,
    split_axes,
)
from seqfeat.display.model_outputs import evaluate_series, reconstruct_rows
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.series import Series, as_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LANE_SPACING", "ReconstructionDisplay"]

MAX_CHANNELS = 6
"""Channels that remain readable in one plot."""
LANE_SPACING = 1.15
"""Distance between the lanes of two channels; a lane has height 1."""

Floats = NDArray[np.float64]


class ReconstructionDisplay:
    """The worst and some typical series of a data set, each with its reconstruction.

    Create one with `from_estimator` or `from_reconstructions`. Series with a single
    channel are drawn in their own units. Several channels are drawn in separate lanes,
    each scaled to the range of its channel over all series drawn.

    Parameters
    ----------
    series : Series
        The series to draw.
    reconstruction : ndarray of shape (n_drawn, n_timesteps, n_channels)
        Their reconstructions, padded with NaN.
    errors : ndarray of shape (n_drawn,)
        Mean squared error of each reconstruction.
    names : list of str
        The name of each series.
    kinds : list of {"worst", "typical"}
        Why each series was selected.
    channel_names : sequence of str, default=None
        The name of each channel. By default, channels are numbered.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn into; hidden, as they only frame `axes_`.
    axes_ : ndarray of Axes, shape (n_rows, n_columns)
        One column for the worst series and one for the typical ones.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    EmbeddingDisplay : The embeddings of all series.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.display import ReconstructionDisplay
    >>> X = np.sin(np.arange(30) / 4 + np.arange(10)[:, None])
    >>> display = ReconstructionDisplay.from_reconstructions(X, 0.9 * X, n_series=2)
    >>> display.axes_.shape
    (2, 2)
    """

    def __init__(
        self,
        series: Series,
        reconstruction: Floats,
        errors: Floats,
        names: list[str],
        kinds: list[str],
        *,
        channel_names: Sequence[str] | None = None,
    ) -> None:
        self.series = series
        self.reconstruction = reconstruction
        self.errors = errors
        self.names = names
        self.kinds = kinds
        self.channel_names = channel_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Reconstruct series with a fitted estimator and plot the worst and some typical ones.

        Parameters
        ----------
        estimator : LSTMAutoencoder, Pipeline or search
            A fitted estimator.
        X : array-like
            Series in any format that the estimator accepts.
        n_series : int, default=3
            Number of series of each kind: the worst are those with the largest
            errors, the typical ones those with errors closest to the median.
        ids : array-like of shape (n_samples,), default=None
            The name of each series. By default, the ids that `X` has, or numbers.
        channel_names : sequence of str, default=None
            The name of each channel. By default, the names that `X` has, or numbers.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        InputError
            If `X` cannot be reconstructed, `n_series` is less than 1, or `ids` or
            `channel_names` have the wrong length.
        ImportError
            If matplotlib is missing.
        """
        parts = pipeline_parts(estimator)
        series, evaluation = evaluate_series(parts.autoencoder, parts.series(X))
        errors = evaluation.squared_error / evaluation.n_values
        rows, kinds = _select_rows(errors, n_series)
        reconstruction = reconstruct_rows(parts.autoencoder, series, rows)
        names = _series_names(series, ids)
        display = cls(
            series.take(rows),
            reconstruction,
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=channel_names_or_default(series, channel_names),
        )
        return display.plot(ax=ax)

    @classmethod
    def from_reconstructions(
        cls,
        X: Any,
        reconstruction: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Plot reconstructions that you already have.

        Errors are the mean squared errors over the observed values, after scaling each
        channel by its standard deviation over `X`, so that every channel counts alike
        whatever its unit.

        Parameters
        ----------
        X : array-like
            Series in any format, with NaN for missing values.
        reconstruction : array-like
            The output of `LSTMAutoencoder.reconstruct` for `X`.
        n_series, ids, channel_names, ax
            See `from_estimator`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        InputError
            If `X` and `reconstruction` differ in the number of series, their lengths
            or their channels, `n_series` is less than 1, or `ids` or `channel_names`
            have the wrong length.
        """
        series = as_series(X, missing="mask")
        reconstructed = as_series(reconstruction, missing="mask")
        _check_same_shape(series, reconstructed)
        values = series.values[:, : series.n_timesteps].astype(np.float64)
        others = reconstructed.values[:, : series.n_timesteps].astype(np.float64)
        std = np.nanstd(values, axis=(0, 1))
        scaled = (others - values) / np.where(std > 0, std, 1.0)
        errors = np.nanmean(scaled**2, axis=(1, 2))
        rows, kinds = _select_rows(errors, n_series)
        names = _series_names(series, ids)
        display = cls(
            series.take(rows),
            others[rows],
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=channel_names_or_default(series, channel_names),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Plot the series and their reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        self : ReconstructionDisplay
        """
        columns = list(dict.fromkeys(self.kinds))
        n_rows = max(self.kinds.count(kind) for kind in columns)
        n_lanes = min(self.series.n_channels, MAX_CHANNELS)
        height = 0.8 + n_rows * (1.9 if n_lanes == 1 else 1.0 + 0.45 * n_lanes)
        self.ax_ = get_axes(ax, self, figsize=(4.8 * len(columns), height))
        self.figure_: Figure | Any = self.ax_.figure
        self.axes_ = split_axes(self.ax_, n_rows, len(columns))
        axes: Any = self.axes_
        n_used: dict[str, int] = dict.fromkeys(columns, 0)
        for index, kind in enumerate(self.kinds):
            self._plot_series(axes[n_used[kind], columns.index(kind)], index)
            n_used[kind] += 1
        for column, kind in enumerate(columns):
            for empty in axes[n_used[kind] :, column]:
                empty.set_axis_off()
            axes[n_used[kind] - 1, column].set_xlabel("timestep")
        axes[0, 0].legend(framealpha=0.85, edgecolor="none", fontsize="small", ncols=2)
        return self

    def _plot_series(self, ax: Any, index: int) -> None:
        length = int(self.series.lengths[index])
        values = self.series.values[index, :length].astype(np.float64)
        reconstruction = self.reconstruction[index, :length]
        if self.series.n_channels == 1:
            _plot_channel(ax, values[:, 0], reconstruction[:, 0])
            ax.set_ylabel(self._channel_labels()[0])
        else:
            self._plot_lanes(ax, values, reconstruction)
        ax.locator_params(axis="x", integer=True)
        title = f"{self.kinds[index]}: {self.names[index]} (error {self.errors[index]:.2g})"
        ax.set_title(escape_math(title), fontsize="medium", loc="left")

    def _plot_lanes(self, ax: Any, values: Floats, reconstruction: Floats) -> None:
        """Plot the channels one above the other, the first at the top."""
        low, extent = self._channel_ranges()
        n_lanes = min(self.series.n_channels, MAX_CHANNELS)
        for channel in range(n_lanes):
            bottom = LANE_SPACING * (n_lanes - 1 - channel)
            original, reconstructed = (
                bottom + (v[:, channel] - low[channel]) / extent[channel]
                for v in (values, reconstruction)
            )
            _plot_channel(ax, original, reconstructed, labelled=channel == 0)
        ticks = LANE_SPACING * np.arange(n_lanes)[::-1] + 0.5
        ax.set_yticks(ticks, self._channel_labels()[:n_lanes])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.1, LANE_SPACING * n_lanes + 0.35)
        label = "channel (each scaled separately)"
        if n_lanes < self.series.n_channels:
            label = f"first {n_lanes} of {self.series.n_channels} channels (each scaled separately)"
        ax.set_ylabel(label, fontsize="small")

    def _channel_ranges(self) -> tuple[Floats, Floats]:
        """Return each channel's minimum and its range, over everything that is drawn."""
        values = self.series.values[:, : self.series.n_timesteps].astype(np.float64)
        both = np.concatenate([values, self.reconstruction[:, : values.shape[1]]])
        low = np.nanmin(both, axis=(0, 1))
        extent = np.nanmax(both, axis=(0, 1)) - low
        return low, np.where(extent > 0, extent, 1.0)

    def _channel_labels(self) -> list[str]:
        names = channel_names_or_default(self.series, self.channel_names)
        return [escape_math(name) for name in names]


def _plot_channel(
    ax: Any, values: Floats, reconstruction: Floats, *, labelled: bool = True
) -> None:
    """Plot one channel of a series and its reconstruction."""
    steps = np.arange(len(values))
    # A value between two gaps, or a series of one timestep, has no line: draw a dot.
    gaps = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    isolated = ~gaps[1:-1] & gaps[:-2] & gaps[2:]
    ax.plot(steps, values, color="0.35", linewidth=1.2, label="series" if labelled else None)
    ax.plot(steps[isolated], values[isolated], ".", color="0.35", markersize=4)
    ax.plot(
        steps,
        reconstruction,
        color="tab:red",
        linewidth=1.4,
        marker="." if len(values) == 1 else "",
        label="reconstruction" if labelled else None,
    )


def _select_rows(errors: Floats, n_series: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows with the largest errors, then those closest to the median, and why."""
    if n_series < 1:
        raise InputError(f"n_series={n_series}; pass an integer of at least 1.")
    n_worst = min(n_series, -(-len(errors) // 2))
    order = np.argsort(-errors, kind="stable")
    rest = order[n_worst:]
    by_distance = np.argsort(np.abs(errors[rest] - np.median(errors)), kind="stable")
    typical = rest[by_distance[:n_series]]
    kinds = ["worst"] * n_worst + ["typical"] * len(typical)
    return np.concatenate([order[:n_worst], typical]), kinds


def _series_names(series: Series, ids: ArrayLike | None) -> list[str]:
    """Return what to call each series: the ids given, or those of the data as ``series 7``."""
    names = series_ids_or_default(series, ids)
    if ids is not None and names is not None:
        return [str(name) for name in names]
    return [f"series {name}" for name in names or range(len(series))]


def _check_same_shape(series: Series, reconstructed: Series) -> None:
    def shape(of: Series) -> tuple[int, int, int]:
        return len(of), of.n_timesteps, of.n_channels

    if shape(series) != shape(reconstructed) or (series.lengths != reconstructed.lengths).any():
        raise InputError(
            f"X has {len(series)} series of up to {series.n_timesteps} timesteps and "
            f"{series.n_channels} channels, but reconstruction has {len(reconstructed)} of up to "
            f"{reconstructed.n_timesteps} and {reconstructed.n_channels}; pass the output of "
            "reconstruct(X)."
        )
