"""Messages advise in the language of whoever reads them: options on the command line, else Python.

All messages of the package are read from its source. If a test here fails for a new message:

- the library names an option: name the parameter instead, `separator=";"`. The command line turns
  it into `--separator ;` if it is in `OPTIONS` of `seqfeat.cli.errors`;
- the library's Python would reach the command line: add what to say there to `ADVICE`, next to an
  expression that the sentence contains; or, if the message cannot be reached from the command
  line, add its beginning to `OUT_OF_REACH` below, with the reason.
"""

import ast
import inspect
import re
from functools import cache

import pytest

from seqfeat import InputError, LSTMAutoencoder
from seqfeat.cli.errors import ADVICE, OPTIONS, SETTINGS, rewording_errors, use_option_names
from tests.house import PACKAGE, name_of, room_of, sources

OUT_OF_REACH = {
    # What a file cannot hold: the commands read files alone.
    "{} is a nested tensor": "PyTorch",
    "{} is a tensor": "PyTorch",
    "{} is a quantized tensor": "PyTorch",
    "frame has type": "a table of another library",
    "the sequences of a batch": "a packed sequence of PyTorch",
    "a set of labelled arrays": "xarray",
    "a query that has not run": "Polars",
    "X has the dimensions": "xarray",
    "variable ": "xarray",
    "no series; to read them": "not a container of series",
    "X is an iterator": "a generator",
    "series {} is a pair": "a list of pairs",
    "X has type {}, with data": "MNE",
    "X has type {} and cannot be converted": "an object that is no array",
    "X has type {}: ": "an object that is no array",
    "X holds series and their labels": "the result of a function of seqfeat.series",
    "X is a Dask": "Dask",
    "X has shape {}, with axes of unknown size": "Dask",
    "Sparse data": "SciPy",
    "X is a masked array": "NumPy's masked arrays, which no file holds",
    "X is not a regular array": "a list",
    "to an array or a list": "a table that is passed where series belong",
    "X has shape {}; from_channels_first": "--channels-first reads arrays of 3 dimensions alone",
    "the series of X have the channels": "a list of frames",
    "{}={}, but the recordings are": "recordings in Python",
    # What the commands check themselves, before or in other words.
    "X and the frame of fit": "the commands keep series apart in one step",
    "y has {} labels, one for each row": "labels come with the series from one file",
    "{} {}: entry": "labels come with the series from one file",
    "y is a dict": "labels come with the series from one file",
    "X is a frame indexed": "transform_into, which no command calls",
    "target": "read_into and transform_into, whose target --output has checked",
    "n_timesteps=": "inverse_transform, which no command calls",
    "X has shape {}; embeddings have": "inverse_transform, which no command calls",
    "rank {} of {} lost": "a fit on several processes, which no command starts",
    "Add series, or pass another regressor": "a ridge regression, which is never refused",
    "Transform y, or pass another regressor": "a ridge regression, which takes all numbers",
    "as the inverse of a transformed target": "the commands transform no targets",
    "Complex data not supported: {}. Pass real numbers": "numbers of a table, which are real",
    "kernel=": "the kernel of a classifier is not an option",
    "dtype=": "the dtype of an exported graph is not an option",
    "format=": "the format of a model follows from its suffix",
    "y holds {}, which are not among": "partial_fit, which no command calls",
    "class_weight='balanced' needs": "partial_fit, which no command calls",
    "sample_weight": "no command reads weights",
}
"""Beginnings of messages that the command line never shows, and why."""

ROOMS = {"series", "inference", "training", "saving", "pipeline", "autoencoder", "runtime"}
PYTHON = re.compile(
    r"\b[a-z]\w+=(?!=)|\b[Xy][.\[]|\.astype\(|\b(numpy|np|pandas|pd|torch|seqfeat\.\w+)\.|\(X\)"
    r"|DataFrame|from_long|\w\(\)"
)
SHAPE = "(shape=7)"
"""Scikit-learn's words for the shape of an array, which are no parameter."""


def literal(node):
    """Return the text of an expression, with {} for what is filled in, or None if it has none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (it.value if isinstance(it, ast.Constant) else "{}" for it in node.values)
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = literal(node.left), literal(node.right)
        return None if left is None and right is None else (left or "{}") + (right or "{}")
    return None


def sentences_of(path):
    """Return the texts of a file that read like a message: neither docstrings nor names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        text = None if id(node) in skipped else literal(node)
        if text is not None:
            skipped |= {id(inner) for inner in ast.walk(node)}
            if len(text.split()) > 3:
                found.append((node.lineno, text))
    return found


@cache
def library_messages():
    return [
        (path, line, text)
        for path in sources()
        if room_of(name_of(path)) != "cli"
        for line, text in sentences_of(path)
    ]


def options_of(text):
    """Return the options of the commands that a text names; other programs have others."""
    ours = set(re.findall(r"--[a-z-]+", (PACKAGE / "cli" / "options.py").read_text()))
    return set(re.findall(r"(?<![\w-])--[a-z-]+", text)) & (ours | set(OPTIONS.values()))


def on_the_command_line(message):
    """Return a message as the commands show it, on series to train on and with a model."""
    filled = message.replace("{}", "7")
    shown = [use_option_names(filled)]
    for has_model in (False, True):
        try:
            with rewording_errors([], has_model=has_model):
                raise InputError(filled)
        except Exception as error:
            shown.append(use_option_names(str(error)))
    return re.sub(r"--set \w+=\S+", "", " ".join(shown).replace(SHAPE, ""))


def test_fault_8_no_message_of_the_library_names_an_option():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path, line, text in library_messages()
        if options_of(text)
    ]
    assert not found, "\n".join(found)


def test_fault_8_no_message_on_the_command_line_speaks_python():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {on_the_command_line(text)}"
        for path, line, text in library_messages()
        if room_of(name_of(path)) in ROOMS and not text.startswith(tuple(OUT_OF_REACH))
        if PYTHON.search(on_the_command_line(text))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("beginning", OUT_OF_REACH)
def test_messages_out_of_reach_exist(beginning):
    assert any(text.startswith(beginning) for _, _, text in library_messages())


@pytest.mark.parametrize("mark", [mark for mark, _ in ADVICE])
def test_every_advice_replaces_a_sentence_of_the_library(mark):
    assert any(mark in text for _, _, text in library_messages())


def test_every_parameter_of_the_estimator_has_an_option_or_is_set():
    parameters = set(inspect.signature(LSTMAutoencoder).parameters)
    assert parameters == (set(SETTINGS) | set(OPTIONS)) & parameters
    assert set(SETTINGS) <= parameters - set(OPTIONS)
