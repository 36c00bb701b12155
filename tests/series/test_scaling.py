import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from seqfeat.exceptions import InputError
from seqfeat.series import as_series
from seqfeat.series import series as series_module
from seqfeat.series.scaling import (
    ChannelScaling,
    block_statistics,
    channel_scaling,
    empty_statistics,
    identity_scaling,
)

NAN = np.nan
EVERYTHING = slice(None)


def channels(*shape, seed=0):
    """Channels of different means and standard deviations."""
    rng = np.random.default_rng(seed)
    channel = np.arange(shape[-1])
    return rng.standard_normal(shape) * (1.0 + channel) + 10.0 * channel - 5.0


def with_gaps(X, share=0.3, seed=1):
    """The same with missing values, and without the second half of every third series."""
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = NAN
    X[::3, X.shape[1] // 2 :] = NAN
    X[:, 0] = 1.0
    return X


def masked(X):
    return as_series(X, missing="mask")


def two_valued(low, high):
    """One channel that alternates between two values, with known mean and standard deviation."""
    return np.tile([low, high], (3, 2))[:, :, None]


def assert_same(left, right, rtol=1e-12):
    np.testing.assert_array_equal(left.count, right.count)
    np.testing.assert_allclose(left.mean, right.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(left.std, right.std, rtol=rtol)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 600)


# Against NumPy and scikit-learn


def test_statistics_are_those_of_numpy():
    X = channels(20, 7, 3)
    scaling = channel_scaling(as_series(X))
    np.testing.assert_array_equal(scaling.count, 140)
    np.testing.assert_allclose(scaling.mean, X.mean(axis=(0, 1)), rtol=1e-13)
    np.testing.assert_allclose(scaling.std, X.std(axis=(0, 1)), rtol=1e-13)
    np.testing.assert_array_equal(scaling.scale, scaling.std)


def test_statistics_of_several_blocks_are_those_of_numpy(small_blocks):
    X = with_gaps(channels(20, 7, 3))
    series = masked(X)
    assert len(list(series.blocks())) > 3
    scaling = channel_scaling(series)
    np.testing.assert_array_equal(scaling.count, (~np.isnan(X)).sum(axis=(0, 1)))
    np.testing.assert_allclose(scaling.mean, np.nanmean(X, axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(scaling.std, np.nanstd(X, axis=(0, 1)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_statistics_and_scaled_values_are_those_of_standard_scaler(dtype):
    X = channels(20, 7, 3).astype(dtype)
    rows = X.reshape(-1, 3).astype(np.float64)
    oracle = StandardScaler().fit(rows)
    scaling = channel_scaling(as_series(X))
    np.testing.assert_allclose(scaling.mean, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(scaling.scale, oracle.scale_, rtol=1e-12)
    scaled = scaling.apply(as_series(X), EVERYTHING)
    np.testing.assert_allclose(scaled.reshape(-1, 3), oracle.transform(rows), rtol=1e-6, atol=1e-6)


def test_scaled_values_with_gaps_are_those_of_standard_scaler():
    X = with_gaps(channels(20, 7, 3))
    expected = StandardScaler().fit_transform(X.reshape(-1, 3)).reshape(X.shape)
    scaled = channel_scaling(masked(X)).apply(masked(X), EVERYTHING)
    np.testing.assert_allclose(scaled, np.nan_to_num(expected), rtol=1e-6, atol=1e-6)


def test_merging_batches_is_the_partial_fit_of_standard_scaler():
    parts = [channels(n, 5, 2, seed=n) * n for n in (3, 1, 8, 2)]
    oracle, merged = StandardScaler(), empty_statistics(2)
    for part in parts:
        oracle.partial_fit(part.reshape(-1, 2))
        merged = merged.merge(channel_scaling(as_series(part)))
    np.testing.assert_allclose(merged.mean, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(merged.scale, oracle.scale_, rtol=1e-12)


# Merging


@pytest.mark.parametrize("seed", range(4))
def test_any_partition_merges_to_the_statistics_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    X = with_gaps(channels(30, 6, 3, seed=seed), seed=seed)
    cuts = np.sort(rng.choice(np.arange(1, 30), size=rng.integers(1, 10), replace=False))
    parts = [block_statistics(part) for part in np.split(X, cuts)]
    merged = empty_statistics(3)
    for index in rng.permutation(len(parts)):
        merged = merged.merge(parts[index])
    assert_same(merged, block_statistics(X))


def test_merging_does_not_depend_on_order_or_nesting():
    a, b, c = (block_statistics(channels(n, 4, 2, seed=n)) for n in (2, 5, 9))
    whole = a.merge(b).merge(c)
    assert_same(a.merge(b.merge(c)), whole)
    assert_same(c.merge(a).merge(b), whole)


def test_merging_with_an_empty_set_changes_nothing():
    some = block_statistics(channels(4, 5, 2))
    nothing = empty_statistics(2)
    assert_same(some.merge(nothing), some)
    assert_same(nothing.merge(some), some)
    assert_same(nothing.merge(nothing), nothing, rtol=0)


def test_merging_does_not_change_its_operands():
    left, right = block_statistics(channels(4, 5, 2)), block_statistics(channels(3, 5, 2, seed=1))
    before = [array.copy() for array in (left.mean, left.std, right.mean, right.std)]
    left.merge(right)
    after = [left.mean, left.std, right.mean, right.std]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_channel_may_be_observed_in_one_part_only():
    first, second = channels(4, 5, 2), channels(4, 5, 2, seed=1)
    first[:, :, 1] = NAN
    merged = block_statistics(first).merge(block_statistics(second))
    np.testing.assert_array_equal(merged.count, [40, 20])
    np.testing.assert_allclose(merged.mean[1], second[:, :, 1].mean(), rtol=1e-13)
    np.testing.assert_allclose(merged.std[1], second[:, :, 1].std(), rtol=1e-13)


@pytest.mark.parametrize("magnitude", [1e200, 1e-200])
def test_merging_neither_overflows_nor_underflows(magnitude):
    X = channels(12, 5, 2)
    expected = block_statistics(X)
    merged = block_statistics(X[:5] * magnitude).merge(block_statistics(X[5:] * magnitude))
    np.testing.assert_allclose(merged.mean / magnitude, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.std / magnitude, expected.std, rtol=1e-12)


def test_parts_of_very_different_magnitudes_are_merged():
    large, small = two_valued(-1e200, 1e200), two_valued(-1e-200, 1e-200)
    merged = block_statistics(large).merge(block_statistics(small))
    np.testing.assert_allclose(merged.mean, 0.0, atol=1e185)
    np.testing.assert_allclose(merged.std, 1e200 / np.sqrt(2), rtol=1e-12)


# Extremes


@pytest.mark.parametrize("magnitude", [1e300, 1e30, 1e-30, 1e-300])
def test_the_magnitude_changes_the_statistics_but_not_the_scaled_values(magnitude):
    X = channels(12, 5, 2)
    expected = channel_scaling(as_series(X))
    series = as_series(X * magnitude)
    scaling = channel_scaling(series)
    np.testing.assert_allclose(scaling.mean / magnitude, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(scaling.scale / magnitude, expected.scale, rtol=1e-12)
    scaled = scaling.apply(series, EVERYTHING)
    np.testing.assert_allclose(scaled, expected.apply(as_series(X), EVERYTHING), rtol=1e-5)


def test_channels_of_different_magnitudes_do_not_affect_each_other():
    X = channels(12, 5, 3)
    factors = np.array([1e200, 1.0, 1e-200])
    expected = channel_scaling(as_series(X)).apply(as_series(X), EVERYTHING)
    series = as_series(X * factors)
    scaled = channel_scaling(series).apply(series, EVERYTHING)
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)


@pytest.mark.parametrize("offset", [1e9, -1e9])
def test_a_small_signal_on_a_large_offset_survives(offset):
    small = 1e-3 * np.random.default_rng(0).standard_normal((40, 25, 2))
    X = offset + small
    # Adding the offset rounds the signal; subtracting it again is exact.
    rounded = X - offset
    scaling = channel_scaling(as_series(X))
    np.testing.assert_allclose(scaling.mean - offset, rounded.mean(axis=(0, 1)), atol=3e-7)
    np.testing.assert_allclose(scaling.scale, rounded.std(axis=(0, 1)), rtol=1e-4)
    expected = StandardScaler().fit_transform(rounded.reshape(-1, 2)).reshape(X.shape)
    np.testing.assert_allclose(scaling.apply(as_series(X), EVERYTHING), expected, atol=2e-3)


def test_sums_of_many_values_on_a_large_offset_do_not_drift(monkeypatch):
    # Two channels, so that NumPy adds one value after the other, and two unequal blocks.
    rng = np.random.default_rng(0)
    X = 1e9 + 1e-3 * rng.standard_normal((10_000, 60, 2))
    rounded = X - 1e9
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 8_000 * 60 * 2 * 8)
    scaling = channel_scaling(as_series(X))
    np.testing.assert_allclose(scaling.mean - 1e9, rounded.mean(axis=(0, 1)), atol=5e-7)
    np.testing.assert_allclose(scaling.scale, rounded.std(axis=(0, 1)), rtol=1e-4)


def test_float32_input_is_scaled_in_float64():
    X = (1e4 + channels(40, 25, 1)).astype(np.float32)
    scaling = channel_scaling(as_series(X))
    wide = X.astype(np.float64)
    np.testing.assert_allclose(scaling.mean, wide.mean(), rtol=1e-13)
    np.testing.assert_allclose(scaling.scale, wide.std(), rtol=1e-9)
    expected = (wide - wide.mean()) / wide.std()
    np.testing.assert_allclose(scaling.apply(as_series(X), EVERYTHING), expected, atol=1e-6)


def test_the_largest_numbers_are_scaled():
    X = two_valued(-1.7e308, 1.7e308)
    scaling = channel_scaling(as_series(X))
    np.testing.assert_allclose(scaling.std, 1.7e308)
    np.testing.assert_allclose(scaling.apply(as_series(X), EVERYTHING), np.sign(X))


# Constant channels


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e9 + 0.3, 1e200, 1e-200])
def test_a_constant_channel_is_scaled_by_one(value):
    X = channels(12, 5, 2)
    X[:, :, 0] = value
    scaling = channel_scaling(as_series(X))
    assert scaling.scale[0] == 1.0
    np.testing.assert_allclose(scaling.mean[0], value, rtol=1e-15)
    scaled = scaling.apply(as_series(X), EVERYTHING)
    np.testing.assert_allclose(scaled[:, :, 0], 0.0, atol=1e-15 * max(1.0, abs(value)))


@pytest.mark.parametrize("value", [0.1, 1e9 + 0.3])
def test_a_constant_channel_in_many_blocks_is_scaled_by_one(small_blocks, value):
    series = masked(with_gaps(np.full((60, 7, 2), value)))
    X = np.where(np.isnan(series.values), NAN, value)
    scaling = channel_scaling(masked(X))
    np.testing.assert_array_equal(scaling.scale, 1.0)


def test_rounding_errors_of_a_constant_do_not_count_as_variance():
    X = np.full((5, 4, 1), 0.3)
    X[::2] = 0.1 + 0.2
    assert np.ptp(X) > 0
    assert channel_scaling(as_series(X)).scale == 1.0


def test_a_single_value_is_constant():
    scaling = channel_scaling(as_series(np.array([[7.0]])))
    assert (scaling.count, scaling.mean, scaling.std, scaling.scale) == (1, 7, 0, 1)


def test_a_channel_that_was_never_observed_is_not_scaled():
    X = channels(4, 5, 2)
    X[:, :, 1] = NAN
    scaling = channel_scaling(masked(X))
    assert (scaling.count[1], scaling.mean[1], scaling.scale[1]) == (0, 0, 1)
    np.testing.assert_array_equal(scaling.apply(masked(X), EVERYTHING)[:, :, 1], 0.0)


# Applying


def test_what_was_not_observed_becomes_zero_which_is_the_mean():
    X = with_gaps(channels(9, 6, 2))
    scaled = channel_scaling(masked(X)).apply(masked(X), EVERYTHING)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled[np.isnan(X)], 0.0)
    assert np.count_nonzero(scaled[~np.isnan(X)]) == np.count_nonzero(~np.isnan(X))


def test_the_mask_of_observed_values_comes_along():
    X = with_gaps(channels(9, 6, 2))
    scaling = channel_scaling(masked(X))
    scaled, observed = scaling.apply_observed(masked(X), slice(2, 5))
    np.testing.assert_array_equal(scaled, scaling.apply(masked(X), slice(2, 5)))
    np.testing.assert_array_equal(observed, ~np.isnan(X[2:5]))
    assert scaling.apply_observed(as_series(channels(9, 6, 2)), slice(2, 5))[1] is None


def test_rows_are_cut_to_the_longest_of_them():
    series = as_series([np.arange(float(length)) for length in (2, 5, 3, 7)])
    scaling = channel_scaling(series)
    assert scaling.apply(series, slice(0, 3)).shape == (3, 5, 1)
    assert scaling.apply(series, np.array([2, 0])).shape == (2, 3, 1)


def test_a_series_is_scaled_the_same_whatever_the_other_rows_are():
    series = as_series([channels(length, 2, seed=length) for length in (2, 5, 3, 7)])
    scaling = channel_scaling(series)
    together = scaling.apply(series, np.array([3, 1, 0, 2]))
    for row, index in zip(together, [3, 1, 0, 2], strict=True):
        length = series.lengths[index]
        alone = scaling.apply(series, slice(index, index + 1))[0]
        np.testing.assert_array_equal(row[:length], alone)
        np.testing.assert_array_equal(row[length:], 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_apply_does_not_write_to_the_input(dtype):
    X = channels(9, 6, 2).astype(dtype)
    before = X.copy()
    X.flags.writeable = False
    channel_scaling(as_series(X)).apply(as_series(X), EVERYTHING)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("magnitude", [1, 1e200, 1e-200])
def test_invert_undoes_apply_at_any_magnitude(magnitude):
    X = channels(9, 6, 3) * magnitude
    scaling = channel_scaling(as_series(X))
    back = scaling.invert(scaling.apply(as_series(X), EVERYTHING))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back / magnitude, X / magnitude, rtol=1e-6, atol=1e-6)


def test_mean_and_scale_come_as_one_array():
    X = channels(9, 6, 2)
    X[:, :, 1] = 3.0
    scaling = channel_scaling(as_series(X))
    np.testing.assert_array_equal(scaling.mean_and_scale, [scaling.mean, scaling.scale])


def test_invert_keeps_a_small_signal_on_a_large_offset():
    X = 1e9 + 1e-2 * channels(9, 6, 1)
    scaling = channel_scaling(as_series(X))
    back = scaling.invert(scaling.apply(as_series(X), EVERYTHING))
    np.testing.assert_allclose(back - 1e9, X - 1e9, atol=1e-6)


def test_the_identity_leaves_values_unchanged():
    X = channels(9, 6, 3).astype(np.float32)
    scaling = identity_scaling(3)
    np.testing.assert_array_equal(scaling.apply(as_series(X), EVERYTHING), X)
    np.testing.assert_array_equal(scaling.invert(X), X)


# Values too far from the training data


@pytest.mark.parametrize("value", [1e16, -1e16, 1e39, -1e300])
def test_a_value_too_far_from_the_training_data_is_named(value):
    scaling = channel_scaling(as_series(channels(9, 6, 2)))
    X = channels(4, 6, 2, seed=1)
    X[2, 3, 1] = value
    with pytest.raises(InputError, match="series 2 has the value") as caught:
        scaling.apply(as_series(X), EVERYTHING)
    message = str(caught.value)
    assert f"{value:g} at timestep 3, channel 1" in message
    assert f"mean {scaling.mean[1]:g}, scale {scaling.scale[1]:g}" in message
    assert "clip it" in message


@pytest.mark.parametrize("rows", [slice(2, 4), np.array([0, 3])])
def test_the_series_is_named_by_its_position_in_the_whole_set(rows):
    X = channels(4, 6, 2)
    X[3, 5, 0] = 1e30
    with pytest.raises(InputError, match=r"series 3 has the value 1e\+30 at timestep 5, channel 0"):
        identity_scaling(2).apply(as_series(X), rows)


def test_a_value_too_far_among_missing_values_is_found():
    X = with_gaps(channels(4, 6, 2))
    X[1, 0, 0] = 1e30
    with pytest.raises(InputError, match="series 1 has the value"):
        identity_scaling(2).apply(masked(X), EVERYTHING)


def test_a_difference_that_overflows_float64_is_rejected():
    scaling = channel_scaling(as_series(np.full((2, 3, 1), 1.7e308)))
    with pytest.raises(InputError, match=r"series 0 has the value -1\.7e\+308"):
        scaling.apply(as_series(np.full((2, 3, 1), -1.7e308)), EVERYTHING)


def test_an_outlier_that_float32_can_hold_is_scaled():
    scaling = ChannelScaling(np.array([4.0]), np.array([2.0]), np.array([0.5]))
    scaled = scaling.apply(as_series(np.array([[[1e12]]])), EVERYTHING)
    np.testing.assert_allclose(scaled, (1e12 - 2) / 0.5, rtol=1e-6)
