"""The graph's embeddings are those of `transform`, and it fails where `transform` raises."""

import numpy as np
import pytest

from seqfeat import InputError, export_onnx, make_classifier
from tests.saving.onnx.sessions import (
    LEVELS,
    assert_equal_embeddings,
    assert_equal_results,
    fit_quietly,
    open_session,
    pad,
    results_of,
    small,
)

# A single epoch shows whether the graph matches the encoder, not whether training converges.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
ENCODERS = {
    "default": {},
    "statistics": {"pooling": "statistics"},
    "last": {"pooling": "last"},
    "mean": {"pooling": "mean", "patch_len": 2},
    "bidirectional, max": {"bidirectional": True, "pooling": "max", "patch_len": 3},
    "bidirectional, last": {"bidirectional": True, "pooling": "last"},
    "bidirectional, mean": {"bidirectional": True, "pooling": "mean", "patch_len": 4},
    "window longer than the series": {"pooling": "last", "window_len": 40},
    "a reservoir's window longer than the series": {"window_len": 40},
    "overlapping windows": {"window_len": 6, "window_stride": 4},
    "overlapping windows, statistics": {
        "pooling": "statistics",
        "window_len": 6,
        "window_stride": 4,
    },
    "narrow": {"hidden_dim": 3, "embedding_dim": 5},
    "narrow, statistics": {"pooling": "statistics", "hidden_dim": 3, "embedding_dim": 5},
    "unscaled": {"scale": None},
    "unscaled, statistics": {"pooling": "statistics", "scale": None},
    "one embedding dimension": {"embedding_dim": 1},
    "bidirectional, one embedding dimension": {
        "pooling": "statistics",
        "embedding_dim": 1,
        "bidirectional": True,
    },
    "missing values": {"missing": "mask"},
    "missing values, statistics": {"pooling": "statistics", "missing": "mask"},
    "with a head": {"pooling": "statistics", "target_weight": 0.5, "dropout": 0.2},
    "with labels": {"target_weight": 0.5, "reconstruction_fraction": 0.5},
}


def export(estimator, folder, **options):
    return open_session(export_onnx(estimator, folder / "encoder.onnx", **options))


# Embeddings


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_gives_the_embeddings_of_transform(name, utterances, held_out, tmp_path):
    autoencoder = fit_quietly(small(**ENCODERS[name]), *utterances)
    session = export(autoencoder, tmp_path)
    assert_equal_embeddings(session, autoencoder, pad(held_out), held_out)
    # A single timestep, and series longer than any in training.
    rng = np.random.default_rng(0)
    for n_series, n_timesteps in [(1, 1), (3, 1), (2, 2), (2, 100)]:
        X = rng.normal(size=(n_series, n_timesteps, 12)).astype(np.float32)
        assert_equal_embeddings(session, autoencoder, X)


@pytest.mark.parametrize("name", ["default", "statistics", "bidirectional, mean"])
def test_an_encoder_of_float64_gives_the_embeddings_of_transform(
    name, utterances, held_out, tmp_path
):
    autoencoder = fit_quietly(small(**ENCODERS[name]), utterances[0])
    session = export(autoencoder, tmp_path, dtype="float64")
    assert_equal_embeddings(session, autoencoder, pad(held_out, np.float64), held_out)


def test_an_embedding_depends_neither_on_the_batch_nor_on_padding(utterances, held_out, tmp_path):
    autoencoder = fit_quietly(small(**ENCODERS["bidirectional, mean"]), utterances[0])
    session = export(autoencoder, tmp_path)
    together = results_of(session, pad(held_out))["embeddings"]
    for rows, extra in [(slice(0, 1), 0), (slice(3, 4), 50), (slice(0, 7), 1), (slice(20, 90), 5)]:
        some = results_of(session, pad(held_out[rows], extra=extra))["embeddings"]
        np.testing.assert_allclose(some, together[rows], atol=1e-6)


def test_missing_values_are_handled_as_in_python(utterances, held_out, tmp_path):
    rng = np.random.default_rng(0)

    def with_gaps(items):
        return [np.where(rng.random(item.shape) < 0.2, np.nan, item) for item in items]

    autoencoder = fit_quietly(small(missing="mask", patch_len=2), with_gaps(utterances[0]))
    X = pad(with_gaps(held_out), np.float64)
    X[4, 3] = np.nan
    X[5, 5:, 1:] = np.nan
    assert_equal_embeddings(export(autoencoder, tmp_path, dtype="float64"), autoencoder, X)


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_pipeline_fitted_on_a_table_takes_a_table(missing, utterances, tmp_path):
    X = np.stack([item[:7, 0] for item in utterances[0]])
    model = make_classifier(4, missing=missing, patch_len=2, max_iter=1, random_state=0)
    pipeline = fit_quietly(model, X, utterances[1])
    session = export(pipeline, tmp_path, dtype="float64")
    assert session.get_inputs()[0].shape == ["n_series", 7]
    if missing == "mask":
        X = X.copy()
        X[3, 5:] = X[5, 2] = np.nan
    found = results_of(session, X)
    np.testing.assert_array_equal(found["label"], pipeline.predict(X))
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(X), atol=1e-5)


def test_a_small_signal_on_a_large_offset_keeps_its_digits(utterances, held_out, tmp_path):
    X, X_test = ([item * 1e-2 + 1e9 for item in items] for items in (utterances[0], held_out))
    model = make_classifier(4, max_iter=1, random_state=0)
    pipeline = fit_quietly(model, X, utterances[1])
    session = export(pipeline, tmp_path, dtype="float64")
    assert_equal_results(session, pipeline, X_test, np.float64)
    assert len(set(pipeline.predict(X_test))) > 1


def test_float32_input_is_scaled_in_float64(utterances, held_out, tmp_path):
    # At 1e9, float32 has a spacing of 64: what remains of the signal must not be lost.
    X, X_test = (
        [(item * 1e3 + 1e9).astype(np.float32) for item in items]
        for items in (utterances[0], held_out)
    )
    autoencoder = fit_quietly(small(), X)
    assert_equal_embeddings(export(autoencoder, tmp_path), autoencoder, pad(X_test), X_test)


# Invalid input


def invalidate(X, violation):
    """Return a copy of the series in which number 3 is invalid."""
    X = X.copy()
    match violation:
        case "infinity":
            X[3, 4, 1] = -np.inf
        case "NaN":
            X[3, 4, 1] = np.nan
        case "nothing_but_NaN":
            X[3] = np.nan
        case "a_value_too_far_from_the_training_data":
            X[3, 4, 1] = 1e25
    return X


@pytest.mark.parametrize(
    "violation",
    ["infinity", "NaN", "nothing_but_NaN", "a_value_too_far_from_the_training_data"],
)
@pytest.mark.parametrize("level", LEVELS)
def test_the_graph_fails_with_a_name_where_python_raises(
    pipeline, exported, held_out, violation, level
):
    session = open_session(exported, level)
    X = pad([item[:7] for item in held_out[:6]])
    session.run(["label"], {"X": X})
    X = invalidate(X, violation)
    with pytest.raises(InputError):
        pipeline.predict(X)
    name = f"{violation}_in_the_series_whose_index_ends_the_requested_shape"
    for outputs in (["label"], ["probabilities"], None):
        with pytest.raises(Exception, match=rf"'{name}'(.|\n)*\{{2, ?3\}}"):
            session.run(outputs, {"X": X})


def test_with_a_mask_the_graph_fails_only_where_nothing_can_be_masked(utterances, tmp_path):
    autoencoder = fit_quietly(small(missing="mask"), utterances[0])
    session = export(autoencoder, tmp_path)
    X = pad([item[:7] for item in utterances[0][:6]])
    assert np.isfinite(results_of(session, invalidate(X, "NaN"))["embeddings"]).all()
    for violation in ("infinity", "nothing_but_NaN"):
        with pytest.raises(Exception, match=rf"'{violation}_in_the_series"):
            session.run(None, {"X": invalidate(X, violation)})


def test_an_invalid_first_and_only_series_is_noticed(session, held_out):
    X = pad(held_out[:1])
    X[0, 0, 0] = np.inf
    with pytest.raises(Exception, match="'infinity_in_the_series"):
        session.run(["label"], {"X": X})


def test_nan_at_the_end_of_a_table_s_row_is_not_padding(utterances, tmp_path):
    X = np.stack([item[:7, 0] for item in utterances[0]]).astype(np.float32)
    autoencoder = fit_quietly(small(), X)
    session = export(autoencoder, tmp_path)
    X[2, -1] = np.nan
    with pytest.raises(InputError):
        autoencoder.transform(X)
    with pytest.raises(Exception, match="'NaN_in_the_series"):
        session.run(None, {"X": X})


@pytest.mark.parametrize("shape", [(0, 5, 12), (3, 0, 12), (3, 5, 11)])
def test_empty_arrays_and_other_channels_are_refused(session, shape):
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        session.run(None, {"X": np.zeros(shape, np.float32)})
