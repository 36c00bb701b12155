"""The graph in onnxruntime against the pipeline in scikit-learn, on real utterances."""

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from seqfeat import ExportError, LSTMAutoencoder, export_onnx, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.exceptions import InputError

# An epoch or two says whether the graph is the pipeline, not whether it converges.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning"),
]
LEVELS = [
    GraphOptimizationLevel.ORT_DISABLE_ALL,
    GraphOptimizationLevel.ORT_ENABLE_BASIC,
    GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    GraphOptimizationLevel.ORT_ENABLE_ALL,
]
ENCODERS = {
    "default": {},
    "last": {"pooling": "last"},
    "mean": {"pooling": "mean", "patch_len": 2},
    "both ways, max": {"bidirectional": True, "patch_len": 3},
    "both ways, last": {"bidirectional": True, "pooling": "last"},
    "both ways, mean": {"bidirectional": True, "pooling": "mean", "patch_len": 4},
    "long patches": {"patch_len": 40},
    "narrow": {"hidden_dim": 3, "embedding_dim": 5},
    "unscaled": {"scale": None},
    "one embedding dimension": {"embedding_dim": 1, "bidirectional": True},
    "missing values": {"missing": "mask"},
    "with a head": {"target_weight": 0.5, "dropout": 0.2},
}
CLASSIFIERS = {
    "LDA": LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "logistic regression": LogisticRegression(max_iter=500),
    "SVC": SVC(),
    "SVC, polynomial": SVC(C=100, kernel="poly", coef0=1, decision_function_shape="ovo"),
    "SVC, linear": SVC(C=100, kernel="linear", break_ties=True),
    "SVC, sigmoid": SVC(kernel="sigmoid"),
    "SVC with probabilities": SVC(probability=True, random_state=0),
    "NuSVC": NuSVC(nu=0.2),
    "linear SVC": LinearSVC(),
    "ridge": RidgeClassifier(),
    "forest": RandomForestClassifier(20, random_state=0),
    "shallow forest": RandomForestClassifier(20, max_depth=3, random_state=0),
    "extra trees": ExtraTreesClassifier(20, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "neighbours": KNeighborsClassifier(),
    "perceptrons": MLPClassifier((10,), max_iter=30, random_state=0),
    "gradient boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "histogram gradient boosting": HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "naive Bayes": GaussianNB(),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=2),
}


@pytest.fixture(scope="module")
def utterances():
    return load_japanese_vowels(split="train", return_X_y=True)


@pytest.fixture(scope="module")
def test_utterances():
    X, _ = load_japanese_vowels(split="test", return_X_y=True)
    assert len(X) == 370
    return list(X)


def fit_quietly(estimator, X, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 8, "max_iter": 1, "random_state": 0, **params})


@pytest.fixture(scope="module")
def autoencoder(utterances):
    return fit_quietly(small(max_iter=3), utterances[0])


@pytest.fixture(scope="module")
def fitted(utterances):
    X, y = utterances
    return fit_quietly(make_classifier(8, max_iter=2, random_state=0), X, y)


@pytest.fixture(scope="module")
def session(fitted, tmp_path_factory):
    return open_session(export_onnx(fitted, tmp_path_factory.mktemp("onnx") / "default.onnx"))


def behind(autoencoder, classifier, X, y):
    """Return a pipeline of a fitted autoencoder, a scaler and a classifier fitted behind it."""
    scaler = StandardScaler()
    classifier = clone(classifier)
    fit_quietly(classifier, scaler.fit_transform(autoencoder.transform(X)), y)
    return make_pipeline(autoencoder, scaler, classifier)


def padded(items, dtype=np.float32, extra=0):
    items = [np.asarray(item) for item in items]
    shape = (len(items), max(map(len, items)) + extra, *items[0].shape[1:])
    X = np.full(shape, np.nan, dtype=dtype)
    for row, item in zip(X, items, strict=True):
        row[: len(item)] = item
    return X


def open_session(path, level=GraphOptimizationLevel.ORT_ENABLE_ALL):
    options = SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])


def results_of(session, X):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X}), strict=True))


def assert_equal_results(session, pipeline, items, dtype=np.float32):
    """The graph on padded series against the pipeline on a list of them."""
    found = results_of(session, padded(items, dtype))
    methods = {"label": "predict", "probabilities": "predict_proba", "prediction": "predict"}
    for name, result in found.items():
        expected = getattr(pipeline, methods.get(name, name))(items)
        assert result.shape == expected.shape
        if name == "label":
            np.testing.assert_array_equal(result, expected)
        else:
            assert result.dtype == dtype
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    return found


# What the graph gives


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_s_labels_and_probabilities_are_scikit_learn_s(
    name, utterances, test_utterances, tmp_path
):
    X, y = utterances
    params = {"embedding_dim": 8, "max_iter": 1, "random_state": 0, **ENCODERS[name]}
    pipeline = fit_quietly(make_classifier(**params), X, y)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = assert_equal_results(session, pipeline, test_utterances)
    assert list(found) == ["label", "probabilities"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_s_results_are_scikit_learn_s(
    name, autoencoder, utterances, test_utterances, tmp_path
):
    pipeline = behind(autoencoder, CLASSIFIERS[name], *utterances)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = assert_equal_results(session, pipeline, test_utterances)
    second = "probabilities" if hasattr(pipeline, "predict_proba") else "decision_function"
    assert list(found) == ["label", second]


@pytest.mark.parametrize(
    ("name", "labels"), [(name, int) for name in CLASSIFIERS] + [("LDA", str), ("forest", bool)]
)
def test_two_classes_give_scikit_learn_s_results_too(
    name, labels, autoencoder, utterances, test_utterances, tmp_path
):
    X, y = utterances
    is_early = np.isin(y, np.unique(y)[:4])
    pipeline = behind(autoencoder, CLASSIFIERS[name], X, is_early.astype(labels))
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = assert_equal_results(session, pipeline, test_utterances)
    assert found["label"].dtype == (object if labels is str else np.int64)


def test_a_tie_of_a_forest_s_votes_falls_to_the_same_class(
    autoencoder, utterances, test_utterances, tmp_path
):
    X, y = utterances
    forest = RandomForestClassifier(10, random_state=0)
    pipeline = behind(autoencoder, forest, X, y > np.median(y.astype(int)).astype(str))
    ties = pipeline.predict_proba(test_utterances)[:, 0] == 0.5
    assert ties.sum() > 5
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    assert_equal_results(session, pipeline, test_utterances)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("opset", [15, 22])
def test_opsets_and_optimisation_change_nothing(fitted, test_utterances, tmp_path, opset, level):
    path = export_onnx(fitted, tmp_path / "model.onnx", opset=opset)
    versions = {entry.domain: entry.version for entry in onnx.load(path).opset_import}
    assert versions[""] <= opset
    assert_equal_results(open_session(path, level), fitted, test_utterances)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["default", "both ways, mean"])
def test_the_encoder_alone_gives_what_transform_gives(
    name, dtype, utterances, test_utterances, tmp_path
):
    autoencoder = fit_quietly(small(**ENCODERS[name]), utterances[0])
    session = open_session(export_onnx(autoencoder, tmp_path / "encoder.onnx", dtype=dtype))
    found = results_of(session, padded(test_utterances, dtype))
    assert list(found) == ["embeddings"]
    assert found["embeddings"].dtype == dtype
    expected = autoencoder.transform(test_utterances)
    np.testing.assert_allclose(found["embeddings"], expected, rtol=1e-5, atol=1e-5)


def test_one_series_gives_one_vector_whatever_its_batch_and_padding(
    utterances, test_utterances, tmp_path
):
    autoencoder = fit_quietly(small(bidirectional=True, patch_len=3), utterances[0])
    session = open_session(export_onnx(autoencoder, tmp_path / "encoder.onnx"))
    together = results_of(session, padded(test_utterances))["embeddings"]
    for rows, extra in [(slice(0, 1), 0), (slice(3, 4), 50), (slice(0, 7), 1), (slice(20, 90), 5)]:
        some = results_of(session, padded(test_utterances[rows], extra=extra))["embeddings"]
        np.testing.assert_allclose(some, together[rows], atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_single_timestep_and_series_longer_than_any_are_fine(name, utterances, tmp_path):
    autoencoder = fit_quietly(small(**ENCODERS[name]), *utterances)
    session = open_session(export_onnx(autoencoder, tmp_path / "encoder.onnx"))
    rng = np.random.default_rng(0)
    for n_series, n_timesteps in [(1, 1), (3, 1), (2, 2), (2, 100)]:
        X = rng.normal(size=(n_series, n_timesteps, 12)).astype(np.float32)
        np.testing.assert_allclose(
            results_of(session, X)["embeddings"], autoencoder.transform(X), rtol=1e-5, atol=1e-5
        )


def test_missing_values_are_read_as_by_python(utterances, test_utterances, tmp_path):
    rng = np.random.default_rng(0)

    def with_gaps(items):
        return [np.where(rng.random(item.shape) < 0.2, np.nan, item) for item in items]

    autoencoder = fit_quietly(small(missing="mask", patch_len=2), with_gaps(utterances[0]))
    X = padded(with_gaps(test_utterances), np.float64)
    X[4, 3] = np.nan
    X[5, 5:, 1:] = np.nan
    session = open_session(export_onnx(autoencoder, tmp_path / "e.onnx", dtype="float64"))
    found = results_of(session, X)["embeddings"]
    np.testing.assert_allclose(found, autoencoder.transform(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_model_of_a_table_takes_a_table(missing, utterances, tmp_path):
    X = np.stack([item[:7, 0] for item in utterances[0]])
    y = utterances[1]
    pipeline = fit_quietly(
        make_classifier(4, missing=missing, patch_len=2, max_iter=1, random_state=0), X, y
    )
    session = open_session(export_onnx(pipeline, tmp_path / "table.onnx", dtype="float64"))
    assert session.get_inputs()[0].shape == ["n_series", 7]
    if missing == "mask":
        X = X.copy()
        X[3, 5:] = X[5, 2] = np.nan
    found = results_of(session, X)
    np.testing.assert_array_equal(found["label"], pipeline.predict(X))
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(X), atol=1e-5)


def test_a_small_signal_on_a_large_offset_keeps_its_digits(utterances, test_utterances, tmp_path):
    X, y = utterances
    X, X_test = ([item * 1e-2 + 1e9 for item in items] for items in (X, test_utterances))
    pipeline = fit_quietly(make_classifier(8, max_iter=1, random_state=0), X, y)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx", dtype="float64"))
    assert_equal_results(session, pipeline, X_test, np.float64)
    assert len(set(pipeline.predict(X_test))) > 1


def test_float32_input_is_scaled_in_float64(utterances, test_utterances, tmp_path):
    # float32 holds steps of 64 here: what is left of the signal has to stay.
    X, X_test = (
        [(item * 1e3 + 1e9).astype(np.float32) for item in items]
        for items in (utterances[0], test_utterances)
    )
    autoencoder = fit_quietly(small(), X)
    session = open_session(export_onnx(autoencoder, tmp_path / "encoder.onnx"))
    found = results_of(session, padded(X_test))["embeddings"]
    np.testing.assert_allclose(found, autoencoder.transform(X_test), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "regressor",
    [
        Ridge(),
        SVR(C=100),
        RandomForestRegressor(10, random_state=0),
        HistGradientBoostingRegressor(max_iter=5),
    ],
    ids=lambda regressor: type(regressor).__name__,
)
def test_a_regressor_s_predictions_are_scikit_learn_s(
    regressor, autoencoder, utterances, test_utterances, tmp_path
):
    X, _ = utterances
    pipeline = behind(autoencoder, regressor, X, [len(item) for item in X])
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = assert_equal_results(session, pipeline, test_utterances)
    assert list(found) == ["prediction"]


def test_a_transformer_at_the_end_gives_features(
    autoencoder, utterances, test_utterances, tmp_path
):
    pipeline = behind(autoencoder, PCA(2), *utterances)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = results_of(session, padded(test_utterances))
    assert list(found) == ["features"]
    np.testing.assert_allclose(found["features"], pipeline.transform(test_utterances), atol=1e-5)


def test_a_clustering_gives_labels_and_an_outlier_detector_a_decision_too(
    autoencoder, utterances, test_utterances, tmp_path
):
    for last, names in [
        (KMeans(3, n_init=1, random_state=0), ["label"]),
        (IsolationForest(n_estimators=10, random_state=0), ["label", "decision_function"]),
    ]:
        pipeline = behind(autoencoder, last, *utterances)
        session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
        assert list(assert_equal_results(session, pipeline, test_utterances)) == names


def test_searches_pipelines_within_pipelines_and_empty_steps_are_read_through(
    utterances, test_utterances, tmp_path
):
    features = Pipeline([("autoencoder", small()), ("nothing", "passthrough"), ("none", None)])
    classifier = GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1]}, cv=2)
    pipeline = make_pipeline(features, StandardScaler(), PCA(5), classifier)
    search = GridSearchCV(pipeline, {"pca__n_components": [4, 5]}, cv=2)
    fit_quietly(search, *utterances)
    session = open_session(export_onnx(search, tmp_path / "model.onnx"))
    assert_equal_results(session, search, test_utterances)


def test_pandas_output_and_a_device_that_is_not_here_do_not_matter(
    fitted, utterances, test_utterances, tmp_path
):
    pipeline = clone(fitted).set_output(transform="pandas")
    fit_quietly(pipeline, *utterances)
    labels = pipeline.predict(test_utterances)
    pipeline.set_params(autoencoder__device="cuda:7")
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    np.testing.assert_array_equal(results_of(session, padded(test_utterances))["label"], labels)
    assert pipeline[0].device == "cuda:7"
    assert pipeline[0]._sklearn_output_config == {"transform": "pandas"}


def test_the_file_says_what_it_is(fitted, session):
    meta = session.get_modelmeta()
    assert meta.producer_name == "seqfeat"
    assert "(n_series, n_timesteps, 12)" in meta.description
    papers = meta.custom_metadata_map
    assert papers["classes"] == str(fitted.classes_.tolist()).replace("'", '"')
    assert papers["seqfeat_version"] == sys.modules["seqfeat"].__version__
    assert papers["missing"] == "error"
    assert session.get_inputs()[0].shape == ["n_series", "n_timesteps", 12]
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {"label": ["n_series"], "probabilities": ["n_series", 9]}


# What the graph refuses, as Python does


def bad(X, kind):
    """Return series of which number 3 is bad."""
    X = X.copy()
    match kind:
        case "infinity":
            X[3, 4, 1] = -np.inf
        case "NaN":
            X[3, 4, 1] = np.nan
        case "nothing_but_NaN":
            X[3] = np.nan
        case "a_value_too_far_from_the_training_data":
            X[3, 4, 1] = 1e25
    return X


KINDS = ["infinity", "NaN", "nothing_but_NaN", "a_value_too_far_from_the_training_data"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_python_refuses_the_graph_refuses_by_name(
    fitted, test_utterances, tmp_path, kind, level
):
    session = open_session(export_onnx(fitted, tmp_path / "model.onnx"), level)
    X = padded([item[:7] for item in test_utterances[:6]])
    session.run(["label"], {"X": X})
    with pytest.raises(InputError):
        fitted.predict(bad(X, kind))
    pattern = rf"'{kind}_in_the_series_whose_index_ends_the_requested_shape'(.|\n)*\{{2, ?3\}}"
    for outputs in (["label"], ["probabilities"], None):
        with pytest.raises(Exception, match=pattern):
            session.run(outputs, {"X": bad(X, kind)})


@pytest.mark.parametrize("kind", ["infinity", "nothing_but_NaN"])
def test_with_masks_only_what_cannot_be_masked_is_refused(utterances, tmp_path, kind):
    autoencoder = fit_quietly(small(missing="mask"), utterances[0])
    session = open_session(export_onnx(autoencoder, tmp_path / "encoder.onnx"))
    X = padded([item[:7] for item in utterances[0][:6]])
    assert np.isfinite(results_of(session, bad(X, "NaN"))["embeddings"]).all()
    with pytest.raises(Exception, match=rf"'{kind}_in_the_series"):
        session.run(None, {"X": bad(X, kind)})


def test_the_first_series_and_a_lone_series_are_refused_too(session, test_utterances):
    X = padded(test_utterances[:1])
    X[0, 0, 0] = np.inf
    with pytest.raises(Exception, match="'infinity_in_the_series"):
        session.run(["label"], {"X": X})


def test_nan_at_the_end_of_a_table_s_row_is_no_shorter_series(utterances, tmp_path):
    X = np.stack([item[:7, 0] for item in utterances[0]]).astype(np.float32)
    autoencoder = fit_quietly(small(), X)
    session = open_session(export_onnx(autoencoder, tmp_path / "table.onnx"))
    X[2, -1] = np.nan
    with pytest.raises(InputError):
        autoencoder.transform(X)
    with pytest.raises(Exception, match="'NaN_in_the_series"):
        session.run(None, {"X": X})


@pytest.mark.parametrize("shape", [(0, 5, 12), (3, 0, 12), (3, 5, 11)])
def test_empty_arrays_and_other_channels_are_refused(session, shape):
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        session.run(None, {"X": np.zeros(shape, np.float32)})


# What cannot be exported


class Guess(ClassifierMixin, BaseEstimator):
    """A classifier that skl2onnx has never heard of: the sign of the first feature."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(np.asarray(X)[:, 0] > 0).astype(int)]


class OtherAutoencoder(LSTMAutoencoder):
    """What a subclass does differently, no converter can know."""


def refusal(estimator, path, error=ExportError, **params):
    """Return the words of the refusal, having seen that nothing was written."""
    path.write_bytes(b"what was there before")
    with pytest.raises(error) as caught:
        export_onnx(estimator, path, **params)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b"what was there before"
    return str(caught.value)


def test_what_is_not_fitted_is_refused(autoencoder, utterances, tmp_path):
    path = tmp_path / "model.onnx"
    refusal(LSTMAutoencoder(), path, NotFittedError)
    refusal(make_classifier(), path, NotFittedError)
    half = make_pipeline(autoencoder, StandardScaler(), LogisticRegression())
    assert "StandardScaler" in refusal(half, path, NotFittedError)
    refusal(GridSearchCV(make_classifier(), {}), path, NotFittedError)


def test_a_step_without_a_converter_is_refused_by_name(autoencoder, utterances, tmp_path):
    X, y = utterances
    pipeline = behind(autoencoder, Guess(), X, y == "1")
    message = refusal(pipeline, tmp_path / "model.onnx")
    assert "step 'guess'" in message
    assert "no converter for Guess" in message
    assert "update_registered_converter" in message


def test_a_step_within_a_step_without_a_converter_is_refused_by_name(
    autoencoder, utterances, tmp_path
):
    X, y = utterances
    pipeline = behind(autoencoder, BaggingClassifier(Guess(), 2), X, y == "1")
    message = refusal(pipeline, tmp_path / "model.onnx")
    assert "'baggingclassifier'" in message
    assert "Guess" in message


def test_an_autoencoder_of_another_class_or_in_another_place_is_refused(
    autoencoder, utterances, tmp_path
):
    path = tmp_path / "model.onnx"
    other = OtherAutoencoder(2, max_iter=1, random_state=0)
    assert "OtherAutoencoder" in refusal(fit_quietly(other, utterances[0]), path)
    assert "StandardScaler comes first" in refusal(make_pipeline(StandardScaler()), path)
    assert "has no steps" in refusal(Pipeline([("nothing", "passthrough")]), path)
    assert "second LSTMAutoencoder" in refusal(make_pipeline(autoencoder, autoencoder), path)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"dtype": "float16"}, "dtype='float16'; pass 'float32' or 'float64'"),
        ({"opset": 14}, "opset=14; pass an integer from 15 to 22"),
        ({"opset": 23}, "opset=23"),
        ({"opset": 17.0}, "opset=17.0"),
        ({"opset": True}, "opset=True"),
    ],
)
def test_parameters_out_of_range_are_refused(fitted, tmp_path, params, words):
    assert words in refusal(fitted, tmp_path / "model.onnx", **params)


def register(classifier, above):
    """Give skl2onnx a converter that takes the second class above a threshold."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import Int64TensorType

    from seqfeat.saving.onnx.graph import GraphWriter

    def set_shape(operator):
        operator.outputs[0].type = Int64TensorType([None])

    def convert(scope, operator, container):
        g = GraphWriter(scope, container)
        first = g.node("Gather", operator.inputs[0].full_name, g.constant(0, np.int64), axis=1)
        is_above = g.node("Greater", first, g.constant(above, np.float64))
        g.cast(is_above, np.int64, output=operator.outputs[0].full_name)
        g.node("Identity", operator.inputs[0].full_name, output=operator.outputs[1].full_name)

    update_registered_converter(classifier, classifier.__name__, set_shape, convert, overwrite=True)


def test_a_registered_converter_is_used_and_a_wrong_one_is_found_out(
    autoencoder, utterances, test_utterances, tmp_path
):
    class Registered(Guess):
        pass

    X, y = utterances
    pipeline = behind(autoencoder, Registered(), X, (y == "1").astype(int))
    register(Registered, above=0.0)
    session = open_session(export_onnx(pipeline, tmp_path / "right.onnx"))
    found = assert_equal_results(session, pipeline, test_utterances)
    assert list(found) == ["label"]
    (tmp_path / "right.onnx").unlink()
    register(Registered, above=0.5)
    message = refusal(pipeline, tmp_path / "wrong.onnx")
    assert "of 128 series drawn at random differently" in message
    assert "'registered'" in message


def test_an_encoder_other_than_the_estimator_s_is_found_out(autoencoder, tmp_path, monkeypatch):
    # The gates in torch's order, the mistake that is easiest to make.
    monkeypatch.setattr("seqfeat.onnx.encoder_graph._onnx_gates", lambda weight: weight)
    message = refusal(autoencoder, tmp_path / "encoder.onnx")
    assert "its embeddings differ from the pipeline's by up to" in message


def test_a_missing_extra_is_named_with_its_install_command(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    message = refusal(fitted, tmp_path / "model.onnx", ImportError)
    assert "skl2onnx" in message
    assert "pip install 'seqfeat[onnx]'" in message


def test_a_folder_that_is_not_there_is_made_as_by_save(fitted, tmp_path):
    path = export_onnx(fitted, tmp_path / "new" / "folder" / "model.onnx")
    assert path.stat().st_size > 0


def test_where_nothing_is_written_no_folder_is_made(autoencoder, tmp_path, monkeypatch):
    monkeypatch.setattr("seqfeat.onnx.encoder_graph._onnx_gates", lambda weight: weight)
    with pytest.raises(ExportError, match="differ from the pipeline's"):
        export_onnx(autoencoder, tmp_path / "new" / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_the_estimator_and_the_working_folder_alone(fitted, tmp_path):
    before = {name: id(value) for name, value in vars(fitted[0]).items()}
    path = export_onnx(fitted, str(tmp_path / "model.onnx"))
    assert {name: id(value) for name, value in vars(fitted[0]).items()} == before
    assert [path] == list(tmp_path.iterdir())


def test_the_runtime_needs_neither_seqfeat_nor_scikit_learn_nor_torch(
    fitted, session, test_utterances, tmp_path
):
    path = export_onnx(fitted, tmp_path / "model.onnx")
    np.save(tmp_path / "X.npy", padded(test_utterances))
    program = f"""
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession({str(path)!r})
label, = session.run(["label"], {{"X": numpy.load({str(tmp_path / "X.npy")!r})}})
print(*label)
assert not {{"seqfeat", "sklearn", "torch"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == fitted.predict(test_utterances).astype(str).tolist()
