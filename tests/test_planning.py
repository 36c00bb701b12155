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
    with pytest.raises(InputError, match="window_stride=5 is larger than .* 4, .*window_len"):
        fitted(150, window_len=4, window_stride=5)
