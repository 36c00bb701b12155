import numpy as np
import pytest

from seqfeat.datasets import load_japanese_vowels

SPEAKERS = [str(number) for number in range(1, 10)]


@pytest.fixture(scope="module")
def train():
    return load_japanese_vowels()


@pytest.fixture(scope="module")
def held_out():
    return load_japanese_vowels(split="test")


@pytest.mark.parametrize(
    ("bunch", "counts"),
    [("train", [30] * 9), ("held_out", [31, 35, 88, 44, 29, 24, 40, 50, 29])],
)
def test_each_speaker_has_the_official_number_of_utterances(bunch, counts, request):
    bunch = request.getfixturevalue(bunch)
    assert len(bunch.data) == len(bunch.target) == sum(counts)
    speakers, found = np.unique(bunch.target, return_counts=True)
    assert speakers.tolist() == bunch.target_names == SPEAKERS
    assert found.tolist() == counts
    assert bunch.target.tolist() == sorted(bunch.target)


def test_lengths_range_from_7_to_29(train, held_out):
    lengths = [{len(series) for series in split.data} for split in (train, held_out)]
    assert (min(lengths[0]), max(lengths[0])) == (7, 26)
    assert (min(lengths[1]), max(lengths[1])) == (7, 29)


def test_series_are_finite_float64_arrays_with_12_channels(train, held_out):
    for X in (train.data, held_out.data):
        assert X.dtype == object
        assert X.ndim == 1
        for series in X:
            assert series.dtype == np.float64
            assert series.shape[1:] == (12,)
            assert np.isfinite(series).all()


def test_the_first_values_are_those_of_the_repository(train):
    assert train.data[0].shape == (20, 12)
    assert train.data[0][0, :3].tolist() == [1.860936, -0.207383, 0.261557]


def test_return_X_y_returns_the_data_and_target_of_the_bunch(train, held_out):
    for bunch, options in ((train, {}), (train, {"split": "train"}), (held_out, {"split": "test"})):
        X, y = load_japanese_vowels(**options, return_X_y=True)
        np.testing.assert_array_equal(np.concatenate(bunch.data), np.concatenate(X))
        np.testing.assert_array_equal(bunch.target, y)


def test_no_utterance_is_in_both_splits(train, held_out):
    in_train, in_test = ({series.tobytes() for series in split.data} for split in (train, held_out))
    assert len(in_train) == 270
    assert len(in_test) == 370
    assert not in_train & in_test


def test_each_call_returns_new_arrays():
    first = load_japanese_vowels().data
    first[0][:] = 0.0
    assert load_japanese_vowels().data[0][0, 0] == 1.860936


def test_the_description_credits_the_source_and_names_the_licence(train):
    for credit in ("Kudo", "UCI Machine Learning", "10.24432/C5NS47", "CC BY 4.0"):
        assert credit in train.DESCR


@pytest.mark.parametrize("split", ["validation", None])
def test_an_unknown_split_is_an_error_that_names_both(split):
    with pytest.raises(ValueError, match=rf"split={split!r} is unknown; pass 'train' or 'test'"):
        load_japanese_vowels(split=split)
