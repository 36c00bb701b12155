"""Atomic file writes: a file, or a pair of files, is replaced completely or not at all.

Renaming is atomic, so a single file is written under a temporary name and then
renamed. Two files that belong together, such as a model and its card, cannot be
renamed in one step. `replace_pair` therefore starts by storing the new companion next
to the old one under a *pending* name, which contains the key of the new main file.
Only then does it replace the main file, and last the companion. If a reader finds a
companion that does not match the main file, it looks for the pending one, which
exists exactly as long as it may be needed:

========================  ==============================  ===================
writer is killed          files on disk                   valid pair
========================  ==============================  ===================
before the first rename   main 1, companion 1             1 and 1
after the pending file    main 1, companion 1, pending 2  1 and 1
after the main file       main 2, companion 1, pending 2  2 and pending 2
after the companion       main 2, companion 2             2 and 2
========================  ==============================  ===================

Writers to the same folder take turns where the system supports locking it, and each
one cleans up what killed writers left behind.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["atomic_write", "pending_path", "promote_pending", "replace_pair", "replacing"]


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the content of a file; on any failure the old content is untouched.

    The data is written to a new file in the same folder and flushed to disk before
    that file takes over the name, and the new name survives a power failure. A symbolic
    link remains a link, and the permissions of an existing file are kept.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace. Its folder must exist.
    data : bytes
        The new content.

    Raises
    ------
    OSError
        If the file cannot be written, is write-protected, or is not a regular file. The
        temporary file is removed.
    """
    target = Path(os.path.realpath(path))
    _check_replaceable(target)
    temporary = _temporary_path(target)
    try:
        _write_new(temporary, data, target)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block ends without an error.

    For content that is produced incrementally. After an error or a keyboard interrupt,
    the old file is untouched and the temporary one is removed. A symbolic link remains
    a link, and the permissions of an existing file are kept.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace. Missing folders are created.

    Yields
    ------
    temporary : Path
        An empty file in the same folder.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_replaceable(target)
    temporary = _temporary_path(target)
    try:
        _write_new(temporary, b"", target)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def replace_pair(
    main: Path, content: bytes, companion: Path, companion_content: bytes, key: str
) -> None:
    """Replace two files together, or neither of them.

    Parameters
    ----------
    main, companion : Path
        The files to create or replace. They must not be symbolic links. Missing folders
        are created.
    content, companion_content : bytes
        Their new contents.
    key : str
        A unique identifier of `content`, such as its hash.

    Raises
    ------
    OSError
        If the disk is full or a file is not writable. Nothing is left behind except
        folders that had to be created.
    """
    for path in (main, companion):
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(path)
    with _lock_folder(companion.parent) as is_locked:
        new_main, new_companion = _temporary_path(main), _temporary_path(companion)
        pending = pending_path(companion, key)
        was_pending = pending.exists()
        try:
            _write_new(new_main, content, main)
            _write_new(new_companion, companion_content, companion)
            new_companion.replace(pending)
            _sync_folder(pending.parent)
            new_main.replace(main)
        except BaseException:
            # If the temporary file is gone, it is the main file now and needs its companion.
            if new_main.exists() and not was_pending:
                pending.unlink(missing_ok=True)
            new_main.unlink(missing_ok=True)
            new_companion.unlink(missing_ok=True)
            raise
        _sync_folder(main.parent)
        pending.replace(companion)
        _sync_folder(companion.parent)
        if is_locked:
            _remove_leftovers(main)
            _remove_leftovers(companion)


def pending_path(companion: Path, key: str) -> Path:
    """Return the path at which a new companion waits until the main file is replaced."""
    return companion.with_name(f".{companion.name}.{key[:16]}.pending")


def promote_pending(main: Path, content: bytes, companion: Path, key: str) -> None:
    """Move a pending companion into place, to complete a `replace_pair` that was killed.

    Does nothing if `main` no longer holds `content`, or without permission to write.
    """
    with suppress(OSError), _lock_folder(companion.parent) as is_locked:
        if is_locked and main.read_bytes() == content:
            pending_path(companion, key).replace(companion)
            _sync_folder(companion.parent)


def _check_replaceable(path: Path) -> None:
    """Raise `OSError` for what renaming would replace regardless.

    That is a write-protected file, and whatever is not a regular file, such as /dev/null.
    """
    if not path.exists():
        return
    if not path.is_file() and not path.is_dir():  # opening a folder raises the usual error
        raise OSError(errno.EINVAL, "it is not a regular file but a device or a pipe", str(path))
    with path.open("r+b"):
        pass


def _temporary_path(path: Path) -> Path:
    """Return an unused path in the same folder, and thus on the same disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_new(path: Path, content: bytes, target: Path) -> None:
    """Write a new file and flush it to disk, with the permissions of `target` if that exists."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        path.chmod(stat.S_IMODE(target.stat().st_mode))


@contextmanager
def _lock_folder(folder: Path) -> Iterator[bool]:
    """Exclude other writers and yield True, or yield False where folders cannot be locked.

    If the process is killed, the system releases the lock.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_locked = True
        except OSError:  # some network file systems do not support locks
            is_locked = False
        yield is_locked
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power failure, where the system supports it."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # also of a folder in which one may write but not read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary and pending files that killed writers of `path` left behind."""
    for other in path.parent.iterdir():
        if other.name.startswith(f".{path.name}.") and other.suffix in (".tmp", ".pending"):
            other.unlink(missing_ok=True)
