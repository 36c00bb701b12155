"""What scikit-learn puts around estimators: which of it takes series, and which does not.

A table of one channel is what scikit-learn is made for, so it is the oracle: the
same series as a 3-D array and as an array of objects have to give the same results.
For series of unequal length the oracle is the 3-D array with NaN behind their ends.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels

# One epoch says whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

SIZES = {"autoencoder__embedding_dim": [2, 3]}
HEAD = LogisticRegression()


def embedding(**params):
    return LSTMAutoencoder(
        **{"embedding_dim": 3, "max_iter": 1, "random_state": 0, "missing": "mask", **params}
    )


def classifier(**params):
    return make_classifier().set_params(autoencoder=embedding(**params))


def regressor(**params):
    return make_pipeline(embedding(**params), StandardScaler(), Ridge())


def two(kind):
    return [("steps", kind(patch_len=1)), ("patches", kind(patch_len=2))]


def utterances():
    """Return one channel of 24 series by three speakers, of unequal length, and the speakers."""
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(8) + 30 * speaker for speaker in range(3)])
    return [series[:, :1] for series in X[rows]], y[rows]


UNEQUAL, SPEAKERS = utterances()
IS_FIRST = SPEAKERS == "1"
TARGET = np.array([len(series) for series in UNEQUAL], dtype=float)
PARTLY_LABELLED = np.where(np.arange(24) % 4 == 0, -1, SPEAKERS.astype(int))
TABLE = np.array([series[:7, 0] for series in UNEQUAL])


def as_objects(series):
    objects = np.empty(len(series), dtype=object)
    objects[:] = series
    return objects


def padded(series):
    X = np.full((len(series), max(map(len, series)), 1), np.nan)
    for row, values in zip(X, series, strict=True):
        row[: len(values)] = values
    return X


# Each takes series and returns what was made of them.


def grid_search(X):
    return GridSearchCV(classifier(), SIZES, cv=2).fit(X, SPEAKERS).predict_proba(X)


def randomized_search(X):
    search = RandomizedSearchCV(classifier(), SIZES, n_iter=2, cv=2, random_state=0)
    return search.fit(X, SPEAKERS).predict_proba(X)


def halving_search_over_epochs(X):
    epochs = {"resource": "autoencoder__max_iter", "min_resources": 1, "max_resources": 2}
    search = HalvingGridSearchCV(classifier(), SIZES, factor=2, cv=2, random_state=0, **epochs)
    return search.fit(X, SPEAKERS).predict_proba(X)


def halving_search_over_series(X):
    search = HalvingGridSearchCV(
        classifier(), SIZES, min_resources=18, factor=1.3, cv=2, random_state=0
    )
    return search.fit(X, SPEAKERS).predict_proba(X)


def scores_of_folds(X):
    return cross_val_score(classifier(), X, SPEAKERS, cv=2)


def predictions_of_folds(X):
    return cross_val_predict(classifier(), X, SPEAKERS, cv=2, method="predict_proba")


def curve_over_series(X):
    _, train, test = learning_curve(
        classifier(), X, SPEAKERS, cv=2, train_sizes=[0.8, 1.0], shuffle=True, random_state=0
    )
    return np.hstack([train, test])


def curve_over_sizes(X):
    name, sizes = next(iter(SIZES.items()))
    curves = validation_curve(classifier(), X, SPEAKERS, param_name=name, param_range=sizes, cv=2)
    return np.hstack(curves)


def permuted_labels(X):
    score, permuted, _ = permutation_test_score(
        classifier(), X, SPEAKERS, cv=2, n_permutations=2, random_state=0
    )
    return np.append(permuted, score)


def split_in_two(X):
    X_train, X_test, y_train, _ = train_test_split(X, SPEAKERS, stratify=SPEAKERS, random_state=0)
    return classifier().fit(X_train, y_train).predict_proba(X_test)


def union(X):
    features = make_union(embedding(patch_len=1), embedding(patch_len=2))
    return make_pipeline(features, HEAD).fit(X, SPEAKERS).predict_proba(X)


def hard_vote(X):
    return VotingClassifier(two(classifier)).fit(X, SPEAKERS).predict(X) == "1"


def soft_vote(X):
    return VotingClassifier(two(classifier), voting="soft").fit(X, SPEAKERS).predict_proba(X)


def averaged_regressors(X):
    return VotingRegressor(two(regressor)).fit(X, TARGET).predict(X)


def stacked_classifiers(X):
    return StackingClassifier(two(classifier), cv=2).fit(X, SPEAKERS).predict_proba(X)


def stacked_regressors(X):
    return StackingRegressor(two(regressor), cv=2).fit(X, TARGET).predict(X)


def calibrated(X):
    return CalibratedClassifierCV(classifier(), cv=2).fit(X, SPEAKERS).predict_proba(X)


def calibrated_afterwards(X):
    fitted = FrozenEstimator(classifier().fit(X, SPEAKERS))
    return CalibratedClassifierCV(fitted).fit(X, SPEAKERS).predict_proba(X)


def tuned_threshold(X):
    return TunedThresholdClassifierCV(classifier(), cv=2).fit(X, IS_FIRST).predict(X)


def one_against_the_rest(X):
    return OneVsRestClassifier(classifier()).fit(X, SPEAKERS).predict_proba(X)


def two_label_columns(X):
    columns = np.column_stack([IS_FIRST, SPEAKERS == "2"])
    return np.hstack(MultiOutputClassifier(classifier()).fit(X, columns).predict_proba(X))


def two_target_columns(X):
    columns = np.column_stack([TARGET, -TARGET])
    return MultiOutputRegressor(regressor()).fit(X, columns).predict(X)


def transformed_target(X):
    model = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp)
    return model.fit(X, TARGET).predict(X)


def frozen_embedding(X):
    return (
        make_pipeline(FrozenEstimator(embedding().fit(X)), HEAD).fit(X, SPEAKERS).predict_proba(X)
    )


def clusters(X):
    return make_pipeline(embedding(), KMeans(3, n_init=1, random_state=0)).fit(X).transform(X)


def bagged_heads(X):
    bag = BaggingClassifier(HEAD, 3, random_state=0)
    return make_pipeline(embedding(), bag).fit(X, SPEAKERS).predict_proba(X)


def self_trained_head(X):
    head = SelfTrainingClassifier(HEAD)
    return make_pipeline(embedding(), head).fit(X, PARTLY_LABELLED).predict_proba(X)


def boosted_heads(X):
    boost = AdaBoostClassifier(n_estimators=3, random_state=0)
    return make_pipeline(embedding(), boost).fit(X, SPEAKERS).predict_proba(X)


def head_of_pairs(X):
    return (
        make_pipeline(embedding(), OneVsOneClassifier(HEAD)).fit(X, SPEAKERS).decision_function(X)
    )


def chain_of_heads(X):
    columns = np.column_stack([IS_FIRST, SPEAKERS == "2"])
    return make_pipeline(embedding(), ClassifierChain(HEAD)).fit(X, columns).predict_proba(X)


def selected_features(X):
    pipeline = make_pipeline(embedding(), SelectFromModel(HEAD), HEAD)
    return pipeline.fit(X, SPEAKERS).predict_proba(X)


def eliminated_features(X):
    return make_pipeline(embedding(), RFE(HEAD)).fit(X, SPEAKERS).predict_proba(X)


def importance_of_features(X):
    fitted = classifier().fit(X, SPEAKERS)
    embeddings = fitted[:1].transform(X)
    return permutation_importance(
        fitted[1:], embeddings, SPEAKERS, n_repeats=2, random_state=0
    ).importances


WORKS = [
    grid_search,
    randomized_search,
    halving_search_over_epochs,
    halving_search_over_series,
    scores_of_folds,
    predictions_of_folds,
    curve_over_series,
    curve_over_sizes,
    permuted_labels,
    split_in_two,
    union,
    hard_vote,
    soft_vote,
    averaged_regressors,
    stacked_classifiers,
    stacked_regressors,
    calibrated,
    calibrated_afterwards,
    tuned_threshold,
    one_against_the_rest,
    two_label_columns,
    two_target_columns,
    transformed_target,
    frozen_embedding,
    clusters,
    bagged_heads,
    self_trained_head,
    boosted_heads,
    head_of_pairs,
    chain_of_heads,
    selected_features,
    eliminated_features,
    importance_of_features,
]


@pytest.mark.parametrize("meta", WORKS)
def test_series_of_one_length(meta):
    expected = meta(TABLE)
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0
    np.testing.assert_array_equal(meta(TABLE[:, :, None]), expected)
    np.testing.assert_array_equal(meta(as_objects(list(TABLE[:, :, None]))), expected)


@pytest.mark.parametrize("meta", WORKS)
def test_series_of_unequal_length(meta):
    expected = meta(padded(UNEQUAL))
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(meta(as_objects(UNEQUAL)), expected)


# What scikit-learn refuses to do with anything but a table


def bagging(X):
    return BaggingClassifier(classifier(), 2).fit(X, SPEAKERS)


def self_training(X):
    return SelfTrainingClassifier(classifier()).fit(X, PARTLY_LABELLED)


def one_against_one(X):
    return OneVsOneClassifier(classifier()).fit(X, SPEAKERS)


def chain(X):
    return ClassifierChain(classifier()).fit(X, np.column_stack([IS_FIRST, SPEAKERS == "2"]))


def importance_of_timesteps(X):
    return permutation_importance(classifier().fit(X, SPEAKERS), X, SPEAKERS, n_repeats=1)


def sequential_selection(X):
    selector = SequentialFeatureSelector(classifier(), n_features_to_select=1, cv=2)
    return selector.fit(X[:, :2], SPEAKERS)


def stacking_with_passthrough(X):
    return StackingClassifier(two(classifier), cv=2, passthrough=True).fit(X, SPEAKERS)


def columns_apart(X):
    parts = [("start", embedding(), slice(0, 3)), ("end", embedding(), slice(3, 7))]
    return ColumnTransformer(parts).fit(X)


def error_correcting_code(X):
    return OutputCodeClassifier(classifier(), random_state=0).fit(X, SPEAKERS)


REFUSED = {
    bagging: "draws columns as well as rows, so it needs a table; put it behind the autoencoder",
    self_training: "needs a table; put it behind the autoencoder",
    one_against_one: "needs a table; put it behind the autoencoder",
    chain: "appends predictions as columns; put it behind the autoencoder",
    importance_of_timesteps: "permutes columns; permute the embedding's instead",
    sequential_selection: "selects columns; select among the embedding's instead",
    stacking_with_passthrough: "appends its input as columns; leave passthrough off",
    columns_apart: "takes columns; take channels with FunctionTransformer and FeatureUnion",
    error_correcting_code: "needs a table for a code bit that is constant",
}
"""What works with a table only, with scikit-learn's reason and the way out."""


@pytest.mark.parametrize("meta", REFUSED)
def test_a_table_works_everywhere(meta):
    assert meta(TABLE) is not None


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param(meta, marks=pytest.mark.xfail(raises=ValueError, reason=reason))
        for meta, reason in REFUSED.items()
    ],
)
def test_a_3d_array_works_everywhere(meta):
    meta(TABLE[:, :, None])


# Ways out


def test_columns_of_a_table_apart_are_autoencoders_apart():
    parts = [("start", embedding(), slice(0, 3)), ("end", embedding(), slice(3, 7))]
    transformer = ColumnTransformer(parts)
    expected = [embedding().fit_transform(part) for part in (TABLE[:, :3], TABLE[:, 3:])]
    np.testing.assert_array_equal(transformer.fit_transform(TABLE), np.hstack(expected))
    assert transformer.get_feature_names_out()[[0, 3]].tolist() == [
        "start__lstmautoencoder0",
        "end__lstmautoencoder0",
    ]


def first_channel(X):
    return X[:, :, :1]


def other_channels(X):
    return X[:, :, 1:]


def test_channels_apart_are_autoencoders_apart():
    X = np.stack([TABLE, TABLE[::-1], TABLE**2], axis=2)
    features = make_union(
        make_pipeline(FunctionTransformer(first_channel), embedding()),
        make_pipeline(FunctionTransformer(other_channels), embedding()),
    )
    expected = [embedding().fit_transform(part) for part in (X[:, :, :1], X[:, :, 1:])]
    np.testing.assert_array_equal(features.fit_transform(X), np.hstack(expected))


def test_a_frame_with_a_column_of_series_and_columns_of_numbers():
    frame = pd.DataFrame({"length": TARGET, "utterance": pd.Series(UNEQUAL, dtype=object)})
    features = ColumnTransformer(
        [("series", embedding(), "utterance"), ("numbers", StandardScaler(), ["length"])]
    )
    expected = [
        embedding().fit_transform(UNEQUAL),
        StandardScaler().fit_transform(TARGET[:, None]),
    ]
    np.testing.assert_array_equal(features.fit_transform(frame), np.hstack(expected))
    pipeline = make_pipeline(features, HEAD)
    scores = cross_val_score(pipeline, frame, SPEAKERS, cv=2)
    assert np.isfinite(scores).all()
