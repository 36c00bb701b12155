"""`AeonTransformer` in aeon's own checks, pipelines and searches."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from seqfeat import LayoutWarning, LSTMAutoencoder

pytest.importorskip("aeon")

from aeon.pipeline import make_pipeline
from aeon.testing.estimator_checking import parametrize_with_checks

from seqfeat.adapters.aeon import AeonTransformer

# The checks pass about ten series of noise, from which there is nothing to learn.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small(**params):
    return LSTMAutoencoder(4, **{"max_iter": 1, "random_state": 0, **params})


def classifier():
    return LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)


def pipeline():
    return make_pipeline(AeonTransformer(small()), StandardScaler(), classifier())


CHECKS = parametrize_with_checks([AeonTransformer, pipeline()])


@CHECKS
def test_it_passes_the_checks_of_aeon(check):
    check()


def test_no_check_is_skipped():
    # aeon wraps a check that it skips; then it is no plain function any more.
    checks = CHECKS.args[1]
    assert all(map(callable, checks))
    assert len(checks) >= 60


def test_a_search_reaches_the_autoencoder_in_a_pipeline(motions):
    X, y, *_ = motions
    sizes = {"AeonTransformer__autoencoder__embedding_dim": [2, 6]}
    search = GridSearchCV(pipeline(), sizes, cv=2).fit(X, y)
    best = search.best_params_["AeonTransformer__autoencoder__embedding_dim"]
    _, transformer = search.best_estimator_.steps_[0]
    assert transformer.autoencoder_.embedding_dim_ == best
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_without_the_adapter_channels_first_are_refused_or_a_warning(motions):
    X, y, *_ = motions
    bare = make_pipeline(small(), classifier())
    with pytest.raises(ValueError, match="has multivariate series"):
        bare.fit(X, y)
    # aeon passes a single channel on, whose timesteps look like channels.
    with pytest.warns(LayoutWarning, match="1 timesteps and 100 channels"):
        bare.fit(X[:, :1], y)
