"""`make_classifier`, its searches, and fitted pipelines taken apart."""

import os

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.cluster import DBSCAN
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.pipeline import pipeline_parts
from tests import autoencoders

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

SIZES = {"autoencoder__embedding_dim": [2, 4]}


def small_classifier(*args, **params):
    return make_classifier(
        *args, **{"embedding_dim": 4, "max_iter": 2, "random_state": 0, **params}
    )


def utterances():
    """Return 24 utterances of three speakers, of unequal length, and their labels."""
    return autoencoders.utterances(n_speakers=3)


# make_classifier


def test_the_steps_are_autoencoder_scaler_and_classifier():
    pipeline = make_classifier()
    assert isinstance(pipeline, Pipeline)
    assert list(pipeline.named_steps) == ["autoencoder", "scaler", "classifier"]
    assert isinstance(pipeline.named_steps["autoencoder"], LSTMAutoencoder)
    assert isinstance(pipeline.named_steps["scaler"], StandardScaler)
    assert is_classifier(pipeline)
    assert pipeline.memory is None


def test_defaults_are_those_of_the_autoencoder():
    autoencoder = make_classifier().named_steps["autoencoder"]
    assert autoencoder.get_params() == LSTMAutoencoder().get_params()
    assert make_classifier(target_weight=0.3)["autoencoder"].target_weight == 0.3


def test_the_default_classifier_is_a_logistic_regression():
    classifier = make_classifier()["classifier"]
    assert type(classifier) is LogisticRegression
    assert classifier.get_params() == LogisticRegression(C=10, tol=1e-3, max_iter=1000).get_params()


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


# The pipeline


PIPELINE_FAILURES = {
    "check_estimators_overwrite_params": "Pipeline fits the steps that it was given",
    "check_dont_overwrite_parameters": "Pipeline fits the steps that it was given",
}


@parametrize_with_checks(
    [small_classifier(max_iter=1)], expected_failed_checks=lambda pipeline: PIPELINE_FAILURES
)
def test_every_check_of_scikit_learn(estimator, check):
    check(estimator)


def test_checks_that_fail_also_fail_without_the_autoencoder():
    pipeline = make_pipeline(StandardScaler(), make_classifier()["classifier"])
    failed = set()
    for estimator, check in estimator_checks_generator(pipeline):
        name = getattr(check, "func", check).__name__
        if name in PIPELINE_FAILURES:
            with pytest.raises(AssertionError):
                check(estimator)
            failed.add(name)
    assert failed == set(PIPELINE_FAILURES)


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
    scaled = StandardScaler().fit_transform(autoencoder.fit_transform(X, y))
    classifier = type(pipeline[-1])(**pipeline[-1].get_params()).fit(scaled, y)
    np.testing.assert_array_equal(pipeline.predict_proba(X), classifier.predict_proba(scaled))


@pytest.mark.parametrize(
    "classifier",
    [SVC(), KNeighborsClassifier(3), RandomForestClassifier(10, random_state=0)],
    ids=lambda classifier: type(classifier).__name__,
)
def test_any_classifier_can_be_used(classifier):
    X, y = utterances()
    pipeline = small_classifier(classifier=classifier).fit(X, y)
    assert set(pipeline.predict(X)) <= set(y)
    assert pipeline.score(X, y) > 1 / 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: [None, *y[1:]], "1 of 24 series has no label, the first one being series 0"),
        (lambda y: [1, *y[1:]], "y mixes labels of the types number and str"),
        (lambda y: dict(enumerate(y)), "y is a dict"),
        (lambda y: y.astype(np.dtypes.StringDType()), r"StringDType.*y\.astype\(str\)"),
        (lambda y: ["1"] * 24, r"there is only one class, '1'"),
        (lambda y: None, "requires y to be passed"),
        (lambda y: np.linspace(0, 1, 24), "Unknown label type: continuous"),
        (lambda y: y[1:], "inconsistent numbers of samples"),
    ],
)
def test_fault_61_labels_are_checked_before_anything_is_trained(labels, message, monkeypatch):
    X, y = utterances()
    monkeypatch.setattr("seqfeat.autoencoder.run_fit", lambda *_: pytest.fail("trained"))
    for weight in (0.0, 0.5):
        with pytest.raises(ValueError, match=message):
            small_classifier(target_weight=weight).fit(X, labels(y))


def test_labels_reach_the_autoencoder():
    X, y = utterances()
    pipeline = small_classifier(target_weight=0.5).fit(X, y)
    assert pipeline.named_steps["autoencoder"].classes_.tolist() == ["1", "2", "3"]
    pipeline = small_classifier().fit(X, y)
    assert not hasattr(pipeline.named_steps["autoencoder"], "classes_")


def test_feature_names_pass_through_the_pipeline():
    pipeline = small_classifier().fit(*utterances())
    names = pipeline[:-1].get_feature_names_out()
    assert names.tolist() == [f"lstmautoencoder{index}" for index in range(4)]


def test_a_union_puts_embeddings_next_to_each_other():
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


# Searches; what else accepts series is in test_meta_estimators.py


@pytest.mark.parametrize(
    "model", [small_classifier(), GridSearchCV(small_classifier(), SIZES, cv=2)]
)
def test_lists_of_series_and_of_labels_give_the_same_as_object_arrays(model):
    X, y = utterances()
    assert len({len(series) for series in X}) > 1
    expected = model.fit(X, y).predict_proba(X)
    actual = model.fit(list(X), y.tolist()).predict_proba(list(X))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_fault_30_searches_score_the_same_with_two_workers():
    X, y = utterances()
    autoencoder = LSTMAutoencoder(max_iter=2, random_state=0)
    for estimator, grid, labels in (
        (small_classifier(), SIZES, y),
        # Without labels the score is R squared, which shows the last bit of the weights.
        (autoencoder, {"embedding_dim": [2, 4]}, None),
    ):
        one, two = (
            GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs).fit(X, labels) for n_jobs in (1, 2)
        )
        for split in ("split0_test_score", "split1_test_score", "mean_test_score"):
            scores = one.cv_results_[split]
            assert scores.tolist() == two.cv_results_[split].tolist()
            assert np.isfinite(scores).all()
        assert one.best_params_ == two.best_params_
        method = "transform" if labels is None else "predict_proba"
        np.testing.assert_array_equal(*(getattr(search, method)(X) for search in (one, two)))
    assert scores[0] != scores[1]


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


def counted(memory):
    autoencoder = CountedAutoencoder(max_iter=2, random_state=0)
    return small_classifier(memory=memory).set_params(autoencoder=autoencoder)


@pytest.mark.filterwarnings("ignore:Persisting input arguments")
def test_with_memory_searches_train_each_autoencoder_once(tmp_path, fits):
    X, y = utterances()
    grid = {**SIZES, "classifier__C": [0.1, 10]}
    plain = GridSearchCV(counted(None), grid, cv=2).fit(X, y)
    assert len(fits()) == 2 * 2 * 2 + 1
    pipeline = counted(str(tmp_path / "memory"))
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    # Each size on each of two folds, and the best one on all series.
    best = search.best_params_["autoencoder__embedding_dim"]
    assert sorted(fits()) == sorted([2, 2, 4, 4, best])
    scores = search.cv_results_["mean_test_score"]
    assert scores.tolist() == plain.cv_results_["mean_test_score"].tolist()
    GridSearchCV(pipeline, {**SIZES, "classifier__C": [1]}, cv=2, refit=False).fit(X, y)
    assert fits() == []


@pytest.mark.filterwarnings("ignore:Persisting input arguments")
def test_memory_tells_autoencoders_and_data_apart(tmp_path, fits):
    X, y = utterances()
    pipeline = counted(str(tmp_path / "memory")).fit(X, y)
    pipeline.set_params(autoencoder__random_state=1).fit(X, y)
    pipeline.fit(X[::-1], y[::-1])
    assert len(fits()) == 3
    pipeline.fit(X, y)
    assert fits() == []


# Taking a pipeline apart


@pytest.fixture(scope="module")
def fitted():
    model = make_pipeline(FunctionTransformer(lambda X: X / 2), small_classifier(max_iter=0))
    return model.fit(autoencoders.waves(), ["a", "b"] * 6)


def test_the_parts_of_a_nested_pipeline(fitted):
    parts = pipeline_parts(fitted)
    classifier = fitted[-1]
    assert parts.before == [fitted[0]]
    assert parts.autoencoder is classifier["autoencoder"]
    assert parts.after == [classifier["scaler"]]
    assert parts.classifier is classifier["classifier"]


def test_the_parts_transform_series_and_embeddings(fitted):
    X, parts = autoencoders.waves(), pipeline_parts(fitted)
    embeddings = parts.autoencoder.transform(parts.series(X))
    predicted = parts.classifier.predict(parts.features(embeddings))
    np.testing.assert_array_equal(predicted, fitted.predict(X))


def test_the_parts_of_an_autoencoder_alone_are_itself():
    autoencoder = LSTMAutoencoder()
    parts = pipeline_parts(autoencoder)
    assert parts.autoencoder is autoencoder
    assert (parts.before, parts.after, parts.classifier) == ([], [], None)


def test_the_parts_of_a_search_are_those_of_its_best_estimator():
    X, y = utterances()
    search = GridSearchCV(small_classifier(max_iter=0), SIZES, cv=2).fit(X, y)
    assert pipeline_parts(search).autoencoder is search.best_estimator_["autoencoder"]


@pytest.mark.parametrize("nothing", [None, "passthrough"])
def test_steps_that_do_nothing_are_left_out(nothing):
    pipeline = Pipeline([("a", nothing), ("b", LSTMAutoencoder()), ("c", nothing)])
    parts = pipeline_parts(pipeline)
    assert (parts.before, parts.after, parts.classifier) == ([], [], None)


def test_a_last_step_that_transforms_and_predicts_is_the_classifier():
    pipeline = make_pipeline(LSTMAutoencoder(), StandardScaler(), LinearDiscriminantAnalysis())
    assert pipeline_parts(pipeline).classifier is pipeline[-1]
    assert pipeline_parts(pipeline[:-1]).classifier is None


def test_a_pipeline_needs_exactly_one_autoencoder():
    with pytest.raises(InputError, match="SVC has 0 steps that are an LSTMAutoencoder"):
        pipeline_parts(SVC())
    with pytest.raises(InputError, match="Pipeline has 2 steps"):
        pipeline_parts(make_pipeline(LSTMAutoencoder(), LSTMAutoencoder()))


def test_a_last_step_that_predicts_neither_classes_nor_numbers_is_an_error():
    message = r"the last step is DBSCAN, which predicts neither .* model\[:-1\]"
    with pytest.raises(InputError, match=message):
        pipeline_parts(make_pipeline(LSTMAutoencoder(), DBSCAN()))
