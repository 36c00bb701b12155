"""A training that is killed and goes on, and ends as if nothing had happened."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from seqfeat import CheckpointWarning, InputError, LSTMAutoencoder
from seqfeat.autoencoder import learned_attributes
from seqfeat.nn.network import weights_of
from seqfeat.training.checkpoints import Checkpoints, digest
from seqfeat.training.fit import run_fit
from seqfeat.training.plan import plan_fit

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_thread"),
]
MAX_ITER = 6
KINDS = {
    "plain": {},
    "random": {"dropout": 0.2, "masking_ratio": 0.2, "input_noise": 0.1, "missing": "mask"},
    "watched": {"early_stopping": True, "n_iter_no_change": 1, "learning_rate_init": 0.1},
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


def assert_alike(model, other):
    for name in ("loss_curve_", "validation_loss_curve_", "n_iter_", "best_iter_", "best_score_"):
        assert getattr(model, name) == getattr(other, name), name
    assert_equal_weights(model.weights_, other.weights_)


def assert_equal_weights(weights, other):
    assert set(weights) == set(other)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


class Killed(BaseException):
    """What no part of the library catches, as nobody catches a kill."""


class KilledIn:
    """An observer in whose epoch the process ends."""

    def __init__(self, epoch):
        self.epoch = epoch

    def begin_epoch(self):
        """Do nothing."""

    def end_epoch(self, network, history):
        """End in the given epoch."""
        if history.n_iter == self.epoch:
            raise Killed
        return False


def cut_short(model, epoch, X=None):
    """Fit until an epoch; its checkpoint, like everything after, is not written."""
    plan, _ = plan_fit(model, waves() if X is None else X, labels())
    plan.checkpoints.folder.mkdir(exist_ok=True)
    before = set(plan.checkpoints.folder.iterdir())
    with pytest.raises(Killed):
        run_fit(plan, KilledIn(epoch))
    return plan, before


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_fault_27_a_fit_cut_short_in_any_epoch_ends_bit_equal(kind, tmp_path):
    whole = autoencoder(None, **KINDS[kind]).fit(waves(), labels())
    for epoch in range(1, whole.n_iter_ + 1):
        model = autoencoder(tmp_path / str(epoch), **KINDS[kind])
        cut_short(model, epoch)
        assert_alike(model.fit(waves(), labels()), whole)


def test_a_fit_goes_on_where_it_was(tmp_path, capsys):
    model = autoencoder(tmp_path, verbose=1)
    cut_short(model, 4)
    model.fit(waves(), labels())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Epoch 5/6", "Epoch 6/6"]


def test_a_finished_fit_is_not_trained_again(tmp_path, capsys):
    first = autoencoder(tmp_path, early_stopping=True, n_iter_no_change=1, max_iter=30)
    first.set_params(learning_rate_init=0.1).fit(waves())
    assert first.n_iter_ < 30
    again = autoencoder(tmp_path).set_params(**first.get_params()).set_params(verbose=1)
    assert_alike(again.fit(waves()), first)
    assert capsys.readouterr().out == ""


def test_checkpoints_do_not_change_what_is_learned(tmp_path):
    assert_alike(autoencoder(tmp_path).fit(waves()), autoencoder(None).fit(waves()))


def test_every_so_many_epochs_and_the_newest_two(tmp_path):
    autoencoder(tmp_path, checkpoint_every=2, max_iter=7).fit(waves())
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "epoch-00000004.npz",
        "epoch-00000006.npz",
    ]


def test_without_a_seed_the_checkpoint_has_it(tmp_path):
    model = autoencoder(tmp_path, random_state=None)
    plan, _ = cut_short(model, 3)
    state = plan.checkpoints.newest()
    model.fit(waves(), labels())
    assert model.loss_curve_[:3] == state["history"]["loss_curve"]
    seeded = replace(plan_fit(autoencoder(None), waves(), labels())[0], seed=state["seed"])
    network = run_fit(seeded, KilledIn(None)).network
    assert_equal_weights(model.weights_, weights_of(network))


@pytest.mark.parametrize(
    "change",
    [{"embedding_dim": 5}, {"random_state": 1}, {"max_iter": 7}, {"scale": None}, {"dropout": 0.1}],
)
def test_another_fit_has_checkpoints_of_its_own(change, tmp_path):
    cut_short(autoencoder(tmp_path), 4)
    model = autoencoder(tmp_path, **change).fit(waves(), labels())
    assert_alike(model, autoencoder(None, **change).fit(waves(), labels()))
    assert len(list(tmp_path.iterdir())) == 2


def test_other_series_have_checkpoints_of_their_own(tmp_path):
    cut_short(autoencoder(tmp_path), 4)
    X = waves()
    X[17, 3, 0] += 1e-9
    assert_alike(autoencoder(tmp_path).fit(X, labels()), autoencoder(None).fit(X, labels()))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_search_keeps_its_fits_apart(tmp_path):
    searches = [
        GridSearchCV(autoencoder(folder), {"embedding_dim": [2, 3]}, cv=2).fit(waves())
        for folder in (None, tmp_path, tmp_path)
    ]
    scores = [search.cv_results_["mean_test_score"].tolist() for search in searches]
    assert scores[0] == scores[1] == scores[2]
    assert len(list(tmp_path.iterdir())) == 5


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, empty])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, tmp_path):
    plan, _ = cut_short(autoencoder(tmp_path), 4)
    newest = max(plan.checkpoints.folder.iterdir())
    damage(newest)
    model = autoencoder(tmp_path)
    with pytest.warns(CheckpointWarning, match=f"{newest.name} is damaged"):
        model.fit(waves(), labels())
    assert_alike(model, autoencoder(None).fit(waves(), labels()))


def test_if_all_are_damaged_the_fit_begins_anew(tmp_path):
    plan, _ = cut_short(autoencoder(tmp_path), 4)
    for path in plan.checkpoints.folder.iterdir():
        empty(path)
    model = autoencoder(tmp_path)
    with pytest.warns(CheckpointWarning, match="damaged"):
        model.fit(waves(), labels())
    assert_alike(model, autoencoder(None).fit(waves(), labels()))


def test_fault_28_a_checkpoint_that_cannot_be_written_is_a_warning(tmp_path):
    checkpoints = Checkpoints(tmp_path / "gone", 1)
    with pytest.warns(CheckpointWarning, match="after epoch 3: .*gone.*Training goes on"):
        checkpoints.write(3, {"weights": np.zeros(3)})
    assert checkpoints.newest() is None


def test_a_folder_that_cannot_be_made_is_an_error_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = autoencoder(tmp_path / "file")
    with pytest.raises(InputError, match=r"checkpoint_dir=.*file.* cannot be used"):
        model.fit(waves())
    assert not hasattr(model, "weights_")


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
    np.testing.assert_array_equal(found["a"]["b"], state["a"]["b"])
    assert found["a"]["c"][2]["d"].shape == (0, 2)


PROGRAM = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_checkpoints import autoencoder, waves
torch.set_num_threads(1)
autoencoder({folder!r}, max_iter=400, dropout=0.1).fit(waves())
"""


def test_fault_27_killed_again_and_again_it_ends_bit_equal(tmp_path):
    folder = tmp_path / "checkpoints"
    program = PROGRAM.format(tests=os.path.dirname(__file__), folder=str(folder))
    n_epochs = [0]
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program])
        deadline = time.monotonic() + 60
        while newest_epoch(folder) <= n_epochs[-1] + 5 and time.monotonic() < deadline:
            time.sleep(0.003)
        process.kill()
        process.wait()
        n_epochs.append(newest_epoch(folder))
    assert n_epochs == sorted(set(n_epochs))
    assert n_epochs[-1] < 400
    model = autoencoder(folder, max_iter=400, dropout=0.1).fit(waves())
    assert_alike(model, autoencoder(None, max_iter=400, dropout=0.1).fit(waves()))


def newest_epoch(folder):
    return max((int(path.stem[6:]) for path in folder.glob("fit-*/epoch-*.npz")), default=0)


def test_learned_attributes_say_nothing_of_checkpoints(tmp_path):
    plan, _ = plan_fit(autoencoder(tmp_path), waves(), None)
    outcome = run_fit(plan, KilledIn(None))
    assert not [name for name in learned_attributes(outcome) if "checkpoint" in name]
