"""Fitting what is not trained: a reservoir's thresholds, and the linear maps around the embedding.

The embedding is a random rotation of two kinds of numbers. Most are principal components of the
standardized statistics of the reservoir, weighted, if there are targets, by how well each statistic
tells the classes apart or follows the numbers. The others reconstruct the series: principal
components of the series themselves, whose covariance is shrunk towards that of a stationary
process, so that with few series the remaining dimensions go to what any series may hold, its slow
movements. A linear map from the embedding back to the series goes with them; the LSTM layers of the
decoder add to it. Series may count differently; all means are then weighted ones. Torch only.

Shapes use N series, T timesteps, C channels, K = T * C values, D statistics and E embedding
dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import (
    draw_input_weights,
    principal_basis,
    weighted_mean,
    whitening_matrix,
    window_covariance,
)
from seqfeat.nn.lstm import LSTMLayer, project
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.nn.reservoir import ReservoirEncoder, first_steps
from seqfeat.nn.windows import count_windows, windows
from seqfeat.runtime.threads import WorkerPool

__all__ = ["GivenReservoir", "ReservoirSettings", "fit_reservoir"]

N_WHITENING_SERIES = 256
"""Series whose windows decide the input weights."""
N_THRESHOLD_STEPS = 4096
"""Timesteps of the series whose states decide the thresholds."""
MIN_THRESHOLD_SERIES = 8
N_STATISTICS_SERIES = 1024
"""Series whose statistics decide the components; all of the sample decide those of the series."""
BATCH_SERIES = 32
"""Series that are summarized at once."""
BLOCK_VALUES = 2**17
"""Values of series that are transformed at once, in float64."""
MAX_VALUES = 2**21
"""Values of the series from which the way back is learned, in float64."""
MIN_VALUE_SERIES = 64
MIN_STD = 1e-3
"""Smallest standard deviation of a statistic that is more than rounding; units are within 1."""
SMALLEST_SHARE = 0.1
"""Added to the share of a statistic's variance that is between classes, its weight."""
PRIOR_SERIES = 2
"""Number of series that count as much as the stationary process in the covariance."""
MAX_COEFFICIENTS = 1024
"""Cosine coefficients, those of largest variance, whose covariance is estimated."""
RECONSTRUCTION_SCALE = 0.3
"""Root mean square of what reconstructs, relative to that of the other dimensions.

Classifiers that are regularized, as most are, look at the larger dimensions first.
"""
RIDGE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties to choose from, relative to the mean variance of the components."""
MIN_VARIANCE_SHARE = 0.1
"""Share of the mean variance added to all, where components are brought to equal variance."""
RANK_TOLERANCE = 1e-6
"""Smallest singular value of given components, relative to the largest, that is no rounding."""


class ReservoirSettings(NamedTuple):
    """What the embedding of a reservoir is to hold; names are those of `LSTMAutoencoder`."""

    reconstruction_fraction: float
    target_weight: float
    mean_weight: float = 1.0
    """Mean weight of the series, to which those of the data are relative."""


class GivenReservoir(NamedTuple):
    """What was fitted to other series, and stays: layers and thresholds, and maybe components.

    Attributes
    ----------
    projection : tuple of ndarray or None
        Of a projection, the columns that are for the statistics, (E, D), and the bias, (E,). None
        has components fitted.
    """

    projection: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None


@torch.no_grad()
def fit_reservoir(
    backend: Backend,
    data: Batch,
    settings: ReservoirSettings,
    generator: torch.Generator,
    pool: WorkerPool,
    given: GivenReservoir | None = None,
) -> Tensor:
    """Fit a reservoir, and the linear maps around the embedding, to a sample of series.

    The weights must have been drawn. With targets in `data`, they weight the statistics. What is
    `given` stays as it is. Returns the embeddings of the first series of the sample, as far as they
    were found on the way.
    """
    network = backend.network
    encoder, linear = network.encoder, network.decoder.linear
    if not isinstance(encoder, ReservoirEncoder) or linear is None:
        raise TypeError("the network has no reservoir to fit")
    if given is None:
        _draw_layers(encoder, data.rows(slice(N_WHITENING_SERIES)), generator)
        n_series = max(MIN_THRESHOLD_SERIES, N_THRESHOLD_STEPS // data.values.shape[1])
        _draw_thresholds(encoder, data.rows(slice(n_series)), generator)
    a, sample = network.architecture, data.rows(slice(N_STATISTICS_SERIES))
    n_shapes = round(settings.reconstruction_fraction * a.embedding_dim)
    if a.keeps_statistics:
        n_shapes = a.embedding_dim
    recovered = None
    if given is not None and given.projection is not None:
        recovered = _recover_components(*given.projection)
        n_shapes = a.embedding_dim - len(recovered[0].rows)
    shapes = _fit_shapes(data, (a.n_linear_steps, a.n_channels), n_shapes, settings.mean_weight)
    statistics = torch.zeros(len(sample), 0, dtype=torch.float64, device="cpu")
    if n_shapes < a.embedding_dim:
        shapes = shapes._replace(scale=RECONSTRUCTION_SCALE * shapes.scale)
        statistics = _summarize(backend, sample, pool)[:, : a.n_statistics].double()
    if recovered is None or n_shapes == a.embedding_dim:
        weights = _statistic_weights(statistics, sample, settings.target_weight)
        n_components = a.embedding_dim - n_shapes
        components = _fit_components(statistics, weights, n_components, generator, sample.weights)
        shape = a.embedding_dim, a.embedding_dim
        rotation = torch.empty(shape, dtype=torch.float64, device="cpu")
        nn.init.orthogonal_(rotation, generator=generator)
    else:
        components, directions = recovered
        rotation = _complete(directions, generator)
    _set_projection(encoder.projection, components, shapes, rotation)
    values = first_steps(sample.values, a.n_linear_steps)
    some = slice(max(MIN_VALUE_SERIES, MAX_VALUES // values.shape[1]))
    known = components(statistics[some]), values[some].double()
    of_known = None if sample.weights is None else sample.weights[some].double()
    _set_linear(linear, shapes, rotation, *known, of_known, settings.mean_weight)
    _set_decoder(network, shapes, rotation, *known, of_known)
    if not len(components.rows):
        return torch.empty(0, a.embedding_dim, dtype=torch.float32, device="cpu")
    return project(torch.cat([statistics.float(), values], dim=1), encoder.projection)


def _summarize(backend: Backend, data: Batch, pool: WorkerPool) -> Tensor:
    rows = torch.split(torch.arange(len(data), dtype=torch.int64, device="cpu"), BATCH_SERIES)
    parts = [data.take(some) for some in rows]
    with pool:
        return torch.cat(
            list(pool.map(lambda part: backend.summarize(part.values, part.lengths), parts))
        )


# The reservoir


def _draw_layers(encoder: ReservoirEncoder, data: Batch, generator: torch.Generator) -> None:
    """Draw input weights that respond to all directions in a window about equally."""
    inputs = encoder.inputs(data.values, data.lengths)
    for layer, (view, length) in zip(encoder.layers, inputs, strict=True):
        n_steps = count_windows(data.lengths, length, encoder.window_stride)
        rows = torch.split(torch.arange(len(data), dtype=torch.int64, device="cpu"), BATCH_SERIES)
        parts = (
            (
                windows(view[some], length, encoder.window_stride),
                n_steps[some],
                None if data.weights is None else data.weights[some],
            )
            for some in rows
        )
        whitening = whitening_matrix(window_covariance(parts, length))
        draw_input_weights(cast(LSTMLayer, layer).weight_ih_l0, whitening, generator)


def _draw_thresholds(encoder: ReservoirEncoder, data: Batch, generator: torch.Generator) -> None:
    """Set each unit's threshold to a random quantile of its states."""
    for number, (states, n_steps) in enumerate(encoder.states(data.values, data.lengths)):
        steps = torch.arange(states.shape[1], dtype=torch.int64, device="cpu")
        valid = states[steps < n_steps[:, None]]
        n_units = valid.shape[1]
        shares = torch.rand(n_units, generator=generator, dtype=torch.float32, device="cpu")
        ordered, order = valid.sort(dim=0)
        if data.weights is None:
            ranks = (shares * len(valid)).long()
        else:
            counts = data.weights.double()[:, None].expand(-1, states.shape[1])
            passed = counts[steps < n_steps[:, None]][order].cumsum(dim=0)
            ranks = (passed <= shares * passed[-1]).sum(dim=0)
        ranks = ranks.clamp(max=len(valid) - 1)
        encoder.thresholds[number] = ordered.gather(0, ranks[None])[0]


# The two kinds of numbers


class LinearMap(NamedTuple):
    """Rows of weights for centred inputs, the mean of these, and the scale of the results."""

    rows: Tensor
    mean: Tensor
    scale: float

    def __call__(self, inputs: Tensor) -> Tensor:
        """Shape: (N, D) -> (N, number of rows)."""
        return (inputs - self.mean) @ self.rows.T * self.scale


def _root_mean_square(values: Tensor, weights: Tensor | None) -> float:
    size = float(weighted_mean(values.square(), weights).mean().sqrt()) if values.numel() else 0.0
    return size if size > 0 else 1.0


def _statistic_weights(statistics: Tensor, data: Batch, target_weight: float) -> Tensor:
    """Return the factor of each centred statistic: it is standardized, and weighted by targets.

    The weight is a power of the share of the variance that the targets explain.
    """
    mean = weighted_mean(statistics, data.weights)
    std = weighted_mean((statistics - mean).square(), data.weights).sqrt()
    weights = torch.where(std > MIN_STD, 1 / std.clamp(min=MIN_STD), torch.zeros_like(std))
    if data.targets is None or target_weight == 0:
        return weights
    targets = data.targets
    if not targets.is_floating_point():
        targets = nn.functional.one_hot(targets)
    share: Tensor = SMALLEST_SHARE + _explained_share(statistics, targets, data.target_weights)
    return weights * share**target_weight


def _explained_share(statistics: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Return the share of each statistic's variance that a linear regression on targets explains.

    Where these are indicators of classes, it is the variance of the classes' means. Weights are
    those of the series. Shape: (N, D), (N, K), (N,) -> (D,).
    """
    centred = statistics - weighted_mean(statistics, weights)
    of_targets = targets.double() - weighted_mean(targets.double(), weights)
    if weights is not None:
        roots = weights.double().sqrt()[:, None]
        centred, of_targets = centred * roots, of_targets * roots
    directions, sizes, _ = torch.linalg.svd(of_targets, full_matrices=False)
    # Indicators of all classes add up to 1, so that one direction of them is none.
    directions = directions[:, sizes > MIN_STD * sizes.max()]
    explained = (directions.T @ centred).square().sum(dim=0)
    total = centred.square().sum(dim=0)
    return torch.where(total > 0, explained / total.clamp(min=MIN_STD**2), torch.zeros_like(total))


def _fit_components(
    statistics: Tensor,
    weights: Tensor,
    n_components: int,
    generator: torch.Generator,
    of_series: Tensor | None,
) -> LinearMap:
    """Return the principal components of weighted statistics, where series may be weighted, too.

    If there are fewer than wanted, random directions complete them.
    """
    mean = weighted_mean(statistics, of_series)
    centred = (statistics - mean) * weights
    if of_series is not None:
        centred = centred * of_series.double().sqrt()[:, None]
    basis = principal_basis(centred, n_components, generator)
    rows = nn.functional.pad(basis, (0, 0, 0, n_components - len(basis))) * weights
    return LinearMap(rows, mean, 1 / _root_mean_square((statistics - mean) @ rows.T, of_series))


def _recover_components(
    columns: NDArray[np.float32], bias: NDArray[np.float32]
) -> tuple[LinearMap, Tensor]:
    """Return the components that a projection was made of, and their directions in the embedding.

    `_set_projection` rotated components and shapes together. The left singular vectors of the
    columns of the statistics span what the components became, and are orthogonal to the rest, so
    that they also tell their part of the bias from that of the shapes. The components are found up
    to a rotation, which makes no difference to the embedding.

    Shape: (E, D), (E,) -> n components, (E, n).
    """
    of_statistics, offset = (
        torch.tensor(part, dtype=torch.float64, device="cpu") for part in (columns, bias)
    )
    directions, sizes, rows = torch.linalg.svd(of_statistics, full_matrices=False)
    is_used = sizes > RANK_TOLERANCE * sizes.max()
    directions, sizes, rows = directions[:, is_used], sizes[is_used], rows[is_used]
    mean = -(directions.T @ offset / sizes) @ rows
    return LinearMap(sizes[:, None] * rows, mean, 1.0), directions


def _complete(directions: Tensor, generator: torch.Generator) -> Tensor:
    """Return an orthogonal matrix that begins with orthonormal columns; the others are random."""
    n_rows, n_columns = directions.shape
    shape = n_rows, n_rows - n_columns
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    basis = torch.linalg.qr(torch.cat([directions, drawn], dim=1))[0]
    return torch.cat([directions, basis[:, n_columns:]], dim=1)


def _fit_shapes(
    data: Batch, shape: tuple[int, int], n_components: int, mean_weight: float
) -> LinearMap:
    """Return the principal components of series, whose rows are orthonormal."""
    n_timesteps, size = shape[0], max(1, BLOCK_VALUES // data.values_per_series)
    n_series, weights = float(len(data)), None
    if data.weights is not None:
        n_series = float(data.weights.double().sum())
        weights = torch.split(data.weights.double()[:, None, None], size)

    def coefficients() -> Iterator[tuple[Tensor, Tensor | None]]:
        for number, block in enumerate(torch.split(data.values, size)):
            values = first_steps(block, n_timesteps).double()
            counts = None if weights is None else weights[number]
            yield _cosine_transform(values.view(-1, *shape)), counts

    # The transform is linear and orthonormal, so that the mean is taken after it.
    mean = torch.zeros(shape, dtype=torch.float64, device="cpu")
    for block, counts in coefficients():
        mean += _times(block, counts).sum(dim=0) / n_series
    variances = torch.zeros_like(mean)
    for block, counts in coefficients():
        variances += _times((block - mean).square(), counts).sum(dim=0) / n_series
    share = PRIOR_SERIES / (mean_weight * n_series + PRIOR_SERIES)
    prior = _smooth_spectrum(variances)
    spectrum = ((1 - share) * variances + share * prior).flatten()
    kept = spectrum.argsort(descending=True, stable=True)[:MAX_COEFFICIENTS]
    covariance = torch.diag(share * prior.flatten()[kept])
    for block, counts in coefficients():
        own = (block - mean).flatten(1)[:, kept]
        weighted = _times(block - mean, counts).flatten(1)[:, kept]
        covariance += (1 - share) / n_series * weighted.T @ own
    variances, directions = torch.linalg.eigh(covariance)
    rows = _inverse_cosine_transform(directions.flip(1)[:, :n_components].T, kept, shape)
    rows = nn.functional.pad(rows, (0, 0, 0, n_components - len(rows)))
    mean_square = variances.flip(0)[:n_components].sum() / max(1, n_components)
    everything = torch.arange(mean.numel(), dtype=torch.int64, device="cpu")
    mean_values = _inverse_cosine_transform(mean.view(1, -1), everything, shape)[0]
    return LinearMap(rows, mean_values, 1 / math.sqrt(mean_square) if mean_square > 0 else 1.0)


def _times(values: Tensor, counts: Tensor | None) -> Tensor:
    return values if counts is None else values * counts


def _cosine_transform(values: Tensor) -> Tensor:
    """Return the orthonormal discrete cosine transform over time. Shape: (N, T, C), as given."""
    n_timesteps = values.shape[1]
    waves = torch.arange(n_timesteps, dtype=torch.float64, device="cpu")[:, None]
    mirrored = torch.cat([values, values.flip(1)], dim=1)
    spectrum = torch.fft.rfft(mirrored, dim=1)[:, :n_timesteps]
    turn = torch.polar(torch.ones_like(waves), -math.pi * waves / (2 * n_timesteps))
    result: Tensor = (spectrum * turn).real / math.sqrt(2 * n_timesteps)
    result[:, 0] /= math.sqrt(2)
    return result


def _inverse_cosine_transform(rows: Tensor, kept: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the series with the given coefficients. Shape: (M, n_kept), (n_kept,) -> (M, K)."""
    n_timesteps, n_channels = shape
    waves, channels = kept // n_channels, kept % n_channels
    steps = torch.arange(n_timesteps, dtype=torch.float64, device="cpu") + 0.5
    result = torch.zeros(len(rows), n_timesteps, n_channels, dtype=torch.float64, device="cpu")
    for channel in range(n_channels):
        is_own = channels == channel
        own = waves[is_own].double()[:, None]
        basis = torch.cos(math.pi / n_timesteps * own * steps) * math.sqrt(2 / n_timesteps)
        basis = torch.where(own == 0, basis / math.sqrt(2), basis)
        result[:, :, channel] = rows[:, is_own] @ basis
    return result.flatten(1)


def _smooth_spectrum(variances: Tensor) -> Tensor:
    """Average variances (T, C) over waves of similar length: those of a stationary process."""
    n_waves = len(variances)
    totals = nn.functional.pad(variances.cumsum(dim=0), (0, 0, 1, 0))
    waves = torch.arange(n_waves, dtype=torch.float64, device="cpu")
    low = (0.7 * waves).long()
    high = ((1.4 * waves).long() + 2).clamp(max=n_waves)
    smooth: Tensor = (totals[high] - totals[low]) / (high - low)[:, None]
    return smooth


# The maps to the embedding, and back


def _set_projection(
    projection: nn.Linear, components: LinearMap, shapes: LinearMap, rotation: Tensor
) -> None:
    """Set the projection to the rotated components of both kinds."""
    n_components = len(components.rows)
    of_statistics = rotation[:, :n_components] @ components.rows * components.scale
    of_values = rotation[:, n_components:] @ shapes.rows * shapes.scale
    projection.weight.zero_()
    n_values = of_values.shape[1]
    projection.weight[:, -n_values:] = of_values
    if n_components:
        projection.weight[:, :-n_values] = of_statistics
    projection.bias.copy_(-(of_statistics @ components.mean + of_values @ shapes.mean))


def _set_linear(
    linear: nn.Linear,
    shapes: LinearMap,
    rotation: Tensor,
    components: Tensor,
    values: Tensor,
    weights: Tensor | None,
    mean_weight: float,
) -> None:
    """Set the map back: shapes lead to the series, components to some of what they leave."""
    back = shapes.rows.T / shapes.scale
    residual = values - shapes.mean - shapes(values) @ back.T
    n_series = float(len(values))
    if weights is not None:
        n_series = float(weights.sum())
        roots = weights.sqrt()[:, None]
        components, residual = components * roots, residual * roots
    regression = _regress(components, residual, mean_weight * n_series)
    linear.weight.copy_(torch.cat([regression, back], dim=1) @ rotation.T)
    linear.bias.copy_(shapes.mean)


def _regress(inputs: Tensor, outputs: Tensor, n_series: float) -> Tensor:
    """Return a ridge regression without intercept, or zeros. Shape: (N, M), (N, K) -> (K, M).

    Its penalty is chosen by generalized cross-validation (Golub et al., 1979), in which there are
    `n_series`, each row standing for as many as it counts.
    """
    n_inputs = inputs.shape[1]
    nothing = torch.zeros(outputs.shape[1], n_inputs, dtype=torch.float64, device="cpu")
    if n_inputs == 0 or n_series < 2 * n_inputs:
        return nothing
    variances, directions = torch.linalg.eigh(inputs.T @ inputs)
    variances = variances.clamp(min=0)
    products = directions.T @ (inputs.T @ outputs)
    total = float(outputs.square().sum())
    explained = products.square().sum(dim=1)
    best, best_error = nothing, total / n_series**2
    for relative in RIDGE_PENALTIES:
        penalized = variances + relative * variances.mean()
        if not (penalized > 0).all():
            continue
        # |y - X b|² = |y|² - 2 b.X'y + |X b|², direction by direction.
        left = total - float((explained * (2 / penalized - variances / penalized**2)).sum())
        freedom = float((variances / penalized).sum())
        error = left / (n_series - freedom) ** 2
        if error < best_error:
            best, best_error = (directions / penalized @ products).T, error
    return best


def _set_decoder(
    network: RecurrentAutoencoder,
    shapes: LinearMap,
    rotation: Tensor,
    components: Tensor,
    values: Tensor,
    weights: Tensor | None,
) -> None:
    """Let the decoder's layers see all components alike, and begin with adding nothing."""
    decoder, embedding_dim = network.decoder, network.architecture.embedding_dim
    both = torch.cat([components, shapes(values)], dim=1)
    variances = weighted_mean(both.square(), weights)
    std = (variances + MIN_VARIANCE_SHARE * variances.mean()).sqrt().clamp(min=MIN_STD)
    weight = cast(LSTMLayer, decoder.layers[0]).weight_ih_l0
    of_embeddings = weight[:, :embedding_dim].double()
    weight[:, :embedding_dim] = of_embeddings @ (rotation / std).T
    decoder.output.weight.zero_()
    decoder.output.bias.zero_()
