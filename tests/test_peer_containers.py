"""The containers of aeon and sktime, converted by sktime itself, give the same embeddings."""

import numpy as np
import pandas as pd
import pytest

from seqfeat import InputError, LSTMAutoencoder
from seqfeat.series import from_channels_first

pytest.importorskip("aeon")
pytest.importorskip("sktime")

from aeon.datasets import load_basic_motions, load_japanese_vowels
from sktime.datatypes import convert, convert_to

import seqfeat.datasets

# A few epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def motions():
    """40 series of 6 channels and 100 timesteps, channels first."""
    return load_basic_motions(split="train")[0]


@pytest.fixture(scope="module")
def vowels():
    """270 series of 12 channels and 7 to 26 timesteps, channels first."""
    return load_japanese_vowels(split="train")[0]


def small():
    return LSTMAutoencoder(8, max_iter=2, random_state=0)


def test_equal_lengths_as_array_and_as_frame(motions):
    frame = convert(motions, from_type="numpy3D", to_type="pd-multiindex")
    expected = small().fit_transform(motions.transpose(0, 2, 1))
    np.testing.assert_array_equal(small().fit_transform(from_channels_first(motions)), expected)
    np.testing.assert_array_equal(small().fit_transform(frame), expected)


def frames(X, first_times):
    """Return series as sktime's list of frames, each with times of its own."""
    return [
        pd.DataFrame(series.T, index=first + np.arange(series.shape[1]))
        for series, first in zip(X, first_times, strict=True)
    ]


def test_unequal_lengths_as_list_and_as_frame(vowels):
    expected = small().fit_transform([series.T for series in vowels])
    frame = convert(frames(vowels, [0] * 270), from_type="df-list", to_type="pd-multiindex")
    assert len(frame) == sum(series.shape[1] for series in vowels)
    np.testing.assert_array_equal(small().fit_transform(from_channels_first(vowels)), expected)
    np.testing.assert_array_equal(small().fit_transform(frame), expected)


@pytest.mark.parametrize("origin", [0, pd.Timestamp("2020-01-01")])
def test_series_of_a_frame_keep_their_order_whatever_their_names_and_times(vowels, origin):
    X = vowels[:40]
    names = [f"series {number}" for number in np.random.default_rng(0).permutation(len(X))]
    day = 1 if origin == 0 else pd.Timedelta(days=1)
    parts = frames(X, [7 * number for number in range(len(X))])
    for part in parts:
        part.index = origin + part.index * day
    frame = pd.concat(parts, keys=names, names=["series", "time"])
    by_sktime = convert(frame, from_type="pd-multiindex", to_type="df-list")
    expected = small().fit_transform([part.to_numpy() for part in by_sktime])
    np.testing.assert_array_equal(small().fit_transform(frame), expected)
    np.testing.assert_array_equal(expected, small().fit_transform([part.T for part in X]))


@pytest.mark.parametrize("split", ["train", "test"])
def test_our_japanese_vowels_are_aeon_s(split):
    X, y = load_japanese_vowels(split=split)
    own, labels = seqfeat.datasets.load_japanese_vowels(split=split, return_X_y=True)
    assert labels.tolist() == y.tolist()
    for ours, theirs in zip(own, X, strict=True):
        np.testing.assert_array_equal(ours, theirs.T)


def test_sktime_s_nested_frame_is_refused_with_the_way_out(motions):
    nested = convert(motions, from_type="numpy3D", to_type="nested_univ")
    with pytest.raises(InputError, match=r"holds a Series at flat position 0.*'pd-multiindex'"):
        small().fit(nested)
    way_out = convert_to(nested, "pd-multiindex")
    expected = small().fit_transform(motions.transpose(0, 2, 1))
    np.testing.assert_array_equal(small().fit_transform(way_out), expected)
