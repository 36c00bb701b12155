"""The exported model's outputs, axes, versions and metadata."""

import json

import numpy as np
import onnx
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

import seqfeat
from seqfeat import export_onnx
from tests.saving.onnx.sessions import (
    LEVELS,
    append,
    assert_equal_results,
    open_session,
    pad,
    results_of,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_the_outputs_of_a_classifier_are_its_labels_and_probabilities(session, pipeline, held_out):
    found = assert_equal_results(session, pipeline, held_out)
    assert list(found) == ["label", "probabilities"]


def test_the_output_of_a_transformer_is_its_features(autoencoder, utterances, held_out, tmp_path):
    pipeline = append(autoencoder, PCA(2), *utterances)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    found = results_of(session, pad(held_out))
    assert list(found) == ["features"]
    np.testing.assert_allclose(found["features"], pipeline.transform(held_out), atol=1e-5)


@pytest.mark.parametrize(
    ("last", "names"),
    [
        (KMeans(3, n_init=1, random_state=0), ["label"]),
        (IsolationForest(n_estimators=10, random_state=0), ["label", "decision_function"]),
    ],
    ids=["clustering", "outlier detector"],
)
def test_clusterings_and_outlier_detectors_have_labels(
    autoencoder, utterances, held_out, tmp_path, last, names
):
    pipeline = append(autoencoder, last, *utterances)
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    assert list(assert_equal_results(session, pipeline, held_out)) == names


def test_the_file_documents_itself(pipeline, session):
    meta = session.get_modelmeta()
    assert meta.producer_name == "seqfeat"
    assert "(n_series, n_timesteps, 12)" in meta.description
    metadata = meta.custom_metadata_map
    assert json.loads(metadata["classes"]) == pipeline.classes_.tolist()
    assert metadata["seqfeat_version"] == seqfeat.__version__
    assert metadata["missing"] == "error"
    assert session.get_inputs()[0].shape == ["n_series", "n_timesteps", 12]
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {"label": ["n_series"], "probabilities": ["n_series", 9]}


@pytest.fixture(scope="module", params=[15, 22])
def with_opset(request, pipeline, tmp_path_factory):
    """An opset and the graph exported with it."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return request.param, export_onnx(pipeline, path, opset=request.param)


@pytest.mark.parametrize("level", LEVELS)
def test_opset_and_optimization_change_no_result(with_opset, level, pipeline, held_out):
    opset, path = with_opset
    versions = {entry.domain: entry.version for entry in onnx.load(path).opset_import}
    assert versions[""] <= opset
    assert_equal_results(open_session(path, level), pipeline, held_out)
