"""The graph's labels, scores and predictions are scikit-learn's."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, RidgeCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from seqfeat import export_onnx
from tests.saving.onnx.sessions import append, assert_equal_results, open_session, pad, results_of

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning"),
]
CLASSIFIERS = {
    "LDA": LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "logistic regression": LogisticRegression(max_iter=500),
    "SVC": SVC(),
    "SVC with probabilities": SVC(probability=True, random_state=0),
    "linear SVC": LinearSVC(),
    "ridge": RidgeClassifier(),
    "forest": RandomForestClassifier(20, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "neighbors": KNeighborsClassifier(),
    "MLP": MLPClassifier((10,), max_iter=30, random_state=0),
    "gradient boosting": GradientBoostingClassifier(n_estimators=10, max_depth=2, random_state=0),
    "histogram gradient boosting": HistGradientBoostingClassifier(
        max_iter=5, min_samples_leaf=3, random_state=0
    ),
    "naive Bayes": GaussianNB(),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=2),
}
# Those that differ from one of the above for more than two classes only.
MULTICLASS = {
    "SVC, polynomial": SVC(C=100, kernel="poly", coef0=1, decision_function_shape="ovo"),
    "SVC, linear": SVC(C=100, kernel="linear", break_ties=True),
    "SVC, sigmoid": SVC(kernel="sigmoid"),
    "NuSVC": NuSVC(nu=0.2),
    "shallow forest": RandomForestClassifier(20, max_depth=3, random_state=0),
    "extra trees": ExtraTreesClassifier(20, random_state=0),
}


def export(pipeline, folder):
    return open_session(export_onnx(pipeline, folder / "model.onnx"))


@pytest.mark.parametrize("name", [*CLASSIFIERS, *MULTICLASS])
def test_every_classifier_s_results_are_scikit_learn_s(
    name, autoencoder, utterances, held_out, tmp_path
):
    classifier = {**CLASSIFIERS, **MULTICLASS}[name]
    pipeline = append(autoencoder, classifier, *utterances)
    found = assert_equal_results(export(pipeline, tmp_path), pipeline, held_out)
    second = "probabilities" if hasattr(pipeline, "predict_proba") else "decision_function"
    assert list(found) == ["label", second]


@pytest.mark.parametrize(
    ("name", "labels"), [(name, int) for name in CLASSIFIERS] + [("LDA", str), ("forest", bool)]
)
def test_the_results_for_two_classes_are_scikit_learn_s(
    name, labels, autoencoder, utterances, held_out, tmp_path
):
    X, y = utterances
    is_early = np.isin(y, np.unique(y)[:4])
    pipeline = append(autoencoder, CLASSIFIERS[name], X, is_early.astype(labels))
    found = assert_equal_results(export(pipeline, tmp_path), pipeline, held_out)
    assert found["label"].dtype == (object if labels is str else np.int64)


def test_a_tie_between_a_forest_s_votes_goes_to_the_same_class(
    autoencoder, utterances, held_out, tmp_path
):
    X, y = utterances
    forest = RandomForestClassifier(4, random_state=1)
    pipeline = append(autoencoder, forest, X, np.isin(y, np.unique(y)[:4]))
    ties = pipeline.predict_proba(held_out)[:, 0] == 0.5
    assert ties.sum() > 3
    assert_equal_results(export(pipeline, tmp_path), pipeline, held_out)


@pytest.mark.parametrize(
    "regressor",
    [
        Ridge(),
        SVR(C=100),
        RandomForestRegressor(10, random_state=0),
        HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=3),
    ],
    ids=lambda regressor: type(regressor).__name__,
)
def test_every_regressor_s_predictions_are_scikit_learn_s(
    regressor, autoencoder, utterances, held_out, tmp_path
):
    X, _ = utterances
    pipeline = append(autoencoder, regressor, X, [len(item) for item in X])
    found = assert_equal_results(export(pipeline, tmp_path), pipeline, held_out)
    assert list(found) == ["prediction"]


@pytest.mark.parametrize(
    "regressor",
    [RidgeCV(), RandomForestRegressor(5, random_state=0)],
    ids=lambda regressor: type(regressor).__name__,
)
def test_two_targets_of_very_different_sizes_are_exported(
    regressor, autoencoder, utterances, held_out, tmp_path
):
    X, _ = utterances
    y = [[1e6 * len(item), 1e-6 * item[0, 0]] for item in X]
    pipeline = append(autoencoder, regressor, X, y)
    found = results_of(export(pipeline, tmp_path), pad(held_out))["prediction"]
    expected = pipeline.predict(held_out)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found / [1e6, 1e-6], expected / [1e6, 1e-6], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("regressor", "transformation"),
    [
        (RidgeCV(), {"func": np.log, "inverse_func": np.exp}),
        (SVR(C=100), {"func": np.log1p, "inverse_func": np.expm1}),
        (Ridge(), {"func": np.sqrt, "inverse_func": np.square}),
        (Ridge(), {"transformer": MinMaxScaler()}),
    ],
)
def test_predictions_of_a_transformed_target_are_scikit_learn_s(
    regressor, transformation, autoencoder, utterances, held_out, tmp_path
):
    X, _ = utterances
    regressor = TransformedTargetRegressor(regressor, **transformation)
    pipeline = append(autoencoder, regressor, X, [float(len(item)) for item in X])
    assert_equal_results(export(pipeline, tmp_path), pipeline, held_out)


def test_other_transformed_targets_are_refused(autoencoder, utterances, refusal):
    X, _ = utterances
    y = [float(len(item)) for item in X]
    cubic = TransformedTargetRegressor(Ridge(), func=np.cbrt, inverse_func=lambda z: z**3)
    assert "only np.exp, np.expm1, np.square and" in refusal(append(autoencoder, cubic, X, y))
    kernel = TransformedTargetRegressor(KernelRidge())
    assert "no converter for KernelRidge" in refusal(append(autoencoder, kernel, X, y))


def test_a_graph_that_is_wrong_for_tiny_numbers_is_refused(autoencoder, utterances, refusal):
    """skl2onnx leaves out the exponential function of this loss."""
    X, _ = utterances
    boosting = HistGradientBoostingRegressor(loss="poisson", max_iter=5, min_samples_leaf=3)
    pipeline = append(autoencoder, boosting, X, [1e-6 * len(item) for item in X])
    assert "its prediction differ from the pipeline's" in refusal(pipeline)


def test_labels_that_are_neither_integers_nor_strings_are_refused(autoencoder, utterances, refusal):
    X, y = utterances
    pipeline = append(autoencoder, CLASSIFIERS["LDA"], X, y.astype(float))
    assert "are neither integers nor strings" in refusal(pipeline)


def test_a_kernel_of_the_user_s_own_is_refused(autoencoder, utterances, refusal):
    pipeline = append(autoencoder, SVC(kernel=lambda a, b: a @ b.T), *utterances)
    assert "only linear, rbf, poly and sigmoid kernels" in refusal(pipeline)
