import numpy as np
import pytest

from seqfeat import LSTMAutoencoder
from seqfeat.display import ReconstructionDisplay
from seqfeat.display.shading import (
    are_anomalous,
    largest_of,
    shade_opacities,
    squared_errors,
    typical_error,
)
from seqfeat.series import as_series

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_errors_are_in_scaled_units_and_missing_where_nothing_was_observed():
    X = np.array([[[1.0, 10.0], [np.nan, 20.0]], [[3.0, 30.0], [np.nan, np.nan]]])
    errors = squared_errors(as_series(X, missing="mask"), X * 0, np.array([1.0, 10.0]))
    np.testing.assert_allclose(errors[0], [[1, 1], [np.nan, 4]])
    np.testing.assert_allclose(errors[1, 0], [9, 9])


def test_shading_begins_at_five_times_the_typical_deviation_and_grows():
    deviations = np.array([1.0, 1, 1, 1, 1, 4.9, 5.1, 8, 12, 99, np.nan])
    errors = deviations[:, None] ** 2
    assert typical_error(errors[:5]) == typical_error(errors[[0, 1, -1]]) == 1.0
    opacities = shade_opacities(errors, 1.0)[:, 0]
    assert not opacities[[0, 4, 5, 10]].any()
    assert 0 < opacities[6] < opacities[7] < opacities[8] == opacities[9] == 1


def test_rounding_is_not_shaded():
    errors = np.random.default_rng(0).random((50, 1)) * 1e-12
    errors[0] = 1e-10
    assert not shade_opacities(errors, typical_error(errors)).any()


def test_with_a_threshold_all_timesteps_beyond_it_are_shaded_and_no_others():
    errors = np.random.default_rng(0).random((3, 40, 2))
    errors[:, 7, 1] = np.nan
    errors[1, 9, 0] = 1e6
    is_anomalous = are_anomalous(errors, 0.8)
    np.testing.assert_array_equal(is_anomalous, np.nanmean(errors, axis=2) > 0.8)
    opacities = shade_opacities(errors, 0.5, is_anomalous)
    np.testing.assert_array_equal(opacities.max(axis=2) >= 0.5, is_anomalous)
    assert not opacities[~is_anomalous].any()
    assert opacities[1, 9].tolist() == [1, 0]


def test_the_largest_of_an_interval_remains():
    values = np.array([1.0, 5, 2, 9, 3, 4, 7])[:, None]
    np.testing.assert_array_equal(largest_of(values, 3)[:, 0], [5, 9, 7])


def shaded_steps(axes):
    """Return the timesteps that some picture in these axes covers, with any opacity."""
    steps = set()
    for image in axes.images:
        left, right, *_ = image.get_extent()
        opacities = image.get_array()[0, :, 3]
        edges = np.linspace(left, right, len(opacities) + 1)
        for first, last in zip(edges[:-1][opacities > 0], edges[1:][opacities > 0], strict=True):
            steps |= set(range(round(first + 0.5), round(last + 0.5)))
    return steps


def faulty(n_timesteps, where):
    """Return series and reconstructions of which one is wrong at some timesteps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, n_timesteps))
    rebuilt = X + 0.1 * rng.choice([-1, 1], size=X.shape)
    rebuilt[2, where] += 5
    return X, rebuilt


def test_the_display_shades_where_the_reconstruction_is_wrong():
    X, rebuilt = faulty(40, slice(10, 14))
    display = ReconstructionDisplay.from_reconstructions(X, rebuilt, n_series=1)
    assert display.names[0] == "series 2"
    assert shaded_steps(display.axes_[0, 0]) == {10, 11, 12, 13}
    assert not shaded_steps(display.axes_[0, 1])
    texts = [text.get_text() for text in display.axes_[0, 0].get_legend().get_texts()]
    assert texts == ["series", "reconstruction", "large error"]


def test_a_single_timestep_of_a_long_series_remains_visible():
    X, rebuilt = faulty(5000, 1234)
    display = ReconstructionDisplay.from_reconstructions(X, rebuilt, n_series=1)
    steps = shaded_steps(display.axes_[0, 0])
    assert 1234 in steps
    assert 10 <= len(steps) <= 50


def test_shading_moves_no_limits_and_can_be_left_out():
    X, rebuilt = faulty(40, slice(10, 14))
    shaded = ReconstructionDisplay.from_reconstructions(X, rebuilt, n_series=1)
    plain = ReconstructionDisplay.from_reconstructions(X, rebuilt, n_series=1, shade_errors=False)
    for axes, other in zip(shaded.axes_.ravel(), plain.axes_.ravel(), strict=True):
        assert axes.get_xlim() == other.get_xlim()
        assert axes.get_ylim() == other.get_ylim()
        assert not other.images
    assert len(plain.axes_[0, 0].get_legend().get_texts()) == 2


def test_the_lane_of_a_channel_is_shaded_and_a_threshold_of_the_model_decides():
    X = np.random.default_rng(0).normal(size=(8, 20, 3))
    autoencoder = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    X[5, 12, 1] += 30
    autoencoder.timestep_threshold_ = -50.0
    display = ReconstructionDisplay.from_estimator(autoencoder, X, n_series=1)
    axes = display.axes_[0, 0]
    assert shaded_steps(axes) == {12}
    (lane,) = [image for image in axes.images if image.get_array()[..., 3].any()]
    bottom, top = lane.get_extent()[2:]
    spike = axes.lines[3].get_ydata()
    assert bottom == pytest.approx(spike.min(), abs=0.3)
    assert top == pytest.approx(spike.max(), abs=0.3)
    assert axes.get_legend().get_texts()[2].get_text() == "anomalous"
