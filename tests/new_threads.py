"""What a thread finds that has not used torch before."""

import threading

import torch

__all__ = ["threads_of_a_new_thread"]


def threads_of_a_new_thread():
    """Return the number of torch's threads in a new thread."""
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]
