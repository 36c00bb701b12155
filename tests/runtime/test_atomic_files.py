"""A file, or a pair of files, is replaced completely or not at all.

Kills, full disks and interruptions; what `seqfeat.load` makes of what they leave behind is
in tests/saving/test_persistence.py.
"""

import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from seqfeat.runtime.atomic_files import (
    atomic_write,
    pending_path,
    promote_pending,
    replace_pair,
    replacing,
)

is_root = os.geteuid() == 0


@contextmanager
def full_disk(limit):
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names_in(folder):
    return sorted(os.listdir(folder))


# Single files


def test_a_file_is_created_and_replaced(tmp_path):
    path = tmp_path / "model.onnx"
    atomic_write(path, b"first")
    assert path.read_bytes() == b"first"
    atomic_write(str(path), b"second")
    assert path.read_bytes() == b"second"
    assert names_in(tmp_path) == ["model.onnx"]


def test_a_file_keeps_its_permissions_and_a_new_one_has_the_usual_ones(tmp_path):
    path, ordinary = tmp_path / "model.onnx", tmp_path / "ordinary"
    ordinary.touch()
    atomic_write(path, b"first")
    assert path.stat().st_mode == ordinary.stat().st_mode
    path.chmod(0o640)
    atomic_write(path, b"second")
    assert path.stat().st_mode & 0o777 == 0o640


def test_fault_28_a_full_disk_leaves_the_old_file_untouched(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        atomic_write(path, b"new" * 1000)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model.onnx"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "model.onnx"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        atomic_write(path, b"new")
    assert names_in(tmp_path) == ["model.onnx"]
    assert (path / "inside").is_dir()


def test_a_link_remains_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    link, path = tmp_path / "link.onnx", tmp_path / "folder" / "model.onnx"
    link.symlink_to(path)
    atomic_write(link, b"data")
    assert link.is_symlink()
    assert path.read_bytes() == b"data"
    assert names_in(path.parent) == ["model.onnx"]


def write_atomically(path):
    atomic_write(path, b"new")


def write_incrementally(path):
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")


def write_as_main(path):
    replace_pair(path, b"new", path.with_name("companion"), b"", "key")


def write_as_companion(path):
    replace_pair(path.with_name("main"), b"", path, b"new", "key")


WRITERS = [write_atomically, write_incrementally, write_as_main, write_as_companion]


@pytest.mark.parametrize("write", WRITERS)
def test_content_and_name_are_on_disk_when_a_write_returns(tmp_path, monkeypatch, write):
    path, events = tmp_path / "model.onnx", []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor):
        events.append(("synced", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def recorded_replace(source, target):
        events.append(("renamed", os.stat(source).st_ino))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    write(path)
    content, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert events.index(("synced", content)) < events.index(("renamed", content))
    assert events[-1] == ("synced", folder)


@pytest.mark.parametrize("write", WRITERS)
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path, write):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file but a device or a pipe"):
        write(path)
    assert path.is_fifo()
    assert names_in(tmp_path) == ["pipe"]


@pytest.mark.skipif(is_root, reason="root may write anywhere")
@pytest.mark.parametrize("write", WRITERS)
def test_fault_28_a_write_protected_file_is_not_replaced(tmp_path, write):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        write(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model.onnx"]


@pytest.mark.skipif(is_root, reason="root may read anything")
@pytest.mark.parametrize("write", [write_atomically, write_incrementally])
def test_a_folder_that_cannot_be_read_can_still_be_written_to(tmp_path, write):
    tmp_path.chmod(0o300)
    try:
        write(tmp_path / "model.onnx")
        assert (tmp_path / "model.onnx").read_bytes() == b"new"
    finally:
        tmp_path.chmod(0o700)


def test_an_incremental_write_replaces_the_file_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    with replacing(path) as temporary:
        temporary.write_bytes(b"first")
        assert not path.exists()
    path.chmod(0o640)
    with replacing(path) as temporary:
        temporary.write_bytes(b"second")
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names_in(path.parent) == ["rows.csv"]


def test_an_interrupted_incremental_write_leaves_the_old_file_untouched(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["rows.csv"]


# Pairs whose writer is killed


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    program = Path(__file__).with_name("killed_writers.py")
    command = [sys.executable, program, tmp_path_factory.mktemp("killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_fault_26_a_writer_killed_at_any_step_leaves_the_old_pair_or_the_new_one(report):
    outcomes = report["every step"]
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert outcomes == sorted(outcomes, key=["old", "new, pending", "new"].index)
    assert outcomes.count("old") > 5
    # The moment between the two renames was hit.
    assert outcomes.count("new, pending") > 0
    assert outcomes.count("new") > 1


def test_fault_26_a_first_writer_killed_at_any_step_leaves_nothing_or_a_complete_pair(report):
    outcomes = report["first write"]
    assert set(outcomes) == {"nothing", "new, pending", "new"}
    assert outcomes == sorted(outcomes, key=["nothing", "new, pending", "new"].index)


def test_fault_26_a_writer_killed_at_a_random_moment_leaves_a_complete_pair(report):
    assert set(report["random"]) == {"0", "1"}
    assert sum(report["random"].values()) == 40


def test_writers_take_turns_and_every_read_meanwhile_finds_a_pair(report):
    assert report["reads"] > 10


# Pairs whose writer fails


class Pair:
    """Two files that belong together, in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.main, self.companion = folder / "main", folder / "companion"

    def write(self, version):
        """Write 3000 and 1000 bytes."""
        text = str(version).encode()
        replace_pair(self.main, text * 3000, self.companion, text * 1000, f"key {version}")

    def version(self):
        """Return the version that both files have, looking for a pending companion as well."""
        version = self.main.read_bytes()[:1]
        assert self.main.read_bytes() == version * 3000
        pending = pending_path(self.companion, f"key {version.decode()}")
        companions = [path.read_bytes() for path in (self.companion, pending) if path.exists()]
        assert version * 1000 in companions
        return int(version)


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    pair.write(1)
    return pair


def test_a_pending_companion_is_not_promoted_while_a_writer_holds_the_folder(pair):
    pending = pending_path(pair.companion, "key 1")
    pair.companion.rename(pending)
    arguments = pair.main, pair.main.read_bytes(), pair.companion, "key 1"
    promotion = threading.Thread(target=promote_pending, args=arguments)
    descriptor = os.open(pair.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as a writer does
        promotion.start()
        promotion.join(0.2)
        assert promotion.is_alive()
        assert pending.exists()
    finally:
        os.close(descriptor)
    promotion.join()
    assert names_in(pair.folder) == ["companion", "main"]


@pytest.mark.parametrize("limit", [0, 999, 1500])
def test_fault_28_a_full_disk_leaves_the_old_pair_untouched(pair, limit):
    with full_disk(limit), pytest.raises(OSError, match="File too large"):
        pair.write(2)
    assert pair.version() == 1
    assert names_in(pair.folder) == ["companion", "main"]


def test_fault_28_a_full_disk_leaves_nothing_of_a_new_pair(tmp_path):
    pair = Pair(tmp_path / "new")
    with full_disk(1500), pytest.raises(OSError, match="File too large"):
        pair.write(1)
    assert names_in(pair.folder) == []


@pytest.mark.skipif(is_root, reason="root may write anywhere")
def test_fault_28_a_folder_without_permission_is_an_error(pair):
    pair.folder.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            pair.write(2)
    finally:
        pair.folder.chmod(0o700)
    assert pair.version() == 1
    assert names_in(pair.folder) == ["companion", "main"]


@pytest.mark.skipif(is_root, reason="root may write anywhere")
@pytest.mark.parametrize("name", ["main", "companion"])
def test_fault_28_a_protected_file_is_not_replaced(pair, name):
    (pair.folder / name).chmod(0o400)
    with pytest.raises(PermissionError):
        pair.write(2)
    assert pair.version() == 1
    assert names_in(pair.folder) == ["companion", "main"]


@pytest.mark.parametrize("step", range(3))
def test_an_interruption_before_any_rename_leaves_the_old_pair_or_the_new_one(
    pair, monkeypatch, step
):
    replace, steps = Path.replace, count()

    def interrupted(path, target):
        if next(steps) == step:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pair.write(2)
    assert pair.version() == (1 if step < 2 else 2)
    # Once the main file is the new one, the pending companion has to stay.
    assert len(names_in(pair.folder)) == (2 if step < 2 else 3)


def test_a_pending_companion_is_kept_as_long_as_it_is_needed(pair, monkeypatch):
    pair.write(2)
    # As a kill leaves it: the second main file with the first companion.
    pair.companion.write_bytes(b"1" * 1000)
    pending = pending_path(pair.companion, "key 2")
    pending.write_bytes(b"2" * 1000)
    monkeypatch.setattr(os, "fsync", lambda descriptor: 1 / 0)
    for version in (2, 3):
        with pytest.raises(ZeroDivisionError):
            pair.write(version)
    assert pair.version() == 2
    assert names_in(pair.folder) == sorted(["companion", "main", pending.name])


def test_a_pending_companion_is_not_promoted_after_its_main_file_was_replaced(pair):
    pending = pending_path(pair.companion, "key 0")
    pending.write_bytes(b"0" * 1000)
    promote_pending(pair.main, b"0" * 3000, pair.companion, "key 0")
    assert pending.exists()
    assert pair.version() == 1
    promote_pending(pair.main, b"1" * 3000, pair.companion, "key 1")  # nothing is pending
    assert pair.version() == 1
