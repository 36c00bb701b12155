"""A graph that differs from the pipeline is noticed before it is written."""

import numpy as np
import pytest
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import Int64TensorType
from sklearn.base import BaseEstimator, ClassifierMixin

from seqfeat import export_onnx
from seqfeat.saving.onnx.graph_writer import GraphWriter
from tests.saving.onnx.sessions import append, assert_equal_results, open_session

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_an_encoder_that_differs_from_the_estimator_s_is_noticed(autoencoder, refusal, monkeypatch):
    # The gates in PyTorch's order are the mistake that is easiest to make.
    monkeypatch.setattr("seqfeat.saving.onnx.encoder._reorder_gates", lambda weight: weight)
    message = refusal(autoencoder)
    assert "its embeddings differ from the pipeline's by up to" in message


class Registered(ClassifierMixin, BaseEstimator):
    """A classifier whose converter the user registers: the sign of the first feature."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(np.asarray(X)[:, 0] > 0).astype(int)]


def register_converter(threshold):
    """Register a converter that predicts the second class above a threshold."""

    def set_shape(operator):
        operator.outputs[0].type = Int64TensorType([None])

    def convert(scope, operator, container):
        g = GraphWriter(scope, container)
        first = g.node("Gather", operator.inputs[0].full_name, g.constant(0, np.int64), axis=1)
        is_above = g.node("Greater", first, g.constant(threshold, np.float64))
        g.cast(is_above, np.int64, output=operator.outputs[0].full_name)
        g.node("Identity", operator.inputs[0].full_name, output=operator.outputs[1].full_name)

    update_registered_converter(Registered, "Registered", set_shape, convert, overwrite=True)


@pytest.fixture
def with_registered(autoencoder, utterances):
    X, y = utterances
    return append(autoencoder, Registered(), X, (y == "1").astype(int))


def test_a_registered_converter_is_used(with_registered, held_out, tmp_path):
    register_converter(threshold=0.0)
    session = open_session(export_onnx(with_registered, tmp_path / "model.onnx"))
    assert list(assert_equal_results(session, with_registered, held_out)) == ["label"]


def test_a_registered_converter_with_different_results_is_noticed(with_registered, refusal):
    register_converter(threshold=0.5)
    message = refusal(with_registered)
    assert "its labels differ from the pipeline's" in message
    assert "of 128 randomly drawn series" in message
    assert "'registered'" in message
