import inspect
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from seqfeat import InputError, LSTMAutoencoder
from seqfeat.training.parameters import PARAMETER_CONSTRAINTS, FitParameters, needs_labels
from tests.training.examples import sines

DEFAULTS = LSTMAutoencoder().get_params()


def test_every_parameter_of_the_estimator_has_a_field_and_a_constraint():
    names = list(inspect.signature(LSTMAutoencoder).parameters)
    assert [field.name for field in fields(FitParameters)] == names
    assert list(PARAMETER_CONSTRAINTS) == names


def test_a_fit_records_the_parameters_of_its_estimator(monkeypatch):
    records = []

    def record(convert, y, sample_weight, parameters, *others, **options):
        records.append(parameters)
        raise InputError("enough")

    monkeypatch.setattr("seqfeat.autoencoder.share_facts", record)
    values = {"embedding_dim": 7, "tol": 0.5, "checkpoint_dir": "here", "pooling": "max"}
    with pytest.raises(InputError, match="enough"):
        LSTMAutoencoder(**values).fit(sines(8))
    assert vars(records[0]) == {**DEFAULTS, **values}


def test_the_record_is_frozen():
    parameters = FitParameters(**DEFAULTS)
    with pytest.raises(FrozenInstanceError):
        parameters.embedding_dim = 3


def test_the_defaults_fulfil_the_constraints():
    validate_parameter_constraints(PARAMETER_CONSTRAINTS, DEFAULTS, "LSTMAutoencoder")


@pytest.mark.parametrize(
    "name",
    ["embedding_dim", "hidden_dim", "patch_len", "window_len", "window_stride", "n_time_features"],
)
def test_fault_17_a_dimension_that_no_network_has_is_out_of_range(name):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        LSTMAutoencoder(**{name: 2**31}).fit(sines(8))


class ChangeParameters:
    """A callback that changes the estimator's parameters while it is fitted."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        estimator.set_params(max_iter=1, learning_rate_init=1.0, target_weight=0.5, scale=None)

    def on_fit_task_end(self, estimator, context):
        pass


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_does_not_notice_that_parameters_change_under_way():
    estimator = LSTMAutoencoder(2, max_iter=3, random_state=0).set_callbacks(ChangeParameters())
    expected = LSTMAutoencoder(2, max_iter=3, random_state=0).fit(sines(8))
    assert estimator.fit(sines(8)).loss_curve_ == expected.loss_curve_
    assert estimator.max_iter == 1


@pytest.mark.parametrize(
    ("target_weight", "expected"),
    [(0, False), (0.0, False), (0.5, True), (np.float32(0.5), True), (None, False), ("x", False)],
)
def test_labels_are_needed_with_a_target_weight_even_an_invalid_one(target_weight, expected):
    assert needs_labels(target_weight) is expected
