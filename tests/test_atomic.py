"""A file is replaced whole or stays as it was."""

import os
import resource

import pytest

from seqfeat.runtime.atomic_files import atomic_write, replacing


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "model.onnx"
    atomic_write(path, b"first")
    assert path.read_bytes() == b"first"
    atomic_write(str(path), b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_the_file_before_or_of_any_new_file(tmp_path):
    path, ordinary = tmp_path / "model.onnx", tmp_path / "ordinary"
    ordinary.touch()
    atomic_write(path, b"first")
    assert path.stat().st_mode == ordinary.stat().st_mode
    path.chmod(0o640)
    atomic_write(path, b"second")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_disk_that_takes_no_more_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            atomic_write(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_folder_in_the_file_s_place_is_left_alone(tmp_path):
    path = tmp_path / "model.onnx"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        atomic_write(path, b"new")
    assert os.listdir(tmp_path) == ["model.onnx"]
    assert (path / "inside").is_dir()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    link, path = tmp_path / "link.onnx", tmp_path / "there" / "model.onnx"
    link.symlink_to(path)
    atomic_write(link, b"data")
    assert link.is_symlink()
    assert path.read_bytes() == b"data"
    assert os.listdir(path.parent) == ["model.onnx"]


def interrupted_write(path):
    with replacing(path) as new:
        new.write_bytes(b"half")
        raise KeyboardInterrupt


def test_a_file_grows_under_another_name_until_it_is_whole(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    with replacing(path) as new:
        new.write_bytes(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    path.chmod(0o640)
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(path)
    assert path.read_bytes() == b"first"
    with replacing(path) as new:
        new.write_bytes(b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.csv"]
