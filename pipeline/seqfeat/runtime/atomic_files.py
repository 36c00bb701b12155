"""Writing a file whole or not at all, and two files that belong together.

A single file is replaced atomically by renaming another over it; two are not. So
the new companion is first put beside the old one, under a *pending* name that is
made from the new main file's key. Then the main file is replaced, and last the
companion. Whoever finds a main file with a companion that is not its own looks
for the pending one: it is there exactly while that matters.

======================  ==============================  ===================
killed                  what is on the disk             the pair
======================  ==============================  ===================
before the first step   main 1, companion 1             1 and 1
after the pending one   main 1, companion 1, pending 2  1 and 1
after the main file     main 2, companion 1, pending 2  2 and pending 2
after the companion     main 2, companion 2             2 and 2
======================  ==============================  ===================

Savers into one folder wait for each other, where the system can lock a folder.
What a killed one left is removed by the next.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["atomic_write", "pending_path", "promote", "replace_pair", "replacing"]


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace `path` by `data`; whatever fails, what was there before stays whole.

    The bytes go to a new file in the same folder, reach the disk, and only then
    take over the name. A link stays a link, and permissions stay as they were.
    """
    target = Path(os.path.realpath(path))
    new = _temporary(target)
    try:
        _write(new, data, target)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file to write to, which takes over the name when the block has ended well.

    After an error, or ctrl-C, what was there before is whole and nothing else is left.
    The folder is made if need be; a link stays a link, and permissions stay as they were.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _refuse_unwritable(target)
    new = _temporary(target)
    try:
        _write(new, b"", target)
        yield new
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def replace_pair(
    main: Path, content: bytes, companion: Path, companion_content: bytes, key: str
) -> None:
    """Write both files, or leave both as they were.

    Parameters
    ----------
    main, companion : Path
        No symbolic links. Their folders are created if need be.
    content, companion_content : bytes
        What they shall hold.
    key : str
        What tells `content` from any other, such as its hash.

    Raises
    ------
    OSError
        If the disk is full or the target not writable. Nothing is left behind but
        folders that were created.
    """
    for path in (main, companion):
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_unwritable(path)
    with _locked(companion.parent) as is_locked:
        new, new_companion = _temporary(main), _temporary(companion)
        pending = pending_path(companion, key)
        was_pending = pending.exists()
        try:
            _write(new, content, main)
            _write(new_companion, companion_content, companion)
            new_companion.replace(pending)
            _sync_folder(pending.parent)
            new.replace(main)
        except BaseException:
            # Without the temporary file the new main file is in place, and needs its companion.
            if new.exists() and not was_pending:
                pending.unlink(missing_ok=True)
            new.unlink(missing_ok=True)
            new_companion.unlink(missing_ok=True)
            raise
        _sync_folder(main.parent)
        pending.replace(companion)
        _sync_folder(companion.parent)
        if is_locked:
            _remove_leftovers(main)
            _remove_leftovers(companion)


def pending_path(companion: Path, key: str) -> Path:
    """Return where the companion waits for the main file with this key to be in its place."""
    return companion.with_name(f".{companion.name}.{key[:16]}.pending")


def promote(main: Path, content: bytes, companion: Path, key: str) -> None:
    """Finish what a killed `replace_pair` began, if this process may write there.

    Nothing happens if `main` no longer holds `content`.
    """
    with suppress(OSError), _locked(companion.parent) as is_locked:
        if is_locked and main.read_bytes() == content:
            pending_path(companion, key).replace(companion)
            _sync_folder(companion.parent)


def _refuse_unwritable(path: Path) -> None:
    """Respect what a plain ``open`` would: renaming asks for the folder's permission only."""
    if path.exists():
        with path.open("r+b"):
            pass


def _temporary(path: Path) -> Path:
    """Return a name on the same disk that nobody else uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write(new: Path, content: bytes, target: Path) -> None:
    """Write a new file through to the disk, with the permissions of the one that it will replace.

    Where there is none, with those that any new file gets.
    """
    with new.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        new.chmod(stat.S_IMODE(target.stat().st_mode))


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold other savers off; yield whether that worked. The system frees it after a kill."""
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_locked = True
        except OSError:  # some network file systems know no locks
            is_locked = False
        yield is_locked
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make renamings last a power cut, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed savers left of this file."""
    for other in path.parent.iterdir():
        if other.name.startswith(f".{path.name}.") and other.suffix in (".tmp", ".pending"):
            other.unlink(missing_ok=True)
