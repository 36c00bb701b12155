"""What everything else runs on; knows nothing of series or networks.

- `device`: where tensors live, and what to do when its memory runs out
- `threads`: a pool of worker threads that wake up quickly
- `torch_threads`: on how many threads torch runs an operation
- `float_precision`: float32 throughout, whatever the caller has set
- `fork_safety`: locks that no other thread holds while the process forks
- `first_import`: imports of libraries that change the process
- `ranks`: the processes that share a fit
- `visible_text`: names without characters that steer a terminal
- `user_warnings`: warnings that point to the user's own line of code
- `float_errors`: what `numpy.seterr` turns into exceptions
- `atomic_files`: files that are written whole or not at all
- `checked_state`: pickles with a checksum and a version
"""

__all__: list[str] = []
