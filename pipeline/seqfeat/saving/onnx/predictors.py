"""Converters for scikit-learn predictors whose skl2onnx graphs give different results.

- Forests: skl2onnx adds up votes in float32, so a tie may go to another class.
- Linear discriminant analysis of two classes: skl2onnx applies a softmax instead of a
  sigmoid.
- Other linear models and support vector machines: skl2onnx computes them in float32, or
  not at all, and where many terms add up the results differ from scikit-learn's by
  more than 1e-5.
- Histogram gradient boosting: skl2onnx passes numbers of types that onnx rejects.
- Regressors of transformed targets: skl2onnx has no converter.

Shapes use N series, F features, V support vectors, K classes and P pairs of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import get_model_alias
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from skl2onnx.operator_converters.random_forest import (
    convert_sklearn_random_forest_classifier,
    convert_sklearn_random_forest_regressor_converter,
)
from sklearn.compose import TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from seqfeat.saving.onnx.graph_writer import GraphWriter, add_classifier_outputs

__all__ = ["find_converter"]

Converter = Callable[[Any, Any, Any], None]


def find_converter(step: Any) -> Converter | None:
    """Return our converter for the last step, or None to use skl2onnx's."""
    if isinstance(step, (SVC, NuSVC)) and hasattr(step, "predict_proba"):
        # Platt scaling of more than two classes is an iterative computation.
        return None
    return CONVERTERS.get(type(step))


# Linear models


def convert_discriminant_analysis(scope: Any, operator: Any, container: Any) -> None:
    """Add the linear decision function, and its sigmoid or softmax."""
    g = GraphWriter(scope, container)
    decision = _linear_decision(g, operator)
    if len(operator.raw_operator.classes_) > 2:
        add_classifier_outputs(g, operator, g.node("Softmax", decision, axis=1))
        return
    positive = g.node("Sigmoid", decision)
    negative = g.node("Sub", g.constant(1, np.float64), positive)
    add_classifier_outputs(g, operator, g.node("Concat", negative, positive, axis=1))


def convert_linear_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the linear decision function; for two classes, with its negative as the first column."""
    g = GraphWriter(scope, container)
    decision = _linear_decision(g, operator)
    if len(operator.raw_operator.classes_) == 2:
        decision = g.node("Concat", g.node("Neg", decision), decision, axis=1)
    add_classifier_outputs(g, operator, decision)


def _linear_decision(g: GraphWriter, operator: Any) -> str:
    """Return the decision function, float64 of shape (N, K), or (N, 1) for two classes."""
    classifier = operator.raw_operator
    x = g.cast(operator.inputs[0].full_name, np.float64)
    coefficients = np.atleast_2d(classifier.coef_).T
    product = g.node("MatMul", x, g.constant(coefficients, np.float64))
    return g.node("Add", product, g.constant(classifier.intercept_, np.float64))


# Forests


def convert_forest(scope: Any, operator: Any, container: Any) -> None:
    """Add all trees as a single regression whose targets are the votes for each class.

    As scikit-learn does, the graph compares float32 features with float64 thresholds and
    divides float64 votes. Only the sum of the votes is returned as float32 by the
    operator, which represents votes of pure leaves exactly.
    """
    g = GraphWriter(scope, container)
    forest = operator.raw_operator
    if getattr(forest, "n_outputs_", 1) != 1:
        raise NotImplementedError("only forests with a single target can be converted")
    trees = [tree.tree_ for tree in getattr(forest, "estimators_", [forest])]
    x = g.cast(g.cast(operator.inputs[0].full_name, np.float32), np.float64)
    votes = g.node(
        "TreeEnsembleRegressor",
        x,
        op_domain="ai.onnx.ml",
        op_version=3,
        n_targets=len(forest.classes_),
        **_tree_attributes(trees),
    )
    votes = g.cast(votes, np.float64)
    mean = g.node("Div", votes, g.constant(len(trees), np.float64))
    add_classifier_outputs(g, operator, mean)


def _tree_attributes(trees: list[Any]) -> dict[str, Any]:
    """Return the nodes of all trees, concatenated, as attributes of the operator."""
    node_counts = [tree.node_count for tree in trees]
    is_leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    tree_ids = np.repeat(np.arange(len(trees)), node_counts)
    node_ids = np.concatenate([np.arange(count) for count in node_counts])
    features = np.concatenate([tree.feature for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    votes = np.concatenate([tree.value[:, 0, :] for tree in trees])[is_leaf]
    votes = votes / votes.sum(axis=1, keepdims=True)
    n_classes = votes.shape[1]
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, features).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": _double_tensor(np.where(is_leaf, 0.0, thresholds)),
        "nodes_truenodeids": np.where(is_leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, right).tolist(),
        "target_treeids": np.repeat(tree_ids[is_leaf], n_classes).tolist(),
        "target_nodeids": np.repeat(node_ids[is_leaf], n_classes).tolist(),
        "target_ids": np.tile(np.arange(n_classes), len(votes)).tolist(),
        "target_weights_as_tensor": _double_tensor(votes.ravel()),
    }


def _double_tensor(values: NDArray[Any]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(values.astype(np.float64))


# Histogram gradient boosting


def with_plain_numbers(converter: Converter) -> Converter:
    """Wrap a skl2onnx converter so that onnx accepts the NumPy scalars and booleans it passes."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        converter(scope, operator, _PlainNumbersContainer(container))

    return convert


class _PlainNumbersContainer:
    """A container that converts lists of NumPy scalars and booleans to plain numbers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        plain = {
            name: [_to_plain_number(item) for item in value] if isinstance(value, list) else value
            for name, value in attributes.items()
        }
        self._container.add_node(*args, **plain)


def _to_plain_number(item: Any) -> Any:
    item = item.item() if isinstance(item, np.generic) else item
    return int(item) if isinstance(item, bool) else item


# Support vector machines


def convert_support_vector_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the weighted sum over the support vectors."""
    g = GraphWriter(scope, container)
    machine = operator.raw_operator
    dual = g.constant(machine.dual_coef_.T, np.float64)
    product = g.node("MatMul", _kernel_matrix(g, operator), dual)
    result = g.node("Add", product, g.constant(machine.intercept_, np.float64))
    g.cast(result, np.float64, output=operator.outputs[0].full_name)


def convert_support_vector_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the decision for each pair of classes, the votes, and scikit-learn's scores."""
    g = GraphWriter(scope, container)
    machine = operator.raw_operator
    n_classes = len(machine.classes_)
    weights = g.constant(_pair_weights(machine), np.float64)
    decisions = g.node("MatMul", _kernel_matrix(g, operator), weights)
    decisions = g.node("Add", decisions, g.constant(machine._intercept_, np.float64))
    if n_classes == 2:
        # libsvm's decision is positive for the first class, scikit-learn's for the second.
        scores = g.node("Concat", decisions, g.node("Neg", decisions), axis=1)
        add_classifier_outputs(g, operator, scores)
        return
    firsts, seconds = _pair_members(n_classes)
    is_first = g.node("Greater", decisions, g.constant(0, np.float64))
    votes = g.node(
        "Add",
        g.node("MatMul", g.cast(is_first, np.float64), g.constant(firsts)),
        g.node("MatMul", g.cast(g.node("Not", is_first), np.float64), g.constant(seconds)),
    )
    if machine.decision_function_shape == "ovo":
        add_classifier_outputs(g, operator, decisions, votes)
        return
    confidence = g.node("MatMul", decisions, g.constant(firsts - seconds))
    scores = g.node("Add", votes, _squash_below_third(g, confidence))
    add_classifier_outputs(g, operator, scores, None if machine.break_ties else votes)


def _squash_below_third(g: GraphWriter, x: str) -> str:
    """Return x / (3 * (|x| + 1)), which is too small to outweigh a vote."""
    above = g.node("Add", g.node("Abs", x), g.constant(1, np.float64))
    return g.node("Div", x, g.node("Mul", above, g.constant(3, np.float64)))


def _pair_members(n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and the second class of each pair, one-hot encoded, shapes (P, K)."""
    firsts, seconds = np.array(list(combinations(range(n_classes), 2))).T
    return np.eye(n_classes)[firsts], np.eye(n_classes)[seconds]


def _pair_weights(machine: Any) -> NDArray[np.float64]:
    """Return the weight of each support vector for each pair of classes, shape (V, P).

    libsvm stores them by class: for i < j, row j - 1 holds the weights of the vectors of
    class i against class j, and row i those of class j against class i.
    """
    n_classes = len(machine.classes_)
    class_of_vector = np.repeat(np.arange(n_classes), machine._n_support)
    columns = []
    for i, j in combinations(range(n_classes), 2):
        of_i, of_j = class_of_vector == i, class_of_vector == j
        dual = machine._dual_coef_
        columns.append(np.where(of_i, dual[j - 1], 0.0) + np.where(of_j, dual[i], 0.0))
    return np.stack(columns, axis=1)


def _kernel_matrix(g: GraphWriter, operator: Any) -> str:
    """Return the kernel of each series and each support vector, float64 of shape (N, V)."""
    machine = operator.raw_operator
    x = g.cast(operator.inputs[0].full_name, np.float64)
    product = g.node("MatMul", x, g.constant(machine.support_vectors_.T, np.float64))
    gamma, coef0 = g.constant(machine._gamma, np.float64), g.constant(machine.coef0, np.float64)
    match machine.kernel:
        case "linear":
            return product
        case "rbf":
            return _radial_kernel(g, x, product, machine)
        case "poly":
            inner = g.node("Add", g.node("Mul", product, gamma), coef0)
            return g.node("Pow", inner, g.constant(machine.degree, np.float64))
        case "sigmoid":
            return g.node("Tanh", g.node("Add", g.node("Mul", product, gamma), coef0))
    raise NotImplementedError(
        f"kernel={machine.kernel!r}; only linear, rbf, poly and sigmoid kernels can be converted"
    )


def _radial_kernel(g: GraphWriter, x: str, product: str, machine: Any) -> str:
    """Return exp(-gamma * |x - v|^2), computing the distance as |x|^2 - 2 x v + |v|^2."""
    v_squared = g.constant((machine.support_vectors_**2).sum(axis=1), np.float64)
    x_squared = g.reduce("ReduceSum", g.node("Mul", x, x), [1], keepdims=True)
    minus_twice = g.node("Mul", product, g.constant(-2, np.float64))
    distances = g.node("Add", g.node("Add", x_squared, minus_twice), v_squared)
    return g.node("Exp", g.node("Mul", distances, g.constant(-machine._gamma, np.float64)))


# Regressors of transformed targets

AFFINE = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
"""Scalers whose inverse is a multiplication and an addition."""


def convert_transformed_target(scope: Any, operator: Any, container: Any) -> None:
    """Add the regressor of the transformed target, and the inverse of the transformation."""
    g = GraphWriter(scope, container)
    inner = operator.raw_operator.regressor_
    transformed = scope.declare_local_operator(get_model_alias(type(inner)), inner)
    transformed.inputs = operator.inputs
    is_float32 = isinstance(operator.inputs[0].type, FloatTensorType)
    kind = FloatTensorType if is_float32 else DoubleTensorType
    transformed.outputs.append(scope.declare_local_variable("transformed", kind()))
    numbers = g.cast(transformed.outputs[0].full_name, np.float64)
    result = _inverse_transform(g, numbers, operator.raw_operator.transformer_)
    g.cast(result, np.float64, output=operator.outputs[0].full_name)


def _inverse_transform(g: GraphWriter, y: str, transformer: Any) -> str:
    """Return the numbers in the units of the target, shape (N, K)."""
    if isinstance(transformer, AFFINE):
        zeros = np.zeros((1, transformer.n_features_in_))
        offset = transformer.inverse_transform(zeros)
        factor = transformer.inverse_transform(zeros + 1) - offset
        return g.node("Add", g.node("Mul", y, g.constant(factor)), g.constant(offset))
    inverse = transformer.inverse_func if isinstance(transformer, FunctionTransformer) else ...
    if inverse is None:
        return y
    if inverse is np.exp:
        return g.node("Exp", y)
    if inverse is np.expm1:
        return g.node("Sub", g.node("Exp", y), g.constant(1, np.float64))
    if inverse is np.square:
        return g.node("Mul", y, y)
    raise NotImplementedError(
        "as the inverse of a transformed target, only np.exp, np.expm1, np.square and the scalers "
        f"{', '.join(scaler.__name__ for scaler in AFFINE)} can be converted"
    )


CONVERTERS: dict[type, Converter] = {
    DecisionTreeClassifier: convert_forest,
    ExtraTreeClassifier: convert_forest,
    ExtraTreesClassifier: convert_forest,
    HistGradientBoostingClassifier: with_plain_numbers(convert_sklearn_random_forest_classifier),
    HistGradientBoostingRegressor: with_plain_numbers(
        convert_sklearn_random_forest_regressor_converter
    ),
    LinearDiscriminantAnalysis: convert_discriminant_analysis,
    LinearSVC: convert_linear_classifier,
    NuSVC: convert_support_vector_classifier,
    NuSVR: convert_support_vector_regressor,
    RandomForestClassifier: convert_forest,
    RidgeClassifier: convert_linear_classifier,
    RidgeClassifierCV: convert_linear_classifier,
    SVC: convert_support_vector_classifier,
    SVR: convert_support_vector_regressor,
    TransformedTargetRegressor: convert_transformed_target,
}
"""Converters that take precedence over skl2onnx's."""
