import os

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

FIT_LOG = "SEQFEAT_TEST_FIT_LOG"


class CountedAutoencoder(LSTMAutoencoder):
    """Adds a line to a file with every fit, so that fits are counted across copies."""

    def fit(self, X, y=None):
        with open(os.environ[FIT_LOG], "a") as log:
            log.write(f"{self.embedding_dim}\n")
        return super().fit(X, y)


@pytest.fixture
def fits(tmp_path, monkeypatch):
    """The embedding size of every fit since the last call."""
    path = tmp_path / "fits.txt"
    path.touch()
    monkeypatch.setenv(FIT_LOG, str(path))

    def read():
        sizes = [int(line) for line in path.read_text().split()]
        path.write_text("")
        return sizes

    return read


def small_classifier(*args, **params):
    return make_classifier(
        *args, **{"embedding_dim": 4, "max_iter": 2, "random_state": 0, **params}
    )


def utterances(n_speakers=3, each=8):
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(each) + 30 * speaker for speaker in range(n_speakers)])
    return X[rows], y[rows]


# make_classifier


def test_the_steps_are_autoencoder_scaler_and_classifier():
    pipeline = make_classifier()
    assert type(pipeline) is Pipeline
    assert list(pipeline.named_steps) == ["autoencoder", "scaler", "classifier"]
    assert isinstance(pipeline.named_steps["autoencoder"], LSTMAutoencoder)
    assert isinstance(pipeline.named_steps["scaler"], StandardScaler)
    assert is_classifier(pipeline)
    assert pipeline.memory is None


def test_defaults_are_those_of_the_autoencoder():
    autoencoder = make_classifier().named_steps["autoencoder"]
    assert autoencoder.get_params() == LSTMAutoencoder().get_params()


def test_parameters_are_passed_on(tmp_path):
    classifier = SVC()
    pipeline = make_classifier(7, classifier, memory=str(tmp_path), hidden_dim=5, missing="mask")
    autoencoder = pipeline.named_steps["autoencoder"]
    assert (autoencoder.embedding_dim, autoencoder.hidden_dim) == (7, 5)
    assert autoencoder.missing == "mask"
    assert pipeline.named_steps["classifier"] is classifier
    assert pipeline.memory == str(tmp_path)


def test_every_call_makes_a_classifier_of_its_own():
    first, second = make_classifier(), make_classifier()
    assert first.named_steps["classifier"] is not second.named_steps["classifier"]


def test_an_unknown_parameter_is_an_error():
    with pytest.raises(TypeError, match="embeding_dim"):
        make_classifier(embeding_dim=3)


# Pipeline


PIPELINE_FAILURES = {
    "check_estimators_overwrite_params": "Pipeline fits the steps that it was given",
    "check_dont_overwrite_parameters": "Pipeline fits the steps that it was given",
    "check_classifiers_one_label": "scikit-learn's discriminant analysis has an IndexError",
}
"""What a Pipeline of scikit-learn's own scaler and classifier does not pass either."""

SKLEARN_PIPELINE = make_pipeline(StandardScaler(), make_classifier()["classifier"])


@parametrize_with_checks(
    [small_classifier(max_iter=1), SKLEARN_PIPELINE],
    expected_failed_checks=lambda pipeline: PIPELINE_FAILURES,
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_a_pipeline_tells_speakers_apart():
    X, y = load_japanese_vowels(return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    pipeline = small_classifier(embedding_dim=8, max_iter=5).fit(X[::2], y[::2])
    assert pipeline.classes_.tolist() == list("123456789")
    predicted = pipeline.predict(X_test[::3])
    assert pipeline.score(X_test[::3], y_test[::3]) == accuracy_score(y_test[::3], predicted)
    # Nine speakers: chance is 1 in 9, and the largest class is a quarter of the set.
    assert pipeline.score(X_test[::3], y_test[::3]) > 0.6


def test_probabilities_agree_with_predictions():
    X, y = utterances()
    pipeline = small_classifier().fit(X[::2], y[::2])
    probabilities = pipeline.predict_proba(X)
    assert probabilities.shape == (24, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    by_probability = pipeline.classes_[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(by_probability, pipeline.predict(X))


def test_a_pipeline_is_its_steps_one_after_the_other():
    X, y = utterances()
    pipeline = small_classifier().fit(X, y)
    autoencoder = LSTMAutoencoder(4, max_iter=2, random_state=0)
    scaled = StandardScaler().fit_transform(autoencoder.fit_transform(X))
    classifier = type(pipeline[-1])(**pipeline[-1].get_params()).fit(scaled, y)
    np.testing.assert_array_equal(pipeline.predict_proba(X), classifier.predict_proba(scaled))


@pytest.mark.parametrize(
    "classifier",
    [SVC(), KNeighborsClassifier(3), RandomForestClassifier(10, random_state=0)],
    ids=lambda classifier: type(classifier).__name__,
)
def test_any_classifier_will_do(classifier):
    X, y = utterances()
    pipeline = small_classifier(classifier=classifier).fit(X, y)
    assert set(pipeline.predict(X)) <= set(y)
    assert pipeline.score(X, y) > 1 / 3


def test_labels_reach_the_autoencoder():
    X, y = utterances()
    pipeline = small_classifier(target_weight=0.5).fit(X, y)
    assert pipeline.named_steps["autoencoder"].classes_.tolist() == ["1", "2", "3"]


def test_names_of_features_pass_through_the_pipeline():
    pipeline = small_classifier().fit(*utterances())
    names = pipeline[:-1].get_feature_names_out()
    assert names.tolist() == [f"lstmautoencoder{index}" for index in range(4)]


# Searches


SIZES = {"autoencoder__embedding_dim": [2, 4]}


def test_a_search_scores_the_same_with_one_worker_and_with_two():
    X, y = utterances()
    searches = [
        GridSearchCV(small_classifier(), SIZES, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)
    ]
    one, two = (search.cv_results_ for search in searches)
    for split in ("split0_test_score", "split1_test_score", "mean_test_score"):
        assert one[split].tolist() == two[split].tolist()
    assert searches[0].best_params_ == searches[1].best_params_
    np.testing.assert_array_equal(*(search.predict_proba(X) for search in searches))


def test_a_search_without_labels_compares_reconstructions_the_same_with_two_workers():
    X, _ = utterances()
    autoencoder = LSTMAutoencoder(max_iter=2, random_state=0)
    one, two = (
        GridSearchCV(autoencoder, {"embedding_dim": [2, 4]}, cv=2, n_jobs=n_jobs).fit(X)
        for n_jobs in (1, 2)
    )
    # R squared shows the last bit of the weights, which accuracy does not.
    scores = one.cv_results_["mean_test_score"]
    assert scores.tolist() == two.cv_results_["mean_test_score"].tolist()
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]


def counted(memory):
    autoencoder = CountedAutoencoder(max_iter=2, random_state=0)
    return small_classifier(memory=memory).set_params(autoencoder=autoencoder)


GRID = {**SIZES, "classifier__shrinkage": [0.01, 0.1, 0.9]}


def test_without_memory_every_candidate_trains_its_autoencoder(fits):
    GridSearchCV(counted(None), GRID, cv=2).fit(*utterances())
    assert len(fits()) == 2 * 3 * 2 + 1


@pytest.mark.filterwarnings("ignore:Persisting input arguments")
def test_with_memory_each_autoencoder_is_trained_once(tmp_path, fits):
    X, y = utterances()
    plain = GridSearchCV(counted(None), GRID, cv=2).fit(X, y)
    fits()
    search = GridSearchCV(counted(str(tmp_path / "memory")), GRID, cv=2).fit(X, y)
    # Each size on each of two folds, and the best one on all series.
    best = search.best_params_["autoencoder__embedding_dim"]
    assert sorted(fits()) == sorted([2, 2, 4, 4, best])
    scores = search.cv_results_["mean_test_score"]
    assert scores.tolist() == plain.cv_results_["mean_test_score"].tolist()


@pytest.mark.filterwarnings("ignore:Persisting input arguments")
def test_memory_serves_a_second_search(tmp_path, fits):
    X, y = utterances()
    pipeline = counted(str(tmp_path / "memory"))
    first = GridSearchCV(pipeline, GRID, cv=2).fit(X, y)
    fits()
    grid = {**SIZES, "classifier__shrinkage": [0.1, 0.9]}
    second = GridSearchCV(pipeline, grid, cv=2, refit=False).fit(X, y)
    assert fits() == []
    assert set(first.best_params_) == set(second.best_params_)


@pytest.mark.filterwarnings("ignore:Persisting input arguments")
def test_memory_tells_autoencoders_and_data_apart(tmp_path, fits):
    X, y = utterances()
    pipeline = counted(str(tmp_path / "memory")).fit(X, y)
    pipeline.set_params(autoencoder__random_state=1).fit(X, y)
    pipeline.fit(X[::-1], y[::-1])
    assert len(fits()) == 3
    pipeline.fit(X, y)
    assert fits() == []


def test_a_halving_search_gives_more_epochs_to_fewer_candidates():
    X, y = utterances()
    search = HalvingGridSearchCV(
        small_classifier(),
        {"autoencoder__embedding_dim": [2, 3, 4, 5]},
        resource="autoencoder__max_iter",
        min_resources=1,
        max_resources=4,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(X, y)
    assert search.n_resources_ == [1, 2, 4]
    assert search.n_candidates_ == [4, 2, 1]
    autoencoder = search.best_estimator_.named_steps["autoencoder"]
    assert autoencoder.max_iter == search.best_params_["autoencoder__max_iter"] == 4
    assert autoencoder.embedding_dim_ == search.best_params_["autoencoder__embedding_dim"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# Other compositions, each from a list and from an object array of unequal series


def test_cross_val_predict_and_score():
    X, y = utterances()
    predicted = cross_val_predict(small_classifier(), X, y, cv=4)
    scores = cross_val_score(small_classifier(), X, y, cv=4)
    folds = [accuracy_score(y[rows], predicted[rows]) for rows in folds_of(y, 4)]
    np.testing.assert_allclose(scores, folds)


def folds_of(y, n_folds):
    """Rows of each stratified fold: within each class the folds follow one another."""
    rows = [np.array_split(np.flatnonzero(y == label), n_folds) for label in np.unique(y)]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def test_a_union_puts_embeddings_side_by_side():
    X, _ = utterances()
    last = LSTMAutoencoder(4, max_iter=2, pooling="last", random_state=0)
    mean = LSTMAutoencoder(3, max_iter=2, pooling="mean", random_state=0)
    union = FeatureUnion([("last", last), ("mean", mean)]).fit(X)
    Z = union.transform(X)
    np.testing.assert_array_equal(Z, np.hstack([last.fit_transform(X), mean.fit_transform(X)]))
    assert union.get_feature_names_out()[[0, 4]].tolist() == [
        "last__lstmautoencoder0",
        "mean__lstmautoencoder0",
    ]


def in_a_pipeline(X, y):
    return small_classifier().fit(X, y).predict_proba(X)


def in_a_grid_search(X, y):
    return GridSearchCV(small_classifier(), SIZES, cv=2).fit(X, y).predict_proba(X)


def in_two_workers(X, y):
    return GridSearchCV(small_classifier(), SIZES, cv=2, n_jobs=2).fit(X, y).predict_proba(X)


def in_a_halving_search(X, y):
    search = HalvingGridSearchCV(
        small_classifier(),
        SIZES,
        resource="autoencoder__max_iter",
        min_resources=1,
        max_resources=2,
        factor=2,
        cv=2,
        random_state=0,
    )
    return search.fit(X, y).predict_proba(X)


def in_cross_validation(X, y):
    return cross_val_predict(small_classifier(), X, y, cv=2, method="predict_proba")


def in_a_union(X, y):
    parts = [(f"size{size}", LSTMAutoencoder(size, max_iter=2, random_state=0)) for size in (2, 3)]
    union = FeatureUnion(parts)
    return make_pipeline(union, LogisticRegression()).fit(X, y).predict_proba(X)


def in_a_stack(X, y):
    members = [(f"size{size}", small_classifier(embedding_dim=size)) for size in (2, 3)]
    return StackingClassifier(members, cv=2).fit(X, y).predict_proba(X)


@pytest.mark.parametrize(
    "probabilities",
    [
        in_a_pipeline,
        in_a_grid_search,
        in_two_workers,
        in_a_halving_search,
        in_cross_validation,
        in_a_union,
        in_a_stack,
    ],
)
def test_lists_and_object_arrays_of_unequal_series_give_the_same(probabilities):
    X, y = utterances()
    assert len({len(series) for series in X}) > 1
    from_objects = probabilities(X, y)
    assert from_objects.shape == (24, 3)
    np.testing.assert_allclose(from_objects.sum(axis=1), 1.0)
    np.testing.assert_array_equal(probabilities(list(X), y.tolist()), from_objects)
