"""`SktimeTransformer` in sktime's own checks and with its data formats."""

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import LSTMAutoencoder

pytest.importorskip("sktime")

import sktime.datasets
from sktime.base import load
from sktime.classification.tests.test_all_classifiers import TestAllClassifiers as ClassifierChecks
from sktime.transformations.compose import TransformerPipeline
from sktime.utils.estimator_checks import check_estimator, parametrize_with_checks

from seqfeat.adapters.sktime import SktimeTransformer

# The checks pass about ten series of noise, from which there is nothing to learn.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small(**params):
    return LSTMAutoencoder(8, **{"max_iter": 1, "random_state": 0, **params})


CHECKS = parametrize_with_checks(SktimeTransformer)


@CHECKS
def test_it_passes_the_checks_of_sktime(obj, test_name):
    check_estimator(obj, tests_to_run=test_name, raise_exceptions=True, verbose=False)


def test_no_check_is_skipped():
    assert len(CHECKS.args[1]) >= 40


def test_a_pipeline_passes_the_checks_of_a_classifier():
    # The other checks of the pipeline, which take ten seconds, are about sktime's own code.
    classifier = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    pipeline = SktimeTransformer(small()) * make_pipeline(StandardScaler(), classifier)
    results = ClassifierChecks().run_tests(pipeline, raise_exceptions=False)
    assert {name: error for name, error in results.items() if error != "PASSED"} == {}
    assert len(results) >= 13


@pytest.mark.parametrize("return_type", ["nested_univ", "pd-multiindex", "df-list", "numpy3D"])
def test_every_panel_format_is_accepted(return_type, motions):
    X, _ = sktime.datasets.load_basic_motions(split="train", return_type=return_type)
    features = SktimeTransformer(small()).fit_transform(X)
    expected = small().fit_transform(motions[0].transpose(0, 2, 1))
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_columns_have_the_names_of_the_features(motions):
    features = SktimeTransformer(small(max_iter=0)).fit_transform(motions[0])
    assert features.columns[[0, 7]].tolist() == ["lstmautoencoder0", "lstmautoencoder7"]
    assert features.index.tolist() == list(range(40))


def test_it_can_be_saved_and_loaded(tmp_path, motions):
    transformer = SktimeTransformer(small()).fit(motions[0])
    transformer.save(tmp_path / "embedding")
    restored = load(tmp_path / "embedding.zip")
    pd.testing.assert_frame_equal(restored.transform(motions[2]), transformer.transform(motions[2]))


def test_without_the_adapter_each_series_would_have_an_autoencoder_of_its_own(motions):
    # sktime takes each timestep for a sample.
    X = motions[0][:2]
    head = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    with pytest.raises(TypeError, match="unsupported operand"):
        small() * head
    assert TransformerPipeline([small(max_iter=0)]).fit_transform(X).shape == (2, 8, 100)
