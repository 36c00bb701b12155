"""Support vector machines as ONNX nodes, in float64.

The operator that ONNX has for them computes in float32, and the sum over hundreds of
support vectors with large weights then misses scikit-learn's by more than 1e-5.

Shapes use N series, F features, V support vectors, K classes and P pairs of classes.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.saving.onnx.graph import GraphWriter, add_outputs

__all__ = ["convert_support_vector_regressor", "convert_support_vectors"]


def convert_support_vector_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the sum over the support vectors."""
    g = GraphWriter(scope, container)
    machine = operator.raw_operator
    product = g.node("MatMul", _kernel(g, operator), g.constant(machine.dual_coef_.T, np.float64))
    result = g.node("Add", product, g.constant(machine.intercept_, np.float64))
    g.cast(result, np.float64, output=operator.outputs[0].full_name)


def convert_support_vectors(scope: Any, operator: Any, container: Any) -> None:
    """Add the decision between each pair of classes, the votes, and scikit-learn's scores."""
    g = GraphWriter(scope, container)
    machine = operator.raw_operator
    n_classes = len(machine.classes_)
    weights = g.constant(_pair_weights(machine), np.float64)
    intercepts = machine._intercept_
    decisions = g.node("MatMul", _kernel(g, operator), weights)
    decisions = g.node("Add", decisions, g.constant(intercepts, np.float64))
    if n_classes == 2:
        # libsvm decides for the first class, scikit-learn for the second.
        scores = g.node("Concat", decisions, g.node("Neg", decisions), axis=1)
        add_outputs(g, operator, scores)
        return
    firsts, seconds = _pair_members(n_classes)
    is_first = g.node("Greater", decisions, g.constant(0, np.float64))
    votes = g.node(
        "Add",
        g.node("MatMul", g.cast(is_first, np.float64), g.constant(firsts)),
        g.node("MatMul", g.cast(g.node("Not", is_first), np.float64), g.constant(seconds)),
    )
    if machine.decision_function_shape == "ovo":
        add_outputs(g, operator, decisions, votes)
        return
    confidence = g.node("MatMul", decisions, g.constant(firsts - seconds))
    scores = g.node("Add", votes, _within_a_third(g, confidence))
    add_outputs(g, operator, scores, None if machine.break_ties else votes)


def _within_a_third(g: GraphWriter, x: str) -> str:
    """Return x / (3 * (|x| + 1)), which cannot outweigh a vote."""
    above = g.node("Add", g.node("Abs", x), g.constant(1, np.float64))
    return g.node("Div", x, g.node("Mul", above, g.constant(3, np.float64)))


def _pair_members(n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return which class is the first and which the second of each pair, shapes (P, K)."""
    firsts, seconds = np.array(list(combinations(range(n_classes), 2))).T
    return np.eye(n_classes)[firsts], np.eye(n_classes)[seconds]


def _pair_weights(machine: Any) -> NDArray[np.float64]:
    """Return each support vector's weight in each pair of classes, shape (V, P).

    libsvm keeps them by class: row j - 1 holds the weights of class i against class
    j > i, row i those of class j against i.
    """
    n_classes = len(machine.classes_)
    class_of_vector = np.repeat(np.arange(n_classes), machine._n_support)
    columns = []
    for i, j in combinations(range(n_classes), 2):
        of_i, of_j = class_of_vector == i, class_of_vector == j
        dual = machine._dual_coef_
        columns.append(np.where(of_i, dual[j - 1], 0.0) + np.where(of_j, dual[i], 0.0))
    return np.stack(columns, axis=1)


def _kernel(g: GraphWriter, operator: Any) -> str:
    """Return the kernel of each series and each support vector, shape (N, V)."""
    machine = operator.raw_operator
    x = g.cast(operator.inputs[0].full_name, np.float64)
    product = g.node("MatMul", x, g.constant(machine.support_vectors_.T, np.float64))
    gamma, coef0 = g.constant(machine._gamma, np.float64), g.constant(machine.coef0, np.float64)
    match machine.kernel:
        case "linear":
            return product
        case "rbf":
            return _radial(g, x, product, machine)
        case "poly":
            inner = g.node("Add", g.node("Mul", product, gamma), coef0)
            return g.node("Pow", inner, g.constant(machine.degree, np.float64))
        case "sigmoid":
            return g.node("Tanh", g.node("Add", g.node("Mul", product, gamma), coef0))
    raise NotImplementedError(
        f"kernel={machine.kernel!r}; only linear, rbf, poly and sigmoid kernels can be converted"
    )


def _radial(g: GraphWriter, x: str, product: str, machine: Any) -> str:
    """Return exp(-gamma * |x - v|^2), with |x|^2 - 2 x v + |v|^2 for the distance."""
    squares = g.constant((machine.support_vectors_**2).sum(axis=1), np.float64)
    lengths = g.reduce("ReduceSum", g.node("Mul", x, x), [1], keepdims=True)
    twice = g.node("Mul", product, g.constant(-2, np.float64))
    distances = g.node("Add", g.node("Add", lengths, twice), squares)
    return g.node("Exp", g.node("Mul", distances, g.constant(-machine._gamma, np.float64)))
