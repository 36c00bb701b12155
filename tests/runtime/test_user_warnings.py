"""Warnings point to the user's code, whatever libraries are in between."""

import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn

import seqfeat
from seqfeat import LayoutWarning, LSTMAutoencoder
from seqfeat.runtime.user_warnings import warn_user

PACKAGE = Path(seqfeat.__file__).parent


def function_in(path, code, **names):
    """Return a function `call` as if it were defined in a file, on its second line."""
    exec(compile(f"def call():\n    return {code}", str(path), "exec"), names)
    return names["call"]


WARNING = {"warn_user": warn_user, "category": UserWarning}
INSIDE = function_in(PACKAGE / "training" / "fit.py", "warn_user('careful', category)", **WARNING)


def warned(function):
    with pytest.warns(UserWarning, match="careful") as caught:
        function()
    (one,) = caught
    return one


@pytest.mark.parametrize("library", [seqfeat, sklearn, joblib])
def test_the_innermost_line_outside_the_libraries_is_named(library):
    through = function_in(Path(library.__file__).parent / "x.py", "inside()", inside=INSIDE)
    user = function_in("analysis.py", "through()", through=through)
    outer = function_in("outer.py", "user()", user=user)
    one = warned(outer)
    assert (one.filename, one.lineno) == ("analysis.py", 2)
    assert one.category is UserWarning


def test_a_caller_outside_the_package_is_named_itself():
    one = warned(function_in("analysis.py", "warn_user('careful', category)", **WARNING))
    assert (one.filename, one.lineno) == ("analysis.py", 2)


def test_a_user_between_two_calls_of_a_library_is_named():
    """As when scikit-learn calls a user's function that calls seqfeat."""
    user = function_in("callback.py", "inside()", inside=INSIDE)
    search = function_in(Path(sklearn.__file__).parent / "x.py", "user()", user=user)
    one = warned(function_in("analysis.py", "search()", search=search))
    assert one.filename == "callback.py"


def test_each_line_of_the_user_is_warned_once():
    """Python's own filters work on the line that a warning points to."""
    one, other = (function_in(path, "inside()", inside=INSIDE) for path in ("one.py", "other.py"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for user in (one, one, other):
            user()
    assert [one.filename for one in caught] == ["one.py", "other.py"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warning_of_fit_points_to_the_call_of_fit():
    X = np.random.default_rng(0).normal(size=(20, 3, 40))
    with pytest.warns(LayoutWarning) as caught:
        LSTMAutoencoder(2, max_iter=1, random_state=0).fit(X)
    assert {one.filename for one in caught} == {__file__}
