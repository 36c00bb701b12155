"""Saved models are whole, described, and never silently other ones."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import seqfeat
from seqfeat import (
    InputError,
    LSTMAutoencoder,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    make_classifier,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

GOLDEN = Path(__file__).parent / "golden"
FORMATS = ["joblib", "skops"]
N_POSITIONS = 600


@pytest.fixture(scope="module")
def autoencoder(utterances):
    return LSTMAutoencoder(2, hidden_dim=2, max_iter=1, random_state=0).fit(utterances[0][:4])


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path, pipeline):
    return seqfeat.save(pipeline, tmp_path / f"model.{request.param}", metrics={"accuracy": 0.5})


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def change_card(path, **changes):
    path.with_suffix(".json").write_text(json.dumps({**card_of(path), **changes}))


def refusal(path, error=ModelFileError, **options):
    with pytest.raises(error) as caught:
        seqfeat.load(path, **options)
    return str(caught.value)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# There and back


def test_what_is_saved_comes_back(saved, pipeline, utterances):
    again = seqfeat.load(saved)
    X, _ = utterances
    np.testing.assert_array_equal(again.predict_proba(X), pipeline.predict_proba(X))
    assert again.get_params().keys() == pipeline.get_params().keys()
    assert names_in(saved.parent) == sorted(["model.json", saved.name])


def test_a_joblib_file_is_an_ordinary_one(tmp_path, pipeline, utterances):
    path = seqfeat.save(pipeline, tmp_path / "model.joblib")
    X, _ = utterances
    np.testing.assert_array_equal(joblib.load(path).predict(X), pipeline.predict(X))


@pytest.mark.parametrize("suffix", FORMATS)
def test_streams_searches_and_lone_autoencoders_are_saved_too(tmp_path, utterances, suffix):
    X, y = utterances
    stream = LSTMAutoencoder(4, random_state=np.random.RandomState(0)).partial_fit(X)
    again = seqfeat.load(seqfeat.save(stream, tmp_path / f"stream.{suffix}"))
    np.testing.assert_array_equal(
        again.partial_fit(X).transform(X), stream.partial_fit(X).transform(X)
    )
    search = GridSearchCV(
        make_classifier(max_iter=1, random_state=0), {"autoencoder__embedding_dim": [2, 4]}, cv=2
    ).fit(X, y)
    path = seqfeat.save(search, tmp_path / f"search.{suffix}")
    trusted = [
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.StratifiedKFold",
    ]
    again = seqfeat.load(path, trusted=trusted)
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert (
        card_of(path)["input"]["embedding_dim"] == search.best_params_["autoencoder__embedding_dim"]
    )


def test_folders_are_made_and_links_are_followed(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "new" / "folder" / "model.joblib")
    link = tmp_path / "link.joblib"
    link.symlink_to(path)
    before = path.read_bytes()
    seqfeat.save(pipeline[:1], link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert len(seqfeat.load(link)) == 1


def test_files_have_the_permissions_of_any_other(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "model.joblib")
    (tmp_path / "other").touch()
    expected = (tmp_path / "other").stat().st_mode
    assert path.stat().st_mode == path.with_suffix(".json").stat().st_mode == expected


# Cards


def test_the_card_tells_what_the_model_is(saved, utterances):
    card = card_of(saved)
    assert card["file"] == saved.name
    assert card["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert card["bytes"] == saved.stat().st_size
    assert card["versions"]["seqfeat"] == seqfeat.__version__
    assert card["metrics"] == {"accuracy": 0.5}
    assert card["classes"] == sorted(set(utterances[1].tolist()))
    assert card["input"]["n_channels"] == 12
    assert card["parameters"]["autoencoder__embedding_dim"] == 4
    assert "LinearDiscriminantAnalysis" in card["parameters"]["classifier"]
    assert ("executes code" in card["notice"]) == (saved.suffix == ".joblib")


def test_figures_become_plain_numbers(tmp_path, pipeline):
    metrics = {"a": np.float32(0.5), "b": np.int64(3), "c": 1}
    path = seqfeat.save(pipeline, tmp_path / "m.joblib", metrics=metrics, notes="<b>mine</b>")
    assert card_of(path)["metrics"] == {"a": 0.5, "b": 3, "c": 1}
    assert card_of(path)["notes"] == "<b>mine</b>"


@pytest.mark.parametrize("value", [np.nan, np.inf, "0.5", None, True, [0.5]])
def test_what_is_no_figure_is_refused_before_anything_is_written(tmp_path, pipeline, value):
    with pytest.raises(InputError, match=r"metrics\['accuracy'\]"):
        seqfeat.save(pipeline, tmp_path / "m.joblib", metrics={"accuracy": value})
    assert names_in(tmp_path) == []


def test_a_card_of_something_else_is_not_replaced(tmp_path, pipeline):
    seqfeat.save(pipeline, tmp_path / "m.joblib")
    with pytest.raises(ModelFileError, match=r"m.json is the card of m.joblib"):
        seqfeat.save(pipeline, tmp_path / "m.skops")
    (tmp_path / "n.json").write_text('{"mine": 1}')
    with pytest.raises(ModelFileError, match="some other JSON file"):
        seqfeat.save(pipeline, tmp_path / "n.joblib")
    assert names_in(tmp_path) == ["m.joblib", "m.json", "n.json"]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("m.pkl", {}, "suffix '.pkl'; use .joblib, or .skops"),
        ("m", {}, "suffix ''"),
        ("m.joblib", {"format": "skops"}, "'skops' with .skops"),
        ("m.joblib", {"format": "onnx"}, "format='onnx'"),
    ],
)
def test_other_formats_are_refused(tmp_path, pipeline, name, options, says):
    with pytest.raises(InputError, match=says):
        seqfeat.save(pipeline, tmp_path / name, **options)


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        seqfeat.save(make_classifier(), tmp_path / "m.joblib")
    assert names_in(tmp_path) == []


# Fault 25: damaged, foreign and newer files


@pytest.mark.parametrize("suffix", FORMATS)
def test_fault_25_no_flipped_byte_goes_unnoticed(tmp_path, autoencoder, suffix):
    path = seqfeat.save(autoencoder, tmp_path / f"m.{suffix}")
    whole = path.read_bytes()
    for position in positions(len(whole)):
        path.write_bytes(flipped(whole, position))
        refusal(path)
    path.write_bytes(whole)
    seqfeat.load(path)


@pytest.mark.filterwarnings("ignore")
def test_fault_25_plain_joblib_never_gives_another_model(tmp_path, autoencoder, utterances):
    """Without a card: an error, or the same embeddings."""
    path = tmp_path / "plain.joblib"
    joblib.dump(autoencoder, path)
    X = utterances[0][:4]
    expected = autoencoder.transform(X)
    whole = path.read_bytes()
    n_refused = 0
    for position in positions(len(whole)):
        try:
            embeddings = joblib.load(io.BytesIO(flipped(whole, position))).transform(X)
        except Exception:  # unpickling damaged bytes raises anything
            n_refused += 1
        else:
            np.testing.assert_array_equal(embeddings, expected)
    assert n_refused > N_POSITIONS / 2


def test_fault_25_no_flipped_byte_of_a_card_gives_another_model(tmp_path, autoencoder, utterances):
    path = seqfeat.save(autoencoder, tmp_path / "m.joblib")
    card = path.with_suffix(".json")
    expected = autoencoder.transform(utterances[0][:4])
    whole = card.read_bytes()
    for position in positions(len(whole)):
        card.write_bytes(flipped(whole, position))
        try:
            again = seqfeat.load(path)
        except ModelFileError:
            continue
        except ModelVersionWarning:
            continue
        np.testing.assert_array_equal(again.transform(utterances[0][:4]), expected)


def positions(size):
    """Return at least 500 positions: both ends, and others from all over the file."""
    chosen = np.random.default_rng(0).choice(size, min(N_POSITIONS, size), replace=False)
    return sorted({*range(min(64, size)), *range(max(0, size - 64), size), *chosen.tolist()})


def flipped(data, position):
    changed = bytearray(data)
    changed[position] ^= 1 << position % 8
    return bytes(changed)


def test_fault_25_truncated_and_empty_files_are_refused(saved):
    whole = saved.read_bytes()
    for length in [1, 100, len(whole) // 2, len(whole) - 1]:
        saved.write_bytes(whole[:length])
        assert "is not the file of its card" in refusal(saved)
    saved.write_bytes(b"")
    assert "is empty" in refusal(saved)


@pytest.mark.parametrize("content", [b"text", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x80\x04."])
def test_fault_25_foreign_files_are_refused(tmp_path, content):
    (tmp_path / "m.joblib").write_bytes(content)
    message = refusal(tmp_path / "m.joblib")
    assert "has no card" in message
    assert "executes code" in message


def test_fault_25_missing_files_and_folders_are_named(tmp_path):
    assert "no file" in refusal(tmp_path / "m.joblib", error=FileNotFoundError)
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"card_version": 1}', "\0"])
def test_fault_25_damaged_cards_are_refused(saved, content):
    saved.with_suffix(".json").write_text(content)
    message = refusal(saved)
    assert "no model card" in message
    assert "save the model again" in message


def test_fault_25_a_file_is_not_opened_before_it_is_checked(tmp_path, pipeline):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    joblib.dump(Trap(), path)
    refusal(path)
    assert not (tmp_path / "executed").exists()


# Fault 36: versions


def test_fault_36_a_newer_version_is_named_with_ours(saved):
    change_card(saved, versions={**card_of(saved)["versions"], "seqfeat": "99.1"})
    message = refusal(saved, error=ModelVersionError)
    assert "saved by seqfeat 99.1" in message
    assert f"this is seqfeat {seqfeat.__version__}" in message


def test_fault_36_a_newer_card_is_refused(saved):
    change_card(saved, card_version=99)
    assert "card of version 99" in refusal(saved, error=ModelVersionError)


def test_fault_36_a_newer_plain_pickle_is_refused(tmp_path, autoencoder, monkeypatch):
    monkeypatch.setattr("seqfeat.pickling.__version__", "99.1")
    joblib.dump(autoencoder, tmp_path / "new.joblib")
    monkeypatch.undo()
    with pytest.raises(ModelVersionError, match=r"seqfeat 99\.1, and this is seqfeat"):
        joblib.load(tmp_path / "new.joblib")


@pytest.mark.parametrize("name", ["scikit-learn", "numpy"])
def test_fault_36_other_minor_versions_are_warned_of(saved, name):
    change_card(saved, versions={**card_of(saved)["versions"], name: "1.0.3"})
    with pytest.warns(ModelVersionWarning, match=f"saved with {name} 1.0.3"):
        seqfeat.load(saved)


def test_fault_36_what_cannot_be_opened_names_the_versions(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    data = path.read_bytes().replace(b"StandardScaler", b"StandardScalar")
    path.write_bytes(data)
    change_card(path, sha256=hashlib.sha256(data).hexdigest())
    assert "cannot be opened: AttributeError" in refusal(path)
    assert f"saved by seqfeat {seqfeat.__version__}" in refusal(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_fault_36_the_golden_files_open_for_ever(suffix):
    """Made by golden/make.py with seqfeat 0.1.0; never made again."""
    with np.load(GOLDEN / "golden.npz") as expected:
        X, lengths = expected["X"], expected["lengths"]
        series = [row[:length] for row, length in zip(X, lengths, strict=True)]
        model = seqfeat.load(GOLDEN / suffix / f"golden.{suffix}")
        # Parameters that came later have their defaults.
        assert clone(model).get_params()["autoencoder__checkpoint_dir"] is None
        np.testing.assert_allclose(
            model["autoencoder"].transform(series), expected["embeddings"], atol=1e-5
        )
        np.testing.assert_allclose(
            model.predict_proba(series), expected["probabilities"], atol=1e-4
        )
        assert model.predict(series).tolist() == expected["labels"].tolist()


# skops


class Constant(ClassifierMixin, BaseEstimator):
    """A classifier that skops cannot know."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_unknown_types_are_refused_by_name_until_they_are_trusted(tmp_path, utterances):
    model = make_classifier(2, Constant(), max_iter=1, random_state=0).fit(*utterances)
    path = seqfeat.save(model, tmp_path / "m.skops")
    name = f"{Constant.__module__}.Constant"
    assert f"types that are not trusted: {name}" in refusal(path)
    again = seqfeat.load(path, trusted=[name])
    assert again.predict(utterances[0]).tolist() == model.predict(utterances[0]).tolist()


def test_a_missing_skops_is_named(tmp_path, pipeline, monkeypatch):
    path = seqfeat.save(pipeline, tmp_path / "m.skops")
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[secure\]'"):
        seqfeat.save(pipeline, tmp_path / "n.skops")
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[secure\]'"):
        seqfeat.load(path)


def test_a_skops_file_holds_no_pickle(tmp_path, pipeline):
    with zipfile.ZipFile(seqfeat.save(pipeline, tmp_path / "m.skops")) as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".json", ".npy"}


# Fault 28: full disks; kills are in test_replacing.py

SAVE_ONCE = """
import sys, joblib, resource, seqfeat
model = joblib.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
try:
    seqfeat.save(model, sys.argv[2])
except OSError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("is_new", [True, False])
def test_fault_28_a_full_disk_leaves_what_was_there(tmp_path, pipeline, is_new):
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "m.joblib"
    if not is_new:
        seqfeat.save(pipeline[:1], path)
    before = {name: (folder / name).read_bytes() for name in names_in(folder)}
    joblib.dump(pipeline, tmp_path / "source")
    assert (tmp_path / "source").stat().st_size > 8_000
    command = [sys.executable, "-c", SAVE_ONCE, tmp_path / "source", path]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.stdout.startswith("refused: ")
    assert {name: (folder / name).read_bytes() for name in names_in(folder)} == before


def test_fault_28_an_unwritable_target_is_an_error(tmp_path, pipeline):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        seqfeat.save(pipeline, tmp_path / "file" / "m.joblib")
    (tmp_path / "folder.joblib").mkdir()
    with pytest.raises(OSError, match=r"folder\.joblib"):
        seqfeat.save(pipeline, tmp_path / "folder.joblib")
    assert names_in(tmp_path) == ["file", "folder.joblib"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_fault_28_a_read_only_folder_is_an_error(tmp_path, pipeline):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        seqfeat.save(pipeline, tmp_path / "m.joblib")


def test_what_cannot_be_pickled_leaves_the_old_model(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    before = path.read_bytes()
    local = make_classifier(memory=None)
    local.__dict__.update(pipeline.__dict__)
    local.steps = [*pipeline.steps[:-1], ("classifier", lambda: None)]
    with pytest.raises(Exception, match=r"pickle|lambda"):
        seqfeat.save(local, path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["m.joblib", "m.json"]
