"""Networks rebuilt from an estimator's weights, kept beside it and not in it.

A module inside the estimator would be pickled, copied and compared with it, and
could hold CUDA tensors. Here it lasts as long as the estimator, or until its
weights are replaced.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import torch

from seqfeat.device import inference_device
from seqfeat.fitting import Weights, build_network
from seqfeat.network import Architecture, RecurrentAutoencoder

__all__ = ["cached_network"]

_Entry = tuple[Weights, torch.device, RecurrentAutoencoder]
_entries: WeakKeyDictionary[Any, _Entry] = WeakKeyDictionary()
_lock = threading.Lock()


def cached_network(estimator: Any) -> tuple[RecurrentAutoencoder, torch.device]:
    """Return the fitted network, ready for inference, and the device it is on."""
    device = inference_device(estimator.device)
    with _lock:
        entry = _entries.get(estimator)
        if entry is None or entry[0] is not estimator.weights_ or entry[1] != device:
            network = build_network(Architecture(**estimator.architecture_), estimator.weights_)
            network.to(device).settle()
            entry = (estimator.weights_, device, network)
            _entries[estimator] = entry
    return entry[2], device
