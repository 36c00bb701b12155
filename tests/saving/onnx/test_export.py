"""Which estimators are exported, and that a refused export writes nothing."""

import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import seqfeat
from seqfeat import (
    ExportError,
    LSTMAutoencoder,
    ModelFileError,
    export_onnx,
    load_card,
    make_classifier,
)
from seqfeat.saving.card_format import card_path, encode_card
from tests.damage import flipped
from tests.programs import run_python
from tests.saving.onnx.sessions import (
    append,
    assert_equal_results,
    fit_quietly,
    open_session,
    pad,
    results_of,
    small,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# What is exported


def test_searches_nested_pipelines_and_empty_steps_are_flattened(utterances, held_out, tmp_path):
    features = Pipeline([("autoencoder", small()), ("nothing", "passthrough"), ("none", None)])
    classifier = GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1]}, cv=2)
    pipeline = make_pipeline(features, StandardScaler(), PCA(3), classifier)
    search = GridSearchCV(pipeline, {"pca__n_components": [2, 3]}, cv=2)
    fit_quietly(search, *utterances)
    session = open_session(export_onnx(search, tmp_path / "model.onnx"))
    assert_equal_results(session, search, held_out)


def test_pandas_output_and_a_missing_device_do_not_matter(pipeline, utterances, held_out, tmp_path):
    pipeline = clone(pipeline).set_output(transform="pandas")
    fit_quietly(pipeline, *utterances)
    labels = pipeline.predict(held_out)
    pipeline.set_params(autoencoder__device="cuda:7")
    session = open_session(export_onnx(pipeline, tmp_path / "model.onnx"))
    np.testing.assert_array_equal(results_of(session, pad(held_out))["label"], labels)
    assert pipeline[0].device == "cuda:7"
    assert pipeline[0]._sklearn_output_config == {"transform": "pandas"}


def test_exporting_changes_neither_the_estimator_nor_other_files(pipeline, tmp_path):
    before = {name: id(value) for name, value in vars(pipeline[0]).items()}
    path = export_onnx(pipeline, str(tmp_path / "model.onnx"))
    assert {name: id(value) for name, value in vars(pipeline[0]).items()} == before
    assert sorted(tmp_path.iterdir()) == [path, card_path(path)]


def test_a_missing_folder_is_created(pipeline, tmp_path):
    path = export_onnx(pipeline, tmp_path / "new" / "folder" / "model.onnx")
    assert path.stat().st_size > 0


def test_the_runtime_needs_neither_seqfeat_nor_scikit_learn_nor_torch(
    pipeline, exported, held_out, tmp_path
):
    np.save(tmp_path / "X.npy", pad(held_out))
    program = f"""
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession({str(exported)!r})
label, = session.run(["label"], {{"X": numpy.load({str(tmp_path / "X.npy")!r})}})
print(*label)
assert not {{"seqfeat", "sklearn", "torch"}} & set(sys.modules)
"""
    assert run_python(program).split() == pipeline.predict(held_out).astype(str).tolist()


# The card, which covers the graph (fault 45)


def test_a_graph_has_a_card_beside_that_of_its_model(pipeline, tmp_path):
    model = seqfeat.save(pipeline, tmp_path / "m.joblib", notes="the model")
    graph = export_onnx(pipeline, tmp_path / "m.onnx")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["m.joblib", "m.json", "m.onnx", "m.onnx.json"]
    card = load_card(graph)
    assert (card["format"], card["file"]) == ("onnx", "m.onnx")
    assert card["classes"] == pipeline.classes_.tolist()
    assert load_card(model)["notes"] == "the model"


def test_fault_45_a_flipped_bit_of_a_graph_or_of_its_card_is_found(pipeline, tmp_path):
    graph = export_onnx(pipeline, tmp_path / "m.onnx")
    for path in (graph, card_path(graph)):
        for bit in flipped(path, some_bits(path, 100)):
            with pytest.raises(ModelFileError):
                pytest.fail(f"{load_card(graph)} with {bit} flipped")
    load_card(graph)


@pytest.mark.fuzz
def test_fault_45_flipped_bits_of_a_graph_are_found(pipeline, tmp_path):
    graph = export_onnx(pipeline, tmp_path / "m.onnx")
    for bit in flipped(graph, some_bits(graph, 5000)):
        with pytest.raises(ModelFileError, match="does not match its card"):
            pytest.fail(f"{load_card(graph)} with {bit} flipped")


def some_bits(path, n_bits):
    """Return bits from all over a file, and the first ones of the file."""
    size = path.stat().st_size
    chosen = np.random.default_rng(0).integers(8 * size, size=n_bits)
    return [divmod(int(bit), 8) for bit in [*range(64), *chosen]]


def test_fault_45_a_truncated_graph_or_one_without_a_card_is_refused(pipeline, tmp_path):
    graph = export_onnx(pipeline, tmp_path / "m.onnx")
    content = graph.read_bytes()
    graph.write_bytes(content[:-1])
    with pytest.raises(ModelFileError, match=r"does not match its card, m\.onnx\.json"):
        load_card(graph)
    graph.write_bytes(content)
    card_path(graph).unlink()
    with pytest.raises(ModelFileError, match=r"perhaps an ONNX graph\. .* export the model again"):
        load_card(graph)


def test_a_graph_is_not_loaded_as_a_model(exported):
    with pytest.raises(ModelFileError, match=r"default\.onnx is an ONNX graph, not a scikit-learn"):
        seqfeat.load(exported)


def test_the_versions_of_other_libraries_do_not_matter_to_a_graph(pipeline, tmp_path):
    graph = export_onnx(pipeline, tmp_path / "m.onnx")
    card = load_card(graph)
    card["versions"]["scikit-learn"] = "1.0.3"
    card_path(graph).write_bytes(encode_card(card))
    assert load_card(graph)["versions"]["scikit-learn"] == "1.0.3"


def test_another_file_in_the_place_of_the_card_is_not_overwritten(pipeline, tmp_path):
    (tmp_path / "m.onnx.json").write_text('{"mine": 1}')
    with pytest.raises(ModelFileError, match=r"m\.onnx\.json is not a model card of seqfeat"):
        export_onnx(pipeline, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx.json"]


# What is refused


class Guess(ClassifierMixin, BaseEstimator):
    """A classifier for which skl2onnx has no converter."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(np.asarray(X)[:, 0] > 0).astype(int)]


class OtherAutoencoder(LSTMAutoencoder):
    """A subclass, which may differ in ways that no converter can know."""


def test_an_unfitted_estimator_or_step_is_refused(autoencoder, refusal):
    refusal(LSTMAutoencoder(), NotFittedError)
    refusal(make_classifier(), NotFittedError)
    half = make_pipeline(autoencoder, StandardScaler(), LogisticRegression())
    assert "StandardScaler" in refusal(half, NotFittedError)
    refusal(GridSearchCV(make_classifier(), {}), NotFittedError)


def test_a_step_without_a_converter_is_refused_by_name(autoencoder, utterances, refusal):
    X, y = utterances
    message = refusal(append(autoencoder, Guess(), X, y == "1"))
    assert "step 'guess'" in message
    assert "no converter for Guess" in message
    assert "update_registered_converter" in message


def test_a_nested_classifier_without_a_converter_is_refused_by_name(
    autoencoder, utterances, refusal
):
    X, y = utterances
    message = refusal(append(autoencoder, BaggingClassifier(Guess(), 2), X, y == "1"))
    assert "'baggingclassifier'" in message
    assert "Guess" in message


def test_an_autoencoder_of_another_class_or_in_another_place_is_refused(
    autoencoder, utterances, refusal
):
    other = OtherAutoencoder(2, max_iter=0, random_state=0)
    assert "OtherAutoencoder" in refusal(fit_quietly(other, utterances[0]))
    assert "StandardScaler comes first" in refusal(make_pipeline(StandardScaler()))
    assert "has no steps" in refusal(Pipeline([("nothing", "passthrough")]))
    assert "second LSTMAutoencoder" in refusal(make_pipeline(autoencoder, autoencoder))


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
def test_parameters_out_of_range_are_refused(pipeline, refusal, params, words):
    assert words in refusal(pipeline, **params)


@pytest.mark.parametrize("name", ["m.joblib", "m.json", "m"])
def test_a_name_that_is_not_a_graph_s_is_refused(pipeline, tmp_path, name):
    with pytest.raises(ExportError, match=rf"{name} has the suffix '.*'; pass NAME\.onnx"):
        export_onnx(pipeline, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_error_for_a_missing_extra_says_how_to_install_it(pipeline, refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    message = refusal(pipeline, ImportError)
    assert "skl2onnx" in message
    assert "pip install 'seqfeat[onnx]'" in message


def test_a_refused_export_creates_no_folder(autoencoder, tmp_path, monkeypatch):
    monkeypatch.setattr("seqfeat.saving.onnx.encoder._reorder_gates", lambda weight: weight)
    with pytest.raises(ExportError, match="differ from the pipeline's"):
        export_onnx(autoencoder, tmp_path / "new" / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []
