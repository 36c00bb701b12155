"""Models that were saved with other versions of scikit-learn than the installed one."""

import json

import pytest
import sklearn

from seqfeat.version import release

NEEDS_ITS_VERSION = "a classifier of scikit-learn needs the version that it was saved with"


def is_of_a_later_scikit_learn(model):
    """Tell whether a saved model is from a later scikit-learn than this one."""
    versions = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["versions"]
    return release(sklearn.__version__)[:2] < release(versions["scikit-learn"])[:2]


def skip_if_of_a_later_scikit_learn(model):
    if is_of_a_later_scikit_learn(model):
        pytest.skip(NEEDS_ITS_VERSION)
