import pytest
from sklearn.linear_model import LogisticRegression

import seqfeat as library
from tests.commands import LONG, QUICK, error_of, ok

pytestmark = pytest.mark.usefixtures("one_thread")


def test_options_become_parameters(tmp_path, csv):
    path = tmp_path / "m.skops"
    options = ["--classifier", "logistic", "--target-weight", "0.3", "--missing", "mask"]
    options += ["--batch-size", "9", "--early-stopping", "--random-state", "7", "--device", "cpu"]
    options += ["--set", "pooling=max", "--set", "scale=none", "--set", "dropout=0.1"]
    options += ["--test-size", "0", "--channels", "load"]
    ok("train", csv, *LONG, *QUICK, *options, "-o", path)
    pipeline = library.load(path)
    assert isinstance(pipeline["classifier"], LogisticRegression)
    expected = {
        "embedding_dim": 4,
        "max_iter": 3,
        "target_weight": 0.3,
        "missing": "mask",
        "batch_size": 9,
        "early_stopping": True,
        "random_state": 7,
        "device": "cpu",
        "pooling": "max",
        "scale": None,
        "dropout": 0.1,
    }
    parameters = pipeline["autoencoder"].get_params()
    assert {name: parameters[name] for name in expected} == expected
    assert pipeline["autoencoder"].n_channels_in_ == 1


@pytest.mark.parametrize("name", ["svc", "linear-svc", "forest", "boosting", "knn", "ridge"])
def test_every_classifier_learns(tmp_path, csv, name):
    options = ["--classifier", name, "--embedding-dim", "8", "--max-iter", "0", "--no-baselines"]
    result = ok("train", csv, *LONG, *options, "-o", tmp_path / "m.joblib", "--json")
    assert result.json["metrics"]["test_accuracy"] >= 0.7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-iter", "-1"], ["--max-iter", "-1"]),
        (["--set", "droput=1"], ["--set droput: unknown parameter", "dropout"]),
        (["--set", "dropout=2"], ["--set dropout=...", "Got 2"]),
        (["--device", "cuda:77"], ["--device cuda:77", "--device cpu"]),
    ],
)
def test_wrong_parameters_are_an_error_before_the_data_is_read(tmp_path, options, words):
    message = error_of("train", "nothing.csv", *options, "-o", tmp_path / "m.joblib")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "nothing.joblib", "new.csv", "-o", "{out}/f.csv"], "there is no file"),
        (["embed", "new.csv", "new.csv", "-o", "{out}/f.csv"], "MODEL new.csv: unsupported suffix"),
        (["predict", "rows.joblib", "rows.npy"], "without labels and cannot predict"),
        (
            ["embed", "m.joblib", "new.csv", "--device", "cuda:77", "-o", "{out}/f.csv"],
            "--device cuda:77",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_an_error(models, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(models)
    message = error_of(*(text.format(out=tmp_path) for text in arguments))
    assert words in message
    assert "--debug" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["info", "embed", "export"])
def test_a_damaged_model_is_never_opened(tmp_path, models, command):
    (tmp_path / "m.json").write_bytes((models / "m.json").read_bytes())
    damaged = bytearray((models / "m.joblib").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "m.joblib").write_bytes(damaged)
    others = {
        "info": [],
        "embed": [models / "new.csv", "-o", tmp_path / "f.csv"],
        "export": ["-o", tmp_path / "m.onnx"],
    }
    message = error_of(command, tmp_path / "m.joblib", *others[command])
    assert "m.json" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.joblib", "m.json"]
