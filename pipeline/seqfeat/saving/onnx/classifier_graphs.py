"""Classifiers of scikit-learn whose graphs by skl2onnx give other results, as ONNX nodes.

- Forests vote in float32 there, so that a tie may fall to another class.
- Linear discriminant analysis of two classes takes a softmax for a sigmoid there.
- Other linear decisions and support vector machines come in float32, or not at all,
  and then miss scikit-learn's by more than 1e-5 where many terms add up.
- Trees of histogram gradient boosting carry numbers of types that onnx refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx.operator_converters.random_forest import (
    convert_sklearn_random_forest_classifier,
    convert_sklearn_random_forest_regressor_converter,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from seqfeat.saving.onnx.graph import GraphWriter, add_outputs
from seqfeat.saving.onnx.support_vector_graphs import (
    convert_support_vector_regressor,
    convert_support_vectors,
)

__all__ = ["own_converter"]

Converter = Callable[[Any, Any, Any], None]


def convert_discriminant_analysis(scope: Any, operator: Any, container: Any) -> None:
    """Add the linear decision, and its sigmoid or softmax."""
    g = GraphWriter(scope, container)
    decision = _decision(g, operator)
    if len(operator.raw_operator.classes_) > 2:
        add_outputs(g, operator, g.node("Softmax", decision, axis=1))
        return
    positive = g.node("Sigmoid", decision)
    negative = g.node("Sub", g.constant(1, np.float64), positive)
    add_outputs(g, operator, g.node("Concat", negative, positive, axis=1))


def convert_linear_decision(scope: Any, operator: Any, container: Any) -> None:
    """Add the linear decision; of two classes, its negative beside it."""
    g = GraphWriter(scope, container)
    decision = _decision(g, operator)
    if len(operator.raw_operator.classes_) == 2:
        decision = g.node("Concat", g.node("Neg", decision), decision, axis=1)
    add_outputs(g, operator, decision)


def _decision(g: GraphWriter, operator: Any) -> str:
    """Return the linear decision, float64, of one column for two classes."""
    classifier = operator.raw_operator
    x = g.cast(operator.inputs[0].full_name, np.float64)
    coefficients = np.atleast_2d(classifier.coef_).T
    product = g.node("MatMul", x, g.constant(coefficients, np.float64))
    return g.node("Add", product, g.constant(classifier.intercept_, np.float64))


def convert_forest(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees' votes as one regression, their mean and the first largest of them.

    scikit-learn compares float32 features with float64 thresholds and adds up
    float64 votes. So does this graph, but for the sums, which the operator
    returns as float32: votes of whole trees are exact in it.
    """
    g = GraphWriter(scope, container)
    forest = operator.raw_operator
    if getattr(forest, "n_outputs_", 1) != 1:
        raise NotImplementedError("only forests of one target can be converted")
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
    add_outputs(g, operator, mean)


def _tree_attributes(trees: list[Any]) -> dict[str, Any]:
    """Return all nodes of all trees, one after the other, as the operator wants them."""
    count = [tree.node_count for tree in trees]
    is_leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    tree_ids = np.repeat(np.arange(len(trees)), count)
    node_ids = np.concatenate([np.arange(n) for n in count])
    features = np.concatenate([tree.feature for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    shares = np.concatenate([tree.value[:, 0, :] for tree in trees])[is_leaf]
    shares = shares / shares.sum(axis=1, keepdims=True)
    n_classes = shares.shape[1]
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, features).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": _tensor(np.where(is_leaf, 0.0, thresholds)),
        "nodes_truenodeids": np.where(is_leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, right).tolist(),
        "target_treeids": np.repeat(tree_ids[is_leaf], n_classes).tolist(),
        "target_nodeids": np.repeat(node_ids[is_leaf], n_classes).tolist(),
        "target_ids": np.tile(np.arange(n_classes), len(shares)).tolist(),
        "target_weights_as_tensor": _tensor(shares.ravel()),
    }


def _tensor(values: NDArray[Any]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(values.astype(np.float64))


class _PlainNumbers:
    """A container that takes what onnx does not: NumPy's numbers and booleans in lists."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        plain = {
            name: [_plain(item) for item in value] if isinstance(value, list) else value
            for name, value in attributes.items()
        }
        self._container.add_node(*args, **plain)


def _plain(item: Any) -> Any:
    item = item.item() if isinstance(item, np.generic) else item
    return int(item) if isinstance(item, bool) else item


def with_plain_numbers(converter: Converter) -> Converter:
    """Return a converter of skl2onnx that may pass NumPy's numbers and booleans."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        converter(scope, operator, _PlainNumbers(container))

    return convert


CONVERTERS: dict[type, Converter] = {
    DecisionTreeClassifier: convert_forest,
    ExtraTreeClassifier: convert_forest,
    ExtraTreesClassifier: convert_forest,
    HistGradientBoostingClassifier: with_plain_numbers(convert_sklearn_random_forest_classifier),
    HistGradientBoostingRegressor: with_plain_numbers(
        convert_sklearn_random_forest_regressor_converter
    ),
    LinearDiscriminantAnalysis: convert_discriminant_analysis,
    LinearSVC: convert_linear_decision,
    NuSVC: convert_support_vectors,
    NuSVR: convert_support_vector_regressor,
    RandomForestClassifier: convert_forest,
    RidgeClassifier: convert_linear_decision,
    RidgeClassifierCV: convert_linear_decision,
    SVC: convert_support_vectors,
    SVR: convert_support_vector_regressor,
}
"""Converters that take precedence over those of skl2onnx."""


def own_converter(step: Any) -> Converter | None:
    """Return our converter for a last step, or None to leave it to skl2onnx."""
    if isinstance(step, (SVC, NuSVC)) and hasattr(step, "predict_proba"):
        # Platt's probabilities of many classes are the result of an iteration.
        return None
    return CONVERTERS.get(type(step))
