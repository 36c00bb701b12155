from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import seqfeat
from seqfeat import LSTMAutoencoder
from seqfeat.report.summary import (
    describe_model,
    describe_series,
    drawing_notes,
    parameter_table,
    shorten,
    version_table,
)
from seqfeat.series import as_series

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def analysis_of(model, series=None, **fields):
    """Return as much of an analysis as the summary reads."""
    return SimpleNamespace(parts=seqfeat.pipeline.pipeline_parts(model), series=series, **fields)


def test_a_trained_pipeline_is_described_step_by_step(utterances):
    X, y = utterances
    before = FunctionTransformer(lambda series: series)
    autoencoder = LSTMAutoencoder(4, max_iter=2, target_weight=0.5, patch_len=1)
    model = make_pipeline(before, autoencoder).fit(X, y)
    described = dict(describe_model(analysis_of(model)))
    n_weights = sum(weights.size for weights in autoencoder.weights_.values())
    n_observed = sum(len(series) for series in X)
    assert described == {
        "Steps": "FunctionTransformer → LSTMAutoencoder",
        "Embedding": "4 features per series",
        "Network": f"{n_weights:,} weights, {autoencoder.hidden_dim_} hidden units; "
        f"reads windows of {autoencoder.window_len_} timesteps, "
        "reconstructs 1 timestep at a time",
        "Training data": f"12 channels, series of up to {max(map(len, X))} timesteps, "
        f"{n_observed} observed values per channel",
        "Training": f"2 epochs; the weights of epoch {autoencoder.best_iter_} were kept; "
        "trained on labels as well (target_weight=0.5)",
    }


def test_an_untrained_classifier_is_described_with_its_classes(small):
    described = dict(describe_model(analysis_of(small)))
    assert described["Training"] == "0 epochs; the weights are the initial ones"
    assert described["Classes"] == "3: 0, 1, 2"
    assert described["Steps"].endswith("→ LogisticRegression")


def test_only_the_first_of_many_classes_are_listed(small):
    parts = SimpleNamespace(
        before=[],
        autoencoder=small["autoencoder"],
        after=[],
        classifier=SimpleNamespace(classes_=np.arange(300)),
        regressor=None,
    )
    described = dict(describe_model(SimpleNamespace(parts=parts)))
    assert described["Classes"].startswith("300: 0, 1, 2,")
    assert described["Classes"].endswith("19 and 280 more")


def test_the_series_are_described_by_number_lengths_and_channels():
    X = [np.ones((9, 2)), np.ones((5, 2))]
    table = describe_series(SimpleNamespace(series=as_series(X)))
    assert table == [("Series", "2"), ("Length", "5 to 9 timesteps"), ("Channels", "2")]
    X[0][3] = np.nan
    table = describe_series(SimpleNamespace(series=as_series(X, missing="mask")))
    assert table[-1] == ("Missing values", "some; ignored in all scores")


def notes_on(n_series, n_drawn, *, n_channels=1, n_thinned=0, labels=None, n_anomalies=12):
    analysis = SimpleNamespace(
        series=as_series(np.ones((n_series, 3, n_channels))),
        drawn=SimpleNamespace(rows=np.arange(n_drawn), n_thinned=n_thinned),
        is_sampled=n_drawn < n_series,
        labels=labels,
    )
    return drawing_notes(analysis, n_anomalies)


def test_there_is_a_note_on_everything_that_is_not_drawn():
    assert notes_on(5, 5) == []
    assert notes_on(5, 3, n_anomalies=2) == [
        "3 of 5 series are drawn: a random sample that includes the 2 most anomalous. "
        "The scores cover all series."
    ]
    assert "a random sample, stratified by class, that" in notes_on(5, 3, labels=np.arange(5))[0]
    assert notes_on(5, 5, n_thinned=4) == [
        "4 of the series drawn are long, so only the minimum and maximum of short intervals are "
        "shown. The scores cover every timestep."
    ]
    assert notes_on(5, 5, n_channels=14) == [
        "Only the first 12 of 14 channels are drawn. The scores cover all channels."
    ]


def test_parameters_are_listed_without_the_steps(small):
    table = dict(parameter_table(small))
    assert table["autoencoder__embedding_dim"] == "2"
    assert table["classifier__C"] == "10"
    assert not {"steps", "autoencoder", "scaler", "classifier"} & set(table)
    assert list(table) == sorted(table)


def test_versions_include_seqfeat_and_bokeh():
    pytest.importorskip("bokeh")
    table = dict(version_table())
    assert table["seqfeat"] == seqfeat.__version__
    assert {"bokeh", "torch", "created"} <= set(table)


def test_very_long_names_end_in_an_ellipsis():
    assert shorten("n" * 5000) == "n" * 119 + "…"
    assert shorten(7) == "7"
