"""scikit-learn's own checks of the transformer."""

import unittest

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from seqfeat import LSTMAutoencoder

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

DEFAULT = LSTMAutoencoder(4, max_iter=2)
STATISTICS = LSTMAutoencoder(4, max_iter=2, pooling="statistics")
LABELLED = LSTMAutoencoder(
    4, max_iter=2, missing="mask", target_weight=0.5, reconstruction_fraction=0.5, dropout=0.2
)
PLAIN = LSTMAutoencoder(
    4, max_iter=2, patch_len=1, n_time_features=0, pooling="last", scale=None, weight_decay=0.0
)
WITH_OPTIONS = LSTMAutoencoder(
    4,
    max_iter=2,
    missing="mask",
    target_weight=0.5,
    bidirectional=True,
    pooling="mean",
    masking_ratio=0.2,
    dropout=0.2,
    input_noise=0.3,
)


def expected_failures(estimator):
    """Weights and repetitions agree where series are read in one order; another test shows it."""
    reason = "batches are shuffled, and networks are in float32, whose roundings are 1e-7"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@parametrize_with_checks(
    [DEFAULT, STATISTICS, LABELLED, PLAIN, WITH_OPTIONS], expected_failed_checks=expected_failures
)
def test_every_check(estimator, check):
    try:
        check(estimator)
    except unittest.SkipTest:
        assert name_of(check) == "check_array_api_input"


def test_there_are_at_least_46_checks():
    assert len(list(estimator_checks_generator(DEFAULT))) >= 46


def name_of(check):
    return getattr(check, "func", check).__name__


def checks_of_the_interface():
    """Yield the checks that depend on what parameters do to attributes, tags and copies."""
    names = {
        "check_valid_tag_types",
        "check_estimator_cloneable",
        "check_get_params_invariance",
        "check_set_params",
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_estimators_pickle",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_fit_idempotent",
    }
    found = set()
    for params in (
        {"early_stopping": True, "validation_fraction": 0.3, "batch_size": 4},
        {"warm_start": True, "pooling": "max"},
        {"max_iter": 0, "hidden_dim": 3, "window_len": 2, "window_stride": 1},
    ):
        estimator = LSTMAutoencoder(4, **{"max_iter": 1, **params})
        for _, check in estimator_checks_generator(estimator):
            name = name_of(check)
            found.add(name)
            # With warm_start, a second fit continues and ends with other embeddings.
            if name in names and not (estimator.warm_start and name == "check_fit_idempotent"):
                yield pytest.param(estimator, check, id=f"{name}-{next(iter(params))}")
    assert found >= names


@pytest.mark.parametrize(("estimator", "check"), list(checks_of_the_interface()))
def test_checks_of_the_interface_with_other_parameters(estimator, check):
    check(estimator)
