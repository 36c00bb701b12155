"""Writers of a pair of files that are killed or compete, and what a reader then finds.

The program behind `test_atomic_files`, in a process of its own because it forks:

    python killed_writers.py FOLDER

It writes in FOLDER, and prints as JSON which versions it found there.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

from seqfeat.runtime.atomic_files import pending_path, promote_pending, replace_pair


def contents(version):
    """Return main file and companion of a version; the versions have different sizes."""
    main = f"main {version} ".encode() * (100 + 900 * (version % 2))
    return main, b"companion of " + key_of(main).encode()


def key_of(main):
    return hashlib.sha256(main).hexdigest()


def write(folder, version):
    main, companion = contents(version)
    replace_pair(folder / "main", main, folder / "companion", companion, key_of(main))


def read(folder):
    """Return the version, and whether its companion is pending; fail if the files do not match.

    While others write, main file and companion may be read at different times, so only a
    mismatch that lasts is an error.
    """
    deadline = time.monotonic() + 10
    while True:
        main = (folder / "main").read_bytes()
        version = int(main.split()[1])
        expected_main, expected_companion = contents(version)
        assert main == expected_main
        for name in ("companion", pending_path(folder / "companion", key_of(main)).name):
            with suppress(FileNotFoundError):
                if (folder / name).read_bytes() == expected_companion:
                    return version, name != "companion"
        assert time.monotonic() < deadline, "the companion does not match"


def fork(work):
    """Run `work` in a child process and return its process ID."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return child


def was_killed(child):
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


FILE_OPERATIONS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "os.scandir",
    "fcntl.flock",
}  # fmt: skip


def write_and_die(folder, version, step):
    """Write, and be killed just before the file operation number `step`."""
    passed = count()

    def kill_at_step(event, arguments):
        if event in FILE_OPERATIONS and next(passed) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill_at_step)
    write(folder, version)


def kill_at_every_step(folder, has_old_files):
    """Return, for each step, what a killed writer left behind."""
    outcomes = []
    for step in count():
        part = folder / str(step)
        part.mkdir()
        if has_old_files:
            write(part, 0)
        killed = was_killed(fork(lambda step=step, part=part: write_and_die(part, 1, step)))
        outcomes.append(describe(part))
        write(part, 2)
        assert read(part) == (2, False)
        assert sorted(os.listdir(part)) == ["companion", "main"]
        if not killed:
            return outcomes


def describe(folder):
    """Return what is in a folder, after completing a write that was killed."""
    if not (folder / "main").exists():
        return "nothing"
    version, is_pending = read(folder)
    if is_pending:
        main, _ = contents(version)
        promote_pending(folder / "main", main, folder / "companion", key_of(main))
        assert read(folder) == (version, False)
    return ("new" if version == 1 else "old") + ", pending" * is_pending


def kill_at_random(folder, n_kills):
    """Kill writers that write one version after the other; count what they left behind."""
    rng, found = random.Random(0), Counter()
    write(folder, 0)
    for kill in range(n_kills):
        answer, started = os.pipe()

        def write_on(first=kill, started=started):
            for version in count(first):
                write(folder, version % 2)
                os.write(started, b".")

        child = fork(write_on)
        os.read(answer, 1)
        time.sleep(rng.uniform(0, 0.005))
        os.kill(child, signal.SIGKILL)
        assert was_killed(child)
        os.close(answer)
        os.close(started)
        found[read(folder)[0]] += 1
    write(folder, 2)
    assert sorted(os.listdir(folder)) == ["companion", "main"]
    return found


def compete(folder, n_writes):
    """Read constantly while three processes write; count the reads."""
    write(folder, 0)

    def write_often(version):
        for _ in range(n_writes):
            write(folder, version)

    children = [fork(lambda version=version: write_often(version)) for version in range(3)]
    running, n_reads = set(children), 0
    while running:
        read(folder)
        n_reads += 1
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG)
            assert status == 0
            running.discard(ended)
    assert sorted(os.listdir(folder)) == ["companion", "main"]
    return n_reads


def main(folder):
    def subfolder(name):
        (folder / name).mkdir()
        return folder / name

    report = {
        "every step": kill_at_every_step(subfolder("a"), has_old_files=True),
        "first write": kill_at_every_step(subfolder("b"), has_old_files=False),
        "random": kill_at_random(subfolder("c"), n_kills=40),
        "reads": compete(subfolder("d"), n_writes=50),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
