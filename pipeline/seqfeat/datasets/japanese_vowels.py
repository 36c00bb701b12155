"""The Japanese Vowels data set with its official split."""

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
to tell the speaker. The official split has 270 utterances to train on (30 a
speaker) and 370 to test on (24 to 88 a speaker).

Source: M. Kudo, J. Toyama and M. Shimbo, "Japanese Vowels", UCI Machine Learning
Repository, 1999, https://doi.org/10.24432/C5NS47, licensed CC BY 4.0. Values are
the repository's own, stored as integers of a millionth.
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
    """Load one half of the Japanese Vowels data set's official split.

    Parameters
    ----------
    split : {"train", "test"}, default="train"
        270 utterances to train on, or 370 to test on.
    return_X_y : bool, default=False
        Whether to return only ``(data, target)``.

    Returns
    -------
    data : `~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples,), object
            One float64 array of shape (n_timesteps, 12) per utterance, of 7 to
            29 timesteps.
        target : ndarray of shape (n_samples,), str
            The speaker, ``"1"`` to ``"9"``.
        target_names : list of str
            The nine speakers.
        DESCR : str
            Origin and licence.

    (data, target) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    ValueError
        If `split` is neither of the two.

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
    >>> X.shape, X[0].shape, y[0]
    ((370,), (19, 12), np.str_('1'))
    """
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r} is not a split; use 'train' or 'test'.")
    resource = files("seqfeat.datasets").joinpath("data", FILE)
    with resource.open("rb") as file, np.load(file) as archive:
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
