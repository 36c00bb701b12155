import numpy as np
import pytest

from seqfeat.datasets import load_japanese_vowels

SPEAKERS = [str(number) for number in range(1, 10)]


@pytest.mark.parametrize(
    ("split", "counts"),
    [("train", [30] * 9), ("test", [31, 35, 88, 44, 29, 24, 40, 50, 29])],
)
def test_each_speaker_has_the_official_number_of_utterances(split, counts):
    X, y = load_japanese_vowels(split=split, return_X_y=True)
    assert len(X) == len(y) == sum(counts)
    speakers, found = np.unique(y, return_counts=True)
    assert speakers.tolist() == SPEAKERS
    assert found.tolist() == counts
    assert y.tolist() == sorted(y)


def test_lengths_run_from_7_to_29():
    lengths = [
        {len(series) for series in load_japanese_vowels(split=split).data}
        for split in ("train", "test")
    ]
    assert (min(lengths[0]), max(lengths[0])) == (7, 26)
    assert (min(lengths[1]), max(lengths[1])) == (7, 29)


@pytest.mark.parametrize("split", ["train", "test"])
def test_series_are_finite_float64_of_12_channels(split):
    X = load_japanese_vowels(split=split).data
    assert X.dtype == object
    assert X.ndim == 1
    for series in X:
        assert series.dtype == np.float64
        assert series.shape[1:] == (12,)
        assert np.isfinite(series).all()


def test_first_values_are_the_repositorys():
    X = load_japanese_vowels().data
    assert X[0].shape == (20, 12)
    assert X[0][0, :3].tolist() == [1.860936, -0.207383, 0.261557]


def test_the_default_is_the_training_split():
    default, train = load_japanese_vowels(), load_japanese_vowels(split="train")
    np.testing.assert_array_equal(np.concatenate(default.data), np.concatenate(train.data))


def test_the_bunch_holds_what_return_X_y_returns():
    bunch = load_japanese_vowels(split="test")
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    np.testing.assert_array_equal(np.concatenate(bunch.data), np.concatenate(X))
    np.testing.assert_array_equal(bunch.target, y)
    assert bunch.target_names == SPEAKERS


def test_no_utterance_is_in_both_splits():
    train, test = (
        {series.tobytes() for series in load_japanese_vowels(split=split).data}
        for split in ("train", "test")
    )
    assert len(train) == 270
    assert len(test) == 370
    assert not train & test


def test_every_call_returns_data_of_its_own():
    first = load_japanese_vowels().data
    first[0][:] = 0.0
    assert load_japanese_vowels().data[0][0, 0] == 1.860936


def test_the_description_credits_source_and_licence():
    description = load_japanese_vowels().DESCR
    for credit in ("Kudo", "UCI Machine Learning", "10.24432/C5NS47", "CC BY 4.0"):
        assert credit in description


@pytest.mark.parametrize("split", ["validation", "", None, 0])
def test_an_unknown_split_is_an_error_that_names_both(split):
    with pytest.raises(ValueError, match=r"is not a split; use 'train' or 'test'"):
        load_japanese_vowels(split=split)
