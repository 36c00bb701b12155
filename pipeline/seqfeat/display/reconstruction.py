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
from seqfeat.display.shading import (
    are_anomalous,
    shade,
    shade_key,
    shade_opacities,
    squared_errors,
    typical_error,
)
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
LEGEND_SHARE = 0.25
"""Height that is left for the legend above a series, relative to what is drawn."""

Floats = NDArray[np.float64]


class ReconstructionDisplay:
    """The worst and some typical series of a data set, each with its reconstruction.

    Create one with `from_estimator` or `from_reconstructions`. Series with a single
    channel are drawn in their own units. Several channels are drawn in separate lanes,
    each scaled to the range of its channel over all series drawn. Behind them, timesteps
    are shaded where a channel deviates at least five times as much as the median of what
    is drawn. If the model has a `timestep_threshold_`, those beyond it are, and no others.

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
    step_errors : ndarray of shape (n_drawn, n_timesteps, n_channels), default=None
        The squared error of each value, in scaled units, padded with NaN. None shades
        nothing.
    timestep_threshold : float, default=None
        The mean error over the channels above which a timestep is anomalous. None
        shades by the size of the errors alone.

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
        step_errors: Floats | None = None,
        timestep_threshold: float | None = None,
    ) -> None:
        self.series = series
        self.reconstruction = reconstruction
        self.errors = errors
        self.names = names
        self.kinds = kinds
        self.channel_names = channel_names
        self.step_errors = step_errors
        self.timestep_threshold = timestep_threshold

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        shade_errors: bool = True,
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
        shade_errors : bool, default=True
            Whether to shade timesteps by their errors.
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
        drawn = series.take(rows)
        reconstruction = reconstruct_rows(parts.autoencoder, series, rows)
        names = _series_names(series, ids)
        score = getattr(parts.autoencoder, "timestep_threshold_", None)
        display = cls(
            drawn,
            reconstruction,
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=channel_names_or_default(series, channel_names),
            step_errors=squared_errors(drawn, reconstruction, parts.autoencoder.scale_),
            timestep_threshold=None if score is None else -float(score),
        )
        return display.plot(shade_errors=shade_errors, ax=ax)

    @classmethod
    def from_reconstructions(
        cls,
        X: Any,
        reconstruction: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        shade_errors: bool = True,
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
        n_series, ids, channel_names, shade_errors, ax
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
        step_errors = squared_errors(series, others, np.where(std > 0, std, 1.0))
        errors = np.nanmean(step_errors, axis=(1, 2))
        rows, kinds = _select_rows(errors, n_series)
        names = _series_names(series, ids)
        display = cls(
            series.take(rows),
            others[rows],
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=channel_names_or_default(series, channel_names),
            step_errors=step_errors[rows],
        )
        return display.plot(shade_errors=shade_errors, ax=ax)

    def plot(self, *, shade_errors: bool = True, ax: Axes | None = None) -> Self:
        """Plot the series and their reconstructions.

        Parameters
        ----------
        shade_errors : bool, default=True
            Whether to shade timesteps by their errors.
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
        opacities = self._opacities() if shade_errors else None
        for index, kind in enumerate(self.kinds):
            axis = axes[n_used[kind], columns.index(kind)]
            self._plot_series(axis, index)
            if opacities is not None:
                self._shade(axis, opacities[index], int(self.series.lengths[index]))
            n_used[kind] += 1
        for column, kind in enumerate(columns):
            for empty in axes[n_used[kind] :, column]:
                empty.set_axis_off()
            axes[n_used[kind] - 1, column].set_xlabel("timestep")
        handles = axes[0, 0].get_legend_handles_labels()[0]
        if opacities is not None and opacities.any():
            handles.append(shade_key(self.timestep_threshold))
        style = {"framealpha": 0.85, "edgecolor": "none", "fontsize": "small"}
        axes[0, 0].legend(handles=handles, ncols=len(handles), loc="upper right", **style)
        return self

    def _opacities(self) -> Floats | None:
        """Return how strongly to shade each value, (n_drawn, n_timesteps, n_channels)."""
        if self.step_errors is None:
            return None
        is_anomalous = are_anomalous(self.step_errors, self.timestep_threshold)
        return shade_opacities(self.step_errors, typical_error(self.step_errors), is_anomalous)

    def _shade(self, ax: Any, opacities: Floats, length: int) -> None:
        """Shade the timesteps of a series behind its lines, in the lane of each channel."""
        n_lanes = min(self.series.n_channels, MAX_CHANNELS)
        for channel in range(n_lanes):
            bottom = LANE_SPACING * (n_lanes - 1 - channel)
            heights = ax.get_ylim() if n_lanes == 1 else (bottom, bottom + 1)
            shade(ax, opacities[:length, channel], *heights)

    def _plot_series(self, ax: Any, index: int) -> None:
        length = int(self.series.lengths[index])
        values = self.series.values[index, :length].astype(np.float64)
        reconstruction = self.reconstruction[index, :length]
        if self.series.n_channels == 1:
            _plot_channel(ax, values[:, 0], reconstruction[:, 0])
            ax.set_ylabel(self._channel_labels()[0])
            if index == 0:
                low, high = ax.get_ylim()
                ax.set_ylim(low, high + LEGEND_SHARE * (high - low))
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
