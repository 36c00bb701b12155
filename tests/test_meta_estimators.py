"""Which of scikit-learn's searches, ensembles and other meta-estimators accept series.

What they make of an array of objects, one per series, has to equal what they make of
the same series as a 3-D array padded with NaN.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
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

# One epoch is enough to see whether the parts fit together.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

SIZES = {"autoencoder__embedding_dim": [2, 3]}
HEAD = LogisticRegression()


def autoencoder(**params):
    return LSTMAutoencoder(
        **{"embedding_dim": 3, "max_iter": 1, "random_state": 0, "missing": "mask", **params}
    )


def classifier(**params):
    return make_classifier().set_params(autoencoder=autoencoder(**params))


def regressor(**params):
    return make_pipeline(autoencoder(**params), StandardScaler(), Ridge())


def two(make):
    return [("steps", make(patch_len=1)), ("patches", make(patch_len=2))]


def load_utterances():
    """Return one channel of 24 series of unequal length by three speakers, and the speakers."""
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(8) + 30 * speaker for speaker in range(3)])
    return [series[:, :1] for series in X[rows]], y[rows]


UNEQUAL, SPEAKERS = load_utterances()
IS_FIRST = SPEAKERS == "1"
TWO_LABELS = np.column_stack([IS_FIRST, SPEAKERS == "2"])
TARGET = np.array([len(series) for series in UNEQUAL], dtype=float)
PARTLY_LABELLED = np.where(np.arange(24) % 4 == 0, -1, SPEAKERS.astype(int))
TABLE = np.array([series[:7, 0] for series in UNEQUAL])


def to_objects(series):
    objects = np.empty(len(series), dtype=object)
    objects[:] = series
    return objects


def pad(series):
    X = np.full((len(series), max(map(len, series)), 1), np.nan)
    for row, values in zip(X, series, strict=True):
        row[: len(values)] = values
    return X


# What accepts series: each function returns the output of one meta-estimator.


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


def cross_validated_scores(X):
    return cross_val_score(classifier(), X, SPEAKERS, cv=2)


def cross_validated_predictions(X):
    return cross_val_predict(classifier(), X, SPEAKERS, cv=2, method="predict_proba")


def a_learning_curve(X):
    _, train, test = learning_curve(
        classifier(), X, SPEAKERS, cv=2, train_sizes=[0.8, 1.0], shuffle=True, random_state=0
    )
    return np.hstack([train, test])


def a_validation_curve(X):
    name, sizes = next(iter(SIZES.items()))
    curves = validation_curve(classifier(), X, SPEAKERS, param_name=name, param_range=sizes, cv=2)
    return np.hstack(curves)


def a_permutation_test(X):
    score, permuted, _ = permutation_test_score(
        classifier(), X, SPEAKERS, cv=2, n_permutations=2, random_state=0
    )
    return np.append(permuted, score)


def a_train_test_split(X):
    X_train, X_test, y_train, _ = train_test_split(X, SPEAKERS, stratify=SPEAKERS, random_state=0)
    return classifier().fit(X_train, y_train).predict_proba(X_test)


def feature_union(X):
    features = make_union(autoencoder(patch_len=1), autoencoder(patch_len=2))
    return make_pipeline(features, HEAD).fit(X, SPEAKERS).predict_proba(X)


def voting_classifier(X):
    return VotingClassifier(two(classifier), voting="soft").fit(X, SPEAKERS).predict_proba(X)


def voting_regressor(X):
    return VotingRegressor(two(regressor)).fit(X, TARGET).predict(X)


def stacking_classifier(X):
    return StackingClassifier(two(classifier), cv=2).fit(X, SPEAKERS).predict_proba(X)


def stacking_regressor(X):
    return StackingRegressor(two(regressor), cv=2).fit(X, TARGET).predict(X)


def calibration(X):
    return CalibratedClassifierCV(classifier(), cv=2).fit(X, SPEAKERS).predict_proba(X)


def calibration_of_a_fitted_classifier(X):
    fitted = FrozenEstimator(classifier().fit(X, SPEAKERS))
    return CalibratedClassifierCV(fitted).fit(X, SPEAKERS).predict_proba(X)


def tuned_threshold(X):
    return TunedThresholdClassifierCV(classifier(), cv=2).fit(X, IS_FIRST).predict(X)


def one_versus_rest(X):
    return OneVsRestClassifier(classifier()).fit(X, SPEAKERS).predict_proba(X)


def multi_output_classifier(X):
    return np.hstack(MultiOutputClassifier(classifier()).fit(X, TWO_LABELS).predict_proba(X))


def multi_output_regressor(X):
    columns = np.column_stack([TARGET, -TARGET])
    return MultiOutputRegressor(regressor()).fit(X, columns).predict(X)


def transformed_target(X):
    model = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp)
    return model.fit(X, TARGET).predict(X)


def frozen_autoencoder(X):
    model = make_pipeline(FrozenEstimator(autoencoder().fit(X)), HEAD)
    return model.fit(X, SPEAKERS).predict_proba(X)


def clustering(X):
    return make_pipeline(autoencoder(), KMeans(3, n_init=1, random_state=0)).fit(X).transform(X)


ACCEPT_SERIES = [
    grid_search,
    randomized_search,
    halving_search_over_epochs,
    halving_search_over_series,
    cross_validated_scores,
    cross_validated_predictions,
    a_learning_curve,
    a_validation_curve,
    a_permutation_test,
    a_train_test_split,
    feature_union,
    voting_classifier,
    voting_regressor,
    stacking_classifier,
    stacking_regressor,
    calibration,
    calibration_of_a_fitted_classifier,
    tuned_threshold,
    one_versus_rest,
    multi_output_classifier,
    multi_output_regressor,
    transformed_target,
    frozen_autoencoder,
    clustering,
]


@pytest.mark.parametrize("meta", ACCEPT_SERIES)
def test_series_of_unequal_length_are_accepted(meta):
    expected = meta(pad(UNEQUAL))
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0
    np.testing.assert_array_equal(meta(to_objects(UNEQUAL)), expected)


@pytest.mark.parametrize(
    "meta",
    [
        halving_search_over_epochs,
        cross_validated_predictions,
        feature_union,
        stacking_classifier,
    ],
)
def test_a_plain_list_of_unequal_series_gives_the_same(meta):
    np.testing.assert_array_equal(meta(UNEQUAL), meta(to_objects(UNEQUAL)))


@pytest.mark.parametrize("meta", [grid_search, stacking_classifier, feature_union])
def test_series_of_equal_length_give_the_same_in_every_format(meta):
    expected = meta(TABLE)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(meta(TABLE[:, :, None]), expected)
    np.testing.assert_array_equal(meta(list(TABLE[:, :, None])), expected)
    np.testing.assert_array_equal(meta(to_objects(list(TABLE[:, :, None]))), expected)


# What needs a table, as it draws, adds or drops columns


def bagging(X):
    return BaggingClassifier(classifier(), 2).fit(X, SPEAKERS)


def self_training(X):
    return SelfTrainingClassifier(classifier()).fit(X, PARTLY_LABELLED)


def one_versus_one(X):
    return OneVsOneClassifier(classifier()).fit(X, SPEAKERS)


def classifier_chain(X):
    return ClassifierChain(classifier()).fit(X, TWO_LABELS)


def importance_of_timesteps(X):
    return permutation_importance(classifier().fit(X, SPEAKERS), X, SPEAKERS, n_repeats=1)


def sequential_selection(X):
    selector = SequentialFeatureSelector(classifier(), n_features_to_select=1, cv=2)
    return selector.fit(X[:, :2], SPEAKERS)


def stacking_with_passthrough(X):
    return StackingClassifier(two(classifier), cv=2, passthrough=True).fit(X, SPEAKERS)


def column_transformer(X):
    parts = [("start", autoencoder(), slice(0, 3)), ("end", autoencoder(), slice(3, 7))]
    return ColumnTransformer(parts).fit(X)


def error_correcting_code(X):
    return OutputCodeClassifier(classifier(), random_state=0).fit(X, SPEAKERS)


NEED_A_TABLE = {
    bagging: "draws columns as well as rows; put it after the autoencoder",
    self_training: "validates X as a table; put it after the autoencoder",
    one_versus_one: "validates X as a table; put it after the autoencoder",
    classifier_chain: "appends predictions as columns; put it after the autoencoder",
    importance_of_timesteps: "permutes columns; permute those of the embedding instead",
    sequential_selection: "selects columns; select from those of the embedding instead",
    stacking_with_passthrough: "appends its input as columns; leave passthrough off",
    column_transformer: "selects columns; use FunctionTransformer and FeatureUnion instead",
    error_correcting_code: "uses a table where a bit of the code is constant",
}
"""What accepts only tables, with the reason and the way out."""


@pytest.mark.parametrize("meta", NEED_A_TABLE)
def test_a_table_is_accepted_everywhere(meta):
    assert meta(TABLE) is not None


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param(meta, marks=pytest.mark.xfail(raises=ValueError, reason=reason))
        for meta, reason in NEED_A_TABLE.items()
    ],
)
def test_a_3d_array_is_accepted_everywhere(meta):
    meta(TABLE[:, :, None])


# The ways out


@pytest.mark.parametrize(
    ("head", "y"),
    [
        (BaggingClassifier(HEAD, 3, random_state=0), SPEAKERS),
        (SelfTrainingClassifier(HEAD), PARTLY_LABELLED),
        (OneVsOneClassifier(HEAD), SPEAKERS),
        (ClassifierChain(HEAD), TWO_LABELS),
        (RFE(HEAD), SPEAKERS),
        (make_pipeline(SelectFromModel(HEAD), HEAD), SPEAKERS),
        (AdaBoostClassifier(n_estimators=3, random_state=0), SPEAKERS),
        (VotingClassifier([("one", HEAD), ("other", clone(HEAD))]), SPEAKERS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_needs_a_table_works_after_the_autoencoder(head, y):
    X = to_objects(UNEQUAL)
    predictions = make_pipeline(autoencoder(), head).fit(X, y).predict(X)
    assert predictions.shape == y.shape
    assert len(np.unique(predictions)) > 1
    padded = make_pipeline(autoencoder(), head).fit(pad(UNEQUAL), y).predict(pad(UNEQUAL))
    np.testing.assert_array_equal(padded, predictions)


def test_the_importance_of_embedding_dimensions_can_be_measured():
    fitted = classifier().fit(to_objects(UNEQUAL), SPEAKERS)
    embeddings = fitted[:1].transform(to_objects(UNEQUAL))
    found = permutation_importance(fitted[1:], embeddings, SPEAKERS, n_repeats=2, random_state=0)
    assert found.importances.shape == (3, 2)
    assert found.importances.max() > 0


def test_a_column_transformer_embeds_ranges_of_columns_separately():
    parts = [("start", autoencoder(), slice(0, 3)), ("end", autoencoder(), slice(3, 7))]
    transformer = ColumnTransformer(parts)
    expected = [autoencoder().fit_transform(part) for part in (TABLE[:, :3], TABLE[:, 3:])]
    np.testing.assert_array_equal(transformer.fit_transform(TABLE), np.hstack(expected))
    assert transformer.get_feature_names_out()[[0, 3]].tolist() == [
        "start__lstmautoencoder0",
        "end__lstmautoencoder0",
    ]


def first_channel(X):
    return X[:, :, :1]


def other_channels(X):
    return X[:, :, 1:]


def test_a_union_embeds_channels_separately():
    X = np.stack([TABLE, TABLE[::-1], TABLE**2], axis=2)
    features = make_union(
        make_pipeline(FunctionTransformer(first_channel), autoencoder()),
        make_pipeline(FunctionTransformer(other_channels), autoencoder()),
    )
    expected = [autoencoder().fit_transform(part) for part in (X[:, :, :1], X[:, :, 1:])]
    np.testing.assert_array_equal(features.fit_transform(X), np.hstack(expected))


def test_a_frame_may_have_a_column_of_series_next_to_columns_of_numbers():
    frame = pd.DataFrame({"length": TARGET, "utterance": pd.Series(UNEQUAL, dtype=object)})
    features = ColumnTransformer(
        [("series", autoencoder(), "utterance"), ("numbers", StandardScaler(), ["length"])]
    )
    expected = [
        autoencoder().fit_transform(UNEQUAL),
        StandardScaler().fit_transform(TARGET[:, None]),
    ]
    np.testing.assert_array_equal(features.fit_transform(frame), np.hstack(expected))
    scores = cross_val_score(make_pipeline(features, HEAD), frame, SPEAKERS, cv=2)
    assert np.isfinite(scores).all()
