"""Scores and states of timesteps, and the thresholds of anomalies."""

import numpy as np
import pytest
import torch

from seqfeat import InputError
from seqfeat.inference.fitted import fitted_backend
from seqfeat.inference.thresholds import LowestScores
from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.windows import count_windows, of_timesteps
from tests.autoencoders import fit_quietly, pad, ragged_waves, small, waves

POOLINGS = [
    {},
    {"pooling": "statistics", "window_len": 5, "window_stride": 2, "bidirectional": True},
    {"pooling": "last", "patch_len": 3},
]
X = ragged_waves(12, n_timesteps=20)


@pytest.fixture(scope="module", params=POOLINGS, ids=str)
def model(request):
    return fit_quietly(small(missing="mask", contamination=0.1, **request.param), X)


def test_scores_are_the_errors_of_the_reconstruction(model):
    scores = model.score_timesteps(X, by_channel=True)
    for series, rebuilt, found in zip(X, model.reconstruct(X), scores, strict=True):
        expected = -(((rebuilt - series) / model.scale_) ** 2)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_channels_are_averaged_over_those_that_were_observed(model):
    gaps = pad(X)
    gaps[0, 3] = np.nan
    gaps[0, 5, 0] = np.nan
    by_channel = model.score_timesteps(gaps, by_channel=True)[0]
    scores = model.score_timesteps(gaps)[0]
    assert np.isnan(scores).tolist() == [step == 3 for step in range(len(X[0]))]
    assert scores[5] == by_channel[5, 1]
    np.testing.assert_allclose(scores[7], by_channel[7].mean())


def test_scores_of_timesteps_average_to_that_of_their_series(model):
    means = [scores.mean() for scores in model.score_timesteps(X)]
    np.testing.assert_allclose(means, model.score_samples(X))


def test_thresholds_are_quantiles_of_the_training_scores(model):
    assert model.anomaly_threshold_ == pytest.approx(np.quantile(model.score_samples(X), 0.1))
    scores = np.concatenate(model.score_timesteps(X))
    assert model.timestep_threshold_ == pytest.approx(np.quantile(scores, 0.1))


def test_without_contamination_there_are_no_thresholds_nor_after_a_stream(model):
    assert not hasattr(fit_quietly(small(), X), "anomaly_threshold_")
    fitted = fit_quietly(small(contamination=0.2, missing="mask"), X)
    assert not hasattr(fitted.partial_fit(X), "anomaly_threshold_")


@pytest.mark.parametrize("share", [0.001, 0.01, 0.13, 0.5])
def test_a_quantile_needs_the_lowest_scores_alone(share):
    scores = np.random.default_rng(0).normal(size=5000)
    lowest = LowestScores(share, 6000)
    for part in np.split(scores, 50):
        lowest.add(part)
    assert lowest.quantile() == pytest.approx(np.quantile(scores, share), rel=1e-12)
    assert len(lowest.kept) <= max(2 * lowest.n_kept, 100)


# States


def test_states_do_not_depend_on_batch_mates_or_padding(model):
    together = model.transform_timesteps(pad(X, 27))
    for series, states in zip(X, together, strict=True):
        np.testing.assert_array_equal(model.transform_timesteps([series])[0], states)
        assert states.shape[0] == len(series)


def test_the_kernels_find_the_states_that_pytorch_finds(model):
    backend = fitted_backend(model)
    values, lengths = torch.randn(3, 20, 2), torch.tensor([20, 7, 14])
    for row, length in enumerate(lengths):
        values[row, length:] = 0
    with torch.no_grad():
        expected = TorchBackend(backend.network, torch.device("cpu")).timestep_states(
            values, lengths
        )
    found = backend.timestep_states(values, lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_last_state_is_the_embedding_where_that_is_the_last_output():
    last = fit_quietly(small(pooling="last"), X)
    states = [one[-1] for one in last.transform_timesteps(X)]
    np.testing.assert_allclose(states, last.transform(X), rtol=1e-6)


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (4, 4), (5, 2), (6, 1), (9, 4)])
def test_a_timestep_belongs_to_the_window_with_the_nearest_centre(length, stride):
    lengths = torch.tensor([30, 11])
    n_windows = count_windows(lengths, length, stride)
    numbers = torch.arange(int(n_windows.max())).repeat(2, 1)[:, :, None]
    found = of_timesteps(numbers, lengths, 30, length, stride)[:, :, 0]
    for row, n_steps in enumerate(lengths.tolist()):
        centres = np.arange(int(n_windows[row])) * stride + (length - 1) / 2
        for step in range(n_steps):
            distances = np.abs(centres - step)
            expected = len(distances) - 1 - distances[::-1].argmin()
            assert found[row, step] == expected


def test_before_a_window_has_seen_a_change_no_state_knows_of_it():
    model = fit_quietly(small(pooling="last"), waves(12, 30))
    series = waves(1, 30)
    changed = series.copy()
    changed[0, 17] += 5
    before, after = (model.transform_timesteps(one)[0] for one in (series, changed))
    assert np.flatnonzero((before != after).any(axis=1))[0] == 17


def test_other_channels_than_those_of_fit_are_an_error(model):
    for method in (model.score_timesteps, model.transform_timesteps):
        with pytest.raises(InputError, match="expecting 2 features"):
            method(waves(3, n_channels=3))
