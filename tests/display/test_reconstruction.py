import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seqfeat import InputError, LSTMAutoencoder
from seqfeat.display import ReconstructionDisplay

pytest.importorskip("matplotlib")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_the_worst_series_come_first_and_then_the_typical_ones(pipeline, utterances):
    X, _ = utterances
    display = ReconstructionDisplay.from_estimator(pipeline, X, n_series=2)
    errors = -pipeline["autoencoder"].score_samples(X)
    order = np.argsort(-errors)
    rest = order[2:]
    typical = rest[np.argsort(np.abs(errors[rest] - np.median(errors)), kind="stable")][:2]
    rows = [*order[:2], *typical]
    assert display.names == [f"series {row}" for row in rows]
    assert display.kinds == ["worst", "worst", "typical", "typical"]
    np.testing.assert_allclose(display.errors, errors[rows], rtol=1e-6)
    reconstructed = pipeline["autoencoder"].reconstruct(X[rows])
    for drawn, expected in zip(display.reconstruction, reconstructed, strict=True):
        np.testing.assert_allclose(drawn[: len(expected)], expected, rtol=1e-4)


def test_series_and_reconstruction_are_drawn_in_their_units():
    X = np.random.default_rng(0).normal(10, 3, size=(5, 12))
    display = ReconstructionDisplay.from_reconstructions(X, X + 1, n_series=1, ids=list("abcde"))
    row = "abcde".index(display.names[0])
    axes = display.axes_[0, 0]
    series, _, reconstruction = axes.lines
    np.testing.assert_allclose(series.get_ydata(), X[row])
    np.testing.assert_allclose(reconstruction.get_ydata(), X[row] + 1)
    np.testing.assert_allclose(display.errors, 1 / X.var(), rtol=1e-9)
    assert axes.get_xlabel() == "timestep"
    assert axes.get_ylabel() == "value"
    assert axes.get_title(loc="left") == f"worst: {display.names[0]} (error {1 / X.var():.2g})"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "series",
        "reconstruction",
    ]


def named_axes(display):
    return zip(display.names, display.axes_.T.ravel(), strict=True)


def test_gaps_stay_gaps_and_isolated_values_are_dots():
    X = np.arange(16.0).reshape(2, 8)
    X[:, [2, 4]] = np.nan
    X[1, 6:] = np.nan
    filled = np.where(np.isnan(X), 0.0, X)
    filled[1, 6:] = np.nan
    display = ReconstructionDisplay.from_reconstructions(X, filled, n_series=1)
    lengths = {name: len(axes.lines[0].get_ydata()) for name, axes in named_axes(display)}
    assert lengths == {"series 0": 8, "series 1": 6}
    for name, axes in named_axes(display):
        series, isolated, reconstruction = (line.get_xydata() for line in axes.lines)
        row = X[int(name[-1])]
        np.testing.assert_array_equal(series[:, 1], row[: len(series)])
        np.testing.assert_array_equal(isolated[:, 0], [3, 5] if len(series) == 6 else [3])
        assert not np.isnan(reconstruction).any()


def test_channels_have_lanes_with_the_first_at_the_top():
    X = np.random.default_rng(0).normal(size=(4, 9, 8)) * 10.0 ** np.arange(8)
    display = ReconstructionDisplay.from_reconstructions(X, X, n_series=1)
    axes = display.axes_[0, 0]
    heights = [axes.lines[3 * lane].get_ydata() for lane in range(6)]
    assert all(upper.min() > lower.max() for upper, lower in itertools.pairwise(heights))
    assert axes.get_ylabel() == "first 6 of 8 channels (each scaled separately)"
    assert [text.get_text() for text in axes.get_yticklabels()] == list("012345")


def test_names_of_series_and_channels_come_from_a_frame():
    index = pd.MultiIndex.from_product([["north", "south", "west"], range(6)], names=["site", "t"])
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(18, 2)), index, columns=["wind", "$rain"])
    autoencoder = LSTMAutoencoder(3, max_iter=0, random_state=0).fit(frame)
    display = ReconstructionDisplay.from_estimator(autoencoder, frame, n_series=1)
    assert set(display.names) < {"series north", "series south", "series west"}
    labels = [text.get_text() for text in display.axes_[0, 0].get_yticklabels()]
    assert labels == ["wind", r"\$rain"]


def test_a_display_can_be_built_without_channel_names():
    X = np.random.default_rng(0).normal(size=(4, 9, 2))
    drawn = ReconstructionDisplay.from_reconstructions(X, X, channel_names=["a", "b"])
    display = ReconstructionDisplay(
        drawn.series, drawn.reconstruction, drawn.errors, drawn.names, drawn.kinds
    ).plot()
    assert [text.get_text() for text in display.axes_[0, 0].get_yticklabels()] == ["0", "1"]


def test_a_single_series_has_no_typical_one():
    display = ReconstructionDisplay.from_reconstructions(np.ones((1, 1)), np.zeros((1, 1)))
    assert display.axes_.shape == (1, 1)
    assert display.kinds == ["worst"]


def test_steps_before_the_autoencoder_are_applied(utterances):
    X, _ = utterances
    halves = FunctionTransformer(lambda series: [one[:5, :3] for one in series])
    model = make_pipeline(halves, "passthrough", LSTMAutoencoder(2, max_iter=0, random_state=0))
    display = ReconstructionDisplay.from_estimator(model.fit(X), X)
    assert display.reconstruction.shape[1] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_series": 0}, "n_series=0; pass an integer of at least 1"),
        ({"ids": ["a"]}, "ids has 1 names for 3 series"),
        ({"channel_names": ["a", "b"]}, "channel_names has 2 names for 1 channels"),
        ({"reconstruction": np.ones((3, 4))}, "X has 3 series of up to 5 timesteps.*has 3 of up"),
    ],
)
def test_arguments_that_do_not_match_the_series_are_an_error(change, message):
    X = np.ones((3, 5))
    arguments = {"X": X, "reconstruction": X, **change}
    with pytest.raises(InputError, match=message):
        ReconstructionDisplay.from_reconstructions(**arguments)
