import base64

import numpy as np
import pytest

from seqfeat import LSTMAutoencoder
from seqfeat.report.drawn_series import draw_series, sample_rows, size_limits, thin
from seqfeat.series import as_series
from tests.report.pages import unpack


def test_samples_are_stratified_include_the_anomalies_and_are_reproducible():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2, 3], [8000, 1500, 499, 1])
    errors = rng.random(10_000)
    rows = sample_rows(errors, strata, 200, 10, seed=0)
    assert len(set(rows)) == 200
    assert set(np.argsort(-errors)[:10]) <= set(rows)
    assert (np.diff(errors[rows]) <= 0).all()
    np.testing.assert_allclose(np.bincount(strata[rows]), [160, 30, 10, 1], atol=10)
    np.testing.assert_array_equal(rows, sample_rows(errors, strata, 200, 10, seed=0))
    assert set(rows) != set(sample_rows(errors, strata, 200, 10, seed=1))


def test_few_series_are_all_drawn_in_descending_order_of_error():
    errors = np.array([0.2, 0.5, 0.1])
    np.testing.assert_array_equal(sample_rows(errors, None, 9, 2, seed=0), [1, 0, 2])


@pytest.mark.parametrize(("n_channels", "n_timesteps"), [(1, 100_000), (2, 300), (12, 50), (90, 9)])
def test_the_number_of_values_is_limited_for_series_of_any_shape(n_channels, n_timesteps):
    n_drawn, n_steps = size_limits(n_channels, np.array([3, n_timesteps]), 2000)
    n_values = 2 * min(n_channels, 12) * n_drawn * (min(n_steps, n_timesteps) + 8)
    assert n_values <= 900_000
    assert n_drawn >= 400
    assert n_steps >= 64
    assert n_steps % 2 == 0


def test_thinning_keeps_peaks_their_order_and_gaps():
    values = np.array([0, 5, 1, 1, 9, 2, np.nan, np.nan, np.nan, 4.0, np.nan])[:, None]
    kept = thin(values, 3)[:, 0]
    np.testing.assert_array_equal(kept, [0, 5, 1, 9, np.nan, np.nan, 4, 4])
    np.testing.assert_array_equal(thin(-values, 3)[:2, 0], [0, -5])


def test_long_series_are_drawn_by_the_minimum_and_maximum_of_intervals():
    X = np.random.default_rng(0).normal(size=(6, 700, 14))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    drawn = draw_series(model, as_series(X), np.array([4, 1]), 240)
    assert drawn.n_thinned == 2
    assert drawn.packed["lengths"] == [700, 700]
    width = drawn.packed["widths"][0]
    intervals = [X[4, start : start + width, :12] for start in range(0, 700, width)]
    values = unpack(drawn.packed, 0)[0].reshape(-1, 2, 12)
    low = [interval.min(axis=0) for interval in intervals]
    high = [interval.max(axis=0) for interval in intervals]
    np.testing.assert_allclose(values.min(axis=1), low, atol=1e-3)
    np.testing.assert_allclose(values.max(axis=1), high, atol=1e-3)


def test_short_series_are_drawn_whole_with_their_gaps(monkeypatch):
    # In chunks of one series; otherwise, only large data sets take several chunks.
    monkeypatch.setattr("seqfeat.report.drawn_series.RECONSTRUCTED_VALUES", 1)
    X = [np.sin(np.arange(n) / 2) for n in (12, 5, 1, 9)]
    X[0][4:6] = np.nan
    model = LSTMAutoencoder(2, max_iter=0, missing="mask", random_state=0).fit(X)
    rows = np.array([2, 0, 3, 1])
    drawn = draw_series(model, as_series(X, missing="mask"), rows, 240)
    assert drawn.n_thinned == 0
    assert drawn.packed["lengths"] == [1, 12, 9, 5]
    reconstructed = model.reconstruct(X)
    for index, row in enumerate(rows):
        series, reconstruction = unpack(drawn.packed, index)
        np.testing.assert_allclose(series[:, 0], X[row], atol=1e-3)
        np.testing.assert_allclose(reconstruction[:, 0], np.ravel(reconstructed[row]), atol=1e-3)


def unpack_shades(packed, n_columns):
    """Return the bytes of each series, (n_columns, n_channels)."""
    levels = np.frombuffer(base64.b64decode(packed["shades"]), np.uint8)
    sizes = [packed["n_channels"] * n for n in n_columns]
    parts = np.split(levels, np.cumsum(sizes)[:-1])
    return [part.reshape(packed["n_channels"], -1).T for part in parts]


def test_timesteps_with_large_errors_are_shaded_also_where_series_are_thinned():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for n in (30, 1000, 30)]
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    X[0][17, 1] += 15
    X[1][501, 0] += 15
    packed = draw_series(model, as_series(X), np.array([1, 0, 2]), 100).packed
    width = packed["widths"][0]
    shades = unpack_shades(packed, [-(-1000 // width), 30, 30])
    rebuilt = model.reconstruct(X)
    deviations = [abs((X[row] - rebuilt[row]) / model.scale_) for row in (1, 0, 2)]
    typical = np.median([np.median(some**2) for some in deviations]) ** 0.5
    starts = np.arange(0, 1000, width)
    deviations[0] = np.maximum.reduceat(deviations[0], starts)
    for shade, deviation in zip(shades, deviations, strict=True):
        np.testing.assert_array_equal(shade > 0, deviation > 5.02 * typical)
        np.testing.assert_array_equal(shade == 255, deviation >= 12 * typical)
    assert shades[0][501 // width, 0] == shades[1][17, 1] == 255


def test_the_threshold_of_the_model_decides_what_is_shaded():
    X = np.random.default_rng(0).normal(size=(6, 40, 2))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    errors = ((X - model.reconstruct(X)) / model.scale_) ** 2
    threshold = np.quantile(errors.mean(axis=2), 0.9)
    model.timestep_threshold_ = -threshold
    packed = draw_series(model, as_series(X), np.arange(6), 240).packed
    shaded = np.stack(unpack_shades(packed, [40] * 6)).max(axis=2) > 0
    np.testing.assert_array_equal(shaded, errors.mean(axis=2) > threshold)


def test_lanes_span_all_but_the_most_extreme_values():
    X = np.random.default_rng(0).normal(size=(500, 4, 2)) * [1, 100]
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    X[0, 0] = 1e9
    lanes = draw_series(model, as_series(X), np.arange(500), 240).packed["lanes"]
    assert 2 < lanes[0][1] < 10
    assert 200 < lanes[1][1] < 1000
