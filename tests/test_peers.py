"""The suites with which aeon and sktime check their own estimators pass on ours.

None of the checks of a transformer is left out, and none fails.
"""

import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import LSTMAutoencoder

pytest.importorskip("aeon")
pytest.importorskip("sktime")

from aeon.pipeline import make_pipeline as aeon_pipeline
from aeon.testing.estimator_checking import parametrize_with_checks as with_aeon_checks
from sktime.classification.tests import test_all_classifiers as classifier_suite
from sktime.utils.estimator_checks import check_estimator as sktime_check
from sktime.utils.estimator_checks import parametrize_with_checks as with_sktime_checks

from seqfeat.adapters.aeon import AeonTransformer
from seqfeat.adapters.sktime import SktimeTransformer

# Their data are some ten series of noise, from which nothing is to be learned.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small():
    return LSTMAutoencoder(4, max_iter=1, random_state=0)


def classifier():
    return LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)


def in_aeon():
    return aeon_pipeline(AeonTransformer(small()), StandardScaler(), classifier())


def in_sktime():
    return SktimeTransformer(small()) * sklearn_pipeline(StandardScaler(), classifier())


AEON_CHECKS = with_aeon_checks([AeonTransformer, in_aeon()])
SKTIME_CHECKS = with_sktime_checks(SktimeTransformer)


@AEON_CHECKS
def test_aeon_checks(check):
    check()


@SKTIME_CHECKS
def test_sktime_checks(obj, test_name):
    sktime_check(obj, tests_to_run=test_name, raise_exceptions=True, verbose=False)


def test_the_suites_are_whole():
    # aeon marks a check that it leaves out; then it is no plain function any more.
    aeon_checks = AEON_CHECKS.args[1]
    assert all(map(callable, aeon_checks))
    assert len(aeon_checks) >= 60
    assert len(SKTIME_CHECKS.args[1]) >= 40


def test_sktime_checks_of_a_classifier_with_our_features():
    # The rest of the suite, ten seconds of it, is about sktime's pipeline.
    results = classifier_suite.TestAllClassifiers().run_tests(in_sktime(), raise_exceptions=False)
    assert {name: error for name, error in results.items() if error != "PASSED"} == {}
    assert len(results) >= 13
