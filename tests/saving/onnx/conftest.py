import pytest

from seqfeat import ExportError, export_onnx
from seqfeat.datasets import load_japanese_vowels
from tests.saving.onnx.sessions import fit_quietly, open_session, small


@pytest.fixture(scope="module")
def held_out():
    """A quarter of the test set."""
    X, _ = load_japanese_vowels(split="test", return_X_y=True)
    return list(X[::4])


@pytest.fixture(scope="module")
def autoencoder(utterances):
    """A small fitted autoencoder."""
    return fit_quietly(small(), utterances[0])


@pytest.fixture(scope="module")
def exported(pipeline, tmp_path_factory):
    """The graph of the small classifier."""
    return export_onnx(pipeline, tmp_path_factory.mktemp("onnx") / "default.onnx")


@pytest.fixture(scope="module")
def session(exported):
    return open_session(exported)


@pytest.fixture
def refusal(tmp_path):
    """A function that returns the message of a refused export, which must not write anything."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"existing file")

    def refusal(estimator, error=ExportError, **params):
        with pytest.raises(error) as caught:
            export_onnx(estimator, path, **params)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        assert path.read_bytes() == b"existing file"
        return str(caught.value)

    return refusal
