"""Saved models open unchanged, or with an error that says why they do not."""

import hashlib
import io
import json
import os
import resource
import shutil
import sys
import zipfile
from itertools import count
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

import seqfeat
from seqfeat import (
    InputError,
    LSTMAutoencoder,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    make_classifier,
)
from seqfeat.runtime.atomic_files import pending_path
from seqfeat.saving import model_files, persistence
from seqfeat.saving.card_format import encode_card
from seqfeat.saving.cards import installed_versions
from tests.damage import flipped
from tests.versions import skip_if_of_a_later_scikit_learn

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

GOLDEN = Path(__file__).parents[1] / "golden"
FORMATS = ["joblib", "skops"]


@pytest.fixture(scope="module")
def autoencoders(utterances):
    """Two models of different sizes."""
    X = utterances[0][:4]
    return [LSTMAutoencoder(size, max_iter=0, random_state=0).fit(X) for size in (2, 12)]


@pytest.fixture(scope="module")
def search(utterances):
    model = make_classifier(max_iter=1, random_state=0)
    return GridSearchCV(model, {"autoencoder__embedding_dim": [2, 4]}, cv=2).fit(*utterances)


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path, pipeline):
    return seqfeat.save(pipeline, tmp_path / f"model.{request.param}")


@pytest.fixture
def model_path(tmp_path, autoencoders):
    return seqfeat.save(autoencoders[0], tmp_path / "model.joblib")


@pytest.fixture(params=["joblib", "skops"])
def in_each_format(request, tmp_path, autoencoders):
    return seqfeat.save(autoencoders[0], tmp_path / f"model.{request.param}")


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def change_card(path, **changes):
    """Change fields of a model's card, and its own checksum accordingly."""
    card = {**card_of(path), **changes}
    path.with_suffix(".json").write_bytes(encode_card(card))


def refusal(path, error=ModelFileError, **options):
    with pytest.raises(error) as caught:
        seqfeat.load(path, **options)
    return str(caught.value)


def names_in(folder):
    return sorted(os.listdir(folder))


# There and back


def test_a_saved_model_loads_unchanged(saved, pipeline, utterances):
    again = seqfeat.load(saved)
    X, _ = utterances
    np.testing.assert_array_equal(again.predict_proba(X), pipeline.predict_proba(X))
    assert again.get_params().keys() == pipeline.get_params().keys()
    assert names_in(saved.parent) == sorted(["model.json", saved.name])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_saved_regressor_loads_unchanged(tmp_path, regressor, utterances, suffix):
    X, _ = utterances
    again = seqfeat.load(seqfeat.save(regressor, tmp_path / f"model.{suffix}"))
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))


def test_a_joblib_file_is_an_ordinary_one(tmp_path, pipeline, utterances):
    path = seqfeat.save(pipeline, tmp_path / "model.joblib")
    X, _ = utterances
    np.testing.assert_array_equal(joblib.load(path).predict(X), pipeline.predict(X))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_model_fitted_on_a_stream_continues_it_after_loading(tmp_path, utterances, suffix):
    X, _ = utterances
    stream = LSTMAutoencoder(4, random_state=np.random.RandomState(0)).partial_fit(X)
    again = seqfeat.load(seqfeat.save(stream, tmp_path / f"stream.{suffix}"))
    np.testing.assert_array_equal(
        again.partial_fit(X).transform(X), stream.partial_fit(X).transform(X)
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_search_loads_with_its_best_estimator(tmp_path, utterances, search, suffix):
    path = seqfeat.save(search, tmp_path / f"search.{suffix}")
    trusted = [
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.StratifiedKFold",
        # With scikit-learn before 1.8.
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    ]
    again = seqfeat.load(path, trusted=trusted)
    np.testing.assert_array_equal(again.predict(utterances[0]), search.predict(utterances[0]))
    best = search.best_params_["autoencoder__embedding_dim"]
    assert card_of(path)["input"]["embedding_dim"] == best


def test_folders_are_created_and_links_are_followed(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "new" / "folder" / "model.joblib")
    link = tmp_path / "link.joblib"
    link.symlink_to(path)
    before = path.read_bytes()
    seqfeat.save(pipeline[:1], link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert len(seqfeat.load(link)) == 1


def test_files_have_the_usual_permissions(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "model.joblib")
    (tmp_path / "other").touch()
    expected = (tmp_path / "other").stat().st_mode
    assert path.stat().st_mode == path.with_suffix(".json").stat().st_mode == expected


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


def test_a_path_can_be_checked_before_training(tmp_path, model_path):
    persistence.check_can_save(tmp_path / "new" / "m.joblib")
    assert names_in(tmp_path / "new") == []
    persistence.check_can_save(model_path)
    with pytest.raises(InputError, match=r"suffix '\.pkl'"):
        persistence.check_can_save(tmp_path / "m.pkl")
    with pytest.raises(ModelFileError, match=r"is the card of model\.joblib"):
        persistence.check_can_save(model_path.with_suffix(".skops"))


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        seqfeat.save(make_classifier(), tmp_path / "m.joblib")
    assert names_in(tmp_path) == []


def test_a_model_that_cannot_be_pickled_leaves_the_old_one(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    before = path.read_bytes()
    local = make_classifier(memory=None)
    local.__dict__.update(pipeline.__dict__)
    local.steps = [*pipeline.steps[:-1], ("classifier", lambda: None)]
    with pytest.raises(Exception, match=r"pickle|lambda"):
        seqfeat.save(local, path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["m.joblib", "m.json"]


# skops


class Constant(ClassifierMixin, BaseEstimator):
    """A classifier that skops cannot know."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_unknown_types_are_refused_by_name_until_they_are_trusted(tmp_path, utterances):
    model = make_classifier(2, Constant(), max_iter=0, random_state=0).fit(*utterances)
    path = seqfeat.save(model, tmp_path / "m.skops")
    name = f"{Constant.__module__}.Constant"
    assert f"types that are not trusted: {name}" in refusal(path)
    again = seqfeat.load(path, trusted=[name])
    assert again.predict(utterances[0]).tolist() == model.predict(utterances[0]).tolist()


def test_the_error_for_a_missing_skops_names_the_extra(tmp_path, pipeline, monkeypatch):
    path = seqfeat.save(pipeline, tmp_path / "m.skops")
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[secure\]'"):
        seqfeat.save(pipeline, tmp_path / "n.skops")
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[secure\]'"):
        seqfeat.load(path)


def test_a_skops_file_contains_no_pickle(tmp_path, pipeline):
    with zipfile.ZipFile(seqfeat.save(pipeline, tmp_path / "m.skops")) as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".json", ".npy"}


# Fault 25: damaged and foreign files


def positions(size):
    """Return at least 500 positions: both ends, and others from all over the file."""
    chosen = np.random.default_rng(0).choice(size, min(400, size), replace=False)
    return sorted({*range(min(64, size)), *range(max(0, size - 64), size), *chosen.tolist()})


@pytest.mark.parametrize("suffix", FORMATS)
def test_fault_25_every_flipped_bit_is_noticed(tmp_path, autoencoders, suffix):
    path = seqfeat.save(autoencoders[0], tmp_path / f"m.{suffix}")
    bits = [(position, position % 8) for position in positions(path.stat().st_size)]
    for _ in flipped(path, bits):
        refusal(path)
    seqfeat.load(path)


def test_fault_44_a_flipped_bit_in_the_card_is_noticed(in_each_format):
    card = in_each_format.with_suffix(".json")
    n_bytes = card.stat().st_size
    for _ in flipped(card, [(position, 1) for position in range(0, n_bytes, 100)]):
        refusal(in_each_format)
    seqfeat.load(in_each_format)


def test_fault_25_truncated_and_empty_files_are_refused(saved):
    intact = saved.read_bytes()
    for length in [1, 100, len(intact) // 2, len(intact) - 1]:
        saved.write_bytes(intact[:length])
        assert "does not match its card" in refusal(saved)
    saved.write_bytes(b"")
    assert "is empty" in refusal(saved)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"card_version": 1}', "\0"])
def test_fault_25_damaged_cards_are_refused(in_each_format, content):
    in_each_format.with_suffix(".json").write_text(content)
    message = refusal(in_each_format)
    assert "not a model card" in message
    assert "save the model again" in message


def test_fault_25_a_file_is_checked_before_it_is_opened(tmp_path, pipeline):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    joblib.dump(Trap(), path)
    refusal(path)
    assert not (tmp_path / "executed").exists()


def test_fault_25_a_card_is_loaded_without_opening_its_model_but_after_checking_it(model_path):
    assert persistence.load_card(model_path) == card_of(model_path)
    model_path.write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match="does not match its card"):
        persistence.load_card(model_path)


# Undamaged files that are no models


def write_with_card(path, content, **card):
    """Write a file that is not a model, with a card that matches it."""
    data = io.BytesIO()
    joblib.dump(content, data)
    known = {**json.loads((GOLDEN / "joblib" / "golden.json").read_bytes()), "card_version": 2}
    about = {"sha256": hashlib.sha256(data.getvalue()).hexdigest(), "bytes": data.tell()}
    path.write_bytes(data.getvalue())
    path.with_suffix(".json").write_bytes(
        encode_card({**known, **about, "versions": installed_versions(), **card})
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"weights": [1, 2]}, "dict"),
        (np.zeros(3), "ndarray"),
        (None, "NoneType"),
        (StandardScaler, "type"),
        (StandardScaler(), "StandardScaler"),
        (LSTMAutoencoder(), "LSTMAutoencoder"),
    ],
)
def test_a_file_without_a_fitted_estimator_says_what_it_contains(tmp_path, content, name):
    write_with_card(tmp_path / "m.joblib", content)
    message = refusal(tmp_path / "m.joblib")
    assert f"contains no fitted estimator, only an object of the type {name}:" in message


def test_any_fitted_estimator_is_saved_and_loaded(tmp_path):
    path = seqfeat.save(StandardScaler().fit([[1.0], [3.0]]), tmp_path / "scaler.joblib")
    assert seqfeat.load(path).mean_.tolist() == [2.0]


def test_a_skops_file_is_never_opened_as_joblib_whatever_its_card_says(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    write_with_card(tmp_path / "m.skops", Trap(), format="joblib")
    write_with_card(tmp_path / "plain", Trap(), format="joblib")
    (tmp_path / "link.skops").symlink_to(tmp_path / "plain")
    for name in ("m.skops", "link.skops"):
        message = refusal(tmp_path / name)
        assert "named like a skops file, but its card says that it is a joblib file" in message
    assert not (tmp_path / "executed").exists()


# Fault 36: versions


def test_fault_36_a_newer_version_is_named_along_with_this_one(in_each_format):
    change_card(in_each_format, versions={**card_of(in_each_format)["versions"], "seqfeat": "99.1"})
    message = refusal(in_each_format, error=ModelVersionError)
    assert "saved by seqfeat 99.1" in message
    assert f"this is seqfeat {seqfeat.__version__}" in message


def test_fault_36_a_newer_card_is_refused(in_each_format):
    change_card(in_each_format, card_version=99)
    assert "card of version 99" in refusal(in_each_format, error=ModelVersionError)


@pytest.mark.parametrize("name", ["scikit-learn", "numpy"])
def test_fault_36_another_minor_version_leads_to_a_warning(in_each_format, name):
    change_card(in_each_format, versions={**card_of(in_each_format)["versions"], name: "1.0.3"})
    with pytest.warns(ModelVersionWarning, match=f"saved with {name} 1.0.3"):
        seqfeat.load(in_each_format)


def test_fault_36_the_error_for_a_file_that_cannot_be_opened_names_the_versions(tmp_path, pipeline):
    path = seqfeat.save(pipeline, tmp_path / "m.joblib")
    data = path.read_bytes().replace(b"StandardScaler", b"StandardScalar")
    path.write_bytes(data)
    change_card(path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    assert "cannot be opened: AttributeError" in refusal(path)
    assert f"saved by seqfeat {seqfeat.__version__}" in refusal(path)


@pytest.mark.filterwarnings("ignore::seqfeat.ModelVersionWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("suffix", FORMATS)
def test_fault_36_the_golden_files_of_earlier_versions_open(suffix):
    """Made by tests/golden/make.py with seqfeat 0.1.0, and never made again."""
    with np.load(GOLDEN / "golden.npz") as expected:
        X, lengths = expected["X"], expected["lengths"]
        series = [row[:length] for row, length in zip(X, lengths, strict=True)]
        model = seqfeat.load(GOLDEN / suffix / f"golden.{suffix}")
        # Parameters that were added since have their defaults.
        assert clone(model["autoencoder"]).get_params()["checkpoint_dir"] is None
        np.testing.assert_allclose(
            model["autoencoder"].transform(series), expected["embeddings"], atol=1e-5
        )
        skip_if_of_a_later_scikit_learn(GOLDEN / suffix / f"golden.{suffix}")
        np.testing.assert_allclose(
            model.predict_proba(series), expected["probabilities"], atol=1e-4
        )
        assert model.predict(series).tolist() == expected["labels"].tolist()


# Faults 26 and 28: kills, interruptions and full disks


@pytest.fixture
def save(autoencoders):
    """A function that saves one of the two models."""

    def save(which, path):
        return seqfeat.save(autoencoders[which], path, metrics={"which": which})

    return save


@pytest.fixture
def loaded(autoencoders):
    """A function that tells which of the two models a file contains, and checks it."""

    def loaded(path):
        model = seqfeat.load(path)
        which = card_of(path)["metrics"]["which"]
        for name, weight in autoencoders[which].weights_.items():
            np.testing.assert_array_equal(model.weights_[name], weight)
        return which

    return loaded


@pytest.fixture
def copies_of(tmp_path_factory, monkeypatch):
    """A function that calls another, and copies a folder before each of its file operations.

    A kill at that moment would leave the folder as it is copied.
    """

    def copies_of(folder, work):
        parent, copies = tmp_path_factory.mktemp("copies"), []

        def copy():
            copies.append(parent / str(len(copies)))
            shutil.copytree(folder, copies[-1])

        with monkeypatch.context() as patch:
            for owner, name in [
                (os, "fsync"),
                *((Path, name) for name in ("open", "replace", "chmod", "unlink")),
            ]:
                patch.setattr(owner, name, copy_before(getattr(owner, name), copy))
            work()
        copy()
        return copies

    return copies_of


def copy_before(operation, copy):
    def copy_and_operate(*args, **options):
        copy()
        return operation(*args, **options)

    return copy_and_operate


@pytest.mark.parametrize("has_old_model", [True, False])
def test_fault_26_killed_at_any_step_there_is_a_model_that_loads(
    tmp_path, save, loaded, copies_of, has_old_model
):
    path = tmp_path / "models" / "m.joblib"
    path.parent.mkdir()
    if has_old_model:
        save(0, path)
    outcomes = []
    for folder in copies_of(path.parent, lambda: save(1, path)):
        copy = folder / path.name
        is_pending = copy.exists() and not card_matches(copy)
        which = loaded(copy) if copy.exists() else 0
        outcomes.append((which, is_pending))
        assert not copy.exists() or card_matches(copy)  # loading has completed the save
        save(0, copy)
        assert names_in(folder) == ["m.joblib", "m.json"]
    assert outcomes == sorted(outcomes, key=[(0, False), (1, True), (1, False)].index)
    assert set(outcomes) == {(0, False), (1, True), (1, False)}


def card_matches(path):
    """Tell whether model and card match, without looking for a pending card."""
    try:
        return card_of(path)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("step", range(3))
def test_an_interrupted_save_leaves_the_old_model_or_the_new_one(
    tmp_path, save, loaded, monkeypatch, step
):
    path = save(0, tmp_path / "m.joblib")
    replace, steps = Path.replace, count()

    def interrupted(path, target):
        if next(steps) == step:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(1, path)
    assert loaded(path) == (0 if step < 2 else 1)
    assert names_in(tmp_path) == ["m.joblib", "m.json"]


def test_a_read_only_model_loads_with_its_pending_card(
    tmp_path, autoencoders, save, loaded, monkeypatch
):
    path = save(0, tmp_path / "m.joblib")
    card = path.with_suffix(".json")
    first = card.read_bytes()
    save(1, path)
    card.rename(pending_path(card, card_of(path)["sha256"]))
    card.write_bytes(first)

    def refuse(path, target):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        assert seqfeat.load(path).embedding_dim_ == autoencoders[1].embedding_dim_
    assert len(names_in(tmp_path)) == 3
    assert loaded(path) == 1
    assert names_in(tmp_path) == ["m.joblib", "m.json"]


def test_a_model_that_is_saved_while_it_is_read_is_read_again(tmp_path, save, loaded, monkeypatch):
    path = save(0, tmp_path / "m.joblib")
    read, saves = model_files._read_file, [0, 1] * 4

    def read_before_a_save(target):
        data = read(target)
        if saves:
            save(saves.pop(), target)
        return data

    monkeypatch.setattr(model_files, "_read_file", read_before_a_save)
    assert loaded(path) == 0
    assert saves == []


@pytest.mark.parametrize("has_old_model", [True, False])
def test_fault_28_a_full_disk_is_an_error_and_changes_nothing(
    tmp_path, save, loaded, has_old_model
):
    path = tmp_path / "models" / "m.joblib"
    if has_old_model:
        save(0, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(OSError, match=r"not saved, and any existing file.*models/m\.joblib"):
            save(1, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(path.parent) == (["m.joblib", "m.json"] if has_old_model else [])
    assert not has_old_model or loaded(path) == 0


def test_fault_28_an_unwritable_target_is_an_error(tmp_path, save):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OSError, match=r"not saved.*file/m\.joblib"):
        save(0, tmp_path / "file" / "m.joblib")
    (tmp_path / "folder.joblib").mkdir()
    with pytest.raises(OSError, match=r"not saved.*folder\.joblib"):
        save(0, tmp_path / "folder.joblib")
    assert names_in(tmp_path) == ["file", "folder.joblib"]
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_fault_28_a_read_only_folder_is_an_error(tmp_path, save):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="not saved"):
        save(0, tmp_path / "m.joblib")
