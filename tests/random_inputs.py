"""Random inputs to every public method: values, dtypes and containers in any combination.

A seed gives one call. `outcome` runs it and says whether what came of it is allowed: finite
numbers, or an error of seqfeat's, or one of those that scikit-learn documents.
"""

import array
import collections
import copy
import datetime
import decimal
import fractions
import os
import sys
import traceback
import warnings
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse
import torch
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import seqfeat.series
from seqfeat import make_classifier, transform_into
from seqfeat.exceptions import LayoutWarning, SeqfeatError
from tests.autoencoders import small, waves

WARNINGS = (ConvergenceWarning, DataConversionWarning, LayoutWarning)
"""Warnings that are part of the interface."""


def choose(rng, options):
    return options[rng.integers(len(options))]


def maybe(rng, probability):
    return rng.random() < probability


# Values


def random_shape(rng, n_channels):
    if maybe(rng, 0.08):
        shapes = [(), (0,), (5,), (0, 8, 2), (3, 0, 2), (3, 8, 0), (0, 8), (2, 3, 2, 2), (1,) * 5]
        return choose(rng, shapes)
    n_samples, n_timesteps = int(rng.integers(1, 13)), int(rng.integers(1, 10))
    if maybe(rng, 0.2):
        return n_samples, 8
    return n_samples, n_timesteps, n_channels if maybe(rng, 0.9) else int(rng.integers(1, 4))


def random_values(rng, shape):
    """Return float64 values of any magnitude, most of them ordinary."""
    values = 3.0 + rng.normal(size=shape)
    kind = rng.integers(14)
    if kind == 0:
        values = values * choose(rng, [1e30, 1e38, 1e39, 1e200, 1e307])
    elif kind == 1:
        values = values * choose(rng, [1e-30, 1e-38, 1e-45, 1e-200, 1e-310, 0.0])
    elif kind == 2:
        values = values + choose(rng, [1e6, 1e9, -1e12, 1e300])
    elif kind == 3:
        values = np.round(values * 100)
    elif kind == 4:
        values = np.full(shape, choose(rng, [0.0, -0.0, 5e-324, 1e9, 1.7e308]))
    if maybe(rng, 0.15) and values.ndim and values.size:
        values = np.array(values)
        count = int(rng.integers(1, 1 + values.size))
        bad = choose(rng, [np.nan, np.nan, np.inf, -np.inf, 1e300, 5e-324, 2.0**53 + 2])
        values.reshape(-1)[rng.permutation(values.size)[:count]] = bad
    return values


DTYPES = [
    *(["float64"] * 8 + ["float32"] * 4),
    *["float16", "longdouble", ">f8", ">f4", ">i4", ">u8"],
    *["int8", "int16", "int32", "int64", "uint8", "uint64", "bool"],
    *["complex64", "complex128", "U", "S", "datetime64[ns]", "datetime64[D]", "timedelta64[s]"],
    *["object", "object", "structured"],
    *["StringDType"] * hasattr(np.dtypes, "StringDType"),
]


def cast(rng, values):
    """Return the values in a random dtype."""
    dtype = choose(rng, DTYPES)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(values)
        if dtype == "object":
            return with_odd_elements(rng, values.astype(object))
        if dtype == "structured":
            return values.astype([("a", float), ("b", float)])
        if dtype == "StringDType":
            return values.astype(np.dtypes.StringDType())
        if dtype in ("uint64", "int64", ">u8") and maybe(rng, 0.5):
            return np.full(values.shape, 2**53 + 1).astype(dtype)
        if dtype[:2] in ("da", "ti"):
            return values.astype("int64").astype(dtype)
        return values.astype(dtype)


ODD = [
    None,
    pd.NA,
    pd.NaT,
    np.nan,
    decimal.Decimal("0.1"),
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    decimal.Decimal("Infinity"),
    decimal.Decimal("1e400"),
    fractions.Fraction(1, 3),
    fractions.Fraction(10**400),
    10**400,
    2**53 + 1,
    True,
    np.float32(0.1),
    np.longdouble(1) / 3,
    np.bool_(True),
    "1",
    "?",
    b"1",
    1j,
    np.complex64(1),
    datetime.date(2020, 1, 1),
    datetime.datetime(2020, 1, 1),
    datetime.timedelta(1),
    np.datetime64("2020-01-01"),
    np.timedelta64(1, "s"),
    np.datetime64("NaT"),
    pd.Timestamp("2020-01-01"),
    [1.0],
    (1.0, 2.0),
    np.array(1.0),
    np.array([1.0]),
    np.ma.masked,
    torch.tensor(1.0),
    torch.tensor(1.0, requires_grad=True),
    {},
    set(),
    object(),
    int,
    slice(3),
    Ellipsis,
]


def with_odd_elements(rng, values):
    if values.size and maybe(rng, 0.7):
        for _ in range(int(rng.integers(1, 3))):
            values[tuple(int(rng.integers(size)) for size in values.shape)] = choose(rng, ODD)
    return values


# Containers


class Subclass(np.ndarray):
    pass


class Unreadable:
    """An array-like whose conversion fails."""

    shape = (3, 8, 2)

    def __array__(self, dtype=None, copy=None):
        raise KeyError("nothing here")


def read_only(rng, X):
    X = np.array(X)
    X.flags.writeable = False
    return X


def masked(rng, X):
    return np.ma.masked_array(X, mask=rng.random(np.shape(X)) < choose(rng, [0.0, 0.2]))


def tensor(rng, X):
    X = np.asarray(X)
    if X.dtype.kind not in "fiubc" or X.dtype.itemsize > 16 or not X.dtype.isnative:
        X = np.asarray(3.0 + rng.normal(size=X.shape))
    if X.dtype == np.longdouble or X.dtype.kind == "c":
        X = np.asarray(3.0 + rng.normal(size=X.shape))
    found = torch.from_numpy(np.ascontiguousarray(X))
    kind = choose(rng, TENSORS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return kind(found.reshape(X.shape))
        except (RuntimeError, IndexError):
            return found


TENSORS = [
    lambda t: t,
    lambda t: t.double().requires_grad_(),
    lambda t: t.double().requires_grad_() * 2,
    lambda t: torch.nn.Parameter(t.float()),
    lambda t: t.bfloat16(),
    lambda t: t.half(),
    lambda t: t.to(torch.float8_e4m3fn),
    lambda t: t.to_sparse(),
    lambda t: t.to_sparse_csr(),
    lambda t: torch.nested.nested_tensor(list(t)),
    lambda t: torch.nested.nested_tensor(list(t), layout=torch.jagged),
    lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    lambda t: t.to("meta"),
    lambda t: torch.complex(t.float(), t.float()),
    lambda t: torch.complex(t.float(), t.float()).conj(),
    lambda t: torch.complex(t.float(), t.float()).conj().imag,
    lambda t: t.transpose(0, -1),
    lambda t: t[:1].expand(3, *t.shape[1:]),
]


def list_of(rng, X, convert=np.asarray):
    """Return a list of single series, of unequal lengths if the values permit."""
    X = np.asarray(X)
    if X.ndim < 2:
        return [convert(X)]
    return [
        convert(one[: int(rng.integers(1, 1 + len(one)))]) if len(one) else convert(one)
        for one in X
    ]


def as_objects(items):
    objects = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        objects[index] = item
    return objects


def two_axes(X):
    X = np.asarray(X)
    return X.reshape(len(X), -1) if X.ndim > 1 and X.size else X.reshape(-1, 1)


def frame(rng, X):
    X = two_axes(X)
    if X.dtype.kind == "V" or X.dtype.kind == "T":
        X = np.zeros(X.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = pd.DataFrame(X)
        except (ValueError, TypeError):
            table = pd.DataFrame(np.asarray(X, dtype=object))
        kind = choose(rng, ["plain", "names", "Int64", "Float32", "category", "duplicates", "bool"])
        if kind == "names":
            return table.add_prefix("t")
        if kind == "duplicates":
            return table.set_axis(["a"] * table.shape[1], axis=1)
        if kind in ("Int64", "Float32", "category", "bool"):
            try:
                return table.astype("boolean" if kind == "bool" else kind)
            except Exception:
                return table
    return table


def long_frame(rng, X):
    """Return a table with one row per series and time, with now and then an odd key."""
    X = np.asarray(X)
    if X.ndim != 3 or not X.size or X.dtype.kind in "VT":
        X = 3.0 + rng.normal(size=(3, 4, 2))
    n, t, c = X.shape
    try:
        table = pd.DataFrame(X.reshape(-1, c)).add_prefix("c")
    except (ValueError, TypeError):
        table = pd.DataFrame(np.asarray(X, dtype=object).reshape(-1, c)).add_prefix("c")
    steps = np.tile(np.arange(t), n)
    table.insert(0, "series", np.repeat(np.arange(n), t))
    times = [
        lambda: steps,
        lambda: steps,
        lambda: steps * 0.5,
        lambda: steps.astype(">f8"),
        lambda: pd.Timestamp("2020-01-01") + pd.to_timedelta(steps, "D"),
        lambda: pd.to_timedelta(steps, "s"),
        lambda: (pd.Timestamp("2020-01-01") + pd.to_timedelta(steps, "D")).astype(str),
        lambda: steps.astype(str),
        lambda: steps.astype(object),
        lambda: steps + 1e300,
        lambda: steps * 1e-320,
        lambda: steps.astype("uint64") + np.uint64(2**64 - 100),
        lambda: np.where(steps == 1, np.nan, steps),
        lambda: steps.astype(complex),
        lambda: steps > 1,
        lambda: pd.array(steps, dtype="Int64"),
        lambda: [[step] for step in steps],
    ]
    table.insert(1, "time", choose(rng, times)())
    ids = choose(rng, [None] * 6 + ["str", "object", ">i8", "float", "list", "category"])
    if ids == "list":
        table["series"] = [[one] for one in table["series"]]
    elif ids == ">i8":
        table["series"] = table["series"].to_numpy().astype(">i8")
    elif ids is not None:
        table["series"] = table["series"].astype(ids)
    return table.sample(frac=1, random_state=0) if maybe(rng, 0.3) else table


def polars_frame(rng, X):
    X = two_axes(X)
    try:
        return pl.DataFrame(X)
    except Exception:
        return pl.DataFrame(np.zeros(X.shape))


def try_or_list(convert):
    """Return a container of the values, or a list where it does not hold such values."""

    def container(rng, X):
        try:
            return convert(rng, X)
        except (TypeError, ValueError, BufferError, OverflowError):
            return np.asarray(X).tolist()

    return container


CONTAINERS = [
    *([lambda rng, X: X] * 8),
    lambda rng, X: np.asfortranarray(X),
    lambda rng, X: X[::-1] if np.ndim(X) else X,
    lambda rng, X: X[..., ::-1] if np.ndim(X) else X,
    lambda rng, X: np.repeat(X, 2, axis=0)[::2] if np.ndim(X) else X,
    lambda rng, X: X[:1][::-1, ::-1] if np.ndim(X) > 1 else X,
    read_only,
    masked,
    lambda rng, X: np.asmatrix(two_axes(X)),
    lambda rng, X: np.asarray(X).view(Subclass),
    lambda rng, X: X.tolist(),
    lambda rng, X: tuple(X.tolist()) if np.ndim(X) else X.tolist(),
    lambda rng, X: collections.deque(X) if np.ndim(X) else X,
    list_of,
    lambda rng, X: list_of(rng, X, lambda one: one.tolist()),
    lambda rng, X: as_objects(list_of(rng, X)),
    lambda rng, X: pd.Series(as_objects(list_of(rng, X))),
    lambda rng, X: list_of(rng, X, lambda one: tensor(rng, one)),
    lambda rng, X: as_objects(list_of(rng, X, lambda one: tensor(rng, one))),
    lambda rng, X: list_of(rng, X, lambda one: masked(rng, one)),
    lambda rng, X: list_of(rng, X, lambda one: frame(rng, one)),
    lambda rng, X: list_of(rng, X, lambda one: polars_frame(rng, one)),
    lambda rng, X: list_of(rng, X, lambda one: pl.Series(one.reshape(-1).tolist(), strict=False)),
    lambda rng, X: list_of(rng, X, lambda one: scipy.sparse.csr_array(two_axes(one).astype(float))),
    lambda rng, X: [*np.asarray(X, dtype=object).reshape(-1), [1.0, [2.0, [3.0]]], [[1.0]]],
    lambda rng, X: [None, *list_of(rng, X)],
    lambda rng, X: [*list_of(rng, X), choose(rng, ODD)],
    tensor,
    tensor,
    tensor,
    frame,
    frame,
    frame,
    lambda rng, X: long_frame(rng, X).set_index(["series", "time"]),
    lambda rng, X: long_frame(rng, X),
    polars_frame,
    lambda rng, X: pd.Series(np.asarray(X).reshape(-1).tolist()),
    lambda rng, X: pl.Series([one.tolist() for one in list_of(rng, np.zeros((3, 4)))]),
    lambda rng, X: pd.Index(np.asarray(X).reshape(-1).tolist()),
    lambda rng, X: (one for one in X) if np.ndim(X) else X,
    lambda rng, X: iter([1.0, 2.0]),
    lambda rng, X: {1.0, 2.0},
    lambda rng, X: {"a": X},
    lambda rng, X: {"a": X}.values(),
    lambda rng, X: range(5),
    lambda rng, X: [range(3), range(3)],
    lambda rng, X: [range(3), range(5)],
    lambda rng, X: memoryview(np.ascontiguousarray(X, dtype=float)),
    lambda rng, X: array.array("d", [1.0, 2.0]),
    lambda rng, X: [array.array("d", [1.0, 2.0]), array.array("d", [1.0])],
    lambda rng, X: scipy.sparse.csr_array(np.eye(3)),
    lambda rng, X: Unreadable(),
    lambda rng, X: [Unreadable(), Unreadable()],
    lambda rng, X: choose(rng, [*ODD, "", "text", b"text", [], (), [[]], [[], [1.0]], [[[]]]]),
    lambda rng, X: choose(rng, [{}, pd.DataFrame(), pl.DataFrame(), [{}], [set()], ["a", "b"]]),
]


def random_series(rng, n_channels=2):
    """Return anything that might hold series."""
    for _ in range(20):
        X = cast(rng, random_values(rng, random_shape(rng, n_channels)))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return choose(rng, CONTAINERS)(rng, X)
            except Exception:
                # The container cannot hold such values; that is no fault of seqfeat.
                continue
    return X


def random_embeddings(rng, dim=4):
    if maybe(rng, 0.3):
        return random_series(rng)
    width = dim if maybe(rng, 0.9) else int(rng.integers(0, 8))
    values = rng.normal(size=(int(rng.integers(0, 6)) if maybe(rng, 0.1) else 3, width))
    values = values * choose(rng, [1.0, 1.0, 1.0, 1e-40, 1e-300, 1e10, 1e20, 1e38, 1e39, 1e300])
    if maybe(rng, 0.15) and values.size:
        values.reshape(-1)[int(rng.integers(values.size))] = choose(rng, [np.nan, np.inf, 1e39])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return choose(rng, CONTAINERS)(rng, cast(rng, values))
        except Exception:
            return values


def random_labels(rng, n_series=12):
    n = n_series if maybe(rng, 0.85) else int(rng.integers(0, 15))
    labels = rng.integers(0, choose(rng, [1, 2, 2, 3, 12]), n)
    kinds = [
        lambda: labels,
        lambda: labels,
        lambda: labels.tolist(),
        lambda: labels.astype(str),
        lambda: labels.astype(object),
        lambda: labels.astype(">i8"),
        lambda: labels.astype(bool),
        lambda: labels + 0.5,
        lambda: labels * 1.0,
        lambda: labels.astype("datetime64[D]"),
        lambda: labels.astype("timedelta64[s]"),
        lambda: labels.astype(complex),
        lambda: labels.astype("uint64") + np.uint64(2**63),
        lambda: labels.astype(np.float16),
        lambda: labels.astype(np.longdouble),
        lambda: labels[:, None],
        lambda: np.eye(n),
        lambda: labels.astype(str).astype("S"),
        lambda: labels.astype(str).astype(np.dtypes.StringDType()),
        lambda: np.ma.masked_array(labels, mask=labels == 0),
        lambda: np.asmatrix(labels),
        lambda: pd.Series(labels),
        lambda: pd.Series(labels).astype("category"),
        lambda: pd.Series(labels.astype(str)),
        lambda: pd.Series(labels, dtype="Int64"),
        lambda: pd.array(labels, dtype="Int64"),
        lambda: pd.Categorical(labels),
        lambda: pd.DataFrame(labels),
        lambda: pd.Index(labels),
        lambda: pl.Series(labels),
        lambda: torch.tensor(labels),
        lambda: torch.tensor(labels * 1.0, requires_grad=True),
        lambda: torch.tensor(labels).to(torch.bfloat16),
        lambda: tensor(rng, labels),
        lambda: [[one] for one in labels],
        lambda: [[1], [1, 2], *[[3]] * max(0, n - 2)],
        lambda: [*labels[1:].tolist(), choose(rng, ODD)],
        lambda: as_objects([*labels[1:].tolist(), choose(rng, ODD)]),
        lambda: [*labels[1:].tolist(), "a"],
        lambda: [decimal.Decimal(int(one)) for one in labels],
        lambda: (one for one in labels),
        lambda: set(labels.tolist()),
        lambda: dict(enumerate(labels)),
        lambda: range(n),
        lambda: memoryview(np.ascontiguousarray(labels)),
        lambda: scipy.sparse.csr_array(labels[None]),
        lambda: choose(rng, ODD),
        lambda: "abcdefghijkl",
        lambda: labels[::-1],
        lambda: np.zeros(n, dtype=[("a", float)]),
        lambda: np.full(n, np.nan),
        lambda: [(one,) for one in labels.tolist()],
        lambda: [{} for _ in labels],
    ]
    return choose(rng, kinds)()


# Methods


@cache
def models():
    """Return fitted models by name; each has seen series of another kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = waves()
        return {
            "plain": small(max_iter=1).fit(X),
            "masked": small(max_iter=1, missing="mask").fit(X),
            "unscaled": small(max_iter=0, scale=None).fit(X),
            "one_channel": small(max_iter=0).fit(X[:, :, :1]),
            "table": small(max_iter=0).fit(X[:, :, 0]),
            "frame": small(max_iter=0).fit(pd.DataFrame(X[:, :, 0]).add_prefix("t")),
            "offset": small(max_iter=0).fit(X + 1e9),
            "huge": small(max_iter=0).fit(X * 1e200),
            "tiny": small(max_iter=0).fit(X * 1e-200),
            "float32": small(max_iter=0).fit((X / X.max() * 3.3e38).astype("f4")),
            "last": small(max_iter=0, pooling="last", missing="mask").fit(X),
            "statistics": small(max_iter=0, pooling="statistics").fit(X),
            "constant": small(max_iter=0).fit(np.full((5, 6, 2), 3.0)),
            "classifier": make_classifier(4, hidden_dim=8, max_iter=0, random_state=0).fit(
                X, np.arange(12) % 2
            ),
        }


def random_model(rng):
    name = choose(rng, [name for name in models() if name != "classifier"])
    model = copy.deepcopy(models()[name])
    if maybe(rng, 0.05):
        model.set_output(transform=choose(rng, ["pandas", "polars"]))
    return name, model


def random_estimator(rng):
    params = {
        "max_iter": int(rng.integers(2)),
        "pooling": choose(rng, ["reservoir"] * 3 + ["statistics", "last", "mean", "max"]),
        "scale": choose(rng, ["channel"] * 4 + [None]),
        "missing": choose(rng, ["error", "mask"]),
        "target_weight": choose(rng, [0.0, 0.0, 0.5]),
        "early_stopping": choose(rng, [False, False, True]),
        "dropout": choose(rng, [0.0, 0.1]),
    }
    if params["pooling"] not in ("reservoir", "last"):
        params["input_noise"] = choose(rng, [0.0, 0.1])
    return small(**params)


def random_n_timesteps(rng):
    return choose(
        rng,
        [None] * 8
        + [1, 3, 20, np.int8(3), np.uint64(4), np.array(3), 2.5, 3.0, "3", True, np.bool_(True)]
        + [0, -1, 10**13, 10**30, np.nan, [3], pd.NA, 1j, torch.tensor(3), (8, 2)],
    )


def random_target(rng, n):
    shape = (n, 4) if maybe(rng, 0.9) else choose(rng, [(n, 5), (n,), (), (0, 4)])
    dtypes = ["f4", "f8", ">f4", "f2", "i4", "bool", "c8", "U8", "S4", "O", "g", "M8[s]", "f4,f4"]
    zeros = np.zeros(shape, dtype=choose(rng, dtypes))
    kinds = [
        *([lambda: zeros] * 5),
        lambda: read_only(rng, zeros),
        lambda: zeros[::-1] if zeros.ndim else zeros,
        lambda: np.asfortranarray(zeros),
        lambda: np.ma.masked_array(zeros),
        lambda: np.asmatrix(zeros),
        lambda: np.broadcast_to(zeros[:1], shape) if zeros.ndim else zeros,
        lambda: torch.zeros(shape),
        lambda: torch.zeros(shape).bfloat16(),
        lambda: torch.zeros(shape, requires_grad=True),
        lambda: pd.DataFrame(np.zeros((n, 4))),
        lambda: pl.DataFrame(np.zeros((n, 4))),
        lambda: [[0.0] * 4 for _ in range(n)],
        lambda: np.zeros((n, 4)).data,
        lambda: scipy.sparse.lil_array((n, 4)),
        lambda: choose(rng, ["no suffix", 3, None, "", b"Z.npy", object(), os.path]),
    ]
    return choose(rng, kinds)()


def random_call(seed):
    """Return the name of a method, what it is called with, and a function that calls it."""
    for attempt in range(20):
        rng = np.random.default_rng([4741, seed, attempt])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return CALLS[choose(rng, METHODS)](rng)
            except Exception:
                # A container cannot hold such values; that is no fault of seqfeat.
                continue
    raise AssertionError(f"nothing can be made from seed {seed}")


def call_fit(rng):
    estimator = random_estimator(rng)
    X = waves() if maybe(rng, 0.4) else random_series(rng)
    y = random_labels(rng) if estimator.target_weight or maybe(rng, 0.2) else None
    methods = ["fit", "fit_transform", *["partial_fit"] * (not estimator.early_stopping)]
    method = choose(rng, methods)
    return method, (X, y), lambda: getattr(estimator, method)(X, y)


def call_partial_fit(rng):
    """A second call, after one of ordinary series."""
    estimator = small(max_iter=1, missing=choose(rng, ["error", "mask"]))
    X = random_series(rng)
    return "partial_fit", (X,), lambda: estimator.partial_fit(waves()).partial_fit(X)


def call_method(method):
    def call(rng):
        name, model = random_model(rng)
        X = random_series(rng, 1 if name == "one_channel" else 2)
        return f"{method} {name}", (X,), lambda: getattr(model, method)(X)

    return call


def call_inverse_transform(rng):
    name, model = random_model(rng)
    Z, n_timesteps = random_embeddings(rng), random_n_timesteps(rng)
    return (
        f"inverse_transform {name}",
        (Z, n_timesteps),
        lambda: model.inverse_transform(Z, n_timesteps),
    )


def call_transform_into(rng):
    model = models()["plain"]
    X = waves() if maybe(rng, 0.7) else random_series(rng)
    n = len(X) if isinstance(X, np.ndarray) and X.ndim else 12
    target = random_target(rng, n)
    return "transform_into", (X, target), lambda: transform_into(model, X, target)


def call_classifier(rng):
    if maybe(rng, 0.5):
        model = make_classifier(4, hidden_dim=8, max_iter=0, random_state=0)
        X = waves() if maybe(rng, 0.7) else random_series(rng)
        y = random_labels(rng)
        return "classifier.fit", (X, y), lambda: model.fit(X, y)
    X = random_series(rng)
    return "classifier.predict", (X,), lambda: models()["classifier"].predict(X)


def call_as_series(rng):
    X, missing = random_series(rng), choose(rng, ["error", "mask", "mask", "no", None])
    return "as_series", (X, missing), lambda: seqfeat.series.as_series(X, missing=missing)


def call_from_channels_first(rng):
    X = random_series(rng)
    return "from_channels_first", (X,), lambda: seqfeat.series.from_channels_first(X)


def call_from_long(rng):
    table = long_frame(rng, cast(rng, random_values(rng, (3, 4, 2))))
    if maybe(rng, 0.15):
        table = choose(rng, [pl.from_pandas, lambda t: t.to_numpy(), lambda t: t.to_dict()])
        return call_from_long(rng) if table is pl.from_pandas else _from_long(rng, None)
    return _from_long(rng, table)


def _from_long(rng, table):
    table = random_series(rng) if table is None else table
    keys = choose(rng, [("series", "time")] * 6 + [("series", None), ("no", "time"), (3, 4)])
    options = {
        "channels": choose(rng, [None, None, "c0", ["c0"], [], "no", 3, ["c0", "c0"]]),
        "label": choose(rng, [None, None, None, "c0", "no"]),
        "step": choose(rng, ["auto"] * 5 + [None, 1, 0.5, "1D", "x", 0, -1, np.nan, 1e-300, []]),
    }
    return (
        "from_long",
        (table, keys, options),
        lambda: seqfeat.series.from_long(table, *keys, **options),
    )


CALLS = {
    "fit": call_fit,
    "partial_fit": call_partial_fit,
    **{name: call_method(name) for name in ("transform", "reconstruct", "score", "score_samples")},
    "inverse_transform": call_inverse_transform,
    "transform_into": call_transform_into,
    "classifier": call_classifier,
    "as_series": call_as_series,
    "from_channels_first": call_from_channels_first,
    "from_long": call_from_long,
}
METHODS = [*CALLS, "inverse_transform", "transform", "as_series", "reconstruct", "transform_into"]


# Outcomes


def is_allowed(error):
    """Return whether a caller may expect an error: seqfeat's own, or scikit-learn's documented."""
    if isinstance(error, (SeqfeatError, NotFittedError, InvalidParameterError)):
        return True
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if any(f"{os.sep}linear_model{os.sep}" in file for file in files):
        return True  # Labels that the classifier of a pipeline converts by itself.
    is_check = f"{os.sep}sklearn{os.sep}" in files[-1]
    return is_check and type(error) in (ValueError, TypeError) and len(str(error)) > 20


def is_finite(result):
    """Return whether nothing but padding in a result is not finite."""
    if isinstance(result, list):
        return all(map(is_finite, result))
    if isinstance(result, (pd.DataFrame, pd.Series)):
        return (
            is_finite(list(result) if result.dtype == object else result.to_numpy())
            if (isinstance(result, pd.Series))
            else is_finite(result.to_numpy())
        )
    if isinstance(result, pl.DataFrame):
        result = result.to_numpy()
    if isinstance(result, np.ndarray) and result.dtype.kind in "fc":
        return bool(np.isfinite(result).all())
    return not isinstance(result, float) or np.isfinite(result)


RETURNS_FINITE = ("transform", "fit_transform", "inverse_transform", "score", "reconstruct")


def problem(seed):
    """Run a call, and return what is wrong with what came of it, or None."""
    name, arguments, run = random_call(seed)
    rng = np.random.default_rng(seed)
    strict = maybe(rng, 0.3)
    with (
        np.errstate(all="raise" if strict else "warn"),
        warnings.catch_warnings(record=not strict) as caught,
    ):
        warnings.simplefilter("error" if strict else "always")
        warnings.filterwarnings("ignore", "X (has|does not have valid) feature names")
        for category in WARNINGS:
            warnings.simplefilter("ignore", category)
        try:
            result = run()
        except Exception as error:
            if is_allowed(error):
                return None
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            return f"{name}: {type(error).__name__} at {place}: {error}", arguments
    if caught:
        return f"{name}: warns {caught[0].category.__name__}: {caught[0].message}", arguments
    may_have_padding = name.endswith(("masked", "last"))
    if name.startswith(RETURNS_FINITE) and not may_have_padding and not is_finite(result):
        return f"{name}: the result is not finite", arguments
    return None


if __name__ == "__main__":
    first, last = map(int, sys.argv[1:])
    for seed in range(first, last):
        found = problem(seed)
        if found is not None:
            print(seed, found[0].replace("\n", " ")[:230], flush=True)
