"""Signs of life of the processes that share a fit, to tell a busy one from a stalled one.

While it waits for the others, a process cannot see whether one of them is still at work, which
may take hours, or has been stopped. So a thread in each of them counts up in the store through
which they found each other. The thread of a process that is busy keeps counting.

As everything is counted in rounds of the thread, and not by the clock, a process that was itself
suspended for a while does not blame the others.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

__all__ = ["Heartbeats"]

ROUNDS_PER_TIMEOUT = 24
SILENT_ROUNDS = 20
"""After so many rounds without a sign of life, a process counts as stalled.

The rounds in between make up for waits and rounds that begin at different times, so that all of
it takes no longer than the timeout.
"""
GONE = -(2**40)
"""The count of a process that has taken leave."""
JOIN_SECONDS = 2.0
"""How long to wait for the thread to end, as it may itself be waiting for the store."""


class Heartbeats:
    """Counts the rounds without a sign of life from the other processes.

    Parameters
    ----------
    store : Store
        The store of the process group.
    rank, world_size : int
        This process, and the number of them.
    timeout : float
        Seconds until a silent process counts as stalled.
    expects_all : bool
        Whether all processes are there from the beginning; otherwise, one that has not started
        its own thread yet may take as long as it likes.
    rank_0_hosts_store : bool
        Whether the store is a part of rank 0. Its answers are then rank 0's signs of life. They
        come even if nothing written in Python gets to run there for minutes, as within a long
        call of LAPACK by the classifier that rank 0 fits.
    """

    def __init__(
        self,
        store: Any,
        rank: int,
        world_size: int,
        timeout: float,
        *,
        expects_all: bool,
        rank_0_hosts_store: bool,
    ) -> None:
        self.rank, self.timeout = rank, timeout
        self.expects_all, self.rank_0_hosts_store = expects_all, rank_0_hosts_store
        self._seconds = timeout / ROUNDS_PER_TIMEOUT
        self._interval = timedelta(seconds=self._seconds)
        # A connection of its own, if this version of PyTorch has them; a wait of the main thread
        # for something in the store would block that one.
        self._store = store.clone() if hasattr(store, "clone") else store
        self._counts = [0] * world_size
        self._silent_rounds = [0] * world_size
        self._n_rounds = self._n_rounds_before = self._unanswered_waits = 0
        self._is_waiting = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seqfeat heartbeats", daemon=True)

    def start(self) -> None:
        """Begin to give signs of life."""
        self._store.set(_key(self.rank), "1")
        self._thread.start()

    def stop(self) -> None:
        """Take leave of the others, who then no longer expect any sign of life."""
        self._stopped.set()
        self._thread.join(JOIN_SECONDS)

    def wait(self, work: Any) -> list[int]:
        """Wait until a collective is done; return the stalled ranks if it cannot be.

        Its own error is raised as usual.
        """
        # What every training step does.
        if _is_done_within(work, self._interval):
            return []
        self._is_waiting = True
        try:
            while not _is_done_within(work, self._interval):
                self._watch_store()
                stalled = self.silent_ranks(SILENT_ROUNDS)
                if stalled:
                    return stalled
        finally:
            self._is_waiting = False
        self._forget()
        return []

    def silent_ranks(self, n_rounds: int = SILENT_ROUNDS // 2) -> list[int]:
        """Return the ranks that gave no sign of life in so many rounds of the last wait."""
        if self._unanswered_waits >= n_rounds:
            return [0]
        ranks = range(self.rank_0_hosts_store, len(self._counts))
        return [
            rank for rank in ranks if rank != self.rank and self._silent_rounds[rank] >= n_rounds
        ]

    @property
    def is_store_silent(self) -> bool:
        """Whether the store did not answer in the last wait."""
        return self._unanswered_waits >= SILENT_ROUNDS // 2

    def _forget(self) -> None:
        self._silent_rounds = [0] * len(self._counts)
        self._unanswered_waits = 0

    def _watch_store(self) -> None:
        """Count the waits in which the thread, which asks the store, did not get any further."""
        is_answered = self._n_rounds != self._n_rounds_before
        self._unanswered_waits = 0 if is_answered else self._unanswered_waits + 1
        self._n_rounds_before = self._n_rounds

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self._seconds):
                self._store.add(_key(self.rank), 1)
                if self._is_waiting:
                    self._listen()
                self._n_rounds += 1
            self._store.set(_key(self.rank), str(GONE))
        except RuntimeError:
            # The store has gone. Whoever waits then finds that no round comes to its end.
            pass

    def _listen(self) -> None:
        for rank, before in enumerate(self._counts):
            count = self._counts[rank] = self._store.add(_key(rank), 0)
            is_silent = count == before and count >= (0 if self.expects_all else 1)
            self._silent_rounds[rank] = self._silent_rounds[rank] + 1 if is_silent else 0


def _key(rank: int) -> str:
    return f"seqfeat/heartbeats/{rank}"


def _is_done_within(work: Any, limit: timedelta) -> bool:
    try:
        work.wait(limit)
    except RuntimeError:
        if not work.is_completed():
            return False
        work.wait()  # raises the error of the work, unless it ended just now
    return True
