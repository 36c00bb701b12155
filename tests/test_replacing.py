"""Saving that is killed, interrupted or refused: the old pair is whole, or the new one is.

Called as a program, this file is the one that gets killed: it forks savers, kills
them, and prints what `seqfeat.load` made of what they left.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import seqfeat
from seqfeat.runtime.atomic_files import pending_path, replace_pair

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
is_root = hasattr(os, "geteuid") and os.geteuid() == 0


def models(n_models=3):
    """Return autoencoders of different sizes; the metric ``which`` of each is its index."""
    X = np.random.default_rng(0).normal(size=(8, 10, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        sizes = [2 + 10 * (which % 2) for which in range(n_models)]
        return [
            seqfeat.LSTMAutoencoder(size, max_iter=0, random_state=which).fit(X)
            for which, size in enumerate(sizes)
        ]


def save(which, path):
    seqfeat.save(MODELS[which], path, metrics={"which": which})


def loaded(path):
    """Return which model is there, or raise if there is another one or half of one."""
    model = seqfeat.load(path)
    which = json.loads(path.with_suffix(".json").read_text())["metrics"]["which"]
    for name, weight in MODELS[which].weights_.items():
        np.testing.assert_array_equal(model.weights_[name], weight)
    return which


# The program


def forked(work):
    """Run `work` in a child and return its process number."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return child


def save_killed_at(step, which, path):
    """Save, and be killed just before the file operation of this number."""
    passed = count()

    def kill_in_time(event, arguments):
        if event in WATCHED and next(passed) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill_in_time)
    save(which, path)


WATCHED = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "os.scandir",
    "fcntl.flock",
}  # fmt: skip


def was_killed(child):
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def killed_at_every_step(folder, with_old_model):
    """Return, for each step, what was there afterwards."""
    outcomes = []
    for step in count():
        path = folder / str(step) / "model.joblib"
        path.parent.mkdir()
        if with_old_model:
            save(0, path)
        killed = was_killed(forked(lambda step=step, path=path: save_killed_at(step, 1, path)))
        needs_pending = not fits(path)
        try:
            outcome = "new" if loaded(path) == 1 else "old"
        except FileNotFoundError:
            outcome = "nothing"
        outcomes.append(outcome + " by its pending card" * (needs_pending and outcome == "new"))
        save(2, path)
        assert loaded(path) == 2
        assert len(os.listdir(path.parent)) == 2, os.listdir(path.parent)
        if not killed:
            return outcomes


def fits(path):
    """Tell whether model and card fit, without looking for a pending card."""
    try:
        card = json.loads(path.with_suffix(".json").read_text())
        return card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return False


def killed_at_random(folder, n_kills):
    """Kill savers that save one model after the other; return how often which was left."""
    path, rng, found = folder / "model.joblib", random.Random(0), Counter()
    save(0, path)

    def save_on():
        for turn in count(1):
            save(turn % 2, path)

    for _ in range(n_kills):
        child = forked(save_on)
        time.sleep(rng.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        assert was_killed(child)
        found[loaded(path)] += 1
    save(2, path)
    assert len(os.listdir(folder)) == 2
    return found


def disk_full(folder):
    """Save with limits on the size of files; return the errors."""
    path, errors = folder / "model.joblib", []
    save(0, path)
    before = [path.read_bytes(), path.with_suffix(".json").read_bytes()]
    new = folder / "new" / "model.joblib"
    for limit in (0, 100, len(before[1]) - 1, len(before[1]) + 1, len(before[0]) + 1):
        for target in (path, new):
            answer, writer = os.pipe()
            child = forked(lambda limit=limit, to=target, out=writer: save_limited(limit, to, out))
            assert not was_killed(child)
            os.close(writer)
            with open(answer) as file:
                errors.append(file.read())
        assert [path.read_bytes(), path.with_suffix(".json").read_bytes()] == before
        assert loaded(path) == 0
        assert sorted(os.listdir(folder)) == ["model.joblib", "model.json", "new"]
        assert os.listdir(new.parent) == []
    return errors


def save_limited(limit, path, answer):
    import resource

    # Model 1 is larger than model 0, whose sizes are the limits.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save(1, path)
    except OSError as error:
        os.write(answer, str(error).encode())


def several_savers(folder, n_saves):
    """Load all the time while three processes save; return how often which was found."""
    path, found = folder / "model.joblib", Counter()
    save(0, path)

    def save_often(which):
        for _ in range(n_saves):
            save(which, path)

    children = [forked(lambda which=which: save_often(which)) for which in range(3)]
    running = set(children)
    while running:
        seqfeat.load(path)
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG)
            assert status == 0
            running.discard(ended)
        found["loads"] += 1
    found[loaded(path)] += 1
    assert len(os.listdir(folder)) == 2
    return found


def main(folder):
    def within(name):
        (folder / name).mkdir()
        return folder / name

    report = {
        "every step": killed_at_every_step(within("a"), with_old_model=True),
        "first save": killed_at_every_step(within("b"), with_old_model=False),
        "random": killed_at_random(within("c"), n_kills=60),
        "disk full": disk_full(within("d")),
        "several": several_savers(within("e"), n_saves=25),
    }
    print(json.dumps(report))


# The tests


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    program = [sys.executable, __file__, tmp_path_factory.mktemp("killed")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_fault_26_killed_at_any_step_the_old_model_is_whole_or_the_new_one(report):
    outcomes = report["every step"]
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert outcomes == sorted(outcomes, key=lambda outcome: outcome != "old")
    # Between the two renamings there is a moment, and it was hit.
    assert outcomes.count("old") > 5
    assert outcomes.count("new by its pending card") > 0
    assert outcomes.count("new") > 1


def test_fault_26_killed_in_a_first_save_there_is_nothing_or_a_whole_model(report):
    outcomes = report["first save"]
    assert set(outcomes) == {"nothing", "new by its pending card", "new"}
    assert outcomes[0] == "nothing"
    assert outcomes[-1] == "new"


def test_fault_26_killed_at_random_moments_there_is_a_whole_model(report):
    assert set(report["random"]) == {"0", "1"}
    assert sum(report["random"].values()) == 60


def test_fault_28_a_full_disk_is_an_error_and_leaves_nothing(report):
    # What was there before is compared by the program.
    assert len(report["disk full"]) == 10
    for message in report["disk full"]:
        assert "not saved, and what was there before is whole" in message
        assert "model.joblib" in message


def test_savers_take_turns_and_every_load_meanwhile_succeeds(report):
    assert report["several"].pop("loads") > 10
    assert sum(report["several"].values()) == 1


# Without a kill


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.joblib"
    save(0, path)
    return path


def test_fault_28_a_parent_that_is_a_file_is_an_error(saved):
    before = saved.read_bytes()
    with pytest.raises(OSError, match=r"not saved.*model\.joblib/new\.joblib"):
        save(1, saved / "new.joblib")
    assert saved.read_bytes() == before
    assert loaded(saved) == 0


@pytest.mark.skipif(is_root, reason="root may write anywhere")
def test_fault_28_a_folder_without_permission_is_an_error(saved):
    saved.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="not saved"):
            save(1, saved)
    finally:
        saved.parent.chmod(0o700)
    assert loaded(saved) == 0
    assert len(os.listdir(saved.parent)) == 2


@pytest.mark.skipif(is_root, reason="root may write anywhere")
@pytest.mark.parametrize("suffix", [".joblib", ".json"])
def test_fault_28_a_file_that_is_protected_is_not_replaced(saved, suffix):
    saved.with_suffix(suffix).chmod(0o400)
    with pytest.raises(PermissionError, match="not saved"):
        save(1, saved)
    assert loaded(saved) == 0
    assert len(os.listdir(saved.parent)) == 2


def test_fault_28_a_card_s_place_taken_by_a_folder_is_an_error(tmp_path):
    (tmp_path / "model.json").mkdir()
    with pytest.raises(OSError, match=r"model\.json"):
        save(1, tmp_path / "model.joblib")
    assert os.listdir(tmp_path) == ["model.json"]


@pytest.mark.parametrize("step", range(4))
def test_an_interruption_leaves_the_old_pair_or_the_new_one(saved, monkeypatch, step):
    replace, steps = Path.replace, count()

    def interrupted(path, target):
        if next(steps) == step:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    if step < 3:
        with pytest.raises(KeyboardInterrupt):
            save(1, saved)
    else:
        save(1, saved)
    monkeypatch.undo()
    n_files = 3 if step == 2 else 2
    assert len(os.listdir(saved.parent)) == n_files
    assert loaded(saved) == (0 if step < 2 else 1)
    assert len(os.listdir(saved.parent)) == 2


def test_a_pending_card_is_kept_while_its_model_needs_it(tmp_path, monkeypatch):
    main, card = tmp_path / "main", tmp_path / "card"
    replace_pair(main, b"1", card, b"card 1", "one")
    replace_pair(main, b"2", card, b"card 2", "two")
    # As a kill leaves it: the second model with the first one's card.
    card.write_bytes(b"card 1")
    pending_path(card, "two").write_bytes(b"card 2")
    monkeypatch.setattr(os, "fsync", lambda descriptor: 1 / 0)
    for content, key in ((b"2", "two"), (b"3", "three")):
        with pytest.raises(ZeroDivisionError):
            replace_pair(main, content, card, b"another", key)
    assert main.read_bytes() == b"2"
    assert pending_path(card, "two").read_bytes() == b"card 2"
    assert len(os.listdir(tmp_path)) == 3


def test_a_model_that_may_only_be_read_loads_with_its_pending_card(saved, monkeypatch):
    card = saved.with_suffix(".json")
    first = card.read_bytes()
    save(1, saved)
    card.rename(pending_path(card, json.loads(card.read_text())["sha256"]))
    card.write_bytes(first)

    def refuse(path, target):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "replace", refuse)
    model = seqfeat.load(saved)
    assert model.embedding_dim_ == MODELS[1].embedding_dim_
    monkeypatch.undo()
    assert loaded(saved) == 1


MODELS = models()

if __name__ == "__main__":
    main(Path(sys.argv[1]))
