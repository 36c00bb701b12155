"""What the default estimator promises of any series, and what its own parameters do."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import cross_val_score

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from tests.autoencoders import assert_same_weights, ragged_waves, small, utterances, waves


def kinds(n_samples=40, n_timesteps=60, seed=0):
    """Return series of two classes that differ in a short burst at a random place."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_timesteps, 1)).cumsum(axis=1) / 5
    y = np.arange(n_samples) % 2
    for row in np.flatnonzero(y):
        start = rng.integers(5, n_timesteps - 10)
        X[row, start : start + 6, 0] += np.tile([1.5, -1.5], 3)
    return X, y


def test_every_dimension_of_the_embedding_has_about_the_same_scale():
    Z = small(embedding_dim=16).fit_transform(waves(100))
    std = Z.std(axis=0)
    assert Z.shape == (100, 16)
    assert std.max() / std.min() < 5


def test_reconstructions_of_unseen_series_do_not_get_worse_by_training():
    X, unseen = waves(300, 40, seed=0), waves(300, 40, seed=1)
    untrained = LSTMAutoencoder(8, max_iter=0, random_state=0).fit(X)
    trained = LSTMAutoencoder(8, random_state=0).fit(X)
    np.testing.assert_array_equal(trained.transform(unseen), untrained.transform(unseen))
    assert trained.score(unseen) > untrained.score(unseen)


def test_on_noise_the_initial_weights_are_kept():
    X = np.random.default_rng(0).normal(size=(60, 30, 1))
    model = LSTMAutoencoder(4, random_state=0, learning_rate_init=0.05).fit(X)
    untrained = LSTMAutoencoder(4, random_state=0, max_iter=0).fit(X)
    assert len(model.validation_loss_curve_) == model.n_iter_ > 0
    if model.best_iter_ == 0:
        assert_same_weights(model, untrained)
    unseen = np.random.default_rng(1).normal(size=(500, 30, 1))
    assert model.score(unseen) > untrained.score(unseen) - 0.01


def test_with_few_series_none_is_held_out_and_the_decoder_is_not_trained():
    model = LSTMAutoencoder(4, random_state=0).fit(waves(19))
    assert (model.n_iter_, model.best_iter_, model.validation_loss_curve_) == (0, 0, None)
    assert LSTMAutoencoder(4, random_state=0).fit(waves(20)).n_iter_ > 0


def test_the_fraction_moves_the_embedding_from_classes_to_shapes():
    X, y = kinds(200)
    unseen, _ = kinds(200, seed=1)
    fits = [
        LSTMAutoencoder(16, reconstruction_fraction=f, max_iter=0, random_state=0).fit(X)
        for f in (0.0, 0.25, 1.0)
    ]
    reconstruction = [model.score(unseen) for model in fits]
    classes = [cross_val_score(RidgeClassifierCV(), m.transform(X), y).mean() for m in fits]
    assert reconstruction == sorted(reconstruction)
    assert reconstruction[2] > 0.9
    assert classes[0] > classes[2] + 0.1
    assert classes[1] > classes[2] + 0.1


def test_labels_help_where_classes_are_a_small_part_of_the_variance():
    X, y = kinds(200)
    scores = [
        cross_val_score(
            make_classifier(4, target_weight=weight, max_iter=0, random_state=0), X, y
        ).mean()
        for weight in (0.0, 0.5)
    ]
    assert scores[1] > scores[0] + 0.1


def test_all_statistics_are_features():
    X, y = utterances(3, 10)
    model = LSTMAutoencoder(None, hidden_dim=8, random_state=0).fit(X)
    Z = model.transform(X)
    # Six statistics of six layers, after what reconstructs.
    assert Z.shape == (30, 64 + 6 * 6 * 8) == (30, model.embedding_dim_)
    assert len(model.get_feature_names_out()) == Z.shape[1]
    reconstructed = model.inverse_transform(Z)
    for found, expected in zip(reconstructed, model.reconstruct(X), strict=True):
        np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-4)
    pipeline = make_classifier(None, hidden_dim=8, max_iter=0, random_state=0)
    assert isinstance(pipeline["classifier"], RidgeClassifierCV)
    assert pipeline.fit(X, y).score(X, y) == 1.0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bidirectional": True}, "bidirectional=True has no effect"),
        ({"masking_ratio": 0.1}, "masking_ratio=0.1 has no effect"),
        ({"input_noise": 0.1}, "Set input_noise=0.0, or another pooling"),
        ({"embedding_dim": None, "pooling": "max"}, "needs pooling='reservoir'"),
        ({"embedding_dim": None, "target_weight": 0.5}, "no effect with embedding_dim=None"),
    ],
)
def test_what_has_no_effect_is_refused(parameters, words):
    with pytest.raises(InputError, match=words):
        small(**parameters).fit(waves(), np.arange(12) % 2)


# Series of any kind, with no parameter set


def assert_works(X, y, **parameters):
    pipeline = make_classifier(random_state=0, max_iter=2, **parameters).fit(X, y)
    Z = pipeline[:1].transform(X)
    assert np.isfinite(Z).all()
    assert np.isfinite(pipeline["autoencoder"].score(X))
    assert pipeline.score(X, y) > 0.8
    return pipeline


def test_amplitudes_may_differ_by_orders_of_magnitude():
    rng = np.random.default_rng(0)
    steps = np.arange(80)
    y = np.arange(80) % 2
    period = np.where(y, 7, 11)[:, None]
    amplitude = 10.0 ** rng.uniform(-4, 4, size=(80, 1))
    X = amplitude * np.sin(2 * np.pi * steps / period + rng.uniform(0, 6, (80, 1)))
    assert_works(X, y)
    scores = cross_val_score(make_classifier(random_state=0, max_iter=0), X, y)
    assert scores.mean() > 0.9


def test_two_thousand_steps_and_fifty_classes():
    rng = np.random.default_rng(0)
    steps, y = np.arange(2000), np.repeat(np.arange(50), 2)
    X = np.sin(2 * np.pi * steps / (40 + 10 * y[:, None])) + 0.1 * rng.normal(size=(100, 2000))
    pipeline = assert_works(X, y)
    assert pipeline["autoencoder"].window_stride_ == 4


def test_twenty_series():
    assert_works(*kinds(20))


def test_lengths_from_two_to_1300():
    rng = np.random.default_rng(0)
    lengths = np.geomspace(2, 1300, 24).astype(int)
    X = [np.sin(np.arange(n) / 5 + rng.uniform(0, 6))[:, None] for n in lengths]
    assert_works(X, (lengths > 50).astype(int))


def test_gaps():
    X, y = kinds(40)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    assert_works(X, y, missing="mask")


def test_series_longer_than_those_of_the_training_are_embedded_and_reconstructed():
    model = small(embedding_dim=8).fit(waves(40, 20))
    longer = waves(5, 50)
    assert np.isfinite(model.transform(longer)).all()
    reconstructed = model.reconstruct(longer)
    assert reconstructed.shape == longer.shape
    same = model.reconstruct(longer[:, :20])
    assert np.isfinite(reconstructed).all()
    assert ((same - longer[:, :20]) ** 2).mean() < longer.var()


def test_a_stream_keeps_the_features_of_its_first_part():
    parts = [ragged_waves(40, 12, seed=seed) for seed in range(3)]
    model = small(embedding_dim=6).partial_fit(parts[0])
    projection = model.weights_["encoder.projection.weight"]
    losses = [model.partial_fit(part).loss_curve_[-1] for part in parts[1:]]
    np.testing.assert_array_equal(model.weights_["encoder.projection.weight"], projection)
    assert np.isfinite(losses).all()


def test_a_warm_start_trains_the_decoder_further():
    X = waves(60, 20)
    model = LSTMAutoencoder(
        6, max_iter=10, early_stopping=False, warm_start=True, random_state=3
    ).fit(X)
    features, score = model.transform(X), model.score(X)
    model.fit(X)
    np.testing.assert_array_equal(model.transform(X), features)
    assert model.score(X) > score
