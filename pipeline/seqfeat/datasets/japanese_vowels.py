"""The Japanese Vowels data set in its official split."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

__all__ = ["load_japanese_vowels"]

FILE = "japanese_vowels.npz"
DESCRIPTION = """\
Japanese Vowels: 640 utterances of the vowels /ae/ by nine male speakers.

Each series holds 12 LPC cepstrum coefficients over 7 to 29 frames; the task is
to identify the speaker. The official split has 270 training utterances (30 per
speaker) and 370 test utterances (24 to 88 per speaker).

Source: M. Kudo, J. Toyama and M. Shimbo, "Japanese Vowels", UCI Machine Learning
Repository, 1999, https://doi.org/10.24432/C5NS47, licensed under CC BY 4.0. The
values are unchanged.
"""


@overload
def load_japanese_vowels(
    *, split: Literal["train", "test"] = ..., return_X_y: Literal[False] = ...
) -> Any: ...


@overload
def load_japanese_vowels(
    *, split: Literal["train", "test"] = ..., return_X_y: Literal[True]
) -> tuple[NDArray[np.object_], NDArray[np.str_]]: ...


def load_japanese_vowels(
    *, split: Literal["train", "test"] = "train", return_X_y: bool = False
) -> Any:
    """Load the training or test set of Japanese Vowels.

    Parameters
    ----------
    split : {"train", "test"}, default="train"
        Which part of the official split to load: 270 training utterances or 370
        test utterances.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a `~sklearn.utils.Bunch`.

    Returns
    -------
    data : `~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : ndarray of shape (n_samples,), object
            One float64 array of shape (n_timesteps, 12) per utterance, with 7 to
            29 timesteps.
        target : ndarray of shape (n_samples,), str
            The speaker of each utterance, ``"1"`` to ``"9"``.
        target_names : list of str
            The nine speakers.
        DESCR : str
            A description of the data set, with its source and licence.

    (data, target) : tuple
        Returned instead if ``return_X_y=True``.

    Raises
    ------
    ValueError
        If `split` is unknown.

    References
    ----------
    .. [1] M. Kudo, J. Toyama and M. Shimbo (1999). "Multidimensional curve
       classification using passing-through regions". Pattern Recognition
       Letters 20 (11-13), 1103-1111. Data: UCI Machine Learning Repository,
       https://doi.org/10.24432/C5NS47, CC BY 4.0.

    Examples
    --------
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(split="test", return_X_y=True)
    >>> X.shape, X[0].shape, str(y[0])
    ((370,), (19, 12), '1')
    """
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r} is unknown; pass 'train' or 'test'.")
    resource = files("seqfeat.datasets").joinpath("data", FILE)
    with resource.open("rb") as file, np.load(file) as archive:
        # Stored as integers, which are exact and compress better.
        values = archive[f"{split}_millionths"] / 1e6
        lengths = archive[f"{split}_lengths"].astype(np.int64)
        target = archive[f"{split}_speaker"].astype(str)
    data = np.empty(len(lengths), dtype=object)
    data[:] = np.split(values, np.cumsum(lengths)[:-1])
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=np.unique(target).tolist(),
        DESCR=DESCRIPTION,
    )
