"""Checkpoints as files, and fits that are killed and resumed and end as if nothing had happened."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from seqfeat import CheckpointWarning, InputError, LSTMAutoencoder
from seqfeat.training.checkpoints import Checkpoints, digest
from tests.damage import a_bit_of_each_byte, every_bit, flipped
from tests.training.examples import assert_equal_weights

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_thread"),
]
MAX_ITER = 6
KINDS = {
    "reservoir": {},
    "reservoir with labels": {"target_weight": 0.5, "dropout": 0.2, "early_stopping": False},
    "statistics": {"pooling": "statistics"},
    "corrupted": {
        "pooling": "statistics",
        "dropout": 0.2,
        "masking_ratio": 0.2,
        "input_noise": 0.1,
        "missing": "mask",
    },
    "stopped": {
        "pooling": "statistics",
        "early_stopping": True,
        "n_iter_no_change": 1,
        "learning_rate_init": 0.1,
    },
    "labelled": {"target_weight": 0.5, "pooling": "last"},
}


def waves(n_samples=40, n_timesteps=16, seed=0):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n_samples, 1))
    return np.sin(phase + np.arange(n_timesteps) / 2)[:, :, None] + rng.normal(0, 0.1, (1, 1, 1))


def labels(n_samples=40):
    return np.arange(n_samples) % 3


def autoencoder(folder, **params):
    fixed = {"embedding_dim": 4, "max_iter": MAX_ITER, "batch_size": 8, "random_state": 0}
    return LSTMAutoencoder(**{**fixed, "device": "cpu", "checkpoint_dir": folder, **params})


def assert_same_fit(model, other):
    for name in ("loss_curve_", "validation_loss_curve_", "n_iter_", "best_iter_", "best_score_"):
        assert getattr(model, name) == getattr(other, name), name
    assert_equal_weights(model.weights_, other.weights_)


# Files


def test_a_state_comes_back_as_it_was(tmp_path):
    checkpoints = Checkpoints.of_fit(tmp_path, 1, "abc")
    state = {
        "a": {"b": np.arange(3, dtype=np.float32), "c": [1, None, {"d": np.zeros((0, 2))}]},
        "losses": [0.1 + 0.2, float("inf"), 1e-300],
        "text": "epoch",
    }
    checkpoints.write(1, state)
    found = checkpoints.newest()
    assert digest(found) == digest(state)
    assert found["losses"] == state["losses"]
    assert found["a"]["b"].dtype == np.float32
    np.testing.assert_array_equal(found["a"]["b"], state["a"]["b"])
    assert found["a"]["c"][2]["d"].shape == (0, 2)


def test_only_the_two_newest_files_are_kept(tmp_path):
    checkpoints = Checkpoints.of_fit(tmp_path, 1, "abc")
    assert checkpoints.newest() is None
    for epoch in (1, 2, 10, 100):
        checkpoints.write(epoch, {"epoch": epoch})
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == ["epoch-00000010.checkpoint", "epoch-00000100.checkpoint"]
    assert checkpoints.newest() == {"epoch": 100}


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.arange(3.0), "n": 2},
        {"x": np.arange(3), "n": 1},
        {"x": np.arange(3.0)[:, None], "n": 1},
        {"x": np.array([0.0, 1.0, 2.0 + 1e-15]), "n": 1},
        {"y": np.arange(3.0), "n": 1},
        {"x": [0.0, 1.0, 2.0], "n": 1},
    ],
)
def test_a_digest_tells_states_apart(other):
    state = {"n": 1, "x": np.arange(3.0)}
    assert digest(state) == digest({"x": np.arange(6.0)[::2] / 2, "n": np.int64(1)})
    assert digest(state) != digest(other)


def test_fault_28_a_checkpoint_that_cannot_be_written_is_a_warning(tmp_path):
    checkpoints = Checkpoints(tmp_path / "gone", 1)
    message = r"after epoch 3: .*gone.*Training continues"
    with pytest.warns(CheckpointWarning, match=message) as caught:
        checkpoints.write(3, {"weights": np.zeros(3)})
    assert caught[0].filename == __file__
    assert checkpoints.newest() is None


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = autoencoder(tmp_path / "file")
    with pytest.raises(InputError, match=r"checkpoint_dir=.*file.* cannot be used.*or None"):
        model.fit(waves())
    assert not hasattr(model, "weights_")


# Resuming


class Killed(BaseException):
    """Caught by nothing in the library, just as a kill is not."""


class KillAfter:
    """A callback that kills the fit after some epochs and their checkpoints."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if (context.task_name, context.task_id) == ("epoch", self.n_epochs - 1):
            raise Killed


def kill_after(n_epochs, model):
    """Fit a copy of a model for some epochs; return the folder with its checkpoints."""
    copy = clone(model).set_callbacks(KillAfter(n_epochs))
    with pytest.raises(Killed):
        copy.fit(waves(), labels())
    (folder,) = Path(model.checkpoint_dir).iterdir()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_fault_27_a_fit_killed_in_any_epoch_ends_bit_equal(kind, tmp_path):
    whole = autoencoder(None, **KINDS[kind]).fit(waves(), labels())
    for epoch in range(1, whole.n_iter_ + 1):
        model = autoencoder(tmp_path / str(epoch), **KINDS[kind])
        kill_after(epoch, model)
        assert_same_fit(model.fit(waves(), labels()), whole)


def test_fault_27_a_fit_killed_several_times_ends_bit_equal(tmp_path):
    model = autoencoder(tmp_path)
    for n_epochs in (2, 1, 2):
        kill_after(n_epochs, model)
    assert_same_fit(model.fit(waves(), labels()), autoencoder(None).fit(waves(), labels()))


def test_a_fit_resumes_after_its_last_epoch(tmp_path, capsys):
    model = autoencoder(tmp_path)
    kill_after(4, model)
    model.set_params(verbose=1).fit(waves(), labels())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Epoch 5/6", "Epoch 6/6"]


def test_a_fit_without_a_seed_resumes_with_that_of_its_checkpoint(tmp_path):
    model = autoencoder(tmp_path, random_state=None, early_stopping=True)
    folder = kill_after(3, model)
    state = Checkpoints(folder, 1).newest()
    model.fit(waves(), labels())
    assert model.loss_curve_[:3] == state["history"]["loss_curve"]
    # From the epoch before its last one it ends in the same way: the split is the same, too.
    max(folder.iterdir()).unlink()
    again = clone(model).fit(waves(), labels())
    assert_same_fit(again, model)


def test_a_finished_fit_is_not_trained_again(tmp_path, capsys):
    stopped = {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 30}
    first = autoencoder(tmp_path, learning_rate_init=0.1, **stopped).fit(waves())
    assert first.n_iter_ < 30
    again = autoencoder(tmp_path, learning_rate_init=0.1, verbose=1, **stopped).fit(waves())
    assert_same_fit(again, first)
    assert capsys.readouterr().out == ""


def test_checkpoints_do_not_change_what_is_learned(tmp_path):
    model = autoencoder(tmp_path).fit(waves())
    assert_same_fit(model, autoencoder(None).fit(waves()))
    assert not [name for name in vars(model) if "checkpoint" in name and name.endswith("_")]


def test_checkpoint_every_counts_epochs(tmp_path):
    autoencoder(tmp_path, checkpoint_every=3, max_iter=7).fit(waves())
    (folder,) = tmp_path.iterdir()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch-00000003.checkpoint", "epoch-00000006.checkpoint"]


@pytest.mark.parametrize("change", ["parameter", "series"])
def test_another_fit_has_checkpoints_of_its_own(change, tmp_path):
    kill_after(4, autoencoder(tmp_path))
    X, params = waves(), {"embedding_dim": 5} if change == "parameter" else {}
    if change == "series":
        X[17, 3, 0] += 1e-9
    model = autoencoder(tmp_path, **params).fit(X, labels())
    assert_same_fit(model, autoencoder(None, **params).fit(X, labels()))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_search_keeps_its_fits_apart(tmp_path):
    searches = [
        GridSearchCV(autoencoder(folder, max_iter=2), {"embedding_dim": [2, 3]}, cv=2).fit(waves())
        for folder in (None, tmp_path, tmp_path)
    ]
    scores = [search.cv_results_["mean_test_score"].tolist() for search in searches]
    assert scores[0] == scores[1] == scores[2]
    assert len(list(tmp_path.iterdir())) == 5


# Damaged files (faults 25 and 43)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def assert_flips_lead_to_the_one_before(checkpoints, which):
    """Check that with any of these bits flipped, the newest checkpoint is named and not used."""
    newest = max(checkpoints.folder.iterdir())
    content, whole = newest.read_bytes(), digest(checkpoints.newest())
    newest.unlink()
    before = digest(checkpoints.newest())
    newest.write_bytes(content)
    for bit in flipped(newest, which(newest)):
        with pytest.warns(CheckpointWarning, match=f"{newest.name} is damaged"):
            assert digest(checkpoints.newest()) == before, bit
    assert digest(checkpoints.newest()) == whole != before


@pytest.fixture
def two_checkpoints(tmp_path):
    """Checkpoints whose files hold little but headers."""
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.write(1, {"epoch": 1})
    checkpoints.write(2, {"epoch": 2, "weights": [np.zeros(2), np.ones((1, 2))]})
    return checkpoints


def test_fault_43_a_flipped_bit_of_a_checkpoint_leads_to_the_one_before(two_checkpoints):
    assert_flips_lead_to_the_one_before(two_checkpoints, a_bit_of_each_byte)


@pytest.mark.fuzz
def test_fault_43_every_flipped_bit_of_a_checkpoint_leads_to_the_one_before(two_checkpoints):
    assert_flips_lead_to_the_one_before(two_checkpoints, every_bit)


def some_bits(path):
    """Return a thousand bits from all over a file."""
    chosen = np.random.default_rng(0).integers(8 * path.stat().st_size, size=1000)
    return [divmod(int(bit), 8) for bit in chosen]


@pytest.mark.fuzz
def test_fault_43_flipped_bits_of_a_fit_s_checkpoint_lead_to_the_one_before(tmp_path):
    folder = kill_after(4, autoencoder(tmp_path))
    assert_flips_lead_to_the_one_before(Checkpoints(folder, 1), some_bits)


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, empty])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, tmp_path):
    newest = max(kill_after(4, autoencoder(tmp_path)).iterdir())
    damage(newest)
    model = autoencoder(tmp_path)
    message = f"{newest.name} is damaged .*the one before it is used"
    with pytest.warns(CheckpointWarning, match=message) as caught:
        model.fit(waves(), labels())
    assert {warning.filename for warning in caught} == {__file__}
    assert_same_fit(model, autoencoder(None).fit(waves(), labels()))


def test_if_all_checkpoints_are_damaged_training_starts_again(tmp_path):
    for path in kill_after(4, autoencoder(tmp_path)).iterdir():
        empty(path)
    model = autoencoder(tmp_path)
    with pytest.warns(CheckpointWarning) as caught:
        model.fit(waves(), labels())
    assert "the one before it is used" in str(caught[0].message)
    assert "training starts again" in str(caught[-1].message)
    assert_same_fit(model, autoencoder(None).fit(waves(), labels()))


def test_a_checkpoint_in_another_format_is_not_read(tmp_path):
    checkpoints = Checkpoints.of_fit(tmp_path, 1, "abc")
    checkpoints.write(1, {"epoch": 1})
    (path,) = checkpoints.folder.iterdir()
    with path.open("wb") as file:
        np.savez(file, weights=np.zeros(2))
    with pytest.warns(CheckpointWarning, match="does not begin as this version's checkpoints do"):
        assert checkpoints.newest() is None


# A process that is killed, wherever it is

PROGRAM = """
import torch
from tests.training.test_checkpoints import autoencoder, waves
torch.set_num_threads(1)
autoencoder({folder!r}, max_iter={max_iter}, dropout=0.1).fit(waves())
"""


def newest_epoch(folder):
    return max((int(path.stem[6:]) for path in folder.glob("fit-*/epoch-*.checkpoint")), default=0)


@pytest.mark.slow
def test_fault_27_a_killed_process_is_resumed_and_ends_bit_equal(tmp_path):
    folder, max_iter = tmp_path / "checkpoints", 150
    program = PROGRAM.format(folder=str(folder), max_iter=max_iter)
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 120
    while newest_epoch(folder) <= 5 and time.monotonic() < deadline:
        time.sleep(0.003)
    process.kill()
    process.wait()
    assert 5 < newest_epoch(folder) < max_iter
    model = autoencoder(folder, max_iter=max_iter, dropout=0.1).fit(waves())
    assert_same_fit(model, autoencoder(None, max_iter=max_iter, dropout=0.1).fit(waves()))
