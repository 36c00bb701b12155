"""What "auto" becomes, by the length of the series."""

import numpy as np
import pytest

from seqfeat import InputError, LSTMAutoencoder


def fitted(n_timesteps, **params):
    X = np.random.default_rng(0).normal(size=(3, n_timesteps, 1))
    return LSTMAutoencoder(2, max_iter=0, random_state=0, **params).fit(X)


@pytest.mark.parametrize(
    ("n_timesteps", "length", "stride", "patch_len"),
    [(1, 1, 1, 1), (12, 2, 1, 1), (96, 16, 1, 3), (150, 16, 2, 5), (3000, 24, 24, 94)],
)
def test_windows_and_patches_bound_the_recurrence(n_timesteps, length, stride, patch_len):
    autoencoder = fitted(n_timesteps)
    assert (autoencoder.window_len_, autoencoder.window_stride_) == (length, stride)
    assert autoencoder.patch_len_ == patch_len
    assert n_timesteps / stride <= 128
    assert n_timesteps / patch_len <= 32


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_without_statistics_the_encoder_reads_the_decoders_patches(pooling):
    autoencoder = fitted(150, pooling=pooling)
    assert autoencoder.window_len_ == autoencoder.window_stride_ == autoencoder.patch_len_ == 5


@pytest.mark.parametrize("pooling", ["statistics", "last"])
def test_windows_as_asked_for(pooling):
    autoencoder = fitted(150, pooling=pooling, window_len=10, window_stride=7)
    assert (autoencoder.window_len_, autoencoder.window_stride_) == (10, 7)
    assert fitted(150, window_len=1).window_stride_ == 1


def test_windows_that_leave_timesteps_out_are_refused():
    with pytest.raises(InputError, match=r"window_stride=5 is larger than .* 4, .*window_len"):
        fitted(150, window_len=4, window_stride=5)


def test_the_plain_network_is_reached_by_parameters():
    """Width by width: n_channels -> 2E -> E, and E -> E -> 2E -> n_channels."""
    plain = fitted(150, patch_len=1, n_time_features=0, pooling="last")
    shapes = {name: weight.shape for name, weight in plain.weights_.items() if "weight" in name}
    assert shapes == {
        "encoder.forward_layers.0.weight_ih_l0": (16, 1),
        "encoder.forward_layers.0.weight_hh_l0": (16, 4),
        "encoder.forward_layers.1.weight_ih_l0": (8, 4),
        "encoder.forward_layers.1.weight_hh_l0": (8, 2),
        "decoder.layers.0.weight_ih_l0": (8, 2),
        "decoder.layers.0.weight_hh_l0": (8, 2),
        "decoder.layers.1.weight_ih_l0": (16, 2),
        "decoder.layers.1.weight_hh_l0": (16, 4),
        "decoder.output.weight": (1, 4),
    }
