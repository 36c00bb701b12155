"""Processes that share a fit as threads of this one, to see what they exchange."""

import pickle
import threading

import torch

from seqfeat.runtime.ranks import GroupRanks


class ThreadRanks(GroupRanks):
    """A process that is a thread; what it sends is pickled all the same.

    Attributes
    ----------
    n_messages : int
        Messages that it has exchanged with the others.
    """

    def __init__(self, rank, mailboxes, barrier):
        self.rank, self.world_size = rank, len(mailboxes)
        self.mailboxes, self.barrier = mailboxes, barrier
        self.n_messages = 0

    def all_gather(self, value):
        self.n_messages += 1
        self.mailboxes[self.rank] = pickle.dumps(value)
        self.barrier.wait()
        values = [pickle.loads(message) for message in self.mailboxes]
        self.barrier.wait()
        return values

    def broadcast(self, value):
        return self.all_gather(value if self.rank == 0 else None)[0]

    def all_reduce(self, tensor):
        return torch.stack(self.all_gather(tensor)).sum(dim=0)


def run_on_ranks(function, n_ranks=2):
    """Call ``function(ranks)`` in each of them; return the results, or what was raised."""
    results, mailboxes = [None] * n_ranks, [b""] * n_ranks
    barrier = threading.Barrier(n_ranks, timeout=30)

    def work(rank):
        try:
            results[rank] = function(ThreadRanks(rank, mailboxes, barrier))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(n_ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
