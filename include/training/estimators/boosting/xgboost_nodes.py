"""What the JSON of XGBoost's trees must be: node numbers within bounds, and values of the right type and number."""

from __future__ import annotations

from typing import Any

import numpy as np

from include.training.estimators.boosting.boosted_trees import refused
from include.training.estimators.boosting.tree_json import are_floats, require_only, whole_numbers

MOST_LEVELS = 2**16
"""Levels of a column are below it: XGBoost makes a set of bits as long as the largest that a node names."""
_TREE = {"base_weights", "loss_changes", "split_conditions", "sum_hessian"}
_WHOLE = {"default_left", "left_children", "parents", "right_children", "split_indices", "split_type"}
_LEVELS = {"categories", "categories_nodes", "categories_segments", "categories_sizes"}
_ROOT = 2**31 - 1
"""What XGBoost writes for the parent of a root."""


def check_tree(number: int, tree: Any, columns: int) -> None:
    """Raise `ModelFileRefused` unless a tree leads to its own nodes and reads columns that are there."""
    require_only(tree, "id", "tree_param", *_TREE, *_WHOLE, *_LEVELS)
    nodes = len(tree["left_children"])
    wanted = {"num_deleted": "0", "num_feature": str(columns), "num_nodes": str(nodes), "size_leaf_vector": "1"}
    if tree["id"] != number or type(tree["id"]) is not int or tree["tree_param"] != wanted or not nodes:
        raise refused("a tree is of another kind")
    if not all(are_floats(tree[name], nodes) for name in _TREE):
        raise refused("a tree has another number of nodes")
    whole = {name: whole_numbers(tree[name], nodes) for name in _WHOLE}
    left, right, kind = whole["left_children"], whole["right_children"], whole["split_type"]
    inner = np.flatnonzero(left != -1)
    parents = np.full(nodes, -1)
    parents[0] = _ROOT
    for children in (left[inner], right[inner]):
        # Nodes are numbered after their parents, so that following them ends.
        if np.any(children <= inner) or np.any(children >= nodes):
            raise refused("a tree leads outside its own nodes")
        parents[children] = inner
    if (
        np.any(whole["parents"] != parents)
        or np.any((right == -1) != (left == -1))
        or np.any(left[inner] == right[inner])
    ):
        raise refused("a tree leads outside its own nodes")
    if np.any(whole["split_indices"] < 0) or np.any(whole["split_indices"] >= columns):
        raise refused("a tree reads a column that is not there")
    if not (set(kind.tolist()) | set(whole["default_left"].tolist())) <= {0, 1}:
        raise refused("a tree is of another kind")
    levels, at, starts, sizes = (whole_numbers(tree[name]) for name in sorted(_LEVELS))
    ends = np.cumsum(sizes)
    if len(starts) != len(sizes) or np.any(sizes < 1) or np.any(sizes > len(levels)) or np.any(starts != ends - sizes):
        raise refused("a tree has other sets of levels")
    if not np.array_equal(at, np.flatnonzero(kind == 1)) or len(at) != len(sizes) or sizes.sum() != len(levels):
        raise refused("a tree has other sets of levels")
    if np.any(levels < 0) or np.any(levels >= MOST_LEVELS):
        raise refused("a tree has other sets of levels")
