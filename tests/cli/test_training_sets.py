import warnings

import numpy as np
import pandas as pd
import pytest

from seqfeat import LayoutWarning
from seqfeat.cli.training_sets import like_classes
from tests.commands import LONG, QUICK, error_of, meters, ok, seqfeat, waves

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_training_set_is_summarized(tmp_path, npy):
    meters(4).drop(columns=["meter", "kind"]).to_csv(tmp_path / "wide.csv", index=False)
    for data, expected in (
        ("demo:japanese-vowels", "Read 270 series of 9 classes from demo:japanese-vowels:train."),
        (npy, f"Read 24 series without labels from {npy}; learning features only."),
        (tmp_path / "wide.csv", "series (one per row) without labels from"),
    ):
        options = ["--max-iter", "0", "--embedding-dim", "4", "--no-baselines"]
        assert expected in ok("train", data, *options, "-o", tmp_path / "m.joblib").err


def test_channels_that_seem_to_come_first_are_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 2, 9)))
    arguments = ["train", tmp_path / "x.npy", *QUICK, "-o", tmp_path / "m.joblib"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", LayoutWarning)  # the command has its own filters
        result = ok(*arguments)
    assert "pass --channels-first." in result.err
    assert "channels-first" not in ok(*arguments, "--channels-first").err


def test_one_series_is_not_enough(tmp_path):
    np.save(tmp_path / "x.npy", waves(1))
    message = error_of("train", tmp_path / "x.npy", *QUICK, "-o", tmp_path / "m.joblib")
    assert message.endswith("x.npy has 1 series; training needs at least 2.")


@pytest.mark.parametrize(
    ("changes", "words", "options"),
    [
        (
            {"kind": ["a"] + [None] * 9 + ["b"] * 10},
            ["--label kind: 9 of 20 series have no label", "s1"],
            ["--cv", "2"],
        ),
        ({"kind": ["a"] * 20}, ["all series have the label a"], []),
        ({"kind": ["a"] * 19 + ["b"]}, ["only 1 series has the label b"], []),
        ({"kind": np.arange(20) / 7}, ["continuous numbers"], ["--test-size", "0"]),
        ({"t3": [0.0] * 12 + [np.nan] * 8}, ["series s12", "NaN", "--missing mask"], []),
        ({"t3": [0.0] * 12 + [np.nan] * 8}, ["series s12", "--missing mask"], ["--cv", "2"]),
        ({"t3": [0.0] * 19 + [np.inf]}, ["series s19", "inf"], ["--test-size", "0"]),
    ],
)
def test_what_cannot_be_learned_is_an_error_before_the_training(tmp_path, changes, words, options):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 8))).add_prefix("t")
    frame = frame.assign(name=[f"s{row}" for row in range(20)], kind=["a", "b"] * 10)
    frame.assign(**changes).to_csv(tmp_path / "wide.csv", index=False)
    arguments = ["train", tmp_path / "wide.csv", "--id", "name", "--label", "kind", *QUICK]
    result = seqfeat(*arguments, *options, "-o", tmp_path / "m.joblib")
    assert result.status == 1
    assert "Training" not in result.err
    for word in words:
        assert word in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.assign(load=np.nan), ["series m000", "NaN", "--missing mask"]),
        (lambda frame: frame.drop(columns="heat"), ["X has 1 features", "expecting 2"]),
        (
            lambda frame: frame.assign(kind="office"),
            ["none of the labels (office)", "(home, shop)"],
        ),
        (lambda frame: frame.assign(kind=np.nan), ["series m000 has no label"]),
    ],
)
def test_an_unsuitable_test_set_is_an_error_before_the_training(tmp_path, csv, change, words):
    test = tmp_path / "test.csv"
    change(meters(10, seed=1)).to_csv(test, index=False)
    result = seqfeat("train", csv, *LONG, *QUICK, "--test", test, "-o", tmp_path / "m.joblib")
    assert result.status == 1
    assert "Training" not in result.err
    for word in [f"--test {test}: ", *words]:
        assert word in result.err.splitlines()[-1]


def test_the_labels_of_a_test_set_are_needed_exactly_if_the_training_set_has_some(tmp_path):
    y = np.arange(24) % 2
    np.savez(tmp_path / "labelled.npz", X=waves(24), y=y)
    np.savez(tmp_path / "unlabelled.npz", X=waves(24))
    options = ["--max-iter", "0", "--no-baselines", "-o", tmp_path / "m.joblib"]
    ok("train", tmp_path / "unlabelled.npz", "--test", tmp_path / "labelled.npz", *options)
    message = error_of(
        "train", tmp_path / "labelled.npz", "--test", tmp_path / "unlabelled.npz", *options
    )
    assert message.endswith("the series have no labels, but the training series do.")


def test_a_test_set_may_write_numeric_labels_as_text(tmp_path):
    y = np.arange(24) % 2
    for name, labels in (("numbers", y), ("text", y.astype(str))):
        np.savez(tmp_path / f"{name}.npz", X=waves(24), y=labels)
    command = ["train", tmp_path / "numbers.npz", *QUICK, "--no-baselines", "--json"]
    scores = [
        ok(*command, "--test", tmp_path / f"{name}.npz", "-o", tmp_path / "m.joblib").json["scores"]
        for name in ("numbers", "text")
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([1, 2, 7], ["1", "2"], ["1", "2", "7"]),
        ([1.0, 2.0], ["1", "2"], ["1", "2"]),
        ([1.5, 2.0], ["1.5", "2"], ["1.5", "2"]),
        (["1", "2"], [1, 2], [1, 2]),
        (["1", "x"], [1, 2], ["1", "x"]),
        (["1", "7"], [1, 2], [1, 7]),
        (["01", "2"], [1, 2], ["01", "2"]),
        (["True", "False"], [False, True], [True, False]),
        ([3, 4], ["a", "b"], [3, 4]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
        ([1, 2], [1, 2, 3], [1, 2]),
    ],
)
def test_labels_take_the_type_of_the_classes_if_they_then_match(labels, classes, expected):
    assert like_classes(np.array(labels), np.array(classes)).tolist() == expected
