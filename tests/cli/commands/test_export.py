import numpy as np
import pytest

from tests.commands import error_of, ok


def test_a_model_becomes_an_onnx_file(tmp_path, models, model, new):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "new" / "m.onnx"
    result = ok("export", models / "m.joblib", "-o", path, "--json")
    assert result.json["bytes"] == path.stat().st_size
    padded = np.full((24, 25, 2), np.nan, dtype=np.float32)
    for row, series in zip(padded, new.X, strict=True):
        row[: len(series)] = series
    (labels,) = onnxruntime.InferenceSession(path).run(["label"], {"X": padded})
    assert labels.tolist() == model.predict(new.X).tolist()


def test_an_opset_that_is_too_old_is_an_error(tmp_path, models):
    message = error_of("export", models / "m.joblib", "-o", tmp_path / "x.onnx", "--opset", "3")
    assert "--opset 3" in message
    assert list(tmp_path.iterdir()) == []
